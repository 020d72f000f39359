//! What a description says about finding out a node's status: whether it is ready, whether it leads, and its
//! version.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use regex_lite::Regex;
use serde_json::Value as Json;
use tokio::time::timeout;

use super::answer::shortened;
use super::file;
use super::log::LogWatch;
use super::template::Template;
use super::{Described, Scope, Wrong, program};
use crate::Place;
use crate::http::Http;

/// The timeout of a request for a node's status, and of a connection.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// The timeout of a command that finds out a node's status: a virtual machine may have to start.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);
/// The shortest time between two commands that ask a node whether it leads.
const LEADER_COMMAND_INTERVAL: Duration = Duration::from_millis(250);

/// How to find out whether a node is ready.
#[derive(Debug)]
pub(super) enum Ready {
    Http(Get, Option<u16>),
    Tcp(usize),
    Log(LogWatch),
    Command(Ask),
}

/// How to find out whether a node believes itself the leader.
#[derive(Debug)]
pub(super) enum Leads {
    Http { get: Get, pointer: String, equals: String, term: Option<String> },
    Log(LogWatch),
    Command(Ask, Mutex<HashMap<String, (Instant, Option<u64>)>>),
}

/// How to find out the version.
#[derive(Debug)]
pub(super) enum Version {
    Http(Get, String),
    Command(Ask),
}

/// An HTTP GET.
#[derive(Debug)]
pub(super) struct Get {
    path: Template,
    port: usize,
}

/// A command, and a pattern of its output.
#[derive(Debug)]
pub(super) struct Ask {
    words: Vec<Template>,
    matches: Option<Regex>,
}

impl Ready {
    pub(super) fn of(file: &file::Probe, scope: &Scope<'_>) -> Result<Ready, Wrong> {
        let key = "node.ready";
        let way = scope.one_way(
            key,
            &[
                ("http", file.http.is_some()),
                ("tcp", file.tcp.is_some()),
                ("log", file.log.is_some()),
                ("command", file.command.is_some()),
            ],
            &[
                ("port", file.port.is_some(), "http"),
                ("status", file.status.is_some(), "http"),
                ("matches", file.matches.is_some(), "command"),
            ],
        )?;
        Ok(match (way, &file.http, &file.tcp, &file.log) {
            ("http", Some(path), ..) => Ready::Http(Get::of(key, path, &file.port, scope)?, file.status),
            ("tcp", _, Some(_), _) => Ready::Tcp(scope.port(key, &file.tcp)?),
            ("log", _, _, Some(log)) => Ready::Log(LogWatch::new(scope.regex(key, log)?, None)),
            _ => Ready::Command(Ask::of(key, &file.command, &file.matches, scope)?),
        })
    }
}

impl Leads {
    pub(super) fn of(file: &file::Leader, scope: &Scope<'_>) -> Result<Leads, Wrong> {
        let key = "node.leader";
        let way = scope.one_way(
            key,
            &[
                ("http", file.http.is_some()),
                ("log", file.log.is_some()),
                ("command", file.command.is_some()),
            ],
            &[
                ("port", file.port.is_some(), "http"),
                ("pointer", file.pointer.is_some(), "http"),
                ("equals", file.equals.is_some(), "http"),
                ("term", file.term.is_some(), "http"),
                ("lost", file.lost.is_some(), "log"),
                ("matches", file.matches.is_some(), "command"),
            ],
        )?;
        Ok(match (way, &file.http, &file.log) {
            ("http", Some(path), _) => Leads::Http {
                get: Get::of(key, path, &file.port, scope)?,
                pointer: scope.pointer(key, "pointer", &file.pointer)?,
                equals: file.equals.clone().unwrap_or_else(|| "true".into()),
                term: file.term.as_ref().map(|_| scope.pointer(key, "term", &file.term)).transpose()?,
            },
            ("log", _, Some(log)) => {
                let lost = file.lost.as_ref().map(|lost| scope.regex(key, lost)).transpose()?;
                Leads::Log(LogWatch::new(scope.regex(key, log)?, lost))
            }
            _ => Leads::Command(Ask::of(key, &file.command, &file.matches, scope)?, Mutex::default()),
        })
    }
}

impl Version {
    pub(super) fn of(file: &file::Version, scope: &Scope<'_>) -> Result<Version, Wrong> {
        let key = "node.version";
        let way = scope.one_way(
            key,
            &[("http", file.http.is_some()), ("command", file.command.is_some())],
            &[
                ("port", file.port.is_some(), "http"),
                ("pointer", file.pointer.is_some(), "http"),
                ("matches", file.matches.is_some(), "command"),
            ],
        )?;
        Ok(match (way, &file.http) {
            ("http", Some(path)) => Version::Http(
                Get::of(key, path, &file.port, scope)?,
                scope.pointer(key, "pointer", &file.pointer)?,
            ),
            _ => Version::Command(Ask::of(key, &file.command, &file.matches, scope)?),
        })
    }
}

impl Get {
    fn of(key: &str, path: &str, port: &Option<String>, scope: &Scope<'_>) -> Result<Get, Wrong> {
        if !path.starts_with('/') {
            return Err(scope.wrong(key, format!("http: expected a path such as `/health`, not `{path}`")));
        }
        Ok(Get { path: scope.template(key, path)?, port: scope.port(key, port)? })
    }
}

impl Ask {
    fn of(
        key: &str,
        words: &Option<Vec<String>>,
        matches: &Option<String>,
        scope: &Scope<'_>,
    ) -> Result<Ask, Wrong> {
        Ok(Ask {
            words: scope.command(key, words.as_deref().unwrap_or_default())?,
            matches: matches.as_ref().map(|text| scope.regex(key, text)).transpose()?,
        })
    }
}

impl Described {
    /// Whether the node is ready; the error says what it is waiting for.
    pub(super) async fn is_ready(&self, place: &Place) -> Result<(), String> {
        match &self.ready {
            Ready::Tcp(port) => accepts(place, *port).await,
            Ready::Http(get, wanted) => {
                let (status, _) = self.get(place, get).await?;
                let good = wanted.map_or((200..300).contains(&status), |wanted| wanted == status);
                if good { Ok(()) } else { Err(format!("GET {} answers {status}", get.path)) }
            }
            Ready::Log(log) => match log.held(&place.name, &place.log) {
                Some(_) => Ok(()),
                None => Err(format!("no line of its output matches {}", log.pattern())),
            },
            Ready::Command(ask) => self.ask(place, ask).await.map(drop),
        }
    }

    /// The term in which the node believes itself the leader.
    pub(super) async fn leads_in(&self, place: &Place) -> Option<u64> {
        match self.leads.as_ref()? {
            Leads::Http { get, pointer, equals, term } => {
                let json = self.get_json(place, get).await?;
                let said = json.pointer(pointer).map(plain)?;
                let term = term.as_ref().and_then(|term| json.pointer(term)).map(plain);
                let term = term.and_then(|term| term.parse().ok()).unwrap_or(0);
                (said == filled(equals, place, &json)).then_some(term)
            }
            Leads::Log(log) => log.held(&place.name, &place.log),
            Leads::Command(ask, last) => {
                let known = || last.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((asked, answer)) = known().get(&place.name)
                    && asked.elapsed() < LEADER_COMMAND_INTERVAL
                {
                    return *answer;
                }
                let said = self.ask(place, ask).await.ok();
                let answer = said.map(|term| term.and_then(|term| term.parse().ok()).unwrap_or(0));
                known().insert(place.name.clone(), (Instant::now(), answer));
                answer
            }
        }
    }

    /// The version that the node reports.
    pub(super) async fn version_of(&self, place: &Place) -> Option<String> {
        match self.version.as_ref()? {
            Version::Http(get, pointer) => self.get_json(place, get).await?.pointer(pointer).map(plain),
            Version::Command(ask) => self.ask(place, ask).await.ok().flatten(),
        }
    }

    async fn get(&self, place: &Place, get: &Get) -> Result<(u16, Vec<u8>), String> {
        let http = Http::new(place.node_port(get.port), PROBE_TIMEOUT);
        let answer = http.send("GET", &get.path.fill(&self.values(place)), &[], Vec::new()).await;
        answer.map(|(status, body)| (status.as_u16(), body.to_vec())).map_err(|why| why.to_string())
    }

    async fn get_json(&self, place: &Place, get: &Get) -> Option<Json> {
        serde_json::from_slice(&self.get(place, get).await.ok()?.1).ok()
    }

    /// Runs the command. Returns the first group of its pattern, or the first line if there is no pattern.
    async fn ask(&self, place: &Place, ask: &Ask) -> Result<Option<String>, String> {
        let command = self.command_of(&ask.words, place);
        let said = program::run(&command, COMMAND_TIMEOUT).await?;
        let Some(matches) = &ask.matches else { return Ok(said.lines().next().map(str::to_string)) };
        match matches.captures(&said) {
            Some(found) => Ok(found.get(1).map(|group| group.as_str().to_string())),
            None => {
                let program = command.program.display();
                Err(format!("`{program}` says {}, and `matches` expects {matches}", shortened(&said)))
            }
        }
    }
}

/// Whether a port of the node accepts a connection.
pub(super) async fn accepts(place: &Place, port: usize) -> Result<(), String> {
    match timeout(PROBE_TIMEOUT, place.node_port(port).open()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("it accepts no connection: {error}")),
        Err(_) => Err("it accepts no connection".into()),
    }
}

/// A text without its quotes, anything else as JSON.
fn plain(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_string)
}

/// The role of a leader: `{id}` is the node, `{/pointer}` another part of the response.
fn filled(equals: &str, place: &Place, json: &Json) -> String {
    let equals = equals.replace("{id}", &place.name);
    let other = equals.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    match other.filter(|pointer| pointer.starts_with('/')) {
        Some(pointer) => json.pointer(pointer).map(plain).unwrap_or_default(),
        None => equals,
    }
}
