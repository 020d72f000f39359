//! The queue of events.

use std::collections::BTreeMap;

use crate::{Step, TimedAct};

/// A step that is about to begin.
#[derive(Debug)]
pub(super) struct PendingStep {
    /// Its number in the run.
    pub(super) i: usize,
    pub(super) step: Step,
    /// The trigger that planned it, if a trigger did.
    pub(super) trigger: Option<usize>,
}

#[derive(Debug)]
pub(super) enum Event {
    Begin(Box<PendingStep>),
    /// The acts of a step that are due at the same later time.
    Acts(usize, Vec<TimedAct>),
    End(usize),
}

impl Event {
    /// The step that the event belongs to.
    fn step(&self) -> usize {
        match self {
            Event::Begin(pending) => pending.i,
            Event::Acts(i, _) | Event::End(i) => *i,
        }
    }
}

/// Where an event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Plan,
    /// Another event of the timeline, or of the run.
    Run,
}

/// The coming events, by nanoseconds since the start of the run. At the same time the plan's step comes
/// first, then the events in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    events: BTreeMap<(u64, Source, usize), Event>,
    /// Number of events that were ever added.
    added: usize,
}

impl Timeline {
    pub(super) fn add(&mut self, at: u64, source: Source, event: Event) {
        self.events.insert((at, source, self.added), event);
        self.added += 1;
    }

    /// Time of the next event.
    pub(super) fn next_at(&self) -> Option<u64> {
        self.events.first_key_value().map(|(&(at, ..), _)| at)
    }

    pub(super) fn pop(&mut self) -> Option<(Source, Event)> {
        self.events.pop_first().map(|((_, source, _), event)| (source, event))
    }

    /// Drops all remaining events of a step.
    pub(super) fn drop_step(&mut self, i: usize) {
        self.events.retain(|_, event| event.step() != i);
    }
}
