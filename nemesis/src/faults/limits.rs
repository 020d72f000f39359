//! Limits: a process may open no further files, or have no further memory, while it runs.
//!
//! Both are lowered on the running process (`prlimit`), to about what it uses at that moment or below; the undo raises them
//! to where they were. What is then refused is what a full machine refuses: `accept`, `socket` and `open` say EMFILE, `brk`
//! and `mmap` say ENOMEM, and code that nobody ever ran has to answer. A node may well die of it. That is what the
//! fault is for and no failure of the harness: it is recorded, and the node is started again at the undo.
//!
//! A server that holds its connections needs no new file for a long time. So the links of the node are reset while it
//! lasts: it has to accept and to dial, and cannot.

use std::{collections::BTreeSet, fmt, fs, io};

use nix::libc;
use rand::RngExt;

use crate::{
    Act, CutMode, FaultEffect, NodeId, NodeState, Nodes, TimedAct,
    act::verb::{Domain, Done, Ends, Nature, Verb, plain},
    faults::{
        AnyVerb, Dice, Fault, Kind,
        kill::Start,
        partition::{Cut, Heal},
        target,
    },
    processes::Held,
};

/// How much a process may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// No file descriptor of this number or above is given out any more (RLIMIT_NOFILE); those that are open stay open.
    Files(u32),
    /// So many KiB of address space above what is mapped (RLIMIT_AS).
    MemoryKib(u32),
}

impl Limit {
    /// Reads `files=3` or `memory_kib=1024`.
    pub(crate) fn parse(text: &str) -> Option<Limit> {
        match text.split_once('=')? {
            ("files", first) => first.parse().ok().map(Limit::Files),
            ("memory_kib", more) => more.parse().ok().map(Limit::MemoryKib),
            _ => None,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Files(first) => write!(f, "files={first}"),
            Limit::MemoryKib(more) => write!(f, "memory_kib={more}"),
        }
    }
}

pub(crate) const FAULT: Fault = Fault {
    name: "limits",
    about: "lets processes open no more files or have no more memory; the undo raises the limits again",
    usual: false,
    alone: false,
    kinds: &[
        Kind::leader("files-leader", "whoever leads, its connections reset"),
        Kind::anybody("files", "a random node, its connections reset"),
        Kind::leader("memory-leader", "whoever leads"),
        Kind::anybody("memory", "a random node"),
    ],
    draw,
};

/// How often the connections are reset.
const RESETS: u64 = 4;

fn draw(kind: &str, dice: &mut Dice) -> Vec<TimedAct> {
    if kind.starts_with("memory") {
        let limit = Limit::MemoryKib(dice.rng.random_range(0..2_000));
        return target::draw("one", dice, |node| limit.on(node));
    }
    // Between nothing but what every process has from the start, and a part of what a small server needs.
    let limit = Limit::Files(dice.rng.random_range(3..16));
    let node = dice.order[0];
    let mut acts = vec![limit.on(node).into()];
    for at in 0..RESETS {
        let after_ms = at * dice.hold_ms / RESETS;
        acts.extend(resets(node, &dice.order).map(|act| TimedAct { after_ms, act }));
    }
    acts
}

/// Ends the connections that others opened to the node: it will be dialled again, and has to accept.
fn resets(node: NodeId, all: &[NodeId]) -> impl Iterator<Item = Act> {
    let links = all
        .iter()
        .filter(move |&&other| other != node)
        .flat_map(move |&other| [(node, other), (other, node)]);
    links.flat_map(|link| [Cut(CutMode::Reset).on(link), Heal.on(link)])
}

/// Lets a node's processes have no more than a little more.
impl Verb for Limit {
    const NATURE: Nature = Nature {
        hurts: true,
        proof: Some(|effect| effect.connections_unaccepted + effect.nodes_died > 0),
        ..Nature::of("limit", Domain::Process, Ends::By(AnyVerb::Unlimit(Unlimit)))
    };

    fn read(arguments: &[&str]) -> Option<Limit> {
        let [limit] = arguments else { return None };
        Limit::parse(limit)
    }

    fn arguments(self) -> String {
        self.to_string()
    }

    async fn apply<N: Nodes>(self, node: &mut Held<N>) -> Result<Done, String> {
        node.nodes.may_die(node.id);
        let lowered = node.blocking(move |pids| lower(&pids, self)).await?;
        node.marks.kept::<Vec<Lowered>>().extend(lowered);
        Ok(Done::default())
    }
}

plain! {
    /// Raises the limits again; a node that died of them is started.
    Unlimit = Nature { then: Some(AnyVerb::Start(Start)), ..Nature::of("unlimit", Domain::Process, Ends::Undo) };
    |node| {
        let lowered = std::mem::take(node.marks.kept::<Vec<Lowered>>());
        let unaccepted = node.blocking(|pids| Ok(unaccepted(&pids))).await?;
        raise(&lowered);
        let died = !lowered.is_empty() && node.nodes.state(node.id) == NodeState::Down;
        Ok(FaultEffect {
            connections_unaccepted: unaccepted,
            nodes_died: u64::from(died),
            ..FaultEffect::default()
        })
    }
}

/// A limit that was lowered, and where it was.
#[derive(Debug, Clone, Copy)]
struct Lowered {
    pid: i32,
    resource: libc::__rlimit_resource_t,
    was: libc::rlim_t,
    is: libc::rlim_t,
}

/// Lowers the limit of every process. Those that end meanwhile have none.
fn lower(pids: &[i32], limit: Limit) -> Result<Vec<Lowered>, String> {
    let lower = |pid| match lower_one(pid, limit) {
        Ok(lowered) => Ok(Some(lowered)),
        Err(error) if !fs::exists(format!("/proc/{pid}/stat")).unwrap_or(true) => drop_error(error),
        Err(error) => Err(format!("process {pid}: {error}")),
    };
    pids.iter().filter_map(|&pid| lower(pid).transpose()).collect()
}

fn drop_error(_: io::Error) -> Result<Option<Lowered>, String> {
    Ok(None)
}

fn lower_one(pid: i32, limit: Limit) -> io::Result<Lowered> {
    let (resource, is) = match limit {
        Limit::Files(first) => (libc::RLIMIT_NOFILE, u64::from(first)),
        Limit::MemoryKib(more) => {
            let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
            let pages = statm.split(' ').next().and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
            (libc::RLIMIT_AS, pages * page_size() + u64::from(more) * 1024)
        }
    };
    let was = soft_limit(pid, resource, Some(is))?;
    Ok(Lowered { pid, resource, was, is })
}

fn page_size() -> u64 {
    // SAFETY: sysconf reads a number and touches nothing of ours.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// The soft limit of a process, and a new one if given; the hard one stays, so that whoever may lower may raise again.
fn soft_limit(
    pid: i32,
    resource: libc::__rlimit_resource_t,
    new: Option<libc::rlim_t>,
) -> io::Result<libc::rlim_t> {
    let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let prlimit = |new: *const libc::rlimit, old: *mut libc::rlimit| {
        // SAFETY: both pointers are null or to structures that live as long as the call.
        match unsafe { libc::prlimit(pid, resource, new, old) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    prlimit(std::ptr::null(), &mut old)?;
    if let Some(new) = new {
        let new = libc::rlimit { rlim_cur: new.min(old.rlim_max), rlim_max: old.rlim_max };
        prlimit(&new, std::ptr::null_mut())?;
    }
    Ok(old.rlim_cur)
}

/// Raises limits to where they were, the last lowered first. One that is not as it was left, because the process is gone, its
/// number another's, or the process set it itself, is left alone.
fn raise(lowered: &[Lowered]) {
    for &Lowered { pid, resource, was, is } in lowered.iter().rev() {
        if soft_limit(pid, resource, None).is_ok_and(|now| now == is) {
            let _ = soft_limit(pid, resource, Some(was));
        }
    }
}

/// How many connections wait to be accepted by some processes.
fn unaccepted(pids: &[i32]) -> u64 {
    let sockets = |pid: &i32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|fd| socket(fs::read_link(fd.path()).ok()?.to_str()?)).collect::<Vec<_>>()
    };
    let ours: BTreeSet<u64> = pids.iter().flat_map(sockets).collect();
    let tables = pids
        .first()
        .into_iter()
        .flat_map(|pid| ["tcp", "tcp6"].map(|table| format!("/proc/{pid}/net/{table}")));
    tables.filter_map(|table| fs::read_to_string(table).ok()).map(|table| waiting(&table, &ours)).sum()
}

/// The inode in `socket:[4711]`.
fn socket(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// From a table as `/proc/net/tcp`: of a socket that listens (state 0A), the receive queue is what waits to be accepted.
fn waiting(table: &str, ours: &BTreeSet<u64>) -> u64 {
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = *fields.get(3)? == "0A" && ours.contains(&fields.get(9)?.parse().ok()?);
        let (_, received) = fields.get(4)?.split_once(':')?;
        listens.then(|| u64::from_str_radix(received, 16).unwrap_or(0))
    };
    table.lines().filter_map(of_line).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_back() {
        for text in ["files=0", "memory_kib=1024"] {
            assert_eq!(Limit::parse(text).expect(text).to_string(), text);
        }
        for wrong in ["files", "files=-1", "files=", "memory=1"] {
            assert_eq!(Limit::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_waits_is_counted_for_our_listeners_only() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 11 1\n\
             1: 0100007F:1F91 00000000:0000 0A 00000000:00000005 00:00000000 00000000     0        0 12 1\n\
             2: 0100007F:1F90 0100007F:9999 01 00000000:00000007 00:00000000 00000000     0        0 13 1\n";
        assert_eq!(waiting(table, &BTreeSet::from([11, 13])), 3);
    }
}
