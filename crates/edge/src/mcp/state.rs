//! What a modern client carries for us between the rounds of one call, sealed so that it cannot be changed, lent to
//! another caller, used for another call, or kept for later (MCP 2026-07-28, "Multi Round-Trip Requests").

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use toolcrib_contract::{Call, Json, Kind};

/// How long a client may take to answer.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// The answers given so far, by the names of the questions.
pub(super) type Answered = BTreeMap<String, Json>;

/// Seals states with a key that lives as long as the process.
pub(super) struct StateSeal {
    key: [u8; 32],
}

/// A state that is not taken. All reasons are answered alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("params.requestState is not valid for this call; make the call again without it")]
pub(super) struct BadState;

impl StateSeal {
    pub(super) fn new() -> Self {
        let mut key = [0_u8; 32];
        getrandom::fill(&mut key).expect("the operating system provides random numbers");
        Self { key }
    }

    pub(super) fn seal(&self, owner: &StateOwner, answered: &Answered) -> String {
        self.seal_until(owner, answered, now() + LIFETIME)
    }

    fn seal_until(&self, owner: &StateOwner, answered: &Answered, expires: Duration) -> String {
        let answers = answered.iter().fold(Json::object(), |object, (name, answer)| object.with(name, answer)).finish();
        let expires = Json::of(&expires.as_secs()).expect("a number has a JSON form");
        let payload = Json::object().with("expires", &expires).with("answers", &answers).finish();
        let tag = self.mac(owner, payload.as_bytes()).finalize().into_bytes();
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(payload.as_bytes()), BASE64_URL_SAFE_NO_PAD.encode(tag))
    }

    pub(super) fn open(&self, owner: &StateOwner, sealed: &str) -> Result<Answered, BadState> {
        self.opened(owner, sealed).ok_or(BadState)
    }

    fn opened(&self, owner: &StateOwner, sealed: &str) -> Option<Answered> {
        let (payload, tag) = sealed.split_once('.')?;
        let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?;
        self.mac(owner, &payload).verify_slice(&tag).ok()?;
        let members = Json::parse(payload).ok()?.members().ok()?;
        let expires: u64 = members.get("expires")?.read().ok()?;
        if now() > Duration::from_secs(expires) {
            return None;
        }
        let answers = members.get("answers")?.members().ok()?;
        Some(answers.iter().map(|(name, answer)| (name.to_owned(), answer)).collect())
    }

    /// Caller and call are part of what is authenticated, each with its length, so that no two read alike.
    fn mac(&self, owner: &StateOwner, payload: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        let StateOwner { subject, kind, name, arguments } = owner;
        for part in [subject.as_bytes(), kind.to_string().as_bytes(), name.as_bytes(), arguments.as_bytes(), payload] {
            mac.update(&part.len().to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

/// Whose state it is: who called, and what makes a call this call.
#[derive(Debug, Clone)]
pub(super) struct StateOwner {
    subject: Arc<str>,
    kind: Kind,
    name: Box<str>,
    arguments: Json,
}

impl StateOwner {
    pub(super) fn of(subject: &Arc<str>, call: &Call) -> Self {
        Self { subject: Arc::clone(subject), kind: call.kind, name: call.name.clone(), arguments: call.arguments.clone() }
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl fmt::Debug for StateSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateSeal(key withheld)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_serves_its_caller_its_call_and_its_time_only() {
        let seal = StateSeal::new();
        let owner = |subject: &str, arguments: &'static str| {
            let call = Call::tool("t", Json::parse(arguments).unwrap());
            StateOwner::of(&Arc::from(subject), &call)
        };
        let (annas, other_call) = (owner("anna", r#"{"a":1}"#), owner("anna", r#"{"a":2}"#));
        let answered = Answered::from([("a".to_owned(), Json::parse(r#"{"action":"accept"}"#).unwrap())]);
        let sealed = seal.seal(&annas, &answered);
        assert_eq!(seal.open(&annas, &sealed), Ok(answered.clone()));
        assert_eq!(seal.open(&owner("bert", r#"{"a":1}"#), &sealed), Err(BadState));
        assert_eq!(seal.open(&other_call, &sealed), Err(BadState));
        assert_eq!(StateSeal::new().open(&annas, &sealed), Err(BadState));
        assert_eq!(seal.open(&annas, &seal.seal_until(&annas, &answered, now() - Duration::from_secs(5))), Err(BadState));
        for forged in ["", ".", "e30.", &sealed[1..], &format!("{sealed}x"), &sealed.replace('.', "A.")] {
            assert_eq!(seal.open(&annas, forged), Err(BadState), "{forged}");
        }
    }
}
