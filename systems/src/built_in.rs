//! The built-in systems. All run from the tribunal executable and share a command line and a wire protocol.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tribunal_checker::op::Value;
#[cfg(feature = "gossip")]
use tribunal_nodes::gossip;
use tribunal_nodes::{BugSwitch, abd, paxos, raft, synod, zab};
use tribunal_records::suggest::suggest;
use tribunal_records::wire::{Applied, AppliedEntry};
use tribunal_records::{Concurrency, Rate, TrialSpec};
use tribunal_workloads::Client;

use crate::framed::{self, FramedClient};
use crate::{
    AdminRequest, BoxFuture, Command, Direct, Flaw, NodeOutput, Place, Replicas, Switches, System, Unusable,
    Wiring,
};

/// A built-in system.
pub(crate) struct BuiltIn {
    name: &'static str,
    switches: Switches,
    drawn: Vec<String>,
}

impl BuiltIn {
    /// Looks up the system by name and keeps the switches.
    ///
    /// # Errors
    /// When the system has no such bug, or does not accept an argument.
    pub(crate) fn new(name: &'static str, switches: &Switches) -> Result<Self, Unusable> {
        let system = BuiltIn { name, switches: switches.clone(), drawn: draw(name, switches) };
        let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let place = Place {
            name: "n1".into(),
            addresses: vec![nobody; system.ports().len()],
            advertised: nobody,
            peers: vec![("n2".into(), nobody)],
            data: "data".into(),
            log: NodeOutput::default(),
            client_log: PathBuf::new(),
            dial: Arc::new(Direct),
        };
        let flaws = crate::find(name).map_or_else(Vec::new, |entry| (entry.flaws)());
        let known: Vec<String> = flaws.into_iter().filter_map(|flaw| flaw.bug).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        if let Some(bug) = switches.bugs.iter().find(|bug| !known.contains(&bug.as_str())) {
            let has = match suggest(bug, known.iter().copied()) {
                _ if known.is_empty() => "it has no switches for bugs".into(),
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("expected one of {}", known.join(", ")),
            };
            return Err(Unusable::NoSuchBug { system: name, bug: bug.clone(), has });
        }
        // The first word of the command is `node`.
        tribunal_nodes::understands(&system.command(&place).args[1..]).map_err(Unusable::Arguments)?;
        Ok(system)
    }
}

/// The range of the number of entries between two snapshots; its logarithm is uniform.
const SNAPSHOT_EVERY: Range<f64> = 200.0..10_000.0;
/// The share of runs in which messages to a peer take turns on several connections, and may overtake.
const OVERTAKING: f64 = 0.3;

/// Draws settings that nobody gave and that decide which code runs at all. Without a snapshot in a run, no
/// mistake of snapshots can show.
fn draw(name: &str, switches: &Switches) -> Vec<String> {
    let mut rng = ChaCha8Rng::seed_from_u64(switches.seed);
    let every = SNAPSHOT_EVERY.start * (SNAPSHOT_EVERY.end / SNAPSHOT_EVERY.start).powf(rng.random());
    let connections = if rng.random_bool(OVERTAKING) { 3 } else { 1 };
    let all = match name {
        // ZAB relies on channels that keep the order.
        "zab" => vec![format!("--snapshot-every={every:.0}")],
        "raft" | "paxos" => {
            vec![format!("--snapshot-every={every:.0}"), format!("--connections={connections}")]
        }
        _ => Vec::new(),
    };
    let is_given = |drawn: &String| {
        let flag = drawn.split('=').next().unwrap_or_default();
        switches.node_args.iter().any(|arg| arg.split('=').next() == Some(flag))
    };
    all.into_iter().filter(|drawn| !is_given(drawn)).collect()
}

/// Raft's seeded bugs. Diverging logs stay visible longest under a workload that does not overwrite values
/// (`counter`). Some bugs need a particular fault or load.
pub(crate) fn raft() -> Vec<Flaw> {
    use raft::Bug;
    let flaw = |bug: &Bug| {
        let (workload, change): (_, fn(&mut TrialSpec)) = match bug {
            Bug::AckBeforeFsync => ("register", |spec| spec.nemesis = "power".into()),
            // Only an entry that crosses a sector can be torn, which takes large batches. A snapshot begins a
            // new log.
            Bug::TornTailKept => ("counter", |spec| {
                (spec.nodes, spec.rate, spec.concurrency) = (3, Rate::Full, Concurrency::PerNode(10));
                (spec.nemesis, spec.nemesis_interval) = ("torn-write".into(), Duration::from_secs(1));
                spec.node_arg = vec!["--snapshot-every=1000000".into()];
            }),
            Bug::MembershipTwoAtOnce => ("register", |spec| spec.nemesis = "membership".into()),
            // Two candidates win one term only if a voter restarts between its two votes.
            Bug::ForgetVote | Bug::ForgetTerm => ("counter", |spec| {
                (spec.nodes, spec.nemesis) = (3, "kill:bridge".into());
                spec.node_arg = vec!["--election-timeout=400-800".into()];
            }),
            // The last entry is acknowledged only if no later operation is in flight.
            Bug::ReuseIndexAfterRestart => ("counter", |spec| {
                (spec.nemesis, spec.rate) = ("kill:all+majority".into(), Rate::PerSecond(100.0));
            }),
            // Figure 8 needs four leaders in a row, each cut off at the right moment, one of them without new
            // entries.
            Bug::CommitPriorTerm => ("counter", |spec| {
                (spec.nodes, spec.keys, spec.rate) = (3, 1, Rate::PerSecond(60.0));
                (spec.reads, spec.op_timeout) = (Some(0.8), Duration::from_millis(120));
                spec.nemesis = "partition:each-leader".into();
                spec.node_arg = vec!["--election-timeout=100-200".into()];
            }),
            // One connection delivers in order.
            Bug::TruncateUnconditionally => ("counter", |spec| {
                spec.nemesis = "kill,partition,degrade:jitter+uneven".into();
                spec.node_arg = vec!["--connections=3".into()];
            }),
            Bug::SnapshotLosesTail | Bug::SnapshotWithoutSessions => {
                ("counter", |spec| spec.node_arg = vec!["--snapshot-every=500".into()])
            }
            Bug::ApplyTwiceOnRetry | Bug::NoStepDown => ("counter", |_| {}),
            Bug::SkipPreviousEntryCheck => ("append", |_| {}),
            _ => ("register", |_| {}),
        };
        Flaw::seeded(bug.name(), bug.rule(), workload).with(change)
    };
    Bug::all().iter().map(flaw).collect()
}

/// The seeded bugs of ABD.
pub(crate) fn abd() -> Vec<Flaw> {
    on("rw-register", abd::Bug::all())
}

/// Gossip is not linearizable by design. Its seeded bugs break what it does guarantee: convergence.
#[cfg(feature = "gossip")]
pub(crate) fn gossip() -> Vec<Flaw> {
    let flaw = |bug: &gossip::Bug| match bug {
        gossip::Bug::TrustEverybody => Flaw::seeded(bug.name(), bug.rule(), "broadcast")
            .with(|spec| spec.node_arg = vec!["--byzantine=n5".into()]),
        gossip::Bug::NoAntiEntropy => Flaw::seeded(bug.name(), bug.rule(), "broadcast"),
    };
    let design = Flaw::by_design("answers from what this node has heard: a read may be stale", "rw-register");
    std::iter::once(design).chain(gossip::Bug::all().iter().map(flaw)).collect()
}

/// The seeded bugs of Multi-Paxos.
pub(crate) fn paxos() -> Vec<Flaw> {
    use paxos::Bug;
    let flaw = |bug: &Bug| {
        let (workload, change): (_, fn(&mut TrialSpec)) = match bug {
            Bug::PromiseNotPersisted => {
                ("counter", |spec| (spec.nodes, spec.nemesis) = (3, "kill:bridge".into()))
            }
            Bug::CountAcrossBallots | Bug::AcceptBelowPromise => ("counter", |_| {}),
            _ => ("register", |_| {}),
        };
        Flaw::seeded(bug.name(), bug.rule(), workload).with(change)
    };
    Bug::all().iter().map(flaw).collect()
}

/// The seeded bugs of single-decree Paxos.
pub(crate) fn synod() -> Vec<Flaw> {
    on("decide", synod::Bug::all())
}

/// The seeded bugs of ZAB.
pub(crate) fn zab() -> Vec<Flaw> {
    use zab::Bug;
    let flaw = |bug: &Bug| {
        let workload = match bug {
            Bug::SkipSync | Bug::ElectWithoutHighestZxid => "counter",
            _ => "register",
        };
        Flaw::seeded(bug.name(), bug.rule(), workload)
    };
    Bug::all().iter().map(flaw).collect()
}

fn on(workload: &'static str, bugs: &[impl BugSwitch]) -> Vec<Flaw> {
    bugs.iter().map(|bug| Flaw::seeded(bug.name(), bug.rule(), workload)).collect()
}

const PEER: usize = 0;
const CLIENT: usize = 1;

impl System for BuiltIn {
    fn name(&self) -> &str {
        self.name
    }

    fn ports(&self) -> &[&'static str] {
        &["peer", "client"]
    }

    fn wiring(&self) -> Wiring {
        Wiring::AddressMap
    }

    fn command(&self, place: &Place) -> Command {
        let mut args: Vec<String> = vec!["node".into(), self.name.into()];
        args.extend(["--id".into(), place.name.clone()]);
        args.extend(["--listen".into(), place.addresses[PEER].to_string()]);
        args.extend(["--client".into(), place.addresses[CLIENT].to_string()]);
        for (name, address) in &place.peers {
            args.extend(["--peer".into(), format!("{name}={address}")]);
        }
        for bug in &self.switches.bugs {
            args.extend(["--bug".into(), bug.clone()]);
        }
        args.extend(self.drawn.iter().chain(&self.switches.node_args).cloned());
        let mut args: Vec<_> = args.into_iter().map(Into::into).collect();
        args.extend(["--data".into(), place.data.clone().into_os_string()]);
        Command { program: self.switches.tribunal.clone().into_os_string(), args, ..Command::default() }
    }

    fn ready<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async {
            match framed::status(place.node_port(CLIENT)).await {
                Ok(status) if status.leader.is_some() => Ok(()),
                Ok(_) => Err("it knows no leader".into()),
                Err(error) => Err(format!("it does not answer: {error}")),
            }
        })
    }

    fn leads<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Option<u64>> {
        Box::pin(async {
            let status = framed::status(place.node_port(CLIENT)).await.ok()?;
            (status.role == "leader").then_some(status.term)
        })
    }

    fn has_operators(&self) -> bool {
        self.name == "raft"
    }

    fn operate<'a>(
        &'a self,
        place: &'a Place,
        operation: AdminRequest<'a>,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(framed::operate(place.node_port(CLIENT), operation))
    }

    fn members<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Option<Vec<String>>> {
        Box::pin(async { Some(framed::status(place.node_port(CLIENT)).await.ok()?.members) })
    }

    fn drawn(&self) -> &[String] {
        &self.drawn
    }

    fn replicas(&self) -> Option<&dyn Replicas> {
        ["raft", "paxos", "zab"].contains(&self.name).then_some(self)
    }

    fn is_honest(&self, node: &str) -> bool {
        let args = &self.switches.node_args;
        let after = args.windows(2).any(|pair| pair[0] == "--byzantine" && pair[1] == node);
        !after && !args.iter().any(|arg| arg.strip_prefix("--byzantine=") == Some(node))
    }

    fn client(&self, place: &Place, process: u64, timeout: Duration) -> Box<dyn Client> {
        Box::new(FramedClient::new(place.node_port(CLIENT), process, timeout))
    }
}

impl Replicas for BuiltIn {
    fn applied<'a>(&'a self, place: &'a Place, after: u64) -> BoxFuture<'a, Option<Applied>> {
        let after = Value::Int(after.try_into().unwrap_or(i64::MAX));
        Box::pin(async move {
            framed::ask_node(place.node_port(CLIENT), "applied", None, Some(&after)).await.ok()
        })
    }

    fn entries<'a>(&'a self, place: &'a Place, from: u64, to: u64) -> BoxFuture<'a, Vec<AppliedEntry>> {
        let [from, to] = [from, to].map(|position| position.try_into().unwrap_or(i64::MAX));
        let range = Value::pair(from, to);
        Box::pin(async move {
            framed::ask_node(place.node_port(CLIENT), "entries", None, Some(&range)).await.unwrap_or_default()
        })
    }

    fn peek<'a>(&'a self, place: &'a Place, key: &'a Value) -> BoxFuture<'a, Option<(u64, Value)>> {
        Box::pin(async move { framed::ask_node(place.node_port(CLIENT), "peek", Some(key), None).await.ok() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_told_of_its_peers_by_their_proxies() {
        let switches = Switches {
            tribunal: "/bin/tribunal".into(),
            bugs: vec!["stale-read".into()],
            node_args: ["--heartbeat", "20", "--snapshot-every=500"].map(String::from).into(),
            ..Switches::default()
        };
        let command = BuiltIn::new("raft", &switches).unwrap().command(&Place {
            name: "n1".into(),
            addresses: vec!["127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()],
            advertised: "127.0.0.1:1".parse().unwrap(),
            peers: vec![("n2".into(), "127.0.0.1:3".parse().unwrap())],
            data: "/d".into(),
            log: NodeOutput::default(),
            client_log: PathBuf::new(),
            dial: Arc::new(Direct),
        });
        let args: Vec<&str> = command.args.iter().map(|arg| arg.to_str().unwrap()).collect();
        let expected = "node raft --id n1 --listen 127.0.0.1:1 --client 127.0.0.1:2 --peer n2=127.0.0.1:3 \
                        --bug stale-read --connections=1 --heartbeat 20 --snapshot-every=500 --data /d";
        assert_eq!(args, expected.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn the_seed_draws_what_nobody_gave() {
        let drawn = |seed, given: &[&str]| {
            let node_args = given.iter().map(ToString::to_string).collect();
            draw("raft", &Switches { seed, node_args, ..Switches::default() })
        };
        assert_eq!(drawn(7, &[]), drawn(7, &[]));
        let every =
            |seed| drawn(seed, &[])[0].strip_prefix("--snapshot-every=").unwrap().parse::<u64>().unwrap();
        let all: Vec<u64> = (0..200).map(every).collect();
        assert!(all.iter().all(|every| (200..=10_000).contains(every)));
        assert!((60..140).contains(&all.iter().filter(|every| **every < 1_414).count()), "half on each side");
        assert_eq!(drawn(7, &["--snapshot-every", "5", "--connections=2"]), [""; 0]);
    }
}
