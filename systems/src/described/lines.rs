//! The wire protocol `lines`: a line of text as request and one as response, over TCP. The connection is kept
//! until an error: so a late response is never taken for the next one.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tribunal_workloads::{Client, Completion, Invocation, Object, Request};

use super::answer::{Answers, Heard};
use super::speech::{Book, values_of};
use super::template::{Template, Values};
use crate::NodePort;

/// The longest response that is read, in bytes.
pub(super) const LINE_BYTES_MAX: u64 = 4 << 20;

/// One operation.
#[derive(Clone, Debug)]
pub(super) struct LineOperation {
    pub(super) line: Template,
    pub(super) answers: Answers,
}

/// A client for one process.
pub(super) struct LineClient {
    port: NodePort,
    timeout: Duration,
    operations: &'static Book<LineOperation>,
    object: Object,
    place: Values,
    connection: Option<BufReader<TcpStream>>,
}

impl LineClient {
    pub(super) fn new(
        port: NodePort,
        timeout: Duration,
        operations: &'static Book<LineOperation>,
        object: Object,
        place: Values,
    ) -> Self {
        LineClient { port, timeout, operations, object, place, connection: None }
    }

    /// Sends a line and reads one.
    async fn exchange(connection: &mut BufReader<TcpStream>, line: &str) -> io::Result<String> {
        connection.write_all(format!("{line}\n").as_bytes()).await?;
        let mut answer = String::new();
        let read = (&mut *connection).take(LINE_BYTES_MAX).read_line(&mut answer).await?;
        match answer.strip_suffix('\n') {
            Some(line) => Ok(line.trim_end_matches('\r').to_string()),
            None if read as u64 == LINE_BYTES_MAX => Err(io::Error::other("a line of more than 4 MiB")),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Whether nothing has arrived on a connection since the last answer: neither another answer, which would be
/// taken for the next one, nor its end.
pub(super) fn is_idle(connection: &BufReader<TcpStream>) -> bool {
    let arrived = connection.get_ref().try_read(&mut [0]);
    connection.buffer().is_empty() && arrived.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl Client for LineClient {
    fn invoke<'a>(&'a mut self, request: &'a Request) -> Invocation<'a> {
        Box::pin(async move {
            let Some(operation) = self.operations.find(self.object, request) else {
                return Completion::Fail(format!("the description has no operation `{}`", request.f.name()));
            };
            let line = operation.line.fill(&values_of(request, &self.place));
            if line.contains('\n') {
                return Completion::Fail("the line would be two".into());
            }
            let mut connection = match self.connection.take().filter(is_idle) {
                Some(connection) => connection,
                None => match timeout(self.timeout, self.port.open()).await {
                    Ok(Ok(stream)) => BufReader::new(stream),
                    Ok(Err(error)) => return Completion::Fail(format!("cannot connect: {error}")),
                    Err(_) => return Completion::Fail("cannot connect: timed out".into()),
                },
            };
            // From here on a failed request may have reached the server. The connection is dropped with it.
            match timeout(self.timeout, Self::exchange(&mut connection, &line)).await {
                Ok(Ok(answer)) => {
                    self.connection = Some(connection);
                    operation
                        .answers
                        .completion(&request.f, &Heard { text: answer.into(), ..Heard::default() })
                }
                Ok(Err(error)) => Completion::Info(format!("connection lost: {error}")),
                Err(_) => Completion::Info(format!("no reply within {:?}", self.timeout)),
            }
        })
    }
}
