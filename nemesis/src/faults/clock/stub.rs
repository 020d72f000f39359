//! The machine code that replaces the kernel's in a process with skewed clocks, and its parameters.
//!
//! ```text
//!   clock_gettime ─┐                         ┌ correct time, by a system call
//!   gettimeofday  ─┼─ jump ─▶ entry ─▶ sum ──┤
//!   time          ─┘                         └ + error of that clock at that time
//!
//!   error = max(offset + (time - since) * rate / 2^32, least)                     all in nanoseconds
//!
//!   Parameters, behind the code:   wall      { since, rate, offset, least }
//!                                  monotonic { since, rate, offset, least }
//! ```
//!
//! The code is position independent and has no state, so it can be copied anywhere, and a later change writes
//! only the parameters. The compiler assembles it for the architecture of this program; the nodes run on the
//! same.
//!
//! CAVEATS. Only CLOCK_REALTIME, CLOCK_MONOTONIC and their coarse variants are skewed, and only when read
//! through the vDSO, as libc, Go and Java do. CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW and CLOCK_TAI stay correct,
//! and so does a direct system call. Time inside the kernel is correct: a relative timeout lasts as long as
//! it says. An absolute timeout (a futex deadline, a timer) computed from a skewed clock is early or late by
//! the error of that clock.

use super::skew::Skew;

/// Error of one clock over time, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockError {
    since: i64,
    /// Nanoseconds gained per 2^32 ns.
    rate: i64,
    offset: i64,
    least: i64,
}

/// Parameters of the stub: one error for the wall clock, one for the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) wall: ClockError,
    pub(crate) monotonic: ClockError,
}

/// The correct time on both clocks, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrueTime {
    pub(crate) wall: i64,
    pub(crate) monotonic: i64,
}

/// Drift of a monotonic clock that is ahead while it is corrected. It may not jump back, so it runs at half
/// speed.
const SETTLING_PPM: i32 = -500_000;

impl ClockError {
    const NONE: ClockError = ClockError { since: 0, rate: 0, offset: 0, least: i64::MIN };

    fn drifting(since: i64, drift_ppm: i32, offset: i64) -> ClockError {
        ClockError { since, rate: (i64::from(drift_ppm) << 32) / 1_000_000, offset, least: i64::MIN }
    }

    /// How far the clock is ahead at the correct time `truth`. The machine code computes the same.
    pub(crate) fn at(self, truth: i64) -> i64 {
        let gained = (i128::from(truth.wrapping_sub(self.since)) * i128::from(self.rate)) >> 32;
        (gained as i64).wrapping_add(self.offset).max(self.least)
    }
}

impl Parameters {
    /// Both clocks are correct.
    pub(crate) const CORRECT: Parameters = Parameters { wall: ClockError::NONE, monotonic: ClockError::NONE };

    /// The parameters after a skew that begins now. The wall clock may jump; the monotonic clock continues
    /// from its current value.
    pub(crate) fn skewed(self, skew: Skew, now: TrueTime) -> Parameters {
        let wall = ClockError::drifting(now.wall, skew.drift_ppm, skew.offset_ms * 1_000_000);
        let ahead = self.monotonic.at(now.monotonic);
        let monotonic = match skew.drift_ppm {
            0 => self.settling(now).monotonic,
            ppm => ClockError::drifting(now.monotonic, ppm, ahead),
        };
        Parameters { wall, monotonic }
    }

    /// The parameters after an undo that begins now. A monotonic clock that is ahead runs slowly until it is
    /// correct; one that is behind jumps forward.
    pub(crate) fn settling(self, now: TrueTime) -> Parameters {
        let ahead = self.monotonic.at(now.monotonic);
        let monotonic = match ahead {
            ..=0 => ClockError::NONE,
            _ => ClockError { least: 0, ..ClockError::drifting(now.monotonic, SETTLING_PPM, ahead) },
        };
        Parameters { wall: ClockError::NONE, monotonic }
    }

    /// Whether the only error is a monotonic clock that is being corrected.
    pub(crate) fn is_settling(self) -> bool {
        self.wall == ClockError::NONE && self.monotonic.least == 0
    }

    /// Encodes the parameters for the stub.
    pub(crate) fn bytes(self) -> [u8; PARAMETERS_LEN] {
        let mut bytes = [0; PARAMETERS_LEN];
        let words =
            [self.wall, self.monotonic].map(|error| [error.since, error.rate, error.offset, error.least]);
        for (at, word) in words.concat().into_iter().enumerate() {
            bytes[at * 8..][..8].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; PARAMETERS_LEN]) -> Parameters {
        let word = |at: usize| {
            i64::from_le_bytes(bytes[at * 8..][..8].try_into().expect("eight bytes of sixty-four"))
        };
        let error = |at| ClockError {
            since: word(at),
            rate: word(at + 1),
            offset: word(at + 2),
            least: word(at + 3),
        };
        Parameters { wall: error(0), monotonic: error(4) }
    }
}

/// Size of the parameters in bytes.
pub(crate) const PARAMETERS_LEN: usize = 64;

/// The code to copy, and its layout.
pub(crate) struct Stub {
    /// The code, with space for the parameters at its end.
    pub(crate) code: &'static [u8],
    /// Offset of the parameters.
    pub(crate) parameters: usize,
    /// Symbols that the stub replaces, and the offsets of their entries.
    pub(crate) entries: &'static [(&'static str, usize)],
    /// Encodes the instruction that jumps from one address to another.
    pub(crate) jump: fn(from: u64, to: u64) -> Vec<u8>,
}

#[cfg(target_arch = "x86_64")]
#[path = "stub/x86_64.rs"]
mod arch;
#[cfg(target_arch = "aarch64")]
#[path = "stub/aarch64.rs"]
mod arch;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod arch {
    pub(super) fn stub() -> Option<super::Stub> {
        None
    }
}

/// The stub for this architecture, if there is one.
pub(crate) fn stub() -> Option<Stub> {
    arch::stub()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn now(s: i64) -> TrueTime {
        TrueTime { wall: (1_700_000_000 + s) * SECOND, monotonic: s * SECOND }
    }

    fn check(parameters: Parameters, s: i64, wall_ms: i64, monotonic_ms: i64) {
        let now = now(s);
        // The rate is rounded to 2^-32.
        let ms = |error: i64| (error + 500_000).div_euclid(1_000_000);
        let found = (ms(parameters.wall.at(now.wall)), ms(parameters.monotonic.at(now.monotonic)));
        assert_eq!(found, (wall_ms, monotonic_ms));
    }

    #[test]
    fn a_jump_affects_the_wall_clock_and_a_drift_both() {
        let jumped = Parameters::CORRECT.skewed(Skew { offset_ms: -5_000, drift_ppm: 0 }, now(10));
        check(jumped, 10, -5_000, 0);
        check(jumped, 99, -5_000, 0);
        let drifting = Parameters::CORRECT.skewed(Skew { offset_ms: 100, drift_ppm: 20_000 }, now(10));
        check(drifting, 10, 100, 0);
        check(drifting, 15, 200, 100);
        assert_eq!(Parameters::from_bytes(&drifting.bytes()), drifting);
    }

    #[test]
    fn a_monotonic_clock_never_goes_back() {
        let fast = Parameters::CORRECT.skewed(Skew { offset_ms: 0, drift_ppm: 100_000 }, now(0));
        check(fast, 10, 1_000, 1_000);
        let settling = fast.settling(now(10));
        for (s, ms) in [(10, 1_000), (11, 500), (12, 0), (99, 0)] {
            check(settling, s, 0, ms);
        }
        // Nor if another skew begins before the clock is correct.
        let slow = settling.skewed(Skew { offset_ms: 0, drift_ppm: -100_000 }, now(11));
        check(slow, 11, 0, 500);
        check(slow, 21, -1_000, -500);
        assert_eq!(slow.settling(now(21)), Parameters::CORRECT);
    }
}
