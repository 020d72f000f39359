//! The live check of one log: later reads explain its events, which are then passed to the usual check.
//!
//! Concurrent appends that return nothing can be in any order, and a search would have to follow all orders
//! until a read shows the real one. So events wait for that read, and are then passed on with its
//! information:
//!
//! ```text
//!   recorded     append a ─────▶ ok      append b ────▶ ok     append x ──▶ unknown        read ──▶ [b, x, a]
//!   passed on    append a ─────▶ 2       append b ────▶ 0      append x ─────────────────────────▶ 1  [b, x, a]
//! ```
//!
//! - An append that a read shows gets its position as its returned offset. This is certain if no other append
//!   of the same value, not shown by an earlier read, had been invoked by then. (Otherwise the append is
//!   passed on unchanged.)
//! - An append of unknown outcome that a read shows happened before the return of that read. If no read has
//!   shown it, it is held back, because everything passed on came before it; its invocation is passed on when
//!   a read shows it.
//! - An append that no read shows, although a read was invoked after its return, is passed on unchanged; the
//!   check finds the violation.
//! - An append that returned an offset needs no read, unless one of unknown outcome may be at an earlier
//!   position.
//!
//! Each of these rules excludes only illegal orders, so the verdict stays the same. The events that wait are
//! those since the last read. At rest only these are kept, with a [`Digest`](super::digest::Digest) of the
//! values before them.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::digest::LogDigest;
use super::keys::{Progress, Stream};
use super::stream::KeyStream;
use crate::history::Malformed;
use crate::limits::Limits;
use crate::model::Model;
use crate::op::{Event, F, Kind, Nanos, Op, Outcome, Value};
use crate::rest::Rest;

/// Maximum number of events that wait for a read; beyond it they are passed on unchanged.
const WAITING_MAX: usize = 1 << 17;

/// Marks the process of an append of unknown outcome that a read has shown, because its own process may have
/// continued.
const OWN_PROCESS: u64 = 1 << 63;

/// The stream of one log.
pub(crate) struct LogStream<'m> {
    passed: KeyStream<'m, LogDigest>,
    /// The events that were not passed on, and how many of them belong to the current instant.
    queue: VecDeque<Queued>,
    held: usize,
    /// Operations with events in the queue or held back, by their own numbers.
    ops: HashMap<u64, LogOp>,
    numbers: u64,
    /// The current operation of each busy process.
    open: HashMap<u64, u64>,
    /// The appends that no read has shown, by value.
    unread: HashMap<Value, Unread>,
    /// Appends of unknown outcome that are held back: their invocations, in order.
    held_back: Vec<Queued>,
    /// Whether held-back appends were passed on in this instant.
    passed_held_back: bool,
    /// The number of appends of unknown outcome that no read has shown, held back or in the queue.
    unknown: usize,
    /// Reads that returned in the current instant: the time of their invocation, and their values.
    reads: Vec<(Nanos, Value)>,
    /// The processes whose operations returned in the current instant.
    returned: Vec<u64>,
    /// The number of values that reads have shown.
    shown: usize,
    /// The latest invocation of a read that has returned.
    last_read: Nanos,
    /// Whether appends may be at positions after those shown, either because of a returned offset, or because
    /// they were passed on unchanged.
    beyond: bool,
    /// Whether the recording has ended.
    over: bool,
    /// The unshown appends at the time when the log was put to rest.
    asleep: Box<[UnreadAppend]>,
}

/// A waiting event.
struct Queued {
    position: usize,
    op: u64,
    event: Event,
    /// Whether it is the last event of its instant.
    last: bool,
}

/// An operation.
struct LogOp {
    called: Nanos,
    fate: Fate,
    /// For an append: its value, and its position if a read shows it.
    value: Option<Value>,
    place: Option<usize>,
}

impl LogOp {
    /// Whether it is an append at an unknown position that has happened or may have happened.
    fn is_unread(&self) -> bool {
        let may_be = matches!(self.fate, Fate::Ok(_, None) | Fate::Unknown);
        self.value.is_some() && self.place.is_none() && may_be
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    /// It returned at this time; an append perhaps with an offset.
    Ok(Nanos, Option<i64>),
    Fail,
    Unknown,
    /// Its outcome was unknown, but a read has shown it.
    Shown,
}

/// The appends of one value that no read has shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unread {
    One(u64),
    /// Several: it is unknown which of them a read will show.
    Many,
}

/// The memory of a log at rest.
pub(crate) struct LogRest {
    rest: Rest<LogDigest>,
    unread: Box<[UnreadAppend]>,
}

/// An append that no read has shown.
struct UnreadAppend {
    process: u64,
    value: Value,
    index: u64,
    called: Nanos,
    /// `None` if the outcome is unknown.
    returned: Option<Nanos>,
}

impl LogStream<'_> {
    fn queue(&mut self, position: usize, op: u64, event: Event) {
        self.queue.push_back(Queued { position, op, event, last: false });
    }

    /// Registers an invocation.
    fn called(&mut self, event: &Event) -> u64 {
        let op = self.numbers;
        self.numbers += 1;
        let value = (event.f == F::Append).then(|| event.value.clone());
        if let Some(value) = &value {
            let unread = self.unread.entry(value.clone());
            // Its process puts it after the previous operation; this order would be lost with another
            // process.
            if self.returned.contains(&event.process) {
                unread.insert(Unread::Many);
                return op;
            }
            unread.and_modify(|unread| *unread = Unread::Many).or_insert(Unread::One(op));
        }
        self.ops.insert(op, LogOp { called: event.time, fate: Fate::Open, value, place: None });
        self.open.insert(event.process, op);
        op
    }

    /// Registers a completion.
    fn ended(&mut self, mut event: Event) -> (u64, Event) {
        if event.kind == Kind::Ok {
            self.returned.push(event.process);
        }
        let number = self.open.remove(&event.process).unwrap_or(u64::MAX);
        if event.f == F::Append && event.kind == Kind::Ok && matches!(event.value, Value::List(_)) {
            // A list marks a position that this stream adds. The model refuses `false` as it refuses a
            // recorded list.
            event.value = false.into();
        }
        let Some(op) = self.ops.get_mut(&number) else { return (number, event) };
        match (&op.value, event.kind) {
            (None, Kind::Ok) => self.reads.push((op.called, event.value.clone())),
            (Some(value), Kind::Fail) if self.unread.get(value) == Some(&Unread::One(number)) => {
                self.unread.remove(value);
            }
            (Some(_), Kind::Info) if op.place.is_some() => event.kind = Kind::Ok,
            (Some(_), Kind::Info) => self.unknown += 1,
            _ => {}
        }
        op.fate = match event.kind {
            // The model refuses other outputs that are no offsets.
            Kind::Ok if event.value.is_nil() => Fate::Ok(event.time, None),
            Kind::Ok => Fate::Ok(event.time, Some(event.value.as_int().unwrap_or(-1))),
            Kind::Fail => Fate::Fail,
            Kind::Info | Kind::Invoke => Fate::Unknown,
        };
        if let (Some(_), Fate::Ok(_, Some(offset))) = (&op.value, op.fate) {
            self.beyond |= offset >= self.shown as i64;
        }
        (number, event)
    }

    /// Registers the return of a read: the appends that it shows get positions.
    fn show(&mut self, called: Nanos, all: &Value) {
        self.last_read = self.last_read.max(called);
        let Value::List(all) = all else { return };
        for (place, value) in all.iter().enumerate().skip(self.shown) {
            let number = match self.unread.get(value) {
                Some(&Unread::One(number)) => number,
                Some(Unread::Many) => {
                    self.pass_all_unchanged(value);
                    continue;
                }
                None => continue,
            };
            self.unread.remove(value);
            let Some(op) = self.ops.get_mut(&number) else { continue };
            op.place = Some(place);
            if op.fate == Fate::Unknown {
                self.unknown -= 1;
                if let Some(at) = self.held_back.iter().position(|kept| kept.op == number) {
                    self.queue.push_front(Queued { last: true, ..self.held_back.remove(at) });
                }
                self.has_happened(number, place);
            }
        }
        self.shown = self.shown.max(all.len());
    }

    /// An append of unknown outcome has happened by the last event in the queue.
    fn has_happened(&mut self, number: u64, place: usize) {
        if let (Some(op), Some(last)) = (self.ops.get_mut(&number), self.queue.back()) {
            op.fate = Fate::Shown;
            let event = Event::new(last.event.time, OWN_PROCESS | number, Kind::Ok, F::Append);
            let (position, event) = (last.position, event.with(shown_at(place)));
            self.queue(position, number, event);
        }
    }

    /// Whether an event need not wait any longer.
    fn is_ready(&self, queued: &Queued) -> bool {
        let Some(op) = self.ops.get(&queued.op) else { return true };
        if self.over || op.value.is_none() || self.queue.len() > WAITING_MAX {
            return true;
        }
        match op.fate {
            Fate::Open => false,
            Fate::Fail | Fate::Unknown | Fate::Shown => true,
            Fate::Ok(returned, offset) => {
                let told = |offset| self.unknown == 0 || offset < self.shown as i64;
                op.place.is_some() || returned < self.last_read || offset.is_some_and(told)
            }
        }
    }

    /// The number of events in the first instant of the queue, if none of them must wait.
    fn ready(&self) -> Option<usize> {
        let mut length = 0;
        loop {
            let queued = self.queue.get(length).filter(|queued| self.is_ready(queued))?;
            length += 1;
            if queued.last {
                return Some(length);
            }
        }
    }

    /// Passes on the events that need not wait.
    fn pass(&mut self, limits: &Limits<'_>) -> Result<Progress, Malformed> {
        while let Some(length) = self.ready() {
            for queued in self.queue.drain(..length).collect::<Vec<_>>() {
                self.pass_event(queued);
            }
            // Operations invoked in the same instant are concurrent with it.
            if std::mem::take(&mut self.passed_held_back) {
                self.pass_held_back();
                self.passed_held_back = false;
            }
            match self.passed.end_instant(limits)? {
                Progress::Going => {}
                Progress::GivenUp => return Ok(Progress::GivenUp),
                Progress::Proved(witness) => return Ok(Progress::Proved(as_recorded(witness))),
            }
        }
        Ok(Progress::Going)
    }

    fn pass_event(&mut self, queued: Queued) {
        let Queued { position, op: number, mut event, .. } = queued;
        let Some(op) = self.ops.get(&number) else {
            if event.f == F::Append {
                // An append passed on unchanged may come after appends that were held back.
                self.beyond = true;
                self.pass_held_back();
            }
            return self.passed.keep(position, event);
        };
        let is_append = op.value.is_some();
        match (event.kind, op.fate) {
            (Kind::Invoke, Fate::Unknown) if is_append => {
                return self.held_back.push(Queued { position, op: number, event, last: true });
            }
            (Kind::Invoke, Fate::Shown) => give_own_process(&mut event, number),
            (Kind::Invoke, Fate::Open) if is_append => {
                self.beyond = true;
                self.pass_held_back();
                self.pass_unchanged(number);
            }
            (Kind::Invoke, _) => {}
            // Its invocation is passed on when a read shows it, and it has returned by then.
            (Kind::Info, Fate::Unknown | Fate::Shown) if is_append => return,
            (Kind::Ok, Fate::Ok(_, offset)) if is_append => {
                match op.place {
                    Some(place) if offset.is_none() => event.value = shown_at(place),
                    None if offset.is_none_or(|offset| offset >= self.shown as i64) => {
                        self.beyond = true;
                        self.pass_held_back();
                        if offset.is_none() {
                            self.pass_unchanged(number);
                        }
                    }
                    _ => {}
                }
                self.ops.remove(&number);
            }
            _ => drop(self.ops.remove(&number)),
        }
        self.passed.keep(position, event);
    }

    /// Passes an operation on unchanged from now on.
    fn pass_unchanged(&mut self, number: u64) {
        if let Some(LogOp { value: Some(value), .. }) = self.ops.remove(&number) {
            self.unread.insert(value, Unread::Many);
        }
    }

    /// Passes all appends of a value on unchanged, because a read shows the value and may mean any of them.
    fn pass_all_unchanged(&mut self, value: &Value) {
        self.beyond = true;
        let is_meant = |op: &LogOp| op.value.as_ref() == Some(value) && op.place.is_none();
        let meant: Vec<u64> = self.ops.iter().filter(|(_, op)| is_meant(op)).map(|(&op, _)| op).collect();
        for number in meant {
            let was_unknown = self.ops.get(&number).is_some_and(|op| op.fate == Fate::Unknown);
            self.unknown -= usize::from(was_unknown);
            self.pass_unchanged(number);
        }
        for mut call in std::mem::take(&mut self.held_back) {
            if self.ops.contains_key(&call.op) {
                self.held_back.push(call);
                continue;
            }
            give_own_process(&mut call.event, call.op);
            let end = Event { kind: Kind::Info, value: Value::Nil, ..call.event.clone() };
            self.queue.push_front(Queued { position: call.position, op: call.op, event: end, last: true });
            self.queue.push_front(Queued { last: false, ..call });
        }
    }

    /// Passes on the appends that were held back.
    fn pass_held_back(&mut self) {
        self.passed_held_back = true;
        for Queued { position, op, mut event, .. } in std::mem::take(&mut self.held_back) {
            self.pass_unchanged(op);
            self.unknown -= 1;
            give_own_process(&mut event, op);
            self.passed.keep(position, event.clone());
            self.passed.keep(position, Event { kind: Kind::Info, value: Value::Nil, ..event });
        }
    }

    /// Recomputes where each instant of the queue ends.
    fn mark_instants(&mut self) {
        for at in 0..self.queue.len() {
            let next = self.queue.get(at + 1).map(|next| next.event.time);
            self.queue[at].last = next != Some(self.queue[at].event.time);
        }
    }

    /// The log is in use again: unshown appends wait for a read.
    fn wake_up(&mut self, key: &Value) {
        let mut events = Vec::new();
        for (at, append) in std::mem::take(&mut self.asleep).into_iter().enumerate() {
            let UnreadAppend { process, value, index, called, returned } = append;
            let event = |kind, time| Event { index, ..Event::new(time, process, kind, F::Append) };
            events.push((called, at, event(Kind::Invoke, called).on(key.clone()).with(value)));
            events.push(match returned {
                Some(time) => (time, at, event(Kind::Ok, time)),
                None => (called, at, event(Kind::Info, called)),
            });
        }
        events.sort_by_key(|&(time, at, _)| (time, at));
        for (.., event) in events {
            let (op, event) = match event.kind {
                Kind::Invoke => (self.called(&event), event),
                _ => self.ended(event),
            };
            self.queue(0, op, event);
        }
        self.mark_instants();
    }
}

/// The output of an append that a read has shown.
fn shown_at(place: usize) -> Value {
    Value::List([(place as i64).into()].into())
}

/// The witness of a violation, without the information added to it.
fn as_recorded(mut witness: Box<Op>) -> Box<Op> {
    if witness.process & OWN_PROCESS != 0 {
        witness.process = witness.client.take().unwrap_or(witness.process);
    }
    if witness.f == F::Append && matches!(witness.output(), Some(Value::List(_))) {
        witness.outcome = Outcome::Ok(Value::Nil);
    }
    witness
}

/// Gives an append of unknown outcome a process of its own; the witness of a violation shows the original.
fn give_own_process(event: &mut Event, number: u64) {
    event.client = Some(event.process);
    event.process = OWN_PROCESS | number;
}

impl<'m> Stream<'m> for LogStream<'m> {
    type Model = LogDigest;
    type Rest = LogRest;

    fn new(model: &'m LogDigest) -> Self {
        LogStream::wake(model, LogRest { rest: Rest::State(model.init()), unread: Box::default() })
    }

    fn wake(model: &'m LogDigest, LogRest { rest, unread }: LogRest) -> Self {
        let (shown, beyond) = match &rest {
            Rest::State(state) => (state.length(), false),
            Rest::More(more) => {
                (more.configs.iter().map(|(state, _)| state.length()).max().unwrap_or(0), true)
            }
        };
        LogStream {
            passed: KeyStream::wake(model, rest),
            queue: VecDeque::new(),
            held: 0,
            ops: HashMap::new(),
            numbers: 0,
            open: HashMap::new(),
            unread: HashMap::new(),
            held_back: Vec::new(),
            passed_held_back: false,
            unknown: 0,
            reads: Vec::new(),
            returned: Vec::new(),
            shown,
            last_read: 0,
            beyond,
            over: false,
            asleep: unread,
        }
    }

    fn hold(&mut self, position: usize, event: &Event) -> bool {
        if !self.asleep.is_empty() {
            self.wake_up(&event.key);
        }
        let (op, event) = match event.kind {
            Kind::Invoke => (self.called(event), event.clone()),
            _ => self.ended(event.clone()),
        };
        self.queue(position, op, event);
        self.held += 1;
        self.held == 1
    }

    fn end_instant(&mut self, limits: &Limits<'_>) -> Result<Progress, Malformed> {
        self.held = 0;
        self.returned.clear();
        for (called, all) in std::mem::take(&mut self.reads) {
            self.show(called, &all);
        }
        if let Some(queued) = self.queue.back_mut() {
            queued.last = true;
        }
        self.pass(limits)
    }

    /// Unshown appends that certainly happened come last, in the order of their returns, unless another
    /// append may be at their position.
    fn finish(&mut self, limits: &Limits<'_>) -> Progress {
        let certain = !self.beyond && !self.unread.values().any(|unread| *unread == Unread::Many);
        let mut open: Vec<u64> = self.open.drain().map(|(_, number)| number).collect();
        open.sort_unstable();
        for number in open {
            let Some(op) = self.ops.get_mut(&number).filter(|op| op.value.is_some()) else { continue };
            match op.place {
                Some(place) => self.has_happened(number, place),
                None if certain => op.fate = Fate::Unknown,
                None => {}
            }
        }
        let mut end = self.shown;
        for Queued { op, event, .. } in self.queue.iter().filter(|_| certain) {
            if let Some(op) = self.ops.get_mut(op).filter(|op| event.kind == Kind::Ok && op.is_unread()) {
                op.place = Some(end);
                end += 1;
            }
        }
        if let Some(queued) = self.queue.back_mut() {
            queued.last = true;
        }
        self.over = true;
        if !certain {
            self.pass_held_back();
        }
        match self.pass(limits) {
            Ok(Progress::Going) => match self.passed.finish(limits) {
                Progress::Proved(witness) => Progress::Proved(as_recorded(witness)),
                progress => progress,
            },
            Ok(progress) => progress,
            Err(_) => Progress::GivenUp,
        }
    }

    /// Judges everything but the unshown appends: if none of them had returned before some later invocation,
    /// they come after everything else.
    fn settle(&mut self, limits: &Limits<'_>) -> Result<Progress, Malformed> {
        let many = || self.unread.values().any(|unread| *unread == Unread::Many);
        if !self.open.is_empty() || self.held > 0 || !self.asleep.is_empty() || self.beyond || many() {
            return Ok(Progress::Going);
        }
        let is_unread = |op: &u64| self.ops.get(op).is_some_and(LogOp::is_unread);
        let returns = self.ops.values().filter(|op| op.is_unread()).filter_map(|op| match op.fate {
            Fate::Ok(returned, _) => Some(returned),
            _ => None,
        });
        let first_return = returns.min().unwrap_or(Nanos::MAX);
        let has_failed = |op: &u64| self.ops.get(op).is_some_and(|op| op.fate == Fate::Fail);
        let is_later = |queued: &Queued| {
            queued.event.time >= first_return && !is_unread(&queued.op) && !has_failed(&queued.op)
        };
        if self.queue.iter().any(|queued| queued.event.kind == Kind::Invoke && is_later(queued)) {
            return Ok(Progress::Going);
        }
        let calls = self.held_back.iter().chain(&self.queue);
        let calls = calls.filter(|queued| queued.event.kind == Kind::Invoke && is_unread(&queued.op));
        let unread = calls.map(|Queued { op, event, .. }| UnreadAppend {
            process: event.process,
            value: event.value.clone(),
            index: event.index,
            called: event.time,
            returned: match self.ops[op].fate {
                Fate::Ok(returned, _) => Some(returned),
                _ => None,
            },
        });
        self.asleep = unread.collect();
        self.queue.retain(|queued| !self.ops.get(&queued.op).is_some_and(LogOp::is_unread));
        self.ops.retain(|_, op| !op.is_unread());
        self.held_back.clear();
        self.unread.clear();
        self.unknown = 0;
        self.mark_instants();
        self.pass(limits)
    }

    fn rest(&mut self) -> Option<LogRest> {
        if !self.open.is_empty() || !self.queue.is_empty() || !self.held_back.is_empty() {
            return None;
        }
        let rest = self.passed.rest()?;
        Some(LogRest { rest, unread: std::mem::take(&mut self.asleep) })
    }

    fn shrink(&mut self) {
        self.passed.shrink();
        self.queue.shrink_to_fit();
        self.ops.shrink_to_fit();
        self.open.shrink_to_fit();
        self.unread.shrink_to_fit();
        self.held_back.shrink_to_fit();
    }

    fn bytes(&self) -> usize {
        self.passed.bytes()
            + (self.queue.capacity() + self.held_back.capacity()) * size_of::<Queued>()
            + self.ops.capacity() * size_of::<(u64, LogOp)>()
            + self.open.capacity() * size_of::<(u64, u64)>()
            + self.unread.capacity() * size_of::<(Value, Unread)>()
    }

    fn rest_bytes(model: &LogDigest, LogRest { rest, unread }: &LogRest) -> usize {
        rest.bytes(model) + unread.len() * size_of::<UnreadAppend>()
    }
}
