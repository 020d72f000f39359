//! Texts with placeholders: `--listen={host}:{port.peer}`. `{{` and `}}` are braces.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The values of placeholders, by name.
pub(super) type Values = BTreeMap<String, String>;

/// Knows the values of placeholders.
pub(super) trait Fills {
    /// The value of a placeholder; `None` if it is another's.
    fn value(&self, name: &str) -> Option<Cow<'_, str>>;
}

impl Fills for Values {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(|value| value.as_str().into())
    }
}

/// A text with placeholders whose names have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(String),
}

impl Template {
    /// # Errors
    /// A brace that is not closed, or a name that is not `known`.
    pub(super) fn parse(text: &str, known: &[&str]) -> Result<Template, String> {
        if text.contains('\0') {
            return Err(format!("`{}`: no text may contain a zero byte", text.replace('\0', "\\0")));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut plain = String::new();
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if let Some(after) = after.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let name = after.split_once('}').filter(|_| brace == "{");
            let Some((name, after)) = name else {
                return Err(format!("`{text}`: a lone `{brace}`: write `{brace}{brace}` for a brace"));
            };
            if !known.contains(&name) {
                let known: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
                return Err(format!(
                    "`{text}`: there is no placeholder `{{{name}}}`: expected one of {}",
                    known.join(" ")
                ));
            }
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Name(name.to_string()));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Template(pieces))
    }

    /// The texts, each with the placeholder that follows it.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(super) fn parts(&self) -> impl Iterator<Item = (&str, Option<Template>)> {
        self.0.iter().map(|piece| match piece {
            Piece::Text(text) => (text.as_str(), None),
            Piece::Name(_) => ("", Some(Template(vec![piece.clone()]))),
        })
    }

    /// The text with the placeholders replaced by `values`.
    pub(super) fn fill(&self, values: &impl Fills) -> String {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Name(name) => filled.push_str(&values.value(name).unwrap_or_default()),
            }
        }
        filled
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Name(name) => write!(f, "{{{name}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Template, String> {
        Template::parse(text, &["id", "port.peer"])
    }

    #[test]
    fn names_are_filled_and_braces_doubled() {
        let values = Values::from([("id".into(), "n1".into()), ("port.peer".into(), "7".into())]);
        let fill = |text: &str| parse(text).unwrap().fill(&values);
        assert_eq!(fill("--id={id} :{port.peer}"), "--id=n1 :7");
        assert_eq!(fill(r#"{{"id": "{id}"}}"#), r#"{"id": "n1"}"#);
        assert_eq!(fill(""), "");
    }

    #[test]
    fn what_cannot_be_filled_is_refused() {
        assert_eq!(
            parse("{ip}").unwrap_err(),
            "`{ip}`: there is no placeholder `{ip}`: expected one of {id} {port.peer}"
        );
        assert_eq!(parse("a {id").unwrap_err(), "`a {id`: a lone `{`: write `{{` for a brace");
        assert_eq!(parse("a }").unwrap_err(), "`a }`: a lone `}`: write `}}` for a brace");
    }
}
