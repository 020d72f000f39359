//! The log of a node, which contains the output of all its processes, one after the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A node's log, and the position at which the output of its current process begins.
///
/// CAVEAT. The last lines of a killed process may be written shortly after the start of the next one.
#[derive(Clone, Debug, Default)]
pub struct NodeOutput {
    path: PathBuf,
    begin: Arc<AtomicU64>,
}

impl NodeOutput {
    /// The log at this path. Each line is a time, a space, and a line of the node's output.
    pub fn new(path: PathBuf) -> Self {
        NodeOutput { path, begin: Arc::default() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Declares that a process of the node is about to start: its output begins at the end of the file.
    pub fn begin(&self) {
        let length = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        self.begin.store(length, Ordering::Relaxed);
    }

    /// The position, in bytes, at which the output of the current process begins.
    pub(crate) fn begins_at(&self) -> u64 {
        self.begin.load(Ordering::Relaxed)
    }
}
