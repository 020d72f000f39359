//! Which pending operations are possible in each state.
//!
//! This is the same for every configuration with that state and changes only with the event, so it is
//! computed once per event and state. All rows share one vector, because allocations are too slow for one
//! event.

use hashbrown::HashMap;

use crate::broken::broken;
use crate::configs::Layout;
use crate::pending::Pending;
use crate::space::{Effect, Space, StateId};

/// The rows of one event.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    layout: Layout,
    /// Per state: the number of its row, and whether an indeterminate operation other than an overwrite is
    /// possible.
    known: HashMap<StateId, (u32, bool)>,
    words: Vec<u64>,
}

/// The row of one state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// Definite operations other than overwrites that are possible: exact bits.
    possible: &'a [u64],
    /// Those of them that only observe.
    observed: &'a [u64],
    /// Overwrites that lead to another state: open bits.
    elsewhere: &'a [u64],
    /// Whether an indeterminate operation, other than an overwrite, is possible.
    indeterminate: bool,
}

impl Rows {
    /// Forgets all rows, because the set of pending operations has changed.
    pub(crate) fn clear(&mut self, layout: Layout) {
        self.layout = layout;
        self.known.clear();
        self.words.clear();
    }

    pub(crate) fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
            + self.known.capacity() * (size_of::<(StateId, (u32, bool))>() + 1)
    }

    /// The row of a state, computed at its first use.
    pub(crate) fn of(&mut self, state: StateId, pending: &Pending, space: &mut Space<'_>) -> Row<'_> {
        let (number, indeterminate) = match self.known.get(&state) {
            Some(&known) => known,
            None => {
                let made = (self.known.len() as u32, self.make(state, pending, space));
                self.known.insert(state, made);
                made
            }
        };
        let Layout { exact, loose, .. } = self.layout;
        let words = &self.words[number as usize * (2 * exact + loose)..][..2 * exact + loose];
        let (possible, words) = words.split_at(exact);
        let (observed, elsewhere) = words.split_at(exact);
        Row { possible, observed, elsewhere, indeterminate }
    }

    fn make(&mut self, state: StateId, pending: &Pending, space: &mut Space<'_>) -> bool {
        let Layout { exact, loose, .. } = self.layout;
        let start = self.words.len();
        self.words.resize(start + 2 * exact + loose, 0);
        let (possible, observed, elsewhere) = (start, start + exact, start + 2 * exact);
        let mut indeterminate = false;
        for group in pending.noticing() {
            let mut mark = |start: usize| {
                for slot in group.slots() {
                    self.words[start + slot as usize / 64] |= 1 << (slot % 64);
                }
            };
            if let Some(leads_to) = group.leads_to {
                if leads_to != state {
                    mark(elsewhere);
                }
            } else if space.possible(state, group.class) {
                mark(possible);
                if group.effect == Effect::Observes {
                    mark(observed);
                }
                indeterminate |=
                    group.has_indeterminate() && !broken("R4: indeterminate operations notice nothing");
            }
        }
        indeterminate
    }
}

impl Row<'_> {
    /// Whether another pending, unplaced operation could observe an overwrite that leads to this state.
    pub(crate) fn is_noticed(&self, layout: Layout, config: &[u64]) -> bool {
        self.indeterminate
            || self.possible.iter().zip(layout.exact_words(config)).any(|(can, is)| can & !is != 0)
    }

    /// Whether that holds in any configuration.
    pub(crate) fn could_be_noticed(&self) -> bool {
        self.indeterminate || self.possible.iter().any(|word| *word != 0)
    }

    /// Places the operations that are possible here and change nothing: observations (R1), and overwrites
    /// that lead to this same state (R4). Returns whether there was an observation.
    pub(crate) fn settle(&self, layout: Layout, config: &mut [u64]) -> bool {
        let mut placed = 0;
        for (is, can) in layout.exact_words_mut(config).iter_mut().zip(self.observed) {
            placed |= can & !*is;
            *is |= can;
        }
        layout.open_words_mut(config).iter_mut().zip(self.elsewhere).for_each(|(open, not)| *open &= not);
        placed != 0
    }
}
