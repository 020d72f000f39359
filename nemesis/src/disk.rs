//! The disk under a node's data directory.

mod mount;

pub use mount::{detach_loop, unmount};
