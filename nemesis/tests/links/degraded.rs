//! What nodes see of degraded links. Delays are an hour long, so bytes that arrive before the link is
//! restored cannot have been on time.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tribunal_nemesis::{CutMode, Quality, TimedAct};

use crate::pair::*;

fn quality(text: &str) -> Quality {
    let act: TimedAct = format!("degrade n1>n2 {text}").parse().expect("properties");
    act.act.degrades().expect("a quality").1
}

impl Pair {
    async fn degraded(&self, bytes: u64) {
        eventually(|| self.links.counters(N1, N2).bytes_degraded == bytes).await;
    }
}

#[tokio::test]
async fn a_delayed_link_is_late_in_one_direction_and_on_time_when_restored() {
    for late in ["delay_ms=3600000", "delay_ms=3600000..3600000", "bytes_per_s=1 delay_ms=3600000"] {
        let pair = Pair::open().await;
        let (mut n1, mut n2) = pair.connection().await;
        pair.links.degrade(N1, N2, quality(late));
        say(&mut n1, "append 1, ").await;
        pair.degraded(10).await;
        say(&mut n1, "append 2").await;
        pair.degraded(18).await;
        n1.shutdown().await.expect("a half-close");
        say(&mut n2, "ack 0").await;
        hear(&mut n1, "ack 0").await;
        hears_nothing(&n2);
        pair.links.restore(N1, N2);
        hear(&mut n2, "append 1, append 2").await;
        hear_end(&mut n2).await;
        drop((n1, n2));
        pair.no_connections_left().await;
    }
}

#[tokio::test]
async fn a_short_delay_passes_by_itself() {
    // Bytes that are less than a millisecond late are not counted.
    for (late, counted) in [
        ("delay_ms=1", 90..=90),
        ("delay_ms=0..2", 0..=90),
        ("delay_ms=~1", 0..=90),
        ("bytes_per_s=100000", 0..=90),
        ("write_max=1", 90..=90),
    ] {
        let pair = Pair::open().await;
        let (mut n1, mut n2) = pair.connection().await;
        pair.links.degrade(N1, N2, quality(late));
        for _ in 0..10 {
            say(&mut n1, "heartbeat").await;
            hear(&mut n2, "heartbeat").await;
        }
        drop(n1);
        hear_end(&mut n2).await;
        let degraded = pair.links.counters(N1, N2).bytes_degraded;
        assert!(counted.contains(&degraded), "{late}: {degraded}");
        drop(n2);
        pair.no_connections_left().await;
    }
}

#[tokio::test]
async fn a_degraded_link_can_be_cut_and_stays_degraded_when_healed() {
    let pair = Pair::open().await;
    let (mut n1, mut n2) = pair.connection().await;
    pair.links.degrade(N1, N2, quality("delay_ms=1"));
    pair.links.cut(N1, N2, CutMode::Stall);
    say(&mut n1, "vote").await;
    pair.withheld(N1, N2, 4).await;
    hears_nothing(&n2);
    pair.links.heal(N1, N2);
    hear(&mut n2, "vote").await;
    say(&mut n1, "vote").await;
    hear(&mut n2, "vote").await;
    assert_eq!(pair.links.counters(N1, N2).bytes_degraded, 8);
    pair.links.cut(N1, N2, CutMode::Reset);
    hear_reset(&mut n2).await;
    pair.no_connections_left().await;
}

#[tokio::test]
async fn messages_that_are_sent_together_arrive_one_at_a_time() {
    let pair = Pair::open().await;
    let (mut n1, mut n2) = pair.connection().await;
    pair.links.degrade(N1, N2, quality("gap_ms=3600000"));
    say(&mut n1, "first\nsecond\nthird\n").await;
    hear(&mut n2, "first\n").await;
    pair.degraded(13).await;
    hears_nothing(&n2);
    pair.links.restore(N1, N2);
    hear(&mut n2, "second\nthird\n").await;
}

#[tokio::test]
async fn fragments_are_as_small_as_requested() {
    let pair = Pair::open().await;
    let (mut n1, mut n2) = pair.connection().await;
    pair.links.degrade(N1, N2, quality("write_max=3 bytes_per_s=300"));
    say(&mut n1, &"abc".repeat(20)).await;
    let mut heard = 0;
    while heard < 60 {
        let read = n2.read(&mut [0; 64]).await.expect("a read");
        assert!(read > 0 && read % 3 == 0, "{read} bytes are no whole shreds");
        heard += read;
    }
    drop((n1, n2));
    pair.no_connections_left().await;
}

#[tokio::test]
async fn a_connection_is_reset_after_so_many_bytes_and_the_next_one_works() {
    let pair = Pair::open().await;
    pair.links.degrade(N1, N2, quality("reset_after=6"));
    for connections in 1..=3 {
        let (mut n1, mut n2) = pair.connection().await;
        say(&mut n1, "append 1").await;
        hear(&mut n2, "append").await;
        hear_reset(&mut n2).await;
        hear_reset(&mut n1).await;
        assert_eq!(pair.links.counters(N1, N2).connections_withheld, connections);
    }
    pair.no_connections_left().await;
}

#[tokio::test]
async fn flipped_bits_are_as_many_as_counted() {
    let pair = Pair::open().await;
    let (mut n1, mut n2) = pair.connection().await;
    pair.links.degrade(N1, N2, quality("flip_one_in=1000"));
    let sent = vec![0; 1_000_000];
    let send = async {
        n1.write_all(&sent).await.expect("a write");
        n1.shutdown().await.expect("a half-close");
    };
    let mut heard = Vec::new();
    let (read, ()) = tokio::join!(n2.read_to_end(&mut heard), send);
    read.expect("an orderly end");
    assert_eq!(heard.len(), sent.len());
    let flipped: u64 = heard.iter().map(|byte| u64::from(byte.count_ones())).sum();
    assert_eq!(flipped, pair.links.counters(N1, N2).bits_flipped);
    assert!((700..1300).contains(&flipped), "{flipped}: nine standard deviations off");
    drop((n1, n2));
    pair.no_connections_left().await;
}

#[tokio::test]
async fn a_connection_is_closed_in_order_after_so_many_bytes_and_the_next_one_works() {
    let pair = Pair::open().await;
    pair.links.degrade(N1, N2, quality("close_after=6"));
    for connections in 1..=3 {
        let (mut n1, mut n2) = pair.connection().await;
        say(&mut n1, "append 1").await;
        hear(&mut n2, "append").await;
        hear_end(&mut n2).await;
        hear_end(&mut n1).await;
        assert_eq!(pair.links.counters(N1, N2).connections_withheld, connections);
    }
    pair.links.restore(N1, N2);
    let (mut n1, mut n2) = pair.connection().await;
    say(&mut n1, "append 1").await;
    hear(&mut n2, "append 1").await;
    drop((n1, n2));
    pair.no_connections_left().await;
}

#[tokio::test]
async fn the_earlier_of_a_reset_and_a_close_comes() {
    let pair = Pair::open().await;
    pair.links.degrade(N1, N2, quality("reset_after=6 close_after=100"));
    let (mut n1, mut n2) = pair.connection().await;
    say(&mut n1, "append 1").await;
    hear(&mut n2, "append").await;
    hear_reset(&mut n2).await;
    pair.links.degrade(N1, N2, quality("reset_after=100 close_after=6"));
    let (mut n1, mut n2) = pair.connection().await;
    say(&mut n1, "append 1").await;
    hear(&mut n2, "append").await;
    hear_end(&mut n2).await;
    drop((n1, n2));
    pair.no_connections_left().await;
}

#[tokio::test]
async fn a_link_that_stops_reading_makes_its_sender_wait_until_it_is_restored() {
    let pair = Pair::open().await;
    let (mut n1, mut n2) = pair.connection().await;
    pair.links.degrade(N1, N2, quality("read_max=6"));
    say(&mut n1, "append").await;
    hear(&mut n2, "append").await;
    // Fills the kernel's buffers until they take no more, which `WouldBlock` indicates.
    let mut sent = 0;
    let mut full = 0;
    while full < 50 {
        match n1.try_write(&[7; 64 << 10]) {
            Ok(bytes) => sent += bytes,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                full += 1;
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
        assert!(sent < 64 << 20, "nobody reads, and the sender does not notice");
    }
    hears_nothing(&n2);
    let counters = pair.links.counters(N1, N2);
    assert_eq!((counters.bytes_carried, counters.connections_withheld), (6, 1));
    // The other direction is read as usual.
    say(&mut n2, "ack 0").await;
    hear(&mut n1, "ack 0").await;

    pair.links.restore(N1, N2);
    let mut rest = vec![0; sent];
    n2.read_exact(&mut rest).await.expect("all of it");
    assert!(rest.iter().all(|&byte| byte == 7));
    drop((n1, n2));
    pair.no_connections_left().await;
}
