//! What the engines see of a history: the operations of one object, normalised.
//!
//! - An operation that certainly did not happen is dropped, and so is one that says nothing about the object.
//! - An indeterminate operation never returns: it may take effect at any time after its call, or never. One that only
//!   observes is dropped.
//! - Intervals are closed: an operation that is called at the very instant another one returns is concurrent with it.
//!
//! What is left is a sequence of [`Event`]s: calls and returns of numbered operations, and no times at all.

use crate::broken::broken;
use crate::model::Model;
use crate::op::{Nanos, Op};
use crate::space::{ClassId, Effect, Space};

/// A call or a return of the operation with this number (see [`Part::ops`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Call(u32),
    Return(u32),
}

/// One operation of a [`Part`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartOp {
    /// What is called, with what result.
    pub(crate) class: ClassId,
    /// Its position in the slice that the part was made from.
    pub(crate) at: u32,
    /// The position of its return in [`Part::events`]; [`NEVER`] for an indeterminate operation.
    pub(crate) returns: u32,
}

/// The return of an operation that need not take effect.
pub(crate) const NEVER: u32 = u32::MAX;

impl PartOp {
    /// Whether it certainly happened: indeterminate operations may be left out.
    pub(crate) fn definite(&self) -> bool {
        self.returns != NEVER
    }
}

/// The operations of one object, normalised.
#[derive(Debug)]
pub(crate) struct Part {
    /// The operations, in the order of their calls in [`Part::events`].
    pub(crate) ops: Vec<PartOp>,
    /// Every call, and for definite operations the return, by time; at one instant calls come before returns.
    pub(crate) events: Vec<Event>,
}

/// An operation that has no meaning to the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Its position in the slice.
    pub(crate) at: usize,
    /// What was expected instead.
    pub(crate) expected: String,
}

impl Part {
    /// Normalises the operations of one object.
    pub(crate) fn new<M: Model>(space: &mut Space<'_, M>, ops: &[&Op]) -> Result<Self, Misfit> {
        let mut part = Part { ops: Vec::with_capacity(ops.len()), events: Vec::new() };
        for (at, op) in ops.iter().enumerate().filter(|(_, op)| !op.is_fail()) {
            let call = space.model().parse(op).map_err(|expected| Misfit { at, expected })?;
            let Some(class) = call.map(|call| space.class(call)) else { continue };
            if op.is_ok() || space.effect(class) != Effect::Observes {
                part.ops.push(PartOp { class, at: at as u32, returns: NEVER });
            }
        }
        let call = |op: &PartOp| ops[op.at as usize].call;
        part.ops.sort_by_key(call);
        let ends = |op: &PartOp| ops[op.at as usize].ret().max(call(op));
        let definite = part.ops.iter().enumerate().filter(|(_, op)| ops[op.at as usize].is_ok());
        let mut returns: Vec<(Nanos, u32)> = definite.map(|(i, op)| (ends(op), i as u32)).collect();
        returns.sort_unstable();
        part.events = Vec::with_capacity(part.ops.len() + returns.len());
        let mut called = 0;
        for (end, i) in returns {
            let tie = |called: usize| called as u32 <= i || !broken("ties are in order");
            let before =
                |called| call(&part.ops[called]) < end || call(&part.ops[called]) == end && tie(called);
            while called < part.ops.len() && before(called) {
                part.events.push(Event::Call(called as u32));
                called += 1;
            }
            part.ops[i as usize].returns = part.events.len() as u32;
            part.events.push(Event::Return(i));
        }
        part.events.extend((called..part.ops.len()).map(|i| Event::Call(i as u32)));
        Ok(part)
    }

    /// How many operations certainly happened.
    pub(crate) fn definite(&self) -> usize {
        self.events.len() - self.ops.len()
    }

    /// Numbers of the part as positions in the slice it was made from.
    pub(crate) fn positions(&self, numbers: &[u32]) -> Vec<usize> {
        numbers.iter().map(|&i| self.ops[i as usize].at as usize).collect()
    }
}
