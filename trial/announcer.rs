//! Sends the events of one trial to its observers, with timestamps of the trial's clock.

use std::sync::Arc;

use tribunal_checker::op::Nanos;

use crate::clock::Clock;
use crate::observer::{Observer, TrialEvent};

/// The clock of a trial, and its observers.
pub(crate) struct Announcer {
    clock: Clock,
    observers: Vec<Arc<dyn Observer>>,
}

impl Announcer {
    pub(crate) fn new(clock: Clock, observers: Vec<Arc<dyn Observer>>) -> Self {
        Announcer { clock, observers }
    }

    /// Reports an event that happens now.
    pub(crate) fn emit(&self, event: &TrialEvent<'_>) {
        self.emit_at(self.clock.now(), event);
    }

    /// Reports an event that happened at time `t` of the trial's clock.
    pub(crate) fn emit_at(&self, t: Nanos, event: &TrialEvent<'_>) {
        self.observers.iter().for_each(|observer| observer.on_event(t, event));
    }

    pub(crate) fn note(&self, text: &str) {
        self.emit(&TrialEvent::Note(text));
    }

    pub(crate) fn warn(&self, text: &str) {
        self.emit(&TrialEvent::Warning(text));
    }
}
