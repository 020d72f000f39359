//! A violation that needs no search: an observation whose every source is certainly gone.
//!
//! Wherever the frontier engine has a hard time because many indeterminate operations could explain almost anything,
//! many a violation is still plain to see: a read returned a value, and everyone who could have brought the object
//! into that state either started too late, or was certainly undone in between.
//!
//! ```text
//!   source   ├──────┤                                   brings a state in which the observation is possible
//!   undoer              ├──────┤                        leaves no such state, whatever it started from
//!   observation                     ├──────┤            returned what it cannot have
//! ```
//!
//! For an operation `r` let F be the states in which it is possible, with its recorded result. Some operation must have
//! led into F (or the object was there from the start), and nothing that certainly happened between it and `r` may
//! lead out of F from everywhere. If every source is called after `r` returned, or returned before such an *undoer* was
//! called that returned before `r` was called, there is no legal order. Indeterminate operations are sources that never
//! return, and never undoers. This is the rule of Gibbons and Korach (*Testing shared memories*, SIAM J. Comput. 1997)
//! for a read, one at a time, for any object with few states. O(n log n) for each set F.
//!
//! Where states are many, as texts are, the model itself says what may have come before an observation
//! ([`Model::may_precede`]), and the rule is applied to the one observation that a search stumbled over.
//!
//! It is no more than a refutation: that it finds nothing says nothing.

use hashbrown::HashMap;

use crate::broken::broken;
use crate::model::Model;
use crate::part::{Event, Part, PartOp};
use crate::space::{ClassId, Effect, Space, StateId};

/// Objects with more states than this are left to the search.
const STATES_MAX: usize = 64;

/// The first return, if there is any, that no configuration can survive for this reason.
pub(crate) fn stale<M: Model>(part: &Part, space: &mut Space<'_, M>) -> Option<u32> {
    let moves = Moves::all(space)?;
    let mut calls: Vec<u32> = vec![0; part.ops.len()];
    for (at, event) in (0..).zip(&part.events) {
        if let Event::Call(op) = *event {
            calls[op as usize] = at;
        }
    }
    let mut needs: Vec<u64> = moves.possible.iter().copied().filter(|&states| states != moves.all).collect();
    needs.sort_unstable();
    needs.dedup();
    let walls = needs.into_iter().filter_map(|states| first_stale(part, &calls, &moves, states));
    walls.min_by_key(|&op| part.ops[op as usize].returns)
}

/// The first return of an operation that is possible in exactly these states, but cannot have found one.
fn first_stale(part: &Part, calls: &[u32], moves: &Moves, states: u64) -> Option<u32> {
    // The call of the undoer that was called last, of those that have returned; per operation, as of its call.
    let mut undone = None;
    let mut undone_at_call: Vec<Option<u32>> = vec![None; part.ops.len()];
    // The sources called so far that return last, two of them: an operation is no source for itself.
    let mut sources: [Option<(u32, u32)>; 2] = [None; 2];
    for event in &part.events {
        match *event {
            Event::Call(op) => {
                undone_at_call[op as usize] = undone;
                let class = part.ops[op as usize].class as usize;
                if moves.changes[class] && moves.leads_to[class] & states != 0 {
                    let source = Some((part.ops[op as usize].returns, op));
                    if source > sources[0] {
                        sources = [source, sources[0]];
                    } else if source > sources[1] {
                        sources[1] = source;
                    }
                }
            }
            Event::Return(op) => {
                let class = part.ops[op as usize].class as usize;
                if moves.possible[class] == states {
                    let undone = undone_at_call[op as usize];
                    let source = sources.iter().flatten().find(|&&(_, source)| source != op);
                    let from_start = states & 1 == 1 && undone.is_none();
                    let from_source = source.is_some_and(|&(returns, _)| Some(returns) > undone);
                    if !from_start && !from_source {
                        return Some(op);
                    }
                }
                if moves.leads_to[class] & states == 0 || broken("refute: everything undoes") {
                    undone = undone.max(Some(calls[op as usize]));
                }
            }
        }
    }
    None
}

/// Whether no configuration can survive the return of this observation, for the same reason, in an object that may have
/// any number of states: what may have led to a state in which it is possible is the model's to say
/// ([`Model::may_precede`]). O(n).
pub(crate) fn is_stale<M: Model>(part: &Part, space: &mut Space<'_, M>, observation: u32) -> bool {
    let class = part.ops[observation as usize].class;
    if space.effect(class) != Effect::Observes {
        return false;
    }
    let may_precede: Vec<bool> =
        (0..space.len().1 as ClassId).map(|other| space.may_precede(other, class)).collect();
    let mut undone = None;
    let mut source: Option<u32> = None;
    let mut calls: HashMap<u32, u32> = HashMap::new();
    let mut is_called = false;
    for (at, event) in (0..).zip(&part.events) {
        match *event {
            Event::Call(op) if op == observation => is_called = true,
            Event::Call(op) => {
                let PartOp { class, returns, .. } = part.ops[op as usize];
                if !may_precede[class as usize] || broken("refute: only the start precedes") {
                    calls.insert(op, at);
                } else if space.effect(class) != Effect::Observes {
                    source = source.max(Some(returns));
                }
            }
            Event::Return(op) if op == observation => break,
            // What returns later may come after the observation.
            Event::Return(op) if !is_called => undone = undone.max(calls.remove(&op)),
            Event::Return(_) => {}
        }
    }
    let from_start = undone.is_none() && space.possible(0, class);
    !from_start && source.is_none_or(|returns| Some(returns) < undone)
}

/// What the calls of each class do, over all states that can be reached; sets of states as bits.
struct Moves {
    all: u64,
    /// Where a call is possible.
    possible: Vec<u64>,
    /// Where it leads from there.
    leads_to: Vec<u64>,
    /// Whether it is more than an observation.
    changes: Vec<bool>,
}

impl Moves {
    /// `None` if there are too many states or classes.
    fn all<M: Model>(space: &mut Space<'_, M>) -> Option<Moves> {
        let classes = space.len().1;
        let mut moves = Moves {
            all: 0,
            possible: vec![0; classes],
            leads_to: vec![0; classes],
            changes: vec![false; classes],
        };
        if !space.explore(STATES_MAX) {
            return None;
        }
        for state in 0..space.len().0 {
            for class in 0..classes {
                let next = space.step(state as StateId, class as ClassId);
                for branch in 0..next.len {
                    let to = space.successor(next, branch);
                    moves.possible[class] |= 1 << state;
                    moves.leads_to[class] |= 1_u64.checked_shl(to)?;
                    moves.changes[class] |= space.effect(class as ClassId) != Effect::Observes;
                }
            }
            moves.all |= 1 << state;
        }
        Some(moves)
    }
}
