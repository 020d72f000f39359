//! The wire protocol `postgres`: a statement for each operation, prepared once per connection, with the
//! placeholders as its parameters.
//!
//! A statement is a transaction of its own, and its answer is complete only when the server is ready for the next
//! one: a commit can still fail after the last row. An error of class 40 (a serialization failure, a deadlock) says
//! that the transaction was rolled back, unless the statement is one that commits in between. After the errors in
//! [`is_unknown`], and when the connection is lost, nobody knows.
//!
//! The connection is kept until an error that is not the statement's own. The server numbers no answers, but an
//! answer that nobody waits for ends the connection.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::TryStreamExt;
use tokio::time::timeout;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Config, Error, NoTls, Row, Statement};
use tokio_util::task::AbortOnDropHandle;
use tribunal_checker::op::Value;
use tribunal_workloads::{Client, Completion, Invocation, Object, Request};

use super::answer::{Heard, is_unknown, plain};
use super::speech::{Book, RequestValues};
use super::sql::SqlOperation;
use super::template::Values;
use crate::NodePort;

type Cause = Box<dyn std::error::Error + Sync + Send>;

/// Checks the parameters of a connection.
///
/// # Errors
/// What is wrong with them.
pub(super) fn config(text: &str) -> Result<Config, String> {
    let config: Config = text.parse().map_err(|error: Error| in_full(&error))?;
    if !config.get_hosts().is_empty() || !config.get_ports().is_empty() {
        return Err("the host and the port are the node's: remove them".into());
    }
    match config.get_user() {
        Some(_) => Ok(config),
        None => Err("expected a user, such as `user=postgres dbname=postgres`".into()),
    }
}

/// A client for one process.
pub(super) struct PostgresClient {
    port: NodePort,
    timeout: Duration,
    config: &'static Config,
    operations: &'static Book<SqlOperation>,
    object: Object,
    place: Values,
    connection: Option<Connection>,
}

struct Connection {
    client: tokio_postgres::Client,
    statements: HashMap<&'static str, Statement>,
    /// Drives the connection; dropping it closes the socket.
    _pump: AbortOnDropHandle<Result<(), Error>>,
}

impl PostgresClient {
    pub(super) fn new(
        port: NodePort,
        timeout: Duration,
        config: &'static Config,
        operations: &'static Book<SqlOperation>,
        object: Object,
        place: Values,
    ) -> Self {
        PostgresClient { port, timeout, config, operations, object, place, connection: None }
    }

    /// A connection on which the statement is prepared. Preparing executes nothing.
    async fn prepared(&mut self, sql: &'static str) -> Result<(Connection, Statement), String> {
        let mut connection = match self.connection.take().filter(|it| !it.client.is_closed()) {
            Some(connection) => connection,
            None => {
                let stream = self.port.open().await.map_err(|error| format!("cannot connect: {error}"))?;
                let opened = self.config.connect_raw(stream, NoTls).await;
                let (client, pump) =
                    opened.map_err(|error| format!("cannot connect: {}", in_full(&error)))?;
                let pump = AbortOnDropHandle::new(tokio::spawn(pump));
                Connection { client, statements: HashMap::new(), _pump: pump }
            }
        };
        if let Some(statement) = connection.statements.get(sql) {
            let statement = statement.clone();
            return Ok((connection, statement));
        }
        let statement = connection.client.prepare(sql).await;
        let statement = statement.map_err(|error| format!("cannot prepare: {}", in_full(&error)))?;
        connection.statements.insert(sql, statement.clone());
        Ok((connection, statement))
    }
}

impl Client for PostgresClient {
    fn invoke<'a>(&'a mut self, request: &'a Request) -> Invocation<'a> {
        Box::pin(async move {
            let Some(operation) = self.operations.find(self.object, request) else {
                return Completion::Fail(format!("the description has no operation `{}`", request.f.name()));
            };
            let values = RequestValues { request, place: &self.place };
            let parameters = operation.parameters.iter().map(|it| Parameter(it.fill(&values)));
            let parameters: Vec<Parameter> = parameters.collect();
            let (connection, statement) = match timeout(self.timeout, self.prepared(&operation.sql)).await {
                Ok(Ok(prepared)) => prepared,
                Ok(Err(why)) => return Completion::Fail(why),
                Err(_) => return Completion::Fail("cannot connect and prepare: timed out".into()),
            };
            // From here on a failed request may have reached the server.
            let executed = async {
                let mut rows = pin!(connection.client.query_raw(&statement, &parameters).await?);
                let mut all: Vec<Row> = Vec::new();
                while let Some(row) = rows.try_next().await? {
                    all.push(row);
                }
                let affected = rows.rows_affected();
                Ok::<_, Error>((all, affected))
            };
            let error = match timeout(self.timeout, executed).await {
                Ok(Ok((rows, affected))) => {
                    self.connection = Some(connection);
                    return operation.answers.completion(&request.f, &heard(&rows, affected));
                }
                Ok(Err(error)) => error,
                Err(_) => return Completion::Info(format!("no reply within {:?}", self.timeout)),
            };
            let why = in_full(&error);
            let Some(state) = error.code().map(|state| state.code()).filter(|state| !is_unknown(state))
            else {
                return Completion::Info(why);
            };
            self.connection = Some(connection);
            let undone = operation.is_atomic && state.starts_with("40");
            let heard = Heard { state: Some(state), undone, text: why.as_str().into(), ..Heard::default() };
            operation.answers.completion(&request.f, &heard)
        })
    }
}

/// The answer to a statement, as rules see it.
fn heard(rows: &[Row], affected: Option<u64>) -> Heard<'static> {
    let columns = rows.first().map_or(Vec::new(), |row| {
        let cell = |at: usize| match row.try_get::<_, Cell>(at) {
            Ok(Cell(value)) => Ok(value),
            Err(error) => Err(in_full(&error)),
        };
        row.columns().iter().enumerate().map(|(at, column)| (column.name().to_string(), cell(at))).collect()
    });
    // A statement without result columns says how many rows it has changed.
    let rows = if rows.is_empty() { affected.unwrap_or(0) } else { rows.len() as u64 };
    Heard { rows: Some(rows), columns, ..Heard::default() }
}

/// An error with its causes and its SQLSTATE.
fn in_full(error: &Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(said), _) => format!("{} (SQLSTATE {})", said.message(), said.code().code()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

/// A parameter as text: the server converts it to the type that it infers.
#[derive(Debug)]
struct Parameter(String);

impl ToSql for Parameter {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Cause> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// A value of a row.
struct Cell(Value);

impl<'a> FromSql<'a> for Cell {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Cause> {
        let list = |values: Vec<Option<Value>>| {
            Cell(Value::List(values.into_iter().map(|it| it.unwrap_or(Value::Nil)).collect()))
        };
        let each =
            |values: Vec<Option<Cell>>| list(values.into_iter().map(|it| it.map(|Cell(it)| it)).collect());
        Ok(match *of {
            Type::BOOL => Cell(Value::Bool(bool::from_sql(of, raw)?)),
            Type::INT2 => Cell(Value::Int(i16::from_sql(of, raw)?.into())),
            Type::INT4 => Cell(Value::Int(i32::from_sql(of, raw)?.into())),
            Type::INT8 => Cell(Value::Int(i64::from_sql(of, raw)?)),
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => Cell(plain(<&str>::from_sql(of, raw)?)),
            Type::BOOL_ARRAY
            | Type::INT2_ARRAY
            | Type::INT4_ARRAY
            | Type::INT8_ARRAY
            | Type::TEXT_ARRAY
            | Type::VARCHAR_ARRAY => each(Vec::from_sql(of, raw)?),
            _ => {
                return Err(format!("it has the type {of}: cast it, as in `v::bigint` or `v::text`").into());
            }
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Cause> {
        Ok(Cell(Value::Nil))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_one_to_the_node() {
        assert!(
            config("user=tribunal dbname=kv options='-c default_transaction_isolation=serializable'").is_ok()
        );
        assert!(config("dbname=kv").unwrap_err().contains("expected a user"));
        assert!(config("user=x host=example.org").unwrap_err().contains("the node's"));
        assert!(config("user").is_err());
    }

    #[test]
    fn which_errors_do_not_say_whether_it_happened() {
        for state in ["08006", "08007", "57P01", "57P02", "57P05", "40003"] {
            assert!(is_unknown(state), "{state}");
        }
        for state in ["40001", "40P01", "23505", "57014", "XX000"] {
            assert!(!is_unknown(state), "{state}");
        }
    }
}
