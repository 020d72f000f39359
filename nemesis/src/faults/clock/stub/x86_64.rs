//! The stub on x86-64. It changes only registers that a called function may change, no vector registers, and
//! at most three words of the stack.

use std::arch::global_asm;

use super::{PARAMETERS_LEN, Stub};

global_asm!(
    r#"
    .pushsection .rodata.tribunal_clock, "a", @progbits
    .globl  tribunal_clock_stub, tribunal_clock_gettime, tribunal_clock_gettimeofday, tribunal_clock_time, tribunal_clock_parameters
    .hidden tribunal_clock_stub, tribunal_clock_gettime, tribunal_clock_gettimeofday, tribunal_clock_time, tribunal_clock_parameters
    .balign 16
tribunal_clock_stub:

tribunal_clock_gettime:             // edi: which clock, rsi: timespec
    mov     eax, 228
    syscall
    test    eax, eax
    jnz     9f
    cmp     edi, 6
    ja      9f                      // another clock; eax is 0
    lea     r8, [rip + tribunal_clock_parameters]
    mov     ecx, 0x21               // CLOCK_REALTIME, CLOCK_REALTIME_COARSE
    bt      ecx, edi
    jc      tribunal_clock_shift
    add     r8, 32
    mov     ecx, 0x42               // CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE
    bt      ecx, edi
    jc      tribunal_clock_shift
9:  ret

tribunal_clock_shift:               // rsi: timespec to skew, r8: the error of its clock
    imul    r9, [rsi], 1000000000
    add     r9, [rsi + 8]
    mov     rax, r9
    sub     rax, [r8]               // since
    imul    qword ptr [r8 + 8]      // rate
    shrd    rax, rdx, 32
    add     rax, [r8 + 16]          // offset
    cmp     rax, [r8 + 24]          // least
    cmovl   rax, [r8 + 24]
    add     rax, r9
    cqo
    mov     ecx, 1000000000
    idiv    rcx
    mov     [rsi], rax
    mov     [rsi + 8], rdx
    xor     eax, eax
    ret

tribunal_clock_wall:                // returns the skewed wall clock: rax seconds, rdx nanoseconds
    sub     rsp, 24
    xor     edi, edi
    mov     rsi, rsp
    mov     eax, 228
    syscall
    lea     r8, [rip + tribunal_clock_parameters]
    call    tribunal_clock_shift
    mov     rax, [rsp]
    mov     rdx, [rsp + 8]
    add     rsp, 24
    ret

tribunal_clock_gettimeofday:        // rdi: timeval or null, rsi: timezone or null
    mov     r10, rdi
    test    rsi, rsi
    jz      1f
    xor     edi, edi
    mov     eax, 96                 // only the time zone
    syscall
1:  test    r10, r10
    jz      2f
    call    tribunal_clock_wall
    mov     [r10], rax
    mov     rax, rdx
    cqo
    mov     ecx, 1000
    idiv    rcx
    mov     [r10 + 8], rax
2:  xor     eax, eax
    ret

tribunal_clock_time:                // rdi: time_t or null
    mov     r10, rdi
    call    tribunal_clock_wall
    test    r10, r10
    jz      3f
    mov     [r10], rax
3:  ret

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
    static tribunal_clock_time: u8;
    static tribunal_clock_parameters: u8;
}

static ENTRIES: std::sync::LazyLock<[(&str, usize); 3]> = std::sync::LazyLock::new(|| {
    [
        ("__vdso_clock_gettime", offset(&raw const tribunal_clock_gettime)),
        ("__vdso_gettimeofday", offset(&raw const tribunal_clock_gettimeofday)),
        ("__vdso_time", offset(&raw const tribunal_clock_time)),
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

/// `jmp rel32`.
fn jump(from: u64, to: u64) -> Vec<u8> {
    let distance = to.wrapping_sub(from + 5) as u32;
    [&[0xe9][..], &distance.to_le_bytes()].concat()
}
