//! Another attempt: when it is safe, how long to wait before it, and how many of them there may be.

use super::Resilience;
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use toolcrib_contract::{CallError, Outage};

/// What a first attempt earns towards another, in thousandths: one in five may be repeated.
const EARNED: i64 = 200;
/// What one more attempt costs.
const COST: i64 = 1000;
/// The most that is saved up.
const MAX_SAVED: i64 = 100 * COST;
/// What is earned in a second, whatever is called: three attempts.
const EARNED_PER_SEC: f64 = 3.0 * COST as f64;

/// What may be spent on further attempts at one source: a source in trouble is not to be buried by them.
#[derive(Debug)]
pub(crate) struct Budget {
    saved: AtomicI64,
    /// When time was last turned into savings. Only who wants another attempt looks here.
    counted: Mutex<Instant>,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self { saved: AtomicI64::new(10 * COST), counted: Mutex::new(Instant::now()) }
    }

    /// A call was made for the first time.
    pub(crate) fn earn(&self) {
        if self.saved.load(Ordering::Relaxed) < MAX_SAVED {
            self.saved.fetch_add(EARNED, Ordering::Relaxed);
        }
    }

    /// Whether one more attempt can be paid for.
    fn spend(&self) -> bool {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earned = (now.saturating_duration_since(*counted).as_secs_f64() * EARNED_PER_SEC) as i64;
        *counted = now;
        let saved = self.saved.load(Ordering::Relaxed).saturating_add(earned).min(MAX_SAVED);
        let is_enough = saved >= COST;
        self.saved.store(if is_enough { saved - COST } else { saved }, Ordering::Relaxed);
        is_enough
    }
}

/// How long to wait before the next attempt; `None` if there is to be none, or no time for it. `is_repeatable` says whether it does no harm if what may have
/// been done is done again.
pub(crate) fn wait_before_next(
    settings: &Resilience,
    error: &CallError,
    made: u32,
    is_repeatable: bool,
    left: Duration,
    budget: &Budget,
) -> Option<Duration> {
    if made >= settings.attempts || !is_safe(error, is_repeatable) {
        return None;
    }
    let backoff = settings.first_wait.saturating_mul(1 << (made - 1).min(20)).min(settings.max_wait);
    // Anywhere up to it, so that those that failed together do not come back together (full jitter).
    let jittered = backoff.mul_f64(fastrand::f64());
    let asked_for = match error {
        CallError::Unavailable { outage, .. } => outage.retry_after().unwrap_or_default(),
        _ => Duration::ZERO,
    };
    let wait = jittered.max(asked_for);
    (wait < left && budget.spend()).then_some(wait)
}

/// Whether another attempt can do no harm, and may help.
fn is_safe(error: &CallError, is_repeatable: bool) -> bool {
    match error {
        // Nothing was started.
        CallError::Unavailable { outage, .. } => matches!(outage, Outage::Unreached | Outage::Busy(_) | Outage::Down),
        CallError::OutcomeUnknown { .. } => is_repeatable,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: Duration = Duration::from_secs(30);

    fn unavailable(outage: Outage) -> CallError {
        CallError::Unavailable { server: "s".into(), reason: "down".into(), outage }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_to_a_maximum_and_end_with_the_attempts() {
        let settings = Resilience { attempts: 6, ..Resilience::default() };
        let budget = Budget::new();
        for (made, most_ms) in [(1, 100), (2, 200), (3, 400), (5, 1600)] {
            for _ in 0..5 {
                tokio::time::advance(Duration::from_secs(10)).await;
                let wait = wait_before_next(&settings, &unavailable(Outage::Unreached), made, false, LEFT, &budget).unwrap();
                assert!(wait <= Duration::from_millis(most_ms), "{wait:?} after {made}");
            }
        }
        assert_eq!(wait_before_next(&settings, &unavailable(Outage::Unreached), 6, false, LEFT, &budget), None);
        let busy = unavailable(Outage::Busy(Some(Duration::from_secs(7))));
        assert_eq!(wait_before_next(&settings, &busy, 1, false, LEFT, &budget), Some(Duration::from_secs(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_safe_is_repeated() {
        let (settings, budget) = (Resilience::default(), Budget::new());
        let next = |error: &CallError, is_repeatable| wait_before_next(&settings, error, 1, is_repeatable, LEFT, &budget).is_some();
        let unknown = CallError::OutcomeUnknown { server: "s".into(), reason: "gone".into() };
        assert!(!next(&unknown, false) && next(&unknown, true));
        for outage in [Outage::Resting(Duration::from_secs(1)), Outage::Lasting] {
            assert!(!next(&unavailable(outage), true), "{outage:?}");
        }
        for error in [
            CallError::Failed("no".into()),
            CallError::InvalidArguments("no".into()),
            CallError::DeadlineExceeded(Duration::from_secs(1)),
            CallError::Refused { code: -32000, message: "no".into(), data: None },
            CallError::Overloaded { limit: 1, what: "calls" },
        ] {
            assert!(!next(&error, true), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_bounds_what_is_repeated() {
        let (settings, budget) = (Resilience::default(), Budget::new());
        let next = || wait_before_next(&settings, &unavailable(Outage::Unreached), 1, false, LEFT, &budget).is_some();
        assert_eq!((0..50).filter(|_| next()).count(), 10, "what there is at first");
        (0..10).for_each(|_| budget.earn());
        assert_eq!((0..50).filter(|_| next()).count(), 2, "a fifth of the calls");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!((0..50).filter(|_| next()).count(), 6, "and three a second");
    }
}
