//! The frontier engine: carries every explanation of the history forward, event by event.
//!
//! A *configuration* is a state of the object and the set of pending operations that are already placed in
//! the order. The frontier holds every configuration that explains all events so far. An invocation only adds
//! a pending operation. At a return, the operation must be placed: a configuration in which it is not placed
//! is extended by every sequence of pending operations that ends with it, and no further (Lowe's just-in-time
//! linearization, CCPE 2017, section 5; after Wing and Gong, JPDC 1993). The history is linearizable iff some
//! configuration survives to the end. Otherwise the first return that no configuration survives is the exact
//! event that proves the violation.
//!
//! ```text
//!   call a   call b   return b ....... return a ....
//!                     │ b needs a place: "b" or "a b"
//!      {(s0, ∅)}      ├─▶ (s1, {b}) ───▶ a needs a place, after b
//!                     └─▶ (s2, {a, b}) ─▶ a has one
//! ```
//!
//! Only the frontier is kept, so memory does not grow with the history, and time is polynomial as long as the
//! frontier stays small. The reductions below keep it small. Each is an exchange argument: for any
//! linearization there is another one that the engine does not lose.
//!
//! **R1, observations at once.** An operation that *with its recorded result* never changes any state is
//! placed as soon as it is possible. Proof: move it from its later place to now. This leaves every state as
//! it was; the operation has been invoked; and everything that must precede it is placed, because that has
//! returned. ("Changes nothing in the current state" is not enough: a pending write of the current value is a
//! resource.)
//!
//! **R2, earliest deadline first.** Of the pending operations of one class only the one that returns first is
//! tried. Proof: take a linearization that uses b before a, of one class, where a returns first, and swap
//! them. a moves to an earlier point, at which it has been invoked; b moves to a point before the return of
//! a, which is before its own. The operations keep their identities: the configuration remembers which of
//! them was used.
//!
//! **R3, indeterminate operations are optional.** If two configurations differ only in that one has placed
//! fewer indeterminate operations, that one can do everything that the other can. Indeterminate operations
//! never return, so by R2 only their number per class matters: a thousand unknown writes of five values are
//! five counts, not a thousand bits.
//!
//! **R4, unobserved overwrites.** An operation that is possible everywhere and leads to the same state from
//! anywhere (a blind write) hides everything placed just before it. When it is placed, every other pending
//! overwrite becomes *covered*: it may be considered as placed just before, and overwritten at once. It
//! remains available, until it returns, to be placed where its effect is observed instead. So each overwrite
//! has two bits: *open*, it is not placed yet; *spent*, it has been used for its effect. Fewer of either is
//! better, hence the dominance in [`configs`]. An overwrite is also covered in any
//! configuration whose state is the one that it leads to: there it changes nothing. The engine must try:
//!
//! - At the return of an overwrite that is not spent: place it for its effect (it may be the last writer for
//!   a while); and if it is covered, also keep the configuration as it is.
//! - As a step towards the operation that returns: an overwrite only if some other pending operation, not
//!   itself an overwrite, is possible in the state that it leads to. If in a linearization the operations
//!   after the overwrite (before the next overwrite, and before the return) include no such operation, the
//!   overwrite is hidden and need not be placed for its effect. This holds for a write of the current value
//!   as well: it covers the others.
//!
//! **R5, unobserved additions.** Operations that are possible everywhere and commute with each other
//! (additions to a counter that return nothing) need no order among themselves. At the return of such an
//! operation, the engine tries only sequences in which it comes first, or directly after a non-commuting
//! operation, or directly after a commuting one that made an observation possible. Proof: in a linearization
//! the other commuting operations just before it may come just after it instead, because all of them are
//! still pending and no observed state changes. Of these sequences the engine follows only those that may
//! still reach an operation that observes the difference ([`Model::out_of_reach`]).
//!
//! A narrow beam is guided by future observations: an indeterminate operation is tried only if the state that
//! it leads to may become one in which the next observations are possible ([`Model::leads_toward`]).
//!
//! With a width, only that many configurations are kept after each event: see [`beam`](crate::beam). The
//! engine notes whether it dropped any.

use crate::broken::broken;
use crate::configs::{self, Configs, Layout};
use crate::limits::{Limit, Meter};
use crate::model::Model;
use crate::part::{Event, NEVER, Part, PartOp};
use crate::pending::{Definite, Pending};
use crate::profile::Profile;
use crate::rest::{More, Rest};
use crate::rows::Rows;
use crate::space::{ClassId, Effect, ModelSpace, Space, StateId};
use crate::trail::{START, Trail};

/// All explanations of the events so far, or as many as the width allows.
pub(crate) struct Frontier {
    /// The maximum number of configurations after an event.
    pub(crate) width: usize,
    /// Whether the width made it drop any.
    pub(crate) was_cut: bool,
    /// The largest number of configurations after any event.
    pub(crate) widest: usize,
    /// Its size along the events.
    pub(crate) profile: Profile,
    /// How many definite operations have returned.
    pub(crate) returned: usize,
    pending: Pending,
    now: Configs,
    /// At a return: configurations that have placed the operation, and those on the way there.
    done: Configs,
    on_the_way: Configs,
    rows: Rows,
    /// A buffer for building configurations.
    draft: Vec<u64>,
    arrival: Vec<u64>,
    /// The groups of pending operations worth trying on the way to the current return.
    candidates: Vec<u32>,
    trail: Trail,
    /// The number of the next or current event.
    event: u32,
    /// The events that the search can go back to, the earliest first.
    checkpoints: Vec<Checkpoint>,
    /// Every definite observation in the order of the returns, if the future is known.
    ahead: Vec<Next>,
    /// The observations that guide the search at the current return.
    goals: Vec<ClassId>,
}

/// The frontier before an event.
#[derive(Clone)]
struct Checkpoint {
    event: u32,
    was_cut: bool,
    returned: usize,
    pending: Pending,
    now: Configs,
}

/// An observation, and the event at which it returns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    returns: u32,
    op: u32,
    class: ClassId,
}

/// Hints guide the search up to this width.
const HINTED_WIDTH_MAX: usize = 64;
/// How many of the next observations are examined to find an unplaced one.
const GOALS_TRIED_MAX: usize = 8;

/// The maximum number of checkpoints: recent ones are close together, early ones far apart.
const CHECKPOINTS_MAX: usize = 24;

impl Frontier {
    /// A frontier with the initial configuration.
    pub(crate) fn new(width: usize) -> Self {
        let mut start = vec![0; Layout::default().stride()];
        configs::set_head(&mut start, 0, START);
        Frontier {
            width,
            was_cut: false,
            widest: 1,
            profile: Profile::new(),
            returned: 0,
            pending: Pending::default(),
            now: Configs::of(Layout::default(), &start),
            done: Configs::default(),
            on_the_way: Configs::default(),
            rows: Rows::default(),
            draft: Vec::new(),
            arrival: Vec::new(),
            candidates: Vec::new(),
            trail: Trail::new(),
            event: 0,
            checkpoints: Vec::new(),
            ahead: Vec::new(),
            goals: Vec::new(),
        }
    }

    /// Guides the search by future observations.
    pub(crate) fn look_ahead(&mut self, part: &Part, space: &Space<'_>) {
        let returns = part.events.iter().filter_map(|event| match *event {
            Event::Return(op) => Some((op, part.ops[op as usize])),
            Event::Call(_) => None,
        });
        let observations = returns.filter(|(_, what)| space.effect(what.class) == Effect::Observes);
        self.ahead =
            observations.map(|(op, PartOp { class, returns, .. })| Next { returns, op, class }).collect();
    }

    /// A frontier for a stream of events without a certificate.
    pub(crate) fn without_trail(width: usize) -> Self {
        Frontier { trail: Trail::without_memory(), ..Frontier::new(width) }
    }

    /// The number of the next or current event.
    pub(crate) fn event(&self) -> u32 {
        self.event
    }

    /// Processes the next event of a part. Returns whether any configuration survives it.
    pub(crate) fn next(
        &mut self,
        part: &Part,
        space: &mut Space<'_>,
        meter: &mut Meter<'_>,
    ) -> Result<bool, Limit> {
        match part.events[self.event as usize] {
            Event::Call(op) => {
                let PartOp { class, returns, .. } = part.ops[op as usize];
                self.call(op, class, returns, space);
                if let Some(earlier) = part.after.get(&op) {
                    self.place_after(op, earlier);
                }
            }
            Event::Return(op) => {
                if !self.returns(op, space, meter)? {
                    return Ok(false);
                }
            }
        }
        self.event += 1;
        Ok(true)
    }

    pub(crate) fn set_checkpoint(&mut self) {
        if self.checkpoints.len() == CHECKPOINTS_MAX {
            // Remove every other one of the older half.
            let mut at = 0;
            self.checkpoints.retain(|_| {
                at += 1;
                at > CHECKPOINTS_MAX / 2 || at % 2 == 1
            });
        }
        self.checkpoints.push(Checkpoint {
            event: self.event,
            was_cut: self.was_cut,
            returned: self.returned,
            pending: self.pending.clone(),
            now: self.now.clone(),
        });
    }

    /// Goes back to the last checkpoint that is not after this event and removes it; without one, to the
    /// start.
    pub(crate) fn go_back(&mut self, event: u32) {
        self.checkpoints.retain(|checkpoint| checkpoint.event <= event);
        match self.checkpoints.pop() {
            Some(Checkpoint { event, was_cut, returned, pending, now }) => {
                (self.event, self.was_cut, self.returned) = (event, was_cut, returned);
                (self.pending, self.now) = (pending, now);
            }
            None => self.start_again(),
        }
    }

    pub(crate) fn start_again(&mut self) {
        let trail = std::mem::replace(&mut self.trail, Trail::without_memory());
        let ahead = std::mem::take(&mut self.ahead);
        let profile = std::mem::replace(&mut self.profile, Profile::new());
        *self = Frontier {
            widest: self.widest,
            profile,
            trail: trail.emptied(),
            ahead,
            ..Frontier::new(self.width)
        };
    }

    /// Frees all buffers and keeps only the frontier.
    pub(crate) fn shrink(&mut self) {
        let layout = self.now.layout();
        let mut now = Configs::default();
        now.clear(layout);
        for config in self.now.iter() {
            now.insert(config);
        }
        self.now = now;
        (self.done, self.on_the_way) = (Configs::default(), Configs::default());
        (self.rows, self.candidates) = (Rows::default(), Vec::new());
        (self.draft, self.arrival) = (Vec::new(), Vec::new());
    }

    /// The memory of this frontier, when no definite operation is pending.
    pub(crate) fn rest<M: Model>(&self, space: &ModelSpace<'_, M>) -> Rest<M> {
        let (layout, pending) = (self.pending.layout(), self.pending.indeterminate());
        let state = |config: &[u64]| space.state(configs::state(config)).clone();
        if pending.is_empty() && self.now.live() == 1 && !self.was_cut {
            return Rest::State(self.now.iter().map(state).next().expect("there is one"));
        }
        let counts =
            |config: &[u64]| (0..pending.len() as u32).map(|field| layout.count(config, field)).collect();
        Rest::More(Box::new(More {
            was_cut: self.was_cut,
            configs: self.now.iter().map(|config| (state(config), counts(config))).collect(),
            pending: pending
                .iter()
                .map(|&(class, ops)| (space.call(class).clone(), space.is_alone(class), ops))
                .collect(),
        }))
    }

    /// Resumes from a frontier at rest in a new space, without a trail. Returns also the number of the next
    /// operation.
    pub(crate) fn resume<M: Model>(
        rest: Rest<M>,
        width: usize,
        space: &mut ModelSpace<'_, M>,
    ) -> (Self, u32) {
        let More { was_cut, pending, configs } = match rest {
            Rest::More(more) => *more,
            Rest::State(state) => {
                More { was_cut: false, pending: Vec::new(), configs: vec![(state, Vec::new())] }
            }
        };
        let mut frontier = Frontier { was_cut, ..Frontier::without_trail(width) };
        let mut next = 0;
        for (call, is_alone, ops) in pending {
            let class = if is_alone { space.class_alone(call) } else { space.class(call) };
            for op in next..next + ops {
                frontier.call(op, class, NEVER, space);
            }
            next += ops;
        }
        let layout = frontier.pending.layout();
        frontier.now.clear(layout);
        for (state, counts) in configs {
            let mut config = vec![0; layout.stride()];
            configs::set_head(&mut config, space.intern(state), START);
            (0..).zip(counts).for_each(|(field, count)| layout.set_count(&mut config, field, count));
            frontier.now.insert(&config);
        }
        (frontier, next)
    }

    /// Moves to another space, which needs to know only what the frontier refers to.
    pub(crate) fn move_to<M: Model>(&mut self, from: &ModelSpace<'_, M>, to: &mut ModelSpace<'_, M>) {
        self.now.for_each_mut(|config| {
            let state = to.intern(from.state(configs::state(config)).clone());
            configs::set_head(config, state, configs::trail(config));
        });
        self.pending.move_to(from, to);
    }

    /// Processes an invocation.
    pub(crate) fn call(&mut self, op: u32, class: ClassId, returns: u32, space: &mut Space<'_>) {
        let effect = space.effect(class);
        let leads_to = (effect == Effect::Overwrites).then(|| {
            let anywhere = space.step(0, class);
            space.successor(anywhere, 0)
        });
        self.pending.add(op, class, leads_to, returns, space);
        let layout = self.pending.layout();
        self.now.grow(layout);
        if returns == NEVER || effect == Effect::Changes {
            return;
        }
        let called = self.pending.definite(op);
        self.now.for_each_mut(|config| {
            let state = configs::state(config);
            match called.open(layout) {
                Some(open) if leads_to != Some(state) && !broken("R4: covered at once") => open.set(config),
                None if space.idle(state, class) => called.used(layout).set(config),
                _ => {}
            }
        });
    }

    /// Demands that an invoked operation is placed after `earlier`.
    pub(crate) fn place_after(&mut self, op: u32, earlier: &[u32]) {
        self.pending.place_after(op, earlier);
    }

    /// Processes a return. Returns whether any configuration survives it.
    pub(crate) fn returns(
        &mut self,
        op: u32,
        space: &mut Space<'_>,
        meter: &mut Meter<'_>,
    ) -> Result<bool, Limit> {
        let used = self.pending.definite(op).used(self.pending.layout());
        meter.steps(2 * u64::from(self.now.len()))?;
        if self.now.iter().all(|config| used.is_set(config)) {
            // By far the most frequent case: every configuration has already placed it.
            self.pending.remove(op);
            self.now.for_each_mut(|config| used.clear(config));
            self.returned += 1;
            self.profile.note(self.event, self.now.live());
            meter.tick()?;
            return Ok(true);
        }
        if let Err(limit) = self.place(op, space, meter) {
            // The size reached before the limit.
            self.note_size(self.done.live());
            return Err(limit);
        }
        if self.done.live() == 0 {
            return Ok(false);
        }
        self.advance(op);
        meter.hold(self.bytes() + space.bytes())?;
        Ok(true)
    }

    /// Collects in `done` every configuration that has placed the returning operation.
    fn place(&mut self, op: u32, space: &mut Space<'_>, meter: &mut Meter<'_>) -> Result<(), Limit> {
        let layout = self.pending.layout();
        let target = self.pending.definite(op);
        self.done.clear(layout);
        self.on_the_way.clear(layout);
        for config in self.now.iter() {
            meter.tick()?;
            let placed = target.is_placed(layout, config);
            if placed {
                self.done.insert(config);
            }
            let settled =
                target.used(layout).is_set(config) || placed && broken("R4: only keep what is covered");
            if !settled {
                self.on_the_way.insert(config);
            }
        }
        self.rows.clear(layout);
        self.candidates.clear();
        for (i, group) in (0..).zip(self.pending.groups()) {
            let worthwhile = match group.leads_to {
                Some(state) => {
                    target.class == group.class
                        || self.rows.of(state, &self.pending, space).could_be_noticed()
                }
                None => group.effect == Effect::Changes,
            };
            if worthwhile {
                self.candidates.push(i);
            }
        }
        // Definite operations are tried before optional ones.
        self.candidates.sort_by_key(|&group| self.pending.groups()[group as usize].is_optional());
        self.set_goals();
        let mut from = Vec::new();
        let (starts, mut at) = (self.on_the_way.len(), 0);
        while at < self.on_the_way.len()
            && self.on_the_way.live() <= self.width.saturating_mul(16)
            && self.done.live() <= self.width.saturating_mul(2)
        {
            if let Some(config) = self.on_the_way.get(at) {
                from.clear();
                from.extend_from_slice(config);
                if at < starts && target.commutes {
                    self.arrive(&from, op, target, space);
                }
                self.extend(&from, op, target, space);
                meter.tick()?;
                let compared = self.done.take_compared() + self.on_the_way.take_compared();
                meter.steps(compared + space.take_work())?;
            }
            at += 1;
            if at % 256 == 0 {
                meter.hold(self.bytes() + space.bytes())?;
            }
        }
        self.was_cut |= at < self.on_the_way.len();
        Ok(())
    }

    /// Sets the goals: pending observations that are not placed, and the first future one, if the future is
    /// known. No goals if the beam is too wide for hints.
    fn set_goals(&mut self) {
        self.goals.clear();
        if self.width > HINTED_WIDTH_MAX {
            return;
        }
        let layout = self.pending.layout();
        let first = self.ahead.partition_point(|next| next.returns < self.event);
        for next in self.ahead[first..].iter().take(GOALS_TRIED_MAX) {
            match self.pending.find(next.op) {
                None => {
                    self.goals.push(next.class);
                    return;
                }
                Some(pending) => {
                    if self.now.iter().any(|config| !pending.is_placed(layout, config)) {
                        self.goals.push(next.class);
                    }
                }
            }
        }
    }

    /// Extends one configuration by every pending operation worth trying, towards the return of `op`.
    fn extend(&mut self, from: &[u64], op: u32, target: Definite, space: &mut Space<'_>) {
        let layout = self.pending.layout();
        if target.commutes && !self.pending.is_watched(layout, from) {
            return;
        }
        let mut next = std::mem::take(&mut self.draft);
        for at in 0..self.candidates.len() {
            let group = &self.pending.groups()[self.candidates[at] as usize];
            let (class, commutes) = (group.class, group.commutes);
            let Some(pick) = group.pick(layout, from) else { continue };
            // A commuting target is placed where something was observed: see `arrive`.
            if target.commutes && pick.op == op || !self.pending.may_come(pick.op, layout, from) {
                continue;
            }
            let overwrites = group.effect == Effect::Overwrites;
            let successors = space.step(configs::state(from), class);
            for branch in 0..successors.len {
                let state = space.successor(successors, branch);
                // From there no sequence leads to the current return.
                if pick.op != op && space.is_over(state, target.class) {
                    continue;
                }
                let row = self.rows.of(state, &self.pending, space);
                let round_trip = overwrites && state == configs::state(from);
                if overwrites && pick.op != op && !row.is_noticed(layout, from)
                    || round_trip && pick.op != op && broken("R4: no round trips")
                {
                    continue;
                }
                next.clear();
                next.extend_from_slice(from);
                self.pending.spend(pick, &mut next);
                if overwrites {
                    layout.open_words_mut(&mut next).fill(0);
                }
                let noticed = row.settle(layout, &mut next) && !broken("R5: nobody notices") || !commutes;
                configs::set_head(&mut next, state, self.trail.end());
                // An overwrite that is only covered on the way is reached otherwise: it is placed, then the
                // one that covers it.
                let arrived = !target.commutes
                    && (pick.op == op
                        || target.effect != Effect::Overwrites && target.is_placed(layout, &next));
                let aims = |goal: &ClassId| space.leads_toward(state, *goal);
                if pick.is_optional() && !self.goals.is_empty() && !self.goals.iter().any(aims) {
                    self.was_cut |= !broken("beam: hints are promises");
                    continue;
                }
                if !noticed && !self.pending.is_watched_beyond(layout, &next, state, space) {
                    continue;
                }
                let configs = if arrived { &mut self.done } else { &mut self.on_the_way };
                let arrives = target.commutes && noticed;
                if configs.insert(&next) || arrives {
                    self.trail.push(configs::trail(from), pick.op, self.event, state);
                }
                if arrives {
                    self.arrive(&next, op, target, space);
                }
            }
        }
        self.draft = next;
    }

    /// Places the returning operation, a commuting one (R5).
    fn arrive(&mut self, from: &[u64], op: u32, target: Definite, space: &mut Space<'_>) {
        let layout = self.pending.layout();
        let next = &mut self.arrival;
        let successors = space.step(configs::state(from), target.class);
        for branch in 0..successors.len {
            let state = space.successor(successors, branch);
            next.clear();
            next.extend_from_slice(from);
            target.used(layout).set(next);
            self.rows.of(state, &self.pending, space).settle(layout, next);
            configs::set_head(next, state, self.trail.end());
            if self.done.insert(next) {
                self.trail.push(configs::trail(from), op, self.event, state);
            }
        }
    }

    fn note_size(&mut self, size: usize) {
        self.widest = self.widest.max(size);
        self.profile.note(self.event, size);
    }

    /// The configurations placed for the return of `op` become the frontier, and the slot of `op` becomes
    /// free.
    fn advance(&mut self, op: u32) {
        let layout = self.pending.layout();
        let target = self.pending.definite(op);
        self.pending.remove(op);
        self.now.clear(layout);
        let config = &mut self.draft;
        for placed in self.done.iter() {
            config.clear();
            config.extend_from_slice(placed);
            target.used(layout).clear(config);
            target.open(layout).inspect(|open| open.clear(config));
            self.now.insert(config);
        }
        self.was_cut |= self.now.cut(self.width);
        self.note_size(self.now.live());
        self.returned += 1;
        if self.trail.is_full() {
            let earlier = self.checkpoints.iter_mut().map(|checkpoint| &mut checkpoint.now);
            let mut all: Vec<&mut Configs> = earlier.chain([&mut self.now]).collect();
            let moved = self.trail.sweep(all.iter().flat_map(|configs| configs.iter()).map(configs::trail));
            let mut end_at = |config: &mut [u64]| {
                let end = moved[configs::trail(config) as usize];
                configs::set_head(config, configs::state(config), end);
            };
            all.iter_mut().for_each(|configs| configs.for_each_mut(&mut end_at));
        }
    }

    /// A legal order of everything so far.
    pub(crate) fn order(&self, part: &Part, space: &mut Space<'_>) -> Vec<u32> {
        let survivor = self.now.iter().next().expect("a frontier that has not died is not empty");
        self.trail.linearization(configs::trail(survivor), part, self.event as usize, space)
    }

    /// After a return that nothing survived: legal orders of the deepest configurations on the way to it,
    /// each with its final state. The deepest are those with the fewest unplaced pending operations.
    pub(crate) fn deepest(
        &self,
        part: &Part,
        space: &mut Space<'_>,
        at_most: usize,
    ) -> Vec<(Vec<u32>, StateId)> {
        let layout = self.on_the_way.layout();
        let mut configs: Vec<&[u64]> = self.on_the_way.iter().collect();
        configs.sort_by_key(|config| self.pending.unplaced(layout, config));
        configs.truncate(at_most);
        let events = self.event as usize + 1;
        let order = |space: &mut Space<'_>, config: &[u64]| {
            let order = self.trail.linearization(configs::trail(config), part, events, space);
            (order, configs::state(config))
        };
        configs.into_iter().map(|config| order(space, config)).collect()
    }

    pub(crate) fn bytes(&self) -> usize {
        let earlier: usize = self.checkpoints.iter().map(|checkpoint| checkpoint.now.bytes()).sum();
        earlier
            + self.now.bytes()
            + self.done.bytes()
            + self.on_the_way.bytes()
            + self.rows.bytes()
            + self.trail.bytes()
    }
}
