//! Serves a lossy disk: answers the kernel's FUSE requests from a [`Volume`], and applies the [`DiskFault`].
//!
//! The kernel caches reads and writes through: every `write` arrives here before it returns, and a
//! memory-mapped file shows what is written to it. So a killed process loses nothing, as on any disk; only
//! [`lose_unsynced`](LossyFs::lose_unsynced) does. Locks, holes and extended attributes are left to the
//! kernel or refused. Device nodes and sockets cannot be created.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};
use std::{io, thread};

use chacha20::ChaCha8Rng;
use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};

use super::content::{FileChange, PAGE, SECTOR};
use super::fault::{DiskCounters, DiskFault};
use super::volume::{Durability, Ino, InodeKind, Lost, ROOT, Volume};
use crate::lock::locked;

/// How long the kernel may cache attributes and entries: only the kernel changes them.
const TTL: Duration = Duration::from_secs(3600);
/// Maximum size of one write request, in bytes.
const WRITE_MAX: u32 = 1 << 20;
const NAME_MAX: u32 = 255;

/// What is kept of an inode besides its content.
#[derive(Debug, Clone)]
pub(super) struct Attributes {
    mode: u16,
    uid: u32,
    gid: u32,
    accessed: SystemTime,
    modified: SystemTime,
    changed: SystemTime,
}

impl Attributes {
    fn new(mode: u32, uid: u32, gid: u32) -> Self {
        let now = SystemTime::now();
        Attributes { mode: (mode & 0o7777) as u16, uid, gid, accessed: now, modified: now, changed: now }
    }
}

type Listing = Vec<(Ino, FileType, OsString)>;

#[derive(Debug)]
struct State {
    volume: Volume<Attributes>,
    fault: Option<DiskFault>,
    /// The power is off: requests fail.
    powered_off: bool,
    /// Number of power failures.
    power_failures: u64,
    counters: DiskCounters,
    /// Contents of open directories at the time of opening.
    listings: HashMap<u64, Listing>,
    next_handle: u64,
}

/// A disk, mounted or not.
#[derive(Debug, Clone)]
pub(super) struct LossyFs(Arc<Mutex<State>>);

impl LossyFs {
    pub(super) fn new(durability: Durability, bytes_max: u64, uid: u32, gid: u32) -> Self {
        LossyFs(Arc::new(Mutex::new(State {
            volume: Volume::new(durability, bytes_max, Attributes::new(0o755, uid, gid)),
            fault: None,
            powered_off: false,
            power_failures: 0,
            counters: DiskCounters::default(),
            listings: HashMap::new(),
            next_handle: 1,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.0)
    }

    /// Cuts the power: from now on requests fail and nothing is stored.
    pub(super) fn cut_power(&self) {
        self.lock().powered_off = true;
    }

    /// Drops what the power failure destroys, and restores the power. The disk must not be mounted.
    pub(super) fn lose_unsynced(&self, rng: &mut ChaCha8Rng) -> Lost {
        let mut state = self.lock();
        let lost = state.volume.lose_unsynced(rng);
        state.counters.bytes_lost += lost.bytes;
        state.counters.entries_lost += lost.entries;
        state.power_failures += 1;
        state.powered_off = false;
        lost
    }

    pub(super) fn set_fault(&self, fault: Option<DiskFault>) {
        self.lock().fault = fault;
    }

    pub(super) fn counters(&self) -> DiskCounters {
        self.lock().counters
    }

    pub(super) fn inodes(&self) -> Vec<Ino> {
        self.lock().volume.inodes().collect()
    }

    /// Answers a request, or fails it if the power is off.
    fn serve<T>(&self, answer: impl FnOnce(&mut State) -> Result<T, nix::errno::Errno>) -> Result<T, Errno> {
        let mut state = self.lock();
        if state.powered_off {
            return Err(Errno::EIO);
        }
        answer(&mut state).map_err(|error| Errno::from_i32(error as i32))
    }
}

use nix::errno::Errno as Refusal;

impl State {
    /// Fails if the disk has this fault, and counts it.
    fn fail_if(&mut self, fault: DiskFault, refusal: Refusal) -> Result<(), Refusal> {
        if self.fault == Some(fault) {
            self.counters.requests_troubled += 1;
            return Err(refusal);
        }
        Ok(())
    }

    fn attr(&mut self, ino: Ino) -> Result<FileAttr, Refusal> {
        let (kind, size, pages, links) = self.volume.stat(ino)?;
        let attributes = self.volume.attributes(ino)?;
        Ok(FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: pages * PAGE / SECTOR,
            atime: attributes.accessed,
            mtime: attributes.modified,
            ctime: attributes.changed,
            crtime: attributes.changed,
            kind: file_type(&kind),
            perm: attributes.mode,
            nlink: links,
            uid: attributes.uid,
            gid: attributes.gid,
            rdev: 0,
            blksize: PAGE as u32,
            flags: 0,
        })
    }

    /// Tells the kernel of an inode; the kernel holds it from then on.
    fn enter(&mut self, ino: Ino) -> Result<FileAttr, Refusal> {
        let attr = self.attr(ino)?;
        self.volume.hold(ino);
        Ok(attr)
    }

    fn create(
        &mut self,
        parent: INodeNo,
        name: &OsStr,
        kind: InodeKind,
        attributes: Attributes,
    ) -> Result<FileAttr, Refusal> {
        self.fail_if(DiskFault::Full, Refusal::ENOSPC)?;
        self.fail_if(DiskFault::Write, Refusal::EIO)?;
        if name.len() > NAME_MAX as usize {
            return Err(Refusal::ENAMETOOLONG);
        }
        let ino = self.volume.create(parent.0, name, kind, attributes)?;
        self.touch(parent.0)?;
        self.enter(ino)
    }

    fn change(&mut self, ino: Ino, change: FileChange) -> Result<(), Refusal> {
        self.fail_if(DiskFault::Write, Refusal::EIO)?;
        let full = self.fault == Some(DiskFault::Full);
        let changed = self.volume.change(ino, change, full);
        if full && changed == Err(Refusal::ENOSPC) {
            self.counters.requests_troubled += 1;
        }
        changed?;
        self.touch(ino)
    }

    fn touch(&mut self, ino: Ino) -> Result<(), Refusal> {
        let attributes = self.volume.attributes(ino)?;
        attributes.modified = SystemTime::now();
        attributes.changed = attributes.modified;
        Ok(())
    }

    fn sync(&mut self, ino: Ino, data_only: bool) -> Result<(), Refusal> {
        if self.fault == Some(DiskFault::Sync) {
            let _ = self.volume.fail_sync(ino);
        }
        self.fail_if(DiskFault::Sync, Refusal::EIO)?;
        match self.volume.stat(ino)?.0 {
            InodeKind::Directory => self.volume.sync_directory(ino),
            _ => self.volume.sync_file(ino, data_only),
        }
    }
}

fn file_type(kind: &InodeKind) -> FileType {
    match kind {
        InodeKind::File => FileType::RegularFile,
        InodeKind::Directory => FileType::Directory,
        InodeKind::Symlink(_) => FileType::Symlink,
    }
}

fn reply_empty(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn reply_entry(reply: ReplyEntry, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn reply_attr(reply: ReplyAttr, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attr) => reply.attr(&TTL, &attr),
        Err(error) => reply.error(error),
    }
}

/// Syncs, after the delay of a slow disk. The delay passes on its own thread, so other requests continue.
fn sync(fs: &LossyFs, ino: INodeNo, data_only: bool, reply: ReplyEmpty) {
    let delay = fs.serve(|state| {
        let Some(DiskFault::Slow(ms)) = state.fault else { return Ok(None) };
        state.counters.requests_troubled += 1;
        Ok(Some((Duration::from_millis(ms), state.power_failures)))
    });
    match delay {
        Err(error) => reply.error(error),
        Ok(None) => reply_empty(reply, fs.serve(|state| state.sync(ino.0, data_only))),
        Ok(Some((delay, power_failures))) => {
            let fs = fs.clone();
            let synced = move || {
                thread::sleep(delay);
                let synced = fs.serve(|state| match state.power_failures == power_failures {
                    true => state.sync(ino.0, data_only),
                    false => Err(Refusal::EIO),
                });
                reply_empty(reply, synced);
            };
            // If there is no thread, the reply is dropped, and the node sees an error.
            let _ = thread::Builder::new().name("tribunal-fsync".into()).stack_size(256 << 10).spawn(synced);
        }
    }
}

impl Filesystem for LossyFs {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let _ = config.set_max_write(WRITE_MAX);
        for capability in [InitFlags::FUSE_PARALLEL_DIROPS, InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP] {
            let _ = config.add_capabilities(capability);
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        reply_entry(
            reply,
            self.serve(|state| {
                let ino = state.volume.lookup(parent.0, name)?;
                state.enter(ino)
            }),
        );
    }

    fn forget(&self, _: &Request, ino: INodeNo, times: u64) {
        // The root is never released.
        if ino.0 != ROOT {
            self.lock().volume.release(ino.0, times);
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply_attr(reply, self.serve(|state| state.attr(ino.0)));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let time = |time| match time {
            TimeOrNow::SpecificTime(time) => time,
            TimeOrNow::Now => SystemTime::now(),
        };
        reply_attr(
            reply,
            self.serve(|state| {
                if let Some(size) = size {
                    state.change(ino.0, FileChange::SetLen(size))?;
                }
                let attributes = state.volume.attributes(ino.0)?;
                attributes.mode = mode.map_or(attributes.mode, |mode| (mode & 0o7777) as u16);
                attributes.uid = uid.unwrap_or(attributes.uid);
                attributes.gid = gid.unwrap_or(attributes.gid);
                attributes.accessed = accessed.map_or(attributes.accessed, time);
                attributes.modified = modified.map_or(attributes.modified, time);
                attributes.changed = SystemTime::now();
                state.attr(ino.0)
            }),
        );
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.serve(|state| state.volume.stat(ino.0)) {
            Ok((InodeKind::Symlink(to), ..)) => reply.data(to.as_encoded_bytes()),
            Ok(_) => reply.error(Errno::EINVAL),
            Err(error) => reply.error(error),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let (kind, regular) = (mode & 0o170_000, 0o100_000);
        if kind != regular && kind != 0 {
            return reply.error(Errno::EPERM);
        }
        let attributes = Attributes::new(mode & !umask, request.uid(), request.gid());
        reply_entry(reply, self.serve(|state| state.create(parent, name, InodeKind::File, attributes)));
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let attributes = Attributes::new(mode & !umask, request.uid(), request.gid());
        reply_entry(reply, self.serve(|state| state.create(parent, name, InodeKind::Directory, attributes)));
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let attributes = Attributes::new(0o777, request.uid(), request.gid());
        let kind = InodeKind::Symlink(target.into());
        reply_entry(reply, self.serve(|state| state.create(parent, name, kind, attributes)));
    }

    fn link(&self, _: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        reply_entry(
            reply,
            self.serve(|state| {
                state.fail_if(DiskFault::Full, Refusal::ENOSPC)?;
                state.volume.link(ino.0, parent.0, name)?;
                state.touch(parent.0)?;
                state.enter(ino.0)
            }),
        );
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(
            reply,
            self.serve(|state| {
                state.volume.unlink(parent.0, name)?;
                state.touch(parent.0)
            }),
        );
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(
            reply,
            self.serve(|state| {
                state.volume.rmdir(parent.0, name)?;
                state.touch(parent.0)
            }),
        );
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !(flags - RenameFlags::RENAME_NOREPLACE).is_empty() {
            return reply.error(Errno::EINVAL);
        }
        reply_empty(
            reply,
            self.serve(|state| {
                state.volume.rename((parent.0, name), (new_parent.0, new_name), flags.is_empty())?;
                state.touch(parent.0)?;
                state.touch(new_parent.0)
            }),
        );
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let attributes = Attributes::new(mode & !umask, request.uid(), request.gid());
        match self.serve(|state| state.create(parent, name, InodeKind::File, attributes)) {
            Ok(attr) => {
                let flags = FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH;
                reply.created(&TTL, &attr, Generation(0), FileHandle(0), flags);
            }
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.serve(|state| {
            state.fail_if(DiskFault::Read, Refusal::EIO)?;
            state.volume.read(ino.0, offset, size.into())
        });
        match read {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.serve(|state| state.change(ino.0, FileChange::Write(offset, data.to_vec()))) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        const KEEP_SIZE: i32 = 0x01;
        const PUNCH_HOLE: i32 = 0x02;
        const ZERO_RANGE: i32 = 0x10;
        let Some(end) = offset.checked_add(length) else { return reply.error(Errno::EFBIG) };
        let changed = self.serve(|state| {
            match mode & !KEEP_SIZE {
                0 => state.change(ino.0, FileChange::Reserve(offset..end))?,
                PUNCH_HOLE | ZERO_RANGE => state.change(ino.0, FileChange::Zero(offset..end))?,
                _ => return Err(Refusal::EOPNOTSUPP),
            }
            if mode & KEEP_SIZE == 0 && state.volume.stat(ino.0)?.1 < end {
                state.change(ino.0, FileChange::SetLen(end))?;
            }
            Ok(())
        });
        reply_empty(reply, changed);
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, data_only: bool, reply: ReplyEmpty) {
        sync(self, ino, data_only, reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, data_only: bool, reply: ReplyEmpty) {
        sync(self, ino, data_only, reply);
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let handle = self.serve(|state| {
            let own = [".", ".."].map(|name| (ino.0, FileType::Directory, name.into()));
            let mut listing = Listing::from(own);
            for (name, ino) in state.volume.entries(ino.0)? {
                let kind = state.volume.stat(ino).map(|(kind, ..)| file_type(&kind));
                listing.push((ino, kind.unwrap_or(FileType::RegularFile), name.clone()));
            }
            let handle = state.next_handle;
            state.next_handle += 1;
            state.listings.insert(handle, listing);
            Ok(handle)
        });
        match handle {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = self.serve(|state| {
            let listing = state.listings.get(&handle.0).ok_or(Refusal::EBADF)?;
            for (at, (ino, kind, name)) in listing.iter().enumerate().skip(offset as usize) {
                if reply.add(INodeNo(*ino), at as u64 + 1, *kind, name) {
                    break;
                }
            }
            Ok(())
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.lock().listings.remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let room = self.serve(|state| {
            let (taken, all) = state.volume.room();
            let full = state.fault == Some(DiskFault::Full);
            Ok((all, if full { 0 } else { all.saturating_sub(taken) }))
        });
        match room {
            Ok((all, free)) => reply.statfs(all, free, free, all, free, PAGE as u32, NAME_MAX, PAGE as u32),
            Err(error) => reply.error(error),
        }
    }
}
