//! The record of a call, and who keeps it.

use crate::call::{CallerId, Kind};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// What is kept of one call. Arguments and outputs are not in it, only their sizes.
#[derive(Debug, Clone)]
pub struct Record {
    /// When the call arrived.
    pub at: SystemTime,
    /// Who asked.
    pub caller: CallerId,
    /// Through which door.
    pub door: &'static str,
    /// What kind of thing was called.
    pub kind: Kind,
    /// Which one.
    pub name: Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub duration: Duration,
    /// The size of the arguments.
    pub argument_bytes: usize,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With an output.
    Answered {
        /// The size of the output.
        output_bytes: usize,
        /// Whether the output tells of a failure.
        is_error: bool,
    },
    /// Without one; the code is [`CallError::code`](crate::CallError::code).
    Refused(&'static str),
    /// The client cancelled or left.
    Abandoned,
}

/// Keeps records. The gate hands over one for every call, on every way out.
pub trait AuditLog: Send + Sync + fmt::Debug {
    /// Keeps a record. Called from `Drop`, so it must not block.
    fn keep(&self, record: Record);
}
