//! Whose is the port that was dialled?
//!
//! A node's port is a number that the machine lends. While the node is down a process that has nothing to do with the run may
//! listen there, and what it answers would be taken for the node's. So every connection to a node, a client's or a proxy's, is
//! looked at before a byte is sent on it:
//!
//! ```text
//!   connected to 127.0.0.1:10007      the kernel (netlink)             /proc of our own children
//!          └────────────────────────▶ its listener is inode 8812 ────▶ held by process 4711: n3
//! ```
//!
//! A listener that was found to be the node's is not looked for again: an inode is a socket's for as long as the socket lives.
//! A stranger's connection is given up, and the run is told ([`Troubles`]): it is a failure of the trial and no answer of the
//! system under test.
//!
//! Between network namespaces nothing is looked at: nobody but the node is in its own.

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
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
    links::{sock_diag, troubles::Troubles},
    processes::{
        family,
        holders::{Holders, sockets},
    },
};

/// How often a stranger is looked at, and the pause between: a node that has just been started may listen before it is known
/// which process it is, and the last of a killed one may take a while to go.
const LOOKS_MAX: usize = 10;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Who listens at a node's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listener {
    /// The node, or the proxy before it.
    Node,
    Nobody,
    /// Another process, in words.
    Stranger(String),
}

/// Opens the connections to nodes.
#[derive(Debug)]
pub(crate) struct Doors {
    holders: Arc<Holders>,
    pub(crate) troubles: Arc<Troubles>,
    /// Whether a stranger can be there at all.
    shared: bool,
    /// The listeners that were found to be the node's.
    known: Mutex<HashSet<(NodeId, u64)>>,
}

impl Doors {
    pub(crate) fn new(holders: Arc<Holders>, shared: bool) -> Doors {
        Doors { holders, troubles: Arc::default(), shared, known: Mutex::default() }
    }

    /// Connects to a port of `node`, by a socket that `prepare` has seen, and makes sure that the node is there. What fails for a
    /// reason of this machine, and a stranger, are troubles, too.
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
            self.troubles.see(error, || format!("cannot connect to {node} at {address}"));
        })?;
        match self.listener(node, address).await? {
            Listener::Node => Ok(stream),
            // It went down after it had accepted.
            Listener::Nobody => Err(io::ErrorKind::ConnectionReset.into()),
            Listener::Stranger(who) => Err(io::Error::other(who)),
        }
    }

    /// Who listens there now. A stranger is a trouble.
    ///
    /// # Errors
    /// When the kernel does not say; that is a trouble, too.
    pub(crate) async fn listener(
        self: &Arc<Self>,
        node: NodeId,
        address: SocketAddr,
    ) -> io::Result<Listener> {
        if !self.shared || !self.holders.follows(node) {
            return Ok(Listener::Node);
        }
        match self.look(node, address).await {
            Ok(Listener::Stranger(_)) => {
                // A client that does not wait for it hides no stranger.
                let doors = self.clone();
                spawn(async move { doors.look_again(node, address).await }).await.map_err(io::Error::other)?
            }
            found => found,
        }
    }

    async fn look_again(&self, node: NodeId, address: SocketAddr) -> io::Result<Listener> {
        for _ in 1..LOOKS_MAX {
            sleep(LOOK_AGAIN).await;
            match self.look(node, address).await? {
                Listener::Stranger(_) => {}
                other => return Ok(other),
            }
        }
        let found = self.look(node, address).await?;
        if let Listener::Stranger(who) = &found {
            self.troubles.report(who.clone());
        }
        Ok(found)
    }

    async fn look(&self, node: NodeId, address: SocketAddr) -> io::Result<Listener> {
        let end = sock_diag::listener(address).inspect_err(|error| {
            self.troubles.report(format!("cannot learn who listens at {address}: {error}"));
        })?;
        let Some(end) = end else { return Ok(Listener::Nobody) };
        let key = (node, end.inode);
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(&key) || self.holders.by_cgroup(&end) == Some(node) {
            return Ok(Listener::Node);
        }
        let holders = self.holders.clone();
        // Files of /proc are read: some microseconds, but more if a node has thousands of them open.
        let look = move || {
            let own = std::process::id() as i32;
            if holders.holder_of(end.inode) == Some(node) || sockets(own).any(|inode| inode == end.inode) {
                return Listener::Node;
            }
            let who = match family::holder(end.inode) {
                // A daemon that has dropped all that it inherited, but descends from this process.
                Some((pid, _)) if family::is_stray(pid) => return Listener::Node,
                Some((pid, name)) => format!("process {pid} ({name})"),
                None => "a process that cannot be seen".to_owned(),
            };
            Listener::Stranger(format!(
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

    /// A process that listens, and where.
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

    fn doors(node: Option<u32>) -> Arc<Doors> {
        let holders = Arc::new(Holders::of(1));
        holders.follow(N1, watch::Sender::new(node).subscribe());
        Arc::new(Doors::new(holders, true))
    }

    async fn connect(doors: &Arc<Doors>, address: SocketAddr) -> io::Result<TcpStream> {
        doors.connect(N1, address, |_| Ok(())).await
    }

    #[tokio::test]
    async fn who_listens_at_a_node_s_port_is_known() {
        let Some(server) = Server::start() else { return };
        let node = doors(Some(server.0.id()));
        connect(&node, server.1).await.expect("it is the node");
        assert_eq!(node.troubles.first_now(), None);

        // The node is down, or another process, and the one at the port has nothing to do with it.
        let Some(other) = Server::start() else { return };
        for pid in [None, Some(other.0.id())] {
            let down = doors(pid);
            let error = connect(&down, server.1).await.expect_err("a stranger").to_string();
            let pid = server.0.id();
            let expected = format!("{} is the port of n1, and process {pid} (python3", server.1);
            assert!(error.starts_with(&expected), "{error}");
            assert_eq!(down.troubles.first_now(), Some(error));
        }

        // A proxy of ours stands before the node.
        let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a loopback listener");
        let down = doors(None);
        connect(&down, proxy.local_addr().expect("bound")).await.expect("it is our own");

        let address = server.1;
        drop(server);
        let error = connect(&node, address).await.expect_err("nobody is there");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(node.troubles.first_now(), None);
    }
}
