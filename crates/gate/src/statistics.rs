//! How often tools are called, how that ends, and how long it takes. Counted without a lock, and kept for as long as the
//! process lives, whatever is published anew meanwhile.

mod durations;
mod totals;

pub use durations::Durations;
pub use totals::Totals;
pub(crate) use totals::Tote;

use crate::{Reply, catalogue::Entry};
use durations::Ladder;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use toolcrib_contract::CallError;

/// How a tool has been used since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Calls of it, by those who may have it.
    pub calls: u64,
    /// How many of them ended with an error, or with an output that tells of one.
    pub errors: u64,
    /// How many of them are under way.
    pub in_flight: u64,
    /// When it was last called.
    pub last_used: Option<SystemTime>,
    /// The time within which half of the calls were answered.
    pub median: Option<Duration>,
    /// The same for 95 of a hundred.
    pub p95: Option<Duration>,
    /// The same for 99 of a hundred.
    pub p99: Option<Duration>,
}

impl Usage {
    /// The share of calls that ended well, from 0 to 1; none where there were none.
    #[must_use]
    pub fn success_rate(&self) -> Option<f64> {
        (self.calls > 0).then(|| (self.calls - self.errors.min(self.calls)) as f64 / self.calls as f64)
    }
}

/// What is counted of one tool.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    calls: AtomicU64,
    errors: AtomicU64,
    /// Calls that have ended, however they did.
    over: AtomicU64,
    last_used_ms: AtomicU64,
    /// Made with the first call: most tools are never called.
    durations: OnceLock<Ladder>,
}

/// What is counted of all tools, by their names.
#[derive(Debug, Default)]
pub(crate) struct Tallies(Mutex<HashMap<String, Arc<Tally>>>);

impl Tallies {
    /// The tally of the tool of this name. Asked when something is published, never by a call.
    pub(crate) fn of(&self, name: &str) -> Arc<Tally> {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tallies.entry(name.to_owned()).or_default())
    }

    /// Forgets tools that nobody offers any more, once there are very many: one that is away for a while is counted on.
    pub(crate) fn retain(&self, is_offered: impl Fn(&str) -> bool) {
        const MANY: usize = 20_000;
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tallies.len() > MANY {
            tallies.retain(|name, _| is_offered(name));
        }
    }
}

impl Tally {
    pub(crate) fn read(&self) -> Usage {
        let durations = self.durations();
        let last_used_ms = self.last_used_ms.load(Ordering::Relaxed);
        // Read in this order, there are never more ended than begun.
        let over = self.over.load(Ordering::Acquire);
        let calls = self.calls.load(Ordering::Relaxed);
        Usage {
            calls,
            errors: self.errors.load(Ordering::Relaxed),
            in_flight: calls.saturating_sub(over),
            last_used: (last_used_ms > 0).then(|| UNIX_EPOCH + Duration::from_millis(last_used_ms)),
            median: durations.quantile(0.5),
            p95: durations.quantile(0.95),
            p99: durations.quantile(0.99),
        }
    }

    /// How long its calls took.
    pub(crate) fn durations(&self) -> Durations {
        self.durations.get().map(Ladder::read).unwrap_or_default()
    }

    fn began(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_used_ms.fetch_max(now.as_millis() as u64, Ordering::Relaxed);
    }

    fn ended(&self, took: Duration, is_error: bool) {
        self.errors.fetch_add(u64::from(is_error), Ordering::Relaxed);
        self.durations.get_or_init(Ladder::default).count(took);
    }
}

/// One call that is counted. One that is abandoned has been made, and nothing is known of how it would have ended.
pub(crate) struct Counted<'a> {
    tally: Option<&'a Tally>,
    began: Instant,
}

impl<'a> Counted<'a> {
    pub(crate) fn begin(entry: &'a Entry) -> Self {
        let tally = entry.tally();
        tally.iter().for_each(|tally| tally.began());
        Self { tally, began: Instant::now() }
    }

    pub(crate) fn end(self, result: &Result<Reply, CallError>) {
        let is_error = result.as_ref().map_or(true, |reply| reply.output.is_error());
        // A question is no end.
        let is_question = matches!(result, Err(CallError::NeedsInput(_) | CallError::NeedsRound(_)));
        if let Some(tally) = self.tally.filter(|_| !is_question) {
            tally.ended(self.began.elapsed(), is_error);
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if let Some(tally) = self.tally {
            tally.over.fetch_add(1, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near_what_they_stand_for() {
        let tally = Tally::default();
        assert_eq!(tally.read(), Usage::default());
        for millis in 1..=1000 {
            tally.began();
            tally.ended(Duration::from_millis(millis), millis % 10 == 0);
        }
        let Usage { calls, errors, in_flight, last_used, median, p95, p99 } = tally.read();
        assert_eq!((calls, errors, in_flight), (1000, 100, 1000), "none of them is over");
        assert!(last_used.unwrap().elapsed().unwrap() < Duration::from_secs(60));
        let is_near = |found: Option<Duration>, millis: f64| (found.unwrap().as_secs_f64() * 1000.0 / millis - 1.0).abs() < 0.17;
        assert!(is_near(median, 500.0) && is_near(p95, 950.0) && is_near(p99, 990.0), "{median:?} {p95:?} {p99:?}");
        assert_eq!(tally.read().success_rate(), Some(0.9));
    }
}
