//! Thousands of connections (nodes reconnect during a partition) must leave nothing behind. Alone in its
//! process, because it counts the process's file descriptors.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tribunal_nemesis::{CutMode, Links, NodeId};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux").count()
}

#[tokio::test]
async fn two_thousand_connections_leave_no_descriptor_behind() {
    let (from, to) = (NodeId(0), NodeId(1));
    let node = TcpListener::bind("127.0.0.1:0").await.expect("a loopback listener");
    let address = node.local_addr().expect("bound");
    let server = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = node.accept().await {
            open.push(stream);
            if open.len() > 50 {
                open.clear();
            }
        }
    });
    let before = descriptors();
    let links = Links::open(2).expect("loopback listeners");
    links.set_upstream(to, address);
    for round in 0..20 {
        // One round for each way to end: carried, stalled, reset.
        match round % 4 {
            0 => links.heal_all(),
            1 => links.cut(from, to, CutMode::Stall),
            2 => links.cut(to, from, CutMode::Stall),
            _ => links.cut(from, to, CutMode::Reset),
        }
        let mut open = Vec::new();
        for _ in 0..100 {
            // An error is the reset of that round, before the connect returned.
            open.extend(TcpStream::connect(links.dial_address(from, to)).await);
        }
    }
    links.heal_all();
    let settled = async {
        while links.connections() > 50 {
            tokio::time::sleep(Duration::from_millis(1)).await; // the server still holds its last connections
        }
        links.close().await;
    };
    tokio::time::timeout(Duration::from_secs(60), settled).await.expect("connections end");
    drop(links);
    server.abort();
    let _ = server.await;
    // The server's own listener is closed by now. The proxy's thread takes a moment to end.
    for _ in 0..2000 {
        if descriptors() < before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(descriptors(), before - 1);
}
