//! Databases that may be read and never written: the ground on which `database_query` and `describe_database` stand.
//!
//! Reading only is kept by several walls at once, so that no single mistake opens one:
//!
//! 1. [`statement`]: one statement, parsed by a real parser, out of an allow list (PostgreSQL, MySQL, MariaDB).
//! 2. The engine: read-only sessions and transactions, prepared statements only, SQLite's authorizer.
//! 3. The engine's limits: time, rows, bytes, memory; whatever runs is cancelled at the server when its caller leaves.
//! 4. The role: one that may do more than read is refused unless the config says otherwise.
//!
//! | module | what it holds |
//! |---|---|
//! | [`location`] | where a database is, out of a connection string |
//! | [`statement`] | which statements pass |
//! | [`sqlite`], [`postgres`], [`mysql`] | the engines |
//! | [`login`], [`pool`] | connections to servers |
//! | [`value`] | values as JSON, exactly |
//! | [`mask`] | columns that nobody may see |
//! | [`sample`] | the database that is there without a config |
//! | [`layout`] | what a database holds: tables, columns, keys |
//! | [`examine`] | whether databases answer, and what their logins can do |

mod examine;
pub(crate) mod layout;
mod location;
mod login;
mod mask;
mod mysql;
mod pool;
mod postgres;
mod sample;
mod sqlite;
mod statement;
mod value;

pub use examine::Finding;
pub use location::{Location, LocationError, Server, Tls};

use mask::Mask;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use toolcrib_contract::Json;
use toolcrib_egress::Egress;

/// The most bytes of values in one result.
const MAX_RESULT_BYTES: usize = 8 << 20;
/// The most rows of an answer to a question of our own.
const MAX_ROWS: usize = 20_000;
/// How long to wait for a connection of a pool.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// The name of the database that is there without a config.
pub const SAMPLE: &str = "sample";

/// A database that the config names.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// The name that callers use.
    pub name: String,
    /// Where it is.
    pub location: Location,
    /// What it holds, for the model that chooses.
    pub description: Option<String>,
    /// Columns that nobody may see, as patterns of `table.column`.
    pub mask: Vec<String>,
    /// The most rows of one result, whatever the caller asks for. Default 10,000.
    pub max_rows: usize,
    /// How long a statement may run. Default 30 s.
    pub timeout: Duration,
    /// Connections at once. Default 4.
    pub pool_size: usize,
    /// Whether the login may be one that can do more than read. Default no.
    pub allows_privileged_role: bool,
}

impl DatabaseSettings {
    /// A database by its name and location, everything else by default.
    #[must_use]
    pub fn new(name: &str, location: Location) -> Self {
        Self {
            name: name.into(),
            location,
            description: None,
            mask: Vec::new(),
            max_rows: 10_000,
            timeout: Duration::from_secs(30),
            pool_size: 4,
            allows_privileged_role: false,
        }
    }
}

/// Whether callers may name a database by a connection string, and which.
#[derive(Debug, Clone, Default)]
pub struct ConnectionStrings {
    /// Whether they may. Hosts pass the rules of egress. Default no.
    pub are_allowed: bool,
    /// Folders in which files of SQLite may be opened.
    pub folders: Vec<PathBuf>,
}

/// All databases.
#[derive(Debug)]
pub(crate) struct Databases {
    named: BTreeMap<String, Arc<Database>>,
    strings: ConnectionStrings,
    egress: Egress,
}

/// One database, with its connections.
#[derive(Debug)]
pub(crate) struct Database {
    settings: DatabaseSettings,
    mask: Mask,
    engine: Engine,
}

/// The same file for statements of the config that write; the sample has none.
type Writable = Option<Arc<sqlite::Sqlite>>;

#[derive(Debug)]
enum Engine {
    Sqlite(Arc<sqlite::Sqlite>, Writable),
    Postgres(postgres::Postgres),
    Mysql(mysql::Mysql),
}

/// What is asked of a database.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) sql: String,
    /// The values of the statement's parameters, in their order.
    pub(crate) params: Vec<serde_json::Value>,
    pub(crate) max_rows: usize,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Json>>,
    /// Why there are fewer rows than the statement gives.
    pub(crate) cut: Option<Cut>,
    /// Columns whose values were left out.
    pub(crate) masked: Vec<String>,
    /// How many rows were written, by a statement that writes.
    pub(crate) affected: Option<u64>,
}

/// A column of a result. Several may have one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
}

/// Which bound a result met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Rows,
    Bytes,
}

/// Why a statement gave nothing. No variant ever holds a password.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum SqlError {
    #[error("there is no database {name:?}; known are {known}")]
    UnknownDatabase { name: String, known: String },
    #[error("say which database is meant: {known}")]
    WhichDatabase { known: String },
    #[error("{0}")]
    BadConnectionString(String),
    #[error("Invalid tool input: {0}")]
    Refused(String),
    #[error("{message}")]
    Statement {
        message: String,
        /// In characters of the statement, from 1.
        position: Option<usize>,
        hint: Option<String>,
        /// The SQLSTATE, or the engine's own code.
        code: Option<String>,
    },
    #[error("the statement ran longer than {} s and was cancelled", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("one row alone is larger than {} MiB; select less of it", MAX_RESULT_BYTES >> 20)]
    TooLarge,
    #[error("all connections to {0:?} are taken; try again in a moment")]
    Busy(String),
    #[error("whether it was done is not known: {0}")]
    Lost(String),
    #[error("{name:?} cannot be reached: {reason}")]
    Unreachable { name: String, reason: String },
    #[error(
        "the login of {name:?} can do more than read ({what}): give the connection a role that can only read, or set allowPrivilegedRole: true"
    )]
    Privileged { name: String, what: String },
}

impl SqlError {
    fn statement(message: impl Into<String>) -> Self {
        Self::Statement { message: message.into(), position: None, hint: None, code: None }
    }

    /// The same error with its position elsewhere.
    fn placed(self, place: impl Fn(usize) -> usize) -> Self {
        match self {
            Self::Statement { message, position, hint, code } => Self::Statement { message, position: position.map(place), hint, code },
            other => other,
        }
    }

    /// What kind of failure it is, in one word that stays.
    pub(crate) fn class(&self) -> &'static str {
        match self {
            Self::UnknownDatabase { .. } | Self::WhichDatabase { .. } => "unknown_database",
            Self::BadConnectionString(_) => "bad_connection_string",
            Self::Refused(_) => "refused",
            Self::Statement { .. } => "statement",
            Self::Timeout(_) => "timeout",
            Self::TooLarge => "too_large",
            Self::Busy(_) => "busy",
            Self::Lost(_) => "lost",
            Self::Unreachable { .. } => "unreachable",
            Self::Privileged { .. } => "privileged_role",
        }
    }
}

impl Databases {
    /// The databases of the config, and the sample where `data` says in which folder it may lie.
    pub(crate) fn new(settings: Vec<DatabaseSettings>, sample: Option<PathBuf>, strings: ConnectionStrings, egress: Egress) -> Self {
        let mut named: BTreeMap<String, Arc<Database>> = BTreeMap::new();
        for settings in settings {
            named.insert(settings.name.clone(), Arc::new(Database::new(settings, None)));
        }
        if let Some(folder) = sample {
            named.entry(SAMPLE.into()).or_insert_with(|| Arc::new(Database::sample(&folder)));
        }
        Self { named, strings, egress }
    }

    /// Which databases there are, in words for the model that chooses.
    pub(crate) fn described(&self) -> String {
        let mut known: Vec<String> = self
            .named
            .values()
            .map(|database| match &database.settings.description {
                Some(description) => format!("{:?} ({}: {description})", database.name(), database.engine_name()),
                None => format!("{:?} ({})", database.name(), database.engine_name()),
            })
            .collect();
        if self.strings.are_allowed {
            known.push("any other by its connection string (sqlite:, postgres:, mysql:)".into());
        }
        if known.is_empty() { "none is configured".to_owned() } else { known.join(", ") }
    }

    /// The database with this name; without one, the only one there is. A connection string is taken where that is allowed.
    pub(crate) async fn find(&self, name: Option<&str>) -> Result<Arc<Database>, SqlError> {
        let known = || self.named.keys().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let Some(name) = name else {
            let mut all = self.named.values();
            return match (all.next(), all.next()) {
                (Some(only), None) => Ok(Arc::clone(only)),
                (None, _) => Err(SqlError::WhichDatabase { known: "none is configured".into() }),
                (Some(_), _) => Err(SqlError::WhichDatabase { known: known() }),
            };
        };
        if let Some(database) = self.named.get(name) {
            return Ok(Arc::clone(database));
        }
        if !name.contains(':') {
            return Err(SqlError::UnknownDatabase { name: name.to_owned(), known: known() });
        }
        if !self.strings.are_allowed {
            let reason = format!("connection strings are not allowed here; known databases are {}", known());
            return Err(SqlError::BadConnectionString(reason));
        }
        let bad = |error: LocationError| SqlError::BadConnectionString(error.to_string());
        let location = Location::parse(name).and_then(|location| location.within(&self.strings.folders)).map_err(bad)?;
        let settings = DatabaseSettings { pool_size: 1, ..DatabaseSettings::new("the given connection", location) };
        Ok(Arc::new(Database::new(settings, Some(self.egress.clone()))))
    }
}

impl Database {
    /// A database. Hosts that the config names are dialled as they are; those of callers pass the rules of `egress`.
    fn new(settings: DatabaseSettings, egress: Option<Egress>) -> Self {
        let mask = Mask::new(&settings.mask);
        let engine = match &settings.location {
            Location::Sqlite(path) => {
                let reading = sqlite::Sqlite::at(path.clone(), &settings, mask.clone());
                let writing = sqlite::Sqlite::at(path.clone(), &settings, Mask::default()).writing();
                Engine::Sqlite(Arc::new(reading), Some(Arc::new(writing)))
            }
            Location::Postgres(server) => Engine::Postgres(postgres::Postgres::new(server.clone(), &settings, mask.clone(), egress)),
            Location::Mysql(server) => Engine::Mysql(mysql::Mysql::new(server.clone(), &settings, mask.clone(), egress)),
        };
        Self { settings, mask, engine }
    }

    fn sample(folder: &Path) -> Self {
        let file = folder.join("sample.sqlite");
        let mut settings = DatabaseSettings::new(SAMPLE, Location::Sqlite(file.clone()));
        settings.description = Some(sample::DESCRIPTION.into());
        let sqlite = sqlite::Sqlite::at(file.clone(), &settings, Mask::default()).made_by(Box::new(move || sample::ensure(&file)));
        Self { settings, mask: Mask::default(), engine: Engine::Sqlite(Arc::new(sqlite), None) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(crate) fn engine_name(&self) -> &'static str {
        match &self.engine {
            Engine::Sqlite(..) => "sqlite",
            Engine::Postgres(_) => "postgresql",
            Engine::Mysql(_) => "mysql",
        }
    }

    pub(crate) fn max_rows(&self) -> usize {
        self.settings.max_rows
    }

    /// Runs a caller's statement, if it passes every wall.
    ///
    /// # Cancellation
    /// Dropping the future cancels the statement at the server.
    pub(crate) async fn query(&self, ask: Ask) -> Result<Table, SqlError> {
        match &self.engine {
            Engine::Sqlite(sqlite, _) => Arc::clone(sqlite).query(ask).await,
            Engine::Postgres(postgres) => postgres.query(ask).await,
            Engine::Mysql(mysql) => mysql.query(ask).await,
        }
    }

    /// Runs a statement of the config that writes: as a whole, or not at all. What it returns is not masked, since it is the
    /// config's own.
    ///
    /// # Cancellation
    /// As for [`Database::query`]; what was done by then is undone, unless it was already for good.
    pub(crate) async fn write(&self, ask: Ask) -> Result<Table, SqlError> {
        match &self.engine {
            Engine::Sqlite(_, Some(sqlite)) => Arc::clone(sqlite).query(ask).await,
            Engine::Sqlite(_, None) => Err(SqlError::Refused(format!("the database {:?} is only there to be read", self.name()))),
            Engine::Postgres(postgres) => postgres.write(ask).await,
            Engine::Mysql(mysql) => mysql.write(ask).await,
        }
    }

    /// Runs a statement of our own: it needs no leave to pass, but all other walls stand.
    async fn query_own(&self, sql: &str) -> Result<Table, SqlError> {
        let ask = Ask { sql: sql.into(), params: Vec::new(), max_rows: MAX_ROWS };
        match &self.engine {
            Engine::Sqlite(sqlite, _) => Arc::clone(sqlite).query(ask).await,
            Engine::Postgres(postgres) => postgres.query_own(ask).await,
            Engine::Mysql(mysql) => mysql.query_own(ask).await,
        }
    }
}

/// Gathers rows until a bound is met.
#[derive(Debug)]
struct Rows {
    rows: Vec<Vec<Json>>,
    bytes: usize,
    max_rows: usize,
}

impl Rows {
    fn new(max_rows: usize) -> Self {
        Self { rows: Vec::new(), bytes: 0, max_rows }
    }

    /// Takes a row, or says which bound it met.
    fn push(&mut self, row: Vec<Json>) -> Result<(), Cut> {
        if self.rows.len() == self.max_rows {
            return Err(Cut::Rows);
        }
        let bytes: usize = row.iter().map(Json::size_bytes).sum();
        if self.bytes + bytes > MAX_RESULT_BYTES {
            return Err(Cut::Bytes);
        }
        self.bytes += bytes;
        self.rows.push(row);
        Ok(())
    }

    fn into_table(self, columns: Vec<Column>, cut: Option<Cut>, masked: Vec<String>) -> Result<Table, SqlError> {
        if cut == Some(Cut::Bytes) && self.rows.is_empty() {
            return Err(SqlError::TooLarge);
        }
        Ok(Table { columns, rows: self.rows, cut, masked, affected: None })
    }

    /// What was written, and what is told of it: no more than there is room for, since it is done.
    fn into_written(self, columns: Vec<Column>, cut: Option<Cut>, affected: u64) -> Table {
        Table { columns, rows: self.rows, cut, masked: Vec::new(), affected: Some(affected) }
    }
}

#[cfg(test)]
mod tests;
