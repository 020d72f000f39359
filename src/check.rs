//! `tribunal check`: judges what exists.

use std::path::PathBuf;
use std::process::ExitCode;

use tribunal_reports::run_dir::Evidence;

use crate::limits::LimitArgs;
use crate::{exit, judge};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A run directory
    path: PathBuf,
    #[command(flatten)]
    limits: LimitArgs,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let checked = Evidence::load(&args.path).map_err(Into::into).and_then(|e| judge::check(&e, &args.limits));
    match checked {
        Ok((verdict, _)) => {
            println!("{:?}", verdict.answer);
            ExitCode::from(verdict.violation.is_some() as u8)
        }
        Err(error) => exit::usage(error),
    }
}
