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
//!   template   texts with placeholders
//!   answer     the meaning of a response
//!   http, lines, exec   the wire protocols
//! ```
//!
//! Everything is checked before any process starts: keys, placeholders, regular expressions, ports,
//! operations. No shell interprets a template. A response that no rule matches is an unknown outcome; an
//! operation certainly did not happen only if its request was never sent, or if a rule says so.

mod answer;
mod exec;
mod file;
mod http;
mod lines;
mod template;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;
use tribunal_checker::op::{F, Value};
use tribunal_workloads::{Client, Object, Request};

use self::answer::Answers;
use self::exec::ExecClient;
use self::file::{Description, Links, Wire};
use self::http::{HttpClient, HttpOperation};
use self::lines::{LineClient, LineOperation};
use self::template::{Template, Values};
use crate::http::Http;
use crate::program::executable;
use crate::{BoxFuture, Command, Entry, Holds, Make, Operations, Place, Switches, System, Unusable, Wiring};

/// The timeout of a node's status requests.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// The wrong key of a description, and the reason.
type Wrong = (String, String);

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
    files: Vec<(Template, Template)>,
    wiring: Wiring,
    ready: Option<Probe>,
    leader: Option<(Probe, LeaderRule)>,
    client_port: usize,
    wire: Speech,
    answers: Operations,
}

/// An HTTP GET.
#[derive(Debug)]
struct Probe {
    path: Template,
    port: usize,
    status: Option<u16>,
}

#[derive(Debug)]
struct LeaderRule {
    pointer: String,
    equals: Option<String>,
    term: Option<String>,
}

/// The wire protocol of the clients.
#[derive(Debug)]
enum Speech {
    Http(HashMap<(Object, F), HttpOperation>),
    Lines(HashMap<(Object, F), LineOperation>),
    Exec { command: Vec<Template> },
}

/// The objects of operations, by the names of their tables.
const OBJECTS: [(&str, Object); 7] = [
    ("register", Object::Register),
    ("counter", Object::Counter),
    ("set", Object::Set),
    ("list", Object::List),
    ("queue", Object::Queue),
    ("lock", Object::Lock),
    ("ids", Object::Ids),
];

/// The operations of an object.
fn operations_of(object: Object) -> &'static [F] {
    match object {
        Object::Register => &[F::Read, F::Write, F::Cas],
        Object::Counter | Object::Set => &[F::Read, F::Add],
        Object::List => &[F::Read, F::Append],
        Object::Queue => &[F::Enqueue, F::Dequeue],
        Object::Lock => &[F::Acquire, F::Release],
        Object::Ids => &[F::Generate],
        Object::Other(_) => &[],
    }
}

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
/// The placeholders of a peer.
const OF_PEER: [&str; 5] = ["id", "index", "host", "port", "address"];
/// The placeholders of a request.
const OF_REQUEST: [&str; 6] = ["key", "value", "from", "to", "process", "id"];
/// The placeholders of a client program's command.
const OF_CLIENT: [&str; 6] = ["host", "port", "address", "process", "id", "timeout-ms"];

impl Described {
    /// Reads a description. It stays in memory until the program ends.
    ///
    /// # Errors
    /// The error, with its line if known.
    pub fn parse(text: &str, file: &Path) -> Result<Entry, String> {
        let description: Description = toml::from_str(text).map_err(|error| explained(&error, text))?;
        let described =
            Described::check(&description, file).map_err(|(key, why)| match line_of(text, &key) {
                Some(line) => format!("line {line}: {key}: {why}"),
                None => format!("{key}: {why}"),
            })?;
        let described: &'static Described = Box::leak(Box::new(described));
        Ok(Entry {
            name: &described.name,
            about: &described.about,
            make: Make::Described(described),
            holds: Holds::All,
            answers: described.answers,
            not_by: &[],
            flaws: Vec::new,
        })
    }

    /// # Errors
    /// The wrong key, and the reason.
    fn check(description: &Description, file: &Path) -> Result<Described, Wrong> {
        let at = |key: &str| {
            let key = key.to_string();
            move |why: String| (key, why)
        };
        let node = &description.node;
        let ports: Vec<&'static str> = node.ports.iter().map(|name| &*name.clone().leak()).collect();
        let port = |key: &str, name: &Option<String>| match name {
            None => Ok(ports.len().saturating_sub(1)),
            Some(name) => {
                let found = ports.iter().position(|port| port == name);
                found.ok_or_else(|| {
                    (key.into(), format!("there is no port `{name}`: expected one of {}", ports.join(", ")))
                })
            }
        };
        if ports.is_empty() || ports.iter().any(|name| ports.iter().filter(|it| *it == name).count() > 1) {
            return Err(("ports".into(), "expected one name or more, each once".into()));
        }
        let of_ports = ports.iter().flat_map(|name| [format!("port.{name}"), format!("address.{name}")]);
        let of_ports: Vec<String> = of_ports.collect();
        let of_node: Vec<&str> = OF_NODE.into_iter().chain(of_ports.iter().map(String::as_str)).collect();
        let on_node = |key: &str, text: &str| Template::parse(text, &of_node).map_err(at(key));
        let command: Vec<Template> =
            node.command.iter().map(|word| on_node("command", word)).collect::<Result<_, _>>()?;
        let program = node.command.first().ok_or_else(|| at("command")("expected a program".into()))?;
        if !program.contains('{') {
            executable(program, file).map_err(at("command"))?;
        }
        let env = node.env.iter().map(|(name, value)| Ok::<_, Wrong>((name.clone(), on_node("env", value)?)));
        let files = node
            .files
            .iter()
            .map(|(path, text)| Ok::<_, Wrong>((on_node("files", path)?, on_node("files", text)?)));
        let probe = |key: &str, path: &str, name: &Option<String>, status| {
            Ok::<_, Wrong>(Probe { path: on_node(key, path)?, port: port(key, name)?, status })
        };
        let ready =
            node.ready.as_ref().map(|it| probe("ready", &it.http, &it.port, it.status)).transpose()?;
        let leader = node.leader.as_ref().map(|it| {
            let rule =
                LeaderRule { pointer: it.pointer.clone(), equals: it.equals.clone(), term: it.term.clone() };
            Ok::<_, Wrong>((probe("leader", &it.http, &it.port, None)?, rule))
        });
        let (wire, answers) = speech(description, file)?;
        let stem = file.file_stem().map_or("system".into(), |stem| stem.to_string_lossy().into_owned());
        Ok(Described {
            name: description.name.clone().unwrap_or(stem),
            about: description.about.clone(),
            command,
            peer: Template::parse(&node.peer, &OF_PEER).map_err(at("peer"))?,
            separator: node.separator.clone(),
            env: env.collect::<Result<_, _>>()?,
            directory: node.directory.as_ref().map(|path| on_node("directory", path)).transpose()?,
            files: files.collect::<Result<_, _>>()?,
            wiring: match node.links {
                Links::AddressMap => Wiring::AddressMap,
                Links::Attributed => Wiring::Attributed,
            },
            ready,
            leader: leader.transpose()?,
            client_port: port("client", &description.client.port)?,
            wire,
            answers,
            ports,
        })
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

    async fn get(&self, place: &Place, probe: &Probe) -> Result<(u16, Vec<u8>), String> {
        let http = Http::new(place.node_port(probe.port), PROBE_TIMEOUT);
        let answer = http.send("GET", &probe.path.fill(&self.values(place)), &[], Vec::new()).await;
        answer.map(|(status, body)| (status.as_u16(), body.to_vec())).map_err(|why| why.to_string())
    }
}

/// A described system, used with one of its objects.
pub(crate) struct DescribedSystem {
    described: &'static Described,
    object: Object,
    node_args: Vec<String>,
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
        Ok(DescribedSystem { described, object: switches.object, node_args: switches.node_args.clone() })
    }
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

    fn command(&self, place: &Place) -> Command {
        let (it, values) = (self.described, self.described.values(place));
        let mut words = it.command.iter().map(|word| word.fill(&values));
        Command {
            program: words.next().unwrap_or_default().into(),
            args: words.chain(self.node_args.iter().cloned()).map(Into::into).collect(),
            env: it.env.iter().map(|(name, value)| (name.into(), value.fill(&values).into())).collect(),
            directory: it.directory.as_ref().map(|path| path.fill(&values).into()),
        }
    }

    fn prepare(&self, place: &Place) -> io::Result<()> {
        let values = self.described.values(place);
        for (path, text) in &self.described.files {
            let path = PathBuf::from(path.fill(&values));
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, text.fill(&values))?;
        }
        Ok(())
    }

    fn ready<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async {
            let Some(probe) = &self.described.ready else {
                let opened = timeout(PROBE_TIMEOUT, place.node_port(self.described.client_port).open()).await;
                return match opened {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) => Err(format!("it accepts no connection: {error}")),
                    Err(_) => Err("it accepts no connection".into()),
                };
            };
            let (status, _) = self.described.get(place, probe).await?;
            match probe.status {
                Some(wanted) if wanted == status => Ok(()),
                None if (200..300).contains(&status) => Ok(()),
                _ => Err(format!("GET {} answers {status}", probe.path)),
            }
        })
    }

    fn leads<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Option<u64>> {
        Box::pin(async {
            let (probe, rule) = self.described.leader.as_ref()?;
            let (_, body) = self.described.get(place, probe).await.ok()?;
            let json: serde_json::Value = serde_json::from_slice(&body).ok()?;
            let said = json.pointer(&rule.pointer)?;
            let said = said.as_str().map_or_else(|| said.to_string(), str::to_string);
            let leads = said == rule.equals.as_deref().unwrap_or("true").replace("{id}", &place.name);
            let term = rule.term.as_ref().and_then(|term| json.pointer(term));
            leads.then(|| term.and_then(serde_json::Value::as_u64).unwrap_or(0))
        })
    }

    fn client(&self, place: &Place, process: u64, limit: Duration) -> Box<dyn Client> {
        let (port, object) = (place.node_port(self.described.client_port), self.object);
        let id = place.name.clone();
        let own = Values::from([("process".into(), process.to_string()), ("id".into(), id.clone())]);
        match &self.described.wire {
            Speech::Http(operations) => Box::new(HttpClient::new(port, limit, operations, object, own)),
            Speech::Lines(operations) => Box::new(LineClient::new(port, limit, operations, object, own)),
            Speech::Exec { command } => {
                let values = Values::from([
                    ("host".into(), port.address.ip().to_string()),
                    ("port".into(), port.address.port().to_string()),
                    ("address".into(), port.address.to_string()),
                    ("process".into(), process.to_string()),
                    ("id".into(), id),
                    ("timeout-ms".into(), limit.as_millis().to_string()),
                ]);
                Box::new(ExecClient::new(command.iter().map(|word| word.fill(&values)).collect(), limit))
            }
        }
    }
}

/// The values of a request's placeholders, in addition to those of its destination.
fn values_of(request: &Request, place: &Values) -> Values {
    let mut values = place.clone();
    let (from, to) = match request.value.as_pair() {
        Some((from, to)) => (text(from), text(to)),
        None => (String::new(), String::new()),
    };
    let all = [("key", text(&request.key)), ("value", text(&request.value)), ("from", from), ("to", to)];
    all.into_iter().for_each(|(name, value)| drop(values.insert(name.into(), value)));
    values
}

/// A value as text for a template.
fn text(value: &Value) -> String {
    match value {
        Value::Nil => String::new(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Str(text) => text.to_string(),
        Value::List(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
    }
}

/// The operations of the description, on its wire protocol.
fn speech(description: &Description, file: &Path) -> Result<(Speech, Operations), Wrong> {
    let tables = [
        &description.register,
        &description.counter,
        &description.set,
        &description.list,
        &description.queue,
        &description.lock,
        &description.ids,
    ];
    let template =
        |key: &str, text: &str| Template::parse(text, &OF_REQUEST).map_err(|why| (key.to_string(), why));
    let client = &description.client;
    let mut answered: Vec<(Object, Vec<F>)> = Vec::new();
    let (mut http, mut lines) = (HashMap::new(), HashMap::new());
    for ((table, object), operations) in OBJECTS.into_iter().zip(tables) {
        for (name, operation) in operations {
            let key = format!("{table}.{name}");
            let f = known(object, name).map_err(|why| (key.clone(), why))?;
            let answers = Answers::new(operation).map_err(|why| (key.clone(), why))?;
            match client.wire {
                Wire::Exec => return Err((key, "the wire `exec` has no tables: its program knows".into())),
                Wire::Http => {
                    let Some((method, path)) = operation.request.split_once(' ') else {
                        return Err((
                            key,
                            format!("request: expected `METHOD /path`, not `{}`", operation.request),
                        ));
                    };
                    let headers = client.headers.iter();
                    let headers = headers
                        .map(|(name, value)| Ok::<_, Wrong>((name.clone(), template("headers", value)?)));
                    let operation = HttpOperation {
                        method: method.into(),
                        path: template(&key, path)?,
                        headers: headers.collect::<Result<_, _>>()?,
                        body: operation.body.as_ref().map(|body| template(&key, body)).transpose()?,
                        answers,
                    };
                    http.insert((object, f.clone()), operation);
                }
                Wire::Lines => {
                    lines.insert(
                        (object, f.clone()),
                        LineOperation { line: template(&key, &operation.request)?, answers },
                    );
                }
            }
            match answered.iter_mut().find(|(it, _)| *it == object) {
                Some((_, fs)) => fs.push(f),
                None => answered.push((object, vec![f])),
            }
        }
    }
    let speech = match client.wire {
        Wire::Exec => {
            for name in &client.operations {
                let (table, operation) = name.split_once('.').unwrap_or((name, ""));
                let object = OBJECTS.iter().find(|(it, _)| *it == table).map(|(_, object)| *object);
                let wrong = || {
                    (
                        "operations".to_string(),
                        format!("there is no operation `{name}`: expected some such as register.read"),
                    )
                };
                let f = object.and_then(|object| known(object, operation).ok()).ok_or_else(wrong)?;
                let object = object.ok_or_else(wrong)?;
                match answered.iter_mut().find(|(it, _)| *it == object) {
                    Some((_, fs)) => fs.push(f),
                    None => answered.push((object, vec![f])),
                }
            }
            let program = client.command.first();
            let program = program.ok_or_else(|| {
                ("client".to_string(), "expected `command`, the client program".to_string())
            })?;
            executable(program, file).map_err(|why| ("client".to_string(), why))?;
            let command = client.command.iter().map(|word| Template::parse(word, &OF_CLIENT));
            Speech::Exec {
                command: command.collect::<Result<_, _>>().map_err(|why| ("client".to_string(), why))?,
            }
        }
        Wire::Http => Speech::Http(http),
        Wire::Lines => Speech::Lines(lines),
    };
    if answered.is_empty() {
        return Err((
            "client".into(),
            "there is no operation: expected a table such as [register.read]".into(),
        ));
    }
    let answered: Vec<(Object, &'static [F])> =
        answered.into_iter().map(|(object, fs)| (object, &*fs.leak())).collect();
    Ok((speech, answered.leak()))
}

/// The operation of that name, if the object supports it.
fn known(object: Object, name: &str) -> Result<F, String> {
    let all = operations_of(object);
    let found = all.iter().find(|f| f.name() == name).cloned();
    let names = || all.iter().map(F::name).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("there is no such operation: expected one of {}", names()))
}

/// The message of serde and TOML, with the line and without the source excerpt.
fn explained(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    match line {
        Some(line) => format!("line {line}: {}", error.message()),
        None => error.message().to_string(),
    }
}

/// The line of a key in the file: `register.read` is a table, `command` a key.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let is_here = |line: &str| {
        let line = line.trim_start();
        line.starts_with(&format!("[{key}]"))
            || line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    Some(text.lines().position(is_here)? + 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Direct;

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

    fn parse(text: &str) -> Result<Entry, String> {
        Described::parse(text, Path::new("dir/my-kv.toml"))
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
            ("command =", "comand =", "line 3: unknown field `comand`"),
            (
                "{port.peer}",
                "{port.x}",
                "line 3: command: `{port.x}`: there is no placeholder `{port.x}`: expected one of {id}",
            ),
            (
                "\"sh\"",
                "\"no-such-program\"",
                "line 3: command: there is no program `no-such-program` on the PATH",
            ),
            ("\"sh\"", "\"./no-such\"", "line 3: command: `./no-such` is no executable file"),
            ("\"api\"]", "\"peer\"]", "line 4: ports: expected one name or more, each once"),
            (
                "\"http\"",
                "\"smtp\"",
                "line 8: unknown variant `smtp`, expected one of `http`, `lines`, `exec`",
            ),
            ("\"http\"", "\"http\"\nport = \"x\"", "client: there is no port `x`: expected one of peer, api"),
            (
                ".read]",
                ".raed]",
                "line 10: register.raed: there is no such operation: expected one of read, write, cas",
            ),
            ("GET /", "GET/", "line 10: register.read: request: expected `METHOD /path`, not `GET/{key}`"),
            (
                "{key}",
                "{keys}",
                "line 10: register.read: `/{keys}`: there is no placeholder `{keys}`: expected one of {key}",
            ),
            ("status =", "stat =", "line 12: unknown field `stat`, expected one of `status`"),
            ("\"/value\"", "\"value\"", "line 10: register.read: ok: pointer: expected a JSON pointer"),
            ("wire = \"http\"", "", "missing field `wire`"),
            ("[register.read]", "[register]", "line 12: unknown field `pointer`"),
        ];
        for (from, to, expected) in all {
            let why = why(from, to);
            assert!(why.contains(expected), "{from} -> {to}: {why}");
        }
        let nothing = FILE.split("[register").next().unwrap();
        assert_eq!(
            parse(nothing).map(drop).unwrap_err(),
            "line 7: client: there is no operation: expected a table such as [register.read]"
        );
    }
}
