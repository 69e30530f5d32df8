//! How much a caller may have: calls per minute and per day.
//!
//! Counted by caller, so that a new connection or session changes nothing; what was counted before a restart is read back
//! from the records. Several processes that are one server count together, by one question for each call.

use super::rules::{EVERYONE, Names};
use crate::validate::Checked;
use std::{
    borrow::Cow,
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use toolcrib_contract::{CallError, CallerId, Counted, Counter as SharedCounter, Kind, Known, SharedCounts};

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

/// What counts for all replicas, and what is done while it is away.
#[derive(Debug, Clone)]
pub struct CountedTogether {
    /// What counts.
    pub counts: Arc<dyn SharedCounts>,
    /// Whether each replica counts by itself while it is away, from what it knew last. Otherwise calls that are limited are refused.
    pub degrades: bool,
}

/// The limits, and what was used of them.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    limits: Vec<Limit>,
    /// What each is called where several count: the same wherever the same is meant.
    names: Vec<String>,
    counters: Mutex<Counters>,
}

/// What is counted together: a limit, its window, and whose calls.
type Key = (usize, Window, Arc<str>);

#[derive(Debug)]
struct Counters {
    of: HashMap<Key, Counter>,
    max: usize,
    /// The minute in which those of windows that are over were last taken out.
    swept: u64,
}

#[derive(Debug, Clone, Copy)]
struct Counter {
    /// The number of the window since 1970.
    number: u64,
    calls: u64,
}

/// Somebody who calls, and from where: those who are nobody are told apart by their addresses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) caller: &'a CallerId,
    pub(crate) address: Option<IpAddr>,
}

impl Asker<'_> {
    fn key(self) -> String {
        match self.address {
            Some(address) if self.caller.is_anonymous() => format!("{}@{}", self.caller.principal(), network(address)),
            _ => self.caller.principal().to_string(),
        }
    }
}

/// The address, or the part of it that one household or machine has (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

impl Limits {
    pub(crate) fn new(limits: Vec<Limit>) -> Self {
        let names = limits.iter().map(|limit| format!("{:?} {:?}", limit.roles, limit.names)).collect();
        Self { limits, names, counters: Mutex::default() }
    }

    /// Whether these are the same.
    pub(crate) fn are(&self, limits: &[Limit]) -> bool {
        self.limits == limits
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Counts a call, unless one of the limits that it falls under is reached: then none of them counts it.
    pub(crate) fn admit(&self, Checked { permitted }: &Checked) -> Result<(), CallError> {
        if self.is_empty() {
            return Ok(());
        }
        let asker = Asker { caller: permitted.caller.id(), address: permitted.origin.address };
        self.count(asker, permitted.call.kind, &permitted.call.name, SystemTime::now())
    }

    /// The same, counted with all other replicas.
    pub(crate) async fn admit_together(&self, Checked { permitted }: &Checked, together: &CountedTogether) -> Result<(), CallError> {
        let asker = Asker { caller: permitted.caller.id(), address: permitted.origin.address };
        let (kind, name) = (permitted.call.kind, &permitted.call.name);
        let due = self.due(asker, kind, name);
        if due.is_empty() {
            return Ok(());
        }
        match together.counts.count(&due[0].0.2, &self.shared(&due)).await {
            Ok(Counted::All(counts)) => {
                self.learn(due, &counts);
                Ok(())
            }
            Ok(Counted::Full { counter, ends_in }) => {
                let ((_, window, _), limit) = &due[counter.min(due.len() - 1)];
                Err(CallError::LimitReached { limit: *limit, window: window.name(), retry_after: ends_in })
            }
            Err(away) if together.degrades => {
                tracing::debug!(%away, "calls are counted here alone");
                self.count(asker, kind, name, SystemTime::now())
            }
            Err(away) => {
                tracing::debug!(%away, "a call cannot be counted");
                Err(CallError::NotCountable)
            }
        }
    }

    /// What is asked to count, with what is known here.
    fn shared(&self, due: &[(Key, u64)]) -> Vec<SharedCounter> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = |(key, limit): &(Key, u64)| SharedCounter {
            what: format!("{} {}", self.names[key.0], key.1.name()),
            limit: *limit,
            window: Duration::from_secs(key.1.seconds()),
            known: counters.known(key),
        };
        due.iter().map(counter).collect()
    }

    /// Remembers what was counted together, for when it is forgotten there.
    fn learn(&self, due: Vec<(Key, u64)>, counts: &[Known]) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        due.into_iter().zip(counts).for_each(|((key, _), known)| counters.learn(key, *known));
    }

    fn count(&self, asker: Asker<'_>, kind: Kind, name: &str, now: SystemTime) -> Result<(), CallError> {
        let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let due = self.due(asker, kind, name);
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reached) = due.iter().find_map(|(key, limit)| counters.reached(key, *limit, since_1970)) {
            return Err(reached);
        }
        for (key, _) in due {
            counters.counter(&key, since_1970).calls += 1;
        }
        Ok(())
    }

    /// Counts what was done before, by whoever has the records of it.
    pub(crate) fn recount(&self, asker: Asker<'_>, kind: Kind, name: &str, at: SystemTime, calls: u64) {
        let since_1970 = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let due = self.due(asker, kind, name);
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in due {
            let number = since_1970.as_secs() / key.1.seconds();
            let counter = counters.counter(&key, since_1970);
            if counter.number == number {
                counter.calls = counter.calls.saturating_add(calls);
            }
        }
    }

    /// How much is used of the limits that a call would fall under, in words, and the refusal if one is reached.
    pub(crate) fn used(&self, asker: Asker<'_>, kind: Kind, name: &str, now: SystemTime) -> (Vec<String>, Option<CallError>) {
        let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let due = self.due(asker, kind, name);
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let reached = due.iter().find_map(|(key, limit)| counters.reached(key, *limit, since_1970));
        let said = due
            .iter()
            .map(|(key, limit)| format!("{} of {limit} calls of this {} are used", counters.calls(key, since_1970), key.1.name()));
        (said.collect(), reached)
    }

    /// What a call counts into, and how much of it there may be.
    fn due(&self, asker: Asker<'_>, kind: Kind, name: &str) -> Vec<(Key, u64)> {
        let applies = |limit: &Limit| {
            limit.names.include(kind, name) && limit.roles.iter().any(|role| &**role == EVERYONE || asker.caller.has_role(role))
        };
        let limits = self.limits.iter().enumerate().filter(|(_, limit)| applies(limit));
        let who: Arc<str> = asker.key().into();
        let windows = limits.flat_map(|(index, limit)| {
            [(Window::Minute, limit.per_minute), (Window::Day, limit.per_day)].map(|(window, calls)| (index, window, calls))
        });
        windows.filter_map(|(index, window, calls)| Some(((index, window, Arc::clone(&who)), calls?))).collect()
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self { of: HashMap::new(), max: MAX_COUNTERS, swept: 0 }
    }
}

impl Counters {
    /// Under what somebody is counted: where there is no room for one more, those who come last share one count.
    fn place<'a>(&self, key: &'a Key) -> Cow<'a, Key> {
        let has_room = self.of.len() < self.max || self.of.contains_key(key);
        if has_room { Cow::Borrowed(key) } else { Cow::Owned((key.0, key.1, Arc::from(""))) }
    }

    /// The calls of the window that is now, or of a later one if the clock was set back.
    fn calls(&self, key: &Key, since_1970: Duration) -> u64 {
        let number = since_1970.as_secs() / key.1.seconds();
        self.of.get(&*self.place(key)).filter(|counter| counter.number >= number).map_or(0, |counter| counter.calls)
    }

    /// What was counted last, of whichever window; nothing where somebody has no count of its own.
    fn known(&self, key: &Key) -> Option<Known> {
        self.of.get(key).map(|counter| Known { window: counter.number, calls: counter.calls })
    }

    /// Takes what was counted elsewhere, unless more is known here.
    fn learn(&mut self, key: Key, known: Known) {
        self.sweep(known.window * key.1.seconds());
        if self.of.len() >= self.max && !self.of.contains_key(&key) {
            return;
        }
        let counter = self.of.entry(key).or_insert(Counter { number: known.window, calls: 0 });
        if counter.number < known.window {
            *counter = Counter { number: known.window, calls: 0 };
        }
        if counter.number == known.window {
            counter.calls = counter.calls.max(known.calls);
        }
    }

    fn reached(&self, key: &Key, limit: u64, since_1970: Duration) -> Option<CallError> {
        let window = key.1;
        let ends = Duration::from_secs((since_1970.as_secs() / window.seconds() + 1) * window.seconds());
        let is_reached = self.calls(key, since_1970) >= limit;
        is_reached.then(|| CallError::LimitReached { limit, window: window.name(), retry_after: ends.saturating_sub(since_1970) })
    }

    /// Takes out those of windows that are over, where there is no room.
    fn sweep(&mut self, now: u64) {
        if self.of.len() >= self.max && self.swept != now / 60 {
            self.swept = now / 60;
            self.of.retain(|(_, window, _), counter| counter.number >= now / window.seconds());
        }
    }

    fn counter(&mut self, key: &Key, since_1970: Duration) -> &mut Counter {
        let (now, number) = (since_1970.as_secs(), since_1970.as_secs() / key.1.seconds());
        self.sweep(now);
        let place = self.place(key).into_owned();
        let counter = self.of.entry(place).or_insert(Counter { number, calls: 0 });
        if counter.number < number {
            *counter = Counter { number, calls: 0 };
        }
        counter
    }
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
        let admit =
            |caller: &CallerId, name: &str, seconds: u64| limits.count(Asker { caller, address: None }, Kind::Tool, name, at(seconds));
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

    fn asker(caller: &CallerId) -> Asker<'_> {
        Asker { caller, address: None }
    }

    #[test]
    fn those_who_are_nobody_are_told_apart_by_their_addresses() {
        let limit = |per_day| Limit {
            roles: vec![EVERYONE.into()],
            names: Names { tools: Globs::new(["*"]), ..Names::default() },
            per_minute: None,
            per_day,
        };
        let (limits, nobody, now) = (Limits::new(vec![limit(Some(1))]), CallerId::anonymous(), SystemTime::now());
        let count = |address: &str| limits.count(Asker { caller: &nobody, address: address.parse().ok() }, Kind::Tool, "t", now);
        count("192.0.2.1").unwrap();
        count("192.0.2.1").unwrap_err();
        count("192.0.2.2").unwrap();
        count("2001:db8::1").unwrap();
        count("2001:db8::2").unwrap_err();
        count("2001:db8:0:1::1").unwrap();
        let none = Limits::new(vec![limit(Some(0))]);
        none.count(asker(&nobody), Kind::Tool, "t", now).unwrap_err();
    }

    #[test]
    fn a_flood_of_callers_does_not_switch_limits_off() {
        let limit = Limit {
            roles: vec![EVERYONE.into()],
            names: Names { tools: Globs::new(["*"]), ..Names::default() },
            per_minute: None,
            per_day: Some(2),
        };
        let limits = Limits::new(vec![limit]);
        limits.counters.lock().unwrap().max = 3;
        let (nobody, now) = (CallerId::anonymous(), SystemTime::now());
        let count = |number: u8| {
            let address = Some(IpAddr::from([192, 0, 2, number]));
            limits.count(Asker { caller: &nobody, address }, Kind::Tool, "t", now)
        };
        let answered = (0..100).filter(|number| count(*number).is_ok()).count();
        assert_eq!(answered, 3 + 2, "three are counted each, all others together");
        count(0).unwrap();
        count(0).unwrap_err();
    }

    #[test]
    fn what_was_done_before_a_restart_counts() {
        let limits = limits();
        let ann = CallerId::new("login", "ann", ["user"]);
        let now = UNIX_EPOCH + Duration::from_secs(86_400 * 20_000 + 40_000);
        limits.recount(asker(&ann), Kind::Tool, "web_scraper", now - Duration::from_secs(3600), 3);
        assert!(matches!(limits.count(asker(&ann), Kind::Tool, "web_scraper", now), Err(CallError::LimitReached { window: "day", .. })));
        limits.count(asker(&ann), Kind::Tool, "calculator", now).unwrap();
    }
}
