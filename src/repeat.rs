//! `tribunal run --repeat N`: the same trial N times, with one seed after the other.
//!
//! Each is a `tribunal run` of its own, the very command that repeats that run alone: a run that breaks cannot take the
//! others with it, and what its run.json says is true.

use std::process::ExitCode;

use anyhow::{Context, Result};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, getppid};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tribunal_reports::run_info::without_flags;

use crate::cli::RunArgs;
use crate::{exit, own};

/// Makes the runs, and exits with the worst of what they came to.
pub(crate) fn run(args: &RunArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let codes =
        runtime.context("cannot start").and_then(|runtime| runtime.block_on(all(args)).context("--repeat"));
    match codes {
        Ok(codes) => {
            exit::complain(&tally(&codes, args.repeat));
            ExitCode::from(worst(&codes))
        }
        Err(error) => exit::harness(error),
    }
}

/// What each run exited with; fewer than were asked for when the user interrupts.
async fn all(args: &RunArgs) -> Result<Vec<u8>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let words = without_flags(&args.typed, &["--repeat", "--seed"]);
    let first = args.seed.unwrap_or_else(|| u64::from(rand::random::<u16>()));
    let mut codes = Vec::new();
    let mut interrupted = false;
    for nth in 0..args.repeat {
        let seed = first.wrapping_add(u64::from(nth));
        if !args.quiet {
            exit::complain(&format!("run {} of {}, seed {seed}", nth + 1, args.repeat));
        }
        let mut command = Command::from(own::command()?);
        // In a group of its own: Ctrl-C reaches it once, through us.
        command.args(&words).arg(format!("--seed={seed}")).process_group(0).kill_on_drop(true);
        let parent = getpid();
        // SAFETY: between fork and exec only async-signal-safe calls are made: prctl and getppid.
        unsafe {
            command.pre_exec(move || {
                // Runs end in order when we are killed. We spawn on our only thread.
                prctl::set_pdeathsig(Signal::SIGTERM)?;
                if getppid() != parent { Err(std::io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
            });
        }
        let mut child = command.spawn().context("cannot start a run")?;
        let pid = child.id().map(|pid| Pid::from_raw(pid as i32));
        let status = loop {
            tokio::select! {
                status = child.wait() => break status.context("cannot wait for a run")?,
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            interrupted = true;
            let _ = pid.map(|pid| kill(pid, Signal::SIGINT)); // it may have ended by itself
        };
        // Ended by a signal, it has broken.
        codes.push(status.code().map_or(exit::HARNESS, |code| code as u8));
        if interrupted || codes.last() == Some(&exit::USAGE) {
            break;
        }
    }
    Ok(codes)
}

/// A violation wins over everything, then what nobody could run, then a harness failure, then a doubt.
fn worst(codes: &[u8]) -> u8 {
    let order = [1, exit::USAGE, exit::INTERRUPTED, exit::HARNESS, 2, 0];
    order.into_iter().find(|code| codes.contains(code)).unwrap_or(exit::HARNESS)
}

fn tally(codes: &[u8], wanted: u32) -> String {
    let with = |wanted: u8| codes.iter().filter(|code| **code == wanted).count();
    let [good, violations, unknown, broke] = [0, 1, 2, exit::HARNESS].map(with);
    let mut text = format!(
        "{} of {wanted} runs: {good} in which nothing was found, {violations} with a violation, {unknown} unknown",
        codes.len()
    );
    if broke > 0 {
        text += &format!(", {broke} in which the harness failed");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_run_decides() {
        assert_eq!(worst(&[0, 2, 3, 1, 130]), 1);
        assert_eq!(worst(&[0, 2, 3]), 3, "a harness that fails is worse than a doubt");
        assert_eq!(worst(&[0, 2]), 2);
        assert_eq!(worst(&[0, 0]), 0);
        assert_eq!(worst(&[0, 130]), 130);
        assert_eq!(worst(&[101]), exit::HARNESS, "a code that there is not");
    }
}
