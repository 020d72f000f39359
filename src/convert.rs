//! `tribunal convert`: writes a history in another format.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use tribunal::user_file::ensure_not_read;
use tribunal_checker::formats::{self, Format, Reading};
use tribunal_reports::files::{Durable, Output};
use tribunal_reports::wording::counted;

use crate::exit;
use crate::input::{InputArgs, format_parser, is_standard};
use crate::jepsen_store;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// History to read (also .gz, or a Jepsen store directory), or - for standard input
    #[arg(value_name = "IN")]
    source: PathBuf,

    /// File to write, or - for standard output
    #[arg(value_name = "OUT")]
    target: PathBuf,

    #[command(flatten)]
    input: InputArgs,

    /// Format to write [default: from the extension of OUT: .jsonl, .edn, .json, .txt or .log]
    #[arg(long, value_name = "FORMAT", value_parser = format_parser())]
    to: Option<Format>,
}

/// `tribunal convert`: reads everything before it writes.
pub(crate) fn run(args: &Args) -> ExitCode {
    let (reading, format, out) = match prepare(args) {
        Ok(prepared) => prepared,
        Err(error) => return exit::usage(error),
    };
    let written = match out {
        Some(out) => write(out, &reading, format),
        None => {
            let mut out = BufWriter::new(io::stdout().lock());
            write_to(&mut out, &reading, format).and_then(|()| out.flush())
        }
    };
    match written.with_context(|| format!("cannot write {}", args.target.display())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::harness(error),
    }
}

/// Does everything that can fail because of the arguments. The output is `None` for standard output.
fn prepare(args: &Args) -> Result<(Reading, Format, Option<Output>)> {
    ensure_not_read(&args.target, [&*args.source])?;
    let format = args.to.or_else(|| by_ending(&args.target));
    let format = format
        .ok_or_else(|| anyhow!("cannot tell the output format of `{}`: add --to", args.target.display()))?;
    let mut reading = match jepsen_store::is_store(&args.source) {
        true => jepsen_store::read(&args.source, &args.input)?.0,
        false => args.input.read(&args.source)?,
    };
    for note in &reading.notes {
        exit::eprint_line(&format!("note: {}: {note}", args.source.display()));
    }
    let has_room = !matches!(format, Format::Jsonl | Format::Finished);
    if !has_room {
        // Gaps in the indices, such as those of nemesis events, would look like lost lines.
        formats::renumber(&mut reading.history);
        if let n @ 1.. = reading.nemesis.len() {
            exit::eprint_line(&format!(
                "note: {} of the nemesis left out: {format} has no room for them",
                counted(n, "event")
            ));
        }
    }
    let keyed = reading.history.ops.iter().any(|op| !op.key.is_nil());
    if keyed && has_room {
        exit::eprint_line("note: every value is written as [key value]: read it with --independent");
    }
    let out = (!is_standard(&args.target)).then(|| {
        Output::named(&args.target).with_context(|| format!("cannot create {}", args.target.display()))
    });
    Ok((reading, format, out.transpose()?))
}

fn write_to(out: impl Write, reading: &Reading, format: Format) -> io::Result<()> {
    formats::write_with(out, &reading.history, &reading.nemesis, format)
}

fn write(out: Output, reading: &Reading, format: Format) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    write_to(&mut out, reading, format)?;
    out.into_inner()?.finish(Durable::No)
}

fn by_ending(path: &Path) -> Option<Format> {
    path.extension()?.to_str()?.parse().ok()
}
