//! Systems without code: a TOML file describes how to start a node and how clients talk to it.
//!
//! ```toml
//! [node]
//! command = ["./server", "--id", "{id}", "--listen", "{host}:{port.peer}", "--api", "{port.api}", "--peers", "{peers}"]
//! ports = ["peer", "api"]
//!
//! [client]
//! wire = "http"
//!
//! [register.read]
//! request = "GET /kv/{key}"
//! ok = { status = 200, pointer = "/value" }
//! nil = { status = 404 }
//! ```
//!
//! ```text
//!   file       the format of the file, by serde
//!   scope      the checks that all its parts share
//!   template   texts with placeholders
//!   status     readiness, leaders, the version
//!   speech     the operations, by the wire protocol of the clients
//!   answer     the meaning of a response
//!   program    the user's programs beside the nodes
//!   http, lines, resp, json_rpc, postgres, mysql, exec   the wire protocols; more in `coded`
//!   stream         what `lines`, `resp` and `json_rpc` share
//!   sql            what `postgres` and `mysql` share
//!   client_program the programs of `exec`
//!   shared_program one program for all clients
//! ```
//!
//! Everything is checked before any process starts: keys, placeholders, regular expressions, ports,
//! operations. No shell interprets a template. A response that no rule matches is an unknown outcome; an
//! operation certainly did not happen only if its request was never sent, or if a rule says so.

mod answer;
mod client_program;
mod exec;
mod file;
mod http;
mod json_rpc;
mod lines;
mod log;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod program;
mod resp;
mod scope;
mod shared_program;
mod speech;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod sql;
mod status;
mod stream;
mod template;
#[cfg(test)]
mod wrong_files;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use regex_lite::Regex;
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use tribunal_records::places::plain;
use tribunal_records::quantity::parse_duration;
use tribunal_records::suggest::of_unknown_field;
use tribunal_workloads::{Client, Object};

use self::file::{Description, Links, Programs, ServedBy};
use self::scope::Scope;
use self::shared_program::SharedProgram;
use self::speech::Speech;
pub(crate) use self::speech::table;
use self::status::{Leads, Ready, Version, accepts};
use self::template::{Template, Values};
use crate::program::ProgramPath;
use crate::user::User;
use crate::{
    BoxFuture, Breach, Command, Entry, Holds, Make, Operations, Place, START_LIMIT, Switches, System,
    Unusable, Wiring,
};

/// How long a command may take that prepares a node or sets the cluster up.
const SET_UP_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is checked whether nodes accept connections, before the cluster is set up.
const LISTEN_POLL: Duration = Duration::from_millis(50);

/// The wrong key of a description, and the reason.
type Wrong = (String, String);

/// What is wrong with a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongDescription {
    /// Its line, counted from 1; 0 if it is not known.
    pub line: usize,
    /// The key and the reason.
    pub why: String,
}

/// A checked description.
#[derive(Debug)]
pub struct Described {
    name: String,
    about: String,
    command: Vec<Template>,
    ports: Vec<&'static str>,
    peer: Template,
    separator: String,
    env: Vec<(String, Template)>,
    directory: Option<Template>,
    user: Option<User>,
    files: Vec<(Template, Template)>,
    prepare: Vec<Template>,
    set_up: Vec<Template>,
    stop_signal: Signal,
    wiring: Wiring,
    ready: Ready,
    leads: Option<Leads>,
    version: Option<Version>,
    start_limit: Duration,
    warm_up: Duration,
    fatal: Vec<Regex>,
    harmless: Vec<Regex>,
    data: Vec<Regex>,
    client_port: usize,
    served_by: ServedBy,
    speech: Speech,
    answers: Operations,
    needs: Vec<PathBuf>,
    /// The programs of its commands, by name, and how to install them.
    programs: Vec<String>,
    install: Option<String>,
    path: ProgramPath,
}

/// The placeholders of a peer.
const OF_PEER: [&str; 5] = ["id", "index", "host", "port", "address"];

impl Described {
    /// Reads a description: the system and its variants, which are named `SYSTEM:VARIANT`. They stay in memory until
    /// the program ends. Its programs must be installed.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line if known.
    pub fn parse(text: &str, file: &Path) -> Result<Vec<Entry>, WrongDescription> {
        Described::entries(text, file, true)
    }

    /// The same. Whether its programs are installed is only asked if `here`.
    pub(crate) fn entries(text: &str, file: &Path, here: bool) -> Result<Vec<Entry>, WrongDescription> {
        let description: Description = toml::from_str(text).map_err(|error| explained(&error, text))?;
        let checked = |description: &Description, within: &str| {
            let wrong = |(key, why): Wrong| WrongDescription {
                line: line_of(text, if within.is_empty() { &key } else { within }).unwrap_or(0),
                why: [within, &key, &why]
                    .into_iter()
                    .filter(|it| !it.is_empty())
                    .collect::<Vec<_>>()
                    .join(": "),
            };
            Described::check(description, file, here).map_err(wrong)
        };
        let mut all = vec![checked(&description, "")?];
        for (name, changes) in &description.variants {
            let within = format!("variants.{name}");
            let at = |why: String| WrongDescription {
                line: line_of(text, &within).unwrap_or(0),
                why: format!("{within}: {why}"),
            };
            if !is_word(name) {
                return Err(at("expected a name of letters, digits, `-` and `_`".into()));
            }
            let changed = variant(text, changes).map_err(|error| at(explained(&error, "").why))?;
            let mut it = checked(&changed, &within)?;
            it.name = format!("{}:{name}", all[0].name);
            all.push(it);
        }
        Ok(all.into_iter().map(Described::entry).collect())
    }

    fn entry(self) -> Entry {
        let described: &'static Described = Box::leak(Box::new(self));
        Entry {
            name: &described.name,
            about: &described.about,
            make: Make::Described(described),
            holds: Holds::All,
            answers: described.answers,
            not_by: &[],
            flaws: Vec::new,
        }
    }

    /// Whether it says how to find out who leads.
    pub(crate) fn tells_leaders(&self) -> bool {
        self.leads.is_some()
    }

    /// Whether programs of the user act for the clients.
    pub(crate) fn has_client_program(&self) -> bool {
        self.speech.programs().is_some()
    }

    /// Whether one program acts for all clients.
    pub(crate) fn has_shared_program(&self) -> bool {
        self.speech.programs() == Some(Programs::OneForAll)
    }

    /// # Errors
    /// The wrong key, and the reason.
    fn check(description: &Description, file: &Path, here: bool) -> Result<Described, Wrong> {
        let node = &description.node;
        let path = ProgramPath::with(&node.path);
        let ports: Vec<&'static str> = node.ports.iter().map(|name| &*name.clone().leak()).collect();
        let is_once = |name: &str| ports.iter().filter(|it| **it == name).count() == 1;
        if ports.is_empty() || !ports.iter().all(|name| is_word(name) && is_once(name)) {
            let why = "expected one name or more, each once, of letters, digits, `-` and `_`";
            return Err(("node.ports".into(), why.into()));
        }
        let programs = here.then_some(&path);
        let mut scope = Scope { file, ports: &ports, client_port: ports.len() - 1, programs };
        scope.client_port = scope.port("client.port", &description.client.port)?;
        if let Some(name) = &description.name {
            scope.name("name", name)?;
        }
        let of_all: Vec<String> = ports.iter().map(|name| format!("all.{name}")).collect();
        let optional = |key: &str, words: &[String], more: &[String]| match words.is_empty() {
            true => Ok(Vec::new()),
            false => scope.command_with(key, words, more),
        };
        let env = node.env.iter().map(|(name, text)| {
            scope.variable("node.env", name)?;
            Ok((name.clone(), scope.template("node.env", text)?))
        });
        let files = node.files.iter();
        let files = files.map(|(path, text)| {
            Ok((scope.file_of_node("node.files", path)?, scope.template("node.files", text)?))
        });
        let ready = node.ready.as_ref().map(|it| Ready::of(it, &scope)).transpose()?;
        let (speech, answers) = speech::speech(description, &scope)?;
        let stem = file.file_stem().map_or("system".into(), |stem| stem.to_string_lossy().into_owned());
        Ok(Described {
            name: description.name.clone().unwrap_or(stem),
            about: description.about.clone(),
            command: scope.command("node.command", &node.command)?,
            peer: Template::parse(&node.peer, &OF_PEER).map_err(|why| scope.wrong("node.peer", why))?,
            separator: node.separator.clone(),
            env: env.collect::<Result<_, Wrong>>()?,
            directory: node.directory.as_ref().map(|it| scope.directory("node.directory", it)).transpose()?,
            user: user(node, &scope)?,
            files: files.collect::<Result<_, Wrong>>()?,
            prepare: optional("node.prepare", &node.prepare, &[])?,
            set_up: optional("node.set-up", &node.set_up, &of_all)?,
            stop_signal: stop_signal(node.stop_signal.as_deref(), &scope)?,
            wiring: match node.links {
                Links::AddressMap => Wiring::AddressMap,
                Links::Attributed => Wiring::Attributed,
                Links::Transparent => Wiring::Transparent,
                Links::Netns => Wiring::Netns,
            },
            ready: ready.unwrap_or(Ready::Tcp(scope.client_port)),
            leads: node.leader.as_ref().map(|it| Leads::of(it, &scope)).transpose()?,
            version: node.version.as_ref().map(|it| Version::of(it, &scope)).transpose()?,
            start_limit: duration("node.start-limit", &node.start_limit, &scope)?.unwrap_or(START_LIMIT),
            warm_up: duration("node.warm-up", &node.warm_up, &scope)?.unwrap_or_default(),
            fatal: node.fatal.iter().map(|text| scope.regex("node.fatal", text)).collect::<Result<_, _>>()?,
            harmless: (node.harmless.iter().map(|text| scope.regex("node.harmless", text)))
                .collect::<Result<_, _>>()?,
            data: node.data.iter().map(|text| scope.regex("node.data", text)).collect::<Result<_, _>>()?,
            client_port: scope.client_port,
            served_by: description.client.served_by,
            speech,
            answers,
            needs: if here { needs(description, &path, &scope)? } else { Vec::new() },
            programs: description.programs().cloned().collect(),
            install: node.install.clone(),
            path: path.clone(),
            ports,
        })
    }

    /// A command of the description for a node: with its environment, working directory and user.
    fn command_of(&self, words: &[Template], place: &Place) -> Command {
        self.filled(words, &self.values(place))
    }

    fn filled(&self, words: &[Template], values: &Values) -> Command {
        let mut words = words.iter().map(|word| word.fill(values));
        let program = words.next().unwrap_or_default();
        let path = self.path.variable().map(|path| ("PATH".into(), path));
        let env = self.env.iter().map(|(name, value)| (name.into(), value.fill(values).into()));
        Command {
            program: self.path.resolved(&program),
            args: words.map(Into::into).collect(),
            env: path.into_iter().chain(env).collect(),
            directory: self.directory.as_ref().map(|path| path.fill(values).into()),
            user: self.user,
        }
    }

    /// The values of a node's placeholders.
    fn values(&self, place: &Place) -> Values {
        let mut values = Values::new();
        let mut set = |name: String, value: String| drop(values.insert(name, value));
        let index = |name: &str| name.trim_start_matches('n').to_string();
        let one = |name: &str, address: std::net::SocketAddr| {
            let of_peer = Values::from([
                ("id".into(), name.to_string()),
                ("index".into(), index(name)),
                ("host".into(), address.ip().to_string()),
                ("port".into(), address.port().to_string()),
                ("address".into(), address.to_string()),
            ]);
            self.peer.fill(&of_peer)
        };
        set("id".into(), place.name.clone());
        set("index".into(), index(&place.name));
        set("nodes".into(), (place.peers.len() + 1).to_string());
        set("data".into(), place.data.display().to_string());
        set("host".into(), place.addresses[0].ip().to_string());
        for (name, address) in self.ports.iter().zip(&place.addresses) {
            set(format!("port.{name}"), address.port().to_string());
            set(format!("address.{name}"), address.to_string());
        }
        set("advertised.host".into(), place.advertised.ip().to_string());
        set("advertised.port".into(), place.advertised.port().to_string());
        set("advertised.address".into(), place.advertised.to_string());
        let peers: Vec<String> = place.peers.iter().map(|(name, address)| one(name, *address)).collect();
        set("peers".into(), peers.join(&self.separator));
        let mut members: Vec<(&str, std::net::SocketAddr)> =
            place.peers.iter().map(|(name, address)| (name.as_str(), *address)).collect();
        members.push((&place.name, place.advertised));
        members.sort_by_key(|(name, _)| (name.len(), name.to_string()));
        let members: Vec<String> = members.into_iter().map(|(name, address)| one(name, address)).collect();
        set("members".into(), members.join(&self.separator));
        values
    }
}

/// A described system, used with one of its objects.
pub(crate) struct DescribedSystem {
    described: &'static Described,
    object: Object,
    node_args: Vec<String>,
    /// The program of all clients, if one acts for all.
    program: Arc<SharedProgram>,
}

impl DescribedSystem {
    /// Creates the system with these switches.
    ///
    /// # Errors
    /// When a bug is requested: a described system has none that Tribunal knows.
    pub(crate) fn new(described: &'static Described, switches: &Switches) -> Result<Self, Unusable> {
        if let Some(bug) = switches.bugs.first() {
            let has = "a description names none".into();
            return Err(Unusable::NoSuchBug { system: &described.name, bug: bug.clone(), has });
        }
        let is_missing = |name: &&String| described.path.file(name).is_none();
        if let Some(program) = described.programs.iter().find(is_missing) {
            let install = described.install.clone().unwrap_or_default();
            return Err(Unusable::Missing { program: program.clone(), install });
        }
        let (object, node_args) = (switches.object, switches.node_args.clone());
        Ok(DescribedSystem { described, object, node_args, program: Arc::default() })
    }
}

/// The files of this machine that the system needs: programs and other files that its commands name, and what it
/// says that it needs.
fn needs(description: &Description, path: &ProgramPath, scope: &Scope<'_>) -> Result<Vec<PathBuf>, Wrong> {
    let named = &description.node.needs;
    if let Some(missing) = named.iter().find(|path| !Path::new(path).exists()) {
        return Err(scope.wrong("node.needs", format!("there is no file or directory `{missing}`")));
    }
    let of_commands = description.words().filter_map(|word| path.file(word));
    Ok(of_commands.chain(named.iter().map(PathBuf::from)).collect())
}

impl System for DescribedSystem {
    fn name(&self) -> &str {
        &self.described.name
    }

    fn ports(&self) -> &[&'static str] {
        &self.described.ports
    }

    fn wiring(&self) -> Wiring {
        self.described.wiring
    }

    fn is_served_by_leader(&self) -> bool {
        self.described.served_by == ServedBy::Leader
    }

    fn command(&self, place: &Place) -> Command {
        let mut command = self.described.command_of(&self.described.command, place);
        command.args.extend(self.node_args.iter().map(Into::into));
        command
    }

    fn files(&self) -> Vec<PathBuf> {
        self.described.needs.clone()
    }

    fn stop_signal(&self) -> Signal {
        self.described.stop_signal
    }

    fn check_client<'a>(&'a self) -> BoxFuture<'a, Result<(), Breach>> {
        Box::pin(self.described.speech.check())
    }

    fn is_data(&self, path: &Path) -> bool {
        let (data, path) = (&self.described.data, path.to_string_lossy());
        data.is_empty() || data.iter().any(|pattern| pattern.is_match(&path))
    }

    fn prepare<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async {
            let it = self.described;
            let written = it.write_files(place).map_err(|error| error.to_string())?;
            if let Some(user) = it.user {
                user.must_reach(&place.data)?;
                for path in written.iter().chain([&place.data]) {
                    user.own(path)?;
                }
            }
            match it.prepare.is_empty() {
                true => Ok(()),
                false => {
                    let limit = SET_UP_TIMEOUT.max(it.start_limit);
                    program::run(&it.command_of(&it.prepare, place), limit).await.map(drop)
                }
            }
        })
    }

    fn set_up<'a>(&'a self, places: &'a [Place]) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let it = self.described;
            let Some(first) = places.first().filter(|_| !it.set_up.is_empty()) else { return Ok(()) };
            let deadline = Instant::now() + it.start_limit;
            for place in places {
                while let Err(why) = accepts(place, it.client_port).await {
                    if Instant::now() > deadline {
                        return Err(format!("{}: {why}", place.name));
                    }
                    sleep(LISTEN_POLL).await;
                }
            }
            let mut values = it.values(first);
            for (port, name) in it.ports.iter().enumerate() {
                let all: Vec<String> = places.iter().map(|place| place.addresses[port].to_string()).collect();
                values.insert(format!("all.{name}"), all.join(&it.separator));
            }
            let limit = SET_UP_TIMEOUT.max(it.start_limit);
            program::run(&it.filled(&it.set_up, &values), limit).await.map(drop)
        })
    }

    fn ready<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.described.is_ready(place))
    }

    fn leads<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Option<u64>> {
        Box::pin(self.described.leads_in(place))
    }

    fn version<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Option<String>> {
        Box::pin(self.described.version_of(place))
    }

    fn start_limit(&self) -> Duration {
        self.described.start_limit
    }

    fn warm_up(&self) -> Duration {
        self.described.warm_up
    }

    fn is_fatal(&self, line: &str) -> bool {
        self.described.fatal.iter().any(|pattern| pattern.is_match(line))
    }

    fn is_harmless(&self, line: &str) -> bool {
        self.described.harmless.iter().any(|pattern| pattern.is_match(line))
    }

    fn client(&self, place: &Place, process: u64, limit: Duration) -> Box<dyn Client> {
        let port = place.node_port(self.described.client_port);
        self.described.speech.client(port, self.object, place, process, limit, &self.program)
    }
}

impl Described {
    /// Writes the files of a node. Returns their paths.
    fn write_files(&self, place: &Place) -> std::io::Result<Vec<PathBuf>> {
        let values = self.values(place);
        let mut written = Vec::new();
        for (path, text) in &self.files {
            let path = PathBuf::from(path.fill(&values));
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(&path, text.fill(&values))?;
            written.push(path);
        }
        Ok(written)
    }
}

fn duration(key: &str, text: &Option<String>, scope: &Scope<'_>) -> Result<Option<Duration>, Wrong> {
    text.as_deref().map(parse_duration).transpose().map_err(|why| scope.wrong(key, why))
}

/// The user of the node's processes.
fn user(node: &file::Node, scope: &Scope<'_>) -> Result<Option<User>, Wrong> {
    let (key, name) = match (&node.user, &node.root_becomes) {
        (Some(_), Some(_)) => {
            return Err(scope.wrong("node.root-becomes", "expected `user` or `root-becomes`, not both"));
        }
        (None, Some(name)) if geteuid().is_root() => ("node.root-becomes", name),
        (Some(name), None) => ("node.user", name),
        _ => return Ok(None),
    };
    match (User::named(name), scope.programs) {
        (Ok(user), _) => Ok(Some(user)),
        (Err(why), Some(_)) => Err(scope.wrong(key, why)),
        // A machine without users, such as a box, can have other systems all the same: this one will refuse to be root.
        (Err(_), None) => Ok(None),
    }
}

/// The description with the changes of a variant: tables are merged, everything else is replaced.
fn variant(
    text: &str,
    changes: &serde_json::Map<String, serde_json::Value>,
) -> Result<Description, toml::de::Error> {
    fn merge(into: &mut toml::Table, changes: toml::Table) {
        for (key, change) in changes {
            match (into.get_mut(&key), change) {
                (Some(toml::Value::Table(into)), toml::Value::Table(change)) => merge(into, change),
                (_, change) => drop(into.insert(key, change)),
            }
        }
    }

    let mut all: toml::Table = toml::from_str(text)?;
    all.remove("variants");
    let changes = toml::Table::try_from(changes).map_err(serde::de::Error::custom)?;
    merge(&mut all, changes);
    Description::deserialize(all)
}

/// Whether it can be the name of a port or of a variant.
fn is_word(name: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !name.is_empty() && name.bytes().all(is_good)
}

/// The signal that ends a node in order.
fn stop_signal(name: Option<&str>, scope: &Scope<'_>) -> Result<Signal, Wrong> {
    let all =
        [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];
    let Some(name) = name else { return Ok(Signal::SIGTERM) };
    let names = || all.iter().map(|signal| signal.as_str()).collect::<Vec<_>>().join(", ");
    all.into_iter().find(|signal| signal.as_str() == name).ok_or_else(|| {
        scope.wrong("node.stop-signal", format!("there is no signal `{name}`: expected one of {}", names()))
    })
}

/// The JSON schema of descriptions, for editors. A test derives it from the types.
pub const SCHEMA: &str = include_str!("../schema/system.schema.json");

/// The message of serde and TOML, with the line and without the source excerpt; with a suggestion for an
/// unknown name.
fn explained(error: &toml::de::Error, text: &str) -> WrongDescription {
    let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let message = plain(error.message());
    let why = match of_unknown_field(error.message()) {
        Some(name) => format!("{message}: did you mean `{name}`?"),
        None => message,
    };
    WrongDescription { line, why }
}

/// The line of a key in the file, by its path: `node.command`, `register.read`, `register.read.ok`. If the key
/// itself is not found, the line of the innermost table around it.
fn line_of(text: &str, path: &str) -> Option<usize> {
    let header = |table: &str| {
        let opens =
            |line: &str| line.trim().strip_prefix('[').and_then(|it| it.strip_suffix(']')) == Some(table);
        text.lines().position(opens)
    };
    if let Some(table) = header(path) {
        return Some(table + 1);
    }
    let (start, key) = match path.rsplit_once('.') {
        Some((table, key)) => match header(table) {
            Some(start) => (start + 1, key),
            None => return line_of(text, table),
        },
        None => (0, path),
    };
    let of_table = text.lines().enumerate().skip(start);
    let mut of_table = of_table.take_while(|(_, line)| !line.trim_start().starts_with('['));
    let is_here =
        |line: &str| line.trim_start().strip_prefix(key).is_some_and(|it| it.trim_start().starts_with('='));
    match of_table.find(|(_, line)| is_here(line)) {
        Some((number, _)) => Some(number + 1),
        None => (start > 0).then_some(start),
    }
}

#[cfg(test)]
mod tests {
    use tribunal_records::places::at_line;

    use super::*;
    use crate::{Direct, NodeOutput};

    const FILE: &str = r#"
[node]
command = ["sh", "{id}", "{port.peer}", "{peers}", "{members}"]
ports = ["peer", "api"]
env = { ME = "{index} of {nodes}" }

[client]
wire = "http"

[register.read]
request = "GET /{key}"
ok = { status = 200, pointer = "/value" }
"#;

    #[test]
    fn the_schema_is_that_of_the_types() {
        let mut schema = schemars::schema_for!(Description);
        schema.insert("title".into(), "A system under test, described for Tribunal".into());
        let derived = serde_json::to_string_pretty(&schema.to_value()).unwrap() + "\n";
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/system.schema.json");
            std::fs::write(path, &derived).unwrap();
            return;
        }
        assert!(derived == SCHEMA, "UPDATE_SNAPSHOTS=1 renews systems/schema/system.schema.json");
    }

    fn parse(text: &str) -> Result<Entry, String> {
        let file = Path::new("my-kv.toml");
        let all = Described::parse(text, file).map_err(|wrong| at_line(file, wrong.line, wrong.why))?;
        Ok(all.into_iter().next().unwrap())
    }

    #[test]
    fn placeholders_are_filled_for_each_node() {
        let entry = parse(FILE).unwrap();
        assert_eq!(entry.name, "my-kv");
        let system = entry.make(&Switches { node_args: vec!["-v".into()], ..Switches::default() }).unwrap();
        let address = |port: u16| ([127, 0, 0, 1], port).into();
        let command = system.command(&Place {
            name: "n2".into(),
            addresses: vec![address(1), address(2)],
            advertised: address(1),
            peers: vec![("n1".into(), address(11)), ("n10".into(), address(20))],
            data: "/d".into(),
            log: NodeOutput::default(),
            client_log: PathBuf::new(),
            dial: Arc::new(Direct),
        });
        let words: Vec<&str> = command.args.iter().map(|word| word.to_str().unwrap()).collect();
        let peers = "n1=127.0.0.1:11,n10=127.0.0.1:20";
        let members = "n1=127.0.0.1:11,n2=127.0.0.1:1,n10=127.0.0.1:20";
        assert_eq!(words, ["n2", "1", peers, members, "-v"]);
        assert_eq!(command.env, [("ME".into(), "2 of 3".into())]);
    }

    #[test]
    fn which_workloads_it_can_be_asked_follows_from_its_operations() {
        let fits = |entry: &Entry, name| entry.answers(tribunal_workloads::find(name).unwrap());
        let entry = parse(FILE).unwrap();
        assert!(!fits(&entry, "rw-register"));
        let write = "[register.write]\nrequest = 'PUT /{key}'\nok = { status = 200 }";
        let entry = parse(&format!("{FILE}{write}")).unwrap();
        assert!(fits(&entry, "rw-register") && !fits(&entry, "register") && !fits(&entry, "counter"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let why = |from: &str, to: &str| parse(&FILE.replace(from, to)).map(drop).unwrap_err();
        let all = [
            ("command =", "comand =", "my-kv.toml:3: unknown field `comand`"),
            (
                "{port.peer}",
                "{port.x}",
                "my-kv.toml:3: node.command: `{port.x}`: there is no placeholder `{port.x}`",
            ),
            (
                "\"GET /{key}\"",
                "\"GET /{key}\"\nbody = '{'",
                "my-kv.toml:12: register.read.body: `{`: a lone `{`",
            ),
        ];
        for (from, to, expected) in all {
            let why = why(from, to);
            assert!(why.contains(expected), "{from} -> {to}: {why}");
        }
        let nothing = FILE.split("[register").next().unwrap();
        assert_eq!(
            parse(nothing).map(drop).unwrap_err(),
            "my-kv.toml:7: client: there is no operation: expected a table such as [register.read]"
        );
    }
}
