//! A server on the other end of a pipe, or of two HTTP streams that work as one. Many requests share it: each has an id of
//! ours, so that equal ids of different clients never meet, and a late, unknown or doubled answer finds nobody.

use super::{
    Asked, Audience, ClientInfo, ConnectError, Greeting, Outgoing, RequestError, Verdict, cancelled, http::Endpoint, initialize_params,
    judge, listen_params, notification, prepare, read_discovered, read_initialized, sse,
};
use crate::{
    Era, Revision,
    lines::{self, Line, LineReader},
    message::{Fault, Id, Incoming, Message, Notification, Request, Response},
    meta, method,
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc::error::TrySendError;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::{mpsc, oneshot, watch},
};
use toolcrib_json::Json;

/// Messages on their way to a server that does not read.
const MAX_WAITING: usize = 256;
/// How long a server may think about `server/discover` before `initialize` is sent after it.
const PROBE: Duration = Duration::from_secs(5);

/// A connection over a pipe. Ends when the pipe does.
#[derive(Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    greeting: Greeting,
    out: Mutex<Option<mpsc::Sender<Json>>>,
}

#[derive(Debug)]
pub(super) struct Shared {
    client: ClientInfo,
    next_id: AtomicI64,
    waiting: Mutex<HashMap<i64, Waiting>>,
    /// Requests that were given up and not answered yet, the latest of them.
    given_up: Mutex<VecDeque<i64>>,
    /// Weak, so that the pipe closes with the connection although the reading side goes on.
    out: mpsc::WeakSender<Json>,
    audience: Arc<dyn Audience>,
    /// Why the connection ended, once it has.
    ended: watch::Sender<Option<String>>,
}

#[derive(Debug)]
struct Waiting {
    answer: oneshot::Sender<Result<Json, RequestError>>,
    audience: Option<Arc<dyn Audience>>,
}

/// A request that waits for its answer. Dropped before that, it cancels.
struct Pending<'a> {
    shared: &'a Shared,
    id: i64,
}

impl Connection {
    /// Connects to a server whose output we read and whose input we write, and finds out its era. Starts two tasks that
    /// end with the pipe.
    ///
    /// `known` is the era that this server had the last time: then the other is not tried.
    ///
    /// # Errors
    /// [`ConnectError`]. There is no deadline here.
    pub async fn open(
        output: impl AsyncRead + Unpin + Send + 'static,
        input: impl AsyncWrite + Unpin + Send + 'static,
        client: ClientInfo,
        audience: Arc<dyn Audience>,
        max_message_bytes: usize,
        known: Option<Era>,
    ) -> Result<Self, ConnectError> {
        let (shared, out, waiting) = Shared::new(client, audience);
        tokio::spawn(write_all(Arc::clone(&shared), waiting, input));
        tokio::spawn(read_all(Arc::clone(&shared), LineReader::new(output, max_message_bytes)));
        let greeting = greet(&shared, known).await?;
        Ok(Self { shared, greeting, out: Mutex::new(Some(out)) })
    }

    /// Connects to a server that speaks the HTTP+SSE of 2024-11-05: it says everything on one stream, and is told
    /// everything by POST. Starts two tasks that end with the stream.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn open_sse(endpoint: Endpoint, client: ClientInfo, audience: Arc<dyn Audience>) -> Result<Self, ConnectError> {
        let (shared, out, waiting) = Shared::new(client, audience);
        let stream = sse::Stream::open(endpoint).await?;
        tokio::spawn(stream.poster().post_all(Arc::clone(&shared), waiting));
        tokio::spawn(stream.read_all(Arc::clone(&shared)));
        let greeting = initialize(&shared).await?;
        Ok(Self { shared, greeting, out: Mutex::new(Some(out)) })
    }

    /// Closes our end of the pipe, which asks the server to leave. Requests in flight may still be answered.
    pub fn close(&self) {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    pub(super) async fn request(&self, method: &str, outgoing: Outgoing) -> Result<Json, RequestError> {
        self.shared.request(method, outgoing, Some(self.greeting.revision)).await
    }

    pub(super) async fn listen<T>(&self) -> T {
        if self.greeting.revision.era() == Era::Modern {
            let outgoing = Outgoing { params: Some(listen_params()), ..Outgoing::default() };
            // A server that does not do this, or ends it, has no more to tell.
            let _ = self.request(method::LISTEN, outgoing).await;
        }
        // That the connection ends is told by `closed`.
        std::future::pending().await
    }

    pub(super) async fn closed(&self) -> String {
        self.shared.ended().await
    }
}

/// Finds out the era. A server that has not answered `server/discover` in time gets `initialize` as well, and whichever
/// is answered decides: one that is slow to start is then not taken for an old one.
async fn greet(shared: &Shared, known: Option<Era>) -> Result<Greeting, ConnectError> {
    if known == Some(Era::Legacy) {
        return initialize(shared).await;
    }
    let mut discovered = std::pin::pin!(discover(shared));
    tokio::select! {
        greeting = &mut discovered => match greeting? {
            Some(greeting) => Ok(greeting),
            None => initialize(shared).await,
        },
        () = tokio::time::sleep(PROBE) => {
            let mut initialized = std::pin::pin!(initialize(shared));
            tokio::select! {
                greeting = &mut initialized => greeting,
                greeting = discovered => match greeting? {
                    Some(greeting) => Ok(greeting),
                    None => initialized.await,
                },
            }
        }
    }
}

/// `None` where the server is of the legacy era.
async fn discover(shared: &Shared) -> Result<Option<Greeting>, ConnectError> {
    let mut revision = Revision::NEWEST_MODERN;
    // A server that wants another revision is asked once more, not for ever.
    for _ in 0..2 {
        let verdict = match shared.request(method::DISCOVER, Outgoing::default(), Some(revision)).await {
            Ok(result) => read_discovered(&result)?,
            Err(RequestError::Server(error)) => judge(&error)?,
            Err(RequestError::Protocol(_)) => Verdict::Legacy,
            Err(error) => return Err(ConnectError::Unreachable(error.to_string())),
        };
        match verdict {
            Verdict::Modern(greeting) => return Ok(Some(*greeting)),
            Verdict::Legacy => return Ok(None),
            Verdict::AskIn(wanted) => revision = wanted,
        }
    }
    Err(ConnectError::Protocol(format!("it refuses revision {revision}, which it says it speaks")))
}

async fn initialize(shared: &Shared) -> Result<Greeting, ConnectError> {
    let outgoing = Outgoing { params: Some(initialize_params(&shared.client)), ..Outgoing::default() };
    let result = shared.request(method::INITIALIZE, outgoing, None).await.map_err(|error| match error {
        RequestError::Server(error) => ConnectError::Protocol(format!("initialize was answered with an error: {error}")),
        RequestError::Protocol(reason) => ConnectError::Protocol(reason),
        error => ConnectError::Unreachable(error.to_string()),
    })?;
    let greeting = read_initialized(&result)?;
    shared.say(notification(method::INITIALIZED, None)).await.map_err(|error| ConnectError::Unreachable(error.to_string()))?;
    Ok(greeting)
}

impl Shared {
    fn new(client: ClientInfo, audience: Arc<dyn Audience>) -> (Arc<Self>, mpsc::Sender<Json>, mpsc::Receiver<Json>) {
        let (out, waiting) = mpsc::channel(MAX_WAITING);
        let shared = Self {
            client,
            next_id: AtomicI64::new(1),
            waiting: Mutex::default(),
            given_up: Mutex::default(),
            out: out.downgrade(),
            audience,
            ended: watch::Sender::new(None),
        };
        (Arc::new(shared), out, waiting)
    }

    async fn request(&self, method: &str, outgoing: Outgoing, revision: Option<Revision>) -> Result<Json, RequestError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let request = prepare(id, method, &outgoing, revision, &self.client);
        let (answer, receiver) = oneshot::channel();
        self.lock().insert(id, Waiting { answer, audience: outgoing.audience });
        let pending = Pending { shared: self, id };
        // The end clears all that wait; whoever comes after it would wait for ever.
        if let Some(reason) = self.ended.borrow().clone() {
            return Err(RequestError::NotSent(reason));
        }
        self.say(Message::Request(request).to_json()).await?;
        let Ok(answer) = receiver.await else { return Err(RequestError::Lost(self.ended().await)) };
        drop(pending);
        answer
    }

    async fn say(&self, message: Json) -> Result<(), RequestError> {
        let Some(out) = self.out.upgrade() else { return Err(RequestError::NotSent("the connection is closing".into())) };
        if out.send(message).await.is_err() {
            return Err(RequestError::NotSent(self.ended().await));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn ended(&self) -> String {
        let mut ended = self.ended.subscribe();
        let reason = ended.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        reason.unwrap_or_else(|| "the connection ended".to_owned())
    }

    pub(super) fn hear(&self, message: Message) {
        match message {
            Message::Response(Response { id: Some(Id::Number(id)), outcome }) => {
                let waiting = self.lock().remove(&id);
                match waiting {
                    // Whoever asked may have given up in the meantime.
                    Some(waiting) => drop(waiting.answer.send(outcome.map_err(RequestError::Server))),
                    None if self.was_given_up(id) => self.audience.answered_late(),
                    None => {}
                }
            }
            Message::Response(_) => {}
            Message::Notification(notification) => match self.audience_of(&notification) {
                Some(audience) => audience.hear(notification),
                None if notification.method.as_ref() == method::PROGRESS => {}
                None => self.audience.hear(notification),
            },
            Message::Request(request) => {
                if let Some(asked) = self.asked(request) {
                    self.audience.ask(asked);
                }
            }
        }
    }

    fn was_given_up(&self, id: i64) -> bool {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        let found = given_up.iter().position(|other| *other == id);
        found.and_then(|index| given_up.remove(index)).is_some()
    }

    /// What the server asks. On a pipe it does not say which request that is about.
    fn asked(&self, request: Request) -> Option<Asked> {
        let out = self.out.clone();
        Asked::or_pong(request, move |answer, is_pong| {
            let Some(Err(TrySendError::Full(answer))) = out.upgrade().map(|out| out.try_send(answer)) else { return };
            if is_pong {
                return;
            }
            // A server that waits for an answer gets it, even if it has to read all the rest first.
            if let (Some(out), Ok(runtime)) = (out.upgrade(), tokio::runtime::Handle::try_current()) {
                runtime.spawn(async move { out.send(answer).await });
            }
        })
    }

    /// Who hears of this: progress, and that somebody listens, name the request that they are about by our id.
    fn audience_of(&self, notification: &Notification) -> Option<Arc<dyn Audience>> {
        let params = || notification.params.as_ref()?.members().ok();
        let id = match notification.method.as_ref() {
            method::PROGRESS => params()?.get("progressToken")?,
            method::ACKNOWLEDGED => params()?.get("_meta")?.members().ok()?.get(meta::SUBSCRIPTION_ID)?,
            _ => return None,
        };
        let Some(Id::Number(id)) = Id::from_json(&id) else { return None };
        self.lock().get(&id)?.audience.clone()
    }

    /// A line that is no message. Old servers print to standard output what belongs into a log; that is no reason to leave
    /// them. But an answer that cannot be understood is the end of its request.
    pub(super) fn misheard(&self, fault: &Fault) {
        tracing::debug!(error = %fault.error, "a server wrote a line that is no message");
        if let Some(Id::Number(id)) = fault.id
            && let Some(waiting) = self.lock().remove(&id)
        {
            // Whoever asked may have given up in the meantime.
            let _ = waiting.answer.send(Err(unreadable(&fault.error.message)));
        }
    }

    fn fail_all(&self, reason: &str) {
        tracing::warn!("{reason}; all requests in flight fail");
        for (_, waiting) in self.lock().drain() {
            // Whoever asked may have given up in the meantime.
            let _ = waiting.answer.send(Err(unreadable(reason)));
        }
    }

    pub(super) fn end(&self, reason: String) {
        self.ended.send_if_modified(|ended| {
            let is_first = ended.is_none();
            ended.get_or_insert(reason);
            is_first
        });
        self.lock().clear();
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.shared.lock().remove(&self.id).is_some() {
            let mut given_up = self.shared.given_up.lock().unwrap_or_else(PoisonError::into_inner);
            if given_up.len() >= MAX_WAITING {
                given_up.pop_front();
            }
            given_up.push_back(self.id);
            drop(given_up);
            // A full pipe cannot take the news; the answer, when it comes, finds nobody.
            let _ = self.shared.out.upgrade().map(|out| out.try_send(cancelled(self.id)));
        }
    }
}

fn unreadable(reason: &str) -> RequestError {
    RequestError::Protocol(format!("the answer cannot be read: {reason}"))
}

async fn read_all(shared: Arc<Shared>, mut lines: LineReader<impl AsyncRead + Unpin>) {
    let reason = loop {
        match lines.next().await {
            Ok(Some(Line::Text(text))) => match Incoming::parse(&text) {
                Ok(Incoming::One(message)) => shared.hear(message),
                Ok(Incoming::Batch(items)) => items.into_iter().for_each(|item| match item {
                    Ok(message) => shared.hear(message),
                    Err(fault) => shared.misheard(&fault),
                }),
                Err(fault) => shared.misheard(&fault),
            },
            // Whose answer it was cannot be told: nobody may wait for it in vain.
            Ok(Some(Line::TooLong)) => shared.fail_all("the server wrote a message beyond the limit"),
            Ok(None) => break "the server closed its output".to_owned(),
            Err(error) => break format!("the pipe broke: {error}"),
        }
    };
    shared.end(reason);
}

/// Writes what waits, as much as there is in one go.
async fn write_all(shared: Arc<Shared>, mut waiting: mpsc::Receiver<Json>, mut input: impl AsyncWrite + Unpin) {
    const AT_ONCE: usize = 64;
    let mut messages = Vec::with_capacity(AT_ONCE);
    let mut text = Vec::new();
    while waiting.recv_many(&mut messages, AT_ONCE).await > 0 {
        text.clear();
        for message in messages.drain(..) {
            lines::append(&mut text, message.as_bytes());
        }
        if input.write_all(&text).await.is_err() || input.flush().await.is_err() {
            shared.end("the server closed its input".to_owned());
            return;
        }
    }
}
