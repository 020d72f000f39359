//! The checks that all parts of a description share: placeholders, ports, programs, patterns.

use std::path::{Component, Path};

use regex_lite::Regex;

use super::Wrong;
use super::template::Template;
use crate::program::ProgramPath;

/// The placeholders of a node, except those with a port.
const OF_NODE: [&str; 10] = [
    "id",
    "index",
    "nodes",
    "data",
    "host",
    "peers",
    "members",
    "advertised.host",
    "advertised.port",
    "advertised.address",
];

/// What the texts of a description may refer to.
pub(super) struct Scope<'a> {
    /// The description's file.
    pub(super) file: &'a Path,
    pub(super) ports: &'a [&'static str],
    /// The client port, which is the default.
    pub(super) client_port: usize,
    /// Where programs are searched for; `None`: whether they are installed is not asked yet.
    pub(super) programs: Option<&'a ProgramPath>,
}

impl Scope<'_> {
    /// An error at a key.
    pub(super) fn wrong(&self, key: &str, why: impl Into<String>) -> Wrong {
        (key.into(), why.into())
    }

    /// The port with that name; by default the client port.
    pub(super) fn port(&self, key: &str, name: &Option<String>) -> Result<usize, Wrong> {
        let Some(name) = name else { return Ok(self.client_port) };
        let found = self.ports.iter().position(|port| port == name);
        let all = || self.ports.join(", ");
        found.ok_or_else(|| self.wrong(key, format!("there is no port `{name}`: expected one of {}", all())))
    }

    /// A name for reports.
    pub(super) fn name(&self, key: &str, name: &str) -> Result<(), Wrong> {
        const CHARS_MAX: usize = 100;
        let is_good = |it: char| !it.is_control() && it != '/';
        match !name.trim().is_empty() && name.chars().all(is_good) && name.chars().count() <= CHARS_MAX {
            true => Ok(()),
            false => {
                Err(self.wrong(key, "expected a name of 1 to 100 characters, without `/` and line breaks"))
            }
        }
    }

    /// The name of an environment variable.
    pub(super) fn variable(&self, key: &str, name: &str) -> Result<(), Wrong> {
        match name.is_empty() || name.contains(['=', '\0']) {
            true => Err(self.wrong(key, format!("expected the name of a variable, not `{name}`"))),
            false => Ok(()),
        }
    }

    /// A directory. With placeholders, whether there is one is not known before the nodes are laid out.
    pub(super) fn directory(&self, key: &str, path: &str) -> Result<Template, Wrong> {
        let template = self.template(key, path)?;
        match path.contains('{') || Path::new(path).is_dir() {
            true => Ok(template),
            false => Err(self.wrong(key, format!("there is no directory `{path}`"))),
        }
    }

    /// The path of a file of a node, which is below its directory.
    pub(super) fn file_of_node(&self, key: &str, path: &str) -> Result<Template, Wrong> {
        let is_below = path.strip_prefix("{data}/").is_some_and(|below| {
            !below.is_empty() && Path::new(below).components().all(|it| matches!(it, Component::Normal(_)))
        });
        let why = || {
            format!("expected a path below the node's directory, such as `{{data}}/node.conf`, not `{path}`")
        };
        if is_below { self.template(key, path) } else { Err(self.wrong(key, why())) }
    }

    /// A text with a node's placeholders.
    pub(super) fn template(&self, key: &str, text: &str) -> Result<Template, Wrong> {
        self.template_with(key, text, &[])
    }

    /// The same, with `more` placeholders.
    pub(super) fn template_with(&self, key: &str, text: &str, more: &[String]) -> Result<Template, Wrong> {
        let of_ports = self.ports.iter().flat_map(|name| [format!("port.{name}"), format!("address.{name}")]);
        let others: Vec<String> = of_ports.chain(more.iter().cloned()).collect();
        let known: Vec<&str> = OF_NODE.into_iter().chain(others.iter().map(String::as_str)).collect();
        Template::parse(text, &known).map_err(|why| self.wrong(key, why))
    }

    /// The words of a command, with a node's placeholders. Its program exists.
    pub(super) fn command(&self, key: &str, words: &[String]) -> Result<Vec<Template>, Wrong> {
        self.command_with(key, words, &[])
    }

    /// The same, with `more` placeholders.
    pub(super) fn command_with(
        &self,
        key: &str,
        words: &[String],
        more: &[String],
    ) -> Result<Vec<Template>, Wrong> {
        let program = words.first().ok_or_else(|| self.wrong(key, "expected a program and its arguments"))?;
        self.program(key, program)?;
        words.iter().map(|word| self.template_with(key, word, more)).collect()
    }

    /// The program of a command: it exists, if that can be known.
    pub(super) fn program(&self, key: &str, program: &str) -> Result<(), Wrong> {
        match self.programs {
            Some(path) if !program.contains('{') => {
                path.executable(program, self.file).map_err(|why| self.wrong(key, why))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn regex(&self, key: &str, text: &str) -> Result<Regex, Wrong> {
        Regex::new(text)
            .map_err(|error| self.wrong(key, format!("`{text}` is no regular expression: {error}")))
    }

    /// A JSON pointer, which must be there.
    pub(super) fn pointer(&self, key: &str, name: &str, text: &Option<String>) -> Result<String, Wrong> {
        match text {
            Some(text) if text.is_empty() || text.starts_with('/') => Ok(text.clone()),
            Some(text) => {
                let why = format!("{name}: expected a JSON pointer such as `/{text}`, not `{text}`");
                Err(self.wrong(key, why))
            }
            None => Err(self.wrong(key, format!("expected `{name}`, a JSON pointer such as `/value`"))),
        }
    }

    /// The only one of several ways that is there; `extras` (name, whether it is there, its way) belong to
    /// one way each.
    pub(super) fn one_way(
        &self,
        key: &str,
        ways: &[(&'static str, bool)],
        extras: &[(&str, bool, &str)],
    ) -> Result<&'static str, Wrong> {
        let names: Vec<String> = ways.iter().map(|(name, _)| format!("`{name}`")).collect();
        let mut present = ways.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name);
        let (Some(way), None) = (present.next(), present.next()) else {
            return Err(self.wrong(key, format!("expected exactly one of {}", names.join(", "))));
        };
        match extras.iter().find(|(_, is_there, of)| *is_there && *of != way) {
            Some((name, _, of)) => {
                Err(self.wrong(key, format!("`{name}` belongs to `{of}`, not to `{way}`")))
            }
            None => Ok(way),
        }
    }
}
