//! The keys of a run, each with its own check: a few in use, the others at rest.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::Proved;
use crate::history::Malformed;
use crate::limits::Limits;
use crate::model::Model;
use crate::op::{Event, Op, Value};

/// The progress of one key's check.
pub(crate) enum Progress {
    Going,
    GivenUp,
    Proved(Box<Op>),
}

/// The check of one key.
pub(crate) trait Stream<'m>: Sized {
    type Model: Model;
    /// The memory of a key at rest.
    type Rest;

    /// A check without any events.
    fn new(model: &'m Self::Model) -> Self;

    /// Resumes a check from its memory.
    fn wake(model: &'m Self::Model, rest: Self::Rest) -> Self;

    /// Holds an event until its instant is over. Returns whether it is the first one held.
    fn hold(&mut self, position: usize, event: &Event) -> bool;

    /// Judges the held events, or returns the one that cannot be judged.
    fn end_instant(&mut self, limits: &Limits<'_>) -> Result<Progress, Malformed>;

    /// Judges the waiting events as if no pending operation would ever return.
    fn finish(&mut self, limits: &Limits<'_>) -> Progress;

    /// Judges what can be judged when the key is not in use.
    fn settle(&mut self, _limits: &Limits<'_>) -> Result<Progress, Malformed> {
        Ok(Progress::Going)
    }

    /// The memory of this check; `None` while an operation is pending.
    fn rest(&mut self) -> Option<Self::Rest>;

    /// Frees memory that can be allocated again.
    fn shrink(&mut self);

    fn bytes(&self) -> usize;

    /// Approximate number of bytes that a key's memory owns beyond its own size.
    fn rest_bytes(model: &Self::Model, rest: &Self::Rest) -> usize;
}

/// All keys, behind an interface without the model's types.
pub(crate) trait Keys {
    /// Holds an event until its instant is over.
    fn hold(&mut self, key: &Value, position: usize, event: &Event);

    /// Judges the held events, or returns the one that cannot be judged.
    fn end_instant(&mut self, limits: &Limits<'_>, proved: &mut VecDeque<Proved>) -> Result<(), Malformed>;

    /// Judges the waiting events as if no pending operation would ever return.
    fn finish(&mut self, limits: &Limits<'_>, proved: &mut VecDeque<Proved>);

    /// Puts keys to rest that had no event since the last call.
    fn put_away(&mut self, limits: &Limits<'_>, proved: &mut VecDeque<Proved>);

    /// The number of keys seen.
    fn seen(&self) -> usize;

    /// The number of keys that are no longer judged.
    fn given_up(&self) -> usize;

    fn bytes(&self) -> usize;
}

/// The place of a key.
enum Place<Rest> {
    /// In use, in this slot.
    Awake(u32),
    Asleep(Rest),
    GivenUp,
}

/// A key in use.
struct Awake<S> {
    key: Value,
    stream: S,
    /// How often the key was considered for rest since its last event.
    asked: u32,
}

/// All keys.
pub(crate) struct ByKey<'m, S: Stream<'m>> {
    model: &'m S::Model,
    places: HashMap<Value, Place<S::Rest>>,
    slots: Vec<Option<Box<Awake<S>>>>,
    free: Vec<u32>,
    /// The slots with events of the current instant.
    touched: Vec<u32>,
    given_up: usize,
    /// The bytes owned by the keys at rest.
    asleep_bytes: usize,
}

impl<'m, S: Stream<'m>> ByKey<'m, S> {
    pub(crate) fn new(model: &'m S::Model) -> Self {
        ByKey {
            model,
            places: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            touched: Vec::new(),
            given_up: 0,
            asleep_bytes: 0,
        }
    }

    /// The slot of a key, which is woken if it was at rest; `None` if it was given up.
    fn wake(&mut self, key: &Value) -> Option<u32> {
        let place = self.places.get_mut(key);
        let stream = match place {
            Some(Place::Awake(slot)) => return Some(*slot),
            Some(Place::GivenUp) => return None,
            None => S::new(self.model),
            Some(place @ Place::Asleep(_)) => {
                let Place::Asleep(rest) = std::mem::replace(place, Place::GivenUp) else { unreachable!() };
                self.asleep_bytes -= S::rest_bytes(self.model, &rest);
                S::wake(self.model, rest)
            }
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.slots[slot as usize] = Some(Box::new(Awake { key: key.clone(), stream, asked: 0 }));
        self.places.insert(key.clone(), Place::Awake(slot));
        Some(slot)
    }

    /// Records the progress of a key.
    fn settle(&mut self, slot: u32, progress: Progress, proved: &mut VecDeque<Proved>) {
        match progress {
            Progress::Going => return,
            Progress::GivenUp => {}
            Progress::Proved(witness) => proved.push_back(Proved { witness: *witness }),
        }
        self.leave(slot, Place::GivenUp);
        self.given_up += 1;
    }

    /// Takes a key out of use.
    fn leave(&mut self, slot: u32, place: Place<S::Rest>) {
        if let Some(awake) = self.slots[slot as usize].take() {
            self.places.insert(awake.key, place);
            self.free.push(slot);
        }
    }
}

impl<'m, S: Stream<'m>> Keys for ByKey<'m, S> {
    fn hold(&mut self, key: &Value, position: usize, event: &Event) {
        let Some(slot) = self.wake(key) else { return };
        let Some(awake) = &mut self.slots[slot as usize] else { return };
        awake.asked = 0;
        if awake.stream.hold(position, event) {
            self.touched.push(slot);
        }
    }

    fn end_instant(&mut self, limits: &Limits<'_>, proved: &mut VecDeque<Proved>) -> Result<(), Malformed> {
        let mut result = Ok(());
        for at in 0..self.touched.len() {
            let slot = self.touched[at];
            let Some(awake) = &mut self.slots[slot as usize] else { continue };
            let progress = awake.stream.end_instant(limits).unwrap_or_else(|malformed| {
                if result.is_ok() {
                    result = Err(malformed);
                }
                Progress::GivenUp
            });
            self.settle(slot, progress, proved);
        }
        self.touched.clear();
        result
    }

    fn finish(&mut self, limits: &Limits<'_>, proved: &mut VecDeque<Proved>) {
        for slot in 0..self.slots.len() {
            let Some(awake) = &mut self.slots[slot] else { continue };
            let progress = awake.stream.finish(limits);
            self.settle(slot as u32, progress, proved);
        }
    }

    fn put_away(&mut self, limits: &Limits<'_>, proved: &mut VecDeque<Proved>) {
        for slot in 0..self.slots.len() {
            let Some(awake) = &mut self.slots[slot] else { continue };
            awake.asked += 1;
            // At the first call it may have been in use a moment ago.
            if awake.asked < 2 {
                continue;
            }
            // Events that do not fit the model were already refused.
            let settled = awake.stream.settle(limits).unwrap_or(Progress::GivenUp);
            if !matches!(settled, Progress::Going) {
                self.settle(slot as u32, settled, proved);
                continue;
            }
            match awake.stream.rest() {
                None if awake.asked == 2 => awake.stream.shrink(),
                None => {}
                Some(rest) => {
                    let bytes = S::rest_bytes(self.model, &rest);
                    if self.asleep_bytes + bytes > limits.memory_bytes_max {
                        self.settle(slot as u32, Progress::GivenUp, proved);
                    } else {
                        self.asleep_bytes += bytes;
                        self.leave(slot as u32, Place::Asleep(rest));
                    }
                }
            }
        }
    }

    fn seen(&self) -> usize {
        self.places.len()
    }

    fn given_up(&self) -> usize {
        self.given_up
    }

    fn bytes(&self) -> usize {
        let streams: usize = self.slots.iter().flatten().map(|awake| awake.stream.bytes()).sum();
        let in_use = self.slots.len() - self.free.len();
        streams
            + in_use * size_of::<Awake<S>>()
            + self.asleep_bytes
            + self.places.capacity() * (size_of::<(Value, Place<S::Rest>)>() + 1)
    }
}
