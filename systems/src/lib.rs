//! Systems under test: how to start each one and how a client talks to it.
//!
//! A [`System`] contains knowledge, no machinery: the command that starts a node, when a node is ready, which
//! nodes believe themselves the leader, and the client's wire protocol. The controller owns processes, ports
//! and links.

mod built_in;
pub mod catalog;
mod coded;
mod described;
pub mod etcd;
mod flaw;
mod framed;
mod http;
mod node_output;
mod node_port;
mod program;
mod user;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tribunal_checker::op::{F, Value};
use tribunal_records::wire::{Applied, AppliedEntry};
pub use tribunal_workloads::Operations;
use tribunal_workloads::{Client, Entry as Workload, Object, WORKLOADS, mixed};

use built_in::BuiltIn;
use described::DescribedSystem;
pub use described::{Described, SCHEMA as DESCRIPTION_SCHEMA, WrongDescription};
pub use flaw::Flaw;
pub use node_output::NodeOutput;
pub use node_port::{Dial, Direct, NodePort};
pub use program::program;
pub use user::User;

/// A boxed future of a [`System`] or a [`Dial`], so that both can be trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The addresses and the directory of one node: all that a system needs to start it or to reach it.
#[derive(Clone, Debug)]
pub struct Place {
    /// `n1`, `n2`, ...
    pub name: String,
    /// One address for each of [`System::ports`], in that order. Peers connect to the first.
    pub addresses: Vec<SocketAddr>,
    /// The address that the node may announce to others. With [`Wiring::Attributed`] it is a proxy's. With an
    /// address map nothing is announced, and it is the first of `addresses`.
    pub advertised: SocketAddr,
    /// The name of every other node, and the address to which this node connects to reach it: a proxy's, so
    /// that the link can be cut.
    pub peers: Vec<(String, SocketAddr)>,
    /// The node's own directory; it outlives a restart.
    pub data: PathBuf,
    /// The output of the node's processes.
    pub log: NodeOutput,
    /// A file for the error output of client programs that talk to this node.
    pub client_log: PathBuf,
    /// Makes the connections to `addresses`.
    pub dial: Arc<dyn Dial>,
}

impl Place {
    /// One of the node's ports, numbered as in [`System::ports`].
    fn node_port(&self, port: usize) -> NodePort {
        NodePort { address: self.addresses[port], dial: self.dial.clone() }
    }
}

/// Whether two nodes can be given different addresses for one peer. It decides how a proxy gets onto every
/// link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// Each node gets its own address for every peer, and announces none.
    AddressMap,
    /// All nodes use one address for a node. The proxy finds out by attribution which node opened a
    /// connection.
    Attributed,
    /// Each node has a network namespace of its own, and the proxy is invisible: it needs `--net transparent`,
    /// which a trial of such a system uses by default.
    Transparent,
    /// The same, but its nodes take a peer's address from its connections, which a proxy would change: `--net netns`.
    Netns,
}

/// A request of an operator to the leader; each names a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminRequest<'a> {
    /// Add it to the members.
    Add(&'a str),
    /// Remove it from the members.
    Remove(&'a str),
    /// Transfer the leadership to it.
    Transfer(&'a str),
}

/// A program with its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// The executable.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables of its environment, beside those of Tribunal's own.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory; `None`: Tribunal's own.
    pub directory: Option<PathBuf>,
    /// The user of its processes; `None`: Tribunal's own.
    pub user: Option<User>,
}

/// A rule that a client program of the user broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{did}: {rule}")]
pub struct Breach {
    /// What the program did.
    pub did: String,
    /// The rule.
    pub rule: &'static str,
}

/// How long nodes may take until they are ready, unless their system says otherwise.
pub const START_LIMIT: Duration = Duration::from_secs(30);

/// A system under test.
pub trait System: Send + Sync {
    /// Its name on the command line.
    fn name(&self) -> &str;

    /// The version that a ready node reports, unless the system is built into this program.
    fn version<'a>(&'a self, _place: &'a Place) -> BoxFuture<'a, Option<String>> {
        Box::pin(async { None })
    }

    /// The purpose of each port. Peers connect to the first, and only the first is proxied.
    fn ports(&self) -> &[&'static str];

    /// How its links are proxied.
    fn wiring(&self) -> Wiring;

    /// Whether only the leader serves clients: another node owes them no answer.
    fn is_served_by_leader(&self) -> bool {
        false
    }

    /// The command that starts a node, the first time and after every crash.
    fn command(&self, place: &Place) -> Command;

    /// The arguments of its nodes that were drawn by the seed, because nobody gave them.
    fn drawn(&self) -> &[String] {
        &[]
    }

    /// Programs and files of this machine that its nodes and clients need, beside Tribunal itself.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Checks the program that acts for clients, if there is one, before any node is started.
    fn check_client<'a>(&'a self) -> BoxFuture<'a, Result<(), Breach>> {
        Box::pin(async { Ok(()) })
    }

    /// Whether a file is data of a node, by its path below the data directory. Faults damage, remove and restore
    /// nothing else.
    fn is_data(&self, _path: &Path) -> bool {
        true
    }

    /// Prepares the node's first start, for example with a configuration file. Its data directory exists.
    /// The error says what failed.
    fn prepare<'a>(&'a self, _place: &'a Place) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    /// Sets the cluster up once, after the first start of all nodes and before the first
    /// [`ready`](System::ready). The error says what failed.
    fn set_up<'a>(&'a self, _places: &'a [Place]) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    /// How long nodes may take until they are ready.
    fn start_limit(&self) -> Duration {
        START_LIMIT
    }

    /// How long clients wait after all nodes are ready.
    fn warm_up(&self) -> Duration {
        Duration::ZERO
    }

    /// The signal that ends a node in order. A node that does not exit is killed.
    fn stop_signal(&self) -> Signal {
        Signal::SIGTERM
    }

    /// Whether a correct node never writes this line of output.
    fn is_fatal(&self, _line: &str) -> bool {
        false
    }

    /// Whether a correct node may write this line, although others that look like it are fatal.
    fn is_harmless(&self, _line: &str) -> bool {
        false
    }

    /// Whether the node answers clients; the error says what it is waiting for.
    fn ready<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<(), String>>;

    /// The term (epoch, view, ballot) in which the node believes itself the leader; `None` if it does not, or
    /// is unreachable. A system without terms returns a number that is larger for the more credible leader.
    fn leads<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Option<u64>>;

    /// Whether it supports [`operate`](System::operate).
    fn has_operators(&self) -> bool {
        false
    }

    /// Sends an operator's request to a node. A leader starts it; any other node returns an error with the
    /// reason.
    fn operate<'a>(
        &'a self,
        _place: &'a Place,
        _operation: AdminRequest<'a>,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Err("it takes no such request".into()) })
    }

    /// The members that this node knows; `None` if it is unreachable.
    fn members<'a>(&'a self, _place: &'a Place) -> BoxFuture<'a, Option<Vec<String>>> {
        Box::pin(async { None })
    }

    /// How to ask each node what it has applied, if the nodes apply one log and answer this.
    fn replicas(&self) -> Option<&dyn Replicas> {
        None
    }

    /// Whether this node's final reads are judged: those of a Byzantine node prove nothing.
    fn is_honest(&self, _node: &str) -> bool {
        true
    }

    /// A client of this node for one process. It connects at its first request. `process` is unique in the
    /// run.
    fn client(&self, place: &Place, process: u64, timeout: Duration) -> Box<dyn Client>;
}

/// A system whose nodes say what they have applied, so that an observer can compare them.
pub trait Replicas: Send + Sync {
    /// What the node applied after a position; `None` if it is unreachable.
    fn applied<'a>(&'a self, place: &'a Place, after: u64) -> BoxFuture<'a, Option<Applied>>;

    /// The entries at positions `from` to `to`, as far as the node still has them.
    fn entries<'a>(&'a self, place: &'a Place, from: u64, to: u64) -> BoxFuture<'a, Vec<AppliedEntry>>;

    /// What the node itself holds under a key, and after which position; `None` if it is unreachable.
    fn peek<'a>(&'a self, place: &'a Place, key: &'a Value) -> BoxFuture<'a, Option<(u64, Value)>>;
}

/// A system in the registry.
#[derive(Clone)]
pub struct Entry {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line of description.
    pub about: &'static str,
    /// How to create the system.
    pub make: Make,
    /// The workloads that must find it linearizable under any fault.
    pub holds: Holds,
    /// The operations that it supports; they decide which workloads can run.
    pub answers: Operations,
    /// The models that fit the workload but cannot judge this system's answers.
    pub not_by: &'static [&'static str],
    /// Its flaws: known bugs, or the design.
    pub flaws: fn() -> Vec<Flaw>,
}

/// How to create a system with its switches.
#[derive(Clone)]
pub enum Make {
    /// With a function.
    Fn(fn(&Switches) -> Result<Box<dyn System>, Unusable>),
    /// With a closure from another crate.
    Own(Arc<MakeFn>),
    /// From a description.
    Described(&'static Described),
}

/// A closure that makes a system.
pub type MakeFn = dyn Fn(&Switches) -> Result<Box<dyn System>, Unusable> + Send + Sync;

/// What a system promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Every workload that it supports finds it linearizable.
    All,
    /// Only these workloads do; in all others it fails by design.
    Only(&'static [&'static str]),
}

/// Why a system cannot be tested here, or not with these switches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Its program is not on this machine.
    #[error("`{program}` is not installed: on Debian and Ubuntu, `apt-get install {package}`")]
    NotInstalled {
        /// The executable.
        program: &'static str,
        /// The Debian package that contains it.
        package: &'static str,
    },
    /// A program of its description is not on this machine.
    #[error("`{program}` is not installed{}", if install.is_empty() { String::new() } else { format!(": {install}") })]
    Missing {
        /// The executable.
        program: String,
        /// The command that installs it; empty if the description does not say it.
        install: String,
    },
    /// This build lacks the feature that contains it.
    #[error("{}", tribunal_records::features::left_out(.0))]
    LeftOut(&'static str),
    /// A bug or an argument that its nodes reject.
    #[error("{0}")]
    Arguments(String),
    /// A switch that it does not know.
    #[error("{system} has no bug `{bug}`: {has}")]
    NoSuchBug {
        /// The system.
        system: &'static str,
        /// The requested bug.
        bug: String,
        /// The bugs that it has.
        has: String,
    },
}

/// How to start a system, apart from its addresses and directories.
#[derive(Clone, Debug, Default)]
pub struct Switches {
    /// The tribunal executable, which contains the built-in systems.
    pub tribunal: PathBuf,
    /// Seeded bugs, by name.
    pub bugs: Vec<String>,
    /// Further arguments, passed unchanged to every node.
    pub node_args: Vec<String>,
    /// The object of the clients' operations.
    pub object: Object,
    /// Decides what a system draws at random: see [`System::drawn`].
    pub seed: u64,
}

const REGISTER: (Object, &[F]) = (Object::Register, &[F::Read, F::Write, F::Cas]);
const COUNTER: (Object, &[F]) = (Object::Counter, &[F::Read, F::Add]);
const SET: (Object, &[F]) = (Object::Set, &[F::Read, F::Add]);
const LIST: (Object, &[F]) = (Object::List, &[F::Read, F::Append]);
const QUEUE: (Object, &[F]) = (Object::Queue, &[F::Enqueue, F::Dequeue]);
const LOCK: (Object, &[F]) = (Object::Lock, &[F::Acquire, F::Release]);
const IDS: (Object, &[F]) = (Object::Ids, &[F::Generate]);

/// The operations of a replicated state machine, under any protocol.
const REPLICATED: Operations = &[REGISTER, COUNTER, SET, LIST, QUEUE, LOCK, IDS];

/// The operations that map to etcd's keys and transactions.
const ETCD: Operations = &[REGISTER, COUNTER, LOCK, IDS];

/// Every system, in the order of the listing.
pub const SYSTEMS: &[Entry] = &[
    Entry {
        name: "raft",
        about: "the built-in Raft: key-value store with a write-ahead log, one process per node",
        make: Make::Fn(|switches| Ok(Box::new(BuiltIn::new("raft", switches)?))),
        holds: Holds::All,
        answers: REPLICATED,
        not_by: &[],
        flaws: built_in::raft,
    },
    Entry {
        name: "paxos",
        about: "the built-in Multi-Paxos: the same store, its log agreed upon slot by slot",
        make: Make::Fn(|switches| Ok(Box::new(BuiltIn::new("paxos", switches)?))),
        holds: Holds::All,
        answers: REPLICATED,
        not_by: &[],
        flaws: built_in::paxos,
    },
    Entry {
        name: "zab",
        about: "the built-in ZAB, ZooKeeper's protocol: the same store; a sync before each read",
        make: Make::Fn(|switches| Ok(Box::new(BuiltIn::new("zab", switches)?))),
        holds: Holds::All,
        answers: REPLICATED,
        not_by: &[],
        flaws: built_in::zab,
    },
    Entry {
        name: "etcd",
        about: "etcd 3.4 and later, as installed (Debian: etcd-server), spoken to over its JSON gateway",
        make: Make::Fn(|switches| Ok(Box::new(etcd::Etcd::new(switches)?))),
        holds: Holds::All,
        answers: ETCD,
        not_by: &[],
        flaws: etcd::flaws,
    },
    Entry {
        name: "synod",
        about: "the built-in single-decree Paxos: registers that are written once, each decided by itself",
        make: Make::Fn(|switches| Ok(Box::new(BuiltIn::new("synod", switches)?))),
        holds: Holds::All,
        answers: &[(Object::Register, &[F::Read, F::Cas])],
        not_by: &[],
        flaws: built_in::synod,
    },
    Entry {
        name: "abd",
        about: "registers at a majority, without a leader: reads and writes only",
        make: Make::Fn(|switches| Ok(Box::new(BuiltIn::new("abd", switches)?))),
        holds: Holds::All,
        answers: &[(Object::Register, &[F::Read, F::Write])],
        not_by: &[],
        flaws: built_in::abd,
    },
    Entry {
        name: "gossip",
        about: "anti-entropy: every node answers alone, and all converge; one may be Byzantine",
        #[cfg(feature = "gossip")]
        make: Make::Fn(|switches| Ok(Box::new(BuiltIn::new("gossip", switches)?))),
        #[cfg(not(feature = "gossip"))]
        make: Make::Fn(|_| Err(Unusable::LeftOut("gossip"))),
        holds: Holds::Only(&["broadcast"]),
        answers: &[(Object::Register, &[F::Read, F::Write]), COUNTER, SET],
        not_by: &[],
        #[cfg(feature = "gossip")]
        flaws: built_in::gossip,
        #[cfg(not(feature = "gossip"))]
        flaws: Vec::new,
    },
    Entry {
        name: "primary-backup",
        about: "fails by design: a primary that answers before its backups know",
        make: Make::Fn(|switches| Ok(Box::new(BuiltIn::new("primary-backup", switches)?))),
        holds: Holds::Only(&[]),
        answers: REPLICATED,
        not_by: &[],
        flaws: || {
            vec![Flaw::by_design(
                "answers before a majority has it: acknowledged writes are lost in a failover",
                "register",
            )]
        },
    },
    Entry {
        name: "two-primaries",
        about: "fails by design: failover by silence, without a majority",
        make: Make::Fn(|switches| Ok(Box::new(BuiltIn::new("two-primaries", switches)?))),
        holds: Holds::Only(&[]),
        answers: REPLICATED,
        not_by: &[],
        flaws: || {
            vec![Flaw::by_design(
                "silence is taken for death: two nodes believe to be the primary",
                "register",
            )]
        },
    },
    Entry {
        name: "last-id",
        about: "fails by design: order numbers by read, add one, write",
        make: Make::Fn(|switches| Ok(Box::new(BuiltIn::new("last-id", switches)?))),
        holds: Holds::Only(&[]),
        answers: &[IDS],
        not_by: &[],
        flaws: || {
            vec![Flaw::by_design(
                "a read-modify-write that is not atomic: the same number twice",
                "order-ids",
            )]
        },
    },
    Entry {
        name: "ttl-lock",
        about: "fails by design: a lock that expires, without fencing tokens",
        make: Make::Fn(|switches| Ok(Box::new(BuiltIn::new("ttl-lock", switches)?))),
        holds: Holds::Only(&[]),
        answers: &[LOCK],
        not_by: &["fencing-lock"],
        flaws: || vec![Flaw::by_design("a lease expires while its holder works: two holders", "lock")],
    },
    Entry {
        name: "two-phase-commit",
        about: "fails by design: commitment without recovery",
        make: Make::Fn(|switches| Ok(Box::new(BuiltIn::new("two-phase-commit", switches)?))),
        holds: Holds::Only(&[]),
        answers: REPLICATED,
        not_by: &[],
        flaws: || {
            vec![Flaw::by_design(
                "a participant that has promised decides alone: nodes disagree for ever",
                "register",
            )]
        },
    },
];

/// Why a workload or its model does not fit a system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The system does not support the workload's operations.
    #[error("{system} does not support the workload {workload}: expected one of {answers}")]
    Requests {
        /// The system.
        system: &'static str,
        /// The workload.
        workload: &'static str,
        /// The workloads that it supports.
        answers: String,
    },
    /// The model cannot judge the system's answers.
    #[error("the model {model} cannot judge the responses of {system}: expected {instead}")]
    Answers {
        /// The system.
        system: &'static str,
        /// The model.
        model: String,
        /// The models that fit.
        instead: String,
    },
}

impl Entry {
    /// Creates the system with these switches.
    ///
    /// # Errors
    /// Why it cannot be tested here, or not with these switches.
    pub fn make(&self, switches: &Switches) -> Result<Box<dyn System>, Unusable> {
        match &self.make {
            Make::Fn(make) => make(switches),
            Make::Own(make) => make(switches),
            Make::Described(described) => Ok(Box::new(DescribedSystem::new(described, switches)?)),
        }
    }

    /// Whether it supports every operation of the workload.
    pub fn answers(&self, workload: &Workload) -> bool {
        if workload.object == Object::Mixed {
            return mixed::objects(self.answers).next().is_some();
        }
        let answered = self.answers.iter().find(|(object, _)| *object == workload.object);
        answered.is_some_and(|(_, answered)| workload.sends.iter().all(|f| answered.contains(f)))
    }

    /// What the workload sends to this system before the final reads.
    pub fn is_sent<'a>(&'a self, workload: &'a Workload) -> impl Iterator<Item = &'a F> {
        let mixed = |f: &F| mixed::objects(self.answers).any(|(_, fs)| fs.contains(f));
        workload.sends.iter().filter(move |f| workload.object != Object::Mixed || mixed(f))
    }

    /// Whether its nodes can be asked who leads. Only a description may leave that out.
    pub fn tells_leaders(&self) -> bool {
        !matches!(&self.make, Make::Described(described) if !described.tells_leaders())
    }

    /// Whether programs of the user act for the clients.
    pub fn has_client_program(&self) -> bool {
        matches!(&self.make, Make::Described(described) if described.has_client_program())
    }

    /// Whether one program of the user acts for all clients.
    pub fn has_shared_program(&self) -> bool {
        matches!(&self.make, Make::Described(described) if described.has_shared_program())
    }

    /// Whether the workload must find it linearizable under any fault.
    pub fn holds(&self, workload: &Workload) -> bool {
        match self.holds {
            Holds::All => self.answers(workload),
            Holds::Only(names) => names.contains(&workload.name),
        }
    }

    /// Checks that the workload can run on this system and that the named model, which fits the workload, can
    /// judge it.
    ///
    /// # Errors
    /// What does not fit, and the alternatives.
    pub fn fits(&self, workload: &Workload, model: &str) -> Result<(), Misfit> {
        if !self.answers(workload) {
            let answers: Vec<&str> =
                WORKLOADS.iter().filter(|other| self.answers(other)).map(|other| other.name).collect();
            let answers = answers.join(", ");
            return Err(Misfit::Requests { system: self.name, workload: workload.name, answers });
        }
        if self.not_by.contains(&model) {
            let fitting = workload.models().filter(|model| !self.not_by.contains(model));
            let fitting: Vec<String> = fitting.map(|model| format!("--model {model}")).collect();
            let instead = fitting.join(" or ");
            return Err(Misfit::Answers { system: self.name, model: model.into(), instead });
        }
        Ok(())
    }
}

/// Looks a system up by name.
pub fn find(name: &str) -> Option<&'static Entry> {
    SYSTEMS.iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs every pair of system and workload that fits, and checks that all others are refused; `model`
    /// limits the pairs to one model.
    #[test]
    fn what_a_system_cannot_do_is_refused() {
        let mut table = String::new();
        for system in SYSTEMS {
            for workload in WORKLOADS {
                let all: Vec<&str> = workload.models().collect();
                let fitting: Vec<&str> =
                    all.iter().copied().filter(|model| system.fits(workload, model).is_ok()).collect();
                match fitting.len() {
                    0 => continue,
                    n if n == all.len() => table += &format!("{} {}\n", system.name, workload.name),
                    _ => table += &format!("{} {} by {}\n", system.name, workload.name, fitting.join(" ")),
                }
            }
        }
        let everything = |system: &str| {
            let lines = WORKLOADS.iter().map(|workload| format!("{system} {}\n", workload.name));
            lines.collect::<String>()
        };
        let expected = [
            &everything("raft"),
            &everything("paxos"),
            &everything("zab"),
            "etcd mixed\netcd register\netcd rw-register\netcd decide\netcd counter\netcd lock\netcd fenced-lock\netcd election\n\
             etcd unique-ids\netcd order-ids\n",
            "synod decide\n",
            "abd mixed\nabd rw-register\n",
            "gossip mixed\ngossip rw-register\ngossip counter\ngossip set\ngossip broadcast\n",
            &everything("primary-backup"),
            &everything("two-primaries"),
            "last-id unique-ids\nlast-id order-ids\n",
            "ttl-lock lock by mutex\nttl-lock fenced-lock by mutex\nttl-lock election by mutex\n",
            &everything("two-phase-commit"),
        ];
        assert_eq!(table, expected.concat());
    }

    #[test]
    fn a_misfit_says_what_fits() {
        let says = |system: &str, workload: &str, model: &str| {
            let workload = tribunal_workloads::find(workload).unwrap();
            find(system).unwrap().fits(workload, model).unwrap_err().to_string()
        };
        assert_eq!(
            says("abd", "register", "cas-register"),
            "abd does not support the workload register: expected one of mixed, rw-register"
        );
        assert_eq!(
            says("ttl-lock", "election", "fencing-lock"),
            "the model fencing-lock cannot judge the responses of ttl-lock: expected --model mutex"
        );
    }

    #[test]
    fn what_holds_and_what_flaws_show_in_can_be_asked() {
        for system in SYSTEMS {
            let holds = WORKLOADS.iter().filter(|workload| system.holds(workload));
            let flawed =
                (system.flaws)().into_iter().map(|flaw| tribunal_workloads::find(flaw.workload).unwrap());
            for workload in holds.chain(flawed) {
                assert!(system.answers(workload), "{} is not asked {}", system.name, workload.name);
            }
            if let Holds::Only(names) = system.holds {
                assert!(names.iter().all(|name| tribunal_workloads::find(name).is_some()), "{names:?}");
            }
        }
    }
}
