//! Answers that are remembered for a while, for tools that the operator lists: by caller, by the tool as it is defined now, and by its
//! arguments, however they are written. Of equal calls that come together one is made.

use crate::validate::Checked;
use moka::{Expiry, future::Cache};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use toolcrib_contract::{CallError, Output};

/// The room for answers, in bytes.
const MAX_BYTES: u64 = 32 << 20;
/// The largest answer that is remembered.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// For how long answers are remembered, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caching {
    /// For how long.
    pub ttl: Duration,
    /// Whether what one caller was answered is the answer for all.
    pub is_shared: bool,
}

/// The answers.
#[derive(Clone)]
pub(crate) struct Answers(Cache<Key, Remembered>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    caller: Option<Arc<str>>,
    entry: u64,
    arguments: [u8; 32],
}

#[derive(Clone)]
struct Remembered {
    output: Output,
    ttl: Duration,
}

/// Why there is nothing to remember.
enum Nothing {
    /// It ended without an answer.
    Failed(CallError),
    /// It has an answer for this time, and for whoever asked.
    JustThis(Output),
}

/// Each answer has a time of its own.
struct OwnTime;

impl Expiry<Key, Remembered> for OwnTime {
    fn expire_after_create(&self, _key: &Key, remembered: &Remembered, _now: Instant) -> Option<Duration> {
        Some(remembered.ttl)
    }
}

impl Default for Answers {
    fn default() -> Self {
        let weigh = |_: &Key, remembered: &Remembered| u32::try_from(remembered.output.size_bytes() + 256).unwrap_or(u32::MAX);
        Self(Cache::builder().weigher(weigh).max_capacity(MAX_BYTES).expire_after(OwnTime).build())
    }
}

impl Answers {
    /// What was answered before, or is now.
    pub(super) async fn answer<F>(&self, checked: &Checked, caching: Caching, make: impl Fn() -> F) -> Result<Output, CallError>
    where
        F: Future<Output = Result<Output, CallError>>,
    {
        let key = Key::of(checked, caching)?;
        let remembered = self.0.try_get_with(key, async {
            match make().await {
                Ok(output) if output.is_error() || output.size_bytes() > MAX_ANSWER_BYTES => Err(Nothing::JustThis(output)),
                Ok(output) => Ok(Remembered { output, ttl: caching.ttl }),
                Err(error) => Err(Nothing::Failed(error)),
            }
        });
        match remembered.await {
            Ok(remembered) => Ok(remembered.output),
            Err(nothing) => match &*nothing {
                // Questions are for whoever made the call.
                Nothing::Failed(CallError::NeedsInput(_) | CallError::NeedsRound(_)) if Arc::strong_count(&nothing) > 1 => make().await,
                Nothing::Failed(error) => Err(error.clone()),
                Nothing::JustThis(output) => Ok(output.clone()),
            },
        }
    }
}

impl Key {
    fn of(checked: &Checked, caching: Caching) -> Result<Self, CallError> {
        let call = &checked.permitted.call;
        let value = call.arguments.to_value().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
        let mut canonical = String::new();
        write_canonical(&value, &mut canonical);
        let arguments = digest(&SHA256, canonical.as_bytes()).as_ref().try_into().expect("SHA-256 gives 32 bytes");
        let caller = (!caching.is_shared).then(|| Arc::clone(checked.permitted.caller.id().principal()));
        Ok(Self { caller, entry: checked.steady().id, arguments })
    }
}

/// Members in the order of their names; everything else as it is.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in members {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answers({})", self.0.entry_count())
    }
}
