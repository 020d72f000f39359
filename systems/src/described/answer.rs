//! The meaning of a response: the rules of a description, applied to a status and a body.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use regex_lite::Regex;
use tribunal_checker::op::{F, Value};
use tribunal_workloads::Completion;

use super::file::{self, Kind, Wire};

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

/// A response, as its wire protocol delivers it.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard<'a> {
    /// The status, if the protocol has one.
    pub(super) status: Option<u16>,
    /// The kind, if the protocol has kinds.
    pub(super) kind: Option<Kind>,
    /// The body, or the line.
    pub(super) text: Cow<'a, str>,
    /// The items of a list, if the protocol has lists.
    pub(super) items: Option<Vec<String>>,
    /// How many rows a statement returned or changed, if the protocol has rows.
    pub(super) rows: Option<u64>,
    /// The first row: names and values of its columns.
    pub(super) columns: Vec<(String, Result<Value, String>)>,
    /// The SQLSTATE of an error.
    pub(super) state: Option<&'a str>,
    /// The protocol guarantees that the operation did not happen. A rule may still say what it means.
    pub(super) undone: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    status: Option<u16>,
    kind: Option<Kind>,
    matches: Option<Regex>,
    has: Option<String>,
    lacks: Option<String>,
    pointer: Option<String>,
    text: bool,
    base64: bool,
    split: Option<String>,
    rows: Option<u64>,
    state: Option<String>,
    column: Option<String>,
}

impl Answers {
    /// # Errors
    /// The key of the wrong rule (empty: the whole operation), and the reason.
    pub(super) fn new(
        fail_of_all: &file::Rules,
        operation: &file::Operation,
        wire: Wire,
        returns_value: bool,
    ) -> Result<Answers, (String, String)> {
        let all = [
            ("client.fail", Meaning::Fail, fail_of_all),
            ("fail", Meaning::Fail, &operation.fail),
            ("refused", Meaning::Refused, &operation.refused),
            ("nil", Meaning::Nil, &operation.nil),
            ("ok", Meaning::Ok, &operation.ok),
        ];
        let mut rules = Vec::new();
        for (key, meaning, of) in all {
            for rule in &of.0 {
                let made = Rule::new(rule, wire).map_err(|why| (key.to_string(), why))?;
                if meaning == Meaning::Ok && returns_value && !rule.has_value() {
                    let why = format!(
                        "the operation returns a value, and this rule does not say where it is: expected {}",
                        wire.value_example()
                    );
                    return Err((key.to_string(), why));
                }
                rules.push((meaning, made));
            }
        }
        if rules.len() == fail_of_all.0.len() {
            let why = format!("no answer means anything: expected {}, or the like", wire.example());
            return Err((String::new(), why));
        }
        if operation.ok.0.is_empty() {
            let example = if returns_value { wire.value_example() } else { wire.example() };
            return Err((String::new(), format!("no answer means that it happened: expected {example}")));
        }
        Ok(Answers(rules))
    }

    /// The completion of an operation with this response.
    pub(super) fn completion(&self, f: &F, heard: &Heard<'_>) -> Completion {
        let Some((meaning, rule)) = self.0.iter().find(|(_, rule)| rule.fits(heard)) else {
            if heard.undone {
                return Completion::Fail(shortened(&heard.text));
            }
            let what = match (heard.status, heard.kind, heard.rows) {
                (Some(status), ..) => format!("{status} "),
                (None, Some(kind), _) => format!("({}) ", kind.name()),
                (None, None, Some(rows)) => {
                    return Completion::Info(format!("no rule fits an answer of {rows} rows"));
                }
                (None, None, None) => String::new(),
            };
            return Completion::Info(format!("no rule fits the answer {what}{}", shortened(&heard.text)));
        };
        match meaning {
            Meaning::Fail => Completion::Fail(shortened(&heard.text)),
            Meaning::Refused => Completion::Ok(Value::Bool(false)),
            Meaning::Nil => Completion::Ok(Value::Nil),
            Meaning::Ok => match rule.value(heard) {
                Ok(Some(value)) => Completion::Ok(value),
                Ok(None) if matches!(f, F::Cas | F::Acquire | F::Release) => {
                    Completion::Ok(Value::Bool(true))
                }
                Ok(None) => Completion::Ok(Value::Nil),
                Err(why) => Completion::Info(format!("{why}: {}", shortened(&heard.text))),
            },
        }
    }
}

impl Rule {
    fn new(rule: &file::Rule, wire: Wire) -> Result<Rule, String> {
        let matches = rule.matches.as_deref().map(Regex::new).transpose();
        let matches = matches.map_err(|error| format!("matches: {error}"))?;
        if rule.status.is_some() && wire != Wire::Http {
            return Err(format!("`status` belongs to the wire `http`: expected {}", wire.example()));
        }
        if let Some(status) = rule.status.filter(|status| !(100..600).contains(status)) {
            return Err(format!("expected a status from 100 to 599, not {status}"));
        }
        if rule.split.as_deref() == Some("") {
            return Err("split: expected a separator, such as `,`".into());
        }
        if rule.kind.is_some() && !wire.has_kinds() {
            return Err(format!("the wire `{}` has no kinds: expected {}", wire.name(), wire.example()));
        }
        let of_rows = [
            ("rows", rule.rows.is_some()),
            ("state", rule.state.is_some()),
            ("column", rule.column.is_some()),
        ];
        let of_bodies = [
            ("has", rule.has.is_some()),
            ("lacks", rule.lacks.is_some()),
            ("pointer", rule.pointer.is_some()),
            ("text", rule.text),
            ("base64", rule.base64),
        ];
        let misplaced = if wire.has_rows() { &of_bodies[..] } else { &of_rows[..] };
        if let Some((key, _)) = misplaced.iter().find(|(_, is_there)| *is_there) {
            let wires = if wire.has_rows() { "other wires" } else { "the wires `postgres` and `mysql`" };
            return Err(format!("`{key}` belongs to {wires}: expected {}", wire.example()));
        }
        if let Some(state) = &rule.state {
            if state.len() < 2 || state.len() > 5 || !state.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(format!(
                    "state: expected an SQLSTATE such as `40001`, or its class `40`, not `{state}`"
                ));
            }
            if is_unknown(state) {
                return Err(format!("state: {state} does not say whether the transaction was committed"));
            }
        }
        let decides = rule.status.is_some()
            || rule.kind.is_some()
            || matches.is_some()
            || rule.rows.is_some()
            || rule.state.is_some();
        if !decides && rule.has.is_none() && rule.lacks.is_none() {
            return Err(format!("a rule without a condition: expected {}", wire.example()));
        }
        if rule.pointer.is_some() && rule.text {
            return Err("expected `pointer` or `text`, not both".into());
        }
        if (rule.base64 || rule.split.is_some()) && !rule.has_value() {
            return Err(
                "`base64` and `split` say how to read a value: expected `pointer` or `text`, too".into()
            );
        }
        for (key, pointer) in [("pointer", &rule.pointer), ("has", &rule.has), ("lacks", &rule.lacks)] {
            if let Some(pointer) = pointer.as_deref().filter(|it| !it.is_empty() && !it.starts_with('/')) {
                return Err(format!("{key}: expected a JSON pointer such as `/value`, not `{pointer}`"));
            }
        }
        Ok(Rule {
            status: rule.status,
            kind: rule.kind,
            matches,
            has: rule.has.clone(),
            lacks: rule.lacks.clone(),
            pointer: rule.pointer.clone(),
            text: rule.text,
            base64: rule.base64,
            split: rule.split.clone(),
            rows: rule.rows,
            state: rule.state.clone(),
            column: rule.column.clone(),
        })
    }

    fn fits(&self, heard: &Heard<'_>) -> bool {
        let is_at = |pointer: &String| {
            let json = serde_json::from_str::<serde_json::Value>(&heard.text).ok();
            json.map(|json| json.pointer(pointer).is_some())
        };
        self.status.is_none_or(|wanted| heard.status == Some(wanted))
            && self.kind.is_none_or(|wanted| heard.kind == Some(wanted))
            && self.rows.is_none_or(|wanted| heard.rows == Some(wanted))
            && self.state.as_ref().is_none_or(|wanted| heard.state.is_some_and(|it| it.starts_with(wanted)))
            && self.matches.as_ref().is_none_or(|regex| regex.is_match(&heard.text))
            && self.has.as_ref().is_none_or(|pointer| is_at(pointer) == Some(true))
            && self.lacks.as_ref().is_none_or(|pointer| is_at(pointer) == Some(false))
    }

    /// The value in the response, if the rule says where it is.
    fn value(&self, heard: &Heard<'_>) -> Result<Option<Value>, String> {
        let text = &*heard.text;
        if let Some(column) = &self.column {
            let found = heard.columns.iter().find(|(name, _)| name == column);
            let (_, value) = found.ok_or_else(|| format!("there is no column `{column}`"))?;
            return match (value, &self.split) {
                (Ok(Value::Nil), Some(_)) => Ok(Some(Value::List([].into()))),
                (Ok(value), Some(_)) => self.of_text(&value.to_string()).map(Some),
                (value, _) => value.clone().map(Some),
            };
        }
        if let Some(pointer) = &self.pointer {
            let json: serde_json::Value =
                serde_json::from_str(text).map_err(|error| format!("the answer is no JSON ({error})"))?;
            let found = json.pointer(pointer).ok_or_else(|| format!("there is nothing at `{pointer}`"))?;
            return self.of_json(found).map(Some);
        }
        match &heard.items {
            _ if !self.text => Ok(None),
            Some(items) => {
                let items: Result<Vec<Value>, String> = items.iter().map(|item| self.of_text(item)).collect();
                Ok(Some(Value::List(items?.into())))
            }
            None => {
                let captured = self.matches.as_ref().and_then(|regex| regex.captures(text)?.get(1));
                self.of_text(captured.map_or(text, |group| group.as_str())).map(Some)
            }
        }
    }

    fn of_json(&self, json: &serde_json::Value) -> Result<Value, String> {
        use serde_json::Value as Json;
        Ok(match json {
            Json::Null => Value::Nil,
            Json::Bool(truth) => Value::Bool(*truth),
            Json::String(text) => self.of_text(text)?,
            Json::Number(number) => match integer(number) {
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
                let bytes = BASE64.decode(text.trim()).map_err(|error| format!("no base64 ({error})"))?;
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

/// Whether an SQLSTATE does not say if the transaction was committed: the connection, or the server, is going away.
pub(super) fn is_unknown(state: &str) -> bool {
    state.starts_with("08") || state.starts_with("57P0") || state == "40003"
}

/// The integer that a JSON number is: some servers write 7 as `7.0`.
fn integer(number: &serde_json::Number) -> Option<i64> {
    /// Every integer up to this one has a float of its own.
    const EXACT_MAX: f64 = (1u64 << 53) as f64;
    let float =
        || number.as_f64().filter(|it| it.fract() == 0.0 && it.abs() <= EXACT_MAX).map(|it| it as i64);
    number.as_i64().or_else(float)
}

/// An integer if it is one, otherwise the text.
pub(super) fn plain(text: &str) -> Value {
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
        let operation = toml::from_str(&format!("request = 'x'\n{toml}"));
        let operation = operation.map_err(|error| error.to_string())?;
        Answers::new(&file::Rules::default(), &operation, Wire::Http, false)
            .map_err(|(key, why)| format!("{key}: {why}"))
    }

    fn http(status: u16, body: &str) -> Heard<'_> {
        Heard { status: Some(status), text: body.into(), ..Heard::default() }
    }

    #[test]
    fn rules_say_what_an_answer_means() {
        let read = answers(
            "ok = { status = 200, pointer = '/v' }\nnil = { status = 404 }\n\
             fail = [{ status = 503, matches = 'no leader' }]",
        )
        .unwrap();
        let ended = |status, body: &str| read.completion(&F::Read, &http(status, body));
        assert_eq!(ended(200, r#"{"v": "7"}"#), Completion::Ok(Value::Int(7)));
        assert_eq!(ended(200, r#"{"v": 7.0}"#), Completion::Ok(Value::Int(7)));
        assert!(matches!(ended(200, r#"{"v": 7.5}"#), Completion::Info(_)));
        assert_eq!(ended(200, r#"{"v": [1, "a"]}"#), Completion::Ok(Value::pair(1, Value::str("a"))));
        assert_eq!(ended(404, "gone"), Completion::Ok(Value::Nil));
        assert_eq!(ended(503, "no leader\n"), Completion::Fail("`no leader`".into()));
        assert_eq!(ended(503, "busy"), Completion::Info("no rule fits the answer 503 `busy`".into()));
        assert_eq!(ended(200, "{}"), Completion::Info("there is nothing at `/v`: `{}`".into()));
    }

    #[test]
    fn what_is_a_failure_of_every_operation_comes_first() {
        let of_all: file::Operation = toml::from_str("request = 'x'\nfail = { status = 503 }").unwrap();
        let own = toml::from_str("request = 'x'\nok = { matches = '.*' }").unwrap();
        let write = Answers::new(&of_all.fail, &own, Wire::Http, false).unwrap();
        assert_eq!(write.completion(&F::Write, &http(503, "no")), Completion::Fail("`no`".into()));
        assert_eq!(write.completion(&F::Write, &http(200, "")), Completion::Ok(Value::Nil));
        let nothing = toml::from_str("request = 'x'").unwrap();
        assert!(Answers::new(&of_all.fail, &nothing, Wire::Http, false).unwrap_err().1.contains("no answer"));
    }

    #[test]
    fn text_is_taken_by_a_group_decoded_and_split() {
        let line = answers("ok = { matches = '^VALUE (.*)$', text = true, split = ',' }").unwrap();
        let list = Value::List([Value::Int(1), Value::Int(2)].into());
        assert_eq!(line.completion(&F::Read, &http(0, "VALUE 1, 2")), Completion::Ok(list));
        let coded = answers("ok = { status = 200, text = true, base64 = true }").unwrap();
        assert_eq!(coded.completion(&F::Read, &http(200, "NDI=")), Completion::Ok(Value::Int(42)));
        assert!(matches!(coded.completion(&F::Read, &http(200, "?")), Completion::Info(_)));
    }

    #[test]
    fn a_change_without_a_value_succeeded_or_was_refused() {
        let cas = answers("ok = { status = 200 }\nrefused = { status = 409 }").unwrap();
        assert_eq!(cas.completion(&F::Cas, &http(200, "")), Completion::Ok(Value::Bool(true)));
        assert_eq!(cas.completion(&F::Cas, &http(409, "")), Completion::Ok(Value::Bool(false)));
        assert_eq!(cas.completion(&F::Write, &http(200, "")), Completion::Ok(Value::Nil));
    }

    #[test]
    fn a_rule_can_ask_whether_the_answer_contains_a_field() {
        let read =
            answers("ok = { status = 200, pointer = '/kvs/0' }\nnil = { status = 200, lacks = '/kvs' }")
                .unwrap();
        let ended = |body: &str| read.completion(&F::Read, &http(200, body));
        assert_eq!(ended(r#"{"kvs": [7]}"#), Completion::Ok(Value::Int(7)));
        assert_eq!(ended("{}"), Completion::Ok(Value::Nil));
        assert!(matches!(ended("no JSON"), Completion::Info(_)), "it lacks everything, and means nothing");
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        let why = |toml: &str| answers(toml).map(drop).unwrap_err();
        assert!(why("").starts_with(": no answer means anything"));
        assert!(why("refused = { status = 409 }").starts_with(": no answer means that it happened"));
        assert_eq!(why("ok = {}"), "ok: a rule without a condition: expected `ok = { status = 200 }`");
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
