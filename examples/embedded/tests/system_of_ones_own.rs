//! A system, its client and a workload of one's own. The nodes are processes: this test binary, started again to
//! run one test alone.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tribunal::checker::op::{F, Value};
use tribunal::systems::{BoxFuture, Command, Dial, Entry, Holds, Make, Place, System, Wiring};
use tribunal::workloads::{self, Client, Completion, Invocation, Object, Options, Request, Workload};
use tribunal::{Observer, Registry, Run, RunDir, Stop, TrialSpec};

/// The guard of a trial is this test binary, too.
#[test]
fn tribunal_child() {
    tribunal::executable::serve();
}

/// What a node gets in its environment: its port, the primary's address (empty: it is the primary), and whether it
/// answers reads from what it has seen itself.
const NODE: &str = "NODE_OF_TEST";

/// A node, if this process is started as one; otherwise nothing.
#[test]
fn node() {
    let Ok(node) = std::env::var(NODE) else { return };
    let [port, primary, is_stale] = node.split(' ').collect::<Vec<_>>()[..] else { panic!("{node}") };
    let store = Arc::<Mutex<HashMap<String, String>>>::default();
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    for stream in listener.incoming() {
        let (store, primary, is_stale) = (store.clone(), primary.to_string(), is_stale == "stale");
        // A connection that ends is a client's business.
        thread::spawn(move || serve(stream?, &store, &primary, is_stale));
    }
}

/// Serves a connection: the lines are `read KEY` and `write KEY VALUE`.
fn serve(
    stream: TcpStream,
    store: &Mutex<HashMap<String, String>>,
    primary: &str,
    is_stale: bool,
) -> std::io::Result<()> {
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let seen = store.lock().unwrap().get(words[1]).cloned();
        let answer = match (&words[..], seen) {
            // The bug that a trial must find: another node may have written since.
            (["read", _], Some(seen)) if is_stale => seen,
            _ if !primary.is_empty() => forwarded(primary, &line)?,
            (["write", key, value], _) => {
                store.lock().unwrap().insert((*key).into(), (*value).into());
                "ok".into()
            }
            (_, seen) => seen.unwrap_or("none".into()),
        };
        if is_stale && words[0] == "read" && answer != "none" {
            store.lock().unwrap().insert(words[1].into(), answer.clone());
        }
        (&stream).write_all(format!("{answer}\n").as_bytes())?;
    }
    Ok(())
}

fn forwarded(primary: &str, line: &str) -> std::io::Result<String> {
    let stream = TcpStream::connect(primary)?;
    (&stream).write_all(format!("{line}\n").as_bytes())?;
    let mut answer = String::new();
    match BufReader::new(&stream).read_line(&mut answer)? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(answer.trim_end().into()),
    }
}

/// The system: `n1` is the primary, and the others forward to it.
struct Forwarders {
    is_stale: bool,
}

impl System for Forwarders {
    fn name(&self) -> &str {
        "forwarders"
    }

    fn ports(&self) -> &[&'static str] {
        &["main"]
    }

    fn wiring(&self) -> Wiring {
        Wiring::AddressMap
    }

    fn command(&self, place: &Place) -> Command {
        let primary = place.peers.iter().find(|(name, _)| name == "n1");
        let primary = primary.map_or(String::new(), |(_, proxy)| proxy.to_string());
        let kind = if self.is_stale { "stale" } else { "correct" };
        let node = format!("{} {primary} {kind}", place.addresses[0].port());
        // Not by its path alone: Tribunal starts the built-in nodes by that of its own executable, which this is.
        let args =
            [std::env::current_exe().unwrap().into(), "node".into(), "--exact".into(), "--nocapture".into()];
        Command {
            program: "env".into(),
            args: args.into(),
            env: vec![(NODE.into(), node.into())],
            ..Command::default()
        }
    }

    fn ready<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async {
            let connected = place.dial.dial(place.addresses[0]).await;
            connected.map(drop).map_err(|error| error.to_string())
        })
    }

    fn leads<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Option<u64>> {
        Box::pin(async { (place.name == "n1").then_some(1) })
    }

    fn client(&self, place: &Place, _process: u64, timeout: Duration) -> Box<dyn Client> {
        Box::new(LineClient { address: place.addresses[0], dial: place.dial.clone(), timeout })
    }
}

/// A client: a connection for each operation.
struct LineClient {
    address: SocketAddr,
    dial: Arc<dyn Dial>,
    timeout: Duration,
}

impl Client for LineClient {
    fn invoke<'a>(&'a mut self, request: &'a Request) -> Invocation<'a> {
        Box::pin(async move {
            let Value::Str(key) = &request.key else { unreachable!("the workload has named keys") };
            let line = match &request.value {
                Value::Nil => format!("read {key}\n"),
                value => format!("write {key} {value}\n"),
            };
            let Ok(mut stream) = self.dial.dial(self.address).await else {
                return Completion::Fail("nothing was sent".into());
            };
            let exchange = async {
                stream.write_all(line.as_bytes()).await?;
                let mut answer = String::new();
                tokio::io::BufReader::new(stream).read_line(&mut answer).await?;
                std::io::Result::Ok(answer)
            };
            // Whatever goes wrong now: the node may have done it.
            match timeout(self.timeout, exchange).await {
                Ok(Ok(answer)) => match (&request.f, answer.trim_end()) {
                    (F::Write, "ok") | (F::Read, "none") => Completion::Ok(Value::Nil),
                    (F::Read, value) if answer.ends_with('\n') => match value.parse() {
                        Ok(value) => Completion::Ok(Value::Int(value)),
                        Err(_) => Completion::Info(format!("it answered `{value}`")),
                    },
                    (_, other) => Completion::Info(format!("it answered `{other}`")),
                },
                Ok(Err(error)) => Completion::Info(error.to_string()),
                Err(_) => Completion::Info("no reply in time".into()),
            }
        })
    }
}

/// A workload: one key, which a worker of each node writes and all others read.
struct FewWriters {
    nodes: usize,
    written: i64,
}

impl Workload for FewWriters {
    fn next(&mut self, worker: usize) -> Request {
        let key = Value::str("k");
        if worker >= self.nodes {
            return Request { f: F::Read, key, value: Value::Nil };
        }
        self.written += 1;
        Request { f: F::Write, key, value: Value::Int(self.written) }
    }

    fn pause(&self, _worker: usize) -> Duration {
        Duration::from_millis(1)
    }

    fn final_reads(&self) -> Vec<Request> {
        vec![Request { f: F::Read, key: Value::str("k"), value: Value::Nil }]
    }
}

/// What a test of one's own names.
fn registry(is_stale: bool) -> Registry {
    let system = Entry {
        name: "forwarders",
        about: "a primary, and nodes that forward to it",
        make: Make::Own(Arc::new(move |_| Ok(Box::new(Forwarders { is_stale })))),
        holds: Holds::All,
        answers: &[(Object::Register, &[F::Read, F::Write])],
        not_by: &[],
        flaws: Vec::new,
    };
    let workload = workloads::Entry {
        name: "few-writers",
        model: "register",
        also: &[],
        about: "a worker of each node writes a register, and the others read it",
        object: Object::Register,
        sends: &[F::Read, F::Write],
        reads: None,
        make: |options: &Options| Box::new(FewWriters { nodes: options.nodes, written: 0 }),
    };
    Registry::built_in().with_system(system).with_workload(workload)
}

/// Runs a trial of the system. `run` blocks, so a test of tokio calls it on a thread of its own.
async fn held(is_stale: bool) -> RunDir {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in target/");
    let spec = TrialSpec::new("few-writers").with(|spec| {
        (spec.system, spec.nemesis) = ("forwarders".into(), "none".into());
        (spec.nodes, spec.seed, spec.time_limit) = (3, Some(7), Duration::from_secs(3));
        spec.store = target.join("tribunal");
    });
    let trial = move || {
        let nobody: Arc<dyn Observer> = Arc::new(());
        spec.run(&registry(is_stale), &nobody, &Stop::new())
    };
    tokio::task::spawn_blocking(trial).await.expect("it does not panic").expect("the trial is held")
}

#[tokio::test]
async fn a_correct_system_of_ones_own_passes() {
    let run = held(false).await;
    assert_eq!(run.judgement.exit_code, 0, "{}", run.judgement.sentence);
    assert!(Path::new(&run.name).join("report.html").exists(), "{}", run.name);
}

#[tokio::test]
async fn a_stale_read_of_ones_own_system_is_found() {
    let run = held(true).await;
    assert_eq!(run.judgement.exit_code, 1, "{}", run.judgement.sentence);
}
