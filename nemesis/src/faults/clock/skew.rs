//! How a clock is wrong.
//!
//! As text, one or both of:
//!
//! ```text
//!   offset_ms=-5000       the wall clock is 5 s behind; the monotonic clock, which nothing sets, is correct
//!   drift_ppm=20000       both clocks gain 2 % from now on, since both depend on one quartz
//! ```

use std::fmt;

/// The error of a process's clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skew {
    /// How far the wall clock is ahead, in milliseconds; negative if behind.
    pub offset_ms: i64,
    /// How much both clocks gain, in parts per million; negative if they lose.
    pub drift_ppm: i32,
}

/// A day: the largest difference between two time zones.
const OFFSET_MS_MAX: i64 = 86_400_000;
/// Half and one and a half times the normal speed.
const DRIFT_PPM_MAX: i32 = 500_000;

impl Skew {
    /// Parses properties such as `offset_ms=-5000`; `None` if one is unknown, repeated, zero or out of
    /// bounds.
    pub(crate) fn parse(properties: &[&str]) -> Option<Skew> {
        let mut skew = Skew::default();
        for property in properties {
            match property.split_once('=')? {
                ("offset_ms", value) if skew.offset_ms == 0 => skew.offset_ms = value.parse().ok()?,
                ("drift_ppm", value) if skew.drift_ppm == 0 => skew.drift_ppm = value.parse().ok()?,
                _ => return None,
            }
        }
        let bounded = skew.offset_ms.unsigned_abs() <= OFFSET_MS_MAX.unsigned_abs()
            && skew.drift_ppm.unsigned_abs() <= DRIFT_PPM_MAX.unsigned_abs();
        (bounded && properties.len() == usize::from(skew.offset_ms != 0) + usize::from(skew.drift_ppm != 0))
            .then_some(skew)
            .filter(|skew| *skew != Skew::default())
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("offset_ms", self.offset_ms), ("drift_ppm", i64::from(self.drift_ppm))];
        let parts = parts.iter().filter(|(_, value)| *value != 0);
        f.write_str(&parts.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skews_parse_back() {
        for text in ["offset_ms=-5000", "drift_ppm=20000", "offset_ms=1 drift_ppm=-3"] {
            let words: Vec<&str> = text.split(' ').collect();
            assert_eq!(Skew::parse(&words).expect(text).to_string(), text);
        }
        for wrong in [
            "",
            "offset_ms",
            "offset_ms=0",
            "offset_ms=1 offset_ms=2",
            "offset_ms=86400001",
            "offset_ms=-9223372036854775808",
            "drift_ppm=-500001",
            "rate=2",
        ] {
            assert_eq!(Skew::parse(&wrong.split(' ').collect::<Vec<_>>()), None, "{wrong}");
        }
    }
}
