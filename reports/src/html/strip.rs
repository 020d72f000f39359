//! The labels of fault strips: inside the strip if they fit, otherwise beside it, and never cut.

/// The width of a label's character, in pixels at 12 px.
const CHAR: f64 = 6.9;
/// The space between the end of a strip and its label.
const GAP: f64 = 6.0;

/// A label and its left edge.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) text: String,
    pub(super) x: f64,
}

/// Places a label at a strip from `from` to `to`, between `left` and `right`: the first of some texts, the
/// longest first, that fits inside the strip, or else the first that fits on its right, or on its left. A row
/// has only one strip. If none fits anywhere, the last text is at the left edge.
pub(super) fn placed(texts: &[String], (from, to): (f64, f64), (left, right): (f64, f64)) -> Placed {
    let width = |text: &String| text.chars().count() as f64 * CHAR;
    let at = |text: &String, x: f64| Placed { text: text.clone(), x };
    let inside = texts.iter().find(|text| width(text) + 2.0 * GAP <= to - from);
    let on_the_right = || texts.iter().find(|text| to + GAP + width(text) <= right);
    let on_the_left = || texts.iter().find(|text| left + width(text) + GAP <= from);
    let last = || texts.last().map(|text| at(text, left)).unwrap_or(Placed { text: String::new(), x: left });
    let inside = inside.map(|text| at(text, from + GAP));
    let inside = inside.or_else(|| on_the_right().map(|text| at(text, to + GAP)));
    inside.or_else(|| on_the_left().map(|text| at(text, from - GAP - width(text)))).unwrap_or_else(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(from: f64, to: f64) -> (String, f64) {
        let texts = ["partition {n1 | n2} · from 1 s to 2 s".to_string(), "partition {n1 | n2}".to_string()];
        let Placed { text, x } = placed(&texts, (from, to), (0.0, 400.0));
        (text, x.round())
    }

    #[test]
    fn a_label_is_inside_or_beside_its_strip() {
        assert_eq!(
            at(0.0, 300.0),
            ("partition {n1 | n2} · from 1 s to 2 s".into(), 6.0),
            "the long one fits"
        );
        assert_eq!(at(10.0, 200.0), ("partition {n1 | n2}".into(), 16.0), "the short one fits");
        assert_eq!(at(10.0, 20.0), ("partition {n1 | n2} · from 1 s to 2 s".into(), 26.0), "on the right");
        assert_eq!(at(380.0, 400.0), ("partition {n1 | n2} · from 1 s to 2 s".into(), 119.0), "on the left");
    }
}
