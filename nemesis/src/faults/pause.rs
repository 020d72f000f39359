//! Pause: processes stop (SIGSTOP) and continue later as if nothing had happened (SIGCONT), like a process in
//! a long garbage collection or a migrated virtual machine. A paused leader still believes that it leads when
//! it resumes.
//!
//! A pause is not a partition: peers notice the silence, but the kernel still accepts and acknowledges data
//! for the paused process, and delivers all of it at once when the process resumes.

use crate::{
    NodeState,
    act::verb::{Domain, Reversal, Verb, VerbSpec, simple_verb},
    faults::{AnyVerb, Fault, target},
};

pub(crate) const FAULT: Fault = Fault {
    name: "pause",
    about: "stops processes with SIGSTOP; undone with SIGCONT",
    usual: true,
    alone: false,
    kinds: target::PAUSE_KINDS,
    draw: |kind, context| target::draw(kind, context, |node| Pause.on(node)),
};

simple_verb! {
    /// SIGSTOP.
    Pause = VerbSpec {
        stops_as: Some(NodeState::Paused),
        ..VerbSpec::of("pause", Domain::Process, Reversal::By(AnyVerb::Resume(Resume)))
    };
    |node| {
        node.undo_state.paused = true;
        node.nodes.pause(node.id).await
    }
}

simple_verb! {
    /// SIGCONT.
    Resume = VerbSpec::of("resume", Domain::Process, Reversal::IsUndo);
    |node| {
        node.undo_state.paused = false;
        node.nodes.resume(node.id).await
    }
}
