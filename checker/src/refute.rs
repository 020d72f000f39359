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
//! Where states are many, as texts are, the model itself says what leads to the one that was seen ([`Model::comes`]), and
//! the rule is applied to one observation at a time, near the place where a search got stuck: see [`is_stale`].
//!
//! It is no more than a refutation: that it finds nothing says nothing.

use hashbrown::HashMap;

use crate::broken::broken;
use crate::limits::{Limit, Meter};
use crate::model::Comes;
use crate::part::{Event, Part, PartOp};
use crate::space::{ClassId, Effect, Space, StateId};

/// Objects with more states than this are left to the search.
const STATES_MAX: usize = 64;
/// An observation that depends on more states than this is left to the search.
const TRACED_STATES_MAX: usize = 256;

/// The first return, if there is any, that no configuration can survive for this reason.
pub(crate) fn stale(part: &Part, space: &mut Space<'_>) -> Option<u32> {
    let moves = Moves::all(space)?;
    let calls = part.calls();
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

/// Whether no configuration can survive the return of this observation, because the only state that it can have found
/// is gone, in an object that may have any number of states: what leads to a state is the model's to say
/// ([`Model::sees`], [`Model::comes`]).
///
/// A source may itself need one certain state before it, as appending to a text does. So the rule is applied to that
/// state as well, at the earliest time at which the source can have come, and so on back to a state that some operation
/// led to from anywhere. O(n) for each state on the way.
pub(crate) fn is_stale(
    part: &Part,
    space: &mut Space<'_>,
    observation: u32,
    meter: &mut Meter<'_>,
) -> Result<bool, Limit> {
    let Some(seen) = space.sees(part.ops[observation as usize].class) else { return Ok(false) };
    let end = part.ops[observation as usize].returns;
    let calls = part.calls();
    // States that must have been there, each with the earliest event after which that can have been.
    let mut needs: Vec<(StateId, u32)> = vec![(seen, calls[observation as usize])];
    let mut met: HashMap<StateId, u32> = HashMap::new();
    while let Some((state, since)) = needs.pop() {
        if met.get(&state).is_some_and(|&earlier| earlier <= since) {
            continue;
        }
        if met.len() == TRACED_STATES_MAX {
            return Ok(false);
        }
        met.insert(state, since);
        meter.steps(8 * (space.len().1 + part.ops.len()) as u64)?;
        let comes: Vec<Comes<StateId>> =
            (0..space.len().1 as ClassId).map(|class| space.comes(class, state)).collect();
        let ops = (0..).zip(&part.ops).take_while(|&(op, _)| calls[op as usize] < end);
        let is_over =
            |op: &PartOp| op.returns < since || op.definite() && broken("refute: what is called is over");
        let over = ops.clone().filter(|&(_, op)| is_over(op));
        // What certainly happened by then and left another state: the call of the last of them.
        let undone = over
            .filter(|(_, op)| matches!(comes[op.class as usize], Comes::Never))
            .map(|(op, _)| calls[op as usize])
            .max();
        if undone.is_none() && state == 0 {
            return Ok(false);
        }
        for (op, &PartOp { class, returns, .. }) in ops {
            if Some(returns) < undone || space.effect(class) == Effect::Observes {
                continue;
            }
            match &comes[class as usize] {
                Comes::Never => {}
                Comes::FromAnywhere => return Ok(false),
                Comes::From(before) => {
                    needs.push((*before, calls[op as usize].max(undone.unwrap_or(0))));
                }
            }
        }
    }
    Ok(true)
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
    fn all(space: &mut Space<'_>) -> Option<Moves> {
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
