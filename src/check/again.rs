//! Checks a run directory again, as the run itself was checked: with its faults and its ending.
//!
//! Incomplete evidence is an error. But a violation that the run proved still stands: the evidence was
//! complete when it was proved, and a later loss does not revoke it, just as a harness failure does not.

use std::path::Path;

use anyhow::{Context, Result};
use tribunal_reports::judgement::{Circumstances, Judgement, RunOutcome};
use tribunal_reports::run_dir::{Evidence, LoadError, load_judgement};

use super::{Args, Judged, check, initial};

/// Reads and judges a run directory.
pub(super) fn judge(dir: &Path, args: &Args, threads: usize) -> Result<Judged> {
    let name = dir.display().to_string();
    let mut notes = Vec::new();
    let before = match load_judgement(dir) {
        Ok(judgement) => Some(judgement),
        Err(error) if error.is_missing() => None,
        Err(error @ LoadError::Newer { .. }) => return Err(error.into()),
        Err(error) => {
            let error = anyhow::Error::new(error);
            notes.push(format!(
                "the verdict of the run cannot be read, so this one is made without it: {error:#}"
            ));
            None
        }
    };
    let Evidence { info, mut history, faults } = match load_complete(dir, before.as_ref()) {
        Ok(evidence) => evidence,
        Err(error) => return proved_before(dir, before, error, notes),
    };
    let model = match args.model {
        Some(model) => model,
        None => info.model.parse().with_context(|| dir.join("run.json").display().to_string())?,
    };
    args.input.apply(dir, &mut history)?;
    // If the live check found the violation, check its key first, so that the same violation is reported.
    let first = info.seen_live.as_ref().map(|seen| &seen.key);
    let (verdict, cost) =
        check(&name, &history, &initial(model, &args.initial)?, first, None, args, threads)?;
    let circumstances =
        Circumstances { check_cost: Some(cost), ..Circumstances::recorded(&info, before.as_ref()) };
    let judgement = Judgement::of(&info, &history, &faults, Some(verdict), circumstances);
    if let Some(before) = before
        && before.outcome == RunOutcome::Violation
        && judgement.outcome != RunOutcome::Violation
        && model.name() == info.model
    {
        // One of the two verdicts is wrong, or a file was changed; this check must not hide that.
        notes.push("this check does not find the violation, and the verdict of the run stands".into());
        let why = format!("{name}: verdict.json has a violation that history.jsonl does not show");
        return Ok(Judged {
            file: name,
            timed: true,
            judgement: before,
            notes,
            source: None,
            unchecked: Some(why),
        });
    }
    Ok(Judged { file: name, timed: true, judgement, notes, source: None, unchecked: None })
}

/// The evidence, if it is complete and matches its verdict.
fn load_complete(dir: &Path, before: Option<&Judgement>) -> Result<Evidence, LoadError> {
    let evidence = Evidence::load(dir)?;
    before.map_or(Ok(()), |judgement| evidence.agrees(dir, judgement))?;
    Ok(evidence)
}

/// The result for incomplete evidence: the violation that the run proved, or the error.
fn proved_before(
    dir: &Path,
    before: Option<Judgement>,
    error: LoadError,
    mut notes: Vec<String>,
) -> Result<Judged> {
    let is_newer = matches!(error, LoadError::Newer { .. });
    let is_no_run = error.is_missing();
    let error = anyhow::Error::new(error);
    match before.filter(|before| before.outcome == RunOutcome::Violation && !is_newer) {
        Some(judgement) => {
            notes.push(
                "not checked again: this is the violation that the run proved, from verdict.json".into(),
            );
            let file = dir.display().to_string();
            let unchecked = Some(format!("{error:#}"));
            Ok(Judged { file, timed: true, judgement, notes, source: None, unchecked })
        }
        None if is_no_run => Err(error.context(format!(
            "{}: expected a run directory (run.json) or a Jepsen store directory (history.edn)",
            dir.display()
        ))),
        None => Err(error),
    }
}
