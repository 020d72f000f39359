//! In the guest: what process 1 does.
//!
//! It prepares the machine (mounts, modules, loopback), takes the job from the tape, runs its program, puts the files
//! that the program leaves onto the tape, and switches the machine off.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use chacha20::ChaCha8Rng;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rand::{RngExt as _, SeedableRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::tape::{Entry, Tape};

/// Where the image has kernel modules: loaded in the order of their names.
pub(crate) const MODULES: &str = "/box/modules";
/// The port of the device by which a guest says that it panicked: QEMU pauses then, if the host wants a snapshot.
const PAUSE_PORT: u16 = 0x505;

/// How many instructions it executes from reading the time until it is paused.
pub(crate) const PAUSE_INSTRUCTIONS: u64 = 6;

/// What the guest has to do. It is not part of the image, so that one snapshot of a machine serves many jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The arguments with which process 1's own program is started.
    pub args: Vec<OsString>,
    /// The environment of the program.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory.
    pub directory: PathBuf,
    /// Files that are written before it starts.
    pub files: Vec<(PathBuf, String)>,
    /// The directory whose contents go onto the tape in the end.
    pub results: PathBuf,
    /// Seed of the guest's entropy, and of small shifts of its timing.
    pub seed: u64,
}

/// Whether this process is process 1 of a box.
pub fn is_init() -> bool {
    std::process::id() == 1 && Path::new(MODULES).exists()
}

/// Does everything, and switches the machine off.
pub fn serve() -> ! {
    if let Err(why) = run() {
        to_console(&format!("box: {why}"));
    }
    // QEMU ends instead (`-no-reboot`): without ACPI, a machine can restart but not switch itself off.
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

/// The console goes to the host, which shows it if the guest fails.
#[expect(clippy::print_stderr, reason = "it is the console of the guest")]
fn to_console(line: &str) {
    eprintln!("{line}");
}

fn run() -> Result<(), String> {
    mount_all()?;
    load_modules()?;
    raise_loopback().map_err(|why| format!("loopback: {why}"))?;
    let tape = Tape::find().map_err(|why| format!("tape: {why}"))?;
    let for_shifts = Tape::find().map_err(|why| format!("tape: {why}"))?;
    let idle = thread::Builder::new().name("idle".into()).spawn(never_idle);
    idle.map_err(|why| why.to_string())?;
    // What came before depends on the machine alone.
    pause(&tape).map_err(|why| format!("pause: {why}"))?;
    let job: Job = serde_json::from_slice(&tape.job()).map_err(|why| format!("the job: {why}"))?;
    add_entropy(job.seed).map_err(|why| format!("entropy: {why}"))?;
    prepare(&job).map_err(|why| format!("the job's files: {why}"))?;
    let seed = job.seed;
    let shifts = thread::Builder::new().name("shifts".into()).spawn(move || shift(seed, &for_shifts));
    shifts.map_err(|why| why.to_string())?;
    let how = start(&job).and_then(wait_for).unwrap_or_else(|why| why.to_string());
    let kept = keep(&tape, &job.results, Path::new(""));
    let end = kept.map_or_else(|why| format!("its results cannot be kept: {why}"), |()| how);
    tape.append(&Entry::End(end)).map_err(|why| why.to_string())
}

/// A moment at which the host may make a snapshot. If it does not want one, nothing happens.
///
/// The host has to know when exactly that was: the time of the pause, and [`PAUSE_INSTRUCTIONS`] more.
fn pause(tape: &Tape) -> io::Result<()> {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the port belongs to a device that does nothing else, and the word is mapped.
    unsafe {
        if libc::ioperm(PAUSE_PORT.into(), 1, 1) != 0 {
            return Err(io::Error::last_os_error());
        }
        std::arch::asm!(
            "rdtsc",
            "shl rdx, 32",
            "or rax, rdx",
            "mov [{time}], rax",
            "mov dx, {port}",
            "mov al, 1", // it panicked
            "out dx, al",
            time = in(reg) tape.time_of_pause(),
            port = const PAUSE_PORT,
            out("rax") _,
            out("rdx") _,
            options(nostack),
        );
    }
    Ok(())
}

fn prepare(job: &Job) -> io::Result<()> {
    std::fs::create_dir_all(&job.directory)?;
    std::fs::create_dir_all(&job.results)?;
    for (path, text) in &job.files {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        std::fs::write(path, text)?;
    }
    Ok(())
}

fn mount_all() -> Result<(), String> {
    // The first file system is in memory: a directory is enough.
    let _ = std::fs::create_dir_all("/tmp");
    let mounts = [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("devpts", "/dev/pts"),
        ("tmpfs", "/dev/shm"),
        ("cgroup2", "/sys/fs/cgroup"),
    ];
    for (kind, place) in mounts {
        let _ = std::fs::create_dir_all(place);
        let none: Option<&str> = None;
        match mount(Some(kind), place, Some(kind), MsFlags::empty(), none) {
            Ok(()) => {}
            // The kernel may have mounted it.
            Err(nix::Error::EBUSY) => {}
            Err(why) => return Err(format!("cannot mount {place}: {why}")),
        }
    }
    Ok(())
}

fn load_modules() -> Result<(), String> {
    let found = std::fs::read_dir(MODULES).and_then(|found| found.map(|entry| Ok(entry?.path())).collect());
    let mut modules: Vec<PathBuf> = found.map_err(|why| format!("{MODULES}: {why}"))?;
    modules.sort();
    modules.iter().try_for_each(|module| load(module))
}

fn load(module: &Path) -> Result<(), String> {
    let file = File::open(module).map_err(|why| format!("{}: {why}", module.display()))?;
    match finit_module(file, c"", ModuleInitFlags::empty()) {
        Ok(()) | Err(nix::Error::EEXIST) => Ok(()),
        Err(why) => Err(format!("{}: {why}", module.display())),
    }
}

/// `ip link set lo up`
fn raise_loopback() -> io::Result<()> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: all zeroes is a valid ifreq, and the calls read and write no more than that.
    let done = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `struct rand_pool_info` of linux/random.h, with 32 bytes.
#[repr(C)]
struct PoolInfo {
    entropy_bits: libc::c_int,
    bytes: libc::c_int,
    pool: [u8; 32],
}

mod request {
    use nix::libc::c_int;

    nix::ioctl_none!(
        #[doc = "Makes new numbers from what the pool holds."]
        reseed,
        b'R',
        0x07
    );
    nix::ioctl_write_ptr_bad!(
        #[doc = "Adds entropy, and credits it."]
        add_to_pool,
        nix::request_code_write!(b'R', 0x03, 2 * size_of::<c_int>()),
        super::PoolInfo
    );
}

/// Gives the kernel's generator its seed, and declares it ready: nothing in the guest is random otherwise.
fn add_entropy(seed: u64) -> io::Result<()> {
    let pool = Sha256::digest(seed.to_le_bytes()).into();
    let device = File::options().write(true).open("/dev/urandom")?;
    let info = PoolInfo { entropy_bits: 256, bytes: 32, pool };
    // SAFETY: the structure that the request expects.
    unsafe { request::add_to_pool(device.as_raw_fd(), &info) }?;
    // A generator that is ready would otherwise take it up at its next turn.
    // SAFETY: the request has no argument. It fails if the generator was not ready: then it is fresh.
    let _ = unsafe { request::reseed(device.as_raw_fd()) };
    Ok(())
}

/// Runs whenever nothing else does, so that the processor never halts.
///
/// QEMU's main loop moves the clock of a halted machine forward. It does so on another thread, which may see the
/// processor halted before the last instructions are counted: then these count twice. A machine that never halts
/// has no such moment. The instructions of this loop cost the host almost nothing: QEMU counts them, and translates
/// them to nothing.
fn never_idle() {
    let parameter = libc::sched_param { sched_priority: 0 };
    // SAFETY: the structure is valid.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &parameter) } != 0 {
        // At the same priority as others it would take their time.
        return;
    }
    loop {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the instructions do nothing.
        unsafe {
            std::arch::asm!(".rept 120", "nop", ".endr", options(nomem, nostack, preserves_flags));
        }
        #[cfg(not(target_arch = "x86_64"))]
        std::hint::spin_loop();
    }
}

/// Interrupts the other processes for moments that only the seed decides, so that each seed tries other orders of
/// events. It takes about one percent of the processor. At the moment of the branch, the seed changes.
fn shift(seed: u64, tape: &Tape) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut has_branched = false;
    let parameter = libc::sched_param { sched_priority: 1 };
    // SAFETY: the structure is valid. If the call fails, the shifts are only less effective.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &parameter) };
    loop {
        thread::sleep(Duration::from_micros(random.random_range(500..40_000)));
        if !has_branched && tape.is_at_branch() {
            has_branched = true;
            // If the machine is paused here, the seed is that of whoever continues it.
            let _ = pause(tape);
            random = ChaCha8Rng::seed_from_u64(tape.branch_seed());
            let _ = add_entropy(random.random());
        }
        let spin = Duration::from_micros(random.random_range(0..400));
        let start = Instant::now();
        while start.elapsed() < spin {
            std::hint::spin_loop();
        }
    }
}

fn start(job: &Job) -> io::Result<Pid> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("tribunal").args(&job.args).env_clear().envs(job.env.iter().cloned());
    let child = command.current_dir(&job.directory).spawn()?;
    Ok(Pid::from_raw(child.id() as i32))
}

/// Waits until the program ends; processes that lost their parents are reaped on the way.
fn wait_for(program: Pid) -> io::Result<String> {
    loop {
        match waitpid(None, None)? {
            WaitStatus::Exited(pid, code) if pid == program => return Ok(format!("exit code {code}")),
            WaitStatus::Signaled(pid, signal, _) if pid == program => return Ok(format!("{signal}")),
            _ => {}
        }
    }
}

/// Puts the contents of a directory onto the tape, in the order of their names.
fn keep(tape: &Tape, root: &Path, below: &Path) -> io::Result<()> {
    let found: io::Result<Vec<_>> = std::fs::read_dir(root.join(below))?.collect();
    let mut names: Vec<OsString> = found?.iter().map(std::fs::DirEntry::file_name).collect();
    names.sort();
    for name in names {
        let here = below.join(name);
        let (path, text) = (root.join(&here), here.to_string_lossy().into_owned());
        let metadata = path.symlink_metadata()?;
        if metadata.is_symlink() {
            let target = std::fs::read_link(&path)?.to_string_lossy().into_owned();
            tape.append(&Entry::Link(text, target))?;
        } else if metadata.is_dir() {
            keep(tape, root, &here)?;
        } else if metadata.is_file() {
            tape.append(&Entry::File(text, std::fs::read(&path)?))?;
        }
    }
    Ok(())
}
