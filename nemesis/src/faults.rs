//! The faults there are. A new one is a file here with a [`Fault`] in it and a line in [`FAULTS`]: applying, undoing, recording
//! and replaying need nothing from it.

mod clients;
pub(crate) mod clock;
mod corrupt;
mod damage;
mod degrade;
mod disk_trouble;
mod fault;
mod kill;
pub(crate) mod limits;
mod loss;
mod membership;
pub(crate) mod partition;
mod pause;
mod power;
pub(crate) mod starve;
mod target;
mod terminate;

pub(crate) use fault::Dice;
pub use fault::{Aim, Fault, Kind};

/// Every fault, in the order in which help lists them.
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
    disk_trouble::FULL,
    disk_trouble::ERROR,
    disk_trouble::SLOW,
    damage::BITFLIP,
    damage::TRUNCATE,
    damage::WIPE,
    damage::RESTORE,
    loss::FAULT,
    membership::MEMBERSHIP,
    membership::TRANSFER,
];
