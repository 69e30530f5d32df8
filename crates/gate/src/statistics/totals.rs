//! What becomes of all calls together, of whatever kind, the refused ones included.

use super::durations::{Durations, Ladder};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use toolcrib_contract::{CallError, Outcome};

/// All calls since the process began.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// Calls under way.
    pub in_flight: u64,
    /// Calls that gave an output.
    pub answered: u64,
    /// Calls whose output, or error, is the tool's own failure.
    pub tool_errors: u64,
    /// Calls whose client cancelled or left.
    pub abandoned: u64,
    /// Calls that ended without an output, by [`CallError::code`]: each of [`CallError::CODES`], however few.
    pub refused: Vec<(&'static str, u64)>,
    /// How long they took, in all.
    pub durations: Durations,
}

impl Totals {
    /// How many have ended.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.answered + self.tool_errors + self.abandoned + self.refused.iter().map(|(_, calls)| calls).sum::<u64>()
    }

    /// How many of them ended with an error. A question that the client is asked is none.
    #[must_use]
    pub fn errors(&self) -> u64 {
        let is_error = |code: &str| code != "needs_input";
        self.tool_errors + self.refused.iter().filter(|(code, _)| is_error(code)).map(|(_, calls)| calls).sum::<u64>()
    }
}

/// The same, as it is being counted.
#[derive(Debug)]
pub(crate) struct Tote {
    begun: AtomicU64,
    over: AtomicU64,
    answered: AtomicU64,
    tool_errors: AtomicU64,
    abandoned: AtomicU64,
    refused: [AtomicU64; CallError::CODES.len()],
    durations: Ladder,
}

impl Default for Tote {
    fn default() -> Self {
        Self {
            begun: AtomicU64::new(0),
            over: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            tool_errors: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            refused: [const { AtomicU64::new(0) }; CallError::CODES.len()],
            durations: Ladder::default(),
        }
    }
}

impl Tote {
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, outcome: &Outcome, took: Duration) {
        let count = match outcome {
            Outcome::Answered { is_error: false, .. } => Some(&self.answered),
            Outcome::Answered { is_error: true, .. } => Some(&self.tool_errors),
            Outcome::Abandoned => Some(&self.abandoned),
            Outcome::Refused(code) => CallError::CODES.iter().position(|known| known == code).map(|index| &self.refused[index]),
        };
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.durations.count(took);
        self.over.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn read(&self) -> Totals {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        // Read in this order, there are never more ended than begun.
        let over = self.over.load(Ordering::Acquire);
        let refused = CallError::CODES.iter().zip(&self.refused).map(|(code, calls)| (*code, load(calls)));
        Totals {
            in_flight: load(&self.begun).saturating_sub(over),
            answered: load(&self.answered),
            tool_errors: load(&self.tool_errors),
            abandoned: load(&self.abandoned),
            refused: refused.collect(),
            durations: self.durations.read(),
        }
    }
}
