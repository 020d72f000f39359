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

use super::answer::{Answers, Heard, is_unknown, plain};
use super::speech::{Book, RequestValues};
use super::template::{Template, Values};
use crate::NodePort;

type Cause = Box<dyn std::error::Error + Sync + Send>;

/// One operation.
#[derive(Clone, Debug)]
pub(super) struct PostgresOperation {
    /// The statement, with `$1` for the first parameter.
    sql: String,
    /// The parameters, as text.
    parameters: Vec<Template>,
    /// Whether an error of class 40 undoes all of it.
    is_atomic: bool,
    answers: Answers,
}

impl PostgresOperation {
    /// # Errors
    /// What is wrong with the statement.
    pub(super) fn new(request: &Template, answers: Answers) -> Result<Self, String> {
        let (mut sql, mut parameters) = (String::new(), Vec::new());
        for (text, parameter) in request.parts() {
            sql += text;
            let Some(parameter) = parameter else { continue };
            if sql.matches('\'').count() % 2 == 1 {
                return Err(format!("{parameter} is a parameter of the statement: write it without quotes"));
            }
            parameters.push(parameter);
            sql += &format!("${}", parameters.len());
        }
        let words = sql.trim_start().split(|it: char| !it.is_ascii_alphabetic());
        let verb = words.map(str::to_ascii_uppercase).next().unwrap_or_default();
        match &*verb {
            "" => Err("expected a statement such as `SELECT v FROM kv WHERE k = {key}`".into()),
            "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" => {
                Err("a transaction of several statements: expected one statement, which is a transaction"
                    .into())
            }
            verb => {
                let is_atomic = !["CALL", "DO"].contains(&verb);
                Ok(PostgresOperation { sql, parameters, is_atomic, answers })
            }
        }
    }
}

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
    operations: &'static Book<PostgresOperation>,
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
        operations: &'static Book<PostgresOperation>,
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
    use crate::described::file::Wire;

    const KNOWN: [&str; 2] = ["key", "value"];

    fn operation(request: &str) -> Result<PostgresOperation, String> {
        let template = Template::parse(request, &KNOWN)?;
        let rules = toml::from_str("request = 'x'\nok = { rows = 1 }").unwrap();
        PostgresOperation::new(&template, Answers::new(&rules, Wire::Postgres, false).unwrap())
    }

    #[test]
    fn placeholders_are_parameters() {
        let it = operation("INSERT INTO kv VALUES ({key}, {value}::int) ON CONFLICT DO NOTHING").unwrap();
        assert_eq!(it.sql, "INSERT INTO kv VALUES ($1, $2::int) ON CONFLICT DO NOTHING");
        assert!(it.is_atomic);
        assert!(!operation("call put({key})").unwrap().is_atomic, "a procedure may commit in between");
        let why = |request: &str| operation(request).unwrap_err();
        assert!(why("SELECT * FROM kv WHERE k = '{key}'").contains("write it without quotes"));
        assert!(why(" ").contains("expected a statement"));
        assert!(why("BEGIN; SELECT 1; COMMIT").contains("expected one statement"));
    }

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
