//! `tribunal box`: what `run --box` needs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::Subcommand;
use tribunal::boxes::{Chosen, set_up};

use crate::exit;

/// `tribunal box`
#[derive(Subcommand)]
pub(crate) enum BoxCommand {
    /// Bring QEMU and a kernel into a directory of the user's cache, without root
    ///
    /// On Debian they are packages, downloaded and unpacked. Elsewhere, name an installed QEMU and a kernel.
    Setup {
        /// QEMU's executable
        #[arg(long, value_name = "FILE")]
        qemu: Option<PathBuf>,
        /// A kernel (`vmlinuz`)
        #[arg(long, value_name = "FILE", requires = "modules")]
        kernel: Option<PathBuf>,
        /// The directory of the kernel's modules
        #[arg(long, value_name = "DIR", requires = "kernel")]
        modules: Option<PathBuf>,
    },
}

/// Runs a command of the box.
pub(crate) fn run(command: &BoxCommand) -> ExitCode {
    let BoxCommand::Setup { qemu, kernel, modules } = command;
    let chosen = Chosen { qemu: qemu.clone(), kernel: kernel.clone(), modules: modules.clone() };
    if let Err(why) = chosen.check() {
        return exit::usage(anyhow!(why));
    }
    match set_up(&chosen, &mut |line| exit::eprint_line(line)) {
        Ok(_) => {
            exit::eprint_line("ready    tribunal run register --box --time-limit 5s");
            ExitCode::SUCCESS
        }
        Err(why) => exit::harness(anyhow!("box setup: {why}")),
    }
}
