//! The quality of a link that is degraded and not cut.
//!
//! As text, properties separated by spaces:
//!
//! ```text
//!   delay_ms=50           everything arrives 50 ms later
//!   delay_ms=20..80       later by a time drawn for each piece that is read, uniformly from 20 to 80 ms
//!   delay_ms=~40          the same, exponentially distributed with mean 40 ms: mostly small, sometimes huge
//!   bytes_per_s=20000     bandwidth, shared by all connections of the link
//!   write_max=3           at most 3 bytes per write: the receiver reads messages in fragments
//!   reset_after=5000      a connection is reset after this many bytes in this direction
//!   close_after=5000      a connection is closed in order after this many bytes, even within a message
//!   read_max=5000         reading a connection stops after this many bytes, as by a stuck receiver: the
//!                         kernel's buffers fill (some 100 KB or more), then the sender's writes block
//!   flip_one_in=100000    one bit flip in this many bytes, on average
//!   loss_percent=20       percentage of lost packets (between network namespaces only)
//! ```
//!
//! A proxy degrades a byte stream, so everything arrives complete and in order (except for flips and resets).
//! Between network namespaces packets are degraded. Each packet has its own delay, so packets overtake each
//! other, and TCP turns loss into delay; but packets cannot be fragmented, cut short or corrupted. Delays are
//! exact to about 1 ms.

use std::{fmt, time::Duration};

use rand::{Rng, RngExt};

/// How a degraded link treats its bytes or packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quality {
    /// How much later each piece arrives.
    pub delay: Option<Delay>,
    /// Bandwidth in bytes per second, shared by all connections of the link.
    pub bytes_per_s: Option<u64>,
    /// Time between two messages of a connection, in milliseconds.
    pub gap_ms: Option<u64>,
    /// Maximum number of bytes per write.
    pub write_max: Option<u64>,
    /// Number of bytes after which a connection is reset.
    pub reset_after: Option<u64>,
    /// Number of bytes after which a connection is closed.
    pub close_after: Option<u64>,
    /// Number of bytes of a connection after which the link stops reading it.
    pub read_max: Option<u64>,
    /// Mean number of bytes per bit flip.
    pub flip_one_in: Option<u64>,
    /// Percentage of lost packets.
    pub loss_percent: Option<u64>,
}

/// A distribution of delays, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delay {
    /// Always this delay.
    Constant(u64),
    /// Uniformly distributed from the first to the second.
    Uniform(u64, u64),
    /// Exponentially distributed with this mean.
    Exponential(u64),
}

impl Delay {
    /// Draws a delay.
    pub(crate) fn draw(self, rng: &mut impl Rng) -> Duration {
        match self {
            Delay::Constant(ms) => Duration::from_millis(ms),
            Delay::Uniform(least, most) => {
                Duration::from_micros(rng.random_range(least * 1000..=most * 1000))
            }
            Delay::Exponential(mean) => Duration::from_secs_f64(mean as f64 / 1000.0 * exponential(rng)),
        }
    }
}

/// Exponentially distributed with mean 1: the distance between random events.
pub(crate) fn exponential(rng: &mut impl Rng) -> f64 {
    -(1.0 - rng.random::<f64>()).ln()
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Delay::Constant(ms) => write!(f, "{ms}"),
            Delay::Uniform(least, most) => write!(f, "{least}..{most}"),
            Delay::Exponential(mean) => write!(f, "~{mean}"),
        }
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delay = self.delay.map(|delay| format!("delay_ms={delay}"));
        let numbers = [
            ("bytes_per_s", self.bytes_per_s),
            ("gap_ms", self.gap_ms),
            ("write_max", self.write_max),
            ("reset_after", self.reset_after),
            ("close_after", self.close_after),
            ("read_max", self.read_max),
            ("flip_one_in", self.flip_one_in),
            ("loss_percent", self.loss_percent),
        ];
        let numbers =
            numbers.into_iter().filter_map(|(name, value)| value.map(|value| format!("{name}={value}")));
        f.write_str(&delay.into_iter().chain(numbers).collect::<Vec<_>>().join(" "))
    }
}

impl Quality {
    /// Parses properties such as `delay_ms=20..80`; `None` if there is none, or one is unknown, repeated, or
    /// zero (which would change nothing, or let nothing pass).
    pub(crate) fn parse(properties: &[&str]) -> Option<Quality> {
        let mut quality = Quality::default();
        for property in properties {
            let (name, value) = property.split_once('=')?;
            if name == "delay_ms" {
                quality.delay = Some(parse_delay(value)?).filter(|_| quality.delay.is_none());
                quality.delay?;
                continue;
            }
            let field = match name {
                "bytes_per_s" => &mut quality.bytes_per_s,
                "gap_ms" => &mut quality.gap_ms,
                "write_max" => &mut quality.write_max,
                "reset_after" => &mut quality.reset_after,
                "close_after" => &mut quality.close_after,
                "read_max" => &mut quality.read_max,
                "flip_one_in" => &mut quality.flip_one_in,
                "loss_percent" => &mut quality.loss_percent,
                _ => return None,
            };
            let most = match name {
                "loss_percent" => 100,
                "gap_ms" => DELAY_MS_MAX,
                _ => u64::MAX,
            };
            let value = value.parse().ok().filter(|value: &u64| (1..=most).contains(value))?;
            if field.replace(value).is_some() {
                return None;
            }
        }
        (quality != Quality::default()).then_some(quality)
    }
}

/// Longest delay in milliseconds, an hour: more would be a cut.
const DELAY_MS_MAX: u64 = 3_600_000;

fn parse_delay(text: &str) -> Option<Delay> {
    let ms = |text: &str| text.parse().ok().filter(|&ms: &u64| ms <= DELAY_MS_MAX);
    let some_ms = |text: &str| ms(text).filter(|ms| *ms > 0);
    if let Some(mean) = text.strip_prefix('~') {
        return some_ms(mean).map(Delay::Exponential);
    }
    match text.split_once("..") {
        Some((least, most)) => {
            let (least, most) = (ms(least)?, some_ms(most)?);
            (least <= most).then_some(Delay::Uniform(least, most))
        }
        None => some_ms(text).map(Delay::Constant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_parse_back() {
        for text in [
            "delay_ms=50",
            "delay_ms=20..80 bytes_per_s=20000",
            "delay_ms=~40",
            "write_max=3 reset_after=5000 flip_one_in=100000",
            "close_after=70 read_max=5000",
            "bytes_per_s=20000 gap_ms=5 write_max=3",
            "delay_ms=3..9 loss_percent=20",
        ] {
            let words: Vec<&str> = text.split(' ').collect();
            assert_eq!(Quality::parse(&words).expect(text).to_string(), text);
        }
        for wrong in [
            "",
            "delay_ms",
            "delay_ms=9..3",
            "delay_ms=-1",
            "delay_ms=0",
            "delay_ms=0..0",
            "delay_ms=~0",
            "loss=3",
            "loss_percent=101",
            "write_max=0",
            "gap_ms=0",
            "gap_ms=3600001",
            "write_max=1 write_max=1",
        ] {
            assert_eq!(Quality::parse(&wrong.split(' ').collect::<Vec<_>>()), None, "{wrong}");
        }
    }

    #[test]
    fn delays_are_distributed_as_they_say() {
        let mut rng = rand::rng();
        let mut mean = |delay: Delay| {
            let drawn: Vec<f64> = (0..20_000).map(|_| delay.draw(&mut rng).as_secs_f64() * 1000.0).collect();
            drawn.iter().sum::<f64>() / drawn.len() as f64
        };
        assert_eq!(mean(Delay::Constant(7)), 7.0);
        // Six standard deviations of the mean either way.
        assert!((mean(Delay::Uniform(10, 90)) - 50.0).abs() < 1.0);
        assert!((mean(Delay::Exponential(50)) - 50.0).abs() < 2.2);
    }
}
