//! The nemesis: faults on ordinary local processes and on the links between them, each with its undo.
//!
//! ```text
//!   --nemesis kill,partition      seed                        Nodes (the cluster implements it)
//!            │                      │                           ▲ kill, start, pause, resume
//!            ▼                      ▼                           │
//!        [schedule] ── draws ──▶ [plan] ── steps ──▶ [driver] ──┤
//!                                                       │       ▼ cut, heal
//!                                                       │     Links (a proxy on every directed link)
//!                                                       ▼
//!                                              FaultRecord, two per fault
//! ```
//!
//! The crate knows no system, no client and no history: it sees nodes through one trait, [`Nodes`], and links through
//! the proxies it owns, [`Links`].
//!
//! Three rules hold everywhere:
//!
//! - **Every act has its undo** ([`Act::undo`]). Healing is mechanical: it asks what is in force, never what was meant.
//! - **The plan is data.** It is drawn from a seed before the run and can be printed; what was *done* is recorded act by
//!   act, and the record, not the seed, is what reproduces a run.
//! - **A fault must bite.** The links count what they withheld and the nodes are looked at while they should be stopped;
//!   a fault that withheld and stopped nothing is recorded as ineffective.

mod act;
mod aside;
mod attribution;
mod bypass;
mod cgroup;
mod clients;
mod clock;
mod corrupt;
mod damage;
mod degrade;
mod degraded;
pub mod disk;
mod disk_trouble;
mod door;
mod driver;
mod family;
mod fault;
mod filter;
mod gate;
mod grudge;
mod holders;
mod kill;
mod limits;
mod links;
mod listeners;
mod loss;
mod membership;
mod node;
mod partition;
mod pause;
mod plan;
mod power;
mod processes;
mod proxy;
mod proxy_thread;
mod pump;
mod quality;
mod record;
mod replay;
mod schedule;
mod schedule_file;
mod sock_diag;
mod starve;
mod stopped;
mod suggest;
mod target;
mod terminate;
mod trigger;
mod troubles;

pub use act::{Act, ParseActError, TimedAct};
pub use bypass::Bypass;
pub use cgroup::{NodeCgroup, remove_cgroup};
pub use clock::Skew;
pub use disk::{Damage, DiskCounters, Trouble};
pub use driver::{HealError, drive, drive_with_signals, heal_everything};
pub use family::{Kin, MARK, family, family_and_strays, family_of, marked};
pub use fault::{Aim, FAULTS, Fault, Kind};
pub use filter::FilterError;
pub use gate::{CutMode, LinkCounters};
pub use grudge::{Grudge, ParseGrudgeError};
pub use limits::Limit;
pub use links::Links;
pub use listeners::{holders_among, listening_on};
pub use node::{NodeId, NodeState, Nodes, ParseNodeError};
pub use plan::{Drawn, Plan, Step, Undrawn};
pub use quality::{Delay, Quality};
pub use record::{FaultEffect, FaultEvent, FaultOutcome, FaultRecord};
pub use replay::ReplayError;
pub use schedule::{ParseWantedError, Schedule, Wanted};
pub use schedule_file::{EntryError, ScheduleFault, ScheduleFileError};
pub use trigger::{On, Signal, Trigger};
