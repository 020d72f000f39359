//! Errors in files of the user, in the style of compilers: `FILE:LINE: what is wrong`.

use std::path::Path;

/// An error at a line of a file, counted from 1; 0 if the line is not known.
pub fn at_line(file: &Path, line: usize, why: impl std::fmt::Display) -> String {
    match line {
        0 => format!("{}: {why}", file.display()),
        line => format!("{}:{line}: {why}", file.display()),
    }
}

/// The message of a JSON parser without the place, which the caller names.
pub fn of_json(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    plain(message.strip_suffix(&place).unwrap_or(&message))
}

/// The message of a parser without the names of Rust's types.
///
/// ```
/// use tribunal_records::places::plain;
///
/// assert_eq!(plain("invalid type: string \"x\", expected u8"), "invalid type: text \"x\", expected a whole number from 0 to 255");
/// ```
pub fn plain(message: &str) -> String {
    let types = [
        ("expected u8", "expected a whole number from 0 to 255"),
        ("expected u16", "expected a whole number from 0 to 65535"),
        ("expected u32", "expected a whole number, 0 or more"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected f64", "expected a number"),
        ("expected a string", "expected a text in quotes"),
        ("expected a sequence", "expected a list"),
        ("expected a map", "expected a table"),
        ("expected a boolean", "expected true or false"),
    ];
    let message = match types.iter().find(|(rust, _)| message.ends_with(rust)) {
        Some((rust, words)) => message.replace(rust, words),
        None => message.to_string(),
    };
    let kinds =
        [("type: string", "type: text"), ("type: sequence", "type: list"), ("type: map", "type: table")];
    kinds.iter().fold(message, |message, (rust, word)| message.replacen(rust, word, 1))
}
