//! The complete rows, and their file.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::side::Measured;

/// Description of a history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kind {
    /// The object, or the file of a recorded history.
    pub(crate) history: String,
    pub(crate) ops: usize,
    /// 0 for a recorded history.
    pub(crate) clients: usize,
    pub(crate) unknown: usize,
    /// Position of a wrong response, as a fraction of the history.
    pub(crate) wrong: Option<f64>,
    pub(crate) seed: u64,
}

impl Kind {
    pub(crate) fn is_recorded(&self) -> bool {
        self.clients == 0
    }

    /// The seed of this history, different for every row: the FNV-1a hash of the description.
    pub(crate) fn seed_of_history(&self) -> u64 {
        let text = format!("{self:?}");
        text.bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    }

    /// Whether the two differ only in the number of operations.
    fn is_like(&self, other: &Kind) -> bool {
        Kind { ops: 0, ..self.clone() } == Kind { ops: 0, ..other.clone() }
    }
}

/// Results of both checkers for one history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) ours: Measured,
    pub(crate) peer: Option<Measured>,
}

impl Row {
    /// Whether the verdicts differ, or ours contradicts the construction of the history.
    pub(crate) fn is_wrong(&self) -> bool {
        let legal = !self.kind.is_recorded() && self.kind.wrong.is_none();
        let both = self.ours.is_verdict() && self.peer.as_ref().is_some_and(Measured::is_verdict);
        both && self.peer.as_ref().is_some_and(|peer| peer.answer != self.ours.answer)
            || legal && self.ours.answer == "illegal"
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kind { history, ops, clients, unknown, wrong, .. } = self;
        let wrong = wrong.map_or("legal".into(), |wrong| format!("wrong at {wrong}"));
        write!(out, "{history} {ops} {clients} {unknown} {wrong}")
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:", self.kind)?;
        for side in [Some(&self.ours), self.peer.as_ref()].into_iter().flatten() {
            write!(out, " {} {:.1} ms {:.0} MiB {};", side.answer, side.cpu_ms, side.peak_mib, side.by)?;
        }
        Ok(())
    }
}

/// All complete rows.
pub(crate) struct Rows {
    pub(crate) all: Vec<Row>,
    file: File,
}

impl Rows {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let lines = BufReader::new(&file).lines();
        let all = lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect::<io::Result<_>>()?;
        Ok(Rows { all, file })
    }

    pub(crate) fn add(&mut self, row: Row) -> io::Result<()> {
        writeln!(self.file, "{}", serde_json::to_string(&row)?)?;
        self.all.push(row);
        Ok(())
    }

    pub(crate) fn has(&self, kind: &Kind) -> bool {
        self.all.iter().any(|row| row.kind == *kind)
    }

    /// Whether this checker had no verdict on a shorter history of the kind.
    pub(crate) fn stopped_before(&self, kind: &Kind, side: impl Fn(&Row) -> Option<&Measured>) -> bool {
        let like = self.all.iter().filter(|row| row.kind.is_like(kind) && row.kind.ops < kind.ops);
        like.filter_map(side).any(|measured| !measured.is_verdict())
    }
}
