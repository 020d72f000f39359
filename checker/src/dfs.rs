//! The plain reference: a depth-first search for a legal order, with a memory.
//!
//! Wing and Gong (*Testing and verifying concurrent objects*, JPDC 1993) try operations in any order that real time
//! allows, one that is called before the first return of an operation not yet placed, and back out of dead ends.
//! Lowe (*Testing for linearizability*, CCPE 2017, section 3) adds the memory: a configuration, the set of operations
//! placed and the state reached, is never explored twice.
//!
//! ```text
//!   events   ( call a   call b   return a   call c   return b   return c )   a doubly linked list
//!                       ─────▶ the search walks from the head; a call may be placed ("lifted" out of the list),
//!                              a return that is still in the list is a wall: go back
//! ```
//!
//! Indeterminate operations have no return, so they are never a wall: the search is over when no return is left. It
//! needs memory for every configuration it ever met, and time exponential in the number of pending operations.
//!
//! A wall that nobody ever passed is the evidence of a violation: a configuration gets to a return only when every
//! earlier one has been placed, and nothing called after the wall can have been placed before it. So the furthest wall
//! is the first completion that no configuration survives.
//!
//! **As the reference** ([`Manner::Plain`]) the engine knows no other shortcut, which is why the others are measured
//! against it.
//!
//! **As the first attempt** ([`Manner::Lucky`]) it is what decides most histories, because what is called first mostly
//! takes effect first: while that goes well nothing is faster, for one explanation is carried along instead of all. An
//! observation is placed as soon as it is possible, and never taken back for another choice (R1 of
//! [`frontier`](crate::frontier)). What is remembered is forgotten when it becomes much, and soon after the search has
//! stopped getting any further it gives up: see [`lucky`](crate::lucky).

mod list;
mod placed;

use crate::beam::SearchEnd;
use crate::broken::broken;
use crate::limits::Meter;
use crate::part::{Event, Part};
use crate::space::{Effect, Space, StateId};
use list::List;
use placed::{Placed, Seen};

/// How it searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// In the order of the calls, to the end.
    Plain,
    /// Until it has met so many walls without getting any further, or so many configurations. It remembers no more
    /// than so many bytes at a time.
    Lucky { walls_max: usize, states_max: u64, remembered_bytes_max: usize },
}

/// A placed operation: how to take it back, and what to try instead.
struct Frame {
    op: u32,
    before: StateId,
    /// Which of the successor states was taken.
    branch: u32,
}

/// It gave up: how far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stuck {
    /// The return of this operation is the furthest that was not passed.
    pub(crate) op: u32,
}

/// Searches for a legal order of the whole part.
pub(crate) fn search(
    part: &Part,
    space: &mut Space<'_>,
    meter: &mut Meter<'_>,
    manner: Manner,
) -> Result<SearchEnd, Stuck> {
    let mut list = List::new(part);
    let mut placed = Placed::new(part);
    let mut seen = Seen::default();
    let mut stack: Vec<Frame> = Vec::new();
    let mut state: StateId = 0;
    // The wall that is furthest, what was placed before it, and the operation that returns there.
    let mut furthest = (0, 0, 0);
    let mut walls = 0;
    let first_state = meter.states();
    let mut at = list.first();
    // Which successor to try next at `at`; not 0 only straight after going back.
    let mut branch = 0;
    while placed.definite_left > 0 {
        match part.events[at] {
            Event::Call(op) => {
                if !part.after.is_empty() && !placed.has_all(part.after.get(&op)) {
                    (at, branch) = (list.next(at), 0);
                    continue;
                }
                let successors = space.step(state, part.ops[op as usize].class);
                if branch == successors.len {
                    (at, branch) = (list.next(at), 0);
                    continue;
                }
                let next = space.successor(successors, branch);
                placed.insert(op);
                if !seen.insert(placed.key(next)) {
                    placed.remove(op);
                    branch += 1;
                    continue;
                }
                stack.push(Frame { op, before: state, branch });
                list.lift(op);
                (state, at, branch) = (next, list.first(), 0);
                if let Manner::Lucky { states_max, remembered_bytes_max, .. } = manner {
                    if seen.bytes() > remembered_bytes_max {
                        seen.clear();
                    }
                    let full = seen.bytes() + space.bytes() > meter.memory_bytes_max() / 2;
                    if full || meter.states() - first_state > states_max {
                        return Err(Stuck { op: furthest.2 });
                    }
                }
                let used = meter.tick().and_then(|()| meter.steps(space.take_work()));
                if let Err(limit) = used.and_then(|()| meter.hold(seen.bytes() + space.bytes())) {
                    return Ok(SearchEnd::Stopped(limit, furthest.1.max(placed.definite)));
                }
            }
            Event::Return(op) => {
                walls += 1;
                if at > furthest.0 {
                    furthest = (at, placed.definite, op);
                    walls = 0;
                }
                if matches!(manner, Manner::Lucky { walls_max, .. } if walls > walls_max) {
                    return Err(Stuck { op: furthest.2 });
                }
                loop {
                    let Some(frame) = stack.pop() else { return Ok(SearchEnd::Wall(furthest.2)) };
                    placed.remove(frame.op);
                    list.unlift(frame.op);
                    (state, at) = (frame.before, list.call_of(frame.op));
                    branch = frame.branch + 1;
                    let observes = space.effect(part.ops[frame.op as usize].class) == Effect::Observes;
                    let is_final = observes || broken("lucky: nothing is taken back");
                    if manner == Manner::Plain || !is_final {
                        break;
                    }
                }
            }
        }
    }
    Ok(SearchEnd::Order(stack.iter().map(|frame| frame.op).collect()))
}
