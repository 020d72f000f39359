//! The process of a node of any system: its identity, and how it ends.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;

use futures_util::future::LocalBoxFuture;
use tokio::signal::unix::{SignalKind, signal};

use crate::logging::log;

/// A node's identity and its addresses.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// This node's name.
    #[arg(long)]
    pub(crate) id: String,
    /// Where the peers connect.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// Where clients connect.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) client: SocketAddr,
    /// Another node and where to dial it; once for each.
    #[arg(long = "peer", value_name = "NAME=ADDRESS", value_parser = parse_peer)]
    peers: Vec<(String, SocketAddr)>,
    /// The directory of all that outlives the process.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
}

fn parse_peer(text: &str) -> Result<(String, SocketAddr), String> {
    let (name, address) = text.split_once('=').ok_or("expected NAME=ADDRESS")?;
    Ok((name.to_owned(), address.parse().map_err(|error| format!("{address:?}: {error}"))?))
}

impl Place {
    /// The other nodes and their addresses.
    ///
    /// # Errors
    /// When two nodes have the same name.
    pub(crate) fn peers<'a, Name: Ord + From<&'a str>>(
        &'a self,
    ) -> Result<BTreeMap<Name, SocketAddr>, String> {
        let mut peers = BTreeMap::new();
        for (name, address) in &self.peers {
            if *name == self.id || peers.insert(name.as_str().into(), *address).is_some() {
                return Err(format!("two nodes are named {name}"));
            }
        }
        Ok(peers)
    }
}

/// Completes when the process is asked to stop.
pub(crate) type Shutdown = LocalBoxFuture<'static, ()>;

/// Runs a node until SIGTERM or SIGINT. Returns the exit code 0; or 3, with a line on standard error, if it
/// could not start or continue.
pub(crate) fn run<E: Display>(serve: impl AsyncFnOnce(Shutdown) -> Result<(), E>) -> u8 {
    let prepared = || -> std::io::Result<_> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        drop(entered);
        let shutdown: Shutdown = Box::pin(async move {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        });
        Ok((runtime, shutdown))
    };
    let served = match prepared() {
        Ok((runtime, shutdown)) => runtime.block_on(serve(shutdown)).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match served {
        Ok(()) => 0,
        Err(error) => {
            log(format_args!("error: {error}"));
            3
        }
    }
}
