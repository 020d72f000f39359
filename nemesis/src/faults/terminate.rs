//! Terminate: processes are asked to end (SIGTERM), as by an operator or an orchestrator. What a system does
//! while shutting down (hand over leadership, flush, say goodbye) is code that a kill never runs.

use crate::{
    NodeState,
    act::verb::{Domain, Reversal, Verb, VerbSpec, simple_verb},
    faults::{AnyVerb, Fault, kill::Start, target},
};

pub(crate) const FAULT: Fault = Fault {
    name: "terminate",
    about: "ends processes with SIGTERM; the undo restarts them",
    usual: false,
    alone: false,
    kinds: target::KILL_KINDS,
    draw: |kind, context| target::draw(kind, context, |node| Terminate.on(node)),
};

simple_verb! {
    /// SIGTERM.
    Terminate = VerbSpec {
        stops_as: Some(NodeState::Down),
        ..VerbSpec::of("terminate", Domain::Process, Reversal::By(AnyVerb::Start(Start)))
    };
    |node| node.nodes.terminate(node.id).await
}
