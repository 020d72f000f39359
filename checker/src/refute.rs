//! A violation without a search: an observation whose every possible source is certainly gone.
//!
//! The frontier engine is slow if many indeterminate operations could explain almost anything. Many
//! violations are obvious even then: a read returned a value, and every operation that could have led to that
//! state either started too late or was certainly undone before the read.
//!
//! ```text
//!   source   ├──────┤                                   leads to a state in which the observation is possible
//!   undoer              ├──────┤                        leads out of all such states, from any state
//!   observation                     ├──────┤            returned an impossible result
//! ```
//!
//! For an operation `r` let F be the states in which it is possible, with its recorded result. Some operation
//! must have led into F (or the object was there from the start), and no operation that leads out of F from
//! every state may certainly have happened between that source and `r`. So there is no legal order if every
//! source was invoked after `r` returned, or returned before the invocation of such an *undoer* that itself
//! returned before `r` was invoked. Indeterminate operations are sources that never return, and never
//! undoers. This is the rule of Gibbons and Korach (*Testing shared memories*, SIAM J. Comput. 1997) for a
//! read, one at a time, for any object with few states. O(n log n) for each set F.
//!
//! If the states are many, as texts are, the model names the calls that lead to the observed state
//! ([`Model::sources`]), and the rule is applied to one observation at a time, near the place where a search
//! got stuck: see [`is_stale`].
//!
//! It can only refute: if it finds nothing, the part may still be illegal.

use hashbrown::HashMap;

use crate::broken::broken;
use crate::limits::{Limit, Meter};
use crate::model::Sources;
use crate::part::{Event, Part, PartOp};
use crate::space::{ClassId, Effect, Space, StateId};

/// Maximum number of states; objects with more are left to the search.
const STATES_MAX: usize = 64;
/// Maximum number of states that one observation may depend on; the search handles the others.
const TRACED_STATES_MAX: usize = 256;

/// The first return that no configuration can survive for this reason, if there is one.
pub(crate) fn stale(part: &Part, space: &mut Space<'_>) -> Option<u32> {
    let moves = Moves::all(space)?;
    let calls = part.calls();
    let mut needs: Vec<u64> = moves.possible.iter().copied().filter(|&states| states != moves.all).collect();
    needs.sort_unstable();
    needs.dedup();
    let walls = needs.into_iter().filter_map(|states| first_stale(part, &calls, &moves, states));
    walls.min_by_key(|&op| part.ops[op as usize].returns)
}

/// The first return of an operation that is possible in exactly these states, but cannot have found any of
/// them.
fn first_stale(part: &Part, calls: &[u32], moves: &Moves, states: u64) -> Option<u32> {
    // The latest invocation of an undoer that has returned; per operation, as of its own invocation.
    let mut undone = None;
    let mut undone_at_call: Vec<Option<u32>> = vec![None; part.ops.len()];
    // The two sources invoked so far with the latest returns: two, because an operation is no source for
    // itself.
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

/// Whether no configuration can survive the return of this observation, because the only state that it can
/// have found is certainly gone. The object may have any number of states: the model names the sources of a
/// state ([`Model::observed_state`], [`Model::sources`]).
///
/// A source may itself need one certain state before it, as appending to a text does. So the rule is applied
/// to that state as well, at the earliest time at which the source can have taken effect, and so on, back to
/// a state that some operation leads to from any state. O(n) for each state on the way.
pub(crate) fn is_stale(
    part: &Part,
    space: &mut Space<'_>,
    observation: u32,
    meter: &mut Meter<'_>,
) -> Result<bool, Limit> {
    let Some(seen) = space.observed_state(part.ops[observation as usize].class) else { return Ok(false) };
    let end = part.ops[observation as usize].returns;
    let calls = part.calls();
    // States that must have existed, each with the earliest event after which it can have existed.
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
        let sources: Vec<Sources<StateId>> =
            (0..space.len().1 as ClassId).map(|class| space.sources(class, state)).collect();
        let ops = (0..).zip(&part.ops).take_while(|&(op, _)| calls[op as usize] < end);
        let is_over =
            |op: &PartOp| op.returns < since || op.definite() && broken("refute: what is called is over");
        let over = ops.clone().filter(|&(_, op)| is_over(op));
        // The latest invocation of an operation that certainly happened by then and left another state.
        let undone = over
            .filter(|(_, op)| matches!(sources[op.class as usize], Sources::Nowhere))
            .map(|(op, _)| calls[op as usize])
            .max();
        if undone.is_none() && state == 0 {
            return Ok(false);
        }
        for (op, &PartOp { class, returns, .. }) in ops {
            if Some(returns) < undone || space.effect(class) == Effect::Observes {
                continue;
            }
            match &sources[class as usize] {
                Sources::Nowhere => {}
                Sources::Anywhere => return Ok(false),
                Sources::Only(before) => {
                    needs.push((*before, calls[op as usize].max(undone.unwrap_or(0))));
                }
            }
        }
    }
    Ok(true)
}

/// The effects of the calls of each class on all reachable states; sets of states as bits.
struct Moves {
    all: u64,
    /// The states in which a call is possible.
    possible: Vec<u64>,
    /// The states that it leads to from those.
    leads_to: Vec<u64>,
    /// Whether it does more than observe.
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
