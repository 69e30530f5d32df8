//! The calling side: a connection to another server, over a pipe, by Streamable HTTP or by the HTTP+SSE of 2024-11-05, in
//! whichever era that server speaks.
//!
//! A connection finds out the era by itself and remembers it. Old servers survive the question: a pipe is asked
//! `server/discover` first, and whatever but a modern answer comes back leads to `initialize`.

mod asked;
mod authorization;
pub mod http;
pub mod pipe;
mod sse;

pub use asked::Asked;
pub use authorization::{Authorization, Refusal};

use crate::{
    Era, Revision,
    message::{ErrorObject, Id, Message, Notification, Request, code},
    meta, method,
};
use std::{fmt, sync::Arc, time::Duration};
use toolcrib_json::{Json, Members};

/// A connection to another server.
#[derive(Debug)]
pub enum Connection {
    /// Over a pipe, or over two HTTP streams that work as one.
    Pipe(pipe::Connection),
    /// By Streamable HTTP.
    Http(http::Connection),
}

/// What a server said about itself when we connected.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// The revision that we speak with it.
    pub revision: Revision,
    /// What it can do: an object.
    pub capabilities: Json,
    /// Who it says it is.
    pub server_info: Option<Json>,
    /// How it wants to be used.
    pub instructions: Option<String>,
}

/// Who we say we are.
#[derive(Debug, Clone)]
pub struct ClientInfo {
    /// Our name.
    pub name: String,
    /// Our version.
    pub version: String,
    /// What we can do, unless a request says otherwise: an object.
    pub capabilities: Json,
}

/// Hears what a server says besides its answers.
pub trait Audience: Send + Sync + fmt::Debug {
    /// A notification arrived.
    fn hear(&self, notification: Notification);

    /// The server asks something. By default nobody can answer: dropped, the question is refused.
    fn ask(&self, _question: Asked) {}

    /// An answer came to a request that nobody waited for any more.
    fn answered_late(&self) {}

    /// Something may have been said that we did not hear.
    fn missed(&self) {}

    /// The server forgot us, and we introduced ourselves anew: what it kept for us is gone.
    fn renewed(&self) {}
}

/// One request to a server.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// The parameters: an object. `_meta` may be among them.
    pub params: Option<Members>,
    /// Who hears what is said and asked about this request; if nobody, it goes to the audience of the connection.
    pub audience: Option<Arc<dyn Audience>>,
    /// Whether the audience wants to hear of progress.
    pub wants_progress: bool,
    /// From which level on log messages are wanted, where the parameters do not say so. Only a modern server is told.
    pub log_level: Option<&'static str>,
    /// What our own client can do, if that differs from what the connection says. Only a modern server is told.
    pub capabilities: Option<Json>,
    /// Where in a trace the request stands: `traceparent`, and `tracestate` if there is one. In the place of what the parameters say.
    pub trace: Option<(String, Option<String>)>,
    /// Headers that mirror arguments; used on HTTP only.
    pub headers: Vec<(::http::HeaderName, ::http::HeaderValue)>,
}

/// Why a request got no result. The variants differ in what may have happened at the server.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The server never got the request: it may be sent again.
    #[error("{0}")]
    NotSent(String),
    /// The server wants to know who we are, and this is why it does not get to know. It did not look at the request.
    #[error("{0}")]
    NotLetIn(String),
    /// The server says that it has too much to do, and perhaps when to come back. It did not look at the request.
    #[error("{0}")]
    Busy(String, Option<Duration>),
    /// The server may have got the request, and no answer will come.
    #[error("{0}")]
    Lost(String),
    /// The server answered with an error.
    #[error("{0}")]
    Server(#[source] ErrorObject),
    /// The server answered with something that is no answer.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
}

/// Why no connection came about.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server could not be reached, or left before it had answered.
    #[error("{0}")]
    Unreachable(String),
    /// The server wants to know who we are.
    #[error("the server refuses us ({0}): check the headers or credentials in the config")]
    Unauthorized(u16),
    /// The server wants to know who we are, and this is why it does not get to know.
    #[error("{0}")]
    NotLetIn(String),
    /// Nothing takes `initialize` there: this may be a server of the HTTP+SSE of 2024-11-05, or no MCP endpoint at all.
    #[error("initialize was answered with {0}: is this the MCP endpoint?")]
    NotAnEndpoint(u16),
    /// The server answered, but not as MCP has it.
    #[error("not an MCP server that we understand: {0}")]
    Protocol(String),
}

/// The most bytes of one list, all its pages together.
const MAX_LIST_BYTES: usize = 32 << 20;

impl Connection {
    /// What the server said about itself.
    #[must_use]
    pub fn greeting(&self) -> &Greeting {
        match self {
            Self::Pipe(connection) => connection.greeting(),
            Self::Http(connection) => connection.greeting(),
        }
    }

    /// Sends a request and waits for its result. There is no deadline here; the caller has one for the whole call.
    ///
    /// # Errors
    /// [`RequestError`].
    ///
    /// # Cancellation
    /// Dropping the future cancels the request at the server.
    pub async fn request(&self, method: &str, outgoing: Outgoing) -> Result<Json, RequestError> {
        match self {
            Self::Pipe(connection) => connection.request(method, outgoing).await,
            Self::Http(connection) => connection.request(method, outgoing).await,
        }
    }

    /// Gathers all items of a list, page by page. Whatever the server does, no more than `max_items` and as many pages.
    ///
    /// # Errors
    /// [`RequestError`]; a cursor that comes back unchanged is a [`RequestError::Protocol`].
    pub async fn list(&self, method: &str, key: &str, max_items: usize) -> Result<Listed, RequestError> {
        let mut items: Vec<Json> = Vec::new();
        let mut fresh_for: Option<Duration> = None;
        let mut cursor: Option<Json> = None;
        let mut size_bytes = 0;
        for _ in 0..=max_items {
            let params =
                cursor.as_ref().map(|cursor| Json::object().with("cursor", cursor).finish().members().expect("an object was written"));
            let result = self.request(method, Outgoing { params, ..Outgoing::default() }).await?;
            let broken = |error: &dyn fmt::Display| RequestError::Protocol(format!("the result of {method}: {error}"));
            let members = result.members().map_err(|error| broken(&error))?;
            let list = members.get(key).ok_or_else(|| broken(&format_args!("it has no {key:?}")))?;
            size_bytes += list.size_bytes();
            if size_bytes > MAX_LIST_BYTES {
                return Err(broken(&format_args!("more than {MAX_LIST_BYTES} bytes")));
            }
            items.extend(list.elements().map_err(|error| broken(&error))?);
            if items.len() > max_items {
                return Err(broken(&format_args!("more than {max_items} items")));
            }
            let ttl = members.get("ttlMs").and_then(|ttl| ttl.read::<u64>().ok()).filter(|ttl| *ttl > 0).map(Duration::from_millis);
            fresh_for = fresh_for.into_iter().chain(ttl).min();
            let next = members.get("nextCursor").filter(|cursor| cursor.as_bytes() != b"null");
            match next {
                None => return Ok(Listed { items, fresh_for }),
                Some(next) if cursor.as_ref() == Some(&next) => return Err(broken(&"the same cursor twice")),
                next => cursor = next,
            }
        }
        Err(RequestError::Protocol(format!("{method} has no last page")))
    }

    /// Keeps listening for changes until the future is dropped; it never completes, whatever type it is asked for. What is heard goes to the audience of
    /// the connection.
    pub async fn listen<T>(&self) -> T {
        match self {
            Self::Pipe(connection) => connection.listen().await,
            Self::Http(connection) => connection.listen().await,
        }
    }

    /// Completes when the connection has ended, with the reason.
    pub async fn closed(&self) -> String {
        match self {
            Self::Pipe(connection) => connection.closed().await,
            Self::Http(_) => std::future::pending().await,
        }
    }
}

/// The request as it goes out: ours are the id, the progress token and, in the modern era, the protocol's own `_meta`.
fn prepare(id: i64, method: &str, outgoing: &Outgoing, revision: Option<Revision>, client: &ClientInfo) -> Request {
    let meta = outgoing_meta(id, outgoing, revision, client);
    let params = match (&outgoing.params, meta) {
        (None, None) => None,
        (None, Some(meta)) => Some(Json::object().with("_meta", &meta).finish()),
        (Some(params), meta) => Some(params.edit(&[("_meta", meta)])),
    };
    Request { id: Id::Number(id), method: method.into(), params }
}

fn outgoing_meta(id: i64, outgoing: &Outgoing, revision: Option<Revision>, client: &ClientInfo) -> Option<Json> {
    let given = outgoing.params.as_ref().and_then(|params| params.get("_meta")).and_then(|meta| meta.members().ok());
    let token = outgoing.wants_progress.then(|| Id::Number(id).to_json());
    let mut edits = vec![
        (meta::PROGRESS_TOKEN, token),
        // What our own client said of itself and its connection does not concern the next server.
        (meta::PROTOCOL_VERSION, None),
        (meta::CLIENT_INFO, None),
        (meta::CLIENT_CAPABILITIES, None),
    ];
    if let Some((parent, state)) = &outgoing.trace {
        edits.push((meta::TRACEPARENT, Some(Json::string(parent))));
        edits.push((meta::TRACESTATE, state.as_deref().map(Json::string)));
    }
    if let Some(revision) = revision.filter(|revision| revision.era() == Era::Modern) {
        edits[1].1 = Some(Json::string(revision.date()));
        edits[2].1 = Some(info(client));
        if let Some(level) = outgoing.log_level.filter(|_| !given.as_ref().is_some_and(|given| given.has(meta::LOG_LEVEL))) {
            edits.push((meta::LOG_LEVEL, Some(Json::string(level))));
        }
        edits[3].1 = Some(outgoing.capabilities.as_ref().unwrap_or(&client.capabilities).clone());
    } else {
        edits.push((meta::LOG_LEVEL, None));
    }
    let given = given.unwrap_or_else(|| Json::empty_object().members().expect("this is an object"));
    let meta = given.edit(&edits);
    (meta.as_bytes() != b"{}").then_some(meta)
}

fn info(client: &ClientInfo) -> Json {
    Json::object().with_str("name", &client.name).with_str("version", &client.version).finish()
}

fn initialize_params(client: &ClientInfo) -> Members {
    let params = Json::object()
        .with_str("protocolVersion", Revision::NEWEST_LEGACY.date())
        .with("capabilities", &client.capabilities)
        .with("clientInfo", &info(client))
        .finish();
    params.members().expect("an object was written")
}

fn read_initialized(result: &Json) -> Result<Greeting, ConnectError> {
    let members = result.members().map_err(|error| ConnectError::Protocol(format!("the result of initialize: {error}")))?;
    let date = members.string("protocolVersion").unwrap_or_default();
    let revision = Revision::from_date(&date).filter(|revision| revision.era() == Era::Legacy);
    let revision = revision.ok_or_else(|| ConnectError::Protocol(format!("it wants to speak revision {date:?}")))?;
    Ok(greeting(revision, &members, members.get("serverInfo")))
}

/// Reads a result of `server/discover`. An old server may answer whatever it is asked: what is no such result tells of one.
fn read_discovered(result: &Json) -> Result<Verdict, ConnectError> {
    let Ok(members) = result.members() else { return Ok(Verdict::Legacy) };
    let versions: Vec<String> = members.get("supportedVersions").and_then(|json| json.read().ok()).unwrap_or_default();
    let Some(revision) = choose_modern(&versions) else {
        let is_legacy = versions.is_empty() || versions.iter().any(|date| Revision::from_date(date).is_some());
        return if is_legacy {
            Ok(Verdict::Legacy)
        } else {
            Err(ConnectError::Protocol(format!("it speaks only the revisions {versions:?}")))
        };
    };
    let info = members.get("_meta").and_then(|meta| meta.members().ok()?.get(meta::SERVER_INFO));
    Ok(Verdict::Modern(Box::new(greeting(revision, &members, info))))
}

fn greeting(revision: Revision, members: &Members, server_info: Option<Json>) -> Greeting {
    let capabilities = members.get("capabilities").filter(Json::is_object).unwrap_or_else(Json::empty_object);
    Greeting { revision, capabilities, server_info, instructions: members.string("instructions") }
}

fn choose_modern(versions: &[String]) -> Option<Revision> {
    Revision::ALL
        .into_iter()
        .filter(|revision| revision.era() == Era::Modern)
        .find(|revision| versions.iter().any(|date| date == revision.date()))
}

/// What an answer to `server/discover` says of a server.
enum Verdict {
    /// It is modern, and this is what it says of itself.
    Modern(Box<Greeting>),
    /// It is modern and wants to be asked in another revision.
    AskIn(Revision),
    /// It is of the legacy era.
    Legacy,
}

/// Only a modern server gives certain errors; with any other error an old one says that it does not know the question.
fn judge(error: &ErrorObject) -> Result<Verdict, ConnectError> {
    match error.code {
        code::UNSUPPORTED_VERSION => {
            let supported =
                error.data.as_ref().and_then(|data| data.members().ok()?.get("supported")?.read::<Vec<String>>().ok()).unwrap_or_default();
            match choose_modern(&supported) {
                Some(revision) => Ok(Verdict::AskIn(revision)),
                None if supported.iter().any(|date| Revision::from_date(date).is_some()) => Ok(Verdict::Legacy),
                None => Err(ConnectError::Protocol(error.to_string())),
            }
        }
        code::HEADER_MISMATCH | code::MISSING_CAPABILITY => Err(ConnectError::Protocol(error.to_string())),
        _ => Ok(Verdict::Legacy),
    }
}

fn notification(method: &str, params: Option<Json>) -> Json {
    Message::Notification(Notification { method: method.into(), params }).to_json()
}

fn cancelled(id: i64) -> Json {
    notification(
        method::CANCELLED,
        Some(Json::object().with("requestId", &Id::Number(id).to_json()).with_str("reason", "no longer wanted").finish()),
    )
}

/// A whole list, of all its pages.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// Its items.
    pub items: Vec<Json>,
    /// For how long the server says that they hold (`ttlMs` of 2026-07-28), the least of all pages.
    pub fresh_for: Option<Duration>,
}

/// Every kind of change that we listen for on a modern connection.
fn listen_params() -> Members {
    let filter = Json::parse(r#"{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}"#).expect("this is JSON");
    Json::object().with("notifications", &filter).finish().members().expect("an object was written")
}
