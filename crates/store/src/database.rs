//! Where everything lasts: a file of SQLite, or a server of PostgreSQL. Both are asked in the SQL that both understand, with places
//! written `$1`; where they differ, the module of each has its own.

pub(crate) mod file;
pub(crate) mod server;

use crate::StoreError;
use file::File;
use server::Server;
use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio_postgres::error::SqlState;

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
    /// None of ours: what somebody else put there.
    Real(f64),
}

/// What a query gave: the values of its columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row(pub(crate) Vec<Value>);

/// Why a statement gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    File(#[from] rusqlite::Error),
    #[error("{}", server::explained(.0))]
    Server(#[from] tokio_postgres::Error),
    /// The server is away.
    #[error("it cannot be reached: {0}")]
    Away(String),
    /// A value is of another type than was written.
    #[error("a value is of another type than was written")]
    OddValue,
    /// Something is not as we left it.
    #[error("{0}")]
    Odd(String),
}

/// Statements, each by itself or in a transaction.
pub(crate) trait Sql {
    /// Runs a statement, and gives how many rows it changed.
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, Failed>;

    /// Runs a statement once for each of these rows of values.
    fn execute_all(&mut self, sql: &str, rows: &[&[Value]]) -> Result<u64, Failed>;

    /// Asks for rows.
    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Failed>;

    /// Asks for the first row.
    fn first(&mut self, sql: &str, values: &[Value]) -> Result<Option<Row>, Failed> {
        Ok(self.query(sql, values)?.into_iter().next())
    }
}

/// How often something is asked that others stood in the way of.
const MAX_TRIES: usize = 5;

impl Failed {
    /// Whether two waited for each other, and we were the one that had to give way.
    fn is_deadlock(&self) -> bool {
        matches!(self, Self::Server(error) if error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED))
    }
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// To see one state of everything, whatever is written meanwhile.
    Reading,
    /// To write, all of it or nothing.
    Writing,
}

/// One connection.
#[derive(Debug)]
pub(crate) enum Database {
    File(File),
    Server(Server),
}

/// A connection that several share.
pub(crate) struct Shared(Mutex<Database>);

impl Shared {
    pub(crate) fn new(database: Database) -> Arc<Self> {
        Arc::new(Self(Mutex::new(database)))
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let locked = || work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        // Whoever has it may wait for a server: others go on meanwhile.
        match Handle::try_current().map(|here| here.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(locked),
            _ => locked(),
        }
    }

    /// Runs one statement.
    pub(crate) fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        self.with(|database| database.run(|it| it.execute(sql, values)))
    }

    /// Asks for one value: bytes, if there is a row.
    pub(crate) fn blob(&self, sql: &str, values: &[Value]) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|database| database.read(|it| it.first(sql, values)?.map(|row| row.blob(0).map(<[u8]>::to_vec)).transpose()))
    }
}

impl Database {
    /// Opens a file, and makes it where it is missing.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        File::open(path).map(Self::File)
    }

    /// Where it is, for whoever reads of it.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::File(file) => file.path.display().to_string(),
            Self::Server(server) => server.place(),
        }
    }

    /// Does some work, statement by statement.
    pub(crate) fn run<T>(&mut self, work: impl FnOnce(&mut dyn Sql) -> Result<T, Failed>) -> Result<T, StoreError> {
        let done = match self {
            Self::File(file) => work(&mut &file.connection),
            Self::Server(server) => server.connected().and_then(|()| work(server)),
        };
        done.map_err(|error| self.failed(error))
    }

    /// Asks. A connection that turns out to be lost is made anew, once; and who stood in the way of retention asks again.
    pub(crate) fn read<T>(&mut self, mut work: impl FnMut(&mut dyn Sql) -> Result<T, Failed>) -> Result<T, StoreError> {
        self.patiently(|database| match database {
            Self::File(file) => work(&mut &file.connection),
            Self::Server(server) => server.connected().and_then(|()| work(server)),
        })
    }

    /// Asks for one view of everything, whatever is written meanwhile.
    pub(crate) fn view<T>(&mut self, mut work: impl FnMut(&mut dyn Sql) -> Result<T, Failed>) -> Result<T, StoreError> {
        self.patiently(|database| database.transacted(For::Reading, &mut work))
    }

    fn patiently<T>(&mut self, mut ask: impl FnMut(&mut Self) -> Result<T, Failed>) -> Result<T, StoreError> {
        let mut left = MAX_TRIES;
        loop {
            left -= 1;
            let error = match ask(self) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let is_first = left + 1 == MAX_TRIES;
            let may_help = matches!(self, Self::Server(server) if is_first && server.is_lost()) || error.is_deadlock();
            if left == 0 || !may_help {
                return Err(self.failed(error));
            }
        }
    }

    /// Whether it is a server that cannot be reached, as far as is known.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self, Self::Server(server) if server.is_lost())
    }

    /// Whether it can be asked. A server that is lost is sought meanwhile, and nobody waits for it.
    pub(crate) fn is_there(&mut self) -> bool {
        match self {
            Self::File(_) => true,
            Self::Server(server) => server.is_there(),
        }
    }

    /// Does some work, all of it or nothing.
    pub(crate) fn transaction<T>(&mut self, what: For, work: impl FnOnce(&mut dyn Sql) -> Result<T, Failed>) -> Result<T, StoreError> {
        self.transacted(what, work).map_err(|error| self.failed(error))
    }

    fn transacted<T>(&mut self, what: For, work: impl FnOnce(&mut dyn Sql) -> Result<T, Failed>) -> Result<T, Failed> {
        match self {
            Self::File(file) => file.transaction(what, work),
            Self::Server(server) => server.transaction(what, |server| work(server)),
        }
    }

    pub(crate) fn failed(&self, error: Failed) -> StoreError {
        match (self, error) {
            (Self::File(file), Failed::File(error)) => file::explained(&file.path, error),
            (_, Failed::OddValue) => StoreError::OddValue { place: self.place() },
            (_, error) => StoreError::Database { place: self.place(), reason: error.to_string() },
        }
    }
}

impl Row {
    pub(crate) fn integer(&self, column: usize) -> Result<i64, Failed> {
        if let Some(Value::Integer(number)) = self.0.get(column) { Ok(*number) } else { Err(Failed::OddValue) }
    }

    pub(crate) fn some_integer(&self, column: usize) -> Result<Option<i64>, Failed> {
        if let Some(Value::Null) = self.0.get(column) { Ok(None) } else { self.integer(column).map(Some) }
    }

    pub(crate) fn text(&self, column: usize) -> Result<&str, Failed> {
        if let Some(Value::Text(text)) = self.0.get(column) { Ok(text) } else { Err(Failed::OddValue) }
    }

    pub(crate) fn some_text(&self, column: usize) -> Result<Option<&str>, Failed> {
        if let Some(Value::Null) = self.0.get(column) { Ok(None) } else { self.text(column).map(Some) }
    }

    pub(crate) fn blob(&self, column: usize) -> Result<&[u8], Failed> {
        if let Some(Value::Blob(bytes)) = self.0.get(column) { Ok(bytes) } else { Err(Failed::OddValue) }
    }

    /// The hash or key that is so long.
    pub(crate) fn bytes<const N: usize>(&self, column: usize) -> Result<[u8; N], Failed> {
        self.blob(column)?.try_into().map_err(|_| Failed::OddValue)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Blob(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Blob(bytes)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(given: Option<T>) -> Self {
        given.map_or(Self::Null, Into::into)
    }
}

/// The values of a statement, in the order of its places.
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$($crate::database::Value::from($value)),*] };
}
pub(crate) use values;

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}
