//! Programs of the user's beside the nodes: client programs, probes, set-up commands. None outlives Tribunal,
//! and none can hold it up.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpid, getppid};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command as Process};
use tokio::time::timeout;

use super::answer::shortened;
use crate::Command;

/// How much of a program's output is kept.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// A running program, which leads a process group.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    /// Kills the program with its children.
    fn drop(&mut self) {
        if let Some(pid) = self.0.id() {
            let _ = killpg(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL); // it may have ended
        }
    }
}

/// Starts a program that ends with Tribunal. Its outputs are piped, and its input if `has_input`.
///
/// # Errors
/// When it cannot be started.
pub(super) fn start(command: &Command, has_input: bool) -> Result<Running, String> {
    let mut process = Process::new(&command.program);
    // In its own group, so that Ctrl-C at the terminal ends the run in order instead of its programs.
    process.args(&command.args).process_group(0);
    process.envs(command.env.iter().map(|(name, value)| (name, value)));
    if let Some(directory) = &command.directory {
        process.current_dir(directory);
    }
    let (controller, user) = (getpid(), command.user);
    // SAFETY: between fork and exec only async-signal-safe calls are made: setgroups, setgid, setuid, prctl
    // and getppid.
    unsafe {
        process.pre_exec(move || {
            if let Some(user) = user {
                user.become_it()?;
            }
            // It must not outlive Tribunal, even one that ignores the end of its input.
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            if getppid() != controller { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
        });
    }
    process.stdin(if has_input { Stdio::piped() } else { Stdio::null() });
    process.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let program = command.program.display();
    process.spawn().map(Running).map_err(|error| format!("cannot start `{program}`: {error}"))
}

/// Runs a program until it ends. Returns what it wrote to standard output.
///
/// # Errors
/// When it cannot be started, does not end within `patience`, or ends with another status than 0; with the
/// beginning of its output.
pub(super) async fn run(command: &Command, patience: Duration) -> Result<String, String> {
    let program = command.program.display();
    let mut running = start(command, false)?;
    let (stdout, stderr) = (running.0.stdout.take(), running.0.stderr.take());
    let ended = async {
        let (out, err, status) = tokio::join!(text(stdout), text(stderr), running.0.wait());
        (out, err, status)
    };
    match timeout(patience, ended).await {
        Ok((out, _, Ok(status))) if status.success() => Ok(out),
        Ok((out, err, Ok(status))) => {
            let said = if err.trim().is_empty() { out } else { err };
            Err(format!("`{program}` ended with {}: {}", in_words(status), shortened(&said)))
        }
        Ok((_, _, Err(error))) => Err(format!("`{program}`: {error}")),
        Err(_) => Err(format!("`{program}` did not end within {patience:?}")),
    }
}

pub(super) fn in_words(status: ExitStatus) -> String {
    status.to_string().replacen("exit status: ", "status ", 1)
}

/// The beginning of a stream. The rest is read, too: a program must not wait for a reader.
async fn text(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut kept = Vec::new();
    let _ = (&mut stream).take(OUTPUT_BYTES_MAX).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ended(script: &str) -> Result<String, String> {
        let command =
            Command { program: "sh".into(), args: vec!["-c".into(), script.into()], ..Command::default() };
        run(&command, Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn how_a_program_ends() {
        assert_eq!(ended("echo yes").await, Ok("yes\n".into()));
        assert_eq!(ended("echo no >&2; exit 3").await, Err("`sh` ended with status 3: `no`".into()));
        let missing = Command { program: "./no-such".into(), ..Command::default() };
        let why = run(&missing, Duration::from_secs(5)).await.unwrap_err();
        assert!(why.starts_with("cannot start `./no-such`: No such file"), "{why}");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_killed_with_its_children() {
        let name = format!("tribunal-hang-{}", std::process::id());
        let script = format!("sh -c 'while :; do sleep 0.01; done' {name} & wait");
        let command =
            Command { program: "sh".into(), args: vec!["-c".into(), script.into()], ..Command::default() };
        let why = run(&command, Duration::from_millis(300)).await.unwrap_err();
        assert_eq!(why, "`sh` did not end within 300ms");
        let lives = || {
            let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
            all.filter_map(|it| std::fs::read_to_string(it.path().join("cmdline")).ok())
                .any(|line| line.contains(&format!("\0{name}\0")))
        };
        let start = std::time::Instant::now();
        while lives() {
            assert!(start.elapsed() < Duration::from_secs(60), "it is left behind");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
