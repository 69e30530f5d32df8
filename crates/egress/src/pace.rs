//! How often one host is asked.

use governor::{Quota, RateLimiter, clock::Clock, middleware::NoOpMiddleware, state::keyed::HashMapStateStore};
use std::{
    fmt,
    num::NonZeroU32,
    time::{Duration, Instant},
};

/// More hosts than this are not remembered at once, except those that were asked just now.
const MAX_HOSTS: usize = 10_000;

/// Makes requests to one host wait for each other when they come too fast.
pub(crate) struct Pace(RateLimiter<String, HashMapStateStore<String>, RuntimeClock, NoOpMiddleware<Instant>>);

/// The clock by which the runtime sleeps, so that a test which turns that one turns this.
#[derive(Debug, Clone, Default)]
struct RuntimeClock;

impl Clock for RuntimeClock {
    type Instant = Instant;

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

impl Pace {
    pub(crate) fn new(per_second: NonZeroU32) -> Self {
        Self(RateLimiter::new(Quota::per_second(per_second), HashMapStateStore::default(), RuntimeClock))
    }

    /// Waits until the host may be asked again.
    pub(crate) async fn wait(&self, host: &str) {
        if self.0.len() > MAX_HOSTS {
            self.0.retain_recent();
        }
        while let Err(not_yet) = self.0.check_key(&host.to_owned()) {
            tokio::time::sleep(not_yet.wait_time_from(RuntimeClock.now()).max(Duration::from_millis(1))).await;
        }
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").field("hosts", &self.0.len()).finish()
    }
}
