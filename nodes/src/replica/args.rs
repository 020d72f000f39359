//! The command line of a node of any protocol.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use clap::ValueEnum;

use super::server::{Setup, serve};
use super::{Config, NodeId, Protocol};
use crate::process::{self, Place};

/// The options of every node.
#[derive(Clone, Debug, clap::Args)]
pub struct NodeArgs<Bug: ValueEnum + Send + Sync + 'static, Options: clap::Args = ()> {
    #[command(flatten)]
    place: Place,
    /// The shortest and the longest election timeout.
    #[arg(long, value_name = "MS-MS", default_value = "150-300", value_parser = parse_range)]
    election_timeout: (Duration, Duration),
    /// How often a leader makes itself heard; well below the shortest election timeout.
    #[arg(long, value_name = "MS", default_value = "40", value_parser = parse_ms)]
    heartbeat: Duration,
    /// Take a snapshot, and compact the log, every so many entries.
    #[arg(long, value_name = "ENTRIES", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    snapshot_every: u64,
    #[command(flatten)]
    options: Options,
    /// How many connections to each peer: messages take turns, and with more than one may overtake each
    /// other.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    connections: u8,
    /// Make this mistake on purpose; may be given several times.
    #[arg(long = "bug", value_name = "NAME")]
    pub(crate) bugs: Vec<Bug>,
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

impl<Bug: ValueEnum + Send + Sync + 'static, Options: clap::Args> NodeArgs<Bug, Options> {
    /// The setup from these flags; the error says what is wrong with them.
    fn setup(self) -> Result<Setup<Bug, Options>, String> {
        let peers: BTreeMap<NodeId, SocketAddr> = self.place.peers()?;
        if self.heartbeat >= self.election_timeout.0 {
            return Err("the heartbeat must be shorter than the shortest election timeout".into());
        }
        Ok(Setup {
            config: Config {
                id: self.place.id.as_str().into(),
                peers: peers.keys().cloned().collect(),
                election_timeout: self.election_timeout,
                heartbeat: self.heartbeat,
                options: self.options,
                bugs: self.bugs,
            },
            listen: self.place.listen,
            client: self.place.client,
            peers,
            data: self.place.data,
            snapshot_every: self.snapshot_every,
            connections: self.connections.into(),
        })
    }

    /// Runs a node of this protocol until it is stopped.
    pub(crate) fn run<P: Protocol<Bug = Bug, Options = Options>>(self) -> u8 {
        process::run(async |shutdown| -> Result<(), String> {
            serve::<P>(self.setup()?, shutdown).await.map_err(|error| error.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Clone, Debug, PartialEq, ValueEnum)]
    enum Bug {
        /// Forgets.
        Forget,
    }

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: NodeArgs<Bug>,
    }

    /// Parses the flags that every node needs, followed by these.
    fn setup(more: &str) -> Result<Setup<Bug>, String> {
        let needed = "node --id n1 --listen 127.0.0.1:1 --client 127.0.0.1:2 --data d";
        let words = needed.split(' ').chain(more.split_whitespace());
        Cli::try_parse_from(words).map_err(|error| error.to_string())?.args.setup()
    }

    #[test]
    fn flags_become_a_setup() {
        let setup = setup(
            "--peer n2=127.0.0.1:3 --peer n3=127.0.0.1:4 --election-timeout 300-500 --heartbeat 20
             --snapshot-every 50 --bug forget",
        )
        .unwrap();
        assert_eq!(setup.config.bugs, [Bug::Forget]);
        assert_eq!(setup.config.peers, ["n2".into(), "n3".into()]);
        assert_eq!(setup.config.election_timeout, (Duration::from_millis(300), Duration::from_millis(500)));
        assert_eq!((setup.config.heartbeat, setup.snapshot_every), (Duration::from_millis(20), 50));
    }

    #[test]
    fn flags_that_make_no_sense_are_refused_by_name() {
        for (flags, word) in [
            ("--peer n2", "NAME=ADDRESS"),
            ("--bug remember", "forget"),
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
