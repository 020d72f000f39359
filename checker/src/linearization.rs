//! A compact notation for a legal order: most operations come in the order of their invocations.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The operations of one part in a legal order, by their positions in the part: the certificate of a
/// linearizable part. Indeterminate operations that never took effect are absent.
///
/// As text: `0-5 7 6 8-20`, positions and ranges of consecutive positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Linearization {
    /// The first and the last position of each range.
    stretches: Vec<(usize, usize)>,
}

impl Linearization {
    /// The number of operations. For a parsed text it may be any number that the text states.
    pub fn len(&self) -> usize {
        let lengths = self.stretches.iter().map(|(first, last)| (last - first).saturating_add(1));
        lengths.fold(0, usize::saturating_add)
    }

    /// Whether it has no operations.
    pub fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// The positions, in order.
    pub fn positions(&self) -> impl Iterator<Item = usize> {
        self.stretches.iter().flat_map(|&(first, last)| first..=last)
    }
}

impl FromIterator<usize> for Linearization {
    fn from_iter<I: IntoIterator<Item = usize>>(positions: I) -> Self {
        let mut stretches: Vec<(usize, usize)> = Vec::new();
        for at in positions {
            match stretches.last_mut() {
                Some((_, last)) if *last + 1 == at => *last = at,
                _ => stretches.push((at, at)),
            }
        }
        Linearization { stretches }
    }
}

impl fmt::Display for Linearization {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.stretches.iter().enumerate() {
            let space = if i > 0 { " " } else { "" };
            match first == last {
                true => write!(out, "{space}{first}")?,
                false => write!(out, "{space}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Linearization {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |word: &str| format!("`{word}`: expected a position such as 7, or a stretch such as 0-5");
        let stretch = |word: &str| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            match (first.parse(), last.parse()) {
                (Ok(first), Ok(last)) if first <= last && last < usize::MAX => Ok((first, last)),
                _ => Err(wrong(word)),
            }
        };
        Ok(Linearization { stretches: text.split_whitespace().map(stretch).collect::<Result<_, _>>()? })
    }
}

impl Serialize for Linearization {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Linearization {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_reads_back_as_the_same_order() {
        let positions = [0, 1, 2, 5, 4, 7, 8, 3];
        let order: Linearization = positions.into_iter().collect();
        assert_eq!(order.to_string(), "0-2 5 4 7-8 3");
        assert_eq!(order.to_string().parse(), Ok(order.clone()));
        assert_eq!(order.positions().collect::<Vec<_>>(), positions);
        assert_eq!((order.len(), Linearization::default().len()), (8, 0));
    }

    #[test]
    fn untrusted_text_needs_no_memory_and_errors_say_what_was_expected() {
        let endless: Linearization = "0-18446744073709551614 3".parse().expect("a stretch");
        assert_eq!(endless.len(), usize::MAX);
        for text in ["5-3", "a", "1,2", "0-18446744073709551615", "-1"] {
            let error = text.parse::<Linearization>().expect_err(text);
            assert!(error.contains("expected a position"), "{error}");
        }
    }
}
