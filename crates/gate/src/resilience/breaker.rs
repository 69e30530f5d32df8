//! A circuit breaker: what fails again and again is left alone for a while, and then tried by one call.
//!
//! Faults in a row count. Of calls that ran together only the first counts: that they all ended with one crash is one fault.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trip {
    /// Faults in a row.
    pub failures: u32,
    /// How long nothing is tried then.
    pub recovery: Duration,
}

impl Default for Trip {
    fn default() -> Self {
        Self { failures: 5, recovery: Duration::from_secs(60) }
    }
}

/// The breaker of one source or tool.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// Faults in a row. While there are none, a call looks at nothing else.
    failures: AtomicU32,
    last: Mutex<Option<Last>>,
}

/// The latest fault.
#[derive(Debug, Clone)]
struct Last {
    at: Instant,
    reason: String,
    /// Since when a call tries whether it is well.
    probed_since: Option<Instant>,
}

/// A call that may be made. What comes of it is to be told.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    breaker: &'a Breaker,
    began: Instant,
    is_probe: bool,
}

/// Nothing is tried just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    /// For how long.
    pub(crate) retry_after: Duration,
    /// How often it failed.
    pub(crate) failures: u32,
    /// How it failed last.
    pub(crate) reason: String,
}

impl Breaker {
    /// Lets a call pass that began just now, unless the breaker is open. Of those that come once the recovery is over one is let pass.
    pub(crate) fn pass(&self, trip: Trip, began: Instant) -> Result<Pass<'_>, Open> {
        let failures = self.failures.load(Ordering::Acquire);
        if failures < trip.failures {
            return Ok(Pass { breaker: self, began, is_probe: false });
        }
        let mut last = self.lock();
        let Some(last) = &mut *last else { return Ok(Pass { breaker: self, began, is_probe: false }) };
        // One that takes long keeps nobody else from trying for ever.
        let waited_for = last.probed_since.map_or(last.at, |since| since.max(last.at));
        let left = (waited_for + trip.recovery).saturating_duration_since(began);
        if left.is_zero() {
            last.probed_since = Some(began);
            return Ok(Pass { breaker: self, began, is_probe: true });
        }
        Err(Open { retry_after: left.max(Duration::from_secs(1)), failures, reason: last.reason.clone() })
    }

    /// Whether nothing would pass now, told without trying.
    pub(crate) fn refuses(&self, trip: Trip) -> Option<Open> {
        let failures = self.failures.load(Ordering::Acquire);
        if failures < trip.failures {
            return None;
        }
        let last = self.lock().clone()?;
        let waited_for = last.probed_since.map_or(last.at, |since| since.max(last.at));
        let left = (waited_for + trip.recovery).saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(Open { retry_after: left, failures, reason: last.reason })
    }

    /// There is a new reason to believe that it is well.
    pub(crate) fn reset(&self) {
        self.failures.store(0, Ordering::Release);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// It answered.
    pub(crate) fn succeeded(&self) {
        // The common case writes nothing that others would have to read anew.
        if self.breaker.failures.load(Ordering::Relaxed) != 0 {
            self.breaker.reset();
        }
    }

    /// It failed, for this reason.
    pub(crate) fn failed(&self, reason: String) {
        let mut last = self.breaker.lock();
        let is_known = last.as_ref().is_some_and(|last| last.at > self.began);
        if is_known && self.breaker.failures.load(Ordering::Relaxed) > 0 {
            return;
        }
        *last = Some(Last { at: Instant::now(), reason, probed_since: None });
        self.breaker.failures.fetch_add(1, Ordering::Release);
    }
}

impl Pass<'_> {
    /// Whether this call tries whether it is well again.
    pub(crate) fn is_probe(&self) -> bool {
        self.is_probe
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        // Whatever came of it, or if nothing did: the next may try.
        if self.is_probe
            && let Some(last) = &mut *self.breaker.lock()
            && last.probed_since == Some(self.began)
        {
            last.probed_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Trip = Trip { failures: 2, recovery: Duration::from_secs(60) };

    fn pass(breaker: &Breaker) -> Result<Pass<'_>, Open> {
        breaker.pass(TRIP, Instant::now())
    }

    async fn fail(breaker: &Breaker) {
        let pass = pass(breaker).unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        pass.failed("it crashed".into());
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_tries_once_and_closes() {
        let breaker = Breaker::default();
        fail(&breaker).await;
        pass(&breaker).unwrap().succeeded();
        fail(&breaker).await;
        fail(&breaker).await;
        let open = pass(&breaker).unwrap_err();
        assert_eq!(open, Open { retry_after: TRIP.recovery, failures: 2, reason: "it crashed".into() });
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(pass(&breaker).unwrap_err().retry_after, Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        // One tries; one that is dropped without an answer has tried nothing.
        drop(pass(&breaker).unwrap());
        let probe = pass(&breaker).unwrap();
        assert!(pass(&breaker).is_err());
        probe.failed("still down".into());
        drop(probe);
        let open = pass(&breaker).unwrap_err();
        assert_eq!((open.retry_after, open.reason.as_str()), (TRIP.recovery, "still down"));
        tokio::time::advance(TRIP.recovery).await;
        let probe = pass(&breaker).unwrap();
        probe.succeeded();
        drop(probe);
        assert!(pass(&breaker).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_end_with_one_crash_are_one_fault() {
        let breaker = Breaker::default();
        let together = [pass(&breaker).unwrap(), pass(&breaker).unwrap(), pass(&breaker).unwrap()];
        tokio::time::advance(Duration::from_millis(5)).await;
        together.iter().for_each(|pass| pass.failed("it crashed".into()));
        assert!(pass(&breaker).is_ok());
    }
}
