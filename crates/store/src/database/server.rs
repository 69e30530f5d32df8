//! A server of PostgreSQL, which several replicas share. Everything of ours is in a schema of its own.
//!
//! Those who ask wait for the answer, as they wait for a file; the connections live on a thread of their own.

use super::{Failed, For, Row, Sql, Value};
use crate::{StoreError, secret::Master};
use bytes::BytesMut;
use futures_util::future::try_join_all;
use ring::hmac;
use std::{
    collections::HashMap,
    error::Error,
    fmt,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::{
    runtime::{Handle, Runtime, RuntimeFlavor},
    task::JoinHandle,
};
use tokio_postgres::{
    Client, Config, NoTls, Statement,
    config::SslMode,
    error::Severity,
    types::{FromSql, IsNull, ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;
use zeroize::Zeroizing;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long to wait for what a statement gives; the server gives up before.
const ANSWER: Duration = Duration::from_secs(15);
/// The same for what reads all of a log, on a connection that nobody else waits for.
const LONG_ANSWER: Duration = Duration::from_secs(15 * 60);
/// How long after a server could not be reached nobody tries again: whoever asks meanwhile is told at once.
const PAUSE: Duration = Duration::from_millis(500);
/// How many statements of a connection are kept prepared.
const MAX_PREPARED: usize = 64;
/// A connection that nobody uses is asked whether it still is one after so long.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// The lock under which the schema is made: one replica at a time.
pub(crate) const LOCK: i64 = 0x746f_6f6c_6372_6962;

/// What brings the schema from each version to the next, with the oldest version of ours that can still work with what is there
/// then: while replicas are exchanged one by one, the old and the new share it.
const MIGRATIONS: [(&str, i64); 1] = [(include_str!("server/1.sql"), 1)];

/// Where the server is, and who logs in.
#[derive(Clone)]
pub struct Address {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// The password. Never shown.
    pub password: Option<Zeroizing<String>>,
    /// The database.
    pub database: String,
    /// How the connection is secured, if it is.
    pub tls: Option<rustls::ClientConfig>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}:{}/{}", self.host, self.port, self.database)
    }
}

/// The thread on which connections live.
pub(crate) struct Background(Option<Runtime>);

impl Background {
    pub(crate) fn start() -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("database").enable_all().build();
        runtime.map(|runtime| Self(Some(runtime))).map_err(|source| StoreError::File { path: "database".into(), source })
    }

    /// Waits, wherever we are: on a thread of a runtime others go on meanwhile.
    fn wait<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        let handle = self.0.as_ref().map(Runtime::handle).expect("it is there until it is dropped");
        match Handle::try_current().map(|here| here.runtime_flavor()) {
            Err(_) => handle.block_on(future),
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| handle.block_on(future)),
            // There is no other thread to go on, but none of this one may wait within it.
            Ok(_) => thread::scope(|scope| scope.spawn(|| handle.block_on(future)).join()).expect("what is waited for does not panic"),
        }
    }
}

impl Background {
    fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.0.as_ref().expect("it is there until it is dropped").spawn(future)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Also where nobody may wait.
        self.0.take().map(Runtime::shutdown_background).unwrap_or_default();
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Background")
    }
}

/// One connection, which is made anew when it is lost.
#[derive(Debug)]
pub(crate) struct Server {
    address: Arc<Address>,
    background: Arc<Background>,
    session: Option<Session>,
    failed: Option<(Instant, String)>,
    /// A connection that is being made, by whoever does not wait for it.
    sought: Option<JoinHandle<Result<Client, Failed>>>,
    /// How long an answer may take.
    within: Duration,
}

struct Session {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl Server {
    pub(crate) fn new(address: &Arc<Address>, background: &Arc<Background>) -> Self {
        Self { address: address.clone(), background: background.clone(), session: None, failed: None, sought: None, within: ANSWER }
    }

    /// Another connection to the same place.
    pub(crate) fn another(&self) -> Self {
        Self::new(&self.address, &self.background)
    }

    /// For what reads all of a log.
    pub(crate) fn patient(self) -> Self {
        Self { within: LONG_ANSWER, ..self }
    }

    pub(crate) fn place(&self) -> String {
        format!("{:?}", self.address)
    }

    /// Whether the connection has been lost since it was asked for.
    pub(super) fn is_lost(&self) -> bool {
        self.session.as_ref().is_none_or(|session| session.client.is_closed())
    }

    /// Whether there is a connection. Where there is none, one is sought, and nobody waits for it.
    pub(super) fn is_there(&mut self) -> bool {
        if !self.is_lost() {
            return true;
        }
        let Some(sought) = self.sought.take_if(|sought| sought.is_finished()) else {
            if self.sought.is_none() && self.failed.as_ref().is_none_or(|(when, _)| when.elapsed() >= PAUSE) {
                let (address, within) = (Arc::clone(&self.address), self.within);
                self.sought = Some(self.background.spawn(async move { answering_in_time(&address, within).await }));
            }
            return false;
        };
        let found = self.background.wait(sought).unwrap_or_else(|error| Err(Failed::Away(error.to_string())));
        self.settle(found).is_ok() && !self.is_lost()
    }

    /// Makes sure that there is a connection.
    pub(super) fn connected(&mut self) -> Result<(), Failed> {
        if !self.is_lost() {
            return Ok(());
        }
        self.session = None;
        if let Some((when, reason)) = self.failed.as_ref().filter(|(when, _)| when.elapsed() < PAUSE) {
            tracing::trace!(ago = ?when.elapsed(), "not tried again yet");
            return Err(Failed::Away(reason.clone()));
        }
        self.sought = None;
        let found = self.background.wait(connected_in_time(&self.address, self.within));
        self.settle(found)
    }

    /// Takes the connection that was made, or keeps why there is none.
    fn settle(&mut self, found: Result<Client, Failed>) -> Result<(), Failed> {
        match found {
            Ok(client) => {
                self.session = Some(Session { client, statements: HashMap::new() });
                self.failed = None;
                Ok(())
            }
            Err(error) => {
                let reason = match error {
                    Failed::Away(reason) => reason,
                    other => other.to_string(),
                };
                self.failed = Some((Instant::now(), reason.clone()));
                Err(Failed::Away(reason))
            }
        }
    }

    pub(super) fn transaction<T>(&mut self, what: For, work: impl FnOnce(&mut Self) -> Result<T, Failed>) -> Result<T, Failed> {
        self.connected()?;
        self.batch(if what == For::Reading { "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" } else { "BEGIN" })?;
        match work(self) {
            Ok(done) => self.batch("COMMIT").map(|()| done),
            Err(error) => {
                // A connection that does not even take this back is of no more use.
                if self.batch("ROLLBACK").is_err() {
                    self.session = None;
                }
                Err(error)
            }
        }
    }

    /// Brings the schema to this version. One replica does, the others wait for it.
    pub(crate) fn migrate(&mut self, master: &Master) -> Result<(), StoreError> {
        let place = self.place();
        let brought = self.transaction(For::Writing, |it| it.brought_up(master));
        brought.unwrap_or_else(|error| Err(StoreError::Database { place, reason: error.to_string() }))
    }

    fn brought_up(&mut self, master: &Master) -> Result<Result<(), StoreError>, Failed> {
        const CHECKED: &[u8] = b"toolcrib key check 1";
        self.query("SELECT pg_advisory_xact_lock($1)::text", &[Value::Integer(LOCK)])?;
        if self.query("SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = 'toolcrib' AND tablename = 'version'", &[])?.is_empty() {
            let check = hmac::sign(&master.chain, CHECKED);
            self.batch(
                "CREATE SCHEMA IF NOT EXISTS toolcrib;
                CREATE TABLE toolcrib.version (number BIGINT NOT NULL, works_with BIGINT NOT NULL, key_check BYTEA NOT NULL)",
            )?;
            self.execute("INSERT INTO toolcrib.version VALUES (0, 0, $1)", &[check.as_ref().into()])?;
        }
        let row = self.first("SELECT number, works_with, key_check FROM toolcrib.version", &[])?.ok_or(Failed::OddValue)?;
        let (found, works_with, known) = (row.integer(0)?, row.integer(1)?, MIGRATIONS.len() as i64);
        if hmac::verify(&master.chain, CHECKED, row.blob(2)?).is_err() {
            return Ok(Err(StoreError::OtherKey(self.place())));
        }
        if works_with > known {
            return Ok(Err(StoreError::Newer { place: self.place(), found, known }));
        }
        let encoding = self.first("SHOW server_encoding", &[])?;
        if !encoding.is_some_and(|row| row.text(0).is_ok_and(|name| name == "UTF8")) {
            return Err(Failed::Odd("the encoding of the database is not UTF8: names and arguments could not be kept".into()));
        }
        for (statements, works_with) in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
            self.batch(statements)?;
            self.execute("UPDATE toolcrib.version SET number = number + 1, works_with = $1", &[Value::Integer(*works_with)])?;
        }
        // A trigger of somebody else's could change what is written without a word.
        let strangers = self.first(
            "SELECT string_agg(tgname, ', ') FROM pg_catalog.pg_trigger JOIN pg_catalog.pg_class c ON c.oid = tgrelid
             WHERE c.relnamespace = 'toolcrib'::regnamespace AND NOT tgisinternal AND tgname <> 'api_key_changed'",
            &[],
        )?;
        match strangers.as_ref().map(|row| row.some_text(0)).transpose()?.flatten() {
            Some(names) => Err(Failed::Odd(format!("somebody added triggers to it: {names}"))),
            None => Ok(Ok(())),
        }
    }

    /// Runs statements that take and give nothing.
    pub(crate) fn batch(&mut self, sql: &str) -> Result<(), Failed> {
        let session = self.taken()?;
        let answer = self.background.wait(in_time(self.within, async { Ok(session.client.batch_execute(sql).await?) }));
        self.settled(session, answer)
    }

    /// The connection, for one question.
    fn taken(&mut self) -> Result<Session, Failed> {
        self.session.take().ok_or_else(|| Failed::Away("the connection was lost".into()))
    }

    /// Keeps the connection for the next question. What was not answered in time is given up with it: nobody knows its state.
    fn settled<T>(&mut self, session: Session, answer: Option<Result<T, Failed>>) -> Result<T, Failed> {
        let answer = answer.ok_or_else(|| Failed::Away(format!("no answer within {} s", self.within.as_secs())))?;
        // Of what it says last it may be known sooner than of its end.
        let is_last =
            |error: &tokio_postgres::Error| error.as_db_error().is_some_and(|told| told.parsed_severity() == Some(Severity::Fatal));
        let is_over = matches!(&answer, Err(Failed::Server(error)) if is_last(error)) || session.client.is_closed();
        self.session = Some(session).filter(|_| !is_over);
        answer.map_err(|error| if self.session.is_none() { Failed::Away(error.to_string()) } else { error })
    }
}

async fn in_time<T>(within: Duration, answer: impl Future<Output = Result<T, Failed>> + Send) -> Option<Result<T, Failed>> {
    tokio::time::timeout(within, answer).await.ok()
}

impl Sql for Server {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, Failed> {
        self.execute_all(sql, &[values])
    }

    fn execute_all(&mut self, sql: &str, rows: &[&[Value]]) -> Result<u64, Failed> {
        let mut session = self.taken()?;
        let answer = self.background.wait(in_time(self.within, session.execute_all(sql, rows)));
        self.settled(session, answer)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Failed> {
        let mut session = self.taken()?;
        let answer = self.background.wait(in_time(self.within, session.query(sql, values)));
        self.settled(session, answer)
    }
}

impl Session {
    /// All rows go out before the first answer is waited for.
    async fn execute_all(&mut self, sql: &str, rows: &[&[Value]]) -> Result<u64, Failed> {
        let statement = self.prepared(sql).await?;
        let changed = rows.iter().map(|values| self.client.execute_raw(&statement, values.iter()));
        Ok(try_join_all(changed).await?.into_iter().sum())
    }

    async fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Failed> {
        let statement = self.prepared(sql).await?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        let rows = self.client.query(&statement, &values).await?;
        let read = |row: &tokio_postgres::Row| (0..row.len()).map(|column| row.try_get(column)).collect::<Result<_, _>>().map(Row);
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    async fn prepared(&mut self, sql: &str) -> Result<Statement, Failed> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        // Those of filters differ without end.
        if self.statements.len() >= MAX_PREPARED {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

async fn connected_in_time(address: &Address, within: Duration) -> Result<Client, Failed> {
    let late = || Failed::Away(format!("no answer within {} s", CONNECT.as_secs()));
    tokio::time::timeout(CONNECT, connect(address, within)).await.unwrap_or_else(|_| Err(late()))
}

/// A connection to a server that has shown that it answers.
async fn answering_in_time(address: &Address, within: Duration) -> Result<Client, Failed> {
    let client = connected_in_time(address, within).await?;
    match tokio::time::timeout(CONNECT, client.batch_execute("SELECT 1")).await {
        Ok(answer) => answer.map_err(|error| Failed::Away(explained(&error))).map(|()| client),
        Err(_) => Err(Failed::Away("it takes connections, and does not answer".into())),
    }
}

async fn connect(address: &Address, within: Duration) -> Result<Client, Failed> {
    let Address { host, port, user, password, database, tls } = address;
    let mut config = Config::new();
    config.host(host).port(*port).user(user).dbname(database).application_name("toolcrib").keepalives_idle(KEEP_ALIVE);
    config.tcp_user_timeout(ANSWER);
    if let Some(password) = password {
        config.password(password.as_str());
    }
    config.options(format!(
        "-c search_path=toolcrib -c statement_timeout={0} -c lock_timeout={1} -c idle_in_transaction_session_timeout={1} -c TimeZone=UTC \
         -c client_min_messages=warning -c synchronous_commit=on -c standard_conforming_strings=on",
        (within - Duration::from_secs(2)).as_millis(),
        (ANSWER - Duration::from_secs(2)).as_millis()
    ));
    let Some(tls) = tls else {
        let (client, connection) = config.ssl_mode(SslMode::Disable).connect(NoTls).await?;
        tokio::spawn(connection);
        return Ok(client);
    };
    let (client, connection) = config.ssl_mode(SslMode::Require).connect(MakeRustlsConnect::new(tls.clone())).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// What a server says of its own fault, or the cause of another.
pub(super) fn explained(error: &tokio_postgres::Error) -> String {
    if let Some(told) = error.as_db_error() {
        return told.message().to_owned();
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

/// The values of a query are read as the types that its columns have.
impl<'a> FromSql<'a> for Value {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(match *kind {
            Type::INT8 => Self::Integer(i64::from_sql(kind, raw)?),
            Type::INT4 => Self::Integer(i32::from_sql(kind, raw)?.into()),
            Type::BYTEA => Self::Blob(Vec::from_sql(kind, raw)?),
            _ => Self::Text(String::from_sql(kind, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT8 | Type::INT4 | Type::BYTEA | Type::TEXT | Type::VARCHAR | Type::NAME)
    }
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) if *kind == Type::INT4 => i32::try_from(*number)?.to_sql(kind, out),
            Self::Integer(number) => number.to_sql(kind, out),
            Self::Real(number) => number.to_sql(kind, out),
            Self::Text(text) => text.to_sql(kind, out),
            Self::Blob(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}
