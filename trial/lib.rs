//! Tribunal as a library: a trial as data and as a call.
//!
//! ```no_run
//! use std::sync::Arc;
//! use tribunal::{Observer, Registry, Run, Stop, TrialSpec};
//!
//! let spec = TrialSpec::new("register").with(|spec| spec.nodes = 3);
//! let nobody: Arc<dyn Observer> = Arc::new(());
//! let run = spec.run(&Registry::built_in(), &nobody, &Stop::new())?;
//! assert!(run.judgement.outcome.is_good(), "{}: {}", run.name, run.judgement.sentence);
//! # Ok::<(), tribunal::TrialError>(())
//! ```
//!
//! [`trial`] tells one trial from top to bottom. Nothing here knows a command line, writes to a terminal or ends the process;
//! what happens is told to an [`Observer`].

mod announcer;
mod clock;
mod cluster;
mod controller;
mod controller_log;
mod converging;
mod error;
mod failure;
mod faults;
mod journal;
mod judge;
pub mod junit;
pub mod limits;
mod lines;
pub mod observer;
pub mod own;
pub mod panics;
mod plan;
pub mod record;
mod registry;
pub mod rlimits;
mod stop;
mod store;
mod trial;
pub mod user_file;
mod watch;

pub use tribunal_checker as checker;
pub use tribunal_records::{Concurrency, DiskKind, Net, Rate, Size, TrialSpec};
pub use tribunal_reports as reports;
pub use tribunal_reports::run_dir::RunDir;
pub use tribunal_systems as systems;
pub use tribunal_workloads as workloads;

pub use self::cluster::guard::serve as serve_guard;
pub use self::cluster::namespaces::enter_with_process as enter_network_namespace;
pub use self::error::TrialError;
pub use self::observer::{Observer, TrialEvent};
pub use self::registry::Registry;
pub use self::stop::Stop;
pub use self::trial::Run;
