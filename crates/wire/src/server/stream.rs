//! Streams of events, bounded in number and size. Those of a legacy session are numbered and kept for a while, so that a
//! client that lost its connection can resume.

use crate::sse;
use bytes::Bytes;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
};
use toolcrib_json::Json;

/// How many answers of a session stay resumable.
pub(super) const MAX_KEPT_STREAMS: usize = 32;
/// How many events of one stream stay resumable. The oldest make room.
const MAX_KEPT_EVENTS: usize = 256;
/// And how many bytes of them, the newest event apart.
const MAX_KEPT_BYTES: usize = 4 << 20;

/// One stream of events, written by us and read by at most one connection at a time.
#[derive(Debug)]
pub(super) struct EventStream {
    number: u64,
    /// Whether events have ids to resume from.
    is_resumable: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The sequence number of the first kept event.
    first: u64,
    events: VecDeque<Json>,
    size_bytes: usize,
    /// The highest sequence number that a connection got.
    sent: u64,
    is_finished: bool,
    /// The connection that reads now: a newer one takes over from an older.
    reader: u64,
    waker: Option<Waker>,
}

/// A place in a stream: the stream's number and the event after which to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventId {
    pub(super) stream: u64,
    pub(super) sequence: u64,
}

impl EventId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (stream, sequence) = text.split_once('-')?;
        Some(Self { stream: stream.parse().ok()?, sequence: sequence.parse().ok()? })
    }

    pub(super) fn to_text(self) -> String {
        format!("{}-{}", self.stream, self.sequence)
    }
}

/// One connection reading a stream.
#[derive(Debug)]
pub(super) struct Cursor {
    reader: u64,
    next: u64,
}

impl EventStream {
    pub(super) fn new(number: u64) -> Self {
        // Events count from 1: the place before the first, 0, is what a priming event names.
        Self::beginning(number, 1)
    }

    /// A stream whose first event has this number.
    pub(super) fn beginning(number: u64, first: u64) -> Self {
        Self { number, is_resumable: true, state: Mutex::new(State { first, sent: first - 1, ..State::default() }) }
    }

    /// A stream of no session, for one connection only.
    pub(super) fn passing() -> Self {
        Self { is_resumable: false, ..Self::new(0) }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn is_finished(&self) -> bool {
        self.lock().is_finished
    }

    pub(super) fn push(&self, message: Json) {
        let mut state = self.lock();
        if state.is_finished {
            return;
        }
        state.size_bytes += message.size_bytes();
        state.events.push_back(message);
        while state.events.len() > MAX_KEPT_EVENTS || (state.size_bytes > MAX_KEPT_BYTES && state.events.len() > 1) {
            if let Some(oldest) = state.events.pop_front() {
                state.size_bytes -= oldest.size_bytes();
                state.first += 1;
            }
        }
        wake(state);
    }

    pub(super) fn finish(&self) {
        let mut state = self.lock();
        state.is_finished = true;
        wake(state);
    }

    /// Starts reading after the given event; whoever read before is sent away. An event that has not been yet is one of the process that
    /// had the stream before: what comes behind it is what nobody got.
    pub(super) fn read_after(&self, sequence: u64) -> Cursor {
        let mut state = self.lock();
        state.reader += 1;
        let is_ours = sequence < state.first + state.events.len() as u64;
        let cursor = Cursor { reader: state.reader, next: if is_ours { sequence } else { state.sent } + 1 };
        wake(state);
        cursor
    }

    /// Starts reading at the first event that no connection got, for one that does not resume.
    pub(super) fn read_unsent(&self) -> Cursor {
        let sent = self.lock().sent;
        self.read_after(sent)
    }

    /// The next event as it goes on the wire, `None` at the end of the stream.
    pub(super) fn poll_next(&self, cursor: &mut Cursor, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.lock();
        if state.reader != cursor.reader {
            return Poll::Ready(None);
        }
        cursor.next = cursor.next.max(state.first);
        let index = usize::try_from(cursor.next.saturating_sub(state.first)).unwrap_or(usize::MAX);
        if let Some(message) = state.events.get(index) {
            let id = EventId { stream: self.number, sequence: cursor.next };
            let event = sse::event(self.is_resumable.then(|| id.to_text()).as_deref(), message.as_bytes());
            state.sent = state.sent.max(cursor.next);
            cursor.next += 1;
            return Poll::Ready(Some(event));
        }
        if state.is_finished {
            return Poll::Ready(None);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(mut state: std::sync::MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}
