//! JSON Web Tokens, compact and signed (RFC 7515, RFC 7519; the advice of RFC 8725).
//!
//! The algorithm is the config's choice and the key's, never the token's; a key is found by its name among those that are
//! known, never fetched from where a token says.

use super::{
    Caller, Unauthenticated,
    claims::Demands,
    keys::{Algorithm, KeySource, MAX_KEY_ID_BYTES, PublicKey, WeakSecret, strong_secret},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Map, Value};
use std::{fmt, sync::Arc, time::SystemTime};
use toolcrib_contract::Json;

/// The longest token.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// The deepest nesting in a token.
const MAX_DEPTH: usize = 16;
/// Members of a header that would change what is signed, or bring a key along (RFC 7515, section 4.1; RFC 7797).
const REFUSED_MEMBERS: [&str; 7] = ["crit", "b64", "zip", "jwk", "jku", "x5u", "x5c"];
/// What a token may say that it is: a JWT, or an access token (RFC 9068).
const ACCESS_TOKEN_TYPES: [&str; 2] = ["at+jwt", "application/at+jwt"];
const PLAIN_TYPES: [&str; 2] = ["jwt", "application/jwt"];

/// Who issues tokens that are taken, and how these are checked.
#[derive(Debug)]
pub struct Issuer {
    /// The name by which its callers are told from those of others.
    pub name: Box<str>,
    /// What it signs with.
    pub keys: Keys,
    /// The algorithms that are taken; at least one.
    pub algorithms: Vec<Algorithm>,
    /// What its tokens must say.
    pub demands: Demands,
    /// Whether only access tokens are taken, which say so in `typ` (RFC 9068).
    pub only_access_tokens: bool,
}

/// What signatures are checked with.
#[derive(Clone)]
pub enum Keys {
    /// A secret that the issuer shares with us; made by [`Keys::secret`].
    Secret(SharedSecret),
    /// One key.
    Public(PublicKey),
    /// A set of keys that may change.
    Set(Arc<dyn KeySource>),
}

/// A secret that is strong enough for each of its algorithms.
#[derive(Clone)]
pub struct SharedSecret(Vec<(Algorithm, hmac::Key)>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("Secret(…)"),
            Self::Public(key) => key.fmt(f),
            Self::Set(source) => source.fmt(f),
        }
    }
}

impl Keys {
    /// A shared secret for these algorithms.
    ///
    /// # Errors
    /// [`WeakSecret`].
    pub fn secret(secret: &[u8], algorithms: &[Algorithm]) -> Result<Self, WeakSecret> {
        let keys = algorithms.iter().map(|algorithm| Ok((*algorithm, strong_secret(secret, *algorithm)?)));
        keys.collect::<Result<_, _>>().map(|keys| Self::Secret(SharedSecret(keys)))
    }

    /// Makes a token of this `typ`, where whoever checks signatures can make them: for tests and first steps.
    #[must_use]
    pub fn mint(&self, kind: &str, claims: &Json) -> Option<String> {
        let Self::Secret(SharedSecret(keys)) = self else { return None };
        let (algorithm, key) = keys.first()?;
        let header = Json::object().with_str("alg", algorithm.name()).with_str("typ", kind).finish();
        let [header, payload] = [&header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.as_bytes()));
        let signed = format!("{header}.{payload}");
        let signature = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(key, signed.as_bytes()));
        Some(format!("{signed}.{signature}"))
    }
}

/// A token whose parts can be read, and of which nothing is believed yet.
struct Unverified<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    key_id: Option<String>,
    is_access_token: bool,
    claims: Map<String, Value>,
}

/// Finds out whom a token names.
pub(super) async fn identify(issuers: &[Arc<Issuer>], token: &str, now: SystemTime) -> Result<Caller, Unauthenticated> {
    let unverified = read(token)?;
    let claimed = unverified.claims.get("iss").and_then(Value::as_str);
    let mut reason = "no issuer of the config made this token";
    for issuer in issuers {
        // The key is chosen by issuer and name, so that none can speak for another.
        if issuer.demands.issuer.is_some() && issuer.demands.issuer.as_deref() != claimed {
            continue;
        }
        match issuer.check(&unverified).await {
            Ok(()) => return Ok(issuer.demands.caller(&issuer.name, unverified.claims, now)?),
            Err(why) => reason = why,
        }
    }
    Err(reason.into())
}

impl Issuer {
    async fn check(&self, token: &Unverified<'_>) -> Result<(), &'static str> {
        if !self.algorithms.contains(&token.algorithm) {
            return Err("the algorithm is not one that the config allows for this issuer");
        }
        if self.only_access_tokens && !token.is_access_token {
            return Err("typ does not say that this is an access token (RFC 9068)");
        }
        let is_signed = match &self.keys {
            Keys::Secret(SharedSecret(keys)) => keys
                .iter()
                .find(|(algorithm, _)| *algorithm == token.algorithm)
                .is_some_and(|(_, key)| hmac::verify(key, token.signed.as_bytes(), &token.signature).is_ok()),
            Keys::Public(key) => key.verify(token.algorithm, token.signed.as_bytes(), &token.signature),
            Keys::Set(source) => return check_with_set(&**source, token).await,
        };
        if is_signed { Ok(()) } else { Err("the signature is not the issuer's") }
    }
}

/// Looks the key up, once more after asking for newer keys if it is not known.
async fn check_with_set(source: &dyn KeySource, token: &Unverified<'_>) -> Result<(), &'static str> {
    let id = token.key_id.as_deref();
    let mut keys = source.current();
    if !keys.as_ref().is_some_and(|keys| keys.knows(id)) {
        source.renew().await;
        keys = source.current();
    }
    let keys = keys.ok_or("the keys of the issuer are not known: they could not be fetched")?;
    let key = keys.find(id, token.algorithm).ok_or("the issuer has no such key for this algorithm")?;
    if key.verify(token.algorithm, token.signed.as_bytes(), &token.signature) { Ok(()) } else { Err("the signature is not the issuer's") }
}

fn read(token: &str) -> Result<Unverified<'_>, &'static str> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err("the token is too long");
    }
    let (signed, signature) = token.rsplit_once('.').ok_or("this is no token")?;
    let (header, payload) = signed.split_once('.').filter(|(_, payload)| !payload.contains('.')).ok_or("this is no token")?;
    let header = object(header).ok_or("the header of the token cannot be read")?;
    if REFUSED_MEMBERS.iter().any(|member| header.contains_key(*member)) {
        return Err("the header of the token has a member that is not taken");
    }
    let text = |member: &str| match header.get(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err("a member of the token's header is no text"),
    };
    let algorithm = text("alg")?.and_then(|name| name.parse().ok()).ok_or("the algorithm is not one that is taken")?;
    let key_id = text("kid")?.map(str::to_owned);
    if key_id.as_ref().is_some_and(|id| id.len() > MAX_KEY_ID_BYTES) {
        return Err("the name of the key is too long");
    }
    let is_one_of = |types: &[&str], kind: &str| types.iter().any(|known| kind.eq_ignore_ascii_case(known));
    let kind = text("typ")?;
    let is_access_token = kind.is_some_and(|kind| is_one_of(&ACCESS_TOKEN_TYPES, kind));
    if kind.is_some_and(|kind| !is_access_token && !is_one_of(&PLAIN_TYPES, kind)) || text("cty")?.is_some() {
        return Err("typ says that this is no access token");
    }
    let signature = decode(signature).filter(|signature| !signature.is_empty()).ok_or("the signature cannot be read")?;
    let claims = object(payload).ok_or("the claims of the token cannot be read")?;
    Ok(Unverified { signed, signature, algorithm, key_id, is_access_token, claims })
}

/// base64url without padding, and nothing that only looks like it (RFC 7515, section 2).
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

/// An object in which no member stands twice.
fn object(part: &str) -> Option<Map<String, Value>> {
    let json = Json::parse_within(decode(part)?, MAX_DEPTH).ok()?;
    match json.to_value().ok()? {
        Value::Object(members) => Some(members),
        _ => None,
    }
}
