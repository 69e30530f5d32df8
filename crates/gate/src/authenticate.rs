//! [`Credential`] → [`Caller`]: who calls.

use std::sync::Arc;
use toolcrib_contract::CallerId;

/// What a client shows to prove who it is.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Credential {
    /// Nothing. Whoever reaches a loopback port or starts us as a child is taken as the anonymous caller.
    #[default]
    None,
}

/// Who calls, once that is proved. Only the gate makes one.
#[derive(Debug, Clone)]
pub struct Caller {
    id: CallerId,
}

/// The credential proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid credential")]
pub struct Unauthenticated;

impl Caller {
    /// The name and roles.
    #[must_use]
    pub fn id(&self) -> &CallerId {
        &self.id
    }
}

pub(crate) fn identify(credential: &Credential) -> Result<Caller, Unauthenticated> {
    match credential {
        Credential::None => Ok(Caller { id: CallerId { subject: Arc::from("anonymous"), roles: Arc::default() } }),
    }
}
