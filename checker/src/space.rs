//! The states a search has met, and every step between them that it has tried.
//!
//! States are interned to small numbers, and the model is asked for each pair of state and call only once: in the
//! engines a step is a look-up, a comparison of states is a comparison of numbers.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use crate::model::Model;

/// The number of an interned state.
pub(crate) type StateId = u32;

/// Where the successors of a state by a call are, in [`Space::successors`].
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    len: u32,
}

/// Interned states and remembered steps.
#[derive(Debug)]
pub(crate) struct Space<'a, M: Model> {
    model: &'a M,
    classes: &'a [M::Call],
    states: Vec<M::State>,
    ids: HashTable<StateId>,
    steps: HashMap<(StateId, u32), Span>,
    successors: Vec<StateId>,
    hasher: DefaultHashBuilder,
}

impl<'a, M: Model> Space<'a, M> {
    /// A space that knows only the initial state, which is number 0.
    pub(crate) fn new(model: &'a M, classes: &'a [M::Call]) -> Self {
        let mut space = Space {
            model,
            classes,
            states: Vec::new(),
            ids: HashTable::new(),
            steps: HashMap::new(),
            successors: Vec::new(),
            hasher: DefaultHashBuilder::default(),
        };
        space.intern(model.init());
        space
    }

    /// The states that a call of this class turns `from` into.
    pub(crate) fn step(&mut self, from: StateId, class: u32) -> &[StateId] {
        let span = match self.steps.get(&(from, class)) {
            Some(&span) => span,
            None => {
                let next = self.model.step(&self.states[from as usize], &self.classes[class as usize]);
                let start = self.successors.len() as u32;
                for state in next {
                    let id = self.intern(state);
                    self.successors.push(id);
                }
                let span = Span { start, len: self.successors.len() as u32 - start };
                self.steps.insert((from, class), span);
                span
            }
        };
        &self.successors[span.start as usize..(span.start + span.len) as usize]
    }

    /// The state with this number.
    pub(crate) fn state(&self, id: StateId) -> &M::State {
        &self.states[id as usize]
    }

    /// Roughly the bytes held; what states own on the heap is not counted.
    pub(crate) fn bytes(&self) -> usize {
        self.states.capacity() * (size_of::<M::State>() + size_of::<StateId>())
            + self.steps.capacity() * size_of::<(StateId, u32, Span)>()
            + self.successors.capacity() * size_of::<StateId>()
    }

    fn intern(&mut self, state: M::State) -> StateId {
        let (states, hasher) = (&mut self.states, &self.hasher);
        let hash = |state: &M::State| hasher.hash_one(state);
        let known = |&id: &StateId| states[id as usize] == state;
        let entry = self.ids.entry(hash(&state), known, |&id| hash(&states[id as usize]));
        let id = *entry.or_insert_with(|| states.len() as StateId).get();
        if id as usize == states.len() {
            states.push(state);
        }
        id
    }
}
