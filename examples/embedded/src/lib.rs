//! Nothing of its own: see `tests/trials.rs` for how a program of yours holds trials.
