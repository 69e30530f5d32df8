//! Streams of events: read up to an answer, resumed where they broke off, and listened to for what belongs to no request.

use super::{Connection, Failure, Inner, failure::lost};
use crate::{
    Era, Notification, Revision,
    client::{Audience, Outgoing, RequestError, listen_params},
    headers, http_client,
    message::Response,
    method, sse,
};
use http::{HeaderValue, Method, StatusCode, header};
use std::{sync::Arc, time::Duration};

/// How often a stream that broke off is resumed before the answer is given up.
const MAX_RESUMPTIONS: usize = 5;
/// How long to wait before resuming, unless the server says so itself.
const RESUME_AFTER: Duration = Duration::from_secs(1);
/// How long to wait before listening again.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The stream on which a server says what belongs to no request, over all its interruptions.
#[derive(Default)]
struct Listening {
    was_open: bool,
    place: Place,
    /// The session that the place belongs to.
    session: Option<Arc<HeaderValue>>,
    asked_for_place: bool,
}

/// Hears of a server of the new era that it tells of changes again: what it would have told meanwhile was missed.
#[derive(Debug)]
struct Reopened {
    audience: Arc<dyn Audience>,
    was_open: bool,
}

impl Audience for Reopened {
    fn hear(&self, notification: Notification) {
        if notification.method.as_ref() == method::ACKNOWLEDGED && self.was_open {
            self.audience.missed();
        } else {
            self.audience.hear(notification);
        }
    }
}

impl Connection {
    pub(in crate::client) async fn listen<T>(&self) -> T {
        let mut stream = Listening::default();
        loop {
            let used = self.inner.session.load_full();
            let ended = match self.greeting.revision.era() {
                Era::Modern => {
                    let audience: Arc<dyn Audience> =
                        Arc::new(Reopened { audience: Arc::clone(&self.inner.audience), was_open: stream.was_open });
                    let outgoing = Outgoing { params: Some(listen_params()), audience: Some(audience), ..Outgoing::default() };
                    self.inner.request(method::LISTEN, &outgoing, Some(self.greeting.revision)).await.map(|_| ())
                }
                Era::Legacy => self.inner.listen_to_session(self.greeting.revision, used.as_ref(), &mut stream).await,
            };
            match ended {
                // A place that the server does not know is forgotten by now: the next attempt asks for none.
                Err(Failure::Status(StatusCode::BAD_REQUEST, _)) if std::mem::take(&mut stream.asked_for_place) => {}
                Err(Failure::Status(StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST, _)) if used.is_some() && stream.was_open => {
                    if let Err(error) = self.inner.renew(used).await {
                        tracing::debug!(%error, "listening waits for the server");
                    }
                }
                // The server has no such stream: it will not tell of changes.
                Err(Failure::Status(
                    StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED | StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND,
                    _,
                ))
                | Err(Failure::Error(RequestError::Server(_))) => return std::future::pending().await,
                _ => stream.was_open = true,
            }
            tokio::time::sleep(LISTEN_AGAIN_AFTER).await;
        }
    }
}

impl Inner {
    /// Reads a stream up to the answer. One that breaks off is resumed where the server gave us a place to resume from.
    pub(super) async fn read_answer(
        &self,
        mut stream: http_client::Response,
        id: i64,
        outgoing: &Outgoing,
        revision: Option<Revision>,
    ) -> Result<Response, RequestError> {
        let mut place = Place::default();
        let mut in_vain = 0;
        loop {
            place.is_moved = false;
            let broken = match self.read_until_answer(&mut stream, &mut place, id, outgoing, revision).await {
                Ok(Some(response)) => return Ok(response),
                Ok(None) => "the stream ended before the answer".to_owned(),
                Err(RequestError::Lost(reason)) => reason,
                Err(other) => return Err(other),
            };
            // A server may close the stream on purpose, so that we ask again later: as long as it says something, we do.
            in_vain = if place.is_moved { 0 } else { in_vain + 1 };
            let is_resumable = revision.is_none_or(|revision| revision.era() == Era::Legacy) && in_vain <= MAX_RESUMPTIONS;
            let Some(last) = place.last_event.clone().filter(|_| is_resumable) else { return Err(RequestError::Lost(broken)) };
            tokio::time::sleep(place.retry.unwrap_or(RESUME_AFTER)).await;
            stream = self.resume_patiently(&last, revision).await?;
        }
    }

    /// Opens a stream again, even if that takes some attempts.
    async fn resume_patiently(&self, last: &str, revision: Option<Revision>) -> Result<http_client::Response, RequestError> {
        let mut attempts = 1;
        loop {
            match self.resume(Some(last), revision).await {
                Ok(stream) => return Ok(stream),
                Err(Failure::Error(RequestError::Lost(_))) if attempts < MAX_RESUMPTIONS => attempts += 1,
                Err(Failure::Status(status, _)) if status.is_server_error() && attempts < MAX_RESUMPTIONS => attempts += 1,
                Err(failure) => return Err(RequestError::Lost(format!("the stream could not be resumed: {}", failure.into_error()))),
            }
            tokio::time::sleep(RESUME_AFTER).await;
        }
    }

    async fn read_until_answer(
        &self,
        stream: &mut http_client::Response,
        place: &mut Place,
        id: i64,
        outgoing: &Outgoing,
        revision: Option<Revision>,
    ) -> Result<Option<Response>, RequestError> {
        let mut decoder = sse::Decoder::new(self.endpoint.max_message_bytes);
        while let Some(chunk) = stream.chunk().await.map_err(lost)? {
            for event in decoder.push(&chunk).map_err(|error| RequestError::Protocol(error.to_string()))? {
                place.note(&event);
                if !event.data.is_empty()
                    && let Some(response) = self.take(&event.data.into(), id, outgoing, revision)?
                {
                    return Ok(Some(response));
                }
            }
        }
        Ok(None)
    }

    async fn resume(&self, last_event: Option<&str>, revision: Option<Revision>) -> Result<http_client::Response, Failure> {
        let mut request = http_client::Request::new(Method::GET, self.place.clone(), self.headers(revision));
        request.headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(last_event) = last_event {
            let no_value = |_| RequestError::Lost("the place where the stream broke off cannot stand in a header".into());
            request.headers.insert(headers::LAST_EVENT_ID, HeaderValue::from_str(last_event).map_err(no_value)?);
        }
        let response = self.send(request).await.map_err(|unanswered| Failure::of(unanswered, lost))?;
        if response.status().is_success() { Ok(response) } else { Err(Failure::Status(response.status(), None)) }
    }

    /// Reads what belongs to no request, from where an earlier stream of the session broke off, if the server keeps that.
    async fn listen_to_session(
        &self,
        revision: Revision,
        session: Option<&Arc<HeaderValue>>,
        listening: &mut Listening,
    ) -> Result<(), Failure> {
        if listening.session.as_ref() != session {
            listening.place = Place::default();
            listening.session = session.cloned();
        }
        let last = listening.place.last_event.take();
        listening.asked_for_place = last.is_some();
        let mut stream = self.resume(last.as_deref(), Some(revision)).await?;
        if std::mem::replace(&mut listening.was_open, true) {
            self.audience.missed();
        }
        let nobody = Outgoing::default();
        // No request of ours has this id, so nothing on this stream is taken for an answer.
        const NONE: i64 = 0;
        self.read_until_answer(&mut stream, &mut listening.place, NONE, &nobody, Some(revision)).await?;
        Ok(())
    }
}

/// Where a stream can be resumed.
#[derive(Default)]
struct Place {
    /// Whether anything came since this was last reset.
    is_moved: bool,
    last_event: Option<String>,
    retry: Option<Duration>,
}

impl Place {
    fn note(&mut self, event: &sse::Event) {
        self.is_moved = true;
        if event.id.is_some() {
            self.last_event.clone_from(&event.id);
        }
        if event.retry.is_some() {
            self.retry = event.retry;
        }
    }
}
