//! etcd: a key-value store on Raft, as packaged by Debian (`etcd-server`).
//!
//! Each member has one peer URL that all members know. The cluster ID is a hash of these URLs, so two members
//! cannot be given different addresses for a third: the links are attributed. `--initial-advertise-peer-urls`
//! is the proxy in front of the member, `--listen-peer-urls` the member's own socket.
//!
//! Clients send JSON to the gateway on the client port (`/v3/kv/...`), see `etcd/client.rs`. Operations: `read`,
//! `write`, `cas` (a transaction that compares the value), `add` and `generate` (a read, then a transaction
//! that compares the revision), `acquire` and `release` (a key that exists while the lock is held, with the
//! holder's name as its value).
//!
//! The only bug switch is `--bug serializable-reads`: a member answers reads from its own state, without a
//! quorum. etcd documents that these reads can be stale; the trial has to show it.

mod client;

use std::path::PathBuf;
use std::time::Duration;

use tribunal_workloads::Client;

use crate::program::program;
use crate::{BoxFuture, Command, Flaw, Place, Switches, System, Unusable, Wiring};
use client::EtcdClient;

/// The system `etcd`.
pub struct Etcd {
    program: PathBuf,
    serializable_reads: bool,
    node_args: Vec<String>,
}

const PEER: usize = 0;
const CLIENT: usize = 1;

/// Half of etcd's defaults, so that an election fits into a fault of a few seconds. The last of two equal
/// flags counts, so `--node-arg` can override these.
const PACE: [&str; 4] = ["--heartbeat-interval", "50", "--election-timeout", "500"];

/// A member that does not report its status in this time counts as unreachable (it may be paused).
const STATUS_TIMEOUT: Duration = Duration::from_millis(250);

/// A read that needs a quorum takes longer just after an election.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

const SERIALIZABLE_READS: &str = "serializable-reads";

/// Linearizable reads switched off; etcd itself is unchanged.
pub fn flaws() -> Vec<Flaw> {
    let rule = "Reads are answered by a member from its own state (etcd API guarantees: serializable reads may be stale).";
    vec![Flaw::seeded(SERIALIZABLE_READS, rule, "register")]
}

impl Etcd {
    /// Creates an etcd system with these switches.
    ///
    /// # Errors
    /// When the program is not installed, or etcd has no such bug.
    pub fn new(switches: &Switches) -> Result<Self, Unusable> {
        if let Some(bug) = switches.bugs.iter().find(|bug| *bug != SERIALIZABLE_READS) {
            let has = format!("the only one is {SERIALIZABLE_READS}");
            return Err(Unusable::NoSuchBug { system: "etcd", bug: bug.clone(), has });
        }
        Ok(Etcd {
            program: program("etcd", "etcd-server")?,
            serializable_reads: !switches.bugs.is_empty(),
            node_args: switches.node_args.clone(),
        })
    }
}

impl System for Etcd {
    fn name(&self) -> &str {
        "etcd"
    }

    fn version<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Option<String>> {
        Box::pin(async { EtcdClient::new(place.node_port(CLIENT), STATUS_TIMEOUT, false).version().await })
    }

    fn ports(&self) -> &[&'static str] {
        &["peer", "client"]
    }

    fn wiring(&self) -> Wiring {
        Wiring::Attributed
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.program.clone()]
    }

    fn command(&self, place: &Place) -> Command {
        let url = |address| format!("http://{address}");
        let mut members: Vec<String> =
            place.peers.iter().map(|(name, address)| format!("{name}={}", url(*address))).collect();
        members.push(format!("{}={}", place.name, url(place.advertised)));
        let client = url(place.addresses[CLIENT]);
        let mut args: Vec<String> = Vec::new();
        args.extend(["--name".into(), place.name.clone()]);
        args.extend(["--listen-peer-urls".into(), url(place.addresses[PEER])]);
        args.extend(["--initial-advertise-peer-urls".into(), url(place.advertised)]);
        args.extend(["--initial-cluster".into(), members.join(",")]);
        args.extend(["--listen-client-urls".into(), client.clone()]);
        args.extend(["--advertise-client-urls".into(), client]);
        args.extend(PACE.map(String::from));
        args.extend(self.node_args.iter().cloned());
        let mut args: Vec<_> = args.into_iter().map(Into::into).collect();
        args.extend(["--data-dir".into(), place.data.clone().into_os_string()]);
        Command { program: self.program.clone().into_os_string(), args, ..Command::default() }
    }

    fn ready<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async {
            let mut client = EtcdClient::new(place.node_port(CLIENT), READY_TIMEOUT, false);
            // The read needs a quorum: if it succeeds, there is a leader.
            client.read("ready").await.map(drop).map_err(|why| format!("it does not answer a read: {why}"))
        })
    }

    fn leads<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Option<u64>> {
        Box::pin(async { EtcdClient::new(place.node_port(CLIENT), STATUS_TIMEOUT, false).leads().await })
    }

    fn client(&self, place: &Place, process: u64, timeout: Duration) -> Box<dyn Client> {
        Box::new(EtcdClient::new(place.node_port(CLIENT), timeout, self.serializable_reads).of(process))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Direct, NodeOutput};

    #[test]
    fn all_members_are_told_the_same_addresses_and_these_are_proxies() {
        let etcd = Etcd {
            program: "/usr/bin/etcd".into(),
            serializable_reads: false,
            node_args: vec!["--pre-vote".into()],
        };
        let command = etcd.command(&Place {
            name: "n1".into(),
            addresses: vec!["127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()],
            advertised: "127.0.0.1:11".parse().unwrap(),
            peers: vec![("n2".into(), "127.0.0.1:12".parse().unwrap())],
            data: "/d".into(),
            log: NodeOutput::default(),
            client_log: PathBuf::new(),
            dial: Arc::new(Direct),
        });
        let args: Vec<&str> = command.args.iter().map(|arg| arg.to_str().unwrap()).collect();
        let expected = "--name n1 --listen-peer-urls http://127.0.0.1:1 \
                        --initial-advertise-peer-urls http://127.0.0.1:11 \
                        --initial-cluster n2=http://127.0.0.1:12,n1=http://127.0.0.1:11 \
                        --listen-client-urls http://127.0.0.1:2 --advertise-client-urls http://127.0.0.1:2 \
                        --heartbeat-interval 50 --election-timeout 500 --pre-vote --data-dir /d";
        assert_eq!(args, expected.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn a_bug_that_it_does_not_have_is_refused() {
        let switches = Switches { bugs: vec!["stale-read".into()], ..Switches::default() };
        let error = Etcd::new(&switches).err().expect("refused").to_string();
        assert_eq!(error, "etcd has no bug `stale-read`: the only one is serializable-reads");
    }
}
