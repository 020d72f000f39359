//! One checker on one file, in its own process.
//!
//! The process prints one line of JSON: its answer, and the peak of its resident memory. (The kernel's figure
//! for children, `ru_maxrss`, would include the memory of the parent.) Its CPU time comes from the kernel's
//! figures for finished children. The process watches its own limits, and ends when it reaches one.

use std::fs;
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};
use tribunal_checker::check::{Options, check};
use tribunal_checker::formats::{self, Format};
use tribunal_checker::limits::{Limits, TimeLimit};
use tribunal_checker::model::ModelKind;
use tribunal_checker::verdict::Answer;

/// Limits of a process: CPU time and resident memory.
#[derive(Clone, Copy)]
pub(crate) struct Caps {
    pub(crate) seconds: f64,
    pub(crate) mib: f64,
}

/// Result of a measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// `legal`, `illegal`, or why there is no verdict.
    pub(crate) answer: String,
    /// CPU time of the whole process.
    #[serde(default)]
    pub(crate) cpu_ms: f64,
    pub(crate) peak_mib: f64,
    /// The algorithm that answered.
    #[serde(default)]
    pub(crate) by: String,
}

/// The answer if there was no verdict on a shorter history of the kind.
const SKIPPED: &str = "not tried";

impl Measured {
    fn without(answer: &str) -> Self {
        Measured { answer: answer.to_owned(), cpu_ms: 0.0, peak_mib: 0.0, by: String::new() }
    }

    pub(crate) fn skipped() -> Self {
        Self::without(SKIPPED)
    }

    pub(crate) fn is_skipped(&self) -> bool {
        self.answer == SKIPPED
    }

    pub(crate) fn is_verdict(&self) -> bool {
        self.answer == "legal" || self.answer == "illegal"
    }
}

pub(crate) fn ours(model: &str, file: &Path, caps: Caps) -> Measured {
    let mut command = Command::new(std::env::current_exe().expect("a running program has a path"));
    command.args(["--child", model]).arg(file);
    measured(command.args(["--seconds", &caps.seconds.to_string(), "--mib", &caps.mib.to_string()]))
}

pub(crate) fn peer(program: &Path, model: &str, file: &Path, caps: Caps) -> Measured {
    let mut command = Command::new(program);
    measured(command.arg(model).arg(file).args([caps.seconds.to_string(), caps.mib.to_string()]))
}

fn measured(command: &mut Command) -> Measured {
    let before = cpu(UsageWho::RUSAGE_CHILDREN);
    let Ok(output) = command.stdin(Stdio::null()).output() else { return Measured::without("did not start") };
    // A process that reaches a limit as it finishes may print two lines.
    let line = output.stdout.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let said = serde_json::from_slice(line).unwrap_or_else(|_| Measured::without("crashed"));
    Measured { cpu_ms: (cpu(UsageWho::RUSAGE_CHILDREN) - before).as_secs_f64() * 1e3, ..said }
}

/// In the child process: checks one file, and prints the same as examples/porcupine.
pub(crate) fn check_file(model: &str, file: &Path, caps: Caps) -> ! {
    std::thread::spawn(move || {
        while cpu(UsageWho::RUSAGE_SELF).as_secs_f64() <= 1.05 * caps.seconds && held("VmRSS:") <= caps.mib {
            std::thread::sleep(Duration::from_millis(20));
        }
        finish(if held("VmRSS:") > caps.mib { "memory" } else { "time" }, "")
    });
    let kind: ModelKind = model.parse().unwrap_or_else(|error| misused(&error));
    let input = fs::File::open(file).unwrap_or_else(|error| misused(&error));
    let reading = formats::read(BufReader::new(input), Some(Format::Finished), &formats::Options::default());
    let history = reading.unwrap_or_else(|error| misused(&error)).history;
    let expired = || cpu(UsageWho::RUSAGE_SELF).as_secs_f64() > caps.seconds;
    let time = TimeLimit { label: format!("{} s", caps.seconds), expired: &expired };
    let limits = Limits { time: Some(time), ..Limits::default() };
    let options = Options { explain: false, threads: 1, limits, ..Options::default() };
    let verdict = check(&history, kind, &options).unwrap_or_else(|unfit| misused(&unfit));
    let answer = match verdict.answer {
        Answer::Linearizable => "legal".to_owned(),
        Answer::Violation => "illegal".to_owned(),
        Answer::Unknown => {
            let mut limits = verdict.parts.iter().filter_map(|part| part.undecided.as_ref());
            limits.next().map(|undecided| undecided.by.to_string()).unwrap_or_default()
        }
    };
    let hardest = verdict.parts.iter().max_by_key(|part| (part.answer == Answer::Violation, part.states));
    finish(&answer, &hardest.map(|part| part.engine.to_string()).unwrap_or_default())
}

fn finish(answer: &str, by: &str) -> ! {
    let said = Measured { peak_mib: held("VmHWM:"), by: by.to_owned(), ..Measured::without(answer) };
    println!("{}", serde_json::to_string(&said).expect("numbers and text are always JSON"));
    std::process::exit(0)
}

fn misused(error: &dyn std::fmt::Display) -> ! {
    eprintln!("{error}");
    std::process::exit(64)
}

/// User and system CPU time.
fn cpu(of: UsageWho) -> Duration {
    let sum = |usage: Usage| (usage.user_time() + usage.system_time()).num_microseconds() as u64;
    Duration::from_micros(sum(getrusage(of).expect("a process may ask for its own usage")))
}

/// A memory field of `/proc/self/status`, in MiB.
fn held(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
