//! `matrix.html`: the matrix as a heat map, and every row with its runs.
//!
//! The more runs of a cell found the flaw, the darker it is; it also shows the numbers. The page has no
//! script.

use maud::{Markup, html};

use super::runs_page::{address, document};
use super::table::Column::{Number, Text};
use super::table::{number, numbers, table};
use super::titled;
use crate::judgement::RunOutcome;
use crate::matrix::words::{besides, command, conclusion, frequent, interval, median_ops, median_time, rate};
use crate::matrix::{Finding, Matrix, Row};
use crate::summary;
use crate::wording::{counted, elide, millis};

/// The page.
pub fn render(matrix: &Matrix) -> String {
    let (correct, flaws): (Vec<&Row>, Vec<&Row>) = matrix.rows.iter().partition(|row| row.is_correct());
    let totals = matrix.totals();
    let fine =
        totals.false_alarms == 0 && totals.broke == 0 && totals.found == totals.flaws && matrix.due() == 0;
    let subject = format!(
        "{} of each, for at most {} · tribunal {}",
        counted(matrix.seeds as usize, "run"),
        millis(matrix.budget_ms),
        matrix.tool.version
    );
    document(
        "Matrix",
        html! {
            header .verdict.(if fine { "linearizable" } else { "unknown" }) {
                h1 { span .word { "Matrix. " } (conclusion(matrix)) }
                p .subject { (elide(&subject, 200)) }
            }
            @if !flaws.is_empty() {
                (titled("map", "What was found", "share of runs, and median time to detection", map(&flaws)))
                (titled("flaws", "Every flaw", "narrower interval = more certain", flaw_table(matrix, &flaws)))
            }
            @if !correct.is_empty() {
                (titled("correct", "Correct systems", "every violation here is a false alarm", correct_table(matrix, &correct)))
            }
            (titled("commands", "How to reproduce it", "", commands(matrix)))
        },
    )
}

/// One line per flaw and workload, one column per nemesis tried on all. A flaw with its own faults has one
/// wide cell that names them.
fn map(flaws: &[&Row]) -> Markup {
    let mut lines: Vec<Vec<&Row>> = Vec::new();
    for row in flaws {
        let of_line =
            |line: &&mut Vec<&Row>| line[0].name() == row.name() && line[0].workload == row.workload;
        match lines.iter_mut().find(of_line) {
            Some(line) => line.push(row),
            None => lines.push(vec![row]),
        }
    }
    let of_all = lines.iter().rev().max_by_key(|line| line.len());
    let nemeses: Vec<&str> = of_all.into_iter().flatten().map(|row| row.nemesis.as_str()).collect();
    html! {
        div .scroll tabindex="0" {
            table .heat {
                thead { tr { th { "flaw" } th { "workload" } @for name in &nemeses { th { (elide(name, 60)) } } } }
                tbody {
                    @for line in &lines {
                        tr {
                            td { code { (elide(&line[0].name(), 60)) } }
                            td { (elide(&line[0].workload, 40)) }
                            @match line[..] {
                                [row] if !nemeses.contains(&row.nemesis.as_str()) => (cell(row, nemeses.len(), true)),
                                _ => @for nemesis in &nemeses {
                                    @match line.iter().find(|row| row.nemesis == *nemesis) {
                                        Some(row) => (cell(row, 1, false)),
                                        None => td .none { "–" },
                                    }
                                },
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The numbers of a row, over `columns` columns; with the faults if these are not the column's.
fn cell(row: &Row, columns: usize, own: bool) -> Markup {
    let it = &row.summary;
    if it.of == 0 {
        return html! { td .none colspan=(columns) { @if it.broke > 0 { (besides(it)) } @else { "not run yet" } } };
    }
    let share = it.found * 100 / it.of;
    html! {
        td .cell.full[share > 50].missed[it.found == 0] colspan=(columns) style=(format!("--share: {share}%")) {
            b { (rate(it)) } @if it.found > 0 { " · " (median_time(it)) } @if own { " · " (elide(&row.nemesis, 60)) }
        }
    }
}

fn flaw_table(matrix: &Matrix, flaws: &[&Row]) -> Markup {
    let columns = [
        Text("bug, and the rule that it breaks"),
        Number("found"),
        Number("95 %"),
        Number("median"),
        Number("ops"),
        Text("found under"),
        Text("as"),
        Text("time to detection"),
        Text("runs by seed"),
    ];
    let rows = html! {
        @for row in flaws {
            tr {
                td .rule {
                    code { (elide(&row.name(), 60)) } " with " (elide(&row.workload, 40)) " under " (elide(&row.nemesis, 60))
                    div .remark { (elide(row.rule.as_deref().unwrap_or_default(), 300)) }
                }
                (counts(row))
                (numbers([interval(&row.summary), median_time(&row.summary), median_ops(&row.summary)]))
                td .wide { (frequent(&row.summary.by_fault)) }
                td { (frequent(&row.summary.by_class)) }
                td { (times(row, matrix.budget_ms)) }
                td .marks { (marks(&row.runs)) }
            }
        }
    };
    table(&columns, rows)
}

fn correct_table(matrix: &Matrix, correct: &[&Row]) -> Markup {
    let columns = [
        Text("system"),
        Text("workload"),
        Text("faults"),
        Number("false alarms"),
        Number("95 %"),
        Number("operations"),
        Text("runs by seed"),
    ];
    let rows = html! {
        @for row in correct {
            tr {
                td { code { (elide(&row.name(), 60)) } }
                td { (elide(&row.workload, 40)) }
                td { (elide(&row.nemesis, 60)) }
                (counts(row))
                (number(interval(&row.summary)))
                (number(crate::wording::count(row.runs.iter().map(|run| run.ops).sum::<usize>())))
                td .marks { (marks(&row.runs)) }
            }
        }
    };
    html! {
        (table(&columns, rows))
        p .remark { (counted(matrix.totals().correct, "run")) " in all; the interval is of the share of false alarms." }
    }
}

fn counts(row: &Row) -> Markup {
    html! {
        td .number {
            (rate(&row.summary))
            @let besides = besides(&row.summary);
            @if !besides.is_empty() { div .remark { (besides) } }
        }
    }
}

/// A tick for every run that found the flaw, at its time of detection, on an axis from 0 to the budget.
fn times(row: &Row, budget_ms: u64) -> Markup {
    const WIDE: f64 = 120.0;
    let at = |ms: u64| format!("{:.1}", ms as f64 / budget_ms.max(1) as f64 * (WIDE - 2.0));
    html! {
        svg .times width=(WIDE) height="16" aria-hidden="true" {
            rect .whole y="7" width=(WIDE) height="2" {}
            @for ms in row.runs.iter().filter_map(|run| run.after_ms) {
                rect .tick x=(at(ms.min(budget_ms))) y="1" width="2" height="14" {}
            }
        }
    }
}

/// A mark for every run, linked to its report.
fn marks(runs: &[Finding]) -> Markup {
    html! {
        @for run in runs {
            @let label = format!("seed {}: {}", run.seed, elide(&run.sentence, 200));
            a .mark.(run.outcome.name()) href=(link(run)) title=(label) { (summary::sign(run.outcome)) }
        }
    }
}

fn link(run: &Finding) -> String {
    match run.outcome {
        RunOutcome::HarnessFailure if run.path.is_empty() => String::new(),
        _ => format!("{}/report.html", address(&run.path)),
    }
}

fn commands(matrix: &Matrix) -> Markup {
    html! {
        p { "Every run can be repeated with its seed. The marks link to the reports: ✗ violation, ✓ no violation, ? unknown, ! harness failure." }
        details {
            summary { "The commands" }
            pre .commands { @for row in &matrix.rows { (elide(&command(row), 300)) " --seed N\n" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use tribunal_records::TrialSpec;

    use super::*;

    #[test]
    fn what_a_run_says_is_escaped() {
        let evil = "<img src=x onerror=alert(1)>\"'&#";
        let run = Finding {
            seed: 1,
            outcome: RunOutcome::Violation,
            sentence: evil.into(),
            ops: 1,
            class: Some(evil.into()),
            after_ms: Some(70_000),
            counterexample: Some(2),
            faults: vec![evil.into()],
            path: evil.into(),
        };
        let mut row = Row {
            system: evil.into(),
            rule: Some(evil.into()),
            workload: evil.into(),
            nemesis: evil.into(),
            spec: TrialSpec::new(evil).with(|spec| spec.system = evil.into()),
            runs: vec![run],
            ..Row::default()
        };
        row.summarise();
        let correct = Row { rule: None, ..row.clone() };
        let matrix = Matrix { rows: vec![row, correct], budget_ms: 60_000, ..Matrix::default() };
        let page = render(&matrix);
        assert!(page.contains("&lt;img") && !page.contains("<img") && !page.contains("<script"), "{page}");
        let markdown = crate::matrix::markdown(&matrix);
        let (tables, commands) = markdown.split_once("```").unwrap();
        assert!(!tables.contains("<img") && commands.contains("--system"), "{markdown}");
    }
}
