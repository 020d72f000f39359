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
//! Indeterminate operations have no return, so they are never a wall: the search is over when no return is left. The
//! engine knows no other shortcut, which is why the others are measured against it. It needs memory for every
//! configuration it ever met, and time exponential in the number of pending operations.
//!
//! A wall that nobody ever passed is the evidence of a violation: a configuration gets to a return only when every
//! earlier one has been placed, and nothing called after the wall can have been placed before it. So the furthest wall
//! is the first completion that no configuration survives.

use hashbrown::HashSet;

use crate::beam::Found;
use crate::limits::Meter;
use crate::model::Model;
use crate::part::{Event, Part};
use crate::space::{Space, StateId};

/// A placed operation: how to take it back, and what to try instead.
struct Frame {
    op: u32,
    before: StateId,
    /// Which of the successor states was taken.
    branch: u32,
}

/// Searches for a legal order of the whole part.
pub(crate) fn search<M: Model>(part: &Part, space: &mut Space<'_, M>, meter: &mut Meter<'_>) -> Found {
    let mut list = List::new(part);
    let mut placed = Placed::new(part);
    let mut seen: HashSet<Box<[u64]>> = HashSet::new();
    let mut key_bytes = 0;
    let mut stack: Vec<Frame> = Vec::new();
    let mut state: StateId = 0;
    let mut furthest = (0, 0, 0);
    let mut at = list.first();
    // Which successor to try next at `at`; not 0 only straight after going back.
    let mut branch = 0;
    while placed.definite_left > 0 {
        match part.events[at] {
            Event::Call(op) => {
                let successors = space.step(state, part.ops[op as usize].class);
                if branch == successors.len {
                    (at, branch) = (list.next(at), 0);
                    continue;
                }
                let next = space.successor(successors, branch);
                placed.insert(op);
                let key = placed.key(next);
                if seen.contains(key) {
                    placed.remove(op);
                    branch += 1;
                    continue;
                }
                seen.insert(key.into());
                key_bytes += size_of_val(key);
                stack.push(Frame { op, before: state, branch });
                list.lift(op);
                (state, at, branch) = (next, list.first(), 0);
                let table = seen.capacity() * (size_of::<Box<[u64]>>() + 1);
                let limit = meter.tick().and_then(|()| meter.hold(key_bytes + table + space.bytes()));
                if let Err(limit) = limit {
                    return Found::Stopped(limit, furthest.1.max(placed.definite));
                }
            }
            Event::Return(op) => {
                if at > furthest.0 {
                    furthest = (at, placed.definite, op);
                }
                let Some(frame) = stack.pop() else { return Found::Wall(furthest.2) };
                placed.remove(frame.op);
                list.unlift(frame.op);
                (state, at, branch) = (frame.before, list.call_of(frame.op), frame.branch + 1);
            }
        }
    }
    Found::Order(stack.iter().map(|frame| frame.op).collect())
}

/// The events that are still to come, as a doubly linked list: one operation is taken out and put back in O(1).
struct List {
    /// Per event, shifted by one: 0 is the head.
    next: Vec<u32>,
    previous: Vec<u32>,
    /// Per operation: its call, and its return if it has one.
    calls: Vec<u32>,
    returns: Vec<Option<u32>>,
}

impl List {
    fn new(part: &Part) -> Self {
        let n = part.events.len() as u32;
        let (mut calls, mut returns) = (vec![0; part.ops.len()], vec![None; part.ops.len()]);
        for (node, event) in (1..).zip(&part.events) {
            match *event {
                Event::Call(op) => calls[op as usize] = node,
                Event::Return(op) => returns[op as usize] = Some(node),
            }
        }
        List {
            next: (1..=n + 1).collect(),
            previous: (0..=n).map(|i| i.saturating_sub(1)).collect(),
            calls,
            returns,
        }
    }

    /// The first event left.
    fn first(&self) -> usize {
        self.next[0] as usize - 1
    }

    /// The event after this one.
    fn next(&self, event: usize) -> usize {
        self.next[event + 1] as usize - 1
    }

    fn call_of(&self, op: u32) -> usize {
        self.calls[op as usize] as usize - 1
    }

    fn lift(&mut self, op: u32) {
        for node in [Some(self.calls[op as usize]), self.returns[op as usize]].into_iter().flatten() {
            let (previous, next) = (self.previous[node as usize], self.next[node as usize]);
            self.next[previous as usize] = next;
            if let Some(back) = self.previous.get_mut(next as usize) {
                *back = previous;
            }
        }
    }

    /// Undoes the latest [`List::lift`] that is not undone yet.
    fn unlift(&mut self, op: u32) {
        for node in [self.returns[op as usize], Some(self.calls[op as usize])].into_iter().flatten() {
            let (previous, next) = (self.previous[node as usize], self.next[node as usize]);
            self.next[previous as usize] = node;
            if let Some(back) = self.previous.get_mut(next as usize) {
                *back = node;
            }
        }
    }
}

/// The set of operations placed, kept so that a short key stands for it: below the first definite operation that is
/// not placed every definite one is, so the key need only hold what comes after.
struct Placed {
    /// Per operation: its bit among its kind.
    bit: Vec<(bool, u32)>,
    /// Definite operations in the order of their calls; then indeterminate ones.
    definite_bits: Vec<u64>,
    indeterminate_bits: Vec<u64>,
    definite: usize,
    definite_left: usize,
    key: Vec<u64>,
    /// No word of `definite_bits` before this one has a bit missing; none after the second has one set.
    low: usize,
    high: usize,
}

impl Placed {
    fn new(part: &Part) -> Self {
        let mut counts = [0u32, 0];
        let mut count = |definite: bool| {
            counts[usize::from(definite)] += 1;
            (definite, counts[usize::from(definite)] - 1)
        };
        let bit = part.ops.iter().map(|op| count(op.definite())).collect();
        let words = |n: u32| vec![0; n as usize / 64 + 1];
        Placed {
            bit,
            definite_bits: words(counts[1]),
            indeterminate_bits: words(counts[0]),
            definite: 0,
            definite_left: counts[1] as usize,
            key: Vec::new(),
            low: 0,
            high: 0,
        }
    }

    fn insert(&mut self, op: u32) {
        let (definite, bit) = self.bit[op as usize];
        let word = bit as usize / 64;
        if definite {
            self.definite_bits[word] |= 1 << (bit % 64);
            self.definite += 1;
            self.definite_left -= 1;
            self.high = self.high.max(word);
            while self.definite_bits[self.low] == u64::MAX {
                self.low += 1;
            }
        } else {
            self.indeterminate_bits[word] |= 1 << (bit % 64);
        }
    }

    fn remove(&mut self, op: u32) {
        let (definite, bit) = self.bit[op as usize];
        let word = bit as usize / 64;
        if definite {
            self.definite_bits[word] &= !(1 << (bit % 64));
            self.definite -= 1;
            self.definite_left += 1;
            self.low = self.low.min(word);
            while self.high > 0 && self.definite_bits[self.high] == 0 {
                self.high -= 1;
            }
        } else {
            self.indeterminate_bits[word] &= !(1 << (bit % 64));
        }
    }

    /// The configuration of these operations and this state, as a key.
    fn key(&mut self, state: StateId) -> &[u64] {
        self.key.clear();
        self.key.push(u64::from(state) << 32 | self.low as u64);
        self.key.extend_from_slice(&self.indeterminate_bits);
        self.key.extend(self.definite_bits.get(self.low..=self.high).unwrap_or_default());
        &self.key
    }
}
