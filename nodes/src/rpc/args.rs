//! The command line of a node whose peers ask it questions, and its process.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::{Peers, Service, serve};
use crate::replica::parse_peer;

/// The command line of one node.
#[derive(Clone, Debug, clap::Args)]
pub struct PeerArgs {
    /// This node's name.
    #[arg(long)]
    id: String,
    /// Where the peers connect.
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where clients connect.
    #[arg(long, value_name = "ADDRESS")]
    client: SocketAddr,
    /// Another node and where to dial it; once for each.
    #[arg(long = "peer", value_name = "NAME=ADDRESS", value_parser = parse_peer)]
    peers: Vec<(String, SocketAddr)>,
    /// The node's own directory.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// Who a node is, and where everything lives.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) id: String,
    pub(super) listen: SocketAddr,
    pub(super) client: SocketAddr,
    pub(super) peers: BTreeMap<String, SocketAddr>,
    pub(super) data: PathBuf,
}

impl PeerArgs {
    /// Runs a node until SIGTERM or SIGINT, then gives 0; 3 if it could not start, with a line on standard error that
    /// says why.
    pub(crate) fn run<S: Service>(
        self,
        open: impl FnOnce(Peers<S::Ask, S::Answer>, &Path) -> io::Result<S>,
    ) -> ExitCode {
        let setup = Setup {
            id: self.id,
            listen: self.listen,
            client: self.client,
            peers: self.peers.into_iter().collect(),
            data: self.data,
        };
        let served = tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
            runtime.block_on(async {
                let mut terminate = signal(SignalKind::terminate())?;
                let mut interrupt = signal(SignalKind::interrupt())?;
                let shutdown = async {
                    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
                };
                serve(setup, open, shutdown).await
            })
        });
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                crate::logging::log(format_args!("error: {error}"));
                ExitCode::from(3)
            }
        }
    }
}
