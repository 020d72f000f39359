//! The live check: events are fed as they are recorded, and a violation is reported at the earliest event
//! that proves it.
//!
//! The frontier engine already works forward over the events. One thing is missing for a live check: how a
//! pending operation will end, because the engine works with calls *and their results*. So for each key,
//! events wait until every operation invoked before them has ended.
//!
//! ```text
//!   recorded     call a   call b   return b   call c   return a   return c
//!   judged                                             call a, call b, return b                return a ...
//!                                                      ╰─ a has ended, c has not: later events wait ─╯
//! ```
//!
//! Within one instant the order of the recording is ignored, as in the check of a whole history: see `ties`.
//! So the events of an instant wait for the first later one.
//!
//! The check lags behind by at most the time since the oldest pending operation was invoked, so a timeout in
//! the clients bounds both the delay and the memory. The frontier is exact up to `WIDTH` configurations. A
//! key that needs more, or reaches a limit, is given up and left to the check of the whole history.
//!
//! Memory is bounded by the pending operations, not by the length of the run: unused states and calls are
//! removed from time to time. A key without recent events is put to rest: if it has no pending operations,
//! only its state is kept beside the key. Operations of unknown outcome stay pending forever: each new kind
//! of them costs memory, and time, as long as its key is in use. All keys at rest together hold at most the
//! memory limit; keys beyond that are given up.

mod digest;
mod keys;
mod log;
mod mixed;
mod stream;

use std::collections::VecDeque;

use hashbrown::HashMap;

use digest::LogDigest;
pub(crate) use keys::{ByKey, Keys};
use log::LogStream;
use mixed::MixedKeys;
pub(crate) use stream::KeyStream;

use crate::history::Malformed;
use crate::judge::Judge;
use crate::limits::Limits;
use crate::model::{Model, ModelKind, Objects};
use crate::op::{Event, Kind, Nanos, Op, Value};

/// The maximum number of configurations per key.
const WIDTH: usize = 4096;

/// A key without events among this many is put to rest.
const QUIET_EVENTS: usize = 1 << 13;

/// A live check, fed with events.
pub struct Online<'a> {
    model: &'a str,
    limits: Limits<'a>,
    keys: Box<dyn Keys + Send + 'a>,
    /// The key of each busy process.
    busy: HashMap<u64, Value>,
    position: usize,
    quiet_events: usize,
    /// The time of the latest event.
    now: Nanos,
    /// Proved violations that are not yet reported: several keys may have one in the same instant.
    proved: VecDeque<Proved>,
}

/// A violation that has just been proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// The operation whose completion no configuration survived.
    pub witness: Op,
}

impl std::fmt::Debug for Online<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = out.debug_struct("Online");
        shown.field("model", &self.model).field("keys", &self.keys()).finish_non_exhaustive()
    }
}

impl Online<'static> {
    /// A live check by one of the built-in models, or by several for mixed objects. The limit on configurations applies to each event, the
    /// limit on memory to each key.
    pub fn new(objects: impl Into<Objects>, limits: Limits<'static>) -> Self {
        let objects = objects.into();
        let keys = match objects {
            Objects::All(kind) => keys_of(kind),
            Objects::Mixed => Box::new(MixedKeys::new()),
        };
        Self::by(objects.name(), keys, limits)
    }
}

/// The live check of objects of one built-in model.
fn keys_of(kind: ModelKind) -> Box<dyn Keys + Send> {
    match kind {
        ModelKind::Log => Box::new(ByKey::<LogStream<'_>>::new(&LogDigest)),
        kind => kind.judge().keys(),
    }
}

impl<'a> Online<'a> {
    /// A live check by a model of your own.
    pub fn with<M: Model>(model: &'a M, limits: Limits<'a>) -> Self {
        Self::by(Model::name(model), Judge::keys(model), limits)
    }

    fn by(model: &'a str, keys: Box<dyn Keys + Send + 'a>, limits: Limits<'a>) -> Self {
        Online {
            model,
            limits,
            keys,
            busy: HashMap::new(),
            position: 0,
            quiet_events: QUIET_EVENTS,
            now: 0,
            proved: VecDeque::new(),
        }
    }

    /// Sets the number of events of other keys after which a key is put to rest; it may take up to twice as
    /// many. A key at rest holds only its state. Small values cost time when a key is used again.
    #[must_use]
    pub fn put_away_after(self, events: usize) -> Self {
        Online { quiet_events: events.max(1), ..self }
    }

    /// Takes the next event of the recording. The events of an instant are judged when a later one begins.
    /// `Some` if a violation is proved; that key is then judged no further, the other keys are.
    ///
    /// # Errors
    /// If an event is impossible at its position, or its operation has no meaning to the model. The error
    /// gives the position of that event, which may be an earlier one of the instant that just ended.
    pub fn feed(&mut self, event: &Event) -> Result<Option<Proved>, Malformed> {
        let position = self.position;
        self.position += 1;
        if self.position.is_multiple_of(self.quiet_events) {
            self.keys.put_away(&self.limits, &mut self.proved);
        }
        let malformed = |why: String| Malformed { item: "event", position, why };
        if event.time < self.now {
            return Err(malformed(format!(
                "the clock goes backwards, from {} to {} ns",
                self.now, event.time
            )));
        }
        if event.time > self.now {
            self.end_instant()?;
            self.now = event.time;
        }
        let key = match event.kind {
            Kind::Invoke => {
                if self.busy.insert(event.process, event.key.clone()).is_some() {
                    return Err(malformed(format!("process {} invokes twice at once", event.process)));
                }
                event.key.clone()
            }
            Kind::Ok | Kind::Fail | Kind::Info => self.busy.remove(&event.process).ok_or_else(|| {
                malformed(format!("process {} completes what it has not invoked", event.process))
            })?,
        };
        if !event.key.is_nil() && event.key != key {
            return Err(malformed(format!(
                "process {} completes on key {} what it invoked on key {key}",
                event.process, event.key
            )));
        }
        self.keys.hold(&key, position, event);
        Ok(self.proved.pop_front())
    }

    /// Judges the events of the latest instant.
    fn end_instant(&mut self) -> Result<(), Malformed> {
        self.keys.end_instant(&self.limits, &mut self.proved)
    }

    /// Ends the recording: pending operations stay indeterminate. Returns the violations that this proves.
    pub fn finish(&mut self) -> Vec<Proved> {
        // An event that does not fit the model proves nothing.
        let _ = self.end_instant();
        self.keys.finish(&self.limits, &mut self.proved);
        let mut proved: Vec<Proved> = self.proved.drain(..).collect();
        proved.sort_by_key(|proved| proved.witness.ret());
        proved
    }

    /// The number of keys seen.
    pub fn keys(&self) -> usize {
        self.keys.seen()
    }

    /// The number of keys that are no longer judged, because of a limit or a violation.
    pub fn given_up(&self) -> usize {
        self.keys.given_up()
    }

    /// Approximate number of bytes held.
    pub fn bytes(&self) -> usize {
        self.keys.bytes()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::generate::{Object, Plan, SplitMix64, generate};
    use crate::history::History;
    use crate::op::{F, Outcome};
    use crate::small;

    /// The events of a history; those of each process in its own order.
    pub(crate) fn events(history: &History) -> Vec<Event> {
        let mut events: Vec<(Nanos, bool, usize, Event)> = Vec::new();
        for (at, op) in history.ops.iter().enumerate() {
            let event = |kind, value: &Value, time| Event {
                index: 0,
                time,
                process: op.process,
                kind,
                f: op.f.clone(),
                key: op.key.clone(),
                value: value.clone(),
                node: None,
                error: None,
                client: op.client,
            };
            events.push((op.call, false, at, event(Kind::Invoke, &op.input, op.call)));
            let Some(time) = op.completed else { continue };
            events.push((
                time.max(op.call),
                true,
                at,
                match &op.outcome {
                    Outcome::Ok(output) => event(Kind::Ok, output, time),
                    Outcome::Fail => event(Kind::Fail, &Value::Nil, time),
                    Outcome::Info => event(Kind::Info, &Value::Nil, time),
                },
            ));
        }
        events.sort_by_key(|&(time, returns, at, _)| (time, at, returns));
        events.into_iter().map(|(.., event)| event).collect()
    }

    /// Feeds a history to its end or to the first violation. Returns the position of the event that proves
    /// it.
    pub(crate) fn first_violation(
        online: &mut Online<'_>,
        events: &[Event],
    ) -> Result<Option<usize>, Malformed> {
        for (at, event) in events.iter().enumerate() {
            if online.feed(event)?.is_some() {
                return Ok(Some(at));
            }
        }
        Ok((!online.finish().is_empty()).then_some(events.len()))
    }

    #[test]
    fn agrees_with_the_definition() {
        let mut random = SplitMix64::new(3);
        let mut seen = [0, 0];
        for round in 0..8_000 {
            let kind = ModelKind::ALL[round % ModelKind::ALL.len()];
            let history = small::history(&mut random, kind, 7);
            // Keys are put to rest occasionally, at once, or never.
            let quiet = [usize::MAX, 1, 2, 5][random.below(4) as usize];
            let mut online = Online::new(kind, Limits::default()).put_away_after(quiet);
            // Operations moved in time may overlap within a process, which a recording cannot have.
            let Ok(found) = first_violation(&mut online, &events(&history)) else { continue };
            let truth = small::by_definition(kind, &history.ops);
            assert_eq!(found.is_none(), truth, "history {round} of {kind}: {history:#?}");
            seen[usize::from(truth)] += 1;
        }
        assert!(seen[0] > 200 && seen[1] > 200, "one-sided: {seen:?}");
    }

    #[test]
    fn agrees_with_the_definition_on_logs() {
        let mut random = SplitMix64::new(8);
        let mut seen = [0, 0];
        for round in 0..40_000 {
            let events = small::log_recording(&mut random, 8);
            let history = History::from_events(events.clone()).unwrap();
            let quiet = [usize::MAX, 1, 2, 5][random.below(4) as usize];
            let mut online = Online::new(ModelKind::Log, Limits::default()).put_away_after(quiet);
            let found = first_violation(&mut online, &events).unwrap();
            let truth = small::by_definition(ModelKind::Log, &history.ops);
            assert_eq!(found.is_none(), truth, "recording {round}: {events:#?}");
            assert_eq!(online.given_up(), usize::from(!truth));
            seen[usize::from(truth)] += 1;
        }
        assert!(seen[0] > 2_000 && seen[1] > 2_000, "one-sided: {seen:?}");
    }

    /// Appends of ten concurrent clients; a read shows their order from time to time.
    fn log_of(random: &mut SplitMix64, key: i64, ops: usize, start: Nanos) -> Vec<Event> {
        let (mut events, mut log) = (Vec::new(), Vec::new());
        let mut open: Vec<Option<(F, Value)>> = vec![None; 10];
        let mut done = 0;
        while done < ops {
            let at = random.below(10) as usize;
            let time = start + events.len() as Nanos;
            let event = |kind, f: &F| Event::new(time, at as u64, kind, f.clone()).on(key);
            match open[at].take() {
                None => {
                    let f = if random.one_in(8) { F::Read } else { F::Append };
                    let value = if f == F::Read { Value::Nil } else { Value::Int(time as i64) };
                    events.push(event(Kind::Invoke, &f).with(value.clone()));
                    open[at] = Some((f, value));
                }
                Some((F::Append, value)) => {
                    log.push(value);
                    events.push(event(Kind::Ok, &F::Append));
                    done += 1;
                }
                Some((f, _)) => {
                    events.push(event(Kind::Ok, &f).with(Value::List(log.as_slice().into())));
                    done += 1;
                }
            }
        }
        for (at, open) in open.into_iter().enumerate().filter_map(|(at, open)| Some((at, open?))) {
            events.push(Event::new(start + events.len() as Nanos, at as u64, Kind::Fail, open.0).on(key));
        }
        events
    }

    #[test]
    fn a_log_of_concurrent_appends_needs_no_search() {
        let mut random = SplitMix64::new(9);
        let mut online = Online::new(ModelKind::Log, Limits::default()).put_away_after(1_000);
        let mut now = 0;
        for key in 0..200 {
            let events = log_of(&mut random, key, 500, now);
            now += events.len() as Nanos;
            for event in &events {
                assert_eq!(online.feed(event), Ok(None));
            }
        }
        assert_eq!((online.finish(), online.given_up()), (Vec::new(), 0));
        let each = online.bytes() / 200;
        assert!(each < 6_000, "{each} bytes for each log of 500 values");
    }

    #[test]
    fn an_append_that_a_read_shows_too_early_is_named_as_it_was_recorded() {
        let event = |time, process, kind, f: F| Event::new(time, process, kind, f);
        let list = |values: [i64; 2]| Value::List(values.map(Value::Int).into());
        let mut events = Vec::new();
        for (process, value) in [(0, 7), (1, 8)] {
            let time = 2 * process;
            events.push(event(time, process, Kind::Invoke, F::Append).with(value));
            events.push(event(time + 1, process, Kind::Ok, F::Append));
        }
        events.push(event(4, 2, Kind::Invoke, F::Read));
        events.push(event(5, 2, Kind::Ok, F::Read).with(list([8, 7])));
        let mut online = Online::new(ModelKind::Log, Limits::default());
        events.iter().for_each(|event| assert_eq!(online.feed(event), Ok(None)));
        let proved = online.finish();
        assert_eq!(proved.iter().map(|proved| proved.witness.to_string()).collect::<Vec<_>>(), ["append 7"]);
    }

    #[test]
    fn a_long_stream_is_checked_in_constant_memory() {
        for (object, kind) in
            [(Object::UniqueRegister, ModelKind::CasRegister), (Object::Counter, ModelKind::Counter)]
        {
            let made = generate(&Plan { clients: 5, indeterminate: 3, ..Plan::new(object, 60_000) });
            let events = events(&made.history);
            let mut online = Online::new(kind, Limits::default());
            let mut held = Vec::new();
            for chunk in events.chunks(events.len() / 4) {
                assert_eq!(chunk.iter().find_map(|event| online.feed(event).unwrap()), None);
                held.push(online.bytes());
            }
            assert_eq!((online.finish(), online.given_up()), (Vec::new(), 0));
            assert!(held.iter().all(|&bytes| bytes < 1 << 20), "{object:?} holds {held:?} bytes");
        }
    }

    #[test]
    fn keys_without_events_are_put_to_rest() {
        let mut online = Online::new(ModelKind::CasRegister, Limits::default());
        let keys = 300;
        for key in 0..keys {
            let plan = Plan { clients: 5, indeterminate: 2, seed: key, ..Plan::new(Object::Register, 1_000) };
            let mut history = generate(&plan).history;
            for op in &mut history.ops {
                (op.key, op.process) = (Value::Int(key as i64), op.process + 10_000 * key);
                let later = |time: Nanos| time + 10_000_000 * key;
                (op.call, op.completed) = (later(op.call), op.completed.map(later));
            }
            for event in events(&history) {
                assert_eq!(online.feed(&event), Ok(None));
            }
        }
        let each = online.bytes() as u64 / keys;
        assert!(each < 2_000, "{each} bytes for each key");
        assert_eq!((online.finish(), online.given_up()), (Vec::new(), 0));
    }

    #[test]
    fn a_key_at_rest_keeps_only_its_state() {
        let keys = 20_000;
        let mut online = Online::new(ModelKind::Counter, Limits::default()).put_away_after(100);
        let event = |time, kind, key: i64| Event::new(time, 0, kind, F::Add).on(key);
        for (time, key) in (0..).step_by(2).zip(0..keys) {
            assert_eq!(online.feed(&event(time, Kind::Invoke, key).with(1)), Ok(None));
            assert_eq!(online.feed(&event(time + 1, Kind::Ok, key)), Ok(None));
        }
        let each = online.bytes() as i64 / keys;
        assert!(each < 100, "{each} bytes for each key");
        // The key was remembered.
        let time = 2 * keys as u64;
        let read = |kind, time| Event { f: F::Read, ..event(time, kind, 7) };
        assert_eq!(online.feed(&read(Kind::Invoke, time)), Ok(None));
        assert_eq!(online.feed(&read(Kind::Ok, time + 1).with(0)), Ok(None));
        assert_eq!(online.finish().len(), 1);
    }

    #[test]
    fn keys_at_rest_hold_no_more_than_the_limit() {
        let limits = Limits { memory_bytes_max: 10_000, ..Limits::default() };
        let mut online = Online::new(ModelKind::Kv, limits).put_away_after(10);
        let text = Value::str(&"x".repeat(1_000));
        let event = |time, kind, key: i64| Event::new(time, 0, kind, F::Put).on(key);
        for (time, key) in (0..).step_by(2).zip(0..100) {
            assert_eq!(online.feed(&event(time, Kind::Invoke, key).with(text.clone())), Ok(None));
            assert_eq!(online.feed(&event(time + 1, Kind::Ok, key)), Ok(None));
        }
        assert!(online.given_up() > 50, "{} are given up", online.given_up());
    }

    #[test]
    fn a_violation_is_reported_while_the_run_goes_on() {
        let made = generate(&Plan { clients: 5, stale_at: Some(0.5), ..Plan::new(Object::Register, 10_000) });
        let events = events(&made.history);
        let found =
            first_violation(&mut Online::new(ModelKind::CasRegister, Limits::default()), &events).unwrap();
        let (middle, last) = (events.len() / 2, events.len() * 6 / 10);
        assert!(
            found.is_some_and(|at| (middle - 200..last).contains(&at)),
            "found at {found:?} of {}",
            events.len()
        );
    }
}
