//! A register in which no value is written twice: exact in O(n log n).
//!
//! In general it is NP-complete to decide whether the history of a register is linearizable, because a read
//! of 3 does not show *which* write of 3 it returned. If every value is written once, it does, and the rest
//! is a question about intervals (Gibbons and Korach, "Testing shared memories", SIAM J. Comput. 26(4), 1997,
//! §4).
//!
//! **Blocks.** The operations that wrote or observed one value are its cluster. A compare-and-set that took
//! place from `v` to `w` puts cluster `w` directly after cluster `v`. A blind write with the chain of
//! clusters after it is a *block*: no operation of another block can be inside it, and its own order is
//! forced.
//!
//! ```text
//!   write 1 · read 1 · read 1 · cas 1→4 · read 4 · cas 4→9        one block
//!   └─ cluster 1 ──────────┘    └─ cluster 4 ──┘   └ 9 ┘
//! ```
//!
//! So a history is illegal if a value was observed that was never written, if two compare-and-sets replaced
//! the same value, if compare-and-sets form a cycle, or if real time contradicts the order inside a block.
//!
//! **Zones.** For a block let `f` be its first return and `s` its last invocation. Block A must precede block
//! B iff `f(A) < s(B)`. A cycle in this relation implies two blocks that must each precede the other: take
//! the block A with the largest `s` on the cycle; every block of the cycle precedes something, hence precedes
//! A; so A and its successor precede each other. Two blocks do so iff
//!
//! ```text
//!   two forward zones overlap            or       a backward zone lies inside a forward one
//!   A   f├───────────┤s                           A   f├──────────────────┤s
//!   B           f├────────┤s                      B         s├─────┤f
//! ```
//!
//! where a zone is forward if `f < s` (the block needs all of that time) and backward otherwise (all of its
//! operations overlap: it can take place at any instant between `s` and `f`). One pass over the blocks finds
//! either case, sorted by the earlier of `f` and `s`, backward zones first among equals: it is enough to
//! compare with the forward zone that reaches furthest so far. If there is none, the same order is legal: if
//! A precedes B but B does not precede A, then `f(A) < s(B)` and `s(A) ≤ f(B)`, and each of the four cases
//! puts A first. The initial value is a block that must come first.
//!
//! **Indeterminate operations.** A write or compare-and-set of unknown outcome whose value was observed took
//! place, and its readers bound it. If its value was never observed it is dropped: the next operation of a
//! legal order overwrites it, so the order stays legal without it.
//!
//! **Failed comparisons.** A failed `cas a→b` needs an instant outside cluster `a`. It is refuted if the
//! register certainly held `a` throughout. Otherwise [`comparisons`] searches an order of the blocks that
//! makes room, and declines if it finds none.
//!
//! Precondition: reads, writes and compare-and-sets only, no value written twice, none equal to the initial
//! `nil`.

mod comparisons;

use hashbrown::HashMap;

use self::comparisons::place_failed;
use super::{broken, contradiction};
use crate::decision::Decision;
use crate::op::{F, Nanos, Op, Outcome, Value};

const NONE: u32 = u32::MAX;
/// The initial value `nil` has the first number.
const NIL: u32 = 0;

/// The operations on one value.
#[derive(Clone, Copy)]
struct Cluster {
    writer: u32,
    /// The value it replaced, if a compare-and-set wrote it.
    parent: u32,
    /// The value that replaced it by compare-and-set.
    child: u32,
    /// An operation that shows it was in the register.
    seen_by: u32,
    /// Its place among all clusters; the clusters of a block are adjacent.
    rank: u32,
}

const UNKNOWN: Cluster = Cluster { writer: NONE, parent: NONE, child: NONE, seen_by: NONE, rank: NONE };

/// The history with its values interned.
struct Register<'a> {
    ops: &'a [&'a Op],
    clusters: Vec<Cluster>,
    /// The value that each operation wrote or observed; `NONE` for operations that are ignored.
    value: Vec<u32>,
    /// Failed compare-and-sets, with the value that they compared with.
    failed: Vec<(usize, u32)>,
}

/// The first return and the last invocation of operations that show a value in the register, each with its
/// operation.
type HeldFor = ((Nanos, usize), (Nanos, usize));

/// The operations of one block, as a range of the order, and its zone.
struct Block {
    from: usize,
    to: usize,
    /// The first return, and its operation.
    f: (Nanos, usize),
    /// The last invocation, and its operation.
    s: (Nanos, usize),
}

/// The act of an operation on a register whose values are numbers: 0 is the initial value, and no other is
/// written twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// The operation is ignored.
    Nothing,
    /// It found this value.
    Read(u32),
    /// It wrote this value, or may have.
    Write(u32),
    /// It found the first value and wrote the second, or may have.
    Cas(u32, u32),
    /// It found another value than this.
    Failed(u32),
}

/// Decides the history of a register; see the [module](self).
pub(crate) fn decide(ops: &[&Op]) -> Decision {
    read(ops).map_or(Decision::Declined, |(acts, values)| decide_acts(ops, &acts, values))
}

/// As [`decide`], given the act of each operation and the number of values.
pub(super) fn decide_acts(ops: &[&Op], acts: &[Act], values: u32) -> Decision {
    let Some(mut register) = Register::new(ops, acts, values) else { return Decision::Declined };
    let (members, blocks) = match register.blocks() {
        Ok(found) => found,
        Err(conflict) => return Decision::Illegal { conflict },
    };
    let sorted = match arrange(&blocks) {
        Ok(sorted) => sorted,
        Err(conflict) => return Decision::Illegal { conflict },
    };
    if register.failed.is_empty() {
        let order = sorted.into_iter().flat_map(|block| &members[block.from..block.to]).copied().collect();
        return Decision::Legal { order };
    }
    let held_for = register.held_for();
    match register.refuted_comparison(&held_for) {
        Some(conflict) => Decision::Illegal { conflict },
        None => place_failed(&register, &held_for, &members, &blocks)
            .map_or(Decision::Declined, |order| Decision::Legal { order }),
    }
}

/// Interns the values; `None` if an operation is not one of a register.
fn read(ops: &[&Op]) -> Option<(Vec<Act>, u32)> {
    let mut ids: HashMap<&Value, u32> = HashMap::with_capacity(ops.len() / 2);
    ids.insert(&Value::Nil, NIL);
    let mut acts = Vec::with_capacity(ops.len());
    for op in ops {
        let mut id = |value| {
            let next = ids.len() as u32;
            *ids.entry(value).or_insert(next)
        };
        acts.push(match (&op.f, &op.outcome) {
            (_, Outcome::Fail) | (F::Read | F::Get, Outcome::Info) => Act::Nothing,
            (F::Read | F::Get, Outcome::Ok(seen)) => Act::Read(id(seen)),
            (F::Cas, outcome) => {
                let (from, to) = op.input.as_pair()?;
                match outcome {
                    Outcome::Ok(Value::Bool(false)) => Act::Failed(id(from)),
                    _ => Act::Cas(id(from), id(to)),
                }
            }
            (F::Write | F::Put, _) => Act::Write(id(&op.input)),
            _ => return None,
        });
    }
    Some((acts, ids.len() as u32))
}

impl<'a> Register<'a> {
    /// `None` if a value is written twice.
    fn new(ops: &'a [&'a Op], acts: &[Act], values: u32) -> Option<Self> {
        let mut clusters = vec![UNKNOWN; values as usize];
        let mut value = vec![NONE; ops.len()];
        let mut failed = Vec::new();
        for (at, (op, act)) in ops.iter().zip(acts).enumerate() {
            let (parent, written) = match *act {
                Act::Nothing => continue,
                Act::Read(seen) => {
                    value[at] = seen;
                    clusters[seen as usize].seen_by = at as u32;
                    continue;
                }
                Act::Failed(from) => {
                    failed.push((at, from));
                    continue;
                }
                Act::Cas(from, to) => (from, to),
                Act::Write(to) => (NONE, to),
            };
            if written == NIL || clusters[written as usize].writer != NONE {
                return None;
            }
            clusters[written as usize].writer = at as u32;
            clusters[written as usize].parent = parent;
            value[at] = written;
            if op.is_ok() {
                clusters[written as usize].seen_by = at as u32;
            }
        }
        Some(Register { ops, clusters, value, failed })
    }

    /// The operations that took place, by blocks with the initial one first; or some that contradict each
    /// other within a block.
    fn blocks(&mut self) -> Result<(Vec<usize>, Vec<Block>), Vec<usize>> {
        self.link()?;
        let roots = self.rank_blocks()?;
        let members = self.by_rank();
        let blocks = self.cut(&members, &roots)?;
        Ok((members, blocks))
    }

    /// Determines which values were in the register, and links each with the value that replaced it by
    /// compare-and-set.
    fn link(&mut self) -> Result<(), Vec<usize>> {
        for value in 0..self.clusters.len() as u32 {
            if self.clusters[value as usize].seen_by == NONE {
                continue;
            }
            // An observed value shows that its writer took place, and so that the value that it replaced was
            // there.
            let mut at = value;
            loop {
                let Cluster { writer, parent, seen_by, .. } = self.clusters[at as usize];
                if writer == NONE && at != NIL {
                    return Err(vec![seen_by as usize]);
                }
                if parent == NONE || at == NIL {
                    break;
                }
                let child = self.clusters[parent as usize].child;
                if child == at {
                    break;
                }
                if child != NONE && !broken("unique register: one successor") {
                    return Err(vec![self.clusters[child as usize].writer as usize, writer as usize]);
                }
                let before = &mut self.clusters[parent as usize];
                before.child = at;
                if before.seen_by == NONE {
                    before.seen_by = writer;
                }
                at = parent;
            }
        }
        Ok(())
    }

    /// Numbers the clusters so that those of one block are adjacent, the initial block first. Returns the
    /// ranks at which blocks begin.
    fn rank_blocks(&mut self) -> Result<Vec<u32>, Vec<usize>> {
        let mut roots = Vec::new();
        let mut rank = 0;
        for root in 0..self.clusters.len() as u32 {
            let cluster = self.clusters[root as usize];
            let is_root = root == NIL || (cluster.seen_by != NONE && cluster.parent == NONE);
            if !is_root {
                continue;
            }
            roots.push(rank);
            let mut at = root;
            while at != NONE {
                self.clusters[at as usize].rank = rank;
                rank += 1;
                at = self.clusters[at as usize].child;
            }
        }
        let unranked = |c: &&Cluster| c.seen_by != NONE && c.rank == NONE;
        match self.clusters.iter().find(unranked) {
            Some(first) if !broken("unique register: no ring") => {
                // Clusters that no root leads to form a cycle of compare-and-sets, each waiting for the
                // previous one.
                let mut ring = vec![first.writer as usize];
                let mut at = first.parent;
                while self.clusters[at as usize].writer != first.writer {
                    ring.push(self.clusters[at as usize].writer as usize);
                    at = self.clusters[at as usize].parent;
                }
                Err(ring)
            }
            _ => Ok(roots),
        }
    }

    /// The operations by cluster: the writer, then its readers by time of invocation. A counting sort.
    fn by_rank(&self) -> Vec<usize> {
        let bucket = |at: usize| {
            let cluster = self.clusters.get(self.value[at] as usize).filter(|c| c.rank != NONE)?;
            Some(2 * cluster.rank as usize + usize::from(cluster.writer as usize != at))
        };
        let mut next = vec![0usize; 2 * self.clusters.len() + 1];
        (0..self.ops.len()).filter_map(bucket).for_each(|b| next[b + 1] += 1);
        for b in 1..next.len() {
            next[b] += next[b - 1];
        }
        let mut order = vec![0; *next.last().expect("there is a bucket for the initial value")];
        for at in 0..self.ops.len() {
            if let Some(b) = bucket(at) {
                order[next[b]] = at;
                next[b] += 1;
            }
        }
        order
    }

    /// Cuts the order into blocks, with the zone of each; the initial block comes first and may be empty.
    fn cut(&self, order: &[usize], roots: &[u32]) -> Result<Vec<Block>, Vec<usize>> {
        let mut blocks = Vec::with_capacity(roots.len());
        let mut from = 0;
        for i in 0..roots.len() {
            let end = roots.get(i + 1).copied().unwrap_or(NONE);
            let inside = |&&at: &&usize| self.clusters[self.value[at] as usize].rank < end;
            let to = from + order[from..].iter().take_while(inside).count();
            let members = &order[from..to];
            if let Some(pair) = contradiction(self.ops, members)
                && !broken("unique register: order inside a block")
            {
                return Err(pair.into());
            }
            let f = members.iter().map(|&at| (self.ops[at].ret(), at)).min().unwrap_or_default();
            let s = members.iter().map(|&at| (self.ops[at].call, at)).max().unwrap_or_default();
            blocks.push(Block { from, to, f, s });
            from = to;
        }
        let initial = &blocks[0];
        match blocks[1..].iter().find(|block| block.f.0 < initial.s.0) {
            Some(early) if !broken("unique register: the initial value comes first") => {
                Err(vec![early.f.1, initial.s.1])
            }
            _ => Ok(blocks),
        }
    }

    /// For each value, the time during which the register certainly held it.
    fn held_for(&self) -> Vec<HeldFor> {
        let mut held_for = vec![((Nanos::MAX, 0), (0, 0)); self.clusters.len()];
        for (at, op) in self.ops.iter().enumerate().filter(|&(at, _)| self.value[at] != NONE) {
            let value = self.value[at] as usize;
            let Cluster { writer, parent, rank, .. } = self.clusters[value];
            if rank == NONE {
                continue;
            }
            held_for[value].0 = held_for[value].0.min((op.ret(), at));
            if writer as usize != at {
                held_for[value].1 = held_for[value].1.max((op.call, at));
            } else if parent != NONE {
                held_for[parent as usize].1 = held_for[parent as usize].1.max((op.call, at));
            }
        }
        held_for
    }

    /// A failed comparison with a value that the register certainly held from its invocation to its return;
    /// with an operation that had observed the value before, and one that observed it afterwards.
    fn refuted_comparison(&self, held_for: &[HeldFor]) -> Option<Vec<usize>> {
        self.failed.iter().find_map(|&(at, value)| {
            let (first, last) = held_for[value as usize];
            let held_before = value == NIL || first.0 < self.ops[at].call;
            let stood_after = self.ops[at].ret() < last.0 || broken("unique register: refuted comparison");
            let conflict = if value == NIL { vec![at, last.1] } else { vec![first.1, at, last.1] };
            (held_before && stood_after).then_some(conflict)
        })
    }
}

impl Block {
    fn is_forward(&self) -> bool {
        self.f.0 < self.s.0
    }

    fn precedes(&self, other: &Block) -> bool {
        self.f.0 < other.s.0
    }
}

/// Puts the blocks in a legal order, or finds two that must each precede the other.
fn arrange(blocks: &[Block]) -> Result<Vec<&Block>, Vec<usize>> {
    let mut order: Vec<&Block> = blocks.iter().collect();
    order[1..].sort_unstable_by_key(|block| (block.f.0.min(block.s.0), block.is_forward()));
    // The forward zone so far that reaches furthest.
    let mut furthest: Option<&Block> = None;
    for &block in &order[1..] {
        let rule = match block.is_forward() {
            true => broken("unique register: forward zones overlap"),
            false => broken("unique register: a backward zone inside a forward one"),
        };
        if let Some(zone) = furthest.filter(|zone| zone.precedes(block) && block.precedes(zone) && !rule) {
            let mut conflict = vec![zone.f.1, zone.s.1, block.f.1, block.s.1];
            conflict.sort_unstable();
            conflict.dedup();
            return Err(conflict);
        }
        if block.is_forward() && furthest.is_none_or(|zone| zone.s.0 < block.s.0) {
            furthest = Some(block);
        }
    }
    Ok(order)
}
