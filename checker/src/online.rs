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
//! At one instant the order of the recording counts for nothing, as it does not in the check of a whole history: see
//! `ties`. So the events of an instant wait for the first one that is later.
//!
//! What lags behind is at most what happened since the oldest pending operation was called, so a time-out of the
//! clients bounds both the delay and the memory. The frontier is exact up to `WIDTH` configurations; a key that
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
use crate::op::{Event, Kind, Nanos, Op, Outcome, Value};
use crate::part::NEVER;
use crate::space::{ClassId, Space};

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
    /// The instant of the last event, and the keys that have events of it.
    now: Nanos,
    touched: Vec<Value>,
    /// Violations that are proved and not yet reported: several keys may have one in the same instant.
    proved: VecDeque<Proved>,
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
        Online {
            judge,
            limits,
            streams: HashMap::new(),
            busy: HashMap::new(),
            position: 0,
            now: 0,
            touched: Vec::new(),
            proved: VecDeque::new(),
        }
    }

    /// Takes the next event of the recording; its instant is judged when a later one begins. `Some` when a violation is
    /// proved; the key is not judged any further then, the others are.
    ///
    /// # Errors
    /// When an event cannot stand where it stands, or its operation has no meaning to the model. The position is that
    /// of the event, which may have been fed before this one, at the instant that it ends.
    pub fn feed(&mut self, event: &Event) -> Result<Option<Proved>, Malformed> {
        let position = self.position;
        self.position += 1;
        if self.position.is_multiple_of(QUIET_EVENTS) {
            self.streams.values_mut().flatten().for_each(|stream| stream.put_away_if_quiet());
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
        let stream = self.streams.entry(key.clone()).or_insert_with(|| Some(self.judge.stream()));
        if let Some(judging) = stream
            && judging.hold(position, event)
        {
            self.touched.push(key);
        }
        Ok(self.proved.pop_front())
    }

    /// Judges the events of the last instant.
    fn end_instant(&mut self) -> Result<(), Malformed> {
        let mut result = Ok(());
        for key in self.touched.drain(..) {
            let Some(stream) = self.streams.get_mut(&key) else { continue };
            let Some(judging) = stream else { continue };
            match judging.end_instant(&self.limits) {
                Ok(progress) => self.proved.extend(settle(stream, progress)),
                Err(malformed) => {
                    *stream = None;
                    result = result.and(Err(malformed));
                }
            }
        }
        result
    }

    /// The recording has ended: whatever is pending stays indeterminate. Returns the violations that this proves.
    pub fn finish(&mut self) -> Vec<Proved> {
        // An event that does not fit the model is no evidence.
        let _ = self.end_instant();
        let limits = &self.limits;
        let mut proved: Vec<Proved> = self.proved.drain(..).collect();
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
    /// Keeps an event until its instant is over. Says whether it is the first one.
    fn hold(&mut self, position: usize, event: &Event) -> bool;

    /// Judges the events that are held; or says which of them cannot be.
    fn end_instant(&mut self, limits: &Limits<'_>) -> Result<Progress, Malformed>;

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
    /// The events of the instant that has not ended, with their positions in the recording.
    held: Vec<(usize, Event)>,
    waiting: VecDeque<Waiting>,
    /// The number of the first event that waits; events are numbered as they come.
    first: u32,
    /// The event in which each busy process called; and where one did so more than once in an instant, when it called
    /// after that.
    calls: HashMap<u64, u32>,
    later: HashMap<u64, VecDeque<u32>>,
    /// For calls, the calls that must be placed before them although they return in the same instant.
    after: HashMap<u32, Vec<u32>>,
    remembered_max: usize,
    /// The number of the next event when it was last asked whether it is quiet.
    seen: u32,
}

impl<'m, M: Model> KeyStream<'m, M> {
    pub(crate) fn new(model: &'m M) -> Self {
        KeyStream {
            space: Space::new(model),
            frontier: Frontier::without_trail(WIDTH),
            held: Vec::new(),
            waiting: VecDeque::new(),
            first: 0,
            calls: HashMap::new(),
            later: HashMap::new(),
            after: HashMap::new(),
            remembered_max: REMEMBERED_MIN,
            seen: 0,
        }
    }

    /// The number of the next event.
    fn next(&self) -> u32 {
        self.first + self.waiting.len() as u32
    }

    /// Puts the events of one instant in an order: calls before returns, but that of a process that goes on in this
    /// instant in its own. Where several processes do that, it is noted what must come after what instead.
    fn order(&mut self, held: &mut [(usize, Event)]) {
        /// By its number, or by its position if it has none yet.
        type Call = Result<u32, usize>;
        // The open call of each process, of those that called in this instant; what each has completed in it; and what it
        // called after that.
        let mut open: HashMap<u64, usize> = HashMap::new();
        let mut completed: HashMap<u64, Vec<Call>> = HashMap::new();
        let mut gone_on: Vec<(u64, usize, Vec<Call>)> = Vec::new();
        for (position, Event { process, kind, .. }) in held.iter() {
            match kind {
                Kind::Invoke => {
                    open.insert(*process, *position);
                    if let Some(earlier) = completed.get(process) {
                        gone_on.push((*process, *position, earlier.clone()));
                    }
                }
                Kind::Ok => {
                    let call = open.get(process).map(|&position| Err(position));
                    let call = call.or_else(|| self.calls.get(process).map(|&number| Ok(number)));
                    completed.entry(*process).or_default().extend(call);
                }
                Kind::Fail | Kind::Info => {}
            }
        }
        let alone = gone_on.first().map(|&(process, ..)| process);
        let alone = alone.filter(|first| gone_on.iter().all(|(process, ..)| process == first));
        held.sort_by_key(|(_, event)| match event.kind {
            _ if alone == Some(event.process) => 1,
            Kind::Invoke => 0,
            Kind::Ok | Kind::Fail | Kind::Info => 2,
        });
        if alone.is_none() && !gone_on.is_empty() {
            let next = self.next();
            let number = |position: usize| {
                let at = held.iter().position(|(other, _)| *other == position);
                next + at.expect("it is one of them") as u32
            };
            for (_, later, earlier) in gone_on {
                let earlier = earlier.into_iter().map(|call| call.unwrap_or_else(number));
                self.after.insert(number(later), earlier.collect());
            }
        }
    }

    /// An event whose place among those of its instant is known.
    fn take(&mut self, event: Event) -> Result<(), String> {
        if event.kind == Kind::Invoke {
            let number = self.next();
            // What the process did before may end later in the same instant.
            if let Some(earlier) = self.calls.insert(event.process, number) {
                self.calls.insert(event.process, earlier);
                self.later.entry(event.process).or_default().push_back(number);
            }
            self.waiting.push_back(Waiting::Pending(Box::new(Op {
                process: event.process,
                f: event.f,
                key: event.key,
                input: event.value,
                outcome: Outcome::Info,
                call: event.time,
                completed: None,
                node: event.node,
                error: None,
                invoke_index: event.index,
                complete_index: None,
                client: event.client,
            })));
            return Ok(());
        }
        let Some(call) = self.calls.remove(&event.process) else { return Ok(()) };
        if !self.later.is_empty()
            && let Some(calls) = self.later.get_mut(&event.process)
        {
            self.calls.extend(calls.pop_front().map(|call| (event.process, call)));
            if calls.is_empty() {
                self.later.remove(&event.process);
            }
        }
        self.end(call, &event)
    }

    /// The class of a call that has ended.
    fn class(&mut self, number: u32, call: M::Call) -> ClassId {
        let is_first = || self.after.values().flatten().any(|&first| first == number);
        let is_tied = !self.after.is_empty()
            && (self.after.contains_key(&number) || !self.space.model().read_only(&call) && is_first());
        if is_tied { self.space.class_alone(call) } else { self.space.class(call) }
    }

    /// An operation has ended.
    fn end(&mut self, call: u32, event: &Event) -> Result<(), String> {
        let returns = self.next();
        let at = (call - self.first) as usize;
        let Waiting::Pending(mut op) = std::mem::replace(&mut self.waiting[at], Waiting::Nothing) else {
            return Ok(());
        };
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
        let Some(parsed) = parsed else { return Ok(()) };
        if !op.is_ok() && self.space.model().read_only(&parsed) {
            return Ok(());
        }
        let class = self.class(call, parsed);
        if op.is_ok() {
            self.waiting[at] = Waiting::Call { class, returns };
            self.waiting.push_back(Waiting::Return(call, op));
        } else {
            self.waiting[at] = Waiting::Call { class, returns: NEVER };
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
                Waiting::Pending(_) | Waiting::Nothing => drop(self.after.remove(&number)),
                Waiting::Call { class, returns } => {
                    self.frontier.call(number, class, returns, &mut self.space);
                    if !self.after.is_empty()
                        && let Some(earlier) = self.after.remove(&number)
                    {
                        self.frontier.place_after(number, &earlier);
                    }
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
                *class = space.adopt(&self.space, *class);
            }
        }
        self.space = space;
        let (states, calls) = self.space.len();
        self.remembered_max = (4 * (states + calls)).max(REMEMBERED_MIN);
    }
}

impl<M: Model> Stream for KeyStream<'_, M> {
    fn hold(&mut self, position: usize, event: &Event) -> bool {
        self.held.push((position, event.clone()));
        self.held.len() == 1
    }

    fn end_instant(&mut self, limits: &Limits<'_>) -> Result<Progress, Malformed> {
        let mut held = std::mem::take(&mut self.held);
        if held.len() > 1 {
            self.order(&mut held);
        }
        for (position, event) in held.drain(..) {
            self.take(event).map_err(|why| Malformed { item: "event", position, why })?;
        }
        self.held = held;
        Ok(self.judge(limits))
    }

    fn finish(&mut self, limits: &Limits<'_>) -> Progress {
        for at in 0..self.waiting.len() {
            let Waiting::Pending(op) = &self.waiting[at] else { continue };
            let call = self.space.model().parse(op).ok().flatten();
            let call = call.filter(|call| !self.space.model().read_only(call));
            let class = call.map(|call| self.class(self.first + at as u32, call));
            self.waiting[at] =
                class.map_or(Waiting::Nothing, |class| Waiting::Call { class, returns: NEVER });
        }
        self.judge(limits)
    }

    fn put_away_if_quiet(&mut self) {
        if self.seen == self.next() {
            self.forget();
            self.frontier.shrink();
            self.waiting.shrink_to_fit();
            self.held.shrink_to_fit();
            self.calls.shrink_to_fit();
        }
        self.seen = self.next();
    }

    fn bytes(&self) -> usize {
        self.space.bytes()
            + self.frontier.bytes()
            + self.waiting.capacity() * size_of::<Waiting>()
            + self.held.capacity() * size_of::<(usize, Event)>()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::generate::{Object, Plan, SplitMix64, generate};
    use crate::history::History;
    use crate::op::Nanos;
    use crate::small;

    /// The events of a history, each process's in its order.
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

    /// Feeds a history to its end, or to the first violation: the position of the event that proves it.
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
                let later = |time: Nanos| time + 10_000_000 * key;
                (op.call, op.completed) = (later(op.call), op.completed.map(later));
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
