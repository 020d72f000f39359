//! The wire protocol `lines`: a line of text as request and one as response, over TCP.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;

use super::answer::{Answers, Heard};
use super::speech::RequestValues;
use super::stream::StreamOperation;
use super::template::Template;
use crate::BoxFuture;

/// The longest response that is read, in bytes.
pub(super) const LINE_BYTES_MAX: u64 = 4 << 20;

/// One operation.
#[derive(Clone, Debug)]
pub(super) struct LineOperation {
    pub(super) line: Template,
    pub(super) answers: Answers,
}

impl StreamOperation for LineOperation {
    fn answers(&self) -> &Answers {
        &self.answers
    }

    fn request(&self, values: &RequestValues<'_>) -> Result<Vec<u8>, String> {
        let line = self.line.fill(values);
        match line.contains('\n') {
            true => Err("the line would be two".into()),
            false => Ok(format!("{line}\n").into_bytes()),
        }
    }

    fn response<'a>(
        &'a self,
        connection: &'a mut BufReader<TcpStream>,
    ) -> BoxFuture<'a, io::Result<Heard<'static>>> {
        Box::pin(async move {
            let mut answer = String::new();
            let read = connection.take(LINE_BYTES_MAX).read_line(&mut answer).await?;
            match answer.strip_suffix('\n') {
                Some(line) => {
                    let text = line.trim_end_matches('\r').to_string().into();
                    Ok(Heard { text, ..Heard::default() })
                }
                None if read as u64 == LINE_BYTES_MAX => Err(io::Error::other("a line of more than 4 MiB")),
                None => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        })
    }
}
