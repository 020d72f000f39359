//! The pending operations, and where a configuration stores their use.
//!
//! A definite operation has a slot while it is pending: among the exact bits or, for an overwrite, among the
//! spent and open bits. An indeterminate operation stays pending forever: all operations of one class share a
//! field that counts them. Operations are grouped by class, and sorted by deadline in each group, because the
//! search tries only the first unused operation of a class (R2 in [`frontier`](crate::frontier)).

use hashbrown::HashMap;

use crate::broken::broken;
use crate::configs::{Bit, COUNT_MAX, Layout};
use crate::model::Model;
use crate::part::NEVER;
use crate::space::{ClassId, Effect, ModelSpace, Space, StateId};

/// A pending definite operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Definite {
    pub(crate) class: ClassId,
    pub(crate) effect: Effect,
    /// See [`Model::commutes`].
    pub(crate) commutes: bool,
    slot: u32,
    returns: u32,
}

/// The pending operations of one class.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) class: ClassId,
    pub(crate) effect: Effect,
    /// The one state that an overwrite leads to.
    pub(crate) leads_to: Option<StateId>,
    /// See [`Model::commutes`].
    pub(crate) commutes: bool,
    /// Definite operations with their slots, in the order of their returns.
    definite: Vec<(u32, u32, u32)>,
    /// Indeterminate operations in the order of their invocations: a field, and the operations that it can
    /// count.
    fields: Vec<(u32, Vec<u32>)>,
}

/// An operation to try, and where a configuration marks it as used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pick {
    pub(crate) op: u32,
    place: Place,
}

impl Pick {
    /// Whether the operation need not take effect.
    pub(crate) fn is_optional(self) -> bool {
        matches!(self.place, Place::Field(_))
    }
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Bit(Bit),
    Field(u32),
}

/// All pending operations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending {
    layout: Layout,
    groups: Vec<Group>,
    group_of: HashMap<ClassId, u32>,
    definite: HashMap<u32, Definite>,
    /// Free slots: exact ones, and those of overwrites.
    free: [Vec<u32>; 2],
    fields: u32,
    /// Operations that must be placed before an operation, as long as it is pending.
    after: Vec<(u32, Vec<u32>)>,
}

impl Pending {
    /// A layout of configurations with room for all pending operations.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// The pending operations, by class.
    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The groups that a state can make a difference to: all but those of indeterminate overwrites only.
    pub(crate) fn noticing(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| !(group.definite.is_empty() && group.leads_to.is_some()))
    }

    /// Whether an operation that does not commute is still unplaced.
    pub(crate) fn is_watched(&self, layout: Layout, config: &[u64]) -> bool {
        self.groups.iter().any(|group| !group.commutes && group.pick(layout, config).is_some())
    }

    /// Whether such an operation is possible in this state, or may become possible by operations that
    /// commute.
    pub(crate) fn is_watched_beyond(
        &self,
        layout: Layout,
        config: &[u64],
        state: StateId,
        space: &Space<'_>,
    ) -> bool {
        let out_of_reach = |watcher: &Group| {
            let mut by = self.groups.iter().filter(|group| group.commutes);
            by.all(|by| space.out_of_reach(state, watcher.class, by.class))
        };
        let mut watchers = self.groups.iter().filter(|group| !group.commutes);
        watchers.any(|group| group.pick(layout, config).is_some() && !out_of_reach(group))
    }

    /// A pending definite operation.
    pub(crate) fn definite(&self, op: u32) -> Definite {
        self.definite[&op]
    }

    /// The definite operation with this number, if it is pending.
    pub(crate) fn find(&self, op: u32) -> Option<Definite> {
        self.definite.get(&op).copied()
    }

    /// The number of definite operations that this configuration has not placed.
    pub(crate) fn unplaced(&self, layout: Layout, config: &[u64]) -> usize {
        self.definite.values().filter(|op| !op.is_placed(layout, config)).count()
    }

    /// Adds an operation that returns at an event, or at [`NEVER`]. `leads_to` is given for an overwrite.
    pub(crate) fn add(
        &mut self,
        op: u32,
        class: ClassId,
        leads_to: Option<StateId>,
        returns: u32,
        space: &Space<'_>,
    ) {
        let (effect, commutes) = (space.effect(class), space.commutes(class));
        let group = *self.group_of.entry(class).or_insert(self.groups.len() as u32) as usize;
        if group == self.groups.len() {
            self.groups.push(Group {
                class,
                effect,
                leads_to,
                commutes,
                definite: Vec::new(),
                fields: Vec::new(),
            });
        }
        if returns != NEVER {
            let slot = self.take_slot(effect);
            let group = &mut self.groups[group];
            let at = group.definite.partition_point(|&(other, ..)| other < returns);
            group.definite.insert(at, (returns, op, slot));
            self.definite.insert(op, Definite { class, effect, commutes, slot, returns });
            return;
        }
        let group = &mut self.groups[group];
        if let Some((_, ops)) = group.fields.last_mut()
            && ops.len() < usize::from(COUNT_MAX)
        {
            ops.push(op);
        } else {
            group.fields.push((self.fields, vec![op]));
            self.fields += 1;
            self.layout.counts = self.fields.div_ceil(4) as usize;
        }
    }

    /// Demands that an operation is placed after `earlier`, all of which have been invoked.
    pub(crate) fn place_after(&mut self, op: u32, earlier: &[u32]) {
        self.after.push((op, earlier.to_vec()));
    }

    /// Whether this configuration has placed everything that must come before an operation.
    pub(crate) fn may_come(&self, op: u32, layout: Layout, config: &[u64]) -> bool {
        let is_placed = |op: &u32| self.find(*op).is_none_or(|op| op.is_placed(layout, config));
        self.after.iter().all(|(later, earlier)| *later != op || earlier.iter().all(is_placed))
    }

    /// Removes a definite operation that has returned.
    pub(crate) fn remove(&mut self, op: u32) {
        let Some(Definite { class, effect, slot, returns, .. }) = self.definite.remove(&op) else { return };
        self.after.retain_mut(|(later, earlier)| {
            earlier.retain(|&other| other != op);
            *later != op && !earlier.is_empty()
        });
        self.free[usize::from(effect == Effect::Overwrites)].push(slot);
        let at = self.group_of[&class] as usize;
        let group = &mut self.groups[at];
        group.definite.retain(|&(other, ..)| other != returns);
        if group.definite.is_empty() && group.fields.is_empty() {
            self.groups.swap_remove(at);
            self.group_of.remove(&class);
            if let Some(moved) = self.groups.get(at) {
                self.group_of.insert(moved.class, at as u32);
            }
        }
    }

    /// Per field of indeterminate operations: their class, and their number.
    pub(crate) fn indeterminate(&self) -> Vec<(ClassId, u32)> {
        let fields = self.groups.iter().flat_map(|group| {
            group.fields.iter().map(|(field, ops)| (*field, (group.class, ops.len() as u32)))
        });
        let mut fields: Vec<_> = fields.collect();
        fields.sort_unstable();
        fields.into_iter().map(|(_, ops)| ops).collect()
    }

    /// Translates everything to the numbers of another space.
    pub(crate) fn move_to<M: Model>(&mut self, from: &ModelSpace<'_, M>, to: &mut ModelSpace<'_, M>) {
        let mut moved: HashMap<ClassId, ClassId> = HashMap::new();
        let mut class = |class: ClassId| *moved.entry(class).or_insert_with(|| to.adopt(from, class));
        self.definite.values_mut().for_each(|op| op.class = class(op.class));
        self.groups.iter_mut().for_each(|group| group.class = class(group.class));
        self.group_of = (0..).zip(&self.groups).map(|(i, group)| (group.class, i)).collect();
        for group in &mut self.groups {
            group.leads_to = group.leads_to.map(|state| to.intern(from.state(state).clone()));
        }
    }

    /// Marks an operation as used in a configuration.
    pub(crate) fn spend(&self, pick: Pick, config: &mut [u64]) {
        match pick.place {
            Place::Bit(bit) => bit.set(config),
            Place::Field(field) => self.layout.add_count(config, field),
        }
    }

    fn take_slot(&mut self, effect: Effect) -> u32 {
        let loose = effect == Effect::Overwrites;
        let words = if loose { &mut self.layout.loose } else { &mut self.layout.exact };
        let free = &mut self.free[usize::from(loose)];
        if free.is_empty() {
            let first = *words as u32 * 64;
            free.extend((first..first + 64).rev());
            *words += 1;
        }
        free.pop().expect("there are 64 more now")
    }
}

impl Definite {
    /// The bit that marks it as used: placed, or for an overwrite placed for its effect.
    pub(crate) fn used(&self, layout: Layout) -> Bit {
        match self.effect {
            Effect::Overwrites => layout.spent_bit(self.slot),
            Effect::Observes | Effect::Changes => layout.exact_bit(self.slot),
        }
    }

    /// The bit that marks an overwrite as not placed yet.
    pub(crate) fn open(&self, layout: Layout) -> Option<Bit> {
        (self.effect == Effect::Overwrites).then(|| layout.open_bit(self.slot))
    }

    /// Whether this configuration has placed it.
    pub(crate) fn is_placed(&self, layout: Layout, config: &[u64]) -> bool {
        match self.open(layout) {
            Some(open) => !open.is_set(config),
            None => self.used(layout).is_set(config),
        }
    }
}

impl Group {
    /// The slots of its definite operations.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.definite.iter().map(|&(_, _, slot)| slot)
    }

    /// Whether all its operations are indeterminate.
    pub(crate) fn is_optional(&self) -> bool {
        self.definite.is_empty()
    }

    /// Whether it has indeterminate operations.
    pub(crate) fn has_indeterminate(&self) -> bool {
        !self.fields.is_empty()
    }

    /// The operation to try in this configuration: the first to return among the unused ones.
    pub(crate) fn pick(&self, layout: Layout, config: &[u64]) -> Option<Pick> {
        let bit = |slot| match self.effect {
            Effect::Overwrites => layout.spent_bit(slot),
            Effect::Observes | Effect::Changes => layout.exact_bit(slot),
        };
        let mut unused = self.definite.iter().filter(|&&(_, _, slot)| !bit(slot).is_set(config));
        let definite =
            if broken("R2: the last to return first") { unused.next_back() } else { unused.next() };
        if let Some(&(_, op, slot)) = definite {
            return Some(Pick { op, place: Place::Bit(bit(slot)) });
        }
        self.fields.iter().find_map(|(field, ops)| {
            let op = *ops.get(usize::from(layout.count(config, *field)))?;
            Some(Pick { op, place: Place::Field(*field) })
        })
    }
}
