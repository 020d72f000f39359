//! The events as a linked list, from which operations can be removed.

use crate::part::{Event, Part};

/// The remaining events, as a doubly linked list: one operation is removed or put back in O(1).
pub(super) struct List {
    /// Per event, shifted by one: 0 is the head.
    next: Vec<u32>,
    previous: Vec<u32>,
    /// Per operation: its invocation, and its return if it has one.
    calls: Vec<u32>,
    returns: Vec<Option<u32>>,
}

impl List {
    pub(super) fn new(part: &Part) -> Self {
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

    /// The first remaining event.
    pub(super) fn first(&self) -> usize {
        self.next[0] as usize - 1
    }

    /// The next remaining event.
    pub(super) fn next(&self, event: usize) -> usize {
        self.next[event + 1] as usize - 1
    }

    pub(super) fn call_of(&self, op: u32) -> usize {
        self.calls[op as usize] as usize - 1
    }

    pub(super) fn lift(&mut self, op: u32) {
        for node in [Some(self.calls[op as usize]), self.returns[op as usize]].into_iter().flatten() {
            let (previous, next) = (self.previous[node as usize], self.next[node as usize]);
            self.next[previous as usize] = next;
            if let Some(back) = self.previous.get_mut(next as usize) {
                *back = previous;
            }
        }
    }

    /// Undoes the latest [`List::lift`] that is not yet undone.
    pub(super) fn unlift(&mut self, op: u32) {
        for node in [self.returns[op as usize], Some(self.calls[op as usize])].into_iter().flatten() {
            let (previous, next) = (self.previous[node as usize], self.next[node as usize]);
            self.next[previous as usize] = node;
            if let Some(back) = self.previous.get_mut(next as usize) {
                *back = node;
            }
        }
    }
}
