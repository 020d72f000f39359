//! How numbers, times and values are written, the same in every report.
//!
//! Nothing here depends on the locale or the current time: the same run gives the same bytes.

use std::borrow::Cow;

use tribunal_checker::limits::Limit;
use tribunal_checker::op::{Nanos, Op, Value};
use tribunal_checker::verdict::Undecided;

/// The maximum length of a value in a report; the full value is in `history.jsonl`.
pub const VALUE_CHARS_MAX: usize = 60;

/// A number with thousands separators: `99,541`.
pub fn count(n: impl TryInto<u64>) -> String {
    let digits = n.try_into().unwrap_or(u64::MAX).to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with its noun: `1 key`, `128 keys`.
pub fn counted(n: usize, one: &str) -> String {
    format!("{} {one}{}", count(n as u64), if n == 1 { "" } else { "s" })
}

/// The flag of the command line that raises a limit; `None` if the user interrupted the check.
pub fn raised_by(limit: Limit) -> Option<&'static str> {
    match limit {
        Limit::Time => Some("--check-time-limit"),
        Limit::Memory => Some("--check-memory-limit"),
        Limit::States => Some("--check-states-limit"),
        Limit::Cancelled => Some("--all-parts"),
        Limit::Interrupted => None,
    }
}

/// Why a key is undecided, and how to decide it.
pub fn undecided(stop: &Undecided) -> String {
    match stop.was_abandoned() {
        true => "not checked: stopped at the first violation (`tribunal check --all-parts` checks every key)"
            .into(),
        false => {
            let raised =
                raised_by(stop.by).map(|flag| format!("; `{flag}` raises this limit")).unwrap_or_default();
            let (reached, of) = (count(stop.reached), counted(stop.of, "operation"));
            format!("{} after {reached} of {of}{raised}", stop.limit)
        }
    }
}

/// A point in time, in seconds since the start of the run: `12.470`.
pub fn seconds(t: Nanos) -> String {
    let millis = t / 1_000_000 + u64::from(t % 1_000_000 >= 500_000);
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// A duration in the best-fitting unit: `840 ns`, `12.4 µs`, `49 ms`, `5.0 s`.
pub fn duration(ns: Nanos) -> String {
    let ns = ns as f64;
    let (scale, unit) = match ns {
        n if n < 1e3 => return format!("{n:.0} ns"),
        n if n < 1e6 => (1e3, "µs"),
        n if n < 1e9 => (1e6, "ms"),
        n if n < 120e9 => (1e9, "s"),
        _ => (60e9, "min"),
    };
    let scaled = ns / scale;
    if scaled < 10.0 { format!("{scaled:.1} {unit}") } else { format!("{scaled:.0} {unit}") }
}

/// A duration measured in whole milliseconds.
pub fn millis(ms: u64) -> String {
    if ms == 0 { "under 1 ms".to_string() } else { duration(ms.saturating_mul(1_000_000)) }
}

/// A share in percent: `98.9 %`; `–` if `whole` is 0.
pub fn percent(part: usize, whole: usize) -> String {
    if whole == 0 {
        return "–".to_string();
    }
    // Rounded down, so that only all gives 100 %.
    let tenths = (part as u128 * 1000 / whole as u128) as u64;
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// A number of bytes: `812 B`, `14 kB`, `1.7 MB`.
pub fn bytes(n: u64) -> String {
    match n {
        n if n < 1000 => format!("{n} B"),
        n if n < 1_000_000 => format!("{:.0} kB", n as f64 / 1e3),
        n => format!("{:.1} MB", n as f64 / 1e6),
    }
}

/// At most `max` characters of a text, on one line, with `…` for the rest. Control characters (such as
/// terminal escape sequences) are written as `␛` and similar symbols, so that they do no harm.
pub fn elide(text: &str, max: usize) -> String {
    let mut chars = text.chars();
    let mut out: String = chars.by_ref().take(max).map(visible).collect();
    if chars.next().is_some() {
        out.pop();
        out.push('…');
    }
    out
}

/// The whole text on one line, otherwise as [`elide`].
pub fn one_line(text: &str) -> String {
    elide(text, usize::MAX)
}

/// A text of several lines without effect on a terminal: [`one_line`] of each line, except tabs.
pub fn harmless(text: &str) -> Cow<'_, str> {
    let acts = |c: char| is_unseen(c) && c != '\n' && c != '\t';
    match text.contains(acts) {
        true => text.chars().map(|c| if acts(c) { visible(c) } else { c }).collect::<String>().into(),
        false => text.into(),
    }
}

/// A visible form of a character.
fn visible(c: char) -> char {
    match c {
        '\u{7f}' => '␡',
        c if (c as u32) < 0x20 => char::from_u32(0x2400 + c as u32).expect("the block of control pictures"),
        c if is_unseen(c) => '�',
        c => c,
    }
}

/// Whether a character is invisible but has an effect: moves a terminal's cursor, hides text, or changes the
/// reading order.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// The text in ASCII, character by character, which keeps the alignment.
pub fn ascii(text: &str) -> String {
    let plain = |c: char| match c {
        c if c.is_ascii() => c,
        '①'..='⑨' => char::from(b'1' + (c as u32 - '①' as u32) as u8),
        '─' | '━' | '╸' | '–' | '—' | '−' | '·' => '-',
        '├' | '┤' | '│' | '┼' => '|',
        '┊' => ':',
        '┄' => '.',
        '→' | '▸' => '>',
        '←' => '<',
        '░' => '=',
        '▒' | '▓' | '█' => '#',
        '✗' => 'x',
        '✓' => '+',
        '≠' => '!',
        '…' => '~',
        'µ' => 'u',
        '×' => 'x',
        '“' | '”' => '"',
        '‘' | '’' => '\'',
        c if c.is_whitespace() => ' ',
        _ => '?',
    };
    text.chars().map(plain).collect()
}

/// An operation as text, elided: `write 4`, `read → 3`. A failed comparison is `cas 2→5 ≠`, because in
/// reports ✗ marks the witness.
pub fn operation(op: &Op) -> String {
    elide(&op.to_string(), VALUE_CHARS_MAX)
}

/// A key or another value as text, elided.
pub fn value(value: &Value) -> String {
    elide(&value.to_string(), VALUE_CHARS_MAX)
}

/// The circled number of a position in an order: ①, ②, ... ⑳, (21); few fonts have more.
pub fn circled(place: usize) -> String {
    match place {
        1..=20 => {
            char::from_u32(0x2460 + place as u32 - 1).expect("the block of circled numbers").to_string()
        }
        _ => format!("({place})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [count(7u64), count(812u64), count(99_541u64), count(1_000_000u64)],
            ["7", "812", "99,541", "1,000,000"]
        );
        assert_eq!([seconds(12_470_123_000), seconds(0), seconds(999_500_000)], ["12.470", "0.000", "1.000"]);
        assert_eq!(
            [840, 12_400, 49_000_000, 5_000_000_000, 180_000_000_000].map(duration),
            ["840 ns", "12 µs", "49 ms", "5.0 s", "3.0 min"]
        );
        assert_eq!([percent(1, 0), percent(9999, 10_000), percent(5, 5)], ["–", "99.9 %", "100.0 %"]);
    }

    #[test]
    fn elided_text_is_one_harmless_line() {
        assert_eq!(elide("a\nb\u{1b}[31mred", 60), "a␊b␛[31mred");
        assert_eq!(elide(&"x".repeat(1_000_000), 5), "xxxx…");
        assert_eq!(elide("été", 3), "été");
        assert_eq!(elide("gnp.\u{202e}exe", 60), "gnp.�exe");
        assert_eq!(one_line("a\r\nb\tc\u{7f}"), "a␍␊b␉c␡");
        assert_eq!(harmless("a\r\nb\tc\u{9b}2J"), "a␍\nb\tc�2J");
    }

    #[test]
    fn places_are_circled() {
        assert_eq!([1, 20, 21].map(circled), ["①", "⑳", "(21)"]);
    }
}
