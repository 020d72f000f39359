//! One boot of a guest: QEMU as a child process.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid};
use tribunal_records::boxed::{BoxIdentity, Branch};

use crate::guest::Job;
use crate::identity::{hash, hash_of};
use crate::parts::Parts;
use crate::snapshot::Monitor;
use crate::tape::{BYTES, Entry, Tape};
use crate::{BoxError, modules};

/// The kernel's parameters. Those after the third only make its start cheaper: calibrations that wait, tests of
/// itself, tables of the firmware, guards against attacks that nobody makes here.
const KERNEL: [&str; 11] = [
    "console=ttyS0",
    "panic=-1",
    "random.trust_cpu=off",
    "quiet",
    "tsc=reliable",
    "tsc_early_khz=1000000",
    "no_timer_check",
    "cryptomgr.notests",
    "mitigations=off",
    "audit=0",
    "acpi=off reboot=t",
];
/// Each instruction takes 2^SHIFT nanoseconds of the guest's time.
const SHIFT: u32 = 1;
pub(crate) const NANOSECONDS_PER_INSTRUCTION: u64 = 1 << SHIFT;
/// The library that replaces the host's clock in QEMU, by a count of the calls.
const CLOCK: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/clock.so"));
/// What it does: a part of a box's identity.
const CLOCK_IDENTITY: &str = "(clock: 20 us a call)";
/// How often the host looks at the tape.
const POLL: Duration = Duration::from_millis(5);

/// A guest that has not been started.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// QEMU; its kernel may be another.
    pub parts: Parts,
    /// The kernel, as a boot loader would load it.
    pub kernel: Vec<u8>,
    /// The archive of the guest's files.
    pub image: Vec<u8>,
    /// The guest's memory, in MiB.
    pub memory_mib: u64,
    /// The arguments of process 1.
    pub init: Vec<String>,
    /// The environment of process 1.
    pub env: Vec<(String, String)>,
    /// What the guest has to do.
    pub job: Job,
    /// Where it goes another way, if it does.
    pub branch: Option<Branch>,
}

/// A running guest.
#[derive(Debug)]
pub struct Boot {
    pub(crate) child: Child,
    pub(crate) tape: Tape,
    console: File,
    /// QEMU gets a signal if it writes to a monitor that nobody holds.
    pub(crate) monitor: Option<Monitor>,
    ended: bool,
}

/// Why the tape has no further entry.
#[derive(Debug, PartialEq, Eq)]
pub enum NoEntry {
    /// The guest has written none yet.
    Yet,
    /// The machine is off.
    Off,
}

impl Machine {
    /// The files of the named kernel modules, those first that others depend on.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn modules(parts: &Parts, wanted: &[&str]) -> Result<Vec<PathBuf>, BoxError> {
        modules::in_order(&parts.modules, wanted)
    }

    /// What decides everything that happens.
    ///
    /// # Errors
    /// When QEMU or the kernel cannot be read.
    pub fn identity(&self) -> Result<BoxIdentity, BoxError> {
        Ok(BoxIdentity {
            qemu_version: self.parts.version()?,
            qemu: hash_of(&self.parts.qemu)?,
            kernel: hash(&self.kernel),
            image: hash(&self.image),
            job: hash(&serde_json::to_vec(&(&self.job, &self.branch)).expect("it is plain data")),
            command: format!("{} {CLOCK_IDENTITY}", self.arguments().join(" ")),
        })
    }

    /// The arguments on which the guest depends: everything but names of files and descriptors.
    fn arguments(&self) -> Vec<String> {
        // The kernel passes what it does not know to process 1: as its environment, and as its arguments after `--`.
        let env: String = self.env.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        let init = self.init.join(" ");
        let kernel = KERNEL.join(" ");
        [
            ("-machine", "pc,accel=tcg,hpet=off".to_owned()),
            ("-cpu", "Nehalem".into()),
            ("-smp", "1".into()),
            ("-m", self.memory_mib.to_string()),
            ("-icount", format!("shift={SHIFT},sleep=off")),
            ("-rtc", "base=2026-01-01T00:00:00,clock=vm".into()),
            ("-device", "ivshmem-plain,memdev=tape,master=on".into()),
            ("-device", "pvpanic".into()),
            ("-append", format!("{kernel}{env} -- {init}")),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .chain(["-nodefaults", "-no-user-config", "-no-reboot"].map(String::from))
        .collect()
    }

    /// Writes onto the tape what the guest has to do.
    pub(crate) fn write_orders(&self, tape: &Tape) -> Result<(), BoxError> {
        tape.put_branch(self.branch.as_ref());
        let job = serde_json::to_vec(&self.job).expect("it is plain data");
        tape.put_job(&job).map_err(failed("cannot write the job"))
    }

    /// Starts QEMU with a tape, and with further arguments. It dies with this thread.
    pub(crate) fn start(&self, tape: Tape, memory: &OwnedFd, more: &[&str]) -> Result<Boot, BoxError> {
        self.write_orders(&tape)?;
        let kernel = in_memory(&self.kernel).map_err(failed("cannot make the kernel"))?;
        let image = in_memory(&self.image).map_err(failed("cannot make the image"))?;
        let clock = in_memory(CLOCK).map_err(failed("cannot make the clock"))?;
        let console = in_memory(&[]).map_err(failed("cannot make the console"))?;
        let descriptor = |file: &dyn AsRawFd| format!("/proc/self/fd/{}", file.as_raw_fd());
        let mut command = self.parts.qemu();
        command.args(self.arguments());
        command.arg("-object").arg(format!(
            "memory-backend-file,id=tape,size={BYTES},share=on,mem-path={}",
            descriptor(memory)
        ));
        command.args(["-kernel", &descriptor(&kernel), "-initrd", &descriptor(&image)]);
        command.args(["-display", "none", "-monitor", "none", "-qmp", "stdio"]);
        command.arg("-serial").arg(format!("file:{}", descriptor(&console)));
        command.args(more);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("LD_PRELOAD", descriptor(&clock));
        let all = [memory, &kernel, &image, &console, &clock];
        inherit(&mut command, all.map(|file| file.as_raw_fd()).to_vec());
        let child = command.spawn().map_err(failed(&self.parts.qemu.display().to_string()))?;
        Ok(Boot { child, tape, console: console.into(), monitor: None, ended: false })
    }
}

/// What was tried when the operating system refused.
pub(crate) fn failed(what: &str) -> impl Fn(std::io::Error) -> BoxError {
    move |why| BoxError::Machine(format!("{what}: {why}"))
}

/// An anonymous file with these contents, which QEMU opens by its descriptor.
fn in_memory(bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let made = memfd_create(c"tribunal-box", MFdFlags::empty())?;
    File::from(made.try_clone()?).write_all(bytes)?;
    Ok(made)
}

/// The child keeps these descriptors, and dies with the thread that starts it. Ctrl-C in a terminal does not reach it.
/// All of its threads stay on the processor where the kernel started it: otherwise QEMU's main loop may run beside
/// the processor's thread in the few moments of the kernel's start when the guest halts.
fn inherit(command: &mut Command, descriptors: Vec<i32>) {
    let parent = getpid();
    command.process_group(0);
    // SAFETY: between fork and exec only async-signal-safe calls are made: fcntl, prctl, sched_getcpu,
    // sched_setaffinity, getppid.
    unsafe {
        command.pre_exec(move || {
            for descriptor in &descriptors {
                let descriptor = std::os::fd::BorrowedFd::borrow_raw(*descriptor);
                fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
            }
            let mut here = CpuSet::new();
            here.set(sched_getcpu()?)?;
            sched_setaffinity(Pid::from_raw(0), &here)?;
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            match getppid() == parent {
                true => Ok(()),
                false => Err(std::io::ErrorKind::BrokenPipe.into()),
            }
        });
    }
}

impl Boot {
    /// Tells the guest that the user interrupts the run.
    pub fn interrupt(&self) {
        self.tape.interrupt();
    }

    /// The next entry of the tape, waiting for at most `limit`.
    ///
    /// # Errors
    /// When QEMU failed, or the guest ended without an end on the tape: with the last lines of its console.
    pub fn next(&mut self, limit: Duration) -> Result<Result<Entry, NoEntry>, BoxError> {
        let start = Instant::now();
        loop {
            // Before the tape, so that nothing is missed.
            let off = self.child.try_wait().map_err(|why| BoxError::Machine(format!("QEMU: {why}")))?;
            let read = self.tape.next().map_err(|why| BoxError::Machine(why.to_string()))?;
            if let Some(entry) = read {
                self.ended |= matches!(entry, Entry::End(_));
                return Ok(Ok(entry));
            }
            match off {
                Some(_) if self.ended => return Ok(Err(NoEntry::Off)),
                Some(status) => {
                    let why = format!("the box ended early ({status}): {}", self.last_words());
                    return Err(BoxError::Machine(why));
                }
                None if start.elapsed() > limit => return Ok(Err(NoEntry::Yet)),
                None => thread::sleep(POLL),
            }
        }
    }

    /// The last lines of the guest's console, or of QEMU's error output.
    pub(crate) fn last_words(&mut self) -> String {
        let mut text = Vec::new();
        let _ = self.console.seek(SeekFrom::Start(0)).and_then(|_| self.console.read_to_end(&mut text));
        if let Some(errors) = &mut self.child.stderr {
            let _ = errors.read_to_end(&mut text);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        // Of the kernel's own lines, the panic is enough.
        let is_telling = |line: &&str| {
            !line.is_empty()
                && (!line.starts_with('[') || line.contains("panic") || line.contains("Out of memory"))
        };
        let lines: Vec<&str> = text.lines().map(str::trim).filter(is_telling).collect();
        match lines.len() {
            0 => "without a word".into(),
            count => lines[count.saturating_sub(5)..].join(" / "),
        }
    }
}

impl Drop for Boot {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
