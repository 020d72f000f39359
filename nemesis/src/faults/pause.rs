//! Pause: processes stop (SIGSTOP) and continue later as if nothing had happened (SIGCONT), like a process in
//! a long garbage collection or a migrated virtual machine. A paused leader still believes that it leads when
//! it resumes.
//!
//! A pause is not a partition: peers notice the silence, but the kernel still accepts and acknowledges data
//! for the paused process, and delivers all of it at once when the process resumes.

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
