//! An HTTP server on loopback that answers just what a test says, well- or ill-behaved.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path and the query.
    pub path: String,
    /// The headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Asked {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Served {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    then: Then,
    delay: Duration,
}

/// What comes after the body.
#[derive(Debug, Clone)]
enum Then {
    Close,
    /// The same piece, over and over.
    Repeat(Vec<u8>),
    /// Nothing, and no end.
    Stall,
}

impl Served {
    /// An answer with this status and body.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), then: Then::Close, delay: Duration::ZERO }
    }

    /// A page of HTML.
    #[must_use]
    pub fn html(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body).header("content-type", "text/html; charset=utf-8")
    }

    /// JSON.
    #[must_use]
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body).header("content-type", "application/json")
    }

    /// A redirect.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::new(status, "").header("location", location)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends this piece over and over after the body.
    #[must_use]
    pub fn then_repeat(mut self, piece: impl Into<Vec<u8>>) -> Self {
        self.then = Then::Repeat(piece.into());
        self
    }

    /// Keeps the connection open after the body and sends nothing more.
    #[must_use]
    pub fn then_stall(mut self) -> Self {
        self.then = Then::Stall;
        self
    }

    /// Answers only after a while.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Scripted\r\nconnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let says_length = self.headers.iter().any(|(name, _)| name == "content-length");
        if matches!(self.then, Then::Close) && !says_length {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        head + "\r\n"
    }
}

/// A server that runs until it is dropped.
pub struct Site {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    serving: JoinHandle<()>,
}

impl Site {
    /// Serves on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If there is none.
    pub async fn serve(answer: impl Fn(&Asked) -> Served + Send + Sync + 'static) -> Self {
        Self::serve_at(Ipv4Addr::LOCALHOST.into(), 0, answer).await
    }

    /// Serves at an address of the test's.
    ///
    /// # Panics
    /// If it cannot be listened on.
    pub async fn serve_at(address: IpAddr, port: u16, answer: impl Fn(&Asked) -> Served + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((address, port)).await.expect("the address can be listened on");
        let address = listener.local_addr().expect("a listener has an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), Arc::clone(&asked));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                tokio::spawn(async move { converse(stream, &*answer, &seen).await });
            }
        });
        Self { address, asked, serving }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path, by the name or address of the test's choice.
    #[must_use]
    pub fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.address.port())
    }

    /// What was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers one request on a stream, whatever carries it. A client that leaves has had enough.
pub async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &(dyn Fn(&Asked) -> Served + Send + Sync),
    seen: &Mutex<Vec<Asked>>,
) {
    let Some(asked) = read(&mut stream).await else { return };
    let served = answer(&asked);
    let is_head = asked.method == "HEAD";
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    tokio::time::sleep(served.delay).await;
    if stream.write_all(served.head().as_bytes()).await.is_err() || is_head || stream.write_all(&served.body).await.is_err() {
        return;
    }
    match served.then {
        Then::Close => {
            let _ = stream.shutdown().await;
        }
        Then::Repeat(piece) => while stream.write_all(&piece).await.is_ok() {},
        Then::Stall => {
            // Until the client closes its side.
            let _ = stream.read(&mut [0]).await;
        }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Asked { method, path, headers, body: String::from_utf8_lossy(&bytes[end + 4..]).into_owned() })
}
