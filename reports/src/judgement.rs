//! `verdict.json`: the outcome of a run. It is self-contained: it includes every operation that it mentions.
//!
//! A run has one outcome, by precedence:
//!
//! ```text
//! violation        proved, by the model or another oracle; nothing takes it back    exit code 1
//! harness-failure  the harness itself broke; nothing is known about the system                3
//! unknown          a limit was reached, nothing succeeded, or a fault had no effect           2
//! too-slow         legal, but above a requested maximum of latency or of the time to recover  1
//! linearizable     some legal order explains everything, and coverage is met                  0
//! convergent       the same by a model that judges only what every node shows in the end      0
//! ```
//!
//! An interrupted run is judged by its recorded events: it is unknown and exits with 130, unless these prove
//! a violation. A killed run is judged the same way whenever it is checked, and exits with 2.
//! [`Judgement::of`] is a pure function; the controller writes the file before anything is rendered.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tribunal_checker::history::History;
use tribunal_checker::model::Objects;
use tribunal_checker::op::Op;
use tribunal_checker::verdict::{Answer, OpId, Verdict, Violation};
use tribunal_records::oracles::{Finding, Looked, Oracle};
use tribunal_records::quantity::duration_text;

use crate::coverage::Coverage;
use crate::faults::{Fault, FaultOutcome};
use crate::run_info::{LiveViolation, RunInfo};
use crate::stats::{Stats, time_to_recover};
use crate::wording::{count, counted, duration, elide, percent, raised_by, value};

/// The version of the format of `verdict.json`. It increases when a field changes its meaning, not when one
/// is added.
pub const SCHEMA_VERSION: u32 = 1;

/// The JSON schema (draft 2020-12) of `verdict.json`.
pub const VERDICT_SCHEMA: &str = include_str!("../schema/verdict.schema.json");

/// The outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// A legal order explains all observations, and coverage is met.
    Linearizable,
    /// The final state that every node shows is correct, and coverage is met; the model judges nothing else.
    /// Earlier reads were not judged: this claims less than linearizable.
    Convergent,
    /// No legal order explains the observations.
    Violation,
    /// A legal order explains all observations, and coverage is met, but the run exceeded a maximum that was
    /// requested: of the p99 latency, or of the time to recover.
    TooSlow,
    /// Neither was proved.
    Unknown,
    /// The harness itself broke.
    HarnessFailure,
}

impl RunOutcome {
    /// Whether nothing is wrong with the system or the run.
    pub fn is_good(self) -> bool {
        matches!(self, RunOutcome::Linearizable | RunOutcome::Convergent)
    }

    /// The program's exit code; `interrupted` if the user interrupted the run.
    pub fn exit_code(self, interrupted: bool) -> u8 {
        match self {
            RunOutcome::Linearizable | RunOutcome::Convergent => 0,
            RunOutcome::Violation | RunOutcome::TooSlow => 1,
            RunOutcome::Unknown => {
                if interrupted {
                    130
                } else {
                    2
                }
            }
            RunOutcome::HarnessFailure => 3,
        }
    }

    /// The outcome if the checker found nothing wrong under this model.
    pub fn good(model: &str) -> RunOutcome {
        match model.parse::<Objects>() {
            Ok(model) if model.is_eventual() => RunOutcome::Convergent,
            _ => RunOutcome::Linearizable,
        }
    }

    /// The name of the outcome, as in `verdict.json`.
    pub fn name(self) -> &'static str {
        match self {
            RunOutcome::Linearizable => "linearizable",
            RunOutcome::Convergent => "convergent",
            RunOutcome::Violation => "violation",
            RunOutcome::TooSlow => "too-slow",
            RunOutcome::Unknown => "unknown",
            RunOutcome::HarnessFailure => "harness-failure",
        }
    }
}

/// The first failure of the harness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HarnessFailure {
    /// Its location, such as `cluster` or `recorder`.
    pub source: String,
    /// The error, in one line.
    pub error: String,
}

/// An operation with its position in the history, which is its ID in the verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedOp {
    /// Its position.
    pub id: OpId,
    /// The operation.
    pub op: Op,
}

/// The cost of the check, measured by the controller: the checker has no clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckCost {
    /// The duration, in milliseconds.
    pub took_ms: u64,
    /// The program's peak resident memory at the end of the check, in bytes; 0 if unknown.
    pub memory_peak_bytes: u64,
}

/// The contents of `verdict.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// [`SCHEMA_VERSION`] at the time of writing.
    pub schema_version: u32,
    /// The outcome of the run.
    pub outcome: RunOutcome,
    /// The program's exit code: 0, 1, 2, 3 or 130.
    pub exit_code: u8,
    /// The outcome in one sentence.
    pub sentence: String,
    /// For a violation: the oracle that found it. Of several, the model comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_by: Option<Oracle>,
    /// Whether the user interrupted the run.
    pub interrupted: bool,
    /// The first failure of the harness, if any.
    pub harness_failure: Option<HarnessFailure>,
    /// The checker's answer; `None` if nothing was checked.
    pub checker: Option<Verdict>,
    /// The cost of the check, if measured.
    pub check_cost: Option<CheckCost>,
    /// Every operation in the checker's answer, by position.
    pub ops: Vec<NumberedOp>,
    /// The mistakes that the other oracles found, those with an excuse included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// How often each of these oracles looked; those that were switched off are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub oracles: Vec<Looked>,
    /// Whether the run tested what was requested.
    pub coverage: Coverage,
    /// The statistics of the run.
    pub stats: Stats,
}

/// Circumstances of the run beside the history and the faults.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// The first failure of the harness, if any.
    pub harness_failure: Option<HarnessFailure>,
    /// Whether the user interrupted the run.
    pub interrupted: bool,
    /// Whether the run has not ended: it is in progress, or Tribunal was killed.
    pub unfinished: bool,
    /// The cost of the check, if measured.
    pub check_cost: Option<CheckCost>,
}

impl Circumstances {
    /// The circumstances of a run that is checked again: from the ending in run.json or, without one, from
    /// its verdict.
    pub fn recorded(info: &RunInfo, verdict: Option<&Judgement>) -> Circumstances {
        let (harness_failure, interrupted) = match (&info.ending, verdict) {
            (Some(ending), _) => (ending.harness_failure.clone(), ending.interrupted),
            (None, Some(verdict)) => (verdict.harness_failure.clone(), verdict.interrupted),
            (None, None) => {
                return Circumstances { unfinished: !info.is_history(), ..Circumstances::default() };
            }
        };
        Circumstances { harness_failure, interrupted, ..Circumstances::default() }
    }

    /// Why the recording is incomplete, if it is.
    fn cut_short(&self) -> Option<&'static str> {
        match () {
            () if self.unfinished => {
                Some("The run did not finish: it is still in progress, or Tribunal was killed.")
            }
            () if self.interrupted => Some("The run was interrupted."),
            () => None,
        }
    }
}

impl Judgement {
    /// Judges a run by everything recorded.
    pub fn of(
        info: &RunInfo,
        history: &History,
        faults: &[Fault],
        checker: Option<Verdict>,
        circumstances: Circumstances,
    ) -> Judgement {
        let model = checker.as_ref().map_or("", |verdict| &verdict.model);
        let coverage = Coverage::of(info, model, history, faults);
        let stats = Stats::of(history);
        let cut_short = circumstances.cut_short();
        let Circumstances { harness_failure, interrupted, check_cost, .. } = circumstances;
        // A violation proved by the live check holds, whatever the final check says.
        let proved = info.seen_live.as_ref().filter(|_| model.is_empty() || model == info.model);
        let violation = checker.as_ref().and_then(|verdict| verdict.violation.as_ref());
        let answer = checker.as_ref().map(|verdict| verdict.answer);
        let good = RunOutcome::good(model);
        let counts = info.findings.iter().find(|finding| finding.excuse.is_none());
        let found_by = match (answer, proved, counts) {
            (Some(Answer::Violation), _, _) | (_, Some(_), _) => Some(Oracle::Model),
            (_, None, counts) => counts.map(|finding| finding.oracle),
        };
        let (outcome, sentence) = if answer == Some(Answer::Violation) {
            (RunOutcome::Violation, violation_sentence(violation))
        } else if let Some(proved) = proved {
            let rest = "This was proved during the run; the check of the whole history did not finish.";
            (RunOutcome::Violation, format!("Not linearizable: {}. {rest}", live_violation_sentence(proved)))
        } else if let Some(finding) = counts {
            (RunOutcome::Violation, finding_sentence(finding, answer, good))
        } else if let Some(failure) = &harness_failure {
            (RunOutcome::HarnessFailure, failure_sentence(failure, answer, good))
        } else {
            let missing =
                missing(checker.as_ref(), good, history, &stats, &coverage, info.availability_target);
            match (cut_short, missing) {
                (None, None) => match too_slow(info, history, &stats, faults) {
                    Some(why) => (RunOutcome::TooSlow, format!("The history is {}, but {why}.", good.name())),
                    None => (good, good_sentence(good, &stats, faults)),
                },
                (None, Some(missing)) => (RunOutcome::Unknown, missing),
                (Some(cut_short), missing) => {
                    let rest = missing.unwrap_or_else(|| recorded_sentence(good));
                    (RunOutcome::Unknown, format!("{cut_short} {rest}"))
                }
            }
        };
        let ops = mentioned(violation, history);
        Judgement {
            schema_version: SCHEMA_VERSION,
            outcome,
            exit_code: outcome.exit_code(interrupted),
            sentence,
            found_by,
            interrupted,
            harness_failure,
            checker,
            check_cost,
            ops,
            findings: info.findings.clone(),
            oracles: info.oracles.clone(),
            coverage,
            stats,
        }
    }

    /// The finding that decided, if it was not the model that did: the first without an excuse.
    pub fn decisive_finding(&self) -> Option<&Finding> {
        self.findings.iter().find(|it| it.excuse.is_none() && Some(it.oracle) == self.found_by)
    }

    /// The class of the violation, or else the oracle that found one: `stale-read`, `divergence`.
    pub fn class(&self) -> Option<&str> {
        let by_model = self.violation().map(|violation| &*violation.class);
        by_model.or_else(|| Some(self.decisive_finding()?.oracle.name()))
    }

    /// The violation, if one was proved.
    pub fn violation(&self) -> Option<&Violation> {
        self.checker.as_ref()?.violation.as_ref()
    }

    /// An operation that the verdict mentions.
    pub fn op(&self, id: OpId) -> Option<&Op> {
        self.ops.iter().find(|numbered| numbered.id == id).map(|numbered| &numbered.op)
    }
}

/// Why the outcome is not `good`, or the run did not do what was requested; `None` if neither.
fn missing(
    checker: Option<&Verdict>,
    good: RunOutcome,
    history: &History,
    stats: &Stats,
    coverage: &Coverage,
    availability_target: Option<f64>,
) -> Option<String> {
    let Some(verdict) = checker else {
        return Some("The history was not checked.".to_string());
    };
    if verdict.answer == Answer::Unknown {
        return Some(undecided_sentence(verdict));
    }
    if stats.tally.ok == 0 {
        return Some(match stats.tally.all() {
            0 => "No operation was invoked: there is nothing to judge.".to_string(),
            n => {
                let why = history.ops.iter().find_map(|op| op.error.as_deref());
                let why = why.map_or(String::new(), |why| format!(" The first error: {why}"));
                format!("None of {} succeeded: there is nothing to judge.{why}", counted(n, "operation"))
            }
        });
    }
    let mut lacks = coverage.why.clone();
    lacks.extend(availability_target.and_then(|target| unavailable(stats, target)));
    (!lacks.is_empty()).then(|| {
        let recorded = match good {
            // Without all final reads no stronger claim is possible.
            RunOutcome::Convergent => "Nothing in the recorded history contradicts convergence".to_owned(),
            _ => format!("The recorded history is {}", good.name()),
        };
        let mut sentence =
            format!("{recorded}, but the run did not test what was requested: {}.", lacks.join("; "));
        let (ok, all) = (stats.tally.ok, stats.tally.all());
        if 2 * ok < all {
            sentence += &format!(" Of {}, {} succeeded.", counted(all, "operation"), count(ok as u64));
        }
        sentence
    })
}

/// Why the success rate is below the requested one; `None` if it is not.
pub(crate) fn unavailable(stats: &Stats, target: f64) -> Option<String> {
    let (ok, all) = (stats.tally.ok, stats.tally.all());
    let wanted = format!("{:.4}", target * 100.0);
    let wanted = wanted.trim_end_matches('0').trim_end_matches('.');
    ((ok as f64) < target * all as f64)
        .then(|| format!("{} of the operations succeeded, {wanted} % were requested", percent(ok, all)))
}

/// Which requested maximum of time the run exceeded, and by how much; `None` if none.
pub(crate) fn too_slow(info: &RunInfo, history: &History, stats: &Stats, faults: &[Fault]) -> Option<String> {
    let spec = info.spec.as_ref()?;
    let exceeds = |max: Option<Duration>, found: u64| max.filter(|max| u128::from(found) > max.as_nanos());
    let p99 = stats.by_f.iter().filter_map(|per_f| Some((per_f.latency?.p99_ns, per_f)));
    if let Some((found, per_f)) = p99.max_by_key(|(p99, _)| *p99)
        && let Some(max) = exceeds(spec.max_p99, found)
    {
        return Some(format!(
            "the p99 latency of `{}` was {}, above the requested maximum of {}",
            elide(per_f.f.name(), 30),
            duration(found),
            duration_text(max)
        ));
    }
    let recovered =
        faults.iter().filter_map(|fault| Some((time_to_recover(history, fault.healed_ns?)?, fault)));
    let (found, fault) = recovered.max_by_key(|(recovery, _)| *recovery)?;
    let max = exceeds(spec.max_recovery, found)?;
    Some(format!(
        "the system took {} to recover from {}, above the requested maximum of {}",
        duration(found),
        elide(&fault.name(), 60),
        duration_text(max)
    ))
}

/// The violation that the live check proved, in words.
fn live_violation_sentence(seen: &LiveViolation) -> String {
    format!("process {}'s `{}` on {} cannot be linearized", seen.process, seen.operation, value(&seen.key))
}

fn finding_sentence(finding: &Finding, answer: Option<Answer>, good: RunOutcome) -> String {
    let mut sentence = format!("{}.", finding.sentence.trim_end_matches('.'));
    if answer == Some(Answer::Linearizable) {
        sentence += match good {
            RunOutcome::Convergent => " No answer to a client contradicts convergence.",
            _ => " The answers to clients are linearizable.",
        };
    }
    sentence
}

fn violation_sentence(violation: Option<&Violation>) -> String {
    violation.map_or("No legal order explains what was observed.".to_string(), |violation| {
        violation.sentence.clone()
    })
}

fn failure_sentence(failure: &HarnessFailure, answer: Option<Answer>, good: RunOutcome) -> String {
    let recorded = match answer {
        Some(Answer::Linearizable) => format!(" {}", recorded_sentence(good)),
        Some(Answer::Unknown) => " The history until then is undecided.".to_string(),
        _ => String::new(),
    };
    // A node's last output follows in further lines.
    let error = failure.error.lines().next().unwrap_or_default();
    format!(
        "The harness failed, not the system: {}: {}.{recorded}",
        failure.source,
        error.trim_end_matches('.')
    )
}

fn recorded_sentence(good: RunOutcome) -> String {
    match good {
        RunOutcome::Convergent => "Nothing in the history until then contradicts convergence.".to_owned(),
        _ => format!("The history until then is {}.", good.name()),
    }
}

fn undecided_sentence(verdict: &Verdict) -> String {
    let undecided: Vec<_> =
        verdict.parts.iter().filter_map(|part| Some((part, part.undecided.as_ref()?))).collect();
    let Some((part, first)) = undecided.first() else {
        return "The check reached a limit before anything was proved.".to_string();
    };
    let on = if part.key.is_nil() { String::new() } else { format!(" on key {}", value(&part.key)) };
    let more = match undecided.len() {
        1 => String::new(),
        n => format!(" and {}", counted(n - 1, "more key")),
    };
    let reached = format!("after {} of {}{on}{more}", count(first.reached), counted(first.of, "operation"));
    match raised_by(first.by) {
        None => format!("The check was {} {reached}.", first.limit),
        Some(flag) => format!("The check reached its {} {reached}; {flag} raises this limit.", first.limit),
    }
}

fn good_sentence(good: RunOutcome, stats: &Stats, faults: &[Fault]) -> String {
    let what = match good {
        RunOutcome::Convergent => "Convergent: every node shows every acknowledged element",
        _ => "Linearizable",
    };
    let installed = faults.iter().filter(|fault| fault.outcome == FaultOutcome::Installed).count();
    format!(
        "{what}. {} ({} ok), {}, {} injected. (A pass says nothing about other runs.)",
        counted(stats.tally.all(), "op"),
        count(stats.tally.ok),
        counted(stats.keys, "key"),
        counted(installed, "fault")
    )
}

/// Every operation that a violation mentions, in the order of the history.
fn mentioned(violation: Option<&Violation>, history: &History) -> Vec<NumberedOp> {
    let Some(v) = violation else { return Vec::new() };
    let mut ids: Vec<OpId> = vec![v.witness];
    ids.extend(v.named.iter().chain(&v.minimal).chain(&v.order).chain(&v.context));
    ids.extend(v.impossible.iter().flat_map(|impossible| &impossible.next));
    ids.extend(v.configurations.iter().flat_map(|c| c.used.iter().chain(&c.unused)));
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().filter_map(|id| Some(NumberedOp { id, op: history.ops.get(id)?.clone() })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tribunal_checker::check::Algorithm;
    use tribunal_checker::limits::Limit;
    use tribunal_checker::op::Value;
    use tribunal_checker::verdict::{Effort, Part, Undecided};

    use tribunal_records::TrialSpec;

    use crate::run_info::Ending;

    fn answered(answer: Answer) -> Verdict {
        Verdict {
            answer,
            model: "register".into(),
            ops: 0,
            parts: Vec::new(),
            violation: None,
            effort: Effort::default(),
        }
    }

    fn one_read() -> History {
        let event = |kind: &str, t: u64| {
            serde_json::from_str(&format!(r#"{{"i":{t},"t":{t},"p":0,"type":"{kind}","f":"read"}}"#)).unwrap()
        };
        History::from_events([event("invoke", 1), event("ok", 2)]).unwrap()
    }

    /// Judges a run of one read and checks the outcome, the exit code and the start of the sentence.
    fn check(
        answer: Answer,
        asked: &[&str],
        what: Circumstances,
        outcome: RunOutcome,
        exit_code: u8,
        says: &str,
    ) {
        let info = RunInfo { nemesis: asked.iter().map(|f| f.to_string()).collect(), ..RunInfo::default() };
        let judgement = Judgement::of(&info, &one_read(), &[], Some(answered(answer)), what);
        assert_eq!((judgement.outcome, judgement.exit_code), (outcome, exit_code));
        assert!(judgement.sentence.starts_with(says), "{}", judgement.sentence);
    }

    fn broken() -> Circumstances {
        let failure = HarnessFailure { source: "cluster".into(), error: "n3 exited by itself".into() };
        Circumstances { harness_failure: Some(failure), ..Circumstances::default() }
    }

    fn interrupted() -> Circumstances {
        Circumstances { interrupted: true, ..Circumstances::default() }
    }

    #[test]
    fn a_violation_wins_over_everything() {
        let none = Circumstances::default;
        check(Answer::Violation, &[], none(), RunOutcome::Violation, 1, "No legal order");
        check(Answer::Violation, &["kill"], broken(), RunOutcome::Violation, 1, "No legal order");
        check(Answer::Violation, &[], interrupted(), RunOutcome::Violation, 1, "No legal order");
    }

    #[test]
    fn a_finding_without_an_excuse_is_a_violation() {
        let finding = |excuse: Option<&str>| Finding {
            oracle: Oracle::Crash,
            t: 5,
            nodes: vec!["n3".into()],
            sentence: "n3 crashed: exit status: 101".into(),
            evidence: Vec::new(),
            excuse: excuse.map(str::to_owned),
        };
        let judged = |findings: Vec<Finding>, answer| {
            let info = RunInfo { findings, ..RunInfo::default() };
            Judgement::of(&info, &one_read(), &[], Some(answered(answer)), Circumstances::default())
        };
        let found = judged(vec![finding(Some("bitflip n3")), finding(None)], Answer::Linearizable);
        assert_eq!((found.outcome, found.exit_code), (RunOutcome::Violation, 1));
        assert_eq!(found.sentence, "n3 crashed: exit status: 101. The answers to clients are linearizable.");
        assert_eq!(found.decisive_finding(), Some(&finding(None)));
        assert_eq!((found.found_by, found.class()), (Some(Oracle::Crash), Some("crash")));
        let both = judged(vec![finding(None)], Answer::Violation);
        assert_eq!((both.found_by, both.decisive_finding()), (Some(Oracle::Model), None));
        let excused = judged(vec![finding(Some("bitflip n3"))], Answer::Linearizable);
        assert_eq!((excused.outcome, excused.findings.len()), (RunOutcome::Linearizable, 1));
    }

    /// Of a violation of the model and one of another oracle, the model's gives the words, even if the check of
    /// the whole history reached a limit.
    #[test]
    fn what_the_live_check_proved_is_the_models_violation() {
        let finding = Finding {
            oracle: Oracle::Divergence,
            t: 5,
            nodes: Vec::new(),
            sentence: "n1 and n2 differ".into(),
            evidence: Vec::new(),
            excuse: None,
        };
        let seen_live = LiveViolation { key: Value::Nil, operation: "read → 3".into(), process: 0, t: 2 };
        let info = RunInfo { findings: vec![finding], seen_live: Some(seen_live), ..RunInfo::default() };
        let checker = Verdict { model: String::new(), ..answered(Answer::Unknown) };
        let judgement = Judgement::of(&info, &one_read(), &[], Some(checker), Circumstances::default());
        assert_eq!((judgement.found_by, judgement.decisive_finding()), (Some(Oracle::Model), None));
        assert_eq!(crate::summary::headed_by(&judgement, "register"), "not linearizable");
        assert!(judgement.sentence.starts_with("Not linearizable: "), "{}", judgement.sentence);
    }

    #[test]
    fn then_a_harness_failure_then_unknown_then_linearizable() {
        let none = Circumstances::default;
        check(
            Answer::Unknown,
            &[],
            broken(),
            RunOutcome::HarnessFailure,
            3,
            "The harness failed, not the system",
        );
        check(Answer::Unknown, &[], none(), RunOutcome::Unknown, 2, "The check reached a limit");
        check(
            Answer::Linearizable,
            &["kill"],
            none(),
            RunOutcome::Unknown,
            2,
            "The recorded history is linearizable, but",
        );
        check(
            Answer::Linearizable,
            &[],
            none(),
            RunOutcome::Linearizable,
            0,
            "Linearizable. 1 op (1 ok), 1 key, 0 faults",
        );
        let says = "The run was interrupted. The history until then is linearizable.";
        check(Answer::Linearizable, &[], interrupted(), RunOutcome::Unknown, 130, says);
        let killed = Circumstances { unfinished: true, ..Circumstances::default() };
        check(Answer::Linearizable, &[], killed.clone(), RunOutcome::Unknown, 2, "The run did not finish: ");
        check(Answer::Violation, &[], killed, RunOutcome::Violation, 1, "No legal order");
    }

    #[test]
    fn the_circumstances_of_a_run_outlive_it() {
        let node = crate::run_info::Node::default();
        let mut info = RunInfo { nodes: vec![node], ..RunInfo::default() };
        assert!(Circumstances::recorded(&info, None).unfinished, "neither an end nor a verdict");
        let judged = Judgement::of(&info, &one_read(), &[], Some(answered(Answer::Linearizable)), broken());
        let again = Circumstances::recorded(&info, Some(&judged));
        assert_eq!((again.unfinished, again.harness_failure), (false, broken().harness_failure));
        info.ending = Some(Ending { interrupted: true, ..Ending::default() });
        let again = Circumstances::recorded(&info, Some(&judged));
        assert_eq!((again.interrupted, again.harness_failure), (true, None), "the end is the truth");
        assert!(!Circumstances::recorded(&RunInfo::default(), None).unfinished, "a history of somebody else");
    }

    #[test]
    fn a_model_of_the_end_gives_another_word() {
        let verdict = Verdict { model: "convergent-set".into(), ..answered(Answer::Linearizable) };
        let of = |circumstances| {
            Judgement::of(&RunInfo::default(), &one_read(), &[], Some(verdict.clone()), circumstances)
        };
        let judgement = of(Circumstances::default());
        assert_eq!((judgement.outcome, judgement.exit_code), (RunOutcome::Convergent, 0));
        assert!(judgement.sentence.starts_with("Convergent: "), "{}", judgement.sentence);
        assert!(
            of(broken()).sentence.ends_with("Nothing in the history until then contradicts convergence.")
        );
    }

    #[test]
    fn a_requested_maximum_of_time_is_kept_or_the_run_fails() {
        let of = |answer, max_ns: u64| {
            let spec =
                TrialSpec::new("register").with(|spec| spec.max_p99 = Some(Duration::from_nanos(max_ns)));
            let info = RunInfo { spec: Some(spec), ..RunInfo::default() };
            Judgement::of(&info, &one_read(), &[], Some(answered(answer)), Circumstances::default())
        };
        let slow = of(Answer::Linearizable, 0);
        assert_eq!((slow.outcome, slow.exit_code), (RunOutcome::TooSlow, 1));
        assert_eq!(
            slow.sentence,
            "The history is linearizable, but the p99 latency of `read` was 1 ns, above the requested maximum of 0s."
        );
        assert_eq!(of(Answer::Linearizable, 1).outcome, RunOutcome::Linearizable);
        assert_eq!(
            of(Answer::Unknown, 0).outcome,
            RunOutcome::Unknown,
            "what is undecided is not called slow"
        );
        assert_eq!(of(Answer::Violation, 0).outcome, RunOutcome::Violation);
    }

    #[test]
    fn too_few_successes_are_not_what_was_asked_for() {
        let of = |target| {
            let info = RunInfo { availability_target: Some(target), ..RunInfo::default() };
            let mut history = one_read();
            history.ops.push(history.ops[0].clone());
            history.ops[1].outcome = tribunal_checker::op::Outcome::Info;
            let verdict = Some(answered(Answer::Linearizable));
            Judgement::of(&info, &history, &[], verdict, Circumstances::default())
        };
        assert_eq!((of(0.5).outcome, of(0.5).exit_code), (RunOutcome::Linearizable, 0));
        assert_eq!((of(0.9).outcome, of(0.9).exit_code), (RunOutcome::Unknown, 2));
        assert_eq!(
            of(0.999).sentence,
            "The recorded history is linearizable, but the run did not test what was requested: \
             50.0 % of the operations succeeded, 99.9 % were requested."
        );
    }

    #[test]
    fn nothing_recorded_is_nothing_judged() {
        let empty = History::default();
        let judgement = Judgement::of(
            &RunInfo::default(),
            &empty,
            &[],
            Some(answered(Answer::Linearizable)),
            Circumstances::default(),
        );
        assert_eq!((judgement.outcome, judgement.exit_code), (RunOutcome::Unknown, 2));
        assert_eq!(judgement.sentence, "No operation was invoked: there is nothing to judge.");
    }

    #[test]
    fn a_limit_is_named_with_the_flag_that_raises_it() {
        let undecided = |key: &str| Part {
            key: Value::str(key),
            ops: 1000,
            answer: Answer::Unknown,
            engine: Algorithm::Frontier,
            states: 0,
            frontier_max: 0,
            undecided: Some(Undecided {
                limit: "time limit of 60 s".into(),
                by: Limit::Time,
                reached: 812,
                of: 1000,
            }),
            linearization: None,
        };
        let verdict = Verdict { parts: vec![undecided("k1"), undecided("k2")], ..answered(Answer::Unknown) };
        assert_eq!(
            undecided_sentence(&verdict),
            "The check reached its time limit of 60 s after 812 of 1,000 operations on key k1 and 1 more key; \
             --check-time-limit raises this limit."
        );
    }
}
