//! `tribunal run`: runs a trial, shows its progress, and exits with the verdict.

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use clap::ArgMatches;
use tokio::signal::unix::{SignalKind, signal};
use tribunal::catch_panic::catch_panic;
use tribunal::junit::Junit;
use tribunal::{Observer, Registry, RunDir, Stop, TrialError};
use tribunal_reports::text;

use crate::cli::{OutputFormat, Run, RunArgs, ShowArgs};
use crate::github::GitHub;
use crate::interrupts::Interrupts;
use crate::live::{self, Live, keyboard};
use crate::{exit, repeat};

/// `tribunal run`
pub(crate) fn run(args: &RunArgs, matches: &ArgMatches) -> ExitCode {
    match args.resolve(matches) {
        Ok(run) if run.show.repeat > 1 => repeat::run(&run),
        Ok(run) => once(run),
        Err(error) => exit::usage(error),
    }
}

/// Runs one trial.
fn once(mut run: Run) -> ExitCode {
    run.spec.seed.get_or_insert_with(|| u64::from(rand::random::<u16>()));
    let (spec, show) = (&run.spec, &run.show);
    let junit = match show.junit.as_ref().map(|file| Junit::open(file, spec)).transpose() {
        Ok(junit) => junit,
        Err(error) => return exit::usage(error.context("--junit")),
    };
    // Must happen before the first thread is started.
    if !spec.boxed
        && let Err(error) = tribunal::enter_network_namespace(spec.net)
    {
        return exit::harness(error);
    }
    let (live, stop) = (Arc::new(Live::new(show)), Stop::new());
    if let Err(error) = listen(stop.clone(), Some(live.clone())) {
        return exit::harness(error);
    }
    keyboard::watch(live.clone());
    let mut observers: Vec<Arc<dyn Observer>> = vec![live.clone()];
    observers.extend(junit.map(|junit| Arc::new(junit) as Arc<dyn Observer>));
    observers.push(Arc::new(GitHub { json: show.format == OutputFormat::Json }));
    let observers: Arc<dyn Observer> = Arc::new(observers);
    let held = tribunal::Run::run(spec, &Registry::built_in(), &observers, &stop);
    live.end();
    match held {
        Ok(held) => {
            print(&held, show);
            ExitCode::from(held.judgement.exit_code)
        }
        Err(TrialError::Spec(why)) => exit::usage(anyhow!(run.placed(&why))),
        Err(TrialError::Harness(why)) => exit::harness(anyhow!(why)),
        Err(error @ TrialError::NotStored { .. }) => not_stored(&error, show),
    }
}

/// Prints a verdict that could not be stored. A violation remains a violation; any other outcome becomes a
/// harness failure.
fn not_stored(error: &TrialError, show: &ShowArgs) -> ExitCode {
    if let TrialError::NotStored { run, .. } = error {
        print(run, show);
        if run.judgement.exit_code == 1 {
            exit::eprint_line(&format!("warning: {error}"));
            return ExitCode::from(1);
        }
    }
    exit::harness(anyhow!("{error}"))
}

/// Prints the outcome: report.txt, or one sentence with `--quiet`. The path of the report comes last. With
/// `--format json`, standard output contains the verdict only, and text for people goes to standard error.
fn print(run: &RunDir, show: &ShowArgs) {
    let judgement = &run.judgement;
    let json = show.format == OutputFormat::Json;
    if json {
        exit::print(&exit::json_line(judgement));
    }
    let say = |text: &str| match json {
        true => exit::eprint_text(text),
        false => exit::print_outcome(text, judgement.outcome),
    };
    match catch_panic(|| text::render_within(run, live::width(&std::io::stdout()))) {
        Ok(text) if !show.quiet => say(&text),
        _ => say(&format!("{}\n  report   {}/report.html\n", judgement.sentence, run.name)),
    }
}

/// Ctrl-C, SIGTERM and SIGHUP interrupt the trial; SIGUSR1 prints the status.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub(crate) fn listen(stop: Stop, live: Option<Arc<Live>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot listen for signals")?;
    let (mut interrupts, mut questions) = {
        let _inside = runtime.enter();
        let questions = signal(SignalKind::user_defined1()).context("cannot listen for SIGUSR1")?;
        (Interrupts::listen()?, questions)
    };
    let listening = async move {
        loop {
            tokio::select! {
                () = interrupts.next() => stop.interrupt(),
                asked = questions.recv() => match asked {
                    Some(()) => live.iter().for_each(|live| live.dump()),
                    None => return,
                },
            }
        }
    };
    let thread = thread::Builder::new().name("tribunal-signals".into());
    thread.spawn(move || runtime.block_on(listening)).map(drop).context("cannot listen for signals")
}
