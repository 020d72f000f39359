//! What nodes see of their links: bytes, ends, resets and new connections, on real loopback sockets.
//!
//! That something does *not* arrive is never shown by waiting: the proxy counts what it withholds, so a test waits until
//! the bytes are known to be in the proxy's hands and then looks at the receiver.

use std::{io::ErrorKind, sync::Arc, time::Duration};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tribunal_nemesis::{CutMode::*, Links, NodeId};

const N1: NodeId = NodeId(0);
const N2: NodeId = NodeId(1);
/// After this long a test hangs rather than runs.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Two nodes; n2 listens, n1 dials.
struct Pair {
    links: Arc<Links>,
    n2: TcpListener,
}

impl Pair {
    async fn open() -> Pair {
        let links = Arc::new(Links::open(2).await.expect("loopback listeners"));
        let n2 = TcpListener::bind("127.0.0.1:0").await.expect("a loopback listener");
        links.set_upstream(N2, n2.local_addr().expect("bound"));
        Pair { links, n2 }
    }

    async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.links.dial_address(N1, N2)).await.expect("the proxy accepts always")
    }

    async fn accept(&self) -> TcpStream {
        timeout(WATCHDOG, self.n2.accept()).await.expect("a connection arrives").expect("an accept").0
    }

    /// Both ends of a connection that the proxy, too, knows to be established.
    async fn connection(&self) -> (TcpStream, TcpStream) {
        let earlier = self.links.counters(N1, N2).connections_carried;
        let ends = (self.dial().await, self.accept().await);
        eventually(|| self.links.counters(N1, N2).connections_carried > earlier).await;
        ends
    }

    /// A reset link accepts and resets at once: whether connecting or reading tells of it first is a race.
    async fn dial_is_reset(&self, from: NodeId, to: NodeId) {
        match TcpStream::connect(self.links.dial_address(from, to)).await {
            Ok(mut stream) => hear_reset(&mut stream).await,
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }

    async fn withheld(&self, from: NodeId, to: NodeId, bytes: u64) {
        eventually(|| self.links.counters(from, to).bytes_withheld >= bytes).await;
        assert_eq!(self.links.counters(from, to).bytes_withheld, bytes);
    }

    async fn no_connections_left(self) {
        eventually(|| self.links.connections() == 0).await;
        self.links.close().await;
    }
}

async fn eventually(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(WATCHDOG, wait).await.expect("what the test waits for happens");
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.expect("a write");
}

async fn hear(stream: &mut TcpStream, text: &str) {
    let mut heard = vec![0; text.len()];
    timeout(WATCHDOG, stream.read_exact(&mut heard)).await.expect("bytes arrive").expect("a read");
    assert_eq!(String::from_utf8_lossy(&heard), text);
}

async fn hear_end(stream: &mut TcpStream) {
    let read = timeout(WATCHDOG, stream.read(&mut [0; 16])).await.expect("an end arrives");
    assert_eq!(read.expect("an orderly end"), 0);
}

async fn hear_reset(stream: &mut TcpStream) {
    let read = timeout(WATCHDOG, stream.read(&mut [0; 16])).await.expect("a reset arrives");
    assert_eq!(read.expect_err("a reset").kind(), ErrorKind::ConnectionReset);
}

fn hears_nothing(stream: &TcpStream) {
    assert_eq!(stream.try_read(&mut [0; 16]).expect_err("nothing to read").kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn an_open_link_carries_bytes_and_ends_both_ways() {
    let pair = Pair::open().await;
    let (mut n1, mut n2) = pair.connection().await;
    say(&mut n1, "vote for me").await;
    n1.shutdown().await.expect("a half-close");
    hear(&mut n2, "vote for me").await;
    hear_end(&mut n2).await;
    // The other half still works.
    say(&mut n2, "granted").await;
    hear(&mut n1, "granted").await;
    drop(n2);
    hear_end(&mut n1).await;

    let (there, back) = (pair.links.counters(N1, N2), pair.links.counters(N2, N1));
    assert_eq!((there.bytes_carried, there.connections_carried), (11, 1));
    assert_eq!((back.bytes_carried, back.connections_carried), (7, 0));
    assert_eq!((there.bytes_withheld, there.connections_withheld, back.bytes_withheld), (0, 0, 0));
    pair.no_connections_left().await;
}

#[tokio::test]
async fn a_stall_withholds_one_direction_and_heals_without_loss() {
    let pair = Pair::open().await;
    let (mut n1, mut n2) = pair.connection().await;
    pair.links.cut(N1, N2, Stall);
    say(&mut n1, "append 1, ").await;
    pair.withheld(N1, N2, 10).await;
    say(&mut n1, "append 2").await;
    pair.withheld(N1, N2, 18).await;
    // The way back is open, on the very same connection.
    say(&mut n2, "ack 0").await;
    hear(&mut n1, "ack 0").await;
    hears_nothing(&n2);

    pair.links.heal(N1, N2);
    hear(&mut n2, "append 1, append 2").await;
    assert_eq!(pair.links.counters(N1, N2).bytes_carried, 18);
    drop((n1, n2));
    pair.no_connections_left().await;
}

#[tokio::test]
async fn direction_follows_the_bytes_and_not_the_dialler() {
    let pair = Pair::open().await;
    let (mut n1, mut n2) = pair.connection().await;
    pair.links.cut(N2, N1, Stall);
    say(&mut n2, "snapshot").await;
    pair.withheld(N2, N1, 8).await;
    hears_nothing(&n1);
    say(&mut n1, "heartbeat").await;
    hear(&mut n2, "heartbeat").await;
    pair.links.heal_all();
    hear(&mut n1, "snapshot").await;
    drop((n1, n2));
    pair.no_connections_left().await;
}

#[tokio::test]
async fn ends_and_resets_wait_at_a_stall_like_bytes() {
    let pair = Pair::open().await;
    let (mut n1, mut n2) = pair.connection().await;
    pair.links.cut(N1, N2, Stall);
    say(&mut n1, "bye").await;
    n1.shutdown().await.expect("a half-close");
    pair.withheld(N1, N2, 3).await;
    hears_nothing(&n2);
    pair.links.heal(N1, N2);
    hear(&mut n2, "bye").await;
    hear_end(&mut n2).await;
    drop((n1, n2));

    let (mut n1, mut n2) = pair.connection().await;
    pair.links.cut(N1, N2, Stall);
    say(&mut n1, "cut ").await;
    pair.withheld(N1, N2, 3 + 4).await;
    n1.set_zero_linger().expect("a live socket");
    drop(n1);
    // What n2 says reaches nobody, and it is not told so before the link heals.
    say(&mut n2, "hello?").await;
    eventually(|| pair.links.counters(N2, N1).bytes_carried == 6 || pair.links.connections() == 1).await;
    hears_nothing(&n2);
    pair.links.heal(N1, N2);
    hear(&mut n2, "cut ").await;
    hear_reset(&mut n2).await;
    drop(n2);
    pair.no_connections_left().await;
}

#[tokio::test]
async fn a_connection_opened_in_a_stall_of_either_direction_waits_for_the_heal() {
    for (from, to) in [(N1, N2), (N2, N1)] {
        let pair = Pair::open().await;
        pair.links.cut(from, to, Stall);
        let mut n1 = pair.dial().await;
        say(&mut n1, "hello").await;
        eventually(|| pair.links.counters(from, to).connections_withheld == 1).await;
        assert_eq!(pair.links.counters(N1, N2).connections_carried, 0);
        pair.links.heal(from, to);
        let mut n2 = pair.accept().await;
        hear(&mut n2, "hello").await;
        assert_eq!(pair.links.counters(N1, N2).connections_carried, 1);
        drop((n1, n2));
        pair.no_connections_left().await;
    }
}

#[tokio::test]
async fn a_connection_whose_dialler_gives_up_in_a_stall_is_never_made() {
    let pair = Pair::open().await;
    pair.links.cut(N1, N2, Stall);
    let mut first = pair.dial().await;
    say(&mut first, "first").await;
    eventually(|| pair.links.connections() == 1).await;
    drop(first);
    eventually(|| pair.links.connections() == 0).await;
    pair.links.heal(N1, N2);
    let mut second = pair.dial().await;
    say(&mut second, "second").await;
    hear(&mut pair.accept().await, "second").await;
    drop(second);
    pair.no_connections_left().await;
}

#[tokio::test]
async fn a_reset_of_either_direction_ends_connections_and_refuses_new_ones() {
    for (from, to) in [(N1, N2), (N2, N1)] {
        let pair = Pair::open().await;
        let (mut n1, mut n2) = pair.connection().await;
        pair.links.cut(from, to, Reset);
        hear_reset(&mut n1).await;
        hear_reset(&mut n2).await;
        pair.dial_is_reset(N1, N2).await;
        let cut = pair.links.counters(from, to);
        assert_eq!((cut.connections_withheld, cut.connections_carried), (2, u64::from(from == N1)));

        pair.links.heal(from, to);
        let (mut n1, mut n2) = pair.connection().await;
        say(&mut n1, "again").await;
        hear(&mut n2, "again").await;
        drop((n1, n2));
        pair.no_connections_left().await;
    }
}

#[tokio::test]
async fn a_reset_that_is_healed_at_once_still_resets() {
    let pair = Pair::open().await;
    let (mut n1, mut n2) = pair.connection().await;
    pair.links.cut(N1, N2, Reset);
    pair.links.heal(N1, N2);
    hear_reset(&mut n1).await;
    hear_reset(&mut n2).await;
    pair.no_connections_left().await;
}

#[tokio::test]
async fn a_stall_may_turn_into_a_reset() {
    let pair = Pair::open().await;
    pair.links.cut(N1, N2, Stall);
    let mut waiting = pair.dial().await;
    eventually(|| pair.links.counters(N1, N2).connections_withheld == 1).await;
    pair.links.cut(N1, N2, Reset);
    hear_reset(&mut waiting).await;
    pair.no_connections_left().await;
}

#[tokio::test]
async fn a_node_that_is_down_or_unknown_looks_like_one() {
    let pair = Pair::open().await;
    // n1's address was never given.
    pair.dial_is_reset(N2, N1).await;
    // n2 listens no more.
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a loopback listener");
    pair.links.set_upstream(N2, gone.local_addr().expect("bound"));
    drop(gone);
    pair.dial_is_reset(N1, N2).await;
    pair.no_connections_left().await;
}

#[tokio::test]
async fn a_node_that_resets_is_seen_to_reset() {
    let pair = Pair::open().await;
    let (mut n1, n2) = pair.connection().await;
    n2.set_zero_linger().expect("a live socket");
    drop(n2);
    hear_reset(&mut n1).await;
    pair.no_connections_left().await;
}

#[tokio::test]
async fn closing_the_links_resets_what_is_open_and_frees_the_addresses() {
    let pair = Pair::open().await;
    let (mut n1, mut n2) = pair.connection().await;
    pair.links.cut(N2, N1, Stall);
    let mut waiting = pair.dial().await;
    eventually(|| pair.links.connections() == 2).await;
    pair.links.close().await;
    for stream in [&mut n1, &mut n2, &mut waiting] {
        hear_reset(stream).await;
    }
    let refused = TcpStream::connect(pair.links.dial_address(N1, N2)).await.expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

/// Sends random bytes while it receives random bytes, in pieces of every size, and gives what it received.
async fn converse(stream: TcpStream, sent: Vec<u8>, mut rng: ChaCha8Rng) -> Vec<u8> {
    let (mut read, mut write) = stream.into_split();
    let send = async move {
        let mut rest = &sent[..];
        while !rest.is_empty() {
            let size = rng.random_range(1..=200_000).min(rest.len());
            write.write_all(&rest[..size]).await.expect("a write");
            rest = &rest[size..];
        }
    };
    let mut received = Vec::new();
    let (read, ()) = tokio::join!(read.read_to_end(&mut received), send);
    read.expect("an orderly end");
    received
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_stay_whole_and_in_order_under_any_stalls() {
    let pair = Pair::open().await;
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut random_bytes = |size| {
        let mut bytes = vec![0; size];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    let links = pair.links.clone();
    let cutter = tokio::spawn(async move {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        loop {
            let (from, to) = if rng.random() { (N1, N2) } else { (N2, N1) };
            if rng.random() {
                links.cut(from, to, Stall)
            } else {
                links.heal(from, to)
            }
            tokio::time::sleep(Duration::from_micros(rng.random_range(0..2000))).await;
        }
    });
    let mut conversations = Vec::new();
    for at in 0..8 {
        let (n1, n2) = pair.connection().await;
        let (there, back) = (random_bytes(3_000_000), random_bytes(at * 400_000));
        let (rng1, rng2) = (ChaCha8Rng::seed_from_u64(at as u64), ChaCha8Rng::seed_from_u64(100 + at as u64));
        conversations.push((tokio::spawn(converse(n1, there.clone(), rng1)), back.clone()));
        conversations.push((tokio::spawn(converse(n2, back, rng2)), there));
    }
    let talk = async {
        for (conversation, expected) in conversations {
            let received = conversation.await.expect("a conversation ends");
            assert_eq!(received.len(), expected.len());
            assert!(received == expected, "the same bytes");
        }
    };
    timeout(WATCHDOG, talk).await.expect("stalls end");
    cutter.abort();
    let (there, back) = (pair.links.counters(N1, N2), pair.links.counters(N2, N1));
    assert_eq!((there.bytes_carried, back.bytes_carried), (24_000_000, 28 * 400_000));
    assert!(there.bytes_withheld > 0 && back.bytes_withheld > 0, "{there:?} {back:?}");
    pair.no_connections_left().await;
}
