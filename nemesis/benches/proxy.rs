//! What a proxied link costs: against a direct loopback connection, and against HAProxy (TCP mode) and socat where they are
//! installed, all in one run, because only the ratios mean anything.
//!
//! `cargo bench -p tribunal-nemesis` (a minute), `-- --quick` for a look.
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

/// A way from a client to the server, and whose processor time it costs.
struct Route {
    name: &'static str,
    address: SocketAddr,
    cpu: Box<dyn Fn() -> Duration>,
    process: Option<Child>,
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let scale = if quick { 1 } else { 10 };
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("proxy")
        .enable_all()
        .build()
        .expect("a runtime");
    let links = runtime.block_on(Links::open(5)).expect("loopback listeners");
    links.set_upstream(NodeId(1), server.0);
    let ours = links.dial_address(NodeId(0), NodeId(1));
    let mut routes = vec![
        Route { name: "direct", address: server.0, cpu: Box::new(|| Duration::ZERO), process: None },
        Route { name: "tribunal", address: ours, cpu: Box::new(own_proxy_time), process: None },
    ];
    routes.extend(haproxy(server.0));
    routes.extend(socat(server.0));

    println!("{:<34}{}", "", routes.iter().map(|route| format!("{:>18}", route.name)).collect::<String>());
    let gib = |bytes: u64| bytes as f64 / (1 << 30) as f64;
    for (name, connections, message) in [
        ("stream, 256 KiB writes", 1, 256 << 10),
        ("stream, 4 KiB writes", 1, 4 << 10),
        ("25 streams, 64 KiB writes", 25, 64 << 10),
    ] {
        let bytes = scale * (128 << 20) / connections as u64;
        row(name, "GiB/s", &routes, |route| {
            let seconds = stream(route.address, connections, bytes, message);
            gib(bytes * connections as u64) / seconds
        });
    }
    for (name, size) in [("round trip, 100 B, p50", 100), ("round trip, 10 kB, p50", 10_000)] {
        row(name, "us", &routes, |route| round_trips(route.address, 2000 * scale as usize, size, 0.50));
    }
    row("round trip, 100 B, p99", "us", &routes, |route| {
        round_trips(route.address, 2000 * scale as usize, 100, 0.99)
    });
    row("processor time", "s/GiB", &routes, |route| {
        let (before, bytes) = ((route.cpu)(), scale * (128 << 20));
        stream(route.address, 1, bytes, 64 << 10);
        ((route.cpu)() - before).as_secs_f64() / gib(bytes)
    });
    for mut process in routes.into_iter().filter_map(|route| route.process) {
        let _ = process.kill();
        let _ = process.wait();
    }
    runtime.block_on(links.close());
}

/// Measures every route in turn, three times over, and prints the medians: what the machine does meanwhile hits all alike.
fn row(name: &str, unit: &str, routes: &[Route], measure: impl Fn(&Route) -> f64) {
    let mut figures = vec![Vec::new(); routes.len()];
    for _ in 0..3 {
        for (route, figures) in routes.iter().zip(&mut figures) {
            figures.push(measure(route));
        }
    }
    let medians = figures.into_iter().map(|mut figures| {
        figures.sort_by(f64::total_cmp);
        figures[1]
    });
    let medians: Vec<f64> = medians.collect();
    let cells = medians.iter().map(|&figure| match medians[0] {
        0.0 => format!("{figure:.2}"),
        direct => format!("{figure:.2} ({:.2})", figure / direct),
    });
    println!(
        "{:<34}{}",
        format!("{name}, {unit}"),
        cells.map(|cell| format!("{cell:>18}")).collect::<String>()
    );
}

/// Answers each connection by its first byte: `s` swallows the stream and says when it has ended, `e` echoes.
struct Server(SocketAddr);

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback listener");
        let address = listener.local_addr().expect("bound");
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || serve(stream));
            }
        });
        Server(address)
    }
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut task = [0];
    stream.read_exact(&mut task)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return stream.write_all(b".");
        }
        if task == *b"e" {
            stream.write_all(&buffer[..read])?;
        }
    }
}

fn dial(address: SocketAddr, task: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the route is up");
    stream.set_nodelay(true).expect("a socket");
    stream.write_all(task).expect("a write");
    stream
}

/// Seconds until `connections` streams of `bytes` each have arrived.
fn stream(address: SocketAddr, connections: usize, bytes: u64, message: usize) -> f64 {
    let streams: Vec<TcpStream> = (0..connections).map(|_| dial(address, b"s")).collect();
    let began = Instant::now();
    thread::scope(|scope| {
        for mut stream in streams {
            scope.spawn(move || {
                let message = vec![7; message];
                for _ in 0..bytes / message.len() as u64 {
                    stream.write_all(&message).expect("a write");
                }
                stream.shutdown(std::net::Shutdown::Write).expect("a socket");
                stream.read_exact(&mut [0]).expect("the last byte has arrived");
            });
        }
    });
    began.elapsed().as_secs_f64()
}

/// A quantile of the time that a message takes there and back, in microseconds.
fn round_trips(address: SocketAddr, count: usize, size: usize, quantile: f64) -> f64 {
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
    times[(quantile * (count - 1) as f64) as usize]
}

/// Time on a processor of the threads under `tasks` whose name satisfies the condition.
fn cpu_time(tasks: &str, named: impl Fn(&str) -> bool) -> Duration {
    let mut time = Duration::ZERO;
    for task in fs::read_dir(tasks).expect("Linux").flatten() {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if named(read("comm").trim()) {
            let on_cpu = read("schedstat").split(' ').next().and_then(|ns| ns.parse().ok());
            time += Duration::from_nanos(on_cpu.unwrap_or(0));
        }
    }
    time
}

fn own_proxy_time() -> Duration {
    cpu_time("/proc/self/task", |name| name == "proxy")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// The route through another program, if it is installed and comes up.
fn other(name: &'static str, port: u16, command: &mut Command) -> Option<Route> {
    let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    let (tasks, address) = (format!("/proc/{}/task", process.id()), SocketAddr::from(([127, 0, 0, 1], port)));
    let up = (0..200).any(|_| {
        thread::sleep(Duration::from_millis(10));
        TcpStream::connect(address).is_ok()
    });
    let route =
        Route { name, address, cpu: Box::new(move || cpu_time(&tasks, |_| true)), process: Some(process) };
    up.then_some(route)
}

fn haproxy(server: SocketAddr) -> Option<Route> {
    let port = free_port();
    let config = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
         listen link\n bind 127.0.0.1:{port}\n server node {server}\n"
    );
    let path = std::env::temp_dir().join(format!("haproxy-{port}.cfg"));
    fs::write(&path, config).ok()?;
    let route = other("haproxy", port, Command::new("haproxy").arg("-db").arg("-f").arg(&path));
    let _ = fs::remove_file(&path);
    route
}

fn socat(server: SocketAddr) -> Option<Route> {
    let port = free_port();
    let listen = format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,nodelay");
    other("socat", port, Command::new("socat").args(["-b65536", &listen, &format!("TCP:{server},nodelay")]))
}
