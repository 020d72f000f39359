//! `tribunal bisect`: which of several binaries, in the order of their versions, is the first that shows a violation.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use tribunal::boxed::search::{Candidate, Search};
use tribunal::{Registry, TrialError};
use tribunal_reports::wording::counted;

use super::{Recorded, SearchArgs, ended, interruptible, shows, tell};
use crate::doctor::not_started;
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

/// Exits with 1 if there is a first binary that shows it, and with 2 if the last one does not or boots are missing.
pub(crate) fn run(args: &Args) -> ExitCode {
    ended(bisect(args))
}

/// Why a binary has no answer.
enum NoAnswer {
    Failed(TrialError),
    /// Some boots were not made or not judged.
    Unclear(String),
}

fn bisect(args: &Args) -> Result<ExitCode> {
    for binary in &args.binaries {
        ensure!(binary.is_file(), "--binaries: there is no file {}", binary.display());
        let mode = binary.metadata().map(|metadata| metadata.permissions().mode()).unwrap_or_default();
        ensure!(mode & 0o111 != 0, "--binaries: {} is not executable", binary.display());
    }
    let last = args.binaries.len() - 1;
    let (recorded, stop, registry) = (args.search.recorded()?, interruptible()?, Registry::built_in());
    let search = args.search.search(&registry, &stop, &tell);
    let asked = |nth: usize| {
        let binary = &args.binaries[nth];
        exit::eprint_line(&binary.display().to_string());
        shows_it(args, &recorded, &search, binary)
    };
    let boots = counted(args.boots as usize, "boot");
    let shown = |nth: usize| args.binaries[nth].display();
    let (text, code) = match first_that_shows(last, asked) {
        Ok(Some(0)) => (format!("the first that shows it: {}; it is the oldest", shown(0)), 1),
        Ok(Some(nth)) => {
            (format!("the first that shows it: {}; {} does not, in {boots}", shown(nth), shown(nth - 1)), 1)
        }
        Ok(None) => (format!("{} does not show it, in {boots}", shown(last)), 2),
        Err(NoAnswer::Failed(error)) => return Ok(not_started(error)),
        Err(NoAnswer::Unclear(_)) if stop.count() > 0 => return Ok(ExitCode::from(exit::INTERRUPTED)),
        Err(NoAnswer::Unclear(why)) => (why, 2),
    };
    exit::print_text(&(text + "\n"));
    Ok(ExitCode::from(code))
}

fn shows_it(args: &Args, recorded: &Recorded, search: &Search<'_>, binary: &Path) -> Result<bool, NoAnswer> {
    let candidates = (0..args.boots).map(|nth| Candidate {
        spec: recorded.spec.clone().with(|spec| spec.box_seed += u64::from(nth)),
        // A run in a box repeats as it is.
        faults: (!recorded.is_boxed).then(|| recorded.faults.clone()),
        instead: Some(binary.to_owned()),
    });
    let outcome = search.find(candidates, shows).map_err(NoAnswer::Failed)?;
    match outcome.found {
        Some(_) => Ok(true),
        None if outcome.is_clean() => Ok(false),
        None => {
            let (boots, judged) = (counted(args.boots as usize, "boot"), outcome.judged);
            let binary = binary.display();
            Err(NoAnswer::Unclear(format!("no answer for {binary}: of {boots}, only {judged} were judged")))
        }
    }
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
