//! `junit.xml`: the run as a test suite, for CI systems.
//!
//! One case per property. `unknown` and a harness failure are errors and never skipped: a build without an
//! answer must not pass. So the file can be written before there is an outcome ([`Suite::unfinished`]), with
//! the error that the run has not ended. Only keys that were not checked because another key had the
//! violation are skipped: that key is the failure.

mod xml;

use tribunal_checker::op::Nanos;
use tribunal_checker::verdict::Answer;

use crate::judgement::{Judgement, RunOutcome, too_slow, unavailable};
use crate::run_dir::RunDir;
use crate::run_info::RunInfo;
use crate::summary;
use crate::text;
use crate::wording::{elide, undecided, value};
use xml::Element;

/// The maximum length of an attribute, in characters.
const TEXT_CHARS_MAX: usize = 600;
/// The maximum number of keys with a case of their own: those that are not linearizable first.
const KEYS_MAX: usize = 1_000;

/// The result of a case.
enum Verdict {
    Good,
    /// The property does not hold: type and message.
    Failure(String, String),
    /// The result is unknown: type and message.
    Error(String, String),
    /// Not checked, because something else decided: the message.
    Skipped(String),
}

/// One run, or one history, property by property.
pub struct Suite {
    name: String,
    started_utc: String,
    span_ns: Nanos,
    properties: Vec<(&'static str, String)>,
    cases: Vec<(String, Verdict)>,
    /// The text of each case that is not good.
    body: String,
}

impl Suite {
    /// The suite of a judged run.
    pub fn of(run: &RunDir) -> Suite {
        let info = &run.evidence.info;
        let report = ("report", format!("{}/report.html", run.name));
        let mut cases = parts(&run.judgement, &info.model);
        cases.extend(circumstances(run));
        cases.extend(outcome(&run.judgement, &cases));
        Suite {
            span_ns: run.judgement.stats.span_ns,
            properties: about(info).into_iter().chain([report]).collect(),
            cases,
            body: text::render(run),
            ..Suite::named(info)
        }
    }

    /// The suite of a history, judged alone; `body` is its text.
    pub fn of_history(name: &str, judgement: &Judgement, body: String) -> Suite {
        let model = judgement.checker.as_ref().map_or("", |verdict| &verdict.model);
        let mut cases = parts(judgement, model);
        cases.extend(outcome(judgement, &cases));
        Suite {
            name: name.to_string(),
            started_utc: String::new(),
            span_ns: judgement.stats.span_ns,
            properties: vec![("model", model.to_string())],
            cases,
            body,
        }
    }

    /// The suite of a run that has not ended. If the file stays like this, the run was cut off.
    pub fn unfinished(info: &RunInfo, why: &str) -> Suite {
        let good = RunOutcome::good(&info.model).name();
        Suite {
            properties: about(info),
            cases: vec![(good.into(), Verdict::Error("unfinished".into(), elide(why, TEXT_CHARS_MAX)))],
            body: why.to_string(),
            ..Suite::named(info)
        }
    }

    /// A history that cannot be judged.
    pub fn unreadable(name: &str, why: &str) -> Suite {
        let verdict = Verdict::Error("unreadable".into(), elide(why, TEXT_CHARS_MAX));
        Suite { cases: vec![("readable".into(), verdict)], ..Suite::of_name(name) }
    }

    fn named(info: &RunInfo) -> Suite {
        Suite {
            started_utc: info.started_utc.clone(),
            ..Suite::of_name(&format!("{} on {}", info.workload, info.system))
        }
    }

    fn of_name(name: &str) -> Suite {
        Suite {
            name: name.to_string(),
            started_utc: String::new(),
            span_ns: 0,
            properties: Vec::new(),
            cases: Vec::new(),
            body: String::new(),
        }
    }

    fn element(&self) -> Element {
        let name = elide(&self.name, TEXT_CHARS_MAX);
        let cases: Vec<Element> =
            self.cases.iter().map(|(case, verdict)| self.case(&name, case, verdict)).collect();
        let mut suite = counted(Element::new("testsuite").with("name", &name), &cases);
        if humantime::parse_rfc3339(&self.started_utc).is_ok() {
            suite = suite.with("timestamp", &self.started_utc);
        }
        let property = |(name, value): &(&str, String)| {
            Element::new("property").with("name", name).with("value", elide(value, TEXT_CHARS_MAX))
        };
        let properties = Element::new("properties").children(self.properties.iter().map(property));
        let properties = (!self.properties.is_empty()).then_some(properties);
        suite.with("time", seconds(self.span_ns)).children(properties.into_iter().chain(cases))
    }

    fn case(&self, suite: &str, name: &str, verdict: &Verdict) -> Element {
        let (sort, kind, message) = match verdict {
            Verdict::Good => return case(suite, name),
            Verdict::Skipped(message) => {
                return case(suite, name).children([Element::new("skipped").with("message", message)]);
            }
            Verdict::Failure(kind, message) => ("failure", kind, message),
            Verdict::Error(kind, message) => ("error", kind, message),
        };
        let why = Element::new(sort).with("message", message).with("type", kind).text(&self.body);
        case(suite, name).children([why])
    }
}

fn case(suite: &str, name: &str) -> Element {
    Element::new("testcase").with("name", name).with("classname", suite)
}

/// An element with the counts of the cases below it.
fn counted(element: Element, below: &[Element]) -> Element {
    let count = |name: &str| -> usize { below.iter().map(|element| element.count(name)).sum() };
    let (tests, skipped) = (count("testcase"), count("skipped"));
    element
        .with("tests", tests)
        .with("skipped", skipped)
        .with("failures", count("failure"))
        .with("errors", count("error"))
}

fn seconds(span_ns: Nanos) -> String {
    format!("{:.3}", span_ns as f64 / 1e9)
}

/// The properties of a run's suite.
fn about(info: &RunInfo) -> Vec<(&'static str, String)> {
    let rerun = info.rerun_command();
    vec![("seed", info.seed.to_string()), ("model", info.model.clone()), ("rerun", rerun)]
}

/// The file of one run.
pub fn render(run: &RunDir) -> String {
    render_suites(&[Suite::of(run)])
}

/// A file with several suites.
pub fn render_suites(suites: &[Suite]) -> String {
    let span_ns = suites.iter().map(|suite| suite.span_ns).sum();
    let suites: Vec<Element> = suites.iter().map(Suite::element).collect();
    let report = counted(Element::new("testsuites").with("name", "tribunal"), &suites);
    report.with("time", seconds(span_ns)).children(suites).document()
}

/// The cases of the checker: one for each key.
fn parts(judgement: &Judgement, model: &str) -> Vec<(String, Verdict)> {
    let sentence = elide(&judgement.sentence, TEXT_CHARS_MAX);
    let mut cases = Vec::new();
    let good = RunOutcome::good(model).name();
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
            Answer::Unknown => match &part.undecided {
                Some(stop) if stop.was_abandoned() => Verdict::Skipped(undecided(stop)),
                Some(stop) => Verdict::Error("unknown".into(), elide(&undecided(stop), TEXT_CHARS_MAX)),
                None => Verdict::Error("unknown".into(), "undecided".into()),
            },
        };
        cases.push((name, verdict));
    }
    if judgement.checker.as_ref().is_none_or(|verdict| verdict.parts.is_empty()) {
        cases.push((good.into(), Verdict::Error("unknown".into(), sentence)));
    }
    cases
}

/// The case that keeps the build from passing: a run that was cut short, or a problem that no other case
/// shows.
fn outcome(judgement: &Judgement, cases: &[(String, Verdict)]) -> Option<(String, Verdict)> {
    let is_red =
        |(_, verdict): &(String, Verdict)| matches!(verdict, Verdict::Failure(..) | Verdict::Error(..));
    let (kind, why) = match judgement.outcome {
        _ if judgement.interrupted => {
            ("interrupted", "the run was interrupted; the verdict is based on the history so far")
        }
        outcome if outcome.is_good() || cases.iter().any(is_red) => return None,
        outcome => (outcome.name(), &*judgement.sentence),
    };
    Some(("run".into(), Verdict::Error(kind.into(), elide(why, TEXT_CHARS_MAX))))
}

/// The cases of the run itself: its faults, its harness, its success rate.
fn circumstances(run: &RunDir) -> Vec<(String, Verdict)> {
    let judgement = &run.judgement;
    let mut cases = Vec::new();
    for seen in &judgement.coverage.faults {
        let missing = seen.missing.first().filter(|_| !summary::ended_early(run));
        let verdict = missing
            .map_or(Verdict::Good, |why| Verdict::Error("coverage".into(), elide(why, TEXT_CHARS_MAX)));
        cases.push((format!("coverage/{}", elide(&seen.fault, 60)), verdict));
    }
    let broken = judgement.harness_failure.as_ref().map_or(Verdict::Good, |failure| {
        let what = format!("{}: {}", failure.source, failure.error);
        Verdict::Error("harness-failure".into(), elide(&what, TEXT_CHARS_MAX))
    });
    cases.push(("harness".into(), broken));
    for looked in &judgement.oracles {
        let found = judgement.findings.iter().find(|it| it.oracle == looked.oracle && it.excuse.is_none());
        let verdict = match (found, &looked.why_not) {
            (Some(found), _) => {
                Verdict::Failure(found.oracle.name().into(), elide(&found.sentence, TEXT_CHARS_MAX))
            }
            (None, Some(why)) => Verdict::Skipped(elide(why, TEXT_CHARS_MAX)),
            (None, None) => Verdict::Good,
        };
        cases.push((format!("oracle/{}", looked.oracle), verdict));
    }
    if let Some(target) = run.evidence.info.availability_target {
        let verdict = unavailable(&judgement.stats, target)
            .map_or(Verdict::Good, |short| Verdict::Failure("availability".into(), short));
        cases.push(("availability".into(), verdict));
    }
    let info = &run.evidence.info;
    if info.spec.as_ref().is_some_and(|spec| spec.max_p99.is_some() || spec.max_recovery.is_some()) {
        let why = too_slow(info, &run.evidence.history, &judgement.stats, &run.evidence.faults);
        let verdict =
            why.map_or(Verdict::Good, |why| Verdict::Failure("too-slow".into(), elide(&why, TEXT_CHARS_MAX)));
        cases.push(("time".into(), verdict));
    }
    cases
}
