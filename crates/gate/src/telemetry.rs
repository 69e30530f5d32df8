//! One record on every way out.

use crate::{Arrived, Reply, statistics::Tote};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use toolcrib_contract::{AuditLog, CallError, Kept, Kind, Outcome, Record};

/// A record that is being made. Dropped before it is closed, it tells that the call was abandoned.
pub(crate) struct Open<'a> {
    audit: &'a Arc<dyn AuditLog>,
    totals: &'a Tote,
    record: Option<Record>,
    started: Instant,
}

/// Opens the record of a call, unless none could be kept.
pub(crate) fn open<'a>(audit: &'a Arc<dyn AuditLog>, totals: &'a Tote, arrived: &Arrived) -> Result<Open<'a>, CallError> {
    totals.begin();
    if audit.admits().is_err() {
        totals.end(&Outcome::Refused(CallError::NotRecordable.code()), Duration::ZERO);
        return Err(CallError::NotRecordable);
    }
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
    Ok(Open { audit, totals, record: Some(record), started: Instant::now() })
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

impl Open<'_> {
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
        let Some(kept) = self.keep() else { return result };
        match kept.await {
            Ok(()) => result,
            Err(_) if was_started(&result) => Err(CallError::NotRecorded),
            Err(_) => Err(CallError::NotRecordable),
        }
    }

    fn keep(&mut self) -> Kept {
        let mut record = self.record.take()?;
        record.duration = self.started.elapsed();
        self.totals.end(&record.outcome, record.duration);
        self.audit.keep(record)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // Nobody waits for the record of an abandoned call; the log sees to it all the same.
        drop(self.keep());
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
