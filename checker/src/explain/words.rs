//! The wording for operations, instants and durations.

use crate::op::{Nanos, Op};

/// Maximum length of a displayed operation or value, in characters.
const LENGTH_MAX: usize = 60;

/// The actor: `process 3`; `client 0 (process 3)` if the recording uses another number for the client.
pub(super) fn actor(op: &Op) -> String {
    match op.client {
        Some(client) => format!("client {client} (process {})", op.process),
        None => format!("process {}", op.process),
    }
}

/// ``process 3's `read → 3` ``, long values elided.
pub(super) fn who(op: &Op) -> String {
    format!("{}'s {}", actor(op), what(op))
}

/// `` `read → 3` ``, long values elided.
pub(super) fn what(op: &Op) -> String {
    format!("`{}`", short(op))
}

/// ` on k7`, or empty if the history has only one object.
pub(super) fn on(op: &Op) -> String {
    if op.key.is_nil() { String::new() } else { format!(" on {}", short(&op.key)) }
}

/// The text of a value or an operation, elided in the middle if it is long.
pub(super) fn short(thing: &impl ToString) -> String {
    let text = thing.to_string();
    let length = text.chars().count();
    if length <= LENGTH_MAX {
        return text;
    }
    let head: String = text.chars().take(LENGTH_MAX * 2 / 3).collect();
    let tail: String = text.chars().skip(length - LENGTH_MAX / 3 + 1).collect();
    format!("{head}…{tail}")
}

/// The unit for instants: time, or events if a recording has only the order of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// Nanoseconds.
    Time,
    /// Positions of events.
    Events,
}

impl Clock {
    /// The clock of a recording; recordings without times use the positions of events as times.
    pub(super) fn of(ops: &[Op]) -> Clock {
        let by_position = |op: &Op| op.call == op.invoke_index && op.completed == op.complete_index;
        if ops.iter().all(by_position) { Clock::Events } else { Clock::Time }
    }

    /// A duration in a suitable unit: `49 ms`, `4.2 ms`, `830 µs`, `12.4 s`, `3 events`.
    pub(super) fn span(self, from: Nanos, to: Nanos) -> String {
        let length = to.saturating_sub(from);
        if self == Clock::Events {
            return count(length as usize, "event");
        }
        let (value, unit) = match length {
            0..1_000 => return format!("{length} ns"),
            1_000..1_000_000 => (length as f64 / 1e3, "µs"),
            1_000_000..1_000_000_000 => (length as f64 / 1e6, "ms"),
            _ => (length as f64 / 1e9, "s"),
        };
        if value < 10.0 || unit == "s" { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
    }

    /// Two instants, `12.421 s` and `12.470 s`, with enough decimals to distinguish them, at least three; or
    /// `event 34` and `event 40`.
    pub(super) fn instants(self, a: Nanos, b: Nanos) -> (String, String) {
        if self == Clock::Events {
            return (format!("event {a}"), format!("event {b}"));
        }
        let text = |nanos: Nanos, decimals: usize| {
            let fraction = format!("{:09}", nanos % 1_000_000_000);
            format!("{}.{} s", nanos / 1_000_000_000, &fraction[..decimals])
        };
        let enough = (3..9).find(|&decimals| a == b || text(a, decimals) != text(b, decimals)).unwrap_or(9);
        (text(a, enough), text(b, enough))
    }
}

/// A number with the noun it counts: `1 read`, `17 reads`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_unit_that_suits_them() {
        let spans: Vec<_> = [7, 4_200, 830_000, 4_249_000, 49_000_000, 6_487_000_000]
            .map(|to| Clock::Time.span(0, to))
            .into();
        assert_eq!(Clock::Events.span(3, 5), "2 events");
        assert_eq!(spans, ["7 ns", "4.2 µs", "830 µs", "4.2 ms", "49 ms", "6.5 s"]);
    }

    #[test]
    fn instants_have_the_decimals_that_tell_them_apart() {
        let pair = |a, b| {
            let (a, b) = Clock::Time.instants(a, b);
            format!("{a} {b}")
        };
        assert_eq!(pair(12_421_000_000, 12_470_000_000), "12.421 s 12.470 s");
        assert_eq!(pair(12_421_000_000, 12_421_000_900), "12.4210000 s 12.4210009 s");
        assert_eq!(pair(5, 5), "0.000 s 0.000 s");
    }

    #[test]
    fn long_text_is_elided_in_the_middle() {
        let text = short(&"0123456789".repeat(20));
        assert_eq!(text, "0123456789012345678901234567890123456789…1234567890123456789");
        assert_eq!(text.chars().count(), 60);
    }
}
