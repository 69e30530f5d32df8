//! SQLite: a file, opened to read, behind an authorizer that knows what reading is.

use super::{Ask, Column, Cut, DatabaseSettings, MAX_WAIT, Rows, SqlError, Table, mask::Mask, statement, value};
use rusqlite::{
    Connection, InterruptHandle, OpenFlags,
    config::DbConfig,
    hooks::{AuthAction, AuthContext, Authorization},
    limits::Limit,
    types::{ToSqlOutput, Value, ValueRef},
};
use std::{
    collections::BTreeSet,
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// How many steps of its machine SQLite takes between two looks at the clock.
const STEPS: i32 = 1000;
/// How long a statement that was interrupted has to say so.
const GRACE: Duration = Duration::from_millis(500);

const LIMITS: &[(Limit, i32)] = &[
    (Limit::SQLITE_LIMIT_LENGTH, 1 << 20),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 64 << 10),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 50),
    (Limit::SQLITE_LIMIT_VDBE_OP, 250_000),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// Pragmas that tell and do nothing, even where they are given an argument.
const TELLING_PRAGMAS: &[&str] = &[
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "index_xinfo",
    "foreign_key_list",
    "database_list",
    "collation_list",
    "function_list",
    "module_list",
    "pragma_list",
    "compile_options",
    "integrity_check",
    "quick_check",
    "foreign_key_check",
];
/// Pragmas that tell as long as they are given nothing.
const ASKING_PRAGMAS: &[&str] = &[
    "application_id",
    "auto_vacuum",
    "cache_size",
    "data_version",
    "encoding",
    "foreign_keys",
    "freelist_count",
    "journal_mode",
    "page_count",
    "page_size",
    "query_only",
    "schema_version",
    "user_version",
    "synchronous",
    "busy_timeout",
    "mmap_size",
    "temp_store",
    "locking_mode",
    "max_page_count",
    "wal_autocheckpoint",
    "recursive_triggers",
    "secure_delete",
    "threads",
];
/// Functions that reach outside of the database, or that hand out what the machine holds.
const DENIED_FUNCTIONS: &[&str] = &["load_extension", "fts3_tokenizer", "readfile", "writefile", "edit", "fileio_read", "fileio_write"];

/// Functions of full-text search that quote columns without reading them: denied where some are masked.
const QUOTING_FUNCTIONS: &[&str] = &["snippet", "highlight", "offsets", "matchinfo"];

/// Makes the file before it is first opened.
type Maker = Box<dyn Fn() -> std::io::Result<()> + Send + Sync>;

pub(super) struct Sqlite {
    path: PathBuf,
    name: String,
    timeout: Duration,
    mask: Mask,
    made_by: Option<Maker>,
    /// Whether statements may write rows.
    writes: bool,
    idle: Mutex<Vec<Opened>>,
    places: Arc<Semaphore>,
}

/// A connection, with what its callbacks share.
struct Opened {
    connection: Connection,
    run: Arc<Mutex<Option<Arc<Run>>>>,
    masked: Arc<Mutex<BTreeSet<String>>>,
}

/// One statement on its way. It ends when its time is over or its caller leaves.
struct Run {
    is_given_up: AtomicBool,
    ends: Instant,
    interrupt: Mutex<Option<InterruptHandle>>,
}

impl Run {
    fn is_over(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed) || Instant::now() >= self.ends
    }

    /// Ends it from outside. What the machine does within one step is not interrupted, but it is bounded.
    fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
        if let Some(interrupt) = &*locked(&self.interrupt) {
            interrupt.interrupt();
        }
    }
}

/// Ends the statement when the caller leaves.
struct Caller(Arc<Run>);

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sqlite {
    pub(super) fn at(path: PathBuf, settings: &DatabaseSettings, mask: Mask) -> Self {
        let (name, timeout, places) = (settings.name.clone(), settings.timeout, Arc::new(Semaphore::new(settings.pool_size)));
        Self { path, name, timeout, mask, made_by: None, writes: false, idle: Mutex::default(), places }
    }

    /// Lets statements write rows: those of the config.
    pub(super) fn writing(mut self) -> Self {
        self.writes = true;
        self
    }

    /// Has the file made by `make` before it is opened.
    pub(super) fn made_by(mut self, make: Maker) -> Self {
        self.made_by = Some(make);
        self
    }

    pub(super) async fn query(self: Arc<Self>, ask: Ask) -> Result<Table, SqlError> {
        if !self.mask.is_empty() {
            statement::refuse_joins_by_name(&ask.sql).map_err(SqlError::Refused)?;
        }
        let waiting = tokio::time::timeout(MAX_WAIT, Arc::clone(&self.places).acquire_owned());
        let place = waiting.await.map_err(|_| SqlError::Busy(self.name.clone()))?.expect("the places of a database are never closed");
        let run = Arc::new(Run { is_given_up: AtomicBool::new(false), ends: Instant::now() + self.timeout, interrupt: Mutex::default() });
        let caller = Caller(Arc::clone(&run));
        let (timeout, self_writes) = (self.timeout, self.writes);
        let mut working = tokio::task::spawn_blocking(move || {
            // Held by the thread: what goes on after its caller has left counts among the connections.
            let _place = place;
            self.run(&ask, &run)
        });
        let late = match self_writes {
            true => Err(SqlError::Lost("the statement did not end in time".to_owned())),
            false => Err(SqlError::Timeout(timeout)),
        };
        tokio::select! {
            done = &mut working => done.unwrap_or_else(|error| Err(SqlError::statement(format!("the database's thread broke off: {error}")))),
            () = tokio::time::sleep(timeout) => {
                caller.0.give_up();
                // One step of the machine is not interrupted; nobody has to wait for it.
                match tokio::time::timeout(GRACE, working).await {
                    Ok(Ok(done)) => done,
                    _ => late,
                }
            }
        }
    }

    fn run(&self, ask: &Ask, run: &Arc<Run>) -> Result<Table, SqlError> {
        let idle = locked(&self.idle).pop();
        let mut opened = match idle {
            Some(opened) => opened,
            None => self.open()?,
        };
        *locked(&run.interrupt) = Some(opened.connection.get_interrupt_handle());
        *locked(&opened.run) = Some(Arc::clone(run));
        let result = self.step(&mut opened, ask, run);
        *locked(&run.interrupt) = None;
        *locked(&opened.run) = None;
        locked(&self.idle).push(opened);
        result
    }

    fn open(&self) -> Result<Opened, SqlError> {
        let unreachable = |reason: String| SqlError::Unreachable { name: self.name.clone(), reason };
        if let Some(make) = &self.made_by {
            make().map_err(|error| unreachable(error.to_string()))?;
        }
        // No URI: what the path says is a path.
        let access = if self.writes { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(|error| unreachable(error.to_string()))?;
        let masked = Arc::default();
        let run = Arc::default();
        let mut opened = Opened { connection, run, masked };
        self.guard(&mut opened).map_err(|error| unreachable(error.to_string()))?;
        Ok(opened)
    }

    fn guard(&self, opened: &mut Opened) -> rusqlite::Result<()> {
        let connection = &mut opened.connection;
        for (limit, value) in LIMITS {
            connection.set_limit(*limit, *value)?;
        }
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, self.writes)?;
        if self.writes {
            connection.pragma_update(None, "foreign_keys", true)?;
        } else {
            connection.pragma_update(None, "query_only", true)?;
        }
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        let run = Arc::clone(&opened.run);
        connection.progress_handler(STEPS, Some(move || locked(&run).as_ref().is_some_and(|run| run.is_over())))?;
        let (mask, masked, writes) = (self.mask.clone(), Arc::clone(&opened.masked), self.writes);
        connection.authorizer(Some(move |context: AuthContext<'_>| match context.action {
            AuthAction::Insert { .. } | AuthAction::Update { .. } | AuthAction::Delete { .. } if writes => Authorization::Allow,
            _ => authorize(&context, &mask, &masked),
        }))?;
        Ok(())
    }

    fn step(&self, opened: &mut Opened, ask: &Ask, run: &Run) -> Result<Table, SqlError> {
        locked(&opened.masked).clear();
        let failed = |error| self.explain(error, &ask.sql, run);
        if ask.sql.contains('\0') {
            return Err(SqlError::Refused("the statement holds a NUL character".into()));
        }
        let mut statement = opened.connection.prepare(&ask.sql).map_err(failed)?;
        let columns: Vec<Column> = statement
            .columns()
            .map(|column| Column { name: column.name().into(), kind: column.decl_type().unwrap_or_default().to_lowercase() })
            .collect();
        if columns.is_empty() && !self.writes {
            return Err(SqlError::Refused("the statement gives no rows: only reading is allowed".into()));
        }
        if self.writes && statement.readonly() {
            return Err(SqlError::Refused("the statement writes nothing".into()));
        }
        if statement.parameter_count() != ask.params.len() {
            let message = format!("the statement has {} parameter(s), {} were given", statement.parameter_count(), ask.params.len());
            return Err(SqlError::statement(message));
        }
        let mut found = statement.query(rusqlite::params_from_iter(ask.params.iter().map(Param))).map_err(failed)?;
        let mut rows = Rows::new(ask.max_rows);
        let mut cut = None;
        while let Some(row) = found.next().map_err(failed)? {
            let cells = (0..columns.len()).map(|index| row.get_ref(index).map(json)).collect::<Result<_, _>>().map_err(failed)?;
            if let Err(bound) = rows.push(cells) {
                cut = Some(bound);
                break;
            }
            if run.is_over() && self.writes {
                // The first row comes once everything is written: it is done, and no more is told of it.
                cut = Some(Cut::Rows);
                break;
            }
            if run.is_over() {
                return Err(SqlError::Timeout(self.timeout));
            }
        }
        drop(found);
        drop(statement);
        if self.writes {
            return Ok(rows.into_written(columns, cut, opened.connection.changes()));
        }
        let masked = locked(&opened.masked).iter().cloned().collect();
        rows.into_table(columns, cut, masked)
    }

    fn explain(&self, error: rusqlite::Error, sql: &str, run: &Run) -> SqlError {
        use rusqlite::{Error, ErrorCode};
        let (code, message, offset) = match error {
            Error::SqlInputError { error, msg, offset, .. } => (error.code, msg, usize::try_from(offset).ok()),
            Error::SqliteFailure(failure, message) => (failure.code, message.unwrap_or_else(|| failure.to_string()), None),
            Error::MultipleStatement => return SqlError::Refused("more than one statement".into()),
            other => return SqlError::statement(other.to_string()),
        };
        match code {
            ErrorCode::OperationInterrupted if run.is_over() => SqlError::Timeout(self.timeout),
            ErrorCode::AuthorizationForStatementDenied => SqlError::Refused(format!("only reading is allowed ({message})")),
            ErrorCode::NotADatabase => SqlError::Unreachable { name: self.name.clone(), reason: message },
            _ if message.starts_with("not authorized") => SqlError::Refused(format!("only reading is allowed ({message})")),
            _ => {
                let position = offset.and_then(|offset| sql.get(..offset)).map(|before| before.chars().count() + 1);
                let is_unknown = message.starts_with("no such table") || message.starts_with("no such column");
                let first = sql.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
                let asks_otherwise = matches!(first.as_str(), "show" | "describe" | "desc");
                let hint = (is_unknown || asks_otherwise).then(|| "describe_database lists tables and columns".to_owned());
                SqlError::Statement { message, position, hint, code: None }
            }
        }
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What a statement may do: read, call functions that stay inside, and ask for what the schema is.
fn authorize(context: &AuthContext<'_>, mask: &Mask, masked: &Mutex<BTreeSet<String>>) -> Authorization {
    match context.action {
        AuthAction::Select | AuthAction::Recursive => Authorization::Allow,
        AuthAction::Read { table_name, column_name } if mask.hides(table_name, column_name) => {
            locked(masked).insert(format!("{table_name}.{column_name}"));
            // Everywhere in the statement the column is null: in conditions and inside of functions, too.
            Authorization::Ignore
        }
        AuthAction::Read { table_name, column_name } if !mask.is_empty() && copies_values(table_name, column_name) => {
            locked(masked).insert(format!("{table_name}.{column_name}"));
            Authorization::Ignore
        }
        AuthAction::Read { .. } => Authorization::Allow,
        AuthAction::Function { function_name }
            if !mask.is_empty() && QUOTING_FUNCTIONS.contains(&function_name.to_lowercase().as_str()) =>
        {
            Authorization::Deny
        }
        AuthAction::Function { function_name } if !DENIED_FUNCTIONS.contains(&function_name.to_lowercase().as_str()) => {
            Authorization::Allow
        }
        AuthAction::Pragma { pragma_name, pragma_value } if tells(&pragma_name.to_lowercase(), pragma_value) => Authorization::Allow,
        _ => Authorization::Deny,
    }
}

/// Whether a column of SQLite's own tables holds values of others: samples of statistics, the contents of full-text indexes.
fn copies_values(table: &str, column: &str) -> bool {
    let (table, column) = (table.to_lowercase(), column.to_lowercase());
    let is_numbered = column.strip_prefix('c').is_some_and(|number| number.starts_with(|first: char| first.is_ascii_digit()));
    match table.as_str() {
        "sqlite_stat3" | "sqlite_stat4" => column == "sample",
        _ => (table.ends_with("_content") && is_numbered) || (table.ends_with("_data") && column == "block"),
    }
}

fn tells(pragma: &str, value: Option<&str>) -> bool {
    TELLING_PRAGMAS.contains(&pragma) || (value.is_none() && ASKING_PRAGMAS.contains(&pragma))
}

fn json(value: ValueRef<'_>) -> toolcrib_contract::Json {
    match value {
        ValueRef::Null => value::null(),
        ValueRef::Integer(number) => value::integer(number),
        ValueRef::Real(number) => value::float(number),
        // A text that is none is bytes.
        ValueRef::Text(text) => std::str::from_utf8(text).map_or_else(|_| value::bytes(text), value::text),
        ValueRef::Blob(bytes) => value::bytes(bytes),
    }
}

/// A parameter as SQLite takes it.
struct Param<'a>(&'a serde_json::Value);

impl rusqlite::ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self.0 {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(flag) => Value::Integer(i64::from(*flag)),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(whole) => Value::Integer(whole),
                None => Value::Real(number.as_f64().unwrap_or(f64::MAX)),
            },
            serde_json::Value::String(text) => Value::Text(text.clone()),
            nested => Value::Text(nested.to_string()),
        };
        Ok(ToSqlOutput::Owned(value))
    }
}
