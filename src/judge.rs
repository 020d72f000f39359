//! From evidence to verdict to reports: what happens when the run itself is over.
//!
//! Everything is read back from disk: what is judged is what was recorded, and `tribunal check` on the same
//! directory judges the same.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tribunal_checker::check::Options;
use tribunal_checker::model::ModelKind;
use tribunal_checker::verdict::Verdict;
use tribunal_reports::judgement::{CheckCost, Circumstances, HarnessFailure, Judgement, RunOutcome};
use tribunal_reports::render::render_all;
use tribunal_reports::run_dir::{Evidence, RunDir, write_judgement};
use tribunal_reports::text;

use crate::cli::RunArgs;
use crate::exit;
use crate::github;
use crate::limits::LimitArgs;
use crate::live::Live;
use crate::store::Store;

/// Judges the run, puts the verdict on disk, completes the directory, renders the reports and prints the outcome.
///
/// # Errors
/// When the evidence cannot be read or the verdict cannot be written.
pub(crate) fn judge_and_report(
    store: &mut Store,
    args: &RunArgs,
    mut circumstances: Circumstances,
    live: &Live,
) -> Result<ExitCode> {
    live.phase("checking");
    let checked = Evidence::load(store.path()).map(|evidence| (check(&evidence, &args.limits), evidence));
    live.end();
    let (checked, evidence) = checked?;
    let verdict = match checked {
        Ok((verdict, cost)) => {
            circumstances.check_cost = Some(cost);
            Some(verdict)
        }
        Err(error) => {
            let failure = HarnessFailure { source: "checker".into(), error: format!("{error:#}") };
            circumstances.harness_failure.get_or_insert(failure);
            None
        }
    };
    let Evidence { info, history, faults } = &evidence;
    let judgement = Judgement::of(info, history, faults, verdict, circumstances);
    write_judgement(store.path(), &judgement).context("cannot write verdict.json")?;

    // From here on nothing can change the verdict or the exit code.
    if let Err(error) = store.complete() {
        eprintln!("warning: {error:#}");
    }
    report(store.path(), &judgement, args.quiet);
    Ok(ExitCode::from(judgement.exit_code))
}

/// Checks what was recorded by the model that the run names.
pub(crate) fn check(evidence: &Evidence, limits: &LimitArgs) -> Result<(Verdict, CheckCost)> {
    let model: ModelKind = evidence.info.model.parse()?;
    Ok(limits.check(&evidence.history, model, Options::default())?)
}

/// Renders every report, and prints the outcome to standard output: all of report.txt unless all is well.
fn report(dir: &Path, judgement: &Judgement, quiet: bool) {
    let run = match RunDir::load(dir) {
        Ok(run) => run,
        Err(error) => {
            exit::say(&exit::shown(&format!("{}\n", judgement.sentence)));
            eprintln!("warning: no reports: {:#}", anyhow::Error::new(error));
            return;
        }
    };
    for (name, rendered) in render_all(&run, dir) {
        if let Err(error) = rendered {
            eprintln!("warning: no {name}: {error}");
        }
    }
    let all_is_well = judgement.outcome == RunOutcome::Linearizable;
    match std::panic::catch_unwind(|| text::render(&run)) {
        Ok(text) if !quiet && !all_is_well => exit::say_outcome(&text, judgement.outcome),
        _ => {
            let text = format!("{}\n  report   {}\n", judgement.sentence, dir.join("report.html").display());
            exit::say_outcome(&text, judgement.outcome);
        }
    }
    github::announce(&run);
}
