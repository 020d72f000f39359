//! The live check of one key.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::WIDTH;
use super::keys::{Progress, Stream};
use crate::frontier::Frontier;
use crate::history::Malformed;
use crate::limits::{Limits, Meter};
use crate::model::Model;
use crate::op::{Event, Kind, Op, Outcome};
use crate::part::NEVER;
use crate::rest::Rest;
use crate::space::{ClassId, ModelSpace, Space};

/// Minimum number of states and calls before unused ones are removed: what fits into the processor's cache.
const REMEMBERED_MIN: usize = 1 << 10;

/// An event that waits until all operations invoked before it have ended.
enum Waiting {
    /// The invocation of a pending operation.
    Pending(Box<Op>),
    /// The invocation of a completed operation, and its return event.
    Call { class: ClassId, returns: u32 },
    /// The return of the operation with this number.
    Return(u32, Box<Op>),
    /// An event without influence on the check.
    Nothing,
}

/// The events of one key that are not judged yet. Without the model's types: it is compiled once.
#[derive(Default)]
struct Arrivals {
    /// The events of the current instant, with their positions in the recording.
    held: Vec<(usize, Event)>,
    waiting: VecDeque<Waiting>,
    /// The number of the first waiting event; events are numbered as they arrive.
    first: u32,
    /// The invocation event of each busy process. Further invocations within one instant are in `later`.
    calls: HashMap<u64, u32>,
    later: HashMap<u64, VecDeque<u32>>,
    /// For some invocations: those that must be placed before them although they return in the same instant.
    after: HashMap<u32, Vec<u32>>,
}

/// A completed operation whose call the model has not read yet.
struct Ended {
    /// The number of its invocation, and that of its return.
    call: u32,
    returns: u32,
    op: Box<Op>,
}

impl Arrivals {
    /// The number of the next event.
    fn next(&self) -> u32 {
        self.first + self.waiting.len() as u32
    }

    /// Orders the events of one instant: invocations before returns, but the events of a process that
    /// continues in this instant stay in its own order. If several processes continue, the required order is
    /// noted instead.
    fn order(&mut self, held: &mut [(usize, Event)]) {
        /// The number of the invocation, or its position if it has no number yet.
        type Call = Result<u32, usize>;
        // For processes that invoked in this instant: the open invocation, the completed ones, and the later
        // invocations.
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

    /// Takes an event whose place in its instant is known. Returns the operation that it completes, unless that certainly
    /// did not happen.
    fn take(&mut self, event: Event) -> Option<Ended> {
        if event.kind == Kind::Invoke {
            let number = self.next();
            // The process's earlier operation may end later in the same instant.
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
            return None;
        }
        let call = self.calls.remove(&event.process)?;
        if !self.later.is_empty()
            && let Some(calls) = self.later.get_mut(&event.process)
        {
            self.calls.extend(calls.pop_front().map(|call| (event.process, call)));
            if calls.is_empty() {
                self.later.remove(&event.process);
            }
        }
        let returns = self.next();
        let waiting = &mut self.waiting[(call - self.first) as usize];
        let Waiting::Pending(mut op) = std::mem::replace(waiting, Waiting::Nothing) else { return None };
        op.completed = Some(event.time);
        op.complete_index = Some(event.index);
        op.outcome = match event.kind {
            Kind::Ok => Outcome::Ok(event.value),
            Kind::Fail => return None,
            Kind::Info | Kind::Invoke => Outcome::Info,
        };
        Some(Ended { call, returns, op })
    }

    /// Notes the class of an operation that [`Arrivals::take`] has returned.
    fn end(&mut self, Ended { call, returns, op }: Ended, class: ClassId) {
        let at = (call - self.first) as usize;
        if op.is_ok() {
            self.waiting[at] = Waiting::Call { class, returns };
            self.waiting.push_back(Waiting::Return(call, op));
        } else {
            self.waiting[at] = Waiting::Call { class, returns: NEVER };
        }
    }

    /// Whether the order of an invocation is restricted, so that it must be told from others with the same call.
    fn is_tied(&self, number: u32, is_read_only: impl FnOnce() -> bool) -> bool {
        let is_first = || self.after.values().flatten().any(|&first| first == number);
        !self.after.is_empty() && (self.after.contains_key(&number) || !is_read_only() && is_first())
    }

    /// Judges every event up to the first invocation without an end.
    fn judge(&mut self, frontier: &mut Frontier, space: &mut Space<'_>, limits: &Limits<'_>) -> Progress {
        while !matches!(self.waiting.front(), None | Some(Waiting::Pending(_))) {
            let event = self.waiting.pop_front().expect("it has just been looked at");
            let number = self.first;
            self.first += 1;
            match event {
                Waiting::Pending(_) | Waiting::Nothing => drop(self.after.remove(&number)),
                Waiting::Call { class, returns } => {
                    frontier.call(number, class, returns, space);
                    if !self.after.is_empty()
                        && let Some(earlier) = self.after.remove(&number)
                    {
                        frontier.place_after(number, &earlier);
                    }
                }
                Waiting::Return(call, op) => {
                    match frontier.returns(call, space, &mut Meter::new(limits, None)) {
                        Ok(true) => {}
                        Ok(false) if !frontier.was_cut => return Progress::Proved(op),
                        Ok(false) | Err(_) => return Progress::GivenUp,
                    }
                }
            }
        }
        // Numbers must not run out; leave some for pending operations.
        if self.first > NEVER - (1 << 24) { Progress::GivenUp } else { Progress::Going }
    }

    /// Whether no operation is pending.
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.held.is_empty() && self.calls.is_empty()
    }

    fn shrink(&mut self) {
        self.waiting.shrink_to_fit();
        self.held.shrink_to_fit();
        self.calls.shrink_to_fit();
    }

    fn bytes(&self) -> usize {
        self.waiting.capacity() * size_of::<Waiting>() + self.held.capacity() * size_of::<(usize, Event)>()
    }
}

/// The stream of one key.
pub(crate) struct KeyStream<'m, M: Model> {
    space: ModelSpace<'m, M>,
    frontier: Frontier,
    arrivals: Arrivals,
    remembered_max: usize,
}

impl<'m, M: Model> KeyStream<'m, M> {
    /// Holds an event until its instant is over.
    pub(super) fn keep(&mut self, position: usize, event: Event) {
        self.arrivals.held.push((position, event));
    }

    /// Takes an event whose place in its instant is known.
    fn take(&mut self, event: Event) -> Result<(), String> {
        let Some(ended) = self.arrivals.take(event) else { return Ok(()) };
        let op = &ended.op;
        let parsed = self.space.model().parse(op);
        let parsed =
            parsed.map_err(|expected| format!("`{op}` does not fit the model: expected {expected}"))?;
        let Some(parsed) = parsed else { return Ok(()) };
        if !op.is_ok() && self.space.model().read_only(&parsed) {
            return Ok(());
        }
        let class = self.class(ended.call, parsed);
        self.arrivals.end(ended, class);
        Ok(())
    }

    /// The class of an operation.
    fn class(&mut self, number: u32, call: M::Call) -> ClassId {
        let is_tied = self.arrivals.is_tied(number, || self.space.model().read_only(&call));
        if is_tied { self.space.class_alone(call) } else { self.space.class(call) }
    }

    /// Judges every event up to the first invocation without an end.
    fn judge(&mut self, limits: &Limits<'_>) -> Progress {
        let progress = self.arrivals.judge(&mut self.frontier, &mut self.space, limits);
        let (states, calls) = self.space.len();
        if matches!(progress, Progress::Going) && states + calls > self.remembered_max {
            self.forget(ModelSpace::with_room(self.space.model(), states, calls));
        }
        progress
    }

    /// Removes unused states and calls by moving to a new space.
    fn forget(&mut self, mut space: ModelSpace<'m, M>) {
        self.frontier.move_to(&self.space, &mut space);
        for event in &mut self.arrivals.waiting {
            if let Waiting::Call { class, .. } = event {
                *class = space.adopt(&self.space, *class);
            }
        }
        self.space = space;
        let (states, calls) = self.space.len();
        self.remembered_max = (4 * (states + calls)).max(REMEMBERED_MIN);
    }
}

impl<'m, M: Model> Stream<'m> for KeyStream<'m, M> {
    type Model = M;
    type Rest = Rest<M>;

    fn new(model: &'m M) -> Self {
        KeyStream::wake(model, Rest::State(model.init()))
    }

    fn wake(model: &'m M, rest: Rest<M>) -> Self {
        let mut space = ModelSpace::new(model);
        let (frontier, first) = Frontier::resume(rest, WIDTH, &mut space);
        KeyStream {
            space,
            frontier,
            arrivals: Arrivals { first, ..Arrivals::default() },
            remembered_max: REMEMBERED_MIN,
        }
    }

    fn hold(&mut self, position: usize, event: &Event) -> bool {
        self.keep(position, event.clone());
        self.arrivals.held.len() == 1
    }

    fn end_instant(&mut self, limits: &Limits<'_>) -> Result<Progress, Malformed> {
        let mut held = std::mem::take(&mut self.arrivals.held);
        if held.len() > 1 {
            self.arrivals.order(&mut held);
        }
        for (position, event) in held.drain(..) {
            self.take(event).map_err(|why| Malformed { item: "event", position, why })?;
        }
        self.arrivals.held = held;
        Ok(self.judge(limits))
    }

    fn finish(&mut self, limits: &Limits<'_>) -> Progress {
        for at in 0..self.arrivals.waiting.len() {
            let Waiting::Pending(op) = &self.arrivals.waiting[at] else { continue };
            let call = self.space.model().parse(op).ok().flatten();
            let call = call.filter(|call| !self.space.model().read_only(call));
            let class = call.map(|call| self.class(self.arrivals.first + at as u32, call));
            self.arrivals.waiting[at] =
                class.map_or(Waiting::Nothing, |class| Waiting::Call { class, returns: NEVER });
        }
        self.judge(limits)
    }

    fn rest(&mut self) -> Option<Rest<M>> {
        self.arrivals.is_empty().then(|| self.frontier.rest(&self.space))
    }

    fn shrink(&mut self) {
        self.forget(ModelSpace::new(self.space.model()));
        self.frontier.shrink();
        self.arrivals.shrink();
    }

    fn bytes(&self) -> usize {
        self.space.bytes() + self.frontier.bytes() + self.arrivals.bytes()
    }

    fn rest_bytes(model: &M, rest: &Rest<M>) -> usize {
        rest.bytes(model)
    }
}
