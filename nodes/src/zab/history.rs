//! A node's history: the accepted transactions, except those that are only in the snapshot.

use super::message::{Txn, Zxid};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// The last transaction that was dropped; the others follow in order.
    base: Zxid,
    txns: Vec<Txn>,
}

impl History {
    pub(crate) fn new(base: Zxid) -> Self {
        History { base, txns: Vec::new() }
    }

    pub(crate) fn base(&self) -> Zxid {
        self.base
    }

    pub(crate) fn last(&self) -> Zxid {
        self.txns.last().map_or(self.base, |txn| txn.at)
    }

    /// The number of transactions up to and including that zxid.
    fn count_upto(&self, at: Zxid) -> usize {
        self.txns.partition_point(|txn| txn.at <= at)
    }

    /// The last transaction at or before that zxid, unless it is before the base.
    pub(crate) fn floor(&self, at: Zxid) -> Option<Zxid> {
        let count = self.count_upto(at);
        if count > 0 { Some(self.txns[count - 1].at) } else { (self.base <= at).then_some(self.base) }
    }

    /// The transactions after that zxid.
    pub(crate) fn after(&self, at: Zxid) -> &[Txn] {
        &self.txns[self.count_upto(at)..]
    }

    /// The transactions after one zxid, up to and including another.
    pub(crate) fn between(&self, after: Zxid, upto: Zxid) -> &[Txn] {
        let from = self.count_upto(after);
        &self.txns[from..self.count_upto(upto).max(from)]
    }

    pub(crate) fn push(&mut self, txn: Txn) {
        debug_assert!(txn.at > self.last(), "zxids grow");
        self.txns.push(txn);
    }

    /// Erases the transactions after that zxid.
    pub(crate) fn keep(&mut self, upto: Zxid) {
        self.txns.truncate(self.count_upto(upto));
    }

    /// Drops the transactions up to that zxid, except the last `keep`.
    pub(crate) fn compact(&mut self, upto: Zxid, keep: usize) {
        let count = self.count_upto(upto).saturating_sub(keep);
        if let Some(last) = self.txns.drain(..count).next_back() {
            self.base = last.at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::Payload;

    fn at(epoch: u64, counter: u64) -> Zxid {
        Zxid { epoch, counter }
    }

    fn history() -> History {
        let mut history = History::new(at(1, 2));
        for at in [at(1, 3), at(1, 4), at(3, 1)] {
            history.push(Txn { at, payload: Payload::Noop });
        }
        history
    }

    fn zxids(txns: &[Txn]) -> Vec<Zxid> {
        txns.iter().map(|txn| txn.at).collect()
    }

    #[test]
    fn a_zxid_is_looked_up_whether_it_is_there_or_not() {
        let history = history();
        assert_eq!(history.last(), at(3, 1));
        for (asked, found) in [
            (at(1, 1), None),
            (at(1, 2), Some(at(1, 2))),
            (at(2, 9), Some(at(1, 4))),
            (at(4, 1), Some(at(3, 1))),
        ] {
            assert_eq!(history.floor(asked), found, "{asked}");
        }
        assert_eq!(zxids(history.after(at(1, 3))), [at(1, 4), at(3, 1)]);
        assert_eq!(zxids(history.between(at(1, 2), at(2, 5))), [at(1, 3), at(1, 4)]);
        assert_eq!(zxids(history.between(at(3, 1), at(1, 3))), []);
    }

    #[test]
    fn both_ends_can_be_cut() {
        let mut history = history();
        history.compact(at(1, 4), 1);
        assert_eq!((history.base(), zxids(history.after(Zxid::START))), (at(1, 3), vec![at(1, 4), at(3, 1)]));
        history.keep(at(2, 7));
        assert_eq!(history.last(), at(1, 4));
        history.keep(Zxid::START);
        assert_eq!(history.last(), at(1, 3));
    }
}
