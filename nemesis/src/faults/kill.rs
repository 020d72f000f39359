//! Kill: processes end without warning (SIGKILL), and restart on the data that they left.
//!
//! The undo is the restart. What was written but not fsynced survives, because the operating system survives;
//! only a power failure, another fault, loses it.

use crate::{
    NodeState,
    act::verb::{Domain, Ends, Nature, Verb, plain},
    faults::{AnyVerb, Fault, target},
};

pub(crate) const FAULT: Fault = Fault {
    name: "kill",
    about: "ends processes with SIGKILL; the undo starts them on the data they left",
    usual: true,
    alone: false,
    kinds: target::ENDS,
    draw: |kind, dice| target::draw(kind, dice, |node| Kill.on(node)),
};

plain! {
    /// SIGKILL.
    Kill = Nature {
        leaves: Some(NodeState::Down),
        ..Nature::of("kill", Domain::Process, Ends::By(AnyVerb::Start(Start)))
    };
    |node| node.nodes.kill(node.id).await
}

plain! {
    /// Starts a node that is down: the undo of every verb that ends processes.
    Start = Nature { renews: true, ..Nature::of("start", Domain::Process, Ends::Undo) };
    |node| node.nodes.start(node.id).await
}
