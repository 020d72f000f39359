//! The wire protocol `http`: a request and a response for each operation, on its own connection.

use std::time::Duration;

use tribunal_workloads::{Client, Completion, Invocation, Object, Request};

use super::answer::{Answers, Heard};
use super::speech::{Book, RequestValues};
use super::template::{Template, Values};
use crate::NodePort;
use crate::http::{Http, Unanswered};

/// One operation.
#[derive(Clone, Debug)]
pub(super) struct HttpOperation {
    pub(super) method: String,
    pub(super) path: Template,
    pub(super) headers: Vec<(String, Template)>,
    pub(super) body: Option<Template>,
    pub(super) answers: Answers,
}

/// A client for one process.
pub(super) struct HttpClient {
    http: Http,
    operations: &'static Book<HttpOperation>,
    object: Object,
    /// The values of the placeholders that do not depend on the request.
    place: Values,
}

impl HttpClient {
    pub(super) fn new(
        port: NodePort,
        timeout: Duration,
        operations: &'static Book<HttpOperation>,
        object: Object,
        place: Values,
    ) -> Self {
        HttpClient { http: Http::new(port, timeout), operations, object, place }
    }
}

impl Client for HttpClient {
    fn invoke<'a>(&'a mut self, request: &'a Request) -> Invocation<'a> {
        Box::pin(async move {
            let Some(operation) = self.operations.find(self.object, request) else {
                return Completion::Fail(format!("the description has no operation `{}`", request.f.name()));
            };
            let values = RequestValues { request, place: &self.place };
            let headers = operation.headers.iter();
            let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.fill(&values))).collect();
            let body = operation.body.as_ref().map_or(Vec::new(), |body| body.fill(&values).into_bytes());
            match self.http.send(&operation.method, &operation.path.fill(&values), &headers, body).await {
                Ok((status, body)) => {
                    let text = String::from_utf8_lossy(&body);
                    let heard = Heard { status: Some(status.as_u16()), text, ..Heard::default() };
                    operation.answers.completion(&request.f, &heard)
                }
                Err(Unanswered::NotSent(why)) => Completion::Fail(why),
                Err(Unanswered::Unknown(why)) => Completion::Info(why),
            }
        })
    }
}
