//! The keys of mixed objects: each group of keys by the live check of its model.

use std::collections::VecDeque;

use super::keys::Keys;
use super::{Proved, keys_of};
use crate::history::Malformed;
use crate::limits::Limits;
use crate::model::{MIXED_KEYS, ModelKind, Objects};
use crate::op::{Event, Value};

/// The keys of each model. Keys without a model are ignored: the check of the whole history refuses them.
pub(super) struct MixedKeys(Vec<(ModelKind, Box<dyn Keys + Send>)>);

impl MixedKeys {
    pub(super) fn new() -> Self {
        MixedKeys(MIXED_KEYS.map(|(_, kind)| (kind, keys_of(kind))).into())
    }

    fn each(&mut self) -> impl Iterator<Item = &mut Box<dyn Keys + Send>> {
        self.0.iter_mut().map(|(_, keys)| keys)
    }
}

impl Keys for MixedKeys {
    fn hold(&mut self, key: &Value, position: usize, event: &Event) {
        let Ok(kind) = Objects::Mixed.of_key(key) else { return };
        if let Some((_, keys)) = self.0.iter_mut().find(|(other, _)| *other == kind) {
            keys.hold(key, position, event);
        }
    }

    fn end_instant(&mut self, limits: &Limits<'_>, proved: &mut VecDeque<Proved>) -> Result<(), Malformed> {
        // All of them end the instant, whatever one finds.
        let ended: Vec<_> = self.each().map(|keys| keys.end_instant(limits, proved)).collect();
        ended.into_iter().collect()
    }

    fn finish(&mut self, limits: &Limits<'_>, proved: &mut VecDeque<Proved>) {
        self.each().for_each(|keys| keys.finish(limits, proved));
    }

    fn put_away(&mut self, limits: &Limits<'_>, proved: &mut VecDeque<Proved>) {
        self.each().for_each(|keys| keys.put_away(limits, proved));
    }

    fn seen(&self) -> usize {
        self.0.iter().map(|(_, keys)| keys.seen()).sum()
    }

    fn given_up(&self) -> usize {
        self.0.iter().map(|(_, keys)| keys.given_up()).sum()
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|(_, keys)| keys.bytes()).sum()
    }
}
