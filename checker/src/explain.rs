//! From "not linearizable" to evidence that a person can follow.
//!
//! ```text
//!                 ┌─ shrink ───▶ the minimal counterexample: as few operations as still prove it
//!   part, hint ───┤  classify ─▶ its class, and one sentence about it
//!                 │  impasse ──▶ how far a legal order gets, and why every next step is impossible
//!                 └─ would ────▶ what would explain it: failures, clocks, one node, weaker consistency
//! ```
//!
//! The verdict is fixed before this module starts, and nothing here can change it: if a limit stops a step,
//! the evidence is larger or incomplete. All re-checks use the checker's own engines.
//!
//! The counterexample is a history of its own: [`counterexample`] writes it as events, for use as a
//! regression test. It starts from the initial state of the model. Operations that completed after its end
//! are pending in it, and reads of a whole collection may be restricted to the elements that matter.

mod before;
mod classify;
mod impasse;
mod moves;
#[cfg(test)]
mod sample;
mod sequential;
mod shrink;
mod subject;
#[cfg(test)]
mod tests;
mod words;
mod would;

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;

pub(crate) use sequential::sequential;

use self::before::Before;
use self::classify::{Case, Repair};
use self::impasse::{Way, impasse};
use self::moves::{Sub, seen};
use self::shrink::shrink;
use self::subject::Recorded;
pub use self::subject::Subject;
use self::words::who;
use self::would::Would;
use crate::check::Options;
use crate::decision::Decision;
use crate::history::History;
use crate::judge::{Demand, Judge};
use crate::limits::Limits;
use crate::op::{Event, Kind, Nanos, Op, Outcome, Value};
use crate::verdict::{Configuration, Impossible, OpId, Sums, Violation};

/// Maximum number of indeterminate operations outside the proof that are tried before the witness.
const OTHERS_MAX: usize = 3;
/// Maximum number of overlapping operations added as context.
const CONTEXT_MAX: usize = 40;
/// Maximum number of deepest configurations.
const CONFIGURATIONS_MAX: usize = 3;
/// The minimum budget of an explanation in configurations, however little the check did: some hundredths of a
/// second.
const LEAST: u64 = 30_000;
/// The budget for the deepest configurations. This search costs more than others, because it remembers the
/// orders.
const DEEPEST_STATES_MAX: u64 = 50_000;
/// Maximum size of a part whose deepest configurations are searched, if a state may hold an element for each
/// operation.
const HELD_MAX: usize = 100;
/// Memory limit of a re-check in bytes.
const MEMORY_BYTES_MAX: usize = 16 << 20;
/// Reading this many operations again costs as much as one configuration.
const OPS_PER_STATE: u64 = 4;

/// The budget of an explanation, for each of its purposes, in configurations: about the cost of the check
/// itself, which explored `states` configurations and read every operation. If it does not suffice, the
/// counterexample stays larger or a question stays open, and the report says so.
fn allowance(part: &Recorded<'_>, states: u64) -> u64 {
    let read: u64 = (0..part.ops.len()).map(|at| part.weight(at)).sum();
    LEAST + states + 2 * read / OPS_PER_STATE
}

/// Explains a part that is not linearizable: the operations `ids` of a history. `conflict` names those, by
/// position among the ids, that the algorithm failed at; `states` is the number of configurations it
/// explored.
pub(crate) fn violation(
    judge: &dyn Judge,
    options: &Options<'_>,
    history: &History,
    ids: &[OpId],
    conflict: &[usize],
    states: u64,
) -> Violation {
    let ops: Cow<'_, [Op]> = match ids.len() == history.ops.len() {
        true => Cow::Borrowed(&history.ops),
        false => ids.iter().map(|&id| history.ops[id].clone()).collect(),
    };
    let part = Recorded::new(judge.describe().among(&ops), &ops, |op| judge.only_observes(op));
    let limited = |states: u64| Limits {
        states_max: states.min(options.limits.states_max),
        memory_bytes_max: MEMORY_BYTES_MAX.min(options.limits.memory_bytes_max),
        time: options.limits.time.clone(),
        progress: options.limits.progress,
    };
    let allowance = allowance(&part, states);
    let left = Cell::new(2 * allowance);
    let expired = || options.limits.time.as_ref().is_some_and(|time| (time.expired)());
    let mut decide = |ops: &[Op]| {
        if left.get() == 0 || expired() {
            return None;
        }
        let read = ops.iter().map(subject::weight).sum::<u64>() / OPS_PER_STATE;
        let (ops, price): (Vec<&Op>, u64) = (ops.iter().collect(), part.price(ops.len()));
        let limits = limited(left.get() / price);
        let demand = Demand { engine: options.engine, limits: &limits, cancelled: None, order: false };
        let decided = judge.decide(&ops, demand);
        left.set(left.get().saturating_sub(decided.states * price + read));
        match decided.decision {
            Decision::Legal { .. } => Some(true),
            Decision::Illegal { .. } => Some(false),
            Decision::Declined => None,
        }
    };
    let shrunk = shrink(&part, conflict, 2 * allowance * OPS_PER_STATE, &mut decide);
    let sub = shrunk.sub;
    let case = Case::new(&part, &sub);
    // The sentences assume the usual initial state.
    let finding = if judge.has_unusual_start() { None } else { case.classify() };
    left.set(allowance);
    let finding = finding.or_else(|| {
        let repair = Repair {
            judge,
            case: &case,
            observes: &|at| sub.is_observer(&part, sub.kept[at]),
            begins_late: shrunk.first.is_some(),
            decide: &mut decide,
        };
        repair.find()
    });
    let named = finding.as_ref().map_or(&[][..], |finding| &finding.named);
    let context = context(&part, &sub, named);
    let others: Vec<usize> =
        context.iter().copied().filter(|&at| ops[at].is_info() && !part.is_observer(at)).collect();
    let minimal = sub.ops(&part);
    let impasse = impasse(
        judge,
        &minimal.iter().collect::<Vec<_>>(),
        &others.iter().take(OTHERS_MAX).map(|&at| &ops[at]).collect::<Vec<_>>(),
        part.clock,
        &limited(allowance.min(DEEPEST_STATES_MAX) / part.price(minimal.len())),
        (4 * allowance / part.price(minimal.len())) as usize,
    );
    let id_of = |at: &usize| ids[*sub.kept.get(*at).unwrap_or_else(|| &others[*at - sub.kept.len()])];

    let finding = finding.unwrap_or_else(|| {
        let alone = |way: &&Way, witness: usize| way.next[..] == [witness];
        let stuck = impasse.as_ref().and_then(|impasse| {
            let way = impasse.ways.iter().find(|way| alone(way, impasse.witness))?;
            Some((sub.kept[impasse.witness], &*way.reason))
        });
        case.no_order(impasse.as_ref().map_or(0, |impasse| impasse.order.len()), stuck)
    });
    let completes = |at: &usize| part.ops[*at].is_ok() && part.ops[*at].completed == Some(sub.cut);
    let last = sub.kept.iter().copied().find(completes).or(sub.kept.last().copied());
    let witness = impasse.as_ref().map(|impasse| sub.kept[impasse.witness]).or(last).unwrap_or(0);

    left.set(allowance);
    let would = Would {
        judge,
        part: &part,
        sub: &sub,
        begins_late: shrunk.first.is_some(),
        decide: &mut decide,
        limits: &limited(allowance),
    };
    let mut explanations = would.ask();
    let lost = finding.missing.as_ref().and_then(|missing| missing.question(&case));
    if let Some(lost) = lost {
        explanations.insert(0, lost);
    }
    left.set(allowance);
    let (order, before, states, ways) =
        impasse.map_or((Vec::new(), Vec::new(), Vec::new(), Vec::new()), |impasse| {
            let Before { states: mut before, only } =
                before::before(&part, &sub, &impasse.before, &mut decide);
            let mut ways = impasse.ways;
            if before != [impasse.before.as_str()] {
                // The initial state of these operations is the model's, not the object's.
                for way in ways.iter_mut().filter(|way| way.state == impasse.before && way.next.len() == 1) {
                    let next =
                        minimal.get(way.next[0]).unwrap_or_else(|| &ops[others[way.next[0] - minimal.len()]]);
                    match only.as_ref().and_then(|held| before::refused(judge, held, next)) {
                        Some(stuck) => (way.state, way.reason) = (stuck.state, stuck.reason),
                        None => way.reason += ", by these operations alone",
                    }
                }
            }
            if let (true, Some(first)) = (before.is_empty(), shrunk.first) {
                before.push(format!("anything: {} overwrites it", who(&ops[first])));
            }
            let mut states = impasse.states;
            if let (Some(first), true) = (states.first_mut(), before != [impasse.before.as_str()]) {
                *first = before.join(" or ");
            }
            (impasse.order, before, states, ways)
        });
    let impossible = ways.into_iter().map(|way| Impossible {
        next: way.next.iter().map(id_of).collect(),
        state: way.state,
        reason: way.reason,
    });
    Violation {
        key: ops[0].key.clone(),
        witness: ids[witness],
        detected: sub.cut,
        sentence: finding.sentence,
        class: finding.class.to_owned(),
        minimal: sub.kept.iter().map(|&at| ids[at]).collect(),
        order: order.iter().map(id_of).collect(),
        states,
        before,
        context: context.into_iter().map(|at| ids[at]).collect(),
        impossible: impossible.collect(),
        configurations: configurations(judge, limited, &part, &sub, ids),
        explanations,
        shrink: shrunk.stats,
        named: finding.named.iter().map(|&at| ids[at]).collect(),
        missing: finding.missing.map(|missing| ids[missing.op]),
        elements: sub.lens.map(|lens| lens.into_iter().collect()),
        sums: (sub.sums != Sums::default()).then(|| Sums {
            all: sub.sums.all.map(|(at, sum)| (ids[at], sum)),
            untold: sub.kept.iter().filter(|at| sub.sums.untold.contains(at)).map(|&at| ids[at]).collect(),
        }),
    }
}

/// The operations around the counterexample: those that the sentence names first, then the nearest.
fn context(part: &Recorded<'_>, sub: &Sub, named: &[usize]) -> Vec<usize> {
    let start = sub.kept.first().map_or(0, |&at| part.ops[at].call);
    let distance = |op: &Op| sub.cut.saturating_sub(op.completed.unwrap_or(Nanos::MAX));
    let overlaps = |op: &Op| op.call <= sub.cut && op.completed.unwrap_or(Nanos::MAX) >= start;
    let mut around: Vec<usize> = (0..part.ops.len())
        .filter(|at| sub.kept.binary_search(at).is_err() && (named.contains(at) || overlaps(&part.ops[*at])))
        .collect();
    around.sort_by_key(|at| (!named.contains(at), distance(&part.ops[*at]), *at));
    around.truncate(CONTEXT_MAX);
    around.sort_unstable();
    around
}

/// The deepest configurations before the instant that none survives: of the whole part if that is feasible,
/// else of the counterexample.
fn configurations<'a>(
    judge: &dyn Judge,
    limited: impl Fn(u64) -> Limits<'a>,
    part: &Recorded<'_>,
    sub: &Sub,
    ids: &[OpId],
) -> Vec<Configuration> {
    let whole = Sub::whole(part).cut_at(part, sub.cut);
    let known = if part.holds_little() || whole.kept.len() <= HELD_MAX { &whole } else { sub };
    let ops = known.ops(part);
    let limits = limited(DEEPEST_STATES_MAX / part.price(ops.len()));
    let failure = judge.frontier_at_failure(&ops.iter().collect::<Vec<_>>(), &limits, CONFIGURATIONS_MAX);
    let id_of = |at: usize| ids[known.kept[at]];
    let configurations = failure.into_iter().flat_map(|failure| failure.configurations);
    let shown = configurations.take(CONFIGURATIONS_MAX).map(|configuration| Configuration {
        state: configuration.state,
        placed: configuration.order.len(),
        total: if known == sub { sub.kept.len() } else { part.ops.len() },
        used: configuration.used.into_iter().map(id_of).collect(),
        unused: configuration.unused.into_iter().map(id_of).collect(),
    });
    shown.collect()
}

/// The counterexample of a violation as a history of its own, which is itself not linearizable: pending
/// operations have no completion, and indices count from 0.
pub fn counterexample(history: &History, violation: &Violation) -> Vec<Event> {
    let lens: Option<BTreeSet<Value>> =
        violation.elements.as_ref().map(|items| items.iter().cloned().collect());
    let ops: Vec<Op> = violation
        .minimal
        .iter()
        .filter_map(|&id| {
            let mut op = seen(&history.ops[id], violation.detected, lens.as_ref())?;
            violation.sums.iter().for_each(|sums| sums.seen(id, &mut op));
            Some(op)
        })
        .collect();
    let event = |op: &Op, kind: Kind, time: Nanos, value: &Value| Event {
        node: op.node.clone(),
        client: op.client.filter(|_| kind == Kind::Invoke),
        ..Event::new(time, op.process, kind, op.f.clone()).on(op.key.clone()).with(value.clone())
    };
    let mut events: Vec<Event> = Vec::new();
    for op in &ops {
        events.push(event(op, Kind::Invoke, op.call, &op.input));
        match (&op.outcome, op.completed) {
            (Outcome::Ok(output), Some(end)) => events.push(event(op, Kind::Ok, end, output)),
            (_, Some(end)) => {
                events.push(Event { error: op.error.clone(), ..event(op, Kind::Info, end, &Value::Nil) })
            }
            (_, None) => {}
        }
    }
    // Stable: at equal times, a process still completes before it invokes again.
    events.sort_by_key(|event| event.time);
    for (index, event) in (0..).zip(&mut events) {
        event.index = index;
    }
    events
}
