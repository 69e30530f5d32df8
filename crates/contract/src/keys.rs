//! API keys and secrets of callers, and who keeps them.

use crate::call::CallerId;
use std::fmt;
use zeroize::Zeroizing;

/// Knows whom API keys belong to.
pub trait KeyDirectory: Send + Sync + fmt::Debug {
    /// Whether a credential is meant to be an API key: they are recognised by how they begin.
    fn is_key(&self, credential: &str) -> bool;

    /// The holder of a key, unless it is unknown, expired or revoked. Asked on the way of every call, so it must not block.
    fn holder(&self, key: &str) -> Option<CallerId>;
}

/// Knows the secrets of callers: what each of them shows to others.
pub trait Secrets: Send + Sync + fmt::Debug {
    /// The secret of this name that a caller has, if it has one.
    fn secret(&self, name: &str, caller: &CallerId) -> Option<Zeroizing<String>>;
}
