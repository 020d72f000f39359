//! The states and calls that a search has met, and every step between them that it has tried.
//!
//! Both are interned as small numbers, and the model is called once for each pair of state and call: in the
//! engines a step is a look-up, and a comparison of states is a comparison of numbers.
//!
//! So the engines need no types of the model: they are compiled once, for a [`Space`]. Code that reads calls
//! or keeps states uses a [`ModelSpace`].

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use crate::broken::broken;
use crate::model::{Model, Representative, Sources};
use crate::promises;

/// The number of an interned state. The initial state is 0.
pub(crate) type StateId = u32;

/// The number of an interned call. Equal calls are one class: to a search, pending operations of one class
/// differ only in the time of their returns.
pub(crate) type ClassId = u32;

/// The effect of a call on a state, according to the model's promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Never any effect: [`Model::read_only`].
    Observes,
    /// Always the same state: [`Model::overwrites`].
    Overwrites,
    /// Any other effect.
    Changes,
}

/// The successors of a state under a call; read them with [`Space::successor`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Successors {
    /// The only successor, or else the index of the first one.
    start: u32,
    /// The number of successors; 0 if the call is impossible.
    pub(crate) len: u32,
}

/// Steps between the first states and calls are stored in a square table, which suffices for most objects.
const CORNER: u32 = 64;
/// The maximum number of states for learning effects, which must stay cheap.
const LEARNED_STATES_MAX: usize = 8;
/// The maximum number of distinct calls for exploring.
const EXPLORED_CALLS_MAX: usize = 512;
/// The cost of one step of the model, in the meter's steps: about a tenth of a microsecond.
const ASK_STEPS: u64 = 64;
const NOT_ASKED: Successors = Successors { start: 0, len: u32::MAX };

/// The engines' view: the states and calls of any model, by number.
pub(crate) type Space<'m> = Table<dyn Object + 'm>;

/// The same table with the model's own states and calls.
pub(crate) type ModelSpace<'m, M> = Table<Interned<'m, M>>;

/// Interned states and calls, and cached steps.
pub(crate) struct Table<O: ?Sized> {
    effects: Vec<Effect>,
    /// Whether a class commutes: [`Model::commutes`].
    commutes: Vec<bool>,
    /// Classes of one operation alone.
    alone: HashSet<ClassId>,
    /// One row per state, with `corner_calls` entries.
    corner: Vec<Successors>,
    corner_calls: u32,
    steps: HashMap<(StateId, ClassId), Successors>,
    successors: Vec<StateId>,
    /// The number of calls to the model since the last [`Table::take_work`], in the meter's steps.
    work: u64,
    object: O,
}

/// The interface of a search to an object whose states and calls it knows by number.
pub(crate) trait Object {
    /// Adds the states that a call leads to from a state.
    fn step(&mut self, from: StateId, class: ClassId, into: &mut Vec<StateId>);

    /// Whether steps outside of the corner are worth caching.
    fn remembers(&self) -> bool;

    /// See [`Model::is_over`].
    fn is_over(&self, state: StateId, class: ClassId) -> bool;

    /// See [`Model::out_of_reach`].
    fn out_of_reach(&self, state: StateId, class: ClassId, by: ClassId) -> bool;

    /// See [`Model::leads_toward`].
    fn leads_toward(&self, state: StateId, observation: ClassId) -> bool;

    /// See [`Model::observed_state`].
    fn observed_state(&mut self, observation: ClassId) -> Option<StateId>;

    /// See [`Model::sources`].
    fn sources(&mut self, class: ClassId, to: StateId) -> Sources<StateId>;

    /// The number of states and of calls.
    fn len(&self) -> (usize, usize);

    /// Forgets every state but the initial one.
    fn forget_states(&mut self);

    /// A table with the same calls under the same numbers, and only the initial state.
    fn emptied<'a>(&'a self, effects: &[Effect], alone: &HashSet<ClassId>) -> Box<Space<'a>>;

    /// Approximate number of bytes held, without those owned by calls, which belong to the history.
    fn bytes(&self) -> usize;

    /// Returns and resets the cost of making states, in the meter's steps.
    fn take_work(&mut self) -> u64;
}

/// The states and calls of a model that a search has met.
pub(crate) struct Interned<'m, M: Model> {
    model: &'m M,
    /// The function that merges equivalent states, once every call is known.
    representative: Option<Representative<M::State>>,
    /// Whether one actor stands for several: [`Model::nameless_actors`].
    merges_actors: bool,
    calls: Interner<M::Call>,
    states: Interner<M::State>,
    /// The bytes that the states own.
    heap_bytes: usize,
    counted: usize,
    work: u64,
}

impl<'m, M: Model> Interned<'m, M> {
    fn intern(&mut self, state: M::State) -> StateId {
        let id = self.states.intern(state);
        if id as usize == self.counted {
            self.counted += 1;
            let bytes = self.model.heap_bytes(&self.states.items[id as usize]);
            self.heap_bytes += bytes;
            // A state is made by copying another.
            self.work += bytes as u64;
        }
        id
    }

    fn state(&self, id: StateId) -> &M::State {
        &self.states.items[id as usize]
    }

    fn call(&self, class: ClassId) -> &M::Call {
        &self.calls.items[class as usize]
    }

    /// Compares a step with the model's promises.
    fn examine(&self, from: StateId, class: ClassId) {
        let (from, call) = (self.state(from), self.call(class));
        let next: Vec<_> = self.model.step(from, call).into_iter().collect();
        promises::examine(self.model, from, call, &next);
        if let Some(representative) = &self.representative {
            promises::examine_representative(self.model, representative, &self.calls.items, &next);
        }
        if let Some(other) = self.calls.items.iter().rfind(|other| self.model.commutes(other)) {
            promises::examine_order(self.model, from, call, other);
        }
    }
}

impl<M: Model> Object for Interned<'_, M> {
    fn step(&mut self, from: StateId, class: ClassId, into: &mut Vec<StateId>) {
        if cfg!(debug_assertions) {
            self.examine(from, class);
        }
        for state in self.model.step(self.state(from), self.call(class)) {
            let state = match &self.representative {
                Some(representative) => representative(state),
                None => state,
            };
            into.push(self.intern(state));
        }
    }

    /// A step between states without heap memory, such as numbers, is faster to repeat than to look up.
    fn remembers(&self) -> bool {
        std::mem::needs_drop::<M::State>()
    }

    fn is_over(&self, state: StateId, class: ClassId) -> bool {
        self.model.is_over(self.state(state), self.call(class))
    }

    fn out_of_reach(&self, state: StateId, class: ClassId, by: ClassId) -> bool {
        self.model.out_of_reach(self.state(state), self.call(class), self.call(by))
    }

    fn leads_toward(&self, state: StateId, observation: ClassId) -> bool {
        self.model.leads_toward(self.state(state), self.call(observation))
    }

    fn observed_state(&mut self, observation: ClassId) -> Option<StateId> {
        let state = self.model.observed_state(self.call(observation))?;
        Some(self.intern(state))
    }

    fn sources(&mut self, class: ClassId, to: StateId) -> Sources<StateId> {
        match self.model.sources(self.call(class), self.state(to)) {
            Sources::Nowhere => Sources::Nowhere,
            Sources::Anywhere => Sources::Anywhere,
            Sources::Only(before) => Sources::Only(self.intern(before)),
        }
    }

    fn len(&self) -> (usize, usize) {
        (self.states.items.len(), self.calls.items.len())
    }

    fn forget_states(&mut self) {
        (self.states, self.heap_bytes, self.counted) = (Interner::default(), 0, 0);
        self.intern(self.model.init());
    }

    fn emptied<'a>(&'a self, effects: &[Effect], alone: &HashSet<ClassId>) -> Box<Space<'a>> {
        let mut table = Table::new(self.model);
        for (class, &effect) in (0..).zip(effects) {
            let call = self.call(class).clone();
            let class = if alone.contains(&class) { table.class_alone(call) } else { table.class(call) };
            table.effects[class as usize] = effect;
        }
        if self.representative.is_some() {
            table.merge_states();
        }
        Box::new(table)
    }

    fn bytes(&self) -> usize {
        self.heap_bytes + self.states.bytes() + self.calls.bytes()
    }

    fn take_work(&mut self) -> u64 {
        std::mem::take(&mut self.work)
    }
}

impl<'m, M: Model> ModelSpace<'m, M> {
    /// A space with only the initial state.
    pub(crate) fn new(model: &'m M) -> Self {
        let mut object = Interned {
            model,
            representative: None,
            merges_actors: false,
            calls: Interner::default(),
            states: Interner::default(),
            heap_bytes: 0,
            counted: 0,
            work: 0,
        };
        object.intern(model.init());
        Table {
            effects: Vec::new(),
            commutes: Vec::new(),
            alone: HashSet::new(),
            corner: Vec::new(),
            corner_calls: 0,
            steps: HashMap::new(),
            successors: Vec::new(),
            work: 0,
            object,
        }
    }

    /// As [`Space::new`], with room for this many states and calls.
    pub(crate) fn with_room(model: &'m M, states: usize, calls: usize) -> Self {
        let mut space = Table::new(model);
        space.object.states.reserve(states);
        space.object.calls.reserve(calls);
        space
    }

    /// Merges states that the known calls cannot distinguish. No new call may be added afterwards.
    pub(crate) fn merge_states(&mut self) {
        self.object.representative = self.object.model.representative(&self.object.calls.items);
    }

    /// Notes that one actor stands for several.
    pub(crate) fn merge_actors(&mut self) {
        self.object.merges_actors = true;
    }

    /// Whether one state may stand for others.
    pub(crate) fn merges_states(&self) -> bool {
        self.object.representative.is_some() || self.object.merges_actors
    }

    pub(crate) fn model(&self) -> &'m M {
        self.object.model
    }

    pub(crate) fn class(&mut self, call: M::Call) -> ClassId {
        let id = self.object.calls.intern(call);
        if id as usize == self.effects.len() {
            let (model, call) = (self.object.model, self.object.call(id));
            let read_only = model.read_only(call);
            let overwrites = model.overwrites(call);
            let read_only = read_only || overwrites && broken("R1: a write of the current value observes");
            self.effects.push(match (read_only, overwrites) {
                (true, _) => Effect::Observes,
                (false, true) => Effect::Overwrites,
                (false, false) => Effect::Changes,
            });
            self.commutes.push(model.commutes(call));
        }
        id
    }

    /// A class for one operation only, which is never exchanged for another and never placed early: more than
    /// its invocation and its return restricts its place.
    pub(crate) fn class_alone(&mut self, call: M::Call) -> ClassId {
        let id = self.object.calls.push(call);
        self.effects.push(Effect::Changes);
        self.commutes.push(false);
        self.alone.insert(id);
        id
    }

    /// Translates a class of another space to one of this space.
    pub(crate) fn adopt(&mut self, from: &ModelSpace<'_, M>, class: ClassId) -> ClassId {
        let call = from.call(class).clone();
        if from.is_alone(class) { self.class_alone(call) } else { self.class(call) }
    }

    /// The number of a state.
    pub(crate) fn intern(&mut self, state: M::State) -> StateId {
        self.object.intern(state)
    }

    pub(crate) fn call(&self, class: ClassId) -> &M::Call {
        self.object.call(class)
    }

    pub(crate) fn state(&self, id: StateId) -> &M::State {
        self.object.state(id)
    }
}

impl<O: Object + ?Sized> Table<O> {
    /// Whether a class is for one operation only.
    pub(crate) fn is_alone(&self, class: ClassId) -> bool {
        self.alone.contains(&class)
    }

    /// The effect of calls of this class.
    pub(crate) fn effect(&self, class: ClassId) -> Effect {
        self.effects[class as usize]
    }

    /// The number of states and of calls.
    pub(crate) fn len(&self) -> (usize, usize) {
        self.object.len()
    }

    /// Approximate number of bytes held, without those owned by calls, which belong to the history.
    pub(crate) fn bytes(&self) -> usize {
        self.object.bytes()
            + self.corner.capacity() * size_of::<Successors>()
            + self.steps.capacity() * size_of::<(StateId, ClassId, Successors)>()
            + self.successors.capacity() * size_of::<StateId>()
    }
}

impl Space<'_> {
    /// Forgets every state but the initial one.
    pub(crate) fn forget_states(&mut self) {
        self.object.forget_states();
        (self.corner, self.steps, self.successors) = (Vec::new(), HashMap::new(), Vec::new());
    }

    /// A space with the same calls under the same numbers, and only the initial state.
    pub(crate) fn emptied(&self) -> Box<Space<'_>> {
        self.object.emptied(&self.effects, &self.alone)
    }

    /// Whether calls of this class commute, and do more than overwrite or observe.
    pub(crate) fn commutes(&self, class: ClassId) -> bool {
        self.commutes[class as usize] && self.effect(class) == Effect::Changes
    }

    /// See [`Model::is_over`].
    pub(crate) fn is_over(&self, state: StateId, class: ClassId) -> bool {
        self.object.is_over(state, class)
    }

    /// See [`Model::out_of_reach`].
    pub(crate) fn out_of_reach(&self, state: StateId, class: ClassId, by: ClassId) -> bool {
        self.object.out_of_reach(state, class, by)
    }

    /// See [`Model::leads_toward`].
    pub(crate) fn leads_toward(&self, state: StateId, observation: ClassId) -> bool {
        self.object.leads_toward(state, observation)
    }

    /// See [`Model::observed_state`].
    pub(crate) fn observed_state(&mut self, observation: ClassId) -> Option<StateId> {
        self.object.observed_state(observation)
    }

    /// See [`Model::sources`].
    pub(crate) fn sources(&mut self, class: ClassId, to: StateId) -> Sources<StateId> {
        self.object.sources(class, to)
    }

    /// The states that a call of this class leads to from `from`.
    pub(crate) fn step(&mut self, from: StateId, class: ClassId) -> Successors {
        let known = if from < CORNER && class < self.corner_calls {
            self.corner.get((from * self.corner_calls + class) as usize)
        } else if self.object.remembers() {
            self.steps.get(&(from, class))
        } else {
            None
        };
        match known {
            Some(&known) if known.len != NOT_ASKED.len => known,
            _ => self.ask(from, class),
        }
    }

    /// One of the successors.
    pub(crate) fn successor(&self, of: Successors, branch: u32) -> StateId {
        if of.len == 1 { of.start } else { self.successors[(of.start + branch) as usize] }
    }

    /// Whether a call of this class is possible in this state.
    pub(crate) fn possible(&mut self, state: StateId, class: ClassId) -> bool {
        self.step(state, class).len > 0
    }

    /// Whether a call of this class can leave this state unchanged.
    pub(crate) fn idle(&mut self, state: StateId, class: ClassId) -> bool {
        let next = self.step(state, class);
        (0..next.len).any(|branch| self.successor(next, branch) == state)
    }

    /// Visits every state that the known calls can lead to. Returns false if there are more than
    /// `states_max`.
    pub(crate) fn explore(&mut self, states_max: usize) -> bool {
        let mut state = 0;
        while state < self.len().0 {
            let (states, calls) = self.len();
            if calls > EXPLORED_CALLS_MAX || states > states_max {
                return false;
            }
            for class in 0..calls {
                self.step(state as StateId, class as ClassId);
            }
            state += 1;
        }
        true
    }

    /// Learns effects of calls beyond the model's promises, if all states can be visited: in the states of
    /// one element of a set, for example, adding it is an overwrite. No new call may be added afterwards.
    pub(crate) fn learn_effects(&mut self) {
        if self.effects.iter().all(|effect| *effect != Effect::Changes) || !self.explore(LEARNED_STATES_MAX) {
            return;
        }
        let (all, calls) = self.len();
        let states = if broken("effects: the first state stands for all") { 1 } else { all as StateId };
        for class in 0..calls as ClassId {
            if self.effect(class) != Effect::Changes || self.alone.contains(&class) {
                continue;
            }
            let first = self.step(0, class);
            let goal = (first.len == 1).then(|| self.successor(first, 0));
            let leads = |space: &mut Self, from: StateId, to: StateId| {
                let next = space.step(from, class);
                next.len == 1 && space.successor(next, 0) == to
            };
            if (0..states).all(|state| self.step(state, class).len == 0 || leads(self, state, state)) {
                self.effects[class as usize] = Effect::Observes;
            } else if goal.is_some_and(|goal| (0..states).all(|state| leads(self, state, goal))) {
                self.effects[class as usize] = Effect::Overwrites;
            }
        }
    }

    /// Returns and resets the model's work, in the steps of the [`Meter`](crate::limits::Meter).
    pub(crate) fn take_work(&mut self) -> u64 {
        std::mem::take(&mut self.work) + self.object.take_work()
    }

    #[inline(never)]
    fn ask(&mut self, from: StateId, class: ClassId) -> Successors {
        self.work += ASK_STEPS;
        let start = self.successors.len() as u32;
        self.object.step(from, class, &mut self.successors);
        let mut answer = Successors { start, len: self.successors.len() as u32 - start };
        if answer.len == 1 {
            answer.start = self.successors.pop().expect("there is one");
        }
        if self.corner.is_empty() {
            self.corner_calls = (self.len().1 as u32).clamp(8, CORNER);
        }
        if from < CORNER && class < self.corner_calls {
            let rows = (from as usize + 1) * self.corner_calls as usize;
            if self.corner.len() < rows {
                self.corner.resize(rows, NOT_ASKED);
            }
            self.corner[(from * self.corner_calls + class) as usize] = answer;
        } else if self.object.remembers() {
            self.steps.insert((from, class), answer);
        }
        answer
    }
}

/// Distinct items, numbered in the order of insertion.
#[derive(Debug)]
struct Interner<T> {
    items: Vec<T>,
    ids: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Interner { items: Vec::new(), ids: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }
}

impl<T: Eq + Hash> Interner<T> {
    fn intern(&mut self, item: T) -> u32 {
        let (items, hasher) = (&mut self.items, &self.hasher);
        let hash = |item: &T| hasher.hash_one(item);
        let entry =
            self.ids.entry(hash(&item), |&id| items[id as usize] == item, |&id| hash(&items[id as usize]));
        let id = *entry.or_insert_with(|| items.len() as u32).get();
        if id as usize == items.len() {
            items.push(item);
        }
        id
    }

    fn reserve(&mut self, room: usize) {
        let (items, hasher) = (&self.items, &self.hasher);
        self.ids.reserve(room, |&id| hasher.hash_one(&items[id as usize]));
        self.items.reserve(room);
    }

    /// Adds an item under a new number, even if it has one already.
    fn push(&mut self, item: T) -> u32 {
        self.items.push(item);
        self.items.len() as u32 - 1
    }

    fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<T>() + self.ids.capacity() * (size_of::<u32>() + 1)
    }
}
