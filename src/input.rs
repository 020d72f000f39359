//! Histories from files and from standard input, as the flags say.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tribunal_checker::formats::{self, FailedCas, Format, Options, Reading};
use tribunal_checker::history::History;

/// How to read a history.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct InputArgs {
    /// The format of the input [default: recognised by itself]
    #[arg(long, value_name = "FORMAT", value_parser = format_parser())]
    from: Option<Format>,

    /// Every value is a [key value] pair, as jepsen.independent writes them
    #[arg(long)]
    independent: bool,

    /// What a failed compare-and-set says [default: observe in a log, ignore elsewhere]
    #[arg(long, value_enum, value_name = "WHAT")]
    failed_cas: Option<FailedCasArg>,
}

/// [`FailedCas`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FailedCasArg {
    /// The comparison failed: at some instant the value was another
    Observe,
    /// Nothing, only that it did not happen
    Ignore,
}

/// A format by its name.
pub(crate) fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse::<Format>())
}

/// Whether a path stands for standard input or output.
pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

impl InputArgs {
    /// Reads the history at `path`, or standard input for `-`.
    ///
    /// # Errors
    /// When it cannot be opened, or is malformed: with file, line, column and what was expected.
    pub(crate) fn read(&self, path: &Path) -> Result<Reading> {
        let options = Options { independent: self.independent, failed_cas: self.failed_cas() };
        let (name, reading) = if is_standard(path) {
            ("<stdin>".into(), formats::read(io::stdin().lock(), self.from, &options))
        } else {
            let name = path.display().to_string();
            let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
            (name, formats::read(BufReader::new(file), self.from, &options))
        };
        let reading = reading.map_err(|error| anyhow!("{name}:{error}"))?;
        ensure!(
            !self.independent || !matches!(reading.format, Format::Jsonl | Format::Finished),
            "{name}: --independent is for the formats of Jepsen; {} has a field for the key",
            reading.format
        );
        Ok(reading)
    }

    /// Applies the flags to the history of a run directory, whose format is known.
    ///
    /// # Errors
    /// When a flag does not fit it.
    pub(crate) fn apply(&self, dir: &Path, history: &mut History) -> Result<()> {
        let dir = dir.display();
        let format = self.from.unwrap_or(Format::Jsonl);
        ensure!(format == Format::Jsonl, "{dir}: --from {format} does not fit: a run directory keeps jsonl");
        ensure!(
            !self.independent,
            "{dir}: --independent is for the formats of Jepsen; {format} has a field for the key"
        );
        self.failed_cas().unwrap_or(FailedCas::Ignore).apply(history);
        Ok(())
    }

    fn failed_cas(&self) -> Option<FailedCas> {
        self.failed_cas.map(|what| match what {
            FailedCasArg::Observe => FailedCas::Observe,
            FailedCasArg::Ignore => FailedCas::Ignore,
        })
    }
}
