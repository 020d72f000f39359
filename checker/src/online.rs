//! Checking while the test still runs: events are fed as they are recorded, and the first violation is reported at
//! the earliest event that proves it.
//!
//! The frontier engine needs no more than this: it works forward over the events anyway. Only one thing is unknown
//! while an operation is pending: how it will end, and the engine works with calls *and their results*. So for each
//! key events wait until every operation that was called before them has ended.
//!
//! ```text
//!   recorded     call a   call b   return b   call c   return a   return c
//!   judged                                             call a, call b, return b                return a ...
//!                                                      ╰─ a has ended, but c has not: what follows waits ─╯
//! ```
//!
//! What lags behind is at most what happened since the oldest pending operation was called, so a time-out of the
//! clients bounds both the delay and the memory. The frontier is exact up to [`WIDTH`] configurations; a key that
//! needs more, or reaches a limit, is given up and left to the check of the whole history.
//!
//! Memory is bounded by what is pending, not by the length of the run: states and calls that nothing refers to any
//! more are forgotten now and then, and a key that has been quiet for a while is put away with the little that it must
//! remember, a few KiB. Operations of unknown outcome never stop pending: each new kind of them costs memory, and
//! time, for as long as its key is in use.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::frontier::Frontier;
use crate::history::Malformed;
use crate::judge::Judge;
use crate::limits::{Limits, Meter};
use crate::model::{Model, ModelKind};
use crate::op::{Event, Kind, Op, Outcome, Value};
use crate::part::NEVER;
use crate::space::{ClassId, Effect, Space};

/// How many configurations are kept for each key.
const WIDTH: usize = 4096;

/// After so many events, keys that saw none of them are put away.
const QUIET_EVENTS: usize = 1 << 16;

/// How many states and calls a key may remember before those in use are counted.
const REMEMBERED_MIN: usize = 1 << 13;

/// A check that is fed with events.
pub struct Online<'a> {
    judge: &'a dyn Judge,
    limits: Limits<'a>,
    streams: HashMap<Value, Option<Box<dyn Stream + Send + 'a>>>,
    /// The key that each process is busy with.
    busy: HashMap<u64, Value>,
    position: usize,
}

/// A violation that has just been proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// The operation whose completion no configuration survives.
    pub witness: Op,
}

impl std::fmt::Debug for Online<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = out.debug_struct("Online");
        shown.field("model", &self.judge.name()).field("keys", &self.streams.len()).finish_non_exhaustive()
    }
}

impl Online<'static> {
    /// A check by one of the models that come with the crate, which has seen nothing yet. The limit on configurations
    /// is for each event, the limit on memory for each key.
    pub fn new(kind: ModelKind, limits: Limits<'static>) -> Self {
        Self::by(kind.judge(), limits)
    }
}

impl<'a> Online<'a> {
    /// A check by a model of your own.
    pub fn with<M: Model>(model: &'a M, limits: Limits<'a>) -> Self {
        Self::by(model, limits)
    }

    fn by(judge: &'a dyn Judge, limits: Limits<'a>) -> Self {
        Online { judge, limits, streams: HashMap::new(), busy: HashMap::new(), position: 0 }
    }

    /// Takes the next event of the recording. `Some` when it proves a violation; the key is not judged any further
    /// then, the others are.
    ///
    /// # Errors
    /// When the event cannot stand where it stands, or its operation has no meaning to the model.
    pub fn feed(&mut self, event: &Event) -> Result<Option<Proved>, Malformed> {
        let position = self.position;
        self.position += 1;
        if self.position.is_multiple_of(QUIET_EVENTS) {
            self.streams.values_mut().flatten().for_each(|stream| stream.put_away_if_quiet());
        }
        let malformed = |why: String| Malformed { position, why };
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
        let stream = self.streams.entry(key).or_insert_with(|| Some(self.judge.stream()));
        let Some(judging) = stream else { return Ok(None) };
        let progress = judging.feed(event, &self.limits).map_err(malformed)?;
        Ok(settle(stream, progress))
    }

    /// The recording has ended: whatever is pending stays indeterminate. Returns the violations that this proves.
    pub fn finish(&mut self) -> Vec<Proved> {
        let limits = &self.limits;
        let mut proved = Vec::new();
        for stream in self.streams.values_mut() {
            let Some(judging) = stream else { continue };
            let progress = judging.finish(limits);
            proved.extend(settle(stream, progress));
        }
        proved.sort_by_key(|proved| proved.witness.ret());
        proved
    }

    /// How many keys it has seen.
    pub fn keys(&self) -> usize {
        self.streams.len()
    }

    /// How many keys are not judged any more, because of a limit or a violation.
    pub fn given_up(&self) -> usize {
        self.streams.values().filter(|stream| stream.is_none()).count()
    }

    /// Roughly the bytes held.
    pub fn bytes(&self) -> usize {
        self.streams.values().flatten().map(|stream| stream.bytes()).sum()
    }
}

/// Lets go of a stream that has come to an end.
fn settle(stream: &mut Option<Box<dyn Stream + Send + '_>>, progress: Progress) -> Option<Proved> {
    match progress {
        Progress::Going => None,
        Progress::GivenUp => {
            *stream = None;
            None
        }
        Progress::Proved(witness) => {
            *stream = None;
            Some(Proved { witness: *witness })
        }
    }
}

/// How a stream stands.
pub(crate) enum Progress {
    Going,
    GivenUp,
    Proved(Box<Op>),
}

/// The events of one key, behind an interface without the model's types.
pub(crate) trait Stream {
    /// Takes an event; or says why it cannot.
    fn feed(&mut self, event: &Event, limits: &Limits<'_>) -> Result<Progress, String>;

    /// Judges what is waiting as if nothing would ever return again.
    fn finish(&mut self, limits: &Limits<'_>) -> Progress;

    /// Lets go of all that can be had again, if there was no event since this was last asked.
    fn put_away_if_quiet(&mut self);

    /// Roughly the bytes held.
    fn bytes(&self) -> usize;
}

/// An event that waits until all operations called before it have ended.
enum Waiting {
    /// A call that has not ended.
    Pending(Box<Op>),
    /// A call that has, and when it returns.
    Call { class: ClassId, returns: u32 },
    /// A return, of the call with this number.
    Return(u32, Box<Op>),
    /// Nothing that matters.
    Nothing,
}

/// The stream of one key.
pub(crate) struct KeyStream<'m, M: Model> {
    space: Space<'m, M>,
    frontier: Frontier,
    waiting: VecDeque<Waiting>,
    /// The number of the first event that waits; events are numbered as they come.
    first: u32,
    /// The event in which each busy process called.
    calls: HashMap<u64, u32>,
    remembered_max: usize,
    /// The number of the next event when it was last asked whether it is quiet.
    seen: u32,
}

impl<'m, M: Model> KeyStream<'m, M> {
    pub(crate) fn new(model: &'m M) -> Self {
        KeyStream {
            space: Space::new(model),
            frontier: Frontier::without_trail(WIDTH),
            waiting: VecDeque::new(),
            first: 0,
            calls: HashMap::new(),
            remembered_max: REMEMBERED_MIN,
            seen: 0,
        }
    }

    /// The number of the next event.
    fn next(&self) -> u32 {
        self.first + self.waiting.len() as u32
    }

    /// An operation has ended.
    fn end(&mut self, call: u32, event: &Event) -> Result<(), String> {
        let returns = self.next();
        let slot = &mut self.waiting[(call - self.first) as usize];
        let Waiting::Pending(mut op) = std::mem::replace(slot, Waiting::Nothing) else { return Ok(()) };
        op.completed = Some(event.time);
        op.complete_index = Some(event.index);
        op.outcome = match event.kind {
            Kind::Ok => Outcome::Ok(event.value.clone()),
            Kind::Fail => return Ok(()),
            Kind::Info | Kind::Invoke => Outcome::Info,
        };
        let parsed = self.space.model().parse(&op);
        let parsed =
            parsed.map_err(|expected| format!("`{op}` does not fit the model: expected {expected}"))?;
        let Some(class) = parsed.map(|call| self.space.class(call)) else { return Ok(()) };
        if op.is_ok() {
            *slot = Waiting::Call { class, returns };
            self.waiting.push_back(Waiting::Return(call, op));
        } else if self.space.effect(class) != Effect::Observes {
            *slot = Waiting::Call { class, returns: NEVER };
        }
        Ok(())
    }

    /// Judges every event up to the first call that has not ended.
    fn judge(&mut self, limits: &Limits<'_>) -> Progress {
        while !matches!(self.waiting.front(), None | Some(Waiting::Pending(_))) {
            let event = self.waiting.pop_front().expect("it has just been looked at");
            let number = self.first;
            self.first += 1;
            match event {
                Waiting::Pending(_) | Waiting::Nothing => {}
                Waiting::Call { class, returns } => {
                    self.frontier.call(number, class, returns, &mut self.space)
                }
                Waiting::Return(call, op) => {
                    match self.frontier.returns(call, &mut self.space, &mut Meter::new(limits, None)) {
                        Ok(true) => {}
                        Ok(false) if !self.frontier.was_cut => return Progress::Proved(op),
                        Ok(false) | Err(_) => return Progress::GivenUp,
                    }
                }
            }
        }
        let (states, calls) = self.space.len();
        if states + calls > self.remembered_max {
            self.forget();
        }
        // Numbers must not run out: with some to spare for what is pending.
        if self.first > NEVER - (1 << 24) { Progress::GivenUp } else { Progress::Going }
    }

    /// Forgets the states and calls that nothing refers to any more.
    fn forget(&mut self) {
        let mut space = Space::new(self.space.model());
        self.frontier.move_to(&self.space, &mut space);
        for event in &mut self.waiting {
            if let Waiting::Call { class, .. } = event {
                *class = space.class(self.space.call(*class).clone());
            }
        }
        self.space = space;
        let (states, calls) = self.space.len();
        self.remembered_max = (4 * (states + calls)).max(REMEMBERED_MIN);
    }
}

impl<M: Model> Stream for KeyStream<'_, M> {
    fn feed(&mut self, event: &Event, limits: &Limits<'_>) -> Result<Progress, String> {
        if event.kind == Kind::Invoke {
            self.calls.insert(event.process, self.next());
            self.waiting.push_back(Waiting::Pending(Box::new(Op {
                process: event.process,
                f: event.f.clone(),
                key: event.key.clone(),
                input: event.value.clone(),
                outcome: Outcome::Info,
                call: event.time,
                completed: None,
                node: event.node.clone(),
                error: None,
                invoke_index: event.index,
                complete_index: None,
            })));
            return Ok(Progress::Going);
        }
        if let Some(call) = self.calls.remove(&event.process) {
            self.end(call, event)?;
        }
        Ok(self.judge(limits))
    }

    fn finish(&mut self, limits: &Limits<'_>) -> Progress {
        for event in &mut self.waiting {
            let Waiting::Pending(op) = event else { continue };
            let class = self.space.model().parse(op).ok().flatten().map(|call| self.space.class(call));
            *event = match class {
                Some(class) if self.space.effect(class) != Effect::Observes => {
                    Waiting::Call { class, returns: NEVER }
                }
                _ => Waiting::Nothing,
            };
        }
        self.judge(limits)
    }

    fn put_away_if_quiet(&mut self) {
        if self.seen == self.next() {
            self.forget();
            self.frontier.shrink();
            self.waiting.shrink_to_fit();
            self.calls.shrink_to_fit();
        }
        self.seen = self.next();
    }

    fn bytes(&self) -> usize {
        self.space.bytes() + self.frontier.bytes() + self.waiting.capacity() * size_of::<Waiting>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Object, Plan, SplitMix64, generate};
    use crate::history::History;
    use crate::op::Nanos;
    use crate::small;

    /// The events of a history: at one instant calls come before returns.
    fn events(history: &History) -> Vec<Event> {
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
        events.sort_by_key(|&(time, returns, at, _)| (time, returns, at));
        events.into_iter().map(|(.., event)| event).collect()
    }

    /// Feeds a history to its end, or to the first violation: the position of the event that proves it.
    fn first_violation(online: &mut Online<'_>, events: &[Event]) -> Result<Option<usize>, Malformed> {
        for (at, event) in events.iter().enumerate() {
            if online.feed(event)?.is_some() {
                return Ok(Some(at));
            }
        }
        Ok((!online.finish().is_empty()).then_some(events.len()))
    }

    #[test]
    fn finds_what_the_definition_finds() {
        let mut random = SplitMix64::new(3);
        let mut seen = [0, 0];
        for round in 0..8_000 {
            let kind = ModelKind::ALL[round % ModelKind::ALL.len()];
            let history = small::history(&mut random, kind, 7);
            let mut online = Online::new(kind, Limits::default());
            // Operations that were moved in time may give a process two at once, which no recording has.
            let Ok(found) = first_violation(&mut online, &events(&history)) else { continue };
            let truth = small::by_definition(kind, &history.ops);
            assert_eq!(found.is_none(), truth, "history {round} of {kind}: {history:#?}");
            seen[usize::from(truth)] += 1;
        }
        assert!(seen[0] > 200 && seen[1] > 200, "one-sided: {seen:?}");
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
            assert!(held.iter().all(|&bytes| bytes < 4 << 20), "{object:?} holds {held:?} bytes");
        }
    }

    #[test]
    fn keys_that_are_done_with_are_put_away() {
        let mut online = Online::new(ModelKind::CasRegister, Limits::default());
        let keys = 300;
        for key in 0..keys {
            let plan = Plan { clients: 5, indeterminate: 2, seed: key, ..Plan::new(Object::Register, 1_000) };
            let mut history = generate(&plan).history;
            for op in &mut history.ops {
                (op.key, op.process) = (Value::Int(key as i64), op.process + 10_000 * key);
            }
            for event in events(&history) {
                assert_eq!(online.feed(&event), Ok(None));
            }
        }
        let each = online.bytes() as u64 / keys;
        assert!(each < 3_000, "{each} bytes for each key");
        assert_eq!((online.finish(), online.given_up()), (Vec::new(), 0));
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
