//! Measures what a proxied link costs, against a direct loopback connection, and against HAProxy (TCP mode)
//! and socat if they are installed. All run in one process, because only the ratios mean anything.
//!
//! `cargo bench -p tribunal-nemesis --bench proxy` takes some minutes and prints the table of docs/proxy.md.
//! `-- --quick` prints a rough table.
//!
//! The contenders take turns within each round, so background load hits all of them. A figure is the median
//! of the rounds. Server and clients are threads of this process. Processor time is what the kernel counted
//! while the connections were open: for the threads of our proxy, or for the processes of the others.
#![allow(clippy::print_stdout, reason = "a table is what it is for")]

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tribunal_nemesis::{Links, NodeId};

const NODES: usize = 5;
/// Threads of HAProxy. Our proxy has one.
const THREADS: usize = 2;
/// One connection in each direction on every link, and some more.
const STREAMS: usize = NODES * NODES;
const IDLE: usize = 1000;

/// A path from clients to the server, with a counter of the processor time of the proxy on it.
struct Route {
    name: &'static str,
    /// Addresses that clients connect to, in turn.
    addresses: Vec<SocketAddr>,
    cpu: Box<dyn Fn() -> Duration>,
    process: Option<Child>,
}

impl Drop for Route {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let (scale, rounds) = if quick { (1, 3) } else { (2, 5) };
    let server = Server::start();
    let links = Links::open(NODES).expect("loopback listeners");
    let nodes = || (0..NODES).map(NodeId);
    nodes().for_each(|node| links.set_upstream(node, server.0));
    let pairs = nodes().flat_map(|from| nodes().map(move |to| (from, to))).filter(|(from, to)| from != to);
    let ours: Vec<SocketAddr> = pairs.map(|(from, to)| links.dial_address(from, to)).collect();
    let count = ours.len();
    let none = || Box::new(|| Duration::ZERO) as Box<dyn Fn() -> Duration>;
    let mut routes = vec![
        Route { name: "direct", addresses: vec![server.0], cpu: none(), process: None },
        Route { name: "tribunal", addresses: ours, cpu: Box::new(own_proxy_time), process: None },
    ];
    routes.extend(haproxy(server.0, count));
    routes.extend(socat(server.0));

    println!("| | {} |", routes.iter().map(|route| route.name).collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "--:|".repeat(routes.len()));
    let mebi = scale << 20;
    for (name, connections, message, bytes) in [
        ("one stream, 256 KiB writes", 1, 256 << 10, 192 * mebi),
        ("one stream, 1 KiB writes", 1, 1 << 10, 32 * mebi),
        ("25 streams over 20 links, 64 KiB writes", STREAMS, 64 << 10, 12 * mebi),
        ("25 streams over 20 links, 1 KiB writes", STREAMS, 1 << 10, 2 * mebi),
    ] {
        rows(name, ["throughput, GiB/s", "processor time, s/GiB"], &routes, rounds, |route| {
            stream(route, connections, bytes, message)
        });
    }
    for (name, size) in [("round trip of 100 B", 100), ("round trip of 10 kB", 10_000)] {
        let trips = 1000 * scale as usize;
        rows(name, ["p50, µs", "p99, µs"], &routes, rounds, |route| {
            round_trips(route.addresses[0], trips, size)
        });
    }
    let seconds = if quick { 1 } else { 5 };
    rows("1000 idle connections", ["processor, % of a core", ""], &routes, 1, |route| {
        [idle(route, Duration::from_secs(seconds)), f64::NAN]
    });
}

/// Measures two figures of every route in each round, and prints the medians.
fn rows(name: &str, units: [&str; 2], routes: &[Route], rounds: usize, measure: impl Fn(&Route) -> [f64; 2]) {
    let mut figures = vec![[const { Vec::new() }; 2]; routes.len()];
    for _ in 0..rounds {
        for (route, figures) in routes.iter().zip(&mut figures) {
            for (figure, figures) in measure(route).into_iter().zip(figures) {
                figures.push(figure);
            }
        }
    }
    for (at, unit) in units.into_iter().enumerate().filter(|(_, unit)| !unit.is_empty()) {
        let medians = figures.iter_mut().map(|figures| {
            figures[at].sort_by(f64::total_cmp);
            figures[at][rounds / 2]
        });
        let cells: Vec<String> = medians.map(|figure| format!("{figure:.2}")).collect();
        println!("| {name}: {unit} | {} |", cells.join(" | "));
    }
}

/// Treats each connection by its first byte: `s` reads as many bytes as the next eight bytes say, then
/// answers; `e` echoes; `i` echoes from a small buffer.
struct Server(SocketAddr);

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback listener");
        let address = listener.local_addr().expect("bound");
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // There are a thousand of these threads, so their stacks must be small.
                let serve = thread::Builder::new().stack_size(64 << 10).spawn(move || serve(stream));
                serve.expect("a thread");
            }
        });
        Server(address)
    }
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut task = [0];
    stream.read_exact(&mut task)?;
    let mut left = [0; 8];
    if task == *b"s" {
        stream.read_exact(&mut left)?;
    }
    let mut left = u64::from_be_bytes(left);
    let mut buffer = vec![0; if task == *b"i" { 1 } else { 256 << 10 }];
    loop {
        match stream.read(&mut buffer)? as u64 {
            0 => return Ok(()),
            read if task == *b"s" => {
                left -= read;
                if left == 0 {
                    stream.write_all(b".")?;
                }
            }
            read => stream.write_all(&buffer[..read as usize])?,
        }
    }
}

fn dial(address: SocketAddr, task: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the route is up");
    stream.set_nodelay(true).expect("a socket");
    stream.write_all(task).expect("a write");
    stream
}

/// Throughput in GiB/s and processor time in s/GiB of `connections` streams of `bytes` each.
fn stream(route: &Route, connections: usize, bytes: u64, message: usize) -> [f64; 2] {
    let addresses = route.addresses.iter().cycle().take(connections);
    let bytes = bytes / message as u64 * message as u64;
    let task = [&b"s"[..], &bytes.to_be_bytes()].concat();
    let mut streams: Vec<TcpStream> = addresses.map(|&address| dial(address, &task)).collect();
    let (began, cpu) = (Instant::now(), (route.cpu)());
    thread::scope(|scope| {
        for stream in &mut streams {
            scope.spawn(move || {
                let message = vec![7; message];
                for _ in 0..bytes / message.len() as u64 {
                    stream.write_all(&message).expect("a write");
                }
                stream.read_exact(&mut [0]).expect("the last byte has arrived");
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let gib = (bytes * connections as u64) as f64 / (1 << 30) as f64;
    [gib / seconds, ((route.cpu)().saturating_sub(cpu)).as_secs_f64() / gib]
}

/// Median and 99th percentile of the round-trip time, in microseconds.
fn round_trips(address: SocketAddr, count: usize, size: usize) -> [f64; 2] {
    let mut stream = dial(address, b"e");
    let (message, mut answer) = (vec![7; size], vec![0; size]);
    let mut times: Vec<f64> = (0..count)
        .map(|_| {
            let began = Instant::now();
            stream.write_all(&message).expect("a write");
            stream.read_exact(&mut answer).expect("an echo");
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    [0.50, 0.99].map(|quantile| times[(quantile * (count - 1) as f64) as usize])
}

/// Share of a core, in percent, that idle connections cost the proxy.
fn idle(route: &Route, time: Duration) -> f64 {
    let addresses = route.addresses.iter().cycle().take(IDLE);
    let mut streams: Vec<TcpStream> = addresses.map(|&address| dial(address, b"i")).collect();
    for stream in &mut streams {
        if stream.write_all(b"?").and_then(|()| stream.read_exact(&mut [0])).is_err() {
            eprintln!("skipped: {} does not hold {IDLE} connections", route.name);
            return f64::NAN;
        }
    }
    let cpu = (route.cpu)();
    thread::sleep(time);
    (route.cpu)().saturating_sub(cpu).as_secs_f64() / time.as_secs_f64() * 100.0
}

/// Processor time of those threads of a process whose name satisfies the condition.
fn cpu_time(process: &str, named: impl Fn(&str) -> bool) -> Duration {
    let mut time = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if named(read("comm").trim()) {
            let on_cpu = read("schedstat").split(' ').next().and_then(|ns| ns.parse().ok());
            time += Duration::from_nanos(on_cpu.unwrap_or(0));
        }
    }
    time
}

fn own_proxy_time() -> Duration {
    cpu_time("self", |name| name == "tribunal-proxy")
}

/// Processor time of a process and of its children.
fn family_time(process: u32) -> Duration {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().map(|child| cpu_time(child, |_| true));
    children.sum::<Duration>() + cpu_time(&process.to_string(), |_| true)
}

fn free_ports(count: usize) -> Vec<SocketAddr> {
    let bind = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listeners: Vec<TcpListener> = (0..count).map(|_| bind()).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("bound")).collect()
}

/// The route through another program. Prints why if it cannot be measured.
fn other(name: &'static str, addresses: Vec<SocketAddr>, command: &[&str]) -> Option<Route> {
    let installed = Command::new(command[0]).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if let Err(why) = installed {
        eprintln!("skipped: {name} cannot be started: {why}");
        return None;
    }
    // Dies with this process, even if this process is killed.
    let mut mortal = Command::new("setpriv");
    mortal.args(["--pdeathsig", "KILL"]).args(command);
    let spawned = mortal.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut process = match spawned {
        Ok(process) => process,
        Err(why) => {
            eprintln!("skipped: {name} cannot be started: {why}");
            return None;
        }
    };
    let id = process.id();
    let up = addresses.iter().all(|address| {
        (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            TcpStream::connect(address).is_ok()
        })
    });
    if !up {
        eprintln!("skipped: {name} does not listen");
        let _ = process.kill();
        let _ = process.wait();
        return None;
    }
    Some(Route { name, addresses, cpu: Box::new(move || family_time(id)), process: Some(process) })
}

fn haproxy(server: SocketAddr, links: usize) -> Option<Route> {
    let addresses = free_ports(links);
    let mut config = format!(
        "global\n nbthread {THREADS}\n maxconn 5000\n\
         defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
    );
    for (at, address) in addresses.iter().enumerate() {
        config += &format!("listen link{at}\n bind {address}\n server node {server}\n");
    }
    let path = std::env::temp_dir().join(format!("haproxy-{}.cfg", std::process::id()));
    fs::write(&path, config).ok()?;
    let route = other("haproxy", addresses, &["haproxy", "-db", "-f", &path.to_string_lossy()]);
    let _ = fs::remove_file(&path);
    route
}

/// socat: one listener, which forks a process for each connection.
fn socat(server: SocketAddr) -> Option<Route> {
    let addresses = free_ports(1);
    let listen =
        format!("TCP-LISTEN:{},bind=127.0.0.1,reuseaddr,fork,nodelay,backlog=1024", addresses[0].port());
    let to = format!("TCP:{server},nodelay");
    other("socat", addresses, &["socat", "-b65536", &listen, &to])
}
