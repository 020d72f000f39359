//! Compares this checker with Porcupine itself (the binary of `examples/porcupine`), on histories of any
//! seed.
//!
//! ```text
//! cd checker/examples/porcupine && go build -o /tmp/porcupine . && cd -
//! cargo run --release -p tribunal-checker --example grid -- --peer /tmp/porcupine --seed 42
//! cargo run --release -p tribunal-checker --example grid -- --peer /tmp/porcupine --models kv,queue --ops 1000
//! cargo run --release -p tribunal-checker --example grid -- --peer /tmp/porcupine --recorded
//! ```
//!
//! Each checker reads the same file in its own process (`side.rs`). The costs are the CPU time of the whole
//! process (user and system, including start and reading), and the peak of its resident memory. Both checkers
//! have the same limits. The wall-clock time is ignored.
//!
//! A checker that was stopped on a history is not run on longer ones of that kind. Complete rows are kept in
//! a file, one JSON object per line, and not measured again; the table contains all of them (`table.rs`). The
//! exit code is 1 if the checkers disagree, or if this checker refutes a history that is legal by
//! construction; that history is kept.

#![expect(clippy::print_stdout, reason = "this program prints its progress")]

mod generator;
mod row;
mod side;
mod table;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use tribunal_checker::formats::{self, Format};

use crate::generator::{OBJECTS, Plan, history};
use crate::row::{Kind, Row, Rows};
use crate::side::{Caps, Measured};

/// Compare this checker with Porcupine
#[derive(Parser)]
struct Arguments {
    /// Binary of examples/porcupine; without it only this checker is measured.
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Only these objects, such as kv, kv-letters, queue.
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    ops: Vec<usize>,
    #[arg(long, value_delimiter = ',', default_value = "5,20,50")]
    clients: Vec<usize>,
    #[arg(long, value_delimiter = ',', default_value = "0,30,300")]
    unknown: Vec<usize>,
    /// Positions of a wrong response, as fractions; -1 for none.
    #[arg(long, value_delimiter = ',', default_value = "-1,0.1,0.5,0.95", allow_negative_numbers = true)]
    wrong: Vec<f64>,
    /// Seed of the histories.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Use the recorded histories of the crate (histories/verdicts.txt) instead of generated ones.
    #[arg(long)]
    recorded: bool,
    /// CPU time limit of one process, in seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Shorter CPU time limit of Porcupine, in seconds, to save time; at least the time of this checker.
    #[arg(long)]
    peer_seconds: Option<f64>,
    /// Memory limit of one process, in MiB.
    #[arg(long, default_value_t = 4096.0)]
    mib: f64,
    /// File of the complete rows.
    #[arg(long, default_value = "checker-grid.jsonl")]
    rows: PathBuf,
    /// File of the table.
    #[arg(long, default_value = "docs/checker-table.md")]
    table: PathBuf,
    /// Only write the histories, to this directory.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Only write the table of the complete rows.
    #[arg(long)]
    only_table: bool,
    /// Check one file with a model, in the child process.
    #[arg(long, num_args = 2, hide = true)]
    child: Option<Vec<String>>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some([model, file]) = arguments.child.as_deref() {
        side::check_file(model, Path::new(file), arguments.caps());
    }
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the comparison. Returns whether no verdict was wrong.
fn run(arguments: &Arguments) -> Result<bool, String> {
    let named = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    let items = || if arguments.recorded { recorded() } else { Ok(planned(arguments)) };
    if let Some(directory) = &arguments.write {
        for item in items()? {
            let file = directory.join(format!("{}.jsonl", item.kind).replace(['/', ' '], "-"));
            item.write(&file).map_err(|error| named(&file, error))?;
        }
        return Ok(true);
    }
    let mut rows = Rows::open(&arguments.rows).map_err(|error| named(&arguments.rows, error))?;
    let file = std::env::temp_dir().join(format!("tribunal-grid-{}.jsonl", std::process::id()));
    if !arguments.only_table {
        for item in items()? {
            if rows.has(&item.kind) {
                continue;
            }
            item.write(&file).map_err(|error| named(&file, error))?;
            let row = measure(&item, &file, &rows, arguments);
            println!("{row}");
            let wrong = row.is_wrong();
            rows.add(row).map_err(|error| named(&arguments.rows, error))?;
            if wrong {
                let kept = Path::new("checker-grid-wrong.jsonl");
                fs::copy(&file, kept).map_err(|error| named(kept, error))?;
                println!("One of these verdicts is wrong. The history is {}.", kept.display());
                return Ok(false);
            }
        }
        let _ = fs::remove_file(&file);
    }
    fs::write(&arguments.table, table::markdown(&rows)).map_err(|error| named(&arguments.table, error))?;
    Ok(true)
}

/// A history to measure.
struct Item {
    kind: Kind,
    our_model: String,
    peer_model: String,
    source: Source,
}

enum Source {
    Generated(Plan),
    Recorded(Vec<u8>),
}

impl Item {
    fn write(&self, to: &Path) -> io::Result<()> {
        match &self.source {
            Source::Generated(plan) => fs::write(to, history(plan)),
            Source::Recorded(text) => fs::write(to, text),
        }
    }
}

fn planned(arguments: &Arguments) -> Vec<Item> {
    let mut items = Vec::new();
    let is_wanted =
        |object: &str| arguments.models.is_empty() || arguments.models.iter().any(|m| m == object);
    for (object, our_model, peer_model) in OBJECTS.into_iter().filter(|(object, ..)| is_wanted(object)) {
        for &ops in &arguments.ops {
            for &clients in &arguments.clients {
                for &unknown in &arguments.unknown {
                    for &wrong in &arguments.wrong {
                        let wrong = Some(wrong).filter(|wrong| *wrong >= 0.0);
                        let kind = Kind {
                            history: object.into(),
                            ops,
                            clients,
                            unknown,
                            wrong,
                            seed: arguments.seed,
                        };
                        let plan =
                            Plan { object, ops, clients, unknown, wrong, seed: kind.seed_of_history() };
                        let (our_model, peer_model) = (our_model.to_owned(), peer_model.to_owned());
                        items.push(Item { kind, our_model, peer_model, source: Source::Generated(plan) });
                    }
                }
            }
        }
    }
    items
}

/// The recorded histories, as finished operations.
fn recorded() -> Result<Vec<Item>, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("histories");
    let list = directory.join("verdicts.txt");
    let list = fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let mut items = Vec::new();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let [file, model, _] = line.split_whitespace().collect::<Vec<_>>()[..] else { continue };
        let named = |error: &dyn std::fmt::Display| format!("{file}: {error}");
        let bytes = fs::read(directory.join(file)).map_err(|error| named(&error))?;
        let reading = formats::read(&bytes[..], None, &formats::Options::default());
        let history = reading.map_err(|error| named(&error))?.history;
        let mut text = Vec::new();
        formats::write(&mut text, &history, Format::Finished).map_err(|error| named(&error))?;
        let kind = Kind { history: file.into(), ops: history.ops.len(), ..Kind::default() };
        let (our_model, peer_model) = (model.to_owned(), model.to_owned());
        items.push(Item { kind, our_model, peer_model, source: Source::Recorded(text) });
    }
    Ok(items)
}

/// Measures both checkers.
fn measure(item: &Item, file: &Path, rows: &Rows, arguments: &Arguments) -> Row {
    let caps = arguments.caps();
    let ours = if rows.stopped_before(&item.kind, |row| Some(&row.ours)) {
        Measured::skipped()
    } else {
        side::ours(&item.our_model, file, caps)
    };
    let peer = arguments.peer.as_ref().map(|peer| {
        if rows.stopped_before(&item.kind, |row| row.peer.as_ref()) {
            return Measured::skipped();
        }
        let enough = arguments.peer_seconds.unwrap_or(caps.seconds).max(1.1 * ours.cpu_ms / 1e3);
        side::peer(peer, &item.peer_model, file, Caps { seconds: enough.min(caps.seconds), ..caps })
    });
    Row { kind: item.kind.clone(), ours, peer }
}

impl Arguments {
    fn caps(&self) -> Caps {
        Caps { seconds: self.seconds, mib: self.mib }
    }
}
