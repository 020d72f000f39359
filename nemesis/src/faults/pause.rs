//! Pause: processes stop where they are (SIGSTOP) and go on later as if nothing had been (SIGCONT), like a machine in a
//! long garbage collection or a migrated virtual machine. A paused leader wakes up believing that it still leads.
//!
//! A pause is not a partition: peers notice the silence, but the kernel goes on accepting and acknowledging for the paused
//! process, and hands it everything at once when it wakes.

use crate::{
    NodeState,
    act::verb::{Domain, Ends, Nature, Verb, plain},
    faults::{AnyVerb, Fault, target},
};

pub(crate) const FAULT: Fault = Fault {
    name: "pause",
    about: "stops processes with SIGSTOP; the undo lets them go on with SIGCONT",
    usual: true,
    alone: false,
    kinds: target::STOPS,
    draw: |kind, dice| target::draw(kind, dice, |node| Pause.on(node)),
};

plain! {
    /// SIGSTOP.
    Pause = Nature {
        leaves: Some(NodeState::Paused),
        ..Nature::of("pause", Domain::Process, Ends::By(AnyVerb::Resume(Resume)))
    };
    |node| {
        node.marks.paused = true;
        node.nodes.pause(node.id).await
    }
}

plain! {
    /// SIGCONT.
    Resume = Nature::of("resume", Domain::Process, Ends::Undo);
    |node| {
        node.marks.paused = false;
        node.nodes.resume(node.id).await
    }
}
