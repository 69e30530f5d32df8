//! The SQLite file: opened so that what was committed is on disk, and brought to the schema of this version.

use crate::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The name of the file.
pub(crate) const FILE: &str = "toolcrib.db";
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
pub(crate) struct Database {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
}

/// A connection that several share.
pub(crate) struct Shared(Mutex<Database>);

impl Shared {
    pub(crate) fn new(database: Database) -> Self {
        Self(Mutex::new(database))
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&Database) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let database = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(&database).map_err(|error| database.failed(error))
    }
}

impl Database {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        make_private(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let database = Self::connect(path).map_err(|source| explained(path, source))?;
        database.migrate()?;
        database.refuse_strangers()?;
        Ok(database)
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
        if found > known { Err(StoreError::Newer { path: self.path.clone(), found, known }) } else { Ok(()) }
    }

    /// A trigger or a view of somebody else's could change what is written or read without a word, and a table make records
    /// go before their time.
    fn refuse_strangers(&self) -> Result<(), StoreError> {
        match strangers(&self.connection).map_err(|source| self.failed(source))? {
            Some(names) => Err(StoreError::Damaged { path: self.path.clone(), reason: format!("somebody added to it: {names}") }),
            None => Ok(()),
        }
    }

    pub(crate) fn failed(&self, source: rusqlite::Error) -> StoreError {
        explained(&self.path, source)
    }
}

/// What is in the schema that we did not put there.
pub(crate) fn strangers(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let query = "SELECT group_concat(type || ' ' || name, ', ') FROM sqlite_schema
        WHERE name NOT IN ('audit', 'audit_at', 'checkpoint', 'api_key', 'secret', 'vault', 'listing') AND name NOT LIKE 'sqlite\\_autoindex\\_%' ESCAPE '\\'";
    connection.query_row(query, [], |row| row.get(0))
}

fn explained(path: &Path, source: rusqlite::Error) -> StoreError {
    match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            StoreError::Damaged { path: path.to_owned(), reason: source.to_string() }
        }
        _ => StoreError::Database { path: path.to_owned(), source },
    }
}

/// Makes the file for its owner alone, before SQLite would make it for everybody.
fn make_private(path: &Path) -> io::Result<()> {
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
