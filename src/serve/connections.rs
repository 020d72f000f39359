//! The connections of `tribunal serve`: a limit on their number, and a timeout for requests.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// Timeout for receiving the whole head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of open connections: far more than a browser opens, and far fewer than the limit of
/// descriptors.
const CONNECTIONS_MAX: usize = 100;
/// Pause after a failed accept, for example when no descriptors are left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves every connection. If there are too many, the oldest is closed, so that idle clients cannot block
/// others.
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
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(site.clone()));
        // An error of one connection does not concern the others.
        open.push_back(tokio::spawn(async { drop(connection.await) }).abort_handle());
    }
}
