//! The keys of a run, each with its check: the few that are in use at work, the many others put away.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::Proved;
use crate::history::Malformed;
use crate::limits::Limits;
use crate::model::Model;
use crate::op::{Event, Op, Value};

/// How the check of a key stands.
pub(crate) enum Progress {
    Going,
    GivenUp,
    Proved(Box<Op>),
}

/// The check of one key.
pub(crate) trait Stream<'m>: Sized {
    type Model: Model;
    /// What must be remembered of a key that is not in use.
    type Rest;

    /// A check that has seen nothing yet.
    fn new(model: &'m Self::Model) -> Self;

    /// A check that goes on from where it was put away.
    fn wake(model: &'m Self::Model, rest: Self::Rest) -> Self;

    /// Keeps an event until its instant is over. Says whether it is the first one.
    fn hold(&mut self, position: usize, event: &Event) -> bool;

    /// Judges the events that are held; or says which of them cannot be.
    fn end_instant(&mut self, limits: &Limits<'_>) -> Result<Progress, Malformed>;

    /// Judges what is waiting as if nothing would ever return again.
    fn finish(&mut self, limits: &Limits<'_>) -> Progress;

    /// Judges what can be judged already when the key is not in use.
    fn settle(&mut self, _limits: &Limits<'_>) -> Result<Progress, Malformed> {
        Ok(Progress::Going)
    }

    /// What must be remembered; `None` while an operation has not ended.
    fn rest(&mut self) -> Option<Self::Rest>;

    /// Lets go of all that can be had again.
    fn shrink(&mut self);

    /// Roughly the bytes held.
    fn bytes(&self) -> usize;

    /// Roughly the bytes that this owns beyond its own size.
    fn rest_bytes(model: &Self::Model, rest: &Self::Rest) -> usize;
}

/// All keys, behind an interface without the model's types.
pub(crate) trait Keys {
    /// Keeps an event until its instant is over.
    fn hold(&mut self, key: &Value, position: usize, event: &Event);

    /// Judges the events that are held; or says which of them cannot be.
    fn end_instant(&mut self, limits: &Limits<'_>, proved: &mut VecDeque<Proved>) -> Result<(), Malformed>;

    /// Judges what is waiting as if nothing would ever return again.
    fn finish(&mut self, limits: &Limits<'_>, proved: &mut VecDeque<Proved>);

    /// Puts keys away that had no event since this was last asked.
    fn put_away(&mut self, limits: &Limits<'_>, proved: &mut VecDeque<Proved>);

    /// How many there are.
    fn seen(&self) -> usize;

    /// How many are not judged any more.
    fn given_up(&self) -> usize;

    /// Roughly the bytes held.
    fn bytes(&self) -> usize;
}

/// Where a key is.
enum Place<Rest> {
    /// In use: in this slot.
    Awake(u32),
    Asleep(Rest),
    GivenUp,
}

/// A key in use.
struct Awake<S> {
    key: Value,
    stream: S,
    /// How often it was asked whether it can be put away since its last event.
    asked: u32,
}

/// All keys.
pub(crate) struct ByKey<'m, S: Stream<'m>> {
    model: &'m S::Model,
    places: HashMap<Value, Place<S::Rest>>,
    slots: Vec<Option<Box<Awake<S>>>>,
    free: Vec<u32>,
    /// The slots with events of the instant that has not ended.
    touched: Vec<u32>,
    given_up: usize,
    /// What the keys own that are put away.
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

    /// The slot of a key, which is woken if need be; `None` if it was given up.
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

    /// Takes note of how a key stands.
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
            // Asked for the first time it may have been in use a moment ago.
            if awake.asked < 2 {
                continue;
            }
            // Whatever does not fit the model was refused when it came.
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
