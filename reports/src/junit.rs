//! `junit.xml`: the run as a test suite, for the CI systems that read such files.
//!
//! One case per property. `unknown` and a harness failure are errors and never skipped: a build that could not tell must not be
//! green. The elements and attributes are those that Jenkins and GitLab read.

use maud::{Markup, html};
use tribunal_checker::verdict::Answer;

use crate::judgement::{RunOutcome, unavailable};
use crate::run_dir::RunDir;
use crate::summary;
use crate::text;
use crate::wording::{elide, value};

/// The longest text in an attribute.
const TEXT_CHARS_MAX: usize = 600;
/// The most keys that have a case of their own: those that are not linearizable first.
const KEYS_MAX: usize = 1_000;

/// What a case comes to.
enum Verdict {
    Good,
    /// What it was asked to show is not so: type and message.
    Failure(String, String),
    /// Nobody can tell: type and message.
    Error(String, String),
}

/// The file.
pub fn render(run: &RunDir) -> String {
    let info = &run.evidence.info;
    let suite = elide(&format!("{} on {}", info.workload, info.system), TEXT_CHARS_MAX);
    let cases = cases(run);
    let failures = cases.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Failure(..))).count();
    let errors = cases.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Error(..))).count();
    let time = format!("{:.3}", run.judgement.stats.span_ns as f64 / 1e9);
    let body = text::render(run);
    let markup = html! {
        testsuites name="tribunal" tests=(cases.len()) failures=(failures) errors=(errors) time=(time) {
            testsuite name=(suite) tests=(cases.len()) failures=(failures) errors=(errors) skipped="0" time=(time)
                timestamp=(elide(&info.started_utc, 40)) {
                properties {
                    (property("seed", &info.seed.to_string()))
                    (property("model", &info.model))
                    (property("rerun", &info.rerun_command()))
                    (property("report", &format!("{}/report.html", run.name)))
                }
                @for (name, verdict) in &cases {
                    testcase name=(name) classname=(suite) time="0" {
                        @match verdict {
                            Verdict::Good => {},
                            Verdict::Failure(kind, message) => { failure type=(kind) message=(message) { (body) } },
                            Verdict::Error(kind, message) => { error type=(kind) message=(message) { (body) } },
                        }
                    }
                }
            }
        }
    };
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", markup.into_string())
}

fn property(name: &str, value: &str) -> Markup {
    html! { property name=(name) value=(elide(value, TEXT_CHARS_MAX)) {} }
}

fn cases(run: &RunDir) -> Vec<(String, Verdict)> {
    let judgement = &run.judgement;
    let sentence = elide(&judgement.sentence, TEXT_CHARS_MAX);
    let mut cases = Vec::new();
    let good = RunOutcome::good(&run.evidence.info.model).name();
    let parts = judgement.checker.iter().flat_map(|verdict| &verdict.parts);
    let mut parts: Vec<_> = parts.collect();
    parts.sort_by_key(|part| part.answer == Answer::Linearizable);
    for part in parts.into_iter().take(KEYS_MAX) {
        let name = if part.key.is_nil() { good.into() } else { format!("{good}/{}", value(&part.key)) };
        let violation = judgement.violation().filter(|violation| violation.key == part.key);
        let verdict = match part.answer {
            Answer::Linearizable => Verdict::Good,
            Answer::Violation => Verdict::Failure(
                violation.map_or("no-order".into(), |violation| elide(&violation.class, 60)),
                violation.map_or("no legal order explains what was observed".into(), |_| sentence.clone()),
            ),
            Answer::Unknown => Verdict::Error(
                "unknown".into(),
                part.undecided.as_ref().map_or("undecided".into(), |stop| {
                    elide(
                        &format!("{} after {} of {} operations", stop.limit, stop.reached, stop.of),
                        TEXT_CHARS_MAX,
                    )
                }),
            ),
        };
        cases.push((name, verdict));
    }
    if judgement.checker.as_ref().is_none_or(|verdict| verdict.parts.is_empty()) {
        cases.push((good.into(), Verdict::Error("unknown".into(), sentence)));
    }
    for seen in &judgement.coverage.faults {
        let missing =
            summary::uncovered(run).iter().find(|why| why.split(' ').any(|word| word == seen.fault));
        let verdict = missing
            .map_or(Verdict::Good, |why| Verdict::Error("coverage".into(), elide(why, TEXT_CHARS_MAX)));
        cases.push((format!("coverage/{}", elide(&seen.fault, 60)), verdict));
    }
    let broken = judgement.harness_failure.as_ref().map_or(Verdict::Good, |failure| {
        let what = format!("{}: {}", failure.source, failure.error);
        Verdict::Error("harness-failure".into(), elide(&what, TEXT_CHARS_MAX))
    });
    cases.push(("harness".into(), broken));
    if let Some(target) = run.evidence.info.availability_target {
        let verdict = unavailable(&judgement.stats, target)
            .map_or(Verdict::Good, |short| Verdict::Failure("availability".into(), short));
        cases.push(("availability".into(), verdict));
    }
    cases
}
