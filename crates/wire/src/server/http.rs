//! Streamable HTTP, served: both eras on one path.
//!
//! A call is answered as plain `application/json`; only when something must be said before the result does the answer
//! become a stream of events. No task is spawned for a plain call: it runs inside its connection, and ends with it. Once
//! the answer is a stream, it goes on in a task of its own. A modern client that closes the stream cancels it; in a legacy
//! session closing does not cancel, and the stream can be resumed.
//!
//! `Origin` and `Host` are the business of the door in front of this.

mod among;
mod body;
mod neighbours;
mod refusal;

pub use body::Body;
pub use neighbours::{BrokenOff, Found, Neighbours, PASSED_ON, PassedOn, Place, Standing};

use super::{
    Caller, Exchange, Limits, Service, Session, Sessions,
    channel::{Channel, Outbox},
    read_params,
    session::InFlight,
    stream::EventId,
};
use crate::{
    Era, Revision, headers,
    message::{ErrorObject, Fault, Id, Incoming, Message, Pieces, Request, Response, code},
    meta::{self, Meta},
    method,
};
use among::Located;
use body::{Answer, Held, Running};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use neighbours::Relay;
use refusal::{Refusal, bad_request, not_acceptable, not_allowed, overloaded, too_many_sessions};
use std::{
    error::Error as StdError,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
};
use tokio::sync::Semaphore;
use toolcrib_json::{Json, Members};

/// An answer on its way out.
pub type Reply = http::Response<Body>;
/// What changes that another process has to know to go on with a session.
const CHANGES_SESSION: [&str; 4] = [method::INITIALIZE, method::SET_LEVEL, method::SUBSCRIBE, method::UNSUBSCRIBE];
/// A request that its era has nothing against, and where messages about it go.
type Checked<C> = (Box<Exchange<C>>, Arc<Outbox>);
/// What gives an answer, unless the request is cancelled first.
type Boxed<T> = Pin<Box<dyn Future<Output = Option<T>> + Send>>;

/// Serves MCP over HTTP. One per door; share it behind an `Arc`.
#[derive(Debug)]
pub struct HttpServer<S> {
    service: Arc<S>,
    limits: Limits,
    sessions: Sessions,
    /// Bodies that are being read.
    reading: Semaphore,
    in_flight: Arc<Semaphore>,
    /// The way to the other processes that are one server with this one, if there are any.
    relay: Option<Arc<Relay>>,
    /// Which of the endpoints of a server this is.
    endpoint: Arc<str>,
}

impl<S: Service> HttpServer<S> {
    /// A server that lets `service` answer.
    #[must_use]
    pub fn new(service: Arc<S>, limits: Limits) -> Self {
        let places = || Semaphore::new(limits.max_in_flight);
        Self {
            service,
            sessions: Sessions::new(limits.clone()),
            reading: places(),
            in_flight: Arc::new(places()),
            relay: None,
            endpoint: "".into(),
            limits,
        }
    }

    /// Ends the streams of sessions, here and elsewhere, so that a door can shut.
    pub fn close_streams(&self) {
        self.sessions.close_streams();
        self.relay.iter().for_each(|relay| relay.close_streams());
    }

    /// The legacy sessions that are open.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Answers one HTTP request of an authenticated caller.
    pub async fn handle<B>(&self, request: http::Request<B>, caller: S::Caller) -> Reply
    where
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>>,
    {
        let (parts, body) = request.into_parts();
        let reply = match parts.method {
            Method::POST => self.post(&parts, body, caller).await,
            Method::GET => self.get(&parts, &caller).await,
            Method::DELETE => self.delete(&parts, &caller).await,
            _ => Err(not_allowed("this endpoint takes POST; GET and DELETE only with a session")),
        };
        reply.unwrap_or_else(Refusal::into_reply)
    }

    async fn post<B>(&self, parts: &Parts, body: B, caller: S::Caller) -> Result<Reply, Refusal>
    where
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>>,
    {
        check_content_type(&parts.headers)?;
        let takes_stream = check_accept(&parts.headers)?;
        let text = {
            let _reading = self.reading.try_acquire().map_err(|_| overloaded(self.limits.max_in_flight))?;
            self.read_body(&parts.headers, body).await?
        };
        // What wants no answer (a cancellation, the answer to a question) needs no place among those that do.
        let permit = || Arc::clone(&self.in_flight).try_acquire_owned().map_err(|_| overloaded(self.limits.max_in_flight));
        let session = match self.locate(parts, &text, &caller).await.map_err(|refusal| refusal.answering(&text))? {
            Located::Here(session) => session,
            Located::Answered(reply) => return Ok(*reply),
        };
        match Incoming::parse(&text).map_err(Refusal::from)? {
            Incoming::One(Message::Request(request)) => {
                let id = request.id.clone();
                let (exchange, outbox) = self
                    .exchange(&parts.headers, request, session, caller, takes_stream)
                    .map_err(|(status, error)| Refusal::new(status, error).to(id.clone()))?;
                if let Some(reply) = self.pass_on(&exchange, parts, &text).await.map_err(|refusal| refusal.to(id.clone()))? {
                    return Ok(reply);
                }
                let permit = permit().map_err(|refusal| refusal.to(id))?;
                let running = self.start(exchange, outbox, permit)?;
                Ok(running.reply(self.limits.keep_alive).await)
            }
            Incoming::One(message) => self.accept(message, session.as_ref(), &parts.headers),
            Incoming::Batch(items) => {
                let session = session.filter(|session| session.revision().has_batches()).ok_or_else(|| {
                    bad_request(
                        code::INVALID_REQUEST,
                        "batches exist only in sessions of revision 2025-03-26: send one message per request",
                    )
                })?;
                let running = self.start_batch(items, &session, &caller, takes_stream, permit()?)?;
                Ok(match running {
                    Some(running) => running.reply(self.limits.keep_alive).await,
                    None => accepted(),
                })
            }
        }
    }

    async fn read_body<B>(&self, headers: &HeaderMap, body: B) -> Result<Bytes, Refusal>
    where
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>>,
    {
        let limit = self.limits.max_message_bytes;
        let too_large = || Refusal {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            id: None,
            error: ErrorObject::new(code::INVALID_REQUEST, format!("the message exceeds the limit of {limit} bytes")),
        };
        let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        match tokio::time::timeout(self.limits.body_timeout, Limited::new(body, limit).collect()).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_large()),
            Ok(Err(error)) => Err(bad_request(code::INVALID_REQUEST, &format!("the body broke off: {error}"))),
            Err(_) => Err(Refusal {
                status: StatusCode::REQUEST_TIMEOUT,
                id: None,
                error: ErrorObject::new(code::INVALID_REQUEST, "the body did not arrive in time"),
            }),
        }
    }

    /// Turns a request into what the service sees, checking all that its era demands.
    fn exchange(
        &self,
        headers: &HeaderMap,
        request: Request,
        session: Option<Arc<Session>>,
        caller: S::Caller,
        takes_stream: bool,
    ) -> Result<Checked<S::Caller>, (StatusCode, ErrorObject)> {
        let bad = |error| (StatusCode::BAD_REQUEST, error);
        let (params, meta) = read_params(&request).map_err(bad)?;
        let outbox = Outbox::new(takes_stream);
        let (revision, session) = if request.method.as_ref() == method::INITIALIZE && !meta.is_modern() {
            self.limits.admit(Era::Legacy).map_err(bad)?;
            let session = self.open_session(params.as_ref(), &caller)?;
            (session.revision(), Some(session))
        } else if meta.is_modern() || names_modern(headers) || request.method.as_ref() == method::DISCOVER {
            self.limits.admit(Era::Modern).map_err(bad)?;
            (self.check_modern(headers, &request, params.as_ref(), &meta, &caller).map_err(bad)?, None)
        } else {
            let session = session.ok_or_else(|| bad(no_session(headers)))?;
            (session.revision(), Some(session))
        };
        let asks = session.as_ref().filter(|_| takes_stream).map(|session| Arc::clone(&session.asks));
        let channel = Channel::outbox(Arc::clone(&outbox), asks);
        let exchange = Exchange { id: request.id, method: request.method, params, meta, revision, session, channel, caller };
        Ok((Box::new(exchange), outbox))
    }

    fn open_session(&self, params: Option<&Members>, caller: &S::Caller) -> Result<Arc<Session>, (StatusCode, ErrorObject)> {
        let (revision, capabilities) = super::session::negotiate(params).map_err(|error| (StatusCode::BAD_REQUEST, error))?;
        let id = super::session::random_id();
        let id = self.relay.as_ref().map_or(id.clone(), |relay| relay.neighbours().name(&id));
        self.sessions.open(id, caller.principal(), revision, capabilities).map_err(|error| {
            let Refusal { status, error, .. } = too_many_sessions(&error);
            (status, error)
        })
    }

    fn check_modern(
        &self,
        headers: &HeaderMap,
        request: &Request,
        params: Option<&Members>,
        meta: &Meta,
        caller: &S::Caller,
    ) -> Result<Revision, ErrorObject> {
        if let Some(version) = &meta.protocol_version {
            headers::check_standard(headers, request, params, version)?;
        }
        let revision = meta.modern_revision()?;
        if request.method.as_ref() == method::CALL_TOOL
            && let Some(params) = params
            && let Some(expected) = params.str("name").and_then(|tool| self.service.header_params(&tool, caller))
        {
            headers::check_params(headers, &expected, params.get("arguments").as_ref())?;
        }
        Ok(revision)
    }

    /// Lets the service answer, and makes its answer one JSON-RPC response.
    fn start(
        &self,
        exchange: Box<Exchange<S::Caller>>,
        outbox: Arc<Outbox>,
        permit: tokio::sync::OwnedSemaphorePermit,
    ) -> Result<Running, Refusal> {
        let id = exchange.id.clone();
        let session = exchange.session.clone();
        let opened = session.clone().filter(|_| exchange.method.as_ref() == method::INITIALIZE);
        let in_flight = begin(session.as_ref(), &id)?;
        let era = exchange.revision.era();
        let service = Arc::clone(&self.service);
        let status = Arc::new(body::Status::default());
        let reported = Arc::clone(&status);
        let kept = self.relay.clone().zip(session.clone()).filter(|_| CHANGES_SESSION.contains(&&*exchange.method));
        let endpoint = Arc::clone(&self.endpoint);
        let answer: Boxed<Answer> = Box::pin(async move {
            let _permit = permit;
            let request = pin!(service.request(exchange));
            let outcome = answered_or_cancelled(request, in_flight.as_ref()).await?;
            if let Some((relay, session)) = kept.filter(|_| outcome.is_ok()) {
                // Before the client knows of it, so that it is true wherever the client asks next.
                relay.neighbours().keep(session.id(), session.state(&endpoint, service.remember(&session))).await;
            }
            if let Err(error) = &outcome {
                reported.report(error, era);
            }
            Some(Answer::One(Response { id: Some(id), outcome }))
        });
        Ok(Running::new(answer, outbox, session, opened, status))
    }

    /// Lets the service answer every request of a batch, together. `None` where nothing in it wants an answer.
    fn start_batch(
        &self,
        items: Vec<Result<Message, Fault>>,
        session: &Arc<Session>,
        caller: &S::Caller,
        takes_stream: bool,
        permit: tokio::sync::OwnedSemaphorePermit,
    ) -> Result<Option<Running>, Refusal> {
        let outbox = Outbox::new(takes_stream);
        let mut answers: Vec<Boxed<Json>> = Vec::with_capacity(items.len());
        let mut changes = false;
        for item in items {
            match item {
                Ok(Message::Request(request)) => {
                    let id = request.id.clone();
                    changes |= CHANGES_SESSION.contains(&&*request.method);
                    let (params, meta) = match read_params(&request) {
                        Ok(read) => read,
                        Err(error) => {
                            answers.push(Box::pin(async { Some(Response { id: Some(id), outcome: Err(error) }.to_json()) }));
                            continue;
                        }
                    };
                    let in_flight = begin(Some(session), &id)?;
                    let channel = Channel::outbox(Arc::clone(&outbox), takes_stream.then(|| Arc::clone(&session.asks)));
                    let (method, revision, caller) = (request.method, session.revision(), caller.clone());
                    let exchange =
                        Exchange { id: request.id, method, params, meta, revision, session: Some(Arc::clone(session)), channel, caller };
                    let service = Arc::clone(&self.service);
                    answers.push(Box::pin(async move {
                        let request = pin!(service.request(Box::new(exchange)));
                        let outcome = answered_or_cancelled(request, in_flight.as_ref()).await?;
                        Some(Response { id: Some(id), outcome }.to_json())
                    }));
                }
                Ok(message) => self.hear(message, session),
                Err(fault) => answers.push(Box::pin(async { Some(fault.into_response().to_json()) })),
            }
        }
        if answers.is_empty() {
            return Ok(None);
        }
        let (service, endpoint, kept) = (Arc::clone(&self.service), Arc::clone(&self.endpoint), self.relay.clone().filter(|_| changes));
        let of = Arc::clone(session);
        let answer: Boxed<Answer> = Box::pin(async move {
            let _permit = permit;
            let answers = Json::array(join_all(answers).await.into_iter().flatten());
            if let Some(relay) = kept {
                relay.neighbours().keep(of.id(), of.state(&endpoint, service.remember(&of))).await;
            }
            Some(Answer::Batch(answers))
        });
        Ok(Some(Running::new(answer, outbox, Some(Arc::clone(session)), None, Arc::default())))
    }

    /// Takes a message that wants no answer.
    fn accept(&self, message: Message, session: Option<&Arc<Session>>, headers: &HeaderMap) -> Result<Reply, Refusal> {
        match (session, message) {
            (Some(session), message) => {
                self.hear(message, session);
                Ok(accepted())
            }
            (None, Message::Notification(_)) if names_modern(headers) => Ok(accepted()),
            (None, Message::Response(_)) if names_modern(headers) => Err(bad_request(
                code::INVALID_REQUEST,
                "clients of 2026-07-28 send no responses: answer in inputResponses of the repeated request",
            )),
            (None, _) => Err(Refusal::new(StatusCode::BAD_REQUEST, no_session(headers))),
        }
    }

    fn hear(&self, message: Message, session: &Arc<Session>) {
        match message {
            Message::Response(response) => session.answer(response),
            Message::Notification(notification) if notification.method.as_ref() == method::CANCELLED => {
                if let Some(id) = notification.cancelled_id() {
                    session.cancel(&id);
                }
            }
            Message::Notification(notification) => self.service.notification(notification, session),
            Message::Request(_) => {}
        }
    }

    /// Opens the stream of a session, or goes on with one that broke off.
    async fn get(&self, parts: &Parts, caller: &S::Caller) -> Result<Reply, Refusal> {
        let session = match self.locate(parts, &Bytes::new(), caller).await? {
            Located::Here(session) => session,
            Located::Answered(reply) => return Ok(*reply),
        };
        let headers = &parts.headers;
        let session = session.ok_or_else(|| not_allowed("GET opens the stream of a session: name it in Mcp-Session-Id"))?;
        if !accepts(headers, "text/event-stream") {
            return Err(not_acceptable("GET is answered as text/event-stream: accept it"));
        }
        let last = headers.get(headers::LAST_EVENT_ID).and_then(|value| value.to_str().ok());
        let place = match last {
            None => None,
            Some(text) => Some(EventId::parse(text).ok_or_else(|| bad_request(code::INVALID_REQUEST, "Last-Event-ID is none of ours"))?),
        };
        let stream = session.find_stream(place.map_or(0, |place| place.stream));
        let stream = stream.ok_or_else(|| {
            Refusal::new(StatusCode::NOT_FOUND, ErrorObject::new(code::INVALID_REQUEST, "the stream to resume is no longer kept"))
        })?;
        let cursor = place.map_or_else(|| stream.read_unsent(), |place| stream.read_after(place.sequence));
        Ok(streaming(Body::stream(stream, cursor, Held::Session(session.occupy()), None, self.limits.keep_alive), Some(&session)))
    }

    async fn delete(&self, parts: &Parts, caller: &S::Caller) -> Result<Reply, Refusal> {
        let session = match self.locate(parts, &Bytes::new(), caller).await? {
            Located::Here(session) => session,
            Located::Answered(reply) => return Ok(*reply),
        };
        let session = session.ok_or_else(|| not_allowed("DELETE ends a session: name it in Mcp-Session-Id"))?;
        self.sessions.close(session.id());
        if let Some(relay) = &self.relay {
            relay.neighbours().forget(session.id()).await;
        }
        let mut reply = http::Response::new(Body::empty());
        *reply.status_mut() = StatusCode::NO_CONTENT;
        Ok(reply)
    }
}

/// Waits for the answer, unless the client cancels first: then there is none.
async fn answered_or_cancelled(
    answer: Pin<&mut impl Future<Output = Result<Json, ErrorObject>>>,
    in_flight: Option<&InFlight>,
) -> Option<Result<Json, ErrorObject>> {
    let Some(in_flight) = in_flight else { return Some(answer.await) };
    tokio::select! {
        biased;
        () = in_flight.cancelled.notified() => None,
        outcome = answer => Some(outcome),
    }
}

fn begin(session: Option<&Arc<Session>>, id: &Id) -> Result<Option<InFlight>, Refusal> {
    let Some(session) = session else { return Ok(None) };
    session.begin(id).map(Some).ok_or_else(|| Refusal {
        status: StatusCode::BAD_REQUEST,
        id: Some(id.clone()),
        error: ErrorObject::new(code::INVALID_REQUEST, "a request with this id is still being answered"),
    })
}

fn names_modern(headers: &HeaderMap) -> bool {
    let version = headers.get(headers::PROTOCOL_VERSION).and_then(|value| value.to_str().ok());
    version.is_some_and(|date| Revision::from_date(date).is_none_or(|revision| revision.era() == Era::Modern))
}

fn no_session(headers: &HeaderMap) -> ErrorObject {
    if let Some(date) = headers.get(headers::PROTOCOL_VERSION).and_then(|value| value.to_str().ok())
        && Revision::from_date(date).is_none()
    {
        return meta::unsupported_version(date, Revision::ALL);
    }
    ErrorObject::new(
        code::INVALID_REQUEST,
        "this request belongs to no session: send initialize and then its Mcp-Session-Id, or speak 2026-07-28 with params._meta on every request",
    )
}

/// Goes with a refusal for want of a scope, for the door to say in the words of its authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingScope(pub Box<str>);

/// The HTTP status that goes with an error of 2026-07-28.
fn modern_status(code: i64) -> StatusCode {
    match code {
        code::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        code::HEADER_MISMATCH | code::MISSING_CAPABILITY | code::UNSUPPORTED_VERSION | code::INVALID_REQUEST | code::PARSE_ERROR => {
            StatusCode::BAD_REQUEST
        }
        _ => StatusCode::OK,
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorObject::new(code::INVALID_REQUEST, format!("the body must be application/json, not {value:?}")),
    ))
}

/// Refuses a client that cannot take JSON. One that cannot take a stream is served; it just hears nothing in mid-call.
fn check_accept(headers: &HeaderMap) -> Result<bool, Refusal> {
    // What clients send almost always needs no closer look.
    if headers.get(header::ACCEPT).is_none_or(|value| value == "application/json, text/event-stream") {
        return Ok(true);
    }
    if !accepts(headers, "application/json") {
        return Err(not_acceptable("answers are application/json or text/event-stream: accept both"));
    }
    Ok(accepts(headers, "text/event-stream"))
}

fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let kind = media_type.split('/').next().unwrap_or_default();
    let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    ranges.map(|range| range.split(';').next().unwrap_or_default().trim()).any(|range| {
        range == "*/*"
            || range.eq_ignore_ascii_case(media_type)
            || range.strip_suffix("/*").is_some_and(|all| all.eq_ignore_ascii_case(kind))
    })
}

fn streaming(body: Body, session: Option<&Arc<Session>>) -> Reply {
    let mut reply = http::Response::new(body);
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    name_session(headers, session);
    reply
}

fn plain(status: StatusCode, text: Pieces, opened: Option<&Arc<Session>>) -> Reply {
    let mut reply = http::Response::new(Body::whole(text));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    name_session(reply.headers_mut(), opened);
    reply
}

fn name_session(headers: &mut HeaderMap, session: Option<&Arc<Session>>) {
    if let Some(id) = session.and_then(|session| HeaderValue::from_str(session.id()).ok()) {
        headers.insert(headers::SESSION_ID, id);
    }
}

fn accepted() -> Reply {
    let mut reply = http::Response::new(Body::empty());
    *reply.status_mut() = StatusCode::ACCEPTED;
    reply
}
