//! The connections of `tribunal serve`: how many there may be, and how long one may take to ask.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// How long a connection may take until all of a request's head is there, the first or a later one.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// The most connections at a time: far more than a browser opens, and far fewer than there are descriptors.
const CONNECTIONS_MAX: usize = 100;
/// How long to wait after a connection that could not be accepted, for want of descriptors perhaps.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers every connection. Where there are too many the oldest gives way: whoever only holds connections keeps nobody
/// else out.
pub(super) async fn serve(listener: TcpListener, site: Router) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() == CONNECTIONS_MAX {
            open.pop_front().expect("there are many").abort();
        }
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(site.clone()));
        // A client that breaks off is no concern of the others.
        open.push_back(tokio::spawn(async { drop(connection.await) }).abort_handle());
    }
}
