//! Measures what attribution costs: the time from connecting to the first byte back. Compares a direct
//! connection, a proxy that knows the node by its address, and proxies that have to find it by open files or
//! by cgroup.
//!
//! ```text
//! cargo run --release -p tribunal-nemesis --example attribution_cost
//! ```

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tribunal_nemesis::{Links, NodeId};

const CONNECTIONS: usize = 5_000;
const ROUNDS: usize = 5;

fn main() -> std::io::Result<()> {
    let (from, to) = (NodeId(0), NodeId(1));
    let mapped = Links::open(5)?;
    let attributed = Links::open_attributed(5)?;
    let real = echo()?;
    // This process connects, so it gets as many open files as a server has.
    let (attributed_pid, pids) = watch::channel(Some(std::process::id()));
    let _open = (0..64).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    attributed.follow(from, pids);
    let by_cgroup = Links::open_attributed(5)?;
    match own_cgroup() {
        Some(id) => by_cgroup.set_cgroup(from, id),
        None => eprintln!("no cgroups of version 2 here: the last line is as the one before"),
    }
    by_cgroup.follow(from, attributed_pid.subscribe());
    let mut ways = [
        ("directly", real, Vec::new()),
        ("address map", mapped.dial_address(from, to), Vec::new()),
        ("attributed by open files", attributed.dial_address(from, to), Vec::new()),
        ("attributed by cgroup", by_cgroup.dial_address(from, to), Vec::new()),
    ];
    for links in [&mapped, &attributed, &by_cgroup] {
        links.set_upstream(to, real);
    }
    for _ in 0..ROUNDS {
        for (_, address, times) in &mut ways {
            for _ in 0..CONNECTIONS / ROUNDS {
                times.push(first_byte(*address)?);
            }
        }
    }
    let mut out = std::io::stdout();
    writeln!(out, "| {CONNECTIONS} connections | p50 µs | p99 µs |\n|---|---|---|")?;
    for (way, _, mut times) in ways {
        times.sort();
        let at = |share: usize| times[times.len() * share / 100].as_micros();
        writeln!(out, "| {way} | {} | {} |", at(50), at(99))?;
    }
    for links in [&attributed, &by_cgroup] {
        assert_eq!(links.counters(from, to).connections_carried, CONNECTIONS as u64);
        assert_eq!(links.outside_connections(), None);
    }
    Ok(())
}

/// The id of this process's cgroup (of version 2): the inode of its directory.
fn own_cgroup() -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let path = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = path.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mounted = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(|at| format!("{at}{path}/cgroup.procs"));
    let procs = mounted.iter().map(std::path::Path::new).find(|procs| procs.exists())?;
    Some(procs.parent()?.metadata().ok()?.ino())
}

fn first_byte(address: SocketAddr) -> std::io::Result<Duration> {
    let start = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"?")?;
    stream.read_exact(&mut [0])?;
    Ok(start.elapsed())
}

/// A server that echoes the first byte of every connection.
fn echo() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut byte = [0];
            let _ = stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte));
        }
    });
    Ok(address)
}
