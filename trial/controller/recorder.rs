//! The recorder: the only writer of the history.
//!
//! Taking the time, numbering the event and writing its line happen under one lock, so that the lines are in
//! the order of their times. Each line is passed to the kernel before the call returns: an invocation is
//! recorded before its request is sent, and a controller killed with -9 leaves a history that can be checked.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tribunal_checker::op::{Event, F, Kind, Nanos, Value};
use tribunal_workloads::{Completion, Request};

use super::recent::Recent;
use crate::announcer::Announcer;
use crate::clock::Clock;
use crate::lines::LineFile;
use crate::lock::locked;
use crate::observer::TrialEvent;
use crate::watch::Watch;

/// A process, and the node that it talks to.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) process: u64,
    pub(crate) node: Arc<str>,
}

/// Counts of what has been recorded so far.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Tally {
    /// Successful operations.
    pub ok: u64,
    /// Operations that certainly did not happen.
    pub fail: u64,
    /// Operations with an unknown outcome.
    pub info: u64,
    /// Pending operations.
    pub in_flight: u64,
    /// Throughput of the last seconds.
    pub ok_per_second: u64,
    /// p99 latency of the last seconds; `None` if nothing succeeded.
    pub p99_ns: Option<Nanos>,
}

/// Writes history.jsonl. After a line that could not be written completely it writes no more: a line appended
/// to half a line would be unreadable.
pub(crate) struct Recorder {
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    file: LineFile,
    line: Vec<u8>,
    tally: Tally,
    recent: Recent,
    watch: Option<Watch>,
    announcer: Arc<Announcer>,
}

impl Recorder {
    /// Events go to the file, to the live check if there is one, and to the observers.
    pub(crate) fn create(
        path: &Path,
        clock: Clock,
        watch: Option<Watch>,
        announcer: Arc<Announcer>,
    ) -> io::Result<Self> {
        let file = LineFile::create(path)?;
        let (line, tally, recent) = (Vec::with_capacity(256), Tally::default(), Recent::default());
        let state = State { file, line, tally, recent, watch, announcer };
        Ok(Recorder { clock, state: Mutex::new(state) })
    }

    /// Records that an operation starts.
    pub(crate) fn invoke(&self, actor: &Actor, request: &Request) -> io::Result<Nanos> {
        self.write(actor, request, Kind::Invoke, request.value.clone(), None)
    }

    /// Records how an operation ended.
    pub(crate) fn complete(
        &self,
        actor: &Actor,
        request: &Request,
        completion: &Completion,
    ) -> io::Result<Nanos> {
        match completion {
            Completion::Ok(value) => self.write(actor, request, Kind::Ok, value.clone(), None),
            Completion::Fail(why) => self.write(actor, request, Kind::Fail, Value::Nil, Some(why)),
            Completion::Info(why) => self.write(actor, request, Kind::Info, Value::Nil, Some(why)),
        }
    }

    fn write(
        &self,
        actor: &Actor,
        request: &Request,
        kind: Kind,
        value: Value,
        why: Option<&String>,
    ) -> io::Result<Nanos> {
        let mut state = self.state.lock().map_err(|_| io::Error::other("the recorder panicked"))?;
        let time = self.clock.now();
        let event = Event {
            index: state.file.lines(),
            time,
            process: actor.process,
            kind,
            f: F::clone(&request.f),
            key: request.key.clone(),
            value,
            node: Some(actor.node.clone()),
            error: why.map(|why| truncated(why).into()),
            client: None,
        };
        let State { file, line, tally, recent, watch, announcer } = &mut *state;
        line.clear();
        serde_json::to_writer(&mut *line, &event)?;
        line.push(b'\n');
        file.append(line)?;
        tally.count(kind);
        recent.push(&event);
        announcer.emit_at(time, &TrialEvent::Operation(&event));
        if let Some(watch) = watch {
            watch.push(event);
        }
        Ok(time)
    }

    /// Number of events in the file.
    pub(crate) fn events(&self) -> u64 {
        locked(&self.state).file.lines()
    }

    /// Counts of what has been recorded so far.
    pub(crate) fn tally(&self) -> Tally {
        let state = locked(&self.state);
        let (ok_per_second, p99_ns) = state.recent.throughput_and_p99(self.clock.now());
        Tally { ok_per_second, p99_ns, ..state.tally.clone() }
    }
}

/// Maximum length of a recorded error, in characters. A server may send a page of HTML with each refusal.
const ERROR_CHARS_MAX: usize = 1_000;

/// The text, truncated if necessary.
fn truncated(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(ERROR_CHARS_MAX) {
        Some((at, _)) => format!("{}… ({} bytes in all)", &text[..at], text.len()).into(),
        None => text.into(),
    }
}

impl Tally {
    fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Invoke => self.in_flight += 1,
            Kind::Ok => self.ok += 1,
            Kind::Fail => self.fail += 1,
            Kind::Info => self.info += 1,
        }
        if kind != Kind::Invoke {
            self.in_flight -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use tribunal_checker::history::History;

    use super::*;

    #[test]
    fn a_recorded_history_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        let clock = Clock::start();
        let announcer = Arc::new(Announcer::new(clock, Vec::new()));
        let recorder = Recorder::create(&path, clock, None, announcer).unwrap();
        let actor = |process| Actor { process, node: "n1".into() };
        let request = Request { f: F::Write, key: Value::str("k1"), value: Value::Int(4) };
        for process in 0..3 {
            recorder.invoke(&actor(process), &request).unwrap();
        }
        recorder.complete(&actor(0), &request, &Completion::Ok(Value::Nil)).unwrap();
        recorder.complete(&actor(1), &request, &Completion::Info("lost".into())).unwrap();
        assert_eq!(recorder.tally().in_flight, 1);
        let text = std::fs::read_to_string(path).unwrap();
        let events = text.lines().map(|line| serde_json::from_str::<Event>(line).unwrap());
        let history = History::from_events(events).unwrap();
        let ends: Vec<_> = history.ops.iter().map(|op| (op.is_ok(), op.completed.is_some())).collect();
        assert_eq!(ends, [(true, true), (false, true), (false, false)]);
    }

    #[test]
    fn a_long_error_is_truncated() {
        assert_eq!(truncated("connection lost"), "connection lost");
        let page = "ß".repeat(4 << 20);
        let kept = truncated(&page);
        assert!(kept.starts_with(&"ß".repeat(ERROR_CHARS_MAX)), "{kept}");
        assert!(kept.ends_with("ß… (8388608 bytes in all)"), "{kept}");
    }
}
