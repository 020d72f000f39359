//! The work and the cost of the check.

use maud::{Markup, html};
use tribunal_checker::check::Algorithm;
use tribunal_checker::verdict::{Answer, Part, Verdict};

use super::table::Column::{Number, Text};
use super::table::{number, numbers, share, table};
use super::{evidence, figures, titled};
use crate::judgement::RunOutcome;
use crate::plots::CHECK_PLOTS;
use crate::run_dir::RunDir;
use crate::wording::{self, bytes, count, counted, elide, millis, value};

/// The maximum number of keys listed: those with the most work.
const KEYS_MAX: usize = 12;

pub(super) fn section(run: &RunDir) -> Markup {
    let body = match &run.judgement.checker {
        Some(verdict) => {
            let inside = html! { (facts(run, verdict)) (hardest(verdict)) (figures(run, CHECK_PLOTS)) };
            html! {
                details open[verdict.answer == Answer::Unknown] {
                    summary { "Algorithm, effort and limits" }
                    (inside)
                }
                @if let Some(violation) = run.judgement.violation() {
                    (evidence::configurations(&run.judgement, violation))
                }
            }
        }
        None => html! { p { "Nothing was checked." } },
    };
    titled("check", "The check", "", body)
}

fn with(verdict: &Verdict, answer: Answer) -> usize {
    verdict.parts.iter().filter(|part| part.answer == answer).count()
}

fn facts(run: &RunDir, verdict: &Verdict) -> Markup {
    let mut engines: Vec<Algorithm> = verdict.parts.iter().map(|part| part.engine).collect();
    engines.sort_unstable();
    engines.dedup();
    let algorithms: Vec<String> = engines.iter().map(ToString::to_string).collect();
    let [linearizable, violated, undecided] =
        [Answer::Linearizable, Answer::Violation, Answer::Unknown].map(|answer| count(with(verdict, answer)));
    let effort = &verdict.effort;
    html! {
        dl {
            dt { "model" }
            dd { (elide(&verdict.model, 60)) }
            @if !engines.is_empty() {
                dt { "algorithm" }
                dd { (elide(&algorithms.join(", "), 120)) }
            }
            dt { "keys" }
            dd {
                @if verdict.parts.is_empty() { "none: there was nothing to check" } @else {
                (counted(verdict.parts.len(), "key")) ": " (linearizable) " " (RunOutcome::good(&verdict.model).name()) ", " (violated) " violated, "
                (undecided) " undecided"
                }
            }
            dt { "configurations" }
            dd { (count(effort.states)) " explored, at most " (count(effort.frontier_max)) " held at once" }
            @if let Some(cost) = run.judgement.check_cost {
                dt { "took" }
                dd {
                    (millis(cost.took_ms))
                    @if cost.memory_peak_bytes > 0 { ", at most " (bytes(cost.memory_peak_bytes)) " of memory" }
                }
            }
            @if !effort.limits.is_empty() {
                dt { "limits" }
                dd { (elide(&effort.limits.join(" · "), 300)) }
            }
            @if let Some(violation) = run.judgement.violation() {
                dt { "shrinking" }
                dd {
                    "from " (counted(violation.shrink.from, "operation")) " to " (count(violation.shrink.to)) " in "
                    (counted(violation.shrink.rechecks, "check"))
                    @if !violation.shrink.complete { ", until the budget was exhausted" }
                }
            }
        }
    }
}

/// The keys with the most work, undecided and violated ones first.
fn hardest(verdict: &Verdict) -> Markup {
    let undecided = with(verdict, Answer::Unknown) > 0;
    if verdict.parts.len() < 2 && !undecided {
        return html! {};
    }
    let mut parts: Vec<&Part> = verdict.parts.iter().collect();
    parts.sort_by_key(|part| (part.answer == Answer::Linearizable, std::cmp::Reverse(part.states)));
    let columns = [
        Text("key"),
        Number("operations"),
        Text("answer"),
        Text("algorithm"),
        Number("configurations"),
        Number("at once"),
        Text("of all work"),
        Text("stopped"),
    ];
    let all = verdict.effort.states;
    let rows = html! { @for part in parts.iter().take(KEYS_MAX) { (row(part, all, RunOutcome::good(&verdict.model))) } };
    html! {
        details open[undecided] {
            summary { "The keys that took the most work" }
            (table(&columns, rows))
        }
    }
}

fn row(part: &Part, all: u64, good: RunOutcome) -> Markup {
    let answer = match part.answer {
        Answer::Linearizable => format!("✓ {}", good.name()),
        Answer::Violation => "✗ violation".into(),
        Answer::Unknown => "? unknown".into(),
    };
    html! {
        tr {
            td { @if part.key.is_nil() { "–" } @else { code { (value(&part.key)) } } }
            (number(count(part.ops)))
            td .phrase { (answer) }
            td { (elide(&part.engine.to_string(), 40)) }
            (numbers([count(part.states), count(part.frontier_max)]))
            (share(part.states as f64 / all.max(1) as f64))
            td {
                @if let Some(stop) = &part.undecided {
                    (super::verdict::with_code(&elide(&wording::undecided(stop), 200)))
                }
            }
        }
    }
}
