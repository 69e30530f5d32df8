//! A vault for as long as the process lives, where nothing lasts.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use toolcrib_contract::{CallerId, Stored, Vault, Version};
use zeroize::Zeroizing;

/// Keeps sign-ins in memory. Nobody shares it, so whoever asks that others wait is alone anyhow.
#[derive(Default)]
pub struct InMemory(Mutex<State>);

#[derive(Default)]
struct State {
    kept: HashMap<(String, String), (u64, Zeroizing<String>)>,
    changes: u64,
}

impl InMemory {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, key: (String, String), text: &str) {
        self.changes += 1;
        self.kept.insert(key, (self.changes, Zeroizing::new(text.to_owned())));
    }
}

fn key(name: &str, owner: &CallerId) -> (String, String) {
    (name.to_owned(), owner.principal().to_string())
}

fn version(number: u64) -> Version {
    Version(number.to_ne_bytes().into())
}

impl Vault for InMemory {
    fn load(&self, name: &str, owner: &CallerId) -> Result<Option<Stored>, String> {
        Ok(self.lock().kept.get(&key(name, owner)).map(|(number, text)| Stored { text: text.clone(), version: version(*number) }))
    }

    fn save(&self, name: &str, owner: &CallerId, text: &str) -> Result<(), String> {
        self.lock().put(key(name, owner), text);
        Ok(())
    }

    fn replace(&self, name: &str, owner: &CallerId, known: &Version, text: Option<&str>) -> Result<bool, String> {
        let (mut state, key) = (self.lock(), key(name, owner));
        let is_current = state.kept.get(&key).is_some_and(|(number, _)| version(*number) == *known);
        match text {
            _ if !is_current => {}
            Some(text) => state.put(key, text),
            None => drop(state.kept.remove(&key)),
        }
        Ok(is_current)
    }

    fn forget(&self, name: &str, owner: &CallerId) -> Result<bool, String> {
        Ok(self.lock().kept.remove(&key(name, owner)).is_some())
    }

    fn hold(&self, name: &str, owner: &CallerId, _within: Duration) -> Result<bool, String> {
        Ok(self.lock().kept.contains_key(&key(name, owner)))
    }

    fn release(&self, _name: &str, _owner: &CallerId) {}
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InMemory({} kept)", self.lock().kept.len())
    }
}
