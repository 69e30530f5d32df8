//! A vault for as long as the process lives, where nothing lasts.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};
use toolcrib_contract::{CallerId, Vault};
use zeroize::Zeroizing;

/// Keeps sign-ins in memory.
#[derive(Default)]
pub struct InMemory(Mutex<HashMap<(String, String), Zeroizing<String>>>);

impl InMemory {
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Zeroizing<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(name: &str, owner: &CallerId) -> (String, String) {
    (name.to_owned(), owner.principal().to_string())
}

impl Vault for InMemory {
    fn load(&self, name: &str, owner: &CallerId) -> Result<Option<Zeroizing<String>>, String> {
        Ok(self.lock().get(&key(name, owner)).cloned())
    }

    fn save(&self, name: &str, owner: &CallerId, secret: &str) -> Result<(), String> {
        self.lock().insert(key(name, owner), Zeroizing::new(secret.to_owned()));
        Ok(())
    }

    fn forget(&self, name: &str, owner: &CallerId) -> Result<(), String> {
        self.lock().remove(&key(name, owner));
        Ok(())
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InMemory({} kept)", self.lock().len())
    }
}
