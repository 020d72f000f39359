//! What the wire protocols of databases share: a statement for each operation, with the placeholders as its
//! parameters.

use super::answer::Answers;
use super::template::Template;

/// One operation.
#[derive(Clone, Debug)]
pub(super) struct SqlOperation {
    /// The statement, with a marker for each parameter.
    pub(super) sql: String,
    /// The parameters, as text.
    pub(super) parameters: Vec<Template>,
    /// Whether an error of class 40 undoes all of it.
    pub(super) is_atomic: bool,
    pub(super) answers: Answers,
}

impl SqlOperation {
    /// `marker` writes the parameter with that number, counted from 1.
    ///
    /// # Errors
    /// What is wrong with the statement.
    pub(super) fn new(
        request: &Template,
        answers: Answers,
        marker: impl Fn(usize) -> String,
    ) -> Result<Self, String> {
        let (mut sql, mut parameters) = (String::new(), Vec::new());
        for (text, parameter) in request.parts() {
            sql += text;
            let Some(parameter) = parameter else { continue };
            if sql.matches('\'').count() % 2 == 1 {
                return Err(format!("{parameter} is a parameter of the statement: write it without quotes"));
            }
            parameters.push(parameter);
            sql += &marker(parameters.len());
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
                Ok(SqlOperation { sql, parameters, is_atomic, answers })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::described::file::{Rules, Wire};

    const KNOWN: [&str; 2] = ["key", "value"];

    fn operation(request: &str) -> Result<SqlOperation, String> {
        let template = Template::parse(request, &KNOWN)?;
        let rules = toml::from_str("request = 'x'\nok = { rows = 1 }").unwrap();
        let answers = Answers::new(&Rules::default(), &rules, Wire::Postgres, false).unwrap();
        SqlOperation::new(&template, answers, |number| format!("${number}"))
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
}
