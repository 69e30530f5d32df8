//! Bounds on a call that may run: how long it takes, and how many run at once.

use crate::{Config, validate::Checked};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};
use toolcrib_contract::CallError;

/// When a call is given up. Set once, on arrival; everything after it shares it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    allowed: Duration,
}

impl Deadline {
    pub(crate) fn for_call(checked: &Checked, default: Duration) -> Self {
        let allowed = checked.permitted.entry.timeout().unwrap_or(default);
        Self { at: Instant::now() + allowed, allowed }
    }

    pub(crate) fn at(self) -> std::time::Instant {
        self.at.into_std()
    }

    pub(crate) async fn bound<T>(self, work: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
        tokio::time::timeout_at(self.at, work).await.unwrap_or(Err(CallError::DeadlineExceeded(self.allowed)))
    }
}

/// The places in which calls of one source run. Full places queue; a full queue refuses.
#[derive(Debug)]
pub(crate) struct Places {
    running: Semaphore,
    queued: AtomicUsize,
    limit: usize,
    max_queued: usize,
}

impl Places {
    pub(crate) fn new(config: &Config) -> Arc<Self> {
        Arc::new(Self {
            running: Semaphore::new(config.max_concurrent),
            queued: AtomicUsize::new(0),
            limit: config.max_concurrent,
            max_queued: config.max_queued,
        })
    }

    /// Waits for a place, in the order of arrival.
    pub(crate) async fn enter(&self) -> Result<SemaphorePermit<'_>, CallError> {
        if let Ok(place) = self.running.try_acquire() {
            return Ok(place);
        }
        let _queued = self.queue()?;
        Ok(self.running.acquire().await.expect("the places of a source are never closed"))
    }

    fn queue(&self) -> Result<Queued<'_>, CallError> {
        let queued = Queued(self);
        if self.queued.fetch_add(1, Ordering::Relaxed) >= self.max_queued {
            return Err(CallError::Overloaded { limit: self.limit });
        }
        Ok(queued)
    }
}

/// A call that waits for a place.
struct Queued<'a>(&'a Places);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.queued.fetch_sub(1, Ordering::Relaxed);
    }
}
