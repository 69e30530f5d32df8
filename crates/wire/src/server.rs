//! The serving side: what a door needs to speak MCP, whoever answers behind it.
//!
//! [`http::HttpServer`] and [`stdio::serve`] read messages, keep sessions, check headers and write answers. What is
//! answered is the business of a [`Service`].

mod channel;
pub mod http;
pub mod session;
pub mod stdio;
mod stream;

pub use channel::{AskError, Channel};
pub use session::{Session, SessionState, Sessions};

use crate::{
    headers::HeaderParam,
    message::{ErrorObject, Id, Notification, Request, code},
    meta::{self, Meta},
    revision::{Era, Revision},
};
use std::{net::IpAddr, sync::Arc, time::Duration};
use toolcrib_json::{Json, Members};

/// Who calls, as far as the wire must know: sessions are bound to their caller.
pub trait Caller: Clone + Send + Sync + 'static {
    /// A stable name for whoever this is. A session opened under one name is not found under another.
    fn principal(&self) -> &str;

    /// The address that it calls from, as far as it is known.
    fn address(&self) -> Option<IpAddr> {
        None
    }
}

/// One request as the service sees it: what is asked, by whom, in which revision, and the way back. Boxed, since it is handed on often.
#[derive(Debug)]
pub struct Exchange<C> {
    /// The id the client gave.
    pub id: Id,
    /// What is asked for.
    pub method: Box<str>,
    /// The parameters, read one level deep.
    pub params: Option<Members>,
    /// What `_meta` said.
    pub meta: Meta,
    /// The revision that this request is made in.
    pub revision: Revision,
    /// The session, for a legacy client.
    pub session: Option<Arc<Session>>,
    /// Says things to the client before the answer.
    pub channel: Channel,
    /// Who asks.
    pub caller: C,
}

/// What answers behind a door.
pub trait Service: Send + Sync + 'static {
    /// Who calls.
    type Caller: Caller;

    /// Answers one request. `initialize` arrives here too, with the session that it opens.
    ///
    /// # Cancellation
    /// The future is dropped when the client cancels or leaves.
    fn request(&self, exchange: Box<Exchange<Self::Caller>>) -> impl Future<Output = Result<Json, ErrorObject>> + Send;

    /// Hears a notification of a legacy client, other than cancellation, which the wire itself sees to.
    fn notification(&self, notification: Notification, session: &Arc<Session>);

    /// The name of what a request of a modern client goes on with, if that lives in one process: see [`http::Neighbours`].
    fn goes_on_with(&self, _exchange: &Exchange<Self::Caller>) -> Option<String> {
        None
    }

    /// What the service has to know of a session where it goes on in another process.
    fn remember(&self, _session: &Session) -> Json {
        Json::empty_object()
    }

    /// Goes on with a session that another process had, by what that remembered.
    fn restore(&self, _session: &Arc<Session>, _state: &SessionState, _caller: &Self::Caller) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// The arguments of a tool that HTTP clients must mirror into headers.
    fn header_params(&self, tool: &str, caller: &Self::Caller) -> Option<Arc<[HeaderParam]>>;
}

/// Bounds of the serving side. Every one has a default that suits a loopback gateway.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest message accepted, in bytes. Default 4 MiB, as in the Rust SDK.
    pub max_message_bytes: usize,
    /// How long a client may take to send a body. Default 30 s.
    pub body_timeout: Duration,
    /// Connections at once, of a door that has any; more are told to come back. Default 4,096.
    pub max_connections: usize,
    /// Requests answered at once by one door; more are refused as overloaded. Default 1,024.
    pub max_in_flight: usize,
    /// Legacy sessions at once; more are refused. Default 4,096.
    pub max_sessions: usize,
    /// How long a legacy session lives without a request, an open stream or a call in flight. Default 30 min.
    pub session_idle: Duration,
    /// The only era that is served, for clients that are to see no other. Default both.
    pub only_era: Option<Era>,
    /// How often a quiet stream carries a comment, so that nobody between takes it for dead. Default 15 s.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 4 << 20,
            body_timeout: Duration::from_secs(30),
            max_connections: 4096,
            max_in_flight: 1024,
            max_sessions: 4096,
            session_idle: Duration::from_secs(30 * 60),
            only_era: None,
            keep_alive: Duration::from_secs(15),
        }
    }
}

impl Limits {
    /// Refuses a client of an era that is not served.
    fn admit(&self, era: Era) -> Result<(), ErrorObject> {
        match (self.only_era, era) {
            (Some(Era::Modern), Era::Legacy) => Err(meta::unsupported_version(
                "of the legacy era",
                Revision::ALL.into_iter().filter(|revision| revision.era() == Era::Modern),
            )),
            (Some(Era::Legacy), Era::Modern) => {
                Err(ErrorObject::new(code::INVALID_REQUEST, "this server speaks revisions up to 2025-11-25 only: send initialize"))
            }
            _ => Ok(()),
        }
    }
}

/// The parameters that we interpret, whatever the method.
const INTERPRETED: [&str; 8] = ["name", "uri", "arguments", "_meta", "ref", "cursor", "inputResponses", "requestState"];

/// Reads the parameters of a request one level deep, and what its `_meta` says.
fn read_params(request: &Request) -> Result<(Option<Members>, Meta), ErrorObject> {
    let params = request.params.as_ref().map(Json::members).transpose();
    let params = params.map_err(|error| ErrorObject::invalid_params(format!("params: {error}")))?;
    params.as_ref().map_or(Ok(()), refuse_lookalikes)?;
    let meta = Meta::of(params.as_ref())?;
    Ok((params, meta))
}

/// Refuses a parameter that differs from one we interpret only in its case or by a stray NUL: a server behind us that
/// reads names loosely would act on the one that we passed over (as CVE-2026-27896 and GHSA-q382-vc8q-7jhj did).
fn refuse_lookalikes(params: &Members) -> Result<(), ErrorObject> {
    for (key, _) in params.iter() {
        let bare = key.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        if let Some(meant) = INTERPRETED.iter().find(|meant| bare.eq_ignore_ascii_case(meant) && key != **meant) {
            return Err(ErrorObject::invalid_params(format!("params has {key:?}, which could be mistaken for {meant:?}")));
        }
    }
    Ok(())
}
