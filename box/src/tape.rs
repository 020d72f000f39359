//! The tape: a memory that the guest only appends to, and the host only reads.
//!
//! ```text
//!   0     magic
//!   8     guest: number of bytes after the header that are complete, written last
//!   16    host:  number of interrupts; all other words of the host are there before the guest starts
//!   24    host:  size of the job, which lies at the end of the tape
//!   32    host:  the moment of the branch, its seed and its end (`Branch`); all ones: none
//!   56    guest: the program's zero, on the guest's monotonic clock
//!   64    guest: the processor's time just before the last pause
//!   4096  guest: entries: kind (1 byte), length (8 bytes), contents
//! ```
//!
//! The host sees it as an anonymous file, the guest as the memory of a PCI device (ivshmem). Nothing tells the guest
//! when an entry is read, so the host's speed cannot reach it.

use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::time::{ClockId, clock_gettime};
use tribunal_records::boxed::Branch;

/// Size of the tape. A snapshot reads all of it.
pub(crate) const BYTES: usize = 256 << 20;
const HEADER: usize = 4_096;
const MAGIC: u64 = 0x7472_6962_756e_616c;
/// PCI vendor and device of ivshmem.
const DEVICE: (&str, &str) = ("0x1af4", "0x1110");

/// An entry of the tape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Something happened in the guest: a text of the program.
    Event(Vec<u8>),
    /// A file of its results: the path below their directory, and the contents.
    File(String, Vec<u8>),
    /// A symbolic link among its results, and its target.
    Link(String, String),
    /// The guest is done: how its program ended.
    End(String),
}

/// No moment of a run.
const NEVER: u64 = u64::MAX;

/// The mapped memory.
#[derive(Debug)]
pub struct Tape {
    start: NonNull<u8>,
    /// How far the host has read.
    read: usize,
}

// SAFETY: the memory is accessed through atomics and through ranges that only one side writes.
unsafe impl Send for Tape {}

impl Tape {
    /// A new tape, and the descriptor that QEMU opens it by.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn create() -> io::Result<(Tape, OwnedFd)> {
        let memory = memfd_create(c"tribunal-tape", MFdFlags::empty())?;
        nix::unistd::ftruncate(&memory, BYTES as i64)?;
        let tape = Tape::map(&memory)?;
        tape.word(0).store(MAGIC, Ordering::Release);
        tape.put_branch(None);
        Ok((tape, memory))
    }

    /// On the host: what the guest has to do.
    pub(crate) fn put_job(&self, job: &[u8]) -> io::Result<()> {
        if job.len() > BYTES / 2 {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "the job is larger than half of the tape",
            ));
        }
        // SAFETY: the range is mapped, and the guest has not begun to read.
        unsafe {
            self.start.add(BYTES - job.len()).as_ptr().copy_from_nonoverlapping(job.as_ptr(), job.len())
        };
        self.word(24).store(job.len() as u64, Ordering::Release);
        Ok(())
    }

    /// On the host: when the guest branches.
    pub(crate) fn put_branch(&self, branch: Option<&Branch>) {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(NEVER);
        let (at, seed, end) =
            branch.map_or((NEVER, 0, NEVER), |branch| (nanos(branch.at), branch.seed, nanos(branch.end)));
        for (place, value) in [(32, at), (40, seed), (48, end)] {
            self.word(place).store(value, Ordering::Release);
        }
    }

    /// In the guest: the job.
    pub(crate) fn job(&self) -> Vec<u8> {
        let size = self.job_size();
        let mut bytes = vec![0; size];
        // SAFETY: the range is mapped, and the host wrote it before the guest began.
        unsafe { self.start.add(BYTES - size).as_ptr().copy_to_nonoverlapping(bytes.as_mut_ptr(), size) };
        bytes
    }

    fn job_size(&self) -> usize {
        (self.word(24).load(Ordering::Acquire) as usize).min(BYTES / 2)
    }

    /// In the guest: says how much time the program's own clock shows now.
    pub fn set_clock(&self, shown: Duration) {
        self.word(56).store(now().saturating_sub(shown.as_nanos() as u64), Ordering::Release);
    }

    /// In the guest: whether the moment of the branch has come.
    pub(crate) fn is_at_branch(&self) -> bool {
        self.has_come(32)
    }

    /// In the guest: the seed of the branch.
    pub(crate) fn branch_seed(&self) -> u64 {
        self.word(40).load(Ordering::Acquire)
    }

    /// Where the guest writes the processor's time just before a pause.
    pub(crate) fn time_of_pause(&self) -> *mut u64 {
        self.word(64).as_ptr()
    }

    fn has_come(&self, place: usize) -> bool {
        let (zero, after) = (self.word(56).load(Ordering::Acquire), self.word(place).load(Ordering::Acquire));
        // Before the program has set its clock, no moment has come.
        (zero > 0) & (now() >= zero.saturating_add(after))
    }

    /// In the guest: the tape that the host gave it.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn find() -> io::Result<Tape> {
        let tape = Tape::map(&device()?)?;
        match tape.word(0).load(Ordering::Acquire) {
            MAGIC => Ok(tape),
            _ => Err(io::Error::other("the device is no tape")),
        }
    }

    fn map(file: &impl AsFd) -> io::Result<Tape> {
        let size = NonZeroUsize::new(BYTES).expect("it is a constant");
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping of a file of that size.
        let start = unsafe { mmap(None, size, protection, MapFlags::MAP_SHARED, file, 0)? };
        Ok(Tape { start: start.cast(), read: 0 })
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        // SAFETY: an aligned word of the header, which is mapped as long as `self` exists.
        unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(at).cast()) }
    }

    fn written(&self) -> &AtomicU64 {
        self.word(8)
    }

    fn interrupts(&self) -> &AtomicU64 {
        self.word(16)
    }

    /// In the guest: whether the user has interrupted the run, or its branch ends.
    pub fn is_interrupted(&self) -> bool {
        (self.interrupts().load(Ordering::Acquire) > 0) | self.has_come(48)
    }

    /// On the host: tells the guest of an interrupt.
    pub(crate) fn interrupt(&self) {
        self.interrupts().fetch_add(1, Ordering::AcqRel);
    }

    /// In the guest: appends an entry. Only one thread at a time may do that.
    ///
    /// # Errors
    /// When the tape is full.
    pub fn append(&self, entry: &Entry) -> io::Result<()> {
        let (kind, text, bytes): (u8, &str, &[u8]) = match entry {
            Entry::Event(bytes) => (0, "", bytes),
            Entry::File(path, bytes) => (1, path, bytes),
            Entry::Link(path, target) => (2, path, target.as_bytes()),
            Entry::End(how) => (3, "", how.as_bytes()),
        };
        let at = HEADER + self.written().load(Ordering::Acquire) as usize;
        let (text_bytes, size) = (text.len() as u64, text.len() + bytes.len());
        let end = at + ENTRY_HEADER + size;
        if end > BYTES - self.job_size() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the tape of the box is full (256 MiB)"));
        }
        let mut header = [0; ENTRY_HEADER];
        header[0] = kind;
        header[1..9].copy_from_slice(&(size as u64).to_le_bytes());
        header[9..].copy_from_slice(&text_bytes.to_le_bytes());
        let mut at = at;
        for part in [&header[..], text.as_bytes(), bytes] {
            // SAFETY: the range is mapped, and nobody else writes it.
            unsafe { self.start.as_ptr().add(at).copy_from_nonoverlapping(part.as_ptr(), part.len()) };
            at += part.len();
        }
        self.written().store((end - HEADER) as u64, Ordering::Release);
        Ok(())
    }

    /// On the host: the next complete entry. `None`: there is none yet.
    ///
    /// # Errors
    /// When the guest has written something that is no entry.
    pub(crate) fn next(&mut self) -> io::Result<Option<Entry>> {
        let written = self.written().load(Ordering::Acquire) as usize;
        if self.read >= written {
            return Ok(None);
        }
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "the guest wrote no tape");
        let within = |from: usize, size: usize| {
            let end = from.checked_add(size).filter(|end| *end <= written && *end <= BYTES - HEADER);
            end.ok_or_else(bad)
        };
        let end = within(self.read, ENTRY_HEADER)?;
        let header = self.bytes(self.read, ENTRY_HEADER);
        let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
        let (size, text_bytes) = (number(1) as usize, number(9) as usize);
        let after = within(end, size)?;
        let contents = self.bytes(end, size);
        let (path, bytes) = contents.split_at_checked(text_bytes).ok_or_else(bad)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let entry = match header[0] {
            0 => Entry::Event(bytes.to_vec()),
            1 => Entry::File(text(path), bytes.to_vec()),
            2 => Entry::Link(text(path), text(bytes)),
            3 => Entry::End(text(bytes)),
            _ => return Err(bad()),
        };
        self.read = after;
        Ok(Some(entry))
    }

    /// A copy: the guest may be writing elsewhere.
    fn bytes(&self, at: usize, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        // SAFETY: the range is mapped, and complete: the guest does not write it again.
        unsafe { self.start.as_ptr().add(HEADER + at).copy_to_nonoverlapping(bytes.as_mut_ptr(), size) };
        bytes
    }
}

const ENTRY_HEADER: usize = 17;

/// The monotonic clock, in nanoseconds.
fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has this clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

impl Drop for Tape {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the mapping any more.
        let _ = unsafe { munmap(self.start.cast(), BYTES) };
    }
}

/// The memory of the PCI device.
fn device() -> io::Result<File> {
    for device in std::fs::read_dir("/sys/bus/pci/devices")? {
        let path: PathBuf = device?.path();
        let is = |file: &str, id: &str| {
            std::fs::read_to_string(path.join(file)).is_ok_and(|text| text.trim() == id)
        };
        if is("vendor", DEVICE.0) && is("device", DEVICE.1) {
            // The memory of a device is accessible only once it is enabled.
            std::fs::write(path.join("enable"), "1")?;
            return OpenOptions::new().read(true).write(true).open(path.join("resource2"));
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "there is no tape: this is no box"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_they_were_appended() {
        let (mut tape, memory) = Tape::create().unwrap();
        let guest = Tape::map(&memory).unwrap();
        assert_eq!(tape.next().unwrap(), None);
        let entries = [
            Entry::Event(b"{}".to_vec()),
            Entry::File("nodes/n1.log".into(), vec![0, 255, 10]),
            Entry::Link("latest".into(), "a/b".into()),
            Entry::File("empty".into(), Vec::new()),
            Entry::End("exit status: 0".into()),
        ];
        entries.iter().for_each(|entry| guest.append(entry).unwrap());
        for entry in entries {
            assert_eq!(tape.next().unwrap(), Some(entry));
        }
        assert_eq!(tape.next().unwrap(), None);
        assert!(!guest.is_interrupted());
        tape.interrupt();
        assert!(guest.is_interrupted());
    }

    #[test]
    fn the_guest_reads_its_job_and_when_its_branch_comes_and_ends() {
        let (tape, memory) = Tape::create().unwrap();
        let guest = Tape::map(&memory).unwrap();
        tape.put_job(b"the job").unwrap();
        assert_eq!(guest.job(), b"the job");
        let seconds = Duration::from_secs;
        let branch = |at, end| tape.put_branch(Some(&Branch { at: seconds(at), seed: 9, end: seconds(end) }));
        branch(4, 100);
        assert!(!guest.is_at_branch(), "the program has not begun");
        guest.set_clock(seconds(5));
        assert!(guest.is_at_branch() && !guest.is_interrupted());
        assert_eq!(guest.branch_seed(), 9);
        branch(3, 4);
        assert!(guest.is_interrupted(), "the branch has ended");
        tape.put_branch(None);
        assert!(!guest.is_at_branch() && !guest.is_interrupted());
    }

    #[test]
    fn garbage_and_a_full_tape_are_errors() {
        let (mut tape, memory) = Tape::create().unwrap();
        let guest = Tape::map(&memory).unwrap();
        guest.written().store(u64::MAX, Ordering::Release);
        guest.word(HEADER).store(u64::MAX, Ordering::Release);
        assert!(tape.next().is_err());
        guest.written().store((BYTES - HEADER) as u64, Ordering::Release);
        assert!(guest.append(&Entry::Event(Vec::new())).is_err());
    }
}
