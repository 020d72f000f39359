//! The check beside the run: every event is judged as it is recorded, and the first violation ends the trial.
//!
//! It runs on a thread of its own and can only ever bring bad news early: a violation that it proves is final, its
//! silence means nothing. When it cannot keep up, or a key costs too much, it gives up; the whole history is checked
//! after the run in any case.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tribunal_checker::limits::Limits;
use tribunal_checker::model::ModelKind;
use tribunal_checker::online::Online;
use tribunal_checker::op::Event;
use tribunal_reports::run_info::SeenLive;
use tribunal_reports::wording::{operation, value};

use crate::announcer::Announcer;
use crate::observer::CheckState;

/// How many events it may lie behind: a second or so of a fast system.
const LAG_EVENTS_MAX: usize = 1 << 16;

/// What it may cost: it shares the machine with the trial.
const LIMITS: Limits<'static> =
    Limits { states_max: 1_000_000, memory_bytes_max: 256 << 20, time: None, progress: None };

/// Where the recorder hands its events.
pub(crate) struct Watch {
    /// `None` once it has given up.
    events: Option<SyncSender<Event>>,
    announcer: Arc<Announcer>,
    progress: Arc<LiveCheck>,
}

/// How far the check beside the run is, for whoever wants to know.
#[derive(Default)]
pub(crate) struct LiveCheck {
    /// The time of the last event that was judged, in ns.
    judged: AtomicU64,
    /// The time of the last event that was handed over.
    recorded: AtomicU64,
    /// How many keys it has seen, and how many of them it has given up.
    keys: AtomicUsize,
    left: AtomicUsize,
    /// The violation that it has found.
    violation: OnceLock<SeenLive>,
    /// Whether it has given up.
    gave_up: AtomicBool,
}

impl LiveCheck {
    /// As it is just now.
    pub(crate) fn check(&self) -> CheckState {
        let behind = self.recorded.load(Relaxed).saturating_sub(self.judged.load(Relaxed));
        match () {
            () if self.violation.get().is_some() => CheckState::Violation,
            () if self.gave_up.load(Relaxed) => CheckState::GaveUp,
            () => CheckState::SoFar {
                keys: self.keys.load(Relaxed),
                left: self.left.load(Relaxed),
                behind: Duration::from_nanos(behind),
            },
        }
    }
}

impl LiveCheck {
    /// The violation that it has found, if it has.
    pub(crate) fn violation(&self) -> Option<&SeenLive> {
        self.violation.get()
    }

    /// Another event was judged.
    fn judged(&self, time: u64, online: &Online) {
        self.judged.store(time, Relaxed);
        // What is given up is counted once in a key: counting takes as long as there are keys.
        if self.keys.swap(online.keys(), Relaxed) != online.keys() {
            self.left.store(online.given_up(), Relaxed);
        }
    }
}

impl Watch {
    /// Starts to watch; cancels `stop` at the first violation.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(
        model: ModelKind,
        stop: CancellationToken,
        announcer: Arc<Announcer>,
    ) -> io::Result<Self> {
        let (events, queue) = sync_channel::<Event>(LAG_EVENTS_MAX);
        let terminal = announcer.clone();
        let progress = Arc::new(LiveCheck::default());
        let seen = progress.clone();
        let judge = move || {
            let mut online = Online::new(model, LIMITS);
            for event in queue {
                match online.feed(&event) {
                    Ok(None) => seen.judged(event.time, &online),
                    Ok(Some(proved)) => {
                        let op = &proved.witness;
                        let (process, key, operation) = (op.process, op.key.clone(), operation(op));
                        let on = value(&key);
                        terminal.note(&format!(
                            "violation: process {process}'s `{operation}` on {on} fits nowhere"
                        ));
                        // It is the first, as the watch ends here.
                        let _ = seen.violation.set(SeenLive { key, operation, process, t: op.ret() });
                        return stop.cancel();
                    }
                    // The check of the whole history will say what is wrong with it.
                    Err(_) => return,
                }
            }
        };
        std::thread::Builder::new().name("tribunal-watch".into()).spawn(judge)?;
        Ok(Watch { events: Some(events), announcer, progress })
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Arc<LiveCheck> {
        self.progress.clone()
    }

    /// The next event of the history. Never waits.
    pub(crate) fn see(&mut self, event: Event) {
        let Some(events) = &self.events else { return };
        self.progress.recorded.store(event.time, Relaxed);
        match events.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.announcer.note("the check beside the run cannot keep up; all is checked in the end");
                self.give_up();
            }
            Err(TrySendError::Disconnected(_)) => self.give_up(),
        }
    }

    fn give_up(&mut self) {
        self.events = None;
        self.progress.gave_up.store(true, Relaxed);
    }
}
