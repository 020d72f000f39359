//! What the engines see of a history: the operations of one object, normalised.
//!
//! - An operation that certainly did not happen is dropped, and so is one that says nothing about the object.
//! - An indeterminate operation never returns: it may take effect at any time after its call, or never.
//! - Intervals are closed: an operation that is called at the very instant another one returns is concurrent with it.
//! - Equal calls share one *class*. To the search two pending operations of one class differ only in when they return.
//!
//! What is left is a sequence of [`Event`]s: calls and returns of numbered operations, and no times at all.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::model::Model;
use crate::op::Op;

/// A call or a return of the operation with this number (see [`Part::ops`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Call(u32),
    Return(u32),
}

/// One operation of a [`Part`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartOp {
    /// Which of [`Part::classes`] its call is.
    pub(crate) class: u32,
    /// Its position in the slice that the part was made from.
    pub(crate) at: u32,
    /// Whether it certainly happened: indeterminate operations may be left out.
    pub(crate) definite: bool,
}

/// The operations of one object, normalised.
#[derive(Debug)]
pub(crate) struct Part<C> {
    /// The operations, in the order of their calls in [`Part::events`].
    pub(crate) ops: Vec<PartOp>,
    /// Every call, then for definite operations its return, by time; at one instant calls come before returns.
    pub(crate) events: Vec<Event>,
    /// The distinct calls.
    pub(crate) classes: Vec<C>,
}

/// An operation that has no meaning to the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Its position in the slice.
    pub(crate) at: usize,
    /// What was expected instead.
    pub(crate) expected: String,
}

impl<C: Clone + Eq + Hash> Part<C> {
    /// Normalises the operations of one object.
    pub(crate) fn new<M: Model<Call = C>>(model: &M, ops: &[&Op]) -> Result<Self, Misfit> {
        let mut part = Part { ops: Vec::with_capacity(ops.len()), events: Vec::new(), classes: Vec::new() };
        let hasher = DefaultHashBuilder::default();
        let mut ids: HashTable<u32> = HashTable::new();
        for (at, op) in ops.iter().enumerate().filter(|(_, op)| !op.is_fail()) {
            let Some(call) = model.parse(op).map_err(|expected| Misfit { at, expected })? else { continue };
            let hash = |call: &C| hasher.hash_one(call);
            let classes = &mut part.classes;
            let entry =
                ids.entry(hash(&call), |&id| classes[id as usize] == call, |&id| hash(&classes[id as usize]));
            let class = *entry.or_insert_with(|| classes.len() as u32).get();
            if class as usize == classes.len() {
                classes.push(call);
            }
            part.ops.push(PartOp { class, at: at as u32, definite: op.is_ok() });
        }
        part.ops.sort_by_key(|item| ops[item.at as usize].call);
        let mut returns: Vec<u32> =
            (0..part.ops.len() as u32).filter(|&i| part.ops[i as usize].definite).collect();
        let ends = |i: &u32| {
            let op = ops[part.ops[*i as usize].at as usize];
            op.ret().max(op.call)
        };
        returns.sort_by_key(ends);
        part.events = Vec::with_capacity(part.ops.len() + returns.len());
        let mut called = 0;
        for i in returns {
            while called < part.ops.len() && ops[part.ops[called].at as usize].call <= ends(&i) {
                part.events.push(Event::Call(called as u32));
                called += 1;
            }
            part.events.push(Event::Return(i));
        }
        part.events.extend((called..part.ops.len()).map(|i| Event::Call(i as u32)));
        Ok(part)
    }

    /// How many operations certainly happened.
    pub(crate) fn definite(&self) -> usize {
        self.events.len() - self.ops.len()
    }
}
