//! The bounds of one call: how long it takes, and the places that it runs in.

use super::Steady;
use crate::{Config, onward::Further, validate::Checked};
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};
use tokio::{sync::Notify, task::unconstrained, time::Instant};
use toolcrib_contract::{Answers, BackChannel, BoxFuture, CallError, CallerId, Change, Client, Json, LogEntry, Progress, Question};

/// The bounds of one call: when it is given up, and the place that it runs in. Made on arrival and shared by everything
/// after it.
///
/// To the tool it is the way back to the client, since what a tool says there moves the bounds: a call that reports progress
/// is given its time anew, and one that has asked the client something waits for the answer, both up to a maximum. While
/// it waits it needs no place.
#[derive(Debug)]
pub(crate) struct Bounds {
    back: Arc<dyn BackChannel>,
    started: Instant,
    allowed: Duration,
    at_most: Duration,
    /// Milliseconds after `started`.
    until_ms: AtomicU64,
    /// Questions that wait for an answer.
    open_questions: AtomicUsize,
    /// Told when a question is over, and with it the time that it was given.
    answered: Notify,
    steady: Arc<Steady>,
    has_place: AtomicBool,
    has_asked: AtomicBool,
    further: Further,
}

impl Bounds {
    pub(crate) fn for_call(checked: &Checked, config: &Config, further: Further) -> Arc<Self> {
        let entry = &checked.permitted.entry;
        let allowed = entry.timeout().unwrap_or(config.timeout);
        Arc::new(Self {
            back: Arc::clone(&checked.permitted.back),
            started: Instant::now(),
            allowed,
            at_most: config.max_timeout.max(allowed),
            until_ms: AtomicU64::new(millis(allowed)),
            open_questions: AtomicUsize::new(0),
            answered: Notify::new(),
            steady: Arc::clone(entry.steady()),
            has_place: AtomicBool::new(false),
            has_asked: AtomicBool::new(false),
            further,
        })
    }

    /// What it takes to make other calls from this one.
    pub(crate) fn further(&self) -> &Further {
        &self.further
    }

    pub(crate) fn deadline(&self) -> Instant {
        let until = match self.open_questions.load(Ordering::Relaxed) {
            0 => Duration::from_millis(self.until_ms.load(Ordering::Relaxed)).min(self.at_most),
            _ => self.at_most,
        };
        self.started + until
    }

    /// Runs the work unless that takes too long. Progress moves the end while the work goes on.
    pub(crate) async fn hold<T>(&self, mut work: Pin<&mut impl Future<Output = Result<T, CallError>>>) -> Result<T, CallError> {
        loop {
            let deadline = self.deadline();
            tokio::select! {
                biased;
                done = work.as_mut() => return done,
                () = self.answered.notified() => {}
                // Work that always finds something to do uses up what the runtime grants it in one go; the end comes all the same.
                () = unconstrained(tokio::time::sleep_until(deadline)) => if self.deadline() <= deadline {
                    return Err(CallError::DeadlineExceeded(deadline - self.started));
                },
            }
        }
    }

    /// Waits for a place, which is left when what this gives is dropped. Who waits for one of the tool's takes none of the source's from
    /// others.
    pub(crate) async fn enter(&self, caller: &CallerId) -> Result<Place<'_>, CallError> {
        let [source, tool] = self.steady.places();
        let of_tool = match tool {
            Some(tool) => Some(tool.enter(caller).await?),
            None => None,
        };
        if let Some(source) = source {
            source.enter(caller).await?.keep();
        }
        if let Some(of_tool) = of_tool {
            of_tool.keep();
        }
        self.has_place.store(true, Ordering::Relaxed);
        Ok(Place(self))
    }

    pub(crate) fn leave(&self) {
        if self.has_place.swap(false, Ordering::Relaxed) {
            self.steady.places().into_iter().flatten().for_each(|places| places.leave());
        }
    }

    /// Whether the client was asked something, so that what was done once is not done again unseen.
    pub(crate) fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }

    fn renew(&self) {
        self.until_ms.fetch_max(millis(self.started.elapsed() + self.allowed), Ordering::Relaxed);
    }

    /// Waits for an answer. One that is there already, or never will be, is no question to the client.
    async fn wait_for<T>(&self, mut answer: BoxFuture<'_, T>) -> T {
        if let Poll::Ready(answer) = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await {
            return answer;
        }
        self.has_asked.store(true, Ordering::Relaxed);
        self.open_questions.fetch_add(1, Ordering::Relaxed);
        let _open = OpenQuestion(self);
        self.leave();
        answer.await
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A place that a call holds until it ends, or until it leaves it for good to wait for an answer.
pub(crate) struct Place<'a>(&'a Bounds);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// A question that waits for its answer.
struct OpenQuestion<'a>(&'a Bounds);

impl Drop for OpenQuestion<'_> {
    fn drop(&mut self) {
        self.0.renew();
        self.0.open_questions.fetch_sub(1, Ordering::Relaxed);
        self.0.answered.notify_one();
    }
}

impl BackChannel for Bounds {
    fn progress(&self, progress: Progress) {
        self.renew();
        self.back.progress(progress);
    }

    fn log(&self, entry: LogEntry) {
        self.back.log(entry);
    }

    fn ask(&self, questions: Vec<(String, Question)>) -> BoxFuture<'_, Result<Answers, CallError>> {
        Box::pin(self.wait_for(self.back.ask(questions)))
    }

    fn relay(&self, question: Question) -> BoxFuture<'_, Result<Json, CallError>> {
        Box::pin(self.wait_for(self.back.relay(question)))
    }

    fn announce(&self, change: Change) {
        self.back.announce(change);
    }

    fn wants_progress(&self) -> bool {
        self.back.wants_progress()
    }

    fn client(&self) -> Client {
        self.back.client()
    }
}
