//! The wire protocol `exec`: a program of the user acts for one client, with lines of JSON on its standard
//! input and output. docs/own-system.md documents the protocol.

use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use tribunal_checker::op::Value;
use tribunal_workloads::{Client, Completion, Invocation, Request};

/// A request to the program.
#[derive(Serialize)]
struct Line<'a> {
    /// Numbers the requests to this program.
    id: u64,
    f: &'a str,
    key: Json,
    value: Json,
}

/// A response of the program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    id: u64,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default)]
    value: Json,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Ok,
    Fail,
    Info,
}

/// A client for one process, with its own program.
pub(super) struct ExecClient {
    /// The program and its arguments.
    command: Vec<String>,
    timeout: Duration,
    running: Option<Running>,
    sent: u64,
}

/// The program, started at the first request.
struct Running {
    /// Killed on drop.
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl ExecClient {
    pub(super) fn new(command: Vec<String>, timeout: Duration) -> Self {
        ExecClient { command, timeout, running: None, sent: 0 }
    }

    fn start(&self) -> Result<Running, String> {
        let (program, args) = self.command.split_first().expect("the description was checked");
        let mut command = Command::new(program);
        command.args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("cannot start `{program}`: {error}"))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else { return Err("it has no pipes".into()) };
        Ok(Running { _child: child, input, output: BufReader::new(output) })
    }

    async fn exchange(running: &mut Running, line: &Line<'_>) -> Result<Answer, String> {
        let mut text = serde_json::to_string(line).map_err(|error| error.to_string())?;
        text.push('\n');
        let lost = |error: std::io::Error| format!("the client program is gone: {error}");
        running.input.write_all(text.as_bytes()).await.map_err(lost)?;
        running.input.flush().await.map_err(lost)?;
        let mut answer = String::new();
        if running.output.read_line(&mut answer).await.map_err(lost)? == 0 {
            return Err("the client program ended".into());
        }
        let answer: Answer = serde_json::from_str(&answer)
            .map_err(|error| format!("the client program answered `{}`: {error}", answer.trim()))?;
        match answer.id == line.id {
            true => Ok(answer),
            false => Err(format!("the client program answered {} when {} was due", answer.id, line.id)),
        }
    }
}

impl Client for ExecClient {
    fn invoke<'a>(&'a mut self, request: &'a Request) -> Invocation<'a> {
        Box::pin(async move {
            let mut running = match self.running.take() {
                Some(running) => running,
                None => match self.start() {
                    Ok(running) => running,
                    Err(why) => return Completion::Fail(why),
                },
            };
            self.sent += 1;
            let (key, value) = (to_json(&request.key), to_json(&request.value));
            let line = Line { id: self.sent, f: request.f.name(), key, value };
            // The program bounds its own waits; the margin is for a program that does not.
            match timeout(self.timeout + self.timeout / 2, Self::exchange(&mut running, &line)).await {
                Ok(Ok(answer)) => {
                    self.running = Some(running);
                    match (answer.kind, from_json(&answer.value)) {
                        (Kind::Ok, Ok(value)) => Completion::Ok(value),
                        (Kind::Ok, Err(why)) => Completion::Info(why),
                        (Kind::Fail, _) => Completion::Fail(answer.error),
                        (Kind::Info, _) => Completion::Info(answer.error),
                    }
                }
                Ok(Err(why)) => Completion::Info(why),
                Err(_) => Completion::Info("no reply from the client program".into()),
            }
        })
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
