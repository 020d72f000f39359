//! Which fault wants which act to be in force: see the picture in `driver.rs`.

use std::collections::BTreeSet;

use crate::{Act, NodeId};

/// An act that is in force, or was tried, for a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    /// The number of the fault.
    pub(super) fault: usize,
    pub(super) act: Act,
}

/// All claims, oldest first.
#[derive(Debug, Default)]
pub(super) struct Claims(Vec<Claim>);

impl Claims {
    pub(super) fn claim(&mut self, fault: usize, act: Act) {
        self.0.push(Claim { fault, act });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Claim> {
        self.0.iter().copied()
    }

    /// The acts that a fault claims.
    pub(super) fn of(&self, fault: usize) -> impl Iterator<Item = Act> {
        self.iter().filter(move |claim| claim.fault == fault).map(|claim| claim.act)
    }

    /// The undos of all acts that a fault claims, each once.
    pub(super) fn undos_of(&self, fault: usize) -> Vec<Act> {
        let mut undos = Vec::new();
        for undo in self.of(fault).filter_map(Act::undo) {
            if !undos.contains(&undo) {
                undos.push(undo);
            }
        }
        undos
    }

    /// The nodes that some fault holds down.
    pub(super) fn down(&self) -> BTreeSet<NodeId> {
        self.iter().filter_map(|claim| claim.act.takes_down()).collect()
    }

    /// Gives up a fault's claims that `undo` undoes. Returns the acts to apply then: `undo`, or the act of
    /// another fault that still claims the same effect; and the acts that follow from it.
    pub(super) fn give_up(&mut self, fault: usize, undo: Act) -> Vec<Act> {
        let puts_right = |claim: &Claim| claim.act.undo() == Some(undo);
        self.0.retain(|claim| !(claim.fault == fault && puts_right(claim)));
        let other = self.0.iter().rev().find(|claim| puts_right(claim));
        let first = other.map_or(undo, |claim| claim.act);
        let then = first.spec().followed_by.map(|verb| Act { verb, ..first });
        let free = |act: &Act| act.node().is_none_or(|node| !self.down().contains(&node));
        let mut acts = vec![first];
        acts.extend(then.filter(free));
        // The acts that impaired the old process must be applied to the new one.
        if let Some(renewed) = acts.iter().find(|act| act.spec().starts_process).and_then(|act| act.node()) {
            acts.extend(self.iter().map(|claim| claim.act).filter(|act| act.impairs() == Some(renewed)));
        }
        acts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(text: &str) -> Act {
        text.parse::<crate::TimedAct>().expect(text).act
    }

    /// Makes claims, and checks which acts follow when faults give up.
    fn check(claims: &[(usize, &str)], give_up: &[(usize, &str, &str)]) {
        let mut kept = Claims::default();
        claims.iter().for_each(|(fault, text)| kept.claim(*fault, act(text)));
        for (fault, undo, done) in give_up {
            let acts = kept.give_up(*fault, act(undo));
            let acts: Vec<String> = acts.iter().map(ToString::to_string).collect();
            assert_eq!(acts.join(", "), *done, "fault {fault}: {undo}");
        }
    }

    #[test]
    fn the_last_to_give_up_starts_the_node() {
        check(
            &[(0, "kill n1"), (1, "terminate n1")],
            &[(0, "start n1", "terminate n1"), (1, "start n1", "start n1")],
        );
    }

    #[test]
    fn the_cut_of_the_other_fault_is_applied_again() {
        check(
            &[(0, "cut n1>n2 stall"), (1, "cut n1>n2 reset")],
            &[(1, "heal n1>n2", "cut n1>n2 stall"), (0, "heal n1>n2", "heal n1>n2")],
        );
    }

    #[test]
    fn a_new_process_is_impaired_like_the_old_one() {
        check(
            &[(0, "starve n1 cpu_percent=5"), (1, "kill n1"), (2, "skew n2 offset_ms=5")],
            &[(1, "start n1", "start n1, starve n1 cpu_percent=5")],
        );
    }

    #[test]
    fn a_node_that_died_of_limits_is_started_unless_another_fault_holds_it_down() {
        check(&[(0, "limit n1 files=3")], &[(0, "unlimit n1", "unlimit n1, start n1")]);
        check(&[(0, "limit n1 files=3"), (1, "kill n1")], &[(0, "unlimit n1", "unlimit n1")]);
    }
}
