//! What is done about faults: what is said for all, for a server and for single tools, one upon the other.

use super::super::{
    document::{Faults, Spanned},
    raw::resilience as raw,
};
use super::{seconds, within};
use std::time::Duration;
use toolcrib_contract::Globs;
use toolcrib_gate::{Caching, Fallback, Resilience, Trip};

/// What the config says, for all and for tools by pattern.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Steadiness {
    all: Overrides,
    tools: Vec<(Globs, Overrides)>,
}

/// What is said, over what is said more generally.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    attempts: Option<u32>,
    first_wait: Option<Duration>,
    max_wait: Option<Duration>,
    is_repeatable: Option<bool>,
    breaker: Option<Option<Trip>>,
    caching: Option<Caching>,
    fallback: Option<Fallback>,
    max_concurrent: Option<usize>,
}

impl Overrides {
    fn over(&self, base: &Resilience) -> Resilience {
        Resilience {
            attempts: self.attempts.unwrap_or(base.attempts),
            first_wait: self.first_wait.unwrap_or(base.first_wait),
            max_wait: self.max_wait.unwrap_or(base.max_wait),
            is_repeatable: self.is_repeatable.or(base.is_repeatable),
            trusts_hints: base.trusts_hints,
            breaker: self.breaker.unwrap_or(base.breaker),
            caching: self.caching.or(base.caching),
            fallback: self.fallback.clone().or_else(|| base.fallback.clone()),
            max_concurrent: self.max_concurrent.or(base.max_concurrent),
        }
    }
}

impl Steadiness {
    /// For a source of which something more is said. Whether what its tools say of themselves counts is for the operator to say.
    #[must_use]
    pub fn of_source(&self, own: &Overrides, trusts_hints: bool) -> Resilience {
        let all = self.all.over(&Resilience { trusts_hints, ..Resilience::default() });
        own.over(&all)
    }

    /// Whether another says the same of single tools.
    #[must_use]
    pub fn says_the_same_of_tools(&self, other: &Self) -> bool {
        self.tools == other.tools
    }

    /// For a tool of that source, if something is said of it: by the first pattern that its name fits.
    #[must_use]
    pub fn of_tool(&self, name: &str, source: &Resilience) -> Option<Resilience> {
        let (_, own) = self.tools.iter().find(|(globs, _)| globs.include(name))?;
        // How many calls run at once is said of all tools of a source together, or of this one.
        Some(own.over(&Resilience { max_concurrent: None, ..source.clone() }))
    }
}

pub(super) fn check(written: &raw::Resilience, faults: &mut Faults) -> Steadiness {
    let tools = written.tools.iter().map(|(pattern, own)| (Globs::new([&pattern.value]), overrides(own, faults))).collect();
    Steadiness { all: overrides(written, faults), tools }
}

pub(super) fn overrides(written: &raw::Resilience, faults: &mut Faults) -> Overrides {
    let number = |written: Option<&Spanned<u32>>, most: u32, faults: &mut Faults| {
        let written = written?;
        if (1..=most).contains(&written.value) {
            return Some(written.value);
        }
        faults.add(written.fault(format!("expected a number from 1 to {most}, found {}", written.value)));
        None
    };
    Overrides {
        attempts: number(written.attempts.as_ref(), 10, faults),
        first_wait: seconds(written.first_wait_secs.as_ref(), faults),
        max_wait: seconds(written.max_wait_secs.as_ref(), faults),
        is_repeatable: written.repeatable.as_ref().map(|flag| flag.value),
        breaker: written.breaker.as_ref().map(|breaker| {
            let failures = number(breaker.failures.as_ref(), 1000, faults).unwrap_or(Trip::default().failures);
            let recovery = seconds(breaker.recovery_secs.as_ref(), faults).unwrap_or(Trip::default().recovery);
            breaker.enabled.as_ref().is_none_or(|enabled| enabled.value).then_some(Trip { failures, recovery })
        }),
        caching: written.cache.as_ref().and_then(|cache| caching(cache, faults)),
        fallback: written.fallback.as_ref().and_then(|written| fallback(written, faults)),
        max_concurrent: within(written.max_concurrent.as_ref(), 1..=10_000, faults),
    }
}

fn caching(written: &raw::Cache, faults: &mut Faults) -> Option<Caching> {
    if written.ttl_secs.is_none() {
        faults.add(written.place.fault("say for how many seconds: cache: 60, or cache: { ttl: 60, shared: true }"));
    }
    let ttl = seconds(written.ttl_secs.as_ref(), faults)?;
    Some(Caching { ttl, is_shared: written.shared.as_ref().is_some_and(|shared| shared.value) })
}

fn fallback(written: &raw::Fallback, faults: &mut Faults) -> Option<Fallback> {
    let Some(tool) = &written.tool else {
        faults.add(written.place.fault("say which tool is called instead: fallback: other_tool"));
        return None;
    };
    let arguments = written.arguments.as_ref().map(|names| names.iter().map(|(name, given)| (name.clone(), given.value.clone())).collect());
    Some(Fallback { tool: tool.value.as_str().into(), arguments })
}
