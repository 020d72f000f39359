//! One address for each node: the connecting process decides which link a connection belongs to.

use std::{
    io::Write,
    net::SocketAddr,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};
use tribunal_nemesis::{CutMode::Stall, Links, NodeCgroup, NodeId, remove_cgroup};

use crate::pair::{N1, N2, WATCHDOG, eventually, hear, hears_nothing, say};

const N3: NodeId = NodeId(2);

/// n1 and n3 are shells that connect; n2 is this process, and listens.
struct Cluster {
    links: Arc<Links>,
    n2: TcpListener,
    /// Kept alive, because it says which process n2 is.
    n2_pid: watch::Sender<Option<u32>>,
}

/// A process of a node, with its children; killed when dropped.
struct Shell {
    child: Child,
    _pid: watch::Sender<Option<u32>>,
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

impl Cluster {
    async fn open() -> Cluster {
        let links = Arc::new(Links::open_attributed(3).expect("loopback listeners"));
        let n2 = TcpListener::bind("127.0.0.1:0").await.expect("a loopback listener");
        links.set_upstream(N2, n2.local_addr().expect("bound"));
        let (pid, pids) = watch::channel(Some(std::process::id()));
        links.follow(N2, pids);
        Cluster { links, n2, n2_pid: pid }
    }

    /// The address of n2 that all nodes are told.
    fn proxy(&self) -> SocketAddr {
        assert_eq!(self.links.dial_address(N1, N2), self.links.dial_address(N3, N2));
        self.links.dial_address(N1, N2)
    }

    /// Starts `node`: a bash that runs `script`, in which `dial HOST PORT` opens a connection that echoes.
    fn shell(&self, node: NodeId, script: &str) -> Shell {
        let dial = "dial() { exec 3<>/dev/tcp/$1/$2; cat <&3 >&3; }";
        let mut child = Command::new("bash")
            .args(["-c", &format!("{dial}; read; {script}")])
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("bash is everywhere");
        let (pid, pids) = watch::channel(Some(child.id()));
        self.links.follow(node, pids);
        // The script starts only now, when its process is known.
        child.stdin.take().expect("piped").write_all(b"\n").expect("it reads");
        Shell { child, _pid: pid }
    }

    async fn accept(&self) -> TcpStream {
        timeout(WATCHDOG, self.n2.accept()).await.expect("a connection arrives").expect("an accept").0
    }
}

#[tokio::test]
async fn a_node_that_connects_before_its_process_is_known_is_recognised() {
    let cluster = Cluster::open().await;
    // For the moment this process, the parent of the connecting process, is not a node.
    cluster.n2_pid.send_replace(None);
    let dial = format!("exec 3<>/dev/tcp/127.0.0.1/{}; cat <&3 >&3", cluster.proxy().port());
    let child =
        Command::new("bash").args(["-c", &dial]).process_group(0).spawn().expect("bash is everywhere");
    let (_pid, pids) = watch::channel(Some(child.id()));
    let _shell = Shell { child, _pid: watch::channel(None).0 };
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    cluster.links.follow(N3, pids);
    let mut end = cluster.accept().await;
    say(&mut end, "n3's").await;
    hear(&mut end, "n3's").await;
    eventually(|| cluster.links.counters(N3, N2).bytes_carried == 4).await;
    assert!(cluster.links.outside_connections().is_none());
}

#[tokio::test]
async fn both_directions_belong_to_the_links_of_the_connecting_node() {
    let cluster = Cluster::open().await;
    let port = cluster.proxy().port();
    for (node, script) in [
        (N1, format!("dial 127.0.0.1 {port}")),
        // An IPv6 socket that uses IPv4, in a process that the node forked.
        (N3, format!("(dial ::ffff:127.0.0.1 {port}) & wait")),
    ] {
        let _shell = cluster.shell(node, &script);
        let mut end = cluster.accept().await;
        say(&mut end, "there").await;
        hear(&mut end, "there").await;
        let carried = |from, to| cluster.links.counters(from, to).bytes_carried;
        eventually(|| (carried(N2, node), carried(node, N2)) == (5, 5)).await;

        // Only the direction to the node is cut, although the node opened the connection.
        cluster.links.cut(N2, node, Stall);
        say(&mut end, "lost").await;
        eventually(|| cluster.links.counters(N2, node).bytes_withheld == 4).await;
        hears_nothing(&end);
        cluster.links.heal(N2, node);
        hear(&mut end, "lost").await;
        cluster.links.cut(node, N2, Stall);
        say(&mut end, "back").await;
        eventually(|| cluster.links.counters(node, N2).bytes_withheld == 4).await;
        hears_nothing(&end);
        cluster.links.heal(node, N2);
        hear(&mut end, "back").await;
    }
    assert_eq!(cluster.links.counters(N1, N2).connections_carried, 1);
    assert_eq!(cluster.links.counters(N3, N2).connections_carried, 1);
    assert_eq!(cluster.links.outside_connections(), None);
}

#[tokio::test]
async fn an_outside_connection_is_carried_and_counted() {
    let cluster = Cluster::open().await;
    cluster.links.cut(N1, N2, Stall);
    cluster.links.cut(N3, N2, Stall);
    let port = cluster.proxy().port();
    // Neither this process nor its parent belongs to a node.
    cluster.n2_pid.send_replace(None);
    let mut stranger = Command::new("bash")
        .args(["-c", &format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo -n hello >&3; read -r -u 3")])
        .process_group(0)
        .spawn()
        .expect("bash is everywhere");
    let mut end = cluster.accept().await;
    hear(&mut end, "hello").await;
    let (connections, first) = cluster.links.outside_connections().expect("it was counted");
    assert_eq!(connections, 1);
    assert!(first.contains(" dialled n2 from 127.0.0.1:"), "{first}");
    stranger.kill().expect("it runs");
    stranger.wait().expect("it ends");
}

/// A cgroup, removed with all its processes when dropped.
struct Confined(NodeCgroup);

impl Drop for Confined {
    fn drop(&mut self) {
        let _ = remove_cgroup(self.0.path());
    }
}

#[tokio::test]
async fn a_daemon_is_recognised_by_its_cgroup() {
    let name = format!("tribunal-{}-attributed", std::process::id());
    let cgroup = match NodeCgroup::make(&name, |_| {}) {
        Ok(cgroup) => Confined(cgroup),
        Err(why) => {
            assert!(std::env::var("TRIBUNAL_NO_SKIP").as_deref() != Ok("all"), "{why}");
            eprintln!("skipped: {why}");
            return;
        }
    };
    let cluster = Cluster::open().await;
    // A daemon, forked twice, with its own session; it connects again whenever its connection is closed.
    let port = cluster.proxy().port();
    let daemon = format!("while exec 3<>/dev/tcp/127.0.0.1/{port}; do cat <&3 >&3; done");
    let enter = format!("echo $$ > {}/cgroup.procs", cgroup.0.path().display());
    let _shell = cluster.shell(N3, &format!("{enter}; (setsid bash -c '{daemon}' &); sleep 1000"));
    let mut end = cluster.accept().await;
    say(&mut end, "whose?").await;
    hear(&mut end, "whose?").await;
    assert_eq!(cluster.links.outside_connections().map(|(connections, _)| connections), Some(1));

    cluster.links.set_cgroup(N3, cgroup.0.id());
    drop(end);
    let mut end = cluster.accept().await;
    say(&mut end, "n3's").await;
    hear(&mut end, "n3's").await;
    eventually(|| cluster.links.counters(N3, N2).bytes_carried == 4).await;
    assert_eq!(
        cluster.links.outside_connections().map(|(connections, _)| connections),
        Some(1),
        "no further one"
    );
    let processes = cgroup.0.processes();
    assert!(processes.len() >= 3, "the shell, the daemon and its cat: {processes:?}");
    remove_cgroup(cgroup.0.path()).expect("it can be removed, with whoever is in it");
    assert!(!cgroup.0.path().exists());
}

#[tokio::test]
async fn a_process_that_is_gone_before_the_lookup_crosses_no_cut() {
    let cluster = Cluster::open().await;
    cluster.links.cut(N1, N2, Stall);
    // n2's own process plays a process that is gone: usually everything is closed before the proxy looks. If
    // the proxy was faster, it has carried the connection from n2 to itself.
    let withheld = || cluster.links.counters(N1, N2).connections_withheld == 1;
    while !withheld() {
        let gone = std::net::TcpStream::connect(cluster.proxy()).expect("the proxy listens");
        std::io::Write::write_all(&mut &gone, b"never").expect("a write");
        drop(gone);
        tokio::select! {
            () = eventually(withheld) => {}
            seen = cluster.accept() => drop(seen),
        }
    }
    eventually(|| cluster.links.connections() == 0).await;
    // If nothing is cut, the bytes arrive.
    cluster.links.heal_all();
    let gone = std::net::TcpStream::connect(cluster.proxy()).expect("the proxy listens");
    std::io::Write::write_all(&mut &gone, b"hello").expect("a write");
    drop(gone);
    hear(&mut cluster.accept().await, "hello").await;
}

#[tokio::test]
async fn a_bypass_is_found_and_named() {
    let cluster = Cluster::open().await;
    let real = cluster.n2.local_addr().expect("bound");
    {
        // This process, which has the proxies, is not a node for the moment.
        cluster.n2_pid.send_replace(None);
        let _honest = cluster.shell(N3, &format!("dial 127.0.0.1 {}", cluster.proxy().port()));
        let _end = cluster.accept().await;
        assert_eq!(cluster.links.bypasses().expect("the kernel answers"), []);
    }
    // Waits until n3's process is gone. Otherwise its connection would count as one to n2, which this process
    // is again.
    eventually(|| cluster.links.connections() == 0).await;
    cluster.n2_pid.send_replace(Some(std::process::id()));
    let _leaking = cluster.shell(N1, &format!("(dial 127.0.0.1 {}) & wait", real.port()));
    let end = cluster.accept().await;
    let from = end.peer_addr().expect("connected");
    let found = cluster.links.bypasses().expect("the kernel answers");
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [format!("n1 ({from}) speaks to n2 ({real}) directly")]
    );
}
