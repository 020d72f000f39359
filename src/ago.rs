//! Times in words, relative to now: `3 min ago`.

use std::time::{Duration, SystemTime};

/// How long ago a time in RFC 3339 was; empty if it cannot be read.
pub(crate) fn ago(utc: &str, now: SystemTime) -> String {
    match humantime::parse_rfc3339(utc) {
        Ok(then) => words(now.duration_since(then).unwrap_or_default()),
        Err(_) => String::new(),
    }
}

fn words(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => "just now".into(),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_the_unit_that_suits_it() {
        let ages = [59, 60, 3_599, 3_600, 172_799, 172_800].map(|s| words(Duration::from_secs(s)));
        assert_eq!(ages, ["just now", "1 min ago", "59 min ago", "1 h ago", "47 h ago", "2 days ago"]);
        assert_eq!(ago("yesterday", SystemTime::UNIX_EPOCH), "");
        assert_eq!(
            ago("1970-01-01T00:00:00Z", SystemTime::UNIX_EPOCH + Duration::from_secs(600)),
            "10 min ago"
        );
    }
}
