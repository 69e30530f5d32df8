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
use http::{HeaderValue, Request, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
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
    /// How long a quiet connection stays open once the door shuts, for the request that may be on its way already: closed at once, it would
    /// leave the client not knowing whether that was heard. Default 100 ms.
    pub linger: Duration,
    /// Counts the connections that are open.
    pub open: Arc<AtomicUsize>,
}

/// Connections beyond the bound that are heard at once; further ones wait to be accepted.
const CROWD: usize = 64;
/// How long one of those may take over its headers.
const CROWD_PATIENCE: Duration = Duration::from_secs(2);

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            header_timeout: Duration::from_secs(15),
            drain: Duration::from_secs(25),
            linger: Duration::from_millis(100),
            open: Arc::default(),
        }
    }
}

/// Serves connections until `shutdown` turns true; then accepts no more and lets calls in flight finish. From when
/// [clients are to go elsewhere](super::Site::leaving) each answer says that it is the last one on its connection.
///
/// # Errors
/// None but what the listener fails with for good; a connection that fails concerns only its client.
pub async fn serve(listener: TcpListener, door: Arc<Door>, bounds: Bounds, shutdown: watch::Receiver<bool>) -> io::Result<()> {
    let (crowded, ending) = (door.crowded_router(), Ending { leaving: door.leaving.clone(), shutdown });
    serve_any(listener, Respondents { all: Respondent::Door(door), crowded }, bounds, ending).await
}

/// How a listener is told of its end.
#[derive(Clone)]
pub(super) struct Ending {
    /// Turns true when clients are to go elsewhere: no later than the door shuts.
    pub(super) leaving: watch::Receiver<bool>,
    /// Turns true when the door shuts.
    pub(super) shutdown: watch::Receiver<bool>,
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
    mut ending: Ending,
) -> io::Result<()> {
    let (places, crowd) = (Arc::new(Semaphore::new(bounds.max_connections)), Arc::new(Semaphore::new(CROWD)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(bounds.header_timeout).max_buf_size(64 * 1024);
    let mut brief = http.clone();
    brief.header_read_timeout(CROWD_PATIENCE).keep_alive(false);
    let mut connections = JoinSet::new();
    let ending_of_each = ending.clone();
    let begin = |stream: TcpStream, peer, held| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let (http, respondent, permit) = match held {
            Held::Place(place) => (&http, all.clone(), place),
            Held::Spare(spare) => (&brief, Respondent::Routes(crowded.clone()), spare),
        };
        let held = (permit, Open::one_more(&bounds.open));
        connection(http.clone(), TokioIo::new(stream), peer, respondent, ending_of_each.clone(), bounds.linger, held)
    };
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
                Ok((stream, peer, held)) => drop(connections.spawn(begin(stream, peer, held))),
                // Out of file descriptors, or a client gone before it was accepted: others may still come.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = raised(&mut ending.shutdown) => break,
        }
    }
    match waiting(listener, bounds.max_connections) {
        Ok(waiting) => {
            for (stream, peer) in waiting {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { break };
                connections.spawn(begin(stream, peer, Held::Place(place)));
            }
        }
        Err(error) => tracing::warn!(%error, "those who wait to be accepted cannot be served"),
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(bounds.drain, drained).await.is_err() {
        tracing::warn!(left = connections.len(), "calls were still running when the time to drain was over");
        connections.shutdown().await;
    }
    Ok(())
}

/// Who is connected already by the system's account, and may have sent something: that would be lost if the listener just went.
fn waiting(listener: TcpListener, at_most: usize) -> io::Result<Vec<(TcpStream, SocketAddr)>> {
    // Asked itself, since what tokio knows of it may be older.
    let listener = listener.into_std()?;
    let accept = |_| match listener.accept() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        accepted => Some(accepted.and_then(|(stream, peer)| {
            stream.set_nonblocking(true)?;
            Ok((TcpStream::from_std(stream)?, peer))
        })),
    };
    // One that is gone by now concerns no other.
    Ok((0..at_most).map_while(accept).flatten().collect())
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
    stream: TokioIo<TcpStream>,
    peer: SocketAddr,
    respondent: Respondent,
    mut ending: Ending,
    linger: Duration,
    _held: (OwnedSemaphorePermit, Open),
) {
    let peer = Peer(peer.ip().to_canonical());
    let is_last = AtomicBool::new(false);
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let responding = respondent.respond(request).map(|mut response| {
            if is_last.load(Ordering::Relaxed) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        });
        // Boxed, since hyper moves what it is given several times.
        Box::pin(responding)
    });
    let connection = http.serve_connection(stream, service);
    let mut connection = std::pin::pin!(connection);
    let over = async {
        raised(&mut ending.leaving).await;
        is_last.store(true, Ordering::Relaxed);
        raised(&mut ending.shutdown).await;
        tokio::time::sleep(linger).await;
    };
    let ended = tokio::select! {
        // First, so that an answer that is made in this very turn says already that it is the last.
        biased;
        // What has arrived by now is read, and will be answered.
        () = over => match connection.as_mut().now_or_never() {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        },
        ended = connection.as_mut() => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        task::JoinHandle,
    };

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_secs(600);

    /// A listener whose end is told by hand.
    struct Served {
        address: SocketAddr,
        leaving: watch::Sender<bool>,
        shutdown: watch::Sender<bool>,
        serving: JoinHandle<io::Result<()>>,
    }

    impl Served {
        fn shut(&self) {
            self.leaving.send_replace(true);
            self.shutdown.send_replace(true);
        }
    }

    async fn serve_with(linger: Duration) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (leaving, shutdown) = (watch::Sender::new(false), watch::Sender::new(false));
        let ending = Ending { leaving: leaving.subscribe(), shutdown: shutdown.subscribe() };
        let router = Router::new().route("/", get(|| async { "here" }));
        let respondents = Respondents { all: Respondent::Routes(router), crowded: Router::new() };
        let serving = tokio::spawn(serve_any(listener, respondents, Bounds { linger, ..Bounds::default() }, ending));
        Served { address, leaving, shutdown, serving }
    }

    /// Asks, and gives the answer with its headers.
    async fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with("here") {
            let mut part = [0; 1024];
            let read = stream.read(&mut part).await.unwrap();
            assert_ne!(read, 0, "it broke off: {answer}");
            answer.push_str(std::str::from_utf8(&part[..read]).unwrap());
        }
        answer
    }

    async fn has_ended(stream: &mut TcpStream) -> bool {
        stream.read(&mut [0]).await.unwrap() == 0
    }

    #[tokio::test]
    async fn who_is_to_go_elsewhere_is_told_with_an_answer() {
        let served = serve_with(LONG).await;
        let mut kept = TcpStream::connect(served.address).await.unwrap();
        assert!(!ask(&mut kept).await.contains("connection: close"));
        served.leaving.send_replace(true);
        assert!(ask(&mut kept).await.contains("connection: close"));
        assert!(has_ended(&mut kept).await);
        // The door is open for others until it shuts.
        assert!(ask(&mut TcpStream::connect(served.address).await.unwrap()).await.contains("connection: close"));
    }

    #[tokio::test]
    async fn a_request_that_is_on_its_way_when_the_door_shuts_is_answered() {
        let served = serve_with(LONG).await;
        let mut kept = TcpStream::connect(served.address).await.unwrap();
        ask(&mut kept).await;
        served.shut();
        // Once the listener is gone, the end has begun.
        while TcpStream::connect(served.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(ask(&mut kept).await.contains("connection: close"));
        assert!(has_ended(&mut kept).await);
        served.serving.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn whoever_is_connected_when_the_door_shuts_is_served() {
        let served = serve_with(LONG).await;
        // As long as nobody waits here, nothing is accepted.
        let connect = |_| std::net::TcpStream::connect(served.address).unwrap();
        let early: Vec<std::net::TcpStream> = (0..32).map(connect).collect();
        served.shut();
        for stream in early {
            stream.set_nonblocking(true).unwrap();
            assert!(ask(&mut TcpStream::from_std(stream).unwrap()).await.contains("connection: close"));
        }
        served.serving.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_quiet_connection_keeps_the_door_only_for_a_moment() {
        let served = serve_with(Duration::ZERO).await;
        let mut kept = TcpStream::connect(served.address).await.unwrap();
        ask(&mut kept).await;
        served.shut();
        served.serving.await.unwrap().unwrap();
        assert!(has_ended(&mut kept).await);
    }
}
