//! The published schema of `verdict.json` accepts every file written, and rejects others.

use std::fs;

use serde_json::{Value, json};
use tribunal_reports::judgement::VERDICT_SCHEMA;

use crate::scene::{self, Stage};

/// The violation of a schema by a value: the small part of JSON Schema that our schema uses.
fn broken(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        return broken(
            root,
            root.pointer(name.trim_start_matches('#')).expect("the reference leads somewhere"),
            value,
            at,
        );
    }
    let fails = |why: String| Some(format!("{at}: {why}"));
    if let Some(options) = schema["anyOf"].as_array() {
        let all: Vec<String> = options.iter().filter_map(|option| broken(root, option, value, at)).collect();
        return if all.len() < options.len() { None } else { fails(format!("none of: {}", all.join("; "))) };
    }
    if let Some(one_of) = schema["enum"].as_array() {
        return if one_of.contains(value) { None } else { fails(format!("{value} is none of {one_of:?}")) };
    }
    if let Some(only) = schema.get("const") {
        return if only == value { None } else { fails(format!("{value} is not {only}")) };
    }
    let least = schema["minimum"].as_u64();
    let fits = match schema["type"].as_str().expect("a schema says what it is") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || (value.is_i64() && least.is_none()),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{at}: no such type: {other}"),
    };
    if !fits {
        return fails(format!("{value} is no {}", schema["type"]));
    }
    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
        if let Some(why) = broken(root, &schema["items"], item, &format!("{at}/{i}")) {
            return Some(why);
        }
    }
    let fields = value.as_object()?;
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            return fails(format!("{name} is missing"));
        }
    }
    fields.iter().find_map(|(name, field)| match schema["properties"].get(name) {
        Some(schema) => broken(root, schema, field, &format!("{at}/{name}")),
        None => fails(format!("{name} is not in the schema")),
    })
}

#[test]
fn every_verdict_follows_the_schema() {
    let schema: Value = serde_json::from_str(VERDICT_SCHEMA).unwrap();
    for name in scene::names() {
        let stage = Stage::of(&name);
        let verdict: Value =
            serde_json::from_slice(&fs::read(stage.dir.path().join("verdict.json")).unwrap()).unwrap();
        assert_eq!(broken(&schema, &schema, &verdict, &name), None);
    }
}

#[test]
fn the_schema_says_no() {
    let schema: Value = serde_json::from_str(VERDICT_SCHEMA).unwrap();
    let stage = Stage::of("register-stale-read");
    let verdict: Value =
        serde_json::from_slice(&fs::read(stage.dir.path().join("verdict.json")).unwrap()).unwrap();
    let says_no = |pointer: &str, to: Value| {
        let mut verdict = verdict.clone();
        *verdict.pointer_mut(pointer).unwrap() = to;
        broken(&schema, &schema, &verdict, "").is_some()
    };
    assert!(says_no("/outcome", json!("valid")));
    assert!(says_no("/exit_code", json!(254)));
    assert!(says_no("/ops/0/op/call", json!(-1)));
    assert!(says_no("/checker/violation", json!({})));
    assert!(!says_no("/sentence", json!("another sentence")), "the change itself is no offence");
}
