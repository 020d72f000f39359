//! Which faults can be injected at all, as far as that is known before the start.
//!
//! The driver checks again when a step is due, because then more is known: processes, packet filters, mounted disks.

use tribunal_records::{DiskKind, Net};

use crate::{Plan, Quality, Step, TimedAct, links::filter::only_of_streams};

/// What is known of a cluster before its start.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Number of nodes.
    pub nodes: usize,
    /// How links are cut.
    pub net: Net,
    /// The disk under each node, or why this machine cannot provide the one that a fault needs.
    pub disk: Result<DiskKind, String>,
    /// Whether operators can change the members of the cluster; if not, why not.
    pub operators: Result<(), String>,
}

impl Setting {
    /// A cluster in which only the number of nodes is a limit.
    pub fn of(nodes: usize) -> Setting {
        Setting { nodes, net: Net::Proxy, disk: Ok(DiskKind::Fuse), operators: Ok(()) }
    }

    /// Why a step can never be done; `None` if it can, as far as is known.
    pub fn obstacle(&self, step: &Step) -> Option<String> {
        if step.acts.is_empty() {
            let nodes = if self.nodes == 1 { "node" } else { "nodes" };
            return Some(format!("it needs more than {} {nodes} (--nodes)", self.nodes));
        }
        step.acts.iter().find_map(|timed| self.obstacle_of(timed))
    }

    fn obstacle_of(&self, timed: &TimedAct) -> Option<String> {
        let act = timed.act;
        if let Some(why) = (act.spec().unavailable)(None) {
            return Some(why);
        }
        if let (Some(_), Err(why)) = (act.reconfigures(), &self.operators) {
            return Some(why.clone());
        }
        if act.damages().is_some() && self.nodes < 3 {
            return Some("it needs 3 nodes or more (--nodes): most of them keep their files".to_owned());
        }
        if act.needs_own_disk() {
            match &self.disk {
                Ok(disk) => return (act.spec().missing_on)(*disk).map(str::to_owned),
                Err(why) => return Some(why.clone()),
            }
        }
        let (_, quality) = act.degrades()?;
        self.obstacle_of_link(&quality, act.names_clients())
    }

    /// Clients reach their nodes through proxies, whatever the net is.
    fn obstacle_of_link(&self, quality: &Quality, of_clients: bool) -> Option<String> {
        match self.net == Net::Netns && !of_clients {
            true => only_of_streams(quality)
                .map(|name| format!("{name} needs a proxy: use --net proxy or --net transparent")),
            false => quality.loss_percent.map(|_| NO_PACKETS.to_owned()),
        }
    }
}

/// Why a proxy loses no packets.
pub(crate) const NO_PACKETS: &str = "a proxy cannot lose packets: use --net netns";

impl Plan {
    /// Removes the faults that can never be injected from what is drawn: their names, each with the reason.
    pub fn remove_impossible(&mut self, setting: &Setting) -> Vec<(String, String)> {
        let mut removed = Vec::new();
        for drawn in &mut self.drawn {
            removed.extend(drawn.schedule.impossible(setting));
            drawn.schedule.wanted.retain(|name| removed.iter().all(|(fault, _)| fault != name));
        }
        removed
    }
}
