//! How the times of a history are shown: in seconds, or in events if a recording has only the order of its
//! events.
//!
//! Some formats have no times. Their parser uses the position of an event as its time (counting only client
//! events, because other lines may have been dropped). To show these positions as nanoseconds would be wrong.

use tribunal_checker::op::{Nanos, Op};

use crate::wording::{count, duration, seconds};

/// The meaning of the times in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Nanoseconds since the start of the run.
    Time,
    /// Positions of events.
    Events,
}

impl Clock {
    /// The clock of these operations.
    pub fn of<'a>(ops: impl IntoIterator<Item = &'a Op>) -> Clock {
        let mut ops = ops.into_iter().peekable();
        // A real clock neither advances one nanosecond per event nor stands still.
        let by_position = |op: &Op| {
            op.call <= op.invoke_index
                && op.completed <= op.complete_index
                && op.completed.is_none_or(|completed| completed > op.call)
        };
        if ops.peek().is_some() && ops.all(by_position) { Clock::Events } else { Clock::Time }
    }

    /// A time: `12.470 s`, `event 34`.
    pub fn instant(self, t: Nanos) -> String {
        match self {
            Clock::Time => format!("{} s", seconds(t)),
            Clock::Events => format!("event {}", count(t)),
        }
    }

    /// A time without its unit: `12.470`, `34`.
    pub fn figure(self, t: Nanos) -> String {
        match self {
            Clock::Time => seconds(t),
            Clock::Events => t.to_string(),
        }
    }

    /// A duration: `49 ms`, `3 events`.
    pub fn span(self, length: Nanos) -> String {
        match (self, length) {
            (Clock::Time, _) => duration(length),
            (Clock::Events, 1) => "1 event".to_string(),
            (Clock::Events, n) => format!("{} events", count(n)),
        }
    }

    /// The unit of an axis.
    pub fn unit(self) -> &'static str {
        match self {
            Clock::Time => "seconds",
            Clock::Events => "events",
        }
    }
}

#[cfg(test)]
mod tests {
    use tribunal_checker::op::{F, Outcome, Value};

    use super::*;

    #[test]
    fn times_that_are_positions_are_told_as_such() {
        let op = |call, invoke_index| Op {
            process: 0,
            f: F::Read,
            key: Value::Nil,
            input: Value::Nil,
            outcome: Outcome::Info,
            call,
            completed: None,
            node: None,
            error: None,
            invoke_index,
            complete_index: None,
            client: None,
        };
        assert_eq!(Clock::of(&[op(0, 0), op(1, 1)]), Clock::Events);
        assert_eq!(Clock::of(&[op(0, 0), op(1, 2)]), Clock::Events); // line 1 was not a client's
        assert_eq!(Clock::of(&[op(0, 0), op(900, 1)]), Clock::Time);
        assert_eq!(Clock::of(&[]), Clock::Time);
        assert_eq!(Clock::Events.span(1) + &Clock::Events.instant(1234), "1 eventevent 1,234");
        assert_eq!(Clock::Time.instant(12_470_000_000), "12.470 s");
    }
}
