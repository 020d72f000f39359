//! Tribunal: puts a distributed system on trial.

// `exit` is the one way to a terminal: nothing foreign acts there, and nothing panics when nobody reads.
#![warn(clippy::print_stderr)]

mod check;
mod cli;
mod clock;
mod cluster;
mod config;
mod controller;
mod converging;
mod convert;
mod exit;
mod failure;
mod faults;
mod github;
mod input;
mod interrupts;
mod jepsen_store;
mod journal;
mod judge;
mod junit;
mod limits;
mod lines;
mod list;
mod live;
mod manual;
mod matrix;
mod out_of_memory;
mod own;
mod panics;
mod record;
mod repeat;
mod report;
mod rlimits;
mod run;
mod serve;
mod store;
mod unpack;
mod verify;
mod watch;

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anstream::ColorChoice;
use clap::Parser;
use clap::error::ErrorKind;

use cli::{Cli, Color, Verb};

fn main() -> ExitCode {
    own::take_name();
    rlimits::survive_full_files();
    let typed = match config::typed(std::env::args_os()) {
        Ok(typed) => typed,
        Err(error) => return exit::usage(error),
    };
    match Cli::try_parse_from(&typed) {
        Ok(mut cli) => {
            if let Verb::Run(args) = &mut cli.verb {
                args.typed = typed[1..].iter().map(|word| word.to_string_lossy().into_owned()).collect();
            }
            colours(cli.color);
            exit::ASCII.store(cli.ascii, Ordering::Relaxed);
            panics::caught(|| dispatch(cli.verb)).unwrap_or_else(exit::harness)
        }
        Err(error) => {
            // What was typed is in it, and a shell may have typed the names of a stranger's files.
            let said = error.render().to_string();
            match exit::shown(&said) == said {
                // Not being able to say it is no reason to say something else.
                true => drop(error.print()),
                false => exit::complain_in_lines(&said),
            }
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(exit::USAGE),
            }
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

fn dispatch(verb: Verb) -> ExitCode {
    match verb {
        Verb::Run(args) if args.repeat > 1 => repeat::run(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Verify(args) => verify::run(&args),
        Verb::Report(args) => report::run(&args),
        Verb::List(args) => list::run(&args),
        Verb::Serve(args) => serve::run(&args),
        Verb::Matrix(args) => matrix::run(&args),
        Verb::Completions(args) => manual::completions(&args),
        Verb::Man(args) => manual::man(&args),
        Verb::Convert(args) => convert::run(&args),
        Verb::Node(node) => node.run(),
        Verb::Guard => cluster::guard::main(),
    }
}
