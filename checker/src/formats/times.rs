//! Times as other programs write them: integers, numbers with a fraction, and dates.
//!
//! An integer is in nanoseconds and a number with a fraction in seconds, unless the name of its field ends
//! with a unit (`t_ms`) or the user gives one. A date is in ISO 8601: `2026-01-02T03:04:05.678Z`, with `Z`,
//! an offset or neither (read as UTC). Only the order and the distances of times matter, so any origin will
//! do.

use std::str::FromStr;

use super::forms::Form;
use crate::op::Nanos;

/// The unit of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

impl TimeUnit {
    /// All of them.
    pub const ALL: [TimeUnit; 4] = [TimeUnit::Ns, TimeUnit::Us, TimeUnit::Ms, TimeUnit::S];

    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            TimeUnit::Ns => "ns",
            TimeUnit::Us => "us",
            TimeUnit::Ms => "ms",
            TimeUnit::S => "s",
        }
    }

    fn nanos(self) -> u64 {
        match self {
            TimeUnit::Ns => 1,
            TimeUnit::Us => 1_000,
            TimeUnit::Ms => 1_000_000,
            TimeUnit::S => 1_000_000_000,
        }
    }

    /// Splits a name into the name proper and the unit at its end: `time_ms`, `timeMs` and `time-ms`.
    pub(super) fn at_end_of(name: &str) -> Option<(&str, TimeUnit)> {
        TimeUnit::ALL.into_iter().find_map(|unit| {
            let stem = name.strip_suffix(unit.name()).and_then(|rest| rest.strip_suffix(['_', '-']));
            let camel = match unit {
                TimeUnit::Ns => name.strip_suffix("Ns"),
                TimeUnit::Us => name.strip_suffix("Us"),
                TimeUnit::Ms => name.strip_suffix("Ms"),
                TimeUnit::S => None,
            };
            Some((stem.or(camel)?, unit))
        })
    }
}

/// The name, as on the command line.
impl FromStr for TimeUnit {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = TimeUnit::ALL.into_iter().find(|unit| unit.name() == name);
        found.ok_or_else(|| "expected one of ns, us, ms, s".into())
    }
}

/// Reads the times of one history.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    given: Option<TimeUnit>,
    /// The assumed unit, fixed by the first number without one: nanoseconds for an integer, else seconds.
    guessed: Option<TimeUnit>,
}

impl Times {
    pub(super) fn new(given: Option<TimeUnit>) -> Self {
        Times { given, guessed: None }
    }

    /// Whether seconds were assumed.
    pub(super) fn guessed_seconds(self) -> bool {
        self.guessed == Some(TimeUnit::S)
    }

    /// An integer without a unit, in nanoseconds; `None` if the result is beyond 64 bits.
    pub(super) fn whole(&mut self, number: u64) -> Option<Nanos> {
        let unit = self.given.unwrap_or(*self.guessed.get_or_insert(TimeUnit::Ns));
        number.checked_mul(unit.nanos())
    }

    /// A time in nanoseconds; `None` for a time before the origin, which is no information. `unit` is the one
    /// in the name of the field.
    ///
    /// # Errors
    /// What was expected.
    pub(super) fn read(&mut self, form: &Form, unit: Option<TimeUnit>) -> Result<Option<Nanos>, String> {
        let form = if let Form::Tagged("inst", date) = form { date } else { form };
        let text = match form {
            Form::Int(number) => &*number.to_string(),
            Form::Opaque(text) => text,
            Form::Text(text) => {
                if let Some(nanos) = date(text) {
                    return Ok(Nanos::try_from(nanos).ok());
                }
                text
            }
            _ => return Err(EXPECTED.into()),
        };
        let Decimal { negative, whole, billionths, has_fraction } = Decimal::read(text).ok_or(EXPECTED)?;
        let unit = match (unit.or(self.given), self.guessed) {
            (Some(unit), _) => unit,
            (None, Some(TimeUnit::Ns)) if has_fraction => {
                return Err(
                    "a whole number of nanoseconds, as before (option `time-unit` names another unit)".into(),
                );
            }
            (None, Some(unit)) => unit,
            (None, None) => *self.guessed.insert(if has_fraction { TimeUnit::S } else { TimeUnit::Ns }),
        };
        if negative {
            return Ok(None);
        }
        let nanos = u128::from(whole) * u128::from(unit.nanos())
            + u128::from(billionths) * u128::from(unit.nanos()) / 1_000_000_000;
        Nanos::try_from(nanos).map(Some).map_err(|_| "a time of at most 64 bits in nanoseconds".into())
    }
}

const EXPECTED: &str = "a time: a number, or a date such as 2026-01-02T03:04:05.678Z";

/// A number as it is written, without the rounding of floating point: `1764429261.123456`, `1.7e9`.
struct Decimal {
    negative: bool,
    whole: u64,
    billionths: u64,
    has_fraction: bool,
}

impl Decimal {
    fn read(text: &str) -> Option<Decimal> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let text = text.strip_suffix(['N', 'M']).unwrap_or(text);
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || exponent.abs() > 30 {
            return None;
        }
        // Move the point by the exponent.
        let all = format!("{:0>40}{whole}{fraction}{:0<40}", "", "");
        let point = usize::try_from(40 + whole.len() as i32 + exponent).ok()?;
        let (whole, rest) = (all.get(..point)?, all.get(point..point + 9)?);
        let has_fraction = text.contains(['.', 'e', 'E']);
        Some(Decimal { negative, whole: whole.parse().ok()?, billionths: rest.parse().ok()?, has_fraction })
    }
}

/// The nanoseconds from 1970 to a date of ISO 8601 with a time of day; `None` if the text is not one.
fn date(text: &str) -> Option<i128> {
    let text = text.trim();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let is = |at: usize, marks: &[u8]| text.as_bytes().get(at).is_some_and(|byte| marks.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 24 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix(['.', ',']) {
        Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
        None => ("0", rest),
    };
    let billionths: i128 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let east_minutes = match zone.trim() {
        "" | "Z" | "z" | "UTC" | "GMT" | "{GMT}" => 0,
        offset => {
            let sign = if offset.starts_with('-') { -1 } else { 1 };
            let digits = offset.strip_prefix(['+', '-'])?.replace(':', "");
            let hours: i64 = digits.get(..2)?.parse().ok()?;
            sign * (hours * 60
                + digits.get(2..).filter(|it| !it.is_empty()).map_or(Ok(0), str::parse).ok()?)
        }
    };
    let seconds = (days(year, month, day) * 24 + hour) * 3600 + (minute - east_minutes) * 60 + second;
    Some(i128::from(seconds) * 1_000_000_000 + billionths)
}

/// The days from 1970-01-01 to a day of the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level
/// date algorithms": years begin in March, so that the leap day comes last).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, given: Option<TimeUnit>) -> Result<Option<Nanos>, String> {
        let form = if text.contains(['T', ':']) { Form::Text(text.into()) } else { Form::Opaque(text) };
        Times::new(given).read(&form, None)
    }

    #[test]
    fn times_are_read_exactly() {
        for (text, given, nanos) in [
            ("12", None, 12),
            ("12", Some(TimeUnit::Ms), 12_000_000),
            ("1764429261.123456789", None, 1_764_429_261_123_456_789),
            ("1.5", Some(TimeUnit::Us), 1_500),
            ("1.5e3", None, 1_500_000_000_000),
            ("25e-1", Some(TimeUnit::S), 2_500_000_000),
            ("1970-01-01T00:00:01Z", None, 1_000_000_000),
            ("2000-03-01T00:00:00.25Z", None, 951_868_800_250_000_000),
            ("1970-01-01T02:00:00+02:00", None, 0),
        ] {
            assert_eq!(read(text, given), Ok(Some(nanos)), "{text}");
        }
        assert_eq!(read("-1", None), Ok(None));
        for wrong in ["noon", "1.2.3", "99999999999999999999", "1e99", "2026-13-01T00:00:00Z"] {
            assert!(read(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_fraction_among_nanoseconds_is_a_question_of_the_unit() {
        let mut times = Times::default();
        assert_eq!(times.whole(5), Some(5));
        assert!(times.read(&Form::Opaque("5.5"), None).unwrap_err().contains("option `time-unit`"));
        assert_eq!(times.read(&Form::Opaque("5.5"), Some(TimeUnit::Us)), Ok(Some(5_500)));
    }
}
