//! A frontier at rest: the memory of an object whose pending operations are all indeterminate.
//!
//! Usually this is one state. Otherwise each configuration is a state and, per field, the number of
//! indeterminate operations that it has placed.

use crate::model::Model;

/// The frontier between two operations.
pub(crate) enum Rest<M: Model> {
    /// One state, no pending operations.
    State(M::State),
    /// Any other frontier.
    More(Box<More<M>>),
}

/// Any frontier without pending definite operations.
pub(crate) struct More<M: Model> {
    /// Whether the beam dropped some configurations.
    pub(crate) was_cut: bool,
    /// Per field of the configurations: the call, whether it is [alone](crate::space::Space::class_alone),
    /// and the number of operations.
    pub(crate) pending: Vec<(M::Call, bool, u32)>,
    /// The configurations: a state, and per field the number of placed operations.
    pub(crate) configs: Vec<(M::State, Vec<u16>)>,
}

impl<M: Model> Rest<M> {
    /// Approximate number of bytes that it owns beyond its own size.
    pub(crate) fn bytes(&self, model: &M) -> usize {
        match self {
            Rest::State(state) => model.heap_bytes(state),
            Rest::More(more) => {
                let states: usize = more.configs.iter().map(|(state, _)| model.heap_bytes(state)).sum();
                let config = size_of::<(M::State, Vec<u16>)>() + more.pending.len() * size_of::<u16>();
                size_of::<More<M>>()
                    + states
                    + more.configs.len() * config
                    + more.pending.len() * size_of::<(M::Call, bool, u32)>()
            }
        }
    }
}
