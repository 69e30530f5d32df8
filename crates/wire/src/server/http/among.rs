//! Which of several processes answers a request, and who goes on with the sessions of one that is gone. How a request gets there is the business
//! of [`neighbours`](super::neighbours).

use super::{
    Found, HttpServer, Neighbours, PassedOn, Place, Reply, Standing,
    neighbours::{NotPassed, Relay},
    refusal::{Refusal, no_such_session, too_many_sessions},
};
use crate::{
    Era, Revision, headers, meta,
    server::{Caller, Exchange, Service, Session},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, request::Parts};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a request waits for a process that does not listen: until then it is missed, and its sessions are taken over.
const UNTIL_MISSED: Duration = Duration::from_secs(8);
const RETRY: Duration = Duration::from_millis(200);

/// Where a request is to be answered.
pub(super) enum Located {
    /// Here, in this session, if in any.
    Here(Option<Arc<Session>>),
    /// In another process, which has done so.
    Answered(Box<Reply>),
}

impl<S: Service> HttpServer<S> {
    /// One of several processes that are one server: each answers for all. Sessions are of the endpoint of this name.
    #[must_use]
    pub fn among(mut self, neighbours: Option<Arc<dyn Neighbours>>, endpoint: &str) -> Self {
        self.relay = neighbours.map(|neighbours| Arc::new(Relay::new(neighbours)));
        self.endpoint = endpoint.into();
        self
    }

    /// Has the sessions that are open kept for longer, where another process could go on with them. To be called now and then.
    ///
    /// Lets go of those that others have taken over, and tells anew of those that nobody knows of.
    pub async fn renew_sessions(&self) {
        let Some(relay) = &self.relay else { return };
        let sessions = self.sessions.lasting();
        let standings = relay.neighbours().renew(&sessions).await;
        for ((id, _), standing) in sessions.iter().zip(standings) {
            match standing {
                Standing::Ours => {}
                Standing::Theirs => self.sessions.let_go(id),
                Standing::Unknown => self.keep(id).await,
            }
        }
    }

    /// Finds out which sessions others have taken over, whenever that may be, for as long as this is polled.
    pub async fn follow_neighbours(&self) {
        let Some(relay) = &self.relay else { return std::future::pending().await };
        let mut missed = relay.neighbours().missed();
        while missed.changed().await.is_ok() {
            self.renew_sessions().await;
        }
        std::future::pending().await
    }

    /// Has another process answer what goes on with something that has this name, if it lives there.
    pub async fn elsewhere(&self, name: &str, parts: &Parts, address: Option<IpAddr>) -> Option<Reply> {
        let relay = self.relay.as_ref().filter(|_| PassedOn::of(parts).is_first())?;
        let Place::There(base) = relay.neighbours().place_of(name) else { return None };
        let answered = relay.pass(&base, parts, Bytes::new(), address).await;
        Some(answered.map_err(Refusal::from).unwrap_or_else(Refusal::into_reply))
    }

    async fn keep(&self, id: &str) {
        if let (Some(relay), Some(session)) = (&self.relay, self.sessions.known(id)) {
            relay.neighbours().keep(id, session.state(&self.endpoint, self.service.remember(&session))).await;
        }
    }

    /// The name of the session that the request is of, if it is of one.
    fn session_name(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
        let single = |name: &HeaderName| headers::single(headers, name).map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error));
        let (named, version) = (headers::SESSION_ID, headers::PROTOCOL_VERSION);
        let Some(id) = single(&named)? else { return Ok(None) };
        let revision = single(&version)?
            .and_then(|value| value.to_str().ok())
            .map(|date| Revision::from_date(date).ok_or_else(|| meta::unsupported_version(date, Revision::ALL)));
        match revision.transpose().map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error))? {
            // Modern requests have no session; whatever stands in the header is ignored.
            Some(revision) if revision.era() == Era::Modern => Ok(None),
            // Real clients send a known revision other than the negotiated one: that is accepted.
            _ => id.to_str().map(Some).map_err(|_| no_such_session()),
        }
    }

    /// Finds out where a request is to be answered, and has it answered there if that is another process.
    pub(super) async fn locate(&self, parts: &Parts, body: &Bytes, caller: &S::Caller) -> Result<Located, Refusal> {
        let Some(id) = Self::session_name(&parts.headers)? else { return Ok(Located::Here(None)) };
        if let Some(session) = self.sessions.find(id, caller.principal()) {
            return Ok(Located::Here(Some(session)));
        }
        // Who has it here and does not get it is somebody else, or too late.
        let Some(relay) = self.relay.as_ref().filter(|_| self.sessions.known(id).is_none()) else { return Err(no_such_session()) };
        // Boxed, since it is rare and would make what every request holds as large as itself.
        Box::pin(self.locate_elsewhere(relay, id, parts, body, caller)).await
    }

    /// The same for a session that is not here.
    async fn locate_elsewhere(&self, relay: &Relay, id: &str, parts: &Parts, body: &Bytes, caller: &S::Caller) -> Result<Located, Refusal> {
        let passed = PassedOn::of(parts);
        // What was passed on to us began here; who has it since, the others know.
        let mut place = if passed.is_first() { relay.neighbours().place_of(id) } else { Place::Here };
        let began = Instant::now();
        while began.elapsed() < UNTIL_MISSED {
            if let Place::There(base) = &place {
                match relay.pass(base, parts, body.clone(), caller.address()).await {
                    // Nothing was sent. Soon it is missed by all, or there again.
                    Err(NotPassed::Unreachable) => tokio::time::sleep(RETRY).await,
                    answered => return Ok(Located::Answered(Box::new(answered?))),
                }
            }
            place = match relay.neighbours().adopt(id).await {
                Found::Ours(state) if *state.principal == *caller.principal() && *state.endpoint == *self.endpoint => {
                    let session = self.sessions.restore(id, &state).map_err(|error| too_many_sessions(&error))?;
                    self.service.restore(&session, &state, caller).await;
                    return Ok(Located::Here(Some(session)));
                }
                Found::There(base) if passed.may_be_passed_on() => Place::There(base),
                // What was forgotten is told anew within a moment.
                Found::Unknown => {
                    tokio::time::sleep(RETRY).await;
                    if passed.is_first() { relay.neighbours().place_of(id) } else { Place::Here }
                }
                Found::There(_) => break,
                Found::Ours(_) | Found::None => return Err(no_such_session()),
            };
        }
        Err(NotPassed::Unreachable.into())
    }

    /// Has another process answer what goes on with something that lives there.
    pub(super) async fn pass_on(&self, exchange: &Exchange<S::Caller>, parts: &Parts, body: &Bytes) -> Result<Option<Reply>, Refusal> {
        let may_pass = exchange.session.is_none() && PassedOn::of(parts).is_first();
        let Some(relay) = self.relay.as_ref().filter(|_| may_pass) else { return Ok(None) };
        let Some(name) = self.service.goes_on_with(exchange) else { return Ok(None) };
        match relay.neighbours().place_of(&name) {
            Place::There(base) => {
                // Boxed, since it is rare and large.
                let passed = Box::pin(relay.pass(&base, parts, body.clone(), exchange.caller.address())).await;
                passed.map(Some).map_err(Refusal::from)
            }
            // What is gone is found nowhere, which is for the service to say.
            Place::Here | Place::Gone => Ok(None),
        }
    }
}
