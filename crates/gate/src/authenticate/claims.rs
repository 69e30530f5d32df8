//! What a token says, and what it has to say (RFC 7519, RFC 9068, RFC 8707).

use super::{Caller, Proof};
use serde_json::{Map, Number, Value};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use toolcrib_contract::CallerId;

/// The most roles of one caller.
const MAX_ROLES: usize = 256;
/// Claims that are words separated by blanks (RFC 9068, section 2.2.3; `scp` as some issuers have it).
const WORDS: [&str; 2] = ["scope", "scp"];

/// What the claims of a token must be.
#[derive(Debug, Clone)]
pub struct Demands {
    /// `iss`, exactly.
    pub issuer: Option<String>,
    /// Names for us: `aud` must hold one of them.
    pub audiences: Vec<String>,
    /// Where the roles stand: a claim, or claims within claims, separated by dots. The words of `scope` are roles too.
    pub roles: String,
    /// Which words of `scope` are roles; all of them, if nothing is said.
    pub scopes: Option<Vec<String>>,
    /// Which claim names the caller.
    pub subject: String,
    /// How far the clock of the issuer may be from ours.
    pub leeway: Duration,
    /// How long a token may be valid at most, from its issue (or from now, where it does not say when that was).
    pub max_lifetime: Duration,
}

impl Default for Demands {
    fn default() -> Self {
        Self {
            issuer: None,
            audiences: Vec::new(),
            roles: "roles".into(),
            scopes: None,
            subject: "sub".into(),
            leeway: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl Demands {
    /// Makes a caller of claims whose signature was checked.
    pub(super) fn caller(&self, authority: &str, claims: Map<String, Value>, now: SystemTime) -> Result<Caller, &'static str> {
        self.check_issuer(&claims)?;
        self.check_audience(&claims)?;
        let until = self.check_times(&claims, now)?;
        if claims.contains_key("cnf") {
            return Err("the token is bound to a key of its holder (cnf), which is not supported");
        }
        let subject = match claims.get(&self.subject) {
            Some(Value::String(subject)) => subject.as_str(),
            _ => return Err("the claim that names the caller is missing or no text"),
        };
        if !CallerId::is_subject(subject) {
            return Err("the claim that names the caller is empty, too long or holds control characters");
        }
        let mut roles = if WORDS.contains(&&*self.roles) { Vec::new() } else { self.named_roles(&claims)? };
        for name in WORDS.iter().filter(|name| **name == "scope" || **name == self.roles) {
            let words = words(&claims, name)?;
            roles.extend(words.into_iter().filter(|word| self.scopes.as_ref().is_none_or(|known| known.contains(word))));
        }
        if roles.len() > MAX_ROLES {
            return Err("the token has too many roles");
        }
        Ok(Caller { id: CallerId::new(authority, subject, roles), claims: Arc::new(claims), proof: Proof::Token { until, token: None } })
    }

    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), &'static str> {
        match (&self.issuer, claims.get("iss")) {
            (Some(expected), Some(Value::String(issuer))) if expected == issuer => Ok(()),
            (None, None | Some(Value::String(_))) => Ok(()),
            _ => Err("iss is not the issuer of this key"),
        }
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), &'static str> {
        let is_ours = |audience: &Value| audience.as_str().is_some_and(|audience| self.audiences.iter().any(|ours| ours == audience));
        let is_fine = match claims.get("aud") {
            None => self.audiences.is_empty(),
            // A token for somebody else is none for us, even where we have no name of our own.
            Some(_) if self.audiences.is_empty() => false,
            Some(audience @ Value::String(_)) => is_ours(audience),
            Some(Value::Array(audiences)) => audiences.iter().all(Value::is_string) && audiences.iter().any(is_ours),
            Some(_) => false,
        };
        if is_fine { Ok(()) } else { Err("aud does not name this server") }
    }

    /// Until when the token is good, if it is now.
    fn check_times(&self, claims: &Map<String, Value>, now: SystemTime) -> Result<SystemTime, &'static str> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let expires = date(claims, "exp")?.ok_or("exp is missing")?;
        let (not_before, issued) = (date(claims, "nbf")?, date(claims, "iat")?);
        if expires.saturating_add(self.leeway) <= now {
            return Err("the token has expired");
        }
        if not_before.is_some_and(|not_before| not_before > now.saturating_add(self.leeway)) {
            return Err("the token is not valid yet (nbf)");
        }
        if issued.is_some_and(|issued| issued > now.saturating_add(self.leeway)) {
            return Err("the token was issued in the future (iat)");
        }
        if expires > issued.unwrap_or(now).saturating_add(self.max_lifetime).saturating_add(self.leeway) {
            return Err("the token is valid for longer than is allowed");
        }
        UNIX_EPOCH.checked_add(expires.saturating_add(self.leeway)).ok_or("exp is beyond time")
    }

    fn named_roles(&self, claims: &Map<String, Value>) -> Result<Vec<String>, &'static str> {
        // A claim whose name holds dots itself, as in URLs, is found by its whole name first.
        let found = claims.get(&self.roles).or_else(|| {
            let mut names = self.roles.split('.');
            let first = claims.get(names.next()?)?;
            names.try_fold(first, |value, name| value.get(name))
        });
        let Some(found) = found else { return Ok(Vec::new()) };
        let list = found.as_array().ok_or("the roles are no list of texts")?;
        let named = list.iter().map(|role| role.as_str().filter(|role| CallerId::is_role(role)).map(str::to_owned));
        named.collect::<Option<_>>().ok_or("the roles are no list of texts")
    }
}

/// The words of a claim; some issuers write them as a list.
fn words(claims: &Map<String, Value>, name: &str) -> Result<Vec<String>, &'static str> {
    let words: Vec<&str> = match claims.get(name) {
        None => Vec::new(),
        Some(Value::String(text)) => text.split(' ').filter(|word| !word.is_empty()).collect(),
        Some(Value::Array(words)) if name == "scp" => words.iter().map(|word| word.as_str().unwrap_or_default()).collect(),
        Some(_) => return Err("scope is no text of words"),
    };
    let are_roles = words.iter().all(|word| CallerId::is_role(word));
    if are_roles { Ok(words.into_iter().map(str::to_owned).collect()) } else { Err("scope is no text of words") }
}

/// A date in seconds since 1970, as a number (RFC 7519, "NumericDate"). What is none is a fault, not an absence.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<Duration>, &'static str> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_number().and_then(Number::as_f64).filter(|seconds| *seconds >= 0.0 && *seconds < 1e11);
    seconds.map(|seconds| Some(Duration::from_secs_f64(seconds))).ok_or("exp, nbf or iat is no date")
}
