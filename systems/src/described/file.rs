//! The shape of a description: what a TOML file may say. Names and placeholders are checked in [`super::check`].

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A system that needs no code.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Description {
    /// What it is called in reports; the file's name without its ending if it is left out.
    pub(super) name: Option<String>,
    /// One line for people.
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
}

/// Operations by their names: `read`, `write`, `cas`.
pub(super) type Operations = BTreeMap<String, Operation>;

/// How a node is started and looked at.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Node {
    /// The program and its arguments. No shell reads them.
    pub(super) command: Vec<String>,
    /// The ports of a node. Peers dial the first, and that one is proxied.
    #[serde(default = "one_port")]
    pub(super) ports: Vec<String>,
    /// One peer in `{peers}`; in `{members}` the node itself as well.
    #[serde(default = "peer")]
    pub(super) peer: String,
    /// What stands between two of them.
    #[serde(default = "comma")]
    pub(super) separator: String,
    /// Environment variables beside those of Tribunal.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    /// The working directory; Tribunal's own if it is left out.
    pub(super) directory: Option<String>,
    /// Files to be written before the first start, by their paths.
    #[serde(default)]
    pub(super) files: BTreeMap<String, String>,
    /// How links are made.
    #[serde(default)]
    pub(super) links: Links,
    /// When a node is ready; when its last port accepts a connection if it is left out.
    pub(super) ready: Option<Probe>,
    /// How it is known that a node believes that it leads.
    pub(super) leader: Option<Leader>,
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

/// How a proxy gets to stand on every link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Links {
    /// Each node is told an address of its own for every peer.
    #[default]
    AddressMap,
    /// All nodes know a node by one address; who dials it is found out by looking at the connection.
    Attributed,
}

/// A request that shows whether a node is ready.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Probe {
    /// The path of an HTTP GET.
    pub(super) http: String,
    /// Which port it goes to; the last if it is left out.
    pub(super) port: Option<String>,
    /// The status of the answer; any from 200 to 299 if it is left out.
    pub(super) status: Option<u16>,
}

/// A request that shows whether a node believes that it leads.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Leader {
    /// The path of an HTTP GET.
    pub(super) http: String,
    /// Which port it goes to; the last if it is left out.
    pub(super) port: Option<String>,
    /// Where the answer says it: a JSON pointer.
    pub(super) pointer: String,
    /// What stands there on a leader: `true` if it is left out.
    pub(super) equals: Option<String>,
    /// Where the answer says the term (epoch, view, ballot): a JSON pointer.
    pub(super) term: Option<String>,
}

/// How clients speak to nodes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Client {
    /// The wire.
    pub(super) wire: Wire,
    /// Which port clients dial; the last if it is left out.
    pub(super) port: Option<String>,
    /// Headers of every HTTP request.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// `exec` only: the program that speaks for one client, and its arguments.
    #[serde(default)]
    pub(super) command: Vec<String>,
    /// `exec` only: the operations that it knows, such as `register.read`.
    #[serde(default)]
    pub(super) operations: Vec<String>,
}

/// A wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Wire {
    /// A request and an answer of HTTP/1.1 for each operation.
    Http,
    /// A line of text and a line in answer, over TCP.
    Lines,
    /// A program that speaks JSON lines: docs/exec-protocol.md.
    Exec,
}

/// What one operation is on the wire, and what its answers mean. An answer that no rule fits is an unknown outcome.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Operation {
    /// `http`: the method and the path, such as `GET /kv/{key}`. `lines`: the line without its end.
    pub(super) request: String,
    /// `http`: the body.
    pub(super) body: Option<String>,
    /// It happened.
    #[serde(default)]
    pub(super) ok: Rules,
    /// It happened and found nothing: the object has no value, the queue is empty.
    #[serde(default)]
    pub(super) nil: Rules,
    /// It happened and changed nothing: the comparison failed, the lock is held.
    #[serde(default)]
    pub(super) refused: Rules,
    /// It certainly did not happen, and never will.
    #[serde(default)]
    pub(super) fail: Rules,
}

/// One rule, or a list of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules(pub(super) Vec<Rule>);

impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Not an untagged enum: its errors would not say what is wrong with a rule.
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

/// An answer, and where its value stands.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Rule {
    /// The status of the answer.
    pub(super) status: Option<u16>,
    /// A regular expression that fits the body, or the line.
    pub(super) matches: Option<String>,
    /// The value: a JSON pointer into the body.
    pub(super) pointer: Option<String>,
    /// The value: the first group of `matches`, or the whole body if there is no group.
    #[serde(default)]
    pub(super) text: bool,
    /// The value is base64.
    #[serde(default)]
    pub(super) base64: bool,
    /// The value is a list with this between two elements.
    pub(super) split: Option<String>,
}
