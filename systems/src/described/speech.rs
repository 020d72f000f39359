//! The operations of a description, on the wire protocol of its clients.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use hyper::header::HeaderName;
use tribunal_checker::op::{F, Value};
use tribunal_workloads::{Client, Object, Request};

use super::Wrong;
use super::answer::Answers;
use super::client_program::ActsFor;
use super::exec::{ClientOfAll, Exec, ExecClient, OwnProgram, Program};
use super::file::{self, Description, Programs, Wire};
use super::http::{HttpClient, HttpOperation};
use super::json_rpc::JsonRpcOperation;
use super::lines::LineOperation;
#[cfg(feature = "mysql")]
use super::mysql::{self, MysqlClient};
#[cfg(feature = "postgres")]
use super::postgres::{self, PostgresClient};
use super::resp::RespOperation;
use super::scope::Scope;
use super::shared_program::SharedProgram;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::sql::SqlOperation;
use super::stream::StreamClient;
use super::template::{Fills, Template, Values};
use crate::coded::{self, Coded, Setting};
use crate::{Breach, Command, NodePort, Operations, Place};

/// The wire protocol of the clients.
#[derive(Debug)]
pub(super) enum Speech {
    Http(Book<HttpOperation>),
    Lines(Book<LineOperation>),
    Resp(Book<RespOperation>),
    #[cfg(feature = "postgres")]
    Postgres(Box<tokio_postgres::Config>, Book<SqlOperation>),
    #[cfg(feature = "mysql")]
    Mysql(Box<mysql::Config>, Book<SqlOperation>),
    JsonRpc(Book<JsonRpcOperation>),
    /// A client in code, with its options.
    Coded(&'static Coded, &'static BTreeMap<String, String>),
    Exec {
        command: Vec<Template>,
        programs: Programs,
        operations: &'static [String],
    },
}

/// The operations of a description.
#[derive(Debug)]
pub(super) struct Book<O>(HashMap<(Object, F), O>, HashMap<Object, O>);

impl<O> Book<O> {
    /// The operation for a request. A `cas` from nothing may have its own: `cas-nil`.
    pub(super) fn find(&self, object: Object, request: &Request) -> Option<&O> {
        let is_from_nil = request.f == F::Cas && matches!(request.value.as_pair(), Some((Value::Nil, _)));
        let object = object.of(&request.key);
        let special = self.1.get(&object).filter(|_| is_from_nil);
        special.or_else(|| self.0.get(&(object, request.f.clone())))
    }
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
        Object::Mixed | Object::Other(_) => &[],
    }
}

/// The special form of `cas` for a register without a value.
const CAS_NIL: &str = "cas-nil";

/// The placeholders of a request.
const OF_REQUEST: [&str; 10] =
    ["key", "value", "from", "to", "process", "id", "key.base64", "value.base64", "from.base64", "to.base64"];
/// The placeholders of a client program's command, and of one for all clients.
const OF_CLIENT: [&str; 6] = ["host", "port", "address", "process", "id", "timeout-ms"];
const OF_ALL_CLIENTS: [&str; 1] = ["timeout-ms"];

impl fmt::Debug for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Coded({:?})", self.operations)
    }
}

impl Speech {
    /// A client for one process. `shared` is the program of all clients, if there is one for all.
    pub(super) fn client(
        &'static self,
        port: NodePort,
        object: Object,
        place: &Place,
        process: u64,
        limit: Duration,
        shared: &Arc<SharedProgram>,
    ) -> Box<dyn Client> {
        let mut own =
            Values::from([("process".into(), process.to_string()), ("id".into(), place.name.clone())]);
        match self {
            Speech::Http(book) => Box::new(HttpClient::new(port, limit, book, object, own)),
            Speech::Lines(book) => Box::new(StreamClient::new(port, limit, book, object, own)),
            Speech::Resp(book) => Box::new(StreamClient::new(port, limit, book, object, own)),
            #[cfg(feature = "postgres")]
            Speech::Postgres(config, book) => {
                Box::new(PostgresClient::new(port, limit, config, book, object, own))
            }
            #[cfg(feature = "mysql")]
            Speech::Mysql(config, book) => Box::new(MysqlClient::new(port, limit, config, book, object, own)),
            Speech::JsonRpc(book) => Box::new(StreamClient::new(port, limit, book, object, own)),
            Speech::Coded(coded, options) => {
                let nodes = place.peers.len() + 1;
                (coded.client)(Setting { port, limit, object, process, nodes, options })
            }
            Speech::Exec { command, programs, operations } => {
                own.insert("timeout-ms".into(), limit.as_millis().to_string());
                let exec = exec_of(command, operations, own, port.address);
                let (program, log) = match programs {
                    Programs::OnePerClient => {
                        (Program::Own(Box::new(OwnProgram::of(process))), place.client_log.clone())
                    }
                    Programs::OneForAll => {
                        let (node, address) = (place.name.clone(), port.address);
                        let client = ClientOfAll { client: process, node, address };
                        let log = place.client_log.with_file_name("all.log");
                        (Program::Shared(shared.clone(), client), log)
                    }
                };
                Box::new(ExecClient::new(exec, limit, object, log, program))
            }
        }
    }

    /// Checks that the client program, if there is one, knows its operations. No node runs yet, so the address is
    /// one where nobody listens.
    pub(super) async fn check(&'static self) -> Result<(), Breach> {
        let Speech::Exec { command, programs, operations } = self else { return Ok(()) };
        let own = [("process", "0"), ("id", "n1"), ("timeout-ms", "1000")];
        let own = own.map(|(name, value)| (name.into(), value.into())).into();
        let acts_for = match programs {
            Programs::OnePerClient => ActsFor::One(0),
            Programs::OneForAll => ActsFor::All,
        };
        exec_of(command, operations, own, (Ipv4Addr::LOCALHOST, 0).into()).check(acts_for).await
    }

    /// Whether a program acts for clients: one for each, or one for all.
    pub(super) fn programs(&self) -> Option<Programs> {
        match self {
            Speech::Exec { programs, .. } => Some(*programs),
            _ => None,
        }
    }
}

/// The client program for a node with this address.
fn exec_of(
    command: &[Template],
    operations: &'static [String],
    mut values: Values,
    address: SocketAddr,
) -> Exec {
    values.insert("host".into(), address.ip().to_string());
    values.insert("port".into(), address.port().to_string());
    values.insert("address".into(), address.to_string());
    let mut words = command.iter().map(|word| word.fill(&values));
    let program = words.next().expect("the description was checked").into();
    Exec {
        command: Command { program, args: words.map(Into::into).collect(), ..Command::default() },
        operations,
    }
}

/// The name of an object's table.
pub(crate) fn table(object: Object) -> &'static str {
    OBJECTS.into_iter().find(|(_, it)| *it == object).map_or("other", |(name, _)| name)
}

/// The values of a request's placeholders, in addition to those of its destination. They are made when a template
/// needs them: most need two, and every operation fills its templates.
pub(super) struct RequestValues<'a> {
    pub(super) request: &'a Request,
    pub(super) place: &'a Values,
}

impl Fills for RequestValues<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Some(name) = name.strip_suffix(".base64") {
            return Some(BASE64.encode(&*self.value(name)?).into());
        }
        let pair = self.request.value.as_pair();
        match name {
            "key" => Some(text(&self.request.key)),
            "value" => Some(text(&self.request.value)),
            "from" => Some(pair.map_or("".into(), |(from, _)| text(from))),
            "to" => Some(pair.map_or("".into(), |(_, to)| text(to))),
            of_place => self.place.value(of_place),
        }
    }
}

/// A value as text for a template.
fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Nil => "".into(),
        Value::Bool(truth) => truth.to_string().into(),
        Value::Int(number) => number.to_string().into(),
        Value::Str(text) => (&**text).into(),
        Value::List(items) => items.iter().map(text).collect::<Vec<_>>().join(",").into(),
    }
}

/// The operations of the description, on its wire protocol.
///
/// # Errors
/// The wrong key, and the reason.
pub(super) fn speech(description: &Description, scope: &Scope<'_>) -> Result<(Speech, Operations), Wrong> {
    let client = &description.client;
    misplaced(client, scope)?;
    if let Some((table, _, name, _)) = tables(description).next().filter(|_| client.wire.knows_operations()) {
        let why = format!(
            "the wire `{}` has no tables: its client knows how to send an operation",
            client.wire.name()
        );
        return Err(scope.wrong(&format!("{table}.{name}"), why));
    }
    match client.wire {
        Wire::Exec => exec(client, scope),
        Wire::Jetstream | Wire::Zookeeper | Wire::Amqp => coded(client, scope),
        Wire::Http => {
            let (book, answered) =
                book(description, scope, |key, it, answers| http(client, scope, key, it, answers))?;
            Ok((Speech::Http(book), answered))
        }
        Wire::Lines => {
            let (book, answered) = book(description, scope, |key, it, answers| {
                no_body(scope, key, it)?;
                if it.request.contains('\n') {
                    return Err(scope.wrong(&format!("{key}.request"), "expected one line, without its end"));
                }
                Ok(LineOperation { line: template(scope, key, &it.request)?, answers })
            })?;
            Ok((Speech::Lines(book), answered))
        }
        Wire::Resp => {
            let (book, answered) = book(description, scope, |key, it, answers| {
                no_body(scope, key, it)?;
                let key = format!("{key}.request");
                let words = it.request.split_whitespace().map(|word| template(scope, &key, word));
                let words: Vec<Template> = words.collect::<Result<_, _>>()?;
                match words.is_empty() {
                    true => Err(scope.wrong(&key, "expected a command such as `SET {key} {value}`")),
                    false => Ok(RespOperation { words, answers }),
                }
            })?;
            Ok((Speech::Resp(book), answered))
        }
        #[cfg(feature = "postgres")]
        Wire::Postgres => {
            let expected =
                || scope.wrong("client", "expected `connect`, such as \"user=postgres dbname=postgres\"");
            let connect = client.connect.as_deref().ok_or_else(expected)?;
            let config = postgres::config(connect).map_err(|why| scope.wrong("client.connect", why))?;
            let (book, answered) = book(description, scope, |key, it, answers| {
                no_body(scope, key, it)?;
                let key = format!("{key}.request");
                let request = template(scope, &key, &it.request)?;
                let made = SqlOperation::new(&request, answers, |number| format!("${number}"));
                made.map_err(|why| scope.wrong(&key, why))
            })?;
            Ok((Speech::Postgres(Box::new(config), book), answered))
        }
        #[cfg(feature = "mysql")]
        Wire::Mysql => {
            let expected = || scope.wrong("client", "expected `connect`, such as \"user=root dbname=test\"");
            let connect = client.connect.as_deref().ok_or_else(expected)?;
            let config = mysql::config(connect).map_err(|why| scope.wrong("client.connect", why))?;
            let (book, answered) = book(description, scope, |key, it, answers| {
                no_body(scope, key, it)?;
                let key = format!("{key}.request");
                let request = template(scope, &key, &it.request)?;
                let made = SqlOperation::new(&request, answers, |_| "?".into());
                made.map_err(|why| scope.wrong(&key, why))
            })?;
            Ok((Speech::Mysql(Box::new(config), book), answered))
        }
        #[cfg(not(feature = "mysql"))]
        Wire::Mysql => Err(scope.wrong("client.wire", tribunal_records::features::left_out("mysql"))),
        Wire::JsonRpc => {
            let (book, answered) = book(description, scope, |key, it, answers| {
                let expected = || scope.wrong(key, "expected `body`: the parameters of the method, in JSON");
                let body = it.body.as_ref().ok_or_else(expected)?;
                let params = template(scope, &format!("{key}.body"), body)?;
                Ok(JsonRpcOperation { method: it.request.clone(), params, answers })
            })?;
            Ok((Speech::JsonRpc(book), answered))
        }
        #[cfg(not(feature = "postgres"))]
        Wire::Postgres => Err(scope.wrong("client.wire", tribunal_records::features::left_out("postgres"))),
    }
}

/// Checks that every key of `[client]` belongs to its wire.
fn misplaced(client: &file::Client, scope: &Scope<'_>) -> Result<(), Wrong> {
    let coded: &[Wire] = &[Wire::Jetstream, Wire::Zookeeper, Wire::Amqp];
    let with_operations: &[Wire] = &[Wire::Exec, Wire::Jetstream, Wire::Zookeeper, Wire::Amqp];
    let all = [
        ("headers", !client.headers.is_empty(), &[Wire::Http][..]),
        ("connect", client.connect.is_some(), &[Wire::Postgres, Wire::Mysql]),
        ("command", !client.command.is_empty(), &[Wire::Exec]),
        ("programs", client.programs.is_some(), &[Wire::Exec]),
        ("operations", !client.operations.is_empty(), with_operations),
        ("options", !client.options.is_empty(), coded),
    ];
    match all.into_iter().find(|(_, is_there, wires)| *is_there && !wires.contains(&client.wire)) {
        Some((key, _, wires)) => {
            let names: Vec<String> = wires.iter().map(|wire| format!("`{}`", wire.name())).collect();
            let plural = if names.len() == 1 { "" } else { "s" };
            let why = format!("this key belongs to the wire{plural} {}", names.join(", "));
            Err(scope.wrong(&format!("client.{key}"), why))
        }
        None => Ok(()),
    }
}

/// The tables of operations: the table's name, its object, the operation's name, the operation.
fn tables(
    description: &Description,
) -> impl Iterator<Item = (&'static str, Object, &String, &file::Operation)> {
    let tables = [
        &description.register,
        &description.counter,
        &description.set,
        &description.list,
        &description.queue,
        &description.lock,
        &description.ids,
    ];
    let all = OBJECTS.into_iter().zip(tables);
    all.flat_map(|((table, object), of)| of.iter().map(move |(name, it)| (table, object, name, it)))
}

/// The operations of all tables, each made by `make` from its key and its rules.
fn book<O>(
    description: &Description,
    scope: &Scope<'_>,
    make: impl Fn(&str, &file::Operation, Answers) -> Result<O, Wrong>,
) -> Result<(Book<O>, Operations), Wrong> {
    let mut book = Book(HashMap::new(), HashMap::new());
    let mut answered = Vec::new();
    for (table, object, name, operation) in tables(description) {
        let key = format!("{table}.{name}");
        let is_from_nil = object == Object::Register && name == CAS_NIL;
        let f = if is_from_nil { Ok(F::Cas) } else { known(object, name) };
        let f = f.map_err(|why| scope.wrong(&key, why))?;
        let returns_value = matches!(f, F::Read | F::Dequeue | F::Generate);
        let of_all = &description.client.fail;
        let answers = Answers::new(of_all, operation, description.client.wire, returns_value);
        let answers = answers.map_err(|(below, why)| {
            let key = match &*below {
                "" => key.clone(),
                "client.fail" => below,
                below => format!("{key}.{below}"),
            };
            scope.wrong(&key, why)
        })?;
        let made = make(&key, operation, answers)?;
        if is_from_nil {
            book.1.insert(object, made);
            continue;
        }
        book.0.insert((object, f.clone()), made);
        answered.push((object, f));
    }
    if answered.is_empty() {
        return Err(scope.wrong("client", "there is no operation: expected a table such as [register.read]"));
    }
    Ok((book, by_object(&answered)))
}

/// The operations grouped by their objects.
fn by_object(all: &[(Object, F)]) -> Operations {
    let of = |object: Object| {
        all.iter().filter(|(it, _)| *it == object).map(|(_, f)| f.clone()).collect::<Vec<F>>()
    };
    let objects = OBJECTS.into_iter().map(|(_, object)| object);
    let found = objects.map(|object| (object, of(object))).filter(|(_, fs)| !fs.is_empty());
    found.map(|(object, fs)| (object, &*fs.leak())).collect::<Vec<(Object, &'static [F])>>().leak()
}

fn template(scope: &Scope<'_>, key: &str, text: &str) -> Result<Template, Wrong> {
    Template::parse(text, &OF_REQUEST).map_err(|why| scope.wrong(key, why))
}

fn no_body(scope: &Scope<'_>, key: &str, operation: &file::Operation) -> Result<(), Wrong> {
    match operation.body {
        Some(_) => {
            Err(scope.wrong(&format!("{key}.body"), "this key belongs to the wires `http` and `json-rpc`"))
        }
        None => Ok(()),
    }
}

fn http(
    client: &file::Client,
    scope: &Scope<'_>,
    key: &str,
    operation: &file::Operation,
    answers: Answers,
) -> Result<HttpOperation, Wrong> {
    let request = format!("{key}.request");
    let parts = operation.request.split_once(' ').filter(|(method, path)| {
        let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
        is_method && path.starts_with('/') && !path.contains(|it: char| it.is_whitespace() || it.is_control())
    });
    let (method, path) = parts.ok_or_else(|| {
        scope.wrong(&request, format!("expected `METHOD /path`, not `{}`", operation.request))
    })?;
    let headers = client.headers.iter().map(|(name, value)| {
        let is_name = HeaderName::try_from(name.as_str()).is_ok();
        if !is_name || value.contains(char::is_control) {
            let why = format!(
                "expected a header such as `authorization = \"Bearer x\"`, not `{}`",
                name.escape_debug()
            );
            return Err(scope.wrong("client.headers", why));
        }
        Ok((name.clone(), template(scope, "client.headers", value)?))
    });
    Ok(HttpOperation {
        method: method.into(),
        path: template(scope, &request, path)?,
        headers: headers.collect::<Result<_, Wrong>>()?,
        body: operation.body.as_ref().map(|it| template(scope, &format!("{key}.body"), it)).transpose()?,
        answers,
    })
}

/// The operations with these names.
fn named(names: &[String], scope: &Scope<'_>) -> Result<Vec<(Object, F)>, Wrong> {
    let at = "client.operations";
    let one = |name: &String| {
        let wrong = || {
            scope.wrong(at, format!("there is no operation `{name}`: expected some such as register.read"))
        };
        let (table, operation) = name.split_once('.').ok_or_else(wrong)?;
        let (_, object) = OBJECTS.into_iter().find(|(it, _)| *it == table).ok_or_else(wrong)?;
        let f = known(object, operation).map_err(|why| scope.wrong(at, format!("{name}: {why}")))?;
        Ok((object, f))
    };
    names.iter().map(one).collect()
}

/// A client in code.
fn coded(client: &file::Client, scope: &Scope<'_>) -> Result<(Speech, Operations), Wrong> {
    let wire = client.wire.name();
    let left_out = || scope.wrong("client.wire", tribunal_records::features::left_out(wire));
    let coded = coded::find(wire).ok_or_else(left_out)?;
    for (name, value) in &client.options {
        let listed = |all: &[&'static str]| all.join(", ");
        let of = coded.options.iter().find(|(it, _)| it == name).ok_or_else(|| {
            let names: Vec<&str> = coded.options.iter().map(|(it, _)| *it).collect();
            let expected = if names.is_empty() { "none".into() } else { listed(&names) };
            scope.wrong("client.options", format!("there is no option `{name}`: expected {expected}"))
        })?;
        if !of.1.contains(&value.as_str()) {
            let why = format!("{name}: expected one of {}, not `{value}`", listed(of.1));
            return Err(scope.wrong("client.options", why));
        }
    }
    let all: Vec<String> = coded.operations.iter().map(|it| it.to_string()).collect();
    if let Some(name) = client.operations.iter().find(|name| !all.contains(name)) {
        let why = format!("the wire `{wire}` has no operation `{name}`: expected some of {}", all.join(", "));
        return Err(scope.wrong("client.operations", why));
    }
    let used = if client.operations.is_empty() { &all } else { &client.operations };
    let options = Box::leak(Box::new(client.options.clone()));
    Ok((Speech::Coded(coded, options), by_object(&named(used, scope)?)))
}

fn exec(client: &file::Client, scope: &Scope<'_>) -> Result<(Speech, Operations), Wrong> {
    let answered = named(&client.operations, scope)?;
    if answered.is_empty() {
        return Err(scope.wrong("client", "expected `operations`, a list such as [\"register.read\"]"));
    }
    let key = "client.command";
    let program = client.command.first();
    let program = program.ok_or_else(|| scope.wrong("client", "expected `command`, the client program"))?;
    scope.program(key, program)?;
    let programs = client.programs.unwrap_or_default();
    let placeholders = match programs {
        Programs::OnePerClient => &OF_CLIENT[..],
        Programs::OneForAll => &OF_ALL_CLIENTS,
    };
    let words = client.command.iter().map(|word| Template::parse(word, placeholders));
    let command = words.collect::<Result<_, _>>().map_err(|why| {
        let about_all = match programs {
            Programs::OnePerClient => "",
            Programs::OneForAll => " (each request to the program of all clients has a node and an address)",
        };
        scope.wrong(key, why + about_all)
    })?;
    let operations = client.operations.clone().leak();
    Ok((Speech::Exec { command, programs, operations }, by_object(&answered)))
}

/// The operation of that name, if the object supports it.
fn known(object: Object, name: &str) -> Result<F, String> {
    let all = operations_of(object);
    let found = all.iter().find(|f| f.name() == name).cloned();
    let names = || all.iter().map(F::name).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("there is no such operation: expected one of {}", names()))
}
