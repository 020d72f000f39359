//! A linearizability checker: a history goes in, a verdict with its evidence comes out.
//!
//! Pure: no files, no clock, no randomness, no tasks. It cannot fail: when a limit is reached the answer is
//! [`Answer::Unknown`](verdict::Answer::Unknown), and says which limit.

pub mod check;
pub mod decision;
mod dfs;
mod explain;
pub mod fast;
pub mod formats;
pub mod generate;
pub mod history;
mod judge;
pub mod limits;
pub mod model;
pub mod op;
mod part;
pub mod small;
mod space;
pub mod verdict;
mod witness;
