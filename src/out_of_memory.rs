//! What happens when memory runs out: the program ends with a line that says so, and with the exit code of a harness failure.
//!
//! Rust would abort, with a core and the code 134, which no caller can tell from a bug. What is recorded is in the kernel's hands
//! already, and nodes, disks and cgroups are cleaned up as after any sudden end of the controller.

use std::alloc::{GlobalAlloc, Layout, System};

use nix::libc;

use crate::exit;

/// The system's allocator, which never answers that there is nothing.
struct OrEnd;

#[global_allocator]
static ALLOCATOR: OrEnd = OrEnd;

// SAFETY: every call is the system allocator's own, and what it gives is passed on, unless it is null.
unsafe impl GlobalAlloc for OrEnd {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of the system's allocator, which is the same.
        given(unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        given(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as above.
        given(unsafe { System.realloc(ptr, layout, new_size) })
    }
}

#[inline]
fn given(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        end();
    }
    memory
}

#[cold]
fn end() -> ! {
    let line = b"harness failure: out of memory: the machine, or a limit (ulimit -v), gives no more\n";
    // SAFETY: both are async-signal-safe, and the line is as long as it says.
    unsafe {
        libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len());
        libc::_exit(exit::HARNESS.into())
    }
}
