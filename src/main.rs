//! Tribunal: puts a distributed system on trial.

// All terminal output goes through `exit`: it escapes untrusted text, and does not panic when the output is
// closed.
#![warn(clippy::print_stderr)]

mod ago;
#[cfg(feature = "box")]
mod boxed;
mod browser;
mod check;
#[cfg(feature = "trial")]
mod child;
mod clean;
mod cli;
mod convert;
mod diff;
#[cfg(feature = "trial")]
mod doctor;
mod exit;
#[cfg(feature = "trial")]
mod github;
#[cfg(feature = "trial")]
mod init;
mod input;
mod interrupts;
mod jepsen_store;
#[cfg(feature = "trial")]
mod lint_client;
mod list;
#[cfg(feature = "trial")]
mod live;
#[cfg(feature = "manual")]
mod manual;
#[cfg(feature = "trial")]
mod matrix;
mod open;
mod out_of_memory;
#[cfg(feature = "trial")]
mod real_bugs;
#[cfg(feature = "trial")]
mod repeat;
mod report;
#[cfg(feature = "trial")]
mod run;
#[cfg(feature = "serve")]
mod serve;
mod unpack;
mod verify;

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anstream::ColorChoice;
use anyhow::anyhow;
use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use tribunal::catch_panic::catch_panic;
use tribunal::user_file::ignore_file_size_signal;

use cli::{Cli, Color, Verb};

fn main() -> ExitCode {
    #[cfg(feature = "trial")]
    tribunal::executable::declare_main_program();
    ignore_file_size_signal();
    let typed = Cli::command().try_get_matches().and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut Cli::command()))?;
        Ok((cli, matches))
    });
    match typed {
        Ok((cli, matches)) => {
            colours(cli.color);
            exit::ASCII.store(cli.ascii, Ordering::Relaxed);
            catch_panic(|| dispatch(cli.verb, &matches)).unwrap_or_else(exit::harness)
        }
        Err(error) => {
            let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            if asked_for || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
                let _ = error.print(); // the exit code says enough
            } else {
                let command = Cli::command();
                let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
                let verbs: Vec<&str> = shown.map(clap::Command::get_name).collect();
                let words: Vec<_> = std::env::args_os().skip(1).collect();
                let typed = words.iter().filter_map(|word| word.to_str()).find(|word| verbs.contains(word));
                return exit::usage(anyhow!(cli::errors::message(&error, &verbs, typed)));
            }
            ExitCode::from(if asked_for { 0 } else { exit::USAGE })
        }
    }
}

fn colours(wanted: Color) {
    match wanted {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    }
    .write_global();
}

#[cfg_attr(not(feature = "trial"), expect(unused_variables))]
fn dispatch(verb: Verb, matches: &ArgMatches) -> ExitCode {
    match verb {
        #[cfg(feature = "trial")]
        Verb::Run(args) => run::run(&args, matches.subcommand_matches("run").expect("it is the verb")),
        Verb::Check(args) => check::run(&args),
        Verb::Verify(args) => verify::run(&args),
        Verb::Report(args) => report::run(&args),
        Verb::Open(args) => open::run(&args),
        Verb::Diff(args) => diff::run(&args),
        Verb::Clean(args) => clean::run(&args),
        Verb::List(args) => list::run(&args),
        #[cfg(feature = "serve")]
        Verb::Serve(args) => serve::run(&args),
        #[cfg(feature = "trial")]
        Verb::Matrix(args) => matrix::run(&args),
        #[cfg(feature = "trial")]
        Verb::Try(args) => real_bugs::run(&args),
        #[cfg(feature = "trial")]
        Verb::Init(args) => init::run(&args),
        #[cfg(feature = "trial")]
        Verb::Doctor(args) => doctor::run(&args),
        #[cfg(feature = "trial")]
        Verb::LintClient(args) => lint_client::run(&args),
        #[cfg(feature = "manual")]
        Verb::Completions(args) => manual::completions(&args),
        #[cfg(feature = "manual")]
        Verb::Man(args) => manual::man(&args),
        Verb::Convert(args) => convert::run(&args),
        #[cfg(feature = "trial")]
        Verb::Node(node) => ExitCode::from(node.run()),
        #[cfg(feature = "box")]
        Verb::Box(command) => boxed::setup::run(&command),
        #[cfg(feature = "box")]
        Verb::Replay(args) => boxed::replay::run(&args),
        #[cfg(feature = "box")]
        Verb::Convict(args) => boxed::convict::run(&args),
        #[cfg(feature = "box")]
        Verb::Shrink(args) => boxed::shrink::run(&args),
        #[cfg(feature = "box")]
        Verb::Bisect(args) => boxed::bisect::run(&args),
        #[cfg(feature = "box")]
        Verb::Branch(args) => boxed::branch::run(&args),
        #[cfg(feature = "box")]
        Verb::Guest => {
            tribunal::serve_guest();
            ExitCode::SUCCESS
        }
        #[cfg(feature = "trial")]
        Verb::Guard => {
            tribunal::serve_guard();
            ExitCode::SUCCESS
        }
    }
}
