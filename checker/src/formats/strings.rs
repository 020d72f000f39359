//! Interned texts: a million operations on ten keys hold ten keys, not a million.

use std::sync::Arc;

use hashbrown::HashSet;

use crate::op::Value;

/// Longer texts are rarely repeated (whole values, stack traces), and comparing them costs more than a copy.
const LONGEST_SHARED: usize = 64;

/// Hands out shared copies of texts.
#[derive(Default)]
pub(super) struct Strings {
    seen: HashSet<Arc<str>>,
    /// A buffer for the items of a list.
    pub(super) items: Vec<Value>,
}

impl Strings {
    /// The shared copy of `text`.
    pub(super) fn share(&mut self, text: &str) -> Arc<str> {
        if text.len() > LONGEST_SHARED {
            return text.into();
        }
        self.seen.get_or_insert_with(text, |text| text.into()).clone()
    }
}
