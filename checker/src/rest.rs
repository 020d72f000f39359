//! A frontier at rest: what must be remembered of an object that has no operation pending but indeterminate ones.
//!
//! Nearly always that is a state. Else each configuration is its state and how many indeterminate operations of each
//! field it has placed.

use crate::model::Model;

/// What a frontier is between two operations.
pub(crate) enum Rest<M: Model> {
    /// One state, and nothing pending.
    State(M::State),
    /// Anything else.
    More(Box<More<M>>),
}

/// Any frontier without definite operations.
pub(crate) struct More<M: Model> {
    /// Whether it is only a part of all configurations.
    pub(crate) was_cut: bool,
    /// By field of the configurations: the call, whether it is [alone](crate::space::Space::class_alone), and how many there are.
    pub(crate) pending: Vec<(M::Call, bool, u32)>,
    /// The configurations: a state, and for each field how many are placed.
    pub(crate) configs: Vec<(M::State, Vec<u16>)>,
}

impl<M: Model> Rest<M> {
    /// Roughly the bytes that it owns beyond its own size.
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
