//! Histories as Jepsen prints them: `history.edn`, one map per line; the same in JSON; `history.txt`, bare or
//! as a log.
//!
//! The inverse of the translation in [`jepsen`](super::jepsen): an `:ok` without an output repeats its input,
//! a compare-and-set that returned false is a `:fail`, and one that certainly never happened carries an
//! `:error` to distinguish the two. Keys are printed as `jepsen.independent` does, `[key value]` in place of
//! every value. The text forms have no times.

use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::mem;

use serde::Serialize;

use super::NemesisEvent;
use super::events::events;
use crate::history::History;
use crate::op::{Event, F, Kind, Value};

pub(super) fn edn(mut out: impl Write, history: &History, nemesis: &[NemesisEvent]) -> io::Result<()> {
    for_each(history, nemesis, |process, event, edn| {
        let Event { index, time, kind, f, node, error, client, .. } = event;
        write!(out, "{{:type :{}, :f {}, :value {}", name(*kind), Name(f.name()), in_edn(event, edn))?;
        write!(out, ", :time {time}, :process {process}, :index {index}")?;
        if let Some(error) = error {
            write!(out, ", :error {}", Quoted(error))?;
        }
        if let Some(node) = node {
            write!(out, ", :node {}", Quoted(node))?;
        }
        if let Some(client) = client {
            write!(out, ", :client {client}")?;
        }
        out.write_all(b"}\n")
    })
}

/// The map of an event, with its entries in the order of elle-cli's examples.
#[derive(Serialize)]
struct Map<'a> {
    r#type: &'static str,
    f: &'a F,
    value: &'a Value,
    process: &'a Process<'a>,
    time: u64,
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<u64>,
}

/// Writes the maps of `history.edn` in JSON, one per line.
pub(super) fn json(mut out: impl Write, history: &History, nemesis: &[NemesisEvent]) -> io::Result<()> {
    for_each(history, nemesis, |process, event, _| {
        let Event { index, time, ref f, ref value, client, .. } = *event;
        let (error, node) = (event.error.as_deref(), event.node.as_deref());
        let map = Map { r#type: name(event.kind), f, value, process, time, index, error, node, client };
        serde_json::to_writer(&mut out, &map)?;
        out.write_all(b"\n")
    })
}

/// Writes `history.txt`; every line begins with `prefix`.
pub(super) fn txt(
    mut out: impl Write,
    history: &History,
    nemesis: &[NemesisEvent],
    prefix: &str,
) -> io::Result<()> {
    for_each(history, nemesis, |process, event, edn| {
        let Event { kind, f, error, .. } = event;
        write!(out, "{prefix}{process}\t:{}\t{}\t{}", name(*kind), Name(f.name()), in_edn(event, edn))?;
        if let Some(error) = error {
            write!(out, "\t{}", error.replace(char::is_control, " "))?;
        }
        out.write_all(b"\n")
    })
}

/// The process of an event.
#[derive(Serialize)]
#[serde(untagged)]
enum Process<'a> {
    Client(u64),
    Other(&'a str),
}

impl Display for Process<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Process::Client(number) => number.fmt(out),
            Process::Other(name) => Name(name).fmt(out),
        }
    }
}

/// Prints an event of a process; the text is its value if that is already written.
type Print<'a> = dyn FnMut(&Process, &mut Event, Option<&str>) -> io::Result<()> + 'a;

/// Calls `print` with every event in Jepsen's terms, in order: each event of the nemesis before the client
/// events that follow it.
fn for_each(
    history: &History,
    nemesis: &[NemesisEvent],
    mut print: impl FnMut(&Process, &Event, Option<&str>) -> io::Result<()>,
) -> io::Result<()> {
    let keyed = history.ops.iter().any(|op| !op.key.is_nil());
    let mut nemesis = nemesis.iter().peekable();
    // Events of the nemesis may have no index of their own.
    let mut next = 0;
    let mut print = |process: &Process, event: &mut Event, edn: Option<&str>| {
        event.index = event.index.max(next);
        next = event.index.saturating_add(1);
        print(process, event, edn)
    };
    let mut aside = |until: Option<(u64, u64)>, print: &mut Print| {
        while let Some(it) = nemesis.next_if(|it| until.is_none_or(|until| (it.time, it.index) <= until)) {
            let NemesisEvent { index, time, kind, .. } = *it;
            let (value, error, f) = (it.value.clone(), it.error.clone(), F::from(&*it.f));
            let (process, key, node, client) = (0, Value::Nil, None, None);
            let mut event = Event { index, time, process, kind, f, key, value, node, error, client };
            print(&Process::Other(&it.name), &mut event, Some(&it.edn))?;
        }
        io::Result::Ok(())
    };
    for (mut event, op) in events(history) {
        aside(Some((event.time, event.index)), &mut print)?;
        let mut value = op.input.clone();
        match (&op.f, event.kind) {
            (F::Cas, Kind::Ok) if event.value == Value::Bool(false) => event.kind = Kind::Fail,
            (F::Cas, Kind::Ok) => {}
            (F::Cas, Kind::Fail) => drop(event.error.get_or_insert_with(|| "did-not-happen".into())),
            (F::Read | F::Get | F::Other(_), Kind::Ok) => value = mem::take(&mut event.value),
            (_, Kind::Ok) if !event.value.is_nil() => value = mem::take(&mut event.value),
            _ => {}
        }
        event.value = if keyed { Value::pair(event.key.clone(), value) } else { value };
        print(&Process::Client(event.process), &mut event, None)?;
    }
    aside(None, &mut print)
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Invoke => "invoke",
        Kind::Ok => "ok",
        Kind::Fail => "fail",
        Kind::Info => "info",
    }
}

/// The value of an event, in EDN unless it is already written.
fn in_edn(event: &Event, edn: Option<&str>) -> String {
    edn.map_or_else(|| Printed(&event.value).to_string(), str::to_owned)
}

struct Printed<'a>(&'a Value);

impl Display for Printed<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Str(text) => Quoted(text).fmt(out),
            Value::List(items) => {
                out.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    write!(out, "{}{}", if i == 0 { "" } else { " " }, Printed(item))?;
                }
                out.write_str("]")
            }
            scalar => scalar.fmt(out),
        }
    }
}

/// A text in quotes.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' => out.write_str("\\\"")?,
                '\\' => out.write_str("\\\\")?,
                '\n' => out.write_str("\\n")?,
                '\r' => out.write_str("\\r")?,
                '\t' => out.write_str("\\t")?,
                c => write!(out, "{c}")?,
            }
        }
        out.write_str("\"")
    }
}

/// A name: a keyword, or a text if it cannot be a keyword.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let name = self.0;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_*+!?.<>=/".contains(c);
        if !name.is_empty() && name.chars().all(plain) {
            write!(out, ":{name}")
        } else {
            Quoted(name).fmt(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(print: fn(&mut Vec<u8>, &History) -> io::Result<()>, lines: &str) -> String {
        let history = crate::formats::finished::read(lines.as_bytes(), &Default::default()).unwrap().history;
        let mut out = Vec::new();
        print(&mut out, &history).unwrap();
        String::from_utf8(out).unwrap()
    }

    const OPS: &str = r#"{"client":0,"f":"write","in":"a\"b","call":1,"ret":2}
        {"client":0,"f":"cas","in":[1,2],"out":false,"call":3,"ret":4}
        {"client":0,"f":"cas","in":[1,2],"call":5,"ret":6,"fail":true}
        {"client":1,"f":"odd name","in":[1,[null,true]],"call":7,"ret":null,"error":"timeout"}"#;

    #[test]
    fn edn_is_one_map_per_line() {
        assert_eq!(
            printed(|out, history| edn(out, history, &[]), OPS),
            r#"{:type :invoke, :f :write, :value "a\"b", :time 1, :process 0, :index 0}
{:type :ok, :f :write, :value "a\"b", :time 2, :process 0, :index 1}
{:type :invoke, :f :cas, :value [1 2], :time 3, :process 0, :index 2}
{:type :fail, :f :cas, :value [1 2], :time 4, :process 0, :index 3}
{:type :invoke, :f :cas, :value [1 2], :time 5, :process 0, :index 4}
{:type :fail, :f :cas, :value [1 2], :time 6, :process 0, :index 5, :error "did-not-happen"}
{:type :invoke, :f "odd name", :value [1 [nil true]], :time 7, :process 1, :index 6, :error "timeout"}
"#
        );
    }

    #[test]
    fn events_of_the_nemesis_keep_their_keywords() {
        let text = "{:type :info, :f :start, :value [:isolated {\"n1\" #{\"n2\"}, :x nil}], :time 1, :process :nemesis, :index 0}\n";
        let reading = crate::formats::read(text.as_bytes(), None, &Default::default()).unwrap();
        let mut out = Vec::new();
        edn(&mut out, &reading.history, &reading.nemesis).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }

    #[test]
    fn indices_are_unique() {
        let text = "{:type :info, :f :start, :process :nemesis}\n{:type :invoke, :f :read, :process 0}\n\
                    {:type :info, :f :stop, :process :nemesis}\n{:type :ok, :f :read, :value 1, :process 0}\n";
        let reading = crate::formats::read(text.as_bytes(), None, &Default::default()).unwrap();
        let mut out = Vec::new();
        edn(&mut out, &reading.history, &reading.nemesis).unwrap();
        let written = String::from_utf8(out).unwrap();
        let indices: Vec<&str> = written.lines().filter_map(|line| line.split(":index ").nth(1)).collect();
        assert_eq!(indices, ["0}", "1}", "2}", "3}"], "{written}");
    }

    #[test]
    fn keys_go_into_the_values() {
        let read = r#"{"client":0,"f":"read","key":"x","out":3,"call":1,"ret":2}"#;
        assert_eq!(
            printed(|out, history| txt(out, history, &[], ""), read),
            "0\t:invoke\t:read\t[\"x\" nil]\n0\t:ok\t:read\t[\"x\" 3]\n"
        );
    }
}
