//! A linearizability checker: a history goes in, a verdict with its evidence comes out.
//!
//! Pure: no files, no clock, no randomness, no tasks. It cannot fail: when a limit is reached the answer is
//! [`Answer::Unknown`](verdict::Answer::Unknown), and says which limit.

pub mod decision;
mod explain;
pub mod formats;
pub mod history;
pub mod op;
pub mod verdict;
