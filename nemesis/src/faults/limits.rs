//! Limits: a running process cannot open more files, or cannot get more memory.
//!
//! Both limits are lowered on the running process (`prlimit`), to about what it uses at that moment or below;
//! the undo raises them again. The process then gets the errors of a machine without resources: `accept`,
//! `socket` and `open` fail with EMFILE, `brk` and `mmap` with ENOMEM, and rarely tested code has to handle
//! them. If a node dies of it, that is an effect of the fault and no harness failure: it is recorded, and the
//! undo restarts the node.
//!
//! A server that keeps its connections needs no new file for a long time. So the links of the node are reset
//! meanwhile: the node has to accept and to connect, and cannot.

use std::{collections::BTreeSet, fmt, fs, io};

use nix::libc;
use rand::RngExt;

use crate::{
    Act, CutMode, FaultEffect, NodeId, NodeState, Nodes, TimedAct,
    act::verb::{Applied, Domain, Reversal, Verb, VerbSpec, simple_verb},
    faults::{
        AnyVerb, DrawContext, Fault, Kind,
        kill::Start,
        partition::{Cut, Heal},
        target,
    },
    processes::{LockedNode, holders::sockets},
};

/// A resource limit of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// No new file descriptor has this number or a higher one (RLIMIT_NOFILE); open descriptors stay open.
    Files(u32),
    /// This many KiB of address space above what is mapped (RLIMIT_AS).
    MemoryKib(u32),
}

impl Limit {
    /// Parses `files=3` or `memory_kib=1024`.
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
    about: "keeps processes from opening files or getting memory; the undo raises the limits again",
    usual: false,
    alone: false,
    kinds: &[
        Kind::leader("files-leader", "the leader, its connections reset"),
        Kind::any_node("files", "a random node, its connections reset"),
        Kind::leader("memory-leader", "the leader"),
        Kind::any_node("memory", "a random node"),
    ],
    draw,
};

/// Number of times that the connections are reset.
const RESETS: u64 = 4;

fn draw(kind: &str, context: &mut DrawContext) -> Vec<TimedAct> {
    if kind.starts_with("memory") {
        let limit = Limit::MemoryKib(context.rng.random_range(0..2_000));
        return target::draw("one", context, |node| limit.on(node));
    }
    // From the three descriptors that every process has at the start to a part of what a small server needs.
    let limit = Limit::Files(context.rng.random_range(3..16));
    let node = context.order[0];
    let mut acts = vec![limit.on(node).into()];
    for at in 0..RESETS {
        let after_ms = at * context.hold_ms / RESETS;
        acts.extend(resets(node, &context.order).map(|act| TimedAct { after_ms, act }));
    }
    acts
}

/// Resets the connections of the node, so that its peers connect again and it has to accept.
fn resets(node: NodeId, all: &[NodeId]) -> impl Iterator<Item = Act> {
    let links = all
        .iter()
        .filter(move |&&other| other != node)
        .flat_map(move |&other| [(node, other), (other, node)]);
    links.flat_map(|link| [Cut(CutMode::Reset).on(link), Heal.on(link)])
}

/// Lowers a resource limit of a node's processes.
impl Verb for Limit {
    const SPEC: VerbSpec = VerbSpec {
        impairs: true,
        evidence: Some(|effect| effect.connections_unaccepted + effect.nodes_died > 0),
        ..VerbSpec::of("limit", Domain::Process, Reversal::By(AnyVerb::Unlimit(Unlimit)))
    };

    fn read(arguments: &[&str]) -> Option<Limit> {
        let [limit] = arguments else { return None };
        Limit::parse(limit)
    }

    fn arguments(self) -> String {
        self.to_string()
    }

    async fn apply<N: Nodes>(self, node: &mut LockedNode<N>) -> Result<Applied, String> {
        node.nodes.may_die(node.id);
        let lowered = node.blocking(move |pids| lower(&pids, |pid| lower_one(pid, self))).await?;
        node.undo_state.saved::<Vec<Lowered>>().extend(lowered);
        Ok(Applied::default())
    }
}

simple_verb! {
    /// Raises the limits again, and starts the node if it died of them.
    Unlimit = VerbSpec { followed_by: Some(AnyVerb::Start(Start)), ..VerbSpec::of("unlimit", Domain::Process, Reversal::IsUndo) };
    |node| {
        let lowered = std::mem::take(node.undo_state.saved::<Vec<Lowered>>());
        let unaccepted = node.blocking(|pids| Ok(unaccepted(&pids))).await;
        raise(&lowered);
        let died = !lowered.is_empty() && node.nodes.state(node.id) == NodeState::Down;
        Ok(FaultEffect {
            connections_unaccepted: unaccepted?,
            nodes_died: u64::from(died),
            ..FaultEffect::default()
        })
    }
}

/// The C library's type for the number of a limit.
#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

/// A limit that was lowered, and its old value.
#[derive(Debug, Clone, Copy)]
struct Lowered {
    pid: i32,
    resource: Resource,
    was: libc::rlim_t,
    is: libc::rlim_t,
}

/// Lowers the limit of all processes, or, if that fails, of none. Processes that end meanwhile are ignored.
fn lower(pids: &[i32], lower_one: impl Fn(i32) -> io::Result<Lowered>) -> Result<Vec<Lowered>, String> {
    let mut lowered = Vec::new();
    for &pid in pids {
        match lower_one(pid) {
            Ok(one) => lowered.push(one),
            Err(_) if !fs::exists(format!("/proc/{pid}/stat")).unwrap_or(true) => {}
            Err(error) => {
                raise(&lowered);
                return Err(format!("process {pid}: {error}"));
            }
        }
    }
    Ok(lowered)
}

fn lower_one(pid: i32, limit: Limit) -> io::Result<Lowered> {
    let (resource, wanted) = match limit {
        Limit::Files(first) => (libc::RLIMIT_NOFILE, u64::from(first)),
        Limit::MemoryKib(more) => {
            let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
            let pages = statm.split(' ').next().and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
            (libc::RLIMIT_AS, pages * page_size() + u64::from(more) * 1024)
        }
    };
    let was = soft_limit(pid, resource, None)?;
    let is = wanted.min(was);
    soft_limit(pid, resource, Some(is))?;
    Ok(Lowered { pid, resource, was, is })
}

fn page_size() -> u64 {
    // SAFETY: sysconf returns a number and accesses no memory of this program.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// The soft limit of a process; sets a new one if given. The hard limit stays, so that the soft limit can be
/// raised again without privileges.
fn soft_limit(pid: i32, resource: Resource, new: Option<libc::rlim_t>) -> io::Result<libc::rlim_t> {
    let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let prlimit = |new: *const libc::rlimit, old: *mut libc::rlimit| {
        // SAFETY: both pointers are null or point to structures that outlive the call.
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

/// Raises limits again, the last lowered first. A limit with another value than the one that was set is left
/// alone: the process changed it itself, or the process is gone and another one has its number.
fn raise(lowered: &[Lowered]) {
    for &Lowered { pid, resource, was, is } in lowered.iter().rev() {
        if soft_limit(pid, resource, None).is_ok_and(|now| now == is) {
            let _ = soft_limit(pid, resource, Some(was));
        }
    }
}

/// Number of connections that wait to be accepted by these processes.
fn unaccepted(pids: &[i32]) -> u64 {
    let own: BTreeSet<u64> = pids.iter().flat_map(|&pid| sockets(pid)).collect();
    let tables = pids
        .first()
        .into_iter()
        .flat_map(|pid| ["tcp", "tcp6"].map(|table| format!("/proc/{pid}/net/{table}")));
    tables.filter_map(|table| fs::read_to_string(table).ok()).map(|table| waiting(&table, &own)).sum()
}

/// Parses a table such as `/proc/net/tcp`. The receive queue of a listening socket (state 0A) is the number
/// of connections that wait to be accepted.
fn waiting(table: &str, own: &BTreeSet<u64>) -> u64 {
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = *fields.get(3)? == "0A" && own.contains(&fields.get(9)?.parse().ok()?);
        let (_, received) = fields.get(4)?.split_once(':')?;
        listens.then(|| u64::from_str_radix(received, 16).unwrap_or(0))
    };
    table.lines().filter_map(of_line).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processes::sleeper::Sleeper;

    #[test]
    fn limits_parse_back() {
        for text in ["files=0", "memory_kib=1024"] {
            assert_eq!(Limit::parse(text).expect(text).to_string(), text);
        }
        for wrong in ["files", "files=-1", "files=", "memory=1"] {
            assert_eq!(Limit::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_limit_is_only_lowered_and_is_as_before_if_that_fails_for_another_process() {
        let (_sleeper, pid) = Sleeper::start();
        let own = std::process::id() as i32;
        let limit = || soft_limit(pid, libc::RLIMIT_NOFILE, None).expect("our own child");
        let before = limit();
        let lowered = lower_one(pid, Limit::Files(20)).expect("our own child");
        assert_eq!((limit(), lower_one(pid, Limit::Files(30)).expect("our own child").is), (20, 20));
        raise(&[lowered]);

        let all_but_own = |pid| match pid == own {
            true => Err(io::ErrorKind::PermissionDenied.into()),
            false => lower_one(pid, Limit::Files(20)),
        };
        let error = lower(&[pid, own], all_but_own).expect_err("one is refused");
        assert_eq!((error, limit()), (format!("process {own}: permission denied"), before));
    }

    #[test]
    fn connections_count_only_if_they_wait_at_our_listeners() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 11 1\n\
             1: 0100007F:1F91 00000000:0000 0A 00000000:00000005 00:00000000 00000000     0        0 12 1\n\
             2: 0100007F:1F90 0100007F:9999 01 00000000:00000007 00:00000000 00000000     0        0 13 1\n";
        assert_eq!(waiting(table, &BTreeSet::from([11, 13])), 3);
    }
}
