//! The way back to a client while its request is still being answered.

use crate::{
    message::{ErrorObject, Id, Message, Notification, Request, Response},
    method,
};
use atomic_waker::AtomicWaker;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    task::{Context, Poll},
};
use tokio::sync::{mpsc, oneshot};
use toolcrib_json::Json;

/// The most messages that wait for a client that does not read. Further notifications are dropped: they inform, they
/// never decide.
const MAX_WAITING: usize = 256;
/// And the most bytes.
const MAX_WAITING_BYTES: usize = 4 << 20;

/// Says things to the client that made a request, before the answer: notifications in both eras, questions in the
/// legacy one.
#[derive(Debug, Clone)]
pub struct Channel {
    sink: Sink,
    asks: Option<Arc<Asks>>,
}

#[derive(Debug, Clone)]
enum Sink {
    /// The stream that the answer to this one request will become.
    Outbox(Arc<Outbox>),
    /// The pipe that all messages share.
    Pipe(mpsc::Sender<Json>),
}

/// Why a question got no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// In the client's revision a server cannot ask in mid-call.
    #[error("a client of this revision cannot be asked in mid-call")]
    NotInThisEra,
    /// The client is gone, or takes no more messages.
    #[error("the client cannot be reached")]
    Unreachable,
    /// The client refused.
    #[error("the client refused: {0}")]
    Refused(#[source] ErrorObject),
}

impl Channel {
    pub(crate) fn outbox(outbox: Arc<Outbox>, asks: Option<Arc<Asks>>) -> Self {
        Self { sink: Sink::Outbox(outbox), asks }
    }

    pub(crate) fn pipe(pipe: mpsc::Sender<Json>, asks: Option<Arc<Asks>>) -> Self {
        Self { sink: Sink::Pipe(pipe), asks }
    }

    /// Sends a notification. Returns whether it found room; one that does not is dropped.
    pub fn notify(&self, method: &str, params: Json) -> bool {
        self.send(Message::Notification(Notification { method: method.into(), params: Some(params) }).to_json())
    }

    /// Asks the client and waits for its answer.
    ///
    /// # Errors
    /// [`AskError`]. There is no deadline here; the caller has one for the whole call.
    ///
    /// # Cancellation
    /// Dropping the future withdraws the question; a late answer is ignored.
    pub async fn ask(&self, method: &str, params: Json) -> Result<Json, AskError> {
        let asks = self.asks.as_ref().ok_or(AskError::NotInThisEra)?;
        let (question, answer) = asks.open(self);
        let request = Request { id: question.id.clone(), method: method.into(), params: Some(params) };
        if !self.send(Message::Request(request).to_json()) {
            return Err(AskError::Unreachable);
        }
        answer.await.map_err(|_| AskError::Unreachable)?.map_err(AskError::Refused)
    }

    fn send(&self, message: Json) -> bool {
        match &self.sink {
            Sink::Outbox(outbox) => outbox.push(message),
            Sink::Pipe(pipe) => pipe.try_send(message).is_ok(),
        }
    }
}

type Answer = Result<Json, ErrorObject>;

/// Questions to one client that wait for their answers.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    next_id: AtomicI64,
    waiting: Mutex<HashMap<Id, oneshot::Sender<Answer>>>,
}

/// A question that waits. Dropped before it is answered, it is withdrawn.
struct Question<'a> {
    asks: &'a Asks,
    channel: &'a Channel,
    id: Id,
}

impl Asks {
    fn open<'a>(&'a self, channel: &'a Channel) -> (Question<'a>, oneshot::Receiver<Answer>) {
        let id = Id::Number(self.next_id.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), sender);
        (Question { asks: self, channel, id }, receiver)
    }

    /// Hands an answer to whoever asked. An answer to nothing is ignored.
    pub(crate) fn answer(&self, response: Response) {
        let asker = response.id.and_then(|id| self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id));
        if let Some(asker) = asker {
            // The asker may have given up in the meantime.
            let _ = asker.send(response.outcome);
        }
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        let waited = self.asks.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        if waited.is_some() {
            let reason = Json::object().with("requestId", &self.id.to_json()).with_str("reason", "no longer wanted").finish();
            self.channel.notify(method::CANCELLED, reason);
        }
    }
}

#[derive(Debug, Default)]
struct Backlog {
    messages: VecDeque<Json>,
    size_bytes: usize,
}

/// Messages of one request on their way into its stream.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: Mutex<Backlog>,
    is_open: AtomicBool,
    reader: AtomicWaker,
}

impl Outbox {
    /// An outbox; a closed one swallows everything, for a client that cannot take a stream.
    pub(crate) fn new(is_open: bool) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::default(), is_open: AtomicBool::new(is_open), reader: AtomicWaker::new() })
    }

    fn push(&self, message: Json) -> bool {
        if !self.is_open.load(Ordering::Acquire) {
            return false;
        }
        let has_room = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let size_bytes = waiting.size_bytes + message.size_bytes();
            let has_room = waiting.messages.len() < MAX_WAITING && size_bytes <= MAX_WAITING_BYTES;
            if has_room {
                waiting.size_bytes = size_bytes;
                waiting.messages.push_back(message);
            }
            has_room
        };
        self.reader.wake();
        has_room
    }

    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Json> {
        self.reader.register(cx.waker());
        self.take().map_or(Poll::Pending, Poll::Ready)
    }

    pub(crate) fn take(&self) -> Option<Json> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let message = waiting.messages.pop_front()?;
        waiting.size_bytes -= message.size_bytes();
        Some(message)
    }

    pub(crate) fn close(&self) {
        self.is_open.store(false, Ordering::Release);
    }
}
