//! Kill: processes end without warning (SIGKILL), and restart on the data that they left.
//!
//! The undo is the restart. What was written but not fsynced survives, because the operating system survives;
//! only a power failure, another fault, loses it.

use crate::{
    NodeState,
    act::verb::{Domain, Reversal, Verb, VerbSpec, simple_verb},
    faults::{AnyVerb, Fault, target},
};

pub(crate) const FAULT: Fault = Fault {
    name: "kill",
    about: "kills processes with SIGKILL; the undo restarts them on their data",
    usual: true,
    alone: false,
    kinds: target::KILL_KINDS,
    draw: |kind, context| target::draw(kind, context, |node| Kill.on(node)),
};

simple_verb! {
    /// SIGKILL.
    Kill = VerbSpec {
        stops_as: Some(NodeState::Down),
        ..VerbSpec::of("kill", Domain::Process, Reversal::By(AnyVerb::Start(Start)))
    };
    |node| node.nodes.kill(node.id).await
}

simple_verb! {
    /// Starts a node that is down: the undo of every verb that ends processes.
    Start = VerbSpec { starts_process: true, ..VerbSpec::of("start", Domain::Process, Reversal::IsUndo) };
    |node| node.nodes.start(node.id).await
}
