//! API keys, and who keeps them.

use crate::call::CallerId;
use std::fmt;

/// Knows whom API keys belong to.
pub trait KeyDirectory: Send + Sync + fmt::Debug {
    /// Whether a credential is meant to be an API key: they are recognised by how they begin.
    fn is_key(&self, credential: &str) -> bool;

    /// The holder of a key, unless it is unknown, expired or revoked. Asked on the way of every call, so it must not block.
    fn holder(&self, key: &str) -> Option<CallerId>;
}
