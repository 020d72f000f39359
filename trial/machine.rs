//! What works on this machine, found out by trying it: the answer to `tribunal doctor` without a file.

use std::path::Path;
use std::thread;

use anyhow::{Context, Result};
#[cfg(feature = "box")]
use tribunal_box::Parts;
use tribunal_nemesis::{
    Drawn, FAULTS, FaultSelection, Links, NodeCgroup, Plan, Schedule, Setting, remove_cgroup,
};
#[cfg(not(feature = "box"))]
use tribunal_records::features::left_out;
use tribunal_records::{DiskKind, Net};

use crate::cluster::disks::fuse_available;
use crate::cluster::namespaces::{self, Namespaces};

/// Something that a run may need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Its name, such as `FUSE disks`.
    pub name: String,
    /// What needs it.
    pub needed_for: String,
    /// Why it does not work here; `None`: it works.
    pub lacks: Option<String>,
    /// How to get it.
    pub get: &'static str,
}

/// Nodes of the cluster for which faults are tried.
const NODES: usize = 5;

/// Everything that some machines lack.
pub fn capabilities() -> Vec<Capability> {
    let net = in_namespaces();
    let (namespaces, queue) = match net {
        Ok(queue) => (None, queue),
        Err(why) => (Some(format!("{why:#}")), Err("it needs network namespaces".to_string())),
    };
    let capability = |name: &str, needed_for: &str, lacks: Option<String>, get| Capability {
        name: name.into(),
        needed_for: needed_for.into(),
        lacks,
        get,
    };
    let mut all = vec![
        capability(
            "network namespaces",
            "--net netns, --net transparent",
            namespaces,
            "run as root or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1); install iproute2 and nftables",
        ),
        capability(
            "packet queue",
            "degrade and loss with --net netns",
            queue.err(),
            "load the kernel module nfnetlink_queue, or install iptables",
        ),
        capability(
            "FUSE disks",
            "--disk fuse: power, torn-write, disk-full, disk-error, slow-disk",
            fuse_available().err(),
            match cfg!(feature = "fuse") {
                true => {
                    "load the kernel module fuse; in a container pass --device /dev/fuse and allow mounts; without root install fuse3"
                }
                false => "build Tribunal with this feature",
            },
        ),
        capability(
            "ext4 disks",
            "--disk ext4",
            ext4().err(),
            "run as root, with /dev/loop-control and mkfs.ext4 (e2fsprogs)",
        ),
        capability(
            "cgroups",
            "starve:quota; telling the processes of a node apart",
            cgroup().err(),
            "run as root, or in a session with delegated cgroups of version 2 (systemd-run --user --scope)",
        ),
    ];
    all.push(boxes());
    all.extend(faults());
    all
}

/// Whether `run --box` works here.
pub fn boxes() -> Capability {
    #[cfg(feature = "box")]
    let version = Parts::find().and_then(|parts| parts.version()).map_err(|why| why.to_string());
    #[cfg(not(feature = "box"))]
    let version: Result<String, String> = Err(left_out("box"));
    Capability {
        name: "box".into(),
        needed_for: match &version {
            Ok(version) => format!("run --box, in {version}"),
            Err(_) => "run --box, replay, convict, shrink, bisect".into(),
        },
        lacks: version.err(),
        get: match cfg!(feature = "box") {
            true => "tribunal box setup",
            false => "build Tribunal with this feature",
        },
    }
}

/// Whether a cluster in namespaces can be made; if so, whether its packets can be queued. On a thread of its
/// own, because a thread cannot leave a namespace.
fn in_namespaces() -> Result<Result<(), String>> {
    let tried = thread::Builder::new().spawn(|| {
        namespaces::enter(Net::Netns)?;
        let namespaces = Namespaces::make(2)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _inside = runtime.enter();
        let links = Links::open_filtered(&namespaces.addresses())?;
        Ok(links.packet_queue())
    });
    tried.context("cannot start a thread")?.join().unwrap_or_else(|_| anyhow::bail!("the attempt panicked"))
}

fn ext4() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("it needs root".into());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err("there is no /dev/loop-control".into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join("mkfs.ext4").is_file());
    if found { Ok(()) } else { Err("there is no mkfs.ext4".into()) }
}

/// A cgroup that is removed at once.
fn cgroup() -> Result<(), String> {
    let made = NodeCgroup::make(&format!("tribunal-doctor-{}", std::process::id()), |_| {})?;
    remove_cgroup(made.path()).map_err(|error| format!("cannot remove a cgroup: {error}"))
}

/// The faults that cannot be injected into the built-in Raft, with the same reason together.
fn faults() -> Vec<Capability> {
    let setting = Setting {
        nodes: NODES,
        net: Net::Proxy,
        disk: fuse_available().map(|()| DiskKind::Fuse),
        operators: Ok(()),
    };
    let names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
    let Ok(wanted) = FaultSelection::parse(&names.join(","), &[]) else { return Vec::new() };
    let schedule = Schedule { wanted, seed: 1, nodes: NODES, interval_ms: 1_000, time_limit_ms: 60_000 };
    let mut plan = Plan { drawn: vec![Drawn { begin_ms: 0, schedule, grudge: None }], ..Plan::default() };
    let impossible = plan.remove_impossible(&setting);
    let works = FAULTS.iter().filter(|fault| impossible.iter().all(|(name, _)| name != fault.name));
    let works: Vec<&str> = works.map(|fault| fault.name).collect();
    let some = Capability { name: "faults".into(), needed_for: works.join(", "), lacks: None, get: "" };
    let mut by_reason: Vec<(String, Vec<String>)> = Vec::new();
    for (fault, why) in impossible {
        match by_reason.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, faults)) => faults.push(fault.to_string()),
            None => by_reason.push((why, vec![fault.to_string()])),
        }
    }
    let others = by_reason.into_iter().map(|(why, faults)| Capability {
        name: format!("fault{} {}", if faults.len() == 1 { "" } else { "s" }, faults.join(", ")),
        needed_for: format!("--nemesis {}", faults.join(",")),
        lacks: Some(why),
        get: "docs/machines.md",
    });
    std::iter::once(some).chain(others).collect()
}
