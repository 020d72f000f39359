//! A snapshot of a machine: its state at a moment, from which it is continued many times.
//!
//! The guest says when the moment has come ([`crate::guest`]): it writes to a port that pauses QEMU, between two
//! instructions. The snapshot holds all that the guest has, so machines that are continued from it do the same.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::process::{ChildStdin, ChildStdout};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde_json::{Value, json};

use crate::BoxError;
use crate::guest::{Job, PAUSE_INSTRUCTIONS};
use crate::kept;
use crate::machine::{Boot, Machine, NANOSECONDS_PER_INSTRUCTION, failed};
use crate::tape::Tape;

/// A paused machine with its tape: in QEMU's own format, in memory.
#[derive(Debug)]
pub struct Snapshot(OwnedFd);

/// How often the host looks whether the user has given up.
const POLL: Duration = Duration::from_millis(50);
/// QEMU pauses when the guest says that a snapshot may be made.
const PAUSE: [&str; 2] = ["-action", "panic=pause"];
/// Nothing happens then.
const GO_ON: [&str; 2] = ["-action", "panic=none"];

impl Machine {
    /// Starts the machine; it dies with this thread. `None`: the user gave up.
    ///
    /// Every run is continued from a snapshot, whether or not somebody keeps it: QEMU's table of addresses is empty
    /// then, and a guest can see what that holds ([`crate`]).
    ///
    /// # Errors
    /// When the machine fails.
    pub fn boot(&self, gives_up: &dyn Fn() -> bool) -> Result<Option<Boot>, BoxError> {
        let Some(ready) = self.ready(gives_up)? else { return Ok(None) };
        let start = match self.branch {
            None => Some(ready),
            Some(_) => self.at_branch(&ready, gives_up)?,
        };
        start.map(|start| self.resume(&start)).transpose()
    }

    /// This machine without a job: machines that are the same up to here can be continued from the same
    /// [`Machine::ready`].
    pub fn without_job(&self) -> Machine {
        Machine { job: Job::default(), branch: None, ..self.clone() }
    }

    /// The machine when it is ready for a job, from an earlier run if it was kept. `None`: the user gave up.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn ready(&self, gives_up: &dyn Fn() -> bool) -> Result<Option<Snapshot>, BoxError> {
        let file = kept::file_of(self)?;
        if let Some(state) = kept::open(&file) {
            return Ok(Some(Snapshot(state)));
        }
        let made = self.booted(gives_up)?;
        if let Some(Snapshot(state)) = &made {
            // It only saves time.
            let _ = kept::keep(&file, state);
        }
        Ok(made)
    }

    /// Boots the machine until it is ready for a job. `None`: the user gave up.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn booted(&self, gives_up: &dyn Fn() -> bool) -> Result<Option<Snapshot>, BoxError> {
        let (tape, memory) = Tape::create().map_err(failed("cannot make the tape"))?;
        let boot = self.without_job().start(tape, &memory, &PAUSE)?;
        snapshot_of(boot, gives_up)
    }

    /// Continues the machine up to the moment of its branch. `None`: the user gave up.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn at_branch(
        &self,
        ready: &Snapshot,
        gives_up: &dyn Fn() -> bool,
    ) -> Result<Option<Snapshot>, BoxError> {
        snapshot_of(self.continued(ready, &PAUSE)?, gives_up)
    }

    /// Continues a snapshot. The job is given to a machine that waits for one; the branch takes another seed and end.
    ///
    /// # Errors
    /// When QEMU cannot be started, or does not take the snapshot.
    pub fn resume(&self, snapshot: &Snapshot) -> Result<Boot, BoxError> {
        self.continued(snapshot, &GO_ON)
    }

    fn continued(&self, snapshot: &Snapshot, at_pause: &[&str]) -> Result<Boot, BoxError> {
        let (tape, memory) = Tape::create().map_err(failed("cannot make the tape"))?;
        let incoming = format!("exec:cat {}", path_of(&snapshot.0));
        let mut boot = self.start(tape, &memory, &[at_pause, &["-incoming", &incoming]].concat())?;
        let mut monitor = Monitor::open(&mut boot)?;
        while monitor.execute("query-status", json!({}))?["status"] == "inmigrate" {
            thread::sleep(Duration::from_millis(5));
        }
        // The tape is now that of the snapshot.
        self.write_orders(&boot.tape)?;
        monitor.execute("cont", json!({}))?;
        boot.monitor = Some(monitor);
        Ok(boot)
    }
}

/// The state of a machine when it pauses. The machine ends.
fn snapshot_of(mut boot: Boot, gives_up: &dyn Fn() -> bool) -> Result<Option<Snapshot>, BoxError> {
    let mut monitor = match boot.monitor.take() {
        Some(monitor) => monitor,
        None => Monitor::open(&mut boot)?,
    };
    match monitor.wait_for_pause(gives_up)? {
        Waited::Paused => {}
        Waited::GaveUp => return Ok(None),
        Waited::Ended => {
            let _ = boot.child.wait();
            return Err(BoxError::Machine(format!(
                "the guest ended before its moment: {}",
                boot.last_words()
            )));
        }
    }
    let state = memfd_create(c"tribunal-snapshot", MFdFlags::empty())
        .map_err(|why| failed("cannot make the snapshot")(why.into()))?;
    monitor.execute("migrate-set-parameters", json!({"max-bandwidth": 1_u64 << 40}))?;
    let target = format!("exec:cat > {}", path_of(&state));
    monitor.execute("migrate", json!({"uri": target}))?;
    loop {
        match monitor.execute("query-migrate", json!({}))?["status"].as_str() {
            Some("completed") => break,
            Some("failed") | None => return Err(BoxError::Machine("QEMU cannot save its state".into())),
            Some(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
    // SAFETY: the word is mapped, and the guest is paused.
    let paused_at = unsafe { boot.tape.time_of_pause().read_volatile() };
    set_time(&state, paused_at + PAUSE_INSTRUCTIONS * NANOSECONDS_PER_INSTRUCTION)?;
    Ok(Some(Snapshot(state)))
}

/// Sets the guest's time in a snapshot.
///
/// When the guest pauses itself, its processor stops a little before QEMU's main loop says that the machine is not
/// running any more. If the main loop looks at the clock in between, it sees a halted processor, and moves the clock
/// to the next timer. Whether it does depends on the host.
fn set_time(state: &OwnedFd, nanoseconds: u64) -> Result<(), BoxError> {
    let (file, place, counted) = instructions(state).map_err(failed("cannot read the snapshot"))?;
    let offset = nanoseconds.wrapping_sub(counted * NANOSECONDS_PER_INSTRUCTION);
    file.write_all_at(&offset.to_be_bytes(), place).map_err(failed("cannot write the snapshot"))
}

/// The instruction counter in a snapshot: the place of the clock's offset, and the instructions counted. It is near the
/// end, so a snapshot that breaks off has none.
pub(crate) fn instructions(state: &OwnedFd) -> io::Result<(File, u64, u64)> {
    /// A part of QEMU's state: its kind, its name and a version before two numbers, of nanoseconds and instructions.
    const NAME: &[u8] = b"\x05\x0ctimer/icount";
    let file = File::from(state.try_clone()?);
    let size = file.metadata()?.len();
    let start = size.saturating_sub(DEVICES_BYTES);
    let mut end = vec![0; (size - start) as usize];
    file.read_exact_at(&mut end, start)?;
    let found = end.windows(NAME.len()).rposition(|part| part == NAME);
    let at = found.map(|at| at + NAME.len() + 4).filter(|at| at + 16 <= end.len());
    let at = at.ok_or_else(|| io::Error::other("it has no instruction counter"))?;
    let counted = u64::from_be_bytes(end[at + 8..at + 16].try_into().expect("eight bytes"));
    Ok((file, start + at as u64, counted))
}

/// The end of a snapshot has the state of all devices.
const DEVICES_BYTES: u64 = 4 << 20;

/// The name under which QEMU's children find a file of this process.
fn path_of(file: &OwnedFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

/// How waiting for a pause ends.
enum Waited {
    Paused,
    Ended,
    GaveUp,
}

/// QEMU's monitor: a line of JSON for every command, and one for every answer or event.
#[derive(Debug)]
pub(crate) struct Monitor {
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Monitor {
    fn open(boot: &mut Boot) -> Result<Monitor, BoxError> {
        let (Some(commands), Some(answers)) = (boot.child.stdin.take(), boot.child.stdout.take()) else {
            return Err(BoxError::Machine("QEMU has no monitor".into()));
        };
        let mut monitor = Monitor { commands, answers: BufReader::new(answers) };
        match monitor.execute("qmp_capabilities", json!({})) {
            Ok(_) => Ok(monitor),
            Err(why) => {
                let _ = boot.child.kill();
                Err(BoxError::Machine(format!("{why}: {}", boot.last_words())))
            }
        }
    }

    /// The next line; `None` at the end.
    fn line(&mut self) -> Result<Option<Value>, BoxError> {
        let mut line = String::new();
        let size = self.answers.read_line(&mut line).map_err(failed("QEMU's monitor"))?;
        if size == 0 {
            return Ok(None);
        }
        let value = serde_json::from_str(&line);
        value.map(Some).map_err(|why| BoxError::Machine(format!("QEMU's monitor said {line:?}: {why}")))
    }

    fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, BoxError> {
        let line = json!({"execute": command, "arguments": arguments}).to_string() + "\n";
        self.commands.write_all(line.as_bytes()).map_err(failed("QEMU's monitor"))?;
        while let Some(mut value) = self.line()? {
            if let Some(error) = value.get("error") {
                return Err(BoxError::Machine(format!("QEMU refused {command}: {}", error["desc"])));
            }
            if let Some(answer) = value.get_mut("return") {
                return Ok(answer.take());
            }
        }
        Err(BoxError::Machine(format!("QEMU ended before it answered {command}")))
    }

    fn wait_for_pause(&mut self, gives_up: &dyn Fn() -> bool) -> Result<Waited, BoxError> {
        let poll_ms = PollTimeout::from(POLL.as_millis() as u16);
        loop {
            if gives_up() {
                return Ok(Waited::GaveUp);
            }
            let is_ready = !self.answers.buffer().is_empty() || {
                let mut waits = [PollFd::new(self.answers.get_ref().as_fd(), PollFlags::POLLIN)];
                poll(&mut waits, poll_ms).is_ok_and(|ready| ready > 0)
            };
            if is_ready {
                match self.line()? {
                    None => return Ok(Waited::Ended),
                    Some(value) if value["event"] == "STOP" => return Ok(Waited::Paused),
                    Some(_) => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_snapshot_is_that_of_its_pause() {
        let state = memfd_create(c"test", MFdFlags::empty()).unwrap();
        let file = File::from(state.try_clone().unwrap());
        let part =
            [b"\x05\x0ctimer/icount\0\0\0\x01", &u64::MAX.to_be_bytes()[..], &500_u64.to_be_bytes()].concat();
        file.write_all_at(&[b"memory", &part[..], b"devices"].concat(), 0).unwrap();
        set_time(&state, 1_234).unwrap();
        let mut offset = [0; 8];
        file.read_exact_at(&mut offset, 6 + 18).unwrap();
        assert_eq!(u64::from_be_bytes(offset), 234, "500 instructions take 1000 ns");
        let other = memfd_create(c"test", MFdFlags::empty()).unwrap();
        assert!(set_time(&other, 1).is_err(), "it is no snapshot");
    }
}
