//! Plain data that several crates of Tribunal write or read. Each schema is defined once, here. No I/O, no
//! clock.

pub mod boxed;
pub mod faults;
pub mod features;
pub mod leaders;
pub mod links;
pub mod oracles;
pub mod path;
pub mod places;
pub mod quantity;
pub mod spec;
pub mod suggest;
pub mod wire;

pub use quantity::{Concurrency, Rate, Size};
pub use spec::{DiskKind, Net, TrialSpec};
