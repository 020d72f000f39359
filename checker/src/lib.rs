//! A linearizability checker: a history goes in, a verdict with its evidence comes out.
//!
//! Pure: no files, no clock, no randomness, no tasks. A check cannot fail: if a limit is reached, the answer
//! is [`Answer::Unknown`](verdict::Answer::Unknown) with the name of the limit.
//!
//! ```text
//!   history ─▶ split by key ─▶ fast path, if its precondition holds ─▶ verdict, with a certificate
//!                              else the frontier engine
//! ```
//!
//! [`check::check`] judges a history by one of the built-in models ([`model::ModelKind`]):
//!
//! ```
//! use tribunal_checker::check::{Options, check};
//! use tribunal_checker::history::History;
//! use tribunal_checker::model::ModelKind;
//! use tribunal_checker::op::{F, Op};
//! use tribunal_checker::verdict::Answer;
//!
//! // Who, when in ns, what, and with which value; then when it returned, and what.
//! let history = History::from_ops([
//!     Op::new(0, 10, F::Write, 7).returned(30, ()),
//!     Op::new(1, 20, F::Read, ()).returned(40, 7),
//!     Op::new(2, 50, F::Read, ()).returned(60, ()),
//! ])
//! .unwrap();
//! let verdict = check(&history, ModelKind::Register, &Options::default()).unwrap();
//! assert_eq!(verdict.answer, Answer::Violation);
//! assert_eq!(verdict.violation.unwrap().class, "missed-write");
//! ```
//!
//! To judge an object of your own, implement [`model::Model`]:
//!
//! ```
//! use tribunal_checker::check::{Options, check_with};
//! use tribunal_checker::history::History;
//! use tribunal_checker::model::Model;
//! use tribunal_checker::op::{F, Op};
//! use tribunal_checker::verdict::Answer;
//!
//! /// A number that only grows: `write` raises it, `read` returns it.
//! struct HighWaterMark;
//!
//! #[derive(Clone, Debug, PartialEq, Eq, Hash)]
//! enum Call {
//!     Raise(i64),
//!     Read(i64),
//! }
//!
//! impl Model for HighWaterMark {
//!     type State = i64;
//!     type Call = Call;
//!     type Next = Option<i64>;
//!
//!     fn name(&self) -> &str {
//!         "high-water-mark"
//!     }
//!
//!     fn init(&self) -> i64 {
//!         0
//!     }
//!
//!     fn parse(&self, op: &Op) -> Result<Option<Call>, String> {
//!         match (&op.f, op.output()) {
//!             (F::Write, _) => Ok(Some(Call::Raise(op.input.as_int().ok_or("an integer to write")?))),
//!             // A read of unknown outcome says nothing.
//!             (F::Read, None) => Ok(None),
//!             (F::Read, Some(read)) => Ok(Some(Call::Read(read.as_int().ok_or("an integer to be read")?))),
//!             _ => Err("read or write".into()),
//!         }
//!     }
//!
//!     fn step(&self, mark: &i64, call: &Call) -> Option<i64> {
//!         match *call {
//!             Call::Raise(to) => Some((*mark).max(to)),
//!             Call::Read(read) => (read == *mark).then_some(read),
//!         }
//!     }
//!
//!     // Not needed, but it makes the search faster: reads change nothing.
//!     fn read_only(&self, call: &Call) -> bool {
//!         matches!(call, Call::Read(_))
//!     }
//! }
//!
//! let history = History::from_ops([
//!     Op::new(0, 10, F::Write, 7),
//!     Op::new(1, 20, F::Read, ()).returned(30, 7),
//!     Op::new(1, 40, F::Read, ()).returned(50, 0),
//! ])
//! .unwrap();
//! let verdict = check_with(&history, &HighWaterMark, &Options::default()).unwrap();
//! assert_eq!(verdict.answer, Answer::Violation);
//! assert_eq!(verdict.violation.unwrap().witness, 2, "the second read went back");
//! ```

mod beam;
mod broken;
pub mod check;
mod configs;
pub mod decision;
mod dfs;
pub mod explain;
pub mod fast;
pub mod formats;
mod frontier;
#[cfg(any(test, feature = "generate"))]
pub mod generate;
pub mod history;
mod judge;
pub mod limits;
pub mod linearization;
pub mod model;
pub mod online;
pub mod op;
mod optimistic;
mod parallel;
mod part;
mod pending;
mod profile;
mod promises;
mod refute;
mod rest;
mod rows;
#[cfg(any(test, feature = "generate"))]
pub mod small;
mod space;
mod split;
mod ties;
mod trail;
mod tuning;
pub mod verdict;
pub mod verify;
mod witness;

/// Tests the examples of the README, which the package registry shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
