//! `trace.json`: the run for a trace viewer (Chrome's trace event format; ui.perfetto.dev opens it).
//!
//! One track per process with one slice per operation; one track per kind of fault with one slice for each of
//! its states. A slice without an end lasts to the end of the run.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;
use tribunal_checker::op::Op;

use crate::faults::Fault;
use crate::run_dir::RunDir;
use crate::stats::last_event;
use crate::wording::{elide, operation, value};

/// The maximum number of operations in a trace; beyond it, those around the violation or the beginning.
pub const OPS_MAX: usize = 200_000;

const CLIENTS: u64 = 1;
const FAULTS: u64 = 2;

/// A complete event (`ph` = `X`), times in microseconds. A struct, for speed: there are hundreds of
/// thousands.
#[derive(Serialize)]
struct Slice {
    name: String,
    cat: &'static str,
    ph: &'static str,
    ts: f64,
    dur: f64,
    pid: u64,
    tid: u64,
    args: Args,
}

/// The details that the viewer shows for a slice.
#[derive(Default, Serialize)]
struct Args {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history_line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
}

/// The file.
pub fn render(run: &RunDir) -> Vec<u8> {
    let ops = &run.evidence.history.ops;
    let centre = run.judgement.violation().map_or(0, |violation| violation.witness);
    let first = centre.saturating_sub(OPS_MAX / 2).min(ops.len().saturating_sub(OPS_MAX));
    let shown = &ops[first..ops.len().min(first + OPS_MAX)];
    let end = last_event(&run.evidence.history);

    let mut out = Lines(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[".to_vec());
    out.named("process_name", CLIENTS, 0, "clients");
    out.named("process_name", FAULTS, 0, "faults");
    for process in shown.iter().map(|op| op.process).collect::<BTreeSet<u64>>() {
        out.named("thread_name", CLIENTS, process, &format!("p{process}"));
    }
    let kinds: BTreeSet<&str> = run.evidence.faults.iter().map(|fault| fault.fault.as_str()).collect();
    for (at, kind) in kinds.iter().enumerate() {
        out.named("thread_name", FAULTS, at as u64, &elide(kind, 40));
    }
    for (at, op) in shown.iter().enumerate() {
        let witness = run.judgement.violation().is_some() && centre == first + at;
        out.push(&slice(op, end, witness));
    }
    for strip in run.evidence.faults.iter().flat_map(Fault::strips) {
        let fault = strip.fault;
        out.push(&Slice {
            name: elide(strip.label, 80),
            cat: "fault",
            ph: "X",
            ts: micros(strip.from),
            dur: micros(strip.end_or(end.max(strip.from)) - strip.from),
            pid: FAULTS,
            tid: kinds.iter().position(|kind| *kind == fault.fault).unwrap_or(0) as u64,
            args: Args { outcome: fault.outcome.name(), ..Args::default() },
        });
    }
    out.0.extend(b"\n]}\n");
    out.0
}

/// The events so far, one per line.
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, event: &impl Serialize) {
        self.0.extend(if self.0.ends_with(b"[") { b"\n".as_slice() } else { b",\n" });
        serde_json::to_writer(&mut self.0, event)
            .expect("memory takes whatever is written, and no key is a map");
    }

    fn named(&mut self, what: &str, pid: u64, tid: u64, name: &str) {
        self.push(&json!({"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name}}));
    }
}

fn slice(op: &Op, end: u64, witness: bool) -> Slice {
    let outcome = match () {
        () if op.is_ok() => "ok",
        () if op.is_fail() => "fail",
        () => "info",
    };
    Slice {
        name: operation(op),
        cat: outcome,
        ph: "X",
        ts: micros(op.call),
        dur: micros(op.completed.unwrap_or(end.max(op.call)) - op.call),
        pid: CLIENTS,
        tid: op.process,
        args: Args {
            outcome,
            key: (!op.key.is_nil()).then(|| value(&op.key)),
            node: op.node.as_ref().map(|node| elide(node, 200)),
            error: op.error.as_ref().map(|error| elide(error, 200)),
            history_line: Some(op.invoke_index + 1),
            verdict: witness.then_some("cannot be linearized"),
        },
    }
}

fn micros(ns: u64) -> f64 {
    ns as f64 / 1000.0
}
