//! Texts sealed (AES-256-GCM) with a key that is not in the database, in a table of names and owners.
//!
//! What is sealed is bound to its table, name and owner: a row that is moved to somebody else opens for nobody.

use crate::{
    StoreError,
    database::{Database, Shared},
    secret::{Master, SecretKey},
    times::{millis, of_millis},
};
use ring::aead::{Aad, NONCE_LEN, Nonce};
use rusqlite::{OptionalExtension, params};
use std::{fmt, sync::Arc, time::SystemTime};
use toolcrib_contract::CallerId;
use zeroize::Zeroizing;

/// What a table of sealed texts holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// What callers show to others.
    Secret,
    /// What we sign in with elsewhere.
    Vault,
}

/// A text that there is, but for the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretInfo {
    /// Its name.
    pub name: String,
    /// Whose it is: authority and subject.
    pub principal: String,
    /// When it was stored.
    pub updated: SystemTime,
}

/// One table of sealed texts.
pub(crate) struct Sealed {
    database: Shared,
    key: Arc<Master>,
    table: Table,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Vault => "vault",
        }
    }
}

impl Sealed {
    pub(crate) fn open(database: Database, master: &Arc<Master>, table: Table) -> Self {
        Self { database: Shared::new(database), key: Arc::clone(master), table }
    }

    /// Stores a text in place of one of that name.
    pub(crate) fn set(&self, name: &str, owner: &CallerId, text: &str) -> Result<(), StoreError> {
        let sealed = seal(&self.key.secrets, &self.bound_to(name, owner), text.as_bytes());
        let values = params![name, &**owner.principal(), sealed, millis(SystemTime::now())];
        let insert = format!("INSERT OR REPLACE INTO {} (name, principal, sealed, updated_ms) VALUES (?1, ?2, ?3, ?4)", self.table.name());
        self.database.with(|database| database.connection.execute(&insert, values).map(drop))
    }

    /// The text, if there is one.
    pub(crate) fn get(&self, name: &str, owner: &CallerId) -> Result<Option<Zeroizing<String>>, StoreError> {
        let query = format!("SELECT sealed FROM {} WHERE name = ?1 AND principal = ?2", self.table.name());
        let found = self.database.with(|database| {
            database.connection.query_row(&query, params![name, &**owner.principal()], |row| row.get::<_, Vec<u8>>(0)).optional()
        })?;
        let Some(sealed) = found else { return Ok(None) };
        let opened = open(&self.key.secrets, &self.bound_to(name, owner), sealed);
        if opened.is_none() {
            tracing::error!(name, owner = %owner.principal(), "a secret cannot be opened: it was sealed with another key, or changed");
        }
        Ok(opened)
    }

    /// Forgets a text. Returns whether there was one.
    pub(crate) fn remove(&self, name: &str, owner: &CallerId) -> Result<bool, StoreError> {
        let delete = format!("DELETE FROM {} WHERE name = ?1 AND principal = ?2", self.table.name());
        self.database.with(|database| database.connection.execute(&delete, params![name, &**owner.principal()])).map(|gone| gone > 0)
    }

    /// All of them, by owner and name.
    pub(crate) fn list(&self) -> Result<Vec<SecretInfo>, StoreError> {
        let query = format!("SELECT name, principal, updated_ms FROM {} ORDER BY principal, name", self.table.name());
        self.database.with(|database| {
            let mut statement = database.connection.prepare(&query)?;
            let secrets = statement.query_map([], |row| {
                let updated = of_millis(row.get(2)?);
                Ok(SecretInfo { name: row.get(0)?, principal: row.get(1)?, updated })
            })?;
            secrets.collect()
        })
    }

    fn bound_to(&self, name: &str, owner: &CallerId) -> Vec<u8> {
        let table = self.table.name();
        [b"toolcrib ", table.as_bytes(), b" 1\0", name.as_bytes(), b"\0", owner.principal().as_bytes()].concat()
    }
}

/// Nonce, then what is sealed.
fn seal(key: &SecretKey, bound_to: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).expect("the operating system provides random numbers");
    let mut sealed = secret.to_vec();
    let done = key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound_to), &mut sealed);
    done.expect("a secret is shorter than what one nonce is good for");
    [nonce.as_slice(), &sealed].concat()
}

fn open(key: &SecretKey, bound_to: &[u8], mut sealed: Vec<u8>) -> Option<Zeroizing<String>> {
    if sealed.len() < NONCE_LEN {
        return None;
    }
    let mut rest = Zeroizing::new(sealed.split_off(NONCE_LEN));
    let nonce = Nonce::try_assume_unique_for_key(&sealed).ok()?;
    let opened = key.open_in_place(nonce, Aad::from(bound_to), &mut rest).ok()?;
    std::str::from_utf8(opened).ok().map(|text| Zeroizing::new(text.to_owned()))
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sealed").field(&self.table).finish()
    }
}
