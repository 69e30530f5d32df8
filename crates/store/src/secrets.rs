//! Secrets that others are shown: those of callers, and what we sign in with.

use crate::{
    StoreError,
    sealed::{Sealed, SecretInfo},
};
use toolcrib_contract::{CallerId, Secrets, Vault};
use zeroize::Zeroizing;

/// The secrets of callers.
#[derive(Debug)]
pub struct CallerSecrets(pub(crate) Sealed);

/// What we sign in with elsewhere.
#[derive(Debug)]
pub struct SignIns(pub(crate) Sealed);

impl CallerSecrets {
    /// Stores a secret of a caller, in place of one of that name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set(&self, name: &str, owner: &CallerId, secret: &str) -> Result<(), StoreError> {
        self.0.set(name, owner, secret)
    }

    /// Forgets a secret. Returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove(&self, name: &str, owner: &CallerId) -> Result<bool, StoreError> {
        self.0.remove(name, owner)
    }

    /// All secrets, by owner and name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn list(&self) -> Result<Vec<SecretInfo>, StoreError> {
        self.0.list()
    }
}

impl Secrets for CallerSecrets {
    fn secret(&self, name: &str, caller: &CallerId) -> Option<Zeroizing<String>> {
        self.0.get(name, caller).unwrap_or_else(|error| {
            tracing::error!(%error, "the secrets of callers cannot be read");
            None
        })
    }
}

impl Vault for SignIns {
    fn load(&self, name: &str, owner: &CallerId) -> Result<Option<Zeroizing<String>>, String> {
        self.0.get(name, owner).map_err(|error| error.to_string())
    }

    fn save(&self, name: &str, owner: &CallerId, secret: &str) -> Result<(), String> {
        self.0.set(name, owner, secret).map_err(|error| error.to_string())
    }

    fn forget(&self, name: &str, owner: &CallerId) -> Result<(), String> {
        self.0.remove(name, owner).map(drop).map_err(|error| error.to_string())
    }
}
