//! The run directory: the files that are read, and the one file that must exist before anything is rendered.
//!
//! ```text
//! run.json  history.jsonl  faults.jsonl  links.jsonl  leaders.jsonl  nodes/n1.log ...   written during the run
//! verdict.json                                                the judgement of it, written first
//! report.txt  report.html  plots/*.svg ...                    renderings, written last, from the files above only
//! ```
//!
//! Every file is replaced atomically; see [`files`]. The evidence is numbered and counted: events by `i` in
//! history.jsonl, lines by `n` in faults.jsonl, and the number of both by `ending` in run.json. So a line
//! that is lost, duplicated, or from another run is an error with its location, never a verdict. run.json,
//! verdict.json and matrix.json have a `schema_version`; a file newer than this program is refused.

use std::cmp::Ordering;
use std::fs;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tribunal_checker::formats::jsonl::{self, Numbering};
use tribunal_checker::history::History;
use tribunal_records::places::of_json;

use tribunal_records::boxed::{SHRUNK, Shrunk};

use crate::clock::Clock;
use crate::faults::{self, Fault, Record};
use crate::files::{self, Durable};
use crate::judgement::{self, Judgement};
use crate::leaders::{self, Leaders};
use crate::node_logs::{self, LogLine};
use crate::run_info::{self, Ending, RunInfo};
use crate::stats::{Stats, Tally};
use crate::traffic::{self, Sample};
use crate::wording::{count, counted};

/// The recorded evidence of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The configuration of the run.
    pub info: RunInfo,
    /// The clients' operations and their results.
    pub history: History,
    /// The faults that the nemesis injected.
    pub faults: Vec<Fault>,
}

/// The input of all reports.
#[derive(Clone, Debug)]
pub struct RunDir {
    /// The directory as named in commands, such as `store/register/20261121T093015Z-8231`.
    pub name: String,
    /// The recorded evidence.
    pub evidence: Evidence,
    /// The outcome.
    pub judgement: Judgement,
    /// The node logs around the violation, if one was proved.
    pub logs: Vec<LogLine>,
    /// Who claimed to lead, one entry for each change; empty if unknown.
    pub leaders: Vec<Leaders>,
    /// Whether all nodes claim to lead: the system has no leader.
    pub is_leaderless: bool,
    /// The traffic between nodes around the violation, if one was proved.
    pub traffic: Vec<Sample>,
    /// How far the trial was shrunk, if it was.
    pub shrunk: Option<Shrunk>,
    /// The files of evidence, by path below the directory, with their sizes in bytes.
    pub files: Vec<(String, u64)>,
}

/// A run directory that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is missing or unreadable.
    #[error("cannot read {}", path.display())]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The content of a file is invalid.
    #[error("{}: {why}", path.display())]
    Content {
        /// The path of the file.
        path: PathBuf,
        /// The error and its location.
        why: String,
    },
    /// A line of a file is invalid or out of place.
    #[error("{}:{line}: {why}", path.display())]
    Line {
        /// The path of the file.
        path: PathBuf,
        /// The line number, counted from 1.
        line: usize,
        /// The error.
        why: String,
    },
    /// A file was written by a newer version of this program.
    #[error("{}: schema_version is {found}, but this Tribunal knows up to {known}: use a newer one", path.display())]
    Newer {
        /// The path of the file.
        path: PathBuf,
        /// The version of its format.
        found: u64,
        /// The newest version that this program knows.
        known: u32,
    },
}

impl LoadError {
    /// Whether the file does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, LoadError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl Evidence {
    /// Reads the evidence of a run directory. A missing history or list of faults is empty: a harness that
    /// failed early leaves none.
    ///
    /// # Errors
    /// When `run.json` is missing, a file cannot be read or is invalid, or some of the recorded evidence is
    /// lost.
    pub fn load(dir: &Path) -> Result<Evidence, LoadError> {
        let info = load_info(dir)?;
        Ok(Evidence {
            faults: load_faults(&dir.join("faults.jsonl"), info.ending.as_ref())?,
            history: load_history(&dir.join("history.jsonl"), &info)?,
            info,
        })
    }

    /// Checks that a verdict belongs to this history.
    ///
    /// # Errors
    /// When it does not: one of the two is from another run, or lines are lost.
    pub fn agrees(&self, dir: &Path, judgement: &Judgement) -> Result<(), LoadError> {
        let (here, there) = (Stats::of(&self.history), &judgement.stats);
        if (here.tally, here.span_ns) == (there.tally, there.span_ns) {
            return Ok(());
        }
        let ops = |tally: Tally| format!("{} ({} ok)", counted(tally.all(), "operation"), count(tally.ok));
        let (here, there) = (ops(here.tally), ops(there.tally));
        let why = format!(
            "it judges {there}, and history.jsonl holds {here}: one of them is of another run, or not whole"
        );
        Err(content(&dir.join("verdict.json"), why))
    }
}

impl RunDir {
    /// Reads a run directory with its verdict.
    ///
    /// # Errors
    /// As [`Evidence::load`], and when `verdict.json` is missing or invalid.
    pub fn load(dir: &Path) -> Result<RunDir, LoadError> {
        let evidence = Evidence::load(dir)?;
        let judgement = load_judgement(dir)?;
        evidence.agrees(dir, &judgement)?;
        Ok(RunDir::of(dir, evidence, judgement))
    }

    /// A run directory with this evidence and judgement; the other inputs of the reports are read from it.
    pub fn of(dir: &Path, evidence: Evidence, judgement: Judgement) -> RunDir {
        let logs = match node_logs::window(&judgement) {
            Some(window) => node_logs::load(&dir.join("nodes"), window),
            None => Vec::new(),
        };
        let traffic = match traffic::window(&judgement) {
            Some(window) => traffic::load(&dir.join("links.jsonl"), window),
            None => Vec::new(),
        };
        let (leaders, is_leaderless) = leaders::load(&dir.join("leaders.jsonl"));
        // Without the slash that a shell appends.
        let name = dir.components().collect::<PathBuf>().display().to_string();
        let shrunk = files::read(&dir.join(SHRUNK)).ok();
        let shrunk = shrunk.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        RunDir { name, evidence, judgement, logs, leaders, is_leaderless, traffic, shrunk, files: sizes(dir) }
    }

    /// The meaning of the times in the history.
    pub fn clock(&self) -> Clock {
        Clock::of(&self.evidence.history.ops)
    }
}

/// Reads `run.json`.
///
/// # Errors
/// When it is missing or invalid.
pub fn load_info(dir: &Path) -> Result<RunInfo, LoadError> {
    load_json(&dir.join("run.json"), run_info::SCHEMA_VERSION)
}

/// Reads `verdict.json`.
///
/// # Errors
/// When it is missing or invalid.
pub fn load_judgement(dir: &Path) -> Result<Judgement, LoadError> {
    load_json(&dir.join("verdict.json"), judgement::SCHEMA_VERSION)
}

/// Reads a file of one JSON object whose `schema_version` is `known` or lower.
///
/// # Errors
/// When it cannot be read, is newer, or is invalid.
pub fn load_json<T: DeserializeOwned>(path: &Path, known: u32) -> Result<T, LoadError> {
    /// Read first: the rest of a newer format may not even parse.
    #[derive(Deserialize)]
    struct Versioned {
        schema_version: u64,
    }
    let text = read(path)?;
    if !text.trim_start().starts_with('{') {
        return Err(content(path, "expected a JSON object"));
    }
    let Versioned { schema_version: found } =
        serde_json::from_str(&text).map_err(|error| invalid(path, &error))?;
    match found {
        0 => Err(content(path, format!("expected a schema_version from 1 to {known}, found 0"))),
        found if found > u64::from(known) => Err(LoadError::Newer { path: path.to_path_buf(), found, known }),
        _ => serde_json::from_str(&text).map_err(|error| invalid(path, &error)),
    }
}

fn invalid(path: &Path, error: &serde_json::Error) -> LoadError {
    LoadError::Line { path: path.to_path_buf(), line: error.line(), why: of_json(error) }
}

/// The faults of a run; empty if there is no record of them and none is known to have been lost.
pub(crate) fn load_faults(path: &Path, ending: Option<&Ending>) -> Result<Vec<Fault>, LoadError> {
    let record = match read(path) {
        Err(error) if error.is_missing() => Record::default(),
        text => faults::parse(&text?).map_err(|faults::LineError { line, why }| LoadError::Line {
            path: path.to_path_buf(),
            line,
            why,
        })?,
    };
    if let Some(ending) = ending {
        let line = record.lines as usize + usize::from(record.torn);
        whole(path, "line", record.lines, ending.fault_lines, line)?;
        not_torn(path, record.torn, ending, line)?;
    }
    Ok(record.faults)
}

/// A run that has ended leaves no torn line, unless the recorder failed.
fn not_torn(path: &Path, torn: bool, ending: &Ending, line: usize) -> Result<(), LoadError> {
    if !torn || ending.harness_failure.is_some() {
        return Ok(());
    }
    let why = "the line breaks off, and the run came to its end: it was added or cut later".to_owned();
    Err(LoadError::Line { path: path.to_path_buf(), line, why })
}

/// Whether a file is as long as run.json says; `last_line` is the last line read.
fn whole(path: &Path, what: &str, found: u64, counted: u64, last_line: usize) -> Result<(), LoadError> {
    let many = |n: u64| format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" });
    let why = match found.cmp(&counted) {
        Ordering::Equal => return Ok(()),
        Ordering::Less => {
            format!("it ends after {}, and run.json counts {}: lines are missing", many(found), many(counted))
        }
        Ordering::Greater => {
            format!("it has {}, and run.json counts {}: lines of another run", many(found), many(counted))
        }
    };
    Err(LoadError::Line { path: path.to_path_buf(), line: last_line.max(1), why })
}

/// Writes `verdict.json` atomically.
///
/// # Errors
/// When the file cannot be written.
pub fn write_judgement(dir: &Path, judgement: &Judgement) -> io::Result<()> {
    files::replace(dir, "verdict.json", &json(judgement)?, Durable::Yes)
}

/// Writes a file of a run directory as one JSON object, atomically.
///
/// # Errors
/// When it cannot be written.
pub fn write_json(dir: &Path, name: &str, what: &impl Serialize) -> io::Result<()> {
    files::replace(dir, name, &json(what)?, Durable::No)
}

fn json(what: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut json = serde_json::to_vec_pretty(what)?;
    json.push(b'\n');
    Ok(json)
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

/// The recorded history. The events of an imported history keep their numbers.
fn load_history(path: &Path, info: &RunInfo) -> Result<History, LoadError> {
    let numbering = if info.is_history() { Numbering::Ascending } else { Numbering::Consecutive };
    let record = match files::open(path) {
        Ok(file) => jsonl::read_record(BufReader::new(file), numbering).map_err(|error| LoadError::Line {
            path: path.to_path_buf(),
            line: error.line,
            why: format!("expected {}, found {}", error.expected, error.found),
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => jsonl::Record::default(),
        Err(source) => return Err(LoadError::Io { path: path.to_path_buf(), source }),
    };
    if let Some(ending) = &info.ending {
        whole(path, "event", record.events, ending.events, record.last_line)?;
        not_torn(path, record.torn, ending, record.last_line)?;
    }
    Ok(record.history)
}

/// The files of evidence, by name.
fn sizes(dir: &Path) -> Vec<(String, u64)> {
    let size = |name: &str| Some((name.to_string(), fs::metadata(dir.join(name)).ok()?.len()));
    let mut names: Vec<String> = [
        "run.json",
        "history.jsonl",
        "faults.jsonl",
        "links.jsonl",
        "leaders.jsonl",
        "verdict.json",
        "controller.log",
        SHRUNK,
    ]
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
