//! The command line: its types, their help, and their translation into a spec.

mod limits;
#[cfg(feature = "trial")]
mod spec;
#[cfg(feature = "trial")]
mod trial;

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
  0    linearizable (or convergent), and every requested fault was covered
  1    violation found (wins over everything else)
  2    unknown: a limit was reached, nothing or less than asked for succeeded, or a fault never bit
  3    harness failure: the trial itself broke
  64   bad arguments or malformed input
  130  interrupted; what exists was saved and checked (1 if it proves a violation)";

#[cfg(feature = "trial")]
const RUN_EXAMPLES: &str = "\
Examples:
  tribunal run register                                  five nodes, every fault, 30 seconds
  tribunal run counter --nemesis kill --time-limit 1m    only kills, for a minute
  tribunal run register --bug stale-read --seed 7        a Raft with a classic mistake in it
  tribunal run register --system etcd --nodes 3          a real etcd, if it is installed
  tribunal run register --nodes 3 --nemesis none --rate 500
  tribunal run register --repeat 20 --availability 0.9   twenty runs, each of which must answer nine of ten
  tribunal run register --junit out/register.xml -q      for CI: the verdict, and JUnit's XML
  tribunal run --config nightly.toml --time-limit 5m     flags from a file; those on the command line win
  tribunal run register --schedule store/latest/faults.jsonl    the same faults at the same times";

const CHECK_EXAMPLES: &str = "\
Examples:
  tribunal check store/latest                                the last run, from what is on disk
  tribunal check --model cas-register history.edn *.log      many at once; the format is recognised
  tribunal check --model queue --report out history.jsonl    with report.html and the rest in out/
  tribunal check --model register store/etcd/latest          a Jepsen store directory, compared with its results.edn
  tribunal check --model kv --merge client-*.jsonl           one file per client; --map and --time-unit: docs/histories.md
  tribunal check --model cas-register --junit out.xml *.log  for CI: a test suite per history
  some-test | tribunal check --model counter -               from standard input";

const VERIFY_EXAMPLES: &str = "\
Examples:
  tribunal verify store/latest       replays each linearization, or tries every order of the counterexample

Exit codes:
  0    the verdict is shown by what it carries, be it good or bad
  1    it is not: verdict.json or history.jsonl was changed, or a judge is wrong
  2    it claims nothing, or carries nothing to show it by
  64   bad arguments, or no run directory";

const LIST_EXAMPLES: &str = "\
Examples:
  tribunal list models
  tribunal list runs --format json | jq -r 'select(.outcome == \"violation\") | .path'";

#[cfg(feature = "serve")]
const SERVE_EXAMPLES: &str = "\
Examples:
  tribunal serve                                      the runs in ./store, at http://127.0.0.1:7400/
  ssh -L 7400:127.0.0.1:7400 build tribunal serve     those of another machine";

#[cfg(feature = "trial")]
const MATRIX_EXAMPLES: &str = "\
Examples:
  tribunal matrix --system raft                          every bug of the built-in Raft, ten runs of at most a minute
  tribunal matrix --bug stale-read --nemesis kill --nemesis pause --nemesis partition    one bug, a column per fault
  tribunal matrix --only correct --seeds 200 --budget 15s     false alarms, if there are any
  tribunal matrix --resume matrix/20261121T093015Z

Exit codes:
  0    every flaw was found in a run or more, and no correct system was accused
  1    a correct system was accused
  2    a flaw was not found, or a run of a correct system was not decided
  3    the harness broke in a run
  64   bad arguments
  130  interrupted: --resume goes on";

const CONVERT_EXAMPLES: &str = "\
Examples:
  tribunal convert store/latest/history.jsonl history.edn        for Knossos and Elle
  tribunal convert --from log etcd_000.log history.jsonl";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(tribunal completions bash)
  tribunal completions fish > ~/.config/fish/completions/tribunal.fish";

/// Tribunal puts a distributed system on trial: it starts the real processes, drives concurrent clients, injects
/// faults, and hands down a verdict on the recorded history, with the evidence.
#[derive(Parser)]
#[command(name = "tribunal", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,

    /// Show nothing but ASCII characters in the terminal
    #[arg(long, global = true)]
    pub(crate) ascii: bool,

    /// Whether to use colours: auto obeys NO_COLOR and CLICOLOR_FORCE, and else asks whether there is a terminal
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
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
    /// Put a system on trial
    #[command(after_help = format!("{RUN_EXAMPLES}\n\n{EXIT_CODES}"))]
    Run(Box<RunArgs>),
    /// Judge histories that exist: run directories, or files
    #[command(after_help = format!("{CHECK_EXAMPLES}\n\n{EXIT_CODES}"))]
    Check(crate::check::Args),
    /// Hold the verdict of a run against its history once more, by a second judge without the engines
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(crate::verify::Args),
    /// Render the reports of a run again, without checking it again
    Report(crate::report::Args),
    /// What there is: runs, workloads, systems, faults, models
    #[command(after_help = LIST_EXAMPLES)]
    List(crate::list::Args),
    #[cfg(feature = "serve")]
    /// Show all runs in a browser: on this machine only, and to read only
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(crate::serve::Args),
    #[cfg(feature = "trial")]
    /// Try every seeded mistake and every correct system, many times, and say how often each was found out
    #[command(after_help = MATRIX_EXAMPLES)]
    Matrix(crate::matrix::Args),
    /// Write a history in another format
    #[command(after_help = CONVERT_EXAMPLES)]
    Convert(crate::convert::Args),
    #[cfg(feature = "trial")]
    /// Run one node of a built-in system in the foreground
    #[command(subcommand)]
    Node(NodeCommand),
    /// Print what makes a shell complete tribunal's commands
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(crate::manual::CompletionsArgs),
    /// Print the manual page, or write one per command
    Man(crate::manual::ManArgs),
    #[cfg(feature = "trial")]
    /// Clean up after a controller that was killed; never started by hand
    #[command(hide = true)]
    Guard,
}

/// How an outcome is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OutputFormat {
    /// For people
    Text,
    /// One JSON object and line
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
}
