//! A file system that knows what would be left of it after a power failure. Pure: no clock, no kernel, no files.
//!
//! Everything is kept twice: as it is *now*, which programs see, and as it is *stored*, which a power failure leaves.
//! Between the two lies what is not synced yet, in order:
//!
//! ```text
//!   a file           stored bytes    + [write, write, set-len, ...]    = bytes now       fsync of the file applies them
//!   all directories  stored entries  + [create, rename, unlink, ...]   = entries now     see Promise
//! ```
//!
//! A [power failure](Volume::cut) keeps of each list a prefix, drawn from a seed: often nothing, and of the write at which
//! it breaks off only the first sectors. What a rename or a truncation and its undoing look like then, follows.
//!
//! What real disks do and this one does not: write out of order (no barrier, no order), so that a later write survives
//! without an earlier one; write back what was never synced after some seconds, so that old changes survive (here what is
//! not synced is at stake however old it is, up to [`UNSYNCED_MAX`]). Owners, permissions and times are never lost.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use nix::errno::Errno;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::content::{Change, Content, PAGE};

/// The number of an inode.
pub(super) type Ino = u64;

/// The root directory.
pub(super) const ROOT: Ino = 1;

/// Unsynced bytes of a file beyond which the oldest are stored, in bytes: as a kernel that needs its memory does.
pub(super) const UNSYNCED_MAX: u64 = 64 << 20;

/// What an fsync makes durable besides the file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// As ext4 in its usual mode: there is one journal, so syncing anything that changed the journal (a directory, a new
    /// or grown file, any file by fsync) stores all creations, renames and removals so far.
    Ext4,
    /// No more than POSIX: syncing a file does not store its entry; syncing a directory stores the entries of that one.
    Posix,
}

/// What a power failure took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// Bytes of unsynced writes.
    pub bytes: u64,
    /// Unsynced creations, renames and removals.
    pub entries: u64,
}

/// What a new inode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file without bytes.
    File,
    /// An empty directory.
    Directory,
    /// A symbolic link to there.
    Symlink(OsString),
}

#[derive(Debug, Default)]
struct File {
    now: Content,
    stored: Content,
    unsynced: Vec<Change>,
    unsynced_bytes: u64,
    /// New or longer since its last sync: so is the journal of an ext4.
    grew: bool,
}

#[derive(Debug, Default)]
struct Directory {
    now: BTreeMap<OsString, Ino>,
    stored: BTreeMap<OsString, Ino>,
}

#[derive(Debug)]
enum Node {
    File(File),
    Directory(Directory),
    Symlink(OsString),
}

#[derive(Debug)]
struct Inode<A> {
    attributes: A,
    node: Node,
    /// Entries that name it now.
    links: u32,
    /// How often the kernel holds it, named or not.
    held: u64,
}

/// One directory entry, set or removed.
#[derive(Debug, Clone)]
struct Edit {
    directory: Ino,
    name: OsString,
    to: Option<Ino>,
}

/// A file system. `A` is what it keeps of each inode for others: owner, permissions, times.
#[derive(Debug)]
pub(super) struct Volume<A> {
    promise: Promise,
    inodes: BTreeMap<Ino, Inode<A>>,
    next: Ino,
    /// What is not stored of the directories, oldest first. The edits of one operation survive together or not at all.
    unsynced: Vec<Vec<Edit>>,
    /// Room in pages, and how many are taken.
    pages_max: u64,
    pages: u64,
}

impl<A> Volume<A> {
    /// An empty one with room for so many bytes.
    pub(super) fn new(promise: Promise, bytes_max: u64, root: A) -> Self {
        let root = Inode { attributes: root, node: Node::Directory(Directory::default()), links: 2, held: 1 };
        let inodes = BTreeMap::from([(ROOT, root)]);
        Volume {
            promise,
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
        match &mut self.inode_mut(ino)?.node {
            Node::File(file) => Ok(file),
            _ => Err(Errno::EISDIR),
        }
    }

    fn directory(&self, ino: Ino) -> Result<&Directory, Errno> {
        match &self.inode(ino)?.node {
            Node::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// What was stored with an inode.
    pub(super) fn attributes(&mut self, ino: Ino) -> Result<&mut A, Errno> {
        Ok(&mut self.inode_mut(ino)?.attributes)
    }

    /// What an inode is, its length in bytes, its pages, and how many entries name it.
    pub(super) fn look(&self, ino: Ino) -> Result<(Kind, u64, u64, u32), Errno> {
        let inode = self.inode(ino)?;
        Ok(match &inode.node {
            Node::File(file) => (Kind::File, file.now.len(), file.now.pages(), inode.links),
            Node::Directory(_) => (Kind::Directory, PAGE, 1, inode.links),
            Node::Symlink(to) => (Kind::Symlink(to.clone()), to.len() as u64, 0, inode.links),
        })
    }

    /// Pages taken, and pages in all.
    pub(super) fn room(&self) -> (u64, u64) {
        (self.pages, self.pages_max)
    }

    /// All inodes.
    pub(super) fn inodes(&self) -> impl Iterator<Item = Ino> {
        self.inodes.keys().copied()
    }

    /// The inode of that name.
    pub(super) fn lookup(&self, directory: Ino, name: &OsStr) -> Result<Ino, Errno> {
        self.directory(directory)?.now.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// The entries of a directory.
    pub(super) fn entries(&self, directory: Ino) -> Result<impl Iterator<Item = (&OsString, Ino)>, Errno> {
        Ok(self.directory(directory)?.now.iter().map(|(name, ino)| (name, *ino)))
    }

    /// The kernel holds an inode once more.
    pub(super) fn hold(&mut self, ino: Ino) {
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.held += 1;
        }
    }

    /// The kernel holds an inode so many times less.
    pub(super) fn release(&mut self, ino: Ino, times: u64) {
        let Some(inode) = self.inodes.get_mut(&ino) else { return };
        inode.held = inode.held.saturating_sub(times);
        if inode.held == 0 && inode.links == 0 {
            self.sweep();
        }
    }

    /// Makes an inode and its entry.
    pub(super) fn create(
        &mut self,
        directory: Ino,
        name: &OsStr,
        kind: Kind,
        attributes: A,
    ) -> Result<Ino, Errno> {
        if self.directory(directory)?.now.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        if self.inode(directory)?.links == 0 {
            return Err(Errno::ENOENT);
        }
        let node = match kind {
            Kind::File => Node::File(File { grew: true, ..File::default() }),
            Kind::Directory => Node::Directory(Directory::default()),
            Kind::Symlink(to) => Node::Symlink(to),
        };
        let ino = self.next;
        self.next += 1;
        // `.` in a directory is an entry too.
        let links = u32::from(matches!(node, Node::Directory(_)));
        self.inodes.insert(ino, Inode { attributes, node, links, held: 0 });
        self.edit(vec![Edit { directory, name: name.into(), to: Some(ino) }]);
        Ok(ino)
    }

    /// Gives a file a further name.
    pub(super) fn link(&mut self, ino: Ino, directory: Ino, name: &OsStr) -> Result<(), Errno> {
        if self.directory(directory)?.now.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        if matches!(self.inode(ino)?.node, Node::Directory(_)) {
            return Err(Errno::EPERM);
        }
        self.edit(vec![Edit { directory, name: name.into(), to: Some(ino) }]);
        Ok(())
    }

    /// Removes the entry of a file or link.
    pub(super) fn unlink(&mut self, directory: Ino, name: &OsStr) -> Result<(), Errno> {
        let ino = self.lookup(directory, name)?;
        if matches!(self.inode(ino)?.node, Node::Directory(_)) {
            return Err(Errno::EISDIR);
        }
        self.edit(vec![Edit { directory, name: name.into(), to: None }]);
        Ok(())
    }

    /// Removes an empty directory.
    pub(super) fn rmdir(&mut self, directory: Ino, name: &OsStr) -> Result<(), Errno> {
        let ino = self.lookup(directory, name)?;
        if !self.directory(ino)?.now.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.edit(vec![Edit { directory, name: name.into(), to: None }]);
        Ok(())
    }

    /// Moves an entry; with `replace`, over another one.
    pub(super) fn rename(
        &mut self,
        from: (Ino, &OsStr),
        to: (Ino, &OsStr),
        replace: bool,
    ) -> Result<(), Errno> {
        let ino = self.lookup(from.0, from.1)?;
        let moves_directory = matches!(self.inode(ino)?.node, Node::Directory(_));
        if let Some(&old) = self.directory(to.0)?.now.get(to.1) {
            if !replace {
                return Err(Errno::EEXIST);
            }
            if old == ino {
                return Ok(());
            }
            match (&self.inode(old)?.node, moves_directory) {
                (Node::Directory(old), true) if !old.now.is_empty() => return Err(Errno::ENOTEMPTY),
                (Node::Directory(_), false) => return Err(Errno::EISDIR),
                (Node::File(_) | Node::Symlink(_), true) => return Err(Errno::ENOTDIR),
                _ => {}
            }
        }
        self.edit(vec![
            Edit { directory: from.0, name: from.1.into(), to: None },
            Edit { directory: to.0, name: to.1.into(), to: Some(ino) },
        ]);
        Ok(())
    }

    /// Makes edits, to be stored together.
    fn edit(&mut self, edits: Vec<Edit>) {
        let mut gone = false;
        for edit in &edits {
            if let Some(old) = self.set_entry(edit, |directory| &mut directory.now) {
                gone |= self.count_link(old, edit.directory, false) == 0;
            }
            if let Some(new) = edit.to {
                self.count_link(new, edit.directory, true);
            }
        }
        self.unsynced.push(edits);
        if gone {
            self.sweep();
        }
    }

    /// Sets an entry, now or stored; gives what was there.
    fn set_entry(
        &mut self,
        edit: &Edit,
        which: fn(&mut Directory) -> &mut BTreeMap<OsString, Ino>,
    ) -> Option<Ino> {
        let Some(Node::Directory(directory)) =
            self.inodes.get_mut(&edit.directory).map(|inode| &mut inode.node)
        else {
            return None;
        };
        match edit.to {
            Some(ino) => which(directory).insert(edit.name.clone(), ino),
            None => which(directory).remove(&edit.name),
        }
    }

    /// Counts an entry that came or went; gives how many are left. A directory has its own `.`, and counts as `..` in the
    /// one above.
    fn count_link(&mut self, ino: Ino, above: Ino, came: bool) -> u32 {
        let count = |links: u32| if came { links + 1 } else { links.saturating_sub(1) };
        let Some(inode) = self.inodes.get_mut(&ino) else { return 0 };
        if !matches!(inode.node, Node::Directory(_)) {
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

    /// Up to `size` bytes of a file.
    pub(super) fn read(&mut self, ino: Ino, at: u64, size: u64) -> Result<Vec<u8>, Errno> {
        Ok(self.file(ino)?.now.read(at, size))
    }

    /// Changes the bytes of a file. `full`: nothing may take up more room than it has.
    pub(super) fn change(&mut self, ino: Ino, change: Change, full: bool) -> Result<(), Errno> {
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
        if journal && self.promise == Promise::Ext4 {
            self.store_entries(None);
        }
        Ok(())
    }

    /// The sync of a file fails. As in Linux the unsynced changes are then taken for written: programs go on to see them,
    /// no later sync stores them, a power failure takes them. (Rebello et al., "Can Applications Recover from fsync
    /// Failures?", USENIX ATC 2020.)
    pub(super) fn fail_sync(&mut self, ino: Ino) -> Result<(), Errno> {
        let file = self.file(ino)?;
        file.unsynced.clear();
        file.unsynced_bytes = 0;
        Ok(())
    }

    /// Stores the entries of a directory: its fsync.
    pub(super) fn sync_directory(&mut self, ino: Ino) -> Result<(), Errno> {
        self.directory(ino)?;
        match self.promise {
            Promise::Ext4 => self.store_entries(None),
            Promise::Posix => self.store_entries(Some(ino)),
        }
        Ok(())
    }

    /// Stores all unsynced edits, or those of one directory with all they build on.
    fn store_entries(&mut self, of: Option<Ino>) {
        let unsynced = std::mem::take(&mut self.unsynced);
        let mut directories = BTreeSet::from_iter(of);
        let mut goes: Vec<bool> = unsynced.iter().map(|_| of.is_none()).collect();
        for (goes, edits) in goes.iter_mut().zip(&unsynced).rev() {
            // A move between directories takes along what came before in the other one.
            if edits.iter().any(|edit| directories.contains(&edit.directory)) {
                directories.extend(edits.iter().map(|edit| edit.directory));
                *goes = true;
            }
        }
        let mut removed = false;
        for (goes, edits) in goes.into_iter().zip(unsynced) {
            if goes {
                for edit in &edits {
                    removed |= self.set_entry(edit, |directory| &mut directory.stored).is_some();
                }
            } else {
                self.unsynced.push(edits);
            }
        }
        if removed {
            self.sweep();
        }
    }

    /// The power fails: what is stored, and what `dice` let through of what is not, is all that is left.
    pub(super) fn cut(&mut self, dice: &mut ChaCha8Rng) -> Lost {
        let mut lost = Lost::default();
        let keep = survivors(self.unsynced.len(), dice);
        for edits in std::mem::take(&mut self.unsynced).into_iter().enumerate() {
            match edits {
                (at, edits) if at < keep => edits.iter().for_each(|edit| {
                    self.set_entry(edit, |directory| &mut directory.stored);
                }),
                _ => lost.entries += 1,
            }
        }
        for inode in self.inodes.values_mut() {
            (inode.held, inode.links) = (0, 0);
            match &mut inode.node {
                Node::File(file) => lost.bytes += file.cut(dice),
                Node::Directory(directory) => directory.now = directory.stored.clone(),
                Node::Symlink(_) => {}
            }
        }
        if let Some(root) = self.inodes.get_mut(&ROOT) {
            (root.held, root.links) = (1, 2);
        }
        self.count_links();
        self.sweep();
        lost
    }

    fn count_links(&mut self) {
        let mut entries = Vec::new();
        for (&above, inode) in &mut self.inodes {
            if let Node::Directory(directory) = &inode.node {
                entries.extend(directory.now.values().map(|&ino| (ino, above)));
                inode.links = inode.links.max(1);
            }
        }
        for (ino, above) in entries {
            self.count_link(ino, above, true);
        }
    }

    /// Forgets what nothing leads to: no entry now, stored or on its way there, and not the kernel.
    fn sweep(&mut self) {
        let mut reached = BTreeSet::new();
        let edits = self.unsynced.iter().flatten();
        let mut open: Vec<Ino> = edits.flat_map(|edit| edit.to.into_iter().chain([edit.directory])).collect();
        open.extend(self.inodes.iter().filter(|(_, inode)| inode.held > 0).map(|(ino, _)| *ino));
        open.push(ROOT);
        while let Some(ino) = open.pop() {
            if reached.insert(ino)
                && let Some(Node::Directory(directory)) = self.inodes.get(&ino).map(|inode| &inode.node)
            {
                open.extend(directory.now.values().chain(directory.stored.values()));
            }
        }
        self.inodes.retain(|ino, _| reached.contains(ino));
        self.pages = self
            .inodes
            .values()
            .map(|inode| if let Node::File(file) = &inode.node { file.now.pages() } else { 0 })
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

    /// Gives how many bytes were lost.
    fn cut(&mut self, dice: &mut ChaCha8Rng) -> u64 {
        let keep = survivors(self.unsynced.len(), dice);
        let torn = self.unsynced.get(keep).filter(|_| keep > 0 || dice.random());
        let torn = torn.and_then(|change| change.torn(dice.random_range(0..=change.sectors())));
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

/// How many of some changes a power failure lets through: none half of the time.
fn survivors(of: usize, dice: &mut ChaCha8Rng) -> usize {
    if of == 0 || dice.random() { 0 } else { dice.random_range(0..=of) }
}

#[cfg(test)]
mod tests;
