//! What bounds the way out, and the HTTP client within those bounds.

use crate::{error::reason_of, policy::Policy, resolve::Vetting};
use reqwest::Client;
use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};
use url::Url;

/// What bounds every request. Every field has a default.
#[derive(Debug, Clone)]
pub struct Config {
    /// The rules for what may be reached.
    pub policy: Policy,
    /// How long a request may take in all, redirects and body included, unless it says otherwise. Default 30 s.
    pub timeout: Duration,
    /// How long connecting may take. Default 10 s.
    pub connect_timeout: Duration,
    /// How many redirects are followed. Default 5.
    pub max_redirects: usize,
    /// The most bytes of a body that are taken from the wire when it is compressed. Default 5 MiB.
    pub max_wire_bytes: usize,
    /// The most bytes of a body, decompressed. Default 10 MiB.
    pub max_body_bytes: usize,
    /// The most bytes of headers. Default 32 KiB.
    pub max_header_bytes: usize,
    /// Requests a second to one host; more wait. Default 10.
    pub per_host_per_second: NonZeroU32,
    /// Certificates to trust beside those of the system, in PEM.
    pub extra_roots: Vec<u8>,
    /// The proxy to go through, if any. It then resolves the names of its targets, so that only their text is judged by us.
    pub proxy: Option<Proxy>,
}

/// Which proxy to go through.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    /// For http.
    pub http: Option<Url>,
    /// For https.
    pub https: Option<Url>,
    /// Hosts that are reached without it, as `NO_PROXY` has them.
    pub except: String,
}

impl Proxy {
    pub(crate) fn hosts(&self) -> impl Iterator<Item = String> {
        [&self.http, &self.https]
            .into_iter()
            .flatten()
            .filter_map(|url| url.host_str())
            .map(|host| host.trim_matches(['[', ']']).to_lowercase())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its URLs may hold a password.
        f.debug_list().entries(self.hosts()).finish()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            max_redirects: 5,
            max_wire_bytes: 5 << 20,
            max_body_bytes: 10 << 20,
            max_header_bytes: 32 << 10,
            per_host_per_second: NonZeroU32::new(10).expect("ten is not zero"),
            extra_roots: Vec::new(),
            proxy: None,
        }
    }
}

/// Why there is no way out with these settings.
#[derive(Debug, thiserror::Error)]
pub enum Setup {
    /// The certificates to trust besides are no PEM.
    #[error("the certificates to trust besides cannot be read: {0}")]
    Roots(String),
    /// The proxy's URL is of no use.
    #[error("the proxy cannot be used: {0}")]
    Proxy(String),
    /// TLS or the client cannot be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
}

/// A client that dials what `vetting` lets pass, follows no redirect and asks no environment.
pub(crate) fn client(config: &Config, mut vetting: Vetting) -> Result<Client, Setup> {
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .connect_timeout(config.connect_timeout)
        .pool_max_idle_per_host(4)
        .pool_idle_timeout(Duration::from_secs(30))
        .user_agent(concat!("toolcrib/", env!("CARGO_PKG_VERSION")));
    if !config.extra_roots.is_empty() {
        let roots = reqwest::Certificate::from_pem_bundle(&config.extra_roots).map_err(|error| Setup::Roots(reason_of(&error)))?;
        if roots.is_empty() {
            return Err(Setup::Roots("there is none in it".into()));
        }
        builder = builder.tls_certs_merge(roots);
    }
    if let Some(proxy @ Proxy { http, https, except }) = &config.proxy {
        vetting.trusted = proxy.hosts().collect();
        let except = reqwest::NoProxy::from_string(except);
        let bad = |error: reqwest::Error| Setup::Proxy(reason_of(&error));
        if let Some(url) = http {
            builder = builder.proxy(reqwest::Proxy::http(url.clone()).map_err(bad)?.no_proxy(except.clone()));
        }
        if let Some(url) = https {
            builder = builder.proxy(reqwest::Proxy::https(url.clone()).map_err(bad)?.no_proxy(except));
        }
    }
    builder.dns_resolver(Arc::new(vetting)).build().map_err(|error| Setup::Client(reason_of(&error)))
}
