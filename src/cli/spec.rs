//! From a command line and a file to a spec: `tribunal run --config FILE`.
//!
//! ```toml
//! workload = "register"
//! time-limit = "1m"              # as on the command line
//! nemesis = ["kill", "pause"]    # the same as "kill,pause"
//! bug = ["stale-read"]           # a flag that may be repeated: a list
//! no-fail-fast = true
//! ```
//!
//! The file may also be JSON, for example a run.json: it contains the spec of its run. A flag on the command
//! line overrides the same key in the file, and keys that exclude it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory};
use serde::Serialize;
use serde_json::{Map, Value};
use tribunal::user_file::{ensure_not_read, read_text};
use tribunal_records::TrialSpec;
use tribunal_records::places::{at_line, plain};
use tribunal_records::spec::{flags, upgrade};
use tribunal_records::suggest::{suggest, unknown};

use super::Cli;
use super::trial::{REPEATS, RunArgs, ShowArgs};

/// `FILE:LINE` of keys.
type Places = BTreeMap<String, String>;

/// What `tribunal run` shall do.
pub(crate) struct Run {
    /// The trial.
    pub(crate) spec: TrialSpec,
    /// How it is displayed.
    pub(crate) show: ShowArgs,
    /// `FILE:LINE` of each key that a file has set.
    places: Places,
}

impl Run {
    /// An error about a flag; if a file has set it, with its place there.
    pub(crate) fn placed(&self, why: &str) -> String {
        let flag = why.strip_prefix("--").and_then(|rest| rest.split([':', ' ']).next());
        match flag.and_then(|flag| self.places.get(flag)) {
            Some(place) => format!("{place}: {}", why.trim_start_matches("--")),
            None => why.to_string(),
        }
    }
}

impl RunArgs {
    /// The requested trial: flags that were typed (known from `matches` of `run`) override the file.
    ///
    /// # Errors
    /// When the file cannot be read, has an unknown key, or a value is out of range.
    pub(crate) fn resolve(&self, matches: &ArgMatches) -> Result<Run> {
        let run = command();
        let here = found(&std::env::current_dir()?);
        let file = match is_typed(matches, "no-config") {
            true => self.config.as_ref(),
            false => self.config.as_ref().or(here.as_ref()),
        };
        let (mut keys, mut places) = match (file, self.profile.as_deref()) {
            (Some(path), profile) => from_file(path, profile, &run)?,
            (None, None) => (Map::new(), Places::new()),
            (None, Some(_)) => bail!("--profile: there is no {NAME} in this directory or above"),
        };
        let all = object(&self.trial).into_iter().chain(object(&self.show));
        for (key, value) in all.filter(|(key, _)| is_typed(matches, key)) {
            let arg = argument(&run, &key).expect("the keys are the names of the flags");
            keys.retain(|other, _| !argument(&run, other).is_some_and(|other| excludes(&run, arg, other)));
            places.remove(&key);
            keys.insert(key, value);
        }
        // The command that repeats the run contains everything that a file here says.
        keys.insert("no-config".into(), Value::Bool(here.is_some()));
        let run = Run { places, ..split(keys)? };
        ensure!(
            !run.spec.workload.is_empty(),
            "expected a workload, such as `tribunal run register` (tribunal list workloads)"
        );
        run.spec.validate().map_err(|why| anyhow!("--{why}"))?;
        let of_box = run.spec.to_map().into_iter().filter(|(key, _)| key.starts_with("box-"));
        let usual = TrialSpec::default().to_map();
        if let Some((key, _)) = of_box.into_iter().find(|(key, value)| usual.get(key) != Some(value))
            && !run.spec.boxed
        {
            bail!("--{key}: expected --box, too");
        }
        if let Some(junit) = &run.show.junit {
            let system = Path::new(&run.spec.system);
            let read = [file.map(PathBuf::as_path), run.spec.schedule.as_deref(), Some(system)];
            ensure_not_read(junit, read.into_iter().flatten()).context("--junit")?;
        }
        Ok(run)
    }
}

impl ShowArgs {
    /// The display flags for each of several child runs.
    pub(crate) fn words(&self) -> Vec<OsString> {
        flags(object(&ShowArgs { repeat: 1, ..self.clone() }), &object(&ShowArgs::default()))
    }
}

/// `tribunal run` as a clap command.
fn command() -> Command {
    let mut cli = Cli::command();
    cli.build();
    cli.find_subcommand("run").expect("there is such a command").clone()
}

/// The file that is found without `--config`.
const NAME: &str = "tribunal.toml";

/// The nearest file of that name, in a directory or above it.
fn found(directory: &Path) -> Option<PathBuf> {
    directory.ancestors().map(|above| above.join(NAME)).find(|path| path.is_file())
}

/// Moves the keys of a profile over the others, and removes the profiles.
fn apply_profile(keys: &mut Map<String, Value>, profile: Option<&str>) -> Result<()> {
    let profiles = match keys.remove("profile") {
        None => Map::new(),
        Some(Value::Object(profiles)) => profiles,
        Some(_) => bail!("profile: expected tables, such as [profile.ci]"),
    };
    for (name, profile) in &profiles {
        ensure!(profile.is_object(), "profile.{name}: expected a table");
    }
    let Some(wanted) = profile else { return Ok(()) };
    match profiles.get(wanted) {
        Some(Value::Object(profile)) => keys.extend(profile.clone()),
        _ => {
            let names: Vec<&str> = profiles.keys().map(String::as_str).collect();
            bail!("--profile: {}", unknown("profile", wanted, &names));
        }
    }
    Ok(())
}

/// The keys of a file, with those of a profile, and the place of each. Every key is known, and none excludes another.
fn from_file(path: &Path, profile: Option<&str>, run: &Command) -> Result<(Map<String, Value>, Places)> {
    let at = |line: usize, why: String| anyhow!(at_line(path, line, plain(&why)));
    let text = read_text(path).with_context(|| format!("{}: cannot read it", path.display()))?;
    let mut keys = match text.trim_start().starts_with('{') {
        true => serde_json::from_str(&text).map_err(|error| at(error.line(), error.to_string()))?,
        false => object(&text.parse::<toml::Table>().map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            at(before.matches('\n').count() + 1, error.message().replace('\n', ", "))
        })?),
    };
    apply_profile(&mut keys, profile)
        .map_err(|error| at(line_of(&text, "profile").unwrap_or(0), error.to_string()))?;
    if let Some(Value::Object(spec)) = keys.get("spec") {
        keys = spec.clone();
    }
    upgrade(&mut keys);
    let at = |key: &str, why: String| at(line_of(&text, key).unwrap_or(0), why);
    for key in keys.keys() {
        ensure_known(key).map_err(|error| at(key, error.to_string()))?;
    }
    for (key, value) in &keys {
        // Parsed separately, so that an error can name the key.
        let one = Map::from_iter([(key.clone(), value.clone())]);
        let mut one = split(one).map_err(|error| at(key, format!("{key}: {error}")))?;
        one.spec.workload = "of no interest here".into();
        if let Err(why) = one.spec.validate()
            && why.starts_with(&format!("{key}:"))
        {
            return Err(at(key, why));
        }
        let excluded = |other: &&String| match (argument(run, key), argument(run, other)) {
            (Some(a), Some(b)) => excludes(run, a, b) && keys[*other] != Value::Null && *value != Value::Null,
            _ => false,
        };
        if let Some(other) = keys.keys().find(excluded) {
            return Err(at(key, format!("`{key}` cannot be combined with `{other}`")));
        }
    }
    let place = |key: &String| at_line(path, line_of(&text, key).unwrap_or(0), "");
    let places = keys.keys().map(|key| (key.clone(), place(key).trim_end_matches([':', ' ']).to_string()));
    let places = places.collect();
    Ok((keys, places))
}

/// The first line of a file that begins with a key, counted from 1.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let is_here = |line: &str| {
        let rest = line.trim_start_matches([' ', '\t', '"', '\'', '{', ',']).strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ', '\t']).starts_with(['=', ':']))
    };
    Some(text.lines().position(is_here)? + 1)
}

/// Splits the keys into a spec and display options.
fn split(mut keys: Map<String, Value>) -> Result<Run> {
    let shown: Vec<String> = object(&ShowArgs::default()).keys().cloned().collect();
    let show: Map<_, _> =
        shown.into_iter().filter_map(|key| Some((key.clone(), keys.remove(&key)?))).collect();
    let show: ShowArgs = serde_json::from_value(Value::Object(show))?;
    ensure!(
        REPEATS.contains(&show.repeat),
        "expected a whole number from {} to {}",
        REPEATS.start(),
        REPEATS.end()
    );
    Ok(Run { spec: serde_json::from_value(Value::Object(keys))?, show, places: Places::new() })
}

fn object(what: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(what) {
        Ok(Value::Object(map)) => map,
        other => unreachable!("a struct or a table is an object: {other:?}"),
    }
}

/// The argument with that name.
fn argument<'a>(run: &'a Command, key: &str) -> Option<&'a Arg> {
    let id = key.replace('-', "_");
    run.get_arguments().find(|arg| arg.get_id() == id.as_str())
}

fn is_typed(matches: &ArgMatches, key: &str) -> bool {
    matches.value_source(&key.replace('-', "_")) == Some(ValueSource::CommandLine)
}

fn excludes(run: &Command, a: &Arg, b: &Arg) -> bool {
    let names = |a: &Arg, b: &Arg| run.get_arg_conflicts_with(a).iter().any(|it| it.get_id() == b.get_id());
    names(a, b) || names(b, a)
}

/// Checks that a key exists; the error suggests a similar one.
fn ensure_known(key: &str) -> Result<()> {
    let all = TrialSpec::default().to_map().into_iter().chain(object(&ShowArgs::default()));
    let all: Vec<String> = all.map(|(key, _)| key).collect();
    if all.iter().any(|known| known == key) {
        return Ok(());
    }
    match suggest(key, all.iter().map(String::as_str)) {
        Some(near) => bail!("there is no key `{key}`: did you mean `{near}`?"),
        None => {
            bail!("there is no key `{key}`: expected `workload`, or a flag of `tribunal run` without `--`")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use clap::FromArgMatches;
    use tribunal_checker::model::ModelKind;

    use super::*;
    use crate::cli::Verb;

    /// The run that a command line describes.
    fn meant(words: &[OsString]) -> Result<Run> {
        let all = std::iter::once("tribunal".into()).chain(words.iter().cloned());
        let matches = Cli::command().try_get_matches_from(all)?;
        let Verb::Run(args) = Cli::from_arg_matches(&matches)?.verb else { bail!("it says run") };
        args.resolve(matches.subcommand_matches("run").expect("it says run"))
    }

    /// The arguments that repeat a run given by a file and a command line.
    fn with_file(file: &str, typed: &str) -> Result<String> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("f");
        std::fs::write(&path, file)?;
        let mut words: Vec<OsString> =
            format!("run {typed}").split_whitespace().map(OsString::from).collect();
        words.push(format!("--config={}", path.display()).into());
        let Run { spec, show, .. } = meant(&words)?;
        let loud = if show.quiet {
            " -q"
        } else if show.verbose {
            " -v"
        } else {
            ""
        };
        Ok(spec.words().join(OsStr::new(" ")).into_string().unwrap() + loud)
    }

    #[test]
    fn a_file_is_equivalent_to_flags() {
        let file = "workload = 'register'\nnodes = 3\nrate = 0.5\nnemesis = ['kill', 'pause']\nno-fail-fast = true\nverbose = false";
        let flags = "run register --nemesis kill,pause --no-fail-fast --nodes 3 --rate 0.5";
        assert_eq!(with_file(file, "").unwrap(), flags);
        let file = r#"{"workload": "queue", "bug": ["a", "b"], "node-arg": "--x=1"}"#;
        assert_eq!(with_file(file, "").unwrap(), "run queue --bug a --bug b --node-arg=--x=1");
    }

    #[test]
    fn what_is_typed_wins() {
        let file = "workload = 'register'\nnodes = 3\nseed = 7";
        assert_eq!(with_file(file, "counter --nodes 5").unwrap(), "run counter --seed 7");
        let file = "nemesis = 'kill'\nnodes = 3";
        assert_eq!(
            with_file(file, "queue --schedule=x.toml").unwrap(),
            "run queue --nodes 3 --schedule x.toml"
        );
        assert_eq!(with_file("quiet = true", "queue -v").unwrap(), "run queue -v");
        assert_eq!(with_file("schedule = 'x'", "queue --nemesis none").unwrap(), "run queue --nemesis none");
    }

    #[test]
    fn a_profile_overrides_the_file_and_is_overridden_by_what_is_typed() {
        let file =
            "workload = 'register'\nnodes = 3\n[profile.ci]\nnodes = 4\nseed = 9\n[profile.night]\nkeys = 2";
        assert_eq!(with_file(file, "").unwrap(), "run register --nodes 3");
        assert_eq!(with_file(file, "--profile ci").unwrap(), "run register --nodes 4 --seed 9");
        assert_eq!(with_file(file, "--profile ci --nodes 6").unwrap(), "run register --nodes 6 --seed 9");
        let why = |file: &str, typed: &str| format!("{:#}", with_file(file, typed).map(drop).unwrap_err());
        assert!(why(file, "--profile cy").contains("did you mean `ci`"), "{}", why(file, "--profile cy"));
        assert!(why("profile = 3", "queue").contains("expected tables, such as [profile.ci]"));
        let unknown = "workload = 'register'\n[profile.ci]\nnods = 4";
        assert!(
            why(unknown, "--profile ci").contains("did you mean `nodes`?"),
            "{}",
            why(unknown, "--profile ci")
        );
    }

    #[test]
    fn the_nearest_file_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(dir.path().join(NAME), "nodes = 3").unwrap();
        assert_eq!(found(&below), Some(dir.path().join(NAME)));
        std::fs::write(dir.path().join("a").join(NAME), "nodes = 4").unwrap();
        assert_eq!(found(&below), Some(dir.path().join("a").join(NAME)));
    }

    #[test]
    fn a_run_json_is_a_file_of_flags() {
        let spec = TrialSpec::new("queue").with(|spec| (spec.seed, spec.nodes) = (Some(9), 3));
        let run_json = serde_json::json!({"schema_version": 1, "spec": spec}).to_string();
        assert_eq!(with_file(&run_json, "").unwrap(), "run queue --nodes 3 --seed 9");
        let old =
            r#"{"schema_version": 1, "spec": {"schema-version": 1, "workload": "queue", "rate": "spells"}}"#;
        assert_eq!(with_file(old, "").unwrap(), "run queue");
        assert_eq!(with_file(&run_json, "--nodes 5").unwrap(), "run queue --seed 9");
    }

    #[test]
    fn unknown_keys_get_a_helpful_error() {
        let why = |file: &str| {
            let error = format!("{:#}", with_file(file, "register").map(drop).unwrap_err());
            error.split_once("/f:").map(|(_, why)| why.to_string()).unwrap_or(error)
        };
        assert_eq!(
            why("nodes = 3\ntime-limt = '5s'"),
            "2: there is no key `time-limt`: did you mean `time-limit`?"
        );
        assert!(why("zzz = 1").contains("expected `workload`, or a flag"));
        assert!(
            why("no-fail-fast = 'yes'")
                .starts_with("1: no-fail-fast: invalid type: text \"yes\", expected true or false")
        );
        assert!(why("config = 'b.toml'").contains("there is no key `config`"));
        assert!(why("\nnodes = {}").starts_with("2: nodes: invalid type: table"));
        assert!(why("rate = 'fast'").starts_with("1: rate: expected operations per second"));
        assert_eq!(
            why("schedule = 'x'\nnemesis = 'kill'"),
            "2: `nemesis` cannot be combined with `schedule`"
        );
        assert_eq!(why("nodes = 26"), "1: nodes: expected 1 to 25");
        assert_eq!(why("repeat = 0"), "1: repeat: expected a whole number from 1 to 100000");
        assert!(why("seed = 1\nnodes =").starts_with("2: "));
        let nothing = format!("{:#}", meant(&["run".into()]).map(drop).unwrap_err());
        assert!(nothing.starts_with("expected a workload"), "{nothing}");
    }

    #[test]
    fn the_words_of_a_trial_parse_to_that_trial() {
        use proptest::prelude::*;
        use tribunal_records::boxed::Branch;
        use tribunal_records::{Concurrency, DiskKind, Net, Rate, Size};

        let text = || {
            "[ -~\u{e4}]{1,8}"
                .prop_filter("clap trims nothing, and takes no empty text", |text| !text.is_empty())
        };
        let time = || (1u64..10_000_000).prop_map(std::time::Duration::from_millis);
        let rate =
            prop_oneof![Just(Rate::Bursts), Just(Rate::Full), (0.001..1e9f64).prop_map(Rate::PerSecond)];
        let clients = prop_oneof![
            (1..1_000usize).prop_map(Concurrency::Fixed),
            (1..9usize).prop_map(Concurrency::PerNode)
        ];
        let share = || proptest::option::of(0.0..=1.0f64);
        let faults = prop_oneof![
            Just((None, None, None)),
            text().prop_map(|nemesis| (Some(nemesis), None, None)),
            text().prop_map(|schedule| (None, Some(schedule), None)),
            text().prop_map(|grudge| (None, None, Some(grudge))),
        ];
        let named = (
            "[a-z-]{1,9}",
            text(),
            proptest::collection::vec(text(), 0..3),
            proptest::collection::vec(text(), 0..3),
        );
        let load = (1..=25u8, clients, rate, 1..1_000_000usize, share(), share(), any::<bool>());
        let times = (time(), 1u64..600_000, time(), time(), time());
        let rest = (
            proptest::option::of(any::<u64>()),
            proptest::option::of(proptest::sample::select(DiskKind::ALL)),
            proptest::sample::select(Net::ALL),
            1..usize::MAX,
            any::<u64>(),
            proptest::option::of(proptest::sample::select(&ModelKind::ALL[..])),
            (proptest::option::of(time()), proptest::option::of(time())),
            (proptest::option::of((time(), any::<u64>(), time())), any::<bool>()),
        );
        proptest!(|(named in named, load in load, times in times, faults in faults, rest in rest)| {
            let spec = TrialSpec::new(named.0.trim_start_matches('-').to_string() + "x").with(|spec| {
                (spec.system, spec.bug, spec.node_arg) = (named.1, named.2, named.3);
                (spec.nodes, spec.concurrency, spec.rate) = (load.0, load.1, load.2);
                (spec.keys, spec.reads, spec.availability, spec.no_fail_fast) = (load.3, load.4, load.5, load.6);
                (spec.time_limit, spec.settle, spec.check_time_limit) = (times.0, times.2, times.3);
                spec.op_timeout = std::time::Duration::from_millis(times.1);
                if let Some(nemesis) = faults.0 { spec.nemesis = nemesis; }
                spec.schedule = faults.1.map(Into::into);
                spec.grudge = faults.2;
                if spec.schedule.is_none() { spec.nemesis_interval = times.4; }
                (spec.seed, spec.disk, spec.net, spec.disk_size) = (rest.0, rest.1, rest.2, Size(rest.3));
                spec.check_states_limit = rest.4;
                spec.model = rest.5.map(|model| model.name().into());
                (spec.max_p99, spec.max_recovery) = rest.6;
                spec.trace = rest.7.1.then(|| "n1".into());
                spec.boxed = rest.7.0.is_some();
                spec.box_branch = rest.7.0.map(|(at, seed, after)| Branch { at, seed, end: at + after });
            });
            let again = meant(&spec.words()).map_err(|error| TestCaseError::fail(format!("{error:#}: {:?}", spec.words())))?;
            prop_assert_eq!(again.spec, spec);
        });
    }
}
