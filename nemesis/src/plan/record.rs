//! Records of what was done, with the types of this crate. [`tribunal_records::faults`] describes the file.

use tribunal_records::faults;
pub use tribunal_records::faults::{FaultEffect, FaultEvent, FaultOutcome};

use crate::{NodeId, TimedAct};

/// One line of `faults.jsonl`.
pub type FaultRecord = faults::FaultRecord<NodeId, TimedAct, FaultEffect>;

/// Whether an effect shows that a fault with these acts took effect. The effects of auxiliary acts do not
/// count: a node is killed in order to damage its files, and connections are reset so that a node without
/// descriptors has to open new ones.
pub(crate) fn proves_effect(effect: &FaultEffect, acts: &[TimedAct]) -> bool {
    let evidence = acts.iter().find_map(|timed| timed.act.spec().evidence);
    evidence.map_or_else(|| effect.any(), |evidence| evidence(effect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_of_auxiliary_acts_do_not_count() {
        let check = |acts: &[&str], effect: FaultEffect| {
            let acts: Vec<TimedAct> = acts.iter().map(|act| act.parse().expect(act)).collect();
            proves_effect(&effect, &acts)
        };
        let stopped = FaultEffect { nodes_stopped: 1, ..FaultEffect::default() };
        assert!(check(&["kill n1"], stopped));
        assert!(!check(&["kill n1"], FaultEffect { operations_in_flight: 9, ..FaultEffect::default() }));
        let wipe = ["kill n1", "@5 damage n1 wipe seed=1"];
        assert!(!check(&wipe, stopped));
        assert!(check(&wipe, FaultEffect { files_damaged: 1, ..stopped }));
        let limit = ["limit n1 files=9", "cut n2>n1 reset", "heal n2>n1"];
        let reset = FaultEffect { connections_withheld: 4, ..FaultEffect::default() };
        assert!(!check(&limit, reset));
        assert!(check(&limit, FaultEffect { connections_unaccepted: 1, ..reset }));
    }
}
