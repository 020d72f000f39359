//! Tribunal as a library: a trial is a [`TrialSpec`] and a call.
//!
//! ```no_run
//! use std::sync::Arc;
//! use tribunal::{Observer, Registry, Run, Stop, TrialSpec};
//!
//! let spec = TrialSpec::new("register").with(|spec| spec.nodes = 3);
//! let observer: Arc<dyn Observer> = Arc::new(());
//! let run = spec.run(&Registry::built_in(), &observer, &Stop::new())?;
//! assert!(run.judgement.outcome.is_good(), "{}: {}", run.name, run.judgement.sentence);
//! # Ok::<(), tribunal::TrialError>(())
//! ```
//!
//! `trial.rs` describes one trial from top to bottom. The library parses no command line, writes to no
//! terminal and never ends the process. It reports events to an [`Observer`]. Without the feature `trial` it
//! only checks histories.

pub mod catch_panic;
pub mod limits;
pub mod tool;
pub mod user_file;

#[cfg(feature = "trial")]
mod announcer;
#[cfg(feature = "box")]
pub mod boxed;
#[cfg(feature = "trial")]
mod clock;
#[cfg(feature = "trial")]
mod closing;
#[cfg(feature = "trial")]
mod cluster;
#[cfg(feature = "trial")]
mod controller;
#[cfg(feature = "trial")]
mod controller_log;
#[cfg(feature = "trial")]
mod converging;
#[cfg(feature = "trial")]
pub mod doctor;
#[cfg(feature = "trial")]
mod error;
#[cfg(feature = "trial")]
pub mod executable;
#[cfg(feature = "trial")]
mod failure;
#[cfg(feature = "trial")]
mod faults;
#[cfg(feature = "trial")]
mod journal;
#[cfg(feature = "trial")]
mod judge;
#[cfg(feature = "trial")]
pub mod junit;
#[cfg(feature = "trial")]
mod leaders;
#[cfg(feature = "trial")]
mod lines;
#[cfg(feature = "trial")]
pub mod lint;
#[cfg(feature = "trial")]
mod lock;
#[cfg(feature = "trial")]
pub mod machine;
#[cfg(feature = "trial")]
pub mod observer;
#[cfg(feature = "trial")]
mod oracles;
#[cfg(feature = "trial")]
mod panics;
#[cfg(feature = "trial")]
mod plan;
#[cfg(feature = "trial")]
mod record;
#[cfg(feature = "trial")]
mod recovery;
#[cfg(feature = "trial")]
mod registry;
#[cfg(feature = "trial")]
mod rehearsal;
#[cfg(feature = "trial")]
mod rlimits;
#[cfg(feature = "trial")]
mod stop;
#[cfg(feature = "trial")]
mod store;
#[cfg(feature = "trial")]
mod trial;
#[cfg(feature = "trial")]
mod waits;
#[cfg(feature = "trial")]
mod watch;

pub use tribunal_checker as checker;
pub use tribunal_records::{Concurrency, DiskKind, Net, Rate, Size, TrialSpec};
pub use tribunal_reports as reports;
pub use tribunal_reports::run_dir::RunDir;
#[cfg(feature = "trial")]
pub use {tribunal_nemesis as nemesis, tribunal_systems as systems, tribunal_workloads as workloads};

#[cfg(feature = "box")]
pub use self::boxed::serve_guest;
#[cfg(feature = "trial")]
pub use self::{
    cluster::{guard::serve as serve_guard, namespaces::enter_with_process as enter_network_namespace},
    error::TrialError,
    observer::{Observer, TrialEvent},
    registry::Registry,
    stop::Stop,
    trial::Run,
};
#[cfg(feature = "box")]
pub use tribunal_box as boxes;
