//! How authorization servers are reached: by the one way out, within tight bounds, and over https wherever others could listen.

use crate::error::OAuthError;
use serde::de::DeserializeOwned;
use std::time::Duration;
use toolcrib_egress::{Config, Destination, Egress, Fetched, HeaderMap, HeaderValue, Method, Request, Setup, StatusCode, Url, header};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The largest document.
const MAX_BYTES: usize = 256 * 1024;
/// The hosts that only this machine reaches.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The way to the authorization servers of one MCP server.
#[derive(Debug, Clone)]
pub(crate) struct Out(Egress);

/// What a request carries.
pub(crate) struct Sent {
    pub(crate) kind: &'static str,
    pub(crate) body: String,
    /// What proves who we are.
    pub(crate) authorization: Option<HeaderValue>,
}

impl Out {
    /// A server on this machine may name others on it; any other leads to the public internet, or to where the config makes
    /// exceptions.
    pub(crate) fn new(egress: &Egress, server: &Url) -> Result<Self, Setup> {
        let is_here = is_loopback(server);
        let bound = |config: &mut Config| {
            (config.timeout, config.max_body_bytes, config.max_wire_bytes) = (TIMEOUT, MAX_BYTES, MAX_BYTES);
            if is_here {
                config.policy.exceptions.extend(LOOPBACK.iter().filter_map(|host| host.parse::<Destination>().ok()));
            }
        };
        egress.also_reaching(&[server], bound).map(Self)
    }

    /// A document, if there is one.
    pub(crate) async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<Option<T>, OAuthError> {
        secure(url)?;
        let mut request = Request::get(url).header(header::ACCEPT, "application/json");
        request.follows_redirects = false;
        let fetched = self.send(url, request).await?;
        if fetched.status.is_client_error() || fetched.status.is_redirection() {
            return Ok(None);
        }
        if !fetched.status.is_success() {
            return Err(failing(url, format_args!("the answer was {}", fetched.status)));
        }
        // Some servers answer with a page whatever is asked.
        Ok(serde_json::from_slice(&fetched.body.bytes).ok())
    }

    /// Posts something: the status, and the answer as far as it is JSON.
    pub(crate) async fn post(&self, url: &str, sent: Sent) -> Result<(StatusCode, Option<serde_json::Value>), OAuthError> {
        secure(url)?;
        let mut request = Request::get(url).header(header::ACCEPT, "application/json").header(header::CONTENT_TYPE, sent.kind);
        request.method = Method::POST;
        request.body = Some(sent.body.into());
        request.follows_redirects = false;
        request.secrets = sent.authorization.map(|value| HeaderMap::from_iter([(header::AUTHORIZATION, value)])).unwrap_or_default();
        let fetched = self.send(url, request).await?;
        Ok((fetched.status, serde_json::from_slice(&fetched.body.bytes).ok()))
    }

    async fn send(&self, url: &str, request: Request) -> Result<Fetched, OAuthError> {
        let fetched = self.0.send(request).await.map_err(|error| failing(url, error))?;
        if fetched.body.is_cut { Err(failing(url, format_args!("the answer is larger than {MAX_BYTES} bytes"))) } else { Ok(fetched) }
    }
}

fn failing(url: &str, reason: impl ToString) -> OAuthError {
    OAuthError::Failing { url: shown(url), reason: reason.to_string() }
}

/// A URL without its query, in which anything could be.
pub(crate) fn shown(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// What secrets are sent to, or told by, is reached in a way that nobody else can listen to.
pub(crate) fn secure(url: &str) -> Result<Url, OAuthError> {
    let parsed = Url::parse(url).ok().filter(|parsed| parsed.scheme() == "https" || (parsed.scheme() == "http" && is_loopback(parsed)));
    parsed.ok_or_else(|| OAuthError::Insecure { url: shown(url) })
}

/// Whether a URL leads to this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    LOOPBACK.contains(&host) || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}
