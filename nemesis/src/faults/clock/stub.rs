//! The machine code that a process with a wrong clock runs in place of the kernel's, and its parameters.
//!
//! ```text
//!   clock_gettime ─┐                          ┌ truth by system call          Parameters, behind the code:
//!   gettimeofday  ─┼─ jump ─▶ entry ─▶ ask ──┤                                wall      { since, rate, offset, least }
//!   time          ─┘                          └ + error of that clock now      monotonic { since, rate, offset, least }
//!
//!   error = max(offset + (truth - since) * rate / 2^32, least)                 all in nanoseconds
//! ```
//!
//! The code is position independent and keeps nothing, so it can be copied anywhere and a later change only writes the
//! parameters. It is assembled by the compiler, for the architecture this program is built for: nodes run on the same.
//!
//! CAVEATS. Wrong are CLOCK_REALTIME and CLOCK_MONOTONIC and their coarse twins, as asked through the vDSO: by libc, Go
//! and Java, which is to say by nearly everybody. CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW and CLOCK_TAI stay true, and so
//! does a system call made past the vDSO. Time runs truly inside the kernel: a relative timeout lasts as long as it
//! says, and an absolute one (a futex deadline, a timer) that was computed from a wrong clock comes early or late by that
//! clock's error.

use super::skew::Skew;

/// How wrong one clock is over time. Nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Error {
    since: i64,
    /// Nanoseconds gained per 2^32 ns.
    rate: i64,
    offset: i64,
    least: i64,
}

/// What the stub is told: one error for the wall clock, one for the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) wall: Error,
    pub(crate) monotonic: Error,
}

/// The true time on both clocks, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) wall: i64,
    pub(crate) monotonic: i64,
}

/// How fast a monotonic clock that is ahead comes back to the truth, which it may not do by jumping: it runs at half speed.
const SETTLING_PPM: i32 = -500_000;

impl Error {
    const NONE: Error = Error { since: 0, rate: 0, offset: 0, least: i64::MIN };

    fn drifting(since: i64, drift_ppm: i32, offset: i64) -> Error {
        Error { since, rate: (i64::from(drift_ppm) << 32) / 1_000_000, offset, least: i64::MIN }
    }

    /// How far ahead the clock is when it should show `truth`: what the machine code computes.
    pub(crate) fn at(self, truth: i64) -> i64 {
        let gained = (i128::from(truth.wrapping_sub(self.since)) * i128::from(self.rate)) >> 32;
        (gained as i64).wrapping_add(self.offset).max(self.least)
    }
}

impl Parameters {
    /// Both clocks are true.
    pub(crate) const TRUE: Parameters = Parameters { wall: Error::NONE, monotonic: Error::NONE };

    /// What comes after these parameters when a process's clocks are made wrong now. The wall clock may jump anywhere; the
    /// monotonic clock goes on from where it is.
    pub(crate) fn then(self, skew: Skew, now: Now) -> Parameters {
        let wall = Error::drifting(now.wall, skew.drift_ppm, skew.offset_ms * 1_000_000);
        let ahead = self.monotonic.at(now.monotonic);
        let monotonic = match skew.drift_ppm {
            0 => self.settling(now).monotonic,
            ppm => Error::drifting(now.monotonic, ppm, ahead),
        };
        Parameters { wall, monotonic }
    }

    /// What comes after these parameters when the clocks are made true now: the monotonic clock, if it is ahead, waits for
    /// the truth. One that is behind jumps to it.
    pub(crate) fn settling(self, now: Now) -> Parameters {
        let ahead = self.monotonic.at(now.monotonic);
        let monotonic = match ahead {
            ..=0 => Error::NONE,
            _ => Error { least: 0, ..Error::drifting(now.monotonic, SETTLING_PPM, ahead) },
        };
        Parameters { wall: Error::NONE, monotonic }
    }

    /// Whether all that is wrong is a monotonic clock that waits for the truth.
    pub(crate) fn is_settling(self) -> bool {
        self.wall == Error::NONE && self.monotonic.least == 0
    }

    /// As the stub reads them.
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
        let error =
            |at| Error { since: word(at), rate: word(at + 1), offset: word(at + 2), least: word(at + 3) };
        Parameters { wall: error(0), monotonic: error(4) }
    }
}

/// How many bytes the parameters take.
pub(crate) const PARAMETERS_LEN: usize = 64;

/// The code to copy, and what is where in it.
pub(crate) struct Stub {
    /// The code, with room for the parameters at its end.
    pub(crate) code: &'static [u8],
    /// Where the parameters begin.
    pub(crate) parameters: usize,
    /// The symbols that it takes the place of, and where their entries are.
    pub(crate) entries: &'static [(&'static str, usize)],
    /// The instruction that jumps from one address to another.
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

    fn now(s: i64) -> Now {
        Now { wall: (1_700_000_000 + s) * SECOND, monotonic: s * SECOND }
    }

    fn check(parameters: Parameters, s: i64, wall_ms: i64, monotonic_ms: i64) {
        let now = now(s);
        // The rate is rounded to 2^-32.
        let ms = |error: i64| (error + 500_000).div_euclid(1_000_000);
        let found = (ms(parameters.wall.at(now.wall)), ms(parameters.monotonic.at(now.monotonic)));
        assert_eq!(found, (wall_ms, monotonic_ms));
    }

    #[test]
    fn a_jump_is_of_the_wall_clock_and_a_drift_of_both() {
        let jumped = Parameters::TRUE.then(Skew { offset_ms: -5_000, drift_ppm: 0 }, now(10));
        check(jumped, 10, -5_000, 0);
        check(jumped, 99, -5_000, 0);
        let drifting = Parameters::TRUE.then(Skew { offset_ms: 100, drift_ppm: 20_000 }, now(10));
        check(drifting, 10, 100, 0);
        check(drifting, 15, 200, 100);
        assert_eq!(Parameters::from_bytes(&drifting.bytes()), drifting);
    }

    #[test]
    fn a_monotonic_clock_never_goes_back() {
        let fast = Parameters::TRUE.then(Skew { offset_ms: 0, drift_ppm: 100_000 }, now(0));
        check(fast, 10, 1_000, 1_000);
        let settling = fast.settling(now(10));
        for (s, ms) in [(10, 1_000), (11, 500), (12, 0), (99, 0)] {
            check(settling, s, 0, ms);
        }
        // Nor when another skew comes before it has settled.
        let slow = settling.then(Skew { offset_ms: 0, drift_ppm: -100_000 }, now(11));
        check(slow, 11, 0, 500);
        check(slow, 21, -1_000, -500);
        assert_eq!(slow.settling(now(21)), Parameters::TRUE);
    }
}
