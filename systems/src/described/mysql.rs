//! The wire protocol `mysql`: a statement for each operation, prepared once per connection, with the placeholders as
//! its parameters. A statement is a transaction of its own.
//!
//! An error of class 40 (a deadlock; in Galera a conflict with another node) says that the transaction was rolled back.
//! What any other error means, a rule has to say. The connection is kept until it is lost, or an answer is late.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, OptsBuilder, Params, Row};
use tokio::time::timeout;
use tribunal_checker::op::Value;
use tribunal_workloads::{Client, Completion, Invocation, Object, Request};

use super::answer::{Heard, plain};
use super::speech::{Book, RequestValues};
use super::sql::SqlOperation;
use super::template::Values;
use crate::NodePort;

/// The parameters of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Config {
    user: String,
    password: Option<String>,
    database: Option<String>,
    /// Statements that set the variables of a session.
    settings: Vec<String>,
}

/// Checks the parameters of a connection: `user`, `password`, `dbname`; every other is a variable of the session.
///
/// # Errors
/// What is wrong with them.
pub(super) fn config(text: &str) -> Result<Config, String> {
    let mut config = Config::default();
    for word in text.split_whitespace() {
        let (name, value) =
            word.split_once('=').ok_or_else(|| format!("expected `name=value`, not `{word}`"))?;
        let is_word =
            |it: &str| it.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte));
        match name {
            "user" => config.user = value.into(),
            "password" => config.password = Some(value.into()),
            "dbname" => config.database = Some(value.into()),
            "host" | "port" => return Err("the host and the port are the node's: remove them".into()),
            name if is_word(name) && is_word(value) => {
                // A numeric variable takes no text.
                let quote = if value.bytes().all(|byte| byte.is_ascii_digit()) { "" } else { "'" };
                config.settings.push(format!("SET SESSION {name} = {quote}{value}{quote}"));
            }
            _ => return Err(format!("expected `variable=value`, not `{word}`")),
        }
    }
    match config.user.is_empty() {
        true => Err("expected a user, such as `user=root dbname=test`".into()),
        false => Ok(config),
    }
}

/// A client for one process.
pub(super) struct MysqlClient {
    port: NodePort,
    timeout: Duration,
    config: &'static Config,
    operations: &'static Book<SqlOperation>,
    object: Object,
    place: Values,
    connection: Option<Conn>,
}

impl MysqlClient {
    pub(super) fn new(
        port: NodePort,
        timeout: Duration,
        config: &'static Config,
        operations: &'static Book<SqlOperation>,
        object: Object,
        place: Values,
    ) -> Self {
        MysqlClient { port, timeout, config, operations, object, place, connection: None }
    }

    /// A connection on which the statement is prepared. Preparing executes nothing.
    async fn prepared(&mut self, sql: &str) -> Result<(Conn, mysql_async::Statement), String> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                // The library connects by itself, and would talk to whoever listens: this one makes sure that it is the node.
                drop(self.port.open().await.map_err(|error| format!("cannot connect: {error}"))?);
                let options = OptsBuilder::default()
                    .ip_or_hostname(self.port.address.ip().to_string())
                    .tcp_port(self.port.address.port())
                    .user(Some(self.config.user.clone()))
                    .pass(self.config.password.clone())
                    .db_name(self.config.database.clone())
                    .prefer_socket(false)
                    // An update counts the rows that it found, also those that were so before.
                    .client_found_rows(true)
                    .setup(self.config.settings.clone());
                Conn::new(options).await.map_err(|error| format!("cannot connect: {error}"))?
            }
        };
        let statement = connection.prep(sql).await.map_err(|error| format!("cannot prepare: {error}"))?;
        Ok((connection, statement))
    }
}

impl Client for MysqlClient {
    fn invoke<'a>(&'a mut self, request: &'a Request) -> Invocation<'a> {
        Box::pin(async move {
            let Some(operation) = self.operations.find(self.object, request) else {
                return Completion::Fail(format!("the description has no operation `{}`", request.f.name()));
            };
            let values = RequestValues { request, place: &self.place };
            let parameters = operation.parameters.iter().map(|it| it.fill(&values).into_bytes().into());
            let parameters = Params::Positional(parameters.collect());
            let prepared = timeout(self.timeout, self.prepared(&operation.sql)).await;
            let (mut connection, statement) = match prepared {
                Ok(Ok(prepared)) => prepared,
                Ok(Err(why)) => return Completion::Fail(why),
                Err(_) => return Completion::Fail("cannot connect and prepare: timed out".into()),
            };
            // From here on a failed request may have reached the server.
            let executed = async {
                let mut result = connection.exec_iter(&statement, parameters).await?;
                let rows: Vec<Row> = result.collect().await?;
                let affected = result.affected_rows();
                result.drop_result().await?;
                Ok::<_, Error>((rows, affected))
            };
            match timeout(self.timeout, executed).await {
                Ok(Ok((rows, affected))) => {
                    self.connection = Some(connection);
                    operation.answers.completion(&request.f, &heard(rows, affected))
                }
                Ok(Err(Error::Server(error))) => {
                    self.connection = Some(connection);
                    let undone = operation.is_atomic && error.state.starts_with("40");
                    let text = format!("{} (error {}, SQLSTATE {})", error.message, error.code, error.state);
                    let state = Some(error.state.as_str());
                    let heard = Heard { state, undone, text: text.into(), ..Heard::default() };
                    operation.answers.completion(&request.f, &heard)
                }
                Ok(Err(error)) => Completion::Info(error.to_string()),
                Err(_) => Completion::Info(format!("no reply within {:?}", self.timeout)),
            }
        })
    }
}

/// The answer to a statement, as rules see it.
fn heard(rows: Vec<Row>, affected: u64) -> Heard<'static> {
    let count = if rows.is_empty() { affected } else { rows.len() as u64 };
    let columns = rows.into_iter().next().map_or(Vec::new(), |row| {
        let names: Vec<String> = row.columns_ref().iter().map(|it| it.name_str().into_owned()).collect();
        names.into_iter().zip(row.unwrap().into_iter().map(cell)).collect()
    });
    Heard { rows: Some(count), columns, ..Heard::default() }
}

/// A value of a row.
fn cell(value: mysql_async::Value) -> Result<Value, String> {
    use mysql_async::Value as Cell;
    match value {
        Cell::NULL => Ok(Value::Nil),
        Cell::Int(number) => Ok(Value::Int(number)),
        Cell::UInt(number) => {
            i64::try_from(number).map(Value::Int).map_err(|_| format!("{number} is no integer of 64 bits"))
        }
        Cell::Bytes(text) => {
            String::from_utf8(text).map(|text| plain(&text)).map_err(|_| "a text that is no UTF-8".into())
        }
        other => Err(format!("{other:?}: expected an integer or a text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_one_to_the_node_with_settings_of_the_session() {
        let it = config("user=root dbname=test wsrep_sync_wait=1 sql_mode=ANSI").unwrap();
        assert_eq!((&*it.user, it.database.as_deref()), ("root", Some("test")));
        assert_eq!(it.settings, ["SET SESSION wsrep_sync_wait = 1", "SET SESSION sql_mode = 'ANSI'"]);
        assert!(config("dbname=test").unwrap_err().contains("expected a user"));
        assert!(config("user=x host=example.org").unwrap_err().contains("the node's"));
        assert!(config("user=x a='b").unwrap_err().contains("expected `variable=value`"));
        assert!(config("user").unwrap_err().contains("expected `name=value`"));
    }
}
