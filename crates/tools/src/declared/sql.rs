//! A statement, declared: it reads, unless the config says that it writes, and every value is a parameter of it, never a piece of its text.

use super::{
    given::Given,
    template::{Place, Template},
};
use crate::{
    database::{Ask, Databases, Table},
    kept::Kept,
    outside::with_heartbeat,
};
use serde_json::Value;
use std::sync::Arc;
use toolcrib_contract::{BoxFuture, CallContext, CallError, Callable, Input, Json, Outage, Output};

/// A statement as the config declares it.
#[derive(Debug, Clone)]
pub struct SqlSettings {
    /// The database that it is for: one of the config's.
    pub database: Option<String>,
    /// The statement, with places for values.
    pub statement: Statement,
    /// The most rows that it gives.
    pub max_rows: usize,
    /// Whether it writes.
    pub writes: bool,
}

/// SQL with places for values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The text between the places: one more than there are places.
    texts: Vec<String>,
    places: Vec<Place>,
}

/// The tool.
pub(super) struct Sql {
    settings: SqlSettings,
    databases: Arc<Databases>,
    kept: Kept,
}

impl Statement {
    /// Reads a statement.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence: a place within quotes or a comment would be a piece of text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let template = Template::parse(text)?;
        let places: Vec<Place> = template.places().cloned().collect();
        let mut texts = vec![String::new()];
        let mut rest = text;
        let mut quoted = Quoted::No;
        while let Some((before, after)) = rest.split_once("{{") {
            quoted = quoted.after(before);
            if quoted != Quoted::No {
                return Err(format!(
                    "{{{{{}}}}} stands within quotes or a comment: a value is a parameter, so it stands for itself",
                    after.split("}}").next().unwrap_or_default()
                ));
            }
            texts.last_mut().expect("there is one").push_str(before);
            texts.push(String::new());
            rest = after.split_once("}}").map_or("", |(_, after)| after);
        }
        texts.last_mut().expect("there is one").push_str(rest);
        Ok(Self { texts, places })
    }

    /// The places for values.
    #[must_use]
    pub fn places(&self) -> Vec<&Place> {
        self.places.iter().collect()
    }

    /// Whether it can be one that writes rows: what else changes a database is nothing that a tool does.
    #[must_use]
    pub fn writes_rows(&self) -> bool {
        self.begins_with_writing() || self.first_word() == "WITH"
    }

    /// Whether it is one that writes rows, as its first word tells.
    #[must_use]
    pub fn begins_with_writing(&self) -> bool {
        matches!(self.first_word().as_str(), "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "MERGE")
    }

    fn first_word(&self) -> String {
        self.texts[0].split_whitespace().next().unwrap_or_default().to_uppercase()
    }

    /// The statement with parameters as the engine writes them, and their values. What is missing is NULL.
    #[must_use]
    pub fn bind(&self, engine: &str, arguments: &Value) -> (String, Vec<Value>) {
        let mut sql = self.texts[0].clone();
        let mut values: Vec<Value> = Vec::with_capacity(self.places.len());
        for (index, (place, text)) in self.places.iter().zip(&self.texts[1..]).enumerate() {
            if engine == "postgresql" {
                sql.push_str(&format!("${}", index + 1));
            } else {
                sql.push('?');
            }
            values.push(place.find(arguments).cloned().unwrap_or_default());
            sql.push_str(text);
        }
        (sql, values)
    }
}

/// Whether a piece of SQL ends within something that is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quoted {
    No,
    By(char),
    LineComment,
    BlockComment,
}

impl Quoted {
    /// Engines differ in what a backslash, a `#` or a `$$` begins; what is not seen here is a parameter all the same, which the engine refuses.
    fn after(self, text: &str) -> Self {
        let mut state = self;
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            state = match (state, character, characters.peek()) {
                (Self::No, '\'' | '"' | '`', _) => Self::By(character),
                (Self::By(open), close, _) if open == close => Self::No,
                (Self::No, '-', Some('-')) => Self::LineComment,
                (Self::LineComment, '\n', _) => Self::No,
                (Self::No, '/', Some('*')) => Self::BlockComment,
                (Self::BlockComment, '*', Some('/')) => {
                    characters.next();
                    Self::No
                }
                (state, ..) => state,
            };
        }
        state
    }
}

impl Sql {
    pub(super) fn new(settings: SqlSettings, databases: Arc<Databases>, kept: Kept) -> Self {
        Self { settings, databases, kept }
    }

    async fn answer(&self, arguments: &Value) -> Result<(Given, Option<String>), CallError> {
        let database = self.databases.find(self.settings.database.as_deref()).await.map_err(CallError::failed)?;
        let (sql, params) = self.settings.statement.bind(database.engine_name(), arguments);
        let max_rows = self.settings.max_rows.min(database.max_rows());
        let ask = Ask { sql, params, max_rows };
        let done = if self.settings.writes { database.write(ask).await } else { database.query(ask).await };
        let table = done.map_err(|error| match error.class() {
            "lost" => CallError::OutcomeUnknown { server: database.name().into(), reason: error.to_string() },
            "unreachable" => {
                CallError::Unavailable { server: database.name().into(), reason: error.to_string(), outage: Outage::Unreached }
            }
            "busy" => CallError::Unavailable { server: database.name().into(), reason: error.to_string(), outage: Outage::Busy(None) },
            _ => CallError::failed(error),
        })?;
        let note = table.cut.map(|_| format!("(there are more rows than the {} that are given)", table.rows.len()));
        let affected = table.affected;
        let rows = rows(table);
        let Some(affected) = affected else { return Ok((Given::Json(rows), note)) };
        let told = Json::object().with("affected", &Json::of(&affected).map_err(CallError::failed)?);
        let told = if rows.as_str() == "[]" { told } else { told.with("rows", &rows) };
        Ok((Given::Json(told.finish()), note))
    }
}

/// Rows as objects by the names of their columns; a name that stands there twice has a number the second time.
fn rows(table: Table) -> Json {
    let mut names: Vec<String> = Vec::with_capacity(table.columns.len());
    for column in table.columns {
        let again = names.iter().filter(|name| **name == column.name).count();
        names.push(if again == 0 { column.name } else { format!("{}_{}", column.name, again + 1) });
    }
    let row = |values: Vec<Json>| {
        let object = names.iter().zip(values).fold(Json::object(), |object, (name, value)| object.with(name, &value));
        object.finish()
    };
    Json::array(table.rows.into_iter().map(row).collect::<Vec<_>>())
}

impl Callable for Sql {
    fn call(&self, input: Input, cx: CallContext) -> BoxFuture<'_, Result<Output, CallError>> {
        Box::pin(async move {
            let arguments = input.arguments.to_value().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
            let work = if self.settings.writes { "the database is writing" } else { "the database is searching" };
            let (given, note) = with_heartbeat(&cx, work, self.answer(&arguments)).await??;
            Ok(Output::Tool(given.output(&self.kept, cx.caller(), note.as_deref())))
        })
    }

    fn foretell(&self, arguments: &Json) -> Option<Result<Vec<String>, CallError>> {
        let arguments = arguments.to_value().ok()?;
        let (sql, values) = self.settings.statement.bind("postgresql", &arguments);
        let values = values.iter().enumerate().map(|(index, value)| format!("${} = {value}", index + 1));
        Some(Ok(std::iter::once(sql).chain(values).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::ConnectionStrings;
    use serde_json::json;
    use toolcrib_contract::Spec;
    use toolcrib_egress::{Config, Egress};
    use toolcrib_testkit::{OpenGate, TestGate};

    fn gate(folder: &std::path::Path, statement: &str) -> OpenGate {
        let databases =
            Databases::new(Vec::new(), Some(folder.to_owned()), ConnectionStrings::default(), Egress::new(Config::default()).unwrap());
        let settings = SqlSettings { database: None, statement: Statement::parse(statement).unwrap(), max_rows: 2, writes: false };
        let sql = Sql::new(settings, Arc::new(databases), Kept::default());
        TestGate::default().entry(Spec::new("look", "Looks."), Arc::new(sql)).open()
    }

    #[test]
    fn values_are_parameters() {
        let statement = Statement::parse("SELECT 'it''s', x -- why?\nFROM t WHERE a = {{a}} AND b = {{ b }} OR a > {{a}}").unwrap();
        let (sql, values) = statement.bind("postgresql", &json!({"a": 1, "b": "x' OR 1=1"}));
        assert_eq!(sql, "SELECT 'it''s', x -- why?\nFROM t WHERE a = $1 AND b = $2 OR a > $3");
        assert_eq!(values, [json!(1), json!("x' OR 1=1"), json!(1)]);
        let (sql, values) = statement.bind("sqlite", &json!({"a": 1}));
        assert!(sql.ends_with("a = ? AND b = ? OR a > ?"));
        assert_eq!(values[1], json!(null));
        for within in ["SELECT '{{a}}'", "SELECT \"{{a}}\"", "SELECT 1 -- {{a}}", "SELECT /* {{a}} */ 1", "SELECT 'it''s {{a}}'"] {
            assert!(Statement::parse(within).unwrap_err().contains("within quotes or a comment"), "{within}");
        }
    }

    #[tokio::test]
    async fn a_statement_gives_its_rows_by_name_and_cannot_write() {
        let folder = std::env::temp_dir().join(format!("toolcrib-declared-sql-{}", std::process::id()));
        let sql = "WITH n(a, b) AS (VALUES (1, 'x'), (2, 'y'), (3, 'y')) SELECT a, b, a AS a FROM n WHERE b = {{b}} OR {{b}} IS NULL";
        assert_eq!(gate(&folder, sql).text("look", &json!({"b": "x"})).await.unwrap(), r#"[{"a":1,"b":"x","a_2":1}]"#);
        assert_eq!(gate(&folder, sql).text("look", &json!({"b": "x' OR '1'='1"})).await.unwrap(), "[]");
        let reply = gate(&folder, sql).call("look", "{}").await.unwrap();
        let Output::Tool(output) = reply.output else { panic!("a tool") };
        assert!(format!("{:?}", output.content).contains("more rows than the 2"), "{:?}", output.content);
        assert!(gate(&folder, "CREATE TABLE t (a)").text("look", &json!({})).await.is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
