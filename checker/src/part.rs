//! The engines' view of a history: the operations of one object, normalised.
//!
//! - An operation that certainly did not happen is dropped, and so is one that the model ignores.
//! - An indeterminate operation never returns: it may take effect at any time after its invocation, or never.
//!   If it only observes, it is dropped.
//! - Intervals are closed: an operation invoked at the very instant at which another one returns is
//!   concurrent with it. If both are of one process, their times have been moved apart, or their order is
//!   given explicitly: see [`ties`](crate::ties).
//!
//! The rest is a sequence of [`Event`]s: calls (invocations) and returns of numbered operations, without
//! times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::{HashMap, HashSet};

use crate::broken::broken;
use crate::model::Model;
use crate::op::{Nanos, Op};
use crate::space::{ClassId, Effect, ModelSpace};
use crate::ties::After;

/// A call or a return of the operation with this number (see [`Part::ops`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Call(u32),
    Return(u32),
}

/// One operation of a [`Part`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartOp {
    /// The class of its call, including the result.
    pub(crate) class: ClassId,
    /// Its position in the given slice.
    pub(crate) at: u32,
    /// The position of its return in [`Part::events`]; [`NEVER`] for an indeterminate operation.
    pub(crate) returns: u32,
}

/// The return of an operation that need not take effect.
pub(crate) const NEVER: u32 = u32::MAX;

impl PartOp {
    /// Whether it certainly happened; indeterminate operations may be left out.
    pub(crate) fn definite(&self) -> bool {
        self.returns != NEVER
    }
}

/// One operation of a history, reduced to what the engines need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) class: ClassId,
    /// Its position in the given slice.
    pub(crate) at: u32,
    pub(crate) indeterminate: bool,
    call: Nanos,
    ends: Nanos,
}

/// Stands for every actor whose name makes no difference: see [`Model::nameless_actors`].
const NAMELESS: u64 = u64::MAX;

/// Reads operations, in their order, without those that do not matter. `after` restricts the order of some.
pub(crate) fn read<M: Model>(
    space: &mut ModelSpace<'_, M>,
    ops: &[&Op],
    after: &After,
) -> Result<Vec<Reading>, Misfit> {
    let mut readings = Vec::with_capacity(ops.len());
    let first: HashSet<u32> = after.values().flatten().copied().collect();
    // An observation is placed as soon as possible, which suits the operations that must come after it.
    let is_alone = |at: u32, call: &M::Call, model: &M| {
        after.contains_key(&at) || first.contains(&at) && !model.read_only(call)
    };
    let nameless = space.model().nameless_actors(ops);
    if !nameless.is_empty() {
        space.merge_actors();
    }
    for (at, &op) in ops.iter().enumerate().filter(|(_, op)| !op.is_fail()) {
        let call = match nameless.contains(&op.actor()) {
            true => space.model().parse(&Op { client: Some(NAMELESS), ..op.clone() }),
            false => space.model().parse(op),
        };
        let call = call.map_err(|expected| Misfit { at, expected })?;
        let Some(call) = call else { continue };
        let indeterminate = !op.is_ok();
        if indeterminate && !after.is_empty() && space.model().read_only(&call) {
            continue;
        }
        let class = match !after.is_empty() && is_alone(at as u32, &call, space.model()) {
            true => space.class_alone(call),
            false => space.class(call),
        };
        if !indeterminate || space.effect(class) != Effect::Observes {
            let ends = op.ret().max(op.call);
            readings.push(Reading { class, at: at as u32, call: op.call, ends, indeterminate });
        }
    }
    Ok(readings)
}

/// The first operation that does not fit.
pub(crate) fn misfit(ops: &[&Op], fits: impl Fn(&Op) -> Result<(), String>) -> Option<Misfit> {
    (0..).zip(ops).find_map(|(at, op)| fits(op).err().map(|expected| Misfit { at, expected }))
}

/// The operations of one object, normalised.
#[derive(Debug)]
pub(crate) struct Part {
    /// The operations, in the order of their calls in [`Part::events`].
    pub(crate) ops: Vec<PartOp>,
    /// Every call, and for definite operations the return, by time; calls come before returns of the same
    /// instant.
    pub(crate) events: Vec<Event>,
    /// For some operations, those that must be placed before them although they need not have returned.
    pub(crate) after: HashMap<u32, Vec<u32>>,
}

/// An operation that has no meaning to the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Its position in the given slice.
    pub(crate) at: usize,
    /// What the model expected instead.
    pub(crate) expected: String,
}

impl Part {
    /// Normalises the operations of one object.
    pub(crate) fn new(readings: &mut [Reading], after: &After) -> Self {
        readings.sort_by_key(|reading| reading.call);
        let mut part = Part {
            ops: readings
                .iter()
                .map(|&Reading { class, at, .. }| PartOp { class, at, returns: NEVER })
                .collect(),
            events: Vec::with_capacity(2 * readings.len()),
            after: HashMap::new(),
        };
        let mut pending: BinaryHeap<Reverse<(Nanos, u32)>> = BinaryHeap::new();
        for (i, reading) in (0..).zip(&*readings) {
            // Within one instant calls come first.
            let over = |end: Nanos| end < reading.call || end == reading.call && broken("ties are in order");
            while let Some(&Reverse((end, ended))) = pending.peek()
                && over(end)
            {
                pending.pop();
                part.returns(ended);
            }
            part.events.push(Event::Call(i));
            if !reading.indeterminate {
                pending.push(Reverse((reading.ends, i)));
            }
        }
        while let Some(Reverse((_, ended))) = pending.pop() {
            part.returns(ended);
        }
        if !after.is_empty() {
            part.place_after(after);
        }
        part
    }

    fn place_after(&mut self, after: &After) {
        let number: HashMap<u32, u32> = (0..).zip(&self.ops).map(|(op, what)| (what.at, op)).collect();
        for (at, earlier) in after {
            let earlier = earlier.iter().filter_map(|at| number.get(at).copied()).collect();
            if let Some(&op) = number.get(at) {
                self.after.insert(op, earlier);
            }
        }
    }

    fn returns(&mut self, op: u32) {
        self.ops[op as usize].returns = self.events.len() as u32;
        self.events.push(Event::Return(op));
    }

    /// The position of every operation's call in [`Part::events`].
    pub(crate) fn calls(&self) -> Vec<u32> {
        let calls = (0..).zip(&self.events).filter(|(_, event)| matches!(event, Event::Call(_)));
        calls.map(|(at, _)| at).collect()
    }

    /// The time of an event; `ops` is the slice that the part was made from.
    pub(crate) fn time(&self, event: u32, ops: &[&Op]) -> Nanos {
        let of = |op: u32| ops[self.ops[op as usize].at as usize];
        match self.events[event as usize] {
            Event::Call(op) => of(op).call,
            Event::Return(op) => of(op).ret().max(of(op).call),
        }
    }

    /// The number of operations that certainly happened.
    pub(crate) fn definite(&self) -> usize {
        self.events.len() - self.ops.len()
    }

    /// Converts numbers of the part to positions in the slice that it was made from.
    pub(crate) fn positions(&self, numbers: &[u32]) -> Vec<usize> {
        numbers.iter().map(|&i| self.ops[i as usize].at as usize).collect()
    }
}
