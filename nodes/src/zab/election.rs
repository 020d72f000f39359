//! Phase 0. Safety does not depend on it: in phase 1 no node can lead that lacks what a majority may have
//! committed, so an election only has to find a node that usually passes phase 1 (Medeiros 2012, section 4.1:
//! fast leader election).
//!
//! A node that looks for a leader sends its credentials at every heartbeat. Once it hears a majority, and the
//! best credentials are the same at two heartbeats in a row, the best node leads and the others follow it. A
//! node that hears an established leader follows that leader.

use std::collections::BTreeMap;

use super::broadcast::Leading;
use super::bug::Bug;
use super::core::{Core, Notice, Role};
use super::message::{Credentials, Epoch, Message, Zxid};
use crate::replica::NodeId;

impl Core {
    /// Gives up its role and looks for a leader.
    pub(super) fn look(&mut self, why: &'static str) {
        self.ready.deposed |= matches!(&self.role, Role::Leading(leading) if leading.is_established());
        self.ready.notices.push(Notice::Looks { why, has: self.credentials() });
        self.role = Role::Looking { heard: BTreeMap::new(), best: None };
    }

    pub(super) fn beat_looking(&mut self) {
        let has = self.credentials();
        for peer in self.config.peers.clone() {
            self.send(&peer, Message::Notification(has));
        }
        let fresh_since = self.now.saturating_sub(self.config.election_timeout.1);
        let (quorum, me) = (self.config.quorum(), self.config.id.clone());
        let any_history = self.config.has(Bug::ElectWithoutHighestZxid);
        let Role::Looking { heard, best } = &mut self.role else { return };
        heard.retain(|_, (_, when)| *when >= fresh_since);
        let others = heard.iter().map(|(node, (has, _))| (has, node));
        let rank = |(has, node): &(&Credentials, &NodeId)| ((!any_history).then_some(**has), (*node).clone());
        let now_best = others.chain([(&has, &me)]).max_by_key(rank).map(|(_, node)| node.clone());
        let settled = *best == now_best && heard.len() + 1 >= quorum;
        best.clone_from(&now_best);
        match now_best {
            Some(node) if settled && node == me => self.begin_to_lead(),
            Some(node) if settled => self.begin_to_follow(&node),
            _ => {}
        }
    }

    pub(super) fn on_notification(&mut self, from: &NodeId, has: Credentials) {
        let now = self.now;
        match &mut self.role {
            Role::Looking { heard, .. } => drop(heard.insert(from.clone(), (has, now))),
            // The sender must hear that there is a leader.
            Role::Leading(leading) => drop(leading.to_resync.remove(from)),
            Role::Following { .. } => {}
        }
    }

    fn begin_to_lead(&mut self) {
        self.ready.notices.push(Notice::Elected { has: self.credentials() });
        self.set_deadline(2);
        self.role = Role::Leading(Leading::new(&self.config, self.promised.epoch, self.now));
        self.begin_epoch();
    }

    pub(super) fn begin_to_follow(&mut self, leader: &NodeId) {
        use rand::RngExt as _;
        self.ready.notices.push(Notice::Follows { leader: leader.clone() });
        self.set_deadline(1);
        let join = self.rng.random_range(0..u64::MAX);
        self.role = Role::Following { leader: leader.clone(), join, synced: false, ask_at: self.now };
        self.beat_following();
    }

    /// Sets the deadline, in election timeouts from now.
    pub(super) fn set_deadline(&mut self, timeouts: u32) {
        self.deadline = self.now + self.config.draw_election_timeout(&mut self.rng) * timeouts;
    }

    /// Handles a message of an established leader.
    pub(super) fn on_ping(&mut self, from: &NodeId, epoch: Epoch, upto: Zxid) {
        match &self.role {
            Role::Looking { .. } => self.begin_to_follow(from),
            // The leader was elected again in the meantime.
            Role::Following { leader, synced: true, .. } if leader == from && epoch > self.current => {
                self.begin_to_follow(from);
            }
            Role::Following { leader, .. } if leader == from => {}
            Role::Following { .. } if epoch > self.promised.epoch => self.begin_to_follow(from),
            Role::Leading(leading) if epoch > leading.epoch.unwrap_or(self.promised.epoch) => {
                self.look("another leads a later epoch");
                self.begin_to_follow(from);
            }
            _ => return,
        }
        self.heard_leader();
        self.send(from, Message::Pong { epoch });
        self.on_commit(from, epoch, upto);
        if self.is_synced_with(from, epoch) {
            self.acknowledge(from, epoch);
        }
    }

    pub(super) fn heard_leader(&mut self) {
        if matches!(self.role, Role::Following { .. }) {
            self.set_deadline(1);
        }
    }
}
