//! The SQLite file: opened so that what was committed is on disk, and brought to the schema of this version.

use super::{Failed, For, Row, Sql, Value};
use crate::StoreError;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, types};
use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// The name of the file.
pub(crate) const NAME: &str = "toolcrib.db";
/// How long to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// What brings the file from each version to the next.
const MIGRATIONS: [&str; 4] = [
    "
    CREATE TABLE audit (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        trace TEXT,
        authority TEXT NOT NULL,
        subject TEXT NOT NULL,
        roles TEXT NOT NULL,
        address TEXT,
        door TEXT NOT NULL,
        client TEXT,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        outcome TEXT NOT NULL,
        code TEXT,
        reason TEXT,
        duration_us INTEGER NOT NULL,
        argument_bytes INTEGER NOT NULL,
        output_bytes INTEGER,
        digest TEXT,
        arguments TEXT,
        hash BLOB NOT NULL
    ) STRICT;
    CREATE INDEX audit_at ON audit (at_ms);
    CREATE TABLE checkpoint (
        seq INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        hash BLOB NOT NULL,
        signature BLOB NOT NULL
    ) STRICT;
    CREATE TABLE api_key (
        id TEXT PRIMARY KEY,
        mac BLOB NOT NULL,
        subject TEXT NOT NULL,
        roles TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER,
        revoked_ms INTEGER,
        used_ms INTEGER
    ) STRICT;
",
    "
    CREATE TABLE secret (
        name TEXT NOT NULL,
        principal TEXT NOT NULL,
        sealed BLOB NOT NULL,
        updated_ms INTEGER NOT NULL,
        PRIMARY KEY (name, principal)
    ) STRICT;
",
    "
    CREATE TABLE vault (
        name TEXT NOT NULL,
        principal TEXT NOT NULL,
        sealed BLOB NOT NULL,
        updated_ms INTEGER NOT NULL,
        holder INTEGER,
        held_until_ms INTEGER,
        PRIMARY KEY (name, principal)
    ) STRICT;
",
    "
    CREATE TABLE listing (
        server TEXT NOT NULL,
        defined_as TEXT NOT NULL,
        lists TEXT NOT NULL,
        updated_ms INTEGER NOT NULL,
        PRIMARY KEY (server, defined_as)
    ) STRICT;
",
];

/// One connection to the file.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
}

impl File {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        make_private(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let file = Self::connect(path).map_err(|source| explained(path, source))?;
        file.migrate()?;
        file.refuse_strangers()?;
        Ok(file)
    }

    fn connect(path: &Path) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        // Has an effect only on a file that is still empty.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A commit is on disk when it returns, whatever happens to the machine then.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "trusted_schema", false)?;
        Ok(Self { connection, path: path.to_owned() })
    }

    fn migrate(&self) -> Result<(), StoreError> {
        let known = MIGRATIONS.len() as i64;
        let step = || -> rusqlite::Result<i64> {
            let found: i64 = self.connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if found >= known {
                return Ok(found);
            }
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            // Another process may have been quicker.
            let found: i64 = self.connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
                self.connection.execute_batch(migration)?;
            }
            self.connection.pragma_update(None, "user_version", known.max(found))?;
            self.connection.execute_batch("COMMIT")?;
            Ok(known.max(found))
        };
        let found = step().map_err(|source| self.failed(source))?;
        if found > known { Err(StoreError::Newer { place: self.path.display().to_string(), found, known }) } else { Ok(()) }
    }

    /// A trigger or a view of somebody else's could change what is written or read without a word, and a table make records
    /// go before their time.
    fn refuse_strangers(&self) -> Result<(), StoreError> {
        match strangers(&mut &self.connection) {
            Ok(Some(names)) => Err(StoreError::Damaged { path: self.path.clone(), reason: format!("somebody added to it: {names}") }),
            Ok(None) => Ok(()),
            Err(Failed::File(error)) => Err(self.failed(error)),
            Err(other) => Err(StoreError::Damaged { path: self.path.clone(), reason: other.to_string() }),
        }
    }

    pub(super) fn transaction<T>(&mut self, what: For, work: impl FnOnce(&mut dyn Sql) -> Result<T, Failed>) -> Result<T, Failed> {
        // Whoever writes says so at the start: two that read first would both have to give up.
        let behaviour = if what == For::Writing { TransactionBehavior::Immediate } else { TransactionBehavior::Deferred };
        let transaction = self.connection.transaction_with_behavior(behaviour)?;
        let done = work(&mut &*transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    fn failed(&self, source: rusqlite::Error) -> StoreError {
        explained(&self.path, source)
    }
}

impl Sql for &Connection {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, Failed> {
        Ok(self.prepare_cached(&numbered(sql))?.execute(rusqlite::params_from_iter(values))? as u64)
    }

    fn execute_all(&mut self, sql: &str, rows: &[&[Value]]) -> Result<u64, Failed> {
        let mut statement = self.prepare_cached(&numbered(sql))?;
        let mut changed = 0;
        for values in rows {
            changed += statement.execute(rusqlite::params_from_iter(*values))? as u64;
        }
        Ok(changed)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Failed> {
        let mut statement = self.prepare_cached(&numbered(sql))?;
        let columns = statement.column_count();
        let rows = statement.query_map(rusqlite::params_from_iter(values), |row| {
            (0..columns).map(|column| row.get_ref(column)?.try_into().map_err(rusqlite::Error::from)).collect::<Result<_, _>>().map(Row)
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// SQLite numbers its places with `?`; no text of ours holds a `$`.
fn numbered(sql: &str) -> String {
    sql.replace('$', "?")
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<types::ToSqlOutput<'_>> {
        Ok(types::ToSqlOutput::Borrowed(match self {
            Self::Null => types::ValueRef::Null,
            Self::Integer(number) => types::ValueRef::Integer(*number),
            Self::Real(number) => types::ValueRef::Real(*number),
            Self::Text(text) => types::ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => types::ValueRef::Blob(bytes),
        }))
    }
}

impl TryFrom<types::ValueRef<'_>> for Value {
    type Error = types::FromSqlError;

    fn try_from(value: types::ValueRef<'_>) -> Result<Self, Self::Error> {
        Ok(match value {
            types::ValueRef::Null => Self::Null,
            types::ValueRef::Integer(number) => Self::Integer(number),
            types::ValueRef::Real(number) => Self::Real(number),
            types::ValueRef::Text(_) => Self::Text(value.as_str()?.to_owned()),
            types::ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        })
    }
}

/// What is in the schema that we did not put there.
pub(crate) fn strangers(it: &mut dyn Sql) -> Result<Option<String>, Failed> {
    let query = "SELECT group_concat(type || ' ' || name, ', ') FROM sqlite_schema
        WHERE name NOT IN ('audit', 'audit_at', 'checkpoint', 'api_key', 'secret', 'vault', 'listing') AND name NOT LIKE 'sqlite\\_autoindex\\_%' ESCAPE '\\'";
    it.first(query, &[])?.map_or(Ok(None), |row| row.some_text(0).map(|names| names.map(str::to_owned)))
}

pub(super) fn explained(path: &Path, source: rusqlite::Error) -> StoreError {
    match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            StoreError::Damaged { path: path.to_owned(), reason: source.to_string() }
        }
        _ => StoreError::Database { place: path.display().to_string(), reason: source.to_string() },
    }
}

/// Makes the file for its owner alone, before SQLite would make it for everybody.
fn make_private(path: &Path) -> io::Result<()> {
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
