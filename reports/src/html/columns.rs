//! The operations of a run, packed for the picture of the whole run.
//!
//! Six columns of numbers, each number in as many bytes as it needs (LEB128: seven bits per byte, the high bit
//! set on all but the last), one column after the other, then gzip and base64: about six characters per
//! operation. The script unpacks them.
//!
//! ```text
//! invoked     µs since the previous invocation        outcome   4 × index of the name + 0 ok, 1 fail, 2 info
//! took        µs, plus 1; 0: it never completed       line      invocation's index, minus the previous one's
//! process     its number                              lines     completion's index minus invocation's; 0: none
//! ```

use std::collections::BTreeSet;
use std::io::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde::Serialize;
use tribunal_checker::op::{F, Nanos, Op, Outcome};

use crate::wording::{elide, operation, value};

/// The maximum number of operations on a page; beyond it, only those around the violation.
pub(super) const OPS_MAX: usize = 1_000_000;
/// The maximum length of all descriptions on a page, in characters; operations farther from the violation
/// have none.
const WORDS_CHARS_MAX: usize = 1_000_000;
/// The maximum number of distinct operation names; further ones are shown as `…`.
const NAMES_MAX: usize = 60;

/// The operations, in the form that the script reads.
#[derive(Debug, Serialize)]
pub(super) struct Columns {
    /// The number of operations of the run.
    pub(super) total: usize,
    /// The position of the first operation included.
    pub(super) first: usize,
    /// The number of operations included.
    pub(super) n: usize,
    /// The names of operations.
    names: Vec<String>,
    /// The columns of numbers.
    packed: String,
    /// The position of the first operation with a description.
    words_first: usize,
    /// Descriptions, such as `k7 write 4`, a line each; gzip and base64.
    words: String,
}

/// Packs the operations; if there are too many, those around position `centre`. A time unit is `unit_ns`
/// long.
pub(super) fn pack(ops: &[Op], centre: usize, unit_ns: Nanos) -> Columns {
    let first = window_start(ops.len(), centre, OPS_MAX);
    let here = &ops[first..ops.len().min(first + OPS_MAX)];
    let names: BTreeSet<&F> = here.iter().map(|op| &op.f).collect();
    let names: Vec<&F> = names.into_iter().take(NAMES_MAX).collect();

    let mut columns: [Vec<u8>; 6] = std::array::from_fn(|_| Vec::with_capacity(2 * here.len()));
    let (mut call_before, mut line_before) = (0, 0);
    for op in here {
        let call = op.call / unit_ns;
        let name = names.iter().position(|f| **f == op.f).unwrap_or(names.len());
        let outcome = match op.outcome {
            Outcome::Ok(_) => 0,
            Outcome::Fail => 1,
            Outcome::Info => 2,
        };
        let numbers = [
            call.saturating_sub(call_before),
            op.completed.map_or(0, |end| (end / unit_ns).saturating_sub(call).saturating_add(1)),
            op.process,
            name as u64 * 4 + outcome,
            op.invoke_index.saturating_sub(line_before),
            op.complete_index.map_or(0, |end| end.saturating_sub(op.invoke_index)),
        ];
        columns.iter_mut().zip(numbers).for_each(|(column, number)| put(column, number));
        (call_before, line_before) = (call, op.invoke_index);
    }
    let (words_first, words) = words(ops, centre);
    Columns {
        total: ops.len(),
        first,
        n: here.len(),
        names: names.iter().map(|f| elide(f.name(), 30)).chain(["…".to_string()]).collect(),
        packed: BASE64.encode(gzip(&columns.concat())),
        words_first,
        words: BASE64.encode(gzip(words.join("\n").as_bytes())),
    }
}

/// The start of a window of at most `max` of `len` items, centred on `centre` if possible.
fn window_start(len: usize, centre: usize, max: usize) -> usize {
    centre.saturating_sub(max / 2).min(len.saturating_sub(max))
}

/// Descriptions of the operations around `centre`, as many as fit.
fn words(ops: &[Op], centre: usize) -> (usize, Vec<String>) {
    let describe = |op: &Op| match op.key.is_nil() {
        true => operation(op),
        false => format!("{} {}", value(&op.key), operation(op)),
    };
    let typical = ops.iter().step_by(ops.len() / 100 + 1).map(|op| describe(op).len() + 3);
    let longest = typical.max().unwrap_or(1);
    let first = window_start(ops.len(), centre, WORDS_CHARS_MAX / longest);
    let mut room = WORDS_CHARS_MAX;
    let words = ops[first..].iter().map(describe).take_while(|words| {
        let fits = words.len() + 3 <= room;
        room = room.saturating_sub(words.len() + 3);
        fits
    });
    (first, words.collect())
}

/// Compressed; the same bytes give the same bytes.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(bytes).and_then(|()| gzip.finish()).expect("memory takes every byte")
}

fn put(packed: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        packed.push(number as u8 | 0x80);
        number >>= 7;
    }
    packed.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_the_bytes_they_need() {
        let packed = |number| {
            let mut packed = Vec::new();
            put(&mut packed, number);
            packed
        };
        assert_eq!(packed(0), [0]);
        assert_eq!(packed(127), [0x7f]);
        assert_eq!(packed(300), [0xac, 0x02]);
        assert_eq!(packed(u64::MAX).len(), 10);
    }

    #[test]
    fn a_window_lies_around_its_centre_and_inside() {
        assert_eq!(window_start(100, 50, 10), 45);
        assert_eq!(window_start(100, 2, 10), 0);
        assert_eq!(window_start(100, 99, 10), 90);
        assert_eq!(window_start(5, 3, 10), 0);
    }
}
