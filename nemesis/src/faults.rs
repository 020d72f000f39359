//! The registry of faults and verbs. A new one is a file here with a [`Fault`] or a [`Verb`], and its line
//! below. Applying, undoing, recording and replaying need no change.

mod clients;
pub(crate) mod clock;
mod corrupt;
mod damage;
mod degrade;
pub(crate) mod disk_fault;
mod fault;
pub(crate) mod kill;
pub(crate) mod limits;
mod loss;
mod membership;
pub(crate) mod partition;
pub(crate) mod pause;
mod power;
pub(crate) mod starve;
mod target;
mod terminate;

use crate::{
    Nodes,
    act::verb::{Applied, Verb, VerbSpec, verbs},
    links::LinkChange,
    processes::LockedNode,
};
pub use fault::{Aim, DrawContext, Fault, Kind};

/// Every fault, in the order of the help.
pub const FAULTS: &[Fault] = &[
    kill::FAULT,
    pause::FAULT,
    partition::FAULT,
    clients::FAULT,
    degrade::FAULT,
    terminate::FAULT,
    corrupt::FAULT,
    clock::FAULT,
    starve::FAULT,
    limits::FAULT,
    power::FAULT,
    power::TORN_WRITE,
    disk_fault::FULL,
    disk_fault::ERROR,
    disk_fault::SLOW,
    damage::BITFLIP,
    damage::TRUNCATE,
    damage::WIPE,
    damage::RESTORE,
    loss::FAULT,
    membership::MEMBERSHIP,
    membership::TRANSFER,
];

verbs! {
    kill::Kill,
    kill::Start,
    terminate::Terminate,
    pause::Pause,
    pause::Resume,
    partition::Cut,
    partition::Heal,
    degrade::Degrade,
    degrade::Restore,
    clock::Skew,
    clock::Unskew,
    starve::Starve,
    starve::Feed,
    limits::Limit,
    limits::Unlimit,
    power::LosePower,
    disk_fault::FailDisk,
    disk_fault::MendDisk,
    damage::Backup,
    damage::DamageFiles,
    membership::Remove,
    membership::Add,
    membership::Transfer,
}
