//! The live check: every event is checked as it is recorded, and the first violation ends the trial.
//!
//! It runs on a thread of its own. A violation that it proves is final; its silence means nothing. If it
//! falls too far behind, or a key costs too much, it gives up. The whole history is checked after the run in
//! any case.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tribunal_checker::limits::Limits;
use tribunal_checker::model::Objects;
use tribunal_checker::online::Online;
use tribunal_checker::op::Event;
use tribunal_reports::run_info::LiveViolation;
use tribunal_reports::wording::{operation, value};

use crate::announcer::Announcer;
use crate::observer::CheckState;

/// How many events the check may lag behind: about one second of a fast system.
const LAG_EVENTS_MAX: usize = 1 << 16;

/// Limits of the live check: it shares the machine with the trial.
const LIMITS: Limits<'static> =
    Limits { states_max: 1_000_000, memory_bytes_max: 256 << 20, time: None, progress: None };

/// The recorder passes its events to this.
pub(crate) struct Watch {
    /// `None` once the check has given up.
    events: Option<SyncSender<Event>>,
    announcer: Arc<Announcer>,
    progress: Arc<LiveCheck>,
}

/// Progress of the live check.
#[derive(Default)]
pub(crate) struct LiveCheck {
    /// Time of the last checked event, in ns.
    checked_ns: AtomicU64,
    /// Time of the last event passed to the check, in ns.
    recorded_ns: AtomicU64,
    /// Number of keys seen, and of keys given up.
    keys: AtomicUsize,
    skipped: AtomicUsize,
    /// The violation, if one was found.
    violation: OnceLock<LiveViolation>,
    /// Whether the check has given up.
    gave_up: AtomicBool,
}

impl LiveCheck {
    /// Current state.
    pub(crate) fn state(&self) -> CheckState {
        let lag = self.recorded_ns.load(Relaxed).saturating_sub(self.checked_ns.load(Relaxed));
        match () {
            () if self.violation.get().is_some() => CheckState::Violation,
            () if self.gave_up.load(Relaxed) => CheckState::GaveUp,
            () => CheckState::Running {
                keys: self.keys.load(Relaxed),
                skipped: self.skipped.load(Relaxed),
                lag: Duration::from_nanos(lag),
            },
        }
    }
}

impl LiveCheck {
    /// The violation, if one was found.
    pub(crate) fn violation(&self) -> Option<&LiveViolation> {
        self.violation.get()
    }

    /// Updates the progress after an event was checked.
    fn checked(&self, time: u64, online: &Online) {
        self.checked_ns.store(time, Relaxed);
        // Counting takes time proportional to the number of keys, so it is done once per new key.
        if self.keys.swap(online.keys(), Relaxed) != online.keys() {
            self.skipped.store(online.given_up(), Relaxed);
        }
    }
}

impl Watch {
    /// Starts the check; cancels `stop` at the first violation.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(
        model: Objects,
        stop: CancellationToken,
        announcer: Arc<Announcer>,
    ) -> io::Result<Self> {
        let (events, queue) = sync_channel::<Event>(LAG_EVENTS_MAX);
        let observers = announcer.clone();
        let progress = Arc::new(LiveCheck::default());
        let live = progress.clone();
        let check = move || {
            let mut online = Online::new(model, LIMITS);
            for event in queue {
                match online.feed(&event) {
                    Ok(None) => live.checked(event.time, &online),
                    Ok(Some(proved)) => {
                        let op = &proved.witness;
                        let (process, key, operation) = (op.process, op.key.clone(), operation(op));
                        let on = value(&key);
                        observers.note(&format!(
                            "violation: process {process}'s `{operation}` on {on} cannot be linearized"
                        ));
                        // This is the only `set`: the check ends here.
                        let _ = live.violation.set(LiveViolation { key, operation, process, t: op.ret() });
                        return stop.cancel();
                    }
                    // The check after the run will report the error.
                    Err(_) => return,
                }
            }
        };
        std::thread::Builder::new().name("tribunal-watch".into()).spawn(check)?;
        Ok(Watch { events: Some(events), announcer, progress })
    }

    /// Progress of the check.
    pub(crate) fn progress(&self) -> Arc<LiveCheck> {
        self.progress.clone()
    }

    /// Passes the next event of the history. Never blocks.
    pub(crate) fn push(&mut self, event: Event) {
        let Some(events) = &self.events else { return };
        self.progress.recorded_ns.store(event.time, Relaxed);
        match events.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.announcer.note(
                    "the live check has fallen behind; the whole history will be checked after the run",
                );
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
