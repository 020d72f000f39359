//! Access to the processes of the nodes: one act at a time on a node, with the state that its undo needs.
//!
//! There is one lock per node. Otherwise acts that stop a process for a moment, stutter it or pause it would
//! undo each other.

pub(crate) mod cgroup;
pub(crate) mod family;
pub(crate) mod holders;
pub(crate) mod listeners;
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
pub(crate) struct Processes<N> {
    nodes: Arc<N>,
    each: Vec<Arc<Mutex<Marks>>>,
}

/// What was done to one node's processes.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// A pause is in force: only its undo may resume the process.
    pub(crate) paused: bool,
    /// What acts save for their undo, by its type.
    kept: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl Marks {
    /// What acts save for their undo; its default value at first.
    pub(crate) fn kept<T: Default + Send + Sync + 'static>(&mut self) -> &mut T {
        let kept = self.kept.entry(TypeId::of::<T>()).or_insert_with(|| Box::new(T::default()));
        kept.downcast_mut().expect("it is kept under its type")
    }
}

/// A node with its lock held by one act.
pub(crate) struct Held<N> {
    pub(crate) id: NodeId,
    pub(crate) nodes: Arc<N>,
    pub(crate) marks: OwnedMutexGuard<Marks>,
    /// The lock that is held.
    pub(crate) lock: Arc<Mutex<Marks>>,
}

impl<N: Nodes> Processes<N> {
    pub(crate) fn new(nodes: Arc<N>) -> Processes<N> {
        let each = (0..nodes.count()).map(|_| Arc::default()).collect();
        Processes { nodes, each }
    }

    /// Waits until no other act has the lock of the node.
    pub(crate) async fn hold(&self, node: NodeId) -> Held<N> {
        let lock = self.each[node.0].clone();
        Held { id: node, nodes: self.nodes.clone(), marks: lock.clone().lock_owned().await, lock }
    }
}

impl<N: Nodes> Held<N> {
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
