//! The matrix in words, the same for every format.

use super::{Matrix, Row, Summary, Totals};
use crate::wording::{counted, elide, millis};

/// The maximum number of faults or classes named.
const NAMED_MAX: usize = 3;

/// The detection rate, such as `9 of 10`.
pub fn rate(summary: &Summary) -> String {
    match summary.of {
        0 => "–".into(),
        of => format!("{} of {of}", summary.found),
    }
}

/// The interval of the rate in percent, such as `60–98 %`.
pub fn interval(summary: &Summary) -> String {
    match summary.of {
        0 => "–".into(),
        _ => format!("{:.0}–{:.0} %", summary.interval[0] * 100.0, summary.interval[1] * 100.0),
    }
}

/// The median time to detection.
pub fn median_time(summary: &Summary) -> String {
    summary.median_ms.map_or("–".into(), millis)
}

/// The median size of the minimal counterexample.
pub fn median_ops(summary: &Summary) -> String {
    summary.median_ops.map_or("–".into(), |ops| ops.to_string())
}

/// The most frequent names with their counts, such as `kill one (6), pause leader (2)`.
pub fn frequent(names: &[(String, usize)]) -> String {
    let mut words: Vec<String> =
        names.iter().take(NAMED_MAX).map(|(name, n)| format!("{} ({n})", elide(name, 60))).collect();
    if names.len() > NAMED_MAX {
        words.push("…".into());
    }
    match words.len() {
        0 => "–".into(),
        _ => words.join(", "),
    }
}

/// Undecided runs and harness failures, if any.
pub fn besides(summary: &Summary) -> String {
    let mut words = Vec::new();
    if summary.unknown > 0 {
        words.push(format!("{} unknown", summary.unknown));
    }
    if summary.broke > 0 {
        words.push(format!(
            "{} harness {}",
            summary.broke,
            if summary.broke == 1 { "failure" } else { "failures" }
        ));
    }
    words.join(", ")
}

/// The command of a row's runs, without the seed.
pub fn command(row: &Row) -> String {
    crate::run_info::command(row.spec.words())
}

/// The whole matrix in one or two sentences.
pub fn conclusion(matrix: &Matrix) -> String {
    let Totals { found, flaws, quiet, correct, false_alarms, broke } = matrix.totals();
    let mut sentences = Vec::new();
    if flaws > 0 {
        sentences.push(format!("{found} of {} found.", counted(flaws, "flaw")));
    }
    if correct > 0 {
        sentences.push(match (false_alarms, correct - quiet) {
            (0, 0) => format!("{} of correct systems, no false alarm.", counted(correct, "run")),
            (0, _) => {
                format!("{quiet} of {} of correct systems decided, no false alarm.", counted(correct, "run"))
            }
            _ => format!(
                "{} in {} of correct systems.",
                counted(false_alarms, "false alarm"),
                counted(correct, "run")
            ),
        });
    }
    if broke > 0 {
        sentences.push(format!("Harness failure in {}.", counted(broke, "run")));
    }
    if matrix.due() > 0 {
        sentences.push(format!("{} left.", counted(matrix.due(), "run")));
    }
    match sentences.len() {
        0 => "Nothing was run.".into(),
        _ => sentences.join(" "),
    }
}
