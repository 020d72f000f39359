//! Numbers and inputs of excessive size.

use std::io::Write;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::{Ended, Store, tribunal, wait_until};

#[test]
fn numbers_out_of_range_are_named_with_their_range() {
    for (flag, values, expected) in [
        ("--op-timeout", &["0s", "11m", "365d", "1000000years"][..], "expected"),
        ("--time-limit", &["0s", "2years", "99999999999999999999s", "NaN"], "expected"),
        ("--nemesis-interval", &["0ms", "2years"], "expected"),
        ("--settle", &["0s", "2years"], "expected"),
        ("--check-time-limit", &["0s", "2years"], "expected"),
        ("--keys", &["0", "-1", "1000001", "99999999999999999999"], "from 1 to 1000000"),
        ("--ops-per-key", &["0", "1000001"], "from 1 to 1000000"),
        ("--rate", &["0", "-1", "1e-300", "1e300", "NaN", "inf"], "from 0.001 to 1000000000"),
        ("--concurrency", &["0", "1001", "1001n", "-1"], "from 1 to 1000"),
        ("--nodes", &["0", "26", "256"], "from 1 to 25"),
        ("--reads", &["-0.1", "1.1", "NaN"], "from 0 to 1"),
        ("--availability", &["-0.1", "1.1", "NaN"], "from 0 to 1"),
        ("--disk-size", &["0MiB", "99999999999GiB"], "expected a size"),
        ("--check-memory-limit", &["0MiB", "99999999999GiB"], "expected a size"),
        ("--repeat", &["0", "100001"], "from 1 to 100000"),
        ("--seed", &["-1", "18446744073709551616"], "expected a whole number"),
    ] {
        for value in values {
            let ended = tribunal(["run", "register", &format!("{flag}={value}")]).output().unwrap();
            let ended = Ended::of(ended).expect(64);
            assert!(ended.stderr.contains(expected) && ended.stderr.contains(flag), "{}", ended.stderr);
        }
    }
    for threads in ["0", "1025"] {
        let ended = tribunal(["check", "--threads", threads, "x"]).output().unwrap();
        assert!(Ended::of(ended).expect(64).stderr.contains("from 1 to 1024"));
    }
}

/// Resident memory of a process, in MiB.
fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let held = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    held.and_then(|kib| kib.trim().parse::<u64>().ok()).map_or(0, |kib| kib >> 10)
}

#[test]
fn a_run_of_a_year_starts_at_once() {
    let store = Store::in_memory();
    let args = "run register --nodes 3 --time-limit 365d --nemesis-interval 100ms --rate 100";
    let child = store.command(args).spawn().expect("it starts");
    let faults = || {
        let runs = std::fs::read_dir(store.path().join("register")).into_iter().flatten().flatten();
        let files = runs.filter_map(|run| std::fs::read_to_string(run.path().join("faults.jsonl")).ok());
        files.map(|text| text.lines().count()).sum::<usize>()
    };
    wait_until("faults are recorded", || faults() > 4);
    let held = resident_mib(child.id());
    assert!(held < 200, "{held} MiB");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    Ended::of(child.wait_with_output().unwrap()).expect(130);
    assert_eq!(store.processes(), [""; 0]);
}

#[test]
fn an_input_line_without_an_end_is_an_error() {
    // 600 MB of address space suffice for the program and a line of 64 MiB, but not for this line.
    let script = "ulimit -v 600000; exec \"$@\"";
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash", env!("CARGO_BIN_EXE_tribunal"), "check", "--model", "register", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("there is a shell");
    let mut input = child.stdin.take().expect("it is piped");
    let mut written = input.write_all(b"{\"i\":0,\"f\":\"");
    let block = vec![b'x'; 1 << 20];
    for _ in 0..1_024 {
        written = written.and_then(|()| input.write_all(&block));
    }
    drop(input);
    assert!(written.is_err(), "not all of it is read");
    let ended = Ended::of(child.wait_with_output().unwrap()).expect(64);
    assert!(ended.stderr.contains("1:1: expected a line of at most 64 MiB"), "{}", ended.stderr);
}
