//! PostgreSQL: read-only sessions, one prepared statement, a cursor, and a role that can only read.
//!
//! Values come as the server writes them, in text, so that every type of every extension is exact.

use super::{
    Ask, Column, Cut, DatabaseSettings, MAX_RESULT_BYTES, Rows, SqlError, Table,
    location::{Server, Tls},
    login::Login,
    mask::Mask,
    pool::{Breakable, Pool},
    statement::{self, Grammar, Passed, Proviso, Shape},
    value,
};
use bytes::{BufMut, BytesMut};
use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use std::{
    error::Error,
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_postgres::{
    CancelToken, Client, Config, NoTls, SimpleQueryMessage,
    config::SslMode,
    error::{ErrorPosition, SqlState},
    tls::MakeTlsConnect,
    types::{Format, IsNull, Kind, ToSql, Type, to_sql_checked},
};
use tokio_postgres_rustls::MakeRustlsConnect;
use toolcrib_contract::causes;
use toolcrib_egress::Egress;

/// What one statement may bring over the wire, whatever it is: beyond it the connection is cut.
const MAX_WIRE_BYTES: usize = 2 * MAX_RESULT_BYTES;
/// Rows of the first piece; later ones are as large as their rows allow.
const FIRST_PIECE: usize = 32;
/// About how many bytes a piece of rows should have.
const PIECE_BYTES: usize = 256 << 10;
const CURSOR: &str = "toolcrib";

#[derive(Debug)]
pub(super) struct Postgres {
    pool: Pool<Connector>,
    mask: Mask,
    timeout: Duration,
}

/// A connection, ready for a statement.
struct Session {
    client: Client,
    meter: Meter,
    canceller: Canceller,
    /// Set before each statement where the login can do more than read.
    reading_role: Option<&'static str>,
}

impl Postgres {
    pub(super) fn new(server: Server, settings: &DatabaseSettings, mask: Mask, egress: Option<Egress>) -> Self {
        Self { pool: Pool::new(Connector(Login::new(server, settings, egress)), settings), mask, timeout: settings.timeout }
    }

    pub(super) async fn query(&self, ask: Ask) -> Result<Table, SqlError> {
        let passed = statement::judge(&ask.sql, Grammar::Postgres, &self.mask).map_err(SqlError::Refused)?;
        let done = self.run(Ask { sql: passed.sql.clone(), ..ask }, passed.shape, Some(&passed), &self.mask).await;
        done.map_err(|error| error.placed(|position| passed.original(position)))
    }

    pub(super) async fn query_own(&self, ask: Ask) -> Result<Table, SqlError> {
        self.run(ask, Shape::Query, None, &Mask::default()).await
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
            Ok(Err(error)) if session.client.is_closed() => Err(SqlError::Lost(error.to_string())),
            Ok(Err(error)) => {
                if session.end().await.is_ok() {
                    session.hand_back();
                }
                Err(error)
            }
            Err(_) => Err(SqlError::Lost("the statement did not end in time".to_owned())),
        }
    }

    async fn run(&self, ask: Ask, shape: Shape, passed: Option<&Passed>, mask: &Mask) -> Result<Table, SqlError> {
        let mut session = self.pool.lease().await?;
        // The server gives up by itself; this is for one that does not.
        let work = session.run(&ask, shape, passed, mask, self.timeout);
        match tokio::time::timeout(self.timeout + Duration::from_secs(1), work).await {
            Ok(Ok(table)) => {
                session.hand_back();
                Ok(table)
            }
            Ok(Err(error)) => {
                // After a plain mistake the session is as good as before; after anything else it is in doubt.
                let is_plain = matches!(error, SqlError::Statement { .. } | SqlError::Refused(_));
                if is_plain && session.end().await.is_ok() {
                    session.hand_back();
                } else if session.meter.is_full() {
                    return Err(SqlError::TooLarge);
                }
                Err(error)
            }
            Err(_) => Err(SqlError::Timeout(self.timeout)),
        }
    }
}

impl Breakable for Session {
    async fn break_off(&mut self) {
        self.canceller.cancel().await;
        // Whatever comes: the server answers once the statement has really ended, and the connection then closes.
        let _ = self.client.batch_execute("ROLLBACK").await;
    }
}

impl Session {
    async fn run(&mut self, ask: &Ask, shape: Shape, passed: Option<&Passed>, mask: &Mask, timeout: Duration) -> Result<Table, SqlError> {
        self.meter.reset();
        let failed = |error| explain(error, timeout);
        let client = &self.client;
        let mut begin = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {}", timeout.as_millis());
        // To plan what would be written takes the right to write it.
        if let Some(role) = self.reading_role.filter(|_| shape != Shape::WritingPlan) {
            begin.push_str(&format!("; SET LOCAL ROLE {role}"));
        }
        client.batch_execute(&begin).await.map_err(failed)?;
        if let Some(refusal) = self.refusal_of(passed, mask).await.map_err(failed)? {
            return Err(SqlError::Refused(refusal));
        }
        let prepared = client.prepare(&ask.sql).await.map_err(failed)?;
        if prepared.params().len() != ask.params.len() {
            let message = format!("the statement has {} parameter(s), {} were given", prepared.params().len(), ask.params.len());
            return Err(SqlError::statement(message));
        }
        if prepared.columns().is_empty() {
            return Err(SqlError::Refused("the statement gives no rows: only reading is allowed".into()));
        }
        let columns: Vec<Column> =
            prepared.columns().iter().map(|column| Column { name: column.name().into(), kind: kind_of(column.type_()) }).collect();
        let hidden = self.hidden(prepared.columns(), mask).await.map_err(failed)?;
        let params: Vec<Param<'_>> = ask.params.iter().map(Param).collect();
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| param as &(dyn ToSql + Sync)).collect();
        let mut reader = Reader { columns: &columns, hidden: &hidden, rows: Rows::new(ask.max_rows) };
        let cut = match shape {
            Shape::Query => {
                // The cursor takes one query that writes nothing, which the server itself sees to.
                let declared = format!("DECLARE {CURSOR} NO SCROLL CURSOR WITHOUT HOLD FOR\n{}", ask.sql);
                client.execute(declared.as_str(), &params).await.map_err(failed)?;
                self.fetch(&mut reader).await.map_err(failed)?
            }
            Shape::Telling | Shape::WritingPlan => {
                let rows = client.query(&prepared, &params).await.map_err(failed)?;
                rows.iter().find_map(|row| reader.take(|index| row.try_get::<_, Told>(index).ok().and_then(|told| told.0)).err())
            }
        };
        let masked = hidden.iter().flatten().cloned().collect();
        let table = reader.rows.into_table(columns, cut, masked)?;
        self.end().await.map_err(failed)?;
        Ok(table)
    }

    /// Runs a statement that writes, and makes for good what it has done.
    async fn write(&mut self, ask: &Ask, timeout: Duration) -> Result<Table, SqlError> {
        self.meter.reset();
        let failed = |error| explain(error, timeout);
        let client = &self.client;
        let begin = format!("BEGIN READ WRITE; SET LOCAL statement_timeout = {}", timeout.as_millis());
        client.batch_execute(&begin).await.map_err(failed)?;
        let prepared = client.prepare(&ask.sql).await.map_err(failed)?;
        if prepared.params().len() != ask.params.len() {
            let message = format!("the statement has {} parameter(s), {} were given", prepared.params().len(), ask.params.len());
            return Err(SqlError::statement(message));
        }
        let columns: Vec<Column> =
            prepared.columns().iter().map(|column| Column { name: column.name().into(), kind: kind_of(column.type_()) }).collect();
        let params: Vec<Param<'_>> = ask.params.iter().map(Param).collect();
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| param as &(dyn ToSql + Sync)).collect();
        let table = if columns.is_empty() {
            let affected = client.execute(&prepared, &params).await.map_err(failed)?;
            Table { affected: Some(affected), ..Table::default() }
        } else {
            self.returned(ask, &params, columns, timeout).await?
        };
        client.batch_execute("COMMIT").await.map_err(failed)?;
        Ok(table)
    }

    /// Runs a statement that writes and tells what it has written.
    async fn returned(
        &self,
        ask: &Ask,
        params: &[&(dyn ToSql + Sync)],
        columns: Vec<Column>,
        timeout: Duration,
    ) -> Result<Table, SqlError> {
        let failed = |error| explain(error, timeout);
        let sql = ask.sql.trim().trim_end_matches(';');
        if sql.get(..4).is_some_and(|first| first.eq_ignore_ascii_case("with")) {
            // It cannot stand within another statement, and what it returns would come in no form that is exact for every type.
            let written = self.client.query(sql, params).await.map_err(failed)?;
            return Ok(Table { affected: Some(written.len() as u64), ..Table::default() });
        }
        // As text, each value is exact; a name that stands there twice is no hindrance.
        let names: Vec<String> = (0..columns.len()).map(|index| format!("c{index}")).collect();
        let texts: Vec<String> = names.iter().map(|name| format!("{name}::text")).collect();
        let sql = format!("WITH toolcrib_done ({}) AS ({sql}\n) SELECT {} FROM toolcrib_done", names.join(", "), texts.join(", "));
        let written = self.client.query(sql.as_str(), params).await.map_err(failed)?;
        let nothing_hidden = vec![None; columns.len()];
        let mut reader = Reader { columns: &columns, hidden: &nothing_hidden, rows: Rows::new(ask.max_rows) };
        let cut = written.iter().find_map(|row| reader.take(|index| row.get::<_, Option<String>>(index)).err());
        Ok(reader.rows.into_written(columns.clone(), cut, written.len() as u64))
    }

    /// Leaves nothing behind for the next statement. What the driver has prepared for itself stays.
    async fn end(&self) -> Result<(), tokio_postgres::Error> {
        const END: &str = "ROLLBACK; CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all(); \
            DISCARD PLANS; DISCARD TEMP; DISCARD SEQUENCES";
        self.client.batch_execute(END).await
    }

    async fn fetch(&self, reader: &mut Reader<'_>) -> Result<Option<Cut>, tokio_postgres::Error> {
        let mut piece = FIRST_PIECE;
        loop {
            let wanted = piece.min(reader.rows.max_rows - reader.rows.rows.len() + 1);
            let messages = self.client.simple_query(&format!("FETCH FORWARD {wanted} FROM {CURSOR}")).await?;
            let mut got = 0;
            for message in &messages {
                if let SimpleQueryMessage::Row(row) = message {
                    got += 1;
                    if let Err(cut) = reader.take(|index| row.get(index).map(ToOwned::to_owned)) {
                        return Ok(Some(cut));
                    }
                }
            }
            if got < wanted {
                return Ok(None);
            }
            let mean = reader.rows.bytes / reader.rows.rows.len().max(1) + 1;
            piece = (PIECE_BYTES / mean).clamp(1, 1000);
        }
    }

    /// What only the server knows of a statement at a database with masked columns.
    async fn refusal_of(&self, passed: Option<&Passed>, mask: &Mask) -> Result<Option<String>, tokio_postgres::Error> {
        let Some(passed) = passed.filter(|_| !mask.is_empty()) else { return Ok(None) };
        if let Some(function) = self.function_of_rows(&passed.dotted).await? {
            return Ok(Some(format!("{function:?} after a dot can be a function of the whole row, which may hold masked columns")));
        }
        let Some(Proviso { relations, reason }) = &passed.proviso else { return Ok(None) };
        const SHOWS_OTHERS: &str = "SELECT a.attname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid WHERE \
                                    pg_catalog.lower(c.relname) = ANY($1) AND a.attnum > 0 AND (c.relkind NOT IN ('r', 'p') OR EXISTS (SELECT FROM \
                                    pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid))";
        let columns = self.client.query(SHOWS_OTHERS, &[relations]).await?;
        let shows_masked = columns.iter().any(|row| mask.hides_somewhere(row.get(0)));
        Ok(shows_masked.then(|| reason.clone()))
    }

    /// The first of these names that is a function which takes a row and tells what is in it.
    async fn function_of_rows(&self, names: &[String]) -> Result<Option<String>, tokio_postgres::Error> {
        if names.is_empty() {
            return Ok(None);
        }
        const TAKES_ROW: &str = "SELECT p.proname::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_type t ON t.oid = p.proargtypes[0] WHERE \
                                 p.proname = ANY($1) AND p.proname <> 'count' AND p.pronargs >= 1 AND p.pronargs - p.pronargdefaults <= 1 AND p.prokind \
                                 IN ('f', 'a') AND NOT EXISTS (SELECT FROM pg_catalog.pg_aggregate g WHERE g.aggfnoid = p.oid AND g.aggkind <> 'n') AND \
                                 (t.typtype = 'c' OR t.typname IN ('record', 'any', 'anyelement', 'anynonarray', 'anycompatible', \
                                 'anycompatiblenonarray')) LIMIT 1";
        Ok(self.client.query_opt(TAKES_ROW, &[&names]).await?.map(|row| row.get(0)))
    }

    /// Of each column, the masked `table.column` that it comes from, if it does.
    async fn hidden(&self, columns: &[tokio_postgres::Column], mask: &Mask) -> Result<Vec<Option<String>>, tokio_postgres::Error> {
        let mut hidden = vec![None; columns.len()];
        if mask.is_empty() {
            return Ok(hidden);
        }
        // A view, a partition or an heir shows the columns of another table.
        const ORIGINS: &str = "SELECT o.place, c.relname::text, a.attname::text, c.relkind IN ('r', 'p') AND NOT EXISTS (SELECT FROM \
                               pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid) FROM unnest($1::oid[], $2::int2[]) WITH ORDINALITY AS o(rel, num, \
                               place) JOIN pg_catalog.pg_attribute a ON a.attrelid = o.rel AND a.attnum = o.num JOIN pg_catalog.pg_class c ON c.oid = \
                               a.attrelid";
        // What cannot be traced has the place of no relation, and is judged by its name.
        let (tables, numbers): (Vec<u32>, Vec<i16>) =
            columns.iter().map(|column| column.table_oid().zip(column.column_id()).unwrap_or_default()).unzip();
        for row in self.client.query(ORIGINS, &[&tables, &numbers]).await? {
            let (place, table, column, is_own): (i64, String, String, bool) = (row.get(0), row.get(1), row.get(2), row.get(3));
            let is_hidden = mask.hides(&table, &column) || (!is_own && mask.hides_somewhere(&column));
            let hidden = usize::try_from(place - 1).ok().and_then(|place| hidden.get_mut(place));
            if let Some(hidden) = hidden.filter(|_| is_hidden) {
                *hidden = Some(format!("{table}.{column}"));
            }
        }
        for (column, hidden) in columns.iter().zip(&mut hidden) {
            if column.table_oid().is_none() && mask.hides_somewhere(column.name()) {
                *hidden = Some(column.name().to_owned());
            }
        }
        Ok(hidden)
    }
}

/// The name of a type as people write it: the server calls an array of `int4` `_int4`.
fn kind_of(kind: &Type) -> String {
    match kind.name().strip_prefix('_') {
        Some(element) => format!("{element}[]"),
        None => kind.name().to_owned(),
    }
}

/// Turns the texts of a row into values.
struct Reader<'a> {
    columns: &'a [Column],
    hidden: &'a [Option<String>],
    rows: Rows,
}

impl Reader<'_> {
    fn take(&mut self, mut text: impl FnMut(usize) -> Option<String>) -> Result<(), Cut> {
        let cells = self.columns.iter().zip(self.hidden).enumerate().map(|(index, (column, hidden))| match (hidden, text(index)) {
            (Some(_), _) => value::masked(),
            (None, None) => value::null(),
            (None, Some(text)) => value::postgres(&text, &column.kind),
        });
        let cells = cells.collect();
        self.rows.push(cells)
    }
}

/// What EXPLAIN and SHOW tell: text, or JSON, whose binary form is text as well.
struct Told(Option<String>);

impl<'a> tokio_postgres::types::FromSql<'a> for Told {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Some(std::str::from_utf8(raw)?.to_owned())))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::TEXT | Type::VARCHAR | Type::NAME | Type::JSON | Type::XML)
    }
}

/// A parameter, sent as text for the server to read as the type that it wants there.
#[derive(Debug)]
struct Param<'a>(&'a serde_json::Value);

impl ToSql for Param<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self.0 {
            serde_json::Value::Null => return Ok(IsNull::Yes),
            serde_json::Value::String(text) => out.put_slice(text.as_bytes()),
            array @ serde_json::Value::Array(_) if matches!(kind.kind(), Kind::Array(_)) => out.put_slice(array_literal(array).as_bytes()),
            other => out.put_slice(other.to_string().as_bytes()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// An array as the server writes it: `{1,NULL,"a b"}`.
fn array_literal(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(items) => format!("{{{}}}", items.iter().map(array_literal).collect::<Vec<_>>().join(",")),
        serde_json::Value::Null => "NULL".into(),
        serde_json::Value::String(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        other => other.to_string(),
    }
}

fn explain(error: tokio_postgres::Error, timeout: Duration) -> SqlError {
    let Some(told) = error.as_db_error() else {
        if causes(&error).any(|cause| cause.is::<TooMuch>()) {
            return SqlError::TooLarge;
        }
        let cause = causes(&error).last().map_or_else(|| error.to_string(), ToString::to_string);
        return SqlError::statement(format!("the connection broke off: {cause}"));
    };
    if *told.code() == SqlState::QUERY_CANCELED {
        return SqlError::Timeout(timeout);
    }
    if *told.code() == SqlState::READ_ONLY_SQL_TRANSACTION {
        return SqlError::Refused(format!("only reading is allowed ({})", told.message()));
    }
    let position = match told.position() {
        Some(ErrorPosition::Original(position)) => usize::try_from(*position).ok(),
        _ => None,
    };
    let is_unknown = matches!(*told.code(), SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN);
    let own_hint = || is_unknown.then(|| "describe_database lists tables and columns".to_owned());
    SqlError::Statement {
        message: told.message().to_owned(),
        position,
        hint: told.hint().map(ToOwned::to_owned).or_else(own_hint),
        code: Some(told.code().code().to_owned()),
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
        let mut session = self.0.within_time(connect(&self.0)).await?;
        session.reading_role = judge_role(&self.0, &session.client).await?;
        Ok(session)
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<SqlError> {
        if session.client.is_closed() { Err(RecycleError::message("the connection is closed")) } else { Ok(()) }
    }
}

async fn connect(login: &Login) -> Result<Session, SqlError> {
    let (stream, address) = login.dial().await?;
    let meter = Meter::default();
    let stream = Metered { stream, meter: meter.clone() };
    let (config, host) = (config(login), &login.server.host);
    let tls = login.tls()?.map(MakeRustlsConnect::new);
    let refused = |error| login.refused(explain(error, login.timeout));
    // Whoever drops the client ends the task that carries its connection.
    let client = match &tls {
        None => {
            let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(refused)?;
            tokio::spawn(connection);
            client
        }
        Some(tls) => {
            let connector = MakeTlsConnect::<Metered>::make_tls_connect(&mut tls.clone(), host);
            let connector = connector.map_err(|error| login.unreachable(error))?;
            let (client, connection) = config.connect_raw(stream, connector).await.map_err(refused)?;
            tokio::spawn(connection);
            client
        }
    };
    let canceller = Canceller { token: client.cancel_token(), address, tls, host: host.clone() };
    Ok(Session { client, meter, canceller, reading_role: None })
}

fn config(login: &Login) -> Config {
    let (Server { host, user, password, database, tls, .. }, millis) = (&login.server, login.timeout.as_millis());
    let mut config = Config::new();
    config.user(user).dbname(database).application_name("toolcrib").host(host);
    if let Some(password) = password {
        config.password(password);
    }
    config.ssl_mode(if *tls == Tls::Off { SslMode::Disable } else { SslMode::Require });
    config.options(format!(
        "-c default_transaction_read_only=on -c statement_timeout={millis} -c lock_timeout=5000 \
         -c idle_in_transaction_session_timeout={} -c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=iso_8601 -c bytea_output=hex \
         -c extra_float_digits=1 -c client_encoding=UTF8 -c standard_conforming_strings=on",
        millis + 5000
    ));
    config
}

/// Refuses a login with power over the server, unless the config says otherwise. Gives the role to run statements as.
async fn judge_role(login: &Login, client: &Client) -> Result<Option<&'static str>, SqlError> {
    const POWERS: &str = "SELECT rolsuper, rolreplication OR rolcreaterole OR rolcreatedb OR rolbypassrls, \
        (SELECT string_agg(r.rolname, ', ') FROM pg_catalog.pg_roles r WHERE r.rolname IN ('pg_read_server_files', 'pg_write_server_files', \
        'pg_execute_server_program', 'pg_write_all_data', 'pg_signal_backend') AND pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER')), \
        EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = 'pg_read_all_data') \
        FROM pg_catalog.pg_roles WHERE rolname = current_user";
    let row = client.query_one(POWERS, &[]).await.map_err(|error| explain(error, login.timeout))?;
    let (is_super, has_attributes, memberships, has_reading_role): (bool, bool, Option<String>, bool) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    let what = match memberships {
        _ if is_super => "it is a superuser".to_owned(),
        Some(roles) => format!("it is a member of {roles}"),
        None if has_attributes => "it may create roles or databases, replicate, or pass row security".to_owned(),
        None => return Ok(None),
    };
    login.judge_power(what)?;
    Ok((is_super && has_reading_role).then_some("pg_read_all_data"))
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// Cancels what runs on a connection, by another one to the same address.
struct Canceller {
    token: CancelToken,
    address: SocketAddr,
    tls: Option<MakeRustlsConnect>,
    host: String,
}

impl Canceller {
    async fn cancel(&self) {
        let Self { token, address, tls, host } = self;
        let Ok(stream) = TcpStream::connect(*address).await else { return };
        // What cannot be cancelled ends at the server's own time limit.
        let _ = match tls {
            None => token.cancel_query_raw(stream, NoTls).await,
            Some(tls) => match MakeTlsConnect::<TcpStream>::make_tls_connect(&mut tls.clone(), host) {
                Ok(connector) => token.cancel_query_raw(stream, connector).await,
                Err(_) => return,
            },
        };
    }
}

/// Counts what comes in, and cuts the connection when one statement brings too much.
#[derive(Debug, Clone, Default)]
struct Meter(Arc<AtomicUsize>);

impl Meter {
    fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn is_full(&self) -> bool {
        self.0.load(Ordering::Relaxed) > MAX_WIRE_BYTES
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the server sends more than a result may have")]
struct TooMuch;

struct Metered {
    stream: TcpStream,
    meter: Meter,
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        if self.meter.0.fetch_add(read, Ordering::Relaxed) + read > MAX_WIRE_BYTES {
            return Poll::Ready(Err(io::Error::other(TooMuch)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
