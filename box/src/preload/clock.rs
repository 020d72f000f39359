//! Loaded into QEMU before its other libraries: the host's clock, replaced by a count of the calls.
//!
//! QEMU sizes its table of translated addresses by the host's time: a table that was little used in the last 100 ms
//! shrinks. The guest can see that. When a process with several threads forks, its kernel writes page table entries
//! first and flushes the processor's table later; what another thread does in between depends on what the table
//! still holds. So this clock is a count: each thread's calls are decided by the guest alone.

use std::cell::Cell;
use std::ffi::{c_int, c_long, c_void};

/// `struct timeval`
#[repr(C)]
pub struct TimeVal {
    seconds: c_long,
    microseconds: c_long,
}

/// How far the clock moves with each call.
const STEP_US: c_long = 20;
/// 2026-01-01T00:00:00Z
const START: c_long = 1_767_225_600;

thread_local! {
    static CALLS: Cell<c_long> = const { Cell::new(0) };
}

/// `gettimeofday(2)`, for QEMU.
///
/// # Safety
/// `time` points to a `struct timeval`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(time: *mut TimeVal, _zone: *mut c_void) -> c_int {
    let now = CALLS.get() * STEP_US;
    CALLS.set(CALLS.get() + 1);
    // SAFETY: the caller says so.
    unsafe { *time = TimeVal { seconds: START + now / 1_000_000, microseconds: now % 1_000_000 } };
    0
}

unsafe extern "C" {
    fn unsetenv(name: *const std::ffi::c_char) -> c_int;
}

/// Programs that QEMU starts do without it: they cannot open it.
#[used]
#[unsafe(link_section = ".init_array")]
static FOR_QEMU_ALONE: extern "C" fn() = {
    extern "C" fn forget() {
        // SAFETY: the name ends with a zero, and no other thread runs yet.
        unsafe { unsetenv(c"LD_PRELOAD".as_ptr()) };
    }
    forget
};
