//! Stops a process for a moment, so that its memory can be changed.
//!
//! SIGSTOP reaches all threads, but each thread stops only when it next leaves the kernel. The process counts
//! as stopped if at least one thread has stopped (by then the kernel has told all others to stop), and each
//! other thread has stopped too or sleeps in the kernel (state `D`), from which it will return only to stop.
//!
//! A process that was already stopped (by the fault `pause`) is left stopped.

use std::{
    fs, io,
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Time limit for stopping. A disk that hangs can keep a process from stopping.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_micros(20);

/// A process that is stopped until this is dropped.
pub(crate) struct StoppedProcess {
    pid: i32,
    resumes: bool,
}

impl StoppedProcess {
    /// Stops the process and returns when it is stopped.
    ///
    /// # Errors
    /// When it is gone, belongs to another user, or does not stop in two seconds.
    pub(crate) fn stop(pid: i32) -> io::Result<StoppedProcess> {
        if are_stopped(&states(pid)?) && !states(pid)?.contains(&'t') {
            return Ok(StoppedProcess { pid, resumes: false });
        }
        kill(Pid::from_raw(pid), Signal::SIGSTOP)?;
        let stopped = StoppedProcess { pid, resumes: true };
        let deadline = Instant::now() + STOP_TIMEOUT;
        while !are_stopped(&states(pid)?) {
            if Instant::now() > deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not stop"));
            }
            sleep(PAUSE);
        }
        Ok(stopped)
    }

    /// The instruction at which each thread will continue; `None` if the kernel does not tell yet.
    pub(crate) fn instruction_pointers(&self) -> io::Result<Option<Vec<u64>>> {
        let mut pointers = Vec::new();
        for task in tasks(self.pid)? {
            match fs::read_to_string(format!("{task}/syscall")) {
                Ok(line) => match instruction_pointer(&line) {
                    Some(pointer) => pointers.push(pointer),
                    None => return Ok(None),
                },
                // A thread that has ended will not continue.
                Err(error) if gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(pointers))
    }
}

impl Drop for StoppedProcess {
    fn drop(&mut self) {
        if self.resumes {
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGCONT);
        }
    }
}

fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ESRCH)
}

fn tasks(pid: i32) -> io::Result<Vec<String>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
    Ok(tasks.flatten().map(|task| task.path().to_string_lossy().into_owned()).collect())
}

fn states(pid: i32) -> io::Result<Vec<char>> {
    let mut states = Vec::new();
    for task in tasks(pid)? {
        match fs::read_to_string(format!("{task}/stat")) {
            Ok(stat) => states.extend(stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())),
            Err(error) if gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(states)
}

fn are_stopped(states: &[char]) -> bool {
    states.contains(&'T') && states.iter().all(|state| "TtDZX".contains(*state))
}

/// Parses the last word of `/proc/PID/task/TID/syscall`: `running`, or `NUMBER ARGUMENTS... STACK POINTER`.
fn instruction_pointer(line: &str) -> Option<u64> {
    let last = line.split_whitespace().next_back()?;
    u64::from_str_radix(last.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instruction_pointer_is_the_last_word() {
        assert_eq!(instruction_pointer("202 0x1 0x0 0x7ffd 0x7f0012\n"), Some(0x7f0012));
        assert_eq!(instruction_pointer("-1 0x7ffd 0x55aa"), Some(0x55aa));
        assert_eq!(instruction_pointer("running\n"), None);
    }

    #[test]
    fn stopped_means_that_one_thread_has_stopped_and_none_runs() {
        assert!(are_stopped(&['T', 'D', 'T']));
        assert!(
            !are_stopped(&['T', 'S'])
                && !are_stopped(&['D'])
                && !are_stopped(&[])
                && !are_stopped(&['R', 'T'])
        );
    }
}
