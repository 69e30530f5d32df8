//! What a modern client carries for us between the rounds of one call, sealed so that it cannot be changed, lent to
//! another caller, used for another call, used twice, or kept for later (MCP 2026-07-28, "Multi Round-Trip Requests").

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use toolcrib_contract::{Call, Home, Json, Kind};

/// How long a client may take to answer.
pub(super) const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// The most states that are remembered as used. Beyond that none is taken until the oldest have expired.
const MAX_USED: usize = 1 << 18;

/// The answers given so far, by the names of the questions.
pub(super) type Answered = BTreeMap<String, Json>;

/// Where the next round of a call goes on.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Round {
    /// At the start, with the answers that are known.
    Again(Answered),
    /// At another server, with the state that it gave, if it gave one.
    Elsewhere(Option<Json>),
    /// Where the call waits in this process.
    Parked(u64),
}

/// Seals states with a key that lives as long as the process. No other replica takes them: they say which one does.
pub(super) struct StateSeal {
    key: [u8; 32],
    home: Home,
    /// The states that were used, with the seconds after which nobody can use them anyhow.
    used: Mutex<HashMap<u64, u64>>,
}

/// A state that is not taken. All reasons are answered alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("params.requestState is not valid for this call; make the call again without it")]
pub(super) struct BadState;

impl StateSeal {
    pub(super) fn at(home: Home) -> Self {
        let mut key = [0_u8; 32];
        getrandom::fill(&mut key).expect("the operating system provides random numbers");
        Self { key, home, used: Mutex::default() }
    }

    pub(super) fn seal(&self, owner: &StateOwner, round: &Round) -> String {
        self.seal_until(owner, round, now() + LIFETIME)
    }

    fn seal_until(&self, owner: &StateOwner, round: &Round, expires: Duration) -> String {
        let payload = Json::object().with("expires", &number(expires.as_secs())).with("once", &number(random()));
        let payload = match round {
            Round::Again(answered) => {
                payload.with("again", &answered.iter().fold(Json::object(), |object, (name, answer)| object.with(name, answer)).finish())
            }
            Round::Elsewhere(state) => payload.with("elsewhere", &Json::array(state.clone())),
            Round::Parked(ticket) => payload.with("parked", &number(*ticket)),
        };
        let payload = payload.finish();
        let tag = self.mac(owner, payload.as_bytes()).finalize().into_bytes();
        self.home.name(&format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(payload.as_bytes()), BASE64_URL_SAFE_NO_PAD.encode(tag)))
    }

    /// Opens a state, once.
    pub(super) fn open(&self, owner: &StateOwner, sealed: &str) -> Result<Round, BadState> {
        self.opened(owner, sealed).ok_or(BadState)
    }

    fn opened(&self, owner: &StateOwner, sealed: &str) -> Option<Round> {
        let (payload, tag) = Home::within(sealed).split_once('.')?;
        let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?;
        self.mac(owner, &payload).verify_slice(&tag).ok()?;
        let members = Json::parse(payload).ok()?.members().ok()?;
        let expires: u64 = members.get("expires")?.read().ok()?;
        if now() > Duration::from_secs(expires) || !self.use_up(members.get("once")?.read().ok()?, expires) {
            return None;
        }
        if let Some(answers) = members.get("again") {
            return Some(Round::Again(answers.members().ok()?.iter().map(|(name, answer)| (name.to_owned(), answer)).collect()));
        }
        if let Some(state) = members.get("elsewhere") {
            return Some(Round::Elsewhere(state.elements().ok()?.pop()));
        }
        Some(Round::Parked(members.get("parked")?.read().ok()?))
    }

    /// Notes that a state is used. False where it was already.
    fn use_up(&self, once: u64, expires: u64) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= MAX_USED {
            let now = now().as_secs();
            used.retain(|_, expires| *expires >= now);
        }
        used.len() < MAX_USED && used.insert(once, expires).is_none()
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

/// A number that nobody can guess and that never comes twice.
pub(super) fn random() -> u64 {
    getrandom::u64().expect("the operating system provides random numbers")
}

fn number(number: u64) -> Json {
    Json::of(&number).expect("a number has a JSON form")
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

    fn owner(subject: &str, arguments: &'static str) -> StateOwner {
        StateOwner::of(&Arc::from(subject), &Call::tool("t", Json::parse(arguments).unwrap()))
    }

    #[test]
    fn a_state_serves_its_caller_its_call_and_its_time_only() {
        let seal = StateSeal::at(Home::default());
        let (annas, other_call) = (owner("anna", r#"{"a":1}"#), owner("anna", r#"{"a":2}"#));
        let round = Round::Again([("a".to_owned(), Json::parse(r#"{"action":"accept"}"#).unwrap())].into());
        let sealed = seal.seal(&annas, &round);
        assert_eq!(seal.open(&owner("bert", r#"{"a":1}"#), &sealed), Err(BadState));
        assert_eq!(seal.open(&other_call, &sealed), Err(BadState));
        assert_eq!(StateSeal::at(Home::default()).open(&annas, &sealed), Err(BadState), "another process took it");
        assert_eq!(seal.open(&annas, &seal.seal_until(&annas, &round, now() - Duration::from_secs(5))), Err(BadState));
        for forged in ["", ".", "e30.", &sealed[1..], &format!("{sealed}x"), &sealed.replace('.', "A.")] {
            assert_eq!(seal.open(&annas, forged), Err(BadState), "{forged}");
        }
        assert_eq!(seal.open(&annas, &sealed), Ok(round), "what failed has not used it up");
        assert_eq!(seal.open(&annas, &sealed), Err(BadState), "it was used");
    }

    #[test]
    fn every_kind_of_round_comes_back_as_it_was() {
        let (seal, owner) = (StateSeal::at(Home::default()), owner("anna", "{}"));
        let state = Json::parse(r#""theirs \u00e9""#).unwrap();
        for round in [Round::Again(Answered::new()), Round::Elsewhere(None), Round::Elsewhere(Some(state)), Round::Parked(u64::MAX)] {
            assert_eq!(seal.open(&owner, &seal.seal(&owner, &round)), Ok(round));
        }
    }
}
