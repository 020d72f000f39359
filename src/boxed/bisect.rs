//! `tribunal bisect`: which of several binaries, in the order of their versions, is the first that shows a violation.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow, ensure};
use tribunal::boxed::search::{Candidate, Search};
use tribunal::{Registry, TrialError};

use super::{Recorded, SearchArgs, failed, interruptible, shows, tell};
use crate::exit;

/// `tribunal bisect`
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    search: SearchArgs,

    /// The binaries, oldest first, separated by commas: each takes the place of the system's program
    #[arg(long, value_name = "FILES", required = true, value_delimiter = ',')]
    binaries: Vec<PathBuf>,

    /// Number of boots of each binary, with different box seeds
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    boots: u32,
}

/// Exits with 1 if there is a first binary that shows it, and with 2 if the last one does not.
pub(crate) fn run(args: &Args) -> ExitCode {
    match bisect(args) {
        Ok(code) => code,
        Err(error) => exit::usage(error),
    }
}

fn bisect(args: &Args) -> Result<ExitCode> {
    for binary in &args.binaries {
        ensure!(binary.is_file(), "--binaries: there is no file {}", binary.display());
    }
    let last = args.binaries.len() - 1;
    let (recorded, stop, registry) = (args.search.recorded()?, interruptible()?, Registry::built_in());
    let search = args.search.search(&registry, &stop, &tell);
    let asked = |nth: usize| -> Result<bool, TrialError> {
        let binary = &args.binaries[nth];
        exit::eprint_line(&binary.display().to_string());
        let found = shows_it(args, &recorded, &search, binary)?;
        if stop.count() > 0 {
            return Err(TrialError::Harness("interrupted".into()));
        }
        Ok(found)
    };
    Ok(match first_that_shows(last, asked) {
        Ok(Some(nth)) => {
            let shown = args.binaries[nth].display();
            let before = match nth.checked_sub(1) {
                Some(before) => {
                    format!("; {} does not, in {} boots", args.binaries[before].display(), args.boots)
                }
                None => "; it is the oldest".into(),
            };
            exit::print_text(&format!("the first that shows it: {shown}{before}\n"));
            ExitCode::from(1)
        }
        Ok(None) => {
            let shown = args.binaries[last].display();
            exit::print_text(&format!("{shown} does not show it, in {} boots\n", args.boots));
            ExitCode::from(2)
        }
        Err(error) => failed(error),
    })
}

fn shows_it(
    args: &Args,
    recorded: &Recorded,
    search: &Search<'_>,
    binary: &Path,
) -> Result<bool, TrialError> {
    let spec = match (&recorded.spec.schedule, recorded.faults.is_empty()) {
        // A run in a box repeats as it is.
        (_, true) | (Some(_), _) => recorded.spec.clone(),
        (None, false) => {
            let kept = args.search.keep_schedule(&recorded.name, &recorded.faults);
            let file = kept.map_err(|error| TrialError::Harness(anyhow!(error).to_string()))?;
            recorded.with_faults(Some(&file), &recorded.spec)
        }
    };
    let candidates = (0..args.boots).map(|nth| Candidate {
        spec: spec.clone().with(|spec| spec.box_seed += u64::from(nth)),
        instead: Some(binary.to_owned()),
    });
    Ok(search.find(candidates, shows)?.found.is_some())
}

/// The first of 0 to `last` that shows it, if whatever comes after one that shows it does so, too. `None`: not even the
/// last one shows it.
fn first_that_shows<E>(last: usize, asked: impl Fn(usize) -> Result<bool, E>) -> Result<Option<usize>, E> {
    if !asked(last)? {
        return Ok(None);
    }
    let (mut low, mut high) = (0, last);
    while low < high {
        let middle = low.midpoint(high);
        match asked(middle)? {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    Ok(Some(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_found_with_few_questions() {
        for first in 0..8 {
            let asked = std::cell::Cell::new(0);
            let answer = first_that_shows(7, |nth| {
                asked.set(asked.get() + 1);
                Ok::<_, ()>(nth >= first)
            });
            assert_eq!(answer, Ok(Some(first)));
            assert!(asked.get() <= 4, "{} questions", asked.get());
        }
        assert_eq!(first_that_shows(3, |_| Ok::<_, ()>(false)), Ok(None));
    }
}
