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
//! | module | contents |
//! |---|---|
//! | `faults/` | one file per fault: its kinds, the verbs of its acts, their undo; registry: `faults.rs` |
//! | `act/` | acts: a verb and a target, with a text form; the properties of verbs |
//! | `links/` | proxies and gates of links, or the packet filter; which node opened a connection or listens |
//! | `processes/` | the processes of each node; one act at a time on a node |
//! | `disks/` | disks under data directories that fail or lose power |
//! | `plan/` | schedules, triggers and replay, which make a plan; the driver, which carries it out |
//!
//! The crate knows no system, no client and no history: it sees nodes through one trait, [`Nodes`], and links
//! through the proxies it owns, [`Links`].
//!
//! Three rules hold everywhere:
//!
//! - **Every act has its undo** ([`Act::undo`]). Healing depends on what is in force, never on what was
//!   intended.
//! - **The plan is data.** It is drawn from a seed before the run and can be printed. What was *done* is
//!   recorded act by act; the record, not the seed, reproduces a run.
//! - **A fault must take effect.** The links count what they withheld, and the driver checks that nodes are
//!   stopped while they should be. A fault without an effect is recorded as ineffective.

mod act;
mod counters;
pub mod disks;
mod faults;
mod links;
mod lock;
mod node;
mod plan;
mod processes;

pub use act::{Act, ParseActError, Target, TimedAct};
pub use disks::{Damage, DiskCounters, DiskFault};
pub use faults::{Aim, DrawContext, FAULTS, Fault, Kind, clock::Skew, limits::Limit};
pub use links::{
    Links,
    bypass::Bypass,
    filter::FilterError,
    gate::{CutMode, LinkCounters},
    grudge::{Grudge, ParseGrudgeError},
    quality::{Delay, Quality},
};
pub use node::{NodeId, NodeState, Nodes, ParseNodeError};
pub use plan::{
    Drawn, Plan, Step,
    driver::{HealError, drive, heal_everything},
    possible::Setting,
    record::{FaultEffect, FaultEvent, FaultOutcome, FaultRecord},
    replay::ReplayError,
    schedule::{FaultSelection, ParseFaultsError, Schedule},
    schedule_file::{EntryError, ScheduleFileError, ScheduleProblem},
    trigger::{RunEvent, Trigger, TriggerCondition},
};
pub use processes::{
    cgroup::{NodeCgroup, remove_cgroup},
    family::{MARK, ProcessIdentity, family_and_strays, marked},
    listeners::{holders_among, listening_on},
};
