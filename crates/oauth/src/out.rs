//! How authorization servers are reached: by the one way out, within tight bounds, and over https wherever others could listen.

use crate::error::OAuthError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use toolcrib_egress::{
    Bytes, Config, Destination, Egress, Fetched, HeaderMap, HeaderValue, Method, Request, Setup, StatusCode, Url, header,
};
use zeroize::Zeroizing;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The largest document.
const MAX_BYTES: usize = 256 * 1024;
/// The most of what others wrote that is repeated in a sentence.
const MAX_SHOWN: usize = 200;
/// The hosts that only this machine reaches.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The way to the authorization servers of one MCP server.
#[derive(Debug, Clone)]
pub(crate) struct Out(Egress);

/// What a request carries. The body is wiped once it is sent.
pub(crate) struct Sent {
    kind: &'static str,
    body: Zeroizing<String>,
    /// What proves who we are.
    authorization: Option<HeaderValue>,
}

/// A form, as it is sent.
#[derive(Default)]
pub(crate) struct Form(Zeroizing<String>);

impl Form {
    pub(crate) fn with(&mut self, name: &str, value: &str) -> &mut Self {
        let pair = Zeroizing::new(format!("{name}={}", form_encoded(value)));
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(&pair);
        self
    }

    #[cfg(test)]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text as forms have it (WHATWG URL, `application/x-www-form-urlencoded`).
pub(crate) fn form_encoded(text: &str) -> String {
    let mut url = Url::parse("form:").expect("this is a URL");
    url.query_pairs_mut().append_key_only(text);
    url.query().unwrap_or_default().to_owned()
}

impl Sent {
    pub(crate) fn form(form: Form, authorization: Option<HeaderValue>) -> Self {
        Self { kind: "application/x-www-form-urlencoded", body: form.0, authorization }
    }

    pub(crate) fn json(body: &Value) -> Self {
        Self { kind: "application/json", body: Zeroizing::new(body.to_string()), authorization: None }
    }
}

impl Out {
    /// A server on this machine may name others on it; any other leads to the public internet, or to where the config makes
    /// exceptions. Where the config allows only certain hosts, the server and the issuer that it names are among them.
    pub(crate) fn new(egress: &Egress, server: &Url, issuer: Option<&str>) -> Result<Self, Setup> {
        let named: Vec<Url> = issuer.and_then(|issuer| Url::parse(issuer).ok()).into_iter().chain([server.clone()]).collect();
        let hosts: Vec<&str> =
            named.iter().filter_map(Url::host_str).chain(is_loopback(server).then_some(LOOPBACK).into_iter().flatten()).collect();
        let allow = egress.policy().allow.clone().map(|mut allow| {
            allow.extend(hosts.iter().filter_map(|host| host.parse::<Destination>().ok()));
            allow
        });
        let is_here = is_loopback(server);
        let bound = |config: &mut Config| {
            (config.timeout, config.max_body_bytes, config.max_wire_bytes) = (TIMEOUT, MAX_BYTES, MAX_BYTES);
            config.policy.allow = allow;
            if is_here {
                config.policy.exceptions.extend(LOOPBACK.iter().filter_map(|host| host.parse::<Destination>().ok()));
            }
        };
        egress.also_reaching(&named.iter().collect::<Vec<_>>(), bound).map(Self)
    }

    /// A document, if there is one.
    pub(crate) async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<Option<T>, OAuthError> {
        secure(url)?;
        let mut request = Request::get(url).header(header::ACCEPT, "application/json");
        request.follows_redirects = false;
        let Fetched { status, body, .. } = self.send(url, request).await?;
        if is_nothing_there(status) {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(failing(url, format_args!("the answer was {status}")));
        }
        // Some servers answer with a page whatever is asked.
        let Ok(document @ Value::Object(_)) = serde_json::from_slice(&body.bytes) else { return Ok(None) };
        serde_json::from_value(document).map(Some).map_err(|error| failing(url, format_args!("the document cannot be read: {error}")))
    }

    /// Posts something, and reads the answer.
    pub(crate) async fn post<T: DeserializeOwned>(&self, url: &str, sent: Sent) -> Result<T, OAuthError> {
        secure(url)?;
        let mut request = Request::get(url).header(header::ACCEPT, "application/json").header(header::CONTENT_TYPE, sent.kind);
        request.method = Method::POST;
        request.body = Some(Bytes::from_owner(sent.body));
        request.follows_redirects = false;
        request.secrets = sent.authorization.map(|value| HeaderMap::from_iter([(header::AUTHORIZATION, value)])).unwrap_or_default();
        let Fetched { status, body, .. } = self.send(url, request).await?;
        let answer: Option<Value> = serde_json::from_slice(&body.bytes).ok();
        let said = |member: &str| answer.as_ref().and_then(|answer| answer.get(member)?.as_str());
        // Some say no with a status that says yes.
        if let Some(code) = said("error").filter(|_| status.is_success() || is_refusal(status)) {
            return Err(OAuthError::refused(code, said("error_description")));
        }
        if !status.is_success() {
            return Err(failing(url, format_args!("the answer was {status}")));
        }
        let answer = answer.ok_or_else(|| failing(url, "the answer is no JSON"))?;
        // What could not be read may be a secret, so it is not repeated.
        serde_json::from_value(answer).map_err(|_| failing(url, "the answer does not hold what it should"))
    }

    async fn send(&self, url: &str, request: Request) -> Result<Fetched, OAuthError> {
        let fetched = self.0.send(request).await.map_err(|error| failing(url, error))?;
        if fetched.body.is_cut { Err(failing(url, format_args!("the answer is larger than {MAX_BYTES} bytes"))) } else { Ok(fetched) }
    }
}

/// Whether a status says no, and not only for now.
fn is_refusal(status: StatusCode) -> bool {
    status.is_client_error() && !matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)
}

fn is_nothing_there(status: StatusCode) -> bool {
    is_refusal(status) || status.is_redirection()
}

fn failing(url: &str, reason: impl ToString) -> OAuthError {
    OAuthError::Failing { url: shown(url), reason: reason.to_string() }
}

/// What others wrote, in a sentence of ours: of a URL no query, in which anything could be; nothing that would move a cursor or
/// break a line; and not too much of it.
pub(crate) fn shown(text: &str) -> String {
    let plain = text.split(['?', '#']).next().unwrap_or_default();
    plain.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect()
}

/// What secrets are sent to, or told by, is reached in a way that nobody else can listen to.
pub(crate) fn secure(url: &str) -> Result<Url, OAuthError> {
    let parsed = Url::parse(url).ok().filter(is_private);
    parsed.ok_or_else(|| OAuthError::Insecure { url: shown(url) })
}

/// Whether nobody else can listen to what is sent to a URL.
#[must_use]
pub fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

/// Whether a URL leads to this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    LOOPBACK.contains(&host) || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}
