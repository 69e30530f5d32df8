//! What a database holds: tables and views, their columns, keys and indexes, in one form for all engines.

use super::{Ask, Database, Engine, MAX_ROWS, SqlError, Table};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use toolcrib_contract::{Globs, Json};

/// The most tables that are described with their columns.
const MAX_DESCRIBED: usize = 100;

/// A table or view.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Relation {
    /// The schema that it is in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) schema: String,
    pub(crate) name: String,
    /// table, view, materialized view, …
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    /// Why its columns are not told: a view of what is no longer there, say.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// About how many rows it has, as far as the engine knows without counting.
    #[serde(skip_serializing_if = "Option::is_none")]
    row_estimate: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    columns: Vec<ColumnLayout>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    foreign_keys: Vec<ForeignKey>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    indexes: Vec<Index>,
    /// A few rows, in the order of the columns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Vec<serde_json::Value>>")]
    pub(crate) sample: Vec<Vec<Json>>,
}

/// A column.
#[derive(Debug, Serialize, JsonSchema)]
struct ColumnLayout {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    /// Whether it may be null.
    nullable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    /// Its place in the primary key, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_key: Option<i64>,
    /// Whether nobody may see its values.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    masked: bool,
}

/// Columns that name a row of another table.
#[derive(Debug, Serialize, JsonSchema)]
struct ForeignKey {
    columns: String,
    references: String,
}

/// An index.
#[derive(Debug, Serialize, JsonSchema)]
struct Index {
    name: String,
    columns: String,
    unique: bool,
}

/// All relations, or those whose names match.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) relations: Vec<Relation>,
    /// How many there are besides that are named without their columns.
    pub(crate) undescribed: usize,
}

/// The four questions to an engine. Their columns are the same for all.
struct Questions {
    /// schema, name, kind, comment, rows
    relations: &'static str,
    /// schema, table, name, type, nullable (0, 1), default, comment, place in the primary key
    columns: &'static str,
    /// schema, table, columns, references
    foreign_keys: &'static str,
    /// schema, table, name, columns, unique (0, 1)
    indexes: &'static str,
}

const SQLITE: Questions = Questions {
    relations: "SELECT '', l.name, l.type, NULL, (SELECT max(CAST(substr(s.stat, 1, instr(s.stat || ' ', ' ') - 1) AS INTEGER)) FROM \
        pragma_table_list('sqlite_stat1') AS has JOIN sqlite_stat1 AS s ON s.tbl = l.name) FROM pragma_table_list AS l WHERE l.schema = 'main' AND \
        l.type <> 'shadow' AND l.name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY l.name",
    columns: "SELECT '', l.name, c.name, lower(c.type), NOT c.\"notnull\" AND NOT c.pk, c.dflt_value, NULL, nullif(c.pk, 0) FROM pragma_table_list AS l, \
        pragma_table_xinfo(l.name) AS c WHERE l.schema = 'main' AND l.name NOT LIKE 'sqlite~_%' ESCAPE '~' AND c.hidden <> 1 ORDER BY l.name, c.cid",
    foreign_keys: "SELECT '', l.name, group_concat(k.\"from\", ', '), k.\"table\" || coalesce(' (' || group_concat(k.\"to\", ', ') || ')', '') FROM \
        pragma_table_list AS l, pragma_foreign_key_list(l.name) AS k WHERE l.schema = 'main' GROUP BY l.name, k.id ORDER BY l.name, k.id",
    indexes: "SELECT '', l.name, i.name, (SELECT group_concat(x.name, ', ') FROM pragma_index_info(i.name) AS x), i.\"unique\" FROM \
        pragma_table_list AS l, pragma_index_list(l.name) AS i WHERE l.schema = 'main' ORDER BY l.name, i.seq",
};

/// One table's columns in SQLite: a view that is broken fails the question for all.
const SQLITE_COLUMNS_OF: &str = "SELECT '', ?1, c.name, lower(c.type), NOT c.\"notnull\" AND NOT c.pk, c.dflt_value, NULL, nullif(c.pk, 0) FROM \
    pragma_table_xinfo(?1) AS c WHERE c.hidden <> 1 ORDER BY c.cid";

/// Where SQLite was never asked to count, `sqlite_stat1` is not there, and a statement that names it does not compile.
const SQLITE_UNCOUNTED: &str = "SELECT '', l.name, l.type, NULL, NULL FROM pragma_table_list AS l WHERE l.schema = 'main' AND l.type <> 'shadow' AND \
    l.name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY l.name";

const POSTGRES: Questions = Questions {
    relations: "SELECT n.nspname, c.relname, CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view' WHEN 'm' \
        THEN 'materialized view' ELSE 'foreign table' END, obj_description(c.oid, 'pg_class'), CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END \
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT \
        c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1, 2",
    columns: "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), (NOT a.attnotnull)::int, pg_get_expr(d.adbin, d.adrelid), \
        col_description(c.oid, a.attnum), array_position(p.conkey, a.attnum) FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = \
        a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
        LEFT JOIN pg_catalog.pg_constraint p ON p.conrelid = c.oid AND p.contype = 'p' WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT \
        a.attisdropped AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1, 2, a.attnum",
    foreign_keys: "SELECT n.nspname, c.relname, (SELECT string_agg(a.attname, ', ' ORDER BY o) FROM unnest(k.conkey) WITH ORDINALITY AS u(num, o) JOIN \
        pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num), k.confrelid::regclass || ' (' || (SELECT string_agg(a.attname, ', ' \
        ORDER BY o) FROM unnest(k.confkey) WITH ORDINALITY AS u(num, o) JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num) || \
        ')' FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE \
        k.contype = 'f' ORDER BY 1, 2, k.conname",
    indexes: "SELECT n.nspname, c.relname, i.relname, (SELECT string_agg(pg_get_indexdef(x.indexrelid, s, true), ', ' ORDER BY s) FROM \
        generate_series(1, x.indnkeyatts) AS s), x.indisunique::int FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indrelid JOIN \
        pg_catalog.pg_class i ON i.oid = x.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname NOT IN ('pg_catalog', \
        'pg_toast') ORDER BY 1, 2, 3",
};

const MYSQL: Questions = Questions {
    relations: "SELECT '', table_name, CASE table_type WHEN 'BASE TABLE' THEN 'table' ELSE lower(table_type) END, nullif(table_comment, ''), \
        table_rows FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type <> 'SEQUENCE' ORDER BY table_name",
    columns: "SELECT '', c.table_name, c.column_name, c.column_type, c.is_nullable = 'YES', c.column_default, nullif(c.column_comment, ''), \
        k.ordinal_position FROM information_schema.columns c LEFT JOIN information_schema.key_column_usage k ON k.table_schema = c.table_schema AND \
        k.table_name = c.table_name AND k.column_name = c.column_name AND k.constraint_name = 'PRIMARY' WHERE c.table_schema = DATABASE() ORDER BY \
        c.table_name, c.ordinal_position",
    foreign_keys: "SELECT '', table_name, GROUP_CONCAT(column_name ORDER BY ordinal_position SEPARATOR ', '), CONCAT(MIN(referenced_table_name), ' (', \
        GROUP_CONCAT(referenced_column_name ORDER BY ordinal_position SEPARATOR ', '), ')') FROM information_schema.key_column_usage WHERE table_schema = \
        DATABASE() AND referenced_table_name IS NOT NULL GROUP BY table_name, constraint_name ORDER BY table_name, constraint_name",
    indexes: "SELECT '', table_name, index_name, GROUP_CONCAT(column_name ORDER BY seq_in_index SEPARATOR ', '), MIN(non_unique) = 0 FROM \
        information_schema.statistics WHERE table_schema = DATABASE() GROUP BY table_name, index_name ORDER BY table_name, index_name",
};

impl Database {
    /// What the database holds. With names, only the tables whose `name` or `schema.name` matches, whatever their case.
    pub(crate) async fn layout(&self, names: Option<&str>) -> Result<Layout, SqlError> {
        let questions = match &self.engine {
            Engine::Sqlite(..) => &SQLITE,
            Engine::Postgres(_) => &POSTGRES,
            Engine::Mysql(_) => &MYSQL,
        };
        let relations = match (self.query_own(questions.relations).await, &self.engine) {
            (Err(SqlError::Statement { .. }), Engine::Sqlite(..)) => self.query_own(SQLITE_UNCOUNTED).await?,
            (relations, _) => relations?,
        };
        let globs = names.map(|names| Globs::new(names.to_lowercase().split(',').map(str::trim)));
        let mut found: BTreeMap<(String, String), Relation> = BTreeMap::new();
        for row in texts(&relations) {
            let [schema, name, kind, comment, rows] = row.as_slice() else { continue };
            let (schema, name) = (schema.clone().unwrap_or_default(), name.clone().unwrap_or_default());
            let lower = name.to_lowercase();
            let is_wanted =
                globs.as_ref().is_none_or(|globs| globs.include(&lower) || globs.include(&format!("{}.{lower}", schema.to_lowercase())));
            if is_wanted {
                let row_estimate = rows.as_ref().and_then(|rows| rows.parse().ok());
                let kind = kind.clone().unwrap_or_default();
                found.insert(
                    (schema.clone(), name.clone()),
                    Relation { schema, name, kind, comment: comment.clone(), row_estimate, ..Relation::default() },
                );
            }
        }
        let undescribed = found.len().saturating_sub(MAX_DESCRIBED);
        let described: Vec<(String, String)> = found.keys().take(MAX_DESCRIBED).cloned().collect();
        self.describe(&mut found, &described, questions).await?;
        Ok(Layout { relations: found.into_values().collect(), undescribed })
    }

    async fn describe(
        &self,
        found: &mut BTreeMap<(String, String), Relation>,
        wanted: &[(String, String)],
        questions: &Questions,
    ) -> Result<(), SqlError> {
        let columns = match (self.query_own(questions.columns).await, &self.engine) {
            (Err(SqlError::Statement { .. }), Engine::Sqlite(..)) => self.columns_one_by_one(found, wanted).await?,
            (columns, _) => columns?,
        };
        let mut of = |row: &[Option<String>], add: &mut dyn FnMut(&mut Relation)| {
            let key = (row[0].clone().unwrap_or_default(), row[1].clone().unwrap_or_default());
            if wanted.contains(&key) {
                found.get_mut(&key).into_iter().for_each(add);
            }
        };
        for row in texts(&columns) {
            let [_, table, name, kind, nullable, default, comment, place] = row.as_slice() else { continue };
            let (table, name) = (table.as_deref().unwrap_or_default(), name.clone().unwrap_or_default());
            of(&row, &mut |relation| {
                relation.columns.push(ColumnLayout {
                    masked: self.mask.hides(table, &name),
                    name: name.clone(),
                    kind: kind.clone().unwrap_or_default(),
                    nullable: nullable.as_deref() == Some("1"),
                    default: default.clone(),
                    comment: comment.clone(),
                    primary_key: place.as_ref().and_then(|place| place.parse().ok()),
                });
            });
        }
        for row in texts(&self.query_own(questions.foreign_keys).await?) {
            let [_, _, columns, references] = row.as_slice() else { continue };
            of(&row, &mut |relation| {
                let key = ForeignKey { columns: columns.clone().unwrap_or_default(), references: references.clone().unwrap_or_default() };
                relation.foreign_keys.push(key);
            });
        }
        for row in texts(&self.query_own(questions.indexes).await?) {
            let [_, _, name, columns, unique] = row.as_slice() else { continue };
            of(&row, &mut |relation| {
                let (name, columns) = (name.clone().unwrap_or_default(), columns.clone().unwrap_or_default());
                relation.indexes.push(Index { name, columns, unique: unique.as_deref() == Some("1") });
            });
        }
        Ok(())
    }

    /// Patterns of the mask that hide no column of any table that is described: they may be misspelt.
    pub(super) async fn idle_masks(&self) -> Result<Vec<&str>, SqlError> {
        if self.mask.is_empty() {
            return Ok(Vec::new());
        }
        let layout = self.layout(None).await?;
        if layout.undescribed > 0 {
            return Ok(Vec::new());
        }
        let columns = layout
            .relations
            .into_iter()
            .flat_map(|Relation { name, columns, .. }| columns.into_iter().map(move |column| (name.clone(), column.name)));
        Ok(self.mask.idle(&columns.collect::<Vec<_>>()))
    }

    /// The columns of SQLite's tables, as far as each of them can be told.
    async fn columns_one_by_one(
        &self,
        found: &mut BTreeMap<(String, String), Relation>,
        wanted: &[(String, String)],
    ) -> Result<Table, SqlError> {
        let mut all = Table::default();
        for key in wanted {
            let ask = Ask { sql: SQLITE_COLUMNS_OF.into(), params: vec![key.1.clone().into()], max_rows: MAX_ROWS };
            match (self.query(ask).await, found.get_mut(key)) {
                (Ok(columns), _) => all.rows.extend(columns.rows),
                (Err(SqlError::Statement { message, .. }), Some(relation)) => relation.error = Some(message),
                (Err(error), _) => return Err(error),
            }
        }
        Ok(all)
    }

    /// The name of a relation as a statement must write it.
    pub(crate) fn quoted(&self, relation: &Relation) -> String {
        let quote = if matches!(self.engine, Engine::Mysql(_)) { '`' } else { '"' };
        let quoted = |name: &str| format!("{quote}{}{quote}", name.replace(quote, &format!("{quote}{quote}")));
        if relation.schema.is_empty() { quoted(&relation.name) } else { format!("{}.{}", quoted(&relation.schema), quoted(&relation.name)) }
    }
}

/// The values of rows of our own as texts.
fn texts(table: &Table) -> impl Iterator<Item = Vec<Option<String>>> + '_ {
    let text = |cell: &Json| match cell.to_value() {
        Ok(serde_json::Value::Null) | Err(_) => None,
        Ok(serde_json::Value::String(text)) => Some(text),
        Ok(other) => Some(other.to_string()),
    };
    table.rows.iter().map(move |row| row.iter().map(text).collect())
}
