//! `describe_database`: the tables, columns and keys of a database, so that a statement can be written without guessing.

use crate::{
    database::{
        Ask, Database, Databases, SqlError,
        layout::{Layout, Relation},
    },
    outside::{untrusted, with_heartbeat},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use toolcrib_contract::{Annotations, CallContext, CallError, Category, Json, Reach, Spec, Tool, ToolOutput};

/// The most tables of which rows are shown.
const MAX_SAMPLED: usize = 20;
/// The longest value in rows that are shown.
const MAX_SAMPLED_CHARS: usize = 200;

pub(crate) struct DescribeDatabase {
    pub(crate) databases: Arc<Databases>,
}

/// What to describe.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The name of the database. Not needed where there is only one.
    #[serde(default)]
    database: Option<String>,
    /// Which tables: names or patterns (`order*`, `public.users`), separated by commas. Default all.
    #[serde(default)]
    tables: Option<String>,
    /// How many rows of each table to show, up to 5. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 5))]
    sample_rows: usize,
}

/// The description, or what is wrong.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// The database.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    /// sqlite, postgresql or mysql.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<&'static str>,
    /// Its tables and views.
    #[serde(skip_serializing_if = "Option::is_none")]
    tables: Option<Vec<Relation>>,
    /// What is worth knowing about the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// What is wrong, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What kind of fault it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<&'static str>,
}

impl Tool for DescribeDatabase {
    type Args = Args;
    type Output = Answer;

    fn spec(&self) -> Spec {
        let known = self.databases.described();
        Spec::new(
            "describe_database",
            &format!(
                "Describes the tables of a database: columns with types and comments, keys, indexes, about how many rows, some of them on \
                 demand. For database_query. Databases: {known}."
            ),
        )
        .title("Describe a database")
        .category(Category::DataRetrieval)
        .tags(&["sql", "database", "schema"])
        .author("Toolcrib")
        .annotations(Annotations::LOOKS_OUTSIDE)
        .reaches(&[Reach::Network, Reach::Files])
    }

    async fn run(&self, args: Args, cx: &CallContext) -> Result<Answer, CallError> {
        let described = async {
            let database = self.databases.find(args.database.as_deref()).await?;
            let mut layout = database.layout(args.tables.as_deref()).await?;
            if args.sample_rows > 0 {
                sample(&database, &mut layout.relations, args.sample_rows.min(5)).await?;
            }
            Ok::<_, SqlError>((database, layout))
        };
        Ok(match with_heartbeat(cx, "the database is being described", described).await? {
            Ok((database, layout)) => answer(&database, layout, args.tables.as_deref()),
            Err(error) => Answer { error: Some(error.to_string()), error_class: Some(error.class()), ..Answer::default() },
        })
    }

    fn present(&self, answer: &Answer, written: &mut ToolOutput) {
        written.is_error = answer.error.is_some();
        written.meta = (!written.is_error).then(|| untrusted(&["tables"]));
    }
}

/// Rows are fetched as callers would fetch them, so that what is masked stays masked. A table that cannot be read has none.
async fn sample(database: &Database, relations: &mut [Relation], rows: usize) -> Result<(), SqlError> {
    for relation in relations.iter_mut().take(MAX_SAMPLED) {
        let sql = format!("SELECT * FROM {}", database.quoted(relation));
        match database.query(Ask { sql, params: Vec::new(), max_rows: rows }).await {
            Ok(table) => relation.sample = table.rows.into_iter().map(|row| row.into_iter().map(shortened).collect()).collect(),
            Err(SqlError::Statement { .. } | SqlError::Refused(_) | SqlError::TooLarge) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A sample shows what a column holds, not all of it.
fn shortened(value: Json) -> Json {
    match value.read::<String>() {
        Ok(text) if text.chars().nth(MAX_SAMPLED_CHARS).is_some() => {
            Json::string(&format!("{}…", text.chars().take(MAX_SAMPLED_CHARS).collect::<String>()))
        }
        _ => value,
    }
}

fn answer(database: &Database, layout: Layout, asked: Option<&str>) -> Answer {
    let note = match asked {
        _ if layout.undescribed > 0 => Some(format!("{} tables are named without their columns: ask for them by name", layout.undescribed)),
        Some(asked) if layout.relations.is_empty() => Some(format!("no table matches {asked:?}; without tables, all are described")),
        _ => None,
    };
    Answer {
        database: Some(database.name().to_owned()),
        engine: Some(database.engine_name()),
        tables: Some(layout.relations),
        note,
        ..Answer::default()
    }
}
