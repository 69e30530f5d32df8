//! Several processes that are one server.

use crate::BoxFuture;
use std::{fmt, sync::Arc, time::Duration};

/// What stands between the name of a process and that of what lives in it. No other part of such names holds it.
const BETWEEN: char = '~';

/// The process in which something lives that only it has: a session, a call that waits for an answer, a large result. What lives in a
/// process among several has a name that begins with the process's, so that whoever is asked for it knows whom to ask.
///
/// ```
/// use toolcrib_contract::Home;
///
/// let home = Home::named("c0ffee");
/// assert_eq!(home.name("42"), "c0ffee~42");
/// assert_eq!(Home::of("c0ffee~42"), Some("c0ffee"));
/// assert_eq!((Home::default().name("42"), Home::of("42")), ("42".to_owned(), None));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Home(Option<Arc<str>>);

impl Home {
    /// A process among several. Without a name ([`Home::default`]) it is the only one.
    #[must_use]
    pub fn named(process: &str) -> Self {
        Self(Some(process.into()))
    }

    /// The name of something that lives here.
    #[must_use]
    pub fn name(&self, what: &str) -> String {
        match &self.0 {
            Some(process) => format!("{process}{BETWEEN}{what}"),
            None => what.to_owned(),
        }
    }

    /// What something is called within its process.
    ///
    /// ```
    /// # use toolcrib_contract::Home;
    /// assert_eq!((Home::within("c0ffee~42"), Home::within("42")), ("42", "42"));
    /// ```
    #[must_use]
    pub fn within(name: &str) -> &str {
        name.split_once(BETWEEN).map_or(name, |(_, what)| what)
    }

    /// The name of the process in which something lives, if its name tells.
    #[must_use]
    pub fn of(name: &str) -> Option<&str> {
        name.split_once(BETWEEN).map(|(process, _)| process)
    }
}

/// Counters that several processes share, so that what a caller may have is counted once wherever it calls.
pub trait SharedCounts: fmt::Debug + Send + Sync {
    /// Counts one call of somebody into each of these counters, unless one of them is full: then none counts it.
    ///
    /// # Errors
    /// [`CountsAway`], and whether it was counted is not known.
    fn count<'a>(&'a self, whose: &'a str, counters: &'a [Counter]) -> BoxFuture<'a, Result<Counted, CountsAway>>;
}

/// One counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// What is counted: the same text wherever the same is meant.
    pub what: String,
    /// How many calls there may be in a window.
    pub limit: u64,
    /// How long a window is. They begin with 1970, by the clock of whoever counts.
    pub window: Duration,
    /// How many there have been at least, as far as is known here: what counts may have lost its memory.
    pub known: Option<Known>,
}

/// What a counter said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The number of the window since 1970.
    pub window: u64,
    /// How many calls it had counted then.
    pub calls: u64,
}

/// What came of counting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// All counters count the call, and say so much now.
    All(Vec<Known>),
    /// This counter is full.
    Full {
        /// Which of those that were asked.
        counter: usize,
        /// When its window ends.
        ends_in: Duration,
    },
}

/// Whoever counts cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what is counted for all replicas cannot be reached: {0}")]
pub struct CountsAway(pub String);
