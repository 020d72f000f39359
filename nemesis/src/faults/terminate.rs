//! Terminate: processes are asked to end (SIGTERM), as by an operator or an orchestrator. What a system does
//! while shutting down (hand over leadership, flush, say goodbye) is code that a kill never runs.

use crate::{
    NodeState,
    act::verb::{Domain, Ends, Nature, Verb, plain},
    faults::{AnyVerb, Fault, kill::Start, target},
};

pub(crate) const FAULT: Fault = Fault {
    name: "terminate",
    about: "ends processes with SIGTERM; the undo starts them again",
    usual: false,
    alone: false,
    kinds: target::ENDS,
    draw: |kind, dice| target::draw(kind, dice, |node| Terminate.on(node)),
};

plain! {
    /// SIGTERM.
    Terminate = Nature {
        leaves: Some(NodeState::Down),
        ..Nature::of("terminate", Domain::Process, Ends::By(AnyVerb::Start(Start)))
    };
    |node| node.nodes.terminate(node.id).await
}
