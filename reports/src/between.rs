//! What happened between the contradicted operation and the witness: the part of the run in which the cause of
//! a violation is most likely to be found.
//!
//! ```text
//!   write 4 ├──┤ acknowledged                     read → 3 ├──┤ returned
//!               ◀─────────── the window ────────────────────▶
//!                 leader n3, then n4     partition begins
//! ```
//!
//! Without a contradicted operation the window is the witness itself.

use tribunal_checker::op::{Nanos, Op};
use tribunal_checker::verdict::OpId;

use crate::faults::Fault;
use crate::leaders::{self, Leaders};
use crate::run_dir::RunDir;
use crate::wording::{elide, operation};

/// A leader is recorded up to this much later than it was elected, in nanoseconds.
pub(crate) const LEADERS_LATE_NS: Nanos = 150_000_000;

/// The window of a violation.
pub struct Between<'a> {
    /// The operation that the witness contradicts, if one is known that had returned before the witness did.
    pub contradicted: Option<&'a Op>,
    /// The other operation that the sentence names, whenever it returned.
    pub other: Option<&'a Op>,
    /// The operation that cannot be linearized.
    pub witness: &'a Op,
    /// The beginning: the return of the contradicted operation, or the invocation of the witness.
    pub from: Nanos,
    /// The end: the return of the witness.
    pub to: Nanos,
    /// Changes in the window, by time.
    pub changes: Vec<Change>,
}

/// The kinds of events that bring bugs to light.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// Another node leads, or two nodes claim to.
    Leader,
    /// A process was killed and started again.
    Restart,
    /// Data that was not fsynced was dropped.
    Power,
    /// Links were cut, or made slow.
    Network,
    /// A process was stopped, or starved.
    Pause,
    /// A clock was changed.
    Clock,
    /// A disk failed, or files were damaged.
    Disk,
    /// Members were removed, or the leadership was handed over.
    Members,
}

impl Trigger {
    /// The event in words, such as `a restart`.
    pub fn words(self) -> &'static str {
        match self {
            Trigger::Leader => "a change of the leader",
            Trigger::Restart => "a restart",
            Trigger::Power => "a power failure",
            Trigger::Network => "a partition or slow links",
            Trigger::Pause => "a pause",
            Trigger::Clock => "a change of a clock",
            Trigger::Disk => "a disk fault",
            Trigger::Members => "a change of the members",
        }
    }
}

/// A change of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When it happened, or was seen.
    pub t: Nanos,
    /// When the fault began whose change it is; for other changes as `t`.
    pub began: Nanos,
    /// The nodes that lead from then on, if that is what changed.
    pub leaders: Vec<String>,
    /// The kinds of event that it is.
    pub triggers: &'static [Trigger],
    /// What happened, such as `kill n3 ended and its nodes restarted`.
    pub what: String,
}

/// What kinds of event a fault is, by its name.
pub fn triggers(fault: &str) -> &'static [Trigger] {
    match fault {
        "kill" | "terminate" => &[Trigger::Restart],
        "power" | "torn-write" => &[Trigger::Power, Trigger::Restart],
        "pause" | "starve" | "limits" => &[Trigger::Pause],
        "partition" | "clients" | "degrade" | "loss" | "corrupt" => &[Trigger::Network],
        "clock" => &[Trigger::Clock],
        "disk-full" | "disk-error" | "slow-disk" => &[Trigger::Disk],
        "bitflip" | "truncate" | "wipe" | "restore" => &[Trigger::Disk, Trigger::Restart],
        "membership" | "transfer" => &[Trigger::Members],
        _ => &[],
    }
}

impl<'a> Between<'a> {
    /// The window of the proved violation; `None` if there is none, or its operations are unknown.
    pub fn of(run: &'a RunDir) -> Option<Between<'a>> {
        let judgement = &run.judgement;
        let violation = judgement.violation()?;
        let witness = judgement.op(violation.witness)?;
        let to = witness.completed.unwrap_or(violation.detected).min(violation.detected.max(witness.call));
        // The one whose effect is missing, or else the last that the sentence names beside the witness.
        let op = |id: &OpId| judgement.op(*id).filter(|op| !std::ptr::eq(*op, witness));
        let returned = |op: &&Op| op.completed.is_some_and(|end| end <= to);
        let missing = violation.missing.as_ref().and_then(op).filter(returned);
        let named = || violation.named.iter().filter_map(op).filter(returned).max_by_key(|op| op.completed);
        let contradicted = missing.or_else(named);
        let other = contradicted.or_else(|| violation.named.iter().find_map(op));
        let from = contradicted.and_then(|op| op.completed).unwrap_or(witness.call).min(to);
        let mut changes: Vec<Change> = run.evidence.faults.iter().flat_map(of_fault).collect();
        changes.retain(|change| from <= change.t && change.t <= to);
        changes.extend(of_leaders(&run.leaders, from, to + LEADERS_LATE_NS));
        changes.sort_by_key(|change| change.t);
        Some(Between { contradicted, other, witness, from, to, changes })
    }

    /// The kinds of event of this fault if it was in force at some time of the window.
    pub fn in_force(&self, fault: &Fault) -> &'static [Trigger] {
        if fault.overlaps(self.from, self.to) { triggers(&fault.fault) } else { &[] }
    }
}

/// The maximum length of an operation in a sentence about several, in characters.
const BRIEF_CHARS_MAX: usize = 30;

/// An operation in a sentence about several: ``p4's `read → 3` ``.
pub fn brief(op: &Op) -> String {
    format!("p{}'s `{}`", op.process, elide(&operation(op), BRIEF_CHARS_MAX))
}

/// The changes that a fault made.
fn of_fault(fault: &Fault) -> Vec<Change> {
    if !fault.was_in_force() {
        return Vec::new();
    }
    let triggers = triggers(&fault.fault);
    let change = |t, what| Change { t, began: fault.applied_ns, leaders: Vec::new(), triggers, what };
    let mut changes = vec![change(fault.applied_ns, format!("{} began", fault.label))];
    changes.extend(fault.shifts.iter().map(|shift| match shift.idle {
        true => change(shift.t, format!("{} was inactive", fault.name())),
        false => change(shift.t, format!("the fault changed to {}", shift.label)),
    }));
    let ended = if triggers.contains(&Trigger::Restart) { "ended and its nodes restarted" } else { "ended" };
    changes.extend(fault.healed_ns.map(|healed| change(healed, format!("{} {ended}", fault.name()))));
    changes
}

/// The changes of the leader that were seen in an interval. The first leader of a run is no change, nor is one that
/// was out of sight for a moment.
fn of_leaders(all: &[Leaders], from: Nanos, to: Nanos) -> impl Iterator<Item = Change> {
    let inside = all.iter().enumerate().filter(move |(_, change)| from <= change.t && change.t <= to);
    inside.map(|(at, change)| Change {
        t: change.t,
        began: change.t,
        leaders: change.leaders.iter().map(|leader| leader.node.clone()).collect(),
        triggers: if is_new(&all[..at], change) { &[Trigger::Leader] } else { &[] },
        what: format!(
            "{} {} to lead",
            leaders::named(&change.leaders),
            if change.leaders.len() > 1 { "claimed" } else { "was seen" }
        ),
    })
}

/// Whether a node leads that did not when last a node led.
fn is_new(before: &[Leaders], change: &Leaders) -> bool {
    let former = before.iter().rev().find(|it| !it.leaders.is_empty());
    former.is_some_and(|former| change.leaders.iter().any(|leader| !former.leaders.contains(leader)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_leader_is_no_change_of_the_leader() {
        let led = |t, leaders: &[(&str, u64)]| Leaders {
            t,
            leaders: leaders
                .iter()
                .map(|(node, term)| leaders::Leader { node: (*node).into(), term: *term })
                .collect(),
        };
        let all =
            [led(1, &[]), led(2, &[("n1", 1)]), led(3, &[]), led(4, &[("n1", 1)]), led(5, &[("n2", 2)])];
        let new: Vec<Nanos> = of_leaders(&all, 0, 9)
            .filter(|change| !change.triggers.is_empty())
            .map(|change| change.t)
            .collect();
        assert_eq!(new, [5]);
    }

    /// Every fault that can be injected is some kind of event, or the advice would not know it.
    #[test]
    fn faults_have_triggers() {
        for fault in ["kill", "power", "partition", "pause", "clock", "wipe", "transfer"] {
            assert!(!triggers(fault).is_empty(), "{fault}");
        }
        assert!(triggers("a fault of somebody else's").is_empty());
    }
}
