//! What comes when.

use std::collections::BTreeMap;

use crate::{Step, TimedAct};

/// A step that is about to begin.
#[derive(Debug)]
pub(super) struct Coming {
    /// Its number in the run.
    pub(super) i: usize,
    pub(super) step: Step,
    /// The trigger that planned it, if one did.
    pub(super) trigger: Option<usize>,
}

#[derive(Debug)]
pub(super) enum Event {
    Begin(Box<Coming>),
    /// The acts of a step that come at the same later moment.
    Acts(usize, Vec<TimedAct>),
    End(usize),
}

impl Event {
    /// The step that it is part of.
    fn step(&self) -> usize {
        match self {
            Event::Begin(coming) => coming.i,
            Event::Acts(i, _) | Event::End(i) => *i,
        }
    }
}

/// Where an event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Plan,
    /// Another event, or a signal.
    Run,
}

/// The events that are to come, by nanoseconds since the start of the run; of one moment the plan's step first, then in the
/// order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    events: BTreeMap<(u64, Source, usize), Event>,
    /// How many events were ever added.
    added: usize,
}

impl Timeline {
    pub(super) fn add(&mut self, at: u64, source: Source, event: Event) {
        self.events.insert((at, source, self.added), event);
        self.added += 1;
    }

    /// When the next event comes.
    pub(super) fn next_at(&self) -> Option<u64> {
        self.events.first_key_value().map(|(&(at, ..), _)| at)
    }

    pub(super) fn pop(&mut self) -> Option<(Source, Event)> {
        self.events.pop_first().map(|((_, source, _), event)| (source, event))
    }

    /// Drops all that would still come of a step.
    pub(super) fn drop_step(&mut self, i: usize) {
        self.events.retain(|_, event| event.step() != i);
    }
}
