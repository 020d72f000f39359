//! Errors of the command line in one line, in the same style as all other errors: the flag, the value, what was
//! expected.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use tribunal_records::features::left_out;
use tribunal_records::suggest::suggest;

/// Commands that only a build with this feature has.
const OF_FEATURES: [(&str, &str); 14] = [
    ("box", "box"),
    ("replay", "box"),
    ("convict", "box"),
    ("shrink", "box"),
    ("bisect", "box"),
    ("serve", "serve"),
    ("completions", "manual"),
    ("man", "manual"),
    ("run", "trial"),
    ("matrix", "trial"),
    ("init", "trial"),
    ("doctor", "trial"),
    ("lint-client", "trial"),
    ("node", "trial"),
];

/// What is wrong with a command line. `commands` are the names of the commands, `typed` is the one that was typed.
pub(crate) fn message(error: &clap::Error, commands: &[&str], typed: Option<&str>) -> String {
    let said = |kind| error.get(kind).map(ContextValue::to_string);
    let listed = |kind| match error.get(kind) {
        Some(ContextValue::Strings(all)) => all.clone(),
        Some(other) => vec![other.to_string()],
        None => Vec::new(),
    };
    let flag = said(ContextKind::InvalidArg).map(|arg| name_of(&arg).to_string()).unwrap_or_default();
    let value = said(ContextKind::InvalidValue).unwrap_or_default();
    let see = see(&said(ContextKind::Usage).unwrap_or_default(), typed);
    match error.kind() {
        ErrorKind::InvalidValue if value.is_empty() => format!("{flag}: expected a value: {see}"),
        ErrorKind::InvalidValue => {
            let valid = listed(ContextKind::ValidValue);
            let valid: Vec<&str> = valid.iter().map(String::as_str).collect();
            match suggest(&value, valid.iter().copied()) {
                Some(near) => format!("{flag}: `{value}`: did you mean `{near}`?"),
                None => format!("{flag}: `{value}`: expected one of {}", valid.join(", ")),
            }
        }
        ErrorKind::ValueValidation => {
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            let why = of_numbers(&why).unwrap_or(why);
            let quoted = format!("`{value}`");
            match why.contains(&quoted) {
                true => format!("{flag}: {why}"),
                false => format!("{flag}: {quoted}: {why}"),
            }
        }
        ErrorKind::UnknownArgument if flag.starts_with("--") => match said(ContextKind::SuggestedArg) {
            Some(near) => format!("there is no flag `{flag}`: did you mean `{}`?", name_of(&near)),
            None => format!("there is no flag `{flag}`: {see}"),
        },
        ErrorKind::UnknownArgument => format!("unexpected argument `{flag}`: {see}"),
        ErrorKind::InvalidSubcommand => {
            let name = said(ContextKind::InvalidSubcommand).unwrap_or_default();
            if let Some((_, feature)) = OF_FEATURES.iter().find(|(verb, _)| *verb == name) {
                return format!("{name}: {}", left_out(feature));
            }
            let near = suggest(&name, commands.iter().copied()).map(str::to_owned);
            match listed(ContextKind::SuggestedSubcommand).into_iter().next().or(near) {
                Some(near) => format!("there is no command `{name}`: did you mean `{near}`?"),
                None => format!("there is no command `{name}`: {see}"),
            }
        }
        ErrorKind::ArgumentConflict => {
            let prior = listed(ContextKind::PriorArg);
            let prior: Vec<&str> = prior.iter().map(|arg| name_of(arg)).collect();
            match prior == [flag.as_str()] {
                true => format!("{flag} was given more than once"),
                false => format!("{flag} cannot be combined with {}", prior.join(" and ")),
            }
        }
        ErrorKind::MissingRequiredArgument => {
            format!("expected {}: {see}", listed(ContextKind::InvalidArg).join(" and "))
        }
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).to_string()
        }
    }
}

/// The error of clap's own parser of numbers, in the words of all others.
fn of_numbers(why: &str) -> Option<String> {
    if let Some((_, range)) = why.split_once(" is not in ") {
        let (from, to) = range.split_once("..=")?;
        return Some(format!("expected a whole number from {from} to {to}"));
    }
    let is_no_number =
        ["invalid digit", "cannot parse integer", "number too"].iter().any(|it| why.starts_with(it));
    is_no_number.then(|| "expected a whole number, 0 or more".to_string())
}

/// The flag without its value: `--seed <N>` is `--seed`.
fn name_of(arg: &str) -> &str {
    arg.split([' ', '=']).next().unwrap_or(arg)
}

/// Where the arguments of a command are explained, from its usage `Usage: tribunal run [OPTIONS]`.
fn see(usage: &str, typed: Option<&str>) -> String {
    let words = usage.trim_start_matches("Usage:").split_whitespace();
    let command: Vec<&str> = words.take_while(|word| !word.starts_with(['[', '<', '-'])).collect();
    let command = match (command.is_empty(), typed) {
        (true, Some(typed)) => format!("tribunal {typed}"),
        (true, None) => "tribunal".into(),
        (false, _) => command.join(" "),
    };
    format!("see `{command} --help`")
}
