//! `tribunal verify`: checks the verdict of a run with a second judge that shares no code with the engines.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use tribunal_checker::model::Objects;
use tribunal_checker::verdict::Answer;
use tribunal_checker::verify::{NotShown, Shown, verify};
use tribunal_reports::judgement::{Judgement, RunOutcome};
use tribunal_reports::run_dir::{Evidence, load_judgement};
use tribunal_reports::wording::{count, counted, elide};

use crate::exit;

/// Maximum number of characters of a finding.
const SENTENCE_CHARS_MAX: usize = 200;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run directories, such as store/latest, or directories created by `check --report`
    #[arg(required = true, value_name = "RUN_DIR")]
    dirs: Vec<PathBuf>,

    /// Maximum number of configurations that the search holds
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    configurations: usize,
}

/// The second judge's result.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Confirmation {
    Verified = 0,
    NothingToVerify = 2,
    Refuted = 1,
}

/// `tribunal verify`: prints a line for each run; the exit code is the worst one.
pub(crate) fn run(args: &Args) -> ExitCode {
    let mut worst = Confirmation::Verified;
    let mut unreadable = false;
    for dir in &args.dirs {
        match judge(dir, args.configurations) {
            Ok((confirmation, line)) => {
                exit::print_text(&format!("{}: {line}\n", dir.display()));
                worst = worst.max(confirmation);
            }
            Err(error) => {
                exit::eprint_line(&format!("error: {error:#}"));
                unreadable = true;
            }
        }
    }
    match worst {
        Confirmation::Refuted => ExitCode::from(1),
        _ if unreadable => ExitCode::from(exit::USAGE),
        confirmation => ExitCode::from(confirmation as u8),
    }
}

/// Reads a run, and describes in one line whether its verdict is confirmed.
fn judge(dir: &Path, configurations: usize) -> Result<(Confirmation, String)> {
    let judgement =
        load_judgement(dir).with_context(|| format!("{}: expected a run directory", dir.display()))?;
    let evidence = Evidence::load(dir)?;
    if let Some(why) = contradiction(&judgement) {
        return Ok((Confirmation::Refuted, format!("REFUTED: verdict.json contradicts itself: {why}")));
    }
    let Judgement { checker: Some(verdict), outcome, .. } = &judgement else {
        return Ok((Confirmation::NothingToVerify, "nothing to verify: nothing was checked".into()));
    };
    let objects: Objects =
        verdict.model.parse().with_context(|| dir.join("verdict.json").display().to_string())?;
    let whole = |whole: Option<usize>| {
        match whole {
        Some(ops) => format!("nor of {} on its key", counted(ops, "operation")),
        None => "those on its key have too many orders to try: that what was left out is of no help was not shown \
                 (--configurations)"
            .to_owned(),
    }
    };
    Ok(match verify(&evidence.history, objects, verdict, configurations) {
        Ok(Shown::Linearizable { parts, ops }) => {
            let good = RunOutcome::good(&verdict.model);
            let (parts, ops) = (counted(parts, "linearization"), count(ops));
            let replayed = format!("{parts} replayed, with {ops} operations");
            match *outcome == good {
                true => (Confirmation::Verified, format!("verified: {}: {replayed}", good.name())),
                false => (Confirmation::NothingToVerify, besides(&judgement, good, &replayed)),
            }
        }
        Ok(Shown::Violation { counterexample, whole: until }) => {
            let ops = counted(counterexample, "operation");
            let line = format!(
                "verified: not linearizable: no order of the {ops} of the counterexample is legal; {}",
                whole(until)
            );
            (Confirmation::Verified, line)
        }
        // Proved during the run, or by another oracle: the check of the whole history reached a limit.
        Err(NotShown::Nothing(why))
            if *outcome == RunOutcome::Violation && verdict.answer == Answer::Unknown =>
        {
            let sentence = elide(&judgement.sentence, SENTENCE_CHARS_MAX);
            (Confirmation::NothingToVerify, format!("not verified: {sentence} Of the checker, {why}"))
        }
        Err(NotShown::Nothing(why)) => (Confirmation::NothingToVerify, format!("nothing to verify: {why}")),
        Err(NotShown::Refuted(why)) => (
            Confirmation::Refuted,
            format!("REFUTED: the evidence in verdict.json does not confirm its verdict: {why}"),
        ),
    })
}

/// The line for a history whose order is confirmed, and whose outcome is a different matter.
fn besides(judgement: &Judgement, good: RunOutcome, replayed: &str) -> String {
    let history = format!("the recorded history is {} ({replayed})", good.name());
    match (judgement.outcome, judgement.decisive_finding()) {
        (RunOutcome::Violation, Some(finding)) => format!(
            "not verified: {}; {history}, and what the oracle {} found is not in it",
            elide(&finding.sentence, SENTENCE_CHARS_MAX),
            finding.oracle
        ),
        (outcome, _) => format!("nothing to verify: the outcome is {}, although {history}", outcome.name()),
    }
}

/// A contradiction between the outcome, the checker's answer and the exit code, if any.
fn contradiction(judgement: &Judgement) -> Option<String> {
    let Judgement { outcome, exit_code, interrupted, .. } = judgement;
    let (outcome, exit_code, interrupted) = (*outcome, *exit_code, *interrupted);
    if exit_code != outcome.exit_code(interrupted) {
        return Some(format!("{} does not exit with {exit_code}", outcome.name()));
    }
    let verdict = judgement.checker.as_ref()?;
    let agree = match verdict.answer {
        Answer::Violation => outcome == RunOutcome::Violation,
        Answer::Linearizable => outcome != RunOutcome::Violation || judgement.decisive_finding().is_some(),
        Answer::Unknown => !outcome.is_good(),
    };
    let is_called_so = !outcome.is_good() || outcome == RunOutcome::good(&verdict.model);
    (!agree || !is_called_so)
        .then(|| format!("the outcome is {}, and its checker says otherwise", outcome.name()))
}
