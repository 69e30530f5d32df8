//! `database_query`: reads from a database with SQL. How reading only is kept: [`crate::database`].

mod render;

use crate::{
    database::{Ask, Cut, Databases, SqlError, Table},
    kept::{self, Kept},
    outside::{untrusted, with_heartbeat},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use toolcrib_contract::{Annotations, CallContext, CallError, Category, Content, Json, Reach, Spec, Tool, ToolOutput};

const DEFAULT_MAX_ROWS: usize = 100;
/// How many bytes of rows an answer holds; the rest is a resource.
const INLINE_BYTES: usize = 64 << 10;

pub(crate) struct DatabaseQuery {
    pub(crate) databases: Arc<Databases>,
    pub(crate) kept: Kept,
}

/// What to ask.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// One statement that reads: SELECT, WITH, VALUES, EXPLAIN, SHOW, DESCRIBE, or a PRAGMA that tells. Parameters are $1, $2
    /// … (PostgreSQL) or ? (SQLite, MySQL).
    query: String,
    /// The name of the database. Not needed where there is only one.
    #[serde(default)]
    database: Option<String>,
    /// The most rows to give. Default 100.
    #[serde(default)]
    #[schemars(range(min = 1))]
    max_rows: Option<usize>,
    /// Values of the statement's parameters, in their order.
    #[serde(default)]
    params: Vec<serde_json::Value>,
    /// How the rows are written: as lists of values, as a Markdown table, or as CSV. Default rows.
    #[serde(default)]
    format: Format,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    /// As lists of values, in the order of the columns.
    #[default]
    Rows,
    /// As a Markdown table.
    Table,
    /// As CSV (RFC 4180).
    Csv,
}

/// The rows, or what is wrong.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// The statement as it was given.
    query: String,
    /// The database that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    /// How many rows are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    row_count: Option<usize>,
    /// The names of the columns, in their order; several may have one name.
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<Vec<String>>,
    /// The types of the columns, as the engine calls them.
    #[serde(skip_serializing_if = "Option::is_none")]
    types: Option<Vec<String>>,
    /// The rows, each a list of values. Numbers that JSON could bend (beyond 2^53, decimals) are texts, bytes are Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Vec<serde_json::Value>>>")]
    rows: Option<Vec<Vec<Json>>>,
    /// The rows as a Markdown table.
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    /// The rows as CSV.
    #[serde(skip_serializing_if = "Option::is_none")]
    csv: Option<String>,
    /// Whether there are more rows than are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
    /// What is worth knowing about the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Where all rows that were fetched can be read, as CSV, for 15 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    /// Columns whose values nobody may see.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    masked: Vec<String>,
    /// What is wrong, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What kind of fault it is: refused, statement, timeout, too_large, busy, unreachable, unknown_database,
    /// bad_connection_string or privileged_role.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<&'static str>,
    /// The engine's code of the error (SQLSTATE).
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// Where in the statement, in characters from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    /// What may help.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Tool for DatabaseQuery {
    type Args = Args;
    type Output = Answer;

    fn spec(&self) -> Spec {
        let known = self.databases.described();
        Spec::new(
            "database_query",
            &format!(
                "Reads from a database with SQL; nothing can be changed. describe_database tells the tables and columns. Databases: {known}."
            ),
        )
        .title("Query a database")
        .category(Category::DataRetrieval)
        .tags(&["sql", "database", "sqlite", "postgresql", "mysql"])
        .author("Toolcrib")
        .annotations(Annotations::LOOKS_OUTSIDE)
        .reaches(&[Reach::Network, Reach::Files])
    }

    async fn run(&self, args: Args, cx: &CallContext) -> Result<Answer, CallError> {
        let Args { query, database, max_rows, params, format } = args;
        let asked = async {
            let database = self.databases.find(database.as_deref()).await?;
            let wanted = max_rows.unwrap_or(DEFAULT_MAX_ROWS).max(1);
            let max_rows = wanted.min(database.max_rows());
            let table = database.query(Ask { sql: query.clone(), params, max_rows }).await?;
            Ok::<_, SqlError>((database, table, max_rows < wanted))
        };
        Ok(match with_heartbeat(cx, "the statement is running", asked).await? {
            Ok((database, table, is_capped)) => self.answer(query, database.name(), table, is_capped, format, cx),
            Err(error) => failure(query, error),
        })
    }

    fn present(&self, answer: &Answer, written: &mut ToolOutput) {
        written.is_error = answer.error.is_some();
        written.meta = (!written.is_error).then(|| untrusted(&["rows", "table", "csv"]));
        if let Some(text) = answer.table.as_ref().or(answer.csv.as_ref()) {
            let note = answer.note.as_ref().map(|note| format!("\n\n({note})")).unwrap_or_default();
            written.content = vec![Content::text(format!("{text}{note}"))];
        }
        if let Some(uri) = &answer.resource {
            written.content.push(kept::link(uri, "all rows", "text/csv"));
        }
    }
}

impl DatabaseQuery {
    fn answer(&self, query: String, database: &str, table: Table, is_capped: bool, format: Format, cx: &CallContext) -> Answer {
        let mut notes = Vec::new();
        match table.cut {
            Some(Cut::Rows) => {
                let more = if is_capped {
                    "the config allows no more of them, so narrow the statement"
                } else {
                    "raise max_rows, or narrow the statement"
                };
                notes.push(format!("there are more than {} rows: {more}", table.rows.len()));
            }
            Some(Cut::Bytes) => notes.push("the rows that follow would make the result too large: select fewer columns".to_owned()),
            None => {}
        }
        let fetched = table.rows.len();
        let fits = fitting(&table);
        let mut resource = None;
        if fits < fetched {
            resource = self.kept.keep(cx.caller(), "text/csv", render::csv(&table.columns, &table.rows));
            notes.push(format!("the first {fits} of {fetched} rows that were fetched"));
        }
        if !table.masked.is_empty() {
            notes.push(format!("masked by the config: {}", table.masked.join(", ")));
        }
        let Table { columns, mut rows, cut, masked, affected: _ } = table;
        rows.truncate(fits);
        let mut answer = Answer {
            query,
            database: Some(database.to_owned()),
            row_count: Some(rows.len()),
            truncated: Some(cut.is_some() || fits < fetched),
            resource,
            masked,
            ..Answer::default()
        };
        match format {
            Format::Rows => answer.rows = Some(rows),
            Format::Table => {
                let (table, is_cut) = render::markdown(&columns, &rows);
                answer.table = Some(table);
                if is_cut {
                    notes.push(format!("values longer than {} characters are cut; format csv has them whole", render::MAX_CELL));
                }
            }
            Format::Csv => answer.csv = Some(render::csv(&columns, &rows)),
        }
        let (names, types) = columns.into_iter().map(|column| (column.name, column.kind)).unzip();
        Answer { columns: Some(names), types: Some(types), note: (!notes.is_empty()).then(|| notes.join("; ")), ..answer }
    }
}

/// How many rows an answer holds; one at least.
fn fitting(table: &Table) -> usize {
    let mut bytes = 0;
    let fits = table.rows.iter().take_while(|row| {
        bytes += row.iter().map(Json::size_bytes).sum::<usize>();
        bytes <= INLINE_BYTES
    });
    fits.count().max(1).min(table.rows.len())
}

fn failure(query: String, error: SqlError) -> Answer {
    let answer = Answer { query, error: Some(error.to_string()), error_class: Some(error.class()), ..Answer::default() };
    match error {
        SqlError::Statement { position, hint, code, .. } => Answer { position, hint, code, ..answer },
        _ => answer,
    }
}

#[cfg(test)]
mod tests;
