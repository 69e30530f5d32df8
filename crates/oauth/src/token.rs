//! The token endpoint: a code, a refresh token or our own name for a token (RFC 6749, sections 4.1.3, 4.4 and 6).

use crate::{
    client::{Client, Settings},
    error::OAuthError,
    out::{Form, Out, Sent, shown},
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
    pub(crate) wanted_scopes: Vec<String>,
    /// Where the server says more about itself, if it has said where.
    pub(crate) resource_metadata: Option<String>,
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

/// What we ask for a token with.
pub(crate) enum GrantType<'a> {
    AuthorizationCode { code: &'a str, verifier: &'a str, redirect_uri: &'a str },
    RefreshToken(&'a str),
    ClientCredentials,
}

impl GrantType<'_> {
    fn form(&self, scopes: &[String]) -> Form {
        let mut form = Form::default();
        match self {
            Self::AuthorizationCode { code, verifier, redirect_uri } => form
                .with("grant_type", "authorization_code")
                .with("code", code)
                .with("code_verifier", verifier)
                .with("redirect_uri", redirect_uri),
            Self::RefreshToken(token) => form.with("grant_type", "refresh_token").with("refresh_token", token),
            Self::ClientCredentials if scopes.is_empty() => form.with("grant_type", "client_credentials"),
            Self::ClientCredentials => form.with("grant_type", "client_credentials").with("scope", &scopes.join(" ")),
        };
        form
    }
}

impl Endpoint<'_> {
    /// Asks for a token. `scopes` is what it will be good for, unless the answer says otherwise.
    pub(crate) async fn ask(&self, out: &Out, grant_type: GrantType<'_>, scopes: &[String]) -> Result<Grant, OAuthError> {
        let mut form = grant_type.form(scopes);
        form.with("resource", self.resource);
        let authorization = self.client.prove(&mut form);
        let answer: Answer = out.post(self.url, Sent::form(form, authorization)).await?;
        let failing = |reason: &str| OAuthError::Failing { url: shown(self.url), reason: reason.to_owned() };
        if answer.token_type.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(failing("the token is of a type that is not understood: only bearer tokens are"));
        }
        if bearer(&answer.access_token).is_none() {
            return Err(failing("the token holds characters that none has"));
        }
        let now = now();
        let granted = answer.scope.map(|scope| scope.split_ascii_whitespace().map(str::to_owned).collect());
        Ok(Grant {
            server: self.server.to_owned(),
            issuer: self.issuer.to_owned(),
            token_endpoint: self.url.to_owned(),
            resource: self.resource.to_owned(),
            client: self.client.as_kept(),
            access_token: answer.access_token,
            received_at: now,
            expires_at: answer.expires_in.as_ref().and_then(seconds).map(|seconds| now.saturating_add(seconds)),
            refresh_token: answer.refresh_token.filter(|token| !token.is_empty()),
            scopes: granted.unwrap_or_else(|| scopes.to_vec()),
            wanted_scopes: Vec::new(),
            resource_metadata: None,
        })
    }
}

impl Grant {
    /// The next one. What the server leaves out stays as it was.
    pub(crate) async fn refreshed(&self, out: &Out, settings: &Settings) -> Result<Self, OAuthError> {
        let token = self.refresh_token.as_ref().ok_or_else(|| OAuthError::refused("no refresh token", None))?;
        let endpoint = Endpoint {
            server: &self.server,
            issuer: &self.issuer,
            url: &self.token_endpoint,
            resource: &self.resource,
            client: &settings.filled(&self.client),
        };
        let mut next = endpoint.ask(out, GrantType::RefreshToken(token), &self.scopes).await?;
        next.refresh_token = next.refresh_token.or_else(|| self.refresh_token.clone());
        next.wanted_scopes.clone_from(&self.wanted_scopes);
        next.resource_metadata.clone_from(&self.resource_metadata);
        Ok(next)
    }

    /// Whether the server has asked for something that this is not good for.
    pub(crate) fn wants_more(&self) -> bool {
        self.wanted_scopes.iter().any(|wanted| !self.scopes.contains(wanted))
    }

    pub(crate) fn header(&self) -> HeaderValue {
        bearer(&self.access_token).expect("it was made into a header when it came")
    }

    /// Whether the token is no longer good.
    pub(crate) fn is_expired(&self) -> bool {
        self.expires_at.is_some_and(|expires| expires <= now())
    }

    /// From when on the next one is to be had: some time before this one ends, so that a failing server can recover meanwhile.
    pub(crate) fn renewed_from(&self) -> Option<u64> {
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
