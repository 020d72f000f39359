//! How many operations a second reach a server through Tribunal, and how many through a bare load generator: the
//! wires `resp`, `http` and `exec` of examples/own-system.
//!
//! ```text
//! cargo build --release
//! cargo run --release -p tribunal-systems --example overhead -- target/release/tribunal [ROUNDS [SECONDS]]
//! ```
//!
//! Each round runs both, one after the other, on the same server with as many connections and the same share of
//! reads; every other round begins with the bare one. The last column is the median of the rounds. The load
//! generators wait for each answer before the next request, as Tribunal's clients do. Those of `resp` and `http` are
//! threads of this program; that of `exec` is Python, the language of its client program.
//!
//! CAVEATS: generator and server share the machine, and a server in Python takes most of it. On a busy machine the
//! ratio of a single round says nothing: ten threads of the bare generator and a few of Tribunal's get different
//! shares of the processors, and rounds from 0.3 to 2 were seen.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const CLIENTS: usize = 10;
const KEYS: u64 = 10;

/// One wire.
struct Case {
    wire: &'static str,
    /// The description of the system.
    file: &'static str,
    /// The server, with the words that a single node gets.
    server: fn(SocketAddr) -> Vec<String>,
    bare: Bare,
}

enum Bare {
    /// Sends one request and reads its answer, on a connection that may be new.
    Exchange(fn(&mut Option<BufReader<TcpStream>>, SocketAddr, &Operation) -> Result<()>),
    /// A program that prints how many operations it did.
    Program(&'static str),
}

struct Operation {
    key: u64,
    /// The value to write; `None` reads.
    value: Option<u64>,
}

const CASES: [Case; 3] = [
    Case {
        wire: "resp",
        file: "resp.toml",
        server: |at| words(&["resp.py", &at.ip().to_string(), &at.port().to_string()]),
        bare: Bare::Exchange(resp),
    },
    Case {
        wire: "http",
        file: "kv.toml",
        server: |at| words(&["kv.py", "n1", &at.ip().to_string(), &at.port().to_string(), ""]),
        bare: Bare::Exchange(http),
    },
    Case {
        wire: "exec",
        file: "exec.toml",
        server: |at| words(&["kv.py", "n1", &at.ip().to_string(), &at.port().to_string(), ""]),
        bare: Bare::Program("load.py"),
    },
];

fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let tribunal = args.next().ok_or("expected the path of the program `tribunal`")?;
    let tribunal = std::fs::canonicalize(tribunal)?;
    let rounds: usize = args.next().map_or(Ok(5), |it| it.parse())?;
    let seconds: u64 = args.next().map_or(Ok(10), |it| it.parse())?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no workspace")?;
    let place = Place { tribunal, root: root.into(), time: Duration::from_secs(seconds) };
    let out = &mut std::io::stdout();
    writeln!(out, "wire   through Tribunal   bare, per second   ratio of each round; median")?;
    for case in CASES {
        let mut rows: Vec<(f64, f64)> = Vec::new();
        for round in 0..rounds {
            let bare_first = round % 2 == 1;
            let first = if bare_first { place.bare(&case)? } else { place.through(&case)? };
            let second = if bare_first { place.through(&case)? } else { place.bare(&case)? };
            rows.push(if bare_first { (second, first) } else { (first, second) });
        }
        let mut ratios: Vec<f64> = rows.iter().map(|(through, bare)| through / bare).collect();
        let each = ratios.iter().map(|it| format!("{it:.2}")).collect::<Vec<_>>().join(" ");
        let (through, bare): (Vec<f64>, Vec<f64>) = rows.into_iter().unzip();
        let (through, bare, ratio) = (median(through), median(bare), median(std::mem::take(&mut ratios)));
        writeln!(out, "{:<6} {through:>12.0} {bare:>18.0}         {each}; {ratio:.2}", case.wire)?;
    }
    Ok(())
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

struct Place {
    tribunal: PathBuf,
    root: PathBuf,
    time: Duration,
}

/// A process that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended
        let _ = self.0.wait();
    }
}

impl Place {
    /// Operations per second that succeeded in a run of Tribunal.
    fn through(&self, case: &Case) -> Result<f64> {
        let store = std::env::temp_dir().join(format!("overhead-{}", std::process::id()));
        let time = format!("{}s", self.time.as_secs());
        let mut run = Command::new(&self.tribunal);
        run.args([
            "run",
            "rw-register",
            "--nodes",
            "1",
            "--nemesis",
            "none",
            "--rate",
            "full",
            "--reads",
            "0.5",
        ]);
        run.args(["--no-fail-fast", "--quiet", "--concurrency", &CLIENTS.to_string(), "--time-limit", &time]);
        run.arg("--system").arg(format!("examples/own-system/{}", case.file)).arg("--store").arg(&store);
        let ended = run.current_dir(&self.root).output()?;
        let verdict = std::fs::read(store.join("latest/verdict.json")).unwrap_or_default();
        let _ = std::fs::remove_dir_all(&store); // it may have failed before there was one
        let verdict: serde_json::Value = serde_json::from_slice(&verdict).unwrap_or_default();
        let ok = verdict.pointer("/stats/tally/ok").and_then(serde_json::Value::as_u64);
        let ok = ok.ok_or_else(|| format!("no verdict: {}", String::from_utf8_lossy(&ended.stderr)))?;
        Ok(ok as f64 / self.time.as_secs_f64())
    }

    /// Operations per second of the bare load generator.
    fn bare(&self, case: &Case) -> Result<f64> {
        let at = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let words = (case.server)(at);
        let mut server = self.script(&words[0]);
        let _server = Running(server.args(&words[1..]).stdout(Stdio::null()).spawn()?);
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(at).is_err() {
            if Instant::now() > deadline {
                return Err("the server does not listen".into());
            }
            sleep(Duration::from_millis(20));
        }
        let done = match case.bare {
            Bare::Exchange(exchange) => self.exchanges(at, exchange)?,
            Bare::Program(name) => {
                let (clients, seconds) = (CLIENTS.to_string(), self.time.as_secs().to_string());
                let ended = self.script(name).args([&at.to_string(), &clients, &seconds]).output()?;
                String::from_utf8(ended.stdout)?.trim().parse()?
            }
        };
        Ok(done as f64 / self.time.as_secs_f64())
    }

    fn script(&self, name: &str) -> Command {
        Command::new(self.root.join("examples/own-system").join(name))
    }

    /// How many operations the clients do until the time is up.
    fn exchanges(
        &self,
        at: SocketAddr,
        exchange: fn(&mut Option<BufReader<TcpStream>>, SocketAddr, &Operation) -> Result<()>,
    ) -> Result<u64> {
        let is_over = AtomicBool::new(false);
        scope(|scope| {
            let client = |number: usize| {
                let is_over = &is_over;
                move || {
                    let (mut connection, mut done) = (None, 0);
                    while !is_over.load(Ordering::Relaxed) {
                        // A third of the clients only read, and the others half of the time.
                        let reads = number.is_multiple_of(3) || done % 2 == 0;
                        let value = (!reads).then_some(done * CLIENTS as u64 + number as u64);
                        exchange(&mut connection, at, &Operation { key: done % KEYS, value })?;
                        done += 1;
                    }
                    Ok(done)
                }
            };
            let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(client(number))).collect();
            sleep(self.time);
            is_over.store(true, Ordering::Relaxed);
            clients.into_iter().map(|client| client.join().expect("it does not panic")).sum()
        })
    }
}

fn connected(at: SocketAddr) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(at)?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

fn line(from: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    match from.read_line(&mut line)? {
        0 => Err("the connection ended".into()),
        _ => Ok(line.trim_end().to_string()),
    }
}

/// One command of the Redis protocol, on a connection that is kept.
fn resp(connection: &mut Option<BufReader<TcpStream>>, at: SocketAddr, it: &Operation) -> Result<()> {
    let key = format!("k{}", it.key);
    let all = match it.value {
        Some(value) => vec!["SET".into(), key, value.to_string()],
        None => vec!["GET".to_string(), key],
    };
    let all: String = [format!("*{}\r\n", all.len())]
        .into_iter()
        .chain(all.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())))
        .collect();
    let mut stream = connection.take().map_or_else(|| connected(at), Ok)?;
    stream.get_mut().write_all(all.as_bytes())?;
    let head = line(&mut stream)?;
    if head.starts_with('$') && head != "$-1" {
        line(&mut stream)?;
    }
    *connection = Some(stream);
    Ok(())
}

/// One HTTP request. Tribunal has a connection for each, and so has this.
fn http(_: &mut Option<BufReader<TcpStream>>, at: SocketAddr, it: &Operation) -> Result<()> {
    let (method, body) = match it.value {
        Some(value) => ("PUT", format!("{{\"value\": {value}}}")),
        None => ("GET", String::new()),
    };
    let (key, length) = (it.key, body.len());
    let mut stream = connected(at)?;
    let head = format!("{method} /k{key} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n");
    let request = format!("{head}content-length: {length}\r\n\r\n{body}");
    stream.get_mut().write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    match answer.starts_with(b"HTTP/1.1 ") {
        true => Ok(()),
        false => Err("no answer of HTTP".into()),
    }
}
