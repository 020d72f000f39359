//! A program of the user that acts for one client: its start, and lines of JSON on its standard input and
//! output. docs/own-system.md documents the protocol.
//!
//! Every deviation is a [`Breach`]: what the program did, and the rule. The program is then of no further use,
//! because nothing says which answer belongs to which request.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::fs::OpenOptions;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, copy, sink};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::answer::shortened;
use super::lines::LINE_BYTES_MAX;
use super::program::{self, in_words};
use crate::{Breach, Command};

/// The version of the protocol.
const VERSION: u64 = 1;
/// How much of a program's error output is kept.
const ERROR_BYTES_MAX: u64 = 64 << 10;
/// How long a program may take to start and to answer `hello`: a virtual machine takes seconds on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a program that has closed its output may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(1);

const HELLO: &str =
    "a client program starts, and answers `hello` with the version of the protocol, 1, and its operations";
const KNOWS: &str = "client.operations names only operations that the client program knows";
const ANSWER: &str =
    "an answer is one line of JSON with the `id` of its request and a `type`: `ok`, `fail` or `info`";
const ONCE: &str = "each request gets one answer, with its `id`, before the next request";
const LIVES: &str = "a client program answers every request, and ends when its input ends";
const BOUNDED: &str = "a client program bounds every wait by {timeout-ms}, and then says `info`";

/// The first request: which operations does the program know?
#[derive(Serialize)]
struct Hello {
    id: u64,
    f: &'static str,
    version: u64,
}

/// Its answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HelloAnswer {
    id: u64,
    #[serde(rename = "type")]
    _kind: IsOk,
    version: u64,
    operations: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum IsOk {
    Ok,
}

/// An answer to a request with this number.
pub(super) trait Numbered: DeserializeOwned {
    fn id(&self) -> u64;
}

impl Numbered for HelloAnswer {
    fn id(&self) -> u64 {
        self.id
    }
}

/// A program that has answered `hello`.
pub(super) struct ClientProgram {
    program: program::Running,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Its last line of error output, once that has ended.
    last_words: JoinHandle<String>,
}

impl ClientProgram {
    /// Starts the program. What it writes to standard error is appended to `log`, each line after the number of
    /// its process.
    pub(super) async fn start(
        command: &Command,
        operations: &[String],
        log: Option<PathBuf>,
        process: u64,
    ) -> Result<Self, Breach> {
        let mut program = program::start(command, true).map_err(|did| Breach { did, rule: HELLO })?;
        let child = &mut program.0;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = (input, output, errors) else {
            return Err(Breach { did: "it has no pipes".into(), rule: HELLO });
        };
        let last_words = tokio::spawn(keep(errors, log, process));
        let mut started = ClientProgram { program, input, output: BufReader::new(output), last_words };
        let hello = Hello { id: 0, f: "hello", version: VERSION };
        let answer: HelloAnswer = started.exchange(0, &hello, START_TIMEOUT).await.map_err(|breach| {
            Breach { did: format!("{}, when it was sent `hello`", breach.did), rule: HELLO }
        })?;
        if answer.version != VERSION {
            let did = format!("the client program speaks version {} of the protocol", answer.version);
            return Err(Breach { did, rule: HELLO });
        }
        match operations.iter().find(|it| !answer.operations.contains(it)) {
            Some(missing) => {
                let knows = answer.operations.join(", ");
                let did = format!("the client program does not know {missing}: it knows {knows}");
                Err(Breach { did, rule: KNOWS })
            }
            None => Ok(started),
        }
    }

    /// Sends the request with the number `id`, and reads its answer.
    pub(super) async fn exchange<A: Numbered>(
        &mut self,
        id: u64,
        request: &impl Serialize,
        patience: Duration,
    ) -> Result<A, Breach> {
        let line = serde_json::to_string(request).expect("a request is plain data") + "\n";
        let answer = match timeout(patience, self.send(&line)).await {
            Ok(Ok(answer)) if answer.is_empty() => return Err(self.end().await),
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => return Err(self.end().await),
            Err(_) => {
                let did = format!("the client program did not answer within {patience:?}");
                return Err(Breach { did, rule: BOUNDED });
            }
        };
        if answer.len() as u64 == LINE_BYTES_MAX {
            let did = "the client program answered a line of more than 4 MiB".into();
            return Err(Breach { did, rule: ANSWER });
        }
        let text = String::from_utf8_lossy(&answer);
        let answer: A = serde_json::from_str(&text).map_err(|error| {
            let did = format!("the client program answered {}: {error}", shortened(&text));
            Breach { did, rule: ANSWER }
        })?;
        match answer.id() {
            it if it == id => Ok(answer),
            other => {
                let did = format!("the client program answered request {other}, and {id} was due");
                Err(Breach { did, rule: ONCE })
            }
        }
    }

    async fn send(&mut self, line: &str) -> std::io::Result<Vec<u8>> {
        self.input.write_all(line.as_bytes()).await?;
        self.input.flush().await?;
        let mut answer = Vec::new();
        (&mut self.output).take(LINE_BYTES_MAX).read_until(b'\n', &mut answer).await?;
        Ok(answer)
    }

    /// How the program ended, with its last words.
    async fn end(&mut self) -> Breach {
        let ended = async { (self.program.0.wait().await, (&mut self.last_words).await) };
        let did = match timeout(END_TIMEOUT, ended).await {
            Ok((Ok(status), Ok(said))) if !said.is_empty() => {
                format!("the client program ended with {}: {}", in_words(status), shortened(&said))
            }
            Ok((Ok(status), _)) => format!("the client program ended with {}", in_words(status)),
            _ => "the client program closed its output".into(),
        };
        Breach { did, rule: LIVES }
    }
}

/// Copies the error output of a program to its log, up to a limit. It is read to its end: the program must not
/// wait for a reader. Returns the last line.
async fn keep(errors: impl AsyncRead + Unpin, log: Option<PathBuf>, process: u64) -> String {
    let mut lines = BufReader::new(errors.take(ERROR_BYTES_MAX));
    let (mut file, mut line, mut last) = (None, Vec::new(), String::new());
    // The log is not evidence: an error while it is written must not stop a trial.
    while matches!(lines.read_until(b'\n', &mut line).await, Ok(1..)) {
        if let (None, Some(log)) = (&file, &log) {
            if let Some(directory) = log.parent() {
                let _ = tokio::fs::create_dir_all(directory).await;
            }
            file = OpenOptions::new().create(true).append(true).open(log).await.ok();
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if let Some(file) = &mut file {
            let _ = file.write_all(&[format!("{process} ").as_bytes(), text, b"\n"].concat()).await;
            let _ = file.flush().await;
        }
        last = String::from_utf8_lossy(text).into_owned();
        line.clear();
    }
    let mut rest = lines.into_inner().into_inner();
    let _ = copy(&mut rest, &mut sink()).await;
    last
}
