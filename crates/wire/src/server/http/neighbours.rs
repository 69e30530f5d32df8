//! Several processes behind one address: a request that goes on with something that lives in another one is passed on to it.

use super::{Body, Reply, refusal::Refusal};
use crate::{
    http_client::{HttpClient, Request, Response, SendError, Settings},
    message::{ErrorObject, code},
    server::SessionState,
};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts, uri::InvalidUri};
use std::{fmt, net::IpAddr, pin::Pin, sync::Arc, time::Duration};
use tokio::sync::watch;

/// The header in which one process says to another for whom it asks.
pub const PASSED_ON: HeaderName = HeaderName::from_static("toolcrib-passed-on");
/// Goes with a request that another process has passed on, for whoever vouches for that to put there: how often that was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PassedOn(pub u8);

impl PassedOn {
    /// Once to where something began, and once more to where it has gone since.
    const MOST: u8 = 2;

    pub(super) fn of(parts: &Parts) -> Self {
        parts.extensions.get().copied().unwrap_or_default()
    }

    /// Whether it was not passed on yet.
    pub(super) fn is_first(self) -> bool {
        self.0 == 0
    }

    pub(super) fn may_be_passed_on(self) -> bool {
        self.0 < Self::MOST
    }
}

/// How long another process may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a connection is kept for the next request: for less than the other process keeps it.
const IDLE: Duration = Duration::from_secs(8);
/// How often it is looked whether the other process is still there that is waited for.
const LOOK: Duration = Duration::from_secs(1);

/// What concerns one connection and not the next one (RFC 9110, section 7.6.1), and what is said anew.
const OF_THE_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
];

/// Where something lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this process, or nowhere.
    Here,
    /// In another one, at this URL, which ends where a path begins.
    There(Arc<str>),
    /// In one that is there no more.
    Gone,
}

/// Whose a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Ours, as far as is known.
    Ours,
    /// Another process's by now.
    Theirs,
    /// Nobody knows of it any more.
    Unknown,
}

/// What became of a session that its process does not have any more.
#[derive(Debug)]
pub enum Found {
    /// It is ours from now on.
    Ours(SessionState),
    /// It is another process's, at this URL.
    There(Arc<str>),
    /// There is none.
    None,
    /// Nobody can say at the moment.
    Unknown,
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The other processes that are one server with this one.
pub trait Neighbours: fmt::Debug + Send + Sync {
    /// A name for something that lives here.
    fn name(&self, random: &str) -> Box<str>;

    /// Where what has this name lives.
    fn place_of(&self, name: &str) -> Place;

    /// Whether the process at this URL is still there.
    fn is_there(&self, base: &str) -> bool;

    /// What another process is shown, so that it takes a request from us as from whoever made it, at this address.
    fn vouch_for(&self, address: Option<IpAddr>, passed_on: PassedOn) -> HeaderValue;

    /// From which address another process says that a request came, and how often it was passed on, if it is one that may say so.
    fn vouched(&self, shown: &HeaderValue) -> Option<(Option<IpAddr>, PassedOn)>;

    /// Keeps what a session is, for the case that this process ends before it.
    fn keep<'a>(&'a self, id: &'a str, state: SessionState) -> BoxFuture<'a, ()>;

    /// Takes over a session whose process is gone, if nobody else has it.
    fn adopt<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Found>;

    /// Keeps sessions that may be silent for so much longer, and says of each whose it is now.
    fn renew<'a>(&'a self, sessions: &'a [(Box<str>, Duration)]) -> BoxFuture<'a, Vec<Standing>>;

    /// Forgets a session.
    fn forget<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()>;

    /// Changes when the others may have taken over sessions of ours.
    fn missed(&self) -> watch::Receiver<u64>;
}

/// A request was not passed on.
pub(super) enum NotPassed {
    /// Nothing arrived there: the process does not listen.
    Unreachable,
    /// It may have arrived.
    Lost(String),
}

/// Passes requests on to other processes.
#[derive(Debug)]
pub(super) struct Relay {
    neighbours: Arc<dyn Neighbours>,
    client: HttpClient,
    /// Turns true when streams must end.
    closing: watch::Sender<bool>,
}

impl Relay {
    pub(super) fn new(neighbours: Arc<dyn Neighbours>) -> Self {
        let client = |encrypts| HttpClient::new(&Settings { connect_timeout: CONNECT, idle_timeout: IDLE, encrypts, extra_roots: &[] });
        let client = client(true).unwrap_or_else(|reason| {
            tracing::warn!(reason, "other replicas are reached by http only");
            client(false).expect("without certificates there is nothing to read")
        });
        Self { neighbours, client, closing: watch::Sender::new(false) }
    }

    /// Ends the streams that are passed on.
    pub(super) fn close_streams(&self) {
        self.closing.send_replace(true);
    }

    pub(super) fn neighbours(&self) -> &Arc<dyn Neighbours> {
        &self.neighbours
    }

    /// Passes a request on to the process at this URL, and gives the answer as it came.
    pub(super) async fn pass(&self, base: &str, parts: &Parts, body: Bytes, address: Option<IpAddr>) -> Result<Reply, NotPassed> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let to = format!("{base}{path}").parse().map_err(|error: InvalidUri| NotPassed::Lost(error.to_string()))?;
        let mut headers = end_to_end(&parts.headers);
        headers.insert(PASSED_ON, self.neighbours.vouch_for(address, PassedOn(PassedOn::of(parts).0 + 1)));
        let request = Request { body, ..Request::new(parts.method.clone(), to, headers) };
        let sending = std::pin::pin!(self.client.send_once(&request));
        let answer = self.while_there(base, sending).await.ok_or_else(gone)??;
        let (status, headers) = (answer.status(), end_to_end(answer.headers()));
        let is_stream = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let body = if is_stream {
            Body::passing(self.events(base, answer, parts.method == Method::GET))
        } else {
            // Of an answer that breaks off nothing is passed on.
            let whole = std::pin::pin!(answer.whole());
            Body::whole(self.while_there(base, whole).await.ok_or_else(gone)??.into())
        };
        let mut reply = http::Response::new(body);
        (*reply.status_mut(), *reply.headers_mut()) = (status, headers);
        Ok(reply)
    }

    /// Waits for the other process, but no longer than it is there.
    async fn while_there<T>(&self, base: &str, mut waiting: Pin<&mut (impl Future<Output = T> + Send)>) -> Option<T> {
        loop {
            match tokio::time::timeout(LOOK, waiting.as_mut()).await {
                Ok(done) => return Some(done),
                Err(_) if !self.neighbours.is_there(base) => return None,
                Err(_) => {}
            }
        }
    }

    /// The events of a stream. One that breaks off breaks off here, too: whoever reads it sees that it is no end.
    /// Those that belong to no request end with our door.
    fn events(&self, base: &str, answer: Response, ends_with_door: bool) -> impl Stream<Item = Result<Bytes, BrokenOff>> + Send + use<> {
        let closing = ends_with_door.then(|| self.closing.subscribe());
        let from = Passing { answer, neighbours: Arc::clone(&self.neighbours), base: base.into(), closing };
        stream::unfold(Some(from), async |from| {
            let mut from = from?;
            match from.next().await {
                Some(Ok(chunk)) => Some((Ok(chunk), Some(from))),
                Some(Err(broken)) => Some((Err(broken), None)),
                None => None,
            }
        })
    }
}

/// The stream of another process did not come to its end.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the process whose stream this is was lost")]
pub struct BrokenOff;

/// A stream that is passed on.
struct Passing {
    answer: Response,
    neighbours: Arc<dyn Neighbours>,
    base: Box<str>,
    closing: Option<watch::Receiver<bool>>,
}

impl Passing {
    async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        loop {
            tokio::select! {
                chunk = self.answer.chunk() => return chunk.map_err(|_| BrokenOff).transpose(),
                () = closed(self.closing.as_mut()) => return None,
                () = tokio::time::sleep(LOOK) => {
                    if !self.neighbours.is_there(&self.base) {
                        return Some(Err(BrokenOff));
                    }
                }
            }
        }
    }
}

async fn closed(closing: Option<&mut watch::Receiver<bool>>) {
    match closing {
        // Nobody is there any more who could say so.
        Some(closing) => drop(closing.wait_for(|closing| *closing).await),
        None => std::future::pending().await,
    }
}

fn gone() -> NotPassed {
    NotPassed::Lost("it is there no more".into())
}

impl From<SendError> for NotPassed {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Unsent(_) => Self::Unreachable,
            SendError::Lost(reason) => Self::Lost(reason),
        }
    }
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    OF_THE_HOP.iter().for_each(|name| drop(kept.remove(name)));
    kept.remove(PASSED_ON);
    kept
}

impl From<NotPassed> for Refusal {
    fn from(not: NotPassed) -> Self {
        let message = match not {
            NotPassed::Unreachable => {
                "the process that goes on with this cannot be reached; nothing was started, try again in a moment".into()
            }
            NotPassed::Lost(reason) => {
                format!("the process that goes on with this was lost, and whether it was done is not known: {reason}")
            }
        };
        Refusal::new(StatusCode::BAD_GATEWAY, ErrorObject::new(code::INTERNAL_ERROR, message))
    }
}
