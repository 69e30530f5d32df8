//! Why a request gave no result, and what that means for whoever asked.

use crate::{
    client::{RequestError, authorization::Unanswered},
    http_client::SendError,
    message::{ErrorObject, Message, Response},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use std::time::{Duration, SystemTime};

/// The longest that a server can ask us to wait: a day.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(86_400);

/// Why a POST gave no result.
pub(super) enum Failure {
    Unauthorized(String),
    Status(StatusCode, Option<ErrorObject>),
    Error(RequestError),
}

impl Failure {
    /// Whether the server forgot our session before it looked at the request. The specification says 404; some answer 400
    /// with an error of their own.
    pub(super) fn tells_of_lost_session(&self) -> bool {
        match self {
            Self::Status(StatusCode::NOT_FOUND, _) => true,
            Self::Status(StatusCode::BAD_REQUEST, error) => error.as_ref().is_none_or(|error| matches!(error.code, -32000 | -32001)),
            _ => false,
        }
    }

    pub(super) fn into_error(self) -> RequestError {
        match self {
            // It was refused before anybody looked at it.
            Self::Unauthorized(reason) => RequestError::NotLetIn(reason),
            Self::Status(_, Some(error)) => RequestError::Server(error),
            Self::Status(status, None) if status.is_server_error() => RequestError::Lost(format!("the server answered {status}")),
            Self::Status(status, None) => RequestError::Protocol(format!("it answered {status}")),
            Self::Error(error) => error,
        }
    }

    pub(super) fn of(unanswered: Unanswered, explain: fn(SendError) -> RequestError) -> Self {
        match unanswered {
            Unanswered::Unauthorized(reason) => Self::Unauthorized(reason),
            Unanswered::Failed(error) => Self::Error(explain(error)),
        }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::Error(error)
    }
}

pub(super) fn error_in(text: &Bytes) -> Option<ErrorObject> {
    match Message::parse(text).ok()? {
        Message::Response(Response { outcome: Err(error), .. }) => Some(error),
        _ => None,
    }
}

/// When to come back, if the server says that it did not look at the request: it limits how much it is asked (RFC 6585), or says when it
/// will be back (RFC 9110, section 10.2.3). A 503 that does not say so may have come from anywhere on the way.
pub(super) fn busy(status: StatusCode, headers: &HeaderMap) -> Option<Option<Duration>> {
    let after = headers.get(header::RETRY_AFTER).and_then(|value| wait_of(value.to_str().ok()?.trim()));
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(after),
        StatusCode::SERVICE_UNAVAILABLE => after.map(Some),
        _ => None,
    }
}

/// Seconds, or a date.
fn wait_of(retry_after: &str) -> Option<Duration> {
    let until = || httpdate::parse_http_date(retry_after).ok().map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
    let wait = retry_after.parse().ok().map(Duration::from_secs).or_else(until)?;
    Some(wait.min(MAX_RETRY_AFTER))
}

pub(super) fn broken(error: SendError) -> RequestError {
    match error {
        SendError::Unsent(reason) => RequestError::NotSent(reason),
        SendError::Lost(reason) => RequestError::Lost(reason),
    }
}

pub(super) fn lost(error: SendError) -> RequestError {
    RequestError::Lost(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_given_in_seconds_or_as_a_date() {
        assert_eq!(wait_of("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait_of("99999999999"), Some(MAX_RETRY_AFTER));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(90));
        assert!(wait_of(&date).is_some_and(|wait| wait > Duration::from_secs(80) && wait <= Duration::from_secs(90)), "{date}");
        assert_eq!(wait_of("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait_of("soon"), None);
    }
}
