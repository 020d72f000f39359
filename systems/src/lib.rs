//! Systems under test: how each is started, reached and spoken to.
//!
//! A [`System`] is knowledge, not machinery: it says which command starts a node, when a node is ready, which
//! nodes believe they lead, and how a client speaks to it. Processes, ports and links are the controller's.

mod built_in;
mod described;
mod door;
pub mod etcd;
mod flaw;
mod framed;
mod http;
mod program;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tribunal_checker::op::F;
use tribunal_workloads::{Client, Entry as Workload, Object, WORKLOADS};

use built_in::BuiltIn;
pub use described::Described;
use described::DescribedSystem;
pub use door::{Dial, Direct, Door};
pub use flaw::Flaw;

/// A future of a [`System`], boxed so that systems can be listed in one registry.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where a node lives: all that a system needs in order to start it or to reach it.
#[derive(Clone, Debug)]
pub struct Place {
    /// `n1`, `n2`, ...
    pub name: String,
    /// One address for each of [`System::ports`], in that order. The first is where peers reach it.
    pub addresses: Vec<SocketAddr>,
    /// The address under which the node may make itself known to others. Where links are [`Wiring::Attributed`]
    /// that is a proxy's; with an address map there is no such address, and it is the first of `addresses`.
    pub advertised: SocketAddr,
    /// The name of every other node, and the address under which this node is to dial it. That is a proxy's,
    /// so that the link between the two can be cut.
    pub peers: Vec<(String, SocketAddr)>,
    /// The node's own directory: its data outlives a restart.
    pub data: PathBuf,
    /// Makes the connections to `addresses`.
    pub dial: Arc<dyn Dial>,
}

impl Place {
    /// One of its ports, counted as [`System::ports`] are.
    fn door(&self, port: usize) -> Door {
        Door { address: self.addresses[port], dial: self.dial.clone() }
    }
}

/// What a system's nodes can be told of each other, and so how a proxy gets to stand on every link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// Every node can be told an address of its own for each peer, and tells nobody where it is itself.
    AddressMap,
    /// A node has a single address that all the others know; who dials it is found out by attribution.
    Attributed,
}

/// What an operator may ask a leader for; each names a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminRequest<'a> {
    /// Make it a member.
    Add(&'a str),
    /// Let it go.
    Remove(&'a str),
    /// Let it lead.
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
}

/// A system under test.
pub trait System: Send + Sync {
    /// Its name on the command line.
    fn name(&self) -> &str;

    /// Which version a node that is ready says that it is, where it is not part of this program.
    fn version<'a>(&'a self, _place: &'a Place) -> Answer<'a, Option<String>> {
        Box::pin(async { None })
    }

    /// What each port of a node is for. The first is the one that peers dial, and the only one that is proxied.
    fn ports(&self) -> &[&'static str];

    /// How its links are made.
    fn wiring(&self) -> Wiring;

    /// The command that starts a node, the first time and after every crash.
    fn command(&self, place: &Place) -> Command;

    /// Makes what the node needs before its first start, such as a configuration file. Its data directory is there.
    ///
    /// # Errors
    /// When it cannot be made.
    fn prepare(&self, _place: &Place) -> std::io::Result<()> {
        Ok(())
    }

    /// Whether the node answers; if not, what it is waiting for.
    fn ready<'a>(&'a self, place: &'a Place) -> Answer<'a, Result<(), String>>;

    /// The term (epoch, view, ballot) in which the node believes that it leads; `None` if it does not, or if it
    /// cannot be asked. Where a system has no terms, any number that is larger for the more credible leader.
    fn leads<'a>(&'a self, place: &'a Place) -> Answer<'a, Option<u64>>;

    /// Whether [`operate`](System::operate) can be asked for.
    fn has_operators(&self) -> bool {
        false
    }

    /// Asks a node for what an operator may want: it begins that if it leads, else it says why not.
    fn operate<'a>(
        &'a self,
        _place: &'a Place,
        _operation: AdminRequest<'a>,
    ) -> Answer<'a, Result<(), String>> {
        Box::pin(async { Err("it takes no such request".into()) })
    }

    /// Who the members are, as far as this node knows; `None` if it cannot be asked.
    fn members<'a>(&'a self, _place: &'a Place) -> Answer<'a, Option<Vec<String>>> {
        Box::pin(async { None })
    }

    /// Whether what the node of this name shows in the end is judged: what a Byzantine node says is worth nothing.
    fn is_honest(&self, _node: &str) -> bool {
        true
    }

    /// A client of this node for one process. It connects when first asked. `process` is unique in the run.
    fn client(&self, place: &Place, process: u64, timeout: Duration) -> Box<dyn Client>;
}

/// A system as the registry knows it.
#[derive(Clone)]
pub struct Entry {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// How one is made.
    pub make: Make,
    /// The workloads that have to find it linearizable, whatever the faults.
    pub holds: Holds,
    /// The operations that it answers: which workloads it can be asked follows.
    pub answers: Operations,
    /// The models that cannot make sense of what it answers, though they fit the workload.
    pub not_by: &'static [&'static str],
    /// What is or can be switched to be wrong with it.
    pub flaws: fn() -> Vec<Flaw>,
}

/// How a system is made, with the switches it is to be started with.
#[derive(Clone)]
pub enum Make {
    /// By a function.
    Fn(fn(&Switches) -> Result<Box<dyn System>, Unusable>),
    /// By what somebody else's code has at hand.
    Own(Arc<dyn Fn(&Switches) -> Result<Box<dyn System>, Unusable> + Send + Sync>),
    /// By a description.
    Described(&'static Described),
}

/// What a system promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Every workload that it answers finds it linearizable.
    All,
    /// These do; in all others it fails by design.
    Only(&'static [&'static str]),
}

/// Why a system cannot be tried here, or not so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Its program is not on this machine.
    #[error("`{program}` is not installed: on Debian and Ubuntu, `apt-get install {package}`")]
    NotInstalled {
        /// The executable.
        program: &'static str,
        /// What brings it.
        package: &'static str,
    },
    /// A bug or an argument that its nodes make no sense of.
    #[error("{0}")]
    Arguments(String),
    /// A switch that it does not know.
    #[error("{system} has no bug `{bug}`: {has}")]
    NoSuchBug {
        /// The system.
        system: &'static str,
        /// What was asked for.
        bug: String,
        /// What there is instead.
        has: String,
    },
}

/// How a system is to be started, beyond where its nodes live.
#[derive(Clone, Debug, Default)]
pub struct Switches {
    /// The tribunal executable: it holds the built-in systems.
    pub tribunal: PathBuf,
    /// Seeded mistakes, by name.
    pub bugs: Vec<String>,
    /// Further arguments, handed to every node as they are.
    pub node_args: Vec<String>,
    /// What the clients act on.
    pub object: Object,
}

/// Operations that a system answers, by what they act on.
pub type Operations = &'static [(Object, &'static [F])];

const REGISTER: (Object, &[F]) = (Object::Register, &[F::Read, F::Write, F::Cas]);
const COUNTER: (Object, &[F]) = (Object::Counter, &[F::Read, F::Add]);
const SET: (Object, &[F]) = (Object::Set, &[F::Read, F::Add]);
const LIST: (Object, &[F]) = (Object::List, &[F::Read, F::Append]);
const QUEUE: (Object, &[F]) = (Object::Queue, &[F::Enqueue, F::Dequeue]);
const LOCK: (Object, &[F]) = (Object::Lock, &[F::Acquire, F::Release]);
const IDS: (Object, &[F]) = (Object::Ids, &[F::Generate]);

/// What a replicated state machine answers, whichever protocol replicates it.
const REPLICATED: Operations = &[REGISTER, COUNTER, SET, LIST, QUEUE, LOCK, IDS];

/// What etcd's keys and transactions answer.
const ETCD: Operations = &[REGISTER, COUNTER, LOCK, IDS];

/// Every system, in the order in which they are listed.
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
        make: Make::Fn(|switches| Ok(Box::new(BuiltIn::new("gossip", switches)?))),
        holds: Holds::Only(&["broadcast"]),
        answers: &[(Object::Register, &[F::Read, F::Write]), COUNTER, SET],
        not_by: &[],
        flaws: built_in::gossip,
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

/// A workload that a system cannot do, or cannot be judged by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The system does not answer its requests.
    #[error("{system} does not answer what {workload} asks: expected one of {answers}")]
    Requests {
        /// The system.
        system: &'static str,
        /// The workload.
        workload: &'static str,
        /// The workloads whose requests it answers.
        answers: String,
    },
    /// The model does not understand its answers.
    #[error("the model {model} makes no sense of what {system} answers: expected {instead}")]
    Answers {
        /// The system.
        system: &'static str,
        /// The model.
        model: String,
        /// What fits.
        instead: String,
    },
}

impl Entry {
    /// Makes the system, with the switches it is to be started with.
    ///
    /// # Errors
    /// Why it cannot be tried here, or not so.
    pub fn make(&self, switches: &Switches) -> Result<Box<dyn System>, Unusable> {
        match &self.make {
            Make::Fn(make) => make(switches),
            Make::Own(make) => make(switches),
            Make::Described(described) => Ok(Box::new(DescribedSystem::new(described, switches)?)),
        }
    }

    /// Whether it answers all that the workload sends.
    pub fn answers(&self, workload: &Workload) -> bool {
        let answered = self.answers.iter().find(|(object, _)| *object == workload.object);
        answered.is_some_and(|(_, answered)| workload.sends.iter().all(|f| answered.contains(f)))
    }

    /// Whether the workload has to find it linearizable, whatever the faults.
    pub fn holds(&self, workload: &Workload) -> bool {
        match self.holds {
            Holds::All => self.answers(workload),
            Holds::Only(names) => names.contains(&workload.name),
        }
    }

    /// Whether the workload can be run on this system and judged by the model of that name, which fits the workload.
    ///
    /// # Errors
    /// What does not fit, and what would.
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

/// The system of that name.
pub fn find(name: &str) -> Option<&'static Entry> {
    SYSTEMS.iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair of a system and a workload: what can be tried (by `model` only, if one is named), and nothing else.
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
            "etcd register\netcd rw-register\netcd decide\netcd counter\netcd lock\netcd fenced-lock\netcd election\n\
             etcd unique-ids\netcd order-ids\n",
            "synod decide\n",
            "abd rw-register\n",
            "gossip rw-register\ngossip counter\ngossip set\ngossip broadcast\n",
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
            "abd does not answer what register asks: expected one of rw-register"
        );
        assert_eq!(
            says("ttl-lock", "election", "fencing-lock"),
            "the model fencing-lock makes no sense of what ttl-lock answers: expected --model mutex"
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
