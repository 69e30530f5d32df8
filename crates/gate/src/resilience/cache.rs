//! Answers that are remembered for a while, for tools that the operator lists: by caller, by the tool as it is defined now, and by its
//! arguments, however they are written. Of equal calls that come together one is made.

use super::Bounds;
use crate::validate::Checked;
use moka::{Expiry, future::Cache};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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
pub(crate) struct Answers {
    kept: Cache<Key, Remembered>,
    /// Whether callers are asked who they are: whoever then shows nothing may be anybody.
    knows_callers: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    /// Who asked, unless that makes no difference.
    caller: Option<Asked>,
    entry: u64,
    arguments: [u8; 32],
}

/// Who asked: by name, roles and, where that is passed on, token.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Asked {
    principal: Arc<str>,
    roles: Arc<[Box<str>]>,
    token: Option<Arc<str>>,
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
    /// It has an answer that is not worth remembering.
    JustThis(Output),
    /// It has an answer for whoever asked, who was asked something.
    ForOne(Output),
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
        let kept = Cache::builder().weigher(weigh).max_capacity(MAX_BYTES).expire_after(OwnTime).build();
        Self { kept, knows_callers: false }
    }
}

impl Answers {
    /// The same, where callers are asked who they are.
    pub(crate) fn knowing_callers(self, knows_callers: bool) -> Self {
        Self { knows_callers, ..self }
    }

    /// What was answered before, or is now.
    pub(super) async fn answer<F>(
        &self,
        checked: &Checked,
        bounds: &Bounds,
        caching: Caching,
        make: impl Fn() -> F,
    ) -> Result<Output, CallError>
    where
        F: Future<Output = Result<Output, CallError>>,
    {
        let is_nobodys = self.knows_callers && checked.permitted.caller.is_anonymous() && !caching.is_shared;
        let Some(key) = Key::of(checked, caching)?.filter(|_| !is_nobodys) else { return make().await };
        let is_ours = AtomicBool::new(false);
        let remembered = self.kept.try_get_with(key, async {
            is_ours.store(true, Ordering::Relaxed);
            match make().await {
                Ok(output) if bounds.has_asked() => Err(Nothing::ForOne(output)),
                Ok(output) if output.is_error() || output.size_bytes() > MAX_ANSWER_BYTES => Err(Nothing::JustThis(output)),
                Ok(output) => Ok(Remembered { output, ttl: caching.ttl }),
                Err(error) => Err(Nothing::Failed(error)),
            }
        });
        match remembered.await {
            Ok(remembered) => Ok(remembered.output),
            Err(nothing) => match &*nothing {
                // What was asked, or could not be, was so of whoever made the call.
                Nothing::Failed(CallError::NeedsInput(_) | CallError::NeedsRound(_) | CallError::CannotAsk { .. }) | Nothing::ForOne(_)
                    if !is_ours.load(Ordering::Relaxed) =>
                {
                    make().await
                }
                Nothing::Failed(error) => Err(error.clone()),
                Nothing::JustThis(output) | Nothing::ForOne(output) => Ok(output.clone()),
            },
        }
    }
}

impl Key {
    /// `None` for a call that brings answers to questions: what is answered to that is no answer to the next.
    fn of(checked: &Checked, caching: Caching) -> Result<Option<Self>, CallError> {
        let call = &checked.permitted.call;
        let brings_answers = call.params.as_ref().is_some_and(|params| params.has("inputResponses") || params.has("requestState"));
        if brings_answers {
            return Ok(None);
        }
        let value = call.arguments.to_value().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
        let mut canonical = String::new();
        write_canonical(&value, &mut canonical);
        let arguments = digest(&SHA256, canonical.as_bytes()).as_ref().try_into().expect("SHA-256 gives 32 bytes");
        let caller = &checked.permitted.caller;
        let token = caller.token().filter(|_| checked.permitted.entry.callable().takes_token()).cloned();
        let asked = || Asked { principal: Arc::clone(caller.id().principal()), roles: Arc::clone(&caller.id().roles), token };
        Ok(Some(Self { caller: (!caching.is_shared).then(asked), entry: checked.steady().id, arguments }))
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
        write!(f, "Answers({})", self.kept.entry_count())
    }
}
