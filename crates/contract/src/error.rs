//! The ways in which a call ends without an output.

use crate::{call::Kind, context::Question};
use std::{error::Error, io, sync::Arc, time::Duration};
use toolcrib_json::{Json, Members};

/// Any error, where nobody but a person has to tell one from another.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a call gave no output: one variant for each thing that can be done about it.
///
/// The text is for the client and its model; what only the operator may know goes to the log where it is found out.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Nothing by that name, or nothing that the endpoint shows: what a caller may not have is answered alike.
    #[error("unknown {kind}: {name}")]
    NotFound {
        /// What was looked for.
        kind: Kind,
        /// By which name.
        name: Box<str>,
    },
    /// There is such a thing, but not for this caller. Clients are told of it as of
    /// [`CallError::NotFound`], unless there are scopes to ask for; the record tells the difference.
    #[error("unknown {kind}: {name}")]
    Forbidden {
        /// What was looked for.
        kind: Kind,
        /// By which name.
        name: Box<str>,
        /// The scopes that would be enough, where a client can be told to ask its authorization server for them.
        scopes: Box<[Box<str>]>,
        /// The rule that denies it, if one does; for the record only.
        rule: Option<Arc<str>>,
    },
    /// The caller may have it, but not with these arguments.
    #[error("these arguments are not allowed for you; others may be")]
    ArgumentsForbidden {
        /// The rule that denies them, if one does; for the record only.
        rule: Option<Arc<str>>,
    },
    /// The caller had proved who it is, and that is no longer so: a key was revoked, or a token has expired.
    #[error("Invalid authentication token")]
    Unauthenticated,
    /// The caller has used up what a limit gives it. Nothing was started.
    #[error("limit reached: {limit} calls per {window}; nothing was started, try again in {} s", .retry_after.as_secs().max(1))]
    LimitReached {
        /// How many calls there may be.
        limit: u64,
        /// In which time: `minute`, `day`.
        window: &'static str,
        /// When the next call may be made.
        retry_after: Duration,
    },
    /// The audit log cannot be written, and what cannot be recorded is not done.
    #[error("calls are refused while the audit log cannot be written; nothing was started")]
    NotRecordable,
    /// The caller's calls are limited, and what counts them for all replicas cannot be reached.
    #[error("calls are refused while what counts them cannot be reached; nothing was started, try again in a moment")]
    NotCountable,
    /// The call was made, but its record could not be kept, so that its answer is withheld.
    #[error("the call was made, but its record could not be written, so its answer is withheld: do not repeat it blindly")]
    NotRecorded,
    /// The arguments do not fit. The model can correct them.
    #[error("Invalid tool input: {0}")]
    InvalidArguments(String),
    /// The call took too long. What it did until then is done.
    #[error("no answer within the deadline of {} s", .0.as_secs_f64())]
    DeadlineExceeded(Duration),
    /// There is too much to do. Nothing was started; trying again in a moment makes sense.
    #[error("overloaded: {limit} {what}; nothing was started, try again in a moment")]
    Overloaded {
        /// How many there may be.
        limit: usize,
        /// Of what.
        what: &'static str,
    },
    /// The tool tried and failed, for the reason that it gives.
    #[error("{0}")]
    Failed(String),
    /// The server that has the tool cannot be reached. Nothing was started.
    #[error("the server {server:?} is not available: {reason}{}", outage.advice())]
    Unavailable {
        /// The server.
        server: Arc<str>,
        /// Why.
        reason: String,
        /// What that means for whoever would try again.
        outage: Outage,
    },
    /// The server that has the tool went away in mid-call: the work may be done, half done, or not begun.
    #[error("{server:?} did not finish the call, the outcome is unknown: {reason}")]
    OutcomeUnknown {
        /// The server.
        server: Arc<str>,
        /// Why.
        reason: String,
    },
    /// The server that has the tool answered with something that is no answer: the work may be done, half done, or not begun.
    #[error("the server {server:?} broke the protocol, the outcome is unknown: {reason}")]
    Unreadable {
        /// The server.
        server: Arc<str>,
        /// In which way.
        reason: String,
    },
    /// The output exceeds what may be passed on.
    #[error("the output of {size_bytes} bytes exceeds the limit of {limit_bytes}; ask for less at a time")]
    TooLarge {
        /// How large it is.
        size_bytes: usize,
        /// How large it may be.
        limit_bytes: usize,
    },
    /// The tool broke. The fault is in its code.
    #[error("internal error: the tool broke off")]
    Panicked,
    /// Another server answered with an error of its own.
    #[error("{message}")]
    Refused {
        /// Its code.
        code: i64,
        /// What it says.
        message: String,
        /// More, for programs.
        data: Option<Json>,
    },
    /// The tool has to ask something that this client cannot be asked.
    #[error("this call needs to ask the client ({capability}), which the client does not support")]
    CannotAsk {
        /// The capability that the client would have to declare.
        capability: &'static str,
    },
    /// The tool has questions, and the client will repeat the call with the answers (2026-07-28).
    #[error("the call needs answers first")]
    NeedsInput(Vec<(String, Question)>),
    /// Another server has questions, and the client will repeat the call with the answers (2026-07-28): the server's result,
    /// as it stands.
    #[error("the call needs answers first")]
    NeedsRound(Members),
}

/// In which way a server is not available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// It was tried, and did not answer.
    Unreached,
    /// It says itself that it has too much to do, and perhaps until when.
    Busy(Option<Duration>),
    /// It is down, and being brought back.
    Down,
    /// It failed too often, and is left alone for a while.
    Resting(Duration),
    /// Somebody has to do something about it first.
    Lasting,
}

impl Outage {
    /// When trying again makes sense, if anybody knows.
    #[must_use]
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Busy(after) => after,
            Self::Resting(after) => Some(after),
            Self::Unreached | Self::Down | Self::Lasting => None,
        }
    }

    fn advice(self) -> String {
        match self {
            Self::Lasting => String::new(),
            _ => match self.retry_after() {
                Some(after) => format!("; nothing was started, try again in {} s", after.as_secs_f64().ceil().max(1.0)),
                None => "; nothing was started, try again in a moment".to_owned(),
            },
        }
    }
}

impl CallError {
    /// Every code that [`CallError::code`] gives.
    pub const CODES: [&str; 18] = [
        "not_found",
        "forbidden",
        "unauthenticated",
        "limit_reached",
        "not_countable",
        "not_recordable",
        "not_recorded",
        "invalid_arguments",
        "deadline_exceeded",
        "overloaded",
        "failed",
        "unavailable",
        "outcome_unknown",
        "too_large",
        "panicked",
        "refused",
        "cannot_ask",
        "needs_input",
    ];

    /// The stable name of the error, for records, metrics and the error pages.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::Forbidden { .. } | Self::ArgumentsForbidden { .. } => "forbidden",
            Self::Unauthenticated => "unauthenticated",
            Self::LimitReached { .. } => "limit_reached",
            Self::NotCountable => "not_countable",
            Self::NotRecordable => "not_recordable",
            Self::NotRecorded => "not_recorded",
            Self::InvalidArguments(_) => "invalid_arguments",
            Self::DeadlineExceeded(_) => "deadline_exceeded",
            Self::Overloaded { .. } => "overloaded",
            Self::Failed(_) => "failed",
            Self::Unavailable { .. } => "unavailable",
            Self::OutcomeUnknown { .. } | Self::Unreadable { .. } => "outcome_unknown",
            Self::TooLarge { .. } => "too_large",
            Self::Panicked => "panicked",
            Self::Refused { .. } => "refused",
            Self::CannotAsk { .. } => "cannot_ask",
            Self::NeedsInput(_) | Self::NeedsRound(_) => "needs_input",
        }
    }

    /// The rule that denied the call, if one did.
    #[must_use]
    pub fn rule(&self) -> Option<&Arc<str>> {
        match self {
            Self::Forbidden { rule, .. } | Self::ArgumentsForbidden { rule } => rule.as_ref(),
            _ => None,
        }
    }

    /// A failure of the tool itself, in its words.
    #[must_use]
    pub fn failed(reason: impl std::fmt::Display) -> Self {
        Self::Failed(reason.to_string())
    }
}

/// An error and what it came of, the nearest first. An I/O error passes over the error that it carries; here it is looked into.
///
/// ```
/// let inner = std::io::Error::other("the disk is full");
/// let outer = std::io::Error::other(inner);
/// assert_eq!(toolcrib_contract::causes(&outer).last().unwrap().to_string(), "the disk is full");
/// ```
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        carried.map(|carried| carried as &(dyn Error + 'static)).or_else(move || error.source())
    })
}
