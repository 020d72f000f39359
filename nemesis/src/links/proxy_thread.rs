//! The thread on which all connections are carried: its own runtime, which no other work of this process can
//! block.
//!
//! Most of what a proxy adds to a round trip is not copying but waking threads: twice, each time a thread
//! that slept, usually on a core that slept, too. So the thread does not sleep at once. After every chunk it
//! polls for the next one for a while, and yields its core to other threads between two polls:
//!
//! ```text
//!   chunk ─▶ poll, yield, poll, yield, ... ─▶ chunk ─▶ poll, yield, ... ─▶ after 50 µs: sleep in the kernel
//! ```
//!
//! So chunks that follow each other closely, as requests and responses do, find the proxy awake. An idle link
//! costs nothing; a single chunk costs those 50 µs of a core that no other thread wanted.
//!
//! It is one thread and not a pool, because a pool would hand work from thread to thread, which is the very
//! cost to avoid.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    sync::mpsc,
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Handle},
    task::yield_now,
};
use tokio_util::sync::CancellationToken;

/// How long the thread polls after a chunk. After a longer pause, another 50 µs of latency do not matter.
const AWAKE: Duration = Duration::from_micros(50);

/// Starts the thread. When `closing` is cancelled, it ends, and with it all connections.
///
/// # Errors
/// When the kernel gives no thread, or no epoll.
pub(crate) fn start(closing: CancellationToken) -> io::Result<Handle> {
    let (ready, awaited) = mpsc::channel();
    let carry = move || {
        let mut runtime = Builder::new_current_thread();
        let runtime = match runtime.thread_keep_alive(Duration::MAX).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        let _ = ready.send(Ok(runtime.handle().clone()));
        runtime.block_on(closing.run_until_cancelled(stay_awake()));
    };
    thread::Builder::new().name("tribunal-proxy".into()).spawn(carry)?;
    let handle = awaited.recv().map_err(io::Error::other)??;
    // Starts one thread for blocking work in advance: the runtime would panic later if the kernel gave none.
    // Spawning and joining one checks that there is a thread.
    if let Ok(tried) = thread::Builder::new().spawn(|| ())?.join() {
        drop(handle.spawn_blocking(move || tried));
    }
    Ok(handle)
}

thread_local! {
    /// Time of the last chunk.
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Waker of `stay_awake`, while it waits for a chunk.
    static IDLE: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

/// Notes that a chunk has come: the next one may follow soon.
pub(crate) fn note_chunk() {
    LAST.set(Some(Instant::now()));
    if let Some(idle) = IDLE.take() {
        idle.wake();
    }
}

/// Keeps the runtime from sleeping in the kernel as long as chunks come: while a task yields, it only polls.
async fn stay_awake() {
    loop {
        while LAST.get().is_some_and(|last| last.elapsed() < AWAKE) {
            thread::yield_now();
            yield_now().await;
        }
        let before = LAST.get();
        poll_fn(|context| {
            if LAST.get() != before {
                return Poll::Ready(());
            }
            IDLE.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}
