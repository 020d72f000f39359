//! When memory runs out, the program prints a message and exits with the code of a harness failure.
//!
//! By default Rust would abort with a core dump and exit code 134, which looks like a bug. Recorded evidence
//! is in the kernel's hands already. Nodes, disks and cgroups are cleaned up as after any sudden end of the
//! controller.

use std::alloc::{GlobalAlloc, Layout, System};

use nix::libc;

use crate::exit;

/// The system's allocator, but it exits instead of returning null.
struct ExitOnNull;

#[global_allocator]
static ALLOCATOR: ExitOnNull = ExitOnNull;

// SAFETY: every call is passed to the system's allocator, and its result is returned unless it is null.
unsafe impl GlobalAlloc for ExitOnNull {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is that of the system's allocator.
        non_null(unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        non_null(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as above.
        non_null(unsafe { System.realloc(ptr, layout, new_size) })
    }
}

#[inline]
fn non_null(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        end();
    }
    memory
}

#[cold]
fn end() -> ! {
    let line = b"harness failure: out of memory: the machine, or a limit (ulimit -v), gives no more\n";
    // SAFETY: both calls are async-signal-safe, and the length is that of the line.
    unsafe {
        libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len());
        libc::_exit(exit::HARNESS.into())
    }
}
