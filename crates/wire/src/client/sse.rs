//! The HTTP+SSE transport of 2024-11-05, which some servers still speak: one stream of events for all that the server says,
//! and a URL, named by the first event, that takes all that it is told.

use super::{
    ConnectError,
    authorization::{Unanswered, send},
    http::{Endpoint, reach},
    pipe::Shared,
};
use crate::{
    http_client::{HttpClient, Request, Response, place_of},
    message::{Fault, Message},
    sse,
};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use toolcrib_json::Json;
use url::Url;

/// How long the server may take to accept what it is told. Its answer comes on the stream.
const ACCEPT_WITHIN: Duration = Duration::from_secs(30);

/// The stream of a server, and where it takes messages.
pub(super) struct Stream {
    http: HttpClient,
    endpoint: Endpoint,
    messages: Uri,
    response: Response,
    decoder: sse::Decoder,
    /// Events that arrived together with the first.
    arrived: VecDeque<Vec<u8>>,
}

/// Tells a server things.
pub(super) struct Poster {
    http: HttpClient,
    endpoint: Endpoint,
    messages: Uri,
}

impl Stream {
    /// Opens the stream and waits for its first event.
    pub(super) async fn open(mut endpoint: Endpoint) -> Result<Self, ConnectError> {
        let (http, place) = reach(&mut endpoint)?;
        let mut request = Request::new(Method::GET, place, endpoint.headers.clone());
        request.headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        let response = send(&http, endpoint.authorization.as_ref(), request).await.map_err(|unanswered| match unanswered {
            Unanswered::Unauthorized(reason) => ConnectError::NotLetIn(reason),
            Unanswered::Failed(error) => ConnectError::Unreachable(error.to_string()),
        })?;
        match response.status().as_u16() {
            200 => {}
            status @ (401 | 403) => return Err(ConnectError::Unauthorized(status)),
            status => return Err(ConnectError::Protocol(format!("GET was answered with {status}: is this an SSE endpoint?"))),
        }
        let base = response.uri().clone();
        let decoder = sse::Decoder::new(endpoint.max_message_bytes);
        let mut stream = Self { http, endpoint, messages: base.clone(), response, decoder, arrived: VecDeque::new() };
        let first = stream.next().await.map_err(ConnectError::Unreachable)?;
        stream.messages = endpoint_of(&base, &first)?;
        Ok(stream)
    }

    pub(super) fn poster(&self) -> Poster {
        Poster { http: self.http.clone(), endpoint: self.endpoint.clone(), messages: self.messages.clone() }
    }

    /// Takes in what the server says, until the stream ends.
    pub(super) async fn read_all(mut self, shared: Arc<Shared>) {
        let reason = loop {
            let next = tokio::select! {
                next = self.next() => next,
                // Nobody is left to hear it.
                _ = shared.ended() => return,
            };
            match next {
                Ok(data) => match Message::parse(&Bytes::from(data)) {
                    Ok(message) => shared.hear(message),
                    Err(fault) => shared.misheard(&fault),
                },
                Err(reason) => break reason,
            }
        };
        shared.end(reason);
    }

    async fn next(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if let Some(data) = self.arrived.pop_front() {
                return Ok(data);
            }
            let chunk = self.response.chunk().await.map_err(|error| error.to_string())?;
            let chunk = chunk.ok_or_else(|| "the server closed its stream".to_owned())?;
            let events = self.decoder.push(&chunk).map_err(|error| error.to_string())?;
            self.arrived.extend(events.into_iter().map(|event| event.data).filter(|data| !data.is_empty()));
        }
    }
}

impl Poster {
    /// Tells the server what waits, one message after the other, until the connection is closed.
    pub(super) async fn post_all(self, shared: Arc<Shared>, mut waiting: mpsc::Receiver<Json>) {
        while let Some(message) = waiting.recv().await {
            match self.post(message.clone()).await {
                Ok(status) if status.is_success() => {}
                // This one message it does not take; the next it may.
                Ok(status) if matches!(status.as_u16(), 400 | 413 | 422 | 429) => shared.misheard(&not_taken(message, status)),
                Ok(status) => return shared.end(format!("the server does not take messages any more: it answered {status}")),
                Err(reason) => return shared.end(format!("the server does not take messages any more: {reason}")),
            }
        }
        shared.end("the connection was closed".to_owned());
    }

    async fn post(&self, message: Json) -> Result<StatusCode, String> {
        let mut request = Request::new(Method::POST, self.messages.clone(), self.endpoint.headers.clone());
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        (request.body, request.within) = (message.into_bytes(), Some(ACCEPT_WITHIN));
        Ok(send(&self.http, self.endpoint.authorization.as_ref(), request).await.map_err(Unanswered::reason)?.status())
    }
}

/// The end of the request that the message was, if it was one.
fn not_taken(message: Json, status: StatusCode) -> Fault {
    let id = match Message::parse(&message.into_bytes()) {
        Ok(Message::Request(request)) => Some(request.id),
        _ => None,
    };
    Fault::invalid_request(id, format!("the server did not take the request: it answered {status}"))
}

/// Where messages go. Our headers, which may hold secrets, go to the server's own origin only.
fn endpoint_of(base: &Uri, event: &[u8]) -> Result<Uri, ConnectError> {
    let broken = |how: &str| ConnectError::Protocol(format!("its first event {how}"));
    let text = std::str::from_utf8(event).map_err(|_| broken("is no text"))?;
    let joined = Url::parse(&base.to_string()).and_then(|base| Ok((base.join(text.trim())?, base)));
    let (url, base) = joined.map_err(|_| broken("names no URL for messages"))?;
    if url.origin() != base.origin() {
        return Err(broken("sends messages to another origin"));
    }
    place_of(url.as_str()).map(|(place, _)| place).map_err(|_| broken("names no URL for messages"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_to_the_origin_of_the_stream_only() {
        let check = |event: &str, expected: Option<&str>| {
            let found = endpoint_of(&Uri::from_static("http://tools.example:8000/a/sse"), event.as_bytes()).ok();
            assert_eq!(found.map(|found| found.to_string()).as_deref(), expected, "{event}");
        };
        check("/messages/?session_id=1", Some("http://tools.example:8000/messages/?session_id=1"));
        check("messages", Some("http://tools.example:8000/a/messages"));
        check("http://tools.example:8000/m", Some("http://tools.example:8000/m"));
        for elsewhere in
            ["http://tools.example/m", "https://tools.example:8000/m", "//evil.example/m", "http://tools.example:8000@evil.example/"]
        {
            check(elsewhere, None);
        }
    }
}
