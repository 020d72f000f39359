//! A stack of distinct values: exact in O(n log n) if every pop is known.
//!
//! A value that was pushed and popped is certainly on the stack between the return of its push and the
//! invocation of its pop, an open interval. If this interval is empty, push and pop overlap: they can take
//! effect together at a common instant, which no other operation observes, and the value is ignored in the
//! following.
//!
//! **Holes.** Let t be an instant at which no value is certainly on the stack. If there is a legal order,
//! there is one in which the stack is empty at t: each value on the stack either had its pop invoked by t,
//! and is popped at t, the top first; or its push had not returned before t, and it is pushed at t, the
//! bottom first. No other operation observes the values below. So the stretches of time between the holes are
//! independent of each other.
//!
//! **Bottoms.** Within a stretch from a to b the stack is never empty, so one value is at the bottom
//! throughout: one whose push was invoked by a, and whose pop returned at b or later. Any value with this
//! property will do: whichever value is at the bottom of a legal order, this one can be put below it, because
//! it can be pushed at a and popped at b just as well. If there is none, there is no legal order. Without the
//! bottom the rest of the stretch splits into smaller ones.
//!
//! ```text
//!   bottom  ├─────────────────────────────────────┤       pushed at a, popped at b
//!                ├──────────────┤   ├─────────┤           what is left of the stretch: two stretches
//!                   ├────┤                                and one inside the first
//! ```
//!
//! A pop that found the stack empty needs a hole of the whole history in its interval. A push of unknown
//! outcome whose value was popped took place; any other is dropped. Pops of unknown outcome may have removed
//! some of the values without a known pop. The first attempt assumes that none did. The second, for a
//! refutation only, assumes that each such value could leave from the first of these pops on.
//!
//! Two segment trees make it fast: one for the number of values that cover each stretch, one for the bottom.
//! (Gibbons, Bruno and Phillips, "Black-box correctness tests for basic parallel data structures", SPAA 2002,
//! use the same structure.)
//!
//! Precondition: pushes and pops only, no value pushed twice, none `nil`.

use hashbrown::HashMap;

use super::broken;
use crate::decision::Decision;
use crate::op::{F, Nanos, Op, Outcome, Value};

const NONE: usize = usize::MAX;

/// A value, and the intervals of its push and its pop.
#[derive(Clone, Copy)]
struct Item {
    push: usize,
    /// `NONE` if no known pop removed it.
    pop: usize,
    /// The invocation of the push, and the time by which it must have taken effect.
    called: Nanos,
    pushed: Nanos,
    /// The invocation of the pop, and the time by which it must have taken effect.
    leaves: Nanos,
    gone: Nanos,
}

/// The operations of a stack, matched by value.
struct Stack {
    items: Vec<Item>,
    /// Pops that found the stack empty, by time of invocation.
    empties: Vec<usize>,
    /// The invocation of the first pop of unknown outcome.
    wildcard: Option<Nanos>,
}

/// Decides the history of a stack; see the [module](self).
pub(crate) fn decide(ops: &[&Op]) -> Decision {
    let mut stack = match read(ops) {
        Ok(stack) => stack,
        Err(decision) => return decision,
    };
    let found = stack.legal_order(ops);
    match (found, stack.wildcard) {
        (Ok(order), _) => Decision::Legal { order },
        (Err(conflict), None) => Decision::Illegal { conflict },
        (Err(_), Some(from)) => {
            for item in stack.items.iter_mut().filter(|item| item.pop == NONE) {
                item.leaves = item.called.max(from);
            }
            let refuted = stack.legal_order(ops).err();
            refuted.map_or(Decision::Declined, |conflict| Decision::Illegal { conflict })
        }
    }
}

/// Matches pushes and pops. Fails if the precondition does not hold or a pop has no match.
fn read(ops: &[&Op]) -> Result<Stack, Decision> {
    let mut items: Vec<Item> = Vec::with_capacity(ops.len() / 2);
    let mut by_value: HashMap<&Value, usize> = HashMap::with_capacity(ops.len() / 2);
    for (at, op) in ops.iter().enumerate().filter(|(_, op)| !op.is_fail()) {
        match op.f {
            F::Push if op.input.is_nil() || by_value.insert(&op.input, items.len()).is_some() => {
                return Err(Decision::Declined);
            }
            F::Push => {
                let (called, pushed) = (op.call, op.ret());
                items.push(Item {
                    push: at,
                    pop: NONE,
                    called,
                    pushed,
                    leaves: Nanos::MAX,
                    gone: Nanos::MAX,
                });
            }
            F::Pop => {}
            _ => return Err(Decision::Declined),
        }
    }
    let (mut empties, mut wildcard) = (Vec::new(), None);
    for (at, op) in ops.iter().enumerate().filter(|(_, op)| op.f == F::Pop && !op.is_fail()) {
        let value = match &op.outcome {
            Outcome::Ok(Value::Nil) => {
                empties.push(at);
                continue;
            }
            Outcome::Ok(value) => value,
            _ => {
                wildcard.get_or_insert(op.call);
                continue;
            }
        };
        let conflict = match by_value.get(value) {
            None => vec![at],
            Some(&item) if items[item].pop != NONE => vec![items[item].pop, at],
            Some(&item) => {
                let item = &mut items[item];
                item.pop = at;
                item.gone = op.ret();
                item.leaves = op.call;
                if op.ret() < item.called {
                    return Err(Decision::Illegal { conflict: vec![at, item.push] });
                }
                if !broken("stack: a pop bounds its push") {
                    item.pushed = item.pushed.min(item.gone);
                    item.leaves = item.leaves.max(item.called);
                }
                continue;
            }
        };
        if !broken("stack: no fresh or duplicate value") {
            return Err(Decision::Illegal { conflict });
        }
    }
    items.retain(|item| item.pop != NONE || ops[item.push].is_ok());
    Ok(Stack { items, empties, wildcard })
}

impl Stack {
    /// A legal order of all operations, or some that contradict each other.
    fn legal_order(&self, ops: &[&Op]) -> Result<Vec<usize>, Vec<usize>> {
        let (mut inside, together): (Vec<Item>, Vec<Item>) =
            self.items.iter().copied().partition(|item| item.pushed < item.leaves);
        inside.sort_unstable_by_key(|item| item.pushed);
        // Operations outside of all stretches.
        let mut alone: Vec<(Nanos, [usize; 2])> = self.empty_instants(ops, &inside)?;
        alone.extend(together.iter().map(|item| (item.leaves, [item.push, item.pop])));
        alone.sort_unstable();
        let mut alone = alone.into_iter().peekable();
        let mut order = Vec::with_capacity(ops.len());
        let mut nested = Nest::new(&inside);
        while let Some(Step { instant, op, is_pop }) = nested.next(&inside)? {
            // In one instant a stretch ends first, then pops find the stack empty, then the next stretch
            // begins.
            while let Some((_, ops)) = alone.next_if(|&(at, _)| at < instant || at == instant && !is_pop) {
                order.extend(ops);
            }
            order.push(op);
        }
        order.extend(alone.flat_map(|(_, ops)| ops));
        order.retain(|&op| op != NONE);
        Ok(order)
    }

    /// For each pop that found the stack empty: the first instant at which no value is certainly on the
    /// stack. `inside` is in the order of the pushes.
    fn empty_instants(&self, ops: &[&Op], inside: &[Item]) -> Result<Vec<(Nanos, [usize; 2])>, Vec<usize>> {
        let mut stretches: Vec<(Nanos, Nanos)> = Vec::new();
        for item in inside {
            match stretches.last_mut() {
                Some((_, end)) if item.pushed < *end => *end = (*end).max(item.leaves),
                _ => stretches.push((item.pushed, item.leaves)),
            }
        }
        let mut instants = Vec::with_capacity(self.empties.len());
        for &at in &self.empties {
            let (call, ret) = (ops[at].call, ops[at].ret());
            let before = stretches.partition_point(|stretch| stretch.0 < call);
            let covered = before.checked_sub(1).map(|i| stretches[i]).filter(|&(_, end)| call < end);
            let instant = covered.map_or(call, |(_, end)| end);
            if ret < instant && !broken("stack: an empty pop finds nothing") {
                let overlapping = inside.iter().filter(|item| item.pushed < ret && call < item.leaves);
                let pairs = overlapping.flat_map(|item| [item.push, item.pop]);
                return Err([at].into_iter().chain(pairs.filter(|&op| op != NONE)).collect());
            }
            instants.push((instant, [at, NONE]));
        }
        Ok(instants)
    }
}

/// One push or pop of the order.
struct Step {
    instant: Nanos,
    /// `NONE` for the pop of a value that stays.
    op: usize,
    is_pop: bool,
}

/// The work still to be done, the next item first.
enum Open {
    /// The stretch of these cells.
    Stretch(usize, usize),
    /// The pop of this item at this instant.
    Pop(usize, Nanos),
}

/// The nesting of the values, visited from left to right.
///
/// Time is divided into cells: one for each instant at which a push must have taken effect or a value may
/// leave, and one for each gap between two of these. A value covers the cells of its open interval.
struct Nest {
    instants: Vec<Nanos>,
    /// The number of values covering each cell that have not been bottoms yet.
    cover: Cover,
    /// For items whose push is invoked by now and that have not been bottoms: the time by which they must
    /// have left.
    gone: Latest,
    /// Items by the invocation of their push, and the next of them.
    by_call: Vec<u32>,
    called: usize,
    open: Vec<Open>,
}

impl Nest {
    fn new(items: &[Item]) -> Self {
        let mut instants: Vec<Nanos> = items.iter().flat_map(|item| [item.pushed, item.leaves]).collect();
        instants.sort_unstable();
        instants.dedup();
        let mut by_call: Vec<u32> = (0..items.len() as u32).collect();
        by_call.sort_unstable_by_key(|&item| items[item as usize].called);
        let cells = 2 * instants.len();
        let mut nest = Nest {
            instants,
            cover: Cover::new(cells),
            gone: Latest::new(items.len()),
            by_call,
            called: 0,
            open: Vec::new(),
        };
        for item in items {
            let (from, to) = nest.cells(item);
            nest.cover.add(from, to, 1);
        }
        nest.open_stretches(0, cells);
        nest
    }

    /// The cells of an item's interval; the end is exclusive.
    fn cells(&self, item: &Item) -> (usize, usize) {
        let place = |instant| self.instants.binary_search(&instant).expect("it is one of these");
        (2 * place(item.pushed) + 1, 2 * place(item.leaves))
    }

    /// Adds the stretches within these cells, so that the first is on top.
    fn open_stretches(&mut self, from: usize, to: usize) {
        let first = self.open.len();
        let mut at = from;
        while let Some(start) = self.cover.first(at, to, true) {
            let end = self.cover.first(start, to, false).unwrap_or(to);
            self.open.push(Open::Stretch(start, end));
            at = end;
        }
        self.open[first..].reverse();
    }

    /// The next step, or operations that contradict each other.
    fn next(&mut self, items: &[Item]) -> Result<Option<Step>, Vec<usize>> {
        let (from, to) = match self.open.pop() {
            None => return Ok(None),
            Some(Open::Pop(item, instant)) => {
                return Ok(Some(Step { instant, op: items[item].pop, is_pop: true }));
            }
            Some(Open::Stretch(from, to)) => (from, to),
        };
        let (a, b) = (self.instants[from / 2], self.instants[to / 2]);
        while let Some(&item) = self.by_call.get(self.called)
            && items[item as usize].called <= a
        {
            self.gone.set(item as usize, Some(items[item as usize].gone));
            self.called += 1;
        }
        let first = items.partition_point(|item| item.pushed < a);
        let end = items.partition_point(|item| item.pushed < b);
        let bottom = self.gone.latest(first, end).filter(|&(gone, _)| gone >= b || broken("stack: a bottom"));
        let Some((_, bottom)) = bottom else {
            let pairs = items[first..end].iter().flat_map(|item| [item.push, item.pop]);
            return Err(pairs.filter(|&op| op != NONE).collect());
        };
        self.gone.set(bottom, None);
        let (own_from, own_to) = self.cells(&items[bottom]);
        self.cover.add(own_from, own_to, -1);
        self.open.push(Open::Pop(bottom, b));
        self.open_stretches(from, to);
        Ok(Some(Step { instant: a, op: items[bottom].push, is_pop: false }))
    }
}

/// The number of intervals covering each cell: a segment tree with sums that are not pushed down.
struct Cover {
    cells: usize,
    /// Per node: the minimum and the maximum over its cells, without the additions to whole nodes above it.
    least: Vec<i32>,
    most: Vec<i32>,
    added: Vec<i32>,
}

impl Cover {
    fn new(cells: usize) -> Self {
        let cells = cells.next_power_of_two();
        Cover { cells, least: vec![0; 2 * cells], most: vec![0; 2 * cells], added: vec![0; 2 * cells] }
    }

    /// Adds to the cells from `from` to `to`, which is exclusive.
    fn add(&mut self, from: usize, to: usize, more: i32) {
        self.add_below(1, 0, self.cells, from, to, more);
    }

    fn add_below(&mut self, node: usize, start: usize, end: usize, from: usize, to: usize, more: i32) {
        if to <= start || end <= from {
            return;
        }
        if from <= start && end <= to {
            self.added[node] += more;
            self.least[node] += more;
            self.most[node] += more;
            return;
        }
        let middle = start.midpoint(end);
        self.add_below(2 * node, start, middle, from, to, more);
        self.add_below(2 * node + 1, middle, end, from, to, more);
        self.least[node] = self.least[2 * node].min(self.least[2 * node + 1]) + self.added[node];
        self.most[node] = self.most[2 * node].max(self.most[2 * node + 1]) + self.added[node];
    }

    /// The first cell between `from` and `to` (exclusive) that is covered, or that is not.
    fn first(&self, from: usize, to: usize, covered: bool) -> Option<usize> {
        self.first_below(1, 0, self.cells, from, to, covered, 0)
    }

    #[expect(clippy::too_many_arguments, reason = "a node of the tree, and what is looked for in it")]
    fn first_below(
        &self,
        node: usize,
        start: usize,
        end: usize,
        from: usize,
        to: usize,
        covered: bool,
        above: i32,
    ) -> Option<usize> {
        let none = if covered { self.most[node] + above == 0 } else { self.least[node] + above > 0 };
        if to <= start || end <= from || none {
            return None;
        }
        if start + 1 == end {
            return Some(start);
        }
        let (middle, above) = (start.midpoint(end), above + self.added[node]);
        self.first_below(2 * node, start, middle, from, to, covered, above)
            .or_else(|| self.first_below(2 * node + 1, middle, end, from, to, covered, above))
    }
}

/// The maximum of some instants in any range: a segment tree.
struct Latest {
    leaves: usize,
    nodes: Vec<Option<(Nanos, usize)>>,
}

impl Latest {
    fn new(items: usize) -> Self {
        let leaves = items.next_power_of_two();
        Latest { leaves, nodes: vec![None; 2 * leaves] }
    }

    fn set(&mut self, at: usize, instant: Option<Nanos>) {
        let mut node = self.leaves + at;
        self.nodes[node] = instant.map(|instant| (instant, at));
        while node > 1 {
            node /= 2;
            self.nodes[node] = self.nodes[2 * node].max(self.nodes[2 * node + 1]);
        }
    }

    /// The maximum between `from` and `to` (exclusive), and its index.
    fn latest(&self, from: usize, to: usize) -> Option<(Nanos, usize)> {
        let (mut from, mut to, mut latest) = (from + self.leaves, to + self.leaves, None);
        while from < to {
            if from % 2 == 1 {
                latest = latest.max(self.nodes[from]);
                from += 1;
            }
            if to % 2 == 1 {
                to -= 1;
                latest = latest.max(self.nodes[to]);
            }
            (from, to) = (from / 2, to / 2);
        }
        latest
    }
}
