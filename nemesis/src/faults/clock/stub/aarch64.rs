//! The stub on aarch64. It changes only registers that a called function may change, and no vector registers.
//! There is no `time` function here.
//!
//! The code was run in an emulator (qemu-aarch64: jumps, drift, `gettimeofday`, errors passed on). Patching a
//! process was not tried on such a machine.

use std::arch::global_asm;

use super::{PARAMETERS_LEN, Stub};

global_asm!(
    r#"
    .pushsection .rodata.tribunal_clock, "a", %progbits
    .globl  tribunal_clock_stub, tribunal_clock_gettime, tribunal_clock_gettimeofday, tribunal_clock_parameters
    .hidden tribunal_clock_stub, tribunal_clock_gettime, tribunal_clock_gettimeofday, tribunal_clock_parameters
    .balign 16
tribunal_clock_stub:

tribunal_clock_gettime:             // w0: which clock, x1: timespec
    mov     w9, w0
    mov     x8, #113
    svc     #0
    cbnz    x0, 9f
    cmp     w9, #6
    b.hi    9f                      // another clock; x0 is 0
    adr     x10, tribunal_clock_parameters
    mov     w11, #0x21              // CLOCK_REALTIME, CLOCK_REALTIME_COARSE
    lsr     w11, w11, w9
    tbnz    w11, #0, tribunal_clock_shift
    add     x10, x10, #32
    mov     w11, #0x42              // CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE
    lsr     w11, w11, w9
    tbnz    w11, #0, tribunal_clock_shift
9:  ret

tribunal_clock_shift:               // x1: timespec to skew, x10: the error of its clock
    mov     w13, #0xca00
    movk    w13, #0x3b9a, lsl #16   // 1000000000
    ldp     x11, x12, [x1]
    madd    x11, x11, x13, x12
    ldp     x12, x14, [x10]         // since, rate
    sub     x12, x11, x12
    mul     x15, x12, x14
    smulh   x12, x12, x14
    extr    x12, x12, x15, #32
    ldp     x14, x15, [x10, #16]    // offset, least
    add     x12, x12, x14
    cmp     x12, x15
    csel    x12, x12, x15, ge
    add     x11, x11, x12
    sdiv    x12, x11, x13
    msub    x14, x12, x13, x11
    stp     x12, x14, [x1]
    mov     x0, #0
    ret

tribunal_clock_gettimeofday:        // x0: timeval or null, x1: timezone or null
    sub     sp, sp, #32
    stp     x30, x0, [sp, #16]
    cbz     x1, 1f
    mov     x0, #0
    mov     x8, #169                // only the time zone
    svc     #0
1:  ldr     x0, [sp, #24]
    cbz     x0, 2f
    mov     x0, #0
    mov     x1, sp
    mov     x8, #113
    svc     #0
    adr     x10, tribunal_clock_parameters
    bl      tribunal_clock_shift
    ldp     x11, x12, [sp]
    ldr     x9, [sp, #24]
    mov     w13, #1000
    sdiv    x12, x12, x13
    stp     x11, x12, [x9]
2:  ldr     x30, [sp, #16]
    add     sp, sp, #32
    mov     x0, #0
    ret

    .balign 8
tribunal_clock_parameters:
    .skip   64
    .popsection
    "#
);

unsafe extern "C" {
    static tribunal_clock_stub: u8;
    static tribunal_clock_gettime: u8;
    static tribunal_clock_gettimeofday: u8;
    static tribunal_clock_parameters: u8;
}

static ENTRIES: std::sync::LazyLock<[(&str, usize); 2]> = std::sync::LazyLock::new(|| {
    [
        ("__kernel_clock_gettime", offset(&raw const tribunal_clock_gettime)),
        ("__kernel_gettimeofday", offset(&raw const tribunal_clock_gettimeofday)),
    ]
});

fn offset(label: *const u8) -> usize {
    label as usize - &raw const tribunal_clock_stub as usize
}

pub(super) fn stub() -> Option<Stub> {
    let parameters = offset(&raw const tribunal_clock_parameters);
    let start = &raw const tribunal_clock_stub;
    // SAFETY: the labels are in one read-only section. The parameters follow the code in it, with as many
    // bytes as they need, for as long as the program runs.
    let code = unsafe { std::slice::from_raw_parts(start, parameters + PARAMETERS_LEN) };
    Some(Stub { code, parameters, entries: &*ENTRIES, jump })
}

/// `b`, with the distance in words.
fn jump(from: u64, to: u64) -> Vec<u8> {
    let words = (to.wrapping_sub(from) as i64 >> 2) as u32 & 0x03ff_ffff;
    (0x1400_0000 | words).to_le_bytes().to_vec()
}
