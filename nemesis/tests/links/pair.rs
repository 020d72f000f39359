//! Two nodes joined by links, with short functions for sending and receiving.

use std::{io::ErrorKind, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tribunal_nemesis::{Links, NodeId};

pub(crate) const N1: NodeId = NodeId(0);
pub(crate) const N2: NodeId = NodeId(1);
/// Time limit after which a test counts as hanging.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(60);

/// Two nodes; n2 listens, n1 connects.
pub(crate) struct Pair {
    pub(crate) links: Arc<Links>,
    n2: TcpListener,
}

impl Pair {
    pub(crate) async fn open() -> Pair {
        let links = Arc::new(Links::open(2).expect("loopback listeners"));
        let n2 = TcpListener::bind("127.0.0.1:0").await.expect("a loopback listener");
        links.set_upstream(N2, n2.local_addr().expect("bound"));
        Pair { links, n2 }
    }

    pub(crate) async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.links.dial_address(N1, N2)).await.expect("the proxy accepts always")
    }

    pub(crate) async fn accept(&self) -> TcpStream {
        timeout(WATCHDOG, self.n2.accept()).await.expect("a connection arrives").expect("an accept").0
    }

    /// Both ends of a connection that the proxy has counted as established.
    pub(crate) async fn connection(&self) -> (TcpStream, TcpStream) {
        let earlier = self.links.counters(N1, N2).connections_carried;
        let ends = (self.dial().await, self.accept().await);
        eventually(|| self.links.counters(N1, N2).connections_carried > earlier).await;
        ends
    }

    /// A reset link accepts and resets at once: either connecting or reading reports it first.
    pub(crate) async fn dial_is_reset(&self, from: NodeId, to: NodeId) {
        match TcpStream::connect(self.links.dial_address(from, to)).await {
            Ok(mut stream) => hear_reset(&mut stream).await,
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }

    pub(crate) async fn withheld(&self, from: NodeId, to: NodeId, bytes: u64) {
        eventually(|| self.links.counters(from, to).bytes_withheld >= bytes).await;
        assert_eq!(self.links.counters(from, to).bytes_withheld, bytes);
    }

    /// The proxy counts bytes after writing them, so the receiver may be a moment earlier.
    pub(crate) async fn carried(&self, from: NodeId, to: NodeId, bytes: u64) {
        eventually(|| self.links.counters(from, to).bytes_carried >= bytes).await;
        assert_eq!(self.links.counters(from, to).bytes_carried, bytes);
    }

    pub(crate) async fn no_connections_left(self) {
        eventually(|| self.links.connections() == 0).await;
        self.links.close().await;
    }
}

pub(crate) async fn eventually(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(WATCHDOG, wait).await.expect("what the test waits for happens");
}

pub(crate) async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.expect("a write");
}

pub(crate) async fn hear(stream: &mut TcpStream, text: &str) {
    let mut heard = vec![0; text.len()];
    timeout(WATCHDOG, stream.read_exact(&mut heard)).await.expect("bytes arrive").expect("a read");
    assert_eq!(String::from_utf8_lossy(&heard), text);
}

pub(crate) async fn hear_end(stream: &mut TcpStream) {
    let read = timeout(WATCHDOG, stream.read(&mut [0; 16])).await.expect("an end arrives");
    assert_eq!(read.expect("an orderly end"), 0);
}

pub(crate) async fn hear_reset(stream: &mut TcpStream) {
    let read = timeout(WATCHDOG, stream.read(&mut [0; 16])).await.expect("a reset arrives");
    assert_eq!(read.expect_err("a reset").kind(), ErrorKind::ConnectionReset);
}

pub(crate) fn hears_nothing(stream: &TcpStream) {
    assert_eq!(stream.try_read(&mut [0; 16]).expect_err("nothing to read").kind(), ErrorKind::WouldBlock);
}
