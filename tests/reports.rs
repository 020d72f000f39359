//! Reports of existing histories, lists, and the web page of all runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::{Ended, Store, tribunal};

/// A queue from which an element was removed twice.
pub(crate) const TAKEN_TWICE: &str = r#"{"i":0,"t":1000000,"p":0,"type":"invoke","f":"enqueue","value":7}
{"i":1,"t":2000000,"p":0,"type":"ok","f":"enqueue","value":7}
{"i":2,"t":3000000,"p":1,"type":"invoke","f":"dequeue"}
{"i":3,"t":4000000,"p":1,"type":"ok","f":"dequeue","value":7}
{"i":4,"t":5000000,"p":2,"type":"invoke","f":"dequeue"}
{"i":5,"t":6000000,"p":2,"type":"ok","f":"dequeue","value":7}
"#;

/// A register with `n` writes and then a read of the value before the last.
pub(crate) fn stale_register(n: u64) -> String {
    let mut text = String::new();
    let mut op = |at: u64, f: &str, value: u64| {
        for (kind, i) in [("invoke", 2 * at), ("ok", 2 * at + 1)] {
            let (t, p) = (i * 50_000, at % 8);
            text += &format!(
                "{{\"i\":{i},\"t\":{t},\"p\":{p},\"type\":\"{kind}\",\"f\":\"{f}\",\"value\":{value}}}\n"
            );
        }
    };
    (0..n).for_each(|at| op(at, "write", at));
    op(n, "read", n - 2);
    text
}

/// Checks a history and stores it as the run directory `store/<workload>/<run>`.
pub(crate) fn judged(store: &Store, run: &str, model: &str, history: &str, code: i32) -> PathBuf {
    let file = store.path().join("written.jsonl");
    std::fs::write(&file, history).unwrap();
    let dir = store.path().join(run);
    let check = tribunal(["check", "--model", model, "--report"]).arg(&dir).arg(&file).output().unwrap();
    Ended::of(check).expect(code);
    dir
}

#[test]
fn a_written_history_gets_every_report_and_can_be_rendered_again() {
    let store = Store::new();
    let dir = judged(&store, "queues/a", "queue", TAKEN_TWICE, 1);
    let page = std::fs::read(dir.join("report.html")).unwrap();
    for file in ["verdict.json", "report.txt", "report.md", "junit.xml", "counterexample.jsonl"] {
        assert!(dir.join(file).is_file(), "{file}");
    }

    std::fs::remove_file(dir.join("report.html")).unwrap();
    let report = |format: &str| {
        let mut command = tribunal(["report"]);
        command.arg(&dir);
        if !format.is_empty() {
            command.args(["--format", format]);
        }
        Ended::of(command.output().unwrap())
    };
    let ended = report("").expect(0);
    assert!(ended.stdout.contains("report.html") && !ended.stdout.contains("trace.json"), "{}", ended.stdout);
    assert_eq!(std::fs::read(dir.join("report.html")).unwrap(), page, "the same bytes");
    let ended = report("trace,edn").expect(0);
    assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stdout);
    assert!(dir.join("trace.json").is_file() && dir.join("history.edn").is_file());
    assert!(report("pdf").expect(64).stderr.contains("expected one of report.txt"));
    Ended::of(tribunal(["report", "/nowhere"]).output().unwrap()).expect(64);

    // A directory that is not empty is not changed.
    let again =
        tribunal(["check", "--model", "queue", "--report"]).arg(&dir).arg(dir.join("history.jsonl")).output();
    assert!(Ended::of(again.unwrap()).expect(64).stderr.contains("expected an empty directory"));
}

#[test]
fn every_history_is_a_suite_for_ci() {
    let store = Store::new();
    let (bad, none, junit) =
        (store.path().join("bad.jsonl"), store.path().join("none.jsonl"), store.path().join("junit.xml"));
    std::fs::write(&bad, TAKEN_TWICE).unwrap();
    let check = || {
        let mut command = tribunal(["check", "--model", "queue", "--junit"]);
        command.arg(&junit).arg(&bad).arg(&none);
        Ended::of(command.output().unwrap())
    };
    check().expect(1);
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert_eq!(xml.matches("<testsuite ").count(), 2, "{xml}");
    assert!(xml.contains("<failure ") && xml.contains("type=\"unreadable\""), "{xml}");

    std::fs::remove_file(&junit).unwrap();
    std::fs::create_dir(&junit).unwrap();
    let said = check().expect(64).stderr;
    assert!(said.contains("--junit: cannot write") && said.contains("junit.xml"), "{said}");
}

#[test]
fn everything_can_be_listed() {
    for (what, holds) in
        [("workloads", "register"), ("systems", "raft"), ("faults", "partition"), ("models", "stack")]
    {
        let ended = Ended::of(tribunal(["list", what]).output().unwrap()).expect(0);
        assert!(ended.stdout.lines().any(|line| line.starts_with(holds)), "{}", ended.stdout);
        let ended = Ended::of(tribunal(["list", what, "--format", "json"]).output().unwrap()).expect(0);
        assert!(ended.stdout.contains(&format!("{{\"name\":\"{holds}\"")), "{}", ended.stdout);
    }
    let store = Store::new();
    judged(&store, "queues/a", "queue", TAKEN_TWICE, 1);
    let list = tribunal(["list", "runs", "--store"]).arg(store.path()).output().unwrap();
    let ended = Ended::of(list).expect(0);
    assert!(ended.stdout.contains("/queues/a  ✗ not linearizable"), "{}", ended.stdout);
    Ended::of(tribunal(["list", "runs", "--store", "/nowhere"]).output().unwrap()).expect(64);
}

#[test]
fn the_manual_and_the_completions_know_every_command() {
    let ended = Ended::of(tribunal(["man"]).output().unwrap()).expect(0);
    let completions = Ended::of(tribunal(["completions", "bash"]).output().unwrap()).expect(0);
    for verb in ["run", "check", "report", "list", "serve", "convert"] {
        assert!(ended.stdout.contains(&format!("tribunal\\-{verb}(1)")), "{verb}");
        assert!(completions.stdout.contains(verb), "{verb}");
    }
    let dir = tempfile::tempdir().unwrap();
    Ended::of(tribunal(["man", "--dir"]).arg(dir.path()).output().unwrap()).expect(0);
    assert!(dir.path().join("tribunal-run.1").is_file());
}

/// `tribunal serve`, stopped when dropped.
pub(crate) struct Served {
    child: Child,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
}

impl Served {
    pub(crate) fn start(store: &Path) -> Served {
        let mut command = tribunal(["serve", "--port", "0", "--store"]);
        let mut child = command.arg(store).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit("http://").next().unwrap().trim_end_matches('/').to_string();
        assert!(address.starts_with("127.0.0.1:"), "{line}");
        Served { child, address }
    }

    /// The whole response to a request, including its head.
    pub(crate) fn ask(&self, request: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Served {
    /// Sends SIGINT, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT).unwrap();
    }

    /// Its exit code, if it has ended.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap()?.code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn only_runs_are_served_and_only_to_this_machine() {
    let store = Store::new();
    let dir = judged(&store, "queues/a", "queue", TAKEN_TWICE, 1);
    std::os::unix::fs::symlink("/etc/passwd", dir.join("out.txt")).unwrap();
    let served = Served::start(store.path());
    let get = |path: &str| served.ask(&format!("GET {path}"), &served.address);

    let index = get("/");
    assert!(index.starts_with("HTTP/1.1 200") && index.contains("/runs/queues/a/report.html"), "{index}");
    assert!(index.contains("content-security-policy: default-src 'none'"), "{index}");
    assert!(get("/?outcome=linearizable").contains("No run matches"));
    let page = get("/runs/queues/a/report.html");
    assert!(page.contains("text/html") && page.contains("Not linearizable"));
    assert!(get("/runs/queues/a/history.jsonl").contains("\"f\":\"dequeue\""));
    assert!(get("/runs/queues/a").starts_with("HTTP/1.1 308"));
    assert!(get("/runs/queues/a/").contains("./history.jsonl"));

    for outside in [
        "/runs/../../etc/passwd",
        "/runs/%2e%2e/%2e%2e/etc/passwd",
        "/runs/..%2f..%2fetc/passwd",
        "/runs//etc/passwd",
        "/runs/queues/a/out.txt",
        "/runs/queues/a/%00",
        "/etc/passwd",
    ] {
        let answer = get(outside);
        assert!(
            answer.starts_with("HTTP/1.1 404") || answer.starts_with("HTTP/1.1 400"),
            "{outside}: {answer}"
        );
        assert!(!answer.contains("root:"), "{outside}");
    }
    assert!(served.ask("GET /", "evil.example").starts_with("HTTP/1.1 421"));
    for method in ["POST", "PUT", "DELETE"] {
        assert!(served.ask(&format!("{method} /"), &served.address).starts_with("HTTP/1.1 405"), "{method}");
    }
}
