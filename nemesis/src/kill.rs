//! Kill: processes end without a word (SIGKILL), and start again on the data they left behind.
//!
//! The undo is the restart. What was written but not fsynced survives, because the operating system does: losing it takes
//! a power failure, which is another fault.

use crate::{
    Act,
    fault::{Dice, Fault},
    target,
};

pub(crate) const FAULT: Fault = Fault {
    name: "kill",
    about: "ends processes with SIGKILL; the undo starts them on the data they left",
    kinds: target::KINDS,
    draw: |kind, dice: &mut Dice| {
        target::take(kind, dice).into_iter().map(|node| Act::Kill(node).into()).collect()
    },
};
