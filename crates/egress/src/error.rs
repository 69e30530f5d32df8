//! Why there is no answer.

use crate::{policy::Refusal, resolve::Unresolved};
use std::{error::Error, time::Duration};
use toolcrib_contract::causes;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EgressError {
    /// A rule refused. Nothing was sent there.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// A redirect led where a rule refused.
    #[error("refused: the redirect to {location}: {refusal}")]
    RefusedRedirect {
        /// Where it led.
        location: String,
        /// Why not there.
        refusal: Refusal,
    },
    /// The caller's header may not be sent.
    #[error("refused: the header {0:?} is not for callers to set")]
    ForbiddenHeader(String),
    /// The name has no address.
    #[error("{host} cannot be resolved: {reason}")]
    Dns {
        /// The name.
        host: String,
        /// Why.
        reason: String,
    },
    /// Nothing answers there.
    #[error("cannot connect to {host}: {reason}")]
    Connect {
        /// The host.
        host: String,
        /// Why.
        reason: String,
    },
    /// The other side's certificate is not to be trusted, or it does not speak TLS.
    #[error("no secure connection to {host}: {reason}")]
    Tls {
        /// The host.
        host: String,
        /// Why.
        reason: String,
    },
    /// It took too long.
    #[error("no complete answer from {host} within {} s (egress.timeout)", .limit.as_secs_f64())]
    Timeout {
        /// The host.
        host: String,
        /// How long it might take.
        limit: Duration,
    },
    /// The redirects go on and on.
    #[error("more than {0} redirects")]
    TooManyRedirects(usize),
    /// The headers are too large.
    #[error("the headers of the answer have {size} bytes, more than the limit of {limit}")]
    HeadersTooLarge {
        /// How large they are.
        size: usize,
        /// How large they may be.
        limit: usize,
    },
    /// The answer cannot be read.
    #[error("the answer of {host} cannot be read: {reason}")]
    BadAnswer {
        /// The host.
        host: String,
        /// Why.
        reason: String,
    },
}

impl EgressError {
    /// What kind of failure it is, in one word that stays.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Refused(Refusal::Malformed(_) | Refusal::Scheme(_)) => "bad_url",
            Self::Refused(_) | Self::RefusedRedirect { .. } | Self::ForbiddenHeader(_) => "blocked",
            Self::Dns { .. } => "dns",
            Self::Connect { .. } => "connect",
            Self::Tls { .. } => "tls",
            Self::Timeout { .. } => "timeout",
            Self::TooManyRedirects(_) => "redirects",
            Self::HeadersTooLarge { .. } => "too_large",
            Self::BadAnswer { .. } => "bad_answer",
        }
    }
}

/// What a failed exchange with a host came of.
pub(crate) fn explain(host: &str, error: &reqwest::Error) -> EgressError {
    let host = host.to_owned();
    for cause in causes(error) {
        if let Some(unresolved) = cause.downcast_ref::<Unresolved>() {
            return match unresolved {
                Unresolved::Refused(refusal) => EgressError::Refused(refusal.clone()),
                other => EgressError::Dns { host, reason: reason_of(other) },
            };
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return EgressError::Tls { host, reason: tls.to_string() };
        }
    }
    if error.is_connect() || error.is_timeout() {
        return EgressError::Connect { host, reason: reason_of(error) };
    }
    EgressError::BadAnswer { host, reason: reason_of(error) }
}

pub(crate) fn unresolved(host: &str, error: Unresolved) -> EgressError {
    match error {
        Unresolved::Refused(refusal) => EgressError::Refused(refusal),
        other => EgressError::Dns { host: host.to_owned(), reason: reason_of(&other) },
    }
}

/// The innermost cause: what really happened. Outer ones repeat the URL, which may hold secrets.
pub(crate) fn reason_of(error: &(dyn Error + 'static)) -> String {
    causes(error).last().unwrap_or(error).to_string()
}
