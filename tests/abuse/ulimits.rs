//! A machine with low limits: descriptors, memory, threads, file sizes. Each is a harness failure whose
//! message names the missing resource, and no verdict is derived from it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc;

use crate::program::{Ended, Store, wait_until};

const RUN: &str = "run counter --nodes 3 --rate 200 --time-limit 2s --nemesis none --seed 3";

/// The same command with a lower limit.
fn limited(mut command: Command, what: libc::__rlimit_resource_t, limit: u64) -> Command {
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: setrlimit is async-signal-safe.
    unsafe {
        command.pre_exec(move || match libc::setrlimit(what, &limit) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    command
}

fn ended(mut command: Command) -> Ended {
    Ended::of(command.output().expect("it starts"))
}

#[test]
fn more_clients_than_descriptors_are_refused_before_the_start() {
    let store = Store::in_memory();
    let command = store.command(&format!("{RUN} --concurrency 500"));
    let ended = ended(limited(command, libc::RLIMIT_NOFILE, 256)).expect(3);
    assert!(ended.stderr.contains("500 clients need about"), "{}", ended.stderr);
    assert!(ended.stderr.contains("the hard limit is 256: raise it (ulimit -Hn)"), "{}", ended.stderr);
    assert!(!store.path().join("counter").exists(), "nothing was begun");
}

/// Tribunal's own limit is raised; a node gets the user's original limit.
#[test]
fn the_descriptor_limit_is_raised_for_the_controller_only() {
    let store = Store::in_memory();
    let mut command = store.command(&format!("{RUN} --concurrency 100"));
    let limit = libc::rlimit { rlim_cur: 80, rlim_max: 4_096 };
    // SAFETY: setrlimit is async-signal-safe.
    unsafe {
        command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_NOFILE, &limit) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let run = command.spawn().expect("it starts");
    let limits = || {
        let nodes = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(" node raft --id n1 ") && line.contains(&*store.path().to_string_lossy())
        });
        let mut limits = nodes.filter_map(|entry| std::fs::read_to_string(entry.path().join("limits")).ok());
        limits.next()
    };
    let files = |limits: &str| {
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
        line.split_whitespace().skip(3).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    wait_until("n1 has its limits", || limits().is_some_and(|limits| files(&limits) == ["80", "4096"]));
    Ended::of(run.wait_with_output().expect("it ends")).expect(0);
}

/// An operation that fails because our own client lacks a descriptor is not an answer of the system.
#[test]
fn running_out_of_descriptors_is_a_harness_failure() {
    let store = Store::in_memory();
    let schedule = store.path().join("kill.toml");
    std::fs::write(&schedule, "[[step]]\nat = '2s'\nhold = '2s'\nacts = ['kill n1']").unwrap();
    let args = format!("run counter --nodes 3 --rate 200 --time-limit 60s --schedule {}", schedule.display());
    let run = store.command(&args).spawn().expect("it starts");
    let history = || {
        let runs = std::fs::read_dir(store.path().join("counter")).into_iter().flatten().flatten();
        runs.filter_map(|run| std::fs::metadata(run.path().join("history.jsonl")).ok())
            .any(|file| file.len() > 0)
    };
    wait_until("clients ask", history);
    let limit = libc::rlimit { rlim_cur: 8, rlim_max: 8 };
    // SAFETY: both pointers are valid or null.
    let set = unsafe { libc::prlimit(run.id() as i32, libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut()) };
    assert_eq!(set, 0, "the limit of our own child can be lowered");
    let ended = Ended::of(run.wait_with_output().expect("it ends")).expect(3);
    // The check may also fail to open the evidence; its message is the same.
    let said = ended.stdout + &ended.stderr;
    assert!(said.contains("Too many open files"), "{said}");
}

#[test]
fn a_file_size_limit_is_a_harness_failure_with_evidence() {
    let store = Store::in_memory();
    let ended = ended(limited(store.command(RUN), libc::RLIMIT_FSIZE, 10 << 10)).expect(3);
    assert!(ended.stdout.contains("cannot write history.jsonl: File too large"), "{}", ended.stdout);
    assert!(store.run_directory("counter").join("verdict.json").exists());
}

#[test]
fn too_little_memory_is_a_harness_failure() {
    // With less memory the program cannot even be loaded.
    for mib in [48, 56, 64] {
        let store = Store::in_memory();
        let ended = ended(limited(store.command(RUN), libc::RLIMIT_AS, mib << 20));
        let said = ended.stderr.contains("harness failure: ") || ended.stdout.contains("The harness failed");
        assert!(ended.code == Some(3) && said, "{mib} MiB: {ended:?}");
        store.await_silence();
    }
}

#[test]
fn too_few_threads_are_a_harness_failure() {
    // Root is not limited, so this runs as a user without other processes.
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var("TRIBUNAL_NO_SKIP").as_deref() != Ok("all"), "the test needs root");
        return eprintln!("skipped: only root can be a user that has no process");
    }
    for threads in [1, 4, 8, 12, 14, 16, 18] {
        let store = Store::in_memory();
        std::os::unix::fs::chown(store.path(), Some(48_201), None).unwrap();
        let mut command = limited(store.command(RUN), libc::RLIMIT_NPROC, threads);
        command.uid(48_201);
        let ended = match command.output() {
            Ok(output) => Ended::of(output),
            Err(error) => {
                assert!(std::env::var("TRIBUNAL_NO_SKIP").as_deref() != Ok("all"), "{error}");
                return eprintln!("skipped: another user cannot start the program here: {error}");
            }
        };
        let said = ended.stderr.contains("harness failure: ") || ended.stdout.contains("The harness failed");
        assert!(ended.code == Some(3) && said, "{threads} threads: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{threads} threads: {}", ended.stderr);
        store.await_silence();
    }
}
