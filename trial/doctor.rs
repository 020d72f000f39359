//! Tries a described system out, step by step: what works, what does not, and which key to change.

use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};
use tribunal_checker::op::{F, Value};
use tribunal_nemesis::{CutMode, NodeId, Nodes};
use tribunal_workloads::{Client, Completion, Object, Request};

use crate::error::TrialError;
use crate::rehearsal::{Rehearsal, rehearse};

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was tried.
    pub tried: String,
    /// What came of it.
    pub found: Found,
}

/// What came of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It works: what was seen.
    Works(String),
    /// Nothing was seen that shows whether it works.
    Unclear(Trouble),
    /// It does not work.
    Broken(Trouble),
}

/// What came of all steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Diagnosis {
    /// All of them work.
    Works,
    /// None is broken, and at least one is unclear.
    Unclear,
    /// At least one does not work.
    Broken,
}

/// What does not work, or was not seen to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What was seen.
    pub why: String,
    /// What to change: a key of the description, and a reason.
    pub change: String,
}

/// How long one node alone may take to listen: it may wait for its peers.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the nodes may take to have a leader.
const LEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a node stays cut off. A node that gives up its connections opens new ones meanwhile.
const CUT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);

/// Tries the system that a file describes. `told` gets each step as soon as it is done. Steps that make no sense
/// after one that does not work are left out.
///
/// # Errors
/// When the description is wrong, or Tribunal itself fails.
pub fn doctor(
    system: &str,
    nodes: usize,
    op_timeout: Duration,
    mut told: impl FnMut(&Step) + Send,
) -> Result<Diagnosis, TrialError> {
    rehearse(system, nodes, op_timeout, async |rehearsal| {
        let mut worst = Diagnosis::Works;
        let mut tell = |tried: &str, found: Found| {
            let diagnosis = found.diagnosis();
            worst = worst.max(diagnosis);
            told(&Step { tried: tried.into(), found });
            diagnosis != Diagnosis::Broken
        };
        if !tell("one node starts", one_node(rehearsal).await.into())
            || !tell("all nodes get ready", all_nodes(rehearsal).await.into())
        {
            return Ok(worst);
        }
        tell("a node leads", leader(rehearsal).await.into());
        let can_send = !rehearsal.entry.has_client_program()
            || tell("the client program says hello", client_program(rehearsal).await.into());
        let sent = if can_send { rehearsal.entry.answers } else { &[] };
        let first = sent.first().map(|(object, fs)| (*object, fs, first(fs)));
        let serving = match &first {
            Some((object, fs, f)) => {
                let request = request(f, fs, &key("first"));
                rehearsal.serving(*object, &request, LEADER_TIMEOUT).await
            }
            None => None,
        };
        for (object, fs) in sent {
            for f in *fs {
                let tried = format!("{} succeeds", name(*object, f));
                let node = serving.unwrap_or_default();
                tell(&tried, operation(rehearsal, node, *object, f, fs).await.into());
            }
        }
        if let (Some((object, fs, f)), Some(_), 2..) = (&first, serving, nodes) {
            tell("clients are served as described", served(rehearsal, nodes, *object, f, fs).await);
        }
        if nodes > 1 {
            tell("nodes talk through the proxies", links(rehearsal, nodes));
        }
        tell("a killed node comes back", restart(rehearsal, nodes - 1).await.into());
        if nodes > 1 {
            tell("a cut cannot be bypassed", cut(rehearsal, nodes, can_send).await);
        }
        Ok(worst)
    })
}

impl Found {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Found::Works(_) => Diagnosis::Works,
            Found::Unclear(_) => Diagnosis::Unclear,
            Found::Broken(_) => Diagnosis::Broken,
        }
    }
}

impl From<Result<String, Trouble>> for Found {
    fn from(found: Result<String, Trouble>) -> Self {
        match found {
            Ok(seen) => Found::Works(seen),
            Err(trouble) => Found::Broken(trouble),
        }
    }
}

fn trouble(why: impl ToString, change: &str) -> Trouble {
    Trouble { why: why.to_string().trim_end().into(), change: change.into() }
}

/// Starts the first node alone, and stops it.
async fn one_node(rehearsal: &mut Rehearsal) -> Result<String, Trouble> {
    let prepared = rehearsal.cluster.prepare().await;
    prepared.map_err(|error| trouble(format!("{error:#}"), "node.prepare, node.files or node.user"))?;
    let started = Nodes::start(&rehearsal.cluster, NodeId(0)).await;
    started.map_err(|why| trouble(why, "node.command, node.directory or node.user"))?;
    let place = rehearsal.place(0).clone();
    let deadline = Instant::now() + LISTEN_TIMEOUT;
    let silent = loop {
        sleep(POLL).await;
        if let Some(death) = rehearsal.deaths().into_iter().next() {
            return Err(trouble(death, "node.command: the node ended by itself"));
        }
        let mut silent = Vec::new();
        for address in &place.addresses {
            if place.dial.dial(*address).await.is_err() {
                silent.push(address.to_string());
            }
        }
        if silent.is_empty() || Instant::now() > deadline {
            break silent;
        }
    };
    let stopped = Nodes::terminate(&rehearsal.cluster, NodeId(0)).await;
    stopped.map_err(|why| trouble(why, "node.command: no process may leave its process group and go on"))?;
    Ok(match silent.is_empty() {
        true => "it listens on all its ports, and it stops".into(),
        false => {
            format!(
                "it runs, and stops; alone it does not listen on {} (does it wait for its peers?)",
                silent.join(", ")
            )
        }
    })
}

async fn all_nodes(rehearsal: &mut Rehearsal) -> Result<String, Trouble> {
    let began = Instant::now();
    let started = rehearsal.cluster.start_all();
    started.map_err(|error| trouble(format!("{error:#}"), "node.command"))?;
    let set_up = rehearsal.set_up().await;
    set_up.map_err(|error| trouble(format!("{error:#}"), "node.set-up, or node.command if a node ended"))?;
    let ready = rehearsal.ready().await;
    ready.map_err(|error| trouble(format!("{error:#}"), "node.ready, or node.command if a node ended"))?;
    let took = began.elapsed().as_millis();
    let version = rehearsal.cluster.system.version(rehearsal.place(0)).await;
    let version = version.map_or(String::new(), |version| format!(", version {version}"));
    Ok(format!("after {took} ms{version}"))
}

async fn leader(rehearsal: &Rehearsal) -> Result<String, Trouble> {
    let deadline = Instant::now() + LEADER_TIMEOUT;
    loop {
        match (rehearsal.cluster.primaries().await.first(), Instant::now() > deadline) {
            (Some(leader), _) => return Ok(leader.to_string()),
            (None, true) => break,
            (None, false) => sleep(POLL).await,
        }
    }
    match rehearsal.entry.tells_leaders() {
        false => Ok("not known: faults that aim at the leader take any node (node.leader)".into()),
        true => Err(trouble("no node says that it leads", "node.leader")),
    }
}

/// What a node has to know, so that its links are proxied.
const BY_PROXY: &str = "node.command: a node must know its peers by {peers} or {members}; node.links = \"attributed\" if all \
                        nodes must know a node by one address, or \"transparent\"";

/// # Errors
/// When a connection between nodes bypasses the proxies.
fn bypasses(rehearsal: &Rehearsal) -> Result<(), Trouble> {
    let bypasses =
        rehearsal.links.bypasses().map_err(|error| trouble(error, "nothing: the kernel refuses to tell"))?;
    match &bypasses[..] {
        [] => Ok(()),
        [only] => Err(trouble(format!("1 connection bypasses the proxies: {only}"), BY_PROXY)),
        [first, ..] => {
            Err(trouble(format!("{} connections bypass the proxies: {first}", bypasses.len()), BY_PROXY))
        }
    }
}

/// Whether peers have connected, and how.
fn links(rehearsal: &Rehearsal, nodes: usize) -> Found {
    if let Err(trouble) = bypasses(rehearsal) {
        return Found::Broken(trouble);
    }
    let pairs =
        (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to))).filter(|(from, to)| from != to);
    let carried = pairs.filter(|(from, to)| {
        let counters = rehearsal.links.counters(NodeId(*from), NodeId(*to));
        counters.bytes_carried + counters.connections_carried > 0
    });
    match carried.count() {
        0 => Found::Unclear(trouble("no node has connected to another", BY_PROXY)),
        1 => Found::Works(format!("1 of {} links is in use", nodes * (nodes - 1))),
        links => Found::Works(format!("{links} of {} links are in use", nodes * (nodes - 1))),
    }
}

/// Starts the client program, which has to know its operations.
async fn client_program(rehearsal: &Rehearsal) -> Result<String, Trouble> {
    let checked = rehearsal.cluster.system.check_client().await;
    let known = |()| "it knows all operations of client.operations".to_string();
    checked.map(known).map_err(|breach| trouble(breach, "client.command, client.operations, or the program"))
}

/// An operation that needs none before it.
fn first(fs: &[F]) -> F {
    let needs_another = |f: &F| matches!(f, F::Cas | F::Read | F::Dequeue | F::Release);
    fs.iter().find(|f| !needs_another(f)).or(fs.first()).cloned().unwrap_or(F::Read)
}

/// Sends an operation to every node: who serves clients?
async fn served(rehearsal: &Rehearsal, nodes: usize, object: Object, f: &F, fs: &[F]) -> Found {
    let mut refused = Vec::new();
    for node in 0..nodes {
        let Ok(mut client) = rehearsal.client(node, object, None) else { continue };
        let request = request(f, fs, &key(&format!("served.{node}")));
        let why = match client.invoke(&request).await {
            Completion::Ok(_) => continue,
            Completion::Fail(why) => format!("{} failed at {}: {why}", name(object, f), NodeId(node)),
            Completion::Info(why) => {
                format!("the outcome of {} at {} is unknown: {why}", name(object, f), NodeId(node))
            }
        };
        refused.push(why);
    }
    let by_leader = rehearsal.cluster.system.is_served_by_leader();
    let count = nodes - refused.len();
    match refused.into_iter().next() {
        None => Found::Works(format!("{count} of {nodes} nodes do")),
        Some(why) if by_leader && why.contains(" failed at ") => {
            Found::Works(format!("{count} of {nodes} nodes do; {why}"))
        }
        Some(why) => Found::Unclear(trouble(
            why,
            "client.served-by = \"leader\" if only the leader serves clients, and a rule `fail` for the answer of the \
             others; or let every node forward requests to the leader",
        )),
    }
}

/// Invokes the operation once at a node, after one that it may need.
async fn operation(
    rehearsal: &Rehearsal,
    node: usize,
    object: Object,
    f: &F,
    fs: &[F],
) -> Result<String, Trouble> {
    let key = key(&name(object, f));
    let before =
        [(F::Cas, F::Write), (F::Read, F::Write), (F::Dequeue, F::Enqueue), (F::Release, F::Acquire)];
    let before = before.into_iter().find(|(of, first)| of == f && fs.contains(first)).map(|(_, first)| first);
    let is_prepared = before.is_some();
    let client = rehearsal.client(node, object, None);
    let mut client = client.map_err(|error| trouble(format!("{error:#}"), "client"))?;
    let ports = rehearsal.cluster.system.ports();
    let at = match (rehearsal.entry.has_client_program(), ports) {
        (true, _) => "the client program".to_string(),
        (false, [_]) => format!("the rules of [{}]", name(object, f)),
        (false, _) => format!(
            "the rules of [{}]; or client.port, if clients do not connect to the last of the ports {}",
            name(object, f),
            ports.join(", ")
        ),
    };
    let mut last = Value::Nil;
    for f in before.into_iter().chain([f.clone()]) {
        match client.invoke(&request(&f, fs, &key)).await {
            Completion::Ok(Value::Bool(false)) if f == F::Cas => {
                return Err(trouble("it was refused, although the register holds the expected value", &at));
            }
            Completion::Ok(Value::Nil) if f == F::Read && is_prepared => {
                return Err(trouble("it found nothing, although 1 had been written", &at));
            }
            Completion::Ok(value) => last = value,
            Completion::Fail(why) => return Err(trouble(format!("it failed: {why}{}", rule(&*client)), &at)),
            Completion::Info(why) => {
                return Err(trouble(format!("its outcome is unknown: {why}{}", rule(&*client)), &at));
            }
        }
    }
    Ok(if last.is_nil() { "ok".into() } else { format!("ok, {last}") })
}

/// A key for one purpose. Objects of several types may share one space of keys.
fn key(purpose: &str) -> Value {
    Value::str(&format!("doctor-{}", purpose.replace('.', "-")))
}

/// An operation of an object that supports `fs`.
fn request(f: &F, fs: &[F], key: &Value) -> Request {
    let value = match f {
        F::Cas if fs.contains(&F::Write) => Value::pair(1, 2),
        F::Cas => Value::pair(Value::Nil, 2),
        F::Write | F::Add | F::Append | F::Enqueue => Value::Int(1),
        _ => Value::Nil,
    };
    Request { f: f.clone(), key: key.clone(), value }
}

/// The rule that a client program broke, as the end of a message.
fn rule(client: &dyn Client) -> String {
    client.broken_rule().map_or(String::new(), |rule| format!(" ({rule})"))
}

/// Kills a node and starts it again.
async fn restart(rehearsal: &mut Rehearsal, node: usize) -> Result<String, Trouble> {
    let id = NodeId(node);
    let killed = Nodes::kill(&rehearsal.cluster, id).await;
    killed.map_err(|why| trouble(why, "node.command: no process may leave its process group and go on"))?;
    let again = "node.command: the same command starts a node again on the same ports and in the same {data}";
    let started = Nodes::start(&rehearsal.cluster, id).await;
    started.map_err(|why| trouble(why, again))?;
    let began = Instant::now();
    let ready = rehearsal.ready().await;
    ready.map_err(|error| trouble(format!("{error:#}"), again))?;
    Ok(format!("{id} is ready again after {} ms", began.elapsed().as_millis()))
}

/// Cuts the last node off, and looks for connections between nodes beside the proxies.
async fn cut(rehearsal: &Rehearsal, nodes: usize, can_send: bool) -> Found {
    let last = NodeId(nodes - 1);
    let others: Vec<NodeId> = (0..nodes - 1).map(NodeId).collect();
    let cut_links: Vec<_> = others.iter().flat_map(|other| [(*other, last), (last, *other)]).collect();
    let held = || -> u64 {
        let counters = cut_links.iter().map(|(from, to)| rehearsal.links.counters(*from, *to));
        counters.map(|it| it.bytes_withheld + it.connections_withheld + it.connections_refused).sum()
    };
    let before = held();
    for (from, to) in &cut_links {
        rehearsal.links.cut(*from, *to, CutMode::Stall);
    }
    let looking = async {
        let deadline = Instant::now() + CUT;
        while Instant::now() < deadline {
            bypasses(rehearsal)?;
            sleep(POLL).await;
        }
        bypasses(rehearsal)
    };
    let sending = async {
        // Nodes may talk only because of an operation.
        if can_send {
            join_all((0..nodes).map(|node| send(rehearsal, node))).await;
        }
        std::future::pending::<()>().await;
    };
    let seen = tokio::select! { seen = looking => seen, () = sending => unreachable!("it never ends") };
    let held = held() - before;
    rehearsal.links.heal_all();
    match (seen, held) {
        (Err(trouble), _) => Found::Broken(trouble),
        (Ok(()), 0) => {
            let why = format!("{last} was cut off for {CUT:?}, and no node tried to talk to it");
            Found::Unclear(trouble(why, BY_PROXY))
        }
        (Ok(()), _) => {
            Found::Works(format!("{last} was cut off for {CUT:?}, and what the nodes sent was held"))
        }
    }
}

/// Sends each operation once to a node, whatever comes of it.
async fn send(rehearsal: &Rehearsal, node: usize) {
    for (object, fs) in rehearsal.entry.answers {
        for f in *fs {
            if let Ok(mut client) = rehearsal.client(node, *object, None) {
                client.invoke(&request(f, fs, &key(&format!("cut.{}", name(*object, f))))).await;
            }
        }
    }
}

fn name(object: Object, f: &F) -> String {
    match object {
        Object::Other(name) => format!("{name}.{}", f.name()),
        known => format!("{}.{}", format!("{known:?}").to_lowercase(), f.name()),
    }
}
