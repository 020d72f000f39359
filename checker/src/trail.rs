//! The history of a configuration in compact form, and the linearization that it represents.
//!
//! The frontier engine keeps only its frontier. For a certificate it needs a trail: one node for each
//! operation that was placed *by choice*, which points to the previous node. Configurations share common
//! trails, and nodes that no configuration reaches are removed from time to time. So a long history costs one
//! node for each chosen operation, and some for the frontier.
//!
//! Two kinds of operations are not chosen and in no trail: observations, which are placed as soon as they are
//! possible, and overwrites that are overwritten at once. [`Trail::linearization`] finds places for these by
//! following the events once more.

use crate::part::{Event, Part};
use crate::space::{Effect, Space, StateId};

/// The start of every trail.
pub(crate) const START: u32 = 0;

/// An operation placed by choice.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// The previous node.
    before: u32,
    op: u32,
    /// The event at which it was placed.
    event: u32,
    /// The state that it led to.
    state: StateId,
}

/// The nodes; each comes after the one that it points to.
#[derive(Debug)]
pub(crate) struct Trail {
    remembers: bool,
    nodes: Vec<Node>,
    sweep_at: usize,
}

impl Trail {
    pub(crate) fn new() -> Self {
        let start = Node { before: START, op: 0, event: 0, state: 0 };
        Trail { remembers: true, nodes: vec![start], sweep_at: 1 << 14 }
    }

    /// An empty trail of the same kind.
    pub(crate) fn emptied(self) -> Self {
        if self.remembers { Trail::new() } else { Trail::without_memory() }
    }

    /// A trail that stores nothing, for searches that need no order.
    pub(crate) fn without_memory() -> Self {
        Trail { remembers: false, ..Trail::new() }
    }

    /// The index of the next node.
    pub(crate) fn end(&self) -> u32 {
        if self.remembers { self.nodes.len() as u32 } else { START }
    }

    /// Extends a trail by one operation. Returns the new end.
    pub(crate) fn push(&mut self, before: u32, op: u32, event: u32, state: StateId) {
        if self.remembers {
            self.nodes.push(Node { before, op, event, state });
        }
    }

    /// Whether there are enough nodes for a sweep to pay.
    pub(crate) fn is_full(&self) -> bool {
        self.nodes.len() >= self.sweep_at
    }

    /// Removes the nodes that no trail ending in `used` passes. Returns the new index of every node.
    pub(crate) fn sweep(&mut self, used: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut moved = vec![u32::MAX; self.nodes.len()];
        moved[START as usize] = START;
        used.for_each(|end| moved[end as usize] = 0);
        for i in (1..self.nodes.len()).rev() {
            if moved[i] != u32::MAX {
                moved[self.nodes[i].before as usize] = 0;
            }
        }
        let mut kept = 1;
        for i in 1..self.nodes.len() {
            if moved[i] != u32::MAX {
                let node = self.nodes[i];
                self.nodes[kept] = Node { before: moved[node.before as usize], ..node };
                moved[i] = kept as u32;
                kept += 1;
            }
        }
        self.nodes.truncate(kept);
        self.sweep_at = (2 * kept).max(1 << 14);
        moved
    }

    pub(crate) fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
    }

    /// The legal order that a trail represents, up to an event of the part.
    pub(crate) fn linearization(
        &self,
        end: u32,
        part: &Part,
        events: usize,
        space: &mut Space<'_>,
    ) -> Vec<u32> {
        let mut chosen: Vec<Node> = Vec::new();
        let mut at = end;
        while at != START {
            chosen.push(self.nodes[at as usize]);
            at = self.nodes[at as usize].before;
        }
        let mut is_chosen = vec![false; part.ops.len()];
        chosen.iter().for_each(|node| is_chosen[node.op as usize] = true);
        let mut follow = Follow { part, state: 0, waiting: Vec::new(), order: Vec::new() };
        for (event, what) in (0..).zip(&part.events[..events]) {
            match *what {
                Event::Call(op) if part.ops[op as usize].definite() && !is_chosen[op as usize] => {
                    follow.waiting.push(op);
                    follow.settle(space);
                }
                Event::Call(_) => {}
                Event::Return(_) => {
                    while let Some(node) = chosen.pop_if(|node| node.event == event) {
                        follow.choose(node, space);
                    }
                }
            }
        }
        follow.order
    }
}

/// Follows one configuration with hindsight: operations that are chosen later are not placed before.
struct Follow<'a> {
    part: &'a Part,
    state: StateId,
    /// Definite operations that have been invoked, are not chosen, and are not placed yet.
    waiting: Vec<u32>,
    order: Vec<u32>,
}

impl Follow<'_> {
    /// Places a chosen operation; before an overwrite, every overwrite that no operation will observe.
    fn choose(&mut self, node: Node, space: &mut Space<'_>) {
        let class = |op: u32| self.part.ops[op as usize].class;
        if space.effect(class(node.op)) == Effect::Overwrites {
            let unnoticed = |op: &mut u32| space.effect(class(*op)) == Effect::Overwrites;
            self.order.extend(self.waiting.extract_if(.., unnoticed));
        }
        self.order.push(node.op);
        self.state = node.state;
        self.settle(space);
    }

    /// Places the operations that are possible now and change nothing.
    fn settle(&mut self, space: &mut Space<'_>) {
        let idle = |op: &mut u32| {
            let class = self.part.ops[*op as usize].class;
            space.effect(class) != Effect::Changes && space.idle(self.state, class)
        };
        self.order.extend(self.waiting.extract_if(.., idle));
    }
}
