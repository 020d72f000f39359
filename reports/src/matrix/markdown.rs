//! `matrix.md`: the matrix as tables.

use super::words::{besides, command, conclusion, frequent, interval, median_ops, median_time, rate};
use super::{Matrix, Row};
use crate::markdown::{details, escaped, fenced};
use crate::wording::{counted, elide, millis};

/// The matrix.
pub fn render(matrix: &Matrix) -> String {
    let (correct, flaws): (Vec<&Row>, Vec<&Row>) = matrix.rows.iter().partition(|row| row.is_correct());
    let mut out = format!(
        "# Matrix\n\n{}\n\nAt most {} of each, for at most {}; tribunal {}.\n",
        escaped(&conclusion(matrix)),
        counted(matrix.seeds as usize, "run"),
        millis(matrix.budget_ms),
        escaped(&matrix.tool.version),
    );
    if !flaws.is_empty() {
        out += "\n| flaw | workload | faults | found | 95 % interval | median time | ops | found under | as | rule |\n";
        out += "|---|---|---|--:|--:|--:|--:|---|---|---|\n";
        for row in flaws {
            let it = &row.summary;
            let cells = [
                row.name(),
                row.workload.clone(),
                row.nemesis.clone(),
                with_besides(rate(it), row),
                interval(it),
                median_time(it),
                median_ops(it),
                frequent(&it.by_fault),
                frequent(&it.by_class),
                elide(row.rule.as_deref().unwrap_or_default(), 200),
            ];
            out += &line(&cells);
        }
    }
    if !correct.is_empty() {
        out += "\n| correct system | workload | faults | false alarms | 95 % interval |\n|---|---|---|--:|--:|\n";
        for row in correct {
            let cells = [
                row.name(),
                row.workload.clone(),
                row.nemesis.clone(),
                with_besides(rate(&row.summary), row),
                interval(&row.summary),
            ];
            out += &line(&cells);
        }
    }
    let commands: Vec<String> =
        matrix.rows.iter().map(|row| format!("{} --seed N", elide(&command(row), 300))).collect();
    out + &format!("\n{}", details("The commands", &fenced(&commands.join("\n"))))
}

fn with_besides(rate: String, row: &Row) -> String {
    match besides(&row.summary) {
        words if words.is_empty() => rate,
        words => format!("{rate}; {words}"),
    }
}

fn line(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| escaped(&elide(cell, 300))).collect();
    format!("| {} |\n", cells.join(" | "))
}
