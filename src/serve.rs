//! `tribunal serve`: shows all runs in a browser.
//!
//! ```text
//! /                                        the table of runs: filters, and how runs of the same test went over time
//! /runs/<workload>/<run>/                  the files of a run
//! /runs/<workload>/<run>/report.html ...   one of them
//! ```
//!
//! The server listens on loopback only, answers only GET and HEAD, and writes nothing. The Host header must
//! be the server's own address: this stops DNS rebinding by other sites. Paths are resolved by the kernel and
//! must then be below the store. Every response has a content security policy: files of a system under test
//! are displayed, never executed. A report contains a script; it runs in an origin of its own and cannot read
//! other pages.

mod connections;
mod files;
mod summaries;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tribunal_reports::html::runs_page::{self, Filter};
use tribunal_reports::runs::{self, RunSummary};

use crate::interrupts::Interrupts;
use crate::{browser, exit};
use summaries::Summaries;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Directory with the runs
    #[arg(long, default_value = "store", value_name = "DIR")]
    store: PathBuf,

    /// Port on localhost; 0: any free port
    #[arg(long, default_value_t = 7400, value_name = "PORT")]
    port: u16,

    /// Open the page in the browser
    #[arg(long)]
    open: bool,
}

/// `tribunal serve`: serves until Ctrl-C.
pub(crate) fn run(args: &Args) -> ExitCode {
    let store = match args.store.canonicalize() {
        Ok(store) if store.is_dir() => store,
        _ => return exit::usage(anyhow::anyhow!("{}: expected a directory of runs", args.store.display())),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let served = runtime.context("cannot start").and_then(|runtime| {
        let served = runtime.block_on(serve(store, args));
        // Do not wait for pending requests.
        runtime.shutdown_background();
        served
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::harness(error),
    }
}

/// State that all requests share.
struct Site {
    store: PathBuf,
    address: SocketAddr,
    summaries: Mutex<Summaries>,
}

async fn serve(store: PathBuf, args: &Args) -> Result<()> {
    let port = args.port;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("cannot listen on 127.0.0.1:{port} (--port takes another)"))?;
    let address = listener.local_addr()?;
    ensure!(address.ip().is_loopback(), "not on the loopback interface: {address}");
    let mut interrupts = Interrupts::listen()?;
    exit::print_text(&format!("the runs of {} are at http://{address}/\n", store.display()));
    if args.open && !browser::open(&format!("http://{address}/")) {
        exit::eprint_text("no browser was started: there is no display, and BROWSER is not set\n");
    }
    tokio::select! {
        () = connections::serve(listener, site(store, address)) => {}
        () = interrupts.next() => {}
    }
    Ok(())
}

fn site(store: PathBuf, address: SocketAddr) -> Router {
    let site = Arc::new(Site { store, address, summaries: Mutex::default() });
    Router::new()
        .route("/", get(index))
        .route("/runs/{*path}", get(file))
        .layer(middleware::from_fn_with_state(site.clone(), guard))
        .with_state(site)
}

/// Accepts only requests for the server's own address, and adds security headers to every response.
async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let port = site.address.port();
    if !host.is_some_and(|host| {
        [format!("127.0.0.1:{port}"), format!("localhost:{port}")].contains(&host.to_string())
    }) {
        return (StatusCode::MISDIRECTED_REQUEST, "this server answers for its loopback address only\n")
            .into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let always = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    headers.extend(always.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox"));
    response
}

/// The table of runs.
async fn index(State(site): State<Arc<Site>>, Query(filter): Query<Filter>) -> Response {
    let page = tokio::task::spawn_blocking(move || -> std::io::Result<String> {
        let paths = runs::paths(&site.store)?;
        let newest = paths.iter().take(runs_page::RUNS_MAX);
        let mut summaries = site.summaries.lock().expect("reading runs does not panic");
        let all = newest.map(|path| summaries.of(&site.store, path)).collect::<Vec<RunSummary>>();
        drop(summaries);
        Ok(runs_page::render(&all, paths.len(), &filter))
    });
    match page.await {
        Ok(Ok(page)) => ([(header::CONTENT_SECURITY_POLICY, runs_page::POLICY)], Html(page)).into_response(),
        Ok(Err(why)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot read the store: {why}\n")).into_response()
        }
        Err(why) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot show the runs: {why}\n")).into_response()
        }
    }
}

async fn file(State(site): State<Arc<Site>>, Path(path): Path<String>) -> Response {
    files::answer(&site.store, &path).await
}
