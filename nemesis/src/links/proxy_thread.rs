//! The thread on which everything is carried: a runtime of its own, which nothing else that this process does can hold up.
//!
//! What a proxy adds to a round trip is hardly the copying. It is the waking of threads: two passes, each by a thread that
//! slept, mostly on a core that slept, too. So the thread does not go to sleep at once. After every chunk it goes on looking
//! for the next for a while, and hands its core to whoever else can use it between two looks:
//!
//! ```text
//!   chunk ─▶ look, yield, look, yield, ... ─▶ chunk ─▶ look, yield, ... ─▶ 50 µs without one: sleep until the kernel calls
//! ```
//!
//! Bytes that follow each other closely, as answers follow questions, so meet a proxy that is awake. A link over which
//! nothing goes costs nothing; a chunk that comes alone costs those 50 µs of a core that nobody else wanted.
//!
//! One thread, and not a pool: a pool hands work from thread to thread, and that is what the time goes into.

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

/// How long the thread looks for more after a chunk. What comes later is not worth a core: nobody was waiting for it who
/// would notice another 50 µs.
const AWAKE: Duration = Duration::from_micros(50);

/// Starts the thread. It ends, and with it whatever is still carried, when `closing` is cancelled.
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
    // What blocks has a thread from the beginning, so that it can wait for it when no other is to be had. The runtime would
    // panic if it had none; so one is tried.
    if let Ok(tried) = thread::Builder::new().spawn(|| ())?.join() {
        drop(handle.spawn_blocking(move || tried));
    }
    Ok(handle)
}

thread_local! {
    /// When the last chunk came.
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Whoever keeps this thread awake, while there is no reason to.
    static IDLE: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

/// Says that a chunk has come: the next may follow soon.
pub(crate) fn a_chunk_came() {
    LAST.set(Some(Instant::now()));
    if let Some(idle) = IDLE.take() {
        idle.wake();
    }
}

/// As long as chunks come, keeps the runtime from waiting for the kernel: while a task yields, it only looks.
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
