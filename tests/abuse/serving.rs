//! `tribunal serve` with clients that try to block it.

use std::io::{Read, Write};
use std::net::TcpStream;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::program::{Store, wait_until};
use crate::reports::{Served, TAKEN_TWICE, judged};

#[test]
fn it_ends_at_once_despite_an_unfinished_request() {
    let store = Store::new();
    let mut served = Served::start(store.path());
    let mut stream = TcpStream::connect(&served.address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    assert!(served.ask("GET /", &served.address).starts_with("HTTP/1.1 200"), "the other one is accepted");
    served.interrupt();
    wait_until("it has ended", || served.exit_code() == Some(0));
}

#[test]
fn idle_connections_do_not_block_others() {
    let store = Store::new();
    let served = Served::start(store.path());
    let idle: Vec<_> = (0..300).map(|_| TcpStream::connect(&served.address).unwrap()).collect();
    assert!(served.ask("GET /", &served.address).starts_with("HTTP/1.1 200"));
    let closed = |stream: &TcpStream| {
        stream.set_nonblocking(true).unwrap();
        matches!((&*stream).read(&mut [0]), Ok(0)) || stream.take_error().unwrap().is_some()
    };
    wait_until("the oldest have given way", || idle.iter().filter(|stream| closed(stream)).count() >= 200);
}

#[test]
#[ignore = "nightly: about 10 s"]
fn a_connection_without_a_request_is_closed() {
    let store = Store::new();
    let served = Served::start(store.path());
    let mut streams: Vec<_> = (0..2).map(|_| TcpStream::connect(&served.address).unwrap()).collect();
    streams[1].write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    for stream in &mut streams {
        let mut answer = Vec::new();
        // It ends or is reset, perhaps after a 408.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
}

#[test]
fn a_pipe_in_the_store_blocks_no_page() {
    let store = Store::new();
    for run in ["queues/a", "queues/b"] {
        judged(&store, run, "queue", TAKEN_TWICE, 1);
    }
    for name in ["run.json", "history.jsonl"] {
        std::fs::remove_file(store.path().join("queues/a").join(name)).unwrap();
        mkfifo(&store.path().join("queues/a").join(name), Mode::S_IRWXU).unwrap();
    }
    let mut served = Served::start(store.path());
    let index = served.ask("GET /", &served.address);
    assert!(index.contains("queues/a") && index.contains("expected a regular file"), "{index}");
    let pipe = served.ask("GET /runs/queues/a/history.jsonl", &served.address);
    assert!(pipe.starts_with("HTTP/1.1 404"), "{pipe}");
    served.interrupt();
    wait_until("it has ended", || served.exit_code() == Some(0));
}

#[test]
fn only_a_report_may_run_a_script() {
    let store = Store::new();
    let dir = judged(&store, "queues/a", "queue", TAKEN_TWICE, 1);
    std::fs::write(dir.join("evil.html"), "<script>alert(1)</script>").unwrap();
    let served = Served::start(store.path());
    let policy = |path: &str| {
        let answer = served.ask(&format!("GET {path}"), &served.address);
        assert!(answer.contains("x-content-type-options: nosniff"), "{answer}");
        let found = answer.lines().find_map(|line| line.strip_prefix("content-security-policy: "));
        found.expect("every answer has one").to_owned()
    };
    let report = policy("/runs/queues/a/report.html");
    assert!(report.ends_with("; sandbox allow-scripts"), "{report}");
    for path in ["evil.html", "report.txt", "verdict.json", "plots/rate.svg"] {
        let policy = policy(&format!("/runs/queues/a/{path}"));
        assert!(policy.ends_with("; sandbox") && !policy.contains("script-src"), "{path}: {policy}");
    }
    for path in ["/", "/runs/queues/a/"] {
        assert!(!policy(path).contains("script-src"), "our own pages have none");
    }
}
