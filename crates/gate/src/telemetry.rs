//! One record on every way out.

use crate::{Arrived, Reply, statistics::Tote};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use toolcrib_contract::{AuditLog, CallError, CallSpan, Kept, Kind, Outcome, Record, StepSpan, Trace, Tracing};

/// A record that is being made. Dropped before it is closed, it tells that the call was abandoned.
pub(crate) struct Open<'a> {
    audit: &'a Arc<dyn AuditLog>,
    totals: &'a Tote,
    record: Option<Record>,
    steps: Steps,
}

/// The steps of a call, as far as somebody wants to see them.
pub(crate) struct Steps {
    started: Instant,
    /// Apart from the call, which is moved: most have none.
    traced: Option<Box<Traced>>,
}

struct Traced {
    tracing: Arc<dyn Tracing>,
    trace: Trace,
    parent: Option<[u8; 8]>,
    /// The span of what is executed, which others are told of while it runs.
    execute: [u8; 8],
    ended: Mutex<Vec<StepSpan>>,
}

/// A step that has begun; it ends when this is dropped.
pub(crate) struct Step<'a> {
    traced: Option<(&'a Traced, Duration)>,
    name: &'static str,
    started: Instant,
}

/// Opens the record of a call, unless none could be kept.
pub(crate) fn open<'a>(
    audit: &'a Arc<dyn AuditLog>,
    totals: &'a Tote,
    tracing: Option<&Arc<dyn Tracing>>,
    arrived: &mut Arrived,
) -> Result<Open<'a>, CallError> {
    totals.begin();
    if audit.admits().is_err() {
        totals.end(&Outcome::Refused(CallError::NotRecordable.code()), Duration::ZERO);
        return Err(CallError::NotRecordable);
    }
    let steps = Steps::of(tracing, arrived);
    let Arrived { caller, call, origin, .. } = arrived;
    let at = SystemTime::now();
    let record = Record {
        id: call_id(at),
        at,
        caller: caller.id().clone(),
        origin: origin.clone(),
        kind: call.kind,
        name: shortened(&call.name).into(),
        outcome: Outcome::Abandoned,
        reason: None,
        duration: Duration::ZERO,
        arguments: call.arguments.clone(),
    };
    Ok(Open { audit, totals, record: Some(record), steps })
}

/// A UUID of version 7: it begins with the time, so that names sort as calls came (RFC 9562, section 5.7).
fn call_id(at: SystemTime) -> Box<str> {
    let millis = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
    let mut written = uuid::Uuid::encode_buffer();
    Box::from(&*id.hyphenated().encode_lower(&mut written))
}

/// A record must not grow with what a client chose to call.
fn shortened(name: &str) -> &str {
    const MAX_BYTES: usize = 512;
    &name[..name.floor_char_boundary(MAX_BYTES)]
}

impl Steps {
    /// The step in which others may add to the trace.
    pub(crate) const EXECUTE: &'static str = "execute";

    /// Finds out where the call stands, and has what it leads to stand behind that.
    fn of(tracing: Option<&Arc<dyn Tracing>>, arrived: &mut Arrived) -> Self {
        let traced = tracing.and_then(|tracing| {
            let before = arrived.origin.trace.as_ref();
            let trace = tracing.begin(before);
            if !trace.is_sampled {
                // What begins here and is not kept is not kept further on; what came is passed on as it came.
                arrived.origin.trace.get_or_insert(trace);
                return None;
            }
            let (parent, execute) = (before.map(|before| before.span), span());
            arrived.origin.trace = Some(Trace { span: execute, ..trace.clone() });
            Some(Box::new(Traced { tracing: Arc::clone(tracing), trace, parent, execute, ended: Mutex::default() }))
        });
        Self { started: Instant::now(), traced }
    }

    pub(crate) fn begin(&self, name: &'static str) -> Step<'_> {
        let traced = self.traced.as_deref().map(|traced| (traced, self.started.elapsed()));
        Step { traced, name, started: self.started }
    }

    pub(crate) fn take<T>(&self, name: &'static str, step: impl FnOnce() -> T) -> T {
        let _step = self.begin(name);
        step()
    }

    /// What is told of the call, if anybody wants to hear it.
    fn told(&mut self, record: &Record) -> Option<(Arc<dyn Tracing>, Box<CallSpan>)> {
        let Traced { tracing, trace, parent, ended, .. } = *self.traced.take()?;
        let steps = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
        let call = CallSpan {
            call: record.id.clone(),
            trace,
            parent,
            at: record.at,
            took: record.duration,
            caller: record.caller.clone(),
            origin: record.origin.clone(),
            kind: record.kind,
            name: Arc::clone(&record.name),
            outcome: record.outcome,
            steps,
        };
        Some((tracing, Box::new(call)))
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        let Some((traced, from)) = self.traced else { return };
        let until = self.started.elapsed();
        let mut ended = traced.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // Of what is called instead of something that failed nobody has been told.
        let is_told = self.name == Steps::EXECUTE && !ended.iter().any(|step| step.name == Steps::EXECUTE);
        ended.push(StepSpan { name: self.name, span: if is_told { traced.execute } else { span() }, from, until });
    }
}

/// The name of a span: any number but zero.
fn span() -> [u8; 8] {
    fastrand::u64(1..).to_be_bytes()
}

impl Open<'_> {
    pub(crate) fn steps(&self) -> &Steps {
        &self.steps
    }

    /// Keeps the record of how the call ended, and lets the result go once that is safe.
    pub(crate) async fn close(mut self, result: Result<Reply, CallError>) -> Result<Reply, CallError> {
        if let Some(record) = &mut self.record {
            record.outcome = match &result {
                Ok(reply) => Outcome::Answered { output_bytes: reply.size_bytes, is_error: reply.output.is_error() },
                // A tool that says so by an error has failed as one that says so by its output.
                Err(CallError::Failed(said)) if record.kind == Kind::Tool => Outcome::Answered { output_bytes: said.len(), is_error: true },
                Err(error) => Outcome::Refused(error.code()),
            };
            record.reason = result.as_ref().err().and_then(CallError::rule).cloned();
        }
        let Some((kept, mut ended)) = self.keep() else { return result };
        let Some(kept) = kept else { return result };
        let unrecorded = match kept.await {
            Ok(()) => return result,
            Err(_) if was_started(&result) => CallError::NotRecorded,
            Err(_) => CallError::NotRecordable,
        };
        // What the caller is told is what is counted.
        ended.outcome = Outcome::Refused(unrecorded.code());
        Err(unrecorded)
    }

    fn keep(&mut self) -> Option<(Kept, Ended<'_>)> {
        let mut record = self.record.take()?;
        record.duration = self.steps.started.elapsed();
        let (outcome, took) = (record.outcome, record.duration);
        let ended = Ended { totals: self.totals, told: self.steps.told(&record), outcome, took };
        Some((self.audit.keep(record), ended))
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // Nobody waits for the record of an abandoned call; the log sees to it all the same.
        drop(self.keep());
    }
}

/// A call that has ended. It is counted, and told to whoever traces it, when this is dropped: also if nobody waits for its record any more.
struct Ended<'a> {
    totals: &'a Tote,
    told: Option<(Arc<dyn Tracing>, Box<CallSpan>)>,
    outcome: Outcome,
    took: Duration,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.totals.end(&self.outcome, self.took);
        if let Some((tracing, call)) = self.told.take() {
            tracing.ended(CallSpan { outcome: self.outcome, ..*call });
        }
    }
}

fn was_started(result: &Result<Reply, CallError>) -> bool {
    !matches!(
        result,
        Err(CallError::NotFound { .. }
            | CallError::Forbidden { .. }
            | CallError::ArgumentsForbidden { .. }
            | CallError::Unauthenticated
            | CallError::InvalidArguments(_)
            | CallError::LimitReached { .. }
            | CallError::Overloaded { .. }
            | CallError::Unavailable { .. })
    )
}
