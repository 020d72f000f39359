//! Connects to nodes, and checks who listens at a node's port.
//!
//! While a node is down, another process of the machine may listen on its port, and its responses would be
//! taken for the node's. So every connection to a node, of a client or of a proxy, is checked before a byte
//! is sent on it:
//!
//! ```text
//!   connected to 127.0.0.1:10007      the kernel (netlink)             /proc of our own children
//!          └────────────────────────▶ its listener is inode 8812 ────▶ held by process 4711: n3
//! ```
//!
//! Each listener of a node is looked up once: an inode belongs to one socket for as long as the socket
//! exists. A connection to a foreign listener is closed and reported ([`HarnessFailures`]): it is a failure
//! of the trial, not a response of the system under test.
//!
//! Between network namespaces no check is needed: a node is alone in its namespace.

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    net::{TcpSocket, TcpStream},
    spawn,
    task::spawn_blocking,
    time::sleep,
};

use crate::{
    NodeId,
    links::{harness_failures::HarnessFailures, sock_diag},
    lock::locked,
    processes::{
        family,
        holders::{Holders, sockets},
    },
};

/// Number of look-ups of a foreign listener, and the pause between them. A node that has just started may
/// listen before its process is known, and a killed process may take a while to disappear.
const LOOKUPS_MAX: usize = 10;
const LOOKUP_PAUSE: Duration = Duration::from_millis(20);

/// Who listens at a node's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listener {
    /// The node, or the proxy in front of it.
    Node,
    Nobody,
    /// Another process, described.
    Foreign(String),
}

/// Opens connections to nodes.
#[derive(Debug)]
pub(crate) struct NodeConnector {
    holders: Arc<Holders>,
    pub(crate) failures: Arc<HarnessFailures>,
    /// Whether nodes share a network namespace with other processes.
    shared_namespace: bool,
    /// Inodes that were found to be listeners of a node.
    known: Mutex<HashSet<(NodeId, u64)>>,
}

impl NodeConnector {
    pub(crate) fn new(holders: Arc<Holders>, shared_namespace: bool) -> NodeConnector {
        NodeConnector { holders, failures: Arc::default(), shared_namespace, known: Mutex::default() }
    }

    /// Connects to a port of `node`, with a socket that `prepare` has configured, and checks that the node
    /// listens there. Failures of this machine, and foreign listeners, are also reported as harness failures.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        node: NodeId,
        address: SocketAddr,
        prepare: impl FnOnce(&TcpSocket) -> io::Result<()> + Send,
    ) -> io::Result<TcpStream> {
        let connect = async {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            prepare(&socket)?;
            socket.connect(address).await
        };
        let stream = connect.await.inspect_err(|error| {
            self.failures.report_if_local(error, || format!("cannot connect to {node} at {address}"));
        })?;
        match self.listener(node, address).await? {
            Listener::Node => Ok(stream),
            // The node went down after it had accepted.
            Listener::Nobody => Err(io::ErrorKind::ConnectionReset.into()),
            Listener::Foreign(who) => Err(io::Error::other(who)),
        }
    }

    /// Who listens at an address now. A foreign listener is also reported as a harness failure.
    ///
    /// # Errors
    /// When the kernel does not tell; this is reported as a harness failure, too.
    pub(crate) async fn listener(
        self: &Arc<Self>,
        node: NodeId,
        address: SocketAddr,
    ) -> io::Result<Listener> {
        if !self.shared_namespace || !self.holders.follows(node) {
            return Ok(Listener::Node);
        }
        match self.look(node, address).await {
            Ok(Listener::Foreign(_)) => {
                // Spawned, so that the look-up finishes even if the client stops waiting.
                let connector = self.clone();
                spawn(async move { connector.look_again(node, address).await })
                    .await
                    .map_err(io::Error::other)?
            }
            found => found,
        }
    }

    async fn look_again(&self, node: NodeId, address: SocketAddr) -> io::Result<Listener> {
        for _ in 1..LOOKUPS_MAX {
            sleep(LOOKUP_PAUSE).await;
            match self.look(node, address).await? {
                Listener::Foreign(_) => {}
                other => return Ok(other),
            }
        }
        let found = self.look(node, address).await?;
        if let Listener::Foreign(who) = &found {
            self.failures.report(who.clone());
        }
        Ok(found)
    }

    async fn look(&self, node: NodeId, address: SocketAddr) -> io::Result<Listener> {
        let end = sock_diag::listener(address).inspect_err(|error| {
            self.failures.report(format!("cannot learn who listens at {address}: {error}"));
        })?;
        let Some(end) = end else { return Ok(Listener::Nobody) };
        let key = (node, end.inode);
        let known = || locked(&self.known);
        if known().contains(&key) || self.holders.by_cgroup(&end) == Some(node) {
            return Ok(Listener::Node);
        }
        let holders = self.holders.clone();
        // Reads files of /proc: some microseconds, more if a node has thousands of open files.
        let look = move || {
            let own = std::process::id() as i32;
            if holders.holder_of(end.inode) == Some(node) || sockets(own).any(|inode| inode == end.inode) {
                return Listener::Node;
            }
            let who = match family::holder(end.inode) {
                // A daemon that has dropped everything it inherited, but descends from this process.
                Some((pid, _)) if family::is_stray(pid) => return Listener::Node,
                Some((pid, name)) => format!("process {pid} ({name})"),
                None => "a process that cannot be seen".to_owned(),
            };
            Listener::Foreign(format!(
                "{address} is the port of {node}, and {who} of user {} listens there: it is no process of {node}",
                end.uid
            ))
        };
        let found = spawn_blocking(look).await.map_err(io::Error::other)?;
        if found == Listener::Node {
            known().insert(key);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        process::{Child, Command, Stdio},
    };

    use tokio::{net::TcpListener, sync::watch};

    use super::*;

    const N1: NodeId = NodeId(0);

    /// A process that listens, and its address.
    struct Server(Child, SocketAddr);

    impl Server {
        fn start() -> Option<Server> {
            let script = "import socket,time\ns=socket.create_server(('127.0.0.1',0))\n\
                          print(s.getsockname()[1],flush=True)\ntime.sleep(600)";
            let mut child = Command::new("python3")
                .args(["-c", script])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .inspect_err(|_| eprintln!("skipped: python3 is not installed"))
                .ok()?;
            let mut line = String::new();
            let said = BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line);
            said.expect("it says its port");
            let address = SocketAddr::from(([127, 0, 0, 1], line.trim().parse().expect("a port")));
            Some(Server(child, address))
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn connector(node: Option<u32>) -> Arc<NodeConnector> {
        let holders = Arc::new(Holders::of(1));
        holders.follow(N1, watch::Sender::new(node).subscribe());
        Arc::new(NodeConnector::new(holders, true))
    }

    async fn connect(connector: &Arc<NodeConnector>, address: SocketAddr) -> io::Result<TcpStream> {
        connector.connect(N1, address, |_| Ok(())).await
    }

    #[tokio::test]
    async fn a_foreign_listener_at_a_node_s_port_is_detected() {
        let Some(server) = Server::start() else { return };
        let node = connector(Some(server.0.id()));
        connect(&node, server.1).await.expect("it is the node");
        assert_eq!(node.failures.first_now(), None);

        // The node is down, or another process: in both cases the listener is foreign.
        let Some(other) = Server::start() else { return };
        for pid in [None, Some(other.0.id())] {
            let down = connector(pid);
            let error = connect(&down, server.1).await.expect_err("a stranger").to_string();
            let pid = server.0.id();
            let expected = format!("{} is the port of n1, and process {pid} (python3", server.1);
            assert!(error.starts_with(&expected), "{error}");
            assert_eq!(down.failures.first_now(), Some(error));
        }

        // Our own proxy in front of the node.
        let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a loopback listener");
        let down = connector(None);
        connect(&down, proxy.local_addr().expect("bound")).await.expect("it is our own");

        let address = server.1;
        drop(server);
        let error = connect(&node, address).await.expect_err("nobody is there");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(node.failures.first_now(), None);
    }
}
