//! Shell completions and manual pages, made from the same types as the command line itself.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit;

#[derive(clap::Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

#[derive(clap::Args)]
pub(crate) struct ManArgs {
    /// Write tribunal.1, tribunal-run.1 and so on into this directory instead
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// `tribunal completions`
pub(crate) fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tribunal", &mut script);
    let _ = io::stdout().write_all(&script); // a reader that has gone away wants no more
    ExitCode::SUCCESS
}

/// `tribunal man`
pub(crate) fn man(args: &ManArgs) -> ExitCode {
    let written = match &args.dir {
        Some(dir) => std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
            .with_context(|| format!("cannot write the manual into {}", dir.display())),
        None => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
            let _ = io::stdout().write_all(&page); // as above
            rendered.context("cannot render the manual")
        }
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::harness(error),
    }
}
