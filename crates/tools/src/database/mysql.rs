//! MySQL and MariaDB: read-only sessions, prepared statements only, and a second connection that kills what should end.

use super::{
    Ask, Column, DatabaseSettings, MAX_RESULT_BYTES, Rows, SqlError, Table,
    location::{Server, Tls},
    login::Login,
    mask::Mask,
    pool::{Breakable, Pool},
    statement::{self, Grammar, Proviso},
    value,
};
use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use mysql_async::{
    Conn, Error, Opts, OptsBuilder, Params, Row, SslOpts, Value,
    consts::{ColumnFlags, ColumnType},
    prelude::Queryable,
};
use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};
use toolcrib_contract::Json;
use toolcrib_egress::Egress;

/// The character set of bytes that are no text.
const BINARY: u16 = 63;
/// What the server says when a statement ran too long: MySQL's and MariaDB's codes, and that of a statement that was killed.
const OUT_OF_TIME: &[u16] = &[3024, 1969, 1317];

#[derive(Debug)]
pub(super) struct Mysql {
    pool: Pool<Connector>,
    mask: Mask,
    timeout: Duration,
}

/// A connection, ready for a statement.
struct Session {
    conn: Conn,
    /// What is said anew after each reset of the connection.
    guards: Arc<[String]>,
}

impl Mysql {
    pub(super) fn new(server: Server, settings: &DatabaseSettings, mask: Mask, egress: Option<Egress>) -> Self {
        Self { pool: Pool::new(Connector(Login::new(server, settings, egress)), settings), mask, timeout: settings.timeout }
    }

    pub(super) async fn query(&self, ask: Ask) -> Result<Table, SqlError> {
        let passed = statement::judge(&ask.sql, Grammar::Mysql, &self.mask).map_err(SqlError::Refused)?;
        self.run(Ask { sql: passed.sql, ..ask }, passed.proviso.as_ref(), &self.mask).await
    }

    pub(super) async fn query_own(&self, ask: Ask) -> Result<Table, SqlError> {
        self.run(ask, None, &Mask::default()).await
    }

    pub(super) async fn write(&self, ask: Ask) -> Result<Table, SqlError> {
        let mut session = self.pool.lease().await?;
        match tokio::time::timeout(self.timeout + Duration::from_secs(1), session.write(&ask, self.timeout)).await {
            Ok(Ok(table)) => {
                // It is done, whatever becomes of the connection.
                if session.end().await.is_ok() {
                    session.hand_back();
                }
                Ok(table)
            }
            Ok(Err(error)) if session.conn.is_disconnected() => Err(SqlError::Lost(error.to_string())),
            Ok(Err(error)) => {
                if session.end().await.is_ok() {
                    session.hand_back();
                }
                Err(error)
            }
            Err(_) => Err(SqlError::Lost("the statement did not end in time".to_owned())),
        }
    }

    async fn run(&self, ask: Ask, proviso: Option<&Proviso>, mask: &Mask) -> Result<Table, SqlError> {
        let mut session = self.pool.lease().await?;
        let work = session.run(&ask, proviso, mask, self.timeout);
        match tokio::time::timeout(self.timeout + Duration::from_secs(1), work).await {
            Ok(Ok(Done::Whole(table))) => {
                session.hand_back();
                Ok(table)
            }
            // The rest of a result that was cut would have to be read to its end: the connection is closed instead.
            Ok(Ok(Done::Cut(table))) => Ok(table),
            Ok(Err(error)) => {
                if matches!(error, SqlError::Statement { .. } | SqlError::Refused(_)) && session.end().await.is_ok() {
                    session.hand_back();
                }
                Err(error)
            }
            Err(_) => Err(SqlError::Timeout(self.timeout)),
        }
    }
}

enum Done {
    Whole(Table),
    Cut(Table),
}

impl Session {
    async fn run(&mut self, ask: &Ask, proviso: Option<&Proviso>, mask: &Mask, timeout: Duration) -> Result<Done, SqlError> {
        let failed = |error| explain(error, timeout);
        self.conn.query_drop("START TRANSACTION READ ONLY").await.map_err(failed)?;
        if let Some(proviso) = proviso
            && self.names_view(&proviso.relations, mask).await.map_err(failed)?
        {
            return Err(SqlError::Refused(proviso.reason.clone()));
        }
        let prepared = self.conn.prep(ask.sql.as_str()).await.map_err(failed)?;
        if usize::from(prepared.num_params()) != ask.params.len() {
            let message = format!("the statement has {} parameter(s), {} were given", prepared.num_params(), ask.params.len());
            return Err(SqlError::statement(message));
        }
        let views = self.views(&prepared.columns(), mask).await.map_err(failed)?;
        let params = if ask.params.is_empty() { Params::Empty } else { Params::Positional(ask.params.iter().map(param).collect()) };
        let mut found = self.conn.exec_iter(&prepared, params).await.map_err(failed)?;
        let described: Vec<mysql_async::Column> = found.columns_ref().to_vec();
        if described.is_empty() {
            return Err(SqlError::Refused("the statement gives no rows: only reading is allowed".into()));
        }
        let hidden: Vec<Option<String>> = described.iter().map(|column| hidden(column, &views, mask)).collect();
        let mut rows = Rows::new(ask.max_rows);
        let mut cut = None;
        while let Some(row) = found.next().await.map_err(failed)? {
            if let Err(bound) = rows.push(cells(row, &described, &hidden)) {
                cut = Some(bound);
                break;
            }
        }
        let columns = described.iter().map(|column| Column { name: column.name_str().into_owned(), kind: kind_of(column) }).collect();
        let table = rows.into_table(columns, cut, hidden.into_iter().flatten().collect())?;
        if cut.is_some() {
            return Ok(Done::Cut(table));
        }
        drop(found);
        self.end().await.map_err(failed)?;
        Ok(Done::Whole(table))
    }

    /// Runs a statement that writes, and makes for good what it has done.
    async fn write(&mut self, ask: &Ask, timeout: Duration) -> Result<Table, SqlError> {
        let failed = |error| explain(error, timeout);
        self.conn.query_drop("START TRANSACTION READ WRITE").await.map_err(failed)?;
        let prepared = self.conn.prep(ask.sql.as_str()).await.map_err(failed)?;
        if usize::from(prepared.num_params()) != ask.params.len() {
            let message = format!("the statement has {} parameter(s), {} were given", prepared.num_params(), ask.params.len());
            return Err(SqlError::statement(message));
        }
        let params = if ask.params.is_empty() { Params::Empty } else { Params::Positional(ask.params.iter().map(param).collect()) };
        let mut done = self.conn.exec_iter(&prepared, params).await.map_err(failed)?;
        let described: Vec<mysql_async::Column> = done.columns_ref().to_vec();
        let nothing_hidden = vec![None; described.len()];
        let mut rows = Rows::new(ask.max_rows);
        let (mut cut, mut given) = (None, 0);
        // All of it is read, so that the connection can go on; what is too much is let go.
        while let Some(row) = done.next().await.map_err(failed)? {
            given += 1;
            if cut.is_none() {
                cut = rows.push(cells(row, &described, &nothing_hidden)).err();
            }
        }
        // A statement that returns rows tells by them how many it has written.
        let affected = if described.is_empty() { done.affected_rows() } else { given };
        drop(done);
        let columns = described.iter().map(|column| Column { name: column.name_str().into_owned(), kind: kind_of(column) }).collect();
        self.conn.query_drop("COMMIT").await.map_err(failed)?;
        Ok(rows.into_written(columns, cut, affected))
    }

    /// Whether one of these relations is a view with a column that may be another table's masked one.
    async fn names_view(&mut self, relations: &[String], mask: &Mask) -> Result<bool, Error> {
        const COLUMNS: &str = "SELECT c.column_name FROM information_schema.columns c JOIN information_schema.tables t ON t.table_schema = \
            c.table_schema AND t.table_name = c.table_name WHERE LOWER(t.table_name) = ? AND t.table_type = 'VIEW'";
        for relation in relations {
            let columns: Vec<String> = self.conn.exec(COLUMNS, (relation,)).await?;
            if columns.iter().any(|column| mask.hides_somewhere(column)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Which of the tables that columns come from are views, where that matters.
    async fn views(&mut self, columns: &[mysql_async::Column], mask: &Mask) -> Result<BTreeSet<Origin>, Error> {
        const IS_TABLE: &str =
            "SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = ? AND table_type = 'BASE TABLE'";
        let origins: BTreeSet<Origin> =
            columns.iter().filter(|column| mask.hides_somewhere(&column.org_name_str())).map(Origin::of).collect();
        let mut views = BTreeSet::new();
        for origin in origins {
            let is_table: Option<u8> = self.conn.exec_first(IS_TABLE, (&origin.schema, &origin.table)).await?;
            if is_table.is_none() {
                views.insert(origin);
            }
        }
        Ok(views)
    }

    /// Leaves nothing behind for the next statement.
    async fn end(&mut self) -> Result<(), Error> {
        if !self.conn.reset().await? {
            return Err(Error::Driver(mysql_async::DriverError::ConnectionClosed));
        }
        guard(&mut self.conn, &self.guards).await
    }
}

impl Breakable for Session {
    async fn break_off(&mut self) {
        let (id, opts) = (self.conn.id(), self.conn.opts().clone());
        let Ok(mut other) = Conn::new(opts).await else { return };
        // Gone already is as good as killed.
        let _ = other.query_drop(format!("KILL {id}")).await;
        // Some functions look up only when they are done: until then the place is taken.
        let still_there = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id}");
        while let Ok(Some(1_u64)) = other.query_first(still_there.as_str()).await {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let _ = other.disconnect().await;
    }
}

/// Where a column comes from.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Origin {
    schema: String,
    table: String,
}

impl Origin {
    fn of(column: &mysql_async::Column) -> Self {
        Self { schema: column.schema_str().into_owned(), table: column.org_table_str().into_owned() }
    }
}

fn hidden(column: &mysql_async::Column, views: &BTreeSet<Origin>, mask: &Mask) -> Option<String> {
    let (table, origin) = (column.org_table_str(), column.org_name_str());
    if mask.is_empty() {
        None
    } else if origin.is_empty() {
        // What cannot be traced is judged by its name.
        mask.hides_somewhere(&column.name_str()).then(|| column.name_str().into_owned())
    } else {
        // A view shows the columns of other tables.
        let is_hidden = mask.hides(&table, &origin) || (mask.hides_somewhere(&origin) && views.contains(&Origin::of(column)));
        is_hidden.then(|| format!("{table}.{origin}"))
    }
}

fn cells(row: Row, columns: &[mysql_async::Column], hidden: &[Option<String>]) -> Vec<Json> {
    let values = row.unwrap_raw().into_iter();
    values
        .zip(columns)
        .zip(hidden)
        .map(|((cell, column), hidden)| match (hidden, cell) {
            (Some(_), _) => value::masked(),
            (None, cell) => json(cell.unwrap_or(Value::NULL), column),
        })
        .collect()
}

fn json(cell: Value, column: &mysql_async::Column) -> Json {
    use ColumnType as T;
    match cell {
        Value::NULL => value::null(),
        Value::Int(number) => value::integer(number),
        Value::UInt(number) => value::unsigned(number),
        Value::Float(number) => value::single(number),
        Value::Double(number) => value::float(number),
        Value::Date(year, month, day, 0, 0, 0, 0) if column.column_type() == T::MYSQL_TYPE_DATE => {
            value::text(&format!("{year:04}-{month:02}-{day:02}"))
        }
        Value::Date(year, month, day, hour, minute, second, micros) => {
            // A timestamp is a moment, and the session's time zone is UTC.
            let zone = if matches!(column.column_type(), T::MYSQL_TYPE_TIMESTAMP | T::MYSQL_TYPE_TIMESTAMP2) { "Z" } else { "" };
            value::text(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{}{zone}", fraction(micros)))
        }
        Value::Time(is_negative, days, hours, minutes, seconds, micros) => {
            let sign = if is_negative { "-" } else { "" };
            let hours = u64::from(days) * 24 + u64::from(hours);
            value::text(&format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{}", fraction(micros)))
        }
        Value::Bytes(bytes) => match column.column_type() {
            T::MYSQL_TYPE_JSON => value::json(&String::from_utf8_lossy(&bytes)),
            T::MYSQL_TYPE_BIT => value::unsigned(bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))),
            T::MYSQL_TYPE_DECIMAL | T::MYSQL_TYPE_NEWDECIMAL => value::text(&String::from_utf8_lossy(&bytes)),
            _ => match std::str::from_utf8(&bytes) {
                Ok(text) if !is_binary(column) => value::text(text),
                _ => value::bytes(&bytes),
            },
        },
    }
}

fn is_binary(column: &mysql_async::Column) -> bool {
    column.character_set() == BINARY && column.flags().contains(ColumnFlags::BINARY_FLAG)
}

fn fraction(micros: u32) -> String {
    if micros == 0 { String::new() } else { format!(".{micros:06}") }
}

fn kind_of(column: &mysql_async::Column) -> String {
    use ColumnType as T;
    let is_bytes = is_binary(column);
    let is_number = matches!(
        column.column_type(),
        T::MYSQL_TYPE_TINY
            | T::MYSQL_TYPE_SHORT
            | T::MYSQL_TYPE_INT24
            | T::MYSQL_TYPE_LONG
            | T::MYSQL_TYPE_LONGLONG
            | T::MYSQL_TYPE_FLOAT
            | T::MYSQL_TYPE_DOUBLE
            | T::MYSQL_TYPE_NEWDECIMAL
    );
    let unsigned = if is_number && column.flags().contains(ColumnFlags::UNSIGNED_FLAG) { " unsigned" } else { "" };
    let name = match column.column_type() {
        T::MYSQL_TYPE_TINY => "tinyint",
        T::MYSQL_TYPE_SHORT => "smallint",
        T::MYSQL_TYPE_INT24 => "mediumint",
        T::MYSQL_TYPE_LONG => "int",
        T::MYSQL_TYPE_LONGLONG => "bigint",
        T::MYSQL_TYPE_YEAR => return "year".into(),
        T::MYSQL_TYPE_FLOAT => "float",
        T::MYSQL_TYPE_DOUBLE => "double",
        T::MYSQL_TYPE_DECIMAL | T::MYSQL_TYPE_NEWDECIMAL => "decimal",
        T::MYSQL_TYPE_DATE | T::MYSQL_TYPE_NEWDATE => "date",
        T::MYSQL_TYPE_TIME | T::MYSQL_TYPE_TIME2 => "time",
        T::MYSQL_TYPE_DATETIME | T::MYSQL_TYPE_DATETIME2 => "datetime",
        T::MYSQL_TYPE_TIMESTAMP | T::MYSQL_TYPE_TIMESTAMP2 => "timestamp",
        T::MYSQL_TYPE_BIT => return "bit".into(),
        T::MYSQL_TYPE_JSON => "json",
        T::MYSQL_TYPE_ENUM => "enum",
        T::MYSQL_TYPE_SET => "set",
        T::MYSQL_TYPE_GEOMETRY => "geometry",
        T::MYSQL_TYPE_NULL => "null",
        T::MYSQL_TYPE_STRING if is_bytes => "binary",
        T::MYSQL_TYPE_STRING => "char",
        T::MYSQL_TYPE_VAR_STRING | T::MYSQL_TYPE_VARCHAR if is_bytes => "varbinary",
        T::MYSQL_TYPE_VAR_STRING | T::MYSQL_TYPE_VARCHAR => "varchar",
        _ if is_bytes => "blob",
        _ => "text",
    };
    format!("{name}{unsigned}")
}

fn param(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::NULL,
        serde_json::Value::Bool(flag) => Value::Int(i64::from(*flag)),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::UInt(number),
            (None, None) => Value::Double(number.as_f64().unwrap_or(f64::MAX)),
        },
        serde_json::Value::String(text) => Value::Bytes(text.as_bytes().to_vec()),
        nested => Value::Bytes(nested.to_string().into_bytes()),
    }
}

fn explain(error: Error, timeout: Duration) -> SqlError {
    match error {
        Error::Server(told) if OUT_OF_TIME.contains(&told.code) => SqlError::Timeout(timeout),
        Error::Server(told) if told.code == 1792 => SqlError::Refused(format!("only reading is allowed ({})", told.message)),
        Error::Server(told) => {
            let is_unknown = matches!(told.code, 1146 | 1054);
            let hint = is_unknown.then(|| "describe_database lists tables and columns".to_owned());
            SqlError::Statement { message: told.message, position: None, hint, code: Some(told.state) }
        }
        Error::Io(mysql_async::IoError::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => SqlError::TooLarge,
        other if other.to_string().contains("max_allowed_packet") || other.to_string().contains("Packet too large") => SqlError::TooLarge,
        other => SqlError::statement(format!("the connection broke off: {other}")),
    }
}

// ---- connections -----------------------------------------------------------------------------------------------------

/// Makes the connections of the pool.
#[derive(Debug)]
struct Connector(Login);

impl Manager for Connector {
    type Type = Session;
    type Error = SqlError;

    async fn create(&self) -> Result<Session, SqlError> {
        self.0.within_time(connect(&self.0)).await
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<SqlError> {
        if session.conn.is_disconnected() { Err(RecycleError::message("the connection is closed")) } else { Ok(()) }
    }
}

async fn guard(conn: &mut Conn, guards: &[String]) -> Result<(), Error> {
    for guard in guards {
        conn.query_drop(guard.as_str()).await?;
    }
    Ok(())
}

async fn connect(login: &Login) -> Result<Session, SqlError> {
    let refused = |error| login.refused(explain(error, login.timeout));
    let mut conn = Conn::new(opts(login).await?).await.map_err(refused)?;
    let grants: Vec<String> = conn.query("SHOW GRANTS").await.map_err(refused)?;
    if let Some(power) = grants.iter().find_map(|grant| power_of(grant)) {
        login.judge_power(format!("it is granted {power} on the whole server"))?;
    }
    let version: Option<String> = conn.query_first("SELECT VERSION()").await.map_err(refused)?;
    let guards = guards(login.timeout, version.is_some_and(|version| version.contains("MariaDB")));
    guard(&mut conn, &guards).await.map_err(refused)?;
    Ok(Session { conn, guards })
}

/// What every session is told before a caller's statement. Modes change how a text is read, and with it what the statement
/// is: they are set, whatever the server's are.
fn guards(timeout: Duration, is_maria: bool) -> Arc<[String]> {
    let limit = if is_maria {
        format!("SET SESSION max_statement_time = {}", timeout.as_secs_f64())
    } else {
        format!("SET SESSION max_execution_time = {}", timeout.as_millis())
    };
    let lexical = "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'";
    let guards = ["SET SESSION TRANSACTION READ ONLY", "SET SESSION time_zone = '+00:00'", "SET SESSION lock_wait_timeout = 5", lexical];
    guards.iter().map(ToString::to_string).chain([limit]).collect()
}

async fn opts(login: &Login) -> Result<Opts, SqlError> {
    let Server { host, port, user, password, database, tls } = &login.server;
    let ips: Vec<std::net::IpAddr> = login.addresses().await?.into_iter().map(|address| address.ip()).collect();
    let tls = match tls {
        Tls::Off => None,
        Tls::On { roots: None } => Some(SslOpts::default()),
        Tls::On { roots: Some(path) } => {
            Some(SslOpts::default().with_root_certs(vec![path.clone().into()]).with_disable_built_in_roots(true))
        }
    };
    let opts = OptsBuilder::default()
        .ip_or_hostname(host.clone())
        .tcp_port(*port)
        .resolved_ips(Some(ips))
        .user(Some(user.clone()))
        .pass(password.clone())
        .db_name(Some(database.clone()))
        .prefer_socket(false)
        .stmt_cache_size(0)
        .max_allowed_packet(Some(MAX_RESULT_BYTES))
        .ssl_opts(tls);
    Ok(opts.into())
}

/// The privilege over the whole server in a grant that goes beyond looking, if there is one. What a login may do in single
/// databases is kept from happening by the other walls.
fn power_of(grant: &str) -> Option<String> {
    const LOOKING: &[&str] = &["USAGE", "SELECT", "SHOW DATABASES", "SHOW VIEW", "PROCESS"];
    let granted = grant.to_uppercase();
    let (privileges, rest) = granted.strip_prefix("GRANT ")?.split_once(" ON ")?;
    let found = privileges.split(',').map(str::trim).find(|privilege| !LOOKING.contains(privilege))?;
    rest.starts_with("*.*").then(|| found.to_owned())
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
