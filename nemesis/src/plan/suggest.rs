//! "Did you mean ...?"

/// The option that is most similar to `text`, if at most a third of the letters differ.
pub(crate) fn suggest<'a>(text: &str, options: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |option: &&str| distance(text, option) <= text.len().max(option.len()).div_ceil(3);
    options.into_iter().filter(near).min_by_key(|option| distance(text, option))
}

/// The Levenshtein distance: the number of letters to insert, delete or replace.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_similar_names_are_suggested() {
        let options = ["kill", "pause", "partition"];
        assert_eq!(suggest("partitoin", options), Some("partition"));
        assert_eq!(suggest("kil", options), Some("kill"));
        assert_eq!(suggest("paused", options), Some("pause"));
        assert_eq!(suggest("clock-skew", options), None);
    }
}
