//! `tribunal try`: real bugs of released systems, each with a trial that shows it and a control that must be clean.
//!
//! ```text
//! real_bugs/register.toml    the bugs: package, source, trial, control
//! real_bugs/measured.jsonl   how often each was shown, by `tribunal try --times 10 --record FILE NAME`
//! docs/real-bugs.md          made from both; UPDATE_SNAPSHOTS=1 renews it
//! ```

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::{CommandFactory, FromArgMatches};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tribunal_records::oracles::Oracle;
use tribunal_records::suggest::unknown;
use tribunal_reports::run_dir::load_judgement;

use crate::cli::{Cli, Run, Verb};
use crate::interrupts::Interrupts;
use crate::list::table;
use crate::{child, exit, run};

const REGISTER: &str = include_str!("real_bugs/register.toml");
const MEASURED: &str = include_str!("real_bugs/measured.jsonl");

/// `tribunal try`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Names of bugs
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// List the bugs, and how often each was shown
    #[arg(long)]
    list: bool,

    /// Run the control instead, which must be clean: a fixed version, or a safe setting
    #[arg(long, conflicts_with = "times")]
    control: bool,

    /// Run each bug and its control this many times, and count
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: Option<u32>,

    /// Append the counts to this file, one JSON line for each bug
    #[arg(long, value_name = "FILE", requires = "times")]
    record: Option<PathBuf>,

    /// Where the runs are stored
    #[arg(long, default_value = "store", value_name = "DIR")]
    store: PathBuf,

    /// Seed of the run, or of the first of several [default: drawn; 1 with --times]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Further flags of `tribunal run`
    #[arg(last = true, value_name = "FLAGS")]
    flags: Vec<String>,
}

/// A bug of the register.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RealBug {
    name: String,
    /// What happens, in a sentence or two.
    what: String,
    /// The system and the version that shows it, with its package.
    package: String,
    /// Where it was published.
    source: String,
    /// The arguments of `tribunal run` that show it.
    trial: String,
    /// The arguments of a run that must be clean.
    control: String,
    /// The oracles that find it. A violation that another one finds does not count.
    #[serde(default = "model")]
    oracles: Vec<Oracle>,
    /// How the control differs.
    differs: String,
    /// A fault schedule of the trial.
    schedule: Option<String>,
    /// A fault schedule of the control, if it is not that of the trial.
    control_schedule: Option<String>,
}

fn model() -> Vec<Oracle> {
    vec![Oracle::Model]
}

#[derive(Deserialize)]
struct Register {
    bug: Vec<RealBug>,
}

/// How often a bug was shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Measured {
    name: String,
    /// Runs with a violation, of `of`.
    shown: usize,
    of: usize,
    /// Median time of these runs, in seconds, from start to report.
    median_s: f64,
    /// Runs of the control without a finding, and with a violation, of `of`.
    clean: usize,
    accused: usize,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    if args.list || args.names.is_empty() {
        exit::print_text(&listed());
        return ExitCode::SUCCESS;
    }
    let bugs: Result<Vec<RealBug>> = args.names.iter().map(|name| find(name)).collect();
    let bugs = match bugs {
        Ok(bugs) => bugs,
        Err(error) => return exit::usage(error),
    };
    match (args.times, &*bugs) {
        (Some(times), bugs) => measure(args, bugs, times).unwrap_or_else(exit::harness),
        (None, [bug]) => once(args, bug).unwrap_or_else(exit::usage),
        (None, _) => exit::usage(anyhow!("expected one name, or --times for several")),
    }
}

fn register() -> Vec<RealBug> {
    toml::from_str::<Register>(REGISTER).expect("a test reads it").bug
}

fn measured() -> Vec<Measured> {
    MEASURED.lines().map(|line| serde_json::from_str(line).expect("a test reads it")).collect()
}

fn find(name: &str) -> Result<RealBug> {
    let mut bugs = register();
    let names: Vec<String> = bugs.iter().map(|bug| bug.name.clone()).collect();
    match names.iter().position(|it| it == name) {
        Some(at) => Ok(bugs.swap_remove(at)),
        None => bail!(unknown("bug", name, &names.iter().map(String::as_str).collect::<Vec<_>>())),
    }
}

fn listed() -> String {
    let measured = measured();
    let rows = register().into_iter().map(|bug| {
        let counts = measured.iter().find(|it| it.name == bug.name).map_or(String::new(), Measured::words);
        [bug.name, bug.package, counts, bug.what]
    });
    table(&rows.collect::<Vec<_>>())
}

impl Measured {
    fn words(&self) -> String {
        format!(
            "{} of {} in {:.0} s, control {} of {}",
            self.shown, self.of, self.median_s, self.clean, self.of
        )
    }
}

/// The words of a run of the bug or of its control.
fn words(args: &Args, bug: &RealBug, control: bool, seed: Option<u64>) -> Result<Vec<String>> {
    let (trial, which) = if control { (&bug.control, "-control") } else { (&bug.trial, "") };
    let schedule = bug.control_schedule.as_ref().filter(|_| control).or(bug.schedule.as_ref());
    let mut words: Vec<String> = trial.split_whitespace().map(String::from).collect();
    let mut add = |flag: &str, value: String| words.extend([flag.to_string(), value]);
    add("--store", args.store.display().to_string());
    if let Some(schedule) = schedule {
        let path = args.store.join(format!("{}{which}.toml", bug.name));
        std::fs::create_dir_all(&args.store).with_context(|| args.store.display().to_string())?;
        std::fs::write(&path, schedule).with_context(|| path.display().to_string())?;
        add("--schedule", path.display().to_string());
    }
    if let Some(seed) = seed {
        add("--seed", seed.to_string());
    }
    words.extend(args.flags.iter().cloned());
    Ok(words)
}

/// What `tribunal` would do with these words, which begin with `run`.
fn typed(words: &[String]) -> Result<(crate::cli::RunArgs, clap::ArgMatches)> {
    let all = std::iter::once("tribunal").chain(words.iter().map(String::as_str));
    let matches = Cli::command().try_get_matches_from(all)?;
    let Verb::Run(args) = Cli::from_arg_matches(&matches)?.verb else { bail!("expected a run") };
    let matches = matches.subcommand_matches("run").context("expected a run")?.clone();
    Ok((*args, matches))
}

/// One run, as `tribunal run` does it: the exit code is its own.
fn once(args: &Args, bug: &RealBug) -> Result<ExitCode> {
    let words = words(args, bug, args.control, args.seed)?;
    let role = match args.control {
        true => format!("control  {}: it must be clean", bug.differs),
        false => format!("package  {}", bug.package),
    };
    let text = format!(
        "{}: {}\n  {role}\n  source   {}\n  command  tribunal {}\n\n",
        bug.name,
        bug.what,
        bug.source,
        words.join(" ")
    );
    exit::eprint_text(&text);
    let (run, matches) = typed(&words)?;
    Ok(run::run(&run, &matches))
}

/// Runs the bugs and their controls, and counts. Exits with 1 if a control was accused, and with 2 if a bug was never
/// shown or a control was never clean.
fn measure(args: &Args, bugs: &[RealBug], times: u32) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut code = 0;
    for bug in bugs {
        let Some(counts) = runtime.block_on(counts(args, bug, times))? else {
            return Ok(ExitCode::from(exit::INTERRUPTED));
        };
        exit::print_text(&format!("{}: {}\n", bug.name, counts.words()));
        code = match (counts.accused, counts.shown.min(counts.clean)) {
            (1.., _) => 1,
            (0, 0) if code == 0 => 2,
            (0, _) => code,
        };
        if let Some(file) = &args.record {
            append(file, &counts)?;
        }
    }
    Ok(ExitCode::from(code))
}

/// `None`: the user interrupted.
async fn counts(args: &Args, bug: &RealBug, times: u32) -> Result<Option<Measured>> {
    let mut interrupts = Interrupts::listen()?;
    let (mut shown, mut clean, mut accused) = (Vec::new(), 0, 0);
    for nth in 0..u64::from(times) {
        for control in [false, true] {
            let seed = args.seed.unwrap_or(1) + nth;
            let (run, matches) = typed(&words(args, bug, control, Some(seed))?)?;
            let Run { spec, .. } = run.resolve(&matches)?;
            let quiet = ["--quiet", "--progress", "none"].map(std::ffi::OsString::from);
            let mut command = child::command(&spec, quiet)?;
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
            let start = Instant::now();
            let mut running = command.spawn().context("cannot start a run")?;
            let pid = child::pid(&running);
            let status = tokio::select! {
                status = running.wait() => status.context("cannot wait for a run")?,
                () = interrupts.next() => {
                    child::signal(pid, Signal::SIGINT);
                    let _ = running.wait().await;
                    return Ok(None);
                }
            };
            match (control, status.code()) {
                (_, Some(code)) if code == i32::from(exit::USAGE) => {
                    bail!("{}: the run was refused", bug.name)
                }
                (false, Some(1)) if is_it(bug, &args.store)? => shown.push(start.elapsed()),
                (true, Some(0)) => clean += 1,
                (true, Some(1)) => accused += 1,
                _ => {}
            }
        }
    }
    let (name, of) = (bug.name.clone(), times as usize);
    Ok(Some(Measured { name, shown: shown.len(), of, median_s: median(shown), clean, accused }))
}

/// Whether the latest run shows this bug, and not another violation.
fn is_it(bug: &RealBug, store: &Path) -> Result<bool> {
    let found_by = load_judgement(&store.join("latest"))?.found_by;
    Ok(found_by.is_some_and(|oracle| bug.oracles.contains(&oracle)))
}

/// In seconds; 0 of nothing.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(0.0, |it| (it.as_secs_f64() * 10.0).round() / 10.0)
}

fn append(file: &Path, counts: &Measured) -> Result<()> {
    use std::io::Write;
    let mut opened = std::fs::File::options().create(true).append(true).open(file);
    let written = opened
        .as_mut()
        .map_err(|error| anyhow!("{error}"))
        .and_then(|to| to.write_all(exit::json_line(counts).as_bytes()).map_err(|error| anyhow!("{error}")));
    written.with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trial_and_control_can_be_typed() {
        let directory = tempfile::tempdir().unwrap();
        let args = Args {
            names: Vec::new(),
            list: false,
            control: false,
            times: None,
            record: None,
            store: directory.path().into(),
            seed: None,
            flags: Vec::new(),
        };
        let systems = tribunal::Registry::built_in();
        for bug in register() {
            for control in [false, true] {
                let (run, matches) = typed(&words(&args, &bug, control, Some(7)).unwrap()).unwrap();
                let spec = run.resolve(&matches).unwrap_or_else(|error| panic!("{}: {error}", bug.name)).spec;
                assert!(systems.systems().iter().any(|it| it.name == spec.system), "{}", spec.system);
                assert_eq!(spec.seed, Some(7));
            }
        }
    }

    #[test]
    fn every_count_is_of_a_bug() {
        let names: Vec<String> = register().into_iter().map(|bug| bug.name).collect();
        for counts in measured() {
            assert!(names.contains(&counts.name), "{}", counts.name);
        }
        assert!(find("no-such").unwrap_err().to_string().contains("bug"));
    }

    #[test]
    fn the_page_is_that_of_the_register() {
        let mut page = String::from(
            "# Real bugs\n\n\
             Bugs and documented weaknesses of released systems. Each has a trial of about a minute that shows it, and\n\
             a control that must be clean: a fixed version, or a safe setting. This page is made from\n\
             `src/real_bugs/`; the counts are those of `tribunal try --times`.\n\n    \
             tribunal try --list\n    \
             tribunal try zookeeper-stale-read\n    \
             tribunal try zookeeper-stale-read --control\n\n\
             `tribunal doctor SYSTEM` says what is missing on this machine. The verdict on a run is that of\n\
             `tribunal run`: exit code 1 means that the bug was shown.\n\n\
             | bug | shown | median | control clean |\n|---|---|---|---|\n",
        );
        let measured = measured();
        let counts = |name: &str| measured.iter().find(|it| it.name == name);
        for bug in register() {
            page += &match counts(&bug.name) {
                Some(it) => format!(
                    "| [{name}](#{name}) | {} of {} | {:.0} s | {} of {} |\n",
                    it.shown,
                    it.of,
                    it.median_s,
                    it.clean,
                    it.of,
                    name = bug.name
                ),
                None => format!("| [{name}](#{name}) | not measured | | |\n", name = bug.name),
            };
        }
        for bug in register() {
            page += &format!("\n## {}\n\n{}\n\n", bug.name, bug.what);
            page += &format!("- Package: {}\n- Source: {}\n", bug.package, bug.source);
            page += &format!(
                "- Trial: `tribunal {}`\n- Control: {}: `tribunal {}`\n",
                bug.trial, bug.differs, bug.control
            );
            for (of, schedule) in [("trial", &bug.schedule), ("control", &bug.control_schedule)] {
                if let Some(schedule) = schedule {
                    page +=
                        &format!("\nThe fault schedule of the {of}:\n\n```toml\n{}\n```\n", schedule.trim());
                }
            }
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/real-bugs.md");
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).is_ok_and(|it| it == page),
            "UPDATE_SNAPSHOTS=1 renews docs/real-bugs.md"
        );
    }
}
