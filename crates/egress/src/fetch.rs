//! Requests, their redirects, and the pace for each host.

use crate::{
    body::{self, ACCEPT_ENCODING, Body},
    config::{Config, Setup, client},
    error::{EgressError, explain, reason_of, unresolved},
    pace::Pace,
    policy::{Destination, Policy, Refusal},
    resolve::{Resolve, System, Vetting},
    target::Target,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::Client;
use std::{
    collections::{HashMap, hash_map::Entry},
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use url::Url;

/// Headers that belong to the connection, or that open doors which only we should open: never taken from a caller.
const FORBIDDEN: &[&str] = &[
    "host",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "accept-encoding",
    "metadata",
    "x-google-metadata-request",
];
const FORBIDDEN_PREFIXES: &[&str] = &["proxy-", "metadata-", "x-aws-ec2-metadata-", "x-metadata-"];
/// Headers that a redirect to another origin keeps. All others may hold secrets.
const KEPT_ACROSS: &[header::HeaderName] = &[header::ACCEPT, header::ACCEPT_LANGUAGE, header::USER_AGENT];

/// The way out: one for the whole process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Egress(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    policy: Arc<Policy>,
    resolver: Arc<dyn Resolve>,
    /// For all ports that no exception names.
    common: Client,
    /// For ports that exceptions name: what may be dialled there is vetted by those, too.
    excepted: HashMap<u16, Client>,
    pace: Pace,
}

/// A request to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The URL, as it was given.
    pub url: String,
    /// Headers of the caller's.
    pub headers: HeaderMap,
    /// Headers with secrets of ours: sent to the first origin only.
    pub secrets: HeaderMap,
    /// The body.
    pub body: Option<Bytes>,
    /// How long all of it may take, where that differs from the config.
    pub timeout: Option<Duration>,
    /// Whether redirects are followed.
    pub follows_redirects: bool,
}

impl Request {
    /// Fetches a URL.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            url: url.into(),
            headers: HeaderMap::new(),
            secrets: HeaderMap::new(),
            body: None,
            timeout: None,
            follows_redirects: true,
        }
    }

    /// Adds a header that is known to be sound.
    #[must_use]
    pub fn header(mut self, name: header::HeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }
}

/// An answer. What its status means is for the caller to say.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Where it came from, after all redirects.
    pub url: Url,
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Body,
    /// How many redirects led there.
    pub redirects: usize,
    /// How long it took.
    pub elapsed: Duration,
}

impl Egress {
    /// The way out by the system's resolver.
    ///
    /// # Errors
    /// [`Setup`].
    pub fn new(config: Config) -> Result<Self, Setup> {
        Self::with_resolver(config, Arc::new(System))
    }

    /// The way out by a resolver of the caller's.
    ///
    /// # Errors
    /// [`Setup`].
    pub fn with_resolver(config: Config, resolver: Arc<dyn Resolve>) -> Result<Self, Setup> {
        // Whoever came first has chosen; any provider will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let policy = Arc::new(config.policy.clone());
        let vetting = |port| Vetting { policy: Arc::clone(&policy), resolver: Arc::clone(&resolver), port, trusted: Vec::new() };
        let common = client(&config, vetting(None))?;
        let mut excepted = HashMap::new();
        for port in policy.excepted_ports() {
            if let Entry::Vacant(place) = excepted.entry(port) {
                place.insert(client(&config, vetting(Some(port)))?);
            }
        }
        let pace = Pace::new(config.per_host_per_second);
        Ok(Self(Arc::new(Inner { config, policy, resolver, common, excepted, pace })))
    }

    /// Another way out, for hosts that the operator named besides the rules: those of these URLs may be reached whatever the
    /// rules say, but for what is denied; redirects are answers. `limit` may bound it further.
    ///
    /// # Errors
    /// [`Setup`].
    pub fn also_reaching(&self, urls: &[&Url], limit: impl FnOnce(&mut Config)) -> Result<Self, Setup> {
        let mut config = self.0.config.clone();
        // What the config names is allowed; a request to it goes nowhere else.
        config.policy.allow = None;
        config.max_redirects = 0;
        let host_and_port = |url: &&&Url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?));
        config.policy.exceptions.extend(urls.iter().filter_map(|url| host_and_port(&url)?.parse::<Destination>().ok()));
        limit(&mut config);
        Self::with_resolver(config, Arc::clone(&self.0.resolver))
    }

    /// The rules.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// Judges a URL by its text alone.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn judge(&self, url: &str) -> Result<Target, Refusal> {
        Target::parse(url, &self.0.policy)
    }

    /// The addresses to dial for something other than HTTP, such as a database: vetted by the same rules, but for the port,
    /// which need not be one of HTTP.
    ///
    /// # Errors
    /// [`EgressError::Refused`], [`EgressError::Dns`].
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressError> {
        let dialled = |addresses: Vec<IpAddr>| addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            self.0.policy.judge_literal(address, port)?;
            return Ok(dialled(vec![address]));
        }
        let host = host.to_lowercase();
        self.0.policy.judge_name(&host, port)?;
        let (policy, resolver) = (Arc::clone(&self.0.policy), Arc::clone(&self.0.resolver));
        let vetting = Vetting { policy, resolver, port: Some(port), trusted: Vec::new() };
        vetting.addresses(&host).await.map(dialled).map_err(|error| unresolved(&host, error))
    }

    /// Sends a request, follows its redirects, and reads the answer.
    ///
    /// # Errors
    /// [`EgressError`].
    ///
    /// # Cancellation
    /// Dropping the future closes the connection.
    pub async fn send(&self, request: Request) -> Result<Fetched, EgressError> {
        let limit = request.timeout.unwrap_or(self.0.config.timeout);
        let target = Target::parse(&request.url, &self.0.policy).and_then(|target| self.refuse_proxy(target))?;
        let host = target.host().to_owned();
        within(limit, &host, self.walk(request, target)).await
    }

    /// The proxy is reached as a proxy only: it may be where nothing else may be reached.
    fn refuse_proxy(&self, target: Target) -> Result<Target, Refusal> {
        let is_proxy = self.0.config.proxy.as_ref().is_some_and(|proxy| proxy.hosts().any(|host| host == target.host()));
        if is_proxy { Err(Refusal::Denied(target.host().to_owned())) } else { Ok(target) }
    }

    async fn walk(&self, request: Request, target: Target) -> Result<Fetched, EgressError> {
        let started = Instant::now();
        let config = &self.0.config;
        let mut hop = Hop::first(&request, target)?;
        let mut redirects = 0;
        loop {
            let response = self.ask(&hop).await?;
            let size = header_bytes(response.headers());
            if size > config.max_header_bytes {
                return Err(EgressError::HeadersTooLarge { size, limit: config.max_header_bytes });
            }
            let Some(location) = redirect_of(&response).filter(|_| request.follows_redirects) else {
                return self.finish(response, &hop.target, redirects, started).await;
            };
            if redirects == config.max_redirects {
                return Err(EgressError::TooManyRedirects(redirects));
            }
            let next = hop.target.join(&location, &self.0.policy).and_then(|next| self.refuse_proxy(next));
            let location = shortened(&location);
            let next = next.map_err(|refusal| EgressError::RefusedRedirect { location, refusal })?;
            hop = match hop.redirected(response.status(), next) {
                Some(next) => next,
                None => return self.finish(response, &hop.target, redirects, started).await,
            };
            redirects += 1;
        }
    }

    async fn ask(&self, hop: &Hop) -> Result<reqwest::Response, EgressError> {
        self.0.pace.wait(hop.target.host()).await;
        let client = self.0.excepted.get(&hop.target.port()).unwrap_or(&self.0.common);
        let mut request = client.request(hop.method.clone(), hop.target.url().clone()).headers(hop.headers.clone());
        request = request.header(header::ACCEPT_ENCODING, ACCEPT_ENCODING);
        if let Some(body) = &hop.body {
            request = request.body(body.clone());
        }
        request.send().await.map_err(|error| explain(hop.target.host(), &error))
    }

    async fn finish(
        &self,
        response: reqwest::Response,
        target: &Target,
        redirects: usize,
        started: Instant,
    ) -> Result<Fetched, EgressError> {
        let (status, headers) = (response.status(), response.headers().clone());
        let (max_wire, max_bytes) = (self.0.config.max_wire_bytes, self.0.config.max_body_bytes);
        let body = body::read(response, max_wire, max_bytes).await;
        let body = body.map_err(|error| EgressError::BadAnswer { host: target.host().to_owned(), reason: reason_of(&error) })?;
        Ok(Fetched { url: target.url().clone(), status, headers, body, redirects, elapsed: started.elapsed() })
    }
}

/// One request on the way through redirects.
#[derive(Debug)]
struct Hop {
    method: Method,
    target: Target,
    headers: HeaderMap,
    body: Option<Bytes>,
}

impl Hop {
    fn first(request: &Request, target: Target) -> Result<Self, EgressError> {
        refuse_forbidden(&request.headers)?;
        let mut headers = request.headers.clone();
        headers.extend(request.secrets.clone());
        Ok(Self { method: request.method.clone(), target, headers, body: request.body.clone() })
    }

    /// The request that a redirect asks for. Neither secrets nor a body cross to another origin: a request that would carry them
    /// there ends with the redirect as its answer, since what is asked there is the caller's to say.
    fn redirected(&self, status: StatusCode, target: Target) -> Option<Self> {
        let becomes_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        let (method, body) = if becomes_get { (Method::GET, None) } else { (self.method.clone(), self.body.clone()) };
        let mut headers = self.headers.clone();
        if becomes_get {
            headers.remove(header::CONTENT_TYPE);
        }
        if !target.is_same_origin(&self.target) {
            if body.is_some() || !method.is_safe() {
                return None;
            }
            headers = KEPT_ACROSS.iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect();
        }
        Some(Self { method, target, headers, body })
    }
}

/// One deadline for all of it, set at the start.
async fn within<T>(limit: Duration, host: &str, work: impl Future<Output = Result<T, EgressError>>) -> Result<T, EgressError> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(EgressError::Timeout { host: host.to_owned(), limit }),
    }
}

fn refuse_forbidden(headers: &HeaderMap) -> Result<(), EgressError> {
    let is_forbidden = |name: &str| FORBIDDEN.contains(&name) || FORBIDDEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    match headers.keys().find(|name| is_forbidden(name.as_str())) {
        Some(name) => Err(EgressError::ForbiddenHeader(name.to_string())),
        None => Ok(()),
    }
}

fn redirect_of(response: &reqwest::Response) -> Option<String> {
    use StatusCode as S;
    let is_redirect =
        matches!(response.status(), S::MOVED_PERMANENTLY | S::FOUND | S::SEE_OTHER | S::TEMPORARY_REDIRECT | S::PERMANENT_REDIRECT);
    let location = response.headers().get(header::LOCATION).filter(|_| is_redirect)?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}

/// As much as an error needs of what another side wrote.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}
