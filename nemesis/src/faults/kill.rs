//! Kill: processes end without a word (SIGKILL), and start again on the data they left behind.
//!
//! The undo is the restart. What was written but not fsynced survives, because the operating system does: losing it takes
//! a power failure, which is another fault.

use crate::{
    Act,
    faults::{Fault, target},
};

pub(crate) const FAULT: Fault = Fault {
    name: "kill",
    about: "ends processes with SIGKILL; the undo starts them on the data they left",
    usual: true,
    alone: false,
    kinds: target::ENDS,
    draw: |kind, dice| target::draw(kind, dice, Act::Kill),
};
