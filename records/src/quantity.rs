//! Quantities as users write them: `3n` clients, `bursts`, `30s`, `2GiB`. `Display` and `FromStr` are
//! inverse.

use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Number of clients: fixed, or a multiple of the number of nodes, such as `3n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// This many clients.
    Fixed(usize),
    /// This many clients per node.
    PerNode(usize),
}

impl Concurrency {
    /// The number of clients for a cluster of `nodes`.
    pub fn workers(self, nodes: usize) -> usize {
        match self {
            Concurrency::Fixed(workers) => workers,
            Concurrency::PerNode(factor) => factor * nodes,
        }
    }
}

impl FromStr for Concurrency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, make): (_, fn(usize) -> Concurrency) = match text.strip_suffix('n') {
            Some(factor) => (factor, Concurrency::PerNode),
            None => (text, Concurrency::Fixed),
        };
        match number.parse() {
            Ok(number) if (1..=CLIENTS_MAX).contains(&number) => Ok(make(number)),
            _ => Err("expected a number from 1 to 1000, or a multiple of the nodes such as 3n".into()),
        }
    }
}

impl Display for Concurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Concurrency::Fixed(workers) => workers.fmt(f),
            Concurrency::PerNode(factor) => write!(f, "{factor}n"),
        }
    }
}

/// The largest number of clients, and of clients per node.
const CLIENTS_MAX: usize = 1_000;

/// How fast the clients send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// Alternately at full speed and at a low rate.
    Bursts,
    /// No limit: each client sends as soon as its last operation has completed.
    Full,
    /// Operations per second, summed over all clients.
    PerSecond(f64),
}

/// From one operation in about 17 minutes to more than any system answers.
const RATES: RangeInclusive<f64> = 0.001..=1e9;

impl Rate {
    /// Operations per second over all clients, if the rate is constant.
    pub fn per_second(self) -> Option<f64> {
        if let Rate::PerSecond(rate) = self { Some(rate) } else { None }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse::<f64>()) {
            ("bursts", _) => Ok(Rate::Bursts),
            ("full", _) => Ok(Rate::Full),
            ("spells", _) => Err("`spells` is now called `bursts`".into()),
            (_, Ok(rate)) if RATES.contains(&rate) => Ok(Rate::PerSecond(rate)),
            _ => Err(format!(
                "expected operations per second, from {} to {}, or `full`, or `bursts`",
                RATES.start(),
                RATES.end()
            )),
        }
    }
}

impl Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Bursts => f.write_str("bursts"),
            Rate::Full => f.write_str("full"),
            Rate::PerSecond(rate) => rate.fmt(f),
        }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

/// Units of a size, largest first, each as a power of two.
const UNITS: [(&str, u32); 4] = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let shift = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, shift)| *shift);
        let number = number.parse::<usize>().ok();
        let bytes = number.zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
        let bytes = bytes.filter(|bytes| *bytes > 0);
        bytes.map(Size).ok_or_else(|| "expected a size with its unit, such as 512MiB or 2GiB".into())
    }
}

impl Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, shift) =
            UNITS.into_iter().find(|(_, shift)| self.0.is_multiple_of(1 << shift)).expect("B divides");
        write!(f, "{}{unit}", self.0 >> shift)
    }
}

/// The longest duration: longer than any run, and short enough to be added to any `Instant`.
pub const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

/// Parses a duration with its unit, such as `300ms`, `30s` or `2m`; greater than zero, at most
/// [`DURATION_MAX`].
///
/// # Errors
/// What was expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("expected more than zero, such as 500ms".into()),
        Ok(duration) if duration > DURATION_MAX => Err("expected at most a year".into()),
        Ok(duration) => Ok(duration),
        Err(_) if text.starts_with('-') => Err("a duration cannot be negative".into()),
        Err(_) => Err("expected a duration with its unit, such as 500ms, 30s or 2m".into()),
    }
}

/// Range of counts in a trial: of keys, and of operations per key.
pub const COUNTS: RangeInclusive<usize> = 1..=1_000_000;

/// Parses a number within [`COUNTS`].
///
/// # Errors
/// What was expected.
pub fn parse_count(text: &str) -> Result<usize, String> {
    parse_within(text, &COUNTS)
}

/// Parses a whole number within a range.
///
/// # Errors
/// What was expected.
pub fn parse_within<N>(text: &str, range: &RangeInclusive<N>) -> Result<N, String>
where
    N: FromStr + PartialOrd + Display,
{
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("expected a whole number from {} to {}", range.start(), range.end()))
}

/// Range of a share.
pub const SHARES: RangeInclusive<f64> = 0.0..=1.0;

/// Parses a number within [`SHARES`].
///
/// # Errors
/// What was expected.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| SHARES.contains(share));
    share.ok_or_else(|| "expected a share from 0 to 1, such as 0.9".into())
}

/// A duration as one word, such as `1m30s`.
pub fn duration_text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

/// Durations in files: `#[serde(with = "duration")]`.
pub mod duration {
    use super::*;

    /// Writes the duration as text.
    pub fn serialize<S: Serializer>(duration: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&duration_text(*duration))
    }

    /// Reads the duration from text.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        parse_duration(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// Optional durations in files: `#[serde(with = "optional_duration")]`.
pub mod optional_duration {
    use super::*;

    /// Writes the duration as text, or null.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, out: S) -> Result<S::Ok, S::Error> {
        duration.map(duration_text).serialize(out)
    }

    /// Reads the duration from text, or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| parse_duration(&text)).transpose().map_err(serde::de::Error::custom)
    }
}

/// A string, or a number instead: `rate = 500` means `rate = "500"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrNumber {
    Text(String),
    Integer(u64),
    Number(f64),
}

macro_rules! written_as_text {
    ($($kind:ty),*) => {$(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = match TextOrNumber::deserialize(from)? {
                    TextOrNumber::Text(text) => text,
                    TextOrNumber::Integer(number) => number.to_string(),
                    TextOrNumber::Number(number) => number.to_string(),
                };
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

written_as_text!(Concurrency, Rate, Size);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrency_counts_clients_or_multiplies_nodes() {
        let workers = |text: &str| text.parse::<Concurrency>().map(|it| it.workers(5));
        assert_eq!((workers("3n"), workers("4")), (Ok(15), Ok(4)));
        for wrong in ["", "n", "0", "-1", "3m", "0n", "1001"] {
            assert!(workers(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_need_a_unit() {
        assert_eq!("2GiB".parse(), Ok(Size(2 << 30)));
        for wrong in ["", "2", "GiB", "0MiB", "2gib", "99999999999GiB", "-1MiB"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
        for text in ["1GiB", "1536MiB", "3KiB", "1000B"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert!(parse_duration("0s").unwrap_err().starts_with("expected more than zero"));
        assert_eq!(parse_duration("-1s"), Err("a duration cannot be negative".into()));
        assert_eq!(parse_duration("2years"), Err("expected at most a year".into()));
        assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration_text(Duration::from_millis(90_500)), "1m30s500ms");
        for wrong in ["", "30", "0s", "-1s", "soon", "2years", "99999999999999999999s"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_have_a_range() {
        assert_eq!("0.001".parse(), Ok(Rate::PerSecond(0.001)));
        assert_eq!("spells".parse::<Rate>(), Err("`spells` is now called `bursts`".into()));
        for wrong in ["0", "-1", "1e-300", "0.0009", "1e300", "inf", "NaN", "fast"] {
            let error = wrong.parse::<Rate>().expect_err(wrong);
            assert!(error.contains("from 0.001 to 1000000000"), "{error}");
        }
    }

    #[test]
    fn counts_and_shares_have_a_range() {
        for wrong in ["0", "-1", "1000001", "18446744073709551616", "1.5"] {
            let error = parse_count(wrong).expect_err(wrong);
            assert_eq!(error, "expected a whole number from 1 to 1000000");
        }
        for wrong in ["NaN", "-0.1", "1.1", "inf"] {
            assert!(parse_share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_is_accepted_instead_of_text() {
        assert_eq!(serde_json::from_str::<Rate>("0.5").unwrap(), Rate::PerSecond(0.5));
        assert_eq!(serde_json::from_str::<Concurrency>("7").unwrap(), Concurrency::Fixed(7));
        let why = serde_json::from_str::<Rate>("\"fast\"").unwrap_err().to_string();
        assert!(why.starts_with("expected operations per second"), "{why}");
    }
}
