//! Errors about unknown names: "did you mean ...?"

use strsim::osa_distance;

/// An error about a name that does not exist: the most similar known name, or all of them if none is similar.
///
/// ```
/// use tribunal_records::suggest::unknown;
///
/// assert_eq!(unknown("system", "rraft", &["raft", "abd"]), "there is no system `rraft`: did you mean `raft`?");
/// assert_eq!(unknown("system", "x", &["raft", "abd"]), "there is no system `x`: expected one of raft, abd");
/// ```
pub fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    match suggest(name, known.iter().copied()) {
        _ if name.is_empty() => format!("expected the name of a {what}: one of {}", known.join(", ")),
        Some(near) => format!("there is no {what} `{name}`: did you mean `{near}`?"),
        None => format!("there is no {what} `{name}`: expected one of {}", known.join(", ")),
    }
}

/// The option that `text` is probably a typo of: at most a third of its letters differ.
pub fn suggest<'a>(text: &str, options: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |option: &&str| {
        let (longer, distance) = (text.len().max(option.len()), osa_distance(text, option));
        distance <= (longer / 3).max(1) && distance < longer
    };
    options.into_iter().filter(near).min_by_key(|option| osa_distance(text, option))
}

/// The name that is meant, if this is serde's message about an unknown name and those that are known.
///
/// ```
/// use tribunal_records::suggest::of_unknown_field;
///
/// assert_eq!(of_unknown_field("unknown field `stp`, expected one of `phase`, `step`"), Some("step"));
/// ```
pub fn of_unknown_field(message: &str) -> Option<&str> {
    let mut names = message.strip_prefix("unknown ")?.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    suggest(unknown, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_are_recognised_and_other_names_are_not() {
        let options = ["kill", "pause", "partition"];
        assert_eq!(suggest("partitoin", options), Some("partition"));
        assert_eq!(suggest("kil", options), Some("kill"));
        assert_eq!(suggest("paused", options), Some("pause"));
        assert_eq!(suggest("klil", options), Some("kill"));
        assert_eq!(suggest("clock-skew", options), None);
        assert_eq!(suggest("h", ["s"]), None);
    }
}
