//! What is known of a server's life, for whoever looks after it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

/// How a server has fared since it is under supervision.
#[derive(Debug, Clone)]
pub struct Health {
    /// Since when it is as it is.
    pub since: SystemTime,
    /// How often it was started or reached, or that was tried.
    pub attempts: u64,
    /// How many of these failed or did not last, in a row, until now.
    pub failures: u32,
    /// Why the last one did.
    pub last_failure: Option<String>,
    /// When the next attempt is due.
    pub next_attempt: Option<SystemTime>,
}

/// The same, as it is being written.
#[derive(Debug)]
pub(crate) struct Chart(Mutex<Health>);

impl Chart {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Health { since: SystemTime::now(), attempts: 0, failures: 0, last_failure: None, next_attempt: None }))
    }

    pub(crate) fn read(&self) -> Health {
        self.lock().clone()
    }

    pub(crate) fn attempts(&self) {
        let mut health = self.lock();
        (health.since, health.next_attempt) = (SystemTime::now(), None);
        health.attempts += 1;
    }

    /// It is connected, or sleeps.
    pub(crate) fn is_well(&self) {
        self.lock().since = SystemTime::now();
    }

    pub(crate) fn failed(&self, reason: &str, failures: u32, wait: Duration) {
        let mut health = self.lock();
        let now = SystemTime::now();
        *health = Health {
            since: now,
            attempts: health.attempts,
            failures,
            last_failure: Some(reason.to_owned()),
            next_attempt: Some(now + wait),
        };
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
