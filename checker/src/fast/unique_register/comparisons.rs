//! Places every failed comparison, by taking the blocks as late as possible.
//!
//! A failed `cas a→b` needs an instant at which the register does not hold `a`. Blocks with a backward zone
//! can take place at any instant of it, and the next block ends the value before. So they are a resource, to
//! be used only where a failed comparison needs one. A sweep over time uses them lazily.
//!
//! ```text
//!   invocation of a failed cas     the register does not hold its value: it takes effect now; else it waits
//!   any change of the value        those that wait take effect after it
//!   return of one that waits       the value must change now: go on to the next cluster of the block, or if it
//!                                  is complete, to the block with the earliest deadline that can take place now
//!   return of anything else        its block must have come so far: finish the current block and begin it
//! ```
//!
//! A forward zone holds the register until its last invocation, so just before it begins, every block with a
//! deadline in that time takes place. If no complete block is left to use, an incomplete one may begin if no
//! other must precede it, or an indeterminate operation whose value was never observed may take effect.
//!
//! The resulting order is legal. If there is none, that proves nothing, because the choice of block also
//! decides which value comes next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter::Peekable;
use std::vec::IntoIter;

use super::{Block, Cluster, HeldFor, NIL, NONE, Register};
use crate::fast::broken;
use crate::op::Nanos;

/// The sweep: the operations placed so far, and the remaining ones.
struct Sweep<'a> {
    register: &'a Register<'a>,
    /// All operations of the blocks, by block.
    members: &'a [usize],
    blocks: &'a [Block],
    order: Vec<usize>,
    /// The value that the register holds.
    holds: u32,
    /// The current block, and its next member.
    block: usize,
    next: usize,
    begun: Vec<bool>,
    /// Blocks by first return; those before `next_deadline` have begun.
    by_deadline: Vec<usize>,
    next_deadline: usize,
    /// Blocks by last invocation; those before `next_incomplete` are or were in `complete`.
    by_last_call: Vec<usize>,
    next_incomplete: usize,
    /// Blocks with all operations invoked, by first return; some may have begun.
    complete: BinaryHeap<Reverse<(Nanos, usize)>>,
    /// Per block, the time by which its last value must be gone: the first return of a failed comparison with
    /// it that certainly comes after it.
    end_by: Vec<Nanos>,
    /// Writes of unknown outcome whose values were never observed, by time of invocation.
    spare: Peekable<IntoIter<usize>>,
    /// The same for compare-and-sets, sorted by the value that they compare with, then by time of invocation.
    spare_cas: Vec<(u32, usize)>,
    /// Failed comparisons with the value that the register holds.
    waiting: Vec<usize>,
}

/// The operations of the blocks and the failed comparisons in a legal order; `None` if the sweep finds none.
pub(super) fn place_failed(
    register: &Register,
    held_for: &[HeldFor],
    members: &[usize],
    blocks: &[Block],
) -> Option<Vec<usize>> {
    let ops = register.ops;
    // For every operation in a block: the block, and its place in it.
    let mut member_of = vec![(NONE, 0); ops.len()];
    for (i, block) in blocks.iter().enumerate() {
        for at in block.from..block.to {
            member_of[members[at]] = (i as u32, at);
        }
    }
    let mut returns: Vec<(Nanos, usize)> = Vec::with_capacity(ops.len());
    let of_blocks = members.iter().filter(|&&at| ops[at].is_ok());
    returns.extend(of_blocks.chain(register.failed.iter().map(|(at, _)| at)).map(|&at| (ops[at].ret(), at)));
    returns.sort_unstable();
    let mut by_deadline: Vec<usize> = (0..blocks.len()).collect();
    by_deadline.sort_unstable_by_key(|&i| blocks[i].f.0);
    let mut by_last_call: Vec<usize> = (0..blocks.len()).collect();
    by_last_call.sort_unstable_by_key(|&i| blocks[i].s.0);
    let unseen = (0..ops.len()).filter(|&at| register.value[at] != NONE && member_of[at].0 == NONE);
    let from = |at: usize| register.clusters[register.value[at] as usize].parent;
    let (compared, spare): (Vec<usize>, Vec<usize>) = unseen.partition(|&at| from(at) != NONE);
    let mut spare_cas: Vec<(u32, usize)> = compared.into_iter().map(|at| (from(at), at)).collect();
    spare_cas.sort_unstable();
    let mut end_by = vec![Nanos::MAX; blocks.len()];
    for &(at, value) in &register.failed {
        let Cluster { writer, child, .. } = register.clusters[value as usize];
        let held_before = held_for[value as usize].0.0 < ops[at].call;
        if held_before && child == NONE && value != NIL {
            let end_by = &mut end_by[member_of[writer as usize].0 as usize];
            *end_by = ops[at].ret().min(*end_by);
        }
    }
    let mut begun = vec![false; blocks.len()];
    begun[0] = true;
    let mut sweep = Sweep {
        register,
        members,
        blocks,
        order: Vec::with_capacity(members.len() + register.failed.len()),
        holds: NIL,
        block: 0,
        next: 0,
        begun,
        by_deadline,
        next_deadline: 0,
        by_last_call,
        next_incomplete: 0,
        complete: BinaryHeap::new(),
        end_by,
        spare: spare.into_iter().peekable(),
        spare_cas,
        waiting: Vec::new(),
    };
    let mut failed = register.failed.iter().peekable();
    for (now, at) in returns {
        while let Some(&(at, from)) = failed.next_if(|(at, _)| ops[*at].call <= now) {
            if sweep.holds == from && !broken("unique register: failed comparison elsewhere") {
                sweep.waiting.push(at);
            } else {
                sweep.order.push(at);
            }
        }
        match member_of[at] {
            (NONE, _) if sweep.waiting.contains(&at) => sweep.change(now)?,
            (NONE, _) => {}
            (block, _) if block as usize != sweep.block && sweep.begun[block as usize] => {}
            (block, to) => {
                if block as usize != sweep.block {
                    sweep.finish(now)?;
                    sweep.begin(block as usize, now)?;
                }
                sweep.advance(to + 1, now)?;
            }
        }
    }
    Some(sweep.order)
}

impl Sweep<'_> {
    /// Lets the members of the current block up to `to` take effect.
    fn advance(&mut self, to: usize, now: Nanos) -> Option<()> {
        while self.next < to {
            let at = self.members[self.next];
            if self.register.ops[at].call > now {
                return None;
            }
            self.next += 1;
            self.take(at);
        }
        Some(())
    }

    /// Lets one operation take effect, and then those that waited for another value.
    fn take(&mut self, at: usize) {
        self.order.push(at);
        if self.holds != self.register.value[at] {
            self.holds = self.register.value[at];
            self.order.append(&mut self.waiting);
        }
    }

    /// Lets the rest of the current block take effect.
    fn finish(&mut self, now: Nanos) -> Option<()> {
        self.advance(self.blocks[self.block].to, now)
    }

    /// Makes another block the current one. An incomplete block will hold the register for a while, so blocks
    /// with a deadline in that time go first.
    fn begin(&mut self, block: usize, now: Nanos) -> Option<()> {
        self.begun[block] = true;
        let until = self.blocks[block].s.0;
        while let Some(first) = self.earliest(now)
            && self.blocks[first].f.0 < until
        {
            self.enter(first);
            self.finish(now)?;
        }
        while let Some(first) = self.left_behind(block) {
            self.enter(first);
            self.finish(now)?;
        }
        self.enter(block);
        Some(())
    }

    /// A complete block whose value no other block would end in time once `block` is gone.
    fn left_behind(&self, block: usize) -> Option<usize> {
        let left = |other: &usize| !self.begun[*other];
        let complete = || self.complete.iter().map(|&Reverse((_, other))| other).filter(left);
        let ends_before = |other: &usize| self.end_by[*other] < self.end_by[block];
        complete().filter(ends_before).find(|&first| {
            let end_by = self.end_by[first];
            let soon = self.by_last_call[self.next_incomplete..].iter().copied();
            let soon = soon.take_while(|&other| self.blocks[other].s.0 <= end_by).filter(left);
            !complete().chain(soon).any(|other| self.end_by[other] > end_by)
        })
    }

    fn enter(&mut self, block: usize) {
        self.begun[block] = true;
        self.block = block;
        self.next = self.blocks[block].from;
    }

    /// The block with the earliest deadline among those that can take place now.
    fn earliest(&mut self, now: Nanos) -> Option<usize> {
        while let Some(&block) = self.by_last_call.get(self.next_incomplete)
            && self.blocks[block].s.0 <= now
        {
            self.complete.push(Reverse((self.blocks[block].f.0, block)));
            self.next_incomplete += 1;
        }
        while let Some(&Reverse((_, block))) = self.complete.peek() {
            if !self.begun[block] {
                return Some(block);
            }
            self.complete.pop();
        }
        None
    }

    /// Changes the value of the register.
    fn change(&mut self, now: Nanos) -> Option<()> {
        let held = self.holds;
        while self.holds == held && self.next < self.blocks[self.block].to {
            self.advance(self.next + 1, now)?;
        }
        if self.holds == held {
            if let Some(unseen) = self.compared_with(held, now) {
                self.take(unseen);
            } else if let Some(block) = self.earliest(now).or_else(|| self.begins_early(now)) {
                self.enter(block);
                self.advance(self.next + 1, now)?;
            } else {
                let unseen = self.spare.next_if(|&at| self.register.ops[at].call <= now)?;
                self.take(unseen);
            }
        }
        Some(())
    }

    /// A compare-and-set of unknown outcome that may have replaced this value: this is its last chance.
    fn compared_with(&self, held: u32, now: Nanos) -> Option<usize> {
        let first = self.spare_cas.partition_point(|&(from, _)| from < held);
        let &(from, at) = self.spare_cas.get(first)?;
        (from == held && self.register.ops[at].call <= now).then_some(at)
    }

    /// An incomplete block that can begin: its write is invoked, and no remaining block must precede it.
    fn begins_early(&mut self, now: Nanos) -> Option<usize> {
        while self.by_deadline.get(self.next_deadline).is_some_and(|&block| self.begun[block]) {
            self.next_deadline += 1;
        }
        let mut left =
            self.by_deadline[self.next_deadline..].iter().copied().filter(|&block| !self.begun[block]);
        let first = left.next()?;
        let second = left.next();
        let free = |block: usize| {
            let rival = if block == first { second } else { Some(first) };
            let written = self.register.ops[self.members[self.blocks[block].from]].call <= now;
            written && rival.is_none_or(|rival| !self.blocks[rival].precedes(&self.blocks[block]))
        };
        let until = self.blocks[first].f.0;
        let soon = self.by_last_call[self.next_incomplete..].iter().copied();
        let mut soon =
            soon.take_while(|&block| self.blocks[block].s.0 <= until).filter(|&block| !self.begun[block]);
        if free(first) { Some(first) } else { soon.find(|&block| free(block)) }
    }
}
