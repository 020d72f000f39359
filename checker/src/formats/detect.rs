//! Format detection: one of the supported formats, or a known kind of file that is not a history.

use super::Format;
use super::entries::{Entries, nested};
use super::forms::{Form, Forms, Notation};
use super::lines::is_comment;
use super::names::{Field, Names};
use super::txt;

/// The maximum number of objects examined in search of a record; those before it are headers.
const HEADERS_MAX: usize = 64;

/// The format of a text with this beginning, if it is one.
pub(super) fn format(head: &[u8], names: &Names) -> Option<Format> {
    let text = String::from_utf8_lossy(head);
    let text = without_comments(&text);
    let inner = text.trim_start_matches(['[', '(']).trim_start();
    if head.trim_ascii().is_empty() {
        Some(Format::Jsonl)
    } else if inner.starts_with('{') && inner[1..].trim_start().starts_with('"') {
        of_objects(text, names).or_else(|| of_a_torn_object(inner))
    } else if text.starts_with('[')
        && inner.split_once(',').is_some_and(|(_, kind)| kind.trim_start().starts_with('"'))
    {
        Some(Format::Json)
    } else if text.starts_with(['{', '[', '(', '#']) || text.is_empty() {
        Some(Format::Edn)
    } else if text.split_whitespace().nth(1).is_some_and(|kind| kind.starts_with(':')) {
        Some(Format::Txt)
    } else {
        let starts = text.lines().find_map(|line| Some(txt::within(line)?.len() == line.trim_start().len()));
        match starts {
            Some(true) => Some(Format::Txt),
            Some(false) => Some(Format::Log),
            None => MARKS.iter().any(|mark| text.contains(mark)).then_some(Format::Log),
        }
    }
}

/// Texts that occur in the lines of Jepsen's logs.
const MARKS: [&str; 3] = ["jepsen.util", "jepsen.core", "jepsen worker"];

/// The text without leading comments.
fn without_comments(text: &str) -> &str {
    let mut text = text.trim_start_matches('\u{feff}').trim_start();
    while text.starts_with(';') || is_comment(text.lines().next().unwrap_or_default().as_bytes()) {
        text = text.split_once('\n').map_or("", |(_, rest)| rest).trim_start();
    }
    text
}

/// Detection by the first object that is a record.
fn of_objects(text: &str, names: &Names) -> Option<Format> {
    let mut forms = Forms::new(text.as_bytes(), Notation::Json).ok()?;
    forms.enter().ok()?;
    for _ in 0..HEADERS_MAX {
        let Form::Map(map) = forms.next().ok()?? else { continue };
        let has = |name: &str| map.iter().any(|(key, _)| key.name() == Some(name));
        let entries = Entries::of(&map, names);
        let is_event =
            entries.get(Field::Kind).and_then(Form::name).is_some_and(|word| names.kind(word).is_some());
        let is_ours =
            (has("i") && has("t") && (has("p") || has("f")) || has("schema_version")) && names.is_empty();
        let asks = entries.has(Field::F) || nested(entries.get(Field::Input), names).is_some();
        match () {
            // In an array they are generic events, not Tribunal's own format.
            () if is_ours && forms.entered() => return Some(Format::Json),
            () if is_ours => return Some(Format::Jsonl),
            () if entries.has(Field::Call) && asks => return Some(Format::Finished),
            () if entries.has(Field::Kind) && entries.has(Field::F) => return Some(Format::Json),
            () if is_event && entries.has(Field::Process) => return Some(Format::Json),
            () => {}
        }
    }
    None
}

/// Detection by the field names in an object that is cut off.
fn of_a_torn_object(text: &str) -> Option<Format> {
    let has = |field: &str| text.contains(field);
    if has("\"process\"") {
        Some(Format::Json)
    } else if has("\"client\"") {
        Some(Format::Finished)
    } else {
        (has("\"i\"") && !has("\"event\"") || text.len() < 8).then_some(Format::Jsonl)
    }
}

/// A description of the file if it is a known kind that is not a history.
pub(super) fn nearly(head: &[u8]) -> Option<String> {
    let packed = [
        (&b"\x1f\x8b"[..], "gzip"),
        (b"PK\x03\x04", "a zip archive: unpack it first"),
        (b"\x28\xb5\x2f\xfd", "zstd: unpack it first"),
        (b"BZh", "bzip2: unpack it first"),
        (b"\xfd7zXZ", "xz: unpack it first"),
        (b"JEPSEN", "a test.jepsen file, which is binary: its history is in history.edn, beside it"),
        (b"\xff\xfe", "UTF-16: save it as UTF-8"),
        (b"\xfe\xff", "UTF-16: save it as UTF-8"),
    ];
    if let Some((_, what)) = packed.into_iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(what.into());
    }
    if head.contains(&0) {
        return Some("binary data".into());
    }
    let text = String::from_utf8_lossy(head);
    let text = without_comments(&text);
    let has = |word: &str| text.contains(word);
    let has_events = has(":invoke") || has("\"invoke\"");
    let what = match text.chars().next()? {
        '{' if has(":valid?") && !has_events => {
            "the results of a Jepsen test (results.edn): its history is in history.edn, beside it"
        }
        '{' if has("\"valid?\"") && !has_events => {
            "the results of a Jepsen test: its history is beside it, in history.edn or history.json"
        }
        '{' if has(":nodes") && has(":concurrency") && !has_events => {
            "a Jepsen test map: its history is in history.edn, beside it"
        }
        '{' if has("\"event\":\"apply\"") => {
            "the faults of a run (faults.jsonl): `tribunal check` takes the directory that it is in"
        }
        '{' if has("\"schema_version\"") && !has("\"t\":") => {
            "a file about a run: `tribunal check` takes the directory that it is in"
        }
        '<' => "HTML or XML",
        _ if is_table(text) => {
            "a table of comma-separated values: write each row as a JSON object, {\"process\":0,\"type\":\"invoke\",\
             \"f\":\"read\",\"value\":null}"
        }
        _ => return None,
    };
    Some(what.into())
}

/// Whether the first line names columns.
fn is_table(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    !first.contains(['{', '[', '(', ':', '\t'])
        && first.split([',', ';']).count() >= 3
        && first
            .split([',', ';'])
            .all(|it| it.trim().chars().all(|c| c.is_alphanumeric() || "_\"- ".contains(c)))
        && !first.starts_with(|c: char| c.is_ascii_digit())
}

/// A description of the beginning of the input, for an error.
pub(super) fn shown(head: &[u8], names: &Names) -> String {
    let text = String::from_utf8_lossy(head);
    let text = without_comments(&text);
    let mut forms = Forms::new(text.as_bytes(), Notation::Json).ok();
    let first = forms.as_mut().and_then(|forms| {
        forms.enter().ok()?;
        forms.next().ok()?
    });
    if let Some(Form::Map(map)) = first {
        let entries = Entries::of(&map, names);
        if entries.others.is_empty() {
            return "JSON objects without a process, a type and an f".into();
        }
        return format!(
            "JSON objects with the fields `{}`, of which none is known for a process, a type or an f (option `map \
             process=NAME` and so on say which they are)",
            entries.others.join("`, `")
        );
    }
    let first: String = text.lines().next().unwrap_or_default().chars().take(60).collect();
    format!("`{}`", first.escape_debug())
}
