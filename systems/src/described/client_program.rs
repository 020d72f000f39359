//! A program of the user that acts for clients: its start, and lines of JSON on its standard input and
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
const FOR_ALL: &str =
    "with client.programs = \"one-for-all\", a client program answers `hello` with \"clients\": \"all\"";

/// The first request: which operations does the program know?
#[derive(Serialize)]
struct Hello {
    id: u64,
    f: &'static str,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    clients: Option<&'static str>,
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
    clients: Option<String>,
}

/// The value of `clients` in a `hello` to one program for all clients.
const ALL: &str = "all";

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

/// Why an operation has no answer.
pub(super) enum NoAnswer {
    /// The program could not be started: nothing was sent.
    NotSent(Breach),
    Unknown(Breach),
}

/// Whom a program acts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ActsFor {
    /// For the client of this process.
    One(u64),
    All,
}

/// A program that has answered `hello`.
pub(super) struct ClientProgram {
    pub(super) input: ChildStdin,
    pub(super) output: ClientOutput,
}

/// The output of a program, and the program itself.
pub(super) struct ClientOutput {
    program: program::Running,
    lines: BufReader<ChildStdout>,
    /// Its last line of error output, once that has ended.
    last_words: JoinHandle<String>,
}

impl ClientProgram {
    /// Starts the program. What it writes to standard error is appended to `log`; if it acts for one process,
    /// each line after the number of that.
    pub(super) async fn start(
        command: &Command,
        operations: &[String],
        log: Option<PathBuf>,
        acts_for: ActsFor,
    ) -> Result<Self, Breach> {
        let mut program = program::start(command, true).map_err(|did| Breach { did, rule: HELLO })?;
        let child = &mut program.0;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = (input, output, errors) else {
            return Err(Breach { did: "it has no pipes".into(), rule: HELLO });
        };
        let (prefix, clients) = match acts_for {
            ActsFor::One(process) => (format!("{process} "), None),
            ActsFor::All => (String::new(), Some(ALL)),
        };
        let last_words = tokio::spawn(keep(errors, log, prefix));
        let output = ClientOutput { program, lines: BufReader::new(output), last_words };
        let mut started = ClientProgram { input, output };
        let hello = Hello { id: 0, f: "hello", version: VERSION, clients };
        let answer: HelloAnswer =
            started.exchange(0, &line_of(&hello), START_TIMEOUT).await.map_err(|breach| Breach {
                did: format!("{}, when it was sent `hello`", breach.did),
                rule: HELLO,
            })?;
        if answer.version != VERSION {
            let did = format!("the client program speaks version {} of the protocol", answer.version);
            return Err(Breach { did, rule: HELLO });
        }
        if acts_for == ActsFor::All && answer.clients.as_deref() != Some(ALL) {
            let did = "the client program does not say that it acts for all clients".into();
            return Err(Breach { did, rule: FOR_ALL });
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

    /// Sends the request with the number `id`, a line, and reads its answer.
    pub(super) async fn exchange<A: Numbered>(
        &mut self,
        id: u64,
        line: &str,
        patience: Duration,
    ) -> Result<A, Breach> {
        let exchange = async {
            // An error means that the program has closed its input: its output says why.
            let _ = self.input.write_all(line.as_bytes()).await;
            let _ = self.input.flush().await;
            self.output.next().await
        };
        let answer: A = timeout(patience, exchange).await.unwrap_or_else(|_| Err(late(patience)))?;
        match answer.id() {
            it if it == id => Ok(answer),
            other => Err(stray(other, &format!("{id} was due"))),
        }
    }
}

impl ClientOutput {
    /// The next answer.
    pub(super) async fn next<A: DeserializeOwned>(&mut self) -> Result<A, Breach> {
        let mut line = Vec::new();
        let read = (&mut self.lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await;
        if read.is_err() || line.is_empty() {
            return Err(self.end().await);
        }
        if line.len() as u64 == LINE_BYTES_MAX {
            let did = "the client program answered a line of more than 4 MiB".into();
            return Err(Breach { did, rule: ANSWER });
        }
        let text = String::from_utf8_lossy(&line);
        serde_json::from_str(&text).map_err(|error| {
            let did = format!("the client program answered {}: {error}", shortened(&text));
            Breach { did, rule: ANSWER }
        })
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

/// A request as a line.
pub(super) fn line_of(request: &impl Serialize) -> String {
    serde_json::to_string(request).expect("a request is plain data") + "\n"
}

/// There was no answer in time.
pub(super) fn late(patience: Duration) -> Breach {
    Breach { did: format!("the client program did not answer within {patience:?}"), rule: BOUNDED }
}

/// An answer to another request than is pending.
pub(super) fn stray(id: u64, pending: &str) -> Breach {
    Breach { did: format!("the client program answered request {id}, and {pending}"), rule: ONCE }
}

/// Copies the error output of a program to its log, up to a limit. It is read to its end: the program must not
/// wait for a reader. Returns the last line.
async fn keep(errors: impl AsyncRead + Unpin, log: Option<PathBuf>, prefix: String) -> String {
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
            let _ = file.write_all(&[prefix.as_bytes(), text, b"\n"].concat()).await;
            let _ = file.flush().await;
        }
        last = String::from_utf8_lossy(text).into_owned();
        line.clear();
    }
    let mut rest = lines.into_inner().into_inner();
    let _ = copy(&mut rest, &mut sink()).await;
    last
}
