//! Reads histories from files and standard input, as the flags say.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tribunal::user_file::open;
use tribunal_checker::formats::{self, FailedCas, Format, Names, Options, Reading, TimeUnit};
use tribunal_checker::history::History;

use crate::unpack::unpacked;

/// How to read a history.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct InputArgs {
    /// Format of the input [default: detected]
    #[arg(long, value_name = "FORMAT", value_parser = format_parser())]
    from: Option<Format>,

    /// Every value is a [key value] pair, as written by jepsen.independent
    #[arg(long)]
    independent: bool,

    /// Meaning of a failed compare-and-set [default: observe in a log, ignore in other formats]
    #[arg(long, value_enum, value_name = "WHAT")]
    failed_cas: Option<FailedCasArg>,

    /// Other names used in the input: of fields (process=worker), types (invoke=begin) or operations (write=SET)
    #[arg(long, value_name = "OURS=THEIRS", value_delimiter = ',')]
    map: Vec<String>,

    /// Unit of times [default: ns, or s if times have a fraction]
    #[arg(long, value_name = "UNIT", value_parser = time_unit_parser())]
    time_unit: Option<TimeUnit>,
}

fn time_unit_parser() -> impl TypedValueParser<Value = TimeUnit> {
    PossibleValuesParser::new(TimeUnit::ALL.map(TimeUnit::name)).try_map(|name| name.parse::<TimeUnit>())
}

/// [`FailedCas`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FailedCasArg {
    /// The value was different at some instant of the operation
    Observe,
    /// Only that the write did not happen
    Ignore,
}

/// Parses a format name.
pub(crate) fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse::<Format>())
}

/// Whether a path means standard input or output.
pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

impl InputArgs {
    /// Reads the history at `path`, or standard input for `-`.
    ///
    /// # Errors
    /// When it cannot be opened, or is malformed: file, line, column and what was expected.
    pub(crate) fn read(&self, path: &Path) -> Result<Reading> {
        self.read_with(path, &self.options()?)
    }

    /// The options given by the flags.
    ///
    /// # Errors
    /// When `--map` contains an unknown name.
    pub(crate) fn options(&self) -> Result<Options> {
        let mut names = Names::default();
        for map in &self.map {
            names.map(map).map_err(|why| anyhow!("--map {map}: {why}"))?;
        }
        let (independent, failed_cas, time_unit) = (self.independent, self.failed_cas(), self.time_unit);
        Ok(Options { independent, failed_cas, names, time_unit, process: None })
    }

    /// Reads the history at `path` with more options than the flags have.
    ///
    /// # Errors
    /// As [`InputArgs::read`].
    pub(crate) fn read_with(&self, path: &Path, options: &Options) -> Result<Reading> {
        if is_standard(path) {
            return self.read_from("<stdin>", io::stdin().lock(), options);
        }
        let name = path.display().to_string();
        let file = open(path).with_context(|| format!("cannot open {name}"))?;
        self.read_from(&name, BufReader::new(file), options)
    }

    fn read_from(&self, name: &str, input: impl BufRead, options: &Options) -> Result<Reading> {
        let input = unpacked(input).with_context(|| format!("cannot read {name}"))?;
        let reading = formats::read(input, self.from, options);
        let mut reading = reading.map_err(|error| anyhow!("{name}:{}", as_flags(&error.to_string())))?;
        for note in &mut reading.notes {
            *note = as_flags(note);
        }
        let format = reading.format;
        ensure!(
            !options.independent || !matches!(format, Format::Jsonl | Format::Finished),
            "{name}: --independent is for the formats of Jepsen; {format} has a field for the key"
        );
        ensure!(
            format != Format::Jsonl || options.names.is_empty() && options.time_unit.is_none(),
            "{name}: --map and --time-unit are for histories of other programs; {format} has names of its own, and \
             nanoseconds"
        );
        Ok(reading)
    }

    /// Applies the flags to the history of a run directory, whose format is known.
    ///
    /// # Errors
    /// When a flag does not fit the history.
    pub(crate) fn apply(&self, dir: &Path, history: &mut History) -> Result<()> {
        let dir = dir.display();
        let format = self.from.unwrap_or(Format::Jsonl);
        ensure!(format == Format::Jsonl, "{dir}: --from {format} does not fit: a run directory keeps jsonl");
        ensure!(
            self.map.is_empty() && self.time_unit.is_none(),
            "{dir}: --map and --time-unit are for histories of other programs"
        );
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

/// A text of the checker, in which its options are the flags of the command line.
pub(crate) fn as_flags(text: &str) -> String {
    text.replace("option `", "`--")
}
