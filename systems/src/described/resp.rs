//! The wire protocol `resp`: the Redis protocol, version 2. A command is an array of bulk strings; the words of
//! a request are split at spaces before their placeholders are filled, so that a value stays one word.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;

use super::answer::{Answers, Heard};
use super::file::Kind;
use super::speech::RequestValues;
use super::stream::StreamOperation;
use super::template::Template;
use crate::BoxFuture;

/// The longest line, the longest text and the longest list that are read, and how deep lists may nest.
const LINE_BYTES_MAX: u64 = 64 << 10;
const TEXT_BYTES_MAX: u64 = 4 << 20;
const ITEMS_MAX: u64 = 1 << 20;
const DEPTH_MAX: usize = 8;

/// One operation.
#[derive(Clone, Debug)]
pub(super) struct RespOperation {
    pub(super) words: Vec<Template>,
    pub(super) answers: Answers,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reply {
    Text(String),
    Error(String),
    Integer(i64),
    Nil,
    List(Vec<Reply>),
}

impl StreamOperation for RespOperation {
    fn answers(&self) -> &Answers {
        &self.answers
    }

    fn request(&self, values: &RequestValues<'_>) -> Result<Vec<u8>, String> {
        let words: Vec<String> = self.words.iter().map(|word| word.fill(values)).collect();
        Ok(command(&words))
    }

    fn response<'a>(
        &'a self,
        connection: &'a mut BufReader<TcpStream>,
    ) -> BoxFuture<'a, io::Result<Heard<'static>>> {
        Box::pin(async move { Ok(reply(connection, 0).await?.heard()) })
    }
}

impl Reply {
    /// The response as rules see it.
    fn heard(&self) -> Heard<'static> {
        let items = match self {
            Reply::List(items) => Some(items.iter().map(Reply::text).collect()),
            _ => None,
        };
        let kind = match self {
            Reply::Text(_) => Kind::Text,
            Reply::Error(_) => Kind::Error,
            Reply::Integer(_) => Kind::Integer,
            Reply::Nil => Kind::Nil,
            Reply::List(_) => Kind::List,
        };
        Heard { kind: Some(kind), text: self.text().into(), items, ..Heard::default() }
    }

    fn text(&self) -> String {
        match self {
            Reply::Text(text) | Reply::Error(text) => text.clone(),
            Reply::Integer(number) => number.to_string(),
            Reply::Nil => String::new(),
            Reply::List(items) => items.iter().map(Reply::text).collect::<Vec<_>>().join(","),
        }
    }
}

/// A command as bytes.
fn command(words: &[String]) -> Vec<u8> {
    let word = |word: &String| format!("${}\r\n{word}\r\n", word.len());
    format!("*{}\r\n{}", words.len(), words.iter().map(word).collect::<String>()).into_bytes()
}

/// Reads a response.
fn reply<'a, R: AsyncBufRead + Unpin + Send>(
    from: &'a mut R,
    depth: usize,
) -> BoxFuture<'a, io::Result<Reply>> {
    Box::pin(async move {
        let mut line = String::new();
        (&mut *from).take(LINE_BYTES_MAX).read_line(&mut line).await?;
        let Some(line) = line.strip_suffix("\r\n") else {
            return match line.len() as u64 {
                LINE_BYTES_MAX => Err(wrong("a line of more than 64 KiB")),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        };
        let (kind, rest) = line.split_at_checked(1).ok_or_else(|| wrong("an empty line"))?;
        match kind {
            "+" => Ok(Reply::Text(rest.into())),
            "-" => Ok(Reply::Error(rest.into())),
            ":" => Ok(Reply::Integer(rest.parse().map_err(|_| wrong("a number that is none"))?)),
            "$" => match length(rest, TEXT_BYTES_MAX)? {
                None => Ok(Reply::Nil),
                Some(length) => {
                    let mut text = vec![0; length as usize + 2];
                    from.read_exact(&mut text).await?;
                    text.truncate(length as usize);
                    Ok(Reply::Text(String::from_utf8_lossy(&text).into_owned()))
                }
            },
            "*" if depth == DEPTH_MAX => Err(wrong("lists within lists, too deep")),
            "*" => match length(rest, ITEMS_MAX)? {
                None => Ok(Reply::Nil),
                Some(length) => {
                    let mut items = Vec::new();
                    for _ in 0..length {
                        items.push(reply(from, depth + 1).await?);
                    }
                    Ok(Reply::List(items))
                }
            },
            _ => Err(wrong("no response of the Redis protocol")),
        }
    })
}

/// A length; -1 is none.
fn length(text: &str, max: u64) -> io::Result<Option<u64>> {
    match text.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(length) if (0..=max.cast_signed()).contains(&length) => Ok(Some(length.cast_unsigned())),
        _ => Err(wrong("a length out of range")),
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Reply, String> {
        reply(&mut BufReader::new(bytes), 0).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn every_kind_of_response_is_read() {
        assert_eq!(read(b"+OK\r\n").await, Ok(Reply::Text("OK".into())));
        assert_eq!(read(b"-ERR no\r\n").await, Ok(Reply::Error("ERR no".into())));
        assert_eq!(read(b":-7\r\n").await, Ok(Reply::Integer(-7)));
        assert_eq!(read(b"$-1\r\n").await, Ok(Reply::Nil));
        assert_eq!(read(b"$4\r\na\r\nb\r\n").await, Ok(Reply::Text("a\r\nb".into())));
        let list = Reply::List(vec![Reply::Integer(1), Reply::Nil, Reply::Text("x".into())]);
        assert_eq!(read(b"*3\r\n:1\r\n$-1\r\n$1\r\nx\r\n").await, Ok(list));
    }

    #[tokio::test]
    async fn a_response_that_is_broken_or_too_long_is_an_error() {
        let deep = b"*1\r\n".repeat(100);
        let all: [(&[u8], &str); 7] = [
            (b"", "unexpected end of file"),
            (b"+OK", "unexpected end of file"),
            (b"$9\r\nhalf", "early eof"),
            (b"$99999999999\r\n", "a length out of range"),
            (b":x\r\n", "a number that is none"),
            (b"HTTP/1.1 400\r\n", "no response of the Redis protocol"),
            (&deep, "lists within lists, too deep"),
        ];
        for (bytes, why) in all {
            assert_eq!(read(bytes).await, Err(why.into()), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_command_is_a_list_of_texts() {
        assert_eq!(command(&["SET".into(), "a b".into()]), b"*2\r\n$3\r\nSET\r\n$3\r\na b\r\n");
    }
}
