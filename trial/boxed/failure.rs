//! `failure.tribunal`: a violation as one file, which shows it again on any x86-64 Linux with the same QEMU.
//!
//! It is a compressed archive (cpio, gzip) of the kernel, the image, and a description: what the box was, what was
//! found, and the hash of every file of evidence.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use cpio::newc::{Builder, Reader, trailer};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use tribunal_box::guest::Job;
use tribunal_box::{Image, Machine, Parts, hash};
use tribunal_records::TrialSpec;
use tribunal_records::boxed::{BoxIdentity, Branch};
use tribunal_reports::judgement::{Judgement, RunOutcome};
use tribunal_reports::run_dir::RunDir;

use super::{TRIAL, boot};
use crate::cluster::TRACER;
use crate::error::TrialError;
use crate::observer::Observer;
use crate::plan::{lookup, model, tracer};
use crate::registry::Registry;
use crate::stop::Stop;

/// Its name in a run directory.
pub const NAME: &str = "failure.tribunal";
/// Version of the description; it grows when a field changes its meaning.
const SCHEMA_VERSION: u32 = 2;
/// The parts of the archive.
const PARTS: [&str; 3] = ["failure.json", "kernel", "image"];
/// No part of a failure is larger: a bound for files from elsewhere.
const PART_BYTES_MAX: u32 = 2 << 30;

/// The description in a failure file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    schema_version: u32,
    /// The trial.
    pub spec: TrialSpec,
    /// The box.
    pub identity: BoxIdentity,
    /// The verdict in one sentence.
    pub sentence: String,
    /// Hash of what the verdict says.
    pub verdict: String,
    /// Hash of each file of evidence, by its path in the run directory.
    pub evidence: BTreeMap<String, String>,
    memory_mib: u64,
    init: Vec<String>,
    env: Vec<(String, String)>,
    job: Job,
    branch: Option<Branch>,
}

/// What is wrong with a failure file.
#[derive(Debug, thiserror::Error)]
pub enum FailureError {
    /// It cannot be read.
    #[error("cannot read it: {0}")]
    Io(#[from] io::Error),
    /// It is no failure file, or of a newer version.
    #[error("{0}")]
    Contents(String),
}

/// What is changed in a replay, to see more. A run that is watched is rarely the same.
#[derive(Clone, Debug, Default)]
pub struct Watching {
    /// The node whose system calls are recorded.
    pub trace: Option<String>,
    /// Further arguments of every node.
    pub node_arg: Vec<String>,
}

impl Watching {
    /// Whether nothing is changed.
    pub fn is_nothing(&self) -> bool {
        self.trace.is_none() && self.node_arg.is_empty()
    }

    /// Changes the trial, here and in the guest.
    fn change(&self, spec: &mut TrialSpec, machine: &mut Machine) -> Result<()> {
        let change = |spec: &mut TrialSpec| {
            spec.trace = self.trace.clone().or(spec.trace.take());
            spec.node_arg.extend(self.node_arg.iter().cloned());
        };
        change(spec);
        spec.validate().map_err(|why| anyhow!("--{why}"))?;
        for (_, text) in machine.job.files.iter_mut().filter(|(path, _)| path == Path::new(TRIAL)) {
            let mut inside: TrialSpec = serde_json::from_str(text)?;
            change(&mut inside);
            *text = serde_json::to_string(&inside)?;
        }
        if self.trace.is_some() {
            let mut more = Image::default();
            more.add(&tracer()?)?;
            // The kernel unpacks one archive after the other.
            machine.image.extend(more.to_bytes()?);
        }
        Ok(())
    }
}

/// What a replay showed.
#[derive(Debug)]
pub struct Replayed {
    /// The new run.
    pub run: RunDir,
    /// The original.
    pub failure: Failure,
    /// In which parts the two boxes differ, beside what was changed on purpose.
    pub other_box: Vec<&'static str>,
    /// The files whose contents differ, or that only one of the two has; `verdict` for the verdict.
    pub different: Vec<String>,
}

/// Writes the file of a violation.
pub(super) fn save(file: &Path, machine: &Machine, run: &RunDir) -> Result<()> {
    let info = &run.evidence.info;
    let failure = Failure {
        schema_version: SCHEMA_VERSION,
        spec: info.spec.clone().unwrap_or_default(),
        identity: info.boxed.clone().unwrap_or_default(),
        sentence: run.judgement.sentence.clone(),
        verdict: verdict(&run.judgement),
        evidence: evidence(Path::new(&run.name)).context("cannot read the evidence")?,
        memory_mib: machine.memory_mib,
        init: machine.init.clone(),
        env: machine.env.clone(),
        job: machine.job.clone(),
        branch: machine.branch,
    };
    let write = || -> Result<()> {
        let out = GzEncoder::new(BufWriter::new(File::create(file)?), Compression::fast());
        let description = serde_json::to_vec_pretty(&failure)?;
        let parts = PARTS.into_iter().zip([&description, &machine.kernel, &machine.image]);
        let mut out = Some(out);
        for (name, bytes) in parts {
            let size = u32::try_from(bytes.len()).context("it is too large")?;
            let mut entry = Builder::new(name).mode(0o100_644).write(out.take().expect("it is there"), size);
            entry.write_all(bytes)?;
            out = Some(entry.finish()?);
        }
        trailer(out.expect("it is there"))?.finish()?.flush()?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

/// Reads a failure file.
fn load(file: &Path, parts: Parts) -> Result<(Failure, Machine), FailureError> {
    let bad = |why: String| FailureError::Contents(format!("it is no {NAME}: {why}"));
    let mut input = GzDecoder::new(BufReader::new(File::open(file)?));
    let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    loop {
        let mut entry = Reader::new(input).map_err(|why| bad(why.to_string()))?;
        if entry.entry().is_trailer() {
            break;
        }
        if entry.entry().file_size() > PART_BYTES_MAX {
            return Err(bad("a part is larger than 2 GiB".into()));
        }
        let (name, mut bytes) = (entry.entry().name().to_owned(), Vec::new());
        if !PARTS.contains(&name.as_str()) || found.contains_key(&name) {
            return Err(bad(format!("it contains `{name}`")));
        }
        entry.read_to_end(&mut bytes).map_err(|why| bad(why.to_string()))?;
        found.insert(name, bytes);
        input = entry.finish().map_err(|why| bad(why.to_string()))?;
    }
    let mut part = |name: &str| found.remove(name).ok_or_else(|| bad(format!("it lacks `{name}`")));
    let failure: Failure =
        serde_json::from_slice(&part("failure.json")?).map_err(|why| bad(why.to_string()))?;
    if failure.schema_version != SCHEMA_VERSION {
        let why =
            format!("its version is {}, and this Tribunal knows {SCHEMA_VERSION}", failure.schema_version);
        return Err(FailureError::Contents(why));
    }
    let machine = Machine {
        parts,
        kernel: part("kernel")?,
        image: part("image")?,
        memory_mib: failure.memory_mib,
        init: failure.init.clone(),
        env: failure.env.clone(),
        job: failure.job.clone(),
        branch: failure.branch,
    };
    Ok((failure, machine))
}

/// Boots the box of a failure file again, into `store`, and compares everything.
///
/// # Errors
/// When the file cannot be used ([`TrialError::Spec`]), or the box fails.
pub fn replay(
    file: &Path,
    watching: &Watching,
    store: PathBuf,
    registry: &Registry,
    observer: &Arc<dyn Observer>,
    stop: &Stop,
) -> Result<Replayed, TrialError> {
    let parts = Parts::find().map_err(|why| TrialError::spec(why.into()))?;
    if file.is_dir() {
        let why = anyhow!("{}: expected a file, such as {0}/{NAME}", file.display());
        return Err(TrialError::spec(why));
    }
    let (failure, mut machine) =
        load(file, parts).map_err(|why| TrialError::spec(anyhow!("{}: {why}", file.display())))?;
    // `latest` is another directory once the run has begun.
    let file = file.canonicalize().map_err(|why| TrialError::spec(anyhow!("{}: {why}", file.display())))?;
    let here = machine.identity().map_err(|why| TrialError::Harness(why.to_string()))?;
    let other_box = here.differences(&failure.identity);
    let mut spec = TrialSpec { store, ..failure.spec.clone() };
    if !watching.is_nothing() {
        watching.change(&mut spec, &mut machine).map_err(TrialError::spec)?;
    }
    let workload = lookup("workload", &spec.workload, registry.workloads(), |entry| entry.name);
    let model = workload.and_then(|workload| model(workload, spec.model.as_deref(), registry));
    let model = model.map_err(TrialError::spec)?;
    let run = boot(&machine, None, &spec, &model, observer, stop, true)?;
    let found = evidence(Path::new(&run.name)).map_err(|why| TrialError::harness(why.into()))?;
    let names = found.keys().chain(failure.evidence.keys());
    let mut different: Vec<String> =
        names.filter(|name| found.get(*name) != failure.evidence.get(*name)).cloned().collect();
    if verdict(&run.judgement) != failure.verdict {
        different.push("verdict".into());
    }
    different.sort();
    different.dedup();
    // The new run directory is as complete as the old one. It is a convenience: an error changes nothing.
    if run.judgement.outcome == RunOutcome::Violation {
        let own = Path::new(&run.name).join(NAME);
        let is_same = different.is_empty() && other_box.is_empty() && watching.is_nothing();
        let _ = if is_same {
            std::fs::copy(&file, own).map(drop).map_err(Into::into)
        } else {
            save(&own, &machine, &run)
        };
    }
    Ok(Replayed { run, failure, other_box, different })
}

/// The hash of what a verdict says; the cost of the check differs from run to run.
fn verdict(judgement: &Judgement) -> String {
    let Judgement { outcome, sentence, found_by, findings, .. } = judgement;
    let said = (outcome, sentence, found_by, judgement.violation(), findings);
    hash(&serde_json::to_vec(&said).expect("it is plain data"))
}

/// The hash of every file that the guest recorded.
fn evidence(run: &Path) -> io::Result<BTreeMap<String, String>> {
    let recorded = ["history.jsonl", "faults.jsonl", "leaders.jsonl", "links.jsonl", "controller.log"];
    let mut files: Vec<String> = recorded.iter().map(|name| (*name).to_owned()).collect();
    match std::fs::read_dir(run.join("nodes")) {
        Ok(found) => {
            for entry in found {
                files.push(format!("nodes/{}", entry?.file_name().to_string_lossy()));
            }
            files.retain(|name| !name.ends_with(TRACER));
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        Err(why) => return Err(why),
    }
    let mut hashes = BTreeMap::new();
    for name in files {
        match std::fs::read(run.join(&name)) {
            Ok(bytes) => drop(hashes.insert(name, hash(&bytes))),
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => return Err(why),
        }
    }
    Ok(hashes)
}
