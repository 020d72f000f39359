//! Plain data that more than one part of Tribunal writes or reads: each shape stands here once. No I/O, no clock.

pub mod path;
pub mod quantity;
pub mod spec;

pub use quantity::{Concurrency, Rate, Size};
pub use spec::{DiskKind, Net, TrialSpec};
