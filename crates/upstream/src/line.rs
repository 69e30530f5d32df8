//! One connection to a server, from start to stop: the same for the one that all share and for those of single clients.

use crate::{
    authorization::Authorized,
    binding::{self, Bound, Known},
    child::Child,
    definition::{Definition, Protocol, Sharing, Transport},
    traffic::Traffic,
};
use ::http::header::AUTHORIZATION;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use toolcrib_child::Guard;
use toolcrib_contract::{CallerId, Json};
use toolcrib_wire::{
    Era,
    client::{Audience, Authorization, ClientInfo, ConnectError, Connection, Greeting, http, pipe},
};

/// How long a child that closed its pipe may take to end.
const GRACE: Duration = Duration::from_secs(1);

/// A connection, and the calls that are under way on it.
#[derive(Debug)]
pub struct Line {
    pub(crate) connection: Connection,
    pub(crate) traffic: Arc<Traffic>,
}

impl Line {
    /// What the server said about itself.
    #[must_use]
    pub fn greeting(&self) -> &Greeting {
        self.connection.greeting()
    }

    /// Ends what goes through a pipe; over HTTP there is nothing to end.
    pub(crate) fn close(&self) {
        if let Connection::Pipe(pipe) = &self.connection {
            pipe.close();
        }
    }
}

/// How a connection is.
#[derive(Debug, Clone)]
pub enum Status {
    /// Being started or reached.
    Connecting,
    /// Connected.
    Ready(Arc<Line>),
    /// Ended, or not started, since nobody needs it. The next call starts it.
    Asleep,
    /// Somebody has to sign in first, or to give what a caller lacks, and how.
    LoginNeeded(String),
    /// Not to be reached, and why; the next attempt comes by itself.
    Down(String),
    /// A child that does not stay, left alone for a while.
    Quarantined(Quarantine),
    /// Taken out of service by hand, until it is put back.
    Held,
}

/// What is said of a server that was taken out of service.
pub(crate) const HELD: &str = "it was taken out of service by hand, until whoever looks after Toolcrib starts it again";

/// What is known of a child that does not stay.
#[derive(Debug, Clone)]
pub struct Quarantine {
    /// How often in a row it could not be started, or ended before it had recovered.
    pub failures: u32,
    /// Why it did so last.
    pub reason: String,
    /// When it is tried again.
    pub until: Instant,
}

impl fmt::Display for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { failures, reason, until } = self;
        let left = until.saturating_duration_since(Instant::now()).as_secs().max(1);
        write!(
            f,
            "it does not stay: it failed {failures} times in a row, so it is left alone for another {left} s, or until the config is read anew (toolcrib reload); the last time, {reason}"
        )
    }
}

/// What it takes to connect to one server.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    pub(crate) definition: Arc<Definition>,
    /// What goes to the server for one caller only.
    pub(crate) bound: Arc<Bound>,
    /// Who is signed in, where somebody has to be.
    pub(crate) authorized: Option<Arc<Authorized>>,
    pub(crate) client: ClientInfo,
    pub(crate) guard: Arc<Guard>,
    /// The era to try, if it is known or guessed.
    pub(crate) known_era: Arc<Mutex<Option<Era>>>,
}

impl Connector {
    /// The same, for a client that can do this.
    pub(crate) fn with_capabilities(&self, capabilities: Json) -> Self {
        Self { client: ClientInfo { capabilities, ..self.client.clone() }, ..self.clone() }
    }

    /// The same, for one caller.
    ///
    /// # Errors
    /// What the caller lacks, in a sentence.
    pub(crate) fn for_caller(&self, caller: &CallerId, token: Option<&str>) -> Result<Self, String> {
        let known = Known { caller, token, secrets: self.definition.secrets.as_deref() };
        let bound = binding::bind(&self.definition.bindings, known)?;
        // What the config binds for each caller goes before what anybody signed in for.
        let is_bound = bound.headers.iter().any(|(name, _)| *name == AUTHORIZATION);
        let authorized = if is_bound { None } else { Self::authorized(&self.definition, caller) };
        Ok(Self { bound: Arc::new(bound), authorized, ..self.clone() })
    }

    /// What this caller has at a server that wants to know.
    pub(crate) fn authorized(definition: &Definition, caller: &CallerId) -> Option<Arc<Authorized>> {
        let sign_in = definition.sign_in.as_ref()?;
        // What a caller signs in for by itself is no help to the connection by which the tools are listed.
        let is_each = definition.sharing == Sharing::PerCaller;
        let is_caller = *caller != CallerId::ourselves();
        let tool = sign_in.logins.is_some().then(|| definition.login_tool()).filter(|_| is_each == is_caller);
        Some(Authorized::new(sign_in, &definition.name, tool.as_deref(), caller))
    }

    /// How the server is reached, with what is for one caller.
    fn transport(&self) -> Transport {
        let mut transport = self.definition.transport.clone();
        match &mut transport {
            Transport::Child(command) => {
                command.env.retain(|(name, _)| !self.bound.variables.iter().any(|(bound, _)| bound == name));
                command.env.extend(self.bound.variables.iter().cloned());
            }
            Transport::Remote(endpoint, _) => {
                endpoint.authorization = self.authorized.clone().map(|authorized| authorized as Arc<dyn Authorization>);
                for (name, value) in &self.bound.headers {
                    endpoint.headers.insert(name.clone(), value.clone());
                }
            }
        }
        transport
    }

    /// Connects within the time that the server has for it. A child that was started is left in the slot, whatever comes
    /// of it.
    ///
    /// # Errors
    /// The reason, in words.
    pub(crate) async fn connect(&self, audience: Arc<dyn Audience>, slot: &mut Option<Child>) -> Result<Connection, String> {
        let within = self.definition.start_timeout;
        let known = self.definition.era.or(*self.era());
        match tokio::time::timeout(within, self.open(audience, known, slot)).await {
            Ok(Ok(connection)) => {
                *self.era() = Some(connection.greeting().revision.era());
                Ok(connection)
            }
            Ok(Err(error)) => Err(explain(slot.as_mut(), &error).await),
            Err(_) => {
                let how = format!("no greeting within {} s", within.as_secs());
                Err(slot.as_ref().map_or(how.clone(), |child| child.with_last_words(&how)))
            }
        }
    }

    /// The era that is tried, which whoever fails may change.
    pub(crate) fn era(&self) -> MutexGuard<'_, Option<Era>> {
        self.known_era.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self, audience: Arc<dyn Audience>, known: Option<Era>, slot: &mut Option<Child>) -> Result<Connection, ConnectError> {
        let client = self.client.clone();
        match &self.transport() {
            Transport::Child(command) => {
                let started = Child::start(&self.definition.name, command, &self.guard);
                let (child, pipes) = started.map_err(|error| {
                    ConnectError::Unreachable(format!("{:?} cannot be started: {error}", command.program.to_string_lossy()))
                })?;
                *slot = Some(child);
                let limit = self.definition.max_message_bytes;
                pipe::Connection::open(pipes.output, pipes.input, client, audience, limit, known).await.map(Connection::Pipe)
            }
            Transport::Remote(endpoint, Protocol::Sse) => {
                pipe::Connection::open_sse(endpoint.clone(), client, audience).await.map(Connection::Pipe)
            }
            Transport::Remote(endpoint, protocol) => {
                let opened = http::Connection::open(endpoint.clone(), client.clone(), Arc::clone(&audience), self.definition.era).await;
                match (opened, protocol) {
                    (Err(error @ ConnectError::NotAnEndpoint(_)), Protocol::Either) => {
                        let older = pipe::Connection::open_sse(endpoint.clone(), client, audience).await;
                        older.map(Connection::Pipe).map_err(|_| error)
                    }
                    (opened, _) => opened.map(Connection::Http),
                }
            }
        }
    }
}

/// Completes when the connection has ended, with the reason.
pub(crate) async fn ended(connection: &Connection, slot: &mut Option<Child>) -> String {
    let reason = connection.closed().await;
    match slot {
        // One that closed its output and stays is of no more use.
        Some(child) => tokio::time::timeout(GRACE, child.ended()).await.unwrap_or(reason),
        None => reason,
    }
}

/// Leaves the server, and ends it if it is a child.
pub(crate) async fn part(status: &watch::Sender<Status>, child: Option<Child>, after: Status) {
    let before = status.send_replace(after);
    if let Status::Ready(line) = before {
        line.close();
    }
    if let Some(child) = child {
        child.stop().await;
    }
}

/// Why there is no connection; of a child that ended, how it ended says more than that its pipe broke.
async fn explain(child: Option<&mut Child>, error: &ConnectError) -> String {
    match (child, error) {
        (Some(child), ConnectError::Unreachable(_)) => {
            tokio::time::timeout(Duration::from_secs(1), child.ended()).await.unwrap_or_else(|_| error.to_string())
        }
        (Some(child), _) => child.with_last_words(&error.to_string()),
        (None, _) => error.to_string(),
    }
}
