//! The wire protocol `exec`: a program of the user acts for one client, with lines of JSON on its standard
//! input and output. docs/own-system.md documents the protocol.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::fs::OpenOptions;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, copy, sink};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::timeout;
use tribunal_checker::op::Value;
use tribunal_workloads::{Client, Completion, Invocation, Request};

use super::answer::shortened;
use super::lines::LINE_BYTES_MAX;
use super::program;
use crate::Command;

/// How much of a program's error output is kept.
const ERROR_BYTES_MAX: u64 = 64 << 10;

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
    command: Command,
    timeout: Duration,
    /// The file for the program's error output.
    log: PathBuf,
    /// The process that the program acts for.
    process: u64,
    running: Option<Running>,
    sent: u64,
}

/// The program, started at the first request.
struct Running {
    _program: program::Running,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl ExecClient {
    pub(super) fn new(words: Vec<String>, timeout: Duration, log: PathBuf, process: u64) -> Self {
        let mut words = words.into_iter().map(Into::into);
        let program = words.next().expect("the description was checked");
        let command = Command { program, args: words.collect(), ..Command::default() };
        ExecClient { command, timeout, log, process, running: None, sent: 0 }
    }

    fn start(&self) -> Result<Running, String> {
        let mut program = program::start(&self.command, true)?;
        let child = &mut program.0;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = (input, output, errors) else {
            return Err("it has no pipes".into());
        };
        tokio::spawn(keep(errors, self.log.clone(), self.process));
        Ok(Running { _program: program, input, output: BufReader::new(output) })
    }

    async fn exchange(running: &mut Running, line: &Line<'_>) -> Result<Answer, String> {
        let mut text = serde_json::to_string(line).map_err(|error| error.to_string())?;
        text.push('\n');
        let lost = |error: std::io::Error| format!("the client program is gone: {error}");
        running.input.write_all(text.as_bytes()).await.map_err(lost)?;
        running.input.flush().await.map_err(lost)?;
        let mut answer = String::new();
        match (&mut running.output).take(LINE_BYTES_MAX).read_line(&mut answer).await.map_err(lost)? {
            0 => return Err("the client program ended".into()),
            read if read as u64 == LINE_BYTES_MAX => {
                return Err("the client program answered a line of more than 4 MiB".into());
            }
            _ => {}
        }
        let answer: Answer = serde_json::from_str(&answer)
            .map_err(|error| format!("the client program answered {}: {error}", shortened(&answer)))?;
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

/// Copies the error output of a program to its log, up to a limit, a line after the number of its process. It
/// is read to its end: the program must not wait for a reader.
async fn keep(errors: impl AsyncRead + Unpin, log: PathBuf, process: u64) {
    let mut lines = BufReader::new(errors.take(ERROR_BYTES_MAX));
    let (mut file, mut line) = (None, Vec::new());
    // The log is not evidence: an error while it is written must not stop a trial.
    while matches!(lines.read_until(b'\n', &mut line).await, Ok(1..)) {
        if file.is_none() {
            if let Some(directory) = log.parent() {
                let _ = tokio::fs::create_dir_all(directory).await;
            }
            file = OpenOptions::new().create(true).append(true).open(&log).await.ok();
        }
        let said =
            [format!("{process} ").as_bytes(), line.strip_suffix(b"\n").unwrap_or(&line), b"\n"].concat();
        if let Some(file) = &mut file {
            let _ = file.write_all(&said).await;
            let _ = file.flush().await;
        }
        line.clear();
    }
    let mut rest = lines.into_inner().into_inner();
    let _ = copy(&mut rest, &mut sink()).await;
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

    /// How a read ends that this shell script is to answer.
    async fn read(script: &str) -> Completion {
        let command = ["sh", "-c", script].map(String::from).into();
        let mut client = ExecClient::new(command, Duration::from_secs(10), "/dev/null".into(), 1);
        client.invoke(&Request { f: F::Read, key: Value::str("k"), value: Value::Nil }).await
    }

    #[tokio::test]
    async fn an_answer_is_one_line_for_the_request() {
        let answered = |answer: &str| format!("read line; echo '{answer}'");
        assert_eq!(read(&answered(r#"{"id":1,"type":"ok","value":7}"#)).await, Completion::Ok(Value::Int(7)));
        assert_eq!(
            read(&answered(r#"{"id":1,"type":"fail","error":"no"}"#)).await,
            Completion::Fail("no".into())
        );
        for wrong in [r#"{"id":2,"type":"ok"}"#, r#"{"id":1,"type":"yes"}"#, "hello", ""] {
            assert!(matches!(read(&answered(wrong)).await, Completion::Info(_)), "{wrong}");
        }
        assert_eq!(read("read line").await, Completion::Info("the client program ended".into()));
    }

    #[tokio::test]
    async fn an_answer_without_an_end_is_read_up_to_a_limit() {
        let Completion::Info(why) = read("yes xxxxxxxx | tr -d '\\n'").await else { panic!("nobody knows") };
        assert_eq!(why, "the client program answered a line of more than 4 MiB");
    }
}
