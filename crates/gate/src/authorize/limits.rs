//! How much a caller may have: calls per minute and per day.
//!
//! Counted by caller, so that a new connection or session changes nothing; what was counted before a restart is read back
//! from the records.

use super::rules::{EVERYONE, Names};
use crate::validate::Checked;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use toolcrib_contract::{CallError, CallerId, Kind};

/// The most counters that are kept. Beyond that those of windows that are over make room.
const MAX_COUNTERS: usize = 100_000;

/// What callers with some role may have of some things.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// For whom, as in a rule. Each caller is counted by itself.
    pub roles: Vec<Box<str>>,
    /// Of what. All of it together is one count.
    pub names: Names,
    /// Calls in each minute of the clock.
    pub per_minute: Option<u64>,
    /// Calls in each day, by UTC.
    pub per_day: Option<u64>,
}

/// A stretch of time that counts begin anew with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Window {
    Minute,
    Day,
}

impl Window {
    fn seconds(self) -> u64 {
        match self {
            Self::Minute => 60,
            Self::Day => 24 * 60 * 60,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Day => "day",
        }
    }
}

/// The limits, and what was used of them.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    limits: Vec<Limit>,
    counters: Mutex<HashMap<(usize, Window, String), Counter>>,
}

#[derive(Debug, Clone, Copy)]
struct Counter {
    /// The number of the window since 1970.
    number: u64,
    calls: u64,
}

impl Limits {
    pub(crate) fn new(limits: Vec<Limit>) -> Self {
        Self { limits, counters: Mutex::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Counts a call, unless one of the limits that it falls under is reached: then none of them counts it.
    pub(crate) fn admit(&self, Checked { permitted }: &Checked) -> Result<(), CallError> {
        self.count(permitted.caller.id(), permitted.call.kind, &permitted.call.name, SystemTime::now())
    }

    fn count(&self, caller: &CallerId, kind: Kind, name: &str, now: SystemTime) -> Result<(), CallError> {
        if self.limits.is_empty() {
            return Ok(());
        }
        let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let due: Vec<_> = self.due(caller, kind, name).collect();
        for (index, window, limit) in &due {
            let number = since_1970.as_secs() / window.seconds();
            let counter = counters.get(&(*index, *window, caller.principal().to_string()));
            // A clock that was set back opens no window anew.
            if counter.is_some_and(|counter| counter.number >= number && counter.calls >= *limit) {
                let ends = Duration::from_secs((number + 1) * window.seconds());
                return Err(CallError::LimitReached { limit: *limit, window: window.name(), retry_after: ends - since_1970 });
            }
        }
        for (index, window, _) in due {
            counter(&mut counters, (index, window, caller), since_1970).calls += 1;
        }
        Ok(())
    }

    /// Counts what was done before, by whoever has the records of it.
    pub(crate) fn recount(&self, caller: &CallerId, kind: Kind, name: &str, at: SystemTime, calls: u64) {
        let since_1970 = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, window, _) in self.due(caller, kind, name) {
            let counter = counter(&mut counters, (index, window, caller), since_1970);
            if counter.number == since_1970.as_secs() / window.seconds() {
                counter.calls = counter.calls.saturating_add(calls);
            }
        }
    }

    /// How much is used of the limits that a call would fall under: the limit, its window, the calls.
    pub(crate) fn used(&self, caller: &CallerId, kind: Kind, name: &str, now: SystemTime) -> Vec<(u64, &'static str, u64)> {
        let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = |index: usize, window: Window| {
            let counter = counters.get(&(index, window, caller.principal().to_string()));
            counter.filter(|counter| counter.number >= since_1970 / window.seconds()).map_or(0, |counter| counter.calls)
        };
        self.due(caller, kind, name).map(|(index, window, limit)| (limit, window.name(), calls(index, window))).collect()
    }

    /// The limits that a call falls under.
    fn due(&self, caller: &CallerId, kind: Kind, name: &str) -> impl Iterator<Item = (usize, Window, u64)> {
        let applies = move |limit: &Limit| {
            limit.names.include(kind, name) && limit.roles.iter().any(|role| &**role == EVERYONE || caller.has_role(role))
        };
        self.limits.iter().enumerate().filter(move |(_, limit)| applies(limit)).flat_map(|(index, limit)| {
            let windows = [(Window::Minute, limit.per_minute), (Window::Day, limit.per_day)];
            windows.into_iter().filter_map(move |(window, calls)| Some((index, window, calls?)))
        })
    }
}

/// The counter of the window that is now, or of a later one if the clock was set back.
fn counter<'a>(
    counters: &'a mut HashMap<(usize, Window, String), Counter>,
    (index, window, caller): (usize, Window, &CallerId),
    since_1970: Duration,
) -> &'a mut Counter {
    let number = since_1970.as_secs() / window.seconds();
    if counters.len() >= MAX_COUNTERS {
        counters.retain(|(_, window, _), counter| counter.number >= since_1970.as_secs() / window.seconds());
    }
    let counter = counters.entry((index, window, caller.principal().to_string())).or_insert(Counter { number, calls: 0 });
    if counter.number < number {
        *counter = Counter { number, calls: 0 };
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;
    use toolcrib_contract::Globs;

    fn limits() -> Limits {
        let names = |pattern: &str| Names { tools: Globs::new([pattern]), ..Names::default() };
        Limits::new(vec![
            Limit { roles: vec!["user".into()], names: names("web_*"), per_minute: Some(2), per_day: Some(3) },
            Limit { roles: vec![EVERYONE.into()], names: names("*"), per_minute: None, per_day: Some(100) },
        ])
    }

    #[test]
    fn each_caller_is_counted_by_the_clock() {
        let limits = limits();
        let [ann, bob] = ["ann", "bob"].map(|name| CallerId::new("login", name, ["user"]));
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(86_400 * 20_000 + seconds);
        let admit = |caller: &CallerId, name: &str, seconds: u64| limits.count(caller, Kind::Tool, name, at(seconds));
        admit(&ann, "web_scraper", 10).unwrap();
        admit(&ann, "web_search", 11).unwrap();
        match admit(&ann, "web_scraper", 12).unwrap_err() {
            CallError::LimitReached { limit: 2, window: "minute", retry_after } => assert_eq!(retry_after, Duration::from_secs(48)),
            other => panic!("{other:?}"),
        }
        admit(&bob, "web_scraper", 12).unwrap();
        admit(&ann, "calculator", 12).unwrap();
        admit(&ann, "web_scraper", 60).unwrap();
        assert!(matches!(admit(&ann, "web_scraper", 61), Err(CallError::LimitReached { limit: 3, window: "day", .. })));
        admit(&ann, "web_scraper", 86_400).unwrap();
        // The clock is set back by a day: what is called then still counts into the day that had begun.
        admit(&ann, "web_scraper", 5).unwrap();
        admit(&ann, "web_scraper", 6).unwrap_err();
    }

    #[test]
    fn what_was_done_before_a_restart_counts() {
        let limits = limits();
        let ann = CallerId::new("login", "ann", ["user"]);
        let now = UNIX_EPOCH + Duration::from_secs(86_400 * 20_000 + 40_000);
        limits.recount(&ann, Kind::Tool, "web_scraper", now - Duration::from_secs(3600), 3);
        assert!(matches!(limits.count(&ann, Kind::Tool, "web_scraper", now), Err(CallError::LimitReached { window: "day", .. })));
        limits.count(&ann, Kind::Tool, "calculator", now).unwrap();
    }
}
