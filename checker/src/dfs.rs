//! The plain reference: a depth-first search for a legal order, with memoization.
//!
//! Wing and Gong (*Testing and verifying concurrent objects*, JPDC 1993) try the operations in every order
//! that real time allows, and backtrack from dead ends: the next operation must be invoked before the first
//! return of any unplaced one. Lowe (*Testing for linearizability*, CCPE 2017, section 3) adds memoization: a
//! configuration, the set of placed operations and the state, is never explored twice.
//!
//! ```text
//!   events   ( call a   call b   return a   call c   return b   return c )   a doubly linked list
//!                       ─────▶ the search walks from the head; a call may be placed ("lifted" out),
//!                              a return that is still in the list is a wall: go back
//! ```
//!
//! Indeterminate operations have no return, so they never block: the search ends when no return is left. It
//! needs memory for every configuration that it visits, and time exponential in the number of pending
//! operations.
//!
//! The evidence of a violation is the furthest wall, the return that no configuration passed. A configuration
//! reaches a return only when every operation that returned earlier is placed, and it cannot have placed an
//! operation invoked after that return. So the furthest wall is the first completion that no configuration
//! survives.
//!
//! **As the reference** ([`Mode::Plain`]) the engine uses no other shortcut; the other engines are compared
//! with it.
//!
//! **As the first attempt** ([`Mode::Optimistic`]) it decides most histories, because operations usually take
//! effect in the order of their invocations. As long as this holds no engine is faster, because it carries
//! one explanation instead of all. An observation is placed as soon as it is possible, and never taken back
//! for another choice (R1 of [`frontier`](crate::frontier)). Its memory is cleared when it becomes large, and
//! the search gives up soon after it stops making progress: see [`optimistic`](crate::optimistic).

mod list;
mod placed;

use crate::beam::SearchEnd;
use crate::broken::broken;
use crate::limits::Meter;
use crate::part::{Event, Part};
use crate::space::{Effect, Space, StateId};
use list::List;
use placed::{Placed, Seen};

/// The mode of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Complete, in the order of the invocations.
    Plain,
    /// Gives up after this many walls without progress or this many configurations, and remembers at most
    /// this many bytes.
    Optimistic { walls_max: usize, states_max: u64, remembered_bytes_max: usize },
}

/// A placed operation: how to undo it, and which alternative to try next.
struct Frame {
    op: u32,
    before: StateId,
    /// The index of the successor state that was taken.
    branch: u32,
}

/// The search gave up: how far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stuck {
    /// The operation with the furthest return that was not passed.
    pub(crate) op: u32,
}

/// Searches for a legal order of the whole part.
pub(crate) fn search(
    part: &Part,
    space: &mut Space<'_>,
    meter: &mut Meter<'_>,
    mode: Mode,
) -> Result<SearchEnd, Stuck> {
    let mut list = List::new(part);
    let mut placed = Placed::new(part);
    let mut seen = Seen::default();
    let mut stack: Vec<Frame> = Vec::new();
    let mut state: StateId = 0;
    // The furthest wall, the number of operations placed before it, and the operation that returns there.
    let mut furthest = (0, 0, 0);
    let mut walls = 0;
    let first_state = meter.states();
    let mut at = list.first();
    // The index of the successor state to try next at `at`; nonzero only directly after backtracking.
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
                if let Mode::Optimistic { states_max, remembered_bytes_max, .. } = mode {
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
                if matches!(mode, Mode::Optimistic { walls_max, .. } if walls > walls_max) {
                    return Err(Stuck { op: furthest.2 });
                }
                loop {
                    let Some(frame) = stack.pop() else { return Ok(SearchEnd::Wall(furthest.2)) };
                    placed.remove(frame.op);
                    list.unlift(frame.op);
                    (state, at) = (frame.before, list.call_of(frame.op));
                    branch = frame.branch + 1;
                    let observes = space.effect(part.ops[frame.op as usize].class) == Effect::Observes;
                    let is_final = observes || broken("optimistic: nothing is taken back");
                    if mode == Mode::Plain || !is_final {
                        break;
                    }
                }
            }
        }
    }
    Ok(SearchEnd::Order(stack.iter().map(|frame| frame.op).collect()))
}
