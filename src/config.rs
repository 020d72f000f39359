//! `tribunal run --config FILE`: flags from a TOML file, as if they had been typed before all others.
//!
//! ```toml
//! workload = "register"
//! time-limit = "1m"              # as on the command line
//! nemesis = ["kill", "pause"]    # the same as "kill,pause"
//! bug = ["stale-read"]           # a flag that may be repeated: once for each
//! no-fail-fast = true
//! ```
//!
//! A flag on the command line wins over the same one in the file, and over those that exclude it. What is left is one
//! command line: it is read as any other, and it is what run.json keeps, so that a run can be repeated without the file.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, Command, CommandFactory};
use toml::{Table, Value};

use crate::cli::Cli;
use crate::input;

/// The flags that make no sense in a file.
const NOT_IN_A_FILE: [&str; 2] = ["config", "help"];
/// How alike two names must be (Jaro), for one to be taken for the other mistyped.
const ALIKE: f64 = 0.8;

/// The command line with the file of `--config` in it, if it names one.
///
/// # Errors
/// When the file cannot be read, or holds what `tribunal run` does not know.
pub(crate) fn typed(words: impl Iterator<Item = OsString>) -> Result<Vec<OsString>> {
    let words: Vec<OsString> = words.collect();
    let Some((verb, at, path, len)) = config_flag(&words) else { return Ok(words) };
    let text = input::read_text(Path::new(&path))
        .with_context(|| format!("--config: cannot read {}", Path::new(&path).display()))?;
    let name = Path::new(&path).display().to_string();
    let rest = [&words[verb + 1..at], &words[at + len..]].concat();
    let flags = flags(&text, &rest).with_context(|| name)?;
    let mut typed = words[..=verb].to_vec();
    typed.extend(flags.into_iter().map(OsString::from));
    typed.extend(rest);
    Ok(typed)
}

/// Where `run` is, where `--config FILE` or `--config=FILE` is after it, the file, and how many words that takes.
fn config_flag(words: &[OsString]) -> Option<(usize, usize, OsString, usize)> {
    let verb = verb(words).filter(|verb| words[*verb] == "run")?;
    (verb + 1..words.len()).find_map(|at| {
        let word = words[at].to_string_lossy();
        match word.strip_prefix("--config=") {
            Some(path) => Some((verb, at, path.into(), 1)),
            None if word == "--config" => Some((verb, at, words.get(at + 1)?.clone(), 2)),
            None => None,
        }
    })
}

/// Where the command is: after the flags that may stand before it, and what they take.
fn verb(words: &[OsString]) -> Option<usize> {
    let cli = Cli::command();
    let mut at = 1;
    loop {
        let word = words.get(at)?.to_string_lossy();
        match named(&cli, &word) {
            Some(arg) => at += if takes_the_next(arg, &word) { 2 } else { 1 },
            None if word.starts_with('-') => at += 1,
            None => return Some(at),
        }
    }
}

/// The flag of a command that a word names.
fn named<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.split('=').next().unwrap_or_default();
    command.get_arguments().find(|arg| match name.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().is_some_and(|short| name == format!("-{short}")),
    })
}

/// Whether the value of a flag is the word after it.
fn takes_the_next(arg: &Arg, word: &str) -> bool {
    arg.get_action().takes_values() && !word.contains('=')
}

/// The words that a file comes to, beside those that were typed.
fn flags(text: &str, typed: &[OsString]) -> Result<Vec<String>> {
    let table: Table = text.parse()?;
    let cli = Cli::command();
    let run = cli.find_subcommand("run").expect("there is such a command");
    let typed = typed_flags(run, typed);
    let mut words = Vec::new();
    for (key, value) in &table {
        let arg = known(run, key)?;
        let excluded = |other: &&str| {
            *other == arg.get_id().as_str()
                || run
                    .get_arguments()
                    .filter(|it| it.get_id() == other)
                    .any(|other| excludes(run, arg, other))
        };
        if !typed.iter().any(|id| excluded(&id.as_str())) {
            words.extend(words_of(arg, key, value)?);
        }
    }
    Ok(words)
}

fn excludes(run: &Command, a: &Arg, b: &Arg) -> bool {
    let names = |a: &Arg, b: &Arg| run.get_arg_conflicts_with(a).iter().any(|it| it.get_id() == b.get_id());
    names(a, b) || names(b, a)
}

/// The ids of the arguments that were typed: flags by their names, the workload where a word stands alone.
fn typed_flags(run: &Command, typed: &[OsString]) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut typed = typed.iter().map(|word| word.to_string_lossy());
    while let Some(word) = typed.next() {
        match named(run, &word) {
            Some(arg) => {
                ids.insert(arg.get_id().to_string());
                if takes_the_next(arg, &word) {
                    typed.next();
                }
            }
            None if !word.starts_with('-') => drop(ids.insert("workload".into())),
            None => {} // whoever reads the whole says what is wrong with it
        }
    }
    ids
}

/// The argument of that name, or an error that says which one may have been meant.
fn known<'a>(run: &'a Command, key: &str) -> Result<&'a Arg> {
    let name = |arg: &Arg| arg.get_long().unwrap_or(arg.get_id().as_str()).to_string();
    let all = || run.get_arguments().filter(|arg| !NOT_IN_A_FILE.contains(&arg.get_id().as_str()));
    if let Some(arg) = all().find(|arg| name(arg) == key) {
        return Ok(arg);
    }
    let likeness = |arg: &&Arg| strsim::jaro(key, &name(arg));
    match all().max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
        Some(arg) if likeness(&arg) >= ALIKE => bail!("there is no `{key}`: did you mean `{}`?", name(arg)),
        _ => bail!("there is no `{key}`: expected `workload` or a flag of `tribunal run` without its dashes"),
    }
}

/// What one key comes to on the command line.
fn words_of(arg: &Arg, key: &str, value: &Value) -> Result<Vec<String>> {
    let flag = format!("--{key}");
    let takes_value = arg.get_action().takes_values();
    Ok(match value {
        Value::Boolean(true) if !takes_value => vec![flag],
        Value::Boolean(false) if !takes_value => Vec::new(),
        _ if !takes_value => bail!("{key}: expected true or false, not a {}", value.type_str()),
        Value::Array(all) => {
            let all = all.iter().map(|one| text_of(key, one)).collect::<Result<Vec<_>>>()?;
            match arg.get_action() {
                ArgAction::Append => all.iter().map(|one| format!("{flag}={one}")).collect(),
                _ => vec![format!("{flag}={}", all.join(","))],
            }
        }
        _ if arg.is_positional() => vec![text_of(key, value)?],
        _ => vec![format!("{flag}={}", text_of(key, value)?)],
    })
}

fn text_of(key: &str, value: &Value) -> Result<String> {
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        _ => bail!("{key}: expected a text or a number, not a {}", value.type_str()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, typed: &str, expected: &str) {
        let typed: Vec<OsString> = typed.split_whitespace().map(OsString::from).collect();
        assert_eq!(flags(file, &typed).unwrap().join(" "), expected);
    }

    #[test]
    fn a_file_is_as_good_as_flags() {
        let file = "workload = 'register'\nnodes = 3\nrate = 0.5\nnemesis = ['kill', 'pause']\nno-fail-fast = true\nverbose = false";
        check(file, "", "--nemesis=kill,pause --no-fail-fast --nodes=3 --rate=0.5 register");
        check("bug = ['a', 'b']\nnode-arg = '--x=1'", "", "--bug=a --bug=b --node-arg=--x=1");
    }

    #[test]
    fn what_is_typed_wins() {
        check("workload = 'register'\nnodes = 3\nseed = 7", "counter --nodes 5", "--seed=7");
        check("nemesis = 'kill'\nnodes = 3", "--schedule=x.toml", "--nodes=3");
        check("quiet = true", "-v", "");
    }

    #[test]
    fn what_nobody_knows_is_an_error_that_helps() {
        let why = |file: &str| flags(file, &[]).unwrap_err().to_string();
        assert_eq!(why("time_limt = '5s'"), "there is no `time_limt`: did you mean `time-limit`?");
        assert!(why("zzz = 1").contains("expected `workload` or a flag"));
        assert_eq!(why("no-fail-fast = 'yes'"), "no-fail-fast: expected true or false, not a string");
        assert!(why("config = 'b.toml'").contains("there is no `config`"));
        assert!(why("nodes = {}").contains("expected a text or a number"));
        assert!(flags("nodes =", &[]).is_err());
    }

    #[test]
    fn the_file_takes_the_place_of_its_flag() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "workload = 'register'\nkeys = 9").unwrap();
        let words = |text: String| text.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        let line = format!("tribunal --ascii run --config {} --nodes 3", path.display());
        let expanded = typed(words(line).into_iter()).unwrap();
        assert_eq!(expanded, words("tribunal --ascii run --keys=9 register --nodes 3".into()));
        let after_flags = words(format!("tribunal --color never run register --config={}", path.display()));
        let expanded = typed(after_flags.into_iter());
        assert!(
            expanded.is_ok_and(|words| words.contains(&"--keys=9".into())),
            "what stands before `run` takes words, too"
        );
        let other = words("tribunal check --config x".into());
        assert_eq!(typed(other.clone().into_iter()).unwrap(), other, "only `run` has it");
        assert!(typed(words("tribunal run --config /nowhere".into()).into_iter()).is_err());
    }
}
