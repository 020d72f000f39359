//! From a spec to a guest: this program, the system's programs, and the trial.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use tribunal_box::guest::Job;
use tribunal_box::{Image, Machine, Parts};
use tribunal_records::{Net, TrialSpec};

use super::{SCHEDULE, STORE, TRIAL};
use crate::executable;
use crate::plan::{lookup, model, switches, system, tracer};
use crate::registry::{Registry, RunModel};

/// Kernel modules by which Tribunal looks at sockets, and makes disks.
const MODULES: [&str; 3] = ["tcp_diag", "unix_diag", "fuse"];
/// Those of network namespaces: virtual networks, packet filters and queues.
const NAMESPACE_MODULES: [&str; 7] =
    ["veth", "nf_tables", "nft_ct", "nft_queue", "nfnetlink_queue", "nft_redir", "sch_netem"];

/// The guest of a trial, and the model that judges it. `instead` is a program that takes the place of the system's.
/// All names are looked up; what the guest's machine makes possible, only the guest knows.
pub(super) fn pack(
    spec: &TrialSpec,
    registry: &Registry,
    parts: Parts,
    instead: Option<&Path>,
) -> Result<(Machine, RunModel)> {
    spec.validate().map_err(|why| anyhow!("--{why}"))?;
    let workload = lookup("workload", &spec.workload, registry.workloads(), |entry| entry.name)?;
    let model = model(workload, spec.model.as_deref(), registry)?;
    let system = system(&spec.system, registry)?;
    system.fits(workload, model.name())?;
    let made = system.make(&switches(spec, workload)?)?;
    let mut image = Image::default();
    let mut files = made.files();
    match (instead, files.first()) {
        // The nodes of a built-in system are started from this program.
        (Some(program), None) => image.add_program(program, Path::new("/init"))?,
        (Some(program), Some(usual)) => {
            let usual = usual.canonicalize().with_context(|| usual.display().to_string())?;
            image.add_program(executable::path()?, Path::new("/init"))?;
            image.add_as(program, &usual)?;
        }
        (None, _) => image.add_program(executable::path()?, Path::new("/init"))?,
    }
    files.extend(spec.system.contains('/').then(|| spec.system.clone().into()));
    files.extend(spec.box_path.iter().map(PathBuf::from));
    files.extend(spec.trace.as_ref().map(|_| tracer()).transpose()?);
    for path in files {
        image.add(&path).context("--box")?;
    }
    if spec.net != Net::Proxy {
        for (program, package) in [("ip", "iproute2"), ("nft", "nftables")] {
            let places =
                ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(|place| Path::new(place).join(program));
            let found = places.iter().find(|path| path.exists());
            image.add(found.with_context(|| {
                format!(
                    "--box: `{program}` is not installed (Debian: {package}), and --net {} needs it",
                    spec.net
                )
            })?)?;
        }
    }
    for (path, text) in ACCOUNTS {
        image.write(Path::new(path), text.into(), 0o644);
    }
    let wanted = [&MODULES[..], if spec.net == Net::Proxy { &[] } else { &NAMESPACE_MODULES }].concat();
    image.add_modules(&Machine::modules(&parts, &wanted)?)?;
    let start = executable::command(["guest"])?;
    let words = start.get_args().map(|word| word.to_string_lossy().into_owned());
    let env = start.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let env: Vec<(OsString, OsString)> = env.collect();
    let path = std::env::var_os("PATH").map(|path| ("PATH".into(), path));
    let job = Job {
        args: start.get_args().map(Into::into).collect(),
        env: env.iter().cloned().chain(path).chain([("HOME".into(), "/root".into())]).collect(),
        directory: std::env::current_dir().context("there is no working directory")?,
        files: files_of(spec)?,
        results: STORE.into(),
        seed: spec.box_seed,
    };
    image.make_directory(Path::new("/root"));
    let env = env.iter().map(|(name, value)| {
        (name.to_string_lossy().into_owned(), value.to_string_lossy().trim_end().to_owned())
    });
    let kernel = std::fs::read(&parts.kernel).with_context(|| parts.kernel.display().to_string())?;
    let machine = Machine {
        parts,
        kernel,
        image: image.to_bytes()?,
        memory_mib: (spec.box_memory.0 >> 20) as u64,
        init: words.collect(),
        env: env.collect(),
        job,
        branch: spec.box_branch,
    };
    Ok((machine, model))
}

/// The trial as the guest runs it, and its schedule if it has one.
fn files_of(spec: &TrialSpec) -> Result<Vec<(PathBuf, String)>> {
    let schedule = spec.schedule.as_ref().map(|schedule| {
        let text = std::fs::read_to_string(schedule);
        text.with_context(|| format!("--schedule: {}", schedule.display()))
    });
    let schedule = schedule.transpose()?;
    let inside = TrialSpec {
        boxed: false,
        // A branch changes nothing before its moment.
        box_branch: None,
        store: STORE.into(),
        schedule: schedule.as_ref().map(|_| SCHEDULE.into()),
        ..spec.clone()
    };
    let trial = (TRIAL.into(), serde_json::to_string(&inside)?);
    Ok([trial].into_iter().chain(schedule.map(|text| (SCHEDULE.into(), text))).collect())
}

/// Enough for programs that look up users and hosts.
const ACCOUNTS: [(&str, &str); 4] = [
    ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"),
    ("/etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
];
