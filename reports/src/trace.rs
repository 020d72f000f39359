//! `trace.json`: the run on the tracks of a trace viewer (Chrome's trace event format; ui.perfetto.dev opens it).
//!
//! One track per process with one slice per operation; one track per kind of fault with one slice per fault. A slice that has no end
//! lasts to the end of the run.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};
use tribunal_checker::op::Op;

use crate::run_dir::RunDir;
use crate::stats::last_event;
use crate::wording::{elide, operation, value};

/// The most operations in a trace; of more, those around the violation or the beginning.
pub const OPS_MAX: usize = 200_000;

const CLIENTS: u64 = 1;
const FAULTS: u64 = 2;

/// A complete event (`ph` = `X`), times in microseconds.
#[derive(Serialize)]
struct Slice {
    name: String,
    cat: &'static str,
    ph: &'static str,
    ts: f64,
    dur: f64,
    pid: u64,
    tid: u64,
    args: Map<String, Value>,
}

/// The file.
pub fn render(run: &RunDir) -> Vec<u8> {
    let ops = &run.evidence.history.ops;
    let centre = run.judgement.violation().map_or(0, |violation| violation.witness);
    let first = centre.saturating_sub(OPS_MAX / 2).min(ops.len().saturating_sub(OPS_MAX));
    let shown = &ops[first..ops.len().min(first + OPS_MAX)];
    let end = last_event(&run.evidence.history);

    let mut events: Vec<Value> =
        vec![named("process_name", CLIENTS, 0, "clients"), named("process_name", FAULTS, 0, "faults")];
    let processes: BTreeSet<u64> = shown.iter().map(|op| op.process).collect();
    events.extend(
        processes.iter().map(|process| named("thread_name", CLIENTS, *process, &format!("p{process}"))),
    );
    let kinds: BTreeSet<&str> = run.evidence.faults.iter().map(|fault| fault.fault.as_str()).collect();
    events.extend(
        kinds.iter().enumerate().map(|(at, kind)| named("thread_name", FAULTS, at as u64, &elide(kind, 40))),
    );
    for (at, op) in shown.iter().enumerate() {
        events.push(slice(op, end, centre == first + at && run.judgement.violation().is_some()));
    }
    for fault in run.evidence.faults.iter().filter(|fault| fault.was_in_force()) {
        let slice = Slice {
            name: elide(&fault.label, 80),
            cat: "fault",
            ph: "X",
            ts: micros(fault.applied_ns),
            dur: micros(fault.end_or(end.max(fault.applied_ns)) - fault.applied_ns),
            pid: FAULTS,
            tid: kinds.iter().position(|kind| *kind == fault.fault).unwrap_or(0) as u64,
            args: Map::from_iter([("outcome".to_string(), json!(fault.outcome.name()))]),
        };
        events.push(json!(slice));
    }
    let mut out = b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n".to_vec();
    for (at, event) in events.iter().enumerate() {
        out.extend(if at == 0 { b"".as_slice() } else { b",\n" });
        out.extend(event.to_string().as_bytes());
    }
    out.extend(b"\n]}\n");
    out
}

fn named(what: &str, pid: u64, tid: u64, name: &str) -> Value {
    json!({"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name}})
}

fn slice(op: &Op, end: u64, witness: bool) -> Value {
    let outcome = match () {
        () if op.is_ok() => "ok",
        () if op.is_fail() => "fail",
        () => "info",
    };
    let mut args = Map::from_iter([
        ("outcome".to_string(), json!(outcome)),
        ("history line".to_string(), json!(op.invoke_index + 1)),
    ]);
    if !op.key.is_nil() {
        args.insert("key".into(), json!(value(&op.key)));
    }
    for (name, text) in [("node", &op.node), ("error", &op.error)] {
        if let Some(text) = text {
            args.insert(name.into(), json!(elide(text, 200)));
        }
    }
    if witness {
        args.insert("verdict".into(), json!("fits nowhere"));
    }
    json!(Slice {
        name: operation(op),
        cat: outcome,
        ph: "X",
        ts: micros(op.call),
        dur: micros(op.completed.unwrap_or(end.max(op.call)) - op.call),
        pid: CLIENTS,
        tid: op.process,
        args,
    })
}

fn micros(ns: u64) -> f64 {
    ns as f64 / 1000.0
}
