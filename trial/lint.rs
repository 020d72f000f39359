//! Checks a client: does it ever say what it cannot know?
//!
//! The commonest false alarm of such tests is a client that says `fail` for an unknown outcome, or that
//! retries. So every operation of a client is sent through a proxy (`lint/tap.rs`) that harms one exchange of it,
//! in every way, and what the client says is held against what the node then says by another client.
//!
//! A finding is always a fact: the client said `fail`, and the operation has happened; or the same request
//! came twice; or there is an answer that no node gave.

mod tap;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tribunal_checker::op::{F, Value};
use tribunal_systems::Breach;
use tribunal_workloads::{Client, Completion, Object, Request};

use crate::error::TrialError;
use crate::rehearsal::{Rehearsal, rehearse};
use tap::{Harm, Tap};

/// How long a client may take to start, if a program acts for it.
const CLIENT_START: Duration = Duration::from_secs(10);
/// How long all nodes may refuse the first operation before the client is blamed.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Further exchanges of an operation are not harmed.
const EXCHANGES_MAX: usize = 4;

/// What the linter found about one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linted {
    /// The operation, such as `register.write`.
    pub operation: String,
    /// Number of situations that were tried.
    pub cases: usize,
    /// The wrong answers: the situation, and what was wrong with the answer.
    pub findings: Vec<Finding>,
}

/// A wrong answer of a client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What happened to the operation.
    pub situation: String,
    /// What the client did.
    pub did: String,
    /// The rule that it broke.
    pub rule: &'static str,
}

const NO_FAIL: &str = "`fail` means that the operation certainly did not happen: say `info` if nobody knows";
const NO_RETRY: &str =
    "a client sends a request once: a second one is an operation that the history does not contain";
const NO_GUESS: &str = "`ok` needs the complete answer to this request: say `info` without one";
const NO_CACHE: &str =
    "every operation asks a node: a client that remembers answers hides what the node would say";
const OWN_ANSWER: &str =
    "an answer belongs to one request: number requests, or give up a connection that has too many answers";
const NO_HARM: &str = "without any harm every operation succeeds: `tribunal doctor` says which key of the description does not fit";
const TOGETHER: &str =
    "a program for all clients serves them at the same time: no client waits for the answer to another";
const BOUNDED: &str = "a client bounds every wait by its timeout, and then says `info`";

/// Checks the client of the named system, or of the system that a file describes. `told` gets each operation
/// as soon as it is checked.
///
/// # Errors
/// When the system is unknown or its description wrong, or the nodes do not get ready or die.
pub fn lint(
    system: &str,
    nodes: usize,
    op_timeout: Duration,
    mut told: impl FnMut(&Linted) + Send,
) -> Result<(), TrialError> {
    rehearse(system, nodes, op_timeout, async |rehearsal| {
        if let Err(Breach { did, rule }) = rehearsal.cluster.system.check_client().await {
            let findings = vec![Finding { situation: "the start".into(), did, rule }];
            told(&Linted { operation: "hello".into(), cases: 1, findings });
            return Ok(());
        }
        rehearsal.start().await?;
        let first = rehearsal.entry.answers.first().map(|(object, fs)| {
            let f = fs.iter().find(|f| Case { object: *object, f: (*f).clone(), fs }.before().is_none());
            Case { object: *object, f: f.or(fs.first()).cloned().unwrap_or(F::Read), fs }
        });
        let node = match first {
            Some(case) => {
                let request = case.request(&case.f, &Value::str("k0"), 0);
                rehearsal.serving(case.object, &request, ELECTION_TIMEOUT).await.unwrap_or_default()
            }
            None => 0,
        };
        let tap = Tap::open(rehearsal.place(node)).await.context("cannot open the proxy")?;
        let mut linter = Linter { rehearsal, node, tap, witnesses: HashMap::new(), keys: 0 };
        for (object, fs) in linter.rehearsal.entry.answers {
            for f in *fs {
                let case = Case { object: *object, f: f.clone(), fs };
                told(&linter.operation(&case).await?);
            }
        }
        Ok(())
    })
}

struct Linter<'a> {
    rehearsal: &'a mut Rehearsal,
    /// The node that the clients talk to.
    node: usize,
    tap: Tap,
    /// One more client for each object. It is not harmed, and says what the node would say.
    witnesses: HashMap<Object, Box<dyn Client>>,
    /// Numbers the keys and the values, so that each is new.
    keys: i64,
}

/// An operation of an object that supports `fs`.
struct Case {
    object: Object,
    f: F,
    fs: &'static [F],
}

/// Why an operation is not tried any further.
enum Halt {
    /// The client cannot do it even without any harm.
    Client(Finding),
    /// Tribunal, a node or this machine failed.
    Machine(anyhow::Error),
}

impl From<anyhow::Error> for Halt {
    fn from(error: anyhow::Error) -> Self {
        Halt::Machine(error)
    }
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        Halt::Machine(error.into())
    }
}

/// One invocation of an operation, and what is known about it.
struct Sent {
    completion: Option<Completion>,
    /// The rule of its protocol that the client broke.
    broken: Option<&'static str>,
    /// The request of each exchange.
    requests: Vec<Vec<u8>>,
    /// Whether it happened, according to another client; `None` if that cannot be found out.
    happened: Option<bool>,
}

impl Case {
    fn name(&self) -> String {
        let object = match self.object {
            Object::Other(name) => name.to_string(),
            known => format!("{known:?}").to_lowercase(),
        };
        format!("{object}.{}", self.f.name())
    }

    /// Whether the node can be asked for the state of the object.
    fn is_readable(&self) -> bool {
        self.fs.contains(&F::Read)
    }

    /// What has to be sent before, so that the operation changes something.
    fn before(&self) -> Option<F> {
        let before = match (self.object, &self.f) {
            (Object::Register, F::Read | F::Cas) => F::Write,
            (Object::Set | Object::Counter, F::Read) => F::Add,
            (Object::List, F::Read) => F::Append,
            (Object::Queue, F::Dequeue) => F::Enqueue,
            (Object::Lock, F::Release) => F::Acquire,
            _ => return None,
        };
        self.fs.contains(&before).then_some(before)
    }

    fn request(&self, f: &F, key: &Value, value: i64) -> Request {
        let value = match f {
            F::Write | F::Append | F::Enqueue => Value::Int(value),
            F::Add if self.object == Object::Counter => Value::Int(1),
            F::Add => Value::Int(value),
            F::Cas if self.before().is_some() => Value::pair(value, value + 1),
            F::Cas => Value::pair(Value::Nil, value + 1),
            _ => Value::Nil,
        };
        Request { f: f.clone(), key: key.clone(), value }
    }
}

impl Linter<'_> {
    /// Tries an operation in every situation, as long as it succeeds without any harm.
    async fn operation(&mut self, case: &Case) -> Result<Linted> {
        let (mut cases, mut findings) = (0, BTreeSet::new());
        match self.situations(case, &mut cases, &mut findings).await {
            Ok(()) => {}
            Err(Halt::Client(finding)) => match self.rehearsal.deaths().into_iter().next() {
                Some(death) => return Err(anyhow!(death)),
                None => drop(findings.insert(finding)),
            },
            Err(Halt::Machine(error)) => return Err(error),
        }
        Ok(Linted { operation: case.name(), cases, findings: findings.into_iter().collect() })
    }

    async fn situations(
        &mut self,
        case: &Case,
        cases: &mut usize,
        findings: &mut BTreeSet<Finding>,
    ) -> Result<(), Halt> {
        *cases += 1;
        let first = self.send(case, None).await?;
        succeeded(&case.f, &first.completion, first.broken)?;
        *cases += 1;
        let second = self.send(case, None).await?;
        succeeded(&case.f, &second.completion, second.broken)?;
        if first.requests.is_empty() {
            findings.insert(Finding {
                situation: "no harm".into(),
                did: "it said ok, and sent nothing to the node".into(),
                rule: NO_CACHE,
            });
        }
        // A greeting is the same every time; a request names its key.
        let exchanges = first.requests.len().min(EXCHANGES_MAX);
        let is_request = |number: usize| first.requests.get(number) != second.requests.get(number);
        let late = self.rehearsal.op_timeout * 2;
        let harms = [Harm::CutBefore, Harm::CutAfter, Harm::CutMiddle, Harm::Delay(late)];
        for number in 0..exchanges {
            for harm in harms {
                let sent = self.send(case, Some((number, harm))).await?;
                *cases += 1;
                findings.extend(judge(case, number, exchanges, harm, &sent, is_request(number)));
            }
        }
        *cases += 1;
        findings.extend(self.refused(case).await?);
        if self.rehearsal.entry.has_shared_program() && case.is_readable() {
            *cases += 1;
            findings.extend(self.together(case).await?);
        }
        if case.is_readable() {
            for number in 0..exchanges {
                *cases += 1;
                findings.extend(self.twice(case, number).await?);
            }
            if case.f == F::Read {
                *cases += 1;
                findings.extend(self.cached(case).await?);
            }
        }
        Ok(())
    }

    /// Sends the operation on a new key, by a new client, with this harm to one of its exchanges.
    async fn send(&mut self, case: &Case, harm: Option<(usize, Harm)>) -> Result<Sent, Halt> {
        let (key, value) = self.fresh();
        let mut client = self.rehearsal.client(self.node, case.object, Some(&self.tap.addresses))?;
        if let Some(before) = case.before() {
            self.tap.arm(None);
            self.must(&mut *client, &case.request(&before, &key, value)).await?;
        }
        let state = self.state(case, &key).await?;
        self.tap.arm(harm);
        let completion = self.invoke(&mut *client, &case.request(&case.f, &key, value)).await;
        let requests = self.tap.requests();
        let happened = self.happened(case, &key, value, state).await?;
        Ok(Sent { completion, broken: client.broken_rule(), requests, happened })
    }

    /// `None`: it did not end in time.
    async fn invoke(&self, client: &mut dyn Client, request: &Request) -> Option<Completion> {
        // Twice the timeout may be needed to connect and to wait; client programs get some more.
        timeout(CLIENT_START + self.rehearsal.op_timeout * 4, client.invoke(request)).await.ok()
    }

    /// Sends a request that has to succeed.
    async fn must(&self, client: &mut dyn Client, request: &Request) -> Result<Value, Halt> {
        let completion = self.invoke(client, request).await;
        succeeded(&request.f, &completion, client.broken_rule()).cloned()
    }

    /// Sends a request that has to succeed by another client, directly to the node.
    async fn witness(&mut self, case: &Case, request: &Request) -> Result<Value, Halt> {
        let mut witness = match self.witnesses.remove(&case.object) {
            Some(witness) => witness,
            None => self.rehearsal.client(self.node, case.object, None)?,
        };
        let value = self.must(&mut *witness, request).await?;
        self.witnesses.insert(case.object, witness);
        Ok(value)
    }

    /// A key and a value that were not used before.
    fn fresh(&mut self) -> (Value, i64) {
        self.keys += 2;
        (Value::str(&format!("k{}", self.keys)), self.keys)
    }

    /// The object, read by another client directly from the node.
    async fn state(&mut self, case: &Case, key: &Value) -> Result<Option<Value>, Halt> {
        match case.is_readable() {
            true => self.witness(case, &case.request(&F::Read, key, 0)).await.map(Some),
            false => Ok(None),
        }
    }

    /// Whether the operation happened, according to another client.
    async fn happened(
        &mut self,
        case: &Case,
        key: &Value,
        value: i64,
        before: Option<Value>,
    ) -> Result<Option<bool>, Halt> {
        let ask = match case.f {
            F::Write | F::Cas | F::Add | F::Append => F::Read,
            F::Enqueue | F::Dequeue => F::Dequeue,
            F::Acquire | F::Release => F::Acquire,
            _ => return Ok(None),
        };
        if !case.fs.contains(&ask) {
            return Ok(None);
        }
        let said = self.witness(case, &case.request(&ask, key, value)).await?;
        Ok(Some(match case.f {
            F::Enqueue => said == Value::Int(value),
            F::Dequeue => said.is_nil(),
            F::Acquire => said == Value::Bool(false),
            F::Release => said != Value::Bool(false),
            _ => Some(said) != before,
        }))
    }

    /// Nobody listens.
    async fn refused(&mut self, case: &Case) -> Result<Option<Finding>, Halt> {
        let (key, value) = self.fresh();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let nobody: Vec<SocketAddr> = vec![listener.local_addr()?; self.tap.addresses.len()];
        drop(listener);
        let mut client = self.rehearsal.client(self.node, case.object, Some(&nobody))?;
        let completion = self.invoke(&mut *client, &case.request(&case.f, &key, value)).await;
        let wrong = |did: &str, rule| {
            Some(Finding { situation: "the connection is refused".into(), did: did.into(), rule })
        };
        Ok(match completion {
            None => wrong("it did not answer", BOUNDED),
            Some(Completion::Ok(value)) => wrong(&format!("it said ok ({value})"), NO_GUESS),
            Some(Completion::Fail(why) | Completion::Info(why)) => {
                client.broken_rule().and_then(|rule| wrong(&why, rule))
            }
        })
    }

    /// One program acts for all clients: while the answer to one is late, it must serve another.
    async fn together(&mut self, case: &Case) -> Result<Option<Finding>, Halt> {
        let (key, value) = self.fresh();
        let mut client = self.rehearsal.client(self.node, case.object, Some(&self.tap.addresses))?;
        if let Some(before) = case.before() {
            self.tap.arm(None);
            self.must(&mut *client, &case.request(&before, &key, value)).await?;
        }
        let mut other = self.rehearsal.client(self.node, case.object, None)?;
        let (late, read) = (case.request(&case.f, &key, value), case.request(&F::Read, &key, 0));
        self.tap.arm(Some((0, Harm::Delay(self.rehearsal.op_timeout * 2))));
        let (late, other) = (self.invoke(&mut *client, &late), self.invoke(&mut *other, &read));
        tokio::pin!(late, other);
        // The late one is sent first.
        let waits = tokio::select! { biased; _ = &mut late => true, _ = &mut other => false };
        if !waits {
            late.await;
        }
        self.tap.arm(None);
        Ok(waits.then(|| Finding {
            situation: "the answer to another client comes late".into(),
            did: "it was not answered before that client had given up".into(),
            rule: TOGETHER,
        }))
    }

    /// An answer comes twice: the client must not take the second one for the answer to its next request.
    async fn twice(&mut self, case: &Case, number: usize) -> Result<Option<Finding>, Halt> {
        let (key, value) = self.fresh();
        let mut client = self.rehearsal.client(self.node, case.object, Some(&self.tap.addresses))?;
        self.tap.arm(None);
        if let Some(before) = case.before() {
            self.must(&mut *client, &case.request(&before, &key, value)).await?;
        }
        self.tap.arm(Some((number, Harm::Twice)));
        let _ = self.invoke(&mut *client, &case.request(&case.f, &key, value)).await;
        self.tap.arm(None);
        // A key of its own, whose state differs.
        let (other_key, other_value) = self.fresh();
        let change = change_of(case);
        if let Some(change) = &change {
            self.witness(case, &case.request(change, &other_key, other_value)).await?;
        }
        let expected = self.state(case, &other_key).await?;
        let heard = self.invoke(&mut *client, &case.request(&F::Read, &other_key, 0)).await;
        Ok(match heard {
            Some(Completion::Ok(heard)) if Some(&heard) != expected.as_ref() => Some(Finding {
                situation: "the answer comes twice".into(),
                did: format!(
                    "its next read said {heard}, and the node says {}",
                    expected.unwrap_or(Value::Nil)
                ),
                rule: OWN_ANSWER,
            }),
            _ => None,
        })
    }

    /// Another client changes the object between two reads of this one.
    async fn cached(&mut self, case: &Case) -> Result<Option<Finding>, Halt> {
        let Some(change) = change_of(case) else { return Ok(None) };
        let (key, value) = self.fresh();
        let (_, later) = self.fresh();
        let mut client = self.rehearsal.client(self.node, case.object, Some(&self.tap.addresses))?;
        self.tap.arm(None);
        self.must(&mut *client, &case.request(&change, &key, value)).await?;
        let read = case.request(&F::Read, &key, 0);
        let old = self.must(&mut *client, &read).await?;
        self.witness(case, &case.request(&change, &key, later)).await?;
        self.tap.arm(None);
        let new = self.must(&mut *client, &read).await?;
        let situation = "another client changes the object between two reads".to_string();
        Ok(match self.tap.requests().is_empty() {
            true => {
                Some(Finding { situation, did: format!("it said {new} and sent nothing"), rule: NO_CACHE })
            }
            false if old == new => {
                Some(Finding { situation, did: format!("it said {new} both times"), rule: NO_CACHE })
            }
            false => None,
        })
    }
}

/// The value of an operation that nothing has harmed.
fn succeeded<'a>(
    f: &F,
    completion: &'a Option<Completion>,
    broken: Option<&'static str>,
) -> Result<&'a Value, Halt> {
    let f = f.name();
    let (did, rule) = match (completion, broken) {
        (Some(Completion::Ok(value)), _) => return Ok(value),
        (Some(Completion::Fail(why) | Completion::Info(why)), Some(rule)) => (format!("{f}: {why}"), rule),
        (Some(Completion::Fail(why)), None) => (format!("{f} said fail: {why}"), NO_HARM),
        (Some(Completion::Info(why)), None) => (format!("{f} said info: {why}"), NO_HARM),
        (None, _) => (format!("{f} did not answer"), BOUNDED),
    };
    Err(Halt::Client(Finding { situation: "no harm".into(), did, rule }))
}

/// An operation that changes the object without a condition.
fn change_of(case: &Case) -> Option<F> {
    [F::Write, F::Add, F::Append].into_iter().find(|f| case.fs.contains(f))
}

/// What is wrong with the answer to an operation whose exchange `number` of `exchanges` was harmed.
fn judge(
    case: &Case,
    number: usize,
    exchanges: usize,
    harm: Harm,
    sent: &Sent,
    is_request: bool,
) -> Option<Finding> {
    let what = match harm {
        Harm::CutBefore => "the connection is cut before the request arrives",
        Harm::CutAfter => "the connection is cut after the request, before the answer",
        Harm::CutMiddle => "the connection is cut in the middle of the answer",
        Harm::Delay(_) => "the answer comes after the timeout",
        Harm::Twice => "the answer comes twice",
    };
    let situation = match exchanges {
        1 => what.to_string(),
        _ => format!("{what} (exchange {} of {exchanges})", number + 1),
    };
    let finding = |did: String, rule| Some(Finding { situation: situation.clone(), did, rule });
    let harmed = sent.requests.get(number);
    let again = sent.requests.iter().skip(number + 1).any(|request| Some(request) == harmed);
    if is_request && again {
        return finding("it sent the same request again".into(), NO_RETRY);
    }
    match &sent.completion {
        None => finding("it did not answer".into(), BOUNDED),
        Some(Completion::Fail(why) | Completion::Info(why)) if sent.broken.is_some() => {
            finding(why.clone(), sent.broken?)
        }
        Some(Completion::Fail(_)) if sent.happened == Some(true) => {
            finding("it said fail, and the operation has happened".into(), NO_FAIL)
        }
        Some(Completion::Ok(value)) if is_request && !matches!(harm, Harm::Delay(_)) => {
            let said = if value.is_nil() { "it said ok".into() } else { format!("it said ok ({value})") };
            let did = match sent.happened {
                Some(false) if case.f != F::Read => format!("{said}, and the operation has not happened"),
                _ => said,
            };
            finding(did, NO_GUESS)
        }
        Some(_) => None,
    }
}
