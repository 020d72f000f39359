//! One client program for all clients (`client.programs = "one-for-all"`). It has many requests at a time, and
//! each answer belongs to the request with its `id`, in any order.
//!
//! ```text
//!   clients ── lines ──▶ a queue ──▶ the program's input
//!      ▲                                     │
//!      └── answers by `id` ◀── a reader ◀── its output
//! ```
//!
//! An answer that comes too late is dropped: the outcome of its operation is unknown already. After any other
//! [`Breach`] nothing says which answer belongs to which request: the program is killed, the outcome of every
//! pending operation is unknown, and the next operation starts the program again.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::client_program::{ActsFor, ClientOutput, ClientProgram, NoAnswer, Numbered, late, stray};
use super::exec::{Answer, Exec};
use crate::Breach;

/// The program of all clients of a system. It starts with the first request, and is killed with this value.
#[derive(Default)]
pub(super) struct SharedProgram {
    /// One client at a time starts the program.
    starting: tokio::sync::Mutex<()>,
    running: Mutex<Option<Running>>,
}

/// A program that runs.
struct Running {
    input: UnboundedSender<String>,
    pending: Arc<Mutex<Pending>>,
    _writer: AbortOnDropHandle<()>,
    /// Owns the program.
    _reader: AbortOnDropHandle<()>,
}

/// The requests without an answer.
#[derive(Default)]
struct Pending {
    sent: u64,
    answers: HashMap<u64, oneshot::Sender<Result<Answer, Breach>>>,
    /// Whether the program is of no further use.
    has_ended: bool,
}

impl SharedProgram {
    /// Sends the request that `line` makes from its number, and waits for the answer.
    pub(super) async fn exchange(
        &self,
        exec: &Exec,
        log: PathBuf,
        patience: Duration,
        line: impl Fn(u64) -> String,
    ) -> Result<Answer, NoAnswer> {
        let answer = self.send(exec, log, line).await.map_err(NoAnswer::NotSent)?;
        match timeout(patience, answer).await {
            Ok(Ok(answer)) => answer.map_err(NoAnswer::Unknown),
            // The reader is gone only if the program is.
            Ok(Err(_)) | Err(_) => Err(NoAnswer::Unknown(late(patience))),
        }
    }

    /// Sends a line that has no answer, if the program runs.
    pub(super) fn tell(&self, line: String) {
        if let Some(running) = &*locked(&self.running) {
            let _ = running.input.send(line); // it may have ended
        }
    }

    /// Hands a request over to the program, which is started if it does not run.
    async fn send(
        &self,
        exec: &Exec,
        log: PathBuf,
        line: impl Fn(u64) -> String,
    ) -> Result<oneshot::Receiver<Result<Answer, Breach>>, Breach> {
        let _starting = self.starting.lock().await;
        loop {
            if let Some(answer) = locked(&self.running).as_ref().and_then(|it| it.send(&line)) {
                return Ok(answer);
            }
            // The old one is killed before the new one starts.
            *locked(&self.running) = None;
            let log = Some(log.clone());
            let started = ClientProgram::start(&exec.command, exec.operations, log, ActsFor::All).await?;
            *locked(&self.running) = Some(Running::of(started));
        }
    }
}

impl Running {
    fn of(program: ClientProgram) -> Running {
        let (input, lines) = unbounded_channel();
        let pending = Arc::<Mutex<Pending>>::default();
        let writer = tokio::spawn(write(program.input, lines));
        let reader = tokio::spawn(read(program.output, pending.clone()));
        let (_writer, _reader) = (AbortOnDropHandle::new(writer), AbortOnDropHandle::new(reader));
        Running { input, pending, _writer, _reader }
    }

    /// Sends a request, unless the program has ended.
    fn send(&self, line: impl Fn(u64) -> String) -> Option<oneshot::Receiver<Result<Answer, Breach>>> {
        let mut pending = locked(&self.pending);
        if pending.has_ended {
            return None;
        }
        let (sender, answer) = oneshot::channel();
        pending.sent += 1;
        let id = pending.sent;
        pending.answers.insert(id, sender);
        let _ = self.input.send(line(id)); // if it has just ended, the reader says so
        Some(answer)
    }
}

/// Writes the lines of all clients. After an error the reader finds the end of the program.
async fn write(mut input: ChildStdin, mut lines: UnboundedReceiver<String>) {
    while let Some(line) = lines.recv().await {
        if input.write_all(line.as_bytes()).await.is_err() || input.flush().await.is_err() {
            return;
        }
    }
}

/// Gives each answer to its request, until the program breaks a rule.
async fn read(mut output: ClientOutput, pending: Arc<Mutex<Pending>>) {
    let breach = loop {
        match output.next::<Answer>().await {
            Ok(answer) => match locked(&pending).answers.remove(&answer.id()) {
                Some(waiting) => drop(waiting.send(Ok(answer))), // the operation may have given up
                None => break stray(answer.id(), "it was not pending"),
            },
            Err(breach) => break breach,
        }
    };
    let mut pending = locked(&pending);
    pending.has_ended = true;
    for (_, waiting) in pending.answers.drain() {
        let _ = waiting.send(Err(breach.clone()));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tribunal_checker::op::{F, Value};
    use tribunal_workloads::{Client, Completion, Object, Request};

    use super::*;
    use crate::Command;
    use crate::described::exec::{ClientOfAll, ExecClient, Program};

    const HELLO: &str = r#"{"id":0,"type":"ok","version":1,"operations":["register.read"],"clients":"all"}"#;

    /// The program that this shell script is after its hello.
    fn exec(script: &str) -> Exec {
        let operations = Box::leak(Box::new(["register.read".to_string()]));
        let args = ["-c", &format!("read line; echo '{HELLO}'; {script}")].map(Into::into).into();
        Exec { command: Command { program: "sh".into(), args, ..Command::default() }, operations }
    }

    fn client(exec: &Exec, shared: &Arc<SharedProgram>, client: u64, timeout: Duration) -> ExecClient {
        let of_all = ClientOfAll { client, node: "n1".into(), address: ([127, 0, 0, 1], 7).into() };
        let program = Program::Shared(shared.clone(), of_all);
        ExecClient::new(exec.clone(), timeout, Object::Register, "/dev/null".into(), program)
    }

    const PATIENCE: Duration = Duration::from_secs(10);

    async fn read(client: &mut ExecClient) -> Completion {
        client.invoke(&Request { f: F::Read, key: Value::str("k"), value: Value::Nil }).await
    }

    #[tokio::test]
    async fn answers_may_come_in_any_order() {
        let exec = exec(
            r#"read a; read b; for line in "$b" "$a"; do
                id=${line#*:}; id=${id%%,*}; client=${line#*client\":}; client=${client%%,*}
                echo "{\"id\":$id,\"type\":\"ok\",\"value\":$client}"
            done; read line"#,
        );
        let shared = Arc::default();
        let [mut one, mut two] = [41, 42].map(|number| client(&exec, &shared, number, PATIENCE));
        let (one, two) = tokio::join!(read(&mut one), read(&mut two));
        assert_eq!((one, two), (Completion::Ok(Value::Int(41)), Completion::Ok(Value::Int(42))));
    }

    #[tokio::test]
    async fn a_late_answer_is_dropped_and_the_program_goes_on() {
        let exec = exec(
            r#"read a; read b; echo '{"id":1,"type":"ok","value":1}'; echo '{"id":2,"type":"ok","value":2}'; read c"#,
        );
        let shared = Arc::default();
        let mut hasty = client(&exec, &shared, 1, Duration::from_millis(100));
        assert_eq!(
            read(&mut hasty).await,
            Completion::Info("the client program did not answer within 150ms".into())
        );
        assert!(hasty.broken_rule().unwrap().starts_with("a client program bounds every wait"));
        assert_eq!(read(&mut client(&exec, &shared, 2, PATIENCE)).await, Completion::Ok(Value::Int(2)));
    }

    #[tokio::test]
    async fn after_a_broken_rule_all_that_is_pending_is_unknown_and_the_program_starts_again() {
        let exec = exec(r#"read a; read b; echo '{"id":7,"type":"ok"}'; read c"#);
        let shared = Arc::default();
        let [mut one, mut two] = [1, 2].map(|number| client(&exec, &shared, number, PATIENCE));
        for _ in 0..2 {
            let (first, second) = tokio::join!(read(&mut one), read(&mut two));
            let why = "the client program answered request 7, and it was not pending";
            assert_eq!((&first, &second), (&Completion::Info(why.into()), &first));
        }
        assert!(one.broken_rule().unwrap().starts_with("each request gets one answer"));
    }

    #[tokio::test]
    async fn the_end_of_a_client_is_told() {
        let exec = exec(
            r#"read a; echo '{"id":1,"type":"ok"}'; read close; read b
            case "$close" in '{"f":"close","client":5}') echo '{"id":2,"type":"ok"}';; esac; read c"#,
        );
        let shared = Arc::default();
        let mut first = client(&exec, &shared, 5, PATIENCE);
        assert_eq!(read(&mut first).await, Completion::Ok(Value::Nil));
        drop(first);
        assert_eq!(read(&mut client(&exec, &shared, 6, PATIENCE)).await, Completion::Ok(Value::Nil));
    }

    #[tokio::test]
    async fn a_program_for_one_client_is_refused() {
        let hello = HELLO.replace(",\"clients\":\"all\"", "");
        let mut exec = exec("");
        exec.command.args[1] = format!("read line; echo '{hello}'; read line").into();
        let refused = exec.check(ActsFor::All).await.unwrap_err();
        assert!(refused.did.ends_with("does not say that it acts for all clients"), "{refused}");
        assert_eq!(exec.check(ActsFor::One(1)).await, Ok(()));
    }
}
