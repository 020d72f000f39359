//! Holds this checker against Porcupine itself, on histories that are made with fresh seeds: anyone who brings the binary of
//! `examples/porcupine` can do it.
//!
//! ```text
//! cd checker/examples/porcupine && go build -o /tmp/porcupine . && cd -
//! cargo run --release -p tribunal-checker --example grid -- --peer /tmp/porcupine --seed 42
//! cargo run --release -p tribunal-checker --example grid -- --peer /tmp/porcupine --models kv,queue --ops 1000
//! cargo run --release -p tribunal-checker --example grid -- --peer /tmp/porcupine --recorded
//! ```
//!
//! Each checker reads the same file in a process of its own (`side.rs`). What a process costs is its whole processor time,
//! as the kernel accounts it (user and system, start and reading included), and the peak of its resident memory. Both get
//! the same limits. The wall clock plays no part.
//!
//! A side that was stopped on a history is not tried on longer ones of that kind. Rows that are done are kept in a
//! file, one JSON object a line, and not measured again; the table is made of all of them (`table.rs`). The exit code is
//! 1 where the two disagree, or where ours refutes a history that is legal by construction; that history is kept.

#![expect(clippy::print_stdout, reason = "it says what it does")]

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

/// Holds this checker against Porcupine.
#[derive(Parser)]
struct Arguments {
    /// The binary of examples/porcupine; without it only our own columns are filled.
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
    /// Where an answer is wrong, as fractions; -1 for nowhere.
    #[arg(long, value_delimiter = ',', default_value = "-1,0.1,0.5,0.95", allow_negative_numbers = true)]
    wrong: Vec<f64>,
    /// Which of all such histories.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The recorded histories that the crate keeps (histories/verdicts.txt) instead of generated ones.
    #[arg(long)]
    recorded: bool,
    /// Seconds of processor time for one process.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds after which the peer is stopped, if ours took no longer; to save time.
    #[arg(long)]
    peer_seconds: Option<f64>,
    /// MiB for one process.
    #[arg(long, default_value_t = 4096.0)]
    mib: f64,
    /// Where finished rows are kept.
    #[arg(long, default_value = "checker-grid.jsonl")]
    rows: PathBuf,
    /// Where the table goes.
    #[arg(long, default_value = "docs/checker-table.md")]
    table: PathBuf,
    /// Only writes the histories, to this directory.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Only writes the table, of the rows that are there.
    #[arg(long)]
    only_table: bool,
    /// Checks this one file, by this model, as the other program does.
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

/// Whether no verdict was wrong.
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

/// The recorded histories as finished operations.
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

/// Measures both sides.
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
