//! The token endpoint: a code, a refresh token or our own name for a token (RFC 6749, sections 4.1.3, 4.4 and 6).

use crate::{
    client::{Client, form},
    error::OAuthError,
    out::{Out, Sent, shown},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    time::{Duration, SystemTime},
};
use toolcrib_egress::HeaderValue;
use zeroize::Zeroizing;

/// What lets us in, and what gets us the next one. It says itself where it came from and whom it is for, so that it goes nowhere
/// else.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// The URL of the MCP server.
    pub(crate) server: String,
    pub(crate) issuer: String,
    pub(crate) token_endpoint: String,
    pub(crate) resource: String,
    pub(crate) client: Client,
    pub(crate) access_token: Zeroizing<String>,
    /// Seconds since 1970.
    pub(crate) received_at: u64,
    pub(crate) expires_at: Option<u64>,
    pub(crate) refresh_token: Option<Zeroizing<String>>,
    /// What it is good for.
    pub(crate) scopes: Vec<String>,
    /// What the server has asked for since.
    #[serde(default)]
    pub(crate) wanted_scopes: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: Zeroizing<String>,
    token_type: Option<String>,
    expires_in: Option<serde_json::Value>,
    refresh_token: Option<Zeroizing<String>>,
    scope: Option<String>,
}

/// Whom to ask, as whom, and for what.
pub(crate) struct Endpoint<'a> {
    pub(crate) server: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) url: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) client: &'a Client,
}

/// What is shown for a token.
pub(crate) enum Shown<'a> {
    Code { code: &'a str, verifier: &'a str, redirect_uri: &'a str },
    RefreshToken(&'a str),
    Ourselves,
}

impl Endpoint<'_> {
    /// Asks for a token. `scopes` is what it will be good for, unless the answer says otherwise.
    pub(crate) async fn ask(&self, out: &Out, shown_for_it: Shown<'_>, scopes: &[String]) -> Result<Grant, OAuthError> {
        let mut pairs: Vec<(&'static str, String)> = match shown_for_it {
            Shown::Code { code, verifier, redirect_uri } => vec![
                ("grant_type", "authorization_code".into()),
                ("code", code.into()),
                ("code_verifier", verifier.into()),
                ("redirect_uri", redirect_uri.into()),
            ],
            Shown::RefreshToken(token) => vec![("grant_type", "refresh_token".into()), ("refresh_token", token.into())],
            Shown::Ourselves => vec![("grant_type", "client_credentials".into())],
        };
        if matches!(shown_for_it, Shown::Ourselves) && !scopes.is_empty() {
            pairs.push(("scope", scopes.join(" ")));
        }
        pairs.push(("resource", self.resource.to_owned()));
        let authorization = self.client.prove(&mut pairs);
        let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect();
        let body = form(&pairs.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>());
        let sent = Sent { kind: "application/x-www-form-urlencoded", body, authorization };
        let (status, answer) = out.post(self.url, sent).await?;
        let failing = |reason: String| OAuthError::Failing { url: shown(self.url), reason };
        if !status.is_success() {
            let said = |member: &str| answer.as_ref().and_then(|answer| answer.get(member)?.as_str());
            return Err(match said("error") {
                Some(code) if status.is_client_error() && status.as_u16() != 429 => OAuthError::refused(code, said("error_description")),
                _ => failing(format!("the answer was {status}")),
            });
        }
        let answer = answer.and_then(|answer| serde_json::from_value::<Answer>(answer).ok());
        let answer = answer.ok_or_else(|| failing("the answer holds no token".into()))?;
        if answer.token_type.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(failing("the token is of a type that is not understood: only bearer tokens are".into()));
        }
        if bearer(&answer.access_token).is_none() {
            return Err(failing("the token holds characters that none has".into()));
        }
        let now = now();
        let granted = answer.scope.map(|scope| scope.split_ascii_whitespace().map(str::to_owned).collect());
        Ok(Grant {
            server: self.server.to_owned(),
            issuer: self.issuer.to_owned(),
            token_endpoint: self.url.to_owned(),
            resource: self.resource.to_owned(),
            client: self.client.clone(),
            access_token: answer.access_token,
            received_at: now,
            expires_at: answer.expires_in.as_ref().and_then(seconds).map(|seconds| now.saturating_add(seconds)),
            refresh_token: answer.refresh_token.filter(|token| !token.is_empty()),
            scopes: granted.unwrap_or_else(|| scopes.to_vec()),
            wanted_scopes: Vec::new(),
        })
    }
}

impl Grant {
    /// The next one. What the server leaves out stays as it was.
    pub(crate) async fn refreshed(&self, out: &Out) -> Result<Option<Self>, OAuthError> {
        let Some(token) = &self.refresh_token else { return Ok(None) };
        let endpoint = Endpoint {
            server: &self.server,
            issuer: &self.issuer,
            url: &self.token_endpoint,
            resource: &self.resource,
            client: &self.client,
        };
        let mut next = endpoint.ask(out, Shown::RefreshToken(token), &self.scopes).await?;
        next.refresh_token = next.refresh_token.or_else(|| self.refresh_token.clone());
        next.wanted_scopes.clone_from(&self.wanted_scopes);
        Ok(Some(next))
    }

    pub(crate) fn header(&self) -> HeaderValue {
        bearer(&self.access_token).expect("it was made into a header when it came")
    }

    /// Whether the token is no longer good.
    pub(crate) fn is_expired(&self) -> bool {
        self.expires_at.is_some_and(|expires| expires <= now())
    }

    /// From when on the next one is to be had: some time before this one ends, so that a failing server can recover meanwhile.
    pub(crate) fn fresh_until(&self) -> Option<u64> {
        let expires = self.expires_at?;
        Some(expires - (expires.saturating_sub(self.received_at) / 2).min(60))
    }
}

fn bearer(token: &str) -> Option<HeaderValue> {
    let text = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(&text).ok().filter(|_| !token.is_empty())?;
    value.set_sensitive(true);
    Some(value)
}

/// Some write the number as a text.
fn seconds(value: &serde_json::Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().filter(|secs| *secs >= 0.0).map(|secs| secs as u64)).or_else(|| value.as_str()?.parse().ok())
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("server", &self.server).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
