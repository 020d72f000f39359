//! The single monotonic clock of a run.

use std::time::Instant;

use tribunal_checker::op::Nanos;

/// Counts nanoseconds from the start of the run. Every timestamp of a run comes from the same clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Clock { start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Nanos {
        self.start.elapsed().as_nanos() as Nanos
    }
}
