//! One measurement, in its own process, so that its peak memory can be measured, and so that it can be
//! stopped.
//!
//! The process prints one line of JSON. A second thread watches the CPU time and the memory. When a limit is
//! exceeded, it prints the incomplete measurement and ends the process.

use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};
use tribunal_checker::check::{Options, check};
use tribunal_checker::formats::{self, Format};
use tribunal_checker::generate::Object;
use tribunal_checker::history::History;
use tribunal_checker::model::ModelKind;
use tribunal_checker::verdict::Answer;

use crate::rival;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Engine {
    /// This crate.
    Tribunal,
    /// The rival checker, porcupine-rs.
    Porcupine,
    /// Parsing the history from Tribunal's JSON lines, without checking it.
    Parse,
}

/// Result of a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// `legal`, `illegal`, or why there is no answer.
    pub(crate) answer: String,
    /// The right answer. (A history may be too short to contain the planned violation.)
    pub(crate) expected: String,
    /// The algorithm that answered.
    pub(crate) engine: String,
    pub(crate) cpu_ms: f64,
    pub(crate) wall_ms: f64,
    /// Peak memory of the whole process, including the history.
    pub(crate) peak_mib: f64,
    /// Peak memory beyond what the process used before the check.
    pub(crate) own_mib: f64,
}

impl Measured {
    fn without(answer: &str) -> Self {
        let (answer, expected, engine) = (answer.to_owned(), String::new(), String::new());
        Measured { answer, expected, engine, cpu_ms: 0.0, wall_ms: 0.0, peak_mib: 0.0, own_mib: 0.0 }
    }

    pub(crate) fn is_wrong(&self) -> bool {
        self.has_answer() && self.answer != self.expected
    }

    pub(crate) fn has_answer(&self) -> bool {
        self.answer == "legal" || self.answer == "illegal" || self.answer.ends_with("right")
    }
}

/// Limits of a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caps {
    pub(crate) time: Duration,
    pub(crate) memory_mib: f64,
}

/// Measures in a child process: this program, called with `--cell`.
pub(crate) fn measure(arguments: &[String]) -> Measured {
    let program = std::env::current_exe().expect("a running program has a path");
    let child = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let Ok(output) = child else { return Measured::without("did not start") };
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| Measured::without("crashed"))
}

/// A history with its verdict.
pub(crate) struct Item {
    pub(crate) history: History,
    pub(crate) object: Object,
    pub(crate) legal: bool,
}

/// In the child process: measures the time for all these histories together, and prints it. The answer is
/// that of the only history, or `right` if all answers are right.
pub(crate) fn run(items: &[Item], engine: Engine, caps: Caps) -> ! {
    let expected = match items {
        [one] if one.legal => "legal",
        [_] => "illegal",
        _ => "right",
    };
    let check: Vec<Box<dyn Fn() -> EngineAnswer + '_>> =
        items.iter().map(|item| prepare(item, engine)).collect();
    let work = || {
        let answers: Vec<EngineAnswer> = check.iter().map(|check| check()).collect();
        let right = |(item, given): (&Item, &EngineAnswer)| {
            given.answer == if item.legal { "legal" } else { "illegal" }
        };
        match &answers[..] {
            [one] => one.clone(),
            many if items.iter().zip(many).all(right) => {
                EngineAnswer { answer: "right".into(), ..many[0].clone() }
            }
            many => {
                let right = items.iter().zip(many).filter(|pair| right(*pair)).count();
                EngineAnswer { answer: format!("{right} of {} right", items.len()), ..many[0].clone() }
            }
        }
    };

    let _ = std::fs::write("/proc/self/clear_refs", "5"); // resets the peak memory
    let start = Reading::now();
    watch(start, caps);
    let answered = work();
    let mut best = start.until(Reading::now(), answered);
    // Short measurements are repeated, to reduce noise.
    for _ in 0..4 {
        if start.wall.elapsed() > Duration::from_millis(300) {
            break;
        }
        let again = Reading::now();
        let answered = work();
        let next = again.until(Reading::now(), answered);
        best.cpu_ms = best.cpu_ms.min(next.cpu_ms);
        best.wall_ms = best.wall_ms.min(next.wall_ms);
    }
    best.expected = expected.to_owned();
    finish(&best)
}

/// An answer, and the algorithm that gave it.
#[derive(Clone)]
struct EngineAnswer {
    answer: String,
    by: String,
}

/// Does everything that is not measured. Calling the result is measured.
fn prepare(item: &Item, engine: Engine) -> Box<dyn Fn() -> EngineAnswer + '_> {
    let Item { history, object, .. } = item;
    let plain = |answer: &str| EngineAnswer { answer: answer.to_owned(), by: String::new() };
    match engine {
        Engine::Tribunal => {
            let kind = model(*object);
            let options = Options { explain: false, ..Options::default() };
            Box::new(move || match check(black_box(history), kind, &options) {
                Ok(verdict) => {
                    let by =
                        verdict.parts.iter().map(|part| part.engine.to_string()).max().unwrap_or_default();
                    EngineAnswer { answer: word(verdict.answer).to_owned(), by }
                }
                Err(unfit) => plain(&unfit.to_string()),
            })
        }
        Engine::Porcupine => {
            let check = rival::prepare(*object, history);
            Box::new(move || plain(if check() { "legal" } else { "illegal" }))
        }
        Engine::Parse => {
            let mut text = Vec::new();
            formats::write(&mut text, history, Format::Jsonl).expect("a vector takes any bytes");
            Box::new(move || match formats::read(&text[..], None, &formats::Options::default()) {
                Ok(_) => plain("read"),
                Err(error) => plain(&error.to_string()),
            })
        }
    }
}

fn finish(measured: &Measured) -> ! {
    let line = serde_json::to_string(measured).expect("numbers and text are always JSON");
    println!("{line}");
    std::process::exit(0)
}

/// The model for histories of this object.
fn model(object: Object) -> ModelKind {
    match object {
        Object::Register | Object::UniqueRegister => ModelKind::CasRegister,
        Object::Counter => ModelKind::Counter,
        Object::Queue => ModelKind::Queue,
        Object::Set | Object::GrowingSet => ModelKind::Set,
        Object::Mutex => ModelKind::Mutex,
        Object::Log => ModelKind::Log,
        Object::Kv => ModelKind::Kv,
    }
}

fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Linearizable => "legal",
        Answer::Violation => "illegal",
        Answer::Unknown => "unknown",
    }
}

/// Resources that the process has used so far.
#[derive(Clone, Copy)]
struct Reading {
    wall: Instant,
    cpu_ms: f64,
    held_mib: f64,
}

impl Reading {
    fn now() -> Self {
        Reading { wall: Instant::now(), cpu_ms: cpu_ms(), held_mib: status_mib("VmRSS:") }
    }

    fn until(self, end: Reading, answered: EngineAnswer) -> Measured {
        let peak_mib = status_mib("VmHWM:");
        Measured {
            answer: answered.answer,
            expected: String::new(),
            engine: answered.by,
            cpu_ms: end.cpu_ms - self.cpu_ms,
            wall_ms: (end.wall - self.wall).as_secs_f64() * 1e3,
            peak_mib,
            own_mib: (peak_mib - self.held_mib).max(0.0),
        }
    }
}

/// CPU time of all threads of this process.
fn cpu_ms() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process may ask for its own usage");
    (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e3
}

/// A memory field of `/proc/self/status`, in MiB.
fn status_mib(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// Ends the process when it exceeds its time or memory. The limit is on CPU time, so that other load on the
/// machine does not decide whether there is an answer.
fn watch(start: Reading, caps: Caps) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(20));
            let reason = if cpu_ms() - start.cpu_ms > caps.time.as_secs_f64() * 1e3 {
                "time"
            } else if status_mib("VmRSS:") > caps.memory_mib {
                "memory"
            } else {
                continue;
            };
            let answered = EngineAnswer { answer: reason.to_owned(), by: String::new() };
            finish(&start.until(Reading::now(), answered));
        }
    });
}
