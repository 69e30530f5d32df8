//! Whether databases answer, and whether their logins can do more than they need.

use super::{Database, Databases, Engine, SqlError};
use toolcrib_contract::Json;

/// What was found out about a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name in the config.
    pub database: String,
    /// What answers there, or why nothing does.
    pub answer: Result<String, String>,
    /// What the operator should do, if anything.
    pub advice: Option<String>,
}

const SQLITE: &str = "SELECT 'SQLite ' || sqlite_version(), 0";
const POSTGRES: &str = "SELECT 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1) || ', login ' || session_user, count(*) FROM \
    pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg~_%' ESCAPE '~' \
    AND n.nspname <> 'information_schema' AND has_table_privilege(session_user, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')";
const MYSQL: &str = "SELECT CONCAT(VERSION(), ', login ', CURRENT_USER()), (SELECT COUNT(*) FROM information_schema.user_privileges WHERE \
    privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'DROP')) + (SELECT COUNT(*) FROM information_schema.schema_privileges WHERE privilege_type IN ('INSERT', \
    'UPDATE', 'DELETE', 'DROP')) + (SELECT COUNT(*) FROM information_schema.table_privileges WHERE privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'DROP'))";

impl Databases {
    /// Asks every database of the config.
    pub(crate) async fn examine(&self) -> Vec<Finding> {
        let mut findings = Vec::with_capacity(self.named.len());
        for database in self.named.values() {
            findings.push(database.examine().await);
        }
        findings
    }
}

impl Database {
    async fn examine(&self) -> Finding {
        let question = match &self.engine {
            Engine::Sqlite(..) => SQLITE,
            Engine::Postgres(_) => POSTGRES,
            Engine::Mysql(_) => MYSQL,
        };
        let database = self.settings.name.clone();
        let table = match self.query_own(question).await {
            Ok(table) => table,
            Err(error) => return Finding { database, answer: Err(error.to_string()), advice: advice_for(&error) },
        };
        let [Some(told), Some(writable)] = [0, 1].map(|index| table.rows.first().and_then(|row| row.get(index))) else {
            return Finding { database, answer: Err("the database answers nothing".into()), advice: None };
        };
        let may_write = writable.as_bytes() != b"0";
        let mut advice = Vec::new();
        if self.settings.allows_privileged_role {
            advice.push("allowPrivilegedRole is set: take it out, and give Toolcrib a login that can only read".to_owned());
        } else if may_write {
            advice.push("the login may write; Toolcrib does not let it, but one that can only read is safer".to_owned());
        }
        match self.idle_masks().await {
            Ok(idle) if idle.is_empty() => {}
            Ok(idle) => advice.push(format!("these masks hide no column, are they misspelt? {idle:?}")),
            Err(error) => advice.push(format!("whether the masks hide anything cannot be told: {error}")),
        }
        let answer = Ok(told.read::<String>().unwrap_or_else(|_| Json::to_string(told)));
        Finding { database, answer, advice: (!advice.is_empty()).then(|| advice.join("; ")) }
    }
}

fn advice_for(error: &SqlError) -> Option<String> {
    match error {
        SqlError::Privileged { .. } => Some("see \"Reading only\" in docs/ready-tools.md for logins that can only read".into()),
        SqlError::Unreachable { .. } => Some("check host, port, login and password in the url, and whether the server runs".into()),
        _ => None,
    }
}
