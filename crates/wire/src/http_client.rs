//! HTTP as it goes out: to servers that the config names, and to the other processes of ours. What callers name is egress's business.
//!
//! This is the client of hyper-util with what both need around it: TLS that trusts what the system trusts, bounds on time, and redirects
//! that stay where they are. A URL is read once, not for each request: a relay asks as often as it is asked.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{Client, Error as PoolError, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::Verifier;
use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::net::TcpStream;
use tower_service::Service;
use url::Url;

type BoxError = Box<dyn Error + Send + Sync>;

/// The most redirects of one request.
const MAX_REDIRECTS: usize = 3;
/// How often a request is sent again that the server did not look at.
const MAX_TURNED_AWAY: usize = 2;
/// How often a connection of HTTP/2 is asked whether it is there while something goes through it, and how long it may take to answer:
/// one connection carries everything there, and that it is gone must not be found out by waiting.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often the system asks whether the other side of a quiet connection is still there, and how often in vain before it gives it up.
const TCP_KEEP_ALIVE: (Duration, u32) = (Duration::from_secs(15), 3);
/// How long what was sent may wait to be acknowledged by the other side's system.
#[cfg(target_os = "linux")]
const TCP_PATIENCE: Duration = Duration::from_secs(30);

/// How connections are made and kept.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    /// How long connecting may take, TLS included.
    pub(crate) connect_timeout: Duration,
    /// How long a connection is kept for the next request.
    pub(crate) idle_timeout: Duration,
    /// Whether anything is reached by https: to read the certificates that the system trusts takes time and memory.
    pub(crate) encrypts: bool,
    /// Certificates to trust besides those, in PEM.
    pub(crate) extra_roots: &'a [u8],
}

/// Sends requests and keeps connections. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient {
    pool: Client<Connector, Full<Bytes>>,
}

/// What is asked. It can be sent again.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) to: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// How long it may take until the head of the answer is there, if that is bounded here.
    pub(crate) within: Option<Duration>,
}

/// An answer, of which the body is still to come.
pub(crate) struct Response {
    answer: http::Response<Incoming>,
    uri: Uri,
}

/// Why there is no answer, or no end of it: the innermost reason, without the URL, which may hold a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// There was no connection, or the server says that it did not look at the request.
    #[error("{0}")]
    Unsent(String),
    /// It may have arrived.
    #[error("{0}")]
    Lost(String),
}

impl HttpClient {
    /// # Errors
    /// Why certificates cannot be read, in one sentence.
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, String> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        // Of this each address of a name gets its share.
        http.set_connect_timeout(Some(settings.connect_timeout));
        http.set_nodelay(true);
        http.set_keepalive(Some(TCP_KEEP_ALIVE.0));
        http.set_keepalive_interval(Some(TCP_KEEP_ALIVE.0));
        http.set_keepalive_retries(Some(TCP_KEEP_ALIVE.1));
        #[cfg(target_os = "linux")]
        http.set_tcp_user_timeout(Some(TCP_PATIENCE));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls(settings)?).https_or_http();
        let https = Arc::new(https.enable_http1().enable_http2().wrap_connector(http));
        let pool = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(settings.idle_timeout)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE)
            .build(Connector { https, within: settings.connect_timeout });
        Ok(Self { pool })
    }

    /// Sends a request, and follows what says where to send the same one within the same origin. Headers may be secrets and are for nobody
    /// else, and what was posted is not to be asked for: other redirects are answers.
    ///
    /// # Errors
    /// [`SendError`].
    pub(crate) async fn send(&self, request: &Request) -> Result<Response, SendError> {
        let mut response = self.send_once(request).await?;
        for _ in 0..MAX_REDIRECTS {
            let Some(to) = response.same_request_elsewhere() else { break };
            response = self.send_once(&Request { to, ..request.clone() }).await?;
        }
        Ok(response)
    }

    /// Sends a request to where it says. A redirect is an answer.
    ///
    /// # Errors
    /// [`SendError`].
    pub(crate) async fn send_once(&self, request: &Request) -> Result<Response, SendError> {
        let mut turned_away = 0;
        loop {
            match self.attempt(request).await? {
                Ok(answer) => return Ok(Response { answer, uri: request.to.clone() }),
                Err(error) if was_turned_away(&error) && turned_away < MAX_TURNED_AWAY => turned_away += 1,
                Err(error) if was_turned_away(&error) || error.is_connect() => return Err(SendError::Unsent(innermost(&error))),
                Err(error) => return Err(SendError::Lost(innermost(&error))),
            }
        }
    }

    /// One attempt: what became of it, unless it took too long.
    async fn attempt(&self, request: &Request) -> Result<Result<http::Response<Incoming>, PoolError>, SendError> {
        let sending = self.pool.request(request.to_http());
        match request.within {
            None => Ok(sending.await),
            Some(within) => {
                let too_late = |_| SendError::Lost(format!("no answer within {within:?}"));
                tokio::time::timeout(within, sending).await.map_err(too_late)
            }
        }
    }
}

impl Request {
    pub(crate) fn new(method: Method, to: Uri, headers: HeaderMap) -> Self {
        Self { method, to, headers, body: Bytes::new(), within: None }
    }

    fn to_http(&self) -> http::Request<Full<Bytes>> {
        let Self { method, to, headers, body, within: _ } = self.clone();
        let mut request = http::Request::new(Full::new(body));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, to, headers);
        request
    }
}

impl Response {
    pub(crate) fn status(&self) -> StatusCode {
        self.answer.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.answer.headers()
    }

    /// Where it came from, after redirects.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// How long the body is, where that is known before it has come.
    pub(crate) fn length(&self) -> Option<u64> {
        self.answer.body().size_hint().exact()
    }

    /// What comes next of the body, or `None` at its end.
    ///
    /// # Errors
    /// It broke off.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, SendError> {
        while let Some(frame) = self.answer.frame().await {
            if let Ok(data) = frame.map_err(|error| SendError::Lost(innermost(&error)))?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The whole body.
    ///
    /// # Errors
    /// It broke off.
    pub(crate) async fn whole(self) -> Result<Bytes, SendError> {
        let whole = self.answer.into_body().collect().await;
        whole.map(|whole| whole.to_bytes()).map_err(|error| SendError::Lost(innermost(&error)))
    }

    /// Where to send the same request, if that is what it says and that is of the same origin.
    fn same_request_elsewhere(&self) -> Option<Uri> {
        if !matches!(self.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
            return None;
        }
        let base = Url::parse(&self.uri.to_string()).ok()?;
        let to = base.join(std::str::from_utf8(self.headers().get(header::LOCATION)?.as_bytes()).ok()?).ok()?;
        (to.origin() == base.origin()).then(|| place_of(to.as_str()).ok())?.map(|(to, _)| to)
    }
}

// URLs, headers and bodies may hold secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("method", &self.method).field("headers", &self.headers.keys()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// Where a URL leads, and what it says of who asks (RFC 7617), which is not to be seen where it is written.
///
/// # Errors
/// It is no URL of a server, in one sentence.
pub(crate) fn place_of(url: &str) -> Result<(Uri, Option<HeaderValue>), String> {
    let mut url = Url::parse(url).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("expected a URL that begins with http:// or https://".to_owned());
    }
    let credentials = basic(&url);
    // These URLs have a host, and so may have a name before it.
    let _ = (url.set_username(""), url.set_password(None));
    let place = url.as_str().parse::<Uri>().map_err(|error| error.to_string())?;
    Ok((place, credentials))
}

fn basic(url: &Url) -> Option<HeaderValue> {
    use base64::prelude::{BASE64_STANDARD, Engine};
    use percent_encoding::percent_decode_str;

    let password = url.password().unwrap_or_default();
    if url.username().is_empty() && password.is_empty() {
        return None;
    }
    let text: Vec<u8> = percent_decode_str(url.username()).chain(*b":").chain(percent_decode_str(password)).collect();
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(text))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// TLS that trusts what the system trusts, and what is trusted besides.
fn tls(settings: &Settings<'_>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let roots = CertificateDer::pem_slice_iter(settings.extra_roots).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    if !settings.encrypts {
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    let verifier = Verifier::new_with_extra_roots(roots, provider).map_err(|error| error.to_string())?;
    // It is the system's verifier that is "custom" to rustls: nothing goes unchecked.
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// Connects within a time.
#[derive(Debug, Clone)]
struct Connector {
    https: Arc<HttpsConnector<HttpConnector>>,
    within: Duration,
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (connecting, within) = (HttpsConnector::clone(&self.https).call(to), self.within);
        Box::pin(async move {
            let too_late = |_| BoxError::from(format!("no connection within {within:?}"));
            tokio::time::timeout(within, connecting).await.map_err(too_late)?
        })
    }
}

/// Whether an HTTP/2 server says that it did not look at the request: it is shutting down, or has too much to do (RFC 9113, section 8.7).
fn was_turned_away(error: &(dyn Error + 'static)) -> bool {
    let Some(error) = causes(error).find_map(|cause| cause.downcast_ref::<h2::Error>()).filter(|error| error.is_remote()) else {
        return false;
    };
    let reason = error.reason();
    error.is_go_away() && reason == Some(h2::Reason::NO_ERROR) || error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM)
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().unwrap_or(error).to_string()
}

/// An error and what is behind it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;
    use toolcrib_testkit::site::{Served, Site};

    fn client() -> HttpClient {
        let bounds = Duration::from_secs(10);
        HttpClient::new(&Settings { connect_timeout: bounds, idle_timeout: bounds, encrypts: false, extra_roots: &[] }).unwrap()
    }

    fn post(url: &str) -> Request {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Bearer of-the-test"))]);
        Request { body: Bytes::from_static(b"what is asked"), ..Request::new(Method::POST, place_of(url).unwrap().0, headers) }
    }

    #[tokio::test]
    async fn three_redirects_of_one_origin_are_followed_with_all_that_was_sent() {
        let site = Site::serve(|asked| match asked.path.strip_prefix("/from/").and_then(|left| left.parse::<u32>().ok()) {
            Some(0) | None => Served::new(200, "there"),
            // In words of each kind: a path, a name beside it.
            Some(left) if left % 2 == 0 => Served::redirect(307, &format!("/from/{}", left - 1)),
            Some(left) => Served::redirect(308, &(left - 1).to_string()),
        })
        .await;
        let arrived = client().send(&post(&site.url("127.0.0.1", "/from/3"))).await.unwrap();
        assert_eq!((arrived.status(), arrived.uri().path()), (StatusCode::OK, "/from/0"));
        assert_eq!(arrived.whole().await.unwrap(), "there");
        let asked = site.asked();
        assert_eq!(asked.len(), 4);
        for one in asked {
            assert_eq!((one.method.as_str(), one.body.as_str()), ("POST", "what is asked"), "{}", one.path);
            assert_eq!(one.header("authorization"), Some("Bearer of-the-test"), "{}", one.path);
        }

        let given_up = client().send(&post(&site.url("127.0.0.1", "/from/9"))).await.unwrap();
        assert_eq!((given_up.status(), given_up.uri().path()), (StatusCode::TEMPORARY_REDIRECT, "/from/6"));
    }

    #[tokio::test]
    async fn where_another_listens_or_another_request_is_wanted_no_redirect_leads() {
        let other = Site::serve(|_| Served::new(200, "of another")).await;
        let elsewhere = other.url("127.0.0.1", "/");
        let site = Site::serve(move |asked| match asked.path.as_str() {
            "/away" => Served::redirect(307, &elsewhere),
            "/see" => Served::redirect(303, "/"),
            _ => Served::redirect(308, "http://["),
        })
        .await;
        for (path, status) in [("/away", 307), ("/see", 303), ("/odd", 308)] {
            let told = client().send(&post(&site.url("127.0.0.1", path))).await.unwrap();
            assert_eq!((told.status().as_u16(), told.uri().path()), (status, path));
        }
        assert_eq!((site.asked().len(), other.asked().len()), (3, 0));
    }

    #[tokio::test]
    async fn where_nobody_listens_nothing_was_sent() {
        // Nobody else is given a port that is taken, and nobody listens there.
        let taken = tokio::net::TcpSocket::new_v4().unwrap();
        taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let left = taken.local_addr().unwrap();
        let error = client().send(&post(&format!("http://{left}/"))).await.unwrap_err();
        assert!(matches!(error, SendError::Unsent(_)) && error.to_string().contains("refused"), "{error:?}");
    }

    #[test]
    fn who_asks_is_taken_out_of_the_url() {
        let check = |url: &str, place: &str, credentials: Option<&str>| {
            let (found, shown) = place_of(url).unwrap();
            assert_eq!(found, place, "{url}");
            assert_eq!(shown.as_ref().map(|shown| shown.to_str().unwrap()), credentials, "{url}");
            assert!(shown.is_none_or(|shown| shown.is_sensitive()), "{url}");
        };
        check("http://tools.example/mcp", "http://tools.example/mcp", None);
        check("https://tools.example:8443/mcp?a=b#c", "https://tools.example:8443/mcp?a=b", None);
        check("https://ann:s%3Acret@tools.example/", "https://tools.example/", Some("Basic YW5uOnM6Y3JldA=="));
        check("https://token@tools.example", "https://tools.example/", Some("Basic dG9rZW46"));
        for no_server in ["tools.example", "localhost:3000/mcp", "mailto:ann@tools.example", "ftp://tools.example/", "http://"] {
            assert!(place_of(no_server).is_err(), "{no_server}");
        }
    }
}
