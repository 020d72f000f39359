//! The disks of all nodes: their kind, their mounts, and how they are removed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use tribunal_nemesis::disks::{DataFiles, Disk, DiskBackend, Durability, Ext4, Lossy};
use tribunal_nemesis::{Act, Damage, DiskCounters, DiskFault, NodeId};
use tribunal_records::DiskKind;
use tribunal_records::features::left_out;
use tribunal_systems::Place;

use super::guard::{Guard, GuardedResource};
use crate::lock::locked;

/// The requested disks.
#[derive(Debug)]
pub(crate) struct DiskRequest {
    /// The kind, if one was requested.
    pub(crate) kind: Option<DiskKind>,
    /// Whether a fault of this run needs more than a plain disk.
    pub(crate) needed: bool,
    /// Capacity of each disk.
    pub(crate) bytes: usize,
}

/// Whether this machine has FUSE, which a disk of the kind `fuse` needs. (Mounting may still be forbidden.)
///
/// # Errors
/// What is missing.
pub(crate) fn fuse_available() -> Result<(), String> {
    if !cfg!(feature = "fuse") {
        return Err(left_out("fuse"));
    }
    let device = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse");
    device.map(drop).map_err(|error| format!("a fuse disk needs /dev/fuse: {error}"))
}

/// One disk per node.
pub(crate) struct Disks {
    each: Vec<Arc<Disk>>,
    faulty: Mutex<BTreeSet<NodeId>>,
    damaged: Mutex<BTreeSet<NodeId>>,
}

impl Disks {
    /// Creates and mounts the disks. Each mount is registered with the guard before it is made.
    ///
    /// # Errors
    /// When this machine does not provide the requested kind, or the kind that a fault needs.
    pub(crate) fn lay_out<'a>(
        request: &DiskRequest,
        places: impl Iterator<Item = &'a Place>,
        which: &DataFiles,
        store: &Path,
        guard: &Guard,
    ) -> Result<Self> {
        let kind = request.kind.unwrap_or(if request.needed { DiskKind::Fuse } else { DiskKind::Plain });
        let why = if request.kind.is_some() { "--disk" } else { "a requested fault needs --disk fuse" };
        let each = Self::make(kind, request.bytes, places, which, store, guard).context(why)?;
        Ok(Disks { each, faulty: Mutex::default(), damaged: Mutex::default() })
    }

    fn make<'a>(
        kind: DiskKind,
        bytes: usize,
        places: impl Iterator<Item = &'a Place>,
        which: &DataFiles,
        store: &Path,
        guard: &Guard,
    ) -> Result<Vec<Arc<Disk>>> {
        let mut each = Vec::new();
        for place in places {
            let (data, name) = (&*place.data, &place.name);
            let make = match kind {
                DiskKind::Plain => DiskBackend::Plain,
                DiskKind::Fuse => DiskBackend::Lossy(Lossy::new(data, Durability::Ext4, bytes as u64)),
                DiskKind::FuseStrict => DiskBackend::Lossy(Lossy::new(data, Durability::Posix, bytes as u64)),
                DiskKind::Ext4 => {
                    let images = store.join("disks");
                    std::fs::create_dir_all(&images)
                        .with_context(|| format!("cannot create {}", images.display()))?;
                    let image = images.join(format!("{name}.img"));
                    DiskBackend::Ext4(Ext4::create(&image, data).context("cannot make an ext4")?)
                }
            };
            let disk = Disk::new(make, data, &store.join("backup").join(name), which.clone());
            if let Some(at) = disk.mount_point() {
                guard.add(&GuardedResource::Mount(at.to_owned()));
            }
            disk.mount().with_context(|| format!("cannot mount a disk for {name}"))?;
            each.push(Arc::new(disk));
        }
        Ok(each)
    }

    /// Whether an act is possible.
    pub(crate) fn allows(&self, act: Act) -> Result<(), String> {
        let Some(node) = act.disk() else { return Ok(()) };
        if act.damages().is_some() {
            let damaged = locked(&self.damaged);
            if !damaged.contains(&node) && damaged.len() >= (self.each.len() - 1) / 2 {
                let names: Vec<_> = damaged.iter().map(ToString::to_string).collect();
                return Err(format!(
                    "{} damaged already: one more would be no minority",
                    names.join(" and ")
                ));
            }
        }
        self.each[node.0].allows(act)
    }

    /// Unmounts all disks.
    ///
    /// # Errors
    /// When one cannot be unmounted.
    pub(crate) async fn unmount(&self, guard: &Guard) -> Result<()> {
        for (node, disk) in self.each.iter().enumerate() {
            let unmounting = disk.clone();
            let unmounted = tokio::task::spawn_blocking(move || unmounting.unmount()).await;
            unmounted?.with_context(|| format!("cannot unmount the disk of {}", NodeId(node)))?;
            if let Some(at) = disk.mount_point() {
                guard.remove(&GuardedResource::Mount(at.to_owned()));
            }
        }
        Ok(())
    }

    pub(crate) async fn cut_power(&self, node: NodeId) -> Result<(), String> {
        self.with(node, |disk| disk.cut_power()).await
    }

    pub(crate) async fn restore_power(&self, node: NodeId, seed: u64) -> Result<(), String> {
        self.with(node, move |disk| disk.restore_power(seed)).await
    }

    pub(crate) async fn set_fault(&self, node: NodeId, fault: Option<DiskFault>) -> Result<(), String> {
        self.note_fault(node, fault.is_some());
        self.with(node, move |disk| disk.set_fault(fault)).await
    }

    fn note_fault(&self, node: NodeId, faulty: bool) {
        let mut all = locked(&self.faulty);
        match faulty {
            true => all.insert(node),
            false => all.remove(&node),
        };
    }

    pub(crate) fn is_faulty(&self, node: NodeId) -> bool {
        locked(&self.faulty).contains(&node)
    }

    pub(crate) async fn backup(&self, node: NodeId) -> Result<(), String> {
        self.with(node, |disk| disk.backup()).await
    }

    pub(crate) async fn damage(&self, node: NodeId, damage: Damage, seed: u64) -> Result<String, String> {
        locked(&self.damaged).insert(node);
        let touched = self.with(node, move |disk| disk.damage(damage, seed)).await?;
        Ok(format!("{node}: {touched}"))
    }

    pub(crate) fn is_damaged(&self, node: NodeId) -> bool {
        locked(&self.damaged).contains(&node)
    }

    pub(crate) fn counters(&self, node: NodeId) -> DiskCounters {
        self.each[node.0].counters()
    }

    /// Runs a disk operation on a thread where it may block.
    async fn with<T: Send + 'static>(
        &self,
        node: NodeId,
        what: impl FnOnce(&Disk) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let disk = self.each[node.0].clone();
        let done = tokio::task::spawn_blocking(move || what(&disk)).await;
        done.map_err(|error| error.to_string())?.map_err(|error| format!("the disk of {node}: {error}"))
    }
}
