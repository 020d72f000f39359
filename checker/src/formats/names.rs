//! The field names of other programs' histories, and their words for types and operations.
//!
//! Every field has usual names, which are recognised automatically: `process`, `client` or `thread`; `time`,
//! `t` or `ts`. Case, `-` and `_` make no difference (`ClientId`, `client_id`), and the name of a time may
//! end with its unit (`t_ns`, `start_ms`). [`Names::map`] adds the user's own names, which take precedence.

use super::times::TimeUnit;
use crate::op::{F, Kind};

/// The meaning of a field of an event or of a finished operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Process,
    Kind,
    F,
    Key,
    Value,
    Input,
    Output,
    Time,
    Index,
    Error,
    Node,
    Client,
    Call,
    Return,
    Failed,
    Unknown,
    Ignored,
}

/// The number of fields.
pub(super) const FIELDS: usize = Field::Ignored as usize + 1;

/// The name of each field in a map, then its other usual names. If a record has several, the first name is
/// preferred.
const USUAL: [(Field, &[&str]); 16] = [
    (
        Field::Process,
        &["process", "client", "thread", "clientid", "threadid", "processid", "worker", "workerid", "p"],
    ),
    (Field::Kind, &["type", "kind", "event"]),
    (Field::F, &["f", "op", "operation", "action", "method"]),
    (Field::Key, &["key", "k"]),
    (Field::Value, &["value", "val", "v"]),
    (Field::Input, &["input", "in", "arg", "args", "argument"]),
    (Field::Output, &["output", "out", "result"]),
    (Field::Time, &["time", "t", "ts", "timestamp"]),
    (Field::Index, &["index", "i", "idx", "seq", "opid", "opindex", "id"]),
    (Field::Error, &["error", "err"]),
    (Field::Node, &["node", "server", "host"]),
    (Field::Call, &["call", "calltime", "start", "starttime", "begin"]),
    (Field::Return, &["return", "ret", "returntime", "end", "endtime", "finish"]),
    (Field::Failed, &["fail", "failed"]),
    (Field::Unknown, &["unknown"]),
    (Field::Ignored, &["ignore", "metadata", "exception", "final?", "debug", "clockoffsets"]),
];

/// The user's own names: of fields (`process=worker`), of types (`invoke=begin`) and of operations
/// (`write=SET`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    fields: Vec<(Field, String)>,
    kinds: Vec<(Kind, String)>,
    fs: Vec<(F, String)>,
}

impl Names {
    /// Adds one name, written `OURS=THEIRS`.
    ///
    /// # Errors
    /// What was expected, if `OURS` is no field, type or operation, or `=` is missing.
    pub fn map(&mut self, text: &str) -> Result<(), String> {
        let (ours, theirs) = text.split_once('=').ok_or("expected OURS=THEIRS, such as process=worker")?;
        let theirs = theirs.trim_start_matches(':').to_owned();
        let field = USUAL.iter().find(|(_, names)| names[0] == ours).map(|(field, _)| *field);
        match (field.filter(|field| *field != Field::Failed), kind(ours), F::from(ours)) {
            (Some(field), ..) => self.fields.push((field, theirs)),
            (_, Some(kind), _) => self.kinds.push((kind, theirs)),
            (_, _, F::Other(_)) => {
                let fields: Vec<&str> =
                    USUAL.iter().map(|(_, names)| names[0]).filter(|name| *name != "fail").collect();
                return Err(format!(
                    "expected a field ({}), a type (invoke, ok, fail, info) or an operation (read, write, cas, ...) \
                     before `=`, found `{ours}`",
                    fields.join(", ")
                ));
            }
            (.., f) => self.fs.push((f, theirs)),
        }
        Ok(())
    }

    /// Whether the user gave no names.
    pub fn is_empty(&self) -> bool {
        *self == Names::default()
    }

    /// The field with this name, how usual the name is for it (0 is best), and the unit at the end of the
    /// name.
    pub(super) fn field(&self, name: &str) -> Option<(Field, usize, Option<TimeUnit>)> {
        if let Some((field, _)) = self.fields.iter().find(|(_, theirs)| theirs == name) {
            return Some((*field, 0, TimeUnit::at_end_of(name).map(|(_, unit)| unit)));
        }
        let usual = |name: &str| {
            USUAL
                .iter()
                .find_map(|(field, names)| Some((*field, 1 + names.iter().position(|usual| *usual == name)?)))
        };
        // Jepsen's own words are the most frequent ones, and spelled like this.
        if let Some((field, rank)) = usual(name) {
            return Some((field, rank, None));
        }
        let plain = |name: &str| -> String {
            name.chars().filter(|c| !matches!(c, '-' | '_')).map(|c| c.to_ascii_lowercase()).collect()
        };
        if let Some((field, rank)) = usual(&plain(name)) {
            return Some((field, rank, None));
        }
        let (stem, unit) = TimeUnit::at_end_of(name)?;
        let (field, rank) = usual(&plain(stem))?;
        matches!(field, Field::Time | Field::Call | Field::Return).then_some((field, rank, Some(unit)))
    }

    /// The type of event with this name.
    pub(super) fn kind(&self, word: &str) -> Option<Kind> {
        let given = self.kinds.iter().find(|(_, theirs)| theirs == word).map(|(kind, _)| *kind);
        given.or_else(|| kind(word)).or(match word.to_ascii_lowercase().as_str() {
            "invoke" | "invocation" | "call" => Some(Kind::Invoke),
            "ok" | "return" => Some(Kind::Ok),
            "info" | "unknown" => Some(Kind::Info),
            _ => None,
        })
    }

    /// The operation with this name.
    pub(super) fn f(&self, word: &str) -> F {
        if let Some((f, _)) = self.fs.iter().find(|(_, theirs)| theirs == word) {
            return f.clone();
        }
        match (F::from(word), F::from(&*word.to_ascii_lowercase())) {
            (F::Other(_), named) if !matches!(named, F::Other(_)) => named,
            (as_written, _) => as_written,
        }
    }
}

/// The kind of event with this name in Jepsen and Tribunal.
pub(super) fn kind(name: &str) -> Option<Kind> {
    Some(match name {
        "invoke" => Kind::Invoke,
        "ok" => Kind::Ok,
        "fail" => Kind::Fail,
        "info" => Kind::Info,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_known_however_they_are_spelled() {
        let names = Names::default();
        for (name, field, unit) in [
            ("process", Field::Process, None),
            ("ClientId", Field::Process, None),
            ("client_id", Field::Process, None),
            ("t_ns", Field::Time, Some(TimeUnit::Ns)),
            ("startMs", Field::Call, Some(TimeUnit::Ms)),
            ("Return", Field::Return, None),
            ("op-index", Field::Index, None),
        ] {
            let (found, _, found_unit) = names.field(name).expect(name);
            assert_eq!((found, found_unit), (field, unit), "{name}");
        }
        assert_eq!(names.field("scenario"), None);
        assert_eq!(names.field("process_ms"), None);
    }

    #[test]
    fn own_names_win_and_nonsense_is_refused() {
        let mut names = Names::default();
        for map in ["process=who", "ok=done", "write=SET", "value=time"] {
            names.map(map).unwrap();
        }
        assert_eq!(names.field("who").map(|(field, ..)| field), Some(Field::Process));
        assert_eq!(names.field("time").map(|(field, rank, _)| (field, rank)), Some((Field::Value, 0)));
        assert_eq!((names.kind("done"), names.f("SET")), (Some(Kind::Ok), F::Write));
        assert!(names.map("process").unwrap_err().contains("OURS=THEIRS"));
        assert!(names.map("colour=red").unwrap_err().contains("found `colour`"));
    }
}
