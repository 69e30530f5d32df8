//! What was written about faults.

use super::{Reader, Spanned};
use crate::settings::document::Node;

/// What is done about faults, for all, for one server, or for tools by pattern.
#[derive(Debug, Default)]
pub(in crate::settings) struct Resilience {
    pub(in crate::settings) attempts: Option<Spanned<u32>>,
    pub(in crate::settings) first_wait_secs: Option<Spanned<f64>>,
    pub(in crate::settings) max_wait_secs: Option<Spanned<f64>>,
    pub(in crate::settings) repeatable: Option<Spanned<bool>>,
    pub(in crate::settings) breaker: Option<Breaker>,
    pub(in crate::settings) cache: Option<Cache>,
    pub(in crate::settings) fallback: Option<Fallback>,
    pub(in crate::settings) max_concurrent: Option<Spanned<usize>>,
    pub(in crate::settings) tools: Vec<(Spanned<String>, Self)>,
}

#[derive(Debug)]
pub(in crate::settings) struct Breaker {
    pub(in crate::settings) enabled: Option<Spanned<bool>>,
    pub(in crate::settings) failures: Option<Spanned<u32>>,
    pub(in crate::settings) recovery_secs: Option<Spanned<f64>>,
}

#[derive(Debug)]
pub(in crate::settings) struct Cache {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) ttl_secs: Option<Spanned<f64>>,
    pub(in crate::settings) shared: Option<Spanned<bool>>,
}

#[derive(Debug)]
pub(in crate::settings) struct Fallback {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) tool: Option<Spanned<String>>,
    pub(in crate::settings) arguments: Option<Vec<(String, Spanned<String>)>>,
}

const OF_SOME: &[&str] = &["attempts", "firstWait", "maxWait", "repeatable", "breaker", "cache", "fallback", "maxConcurrent"];
const OF_ALL: &[&str] = &["attempts", "firstWait", "maxWait", "repeatable", "breaker", "maxConcurrent", "tools"];
const OF_A_SERVER: &[&str] = &["attempts", "firstWait", "maxWait", "repeatable", "breaker", "maxConcurrent"];
const BREAKER: &[&str] = &["failures", "recovery"];
const CACHE: &[&str] = &["ttl", "shared"];
const FALLBACK: &[&str] = &["tool", "arguments"];

impl Reader<'_> {
    /// For everything, and for tools by pattern.
    pub(super) fn resilience(&mut self, node: &Node<'_>) -> Resilience {
        self.resilience_of(node, OF_ALL)
    }

    /// For one server.
    pub(super) fn resilience_of_server(&mut self, node: &Node<'_>) -> Resilience {
        self.resilience_of(node, OF_A_SERVER)
    }

    fn resilience_of(&mut self, node: &Node<'_>, known: &[&str]) -> Resilience {
        let mut resilience = Resilience::default();
        for (key, node) in node.entries(self.faults) {
            if !known.contains(&key.as_str()) {
                self.faults.add(node.unknown(&key, known));
                continue;
            }
            match key.as_str() {
                "attempts" => resilience.attempts = node.scalar("a whole number", self.faults),
                "firstWait" => resilience.first_wait_secs = node.scalar("a number of seconds", self.faults),
                "maxWait" => resilience.max_wait_secs = node.scalar("a number of seconds", self.faults),
                "repeatable" => resilience.repeatable = self.flag(&node),
                "breaker" => resilience.breaker = Some(self.breaker(&node)),
                "cache" => resilience.cache = Some(self.cache(&node)),
                "fallback" => resilience.fallback = Some(self.fallback(&node)),
                "maxConcurrent" => resilience.max_concurrent = node.scalar("a whole number", self.faults),
                "tools" => {
                    let entries = node.entries(self.faults);
                    resilience.tools = entries
                        .into_iter()
                        .map(|(pattern, node)| (node.place().with(pattern), self.resilience_of(&node, OF_SOME)))
                        .collect();
                }
                _ => self.faults.add(node.unknown(&key, known)),
            }
        }
        resilience
    }

    fn breaker(&mut self, node: &Node<'_>) -> Breaker {
        let mut breaker = Breaker { enabled: None, failures: None, recovery_secs: None };
        if node.is_scalar() {
            breaker.enabled = self.flag(node);
            return breaker;
        }
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "failures" => breaker.failures = node.scalar("a whole number", self.faults),
                "recovery" => breaker.recovery_secs = node.scalar("a number of seconds", self.faults),
                _ => self.faults.add(node.unknown(&key, BREAKER)),
            }
        }
        breaker
    }

    fn cache(&mut self, node: &Node<'_>) -> Cache {
        let mut cache = Cache { place: node.place(), ttl_secs: None, shared: None };
        if node.is_scalar() {
            cache.ttl_secs = node.scalar("a number of seconds", self.faults);
            return cache;
        }
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "ttl" => cache.ttl_secs = node.scalar("a number of seconds", self.faults),
                "shared" => cache.shared = self.flag(&node),
                _ => self.faults.add(node.unknown(&key, CACHE)),
            }
        }
        cache
    }

    fn fallback(&mut self, node: &Node<'_>) -> Fallback {
        let mut fallback = Fallback { place: node.place(), tool: None, arguments: None };
        if node.is_scalar() {
            fallback.tool = self.text(node);
            return fallback;
        }
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "tool" => fallback.tool = self.text(&node),
                "arguments" => fallback.arguments = Some(self.texts(&node)),
                _ => self.faults.add(node.unknown(&key, FALLBACK)),
            }
        }
        fallback
    }
}
