//! The wire protocol `exec`: a program of the user acts for one client ([`super::client_program`]), or for all
//! ([`super::shared_program`]).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tribunal_checker::op::Value;
use tribunal_workloads::{Client, Completion, Invocation, Object, Request};

use super::client_program::{ActsFor, ClientProgram, NoAnswer, Numbered, line_of};
use super::shared_program::SharedProgram;
use super::speech::table;
use crate::{Breach, Command};

const VALUE: &str = "a value is null, true, false, an integer of 64 bits, a text, or a list of values";

/// A request to the program.
#[derive(Serialize)]
struct Line<'a> {
    /// Numbers the requests to this program.
    id: u64,
    object: &'a str,
    f: &'a str,
    key: Json,
    value: Json,
}

/// A request to the program of all clients.
#[derive(Serialize)]
struct SharedLine<'a> {
    #[serde(flatten)]
    line: Line<'a>,
    #[serde(flatten)]
    client: &'a ClientOfAll,
}

/// A client of the program of all clients.
#[derive(Serialize)]
pub(super) struct ClientOfAll {
    /// Its process.
    pub(super) client: u64,
    /// The node that it talks to, and the address of that.
    pub(super) node: String,
    pub(super) address: SocketAddr,
}

/// The last line about a client.
#[derive(Serialize)]
struct Close {
    f: &'static str,
    client: u64,
}

/// A response of the program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    id: u64,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default)]
    value: Json,
    #[serde(default)]
    error: String,
}

impl Numbered for Answer {
    fn id(&self) -> u64 {
        self.id
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Ok,
    Fail,
    Info,
}

/// The program of the clients.
#[derive(Clone, Debug)]
pub(super) struct Exec {
    pub(super) command: Command,
    /// What the description says that it can do: `register.read`.
    pub(super) operations: &'static [String],
}

impl Exec {
    /// Starts the program once, to check that it knows its operations.
    pub(super) async fn check(&self, acts_for: ActsFor) -> Result<(), Breach> {
        ClientProgram::start(&self.command, self.operations, None, acts_for).await.map(drop)
    }
}

/// The program of a client.
pub(super) enum Program {
    Own(Box<OwnProgram>),
    /// That of all clients.
    Shared(Arc<SharedProgram>, ClientOfAll),
}

/// A program for one client, started at the first request.
pub(super) struct OwnProgram {
    process: u64,
    running: Option<ClientProgram>,
    sent: u64,
}

impl OwnProgram {
    pub(super) fn of(process: u64) -> Self {
        OwnProgram { process, running: None, sent: 0 }
    }

    /// Sends the request that `line` makes from its number, and waits for the answer. After an error the program
    /// is killed.
    async fn exchange(
        &mut self,
        exec: &Exec,
        log: PathBuf,
        patience: Duration,
        line: impl Fn(u64) -> String,
    ) -> Result<Answer, NoAnswer> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => {
                let acts_for = ActsFor::One(self.process);
                let started = ClientProgram::start(&exec.command, exec.operations, Some(log), acts_for);
                started.await.map_err(NoAnswer::NotSent)?
            }
        };
        self.sent += 1;
        let answer = running.exchange(self.sent, &line(self.sent), patience).await;
        let answer = answer.map_err(NoAnswer::Unknown)?;
        self.running = Some(running);
        Ok(answer)
    }
}

/// A client for one process.
pub(super) struct ExecClient {
    exec: Exec,
    timeout: Duration,
    object: Object,
    /// The file for the program's error output.
    log: PathBuf,
    program: Program,
    broken: Option<&'static str>,
}

impl ExecClient {
    pub(super) fn new(exec: Exec, timeout: Duration, object: Object, log: PathBuf, program: Program) -> Self {
        ExecClient { exec, timeout, object, log, program, broken: None }
    }

    async fn exchange(&mut self, request: &Request) -> Completion {
        let object = table(self.object.of(&request.key));
        let line = |id| {
            let (key, value) = (to_json(&request.key), to_json(&request.value));
            Line { id, object, f: request.f.name(), key, value }
        };
        // The program bounds its own waits; the margin is for a program that does not.
        let (patience, log) = (self.timeout + self.timeout / 2, self.log.clone());
        let answered = match &mut self.program {
            Program::Own(own) => own.exchange(&self.exec, log, patience, |id| line_of(&line(id))).await,
            Program::Shared(shared, client) => {
                let line = |id| line_of(&SharedLine { line: line(id), client });
                shared.exchange(&self.exec, log, patience, line).await
            }
        };
        self.broken = None;
        let answer = match answered {
            Ok(answer) => answer,
            Err(NoAnswer::NotSent(breach)) => return Completion::Fail(self.note(breach)),
            Err(NoAnswer::Unknown(breach)) => return Completion::Info(self.note(breach)),
        };
        match (answer.kind, from_json(&answer.value)) {
            (Kind::Ok, Ok(value)) => Completion::Ok(value),
            (Kind::Ok, Err(why)) => {
                let did = format!("the client program answered a value that is none: {why}");
                Completion::Info(self.note(Breach { did, rule: VALUE }))
            }
            (Kind::Fail, _) => Completion::Fail(answer.error),
            (Kind::Info, _) => Completion::Info(answer.error),
        }
    }

    /// Remembers the rule. Returns what the program did.
    fn note(&mut self, breach: Breach) -> String {
        self.broken = Some(breach.rule);
        breach.did
    }
}

impl Drop for ExecClient {
    /// Tells the program of all clients that this one has ended.
    fn drop(&mut self) {
        if let Program::Shared(shared, client) = &self.program {
            shared.tell(line_of(&Close { f: "close", client: client.client }));
        }
    }
}

impl Client for ExecClient {
    fn invoke<'a>(&'a mut self, request: &'a Request) -> Invocation<'a> {
        Box::pin(self.exchange(request))
    }

    fn broken_rule(&self) -> Option<&'static str> {
        self.broken
    }
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Int(number) => (*number).into(),
        Value::Str(text) => Json::String(text.to_string()),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
    }
}

fn from_json(json: &Json) -> Result<Value, String> {
    Ok(match json {
        Json::Null => Value::Nil,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => {
            Value::Int(number.as_i64().ok_or(format!("{number} is no integer of 64 bits"))?)
        }
        Json::String(text) => Value::str(text),
        Json::Array(items) => Value::List(items.iter().map(from_json).collect::<Result<Vec<_>, _>>()?.into()),
        Json::Object(_) => return Err("an object is no value".into()),
    })
}

#[cfg(test)]
mod tests {
    use tribunal_checker::op::F;

    use super::*;

    const HELLO: &str = r#"{"id":0,"type":"ok","version":1,"operations":["register.read"]}"#;

    fn client(script: &str) -> ExecClient {
        let operations = Box::leak(Box::new(["register.read".to_string()]));
        let args = ["-c", script].map(Into::into).into();
        let command = Command { program: "sh".into(), args, ..Command::default() };
        let exec = Exec { command, operations };
        let program = Program::Own(Box::new(OwnProgram::of(1)));
        ExecClient::new(exec, Duration::from_secs(10), Object::Register, "/dev/null".into(), program)
    }

    /// How a read ends that this shell script is to answer after its hello, and the rule that it broke.
    async fn read(script: &str) -> (Completion, Option<&'static str>) {
        let mut client = client(&format!("read line; echo '{HELLO}'; {script}"));
        let request = Request { f: F::Read, key: Value::str("k"), value: Value::Nil };
        (client.invoke(&request).await, client.broken_rule())
    }

    #[tokio::test]
    async fn an_answer_is_one_line_for_the_request() {
        let answered = |answer: &str| format!("read line; echo '{answer}'");
        let ok = read(&answered(r#"{"id":1,"type":"ok","value":7}"#)).await;
        assert_eq!(ok, (Completion::Ok(Value::Int(7)), None));
        let fail = read(&answered(r#"{"id":1,"type":"fail","error":"no"}"#)).await;
        assert_eq!(fail, (Completion::Fail("no".into()), None));
        for (wrong, rule) in [
            (r#"{"id":2,"type":"ok"}"#, "each request gets one answer"),
            (r#"{"id":1,"type":"yes"}"#, "an answer is one line of JSON"),
            (r#"{"id":1,"type":"ok","value":{}}"#, "a value is null, true"),
            ("hello", "an answer is one line of JSON"),
            ("", "an answer is one line of JSON"),
        ] {
            let (Completion::Info(_), Some(broken)) = read(&answered(wrong)).await else { panic!("{wrong}") };
            assert!(broken.starts_with(rule), "{wrong}: {broken}");
        }
        let (ended, rule) = read("read line; echo no disk >&2; exit 3").await;
        assert_eq!(ended, Completion::Info("the client program ended with status 3: `no disk`".into()));
        assert!(rule.unwrap().starts_with("a client program answers every request"));
    }

    #[tokio::test]
    async fn an_answer_without_an_end_is_read_up_to_a_limit() {
        let (Completion::Info(why), _) = read("yes xxxxxxxx | tr -d '\\n'").await else {
            panic!("nobody knows")
        };
        assert_eq!(why, "the client program answered a line of more than 4 MiB");
    }

    #[tokio::test]
    async fn a_program_that_does_not_know_its_operations_is_refused() {
        let check = async |script: &str| {
            client(script).exec.check(ActsFor::One(1)).await.map_err(|breach| breach.to_string())
        };
        let answered = |answer: &str| format!("read line; echo '{answer}'; read line");
        assert_eq!(check(&answered(HELLO)).await, Ok(()));
        for (wrong, why) in [
            ("exit 4".to_string(), "the client program ended with status 4, when it was sent `hello`: "),
            (answered("listening"), "the client program answered `listening`: "),
            (
                answered(&HELLO.replace("\"version\":1", "\"version\":2")),
                "speaks version 2 of the protocol: ",
            ),
            (
                answered(&HELLO.replace("register.read", "set.read")),
                "does not know register.read: it knows set.read: client.operations names only",
            ),
        ] {
            let said = check(&wrong).await.unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }

    /// A program that takes longer to start than an operation may take.
    #[tokio::test]
    async fn the_start_does_not_count_toward_the_timeout() {
        let slow =
            format!("sleep 0.5; read line; echo '{HELLO}'; read line; echo '{{\"id\":1,\"type\":\"ok\"}}'");
        let mut client = client(&slow);
        client.timeout = Duration::from_millis(200);
        let request = Request { f: F::Read, key: Value::str("k"), value: Value::Nil };
        assert_eq!(client.invoke(&request).await, Completion::Ok(Value::Nil));
    }
}
