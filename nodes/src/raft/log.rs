//! The log in memory: the entries after a base.
//!
//! ```text
//!   compacted        base   entries             last
//!   .............. [ 7@t2 ] 8@t2 9@t3 10@t3 .. 14@t5
//! ```
//!
//! The base is the position of the last entry that was dropped (section 7); its term is kept for the consistency
//! check of the first entry after it.

use super::message::{Entry, Index, Position, Term};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    base: Position,
    entries: Vec<Entry>,
}

impl Log {
    /// A log with these entries after `base`; they must follow it without a gap.
    pub(crate) fn new(base: Position, entries: Vec<Entry>) -> Self {
        Log { base, entries }
    }

    pub(crate) fn base(&self) -> Position {
        self.base
    }

    pub(crate) fn last(&self) -> Position {
        self.entries.last().map_or(self.base, |entry| entry.at)
    }

    /// The position at an index, unless the log has dropped it.
    pub(crate) fn position(&self, index: Index) -> Option<Position> {
        if index == self.base.index {
            return Some(self.base);
        }
        self.get(index).map(|entry| entry.at)
    }

    /// Whether the log has the entry at that position, and so the same prefix.
    pub(crate) fn holds(&self, at: Position) -> bool {
        at == Position::START || self.position(at.index) == Some(at)
    }

    pub(crate) fn get(&self, index: Index) -> Option<&Entry> {
        let offset = index.checked_sub(self.base.index + 1)?;
        self.entries.get(offset as usize)
    }

    /// The entries from an index on, to the end.
    pub(crate) fn from(&self, index: Index) -> &[Entry] {
        let offset = index.saturating_sub(self.base.index + 1) as usize;
        &self.entries[offset.min(self.entries.len())..]
    }

    /// The entries after one index, up to and including another.
    pub(crate) fn between(&self, after: Index, upto: Index) -> &[Entry] {
        let entries = self.from(after + 1);
        let count = upto.saturating_sub(after.max(self.base.index)) as usize;
        &entries[..count.min(entries.len())]
    }

    /// Adds an entry at the end.
    pub(crate) fn push(&mut self, entry: Entry) {
        debug_assert_eq!(entry.at.index, self.last().index + 1, "entries follow each other");
        self.entries.push(entry);
    }

    /// Drops the entry at `from` and all after it.
    pub(crate) fn truncate(&mut self, from: Index) {
        self.entries.truncate(from.saturating_sub(self.base.index + 1) as usize);
    }

    /// Drops the entries up to and including `index`, which becomes the base.
    pub(crate) fn compact(&mut self, index: Index) {
        if let Some(base) = self.position(index) {
            self.entries.drain(..(index - self.base.index) as usize);
            self.base = base;
        }
    }

    /// The first index of the run of entries with one term that contains `index`.
    pub(crate) fn first_of_term_at(&self, index: Index) -> Index {
        let term = self.position(index).map(|at| at.term);
        let mut first = index;
        while first > self.base.index + 1 && self.position(first - 1).map(|at| at.term) == term {
            first -= 1;
        }
        first
    }

    /// The last index with an entry of that term, if there is one.
    pub(crate) fn last_of_term(&self, term: Term) -> Option<Index> {
        let after = self.entries.partition_point(|entry| entry.at.term <= term);
        let last = self.entries[..after].last().map_or(self.base, |entry| entry.at);
        (last.term == term && last != Position::START).then_some(last.index)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::message::Payload;
    use super::*;

    /// A log whose entries after the base have these terms.
    pub(crate) fn log(base: Position, terms: &[Term]) -> Log {
        let entries = terms.iter().zip(base.index + 1..);
        Log::new(
            base,
            entries
                .map(|(&term, index)| Entry { at: Position { term, index }, payload: Payload::Noop })
                .collect(),
        )
    }

    #[test]
    fn positions_before_within_and_after() {
        let log = log(Position { term: 2, index: 7 }, &[2, 3, 3]);
        assert_eq!(log.last(), Position { term: 3, index: 10 });
        assert_eq!(log.position(6), None);
        assert_eq!(log.position(7), Some(Position { term: 2, index: 7 }));
        assert_eq!(log.position(8), Some(Position { term: 2, index: 8 }));
        assert_eq!(log.position(11), None);
        assert!(log.holds(Position::START));
        assert!(!log.holds(Position { term: 2, index: 9 }));
    }

    #[test]
    fn ranges_stay_within_the_log() {
        let log = log(Position { term: 2, index: 7 }, &[2, 3, 3]);
        let indexes = |entries: &[Entry]| entries.iter().map(|entry| entry.at.index).collect::<Vec<_>>();
        assert_eq!(indexes(log.from(9)), [9, 10]);
        assert!(log.from(99).is_empty());
        assert_eq!(indexes(log.between(8, 9)), [9]);
        assert_eq!(indexes(log.between(0, 9)), [8, 9]);
        assert!(log.between(9, 9).is_empty());
    }

    #[test]
    fn compaction_keeps_the_term_of_the_base() {
        let mut log = log(Position::START, &[1, 1, 2, 3]);
        log.compact(3);
        assert_eq!(
            (log.base(), log.last()),
            (Position { term: 2, index: 3 }, Position { term: 3, index: 4 })
        );
        log.truncate(4);
        assert_eq!(log.last(), Position { term: 2, index: 3 });
    }

    #[test]
    fn runs_of_a_term() {
        let log = log(Position { term: 1, index: 2 }, &[1, 1, 4, 4, 4, 6]);
        assert_eq!(log.first_of_term_at(7), 5);
        assert_eq!(log.first_of_term_at(4), 3);
        assert_eq!(log.last_of_term(4), Some(7));
        assert_eq!(log.last_of_term(5), None);
        assert_eq!(log.last_of_term(1), Some(4));
        assert_eq!(log.last_of_term(0), None);
    }
}
