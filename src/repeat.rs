//! `tribunal run --repeat N`: runs the same trial N times with consecutive seeds.
//!
//! Each run is a `tribunal run` in a child process, with the arguments that repeat this run alone. A crash
//! does not affect the other runs, and the arguments in its run.json are correct.

use std::process::ExitCode;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use tribunal::TrialSpec;

use crate::child;
use crate::cli::Run;
use crate::exit;
use crate::interrupts::Interrupts;

/// Executes the runs; the exit code is the worst one.
pub(crate) fn run(run: &Run) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let codes =
        runtime.context("cannot start").and_then(|runtime| runtime.block_on(all(run)).context("--repeat"));
    match codes {
        Ok(runs) => {
            exit::eprint_line(&runs.tally(run.show.repeat).to_string());
            ExitCode::from(runs.exit_code())
        }
        Err(error) => exit::harness(error),
    }
}

/// Results of the runs.
#[derive(Debug, Default)]
struct Runs {
    /// The exit code of each run; fewer than requested if the user interrupts.
    codes: Vec<u8>,
    /// Whether the user interrupted: some runs were not started or not finished.
    interrupted: bool,
}

async fn all(run: &Run) -> Result<Runs> {
    let mut interrupts = Interrupts::listen()?;
    let Run { spec, show, .. } = run;
    let first = spec.seed.unwrap_or_else(|| u64::from(rand::random::<u16>()));
    let mut codes = Vec::new();
    let mut interrupted = false;
    for nth in 0..show.repeat {
        // In a box, one plan is tried in many interleavings.
        let step = |spec: &mut TrialSpec| match spec.boxed {
            true => (spec.seed, spec.box_seed) = (Some(first), spec.box_seed.wrapping_add(u64::from(nth))),
            false => spec.seed = Some(first.wrapping_add(u64::from(nth))),
        };
        let trial = spec.clone().with(step);
        let seed = match trial.boxed {
            true => format!("seed {first}, box seed {}", trial.box_seed),
            false => format!("seed {}", trial.seed.unwrap_or_default()),
        };
        if !show.quiet {
            exit::eprint_line(&format!("run {} of {}, {seed}", nth + 1, show.repeat));
        }
        let mut command = child::command(&trial, show.words())?;
        let mut child = command.spawn().context("cannot start a run")?;
        let pid = child::pid(&child);
        let status = loop {
            tokio::select! {
                status = child.wait() => break status.context("cannot wait for a run")?,
                () = interrupts.next() => {}
            }
            interrupted = true;
            child::signal(pid, Signal::SIGINT);
        };
        let code = documented(status.code());
        if status.code() != Some(i32::from(code)) {
            exit::eprint_line(&format!("harness failure: the run with {seed} ended with {status}"));
        }
        codes.push(code);
        if interrupted || code == exit::USAGE {
            break;
        }
    }
    let interrupted = interrupted && codes.len() < show.repeat as usize;
    Ok(Runs { codes, interrupted })
}

/// Maps an exit status to a documented code. A run ended by a signal or a panic counts as a harness failure.
fn documented(code: Option<i32>) -> u8 {
    let known = [0, 1, 2, exit::HARNESS, exit::USAGE, exit::INTERRUPTED];
    known.into_iter().find(|known| code == Some(i32::from(*known))).unwrap_or(exit::HARNESS)
}

impl Runs {
    /// The worst result: violation, then usage error, interrupted, harness failure, unknown.
    fn exit_code(&self) -> u8 {
        let order = [1, exit::USAGE, exit::INTERRUPTED, exit::HARNESS, 2, 0];
        let happened =
            |code: &u8| self.codes.contains(code) || *code == exit::INTERRUPTED && self.interrupted;
        order.into_iter().find(happened).unwrap_or(exit::HARNESS)
    }

    /// Number of runs per result; each run counts once.
    fn tally(&self, wanted: u32) -> String {
        let with = |wanted: u8| self.codes.iter().filter(|code| **code == wanted).count();
        let mut text = format!(
            "{} of {wanted} runs: {} clean, {} with a violation, {} unknown",
            self.codes.len(),
            with(0),
            with(1),
            with(2)
        );
        for (code, what) in [
            (exit::HARNESS, "in which the harness failed"),
            (exit::INTERRUPTED, "interrupted"),
            (exit::USAGE, "with bad arguments"),
        ] {
            if with(code) > 0 {
                text += &format!(", {} {what}", with(code));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(codes: &[u8]) -> Runs {
        Runs { codes: codes.to_vec(), interrupted: false }
    }

    #[test]
    fn the_worst_run_decides() {
        let worst = |codes: &[u8]| runs(codes).exit_code();
        assert_eq!(worst(&[0, 2, 3, 1, 130]), 1);
        assert_eq!(worst(&[0, 2, 3]), 3, "a harness that fails is worse than a doubt");
        assert_eq!(worst(&[0, 2]), 2);
        assert_eq!(worst(&[0, 0]), 0);
        assert_eq!(worst(&[0, 130]), 130);
        assert_eq!(Runs { interrupted: true, ..runs(&[0]) }.exit_code(), 130, "not all that was asked for");
    }

    #[test]
    fn a_crashed_run_is_a_harness_failure() {
        for ended in [Some(101), Some(134), Some(7), None] {
            assert_eq!(runs(&[0, documented(ended), 0]).exit_code(), exit::HARNESS, "{ended:?}");
        }
        for code in [0, 1, 2, 3, 64, 130] {
            assert_eq!(documented(Some(code)), code as u8);
        }
    }

    #[test]
    fn every_run_is_counted_once() {
        let text = runs(&[0, 1, 2, 2, 3, 130]).tally(9);
        assert_eq!(
            text,
            "6 of 9 runs: 1 clean, 1 with a violation, 2 unknown, \
             1 in which the harness failed, 1 interrupted"
        );
    }
}
