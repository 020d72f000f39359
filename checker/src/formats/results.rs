//! `results.edn`: the results of the checkers of a Jepsen test.

use super::ParseError;
use super::forms::{Form, Forms, Notation};

/// The contents of a `results.edn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Results {
    /// Whether everything checked is valid; `None`: unknown.
    pub valid: Option<bool>,
    /// The result of the linearizability checkers, if these can be distinguished from the others.
    pub linearizable: Option<Option<bool>>,
}

/// Reads a `results.edn`. `false` wins over `:unknown`, and `:unknown` over `true`, as in Jepsen.
///
/// # Errors
/// What is malformed, or that `:valid?` is missing.
pub fn results(bytes: &[u8]) -> Result<Results, ParseError> {
    let mut forms = Forms::new(bytes, Notation::Edn)?;
    let form = forms.next()?;
    let Some((form, valid)) = form.as_ref().and_then(|form| Some((form, valid(form)?))) else {
        return Err(ParseError {
            line: 1,
            column: 1,
            expected: "a map with :valid?".into(),
            found: "none".into(),
        });
    };
    let mut linearizable = None;
    look(form, &mut linearizable);
    Ok(Results { valid, linearizable })
}

/// The `:valid?` of a map.
fn valid(form: &Form) -> Option<Option<bool>> {
    match entry(form, "valid?")? {
        Form::Bool(valid) => Some(Some(*valid)),
        form if form.name() == Some("unknown") => Some(None),
        _ => None,
    }
}

fn entry<'a, 'b>(form: &'a Form<'b>, name: &str) -> Option<&'a Form<'b>> {
    let Form::Map(map) = form else { return None };
    map.iter().find(|(key, _)| key.name() == Some(name)).map(|(_, form)| form)
}

/// Looks for the results of Knossos, which name the analyzer.
fn look(form: &Form, worst: &mut Option<Option<bool>>) {
    let Form::Map(map) = form else { return };
    if entry(form, "analyzer").is_some()
        && let Some(found) = valid(form)
    {
        let weight = |valid: Option<bool>| match valid {
            Some(false) => 2,
            None => 1,
            Some(true) => 0,
        };
        *worst = worst.filter(|worst| weight(*worst) > weight(found)).or(Some(found));
        return;
    }
    map.iter().for_each(|(_, form)| look(form, worst));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_the_analyzers_counts() {
        let text = "{:stats {:valid? true}, :linear {:valid? false, :results {1 {:linear {:valid? true, :analyzer :wgl}}
                     2 {:linear {:valid? false, :analyzer :wgl}}}}, :valid? false}";
        let found = results(text.as_bytes()).unwrap();
        assert_eq!(found, Results { valid: Some(false), linearizable: Some(Some(false)) });
        let found = results(b"{:valid? :unknown}").unwrap();
        assert_eq!(found, Results { valid: None, linearizable: None });
        assert!(results(b"[1 2]").is_err());
    }
}
