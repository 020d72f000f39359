//! Malicious run directories and histories: links that lead outside, pipes and devices instead of files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::ends;
use crate::program::{Ended, Store, tribunal};
use crate::reports::{TAKEN_TWICE, judged};

#[test]
fn reports_replace_links_and_never_follow_them() {
    let store = Store::new();
    let dir = judged(&store, "queues/a", "queue", TAKEN_TWICE, 1);
    let (secret, outside) = (store.path().join("secret"), store.path().join("outside"));
    fs::write(&secret, "secret").unwrap();
    fs::create_dir(&outside).unwrap();
    for name in ["report.html", "report.html.partial", "report.txt", "junit.xml.partial", "history.edn"] {
        let _ = fs::remove_file(dir.join(name));
        symlink(&secret, dir.join(name)).unwrap();
    }
    let _ = fs::remove_dir_all(dir.join("plots"));
    symlink(&outside, dir.join("plots")).unwrap();

    // The plots cannot be made; the other reports can.
    let ended = ends(tribunal(["report"]).arg(&dir)).expect(3);
    assert!(ended.stderr.contains("no plots/"), "{}", ended.stderr);
    assert!(fs::read_to_string(dir.join("report.html")).unwrap().contains("Not linearizable"));
    // The same for files named by the user.
    let history = dir.join("history.jsonl");
    ends(tribunal(["convert"]).arg(&history).arg(dir.join("history.edn"))).expect(0);
    assert!(fs::read_to_string(dir.join("history.edn")).unwrap().contains(":dequeue"));
    let junit = dir.join("named.xml");
    symlink(&secret, &junit).unwrap();
    ends(tribunal(["check", "--model", "queue", "--junit"]).arg(&junit).arg(&history)).expect(1);
    assert!(fs::read_to_string(&junit).unwrap().contains("<testsuite "));

    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "nothing is written outside");
}

#[test]
fn pipes_and_devices_in_a_run_directory_do_not_block() {
    for name in [
        "run.json",
        "history.jsonl",
        "verdict.json",
        "faults.jsonl",
        "links.jsonl",
        "leaders.jsonl",
        "nodes/n1.log",
    ] {
        for device in [None, Some("/dev/zero")] {
            let store = Store::new();
            let dir = judged(&store, "queues/a", "queue", TAKEN_TWICE, 1);
            fs::create_dir(dir.join("nodes")).unwrap();
            let file = dir.join(name);
            let _ = fs::remove_file(&file);
            match device {
                None => mkfifo(&file, Mode::S_IRWXU).unwrap(),
                Some(device) => symlink(device, &file).unwrap(),
            }
            // The violation in verdict.json stands even if the evidence is damaged; without verdict.json it
            // is proved again.
            let is_read_by_check = !["links.jsonl", "leaders.jsonl", "nodes/n1.log"].contains(&name);
            let check = ends(tribunal(["check"]).arg(&dir)).expect(1);
            assert_eq!(
                check.stderr.contains("expected a regular file"),
                is_read_by_check,
                "{}",
                check.stderr
            );
            let report = ends(tribunal(["report"]).arg(&dir));
            // If only a picture needs the file, only the picture is missing.
            let is_needed = !["links.jsonl", "leaders.jsonl", "nodes/n1.log"].contains(&name);
            assert_eq!(report.code, Some(if is_needed { 64 } else { 0 }), "{name}: {}", report.stderr);
            let list = ends(tribunal(["list", "runs", "--store"]).arg(store.path())).expect(0);
            assert!(list.stdout.contains("queues/a"), "{}", list.stdout);
        }
    }
}

#[test]
fn a_history_is_a_file_or_an_inherited_descriptor() {
    let store = Store::new();
    let file = store.path().join("h.jsonl");
    fs::write(&file, TAKEN_TWICE).unwrap();
    let pipe = store.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let check = |path: &Path| ends(tribunal(["check", "--model", "queue"]).arg(path));
    for (path, found) in [(&*pipe, "a named pipe"), (Path::new("/dev/zero"), "a device")] {
        let said = check(path).expect(64).stderr;
        assert!(said.contains(&format!("expected a file, found {found}")), "{said}");
    }
    let out = ends(tribunal(["convert"]).arg(&file).arg(&pipe).args(["--to", "edn"])).expect(64);
    assert!(out.stderr.contains("cannot create"), "nobody reads it: {}", out.stderr);

    let shell = |script: &str| {
        let mut bash = Command::new("bash");
        bash.args(["-c", script, "bash", env!("CARGO_BIN_EXE_tribunal")]).args([&file, &pipe]);
        ends(bash.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
    };
    for script in [
        r#""$1" check --model queue <(cat "$2")"#,
        r#""$1" check --model queue <(sleep 0.2; cat "$2")"#,
        r#"cat "$2" | "$1" check --model queue -"#,
        r#"cat "$2" | "$1" check --model queue /dev/stdin"#,
        r#""$1" check --model queue - < "$2""#,
        r#"(cat "$2" > "$3" &); "$1" check --model queue - < "$3""#,
        r#""$1" convert --to jsonl "$2" /dev/stdout | "$1" check --model queue -"#,
    ] {
        let ended = shell(script);
        assert_eq!(ended.code, Some(1), "{script}: {}", ended.stderr);
        assert!(ended.stdout.contains("not linearizable"), "{script}: {}", ended.stdout);
    }
    // The same for a schedule.
    let said = ends(tribunal(["run", "register", "--schedule"]).arg(&pipe)).expect(64).stderr;
    assert!(said.contains("a named pipe"), "{said}");
    let said: Ended = shell(r#""$1" run register --schedule <(echo '[[step]]'; echo 'at = 1')"#).expect(64);
    assert!(said.stderr.contains(":2:6"), "{}", said.stderr);
}
