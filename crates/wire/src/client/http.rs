//! A server behind a URL, by Streamable HTTP.

mod endpoint;
mod failure;
mod streams;

pub use endpoint::Endpoint;
pub(super) use endpoint::reach;

use super::{
    Asked, Audience, ClientInfo, ConnectError, Greeting, Outgoing, RequestError, Verdict,
    authorization::{Unanswered, send},
    cancelled, initialize_params, judge, notification, prepare, read_discovered, read_initialized,
};
use crate::{
    Era, Notification, Revision, headers,
    http_client::{self, HttpClient},
    message::{Id, Message, Request, Response},
    meta::{TRACEPARENT, TRACESTATE},
    method,
};
use arc_swap::ArcSwapOption;
use bytes::{Bytes, BytesMut};
use failure::{Failure, broken, busy, error_in, lost};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, oneshot};
use toolcrib_json::Json;

/// Messages without an answer that may be under way at once.
const MAX_ASIDE: usize = 64;
/// How long a server may take to hear that we leave, and to take what has no answer.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
const TAKE_WITHIN: Duration = Duration::from_secs(10);
/// As many headers as we put beside those that the config names.
const OWN_HEADERS: usize = 8;

/// A connection over HTTP. It has no end of its own: each request stands for itself.
#[derive(Debug)]
pub struct Connection {
    inner: Arc<Inner>,
    greeting: Greeting,
}

struct Inner {
    /// Ourselves, for answers that are sent later.
    this: Weak<Inner>,
    http: HttpClient,
    /// Where the endpoint is.
    place: Uri,
    endpoint: Endpoint,
    client: ClientInfo,
    audience: Arc<dyn Audience>,
    next_id: AtomicI64,
    session: ArcSwapOption<HeaderValue>,
    /// Held while a session is being renewed.
    renewing: tokio::sync::Mutex<()>,
    /// Messages without an answer that are under way.
    aside: Arc<Semaphore>,
    /// Requests whose answer is read from a stream. Some servers send it on another stream of the session than the one that
    /// was opened, or resumed, for it.
    elsewhere: Mutex<HashMap<i64, oneshot::Sender<Response>>>,
}

/// What an answer to a POST turned out to be.
enum Answered {
    /// One message.
    Whole(Bytes),
    /// A stream of them.
    Stream(Box<http_client::Response>),
    /// Nothing, as for a notification.
    Nothing,
}

impl Connection {
    /// Connects, and finds out the era unless it is `known`.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn open(
        mut endpoint: Endpoint,
        client: ClientInfo,
        audience: Arc<dyn Audience>,
        known: Option<Era>,
    ) -> Result<Self, ConnectError> {
        let (http, place) = reach(&mut endpoint)?;
        let inner = Arc::new_cyclic(|this| Inner {
            this: Weak::clone(this),
            http,
            place,
            endpoint,
            client,
            audience,
            next_id: AtomicI64::new(1),
            session: ArcSwapOption::empty(),
            renewing: tokio::sync::Mutex::default(),
            aside: Arc::new(Semaphore::new(MAX_ASIDE)),
            elsewhere: Mutex::default(),
        });
        let discovered = if known == Some(Era::Legacy) { None } else { inner.discover().await? };
        let greeting = match discovered {
            Some(greeting) => greeting,
            None => inner.initialize().await?,
        };
        Ok(Self { inner, greeting })
    }

    pub(super) fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    pub(super) async fn request(&self, method: &str, outgoing: Outgoing) -> Result<Json, RequestError> {
        let revision = self.greeting.revision;
        let used = self.inner.session.load_full();
        match self.inner.request(method, &outgoing, Some(revision)).await {
            Err(failure) if used.is_some() && failure.tells_of_lost_session() => {
                self.inner.renew(used).await?;
                self.inner.request(method, &outgoing, Some(revision)).await.map_err(Failure::into_error)
            }
            other => other.map_err(Failure::into_error),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.inner.leave(self.greeting.revision);
    }
}

impl Inner {
    /// `None` where the server is of the legacy era.
    async fn discover(&self) -> Result<Option<Greeting>, ConnectError> {
        let mut revision = Revision::NEWEST_MODERN;
        // A server that wants another revision is asked once more, not for ever.
        for _ in 0..2 {
            match self.discover_in(revision).await? {
                Verdict::Modern(greeting) => return Ok(Some(*greeting)),
                Verdict::Legacy => return Ok(None),
                Verdict::AskIn(wanted) => revision = wanted,
            }
        }
        Err(ConnectError::Protocol(format!("it refuses revision {revision}, which it says it speaks")))
    }

    async fn discover_in(&self, revision: Revision) -> Result<Verdict, ConnectError> {
        match self.request(method::DISCOVER, &Outgoing::default(), Some(revision)).await {
            Ok(result) => read_discovered(&result),
            Err(Failure::Status(status, _)) if matches!(status.as_u16(), 401 | 403) => Err(ConnectError::Unauthorized(status.as_u16())),
            Err(Failure::Unauthorized(reason)) => Err(ConnectError::NotLetIn(reason)),
            Err(Failure::Status(_, Some(error)) | Failure::Error(RequestError::Server(error))) => judge(&error),
            Err(Failure::Status(status, None)) if status.is_server_error() => {
                Err(ConnectError::Unreachable(format!("it answered {status}")))
            }
            Err(Failure::Status(..) | Failure::Error(RequestError::Protocol(_))) => Ok(Verdict::Legacy),
            Err(Failure::Error(RequestError::NotSent(reason) | RequestError::Lost(reason) | RequestError::Busy(reason, _))) => {
                Err(ConnectError::Unreachable(reason))
            }
            Err(Failure::Error(RequestError::NotLetIn(reason))) => Err(ConnectError::NotLetIn(reason)),
        }
    }

    async fn initialize(&self) -> Result<Greeting, ConnectError> {
        let outgoing = Outgoing { params: Some(initialize_params(&self.client)), ..Outgoing::default() };
        let result = self.request(method::INITIALIZE, &outgoing, None).await.map_err(|failure| match failure {
            Failure::Unauthorized(reason) => ConnectError::NotLetIn(reason),
            Failure::Status(status, _) if matches!(status.as_u16(), 401 | 403) => ConnectError::Unauthorized(status.as_u16()),
            Failure::Status(status @ (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED), _)
            | Failure::Status(status @ StatusCode::BAD_REQUEST, None) => ConnectError::NotAnEndpoint(status.as_u16()),
            other => ConnectError::Protocol(format!("initialize failed: {}", other.into_error())),
        })?;
        let greeting = read_initialized(&result)?;
        let initialized = notification(method::INITIALIZED, None);
        self.post(&initialized, method::INITIALIZED, None, &[], Some(greeting.revision))
            .await
            .map_err(|failure| ConnectError::Unreachable(failure.into_error().to_string()))?;
        Ok(greeting)
    }

    /// Opens a new session unless somebody else has done so since `used` was current. One at a time.
    async fn renew(&self, used: Option<Arc<HeaderValue>>) -> Result<(), RequestError> {
        let _turn = self.renewing.lock().await;
        let is_current = match (self.session.load_full(), used) {
            (Some(now), Some(used)) => Arc::ptr_eq(&now, &used),
            _ => true,
        };
        if is_current {
            self.initialize().await.map_err(|error| RequestError::NotSent(format!("the session ended and no new one opens: {error}")))?;
            self.audience.renewed();
        }
        Ok(())
    }

    /// Tells a legacy server that our session is over, without waiting.
    fn leave(&self, revision: Revision) {
        if self.session.load().is_some() && tokio::runtime::Handle::try_current().is_ok() {
            let mut request = http_client::Request::new(Method::DELETE, self.place.clone(), self.headers(Some(revision)));
            request.within = Some(LEAVE_WITHIN);
            let (http, authorization) = (self.http.clone(), self.endpoint.authorization.clone());
            tokio::spawn(async move {
                // A server that does not end sessions, or is gone, is left all the same.
                let _ = send(&http, authorization.as_ref(), request).await;
            });
        }
    }

    async fn request(&self, method: &str, outgoing: &Outgoing, revision: Option<Revision>) -> Result<Json, Failure> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        // In the modern era leaving the stream cancels; `initialize`, which has no revision yet, must not be cancelled.
        let is_cancelled_by_message = revision.is_some_and(|revision| revision.era() == Era::Legacy);
        let cancel = is_cancelled_by_message.then(|| CancelOnDrop { inner: self, id, revision, is_armed: true });
        let result = self.exchange(id, method, outgoing, revision).await;
        if let Some(cancel) = cancel {
            cancel.disarm();
        }
        result
    }

    async fn exchange(&self, id: i64, method: &str, outgoing: &Outgoing, revision: Option<Revision>) -> Result<Json, Failure> {
        let request = prepare(id, method, outgoing, revision, &self.client);
        let name = headers::named_by(method).and_then(|member| outgoing.params.as_ref()?.str(member));
        let text = Message::Request(request).to_json();
        let traced = outgoing.trace.iter().flat_map(|(parent, state)| trace_headers(parent, state.as_deref()));
        let headers: Vec<_> = outgoing.headers.iter().cloned().chain(traced).collect();
        let response = match self.post(&text, method, name.as_deref(), &headers, revision).await? {
            Answered::Whole(text) => self.take(&text, id, outgoing, revision)?,
            Answered::Stream(stream) => {
                let elsewhere = self.expect_elsewhere(id);
                tokio::select! {
                    biased;
                    response = self.read_answer(*stream, id, outgoing, revision) => Some(response?),
                    Some(response) = elsewhere.answer() => Some(response),
                }
            }
            Answered::Nothing => None,
        };
        let response = response.ok_or_else(|| RequestError::Protocol("it gave no answer to a request".into()))?;
        response.outcome.map_err(|error| RequestError::Server(error).into())
    }

    async fn post(
        &self,
        text: &Json,
        method: &str,
        name: Option<&str>,
        extra: &[(HeaderName, HeaderValue)],
        revision: Option<Revision>,
    ) -> Result<Answered, Failure> {
        let mut request = self.message(text, revision);
        if revision.is_some_and(|revision| revision.era() == Era::Modern) {
            request.headers.insert(headers::METHOD, headers::encode(method));
            if let Some(name) = name {
                request.headers.insert(headers::NAME, headers::encode(name));
            }
            request.headers.extend(extra.iter().cloned());
        }
        let response = self.send(request).await.map_err(|unanswered| Failure::of(unanswered, broken))?;
        let status = response.status();
        if method == method::INITIALIZE
            && let Some(session) = response.headers().get(headers::SESSION_ID)
        {
            self.session.store(Some(Arc::new(session.clone())));
        }
        let kind =
            response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
        if let Some(after) = busy(status, response.headers()) {
            return Err(RequestError::Busy(format!("it has too much to do ({status})"), after).into());
        }
        if let Some(elsewhere) = response.headers().get(header::LOCATION).filter(|_| status.is_redirection()) {
            let elsewhere = without_query(&String::from_utf8_lossy(elsewhere.as_bytes()));
            return Err(RequestError::Protocol(format!("it redirects to {elsewhere}, which is another place or another request, and is not followed ({status}); if that is where the server is now, give that URL")).into());
        }
        if !status.is_success() {
            let error = self.read_whole(response).await.ok().and_then(|text| error_in(&text));
            return Err(Failure::Status(status, error));
        }
        if kind.starts_with("text/event-stream") {
            return Ok(Answered::Stream(Box::new(response)));
        }
        if status == StatusCode::ACCEPTED || status == StatusCode::NO_CONTENT {
            return Ok(Answered::Nothing);
        }
        let text = self.read_whole(response).await?;
        if text.trim_ascii().is_empty() { Ok(Answered::Nothing) } else { Ok(Answered::Whole(text)) }
    }

    async fn send(&self, request: http_client::Request) -> Result<http_client::Response, Unanswered> {
        send(&self.http, self.endpoint.authorization.as_ref(), request).await
    }

    /// What tells the server this.
    fn message(&self, text: &Json, revision: Option<Revision>) -> http_client::Request {
        let mut request = http_client::Request::new(Method::POST, self.place.clone(), self.headers(revision));
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        request.body = text.clone().into_bytes();
        request
    }

    fn headers(&self, revision: Option<Revision>) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.endpoint.headers.len() + OWN_HEADERS);
        headers.extend(self.endpoint.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        if let Some(revision) = revision {
            headers.insert(headers::PROTOCOL_VERSION, HeaderValue::from_static(revision.date()));
        }
        // `initialize`, which has no revision yet, opens a session and is in none.
        if revision.is_some_and(|revision| revision.era() == Era::Legacy)
            && let Some(session) = self.session.load_full()
        {
            headers.insert(headers::SESSION_ID, HeaderValue::clone(&session));
        }
        headers
    }

    async fn read_whole(&self, mut response: http_client::Response) -> Result<Bytes, RequestError> {
        let limit = self.endpoint.max_message_bytes;
        let too_large = || RequestError::Protocol(format!("an answer of more than {limit} bytes"));
        if response.length().is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let length = response.length().and_then(|length| usize::try_from(length).ok());
        let Some(first) = response.chunk().await.map_err(lost)? else { return Ok(Bytes::new()) };
        // Most answers come in one piece, which is then passed on as it is.
        let Some(second) = response.chunk().await.map_err(lost)? else { return Ok(first) };
        let mut text = BytesMut::with_capacity(length.unwrap_or_default().max(2 * (first.len() + second.len())).min(limit));
        text.extend_from_slice(&first);
        let mut next = Some(second);
        while let Some(chunk) = next {
            if text.len() + chunk.len() > limit {
                return Err(too_large());
            }
            text.extend_from_slice(&chunk);
            next = response.chunk().await.map_err(lost)?;
        }
        Ok(text.freeze())
    }

    /// Takes one message: the response to our request is returned, everything else goes where it belongs.
    fn take(&self, text: &Bytes, id: i64, outgoing: &Outgoing, revision: Option<Revision>) -> Result<Option<Response>, RequestError> {
        match Message::parse(text).map_err(|fault| RequestError::Protocol(fault.error.to_string()))? {
            Message::Response(response) if response.id == Some(Id::Number(id)) || response.id.is_none() => Ok(Some(response)),
            Message::Response(response) => {
                let expected = match response.id {
                    Some(Id::Number(other)) => self.lock().remove(&other),
                    _ => None,
                };
                // Whoever asked may have its answer already.
                let _ = expected.map(|expected| expected.send(response));
                Ok(None)
            }
            Message::Notification(notification) => {
                // Progress that was not asked for, or of something else, gives no call more time.
                if notification.method.as_ref() == method::PROGRESS && !(outgoing.wants_progress && is_progress_of(&notification, id)) {
                    return Ok(None);
                }
                let is_ours = matches!(notification.method.as_ref(), method::PROGRESS | method::LOG | method::ACKNOWLEDGED);
                match &outgoing.audience {
                    Some(audience) if is_ours => audience.hear(notification),
                    _ => self.audience.hear(notification),
                }
                Ok(None)
            }
            Message::Request(request) => {
                if let Some(asked) = self.asked(request, revision) {
                    outgoing.audience.as_ref().unwrap_or(&self.audience).ask(asked);
                }
                Ok(None)
            }
        }
    }

    fn expect_elsewhere(&self, id: i64) -> Elsewhere<'_> {
        let (sender, answer) = oneshot::channel();
        self.lock().insert(id, sender);
        Elsewhere { inner: self, id, answer: Some(answer) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, oneshot::Sender<Response>>> {
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a legacy server asks; the answer goes beside the stream that it came on.
    fn asked(&self, request: Request, revision: Option<Revision>) -> Option<Asked> {
        let this = Weak::clone(&self.this);
        Asked::or_pong(request, move |answer, is_pong| {
            let Some(inner) = this.upgrade() else { return };
            match is_pong {
                true => inner.send_aside(&answer, revision),
                false => inner.send_answer(&answer, revision),
            }
        })
    }

    /// Sends a message that has no answer, without waiting for it to arrive. Of too many at once some are dropped: a server
    /// that floods us with pings is owed no more.
    fn send_aside(&self, text: &Json, revision: Option<Revision>) {
        let Ok(place) = Arc::clone(&self.aside).try_acquire_owned() else { return };
        self.spawn_post(text, revision, async { Ok(place) });
    }

    /// Sends the answer to a question. The server waits for it, so it waits for a place.
    fn send_answer(&self, text: &Json, revision: Option<Revision>) {
        self.spawn_post(text, revision, Arc::clone(&self.aside).acquire_owned());
    }

    fn spawn_post(
        &self,
        text: &Json,
        revision: Option<Revision>,
        place: impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send + 'static,
    ) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let mut request = self.message(text, revision);
        request.within = Some(TAKE_WITHIN);
        let (http, authorization) = (self.http.clone(), self.endpoint.authorization.clone());
        runtime.spawn(async move {
            let _place = place.await;
            match send(&http, authorization.as_ref(), request).await {
                Ok(response) if response.status().is_success() => {}
                Ok(response) => tracing::debug!(status = %response.status(), "a server did not take a message"),
                Err(unanswered) => tracing::debug!(reason = unanswered.reason(), "a message to a server was lost"),
            }
        });
    }
}

/// An answer that may come on another stream. Dropped, it is no longer expected.
struct Elsewhere<'a> {
    inner: &'a Inner,
    id: i64,
    answer: Option<oneshot::Receiver<Response>>,
}

impl Elsewhere<'_> {
    async fn answer(mut self) -> Option<Response> {
        self.answer.take()?.await.ok()
    }
}

impl Drop for Elsewhere<'_> {
    fn drop(&mut self) {
        self.inner.lock().remove(&self.id);
    }
}

/// Tells a legacy server that a request is no longer wanted: there, leaving the stream does not say so.
struct CancelOnDrop<'a> {
    inner: &'a Inner,
    id: i64,
    revision: Option<Revision>,
    is_armed: bool,
}

impl CancelOnDrop<'_> {
    fn disarm(mut self) {
        self.is_armed = false;
    }
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if self.is_armed {
            self.inner.send_aside(&cancelled(self.id), self.revision);
        }
    }
}

/// Where a redirect leads, as it may be told: what is asked for there may be a secret, and is not.
fn without_query(location: &str) -> String {
    const MAX_CHARS: usize = 200;
    location.split(['?', '#']).next().unwrap_or_default().chars().take(MAX_CHARS).collect()
}

/// Whether progress is that of this request: we give its id as the token.
fn is_progress_of(notification: &Notification, id: i64) -> bool {
    let token = notification.params.as_ref().and_then(|params| params.members().ok()?.get("progressToken"));
    token.is_some_and(|token| Id::from_json(&token) == Some(Id::Number(id)))
}

/// The headers that say where in a trace a request stands (W3C Trace Context), for what lies between us and the server.
fn trace_headers(parent: &str, state: Option<&str>) -> Vec<(HeaderName, HeaderValue)> {
    let pairs = [(TRACEPARENT, Some(parent)), (TRACESTATE, state)];
    pairs.into_iter().filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_str(value?).ok()?))).collect()
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
