//! The binary under test, and what it leaves on the machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A store for one test, removed at its end.
pub(crate) struct Store {
    dir: tempfile::TempDir,
}

impl Store {
    pub(crate) fn new() -> Self {
        Store { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    /// A store on a tmpfs where fsync is fast, if this machine has one.
    pub(crate) fn in_memory() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Store { dir: dir.expect("a temporary directory") }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// `tribunal run ARGS` with this store.
    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = tribunal(args.split_whitespace());
        command.arg("--store").arg(self.path());
        command
    }

    /// The same; the second judge looks at whatever it proved.
    pub(crate) fn run(&self, args: &str) -> Ended {
        let ended = Ended::of(self.command(args).output().expect("the program starts"));
        if matches!(ended.code, Some(0 | 1)) {
            self.verify_all();
        }
        ended
    }

    /// The second judge must not refute any verdict in this store.
    fn verify_all(&self) {
        let workloads = std::fs::read_dir(self.path()).into_iter().flatten().flatten();
        let runs =
            workloads.filter_map(|workload| std::fs::read_dir(workload.path()).ok()).flatten().flatten();
        for run in runs.map(|run| run.path()) {
            if run.join("verdict.json").exists() && !run.is_symlink() {
                let judged = Ended::of(tribunal(["verify"]).arg(&run).output().expect("the program starts"));
                assert!(matches!(judged.code, Some(0 | 2)), "{}: {judged:?}", run.display());
            }
        }
    }

    /// The only run directory of a workload, complete or partial.
    pub(crate) fn run_directory(&self, workload: &str) -> PathBuf {
        let entries = std::fs::read_dir(self.path().join(workload)).expect("the workload has runs");
        let mut runs = entries.map(|entry| entry.expect("an entry").path()).filter(|path| !path.is_symlink());
        let run = runs.next().expect("there is a run");
        assert!(runs.next().is_none(), "there is more than one run");
        run
    }

    /// Command lines of the processes that still use this store.
    pub(crate) fn processes(&self) -> Vec<String> {
        let own = std::process::id().to_string();
        let entries = std::fs::read_dir("/proc").expect("/proc is mounted");
        entries
            .filter_map(|entry| entry.ok())
            .filter(|entry| entry.file_name() != OsStr::new(&own))
            .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(&*self.path().to_string_lossy()))
            .collect()
    }

    /// Waits until no process uses this store.
    pub(crate) fn await_silence(&self) {
        wait_until("no process of the run is left", || self.processes().is_empty());
    }
}

pub(crate) fn tribunal(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tribunal"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Polls until the condition holds; fails after a time that is long enough for any healthy machine.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "still not so after a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(output: Output) -> Self {
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
        }
    }

    /// Asserts the exit code, and shows the output if it differs.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n-- stdout\n{}\n-- stderr\n{}", self.stdout, self.stderr);
        self
    }
}
