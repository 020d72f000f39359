//! The command line of a node of any protocol, and its process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::server::{Setup, serve};
use super::{Config, NodeId, Protocol};

/// What every node is told.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct NodeArgs {
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
    /// The directory of the log and the snapshot.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The shortest and the longest election timeout.
    #[arg(long, value_name = "MS-MS", default_value = "150-300", value_parser = parse_range)]
    election_timeout: (Duration, Duration),
    /// How often a leader makes itself heard; well below the shortest election timeout.
    #[arg(long, value_name = "MS", default_value = "40", value_parser = parse_ms)]
    heartbeat: Duration,
    /// Take a snapshot, and compact the log, every so many entries.
    #[arg(long, value_name = "ENTRIES", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    snapshot_every: u64,
}

pub(crate) fn parse_peer(text: &str) -> Result<(String, SocketAddr), String> {
    let (name, address) = text.split_once('=').ok_or("expected NAME=ADDRESS")?;
    Ok((name.to_owned(), address.parse().map_err(|error| format!("{address:?}: {error}"))?))
}

fn parse_range(text: &str) -> Result<(Duration, Duration), String> {
    let (shortest, longest) = text.split_once('-').ok_or("expected MS-MS, such as 150-300")?;
    let (shortest, longest) = (parse_ms(shortest)?, parse_ms(longest)?);
    if shortest > longest {
        Err("the shortest is longer than the longest".into())
    } else {
        Ok((shortest, longest))
    }
}

fn parse_ms(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(ms) => Ok(Duration::from_millis(ms)),
        Err(error) => Err(format!("{text:?}: {error}")),
    }
}

impl NodeArgs {
    /// The setup that these flags describe, or what is wrong with them.
    pub(crate) fn setup<Bug>(self, bugs: Vec<Bug>) -> Result<Setup<Bug>, String> {
        let mut peers: BTreeMap<NodeId, SocketAddr> = BTreeMap::new();
        for (name, address) in &self.peers {
            if *name == self.id || peers.insert(name.as_str().into(), *address).is_some() {
                return Err(format!("two nodes are named {name}"));
            }
        }
        if self.heartbeat >= self.election_timeout.0 {
            return Err("the heartbeat must be shorter than the shortest election timeout".into());
        }
        Ok(Setup {
            config: Config {
                id: self.id.as_str().into(),
                peers: peers.keys().cloned().collect(),
                election_timeout: self.election_timeout,
                heartbeat: self.heartbeat,
                bugs,
            },
            listen: self.listen,
            client: self.client,
            peers,
            data: self.data,
            snapshot_every: self.snapshot_every,
        })
    }

    /// Runs a node until SIGTERM or SIGINT, then gives 0; 3 if it could not start or its disk failed, with a line on
    /// standard error that says why.
    pub(crate) fn run<P: Protocol>(self, bugs: Vec<P::Bug>) -> ExitCode {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return failed(&error),
        };
        let served = runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
            let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
            let shutdown = async {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            };
            serve::<P>(self.setup(bugs)?, shutdown).await.map_err(|error| error.to_string())
        });
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        }
    }
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    crate::logging::log(format_args!("error: {error}"));
    ExitCode::from(3)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: NodeArgs,
    }

    /// Reads the flags that every node needs, and these.
    fn setup(more: &str) -> Result<Setup<()>, String> {
        let needed = "node --id n1 --listen 127.0.0.1:1 --client 127.0.0.1:2 --data d";
        let words = needed.split(' ').chain(more.split_whitespace());
        Cli::try_parse_from(words).map_err(|error| error.to_string())?.args.setup(Vec::new())
    }

    #[test]
    fn flags_become_a_setup() {
        let setup = setup(
            "--peer n2=127.0.0.1:3 --peer n3=127.0.0.1:4 --election-timeout 300-500 --heartbeat 20
             --snapshot-every 50",
        )
        .unwrap();
        assert_eq!(setup.config.peers, ["n2".into(), "n3".into()]);
        assert_eq!(setup.config.election_timeout, (Duration::from_millis(300), Duration::from_millis(500)));
        assert_eq!((setup.config.heartbeat, setup.snapshot_every), (Duration::from_millis(20), 50));
    }

    #[test]
    fn flags_that_make_no_sense_are_refused_by_name() {
        for (flags, word) in [
            ("--peer n2", "NAME=ADDRESS"),
            ("--peer n1=127.0.0.1:3", "two nodes are named n1"),
            ("--peer n2=127.0.0.1:3 --peer n2=127.0.0.1:4", "two nodes are named n2"),
            ("--election-timeout 300-150", "longer"),
            ("--election-timeout 150", "MS-MS"),
            ("--heartbeat 0", "at least 1"),
            ("--heartbeat 150", "shorter"),
            ("--snapshot-every 0", "snapshot-every"),
        ] {
            let why = setup(flags).map(|_| ()).expect_err(flags);
            assert!(why.contains(word), "{flags}: {why}");
        }
    }
}
