//! The check beside the run: every event is judged as it is recorded, and the first violation ends the trial.
//!
//! It runs on a thread of its own and can only ever bring bad news early: a violation that it proves is final, its
//! silence means nothing. When it cannot keep up, or a key costs too much, it gives up; the whole history is checked
//! after the run in any case.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use tokio_util::sync::CancellationToken;
use tribunal_checker::limits::Limits;
use tribunal_checker::model::ModelKind;
use tribunal_checker::online::Online;
use tribunal_checker::op::Event;

use crate::live::Live;

/// How many events it may lie behind: a second or so of a fast system.
const LAG_EVENTS_MAX: usize = 1 << 16;

/// What it may cost: it shares the machine with the trial.
const LIMITS: Limits<'static> = Limits { states_max: 1_000_000, memory_bytes_max: 256 << 20, time: None };

/// Where the recorder hands its events.
pub(crate) struct Watch {
    /// `None` once it has given up.
    events: Option<SyncSender<Event>>,
    live: Arc<Live>,
}

impl Watch {
    /// Starts to watch; cancels `stop` at the first violation.
    pub(crate) fn start(model: ModelKind, stop: CancellationToken, live: Arc<Live>) -> Self {
        let (events, queue) = sync_channel::<Event>(LAG_EVENTS_MAX);
        let terminal = live.clone();
        std::thread::spawn(move || {
            let mut online = Online::new(model, LIMITS);
            for event in queue {
                match online.feed(&event) {
                    Ok(None) => {}
                    Ok(Some(proved)) => {
                        let (op, key) = (&proved.witness, &proved.witness.key);
                        terminal.event(&format!(
                            "violation: process {}'s `{op}` on {key} fits nowhere",
                            op.process
                        ));
                        return stop.cancel();
                    }
                    // The check of the whole history will say what is wrong with it.
                    Err(_) => return,
                }
            }
        });
        Watch { events: Some(events), live }
    }

    /// The next event of the history. Never waits.
    pub(crate) fn see(&mut self, event: Event) {
        let Some(events) = &self.events else { return };
        match events.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.live.event("the check beside the run cannot keep up; all is checked in the end");
                self.events = None;
            }
            Err(TrySendError::Disconnected(_)) => self.events = None,
        }
    }
}
