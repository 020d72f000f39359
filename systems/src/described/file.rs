//! The format of a description: the contents of a TOML file. [`super::check`] checks names and placeholders.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A system without code.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Description {
    /// The name in reports; by default the file's name without its extension.
    pub(super) name: Option<String>,
    /// One line of description.
    #[serde(default)]
    pub(super) about: String,
    pub(super) node: Node,
    pub(super) client: Client,
    #[serde(default)]
    pub(super) register: Operations,
    #[serde(default)]
    pub(super) counter: Operations,
    #[serde(default)]
    pub(super) set: Operations,
    #[serde(default)]
    pub(super) list: Operations,
    #[serde(default)]
    pub(super) queue: Operations,
    #[serde(default)]
    pub(super) lock: Operations,
    #[serde(default)]
    pub(super) ids: Operations,
    /// Variants of the system, by their names: what each changes in the description, and an `about` of its own.
    /// `--system FILE:NAME` chooses one.
    #[serde(default)]
    pub(super) variants: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
}

impl Description {
    /// The words of every command.
    pub(super) fn words(&self) -> impl Iterator<Item = &String> {
        self.commands().flatten()
    }

    /// The programs of all commands, without those that depend on the node.
    pub(super) fn programs(&self) -> impl Iterator<Item = &String> {
        self.commands().filter_map(|words| words.first()).filter(|name| !name.contains('{'))
    }

    fn commands(&self) -> impl Iterator<Item = &Vec<String>> {
        let Node { command, prepare, set_up, ready, leader, version, .. } = &self.node;
        let asked = [
            ready.as_ref().and_then(|it| it.command.as_ref()),
            leader.as_ref().and_then(|it| it.command.as_ref()),
            version.as_ref().and_then(|it| it.command.as_ref()),
        ];
        [command, prepare, set_up, &self.client.command].into_iter().chain(asked.into_iter().flatten())
    }
}

/// Operations by their names: `read`, `write`, `cas`.
pub(super) type Operations = BTreeMap<String, Operation>;

/// How to start a node and query its status.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Node {
    /// The program and its arguments, not interpreted by a shell.
    pub(super) command: Vec<String>,
    /// The ports of a node. Peers connect to the first, which is proxied.
    #[serde(default = "one_port")]
    pub(super) ports: Vec<String>,
    /// One peer in `{peers}`; `{members}` also contains the node itself.
    #[serde(default = "peer")]
    pub(super) peer: String,
    /// The separator between two of them.
    #[serde(default = "comma")]
    pub(super) separator: String,
    /// Environment variables, in addition to Tribunal's own.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    /// The working directory; by default Tribunal's own.
    pub(super) directory: Option<String>,
    /// The user that the node's processes run as; only root can start processes as another user.
    pub(super) user: Option<String>,
    /// The user that the node's processes run as if Tribunal runs as root: for servers that refuse to be root.
    pub(super) root_becomes: Option<String>,
    /// Directories that are searched for programs after those of `PATH`. A component may be `*`: the directory with
    /// the highest version.
    #[serde(default)]
    pub(super) path: Vec<String>,
    /// The command that installs the programs, for the error if one is missing.
    pub(super) install: Option<String>,
    /// Files to write before the first start, by their paths.
    #[serde(default)]
    pub(super) files: BTreeMap<String, String>,
    /// A command that runs once for each node, before its first start and after its files are written.
    #[serde(default)]
    pub(super) prepare: Vec<String>,
    /// A command that runs once per cluster, when every node accepts connections. `{id}` is the first node.
    #[serde(default)]
    pub(super) set_up: Vec<String>,
    /// The signal that ends a node in order; SIGKILL follows after 3 s. By default SIGTERM.
    pub(super) stop_signal: Option<String>,
    /// How links are proxied.
    #[serde(default)]
    pub(super) links: Links,
    /// The readiness probe; by default a node is ready when its client port accepts a connection.
    pub(super) ready: Option<Probe>,
    /// How to find out whether a node believes itself the leader.
    pub(super) leader: Option<Leader>,
    /// How to find out the version, for the report.
    pub(super) version: Option<Version>,
    /// How long nodes may take until they are ready, such as `2m`; by default 30 s.
    pub(super) start_limit: Option<String>,
    /// How long clients wait after all nodes are ready, such as `2s`.
    pub(super) warm_up: Option<String>,
    /// Files and directories that the programs need, beside themselves and their libraries: a box contains them.
    #[serde(default)]
    pub(super) needs: Vec<String>,
    /// Regular expressions of paths below `{data}`: the files that faults may damage, remove and restore. By
    /// default all.
    #[serde(default)]
    pub(super) data: Vec<String>,
    /// Regular expressions of log lines that a correct node never writes: the first of each node is a finding.
    #[serde(default)]
    pub(super) fatal: Vec<String>,
    /// Regular expressions of log lines that look fatal, such as a panic, and are not.
    #[serde(default)]
    pub(super) harmless: Vec<String>,
}

fn one_port() -> Vec<String> {
    vec!["main".into()]
}

fn peer() -> String {
    "{id}={address}".into()
}

fn comma() -> String {
    ",".into()
}

/// How a proxy gets onto every link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Links {
    /// Each node gets its own address for every peer.
    #[default]
    AddressMap,
    /// All nodes use one address for a node. The proxy finds out from the connection which node opened it.
    Attributed,
    /// Each node gets a network namespace of its own, and no node knows of a proxy.
    Transparent,
    /// The same without a proxy, for nodes that take a peer's address from its connections.
    Netns,
}

/// How to find out whether a node is ready: by one of `http`, `tcp`, `log` and `command`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Probe {
    /// The path of an HTTP GET that succeeds.
    pub(super) http: Option<String>,
    /// `http`: the port for the request; by default the client port.
    pub(super) port: Option<String>,
    /// `http`: the status of the response; by default any from 200 to 299.
    pub(super) status: Option<u16>,
    /// The name of a port that accepts a connection.
    pub(super) tcp: Option<String>,
    /// A regular expression that a line of the node's output matches, since the last start.
    pub(super) log: Option<String>,
    /// A command that exits with 0 within 5 s.
    pub(super) command: Option<Vec<String>>,
    /// `command`: a regular expression that its output matches.
    pub(super) matches: Option<String>,
}

/// How to find out whether a node believes itself the leader: by one of `http`, `log` and `command`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Leader {
    /// The path of an HTTP GET with a response in JSON.
    pub(super) http: Option<String>,
    /// `http`: the port for the request; by default the client port.
    pub(super) port: Option<String>,
    /// `http`: the role in the response, a JSON pointer.
    pub(super) pointer: Option<String>,
    /// `http`: the value of the role on a leader; by default `true`. `{id}` is the node, `{/pointer}` another
    /// part of the response.
    pub(super) equals: Option<String>,
    /// `http`: the term (epoch, view, ballot) in the response, a JSON pointer.
    pub(super) term: Option<String>,
    /// A regular expression of the line that a node writes when it becomes the leader; its first group is the
    /// term.
    pub(super) log: Option<String>,
    /// `log`: a regular expression of the line that a node writes when it stops being the leader.
    pub(super) lost: Option<String>,
    /// A command that exits with 0 on the leader. Tribunal runs it at most four times a second for each node.
    pub(super) command: Option<Vec<String>>,
    /// `command`: a regular expression that its output matches on the leader; its first group is the term.
    pub(super) matches: Option<String>,
}

/// How to find out the version: by one of `http` and `command`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Version {
    /// The path of an HTTP GET with a response in JSON.
    pub(super) http: Option<String>,
    /// `http`: the port for the request; by default the client port.
    pub(super) port: Option<String>,
    /// `http`: the version in the response, a JSON pointer.
    pub(super) pointer: Option<String>,
    /// A command that prints the version.
    pub(super) command: Option<Vec<String>>,
    /// `command`: a regular expression; its first group is the version. By default the first line.
    pub(super) matches: Option<String>,
}

/// How clients talk to nodes.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Client {
    /// The wire protocol.
    pub(super) wire: Wire,
    /// The port for clients; by default the last.
    pub(super) port: Option<String>,
    /// Which nodes serve clients.
    #[serde(default)]
    pub(super) served_by: ServedBy,
    /// Rules for every operation, before its own: what says that it did not happen and never will.
    #[serde(default)]
    pub(super) fail: Rules,
    /// Headers of every HTTP request.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// `postgres` and `mysql`: the parameters of a connection, such as `user=postgres dbname=postgres`.
    pub(super) connect: Option<String>,
    /// `exec` only: the program that acts for clients, and its arguments.
    #[serde(default)]
    pub(super) command: Vec<String>,
    /// `exec` only: how many programs run; by default one per client.
    pub(super) programs: Option<Programs>,
    /// `exec`: the operations that it supports, such as `register.read`. `jetstream`, `zookeeper`, `amqp`: those
    /// that are used; by default all that it knows.
    #[serde(default)]
    pub(super) operations: Vec<String>,
    /// `jetstream`, `zookeeper`, `amqp`: how it does them.
    #[serde(default)]
    pub(super) options: BTreeMap<String, String>,
}

/// Which nodes serve clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum ServedBy {
    /// Each node; those that do not lead forward requests.
    #[default]
    EveryNode,
    /// Only the leader. The other nodes refuse requests, which are then a `fail`.
    Leader,
}

/// How many client programs run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Programs {
    /// Each client has its own, which gets one request at a time.
    #[default]
    OnePerClient,
    /// One program acts for all clients: it gets many requests at a time, each with the number of its client.
    OneForAll,
}

/// A wire protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Wire {
    /// An HTTP/1.1 request and response for each operation.
    Http,
    /// A line of text as request and one as response, over TCP.
    Lines,
    /// The Redis protocol (RESP), over TCP.
    Resp,
    /// A statement for each operation, in the PostgreSQL protocol.
    Postgres,
    /// A statement for each operation, in the MySQL protocol.
    Mysql,
    /// A JSON-RPC request for each operation, over TCP.
    JsonRpc,
    /// NATS JetStream.
    Jetstream,
    /// ZooKeeper.
    Zookeeper,
    /// RabbitMQ, over AMQP 0-9-1.
    Amqp,
    /// A program that reads and writes JSON lines: docs/own-system.md.
    Exec,
}

impl Wire {
    pub(super) fn name(self) -> &'static str {
        match self {
            Wire::Http => "http",
            Wire::Lines => "lines",
            Wire::Resp => "resp",
            Wire::Postgres => "postgres",
            Wire::Mysql => "mysql",
            Wire::JsonRpc => "json-rpc",
            Wire::Jetstream => "jetstream",
            Wire::Zookeeper => "zookeeper",
            Wire::Amqp => "amqp",
            Wire::Exec => "exec",
        }
    }

    /// A typical rule.
    pub(super) fn example(self) -> &'static str {
        match self {
            Wire::Http => "`ok = { status = 200 }`",
            Wire::Resp => "`ok = { kind = \"text\" }`",
            Wire::Postgres | Wire::Mysql => "`ok = { rows = 1, column = \"v\" }`",
            Wire::JsonRpc => "`ok = { has = \"/result/0\" }`",
            Wire::Lines | Wire::Exec | Wire::Jetstream | Wire::Zookeeper | Wire::Amqp => {
                "`ok = { matches = \"^OK\" }`"
            }
        }
    }

    /// A typical rule that says where the value is.
    pub(super) fn value_example(self) -> &'static str {
        match self {
            Wire::Http => {
                "`ok = { status = 200, pointer = \"/value\" }`, or `text = true` for the whole body"
            }
            Wire::Resp => "`ok = { kind = \"text\", text = true }`",
            Wire::Postgres | Wire::Mysql => "`ok = { rows = 1, column = \"v\" }`",
            Wire::JsonRpc => "`ok = { has = \"/result/0/rows/0\", pointer = \"/result/0/rows/0/v\" }`",
            Wire::Lines | Wire::Exec | Wire::Jetstream | Wire::Zookeeper | Wire::Amqp => {
                "`ok = { matches = \"^VALUE (.*)$\", text = true }`"
            }
        }
    }

    /// Whether its responses have a [`Kind`].
    pub(super) fn has_kinds(self) -> bool {
        self == Wire::Resp
    }

    /// Whether its responses are rows of a database.
    pub(super) fn has_rows(self) -> bool {
        matches!(self, Wire::Postgres | Wire::Mysql)
    }

    /// Whether its client knows the operations, so that there are no tables of them.
    pub(super) fn knows_operations(self) -> bool {
        matches!(self, Wire::Exec | Wire::Jetstream | Wire::Zookeeper | Wire::Amqp)
    }
}

/// The kind of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// A text.
    Text,
    /// An integer.
    Integer,
    /// Nothing: a null.
    Nil,
    /// A list.
    List,
    /// An error; the text is its message.
    Error,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Integer => "integer",
            Kind::Nil => "nil",
            Kind::List => "list",
            Kind::Error => "error",
        }
    }
}

/// The request of an operation, and the meaning of its responses. A response that no rule matches is an
/// unknown outcome.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Operation {
    /// `http`: the method and the path, such as `GET /kv/{key}`. `lines`: the line without its end. `resp`: the
    /// command, such as `SET {key} {value}`. `postgres`, `mysql`: the statement, such as `SELECT v FROM kv WHERE k =
    /// {key}`. `json-rpc`: the method.
    pub(super) request: String,
    /// `http`: the body. `json-rpc`: the parameters, in JSON.
    pub(super) body: Option<String>,
    /// It happened.
    #[serde(default)]
    pub(super) ok: Rules,
    /// It happened and found nothing: the object has no value, or the queue is empty.
    #[serde(default)]
    pub(super) nil: Rules,
    /// It happened and changed nothing: the comparison failed, or the lock is held.
    #[serde(default)]
    pub(super) refused: Rules,
    /// It did not happen and never will.
    #[serde(default)]
    pub(super) fail: Rules,
}

/// One rule, or a list of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules(pub(super) Vec<Rule>);

#[cfg(test)]
impl schemars::JsonSchema for Rules {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rules".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let rule = generator.subschema_for::<Rule>();
        schemars::json_schema!({ "anyOf": [rule, { "type": "array", "items": rule }] })
    }
}

impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Not an untagged enum, whose errors would not say what is wrong with a rule.
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Rules;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rule such as { status = 200 }, or a list of rules")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Rules, A::Error> {
                Ok(Rules(vec![Rule::deserialize(MapAccessDeserializer::new(map))?]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Rules, A::Error> {
                Ok(Rules(Vec::deserialize(SeqAccessDeserializer::new(seq))?))
            }
        }

        from.deserialize_any(OneOrMany)
    }
}

/// A response, and the position of its value.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a rule such as { status = 200 }")]
pub(super) struct Rule {
    /// The status of the response.
    pub(super) status: Option<u16>,
    /// The kind of the response, for wire protocols that have kinds.
    pub(super) kind: Option<Kind>,
    /// A regular expression that matches the body, or the line.
    pub(super) matches: Option<String>,
    /// A JSON pointer at which the body has a value.
    pub(super) has: Option<String>,
    /// A JSON pointer at which the body, which is JSON, has no value.
    pub(super) lacks: Option<String>,
    /// The value: a JSON pointer into the body.
    pub(super) pointer: Option<String>,
    /// The value: the first group of `matches`, or the whole body if there is no group.
    #[serde(default)]
    pub(super) text: bool,
    /// The value is base64.
    #[serde(default)]
    pub(super) base64: bool,
    /// The value is a list with this separator.
    pub(super) split: Option<String>,
    /// `postgres`, `mysql`: how many rows the statement returned, or changed if it returns none.
    pub(super) rows: Option<u64>,
    /// `postgres`, `mysql`: the SQLSTATE of an error, or its class: the first two characters.
    pub(super) state: Option<String>,
    /// `postgres`, `mysql`: the column of the first row that holds the value.
    pub(super) column: Option<String>,
}

impl Rule {
    /// Whether it says where the value is.
    pub(super) fn has_value(&self) -> bool {
        self.pointer.is_some() || self.text || self.column.is_some()
    }
}
