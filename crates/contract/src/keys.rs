//! API keys, secrets of callers, what we sign in with elsewhere; and who keeps them.

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

/// Keeps what must stay secret and changes as we run, such as the tokens of other servers: sealed, by name and owner.
///
/// What is kept is small, and kept or found at once; errors are sentences without secrets.
pub trait Vault: Send + Sync + fmt::Debug {
    /// What is kept by this name for this owner, if anything.
    ///
    /// # Errors
    /// Why that cannot be told.
    fn load(&self, name: &str, owner: &CallerId) -> Result<Option<Zeroizing<String>>, String>;

    /// Keeps this, in place of what was kept before. It is safe when this returns.
    ///
    /// # Errors
    /// Why it is not kept.
    fn save(&self, name: &str, owner: &CallerId, secret: &str) -> Result<(), String>;

    /// Forgets it.
    ///
    /// # Errors
    /// Why it may still be there.
    fn forget(&self, name: &str, owner: &CallerId) -> Result<(), String>;
}
