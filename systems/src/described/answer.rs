//! The meaning of a response: the rules of a description, applied to a status and a body.

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine};
use regex_lite::Regex;
use tribunal_checker::op::{F, Value};
use tribunal_workloads::Completion;

use super::file;

/// The rules of one operation.
#[derive(Clone, Debug)]
pub(super) struct Answers(Vec<(Meaning, Rule)>);

/// The outcome if a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Ok,
    Nil,
    Refused,
    Fail,
}

#[derive(Clone, Debug)]
struct Rule {
    status: Option<u16>,
    matches: Option<Regex>,
    pointer: Option<String>,
    text: bool,
    base64: bool,
    split: Option<String>,
}

impl Answers {
    /// # Errors
    /// The error, with the key that contains it.
    pub(super) fn new(operation: &file::Operation) -> Result<Answers, String> {
        let all = [
            ("fail", Meaning::Fail, &operation.fail),
            ("refused", Meaning::Refused, &operation.refused),
            ("nil", Meaning::Nil, &operation.nil),
            ("ok", Meaning::Ok, &operation.ok),
        ];
        let mut rules = Vec::new();
        for (key, meaning, of) in all {
            for rule in &of.0 {
                rules.push((meaning, Rule::new(rule).map_err(|why| format!("{key}: {why}"))?));
            }
        }
        if rules.is_empty() {
            return Err("no answer means anything: expected `ok = { status = 200 }` or the like".into());
        }
        Ok(Answers(rules))
    }

    /// The completion of an operation with this response. `status` is `None` if the protocol has none.
    pub(super) fn completion(&self, f: &F, status: Option<u16>, body: &[u8]) -> Completion {
        let text = String::from_utf8_lossy(body);
        let Some((meaning, rule)) = self.0.iter().find(|(_, rule)| rule.fits(status, &text)) else {
            let status = status.map_or(String::new(), |status| format!("{status} "));
            return Completion::Info(format!("no rule fits the answer {status}{}", shortened(&text)));
        };
        match meaning {
            Meaning::Fail => Completion::Fail(shortened(&text)),
            Meaning::Refused => Completion::Ok(Value::Bool(false)),
            Meaning::Nil => Completion::Ok(Value::Nil),
            Meaning::Ok => match rule.value(&text) {
                Ok(Some(value)) => Completion::Ok(value),
                Ok(None) if matches!(f, F::Cas | F::Acquire | F::Release) => {
                    Completion::Ok(Value::Bool(true))
                }
                Ok(None) => Completion::Ok(Value::Nil),
                Err(why) => Completion::Info(format!("{why}: {}", shortened(&text))),
            },
        }
    }
}

impl Rule {
    fn new(rule: &file::Rule) -> Result<Rule, String> {
        let matches = rule.matches.as_deref().map(Regex::new).transpose();
        let matches = matches.map_err(|error| format!("matches: {error}"))?;
        if rule.status.is_none() && matches.is_none() {
            return Err("expected `status` or `matches`".into());
        }
        if rule.pointer.is_some() && rule.text {
            return Err("expected `pointer` or `text`, not both".into());
        }
        if (rule.base64 || rule.split.is_some()) && rule.pointer.is_none() && !rule.text {
            return Err(
                "`base64` and `split` say how to read a value: expected `pointer` or `text`, too".into()
            );
        }
        if let Some(pointer) = rule.pointer.as_deref().filter(|it| !it.is_empty() && !it.starts_with('/')) {
            return Err(format!("pointer: expected a JSON pointer such as `/value`, not `{pointer}`"));
        }
        Ok(Rule {
            status: rule.status,
            matches,
            pointer: rule.pointer.clone(),
            text: rule.text,
            base64: rule.base64,
            split: rule.split.clone(),
        })
    }

    fn fits(&self, status: Option<u16>, text: &str) -> bool {
        self.status.is_none_or(|wanted| status == Some(wanted))
            && self.matches.as_ref().is_none_or(|regex| regex.is_match(text))
    }

    /// The value in the response, if the rule says where it is.
    fn value(&self, text: &str) -> Result<Option<Value>, String> {
        if let Some(pointer) = &self.pointer {
            let json: serde_json::Value =
                serde_json::from_str(text).map_err(|error| format!("the answer is no JSON ({error})"))?;
            let found = json.pointer(pointer).ok_or_else(|| format!("there is nothing at `{pointer}`"))?;
            return self.of_json(found).map(Some);
        }
        if self.text {
            let captured = self.matches.as_ref().and_then(|regex| regex.captures(text)?.get(1));
            return self.of_text(captured.map_or(text, |group| group.as_str())).map(Some);
        }
        Ok(None)
    }

    fn of_json(&self, json: &serde_json::Value) -> Result<Value, String> {
        use serde_json::Value as Json;
        Ok(match json {
            Json::Null => Value::Nil,
            Json::Bool(truth) => Value::Bool(*truth),
            Json::String(text) => self.of_text(text)?,
            Json::Number(number) => match number.as_i64() {
                Some(number) => Value::Int(number),
                None => return Err(format!("{number} is no integer of 64 bits")),
            },
            Json::Array(items) => {
                let items: Result<Vec<Value>, String> = items.iter().map(|item| self.of_json(item)).collect();
                Value::List(items?.into())
            }
            Json::Object(_) => return Err("an object is no value".into()),
        })
    }

    fn of_text(&self, text: &str) -> Result<Value, String> {
        let decoded;
        let text = match self.base64 {
            true => {
                let bytes =
                    BASE64_STANDARD.decode(text.trim()).map_err(|error| format!("no base64 ({error})"))?;
                decoded = String::from_utf8(bytes).map_err(|_| "base64 of what is no UTF-8".to_string())?;
                &decoded
            }
            false => text,
        };
        Ok(match &self.split {
            Some(between) => {
                let items = text.split(between.as_str()).map(str::trim).filter(|item| !item.is_empty());
                Value::List(items.map(plain).collect::<Arc<[Value]>>())
            }
            None => plain(text.trim()),
        })
    }
}

/// An integer if it is one, otherwise the text.
fn plain(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::str(text), Value::Int)
}

/// The start of a response, for an error message.
pub(super) fn shortened(text: &str) -> String {
    const CHARS: usize = 120;
    let text = text.trim();
    match text.char_indices().nth(CHARS) {
        Some((at, _)) => format!("`{}...`", &text[..at]),
        None => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(toml: &str) -> Result<Answers, String> {
        Answers::new(&toml::from_str(&format!("request = 'x'\n{toml}")).map_err(|error| error.to_string())?)
    }

    #[test]
    fn rules_say_what_an_answer_means() {
        let read = answers(
            "ok = { status = 200, pointer = '/v' }\nnil = { status = 404 }\n\
             fail = [{ status = 503, matches = 'no leader' }]",
        )
        .unwrap();
        let ended = |status, body: &str| read.completion(&F::Read, Some(status), body.as_bytes());
        assert_eq!(ended(200, r#"{"v": "7"}"#), Completion::Ok(Value::Int(7)));
        assert_eq!(ended(200, r#"{"v": [1, "a"]}"#), Completion::Ok(Value::pair(1, Value::str("a"))));
        assert_eq!(ended(404, "gone"), Completion::Ok(Value::Nil));
        assert_eq!(ended(503, "no leader\n"), Completion::Fail("`no leader`".into()));
        assert_eq!(ended(503, "busy"), Completion::Info("no rule fits the answer 503 `busy`".into()));
        assert_eq!(ended(200, "{}"), Completion::Info("there is nothing at `/v`: `{}`".into()));
    }

    #[test]
    fn text_is_taken_by_a_group_decoded_and_split() {
        let line = answers("ok = { matches = '^VALUE (.*)$', text = true, split = ',' }").unwrap();
        let list = Value::List([Value::Int(1), Value::Int(2)].into());
        assert_eq!(line.completion(&F::Read, None, b"VALUE 1, 2"), Completion::Ok(list));
        let coded = answers("ok = { status = 200, text = true, base64 = true }").unwrap();
        assert_eq!(coded.completion(&F::Read, Some(200), b"NDI="), Completion::Ok(Value::Int(42)));
        assert!(matches!(coded.completion(&F::Read, Some(200), b"?"), Completion::Info(_)));
    }

    #[test]
    fn a_change_without_a_value_succeeded_or_was_refused() {
        let cas = answers("ok = { status = 200 }\nrefused = { status = 409 }").unwrap();
        assert_eq!(cas.completion(&F::Cas, Some(200), b""), Completion::Ok(Value::Bool(true)));
        assert_eq!(cas.completion(&F::Cas, Some(409), b""), Completion::Ok(Value::Bool(false)));
        assert_eq!(cas.completion(&F::Write, Some(200), b""), Completion::Ok(Value::Nil));
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        let why = |toml: &str| answers(toml).map(drop).unwrap_err();
        assert!(why("").starts_with("no answer means anything"));
        assert_eq!(why("ok = {}"), "ok: expected `status` or `matches`");
        assert_eq!(
            why("ok = { status = 200, pointer = 'v' }"),
            "ok: pointer: expected a JSON pointer such as `/value`, not `v`"
        );
        assert!(why("ok = { status = 200, base64 = true }").contains("expected `pointer` or `text`, too"));
        assert!(why("ok = { matches = '(' }").starts_with("ok: matches: "));
        assert!(
            why("ok = { stats = 200 }").contains("stats")
                || why("ok = { stats = 200 }").contains("did not match")
        );
    }
}
