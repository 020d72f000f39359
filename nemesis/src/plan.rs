//! The plan: which faults come when. Plain data, regardless of its source (a seed, a schedule, a record).

pub(crate) mod driver;
pub(crate) mod possible;
pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod schedule;
pub(crate) mod schedule_file;
pub(crate) mod trigger;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    Act, CutMode, NodeId, Schedule, TimedAct, Trigger,
    act::verb::Verb,
    faults::partition::Cut,
    links::grudge::{Grudge, join},
};

/// Which faults come when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The given steps, by `at_ms`.
    pub steps: Vec<Step>,
    /// Randomly drawn steps. They are drawn when they are due: a run of a year has millions.
    pub drawn: Vec<Drawn>,
    /// Steps that wait for an event.
    pub triggers: Vec<Trigger>,
}

/// Steps that are drawn from a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// When the schedule begins, in milliseconds since the start of the run.
    pub begin_ms: u64,
    /// The schedule to draw from.
    pub schedule: Schedule,
    /// The partition of all steps, if it is the same for all.
    pub grudge: Option<Grudge>,
}

impl Drawn {
    /// The steps, in the order of their times.
    fn steps(self) -> impl Iterator<Item = Step> + Send {
        let Drawn { begin_ms, schedule, grudge } = self;
        let steps: Box<dyn Iterator<Item = Step> + Send> = match grudge {
            Some(grudge) => Box::new(schedule.draw_grudge(grudge)),
            None => Box::new(schedule.draw()),
        };
        steps.map(move |step| Step { at_ms: step.at_ms.saturating_add(begin_ms), ..step })
    }

    /// A step of each kind that may be drawn.
    fn kinds(&self) -> Vec<Step> {
        match &self.grudge {
            Some(_) => self.clone().steps().take(1).collect(),
            None => self.schedule.kinds(),
        }
    }
}

/// One fault of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When it begins, in milliseconds since the start of the run.
    pub at_ms: u64,
    /// How long it is held before it is undone, in milliseconds.
    pub hold_ms: u64,
    /// The fault's name: `partition`.
    pub fault: String,
    /// The kind of the fault: `isolate-leader`.
    pub kind: String,
    /// The stand-in for the leader in the acts. When the step begins, the real leader and the stand-in swap
    /// their places in the acts. If no leader is known, the acts stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<NodeId>,
    /// If another node becomes the leader while the step is held, the step is applied again to the new
    /// leader, after a delay in milliseconds: one of these, in turn. If empty, the step does not follow the
    /// leader. The old leader is released only after that, so the two are never free at the same time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub follows_ms: Vec<u64>,
    /// Whether the nodes were drawn at random. Then acts that need a running node are moved to a running
    /// node.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drawn: bool,
    /// The acts. Those that no other act undoes are undone at the end of the hold.
    pub acts: Vec<TimedAct>,
}

type Source = Box<dyn Iterator<Item = Step> + Send>;

impl Plan {
    /// The steps with times, given or drawn, in order. Draws lazily.
    pub fn in_order(&self) -> impl Iterator<Item = Step> + Send + use<> {
        let drawn = self.drawn.iter().cloned().map(|drawn| -> Source { Box::new(drawn.steps()) });
        let given: Source = Box::new(self.steps.clone().into_iter());
        let mut sources: Vec<_> = drawn.chain([given]).map(Iterator::peekable).collect();
        std::iter::from_fn(move || {
            let due = sources
                .iter_mut()
                .filter_map(|source| source.peek().map(|step| step.at_ms).zip(Some(source)));
            due.min_by_key(|(at_ms, _)| *at_ms)?.1.next()
        })
    }

    /// All steps that may come: the given ones, those of triggers, and one for each kind that may be drawn.
    /// The times and nodes of the latter have no meaning.
    pub fn possible_steps(&self) -> impl Iterator<Item = Step> {
        let triggered = self.triggers.iter().map(|trigger| &trigger.step);
        let drawn = self.drawn.iter().flat_map(Drawn::kinds);
        self.steps.iter().chain(triggered).cloned().chain(drawn)
    }

    /// Whether the plan has no steps.
    pub fn is_empty(&self) -> bool {
        self.triggers.is_empty() && self.in_order().next().is_none()
    }

    /// Whether some step may follow the leader.
    pub fn follows_leaders(&self) -> bool {
        self.possible_steps().any(|step| !step.follows_ms.is_empty())
    }

    /// Whether some act may change a link between a node and its clients.
    pub fn names_clients(&self) -> bool {
        self.possible_steps().any(|step| step.acts.iter().any(|timed| timed.act.names_clients()))
    }
}

impl Step {
    /// The acts with `leader` and the stand-in swapped.
    pub(crate) fn led_by(&self, leader: NodeId) -> Vec<TimedAct> {
        let Some(stand_in) = self.leader else { return self.acts.clone() };
        swapped(&self.acts, stand_in, leader)
    }
}

/// The acts with two nodes swapped.
fn swapped(acts: &[TimedAct], one: NodeId, other: NodeId) -> Vec<TimedAct> {
    let swap = |node| match node {
        _ if node == one => other,
        _ if node == other => one,
        _ => node,
    };
    acts.iter().map(|timed| TimedAct { act: timed.act.map(swap), ..*timed }).collect()
}

/// Whether an act is impossible and unnecessary: a node that is down cannot be paused.
pub(crate) fn is_pointless(act: Act, is_down: impl Fn(NodeId) -> bool) -> bool {
    act.suspends().is_some_and(is_down)
}

/// The acts that are possible while some nodes are down. Acts of a `drawn` step that need a running node are
/// moved to a node that the step does not use, if there is one. A pause of a node that is down is left out.
///
/// # Errors
/// When no act is left.
pub(crate) fn on_running(
    mut acts: Vec<TimedAct>,
    drawn: bool,
    down: &BTreeSet<NodeId>,
    nodes: usize,
) -> Result<Vec<TimedAct>, String> {
    let needed: BTreeSet<NodeId> = acts.iter().filter_map(|timed| timed.act.needs_running()).collect();
    for node in needed.intersection(down).filter(|_| drawn) {
        let named: BTreeSet<NodeId> = acts.iter().flat_map(|timed| timed.act.nodes()).collect();
        let free = (0..nodes).map(NodeId).find(|other| !down.contains(other) && !named.contains(other));
        if let Some(free) = free {
            acts = swapped(&acts, *node, free);
        }
    }
    let is_pointless_now =
        |timed: &TimedAct| timed.after_ms == 0 && is_pointless(timed.act, |node| down.contains(&node));
    let (pointless, acts): (Vec<TimedAct>, Vec<TimedAct>) = acts.into_iter().partition(is_pointless_now);
    let does_something = |timed: &TimedAct| timed.act.undo().is_some() || timed.act.is_final();
    if pointless.is_empty() || acts.iter().any(does_something) {
        return Ok(acts);
    }
    let who: Vec<NodeId> = pointless.iter().flat_map(|timed| timed.act.nodes()).collect();
    Err(format!("{} {} down", join(&who), if who.len() == 1 { "is" } else { "are" }))
}

/// The first node in the acts that a cluster of this size does not have.
pub(crate) fn unknown_node(acts: &[TimedAct], nodes: usize) -> Option<NodeId> {
    let mut named = acts.iter().flat_map(|timed| timed.act.nodes());
    named.find(|node| node.0 >= nodes && *node != NodeId::CLIENTS)
}

/// The acts that cut the links of a grudge.
pub(crate) fn cut_links(grudge: &Grudge, mode: CutMode) -> Vec<TimedAct> {
    grudge.cuts().map(|link| Cut(mode).on(link).into()).collect()
}

/// The links that the acts cut.
pub(crate) fn grudge(acts: &[TimedAct]) -> Grudge {
    acts.iter().filter_map(|timed| timed.act.cuts()).map(|(link, _)| link).collect()
}

/// The links that the acts cut, as texts such as `n1>n2`.
pub(crate) fn cuts(acts: &[TimedAct]) -> Vec<String> {
    grudge(acts).cuts().map(|(from, to)| format!("{from}>{to}")).collect()
}

/// The links that the acts degrade.
pub(crate) fn degraded(acts: &[TimedAct]) -> Grudge {
    acts.iter().filter_map(|timed| timed.act.degrades()).map(|(link, _)| link).collect()
}

/// The mode of the first cut.
pub(crate) fn mode(acts: &[TimedAct]) -> Option<CutMode> {
    acts.iter().find_map(|timed| timed.act.cuts()).map(|(_, mode)| mode)
}

/// The nodes that the acts target: those whose processes are stopped or impaired, or else the smaller side of
/// the cut or degraded links.
pub(crate) fn aimed_at(acts: &[TimedAct]) -> Vec<NodeId> {
    let hurt = |timed: &TimedAct| {
        timed.act.stops().or(timed.act.impairs()).or(timed.act.disk()).or(timed.act.reconfigures())
    };
    let stopped: BTreeSet<NodeId> = acts.iter().filter_map(hurt).collect();
    match (stopped.is_empty(), grudge(acts)) {
        (false, _) => stopped.into_iter().collect(),
        (true, cut) if cut.is_empty() => degraded(acts).aimed_at(),
        (true, cut) => cut.aimed_at(),
    }
}

/// Name of a fault whose acts are listed in a schedule. Its label is the list of acts.
pub(crate) const LISTED_ACTS: &str = "acts";

/// Whether the acts come at different times. Then different acts are in force at different times.
pub(crate) fn is_staged(acts: &[TimedAct]) -> bool {
    acts.iter().any(|timed| timed.after_ms > 0)
}

/// Label of a fault of which these acts are in force: `partition {n2 | n1,n3}`, `kill n1,n3`, `degrade
/// delay_ms=50 {n1 | n2,n3}`. If the acts come at different times (`staged`), it contains the kind: `kill
/// rolling n1,n2,n3`. If all processes are impaired in the same way, it says how: `starve cpu_percent=5
/// n1,n2`.
pub(crate) fn label(fault: &str, kind: &str, staged: bool, acts: &[TimedAct]) -> String {
    if fault == LISTED_ACTS && !acts.is_empty() {
        return acts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    }
    let (cut, degraded) = (grudge(acts), degraded(acts));
    let qualities = acts.iter().filter_map(|timed| timed.act.degrades()).map(|(_, quality)| quality);
    let mut qualities: Vec<String> = qualities.map(|quality| quality.to_string()).collect();
    qualities.dedup();
    let mut hows: Vec<String> = acts
        .iter()
        .filter(|timed| timed.act.impairs().is_some())
        .map(|timed| timed.act.verb.arguments())
        .collect();
    hows.dedup();
    let stopped: BTreeSet<NodeId> = acts.iter().filter_map(|timed| timed.act.stops()).collect();
    if let Some(&node) = stopped.first()
        && let (1, Some([one, other])) = (stopped.len(), cut.bridged_by(node))
    {
        return format!("{fault} {node}, the bridge between {{{}}} and {{{}}}", join(&one), join(&other));
    }
    let about = match &qualities[..] {
        _ if hows.len() == 1 => format!("{} {}", hows[0], join(&aimed_at(acts))),
        _ if !hows.is_empty() => join(&aimed_at(acts)),
        _ if !cut.is_empty() && !stopped.is_empty() => {
            format!("{} and {}", join(&aimed_at(acts)), cut.in_words())
        }
        _ if !cut.is_empty() => cut.in_words(),
        [] => join(&aimed_at(acts)),
        [quality] => format!("{quality} {}", degraded.in_words()),
        _ => format!("{kind} {}", degraded.in_words()),
    };
    let how = if hows.len() > 1 || staged || about.ends_with(" links") {
        format!(" {kind}")
    } else {
        String::new()
    };
    format!("{fault}{how} {about}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::kill::Kill;

    #[test]
    fn a_label_says_in_words_what_many_links_are() {
        let order = [3, 1, 2, 4, 5].map(|n| NodeId(n - 1));
        let late: Grudge = Grudge::one_way(&order[1..], &order[..1]).cuts().collect();
        let bridge: Grudge = Grudge::bridge(&order).cuts().chain(late.cuts()).collect();
        let mut acts = cut_links(&bridge, CutMode::Stall);
        assert_eq!(label("kill", "bridge", true, &acts), "kill bridge 12 links");
        acts.push(Kill.on(order[0]).into());
        let words = "kill n3, the bridge between {n1,n2} and {n4,n5}";
        assert_eq!(label("kill", "bridge", true, &acts), words);
        let ring = cut_links(&Grudge::majority_ring(&order), CutMode::Stall);
        assert_eq!(label("partition", "majority-ring", false, &ring), "partition majority-ring 10 links");
        let halves = cut_links(&Grudge::split(&order, 2), CutMode::Stall);
        assert_eq!(label("partition", "halves", false, &halves), "partition {n1,n3 | n2,n4,n5}");
    }
}
