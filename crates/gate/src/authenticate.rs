//! [`Credential`] → [`Caller`]: who calls.
//!
//! A credential that proves nothing is refused, never taken for the anonymous caller's.

mod claims;
mod keys;
mod token;
mod verified;

pub use claims::Demands;
pub use keys::{Algorithm, KeyFault, KeySet, KeySource, PublicKey, WeakSecret};
pub use token::{Issuer, Keys, SharedSecret};

use serde_json::{Map, Value};
use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, LazyLock},
    time::SystemTime,
};
use toolcrib_contract::{CallerId, KeyDirectory};
use verified::Verified;

/// What a client shows to prove who it is.
#[derive(Clone, Default)]
pub enum Credential {
    /// Nothing.
    #[default]
    None,
    /// A token or an API key, as it stands in `Authorization: Bearer …` or in the variable that a local client sets.
    Bearer(Arc<str>),
    /// Nothing, but the operator has said in the config who this is.
    Local(CallerId),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Bearer(_) => "Bearer(…)",
            Self::Local(_) => "Local",
        })
    }
}

/// Who calls, once that is proved. Only the gate makes one.
#[derive(Debug, Clone)]
pub struct Caller {
    id: CallerId,
    claims: Arc<Map<String, Value>>,
    proof: Proof,
}

/// How long what a caller has proved holds: a connection may outlast it.
#[derive(Clone)]
enum Proof {
    /// As long as the process.
    Lasting,
    /// Until a token expires. The token itself is kept only where something may pass it on.
    Token { until: SystemTime, token: Option<Arc<str>> },
    /// As long as an API key is good.
    Key(Arc<str>),
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lasting => "Lasting",
            Self::Token { .. } => "Token(…)",
            Self::Key(_) => "Key(…)",
        })
    }
}

/// The credential proves nothing. What exactly is wrong with it is for the operator's log, never for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .reason.in_public())]
pub struct Unauthenticated {
    /// Why, in words that name no secret.
    pub reason: Reason,
}

/// Why a credential is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// There is none, and callers without one are not admitted.
    #[error("no token, and none without one is admitted")]
    Missing,
    /// There is one, and it proves nothing.
    #[error("{0}")]
    Invalid(&'static str),
}

impl Reason {
    /// What a client may know of it.
    #[must_use]
    pub fn in_public(&self) -> &'static str {
        match self {
            Self::Missing => "authentication is required",
            Self::Invalid(_) => "Invalid authentication token",
        }
    }
}

impl From<&'static str> for Unauthenticated {
    fn from(reason: &'static str) -> Self {
        Self { reason: Reason::Invalid(reason) }
    }
}

/// What callers are asked to prove. By default nothing: everybody is the anonymous caller.
#[derive(Debug, Clone, Default)]
pub struct Authentication {
    /// Whose tokens are taken.
    pub issuers: Vec<Arc<Issuer>>,
    /// Who holds API keys, if there are such.
    pub keys: Option<Arc<dyn KeyDirectory>>,
    /// Whether callers without a credential are refused.
    pub is_required: bool,
    /// Whether the token of a caller goes along with its calls, for what passes it on: see
    /// [`Callable::takes_token`](toolcrib_contract::Callable::takes_token).
    pub keeps_tokens: bool,
}

/// What callers are asked to prove, and who has just proved it.
#[derive(Debug, Default)]
pub(crate) struct Authenticator {
    pub(crate) asked: Authentication,
    verified: Verified,
}

impl Authenticator {
    pub(crate) fn new(asked: Authentication) -> Self {
        Self { asked, verified: Verified::default() }
    }

    pub(crate) async fn identify(&self, credential: Credential) -> Result<Caller, Unauthenticated> {
        let asked = &self.asked;
        if !asked.is_configured() {
            let id = if let Credential::Local(id) = credential { id } else { CallerId::anonymous() };
            return Ok(Caller::without_claims(id));
        }
        let bearer = match credential {
            Credential::None if asked.is_required => return Err(Unauthenticated { reason: Reason::Missing }),
            Credential::None => return Ok(Caller::without_claims(CallerId::anonymous())),
            Credential::Local(id) => return Ok(Caller::without_claims(id)),
            Credential::Bearer(bearer) => bearer,
        };
        if let Some(keys) = &asked.keys
            && keys.is_key(&bearer)
        {
            let holder = keys.holder(&bearer).ok_or("an API key that is unknown, expired or revoked")?;
            return Ok(Caller { proof: Proof::Key(bearer), ..Caller::without_claims(holder) });
        }
        let digest = verified::digest_of(&bearer);
        let mut caller = match self.verified.caller(&digest).filter(|caller| asked.still_holds(caller)) {
            Some(caller) => caller,
            None => {
                let caller = token::identify(&asked.issuers, &bearer, SystemTime::now()).await?;
                self.verified.keep(digest, bearer.len(), &caller);
                caller
            }
        };
        if let Proof::Token { token, .. } = &mut caller.proof {
            *token = asked.keeps_tokens.then_some(bearer);
        }
        Ok(caller)
    }
}

impl Caller {
    /// The name and roles.
    #[must_use]
    pub fn id(&self) -> &CallerId {
        &self.id
    }

    /// Whether the caller has proved nothing.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.id.is_anonymous()
    }

    /// The token that the caller has shown, where it is kept.
    pub(crate) fn token(&self) -> Option<&Arc<str>> {
        match &self.proof {
            Proof::Token { token, .. } => token.as_ref(),
            Proof::Lasting | Proof::Key(_) => None,
        }
    }

    /// What the caller's token says about it; nothing for a caller without one.
    pub(crate) fn claims(&self) -> &Arc<Map<String, Value>> {
        &self.claims
    }

    fn without_claims(id: CallerId) -> Self {
        static NOTHING: LazyLock<Arc<Map<String, Value>>> = LazyLock::new(Arc::default);
        Self { id, claims: Arc::clone(&NOTHING), proof: Proof::Lasting }
    }

    /// The same caller, about whom is only to be asked.
    #[must_use]
    pub fn into_assumed(self) -> Assumed {
        Assumed(self)
    }

    /// A caller as the operator assumes it to be, to ask what would be decided.
    #[must_use]
    pub fn assumed(id: CallerId, claims: Map<String, Value>) -> Assumed {
        Assumed(Self { id, claims: Arc::new(claims), proof: Proof::Lasting })
    }
}

/// A caller that proved nothing: decisions can be explained for it, but no call made.
#[derive(Debug, Clone)]
pub struct Assumed(pub(crate) Caller);

impl Authentication {
    /// Whether anybody is asked to prove anything.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.is_required || self.keys.is_some() || !self.issuers.is_empty()
    }

    /// Whether the callers of every issuer are told from those of others: names of issuers are unique, hold no colon, and are
    /// none that other callers have.
    pub(crate) fn has_distinct_authorities(&self) -> bool {
        let names: HashSet<&str> = self.issuers.iter().map(|issuer| &*issuer.name).collect();
        names.len() == self.issuers.len() && names.iter().all(|name| !name.contains(':') && !CallerId::RESERVED.contains(name))
    }

    /// Whether what a caller has proved still holds.
    pub(crate) fn still_holds(&self, caller: &Caller) -> bool {
        match &caller.proof {
            Proof::Lasting => true,
            Proof::Token { until, .. } => SystemTime::now() < *until,
            Proof::Key(key) => self.keys.as_ref().and_then(|keys| keys.holder(key)).is_some_and(|holder| holder == caller.id),
        }
    }
}
