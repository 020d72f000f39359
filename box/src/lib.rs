//! The box: a virtual machine in which a run repeats bit for bit, with unmodified programs and without root.
//!
//! ```text
//!   host                                           guest
//!   parts    QEMU and a kernel, from packages
//!   image    the program, its libraries, modules ─▶ initramfs
//!   machine  QEMU counts instructions ───────────▶ guest    init: mounts, entropy, the program
//!   tape     reads what appears in the memory ◀─── tape     appends to a memory that both map
//! ```
//!
//! QEMU's instruction counting (`-icount`) makes the guest's clock a function of the instructions executed,
//! and runs its only processor on one thread. So everything that the guest does follows from its initial
//! state: kernel, image, command line. Nothing of the host reaches it: its real-time clock starts at a constant
//! and follows the virtual clock, the processor has no RDRAND, and there is no disk and no network card. Results
//! leave through a memory that both sides map: the guest only writes it, and is never told when it is read.
//!
//! Two ways by which the host's time would get in through QEMU itself are closed: the guest never halts
//! ([`guest`]), and QEMU sees a count instead of the host's clock (src/preload/clock.rs).
//!
//! The one exception is an interrupt of the user: the guest polls a word of that memory, which stays zero in every
//! run that is to be repeated.
//!
//! A [`Snapshot`] continues a machine from a moment, many times: another job for a machine that is ready, or another
//! seed from a moment of a run on ([`Branch`](tribunal_records::boxed::Branch)). The table of translated addresses is
//! not in it, and a guest can see what that holds (src/preload/clock.rs), so a machine that is continued may differ
//! from one that was never paused. Therefore every run is a continued one.
//!
//! CAVEATS. There is one processor: every order of context switches is possible, but weak memory orders are not.
//! Two boots do the same only with the same QEMU, kernel, image and command line
//! ([`BoxIdentity`](tribunal_records::boxed::BoxIdentity)).

mod elf;
pub mod guest;
mod identity;
mod image;
mod kept;
mod machine;
mod modules;
mod parts;
mod setup;
mod snapshot;
mod tape;

pub use identity::hash;
pub use image::Image;
pub use machine::{Boot, Machine, NoEntry};
pub use parts::{Parts, PartsError, directory};
pub use setup::{Chosen, set_up};
pub use snapshot::Snapshot;
pub use tape::{Entry, Tape};

/// An error of the box, in words for the user.
#[derive(Debug, thiserror::Error)]
pub enum BoxError {
    /// A file that the box needs, or makes, cannot be used.
    #[error("{path}: {why}")]
    File {
        /// Its path.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// QEMU or the guest did not do what it had to.
    #[error("{0}")]
    Machine(String),
    /// QEMU, the kernel or a package is missing.
    #[error(transparent)]
    Parts(#[from] PartsError),
}

impl BoxError {
    fn file(path: &std::path::Path, why: impl std::fmt::Display) -> Self {
        BoxError::File { path: path.display().to_string(), why: why.to_string() }
    }
}
