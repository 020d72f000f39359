//! Other ways to interrupt than Ctrl-C during a run.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;

use crate::program::{Ended, Store, wait_until};

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

/// Whether a file of some run of a workload contains a text.
fn says(store: &Store, file: &str, text: &str) -> bool {
    let runs = std::fs::read_dir(store.path().join("register")).into_iter().flatten().flatten();
    runs.filter_map(|run| std::fs::read_to_string(run.path().join(file)).ok()).any(|it| it.contains(text))
}

#[test]
fn a_closed_terminal_ends_a_run_in_order() {
    let store = Store::in_memory();
    let args = "run register --nodes 3 --time-limit 10m --nemesis-interval 1s --rate 100";
    let mut command = store.command(args);
    // The tests themselves may run under nohup.
    // SAFETY: `signal` is async-signal-safe, and no Rust code runs as a handler.
    unsafe { command.pre_exec(|| Ok(signal(Signal::SIGHUP, SigHandler::SigDfl).map(drop)?)) };
    let child = command.spawn().expect("it starts");
    wait_until("a fault is recorded", || says(&store, "faults.jsonl", "apply"));
    kill(pid(&child), Signal::SIGHUP).unwrap();
    Ended::of(child.wait_with_output().unwrap()).expect(130);
    assert_eq!(store.processes(), [""; 0]);
    assert!(store.run_directory("register").join("verdict.json").is_file());
}

#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let store = Store::in_memory();
    let mut command = Command::new("bash");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "bash", env!("CARGO_BIN_EXE_tribunal")]);
    command.args("run register --nodes 3 --nemesis none --time-limit 3s --rate 100".split(' '));
    command.arg("--store").arg(store.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("it starts");
    wait_until("the run is under way", || says(&store, "history.jsonl", "ok"));
    kill(pid(&child), Signal::SIGHUP).unwrap();
    Ended::of(child.wait_with_output().unwrap()).expect(0);
}

/// A counter with forty large additions of unknown outcome, and a read of their sum. Finding which ones took
/// place is the subset-sum problem.
fn slow_history() -> String {
    let (mut lines, mut sum, mut random) = (String::new(), 0_u64, 7_u64);
    for process in 0..40 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let addition = random >> 20;
        sum += addition * (random >> 63);
        lines += &format!(
            "{{\"client\":{process},\"f\":\"add\",\"in\":{addition},\"call\":{process},\"ret\":null}}\n"
        );
    }
    let read = format!("{{\"client\":99,\"f\":\"read\",\"out\":{},\"call\":100,\"ret\":101}}\n", sum + 1);
    lines + &read
}

#[test]
fn an_interrupted_check_reports_what_it_has_found() {
    let store = Store::in_memory();
    let (bad, slow, junit) =
        (store.path().join("bad.jsonl"), store.path().join("slow.jsonl"), store.path().join("junit.xml"));
    std::fs::write(&bad, "{\"client\":1,\"f\":\"read\",\"out\":7,\"call\":0,\"ret\":1}\n").unwrap();
    std::fs::write(&slow, slow_history()).unwrap();
    for (paths, code) in [(vec![&bad, &slow], 1), (vec![&slow], 130)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tribunal"));
        command.args(["check", "--model", "counter", "--check-memory-limit", "200GiB", "--threads", "1"]);
        command.args(["--check-time-limit", "10m", "--junit"]).arg(&junit).args(&paths);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut first = String::new();
        if code == 1 {
            // Read one line only: the rest is read below.
            let mut byte = [0];
            while !first.ends_with('\n') && child.stdout.as_mut().unwrap().read(&mut byte).unwrap() == 1 {
                first.push(byte[0] as char);
            }
            assert!(first.contains("bad.jsonl"), "{first}");
        } else {
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        kill(pid(&child), Signal::SIGINT).unwrap();
        let ended = Ended::of(child.wait_with_output().unwrap()).expect(code);
        assert!(ended.stderr.contains("interrupted"), "{}", ended.stderr);
        let junit = std::fs::read_to_string(&junit).unwrap();
        assert!(junit.contains("interrupted"), "{junit}");
        assert_eq!(junit.contains("bad.jsonl"), code == 1, "{junit}");
    }
}
