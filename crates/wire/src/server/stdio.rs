//! stdio, served: lines in, lines out, both eras on one pipe.
//!
//! The pipe stays neutral: `server/discover` binds nobody to an era, since real clients probe with it and then still send
//! `initialize`. Each request is answered in a task, so a slow call never holds up the next.

use super::{Caller, Exchange, Limits, Service, Session, channel::Channel, read_params, session};
use crate::{
    Era,
    lines::{self, Line, LineReader},
    message::{ErrorObject, Fault, Id, Incoming, Message, Request, Response, code},
    method,
};
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinSet},
};
use toolcrib_json::Json;

/// Messages that wait for a client that does not read its pipe.
const MAX_WAITING: usize = 1024;
/// How long calls in flight may finish once the input has ended.
const DRAIN: Duration = Duration::from_secs(25);
/// How long a client may take to read what waits for it at the end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Serves one client until its input ends or `shutdown` completes, then lets calls in flight finish.
///
/// # Errors
/// What reading the input fails with.
pub async fn serve<S: Service>(
    service: Arc<S>,
    caller: S::Caller,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
    limits: Limits,
    on_session: impl Fn(&Arc<Session>),
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (pipe, waiting) = mpsc::channel(MAX_WAITING);
    let (close, closing) = oneshot::channel();
    let mut writer = tokio::spawn(write_all(waiting, output, closing));
    let mut lines = LineReader::new(input, limits.max_message_bytes);
    let mut door =
        Door { service, caller, limits, pipe, session: None, in_flight: Arc::default(), tasks: JoinSet::new(), listening: Vec::new() };
    let mut shutdown = std::pin::pin!(shutdown);
    let ended = loop {
        tokio::select! {
            line = lines.next() => match line {
                Ok(Some(line)) => {
                    let before = door.session.clone();
                    tokio::select! {
                        () = door.line(line) => {}
                        // A client that does not read must not keep us.
                        () = &mut shutdown => break Ok(()),
                    }
                    match (&before, &door.session) {
                        (Some(before), Some(now)) if Arc::ptr_eq(before, now) => {}
                        (_, Some(now)) => on_session(now),
                        (_, None) => {}
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            },
            Some(_) = door.tasks.join_next() => {}
            () = &mut shutdown => break Ok(()),
        }
    };
    // What listens would go on for ever; what works may finish, as long as somebody reads.
    door.listening.drain(..).for_each(|task| task.abort());
    let drained = async { while door.tasks.join_next().await.is_some() {} };
    tokio::select! {
        _ = tokio::time::timeout(DRAIN, drained) => {}
        _ = &mut writer => return ended,
    }
    // Others may hold the session, and with it the pipe: the writer is told to write what waits and end.
    let _ = close.send(());
    if tokio::time::timeout(LAST_WORDS, &mut writer).await.is_err() {
        writer.abort();
    }
    ended
}

async fn write_all(mut waiting: mpsc::Receiver<Json>, mut output: impl AsyncWrite + Unpin, mut closing: oneshot::Receiver<()>) {
    loop {
        let message = tokio::select! {
            biased;
            message = waiting.recv() => message,
            _ = &mut closing => return,
        };
        let Some(message) = message else { return };
        if lines::write(&mut output, message.as_bytes()).await.is_err() {
            return;
        }
    }
}

type InFlight = Arc<Mutex<HashMap<Id, AbortHandle>>>;

struct Door<S: Service> {
    service: Arc<S>,
    caller: S::Caller,
    limits: Limits,
    pipe: mpsc::Sender<Json>,
    session: Option<Arc<Session>>,
    in_flight: InFlight,
    tasks: JoinSet<()>,
    listening: Vec<AbortHandle>,
}

impl<S: Service> Door<S> {
    async fn line(&mut self, line: Line) {
        let incoming = match line {
            Line::Text(text) => Incoming::parse(&text),
            Line::TooLong => {
                Err(Fault::invalid_request(None, format!("the message exceeds the limit of {} bytes", self.limits.max_message_bytes)))
            }
        };
        match incoming {
            Ok(Incoming::One(message)) => self.message(message).await,
            Ok(Incoming::Batch(items)) if self.session.as_ref().is_some_and(|session| session.revision().has_batches()) => {
                self.batch(items)
            }
            Ok(Incoming::Batch(_)) => {
                self.say(
                    Fault::invalid_request(None, "batches exist only in sessions of revision 2025-03-26: send one message per line")
                        .into_response(),
                )
                .await;
            }
            Err(fault) => self.say(fault.into_response()).await,
        }
    }

    async fn message(&mut self, message: Message) {
        match message {
            Message::Request(request) => {
                let id = request.id.clone();
                if let Err(error) = self.request(request) {
                    self.say(Response { id: Some(id), outcome: Err(error) }).await;
                }
            }
            other => self.hear(other),
        }
    }

    fn hear(&self, message: Message) {
        match message {
            Message::Notification(notification) if notification.method.as_ref() == method::CANCELLED => {
                let cancelled = notification.cancelled_id().and_then(|id| self.lock().remove(&id));
                if let Some(task) = cancelled {
                    task.abort();
                }
            }
            Message::Notification(notification) => {
                if let Some(session) = &self.session {
                    self.service.notification(notification, session);
                }
            }
            Message::Response(response) => {
                if let Some(session) = &self.session {
                    session.answer(response);
                }
            }
            Message::Request(_) => {}
        }
    }

    fn request(&mut self, request: Request) -> Result<(), ErrorObject> {
        let exchange = self.exchange(request)?;
        let id = exchange.id.clone();
        if self.lock().contains_key(&id) {
            return Err(ErrorObject::new(code::INVALID_REQUEST, "a request with this id is still being answered"));
        }
        if self.tasks.len() >= self.limits.max_in_flight {
            return Err(self.overloaded());
        }
        let (service, pipe, in_flight) = (Arc::clone(&self.service), self.pipe.clone(), Arc::clone(&self.in_flight));
        let task_id = id.clone();
        let is_listening = exchange.method.as_ref() == method::LISTEN;
        // The task removes itself from the map; holding the lock here, it cannot do so before it was put there.
        let mut registered = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let task = self.tasks.spawn(async move {
            let outcome = service.request(exchange).await;
            in_flight.lock().unwrap_or_else(PoisonError::into_inner).remove(&task_id);
            // Without a reader there is nobody to tell.
            let _ = pipe.send(Response { id: Some(task_id), outcome }.to_json()).await;
        });
        if is_listening {
            self.listening.retain(|task| !task.is_finished());
            self.listening.push(task.clone());
        }
        registered.insert(id, task);
        Ok(())
    }

    fn exchange(&mut self, request: Request) -> Result<Box<Exchange<S::Caller>>, ErrorObject> {
        let (params, meta) = read_params(&request)?;
        let (revision, session) = if request.method.as_ref() == method::INITIALIZE && !meta.is_modern() {
            self.limits.admit(Era::Legacy)?;
            let (revision, capabilities) = session::negotiate(params.as_ref())?;
            let session = Session::on_pipe(self.caller.principal(), revision, capabilities, self.pipe.clone());
            self.session = Some(Arc::clone(&session));
            (revision, Some(session))
        } else if meta.is_modern() || request.method.as_ref() == method::DISCOVER {
            self.limits.admit(Era::Modern)?;
            (meta.modern_revision()?, None)
        } else {
            let session = self.session.clone().ok_or_else(|| {
                ErrorObject::new(
                    code::INVALID_REQUEST,
                    "this request names no revision: send initialize first, or speak 2026-07-28 with params._meta on every request",
                )
            })?;
            (session.revision(), Some(session))
        };
        let channel = Channel::pipe(self.pipe.clone(), session.as_ref().map(|session| Arc::clone(&session.asks)));
        let caller = self.caller.clone();
        Ok(Box::new(Exchange { id: request.id, method: request.method, params, meta, revision, session, channel, caller }))
    }

    /// Answers a batch with one array, in a task of its own.
    fn batch(&mut self, items: Vec<Result<Message, Fault>>) {
        let mut ready = Vec::new();
        let mut exchanges = Vec::new();
        for item in items {
            match item {
                Ok(Message::Request(request)) => {
                    let id = request.id.clone();
                    match self.exchange(request) {
                        Ok(exchange) if self.tasks.len() + exchanges.len() < self.limits.max_in_flight => exchanges.push(exchange),
                        Ok(_) => ready.push(Response { id: Some(id), outcome: Err(self.overloaded()) }.to_json()),
                        Err(error) => ready.push(Response { id: Some(id), outcome: Err(error) }.to_json()),
                    }
                }
                Ok(other) => self.hear(other),
                Err(fault) => ready.push(fault.into_response().to_json()),
            }
        }
        if ready.is_empty() && exchanges.is_empty() {
            return;
        }
        let (service, pipe) = (Arc::clone(&self.service), self.pipe.clone());
        self.tasks.spawn(async move {
            let mut calls = JoinSet::new();
            for exchange in exchanges {
                let service = Arc::clone(&service);
                calls.spawn(async move {
                    let id = exchange.id.clone();
                    Response { id: Some(id), outcome: service.request(exchange).await }.to_json()
                });
            }
            ready.extend(calls.join_all().await);
            let _ = pipe.send(Json::array(ready)).await;
        });
    }

    fn overloaded(&self) -> ErrorObject {
        ErrorObject::new(code::INTERNAL_ERROR, format!("overloaded: {} requests are being answered", self.limits.max_in_flight))
    }

    async fn say(&self, response: Response) {
        // Without a reader there is nobody to tell.
        let _ = self.pipe.send(response.to_json()).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Id, AbortHandle>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
