//! Our own accept loop: connections are bounded in number and in the time that they may take over their headers, and
//! small answers leave at once.
//!
//! `axum::serve` sets neither a header timeout nor `TCP_NODELAY`; without the latter an answer in two writes waits for
//! the client's delayed acknowledgement, some 40 ms.

use super::{Door, Peer};
use crate::raised;
use axum::{
    Router,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};
use tower::ServiceExt;

/// Bounds on connections.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Connections at once. Further ones are told to come back, but for those that ask whether we are well. Default 4,096.
    pub max_connections: usize,
    /// How long a client may take over the headers of a request, the wait for its next request on a kept connection
    /// included: hyper has one timer for both. Default 15 s.
    pub header_timeout: Duration,
    /// How long calls in flight may finish once the door shuts. Default 25 s.
    pub drain: Duration,
    /// Counts the connections that are open.
    pub open: Arc<AtomicUsize>,
}

/// Connections beyond the bound that are heard at once; further ones wait to be accepted.
const CROWD: usize = 64;
/// How long one of those may take over its headers.
const CROWD_PATIENCE: Duration = Duration::from_secs(2);

impl Default for Bounds {
    fn default() -> Self {
        Self { max_connections: 4096, header_timeout: Duration::from_secs(15), drain: Duration::from_secs(25), open: Arc::default() }
    }
}

/// Serves connections until `shutdown` turns true; then accepts no more and lets calls in flight finish.
///
/// # Errors
/// None but what the listener fails with for good; a connection that fails concerns only its client.
pub async fn serve(listener: TcpListener, door: Arc<Door>, bounds: Bounds, shutdown: watch::Receiver<bool>) -> io::Result<()> {
    let crowded = door.crowded_router();
    serve_any(listener, Respondents { all: Respondent::Door(door), crowded }, bounds, shutdown).await
}

/// What a connection holds for as long as it lasts.
enum Held {
    /// A place among those who are served.
    Place(OwnedSemaphorePermit),
    /// One among those beyond the bound.
    Spare(OwnedSemaphorePermit),
}

/// Who answers a request.
#[derive(Clone)]
pub(super) enum Respondent {
    Door(Arc<Door>),
    Routes(Router),
}

impl Respondent {
    async fn respond(&self, request: Request<Incoming>) -> Response {
        match self {
            Self::Door(door) => door.respond(request).await,
            Self::Routes(router) => router.clone().oneshot(request).await.into_response(),
        }
    }
}

/// Who answers whom.
pub(super) struct Respondents {
    pub(super) all: Respondent,
    /// What is answered where there are too many connections.
    pub(super) crowded: Router,
}

/// The same, for whoever answers.
pub(super) async fn serve_any(
    listener: TcpListener,
    Respondents { all, crowded }: Respondents,
    bounds: Bounds,
    mut shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    let (places, crowd) = (Arc::new(Semaphore::new(bounds.max_connections)), Arc::new(Semaphore::new(CROWD)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(bounds.header_timeout).max_headers(64).max_buf_size(64 * 1024);
    let mut brief = http.clone();
    brief.header_read_timeout(CROWD_PATIENCE).keep_alive(false);
    let mut connections = JoinSet::new();
    let stopped = shutdown.clone();
    loop {
        let accepted = async {
            let held = tokio::select! {
                biased;
                place = Arc::clone(&places).acquire_owned() => Held::Place(place.map_err(io::Error::other)?),
                spare = Arc::clone(&crowd).acquire_owned() => Held::Spare(spare.map_err(io::Error::other)?),
            };
            let (stream, peer) = listener.accept().await?;
            let held = match held {
                // One may have become free meanwhile.
                Held::Spare(spare) => Arc::clone(&places).try_acquire_owned().map_or(Held::Spare(spare), Held::Place),
                place @ Held::Place(_) => place,
            };
            io::Result::Ok((stream, peer, held))
        };
        tokio::select! {
            accepted = accepted => match accepted {
                Ok((stream, peer, held)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "cannot set TCP_NODELAY");
                    }
                    let (http, respondent, permit) = match held {
                        Held::Place(place) => (&http, all.clone(), place),
                        Held::Spare(spare) => (&brief, Respondent::Routes(crowded.clone()), spare),
                    };
                    connections.spawn(connection(http.clone(), TokioIo::new(stream), peer, respondent, stopped.clone(), (permit, Open::one_more(&bounds.open))));
                }
                // Out of file descriptors, or a client gone before it was accepted: others may still come.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = raised(&mut shutdown) => break,
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(bounds.drain, drained).await.is_err() {
        tracing::warn!(left = connections.len(), "calls were still running when the time to drain was over");
        connections.shutdown().await;
    }
    Ok(())
}

/// One of the connections that are open.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn one_more(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn connection(
    http: http1::Builder,
    stream: TokioIo<tokio::net::TcpStream>,
    peer: SocketAddr,
    respondent: Respondent,
    mut shutdown: watch::Receiver<bool>,
    _held: (OwnedSemaphorePermit, Open),
) {
    let peer = Peer(peer.ip().to_canonical());
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        // Boxed, since hyper moves what it is given several times.
        Box::pin(respondent.respond(request).map(Ok::<_, Infallible>))
    });
    let connection = http.serve_connection(stream, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = raised(&mut shutdown) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}
