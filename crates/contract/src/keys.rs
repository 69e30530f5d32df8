//! API keys, secrets of callers, what we sign in with elsewhere; and who keeps them.

use crate::call::CallerId;
use std::{fmt, time::Duration};
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

/// Keeps what must stay secret and changes as we run, such as the tokens of other servers: sealed, by name and owner, for all processes
/// that share it.
///
/// What is kept is small, and kept or found at once; errors are sentences without secrets.
pub trait Vault: Send + Sync + fmt::Debug {
    /// What is kept by this name for this owner, if anything.
    ///
    /// # Errors
    /// Why that cannot be told.
    fn load(&self, name: &str, owner: &CallerId) -> Result<Option<Stored>, String>;

    /// Keeps this, whatever was kept before. It is safe when this returns.
    ///
    /// # Errors
    /// Why it is not kept.
    fn save(&self, name: &str, owner: &CallerId, text: &str) -> Result<(), String>;

    /// Keeps this, or nothing, in place of that version. `false` if something else is kept by now, which stays.
    ///
    /// # Errors
    /// Why nothing is changed.
    fn replace(&self, name: &str, owner: &CallerId, version: &Version, text: Option<&str>) -> Result<bool, String>;

    /// Forgets it. Returns whether there was anything.
    ///
    /// # Errors
    /// Why it may still be there.
    fn forget(&self, name: &str, owner: &CallerId) -> Result<bool, String>;

    /// Asks that nobody else changes it for a while; `false` if somebody else has asked that before. It ends when it is changed,
    /// released, or the while is over.
    ///
    /// # Errors
    /// Why that cannot be told.
    fn hold(&self, name: &str, owner: &CallerId, within: Duration) -> Result<bool, String>;

    /// Others may change it again.
    fn release(&self, name: &str, owner: &CallerId);
}

/// What a vault keeps under a name.
pub struct Stored {
    /// The secret itself.
    pub text: Zeroizing<String>,
    /// Which of all that were ever kept there it is.
    pub version: Version,
}

/// Tells what is kept from what was kept before or comes later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub Box<[u8]>);

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stored(…)")
    }
}
