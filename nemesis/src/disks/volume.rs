//! A file system that knows what a power failure would leave of it. Pure: no clock, no kernel, no files.
//!
//! Everything exists twice: as it is *now*, which programs see, and as it is *stored*, which a power failure
//! leaves. The difference is the ordered list of unsynced changes:
//!
//! ```text
//!   a file           stored bytes    + [write, write, set-len, ...]    = bytes now     applied by its fsync
//!   all directories  stored entries  + [create, rename, unlink, ...]   = entries now   see Durability
//! ```
//!
//! A [power failure](Volume::lose_unsynced) keeps a prefix of each list, drawn from a seed: often an empty
//! one. Of the first write that is lost, the first sectors may survive.
//!
//! Differences to real disks. Real disks reorder writes, so that a later write survives without an earlier
//! one. Real kernels write back old changes after some seconds; here an unsynced change may be lost however
//! old it is, up to [`UNSYNCED_MAX`]. Owners, permissions and times are never lost here.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use chacha20::ChaCha8Rng;
use nix::errno::Errno;
use rand::RngExt;

use super::content::{Content, FileChange, PAGE};

/// Number of an inode.
pub(super) type Ino = u64;

/// The root directory.
pub(super) const ROOT: Ino = 1;

/// Maximum number of unsynced bytes of a file. Beyond it the oldest are stored, as by a kernel short of
/// memory.
pub(super) const UNSYNCED_MAX: u64 = 64 << 20;

/// What an fsync makes durable besides the file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As ext4 in its default mode. There is one journal, so a sync that writes to it stores all creations,
    /// renames and removals so far. Such syncs are: of a directory, of a new or extended file, and any fsync.
    Ext4,
    /// Only what POSIX requires: syncing a file does not store its entry; syncing a directory stores the
    /// entries of that directory only.
    Posix,
}

/// What a power failure destroyed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// Bytes of unsynced writes.
    pub bytes: u64,
    /// Unsynced creations, renames and removals.
    pub entries: u64,
}

/// Type of an inode, for creating it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum InodeKind {
    /// An empty file.
    File,
    /// An empty directory.
    Directory,
    /// A symbolic link to this path.
    Symlink(OsString),
}

#[derive(Debug, Default)]
struct File {
    now: Content,
    stored: Content,
    unsynced: Vec<FileChange>,
    unsynced_bytes: u64,
    /// New or extended since its last sync, so a sync has to write to the journal.
    grew: bool,
}

#[derive(Debug, Default)]
struct Directory {
    now: BTreeMap<OsString, Ino>,
    stored: BTreeMap<OsString, Ino>,
}

#[derive(Debug)]
enum InodeData {
    File(File),
    Directory(Directory),
    Symlink(OsString),
}

#[derive(Debug)]
struct Inode<A> {
    attributes: A,
    data: InodeData,
    /// Number of entries that name it now.
    links: u32,
    /// Number of references that the kernel holds.
    held: u64,
}

/// One directory entry, set or removed.
#[derive(Debug, Clone)]
struct EntryChange {
    directory: Ino,
    name: OsString,
    to: Option<Ino>,
}

/// A file system. `A` is what it keeps of each inode for its user: owner, permissions, times.
#[derive(Debug)]
pub(super) struct Volume<A> {
    durability: Durability,
    inodes: BTreeMap<Ino, Inode<A>>,
    next: Ino,
    /// Unsynced changes of directories, oldest first. The changes of one operation survive together or not at
    /// all.
    unsynced: Vec<Vec<EntryChange>>,
    /// Capacity in pages, and number of used pages.
    pages_max: u64,
    pages: u64,
}

impl<A> Volume<A> {
    /// An empty file system with this capacity in bytes.
    pub(super) fn new(durability: Durability, bytes_max: u64, root: A) -> Self {
        let root =
            Inode { attributes: root, data: InodeData::Directory(Directory::default()), links: 2, held: 1 };
        let inodes = BTreeMap::from([(ROOT, root)]);
        Volume {
            durability,
            inodes,
            next: ROOT + 1,
            unsynced: Vec::new(),
            pages_max: bytes_max / PAGE,
            pages: 0,
        }
    }

    fn inode(&self, ino: Ino) -> Result<&Inode<A>, Errno> {
        self.inodes.get(&ino).ok_or(Errno::ESTALE)
    }

    fn inode_mut(&mut self, ino: Ino) -> Result<&mut Inode<A>, Errno> {
        self.inodes.get_mut(&ino).ok_or(Errno::ESTALE)
    }

    fn file(&mut self, ino: Ino) -> Result<&mut File, Errno> {
        match &mut self.inode_mut(ino)?.data {
            InodeData::File(file) => Ok(file),
            _ => Err(Errno::EISDIR),
        }
    }

    fn directory(&self, ino: Ino) -> Result<&Directory, Errno> {
        match &self.inode(ino)?.data {
            InodeData::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// The attributes of an inode.
    pub(super) fn attributes(&mut self, ino: Ino) -> Result<&mut A, Errno> {
        Ok(&mut self.inode_mut(ino)?.attributes)
    }

    /// Type of an inode, length in bytes, number of pages, and number of entries that name it.
    pub(super) fn stat(&self, ino: Ino) -> Result<(InodeKind, u64, u64, u32), Errno> {
        let inode = self.inode(ino)?;
        Ok(match &inode.data {
            InodeData::File(file) => (InodeKind::File, file.now.len(), file.now.pages(), inode.links),
            InodeData::Directory(_) => (InodeKind::Directory, PAGE, 1, inode.links),
            InodeData::Symlink(to) => (InodeKind::Symlink(to.clone()), to.len() as u64, 0, inode.links),
        })
    }

    /// Used pages, and all pages.
    pub(super) fn room(&self) -> (u64, u64) {
        (self.pages, self.pages_max)
    }

    /// All inodes.
    pub(super) fn inodes(&self) -> impl Iterator<Item = Ino> {
        self.inodes.keys().copied()
    }

    /// Looks up a name in a directory.
    pub(super) fn lookup(&self, directory: Ino, name: &OsStr) -> Result<Ino, Errno> {
        self.directory(directory)?.now.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// Entries of a directory.
    pub(super) fn entries(&self, directory: Ino) -> Result<impl Iterator<Item = (&OsString, Ino)>, Errno> {
        Ok(self.directory(directory)?.now.iter().map(|(name, ino)| (name, *ino)))
    }

    /// Counts one more reference of the kernel.
    pub(super) fn hold(&mut self, ino: Ino) {
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.held += 1;
        }
    }

    /// Counts `times` fewer references of the kernel.
    pub(super) fn release(&mut self, ino: Ino, times: u64) {
        let Some(inode) = self.inodes.get_mut(&ino) else { return };
        inode.held = inode.held.saturating_sub(times);
        if inode.held == 0 && inode.links == 0 {
            self.remove_unreferenced();
        }
    }

    /// Creates an inode and its entry.
    pub(super) fn create(
        &mut self,
        directory: Ino,
        name: &OsStr,
        kind: InodeKind,
        attributes: A,
    ) -> Result<Ino, Errno> {
        if self.directory(directory)?.now.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        if self.inode(directory)?.links == 0 {
            return Err(Errno::ENOENT);
        }
        let data = match kind {
            InodeKind::File => InodeData::File(File { grew: true, ..File::default() }),
            InodeKind::Directory => InodeData::Directory(Directory::default()),
            InodeKind::Symlink(to) => InodeData::Symlink(to),
        };
        let ino = self.next;
        self.next += 1;
        // The `.` of a directory is an entry, too.
        let links = u32::from(matches!(data, InodeData::Directory(_)));
        self.inodes.insert(ino, Inode { attributes, data, links, held: 0 });
        self.change_entries(vec![EntryChange { directory, name: name.into(), to: Some(ino) }]);
        Ok(ino)
    }

    /// Adds another name of a file.
    pub(super) fn link(&mut self, ino: Ino, directory: Ino, name: &OsStr) -> Result<(), Errno> {
        if self.directory(directory)?.now.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        if matches!(self.inode(ino)?.data, InodeData::Directory(_)) {
            return Err(Errno::EPERM);
        }
        self.change_entries(vec![EntryChange { directory, name: name.into(), to: Some(ino) }]);
        Ok(())
    }

    /// Removes the entry of a file or symbolic link.
    pub(super) fn unlink(&mut self, directory: Ino, name: &OsStr) -> Result<(), Errno> {
        let ino = self.lookup(directory, name)?;
        if matches!(self.inode(ino)?.data, InodeData::Directory(_)) {
            return Err(Errno::EISDIR);
        }
        self.change_entries(vec![EntryChange { directory, name: name.into(), to: None }]);
        Ok(())
    }

    /// Removes an empty directory.
    pub(super) fn rmdir(&mut self, directory: Ino, name: &OsStr) -> Result<(), Errno> {
        let ino = self.lookup(directory, name)?;
        if !self.directory(ino)?.now.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.change_entries(vec![EntryChange { directory, name: name.into(), to: None }]);
        Ok(())
    }

    /// Moves an entry; with `replace`, over an existing entry.
    pub(super) fn rename(
        &mut self,
        from: (Ino, &OsStr),
        to: (Ino, &OsStr),
        replace: bool,
    ) -> Result<(), Errno> {
        let ino = self.lookup(from.0, from.1)?;
        let moves_directory = matches!(self.inode(ino)?.data, InodeData::Directory(_));
        if let Some(&old) = self.directory(to.0)?.now.get(to.1) {
            if !replace {
                return Err(Errno::EEXIST);
            }
            if old == ino {
                return Ok(());
            }
            match (&self.inode(old)?.data, moves_directory) {
                (InodeData::Directory(old), true) if !old.now.is_empty() => return Err(Errno::ENOTEMPTY),
                (InodeData::Directory(_), false) => return Err(Errno::EISDIR),
                (InodeData::File(_) | InodeData::Symlink(_), true) => return Err(Errno::ENOTDIR),
                _ => {}
            }
        }
        self.change_entries(vec![
            EntryChange { directory: from.0, name: from.1.into(), to: None },
            EntryChange { directory: to.0, name: to.1.into(), to: Some(ino) },
        ]);
        Ok(())
    }

    /// Applies changes of entries that are stored together.
    fn change_entries(&mut self, changes: Vec<EntryChange>) {
        let mut gone = false;
        for change in &changes {
            if let Some(old) = self.set_entry(change, |directory| &mut directory.now) {
                gone |= self.count_link(old, change.directory, false) == 0;
            }
            if let Some(new) = change.to {
                self.count_link(new, change.directory, true);
            }
        }
        self.unsynced.push(changes);
        if gone {
            self.remove_unreferenced();
        }
    }

    /// Sets or removes an entry, now or stored; returns the old one.
    fn set_entry(
        &mut self,
        change: &EntryChange,
        which: fn(&mut Directory) -> &mut BTreeMap<OsString, Ino>,
    ) -> Option<Ino> {
        let Some(InodeData::Directory(directory)) =
            self.inodes.get_mut(&change.directory).map(|inode| &mut inode.data)
        else {
            return None;
        };
        match change.to {
            Some(ino) => which(directory).insert(change.name.clone(), ino),
            None => which(directory).remove(&change.name),
        }
    }

    /// Counts an entry that was added or removed, and returns how many are left. A directory also has its own
    /// `.`, and counts as `..` in its parent.
    fn count_link(&mut self, ino: Ino, above: Ino, came: bool) -> u32 {
        let count = |links: u32| if came { links + 1 } else { links.saturating_sub(1) };
        let Some(inode) = self.inodes.get_mut(&ino) else { return 0 };
        if !matches!(inode.data, InodeData::Directory(_)) {
            inode.links = count(inode.links);
            return inode.links;
        }
        inode.links = count(inode.links.max(1));
        if inode.links == 1 {
            inode.links = 0;
        }
        let left = inode.links;
        if let Some(above) = self.inodes.get_mut(&above) {
            above.links = count(above.links);
        }
        left
    }

    /// Reads up to `size` bytes of a file.
    pub(super) fn read(&mut self, ino: Ino, at: u64, size: u64) -> Result<Vec<u8>, Errno> {
        Ok(self.file(ino)?.now.read(at, size))
    }

    /// Changes the bytes of a file. If the disk is `full`, the file cannot get more pages.
    pub(super) fn change(&mut self, ino: Ino, change: FileChange, full: bool) -> Result<(), Errno> {
        let free = if full { 0 } else { self.pages_max.saturating_sub(self.pages) };
        let file = self.file(ino)?;
        if file.now.grows(&change) > free {
            return Err(Errno::ENOSPC);
        }
        let (pages, length) = (file.now.pages(), file.now.len());
        file.now.apply(&change);
        file.grew |= file.now.pages() != pages || file.now.len() != length;
        let pages = file.now.pages() as i64 - pages as i64;
        file.unsynced_bytes += change.weight();
        file.unsynced.push(change);
        file.write_back();
        self.pages = self.pages.saturating_add_signed(pages);
        Ok(())
    }

    /// Stores a file: fsync, or fdatasync with `data_only`.
    pub(super) fn sync_file(&mut self, ino: Ino, data_only: bool) -> Result<(), Errno> {
        let file = self.file(ino)?;
        file.store();
        let journal = std::mem::take(&mut file.grew) || !data_only;
        if journal && self.durability == Durability::Ext4 {
            self.store_entries(None);
        }
        Ok(())
    }

    /// Fails the sync of a file. As in Linux, the unsynced changes then count as written: programs still see
    /// them, no later sync stores them, and a power failure loses them. (Rebello et al., "Can Applications
    /// Recover from fsync Failures?", USENIX ATC 2020.)
    pub(super) fn fail_sync(&mut self, ino: Ino) -> Result<(), Errno> {
        let file = self.file(ino)?;
        file.unsynced.clear();
        file.unsynced_bytes = 0;
        Ok(())
    }

    /// Stores the entries of a directory: its fsync.
    pub(super) fn sync_directory(&mut self, ino: Ino) -> Result<(), Errno> {
        self.directory(ino)?;
        match self.durability {
            Durability::Ext4 => self.store_entries(None),
            Durability::Posix => self.store_entries(Some(ino)),
        }
        Ok(())
    }

    /// Stores all unsynced changes of entries, or those of one directory and all that they depend on.
    fn store_entries(&mut self, of: Option<Ino>) {
        let unsynced = std::mem::take(&mut self.unsynced);
        let mut directories = BTreeSet::from_iter(of);
        let mut to_store: Vec<bool> = unsynced.iter().map(|_| of.is_none()).collect();
        for (to_store, changes) in to_store.iter_mut().zip(&unsynced).rev() {
            // A move between two directories also stores the earlier changes of the other directory.
            if changes.iter().any(|change| directories.contains(&change.directory)) {
                directories.extend(changes.iter().map(|change| change.directory));
                *to_store = true;
            }
        }
        let mut removed = false;
        for (to_store, changes) in to_store.into_iter().zip(unsynced) {
            if to_store {
                for change in &changes {
                    removed |= self.set_entry(change, |directory| &mut directory.stored).is_some();
                }
            } else {
                self.unsynced.push(changes);
            }
        }
        if removed {
            self.remove_unreferenced();
        }
    }

    /// The power fails: only the stored state is left, and of the unsynced changes what `rng` lets survive.
    pub(super) fn lose_unsynced(&mut self, rng: &mut ChaCha8Rng) -> Lost {
        let mut lost = Lost::default();
        let keep = survivors(self.unsynced.len(), rng);
        for changes in std::mem::take(&mut self.unsynced).into_iter().enumerate() {
            match changes {
                (at, changes) if at < keep => changes.iter().for_each(|change| {
                    self.set_entry(change, |directory| &mut directory.stored);
                }),
                _ => lost.entries += 1,
            }
        }
        for inode in self.inodes.values_mut() {
            (inode.held, inode.links) = (0, 0);
            match &mut inode.data {
                InodeData::File(file) => lost.bytes += file.lose_unsynced(rng),
                InodeData::Directory(directory) => directory.now = directory.stored.clone(),
                InodeData::Symlink(_) => {}
            }
        }
        if let Some(root) = self.inodes.get_mut(&ROOT) {
            (root.held, root.links) = (1, 2);
        }
        self.count_links();
        self.remove_unreferenced();
        lost
    }

    fn count_links(&mut self) {
        let mut entries = Vec::new();
        for (&above, inode) in &mut self.inodes {
            if let InodeData::Directory(directory) = &inode.data {
                entries.extend(directory.now.values().map(|&ino| (ino, above)));
                inode.links = inode.links.max(1);
            }
        }
        for (ino, above) in entries {
            self.count_link(ino, above, true);
        }
    }

    /// Removes inodes without references: from entries now, stored or unsynced, or from the kernel.
    fn remove_unreferenced(&mut self) {
        let mut reached = BTreeSet::new();
        let changes = self.unsynced.iter().flatten();
        let mut open: Vec<Ino> =
            changes.flat_map(|change| change.to.into_iter().chain([change.directory])).collect();
        open.extend(self.inodes.iter().filter(|(_, inode)| inode.held > 0).map(|(ino, _)| *ino));
        open.push(ROOT);
        while let Some(ino) = open.pop() {
            if reached.insert(ino)
                && let Some(InodeData::Directory(directory)) = self.inodes.get(&ino).map(|inode| &inode.data)
            {
                open.extend(directory.now.values().chain(directory.stored.values()));
            }
        }
        self.inodes.retain(|ino, _| reached.contains(ino));
        self.pages = self
            .inodes
            .values()
            .map(|inode| if let InodeData::File(file) = &inode.data { file.now.pages() } else { 0 })
            .sum();
    }
}

impl File {
    fn store(&mut self) {
        for change in self.unsynced.drain(..) {
            self.stored.apply(&change);
        }
        self.unsynced_bytes = 0;
    }

    /// Stores the oldest changes if there are too many.
    fn write_back(&mut self) {
        if self.unsynced_bytes <= UNSYNCED_MAX {
            return;
        }
        let half = self.unsynced.len() / 2;
        for change in self.unsynced.drain(..half.max(1)) {
            self.unsynced_bytes -= change.weight();
            self.stored.apply(&change);
        }
    }

    /// Returns the number of lost bytes.
    fn lose_unsynced(&mut self, rng: &mut ChaCha8Rng) -> u64 {
        let keep = survivors(self.unsynced.len(), rng);
        let torn = self.unsynced.get(keep).filter(|_| keep > 0 || rng.random());
        let torn = torn.and_then(|change| change.torn(rng.random_range(0..=change.sectors())));
        let all = std::mem::take(&mut self.unsynced_bytes);
        let mut kept = 0;
        for change in self.unsynced.drain(..).take(keep).chain(torn) {
            kept += change.weight();
            self.stored.apply(&change);
        }
        self.grew = false;
        self.now = self.stored.clone();
        all - kept
    }
}

/// How many of the changes survive a power failure: none in half of the cases.
fn survivors(of: usize, rng: &mut ChaCha8Rng) -> usize {
    if of == 0 || rng.random() { 0 } else { rng.random_range(0..=of) }
}

#[cfg(test)]
mod tests;
