//! Access to the processes of the nodes: one act at a time on a node, with the state that its undo needs.
//!
//! There is one lock per node. Otherwise acts that stop a process for a moment, stutter it or pause it would
//! undo each other.

pub(crate) mod cgroup;
pub(crate) mod family;
pub(crate) mod holders;
pub(crate) mod listeners;
#[cfg(test)]
pub(crate) mod sleeper;
pub(crate) mod stopped;

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::spawn_blocking,
};

use crate::{NodeId, Nodes};

/// The locks of all nodes.
pub(crate) struct NodeLocks<N> {
    nodes: Arc<N>,
    locks: Vec<Arc<Mutex<UndoState>>>,
}

/// What was done to one node's processes.
#[derive(Debug, Default)]
pub(crate) struct UndoState {
    /// A pause is in force: only its undo may resume the process.
    pub(crate) paused: bool,
    /// What acts save for their undo, by its type.
    saved: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl UndoState {
    /// What acts save for their undo; its default value at first.
    pub(crate) fn saved<T: Default + Send + Sync + 'static>(&mut self) -> &mut T {
        let saved = self.saved.entry(TypeId::of::<T>()).or_insert_with(|| Box::new(T::default()));
        saved.downcast_mut().expect("it is saved under its type")
    }
}

/// A node with its lock held by one act.
pub(crate) struct LockedNode<N> {
    pub(crate) id: NodeId,
    pub(crate) nodes: Arc<N>,
    pub(crate) undo_state: OwnedMutexGuard<UndoState>,
    /// The lock that is held.
    pub(crate) lock: Arc<Mutex<UndoState>>,
}

impl<N: Nodes> NodeLocks<N> {
    pub(crate) fn new(nodes: Arc<N>) -> NodeLocks<N> {
        let locks = (0..nodes.count()).map(|_| Arc::default()).collect();
        NodeLocks { nodes, locks }
    }

    /// Waits until no other act has the lock of the node.
    pub(crate) async fn lock(&self, node: NodeId) -> LockedNode<N> {
        let lock = self.locks[node.0].clone();
        LockedNode { id: node, nodes: self.nodes.clone(), undo_state: lock.clone().lock_owned().await, lock }
    }
}

impl<N: Nodes> LockedNode<N> {
    /// Runs blocking work on the node's processes, if it is up, on a thread for such work.
    pub(crate) async fn blocking<T: Default + Send + 'static>(
        &self,
        work: impl FnOnce(Vec<i32>) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        if self.nodes.pid(self.id).is_none() {
            return Ok(T::default());
        }
        let (nodes, node) = (self.nodes.clone(), self.id);
        spawn_blocking(move || work(nodes.processes(node))).await.map_err(|error| error.to_string())?
    }

    /// Runs blocking work on the node's processes later, when no act has the lock.
    pub(crate) fn later(&self, after: Duration, work: impl FnOnce(Vec<i32>) + Send + 'static) {
        let (nodes, node, lock) = (self.nodes.clone(), self.id, self.lock.clone());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let _held = lock.lock_owned().await;
            let _ = spawn_blocking(move || work(nodes.processes(node))).await;
        });
    }
}
