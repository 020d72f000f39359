//! Patches the clocks of one process, by writing to its memory.
//!
//! In the vDSO, the first instruction of each function that returns the time becomes a jump to the
//! [stub](super::stub), which is put at the end of the last page. `/proc/PID/mem` may write even where the
//! process itself may not. The kernel then makes a private copy of the page, which the children inherit when
//! the process forks. A program that the process *executes* starts with a fresh vDSO and correct clocks.
//!
//! The process is stopped meanwhile. If one of its threads is at an instruction that is about to be
//! overwritten, the process resumes for a moment and is stopped again. A thread in the middle of an old
//! function finishes it undisturbed. The stub stays after the undo, since a thread could still be in it, but
//! nothing jumps to it any more.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    sync::OnceLock,
    thread::sleep,
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};

use super::{
    stub::{PARAMETERS_LEN, Parameters, Stub, TrueTime, stub},
    vdso::{Image, refused},
};
use crate::processes::stopped::StoppedProcess;

/// Maximum number of attempts to stop a process while no thread is in the way.
const ATTEMPTS_MAX: usize = 200;
const PAUSE: Duration = Duration::from_micros(100);

/// The kernel's original vDSO, and the stub with its place in it.
struct PatchSite {
    pristine: Image,
    stub: Stub,
    /// Offset of the stub from the start of the vDSO.
    place: u64,
}

/// The site is the same in every process of this machine.
fn site() -> Result<&'static PatchSite, String> {
    static SITE: OnceLock<Result<PatchSite, String>> = OnceLock::new();
    SITE.get_or_init(|| {
        let stub = stub().ok_or("clocks can be made wrong on x86-64 and aarch64 only")?;
        let (pristine, _) = Image::of(std::process::id() as i32)?;
        let place = (pristine.bytes.len().saturating_sub(stub.code.len()) as u64) & !15;
        if place < pristine.spare {
            return Err("this kernel's vDSO has no room at its end".to_owned());
        }
        match stub.entries.iter().find(|(name, _)| !pristine.functions.contains_key(*name)) {
            Some((name, _)) => Err(format!("this kernel's vDSO has no {name}")),
            None => Ok(PatchSite { pristine, stub, place }),
        }
    })
    .as_ref()
    .map_err(Clone::clone)
}

/// One change of a process's clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockChange {
    /// Parameters before the change.
    pub(crate) before: Parameters,
    /// Parameters after the change.
    pub(crate) after: Parameters,
    /// Correct time of the change.
    pub(crate) now: TrueTime,
}

/// Checks that clocks can be skewed on this machine, and in this process.
pub(crate) fn possible(pid: Option<i32>) -> Result<(), String> {
    let site = site()?;
    pid.map_or(Ok(()), |pid| open(site, pid).map(drop))
}

/// Changes the parameters of a process's clocks; correct clocks get the kernel's original code back.
pub(crate) fn change(
    pid: i32,
    next: impl Fn(Parameters, TrueTime) -> Parameters,
) -> Result<ClockChange, String> {
    let site = site()?;
    let target = open(site, pid)?;
    for _ in 0..ATTEMPTS_MAX {
        let held = StoppedProcess::stop(pid).map_err(|error| error.to_string())?;
        let pointers = held.instruction_pointers().map_err(|error| refused(&error))?;
        if pointers.is_some_and(|pointers| !pointers.iter().any(|at| target.in_the_way(*at))) {
            let (before, now) = (target.read()?, now()?);
            let after = next(before, now);
            target.write(after)?;
            return Ok(ClockChange { before, after, now });
        }
        drop(held);
        sleep(PAUSE);
    }
    Err("a thread of it always stands in the way".to_owned())
}

/// The current parameters of a process's clocks.
#[cfg(test)]
pub(crate) fn current(pid: i32) -> Result<Parameters, String> {
    open(site()?, pid)?.read()
}

/// The memory of a process, and the address of its vDSO.
struct ProcessMemory {
    site: &'static PatchSite,
    memory: std::fs::File,
    base: u64,
}

fn open(site: &'static PatchSite, pid: i32) -> Result<ProcessMemory, String> {
    // The spawning process continues while the kernel still sets up the new program, the vDSO last.
    let mut found = Image::of(pid);
    for _ in 0..ATTEMPTS_MAX {
        match found {
            Err(_) if fs::exists(format!("/proc/{pid}/exe")).unwrap_or(false) => {
                sleep(PAUSE);
                found = Image::of(pid);
            }
            _ => break,
        }
    }
    let (image, base) = found?;
    let same = image.bytes.len() == site.pristine.bytes.len() && image.functions == site.pristine.functions;
    if !same {
        return Err("its vDSO is another than ours: a program of 32 bits?".to_owned());
    }
    let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"));
    Ok(ProcessMemory { site, base, memory: memory.map_err(|error| refused(&error))? })
}

impl ProcessMemory {
    /// Start of each function, and the target of its jump.
    fn jumps(&self) -> impl Iterator<Item = (u64, u64)> {
        let entries = self.site.stub.entries.iter();
        entries.map(|(name, entry)| (self.site.pristine.functions[*name], self.site.place + *entry as u64))
    }

    fn jump(&self, from: u64, to: u64) -> Vec<u8> {
        (self.site.stub.jump)(from, to)
    }

    /// Whether a thread that continues at this address could see a half-written change.
    fn in_the_way(&self, address: u64) -> bool {
        let Some(at) = address.checked_sub(self.base) else { return false };
        let in_stub = (self.site.place..self.site.place + self.site.stub.code.len() as u64).contains(&at);
        in_stub || self.jumps().any(|(from, to)| at > from && at < from + self.jump(from, to).len() as u64)
    }

    fn read(&self) -> Result<Parameters, String> {
        for (from, to) in self.jumps() {
            if self.bytes_at(from, self.jump(from, to).len())? != self.jump(from, to) {
                return Ok(Parameters::CORRECT);
            }
        }
        let bytes = self.bytes_at(self.parameters(), PARAMETERS_LEN)?;
        Ok(Parameters::from_bytes(bytes.as_slice().try_into().expect("as many as were asked for")))
    }

    fn write(&self, parameters: Parameters) -> Result<(), String> {
        let is_true = parameters == Parameters::CORRECT;
        if !is_true {
            let code = &self.site.stub.code[..self.site.stub.parameters];
            self.write_at(self.site.place, code)?;
            self.write_at(self.parameters(), &parameters.bytes())?;
        }
        for (from, to) in self.jumps() {
            let jump = self.jump(from, to);
            let original = &self.site.pristine.bytes[from as usize..][..jump.len()];
            self.write_at(from, if is_true { original } else { &jump })?;
        }
        Ok(())
    }

    fn parameters(&self) -> u64 {
        self.site.place + self.site.stub.parameters as u64
    }

    fn bytes_at(&self, at: u64, len: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; len];
        self.memory.read_exact_at(&mut bytes, self.base + at).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<(), String> {
        self.memory.write_all_at(bytes, self.base + at).map_err(|error| refused(&error))
    }
}

/// The correct time.
fn now() -> Result<TrueTime, String> {
    let ns = |clock| {
        let time = clock_gettime(clock).map_err(|error| error.to_string())?;
        Ok::<i64, String>(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
    };
    Ok(TrueTime { wall: ns(ClockId::CLOCK_REALTIME)?, monotonic: ns(ClockId::CLOCK_MONOTONIC)? })
}

#[cfg(test)]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod tests {
    use std::time::Instant;

    use super::{super::skew::Skew, *};
    use crate::processes::sleeper::Sleeper;

    fn skewed(offset_ms: i64) -> impl Fn(Parameters, TrueTime) -> Parameters {
        move |before, now| before.skewed(Skew { offset_ms, drift_ppm: 0 }, now)
    }

    #[test]
    fn parameters_read_back_and_the_undo_restores_the_code() {
        let (_sleeper, pid) = Sleeper::start();
        let memory = std::fs::File::options().read(true).write(true).open(format!("/proc/{pid}/mem"));
        if let Err(error) = memory {
            return eprintln!("skipped: a child's memory may not be written to: {error}");
        }
        assert_eq!(current(pid), Ok(Parameters::CORRECT));
        let change = change(pid, skewed(-5_000)).expect("our own child");
        assert_eq!(change.before, Parameters::CORRECT);
        assert_eq!(current(pid), Ok(change.after));
        super::change(pid, Parameters::settling).expect("our own child");
        let (image, _) = Image::of(pid).expect("it lives");
        let spare = image.spare as usize;
        assert_eq!(image.bytes[..spare], site().expect("here").pristine.bytes[..spare]);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        let (sleeper, pid) = Sleeper::start();
        drop(sleeper);
        change(pid, skewed(1)).expect_err("it is gone");
    }

    #[test]
    #[ignore = "a measurement: cargo test -p tribunal-nemesis --lib how_long -- --ignored --nocapture"]
    fn how_long_a_change_takes() {
        let (_sleeper, pid) = Sleeper::start();
        let mut took: Vec<Duration> = (0..1_000)
            .map(|at| {
                let since = Instant::now();
                change(pid, skewed(at + 1)).expect("our own child");
                since.elapsed()
            })
            .collect();
        took.sort();
        eprintln!("one change: p50 {:?}, p99 {:?}, most {:?}", took[500], took[990], took[999]);
    }
}
