//! Scenes: run directories written as short scripts, one file each in `tests/scenes/`.
//!
//! ```text
//! # A comment.
//! run seed 8231                                       a field of run.json, as JSON or else as text
//! background 2000 0 30                                2000 operations on other keys between 0 s and 30 s
//! w3: p0 k7 write 3 | 12.031 ok 12.040 @n1            an operation with a label (`- ` for no key)
//! w5: p7 k7 write 5 | 12.433 info 17.433 : timed out  an error after `:`
//! r3: p3 k7 read | 12.470 ok 12.481 = 3               an output after `=`
//! fault partition half n1,n2 | 12.000 installed 14.500 | partition {n1,n2 | n3,n4,n5}
//! log n1 | 12.345 became leader of term 5             a line of nodes/n1.log, verbatim
//! leaders 12.204 | n3 5, n1 4                         who claimed to lead from then on, with their terms
//! violation r3 stale-read | the sentence              the checker's answer, by hand, with the lines below
//!   minimal w3 w4 r3                                  ... likewise `order` and `context`
//!   before 2 | 3
//!   cannot r3 | 4 | the register holds 4, read returned 3
//!   configuration 4 | 2 of 3 | w3 | w5                state, placed of total, used, unused
//!   explains no | would it be legal if ...? | no: still illegal
//!   shrunk 812 41 complete
//! unknown k3 | time limit of 60 s | time | 812 | 1000
//! frontier k3 | 0.5 1, 3 12, 10 90000                 the size of the frontier at some times
//! model convergent-set                                the model of the checker's answer, if not register
//! harness cluster | n3 exited by itself
//! interrupted
//! ```
//!
//! The checker's answer is written by hand, so that these tests cover only the reports.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use tribunal_checker::check::Algorithm;
use tribunal_checker::history::History;
use tribunal_checker::op::{Event, F, Kind, Value};
use tribunal_checker::verdict::*;
use tribunal_records::TrialSpec;
use tribunal_records::leaders::{Leader, Leaders};
use tribunal_reports::judgement::{CheckCost, Circumstances, HarnessFailure, Judgement};
use tribunal_reports::run_dir::{Evidence, RunDir, write_judgement};
use tribunal_reports::run_info::{self, FinalReads, Node, Phase, RunInfo, Tool};

/// A scene on disk, in a temporary directory.
pub(crate) struct Stage {
    pub(crate) dir: tempfile::TempDir,
}

impl Stage {
    /// The scene of that name.
    pub(crate) fn of(name: &str) -> Stage {
        let path = scenes().join(format!("{name}.scene"));
        let script = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        Stage::from_script(&script)
    }

    /// The scene of a script.
    pub(crate) fn from_script(script: &str) -> Stage {
        let mut scene = Scene::new();
        for line in script.lines() {
            scene.line(line);
        }
        let dir = tempfile::tempdir().unwrap();
        scene.write(dir.path());
        Stage { dir }
    }

    /// Copies the evidence to a permanent directory.
    pub(crate) fn copy_to(&self, to: &Path) {
        fs::create_dir_all(to.join("nodes")).unwrap();
        for (name, _) in self.run().files {
            fs::copy(self.dir.path().join(&name), to.join(&name)).unwrap();
        }
    }

    /// The input of the reports, under a name that does not depend on the directory.
    pub(crate) fn run(&self) -> RunDir {
        let mut run = RunDir::load(self.dir.path()).unwrap();
        run.name = format!("store/{}/20261121T093015Z-8231", run.evidence.info.workload);
        run
    }
}

/// The directory of the scripts.
pub(crate) fn scenes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenes")
}

/// The names of all scenes, in order.
pub(crate) fn names() -> Vec<String> {
    let stem = |entry: fs::DirEntry| Some(entry.path().file_stem()?.to_str()?.to_string());
    let mut names: Vec<_> =
        fs::read_dir(scenes()).unwrap().filter_map(|entry| stem(entry.unwrap())).collect();
    names.sort();
    names
}

struct Scene {
    info: RunInfo,
    events: Vec<(u64, Event)>,
    labels: HashMap<String, u64>,
    faults: Vec<String>,
    logs: Vec<(String, String)>,
    leaders: Vec<Leaders>,
    verdict: Verdict,
    named: Vec<(&'static str, Vec<String>)>,
    circumstances: Circumstances,
}

fn ns(seconds: &str) -> u64 {
    (seconds.trim().parse::<f64>().expect("a time in seconds") * 1e9).round() as u64
}

fn json_or_text(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

fn value(text: &str) -> Value {
    if text == "-" { Value::Nil } else { serde_json::from_value(json_or_text(text)).unwrap() }
}

/// Splits a text into exactly `N` pieces at `|`; the last may contain more of them.
fn pieces<const N: usize>(text: &str) -> [&str; N] {
    let pieces: Vec<&str> = text.splitn(N, '|').map(str::trim).collect();
    pieces.try_into().unwrap_or_else(|_| panic!("{N} pieces between |: {text}"))
}

impl Scene {
    fn new() -> Scene {
        let node = |i| Node {
            name: format!("n{i}"),
            command: ["tribunal", "node", "raft", "--id", &format!("n{i}")].map(String::from).into(),
        };
        let info = RunInfo {
            schema_version: run_info::SCHEMA_VERSION,
            tool: Tool { version: "0.1.0".into(), git: Some("599f11d".into()) },
            args: ["run", "register"].map(String::from).into(),
            spec: Some(TrialSpec::new("register").with(|spec| spec.seed = Some(8231))),
            workload: "register".into(),
            system: "raft".into(),
            model: "register".into(),
            nodes: (1..=5).map(node).collect(),
            concurrency: 15,
            rate: Some(500.0),
            bursts: false,
            time_limit_ms: 30_000,
            keys: 10,
            ops_per_key: Some(200),
            nemesis_interval_ms: 5_000,
            final_reads: Some(FinalReads { asked: 10, answered: 10 }),
            seed: 8231,
            started_utc: "2026-11-21T09:30:15Z".into(),
            os: "Linux 6.1.0".into(),
            cores: 2,
            clock: "CLOCK_MONOTONIC".into(),
            ..RunInfo::default()
        };
        Scene {
            info,
            events: Vec::new(),
            labels: HashMap::new(),
            faults: Vec::new(),
            logs: Vec::new(),
            leaders: Vec::new(),
            verdict: Verdict {
                answer: Answer::Linearizable,
                model: "register".into(),
                ops: 0,
                parts: Vec::new(),
                violation: None,
                effort: Effort {
                    states: 1234,
                    frontier_max: 12,
                    limits: vec!["time limit of 60 s".into()],
                    frontier: None,
                },
            },
            named: Vec::new(),
            circumstances: Circumstances {
                check_cost: Some(CheckCost { took_ms: 180, memory_peak_bytes: 48_000_000 }),
                ..Circumstances::default()
            },
        }
    }

    fn line(&mut self, line: &str) {
        let line = line.trim();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" | "#" => {}
            "run" => self.run_field(rest),
            "background" => self.background(rest),
            "fault" => self.fault(rest),
            "shift" => self.shift(rest),
            "log" => {
                let (node, text) = rest.split_once(" | ").expect("log NODE | LINE");
                self.logs.push((node.to_string(), text.to_string()));
            }
            "leaders" => {
                let [t, who] = pieces(rest);
                let leader = |text: &str| {
                    let (node, term) = text.trim().split_once(' ').expect("NODE TERM");
                    Leader { node: node.into(), term: term.parse().unwrap() }
                };
                self.leaders.push(Leaders { t: ns(t), leaders: who.split(',').map(leader).collect() });
            }
            "harness" => {
                let [source, error] = pieces(rest);
                self.circumstances.harness_failure =
                    Some(HarnessFailure { source: source.into(), error: error.into() });
            }
            "model" => self.verdict.model = rest.into(),
            "interrupted" => self.circumstances.interrupted = true,
            "unknown" => self.unknown(rest),
            "frontier" => {
                let [key, sizes] = pieces(rest);
                let front = |text: &str| {
                    let (at, size) = text.trim().split_once(' ').expect("TIME SIZE");
                    Front { at: ns(at), size: size.parse().unwrap() }
                };
                let sizes = sizes.split(',').map(front).collect();
                self.verdict.effort.frontier = Some(Frontier { key: value(key), sizes });
            }
            "violation" => self.violation(rest),
            "minimal" | "order" | "context" | "missing" => {
                let which = ["minimal", "order", "context", "missing"]
                    .into_iter()
                    .find(|which| *which == word)
                    .unwrap();
                self.named.push((which, rest.split_whitespace().map(String::from).collect()));
            }
            "before" => {
                self.evidence().before = rest.split('|').map(|state| state.trim().to_string()).collect()
            }
            "cannot" => {
                let [next, state, reason] = pieces(rest);
                self.named.push(("cannot", next.split_whitespace().map(String::from).collect()));
                let impossible = Impossible { next: vec![], state: state.into(), reason: reason.into() };
                self.evidence().impossible.push(impossible);
            }
            "configuration" => {
                let [state, placed, used, unused] = pieces(rest);
                let (placed, total) = placed.split_once(" of ").expect("PLACED of TOTAL");
                self.named.push(("used", used.split_whitespace().map(String::from).collect()));
                self.named.push(("unused", unused.split_whitespace().map(String::from).collect()));
                self.evidence().configurations.push(Configuration {
                    state: state.into(),
                    placed: placed.parse().unwrap(),
                    total: total.parse().unwrap(),
                    used: vec![],
                    unused: vec![],
                });
            }
            "explains" => {
                let [holds, question, answer] = pieces(rest);
                let holds = match holds {
                    "yes" => Some(true),
                    "no" => Some(false),
                    _ => None,
                };
                let (question, answer) = (question.into(), answer.into());
                self.evidence().explanations.push(Explanation { question, holds, answer });
            }
            "shrunk" => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                self.evidence().shrink = Shrink {
                    from: words[0].parse().unwrap(),
                    to: 0,
                    rechecks: words[1].parse().unwrap(),
                    complete: words.get(2) == Some(&"complete"),
                };
            }
            label if label.ends_with(':') => self.operation(label.trim_end_matches(':'), rest),
            other => panic!("a scene has no `{other}`"),
        }
    }

    fn run_field(&mut self, rest: &str) {
        let (field, text) = rest.split_once(' ').expect("run FIELD VALUE");
        let mut json = serde_json::to_value(&self.info).unwrap();
        json[field] = json_or_text(text);
        self.info = serde_json::from_value(json).unwrap();
    }

    fn push(&mut self, time: u64, process: u64, kind: Kind, f: &str, key: Value, value: Value) -> &mut Event {
        let order = self.events.len() as u64;
        let event = Event {
            index: 0,
            time,
            process,
            kind,
            f: F::from(f),
            key,
            value,
            node: None,
            error: None,
            client: None,
        };
        self.events.push((order, event));
        &mut self.events.last_mut().unwrap().1
    }

    fn operation(&mut self, label: &str, rest: &str) {
        let (asked, went) = rest.split_once(" | ").expect("PROCESS KEY F INPUT | CALL KIND RET");
        let (went, error) = went.split_once(" : ").map_or((went, None), |(went, error)| (went, Some(error)));
        let (went, output) = went.split_once(" = ").map_or((went, "-"), |(went, output)| (went, output));
        let asked: Vec<&str> = asked.splitn(4, ' ').collect();
        let went: Vec<&str> = went.split_whitespace().collect();
        let process: u64 = asked[0].trim_start_matches('p').parse().expect("p3");
        let (key, f) = (value(asked[1]), asked[2]);
        let input = asked.get(3).map_or(Value::Nil, |input| value(input));
        let node = went.last().and_then(|last| last.strip_prefix('@'));
        self.labels.insert(label.to_string(), self.events.len() as u64);
        let invoke = self.push(ns(went[0]), process, Kind::Invoke, f, key.clone(), input);
        invoke.node = node.map(Into::into);
        let kind = match went.get(1).copied() {
            Some("ok") => Kind::Ok,
            Some("fail") => Kind::Fail,
            Some("info") => Kind::Info,
            _ => return, // never completed
        };
        let complete = self.push(ns(went[2]), process, kind, f, key, value(output));
        complete.error = error.map(Into::into);
        complete.node = node.map(Into::into);
    }

    /// Operations like those of a healthy register, slower and less certain during a fault.
    fn background(&mut self, rest: &str) {
        let numbers: Vec<u64> = rest.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let [ops, from, to] = numbers[..] else { panic!("background OPS FROM TO") };
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below.max(1)
        };
        let mut process: Vec<u64> = (0..16).map(|at| 100 + at).collect();
        let mut free: Vec<u64> = vec![from * 1_000_000_000; 16];
        let gap = (to - from) * 1_000_000_000 * 16 / ops.max(1);
        for n in 0..ops {
            let at = (n % 16) as usize;
            let call = free[at] + random(gap / 4);
            let hard = (12_000_000_000..15_000_000_000).contains(&call);
            let took = 1_500_000 + random(3_000_000) + if random(50) == 0 { random(30_000_000) } else { 0 };
            let took = if hard { took * 6 } else { took };
            let key = Value::str(&format!("k{}", 100 + random(8)));
            let (f, input, output) = match random(10) {
                0..=4 => ("read", Value::Nil, Value::Int(n as i64)),
                5..=8 => ("write", Value::Int(n as i64), Value::Nil),
                _ => ("cas", Value::pair(n as i64, n as i64 + 1), Value::Bool(random(2) == 0)),
            };
            let kind = match random(1000) {
                0..=9 => Kind::Fail,
                10..=14 => Kind::Info,
                15..=149 if hard => Kind::Info,
                _ => Kind::Ok,
            };
            let done = call + if kind == Kind::Info { 1_000_000_000 } else { took };
            self.push(call, process[at], Kind::Invoke, f, key.clone(), input);
            let value = if kind == Kind::Ok { output } else { Value::Nil };
            self.push(done, process[at], kind, f, key, value);
            if kind == Kind::Info {
                process[at] += 16;
            }
            free[at] = done.max(call + gap);
        }
    }

    fn fault(&mut self, rest: &str) {
        let [what, when, label] = pieces(rest);
        let (what, when): (Vec<&str>, Vec<&str>) =
            (what.split_whitespace().collect(), when.split_whitespace().collect());
        let nodes: Vec<&str> = what[2].split(',').collect();
        let i = self.faults.iter().filter(|line| line.contains("apply")).count();
        let outcome = when.get(1).copied().unwrap_or("installed");
        self.faults.push(
            serde_json::json!({
                "i": i, "t": ns(when[0]), "event": "apply", "fault": what[0], "kind": what[1], "nodes": nodes,
                "cuts": if what[0] == "partition" { vec!["n1>n3"] } else { vec![] }, "mode": "stall",
                "planned_ms": ns(when[0]) / 1_000_000, "hold_ms": 3000, "outcome": outcome,
                "why": if outcome == "skipped" { Some("the node was down already") } else { None }, "label": label,
            })
            .to_string(),
        );
        if let Some(healed) = when.get(2) {
            let effect = match what[0] {
                "partition" => serde_json::json!({"bytes_withheld": 81_204}),
                _ => serde_json::json!({"nodes": nodes.len()}),
            };
            self.faults.push(
                serde_json::json!({"i": i, "t": ns(healed), "event": "heal", "outcome": outcome, "effect": effect, "effective": outcome == "installed"})
                    .to_string(),
            );
        }
    }

    /// Changes the state of the last fault, or makes it idle: `shift TIME | LABEL`, `shift TIME |`.
    fn shift(&mut self, rest: &str) {
        let (when, label) = rest.split_once('|').expect("shift TIME | LABEL");
        let i = self.faults.iter().filter(|line| line.contains("apply")).count() - 1;
        let label = label.trim();
        let line = serde_json::json!({
            "i": i, "t": ns(when.trim()), "event": "shift", "label": label, "idle": label.is_empty(),
        });
        self.faults.push(line.to_string());
    }

    fn unknown(&mut self, rest: &str) {
        let [key, limit, by, reached, of] = pieces(rest);
        let by = serde_json::from_value(by.into()).expect("a limit");
        let (reached, of) = (reached.parse().unwrap(), of.parse().unwrap());
        self.verdict.answer = Answer::Unknown;
        self.verdict.parts.push(Part {
            key: value(key),
            ops: of,
            answer: Answer::Unknown,
            engine: Algorithm::Frontier,
            states: 1_200_000,
            frontier_max: 90_000,
            undecided: Some(Undecided { limit: limit.into(), by, reached, of }),
            linearization: None,
        });
    }

    fn violation(&mut self, rest: &str) {
        let (what, sentence) = rest.split_once(" | ").expect("violation WITNESS CLASS | SENTENCE");
        let (witness, class) = what.split_once(' ').expect("WITNESS CLASS");
        self.named.push(("witness", vec![witness.to_string()]));
        self.verdict.answer = Answer::Violation;
        self.verdict.violation = Some(Violation {
            key: Value::Nil,
            witness: 0,
            detected: 0,
            sentence: sentence.into(),
            class: class.into(),
            minimal: vec![],
            order: vec![],
            states: vec![],
            before: vec![],
            context: vec![],
            impossible: vec![],
            configurations: vec![],
            explanations: vec![],
            shrink: Shrink::default(),
            named: vec![],
            missing: None,
            elements: None,
            sums: None,
        });
    }

    fn evidence(&mut self) -> &mut Violation {
        self.verdict.violation.as_mut().expect("this line belongs below `violation`")
    }

    /// Replaces labels by positions in the history, now that it is complete.
    fn resolve(&mut self, history: &History, order_of_index: &[u64]) {
        let at: HashMap<u64, OpId> = history
            .ops
            .iter()
            .enumerate()
            .map(|(id, op)| (order_of_index[op.invoke_index as usize], id))
            .collect();
        let Some(violation) = &mut self.verdict.violation else { return };
        let (mut cannot, mut used, mut unused) = (0, 0, 0);
        for (which, labels) in &self.named {
            let ids: Vec<OpId> = labels.iter().map(|label| at[&self.labels[label]]).collect();
            match *which {
                "witness" => violation.witness = ids[0],
                "minimal" => violation.minimal = ids,
                "order" => violation.order = ids,
                "context" => violation.context = ids,
                "missing" => violation.missing = Some(ids[0]),
                "cannot" => {
                    violation.impossible[cannot].next = ids;
                    cannot += 1;
                }
                "used" => {
                    violation.configurations[used].used = ids;
                    used += 1;
                }
                _ => {
                    violation.configurations[unused].unused = ids;
                    unused += 1;
                }
            }
        }
        let witness = &history.ops[violation.witness];
        violation.key = witness.key.clone();
        violation.detected = witness.completed.unwrap_or(witness.call);
        violation.shrink.to = violation.minimal.len();
    }

    fn write(mut self, dir: &Path) {
        self.events.sort_by_key(|(order, event)| (event.time, *order));
        let order_of_index: Vec<u64> = self.events.iter().map(|(order, _)| *order).collect();
        let mut lines = String::new();
        for (index, (_, event)) in self.events.iter_mut().enumerate() {
            event.index = index as u64;
            lines += &(serde_json::to_string(event).unwrap() + "\n");
        }
        let last = self.events.last().map_or(0, |(_, event)| event.time);
        self.info.phases = vec![
            Phase { name: "starting".into(), start_ns: 0, end_ns: Some(0) },
            Phase { name: "running".into(), start_ns: 0, end_ns: Some(last) },
        ];
        fs::write(dir.join("history.jsonl"), lines).unwrap();
        fs::write(dir.join("faults.jsonl"), self.faults.join("\n")).unwrap();
        fs::write(dir.join("run.json"), serde_json::to_string_pretty(&self.info).unwrap()).unwrap();
        fs::create_dir_all(dir.join("nodes")).unwrap();
        let leaders = self.leaders.iter().map(|it| serde_json::to_string(it).unwrap() + "\n");
        fs::write(dir.join("leaders.jsonl"), leaders.collect::<String>()).unwrap();
        for (node, text) in &self.logs {
            use std::io::Write;
            let path = dir.join(format!("nodes/{node}.log"));
            let mut log = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
            writeln!(log, "{text}").unwrap();
        }
        let evidence = Evidence::load(dir).unwrap();
        self.resolve(&evidence.history, &order_of_index);
        self.verdict.ops = evidence.history.ops.len();
        if self.verdict.parts.is_empty() {
            self.verdict.parts =
                evidence.history.by_key().into_iter().map(|(key, ops)| self.part(key, ops.len())).collect();
        }
        let judgement = Judgement::of(
            &self.info,
            &evidence.history,
            &evidence.faults,
            Some(self.verdict.clone()),
            self.circumstances.clone(),
        );
        write_judgement(dir, &judgement).unwrap();
    }

    fn part(&self, key: Value, ops: usize) -> Part {
        let violated = self.verdict.violation.as_ref().is_some_and(|violation| violation.key == key);
        let answer = if violated { Answer::Violation } else { Answer::Linearizable };
        Part {
            key,
            ops,
            answer,
            engine: Algorithm::Frontier,
            states: 7 * ops as u64,
            frontier_max: 3,
            undecided: None,
            linearization: None,
        }
    }
}
