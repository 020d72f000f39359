//! The command line: its types, their help, and their translation into a spec.

pub(crate) mod errors;
mod limits;
#[cfg(feature = "trial")]
mod spec;
#[cfg(feature = "trial")]
mod trial;
#[cfg(all(test, feature = "trial", feature = "serve"))]
mod wrong_input;

use clap::{Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
#[cfg(feature = "trial")]
use tribunal_nodes::NodeCommand;

pub(crate) use self::limits::LimitArgs;
#[cfg(feature = "trial")]
pub(crate) use self::spec::Run;
#[cfg(feature = "trial")]
pub(crate) use self::trial::{ProgressMode, RunArgs, ShowArgs};

/// Exit codes of every command.
const EXIT_CODES: &str = "\
Exit codes:
  0    linearizable (or convergent), and every requested fault had an effect
  1    violation found (wins over everything else), or slower than --max-p99 or --max-recovery allow
  2    unknown: a limit was reached, too few operations succeeded, or a requested fault had no effect
  3    harness failure: Tribunal or this machine failed, not the system
  64   bad arguments or malformed input
  130  interrupted: the history so far was saved and checked (1 if it proves a violation)";

#[cfg(feature = "trial")]
const RUN_EXAMPLES: &str = "\
Examples:
  tribunal run register                                  the built-in Raft, five nodes, usual faults, 30 s
  tribunal run register --bug stale-read --seed 7        a Raft with a classic bug
  tribunal run register --system etcd --nodes 3          a real etcd, if it is installed
  tribunal run counter --nemesis kill --time-limit 1m    only kills, for a minute
  tribunal run register --nemesis all --nemesis-interval 500ms    every fault that is possible here
  tribunal run register --nodes 3 --nemesis none --rate 500
  tribunal run register --repeat 20 --availability 0.9   twenty runs, each with a success rate of 0.9 or more
  tribunal run register --profile ci                     with the flags of [profile.ci] in tribunal.toml
  tribunal run register --junit out/register.xml -q      for CI: only the verdict, and JUnit XML
  tribunal run --config nightly.toml --time-limit 5m     flags from a file; typed flags win
  tribunal run register --schedule store/latest/faults.jsonl    the same faults at the same times";

const CHECK_EXAMPLES: &str = "\
Examples:
  tribunal check store/latest                                the latest run
  tribunal check --model cas-register history.edn *.log      several histories; formats are detected
  tribunal check --model queue --report out history.jsonl    writes report.html and other reports to out/
  tribunal check --model register store/etcd/latest          a Jepsen store directory, compared with its results.edn
  tribunal check --model kv --merge client-*.jsonl           one file per client; --map and --time-unit: docs/histories.md
  tribunal check --model cas-register --junit out.xml *.log  for CI: one test suite per history
  some-test | tribunal check --model counter -               from standard input";

const VERIFY_EXAMPLES: &str = "\
Examples:
  tribunal verify store/latest       replays each linearization, or tries every order of the counterexample

Exit codes:
  0    the evidence confirms the verdict, whatever the verdict is
  1    it does not: verdict.json or history.jsonl was changed, or a checker is wrong
  2    the verdict is unknown, or contains no evidence
  64   bad arguments, or no run directory";

const CLEAN_EXAMPLES: &str = "\
Examples:
  tribunal clean                            what would be removed: all but the newest 20 runs, and violations
  tribunal clean --keep 5 --yes             removes all but the newest 5 runs and those with a violation
  tribunal clean --older-than 7d --violations --keep 0 --yes";

const LIST_EXAMPLES: &str = "\
Examples:
  tribunal list models
  tribunal list bugs
  tribunal list runs --format json | jq -r 'select(.outcome == \"violation\") | .path'";

#[cfg(feature = "serve")]
const SERVE_EXAMPLES: &str = "\
Examples:
  tribunal serve                                      the runs in ./store, at http://127.0.0.1:7400/
  ssh -L 7400:127.0.0.1:7400 build tribunal serve     the runs on another machine";

#[cfg(feature = "trial")]
const MATRIX_EXAMPLES: &str = "\
Examples:
  tribunal matrix --system raft                          every bug of the built-in Raft, ten runs of at most 60 s each
  tribunal matrix --bug stale-read --nemesis kill --nemesis pause --nemesis partition    one bug, a column per fault
  tribunal matrix --only correct --seeds 200 --budget 15s     looks for false alarms
  tribunal matrix --resume matrix/20261121T093015Z

Exit codes:
  0    every bug was detected in at least one run, and there was no false alarm
  1    a false alarm: a violation was reported for a correct system
  2    a bug was not detected, or a run of a correct system was unknown
  3    harness failure in a run
  64   bad arguments
  130  interrupted: continue with --resume";

#[cfg(feature = "trial")]
const TRY_EXAMPLES: &str = "\
Examples:
  tribunal try --list
  tribunal try zookeeper-stale-read                 the exit code is that of the run: 1 means that it was shown
  tribunal try zookeeper-stale-read --control       the same with a sync before each read
  tribunal try --times 10 zookeeper-stale-read      ten runs of each, counted
  tribunal try zookeeper-stale-read -- --rate 500   with further flags of `tribunal run`";

const CONVERT_EXAMPLES: &str = "\
Examples:
  tribunal convert store/latest/history.jsonl history.edn        for Knossos and Elle
  tribunal convert --from log etcd_000.log history.jsonl";

#[cfg(feature = "box")]
const REPLAY_EXAMPLES: &str = "\
Examples:
  tribunal replay store/latest/failure.tribunal

Exit codes:
  0    everything repeated, byte for byte
  1    something differs: it is named
  3    harness failure
  64   bad arguments, no failure file, or no box";

#[cfg(feature = "box")]
const CONVICT_EXAMPLES: &str = "\
Examples:
  tribunal convict store/failed
  tribunal convict --within 10m --boots 100 store/failed

Exit codes:
  1    convicted: a box shows a violation
  2    no box showed one
  3    harness failure
  64   bad arguments, or no violation
  130  interrupted";

#[cfg(feature = "box")]
const SHRINK_EXAMPLES: &str = "\
Examples:
  tribunal shrink store/latest
  tribunal shrink --boots 10 store/latest       more boots for each candidate: a stronger proof

Exit codes:
  1    the smallest trial was found, and shows a violation
  2    the recorded faults alone do not show one
  3    harness failure
  64   bad arguments, or no violation of a box";

#[cfg(feature = "box")]
const BRANCH_EXAMPLES: &str = "\
Examples:
  tribunal branch store/latest
  tribunal branch --before 5s,2s,1s,500ms,100ms --ways 30 store/latest    # when was it decided?

Exit codes:
  1    a way shows a violation
  2    none does
  3    harness failure
  64   bad arguments, or no violation in a box";
#[cfg(feature = "box")]
const BISECT_EXAMPLES: &str = "\
Examples:
  tribunal bisect --binaries etcd-3.4,etcd-3.5,etcd-3.6 store/latest

Exit codes:
  1    the first binary that shows it is named
  2    the newest does not show it
  3    harness failure
  64   bad arguments, or no violation";

#[cfg(feature = "manual")]
const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(tribunal completions bash)
  tribunal completions fish > ~/.config/fish/completions/tribunal.fish";

/// Tests a distributed system for linearizability: starts its real processes, drives concurrent clients, injects
/// faults, checks the recorded history, and reports a verdict with its evidence.
#[derive(Parser)]
#[command(name = "tribunal", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,

    /// Print only ASCII characters to the terminal
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) ascii: bool,

    /// When to use colours
    ///
    /// `auto`: on a terminal, unless NO_COLOR is set; CLICOLOR_FORCE also enables them elsewhere.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        hide_short_help = true
    )]
    pub(crate) color: Color,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    #[cfg(feature = "trial")]
    /// Run a system under faults and check its history
    #[command(after_long_help = format!("{RUN_EXAMPLES}\n\n{EXIT_CODES}"))]
    Run(Box<RunArgs>),
    /// Check recorded histories: run directories or files
    #[command(after_help = format!("{CHECK_EXAMPLES}\n\n{EXIT_CODES}"))]
    Check(crate::check::Args),
    /// Verify the evidence of a verdict with an independent second checker
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(crate::verify::Args),
    /// Render the reports of a run again, without a new check
    Report(crate::report::Args),
    /// Open the report of a run in the browser: by default of the latest run
    Open(crate::open::Args),
    /// Compare two runs: their trials, outcomes and figures
    Diff(crate::diff::Args),
    /// Remove old runs; without --yes only list them
    #[command(after_help = CLEAN_EXAMPLES)]
    Clean(crate::clean::Args),
    /// List runs, workloads, systems, faults, bugs or models
    #[command(after_help = LIST_EXAMPLES)]
    List(crate::list::Args),
    #[cfg(feature = "serve")]
    /// Show all runs in a browser: read-only, localhost only
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(crate::serve::Args),
    #[cfg(feature = "trial")]
    /// Run every known bug and every correct system many times; report how often each is detected
    #[command(after_help = MATRIX_EXAMPLES)]
    Matrix(crate::matrix::Args),
    #[cfg(feature = "trial")]
    /// Show a real bug of a released system, or the control that does not have it
    #[command(after_help = TRY_EXAMPLES)]
    Try(crate::real_bugs::Args),
    #[cfg(feature = "trial")]
    /// Write a commented description of a system of your own
    Init(crate::init::Args),
    #[cfg(feature = "trial")]
    /// Try out this machine, or the description of a system, step by step
    Doctor(crate::doctor::DoctorArgs),
    #[cfg(feature = "trial")]
    /// Check that a client never says what it cannot know
    LintClient(crate::lint_client::Args),
    /// Write a history in another format
    #[command(after_help = CONVERT_EXAMPLES)]
    Convert(crate::convert::Args),
    #[cfg(feature = "trial")]
    /// Run one node of a built-in system in the foreground
    #[command(subcommand)]
    Node(NodeCommand),
    #[cfg(feature = "manual")]
    /// Print a shell completion script
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(crate::manual::CompletionsArgs),
    #[cfg(feature = "manual")]
    /// Print the manual page, or write one page per command
    Man(crate::manual::ManArgs),
    #[cfg(feature = "box")]
    /// Set up what `run --box` needs: QEMU and a kernel, without root
    #[command(subcommand)]
    Box(crate::boxed::setup::BoxCommand),
    #[cfg(feature = "box")]
    /// Show a violation again, bit for bit: from the failure.tribunal that a box has left
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(crate::boxed::replay::Args),
    #[cfg(feature = "box")]
    /// Look for a violation that was seen once, until a box shows it every time
    #[command(after_help = CONVICT_EXAMPLES)]
    Convict(crate::boxed::convict::Args),
    #[cfg(feature = "box")]
    /// Find the smallest trial that shows the violation of a box, and prove that each of its faults is needed
    #[command(after_help = SHRINK_EXAMPLES)]
    Shrink(crate::boxed::shrink::Args),
    #[cfg(feature = "box")]
    /// Find the first of several binaries that shows a violation
    #[command(after_help = BISECT_EXAMPLES)]
    Bisect(crate::boxed::bisect::Args),
    #[cfg(feature = "box")]
    /// Continue the run of a box in many ways, from a moment before its violation
    #[command(after_help = BRANCH_EXAMPLES)]
    Branch(crate::boxed::branch::Args),
    #[cfg(feature = "trial")]
    /// Clean up after a controller that was killed; never started by hand
    #[command(hide = true)]
    Guard,
    #[cfg(feature = "box")]
    /// Run the trial of a box, inside it; never started by hand
    #[command(hide = true)]
    Guest,
}

/// How an outcome is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OutputFormat {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_definition_is_valid() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[cfg(feature = "trial")]
    #[test]
    fn the_short_help_of_run_fits_a_screen() {
        use clap::CommandFactory;
        let mut cli = Cli::command();
        cli.build();
        let help = cli.find_subcommand_mut("run").expect("there is such a command").render_help().to_string();
        assert!(help.lines().count() < 40, "{} lines:\n{help}", help.lines().count());
        let long: Vec<&str> = help.lines().filter(|line| line.chars().count() > 110).collect();
        assert!(long.is_empty(), "{}", long.join("\n"));
        let at = |heading: &str| help.find(heading).expect("a heading");
        assert!(["What:", "Load:", "Faults:", "Check:", "Output:"].map(at).is_sorted(), "{help}");
    }
}
