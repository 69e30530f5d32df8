//! What is known of a server's life, for whoever looks after it.

use crate::{
    attempts::SUSTAINED,
    child::{Child, LastWords},
};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

/// How a server has fared since it is under supervision.
#[derive(Debug, Clone)]
pub struct Health {
    /// Since when it is there, or away.
    pub since: SystemTime,
    /// How often it was started or reached, or that was tried.
    pub attempts: u64,
    /// How many of these failed or did not last, in a row, until now.
    pub failures: u32,
    /// Why the last one did.
    pub last_failure: Option<String>,
    /// When the next attempt is due.
    pub next_attempt: Option<SystemTime>,
    /// The number of the process that runs, if it is a child, and does. It leads the group of all that it started.
    pub process: Option<u32>,
    /// What the child that runs, or ran last, has written to its standard error lately, the latest last.
    pub last_words: Vec<String>,
}

/// The same, as it is being written.
#[derive(Debug)]
pub(crate) struct Chart(Mutex<Written>);

#[derive(Debug)]
struct Written {
    health: Health,
    is_well: bool,
    words: LastWords,
}

impl Chart {
    pub(crate) fn new() -> Self {
        let health = Health {
            since: SystemTime::now(),
            attempts: 0,
            failures: 0,
            last_failure: None,
            next_attempt: None,
            process: None,
            last_words: Vec::new(),
        };
        Self(Mutex::new(Written { health, is_well: false, words: LastWords::default() }))
    }

    pub(crate) fn read(&self) -> Health {
        let written = self.lock();
        let mut health = written.health.clone();
        // What has lasted for a while is no failure in a row any more.
        if written.is_well && health.since.elapsed().is_ok_and(|lasted| lasted > SUSTAINED) {
            health.failures = 0;
        }
        health.last_words = written.words.all();
        health
    }

    /// A child runs.
    pub(crate) fn runs(&self, child: &Child) {
        let mut written = self.lock();
        written.health.process = child.id();
        written.words = child.last_words().clone();
    }

    /// None runs any more.
    pub(crate) fn runs_no_more(&self) {
        self.lock().health.process = None;
    }

    pub(crate) fn attempts(&self) {
        let health = &mut self.lock().health;
        health.next_attempt = None;
        health.attempts += 1;
    }

    /// It is connected, or sleeps.
    pub(crate) fn is_well(&self) {
        self.lock().becomes(true);
    }

    /// It is kept out of service: nothing is tried.
    pub(crate) fn is_held(&self) {
        let mut written = self.lock();
        written.becomes(false);
        written.health.since = SystemTime::now();
        written.health.next_attempt = None;
    }

    pub(crate) fn failed(&self, reason: &str, failures: u32, wait: Duration) {
        let mut written = self.lock();
        written.becomes(false);
        let health = &mut written.health;
        (health.failures, health.last_failure) = (failures, Some(reason.to_owned()));
        health.next_attempt = Some(SystemTime::now() + wait);
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Written {
    fn becomes(&mut self, is_well: bool) {
        if self.is_well != is_well {
            (self.is_well, self.health.since) = (is_well, SystemTime::now());
        }
    }
}
