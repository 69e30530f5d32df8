//! Where a server is, and how it is reached.

use crate::{
    client::{Authorization, ConnectError},
    http_client::{HttpClient, Settings, place_of},
};
use http::{HeaderMap, HeaderValue, Uri, header};
use std::{fmt, sync::Arc, time::Duration};

/// How long a connection is kept for the next request.
const IDLE: Duration = Duration::from_secs(90);

/// Where a server is, and how to reach it.
#[derive(Clone)]
pub struct Endpoint {
    /// The URL of its MCP endpoint.
    pub url: String,
    /// Headers that go with every request; secrets may be among them.
    pub headers: HeaderMap,
    /// What proves who we are, if that is not among them.
    pub authorization: Option<Arc<dyn Authorization>>,
    /// The largest message accepted from it, in bytes.
    pub max_message_bytes: usize,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// Certificates to trust besides those of the system, in PEM.
    pub extra_roots: Vec<u8>,
}

/// The same place, reached in the same way; what proves who we are is found out as we go.
impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        let Self { url, headers, authorization: _, max_message_bytes, connect_timeout, extra_roots } = self;
        (url, headers, extra_roots) == (&other.url, &other.headers, &other.extra_roots)
            && *max_message_bytes == other.max_message_bytes
            && *connect_timeout == other.connect_timeout
    }
}

/// A client for an endpoint, and where that is. From now on its headers hold all that goes with every request.
pub(in crate::client) fn reach(endpoint: &mut Endpoint) -> Result<(HttpClient, Uri), ConnectError> {
    let (place, credentials) = place_of(&endpoint.url).map_err(ConnectError::Unreachable)?;
    let settings = Settings {
        connect_timeout: endpoint.connect_timeout,
        idle_timeout: IDLE,
        encrypts: place.scheme_str() == Some("https"),
        extra_roots: &endpoint.extra_roots,
    };
    let http = HttpClient::new(&settings).map_err(ConnectError::Unreachable)?;
    let agent = HeaderValue::from_static(concat!("toolcrib/", env!("CARGO_PKG_VERSION")));
    endpoint.headers.entry(header::USER_AGENT).or_insert(agent);
    endpoint.headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    if let Some(credentials) = credentials {
        endpoint.headers.entry(header::AUTHORIZATION).or_insert(credentials);
    }
    Ok((http, place))
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("headers", &self.headers.keys()).finish_non_exhaustive()
    }
}
