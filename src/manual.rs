//! Shell completions and manual pages, generated from the types of the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit;

#[derive(clap::Args)]
pub(crate) struct CompletionsArgs {
    /// Name of the shell
    shell: Shell,
}

#[derive(clap::Args)]
pub(crate) struct ManArgs {
    /// Write tribunal.1, tribunal-run.1 and so on to this directory instead
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// `tribunal completions`
pub(crate) fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tribunal", &mut script);
    exit::print(&String::from_utf8_lossy(&script));
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
            exit::print(&String::from_utf8_lossy(&page));
            rendered.context("cannot render the manual")
        }
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::harness(error),
    }
}
