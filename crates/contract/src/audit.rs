//! The record of a call, and who keeps it.

use crate::{
    call::{CallerId, Kind},
    tool::BoxFuture,
    trace::Trace,
};
use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use toolcrib_json::Json;

/// What is kept of one call.
#[derive(Debug, Clone)]
pub struct Record {
    /// The name of the call, unique among all calls and sortable by time (RFC 9562, version 7).
    pub id: Box<str>,
    /// When the call arrived.
    pub at: SystemTime,
    /// Who asked.
    pub caller: CallerId,
    /// Where the call came from.
    pub origin: Origin,
    /// What kind of thing was called.
    pub kind: Kind,
    /// Which one.
    pub name: Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
    /// Which rule refused it, for whoever has to answer for that.
    pub reason: Option<Arc<str>>,
    /// How long it took.
    pub duration: Duration,
    /// The arguments as they came. How much of them is kept decides the log.
    pub arguments: Json,
}

/// Where a call came from, as far as its door knows.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The name of the door: `http`, `stdio`, `cli`, `rest`.
    pub door: &'static str,
    /// The address of the client, or of the proxy in front of it.
    pub address: Option<IpAddr>,
    /// What the client calls itself: its name and version.
    pub client: Option<Arc<str>>,
    /// Where in a trace the call stands, if it belongs to one.
    pub trace: Option<Trace>,
}

impl Origin {
    /// A door, and nothing else that is known.
    #[must_use]
    pub fn door(door: &'static str) -> Self {
        Self { door, ..Self::default() }
    }
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

/// A record cannot be kept, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written: {0}")]
pub struct Unrecorded(pub Arc<str>);

/// The wait until a record is safe, if its log makes anybody wait.
pub type Kept = Option<BoxFuture<'static, Result<(), Unrecorded>>>;

/// Keeps records. The gate hands over one for every call, on every way out.
pub trait AuditLog: Send + Sync + fmt::Debug {
    /// Whether a record could be kept now. Asked before a call is let pass: what cannot be recorded is not done.
    ///
    /// # Errors
    /// [`Unrecorded`] while the log cannot be written.
    fn admits(&self) -> Result<(), Unrecorded> {
        Ok(())
    }

    /// How many records that were taken wait somewhere else until the place where they last is back.
    fn spooled(&self) -> u64 {
        0
    }

    /// Takes a record. Called from `Drop` too, so it must not block; the answer to the call waits for what this gives.
    fn keep(&self, record: Record) -> Kept;
}

/// Keeps nothing: for where nobody would read it.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRecords;

impl AuditLog for NoRecords {
    fn keep(&self, _: Record) -> Kept {
        None
    }
}
