//! Runs a built-in server on its own: `cargo run -p tribunal-nodes --example node -- raft --help`.

use std::process::ExitCode;

use clap::Parser;

/// Runs one node of a built-in system.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    node: tribunal_nodes::NodeCommand,
}

fn main() -> ExitCode {
    ExitCode::from(Cli::parse().node.run())
}
