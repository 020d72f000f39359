//! Tribunal: puts a distributed system on trial.

mod check;
mod cli;
mod clock;
mod cluster;
mod controller;
mod convert;
mod exit;
mod failure;
mod faults;
mod input;
mod judge;
mod limits;
mod live;
mod record;
mod run;
mod store;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use cli::{Cli, Verb};

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => dispatch(cli.verb),
        Err(error) => {
            // Not being able to say it is no reason to say something else.
            let _ = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(exit::USAGE),
            }
        }
    }
}

fn dispatch(verb: Verb) -> ExitCode {
    match verb {
        Verb::Run(args) => run::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Convert(args) => convert::run(&args),
        Verb::Node(node) => node.run(),
        Verb::Guard => cluster::guard::main(),
    }
}
