//! Holds this checker against Porcupine itself, on histories that are made with fresh seeds: who brings the binary of
//! `examples/porcupine` can do it.
//!
//! ```text
//! cd checker/examples/porcupine && go build -o /tmp/porcupine . && cd -
//! cargo run --release -p tribunal-checker --example grid -- --peer /tmp/porcupine --seed 42
//! cargo run --release -p tribunal-checker --example grid -- --peer /tmp/porcupine --file kv:c50-bad.txt
//! ```
//!
//! Each checker reads the same file in a process of its own, and says how much processor time the check took, reading not
//! counted, and how much memory its process held at most. Both ratios are theirs to ours: below 1 ours is worse. Times
//! below a tenth of a millisecond are taken for that. Nothing here depends on the wall clock. The exit code is 1 where the
//! two disagree.

#![expect(clippy::print_stdout, reason = "printing a table is what it is for")]

mod generator;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Parser;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};
use tribunal_checker::check::{Options, check};
use tribunal_checker::formats::{self, Format};
use tribunal_checker::model::ModelKind;
use tribunal_checker::verdict::Answer;

use crate::generator::{OBJECTS, Plan, history};

/// Holds this checker against Porcupine.
#[derive(Parser)]
struct Arguments {
    /// The binary of examples/porcupine; without it only our own columns are filled.
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Only these objects.
    #[arg(long, value_delimiter = ',')]
    object: Vec<String>,
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    ops: Vec<usize>,
    #[arg(long, value_delimiter = ',', default_value = "5,20,50")]
    clients: Vec<usize>,
    #[arg(long, value_delimiter = ',', default_value = "0,30,300")]
    unknown: Vec<usize>,
    /// Where an answer is wrong, as fractions; -1 for nowhere.
    #[arg(long, value_delimiter = ',', default_value = "-1,0.1,0.5,0.95", allow_negative_numbers = true)]
    wrong: Vec<f64>,
    /// Which of all such histories.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Recorded histories instead, as MODEL:FILE.
    #[arg(long)]
    file: Vec<String>,
    /// Seconds of processor time for one check.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// MiB for one check.
    #[arg(long, default_value_t = 4096.0)]
    mib: f64,
    /// Let ours explain violations as well.
    #[arg(long)]
    explain: bool,
    /// Checks this one file, by this model, as the other program does.
    #[arg(long, num_args = 2, hide = true)]
    child: Option<Vec<String>>,
}

/// What either program says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Said {
    answer: String,
    cpu_ms: f64,
    process_ms: f64,
    peak_mib: f64,
    #[serde(default)]
    by: String,
}

impl Said {
    fn is_verdict(&self) -> bool {
        self.answer == "legal" || self.answer == "illegal"
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some([model, file]) = arguments.child.as_deref() {
        child(model, Path::new(file), &arguments);
    }
    println!(
        "| history | operations | clients | unknown | wrong at | ours | by | CPU ms | MiB | Porcupine | CPU ms | MiB | CPU ratio | memory ratio |"
    );
    println!("|---|--:|--:|--:|--:|---|---|--:|--:|---|--:|--:|--:|--:|");
    let directory = std::env::temp_dir().join(format!("tribunal-grid-{}", std::process::id()));
    if let Err(error) = fs::create_dir_all(&directory) {
        eprintln!("{}: {error}", directory.display());
        return ExitCode::FAILURE;
    }
    let mut disagree = 0;
    if arguments.file.is_empty() {
        for plan in plans(&arguments) {
            let (_, ours, theirs) =
                OBJECTS.into_iter().find(|object| object.0 == plan.object).expect("listed");
            let path = directory.join("history.jsonl");
            if let Err(error) = fs::write(&path, history(&plan)) {
                eprintln!("{}: {error}", path.display());
                return ExitCode::FAILURE;
            }
            let wrong = plan.wrong.map(|wrong| wrong.to_string()).unwrap_or_default();
            let title =
                format!("{} | {} | {} | {} | {wrong}", plan.object, plan.ops, plan.clients, plan.unknown);
            disagree += usize::from(!row(&title, ours, theirs, &path, &path, &arguments));
        }
    }
    for file in &arguments.file {
        let Some((model, path)) = file.split_once(':') else {
            eprintln!("--file {file}: expected MODEL:FILE");
            return ExitCode::FAILURE;
        };
        let finished = directory.join("recorded.jsonl");
        match rewritten(Path::new(path), &finished) {
            Ok(ops) => {
                let title = format!("{} | {ops} | | |", path.rsplit('/').next().unwrap_or(path));
                disagree += usize::from(!row(&title, model, model, &finished, &finished, &arguments));
            }
            Err(error) => eprintln!("{path}: {error}"),
        }
    }
    let _ = fs::remove_dir_all(&directory);
    if disagree == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A recorded history as finished operations; says how many.
fn rewritten(from: &Path, to: &Path) -> Result<usize, String> {
    let bytes = fs::read(from).map_err(|error| error.to_string())?;
    let reading =
        formats::read(&bytes[..], None, &formats::Options::default()).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    formats::write(&mut text, &reading.history, Format::Finished).map_err(|error| error.to_string())?;
    fs::write(to, text).map_err(|error| error.to_string())?;
    Ok(reading.history.ops.len())
}

fn plans(arguments: &Arguments) -> Vec<Plan> {
    let mut plans = Vec::new();
    let objects = OBJECTS.into_iter().map(|(object, ..)| object);
    for object in
        objects.filter(|object| arguments.object.is_empty() || arguments.object.iter().any(|o| o == object))
    {
        for &clients in &arguments.clients {
            for &unknown in &arguments.unknown {
                for &wrong in &arguments.wrong {
                    for &ops in &arguments.ops {
                        let wrong = Some(wrong).filter(|wrong| *wrong >= 0.0);
                        let seed = arguments.seed.wrapping_mul(1_000_003).wrapping_add(plans.len() as u64);
                        plans.push(Plan { object, ops, clients, unknown, wrong, seed });
                    }
                }
            }
        }
    }
    plans
}

/// Measures and prints one row; whether the two agree.
fn row(title: &str, our: &str, their: &str, ours: &Path, theirs: &Path, arguments: &Arguments) -> bool {
    let limits = [arguments.seconds.to_string(), arguments.mib.to_string()];
    let mut command = Command::new(std::env::current_exe().expect("a running program has a path"));
    command.args(["--child", our]).arg(ours).args(["--seconds", &limits[0], "--mib", &limits[1]]);
    if arguments.explain {
        command.arg("--explain");
    }
    let ours = said(&mut command);
    let theirs =
        arguments.peer.as_ref().map(|peer| said(Command::new(peer).arg(their).arg(theirs).args(&limits)));
    let shown = |said: &Said| {
        let answer = if said.is_verdict() { said.answer.clone() } else { format!("✗ {}", said.answer) };
        format!("{answer} | {} | {:.0}", digits(said.cpu_ms), said.peak_mib)
    };
    let [answer, cost] = {
        let all = shown(&ours);
        let (answer, cost) = all.split_once(" | ").expect("three columns");
        [answer.to_owned(), cost.to_owned()]
    };
    let Some(theirs) = theirs else {
        println!("| {title} | {answer} | {} | {cost} | | | | | |", ours.by);
        return true;
    };
    let more = if theirs.is_verdict() { "" } else { "> " };
    let ratio = |theirs: f64, ours: f64, least: f64| {
        format!("{more}{}×", digits(theirs.max(least) / ours.max(least)))
    };
    let ratios = match ours.is_verdict() {
        true => [ratio(theirs.cpu_ms, ours.cpu_ms, 0.1), ratio(theirs.peak_mib, ours.peak_mib, 0.1)],
        false => ["✗".to_owned(), "✗".to_owned()],
    };
    println!(
        "| {title} | {answer} | {} | {cost} | {} | {} | {} |",
        ours.by,
        shown(&theirs),
        ratios[0],
        ratios[1]
    );
    let agree = !ours.is_verdict() || !theirs.is_verdict() || ours.answer == theirs.answer;
    if !agree {
        println!("\n**The two disagree about this one.**\n");
    }
    agree
}

fn said(command: &mut Command) -> Said {
    let none = |answer: &str| Said {
        answer: answer.to_owned(),
        cpu_ms: 0.0,
        process_ms: 0.0,
        peak_mib: 0.0,
        by: String::new(),
    };
    let Ok(output) = command.stdin(Stdio::null()).output() else { return none("did not start") };
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| none("crashed"))
}

/// Our side: checks one file, and says what the other program would say.
fn child(model: &str, file: &Path, arguments: &Arguments) -> ! {
    let Ok(kind) = model.parse::<ModelKind>() else { std::process::exit(64) };
    let input = fs::File::open(file).expect("the history was just written");
    let reading =
        formats::read(std::io::BufReader::new(input), Some(Format::Finished), &formats::Options::default());
    let history = match reading {
        Ok(reading) => reading.history,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(64)
        }
    };
    let start = cpu();
    let (seconds, mib, finish) = (arguments.seconds, arguments.mib, move |answer: &str, by: &str| -> ! {
        let said = Said {
            answer: answer.to_owned(),
            cpu_ms: (cpu() - start).as_secs_f64() * 1e3,
            process_ms: cpu().as_secs_f64() * 1e3,
            peak_mib: held("VmHWM:"),
            by: by.to_owned(),
        };
        println!("{}", serde_json::to_string(&said).expect("numbers and text are always JSON"));
        std::process::exit(0)
    });
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(20));
            if (cpu() - start).as_secs_f64() > seconds {
                finish("time", "");
            }
            if held("VmRSS:") > mib {
                finish("memory", "");
            }
        }
    });
    let options = Options { explain: arguments.explain, threads: 1, ..Options::default() };
    match check(&history, kind, &options) {
        Ok(verdict) => {
            let word = match verdict.answer {
                Answer::Linearizable => "legal",
                Answer::Violation => "illegal",
                Answer::Unknown => "unknown",
            };
            finish(word, verdict.parts.iter().map(|part| part.engine.as_str()).max().unwrap_or_default())
        }
        Err(unfit) => {
            eprintln!("{unfit}");
            std::process::exit(64)
        }
    }
}

/// What all threads of this process have used.
fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process may ask for its own usage");
    Duration::from_micros((usage.user_time() + usage.system_time()).num_microseconds() as u64)
}

/// A line of this process' memory accounts, in MiB.
fn held(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// As many digits as mean something.
fn digits(number: f64) -> String {
    match number {
        n if n >= 100.0 => format!("{n:.0}"),
        n if n >= 1.0 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    }
}
