//! The wire protocol `json-rpc`: a JSON-RPC request and its response, over TCP, without frames: a JSON value ends
//! where it ends (RFC 7047, section 4, of OVSDB; JSON-RPC 1.0).

use std::io;

use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::TcpStream;

use super::answer::{Answers, Heard};
use super::speech::RequestValues;
use super::stream::StreamOperation;
use super::template::Template;
use crate::BoxFuture;

/// The longest response that is read, in bytes.
const RESPONSE_BYTES_MAX: usize = 4 << 20;
/// The number of every request: a connection has one at a time, and ends with one that got no response.
const ID: u64 = 1;

/// One operation.
#[derive(Clone, Debug)]
pub(super) struct JsonRpcOperation {
    pub(super) method: String,
    pub(super) params: Template,
    pub(super) answers: Answers,
}

impl StreamOperation for JsonRpcOperation {
    fn answers(&self) -> &Answers {
        &self.answers
    }

    fn request(&self, values: &RequestValues<'_>) -> Result<Vec<u8>, String> {
        let params = self.params.fill(values);
        let params: serde_json::Value =
            serde_json::from_str(&params).map_err(|error| format!("the body would be no JSON: {error}"))?;
        let request = serde_json::json!({ "id": ID, "method": self.method, "params": params });
        Ok(request.to_string().into_bytes())
    }

    fn response<'a>(
        &'a self,
        connection: &'a mut BufReader<TcpStream>,
    ) -> BoxFuture<'a, io::Result<Heard<'static>>> {
        Box::pin(async move {
            let mut bytes = Vec::new();
            loop {
                if let Some(text) = response(&mut bytes)? {
                    return Ok(Heard { text: text.into(), ..Heard::default() });
                }
                if bytes.len() > RESPONSE_BYTES_MAX {
                    return Err(io::Error::other("a response of more than 4 MiB"));
                }
                if connection.read_buf(&mut bytes).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        })
    }
}

/// The response at the start of these bytes, if all of it is there. Requests of the server, which ask whether the
/// client is alive, are removed.
fn response(bytes: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<serde_json::Value>();
        let value = match values.next() {
            None => return Ok(None),
            Some(Err(error)) if error.is_eof() => return Ok(None),
            Some(value) => value?,
        };
        let end = values.byte_offset();
        if value.get("method").is_none() {
            return match bytes.len() == end {
                true => Ok(Some(value.to_string())),
                false => Err(io::Error::other("more than one response")),
            };
        }
        bytes.drain(..end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_ends_where_its_json_ends() {
        let said = |text: &str| response(&mut text.into()).map_err(|error| error.to_string());
        assert_eq!(said(r#"{"id":1,"result":[{"#), Ok(None));
        assert_eq!(said(r#"{"id":1,"result":[{}]}"#), Ok(Some(r#"{"id":1,"result":[{}]}"#.into())));
        let asked = r#"{"id":"echo","method":"echo","params":[]}"#;
        assert_eq!(said(asked), Ok(None));
        assert_eq!(said(&format!(r#"{asked}{{"id":1}}"#)), Ok(Some(r#"{"id":1}"#.into())));
        assert_eq!(said(r#"{"id":1}{"id":1}"#), Err("more than one response".into()));
        assert!(said("HTTP/1.1 400").is_err());
    }
}
