//! Terminate: processes are asked to end (SIGTERM), as an operator or an orchestrator does it. What a system does on its way
//! out (handing over leadership, flushing, saying goodbye) is code that a kill never runs.

use crate::{
    Act,
    faults::{Fault, target},
};

pub(crate) const FAULT: Fault = Fault {
    name: "terminate",
    about: "ends processes with SIGTERM; the undo starts them again",
    usual: false,
    alone: false,
    kinds: target::ENDS,
    draw: |kind, dice| target::draw(kind, dice, Act::Terminate),
};
