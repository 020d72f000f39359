//! A linearizability checker: a history goes in, a verdict with its evidence comes out.
//!
//! Pure: no files, no clock, no randomness, no tasks. It cannot fail: when a limit is reached the answer is
//! [`Answer::Unknown`](verdict::Answer::Unknown), and says which limit.

mod broken;
pub mod check;
mod configs;
pub mod decision;
mod dfs;
pub mod explain;
pub mod fast;
pub mod formats;
mod frontier;
pub mod generate;
pub mod history;
mod judge;
pub mod limits;
pub mod model;
pub mod online;
pub mod op;
mod parallel;
mod part;
mod pending;
mod refute;
pub mod small;
mod space;
mod split;
mod trail;
pub mod verdict;
mod witness;
