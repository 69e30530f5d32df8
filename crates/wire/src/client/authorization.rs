//! What proves to a server behind HTTP who we are, where that changes as we go.

use crate::http_client::{HttpClient, Request, Response, SendError};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::{fmt, future::Future, pin::Pin, sync::Arc};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Proves to a server who we are, request by request.
pub trait Authorization: Send + Sync + fmt::Debug {
    /// What goes into the `Authorization` header of the next request, if anything.
    ///
    /// # Errors
    /// Why no request can go out, in a sentence for whoever waits for its answer.
    fn header(&self) -> BoxFuture<'_, Result<Option<HeaderValue>, String>>;

    /// A request was refused. Whether it is to be sent again, with another header.
    ///
    /// # Errors
    /// Why that does not help, in such a sentence.
    fn refused<'a>(&'a self, refusal: &'a Refusal) -> BoxFuture<'a, Result<bool, String>>;
}

/// A request that the server did not look at, since it did not like who sent it.
#[derive(Debug)]
pub struct Refusal {
    /// The header that went with it.
    pub used: Option<HeaderValue>,
    /// 401 or 403.
    pub status: StatusCode,
    /// The headers of the answer, the challenges among them.
    pub headers: HeaderMap,
    /// Whether this was the second attempt.
    pub again: bool,
}

/// Why there is no answer.
pub(super) enum Unanswered {
    /// Nobody lets us in.
    Unauthorized(String),
    /// The request, or its answer, did not get through.
    Failed(SendError),
}

impl Unanswered {
    /// In words.
    pub(super) fn reason(self) -> String {
        match self {
            Self::Unauthorized(reason) => reason,
            Self::Failed(error) => error.to_string(),
        }
    }
}

/// Sends a request with what proves who we are; once more where that was refused and there is something better.
pub(super) async fn send(
    http: &HttpClient,
    authorization: Option<&Arc<dyn Authorization>>,
    request: Request,
) -> Result<Response, Unanswered> {
    let Some(authorization) = authorization else { return http.send(&request).await.map_err(Unanswered::Failed) };
    let mut again = false;
    loop {
        let used = authorization.header().await.map_err(Unanswered::Unauthorized)?;
        let mut attempt = request.clone();
        if let Some(header) = &used {
            attempt.headers.insert(header::AUTHORIZATION, header.clone());
        }
        let response = http.send(&attempt).await.map_err(Unanswered::Failed)?;
        if !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(response);
        }
        let refusal = Refusal { used, status: response.status(), headers: response.headers().clone(), again };
        let is_worth_it = authorization.refused(&refusal).await.map_err(Unanswered::Unauthorized)?;
        if again || !is_worth_it {
            return Ok(response);
        }
        again = true;
    }
}
