//! Histories as text: readers and writers.
//!
//! Every reader turns bytes into a [`History`](crate::history::History) or a [`ParseError`] that names the line,
//! the column, what was expected there and what was found. No bytes make a reader panic. There is no file I/O
//! here: readers take any [`BufRead`](std::io::BufRead), and whoever opened the file adds its name.

use std::cell::Cell;
use std::fmt;

use crate::history::History;
use crate::op::Event;

mod event_line;
pub mod jsonl;
mod lines;
mod strings;

/// A history that was read, with what its reader has to say about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The history.
    pub history: History,
    /// Sentences for the user: what was left out or assumed. Never reasons to distrust the history.
    pub notes: Vec<String>,
}

impl Reading {
    /// Collects `events`; `line` says where the last one stood.
    fn from_events<I>(events: &mut I, line: impl Fn(&I) -> usize) -> Result<Self, ParseError>
    where
        I: Iterator<Item = Result<Event, ParseError>>,
    {
        let failed = Cell::new(None);
        let whole = std::iter::from_fn(|| events.next()?.map_err(|error| failed.set(Some(error))).ok());
        let history = History::from_events(whole);
        match (failed.into_inner(), history) {
            (Some(error), _) => Err(error),
            (None, Ok(history)) => Ok(Reading { history, notes: Vec::new() }),
            (None, Err(malformed)) => Err(ParseError {
                line: line(events),
                column: 1,
                expected: "an event that can follow those before it".into(),
                found: malformed.why,
            }),
        }
    }
}

/// Input that is not what it should be, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in bytes, counted from 1.
    pub column: usize,
    /// What should have stood there.
    pub expected: String,
    /// What stood there instead.
    pub found: String,
}

impl ParseError {
    /// What `serde_json` says about a text that starts on `line`, as `expected`.
    fn json(line: usize, error: &serde_json::Error, expected: &str) -> Self {
        let said = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        ParseError {
            line: line + error.line().saturating_sub(1),
            column: error.column().max(1),
            expected: expected.into(),
            found: said.strip_suffix(&place).unwrap_or(&said).into(),
        }
    }
}

/// `17:4: expected an event, found end of line`, ready for a file name in front.
impl fmt::Display for ParseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: expected {}, found {}", self.line, self.column, self.expected, self.found)
    }
}

impl std::error::Error for ParseError {}
