//! Links that are cut, and connections whose ends go away.

use std::{io::ErrorKind, time::Duration};

use chacha20::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tribunal_nemesis::{CutMode::*, Delay, Quality};

use crate::pair::*;

#[tokio::test]
async fn an_open_link_carries_bytes_and_ends_both_ways() {
    let pair = Pair::open().await;
    let (mut n1, mut n2) = pair.connection().await;
    say(&mut n1, "vote for me").await;
    n1.shutdown().await.expect("a half-close");
    hear(&mut n2, "vote for me").await;
    hear_end(&mut n2).await;
    // The other direction still works.
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
    // The other direction is open, on the same connection.
    say(&mut n2, "ack 0").await;
    hear(&mut n1, "ack 0").await;
    hears_nothing(&n2);

    pair.links.heal(N1, N2);
    hear(&mut n2, "append 1, append 2").await;
    pair.carried(N1, N2, 18).await;
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
    // What n2 sends reaches no process, but n2 must not notice before the link heals.
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
async fn an_end_without_bytes_waits_as_well() {
    let pair = Pair::open().await;
    let (mut n1, mut n2) = pair.connection().await;
    pair.links.cut(N1, N2, Stall);
    n1.shutdown().await.expect("a half-close");
    // All that n2 sent after that has arrived, so the proxy has seen the end, too.
    for _ in 0..10 {
        say(&mut n2, "hello?").await;
        hear(&mut n1, "hello?").await;
    }
    hears_nothing(&n2);
    pair.links.heal(N1, N2);
    hear_end(&mut n2).await;
    drop((n1, n2));
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
async fn a_node_that_is_down_or_unknown_resets_connections() {
    let pair = Pair::open().await;
    // n1's address was never set.
    pair.dial_is_reset(N2, N1).await;
    // n2 does not listen any more.
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

/// Sends random bytes while receiving random bytes, in pieces of every size, and returns what was received.
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
async fn bytes_stay_whole_and_in_order_whatever_is_cut_and_degraded() {
    let pair = Pair::open().await;
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut random_bytes = |size| {
        let mut bytes = vec![0; size];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    let mut connections = Vec::new();
    for _ in 0..8 {
        connections.push(pair.connection().await);
    }
    // Begins with degraded and cut links, so that some bytes are withheld however fast the test is.
    let slow = Quality { delay: Some(Delay::Exponential(2)), write_max: Some(999), ..Quality::default() };
    for (from, to) in [(N1, N2), (N2, N1)] {
        pair.links.degrade(from, to, slow);
        pair.links.cut(from, to, Stall);
    }
    let mut conversations = Vec::new();
    for (at, (n1, n2)) in (0..).zip(connections) {
        let (there, back) = (random_bytes(3_000_000), random_bytes(at * 400_000));
        let (rng1, rng2) = (ChaCha8Rng::seed_from_u64(at as u64), ChaCha8Rng::seed_from_u64(100 + at as u64));
        conversations.push((tokio::spawn(converse(n1, there.clone(), rng1)), back.clone()));
        conversations.push((tokio::spawn(converse(n2, back, rng2)), there));
    }
    eventually(|| {
        [(N1, N2), (N2, N1)].iter().all(|&(from, to)| pair.links.counters(from, to).bytes_withheld > 0)
    })
    .await;
    let links = pair.links.clone();
    let cutter = tokio::spawn(async move {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        loop {
            let (from, to) = if rng.random() { (N1, N2) } else { (N2, N1) };
            match rng.random_range(0..4) {
                0 => links.cut(from, to, Stall),
                1 => links.heal(from, to),
                2 => links.degrade(from, to, slow),
                _ => links.restore(from, to),
            }
            tokio::time::sleep(Duration::from_micros(rng.random_range(0..2000))).await;
        }
    });
    let talk = async {
        for (conversation, expected) in conversations {
            let received = conversation.await.expect("a conversation ends");
            assert_eq!(received.len(), expected.len());
            assert!(received == expected, "the same bytes");
        }
    };
    timeout(WATCHDOG, talk).await.expect("stalls end");
    cutter.abort();
    pair.carried(N1, N2, 24_000_000).await;
    pair.carried(N2, N1, 28 * 400_000).await;
    for link in [pair.links.counters(N1, N2), pair.links.counters(N2, N1)] {
        assert!(link.bytes_withheld > 0 && link.bytes_degraded > 0, "{link:?}");
    }
    pair.no_connections_left().await;
}
