//! QEMU and a kernel: where they are.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

/// Environment variable with the directory of the parts.
const VARIABLE: &str = "TRIBUNAL_BOX";

/// What a box is made of. Written by `tribunal box setup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// QEMU's executable.
    pub qemu: PathBuf,
    /// Directories of its libraries; empty if it is installed.
    pub libraries: Vec<PathBuf>,
    /// Directories of its firmware; empty if it is installed.
    pub firmware: Vec<PathBuf>,
    /// The kernel, as a boot loader would load it.
    pub kernel: PathBuf,
    /// Directory of the kernel's modules.
    pub modules: PathBuf,
}

/// Why there are no parts.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// Other processors would need another kernel and another QEMU.
    #[error("a box needs an x86-64 machine with Linux")]
    Architecture,
    /// The setup has not run, or its directory is gone.
    #[error("the box is not set up: tribunal box setup")]
    Missing,
    /// A part cannot be used.
    #[error("{path}: {why} (tribunal box setup brings it again)")]
    Unusable {
        /// The part.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A command of the setup failed.
    #[error("{command}: {why}")]
    Setup {
        /// The command.
        command: String,
        /// Its error output.
        why: String,
    },
    /// Another problem of the setup.
    #[error("{0}")]
    Other(String),
}

impl PartsError {
    fn unusable(path: &Path, why: impl ToString) -> Self {
        PartsError::Unusable { path: path.display().to_string(), why: why.to_string() }
    }
}

/// The directory of the parts: `$TRIBUNAL_BOX`, or `tribunal/box` in the user's cache.
///
/// # Errors
/// When the user has no home.
pub fn directory() -> Result<PathBuf, PartsError> {
    let variable = |name: &str| std::env::var_os(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    let cache = || variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
    let found = variable(VARIABLE).or_else(|| cache().map(|cache| cache.join("tribunal/box")));
    found.ok_or_else(|| PartsError::Other(format!("set HOME or {VARIABLE}: a box is kept in a directory")))
}

impl Parts {
    /// The parts that were set up.
    ///
    /// # Errors
    /// What is missing.
    pub fn find() -> Result<Parts, PartsError> {
        if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
            return Err(PartsError::Architecture);
        }
        let file = directory()?.join("parts.json");
        let text = match std::fs::read_to_string(&file) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Err(PartsError::Missing),
            text => text.map_err(|why| PartsError::unusable(&file, why))?,
        };
        let parts: Parts = serde_json::from_str(&text).map_err(|why| PartsError::unusable(&file, why))?;
        for part in [&parts.qemu, &parts.kernel, &parts.modules] {
            part.metadata().map_err(|why| PartsError::unusable(part, why))?;
        }
        Ok(parts)
    }

    /// Stores them for [`Parts::find`].
    pub(crate) fn save(&self) -> Result<(), PartsError> {
        let file = directory()?.join("parts.json");
        let text = serde_json::to_vec_pretty(self).expect("it is plain data");
        std::fs::write(&file, text).map_err(|why| PartsError::unusable(&file, why))
    }

    /// A command that starts QEMU with its libraries and firmware.
    pub(crate) fn qemu(&self) -> Command {
        let mut command = Command::new(&self.qemu);
        command.env_clear();
        if let Ok(libraries) = std::env::join_paths(&self.libraries)
            && !libraries.is_empty()
        {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        for directory in &self.firmware {
            command.arg("-L").arg(directory);
        }
        command
    }

    /// QEMU's version, by asking it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn version(&self) -> Result<String, PartsError> {
        let answer = self.qemu().arg("--version").output();
        let answer = answer.map_err(|why| PartsError::unusable(&self.qemu, why))?;
        let text = String::from_utf8_lossy(&answer.stdout);
        match text.lines().next() {
            Some(line) if answer.status.success() => Ok(line.to_owned()),
            _ => Err(PartsError::unusable(&self.qemu, String::from_utf8_lossy(&answer.stderr).trim())),
        }
    }
}
