//! Wire protocols that send a request and read a response on a TCP connection. The connection is kept until an
//! error: so a late response is never taken for the next one.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tribunal_workloads::{Client, Completion, Invocation, Object, Request};

use super::answer::{Answers, Heard};
use super::speech::{Book, RequestValues};
use super::template::Values;
use crate::{BoxFuture, NodePort};

/// One operation on such a protocol.
pub(super) trait StreamOperation: Send + Sync {
    /// The meaning of its responses.
    fn answers(&self) -> &Answers;

    /// The request as bytes.
    ///
    /// # Errors
    /// Why it cannot be sent.
    fn request(&self, values: &RequestValues<'_>) -> Result<Vec<u8>, String>;

    /// Reads a response.
    fn response<'a>(
        &'a self,
        connection: &'a mut BufReader<TcpStream>,
    ) -> BoxFuture<'a, io::Result<Heard<'static>>>;
}

/// A client for one process.
pub(super) struct StreamClient<O: 'static> {
    port: NodePort,
    timeout: Duration,
    operations: &'static Book<O>,
    object: Object,
    place: Values,
    connection: Option<BufReader<TcpStream>>,
}

impl<O: StreamOperation> StreamClient<O> {
    pub(super) fn new(
        port: NodePort,
        timeout: Duration,
        operations: &'static Book<O>,
        object: Object,
        place: Values,
    ) -> Self {
        StreamClient { port, timeout, operations, object, place, connection: None }
    }
}

/// Whether nothing has arrived on a connection since the last answer: neither another answer, which would be
/// taken for the next one, nor its end.
fn is_idle(connection: &BufReader<TcpStream>) -> bool {
    let arrived = connection.get_ref().try_read(&mut [0]);
    connection.buffer().is_empty() && arrived.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl<O: StreamOperation> Client for StreamClient<O> {
    fn invoke<'a>(&'a mut self, request: &'a Request) -> Invocation<'a> {
        Box::pin(async move {
            let Some(operation) = self.operations.find(self.object, request) else {
                return Completion::Fail(format!("the description has no operation `{}`", request.f.name()));
            };
            let bytes = match operation.request(&RequestValues { request, place: &self.place }) {
                Ok(bytes) => bytes,
                Err(why) => return Completion::Fail(why),
            };
            let mut connection = match self.connection.take().filter(is_idle) {
                Some(connection) => connection,
                None => match timeout(self.timeout, self.port.open()).await {
                    Ok(Ok(stream)) => BufReader::new(stream),
                    Ok(Err(error)) => return Completion::Fail(format!("cannot connect: {error}")),
                    Err(_) => return Completion::Fail("cannot connect: timed out".into()),
                },
            };
            // From here on a failed request may have reached the server. The connection is dropped with it.
            let exchange = async {
                connection.write_all(&bytes).await?;
                operation.response(&mut connection).await
            };
            match timeout(self.timeout, exchange).await {
                Ok(Ok(heard)) => {
                    self.connection = Some(connection);
                    operation.answers().completion(&request.f, &heard)
                }
                Ok(Err(error)) => Completion::Info(format!("connection lost: {error}")),
                Err(_) => Completion::Info(format!("no reply within {:?}", self.timeout)),
            }
        })
    }
}
