//! The run directory: what is read from it, and the one file that must be in it before anything is rendered.
//!
//! ```text
//! run.json  history.jsonl  faults.jsonl  links.jsonl  nodes/n1.log ...     evidence, written while the run goes on
//! verdict.json                                                the judgement of it, written first
//! report.txt  report.html  plots/*.svg ...                    renderings, written last, from the files above only
//! ```
//!
//! Every file is replaced whole, never left half written; how is said in [`files`].

use std::fs;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use tribunal_checker::formats::jsonl;
use tribunal_checker::history::History;

use crate::clock::Clock;
use crate::faults::{self, Fault};
use crate::files::{self, Durable};
use crate::judgement::Judgement;
use crate::node_logs::{self, LogLine};
use crate::run_info::RunInfo;
use crate::traffic::{self, Sample};

/// What was recorded of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// How it was run.
    pub info: RunInfo,
    /// What the clients did and learnt.
    pub history: History,
    /// What the nemesis did.
    pub faults: Vec<Fault>,
}

/// Everything that reports are made from.
#[derive(Clone, Debug)]
pub struct RunDir {
    /// The directory as it is named in commands, such as `store/register/20261121T093015Z-8231`.
    pub name: String,
    /// What was recorded.
    pub evidence: Evidence,
    /// What it comes to.
    pub judgement: Judgement,
    /// What the nodes wrote around the violation, if one was proved.
    pub logs: Vec<LogLine>,
    /// What went over the links around the violation, if one was proved.
    pub traffic: Vec<Sample>,
    /// The files of evidence that are there, by path below the directory, with their sizes in bytes.
    pub files: Vec<(String, u64)>,
}

/// A run directory that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is missing or unreadable.
    #[error("cannot read {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {why}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, and where.
        why: String,
    },
}

impl Evidence {
    /// Reads what was recorded in a run directory. A history or a list of faults that is missing is empty: a
    /// harness that failed early leaves none.
    ///
    /// # Errors
    /// When `run.json` is missing, or a file cannot be read or does not hold what it should.
    pub fn load(dir: &Path) -> Result<Evidence, LoadError> {
        Ok(Evidence {
            info: load_json(&dir.join("run.json"))?,
            faults: load_faults(&dir.join("faults.jsonl"))?,
            history: load_history(&dir.join("history.jsonl"))?,
        })
    }
}

impl RunDir {
    /// Reads a run directory that has been judged.
    ///
    /// # Errors
    /// As [`Evidence::load`], and when `verdict.json` is missing or does not hold what it should.
    pub fn load(dir: &Path) -> Result<RunDir, LoadError> {
        let evidence = Evidence::load(dir)?;
        let judgement: Judgement = load_json(&dir.join("verdict.json"))?;
        Ok(RunDir::of(dir, evidence, judgement))
    }

    /// A run directory whose evidence and judgement are known; the rest of what is shown is read from it.
    pub fn of(dir: &Path, evidence: Evidence, judgement: Judgement) -> RunDir {
        let logs = match node_logs::window(&judgement) {
            Some(window) => node_logs::load(&dir.join("nodes"), window),
            None => Vec::new(),
        };
        let traffic = match traffic::window(&judgement) {
            Some(window) => traffic::load(&dir.join("links.jsonl"), window),
            None => Vec::new(),
        };
        // Without the slash that a shell appends.
        let name = dir.components().collect::<PathBuf>().display().to_string();
        RunDir { name, evidence, judgement, logs, traffic, files: sizes(dir) }
    }

    /// What the times of the history are.
    pub fn clock(&self) -> Clock {
        Clock::of(&self.evidence.history.ops)
    }
}

/// A file of one JSON object.
pub(crate) fn load_json<T: DeserializeOwned>(path: &Path) -> Result<T, LoadError> {
    serde_json::from_str(&read(path)?).map_err(|why| content(path, why))
}

/// The faults of a run; none where there is no record of them.
pub(crate) fn load_faults(path: &Path) -> Result<Vec<Fault>, LoadError> {
    match read(path) {
        Ok(text) => faults::parse(&text).map_err(|why| content(path, why)),
        Err(LoadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Writes `verdict.json`, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write_judgement(dir: &Path, judgement: &Judgement) -> io::Result<()> {
    let mut json = serde_json::to_vec_pretty(judgement)?;
    json.push(b'\n');
    files::replace(dir, "verdict.json", &json, Durable::Yes)
}

fn read(path: &Path) -> Result<String, LoadError> {
    match files::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(source) => Err(LoadError::Io { path: path.to_path_buf(), source }),
    }
}

fn content(path: &Path, why: impl ToString) -> LoadError {
    LoadError::Content { path: path.to_path_buf(), why: why.to_string() }
}

fn load_history(path: &Path) -> Result<History, LoadError> {
    let file = match files::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(History::default()),
        Err(source) => return Err(LoadError::Io { path: path.to_path_buf(), source }),
    };
    // A recorder that was killed leaves a last line that breaks off: the reader leaves it out.
    let reading = jsonl::read(BufReader::new(file)).map_err(|why| content(path, why))?;
    Ok(reading.history)
}

/// The files of evidence, in the order of their names.
fn sizes(dir: &Path) -> Vec<(String, u64)> {
    let size = |name: &str| Some((name.to_string(), fs::metadata(dir.join(name)).ok()?.len()));
    let mut names: Vec<String> =
        ["run.json", "history.jsonl", "faults.jsonl", "links.jsonl", "verdict.json", "controller.log"]
            .map(String::from)
            .into();
    let mut logs: Vec<String> = fs::read_dir(dir.join("nodes"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(format!("nodes/{}", entry.ok()?.file_name().to_str()?)))
        .collect();
    logs.sort();
    names.extend(logs);
    names.iter().filter_map(|name| size(name)).collect()
}
