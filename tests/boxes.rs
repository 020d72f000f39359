//! Runs in a box: they repeat byte for byte, a violation is one file, and nothing is left behind.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::{Ended, Store, tribunal, wait_until};

/// The directory of QEMU and the kernel; `None` after a message that the test is skipped.
fn parts() -> Option<&'static Path> {
    static PARTS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = PARTS.get_or_init(|| {
        let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("box");
        let usual = std::env::var_os("TRIBUNAL_BOX").map(PathBuf::from);
        let works = |parts: &PathBuf| with(parts, &["doctor", "box"]).code == Some(0);
        if let Some(found) = usual.into_iter().chain([own.clone()]).find(works) {
            return Some(found);
        }
        if std::env::var_os("TRIBUNAL_NO_SKIP").is_none() {
            eprintln!("skipped: the box is not set up (tribunal box setup, and TRIBUNAL_BOX)");
            return None;
        }
        with(&own, &["box", "setup"]).expect(0);
        Some(own)
    });
    found.as_deref()
}

/// `tribunal WORDS` with the parts of a box.
fn with(parts: &Path, words: &[&str]) -> Ended {
    Ended::of(tribunal(words).env("TRIBUNAL_BOX", parts).output().expect("the program starts"))
}

/// A system that is wrong by design, so that a short run shows it.
const WRONG: &str = "run register --system primary-backup --nodes 3 --rate 100 --time-limit 5s --seed 1 --box \
                     --nemesis-interval 700ms";

fn run(parts: &Path, store: &Store, args: &str) -> Ended {
    Ended::of(store.command(args).env("TRIBUNAL_BOX", parts).output().expect("the program starts"))
}

#[test]
fn a_violation_is_a_file_that_repeats_byte_for_byte() {
    let Some(parts) = parts() else { return };
    let store = Store::new();
    run(parts, &store, WRONG).expect(1);
    let first = store.run_directory("register");
    let file = first.join("failure.tribunal").display().to_string();
    with(parts, &["verify", &first.display().to_string()]).expect(0);

    // The replay competes for the processors.
    let (elsewhere, stop) = (Store::new(), AtomicBool::new(false));
    let replayed = thread::scope(|scope| {
        (0..3).for_each(|_| {
            drop(scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop()
                }
            }))
        });
        let ended = with(parts, &["replay", &file, "--store", &elsewhere.path().display().to_string()]);
        stop.store(true, Ordering::Relaxed);
        ended
    });
    let replayed = replayed.expect(0);
    assert!(replayed.stdout.contains("identical: the verdict and "), "{}", replayed.stdout);
    let again = elsewhere.run_directory("register");
    let differ = |one: &Path, other: &Path, name: &str| {
        let read = |run: &Path| std::fs::read(run.join(name)).expect("it is there");
        read(one) != read(other)
    };
    for name in ["history.jsonl", "faults.jsonl", "nodes/n1.log", "nodes/n3.log"] {
        assert!(!differ(&first, &again, name), "{name} differs");
    }
    assert_eq!(store.processes(), [""; 0]);

    // Another seed of the box is another run of the same plan.
    let other = Store::new();
    run(parts, &other, &format!("{WRONG} --box-seed 1"));
    assert!(differ(&first, &other.run_directory("register"), "history.jsonl"));
}

#[test]
fn a_violation_of_a_box_is_shrunk_branched_and_watched() {
    let Some(parts) = parts() else { return };
    let store = Store::new();
    run(parts, &store, WRONG).expect(1);
    let first = store.run_directory("register");
    let recorded = first.display().to_string();

    let ways = with(parts, &["branch", &recorded, "--ways", "2", "--before", "300ms"]).expect(1);
    assert!(ways.stdout.contains("300ms before"), "{}", ways.stdout);
    let example = ways.stdout.rsplit(' ').next().expect("a command").trim().to_owned();
    let other = Store::new();
    let spec = first.join("run.json").display().to_string();
    // The same way without a snapshot, from the start.
    let again = run(parts, &other, &format!("run --spec {spec} --box-branch {example}")).expect(1);
    let way = format!("way {}: ", example.split(',').nth(1).expect("a seed"));
    let said = ways.stderr.lines().find_map(|line| line.split(&way).nth(1)).expect("the way was told");
    let (class, operations) = said.split_once(", ").expect("a class and a number");
    let verdict =
        std::fs::read_to_string(other.run_directory("register").join("verdict.json")).expect("a verdict");
    assert!(verdict.contains(class), "{said}: {verdict}");
    assert!(again.stdout.contains(&operations.replace("operations", "ops")), "{said}: {}", again.stdout);

    let smaller = Store::new();
    let into = smaller.path().display().to_string();
    let shrunk = with(parts, &["shrink", &recorded, "--boots", "1", "--within", "8s", "--store", &into]);
    let shrunk = shrunk.expect(1);
    assert!(shrunk.stdout.contains("  smallest: "), "{}", shrunk.stdout);
    let report =
        std::fs::read_to_string(smaller.run_directory("register").join("report.html")).expect("a page");
    assert!(report.contains("Smallest trial"));

    let file = first.join("failure.tribunal").display().to_string();
    let said = with(parts, &["replay", &file, "--trace", "n9"]).expect(64).stderr;
    assert!(said.contains("expected a node, n1 to n3"), "{said}");
    if !Path::new("/usr/bin/strace").exists() {
        assert!(std::env::var_os("TRIBUNAL_NO_SKIP").is_none(), "strace is not installed");
        eprintln!("skipped: strace is not installed");
        return;
    }
    let watched = with(parts, &["replay", &file, "--trace", "n2", "--store", &into]);
    assert!(watched.stdout.contains("same"), "{}{}", watched.stdout, watched.stderr);
    let calls = smaller.path().join("register/latest/nodes/n2.strace");
    let calls = std::fs::read_to_string(calls).expect("the calls are recorded");
    assert!(calls.contains("fdatasync(") || calls.contains("sendto("), "{calls}");
}

#[test]
fn a_violation_from_outside_is_convicted() {
    let Some(parts) = parts() else { return };
    // Outside, nothing repeats.
    let seen = (0..10).find_map(|_| {
        let store = Store::new();
        let ended = store.run(&WRONG.replace(" --box ", " "));
        (ended.code == Some(1)).then_some(store)
    });
    let store = seen.expect("one of ten runs shows it");
    let seen = store.run_directory("register").display().to_string();
    let inside = Store::new();
    let into = inside.path().display().to_string();
    let convicted = with(parts, &["convict", &seen, "--store", &into, "--boots", "20"]).expect(1);
    assert!(convicted.stdout.contains("convicted after"), "{}", convicted.stdout);
    assert!(inside.run_directory("register").join("failure.tribunal").is_file());
}

#[test]
fn an_interrupt_ends_a_box_in_order_and_a_kill_leaves_nothing() {
    let Some(parts) = parts() else { return };
    let args = "run register --nodes 3 --rate 50 --time-limit 1h --nemesis none --box --seed 3";
    let begun = |store: &Store| {
        let child = store.command(args).env("TRIBUNAL_BOX", parts).spawn().expect("the program starts");
        let partial =
            || std::fs::read_dir(store.path().join("register")).is_ok_and(|found| found.count() > 0);
        wait_until("the run has begun", partial);
        child
    };
    let store = Store::new();
    let child = begun(&store);
    // The guest needs some seconds until its clients run; before that, it ends without an operation.
    thread::sleep(std::time::Duration::from_secs(2));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("it runs");
    let ended = Ended::of(child.wait_with_output().expect("it ends")).expect(130);
    assert!(ended.stdout.contains("report"), "{}", ended.stdout);
    assert!(store.run_directory("register").join("history.jsonl").exists());

    let store = Store::new();
    let mut child = begun(&store);
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let guest = || {
        let found = std::fs::read_to_string(&children).unwrap_or_default();
        let is_qemu = |pid: &&str| {
            std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("qemu"))
        };
        found.split_whitespace().find(is_qemu).map(str::to_owned)
    };
    wait_until("the guest runs", || guest().is_some());
    let guest = guest().expect("it has just been seen");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    wait_until("the guest is gone", || !Path::new("/proc").join(&guest).exists());
}

#[test]
fn what_is_no_failure_file_is_refused() {
    let Some(parts) = parts() else { return };
    let store = Store::new();
    let file = store.path().join("failure.tribunal");
    for contents in ["", "garbage", "\x1f\x08"] {
        std::fs::write(&file, contents).expect("it is written");
        let said = with(parts, &["replay", &file.display().to_string()]).expect(64).stderr;
        assert!(said.contains("failure.tribunal"), "{said}");
    }
    let said = with(parts, &["replay", "/no/such/file"]).expect(64).stderr;
    assert!(said.contains("/no/such/file"), "{said}");
}

#[test]
fn a_box_that_is_not_set_up_is_refused() {
    let nowhere = Path::new("/no/such/directory");
    let said = with(nowhere, &["run", "register", "--box"]).expect(64).stderr;
    assert!(said.contains("tribunal box setup"), "{said}");
    let said = with(nowhere, &["run", "register", "--box", "--box-memory", "1MiB"]).expect(64).stderr;
    assert!(said.contains("--box-memory: expected 256MiB"), "{said}");
    for (words, why) in [
        (&["--qemu", "/bin/true"][..], "--qemu: /bin/true: expected qemu-system-x86_64"),
        (&["--kernel", "/etc/hostname", "--modules", "/"], "--kernel: /etc/hostname: expected a kernel"),
        (&["--qemu", "/no/such"], "--qemu: /no/such: No such file"),
    ] {
        let said = with(nowhere, &[&["box", "setup"], words].concat()).expect(64).stderr;
        assert!(said.contains(why), "{said}");
    }
    let said = with(nowhere, &["doctor", "box"]).expect(1).stdout;
    assert!(said.contains("tribunal box setup"), "{said}");
}

#[test]
fn only_a_violation_is_searched() {
    let Some(parts) = parts() else { return };
    let store = Store::new();
    store.run("run register --nodes 1 --nemesis none --time-limit 1s --seed 1").expect(0);
    let run = store.run_directory("register").display().to_string();
    for verb in ["convict", "shrink", "branch", "bisect"] {
        let more: &[&str] = if verb == "bisect" { &["--binaries", "/bin/true"] } else { &[] };
        let said = with(parts, &[&[verb, &run], more].concat()).expect(64).stderr;
        assert!(said.contains("expected a violation"), "{said}");
    }
}
