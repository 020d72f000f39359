//! Triggers: faults that wait for an event in the run instead of for a time.
//!
//! The controller sends the nemesis what it sees as [`RunEvent`]s. When the event of a [`Trigger`] happens,
//! the trigger plans its step after a delay. The trigger then sleeps until that step has ended, so a fault
//! that causes its own event (the leader is killed, so the leader changes) does not trigger itself.

use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use crate::{NodeId, Step};

/// The event that a trigger waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TriggerCondition {
    /// This many operations have completed since the run began, or since the trigger last fired.
    Operations(u64),
    /// There is another leader than the last known one.
    LeaderChange,
    /// A node has written a line to its log that matches this regular expression.
    Log {
        /// The expression.
        pattern: String,
        /// The only node whose log counts; any node if `None`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<NodeId>,
    },
}

/// A step that begins when something happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// The event to wait for.
    pub on: TriggerCondition,
    /// Delay from the event to the begin of the step, in milliseconds.
    pub after_ms: u64,
    /// How often it fires at most.
    pub times: u64,
    /// The step. Its `at_ms` is ignored.
    pub step: Step,
}

/// An observation of the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    /// Number of operations completed since the run began. Need not be sent for each of them.
    Operations(u64),
    /// A node leads now.
    Leader(NodeId),
    /// A node wrote a line to its log.
    Log(NodeId, String),
}

/// A trigger during a run.
#[derive(Debug)]
pub(crate) struct ArmedTrigger {
    trigger: Trigger,
    /// The expression of `TriggerCondition::Log`. If it is invalid, nothing matches.
    pattern: Option<Regex>,
    left: u64,
    /// Whether the trigger sleeps: its step has not ended yet.
    asleep: bool,
    operations_seen: u64,
    leader_seen: Option<NodeId>,
}

impl ArmedTrigger {
    pub(crate) fn new(trigger: Trigger) -> ArmedTrigger {
        let pattern = match &trigger.on {
            TriggerCondition::Log { pattern, .. } => Regex::new(pattern).ok(),
            _ => None,
        };
        let left = trigger.times;
        ArmedTrigger { trigger, pattern, left, asleep: false, operations_seen: 0, leader_seen: None }
    }

    /// Handles an event. If it fires the trigger, returns the delay in milliseconds and the step.
    pub(crate) fn on_event(&mut self, event: &RunEvent) -> Option<(u64, Step)> {
        if !self.matches(event) || self.asleep || self.left == 0 {
            return None;
        }
        self.left -= 1;
        self.asleep = true;
        Some((self.trigger.after_ms, self.trigger.step.clone()))
    }

    /// Wakes the trigger, because its step has ended.
    pub(crate) fn wake(&mut self) {
        self.asleep = false;
    }

    /// Whether it may fire again.
    pub(crate) fn is_alive(&self) -> bool {
        self.left > 0
    }

    fn matches(&mut self, event: &RunEvent) -> bool {
        match (&self.trigger.on, event) {
            (TriggerCondition::Operations(every), RunEvent::Operations(count)) => {
                let happens = !self.asleep && count.saturating_sub(self.operations_seen) >= *every;
                if happens {
                    self.operations_seen = *count;
                }
                happens
            }
            (TriggerCondition::LeaderChange, RunEvent::Leader(leader)) => {
                self.leader_seen.replace(*leader).is_some_and(|before| before != *leader)
            }
            (TriggerCondition::Log { node: wanted, .. }, RunEvent::Log(node, line)) => {
                let pattern = self.pattern.as_ref();
                wanted.is_none_or(|wanted| wanted == *node)
                    && pattern.is_some_and(|pattern| pattern.is_match(line))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armed(on: TriggerCondition, times: u64) -> ArmedTrigger {
        let step = Step {
            at_ms: 0,
            hold_ms: 100,
            fault: "kill".to_owned(),
            kind: "given".to_owned(),
            leader: None,
            follows_ms: Vec::new(),
            drawn: false,
            acts: Vec::new(),
        };
        ArmedTrigger::new(Trigger { on, after_ms: 20, times, step })
    }

    #[test]
    fn it_fires_every_thousand_operations_and_not_while_asleep() {
        let mut armed = armed(TriggerCondition::Operations(1000), 2);
        let mut fires = |count| armed.on_event(&RunEvent::Operations(count)).is_some();
        assert_eq!([999, 1003, 2500].map(&mut fires), [false, true, false]);
        armed.wake();
        assert!(armed.on_event(&RunEvent::Operations(2600)).is_some());
        armed.wake();
        assert!(armed.on_event(&RunEvent::Operations(9999)).is_none(), "twice was all");
        assert!(!armed.is_alive());
    }

    #[test]
    fn operations_count_from_when_it_last_fired() {
        let mut armed = armed(TriggerCondition::Operations(1000), 9);
        assert!(armed.on_event(&RunEvent::Operations(1000)).is_some());
        armed.wake();
        assert!(armed.on_event(&RunEvent::Operations(1999)).is_none());
        assert!(armed.on_event(&RunEvent::Operations(2000)).is_some());
    }

    #[test]
    fn a_first_leader_is_no_change() {
        let mut armed = armed(TriggerCondition::LeaderChange, 9);
        let mut fires = |node| armed.on_event(&RunEvent::Leader(NodeId(node))).is_some();
        assert_eq!([0, 0, 1].map(&mut fires), [false, false, true]);
        // The trigger slept during the change that it caused, but did not miss the new leader.
        assert!(!fires(2));
        armed.wake();
        assert!(armed.on_event(&RunEvent::Leader(NodeId(2))).is_none());
    }

    #[test]
    fn only_a_matching_log_line_of_the_right_node_fires() {
        let mut armed = armed(
            TriggerCondition::Log { pattern: "became (leader|primary)".to_owned(), node: Some(NodeId(1)) },
            1,
        );
        let mut fires =
            |node, line: &str| armed.on_event(&RunEvent::Log(NodeId(node), line.to_owned())).is_some();
        assert!(!fires(0, "12 became leader"));
        assert!(!fires(1, "12 became follower"));
        assert!(fires(1, "13 became primary of term 7"));
    }
}
