//! Answers on their way out: whole, or as a stream.

use super::{Boxed, BrokenOff, MissingScope, Reply, modern_status, plain, streaming};
use crate::{
    Era, ErrorObject, Revision,
    message::{Pieces, Response},
    server::{
        channel::Outbox,
        session::{Busy, Session},
        stream::{Cursor, EventId, EventStream},
    },
    sse,
};
use bytes::Bytes;
use futures_util::Stream;
use http::StatusCode;
use http_body::Frame;
use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    task::AbortHandle,
    time::{Interval, MissedTickBehavior},
};
use toolcrib_json::Json;

/// The HTTP status that an answer asks for once it is there.
#[derive(Debug, Default)]
pub(super) struct Status(OnceLock<(StatusCode, Option<MissingScope>)>);

impl Status {
    pub(super) fn report(&self, error: &ErrorObject, era: Era) {
        let missing = error.missing_scope.clone().map(MissingScope);
        let status = match era {
            _ if missing.is_some() => StatusCode::FORBIDDEN,
            Era::Modern => modern_status(error.code),
            Era::Legacy => StatusCode::OK,
        };
        // A request is answered once.
        let _ = self.0.set((status, missing));
    }

    fn apply(&self, reply: &mut Reply) {
        let Some((status, missing)) = self.0.get() else { return };
        *reply.status_mut() = *status;
        if let Some(missing) = missing {
            reply.extensions_mut().insert(missing.clone());
        }
    }
}

/// What a request is answered with.
pub(super) enum Answer {
    One(Response),
    Batch(Json),
}

impl Answer {
    fn to_json(&self) -> Json {
        match self {
            Self::One(response) => response.to_json(),
            Self::Batch(responses) => responses.clone(),
        }
    }

    fn to_pieces(&self) -> Pieces {
        match self {
            Self::One(response) => response.to_pieces(),
            Self::Batch(responses) => responses.clone().into(),
        }
    }
}

/// A request that is being answered.
pub(super) struct Running {
    answer: Boxed<Answer>,
    outbox: Arc<Outbox>,
    session: Option<Arc<Session>>,
    opened: Option<Arc<Session>>,
    status: Arc<Status>,
}

/// What comes next of a running request.
enum Next {
    /// A message in mid-call.
    Message(Json),
    /// The answer, and with it the end; `None` if the request was cancelled.
    Answer(Option<Answer>),
}

impl Running {
    pub(super) fn new(
        answer: Boxed<Answer>,
        outbox: Arc<Outbox>,
        session: Option<Arc<Session>>,
        opened: Option<Arc<Session>>,
        status: Arc<Status>,
    ) -> Self {
        Self { answer, outbox, session, opened, status }
    }

    /// Waits until it is clear whether the answer is plain or a stream, and gives it that form.
    pub(super) async fn reply(mut self, keep_alive: Duration) -> Reply {
        match poll_fn(|cx| self.poll_next(cx)).await {
            Next::Answer(Some(answer)) => {
                let mut reply = plain(StatusCode::OK, answer.to_pieces(), self.opened.as_ref());
                self.status.apply(&mut reply);
                reply
            }
            // Cancelled: the client wants no answer, but HTTP must give some.
            Next::Answer(None) => super::accepted(),
            Next::Message(message) => self.stream(message, keep_alive),
        }
    }

    /// Messages go before the answer, even where both are there already.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Poll::Ready(message) = self.outbox.poll_next(cx) {
            return Poll::Ready(Next::Message(message));
        }
        let Poll::Ready(answer) = self.answer.as_mut().poll(cx) else {
            return self.outbox.poll_next(cx).map(Next::Message);
        };
        match self.outbox.take() {
            None => Poll::Ready(Next::Answer(answer)),
            Some(message) => {
                // The answer waits for its turn behind the messages that are left.
                self.answer = Box::pin(async { answer });
                Poll::Ready(Next::Message(message))
            }
        }
    }

    /// Lets the request go on in a task that writes into a stream, so that its deadline runs even if the client does not
    /// read. The stream of a session outlives the connection and can be resumed; a modern one ends with it, and the task too.
    fn stream(mut self, message: Json, keep_alive: Duration) -> Reply {
        let session = self.session.take();
        let stream = session.as_ref().map_or_else(|| Arc::new(EventStream::passing()), |session| session.open_stream());
        stream.push(message);
        let cursor = stream.read_after(0);
        // Clients before 2025-11-25 take an event without data for a broken message.
        let is_primed = session.as_ref().is_some_and(|session| session.revision() >= Revision::V2025_11_25);
        let priming = is_primed.then(|| sse::priming(&EventId { stream: stream.number(), sequence: 0 }.to_text(), None));
        let task = tokio::spawn(self.write_into(Arc::clone(&stream)));
        let held = match &session {
            Some(session) => Held::Session(session.occupy()),
            None => Held::Task(AbortOnDrop(task.abort_handle())),
        };
        streaming(Body::stream(stream, cursor, held, priming, keep_alive), session.as_ref())
    }

    async fn write_into(mut self, stream: Arc<EventStream>) {
        // However this ends, nobody is to wait for more.
        let _finish = FinishOnDrop(Arc::clone(&stream));
        loop {
            match poll_fn(|cx| self.poll_next(cx)).await {
                Next::Message(message) => stream.push(message),
                Next::Answer(answer) => return answer.into_iter().for_each(|answer| stream.push(answer.to_json())),
            }
        }
    }
}

struct FinishOnDrop(Arc<EventStream>);

impl Drop for FinishOnDrop {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

/// The body of an HTTP answer.
pub struct Body(Kind);

enum Kind {
    Whole(Pieces),
    Stream {
        stream: Arc<EventStream>,
        cursor: Cursor,
        _held: Held,
        first: Option<Bytes>,
        keep_alive: Interval,
    },
    /// The stream of another process.
    Passing(Pin<Box<dyn Stream<Item = Result<Bytes, BrokenOff>> + Send>>),
}

/// What lives as long as somebody reads a stream.
#[expect(dead_code, reason = "held for what happens when it is dropped")]
pub(super) enum Held {
    /// The session, which is then not idle.
    Session(Busy),
    /// The request itself: a modern client that closes its stream has cancelled it.
    Task(AbortOnDrop),
}

pub(super) struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Body {
    pub(super) fn empty() -> Self {
        Self::whole(Pieces::default())
    }

    pub(super) fn whole(text: Pieces) -> Self {
        Self(Kind::Whole(text))
    }

    pub(super) fn stream(stream: Arc<EventStream>, cursor: Cursor, held: Held, first: Option<Bytes>, keep_alive: Duration) -> Self {
        Self(Kind::Stream { stream, cursor, _held: held, first, keep_alive: every(keep_alive) })
    }

    pub(super) fn passing(stream: impl Stream<Item = Result<Bytes, BrokenOff>> + Send + 'static) -> Self {
        Self(Kind::Passing(Box::pin(stream)))
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        match &mut self.0 {
            Kind::Whole(text) => Poll::Ready(text.take_next().map(Ok)),
            Kind::Passing(stream) => stream.as_mut().poll_next(cx),
            Kind::Stream { stream, cursor, first, keep_alive, .. } => {
                if let Some(bytes) = first.take() {
                    return Poll::Ready(Some(Ok(bytes)));
                }
                match stream.poll_next(cursor, cx) {
                    Poll::Pending => keep_alive.poll_tick(cx).map(|_| Some(Ok(sse::KEEP_ALIVE))),
                    Poll::Ready(event) => Poll::Ready(event.map(Ok)),
                }
            }
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.poll_bytes(cx).map(|bytes| bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Kind::Whole(text) if text.size_bytes() == 0)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match &self.0 {
            Kind::Whole(text) => http_body::SizeHint::with_exact(text.size_bytes() as u64),
            _ => http_body::SizeHint::default(),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.0 {
            Kind::Whole(_) => "Body(whole)",
            Kind::Stream { .. } => "Body(stream)",
            Kind::Passing(_) => "Body(passing)",
        })
    }
}
