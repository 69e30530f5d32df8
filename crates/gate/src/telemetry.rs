//! One record on every way out.

use crate::{Arrived, Reply};
use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};
use toolcrib_contract::{AuditLog, CallError, Outcome, Output, Record};

/// A record that is being made. Dropped before it is closed, it tells that the call was abandoned.
pub(crate) struct Open {
    audit: Arc<dyn AuditLog>,
    record: Option<Record>,
    started: Instant,
}

pub(crate) fn open(audit: Arc<dyn AuditLog>, arrived: &Arrived) -> Open {
    let Arrived { caller, call, door, .. } = arrived;
    let record = Record {
        at: SystemTime::now(),
        caller: caller.id().clone(),
        door,
        kind: call.kind,
        name: shortened(&call.name).into(),
        outcome: Outcome::Abandoned,
        duration: std::time::Duration::ZERO,
        argument_bytes: call.arguments.size_bytes(),
    };
    Open { audit, record: Some(record), started: Instant::now() }
}

/// A record must not grow with what a client chose to call.
fn shortened(name: &str) -> &str {
    const MAX_BYTES: usize = 512;
    &name[..name.floor_char_boundary(MAX_BYTES)]
}

impl Open {
    pub(crate) fn close(mut self, result: &Result<Reply, CallError>) {
        if let Some(record) = &mut self.record {
            record.outcome = match result {
                Ok(reply) => Outcome::Answered { output_bytes: reply.size_bytes, is_error: tells_of_failure(&reply.output) },
                Err(error) => Outcome::Refused(error.code()),
            };
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.duration = self.started.elapsed();
            self.audit.keep(record);
        }
    }
}

fn tells_of_failure(output: &Output) -> bool {
    match output {
        Output::Tool(tool) => tool.is_error,
        Output::Foreign(result) => result.get("isError").is_some_and(|flag| flag.as_bytes() == b"true"),
        _ => false,
    }
}
