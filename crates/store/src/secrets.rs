//! Secrets of callers, sealed (AES-256-GCM) with a key that is not in the database.
//!
//! What is sealed is bound to its name and owner: a row that is moved to somebody else opens for nobody.

use crate::{
    StoreError,
    database::{Database, Shared},
    secret::{Master, SecretKey},
    times::{millis, of_millis},
};
use ring::aead::{Aad, NONCE_LEN, Nonce};
use rusqlite::{OptionalExtension, params};
use std::{fmt, sync::Arc, time::SystemTime};
use toolcrib_contract::{CallerId, Secrets};
use zeroize::Zeroizing;

/// The secrets of callers.
pub struct CallerSecrets {
    database: Shared,
    key: Arc<Master>,
}

/// A secret that there is, but for the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretInfo {
    /// Its name.
    pub name: String,
    /// Whose it is: authority and subject.
    pub principal: String,
    /// When it was stored.
    pub updated: SystemTime,
}

impl fmt::Debug for CallerSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerSecrets")
    }
}

impl CallerSecrets {
    pub(crate) fn open(database: Database, master: &Arc<Master>) -> Arc<Self> {
        Arc::new(Self { database: Shared::new(database), key: Arc::clone(master) })
    }

    /// Stores a secret of a caller, in place of one of that name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set(&self, name: &str, owner: &CallerId, secret: &str) -> Result<(), StoreError> {
        let sealed = seal(&self.key.secrets, &bound_to(name, owner.principal()), secret.as_bytes());
        let values = params![name, &**owner.principal(), sealed, millis(SystemTime::now())];
        let insert = "INSERT OR REPLACE INTO secret (name, principal, sealed, updated_ms) VALUES (?1, ?2, ?3, ?4)";
        self.database.with(|database| database.connection.execute(insert, values).map(drop))
    }

    /// Forgets a secret. Returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove(&self, name: &str, owner: &CallerId) -> Result<bool, StoreError> {
        let delete = "DELETE FROM secret WHERE name = ?1 AND principal = ?2";
        self.database.with(|database| database.connection.execute(delete, params![name, &**owner.principal()])).map(|gone| gone > 0)
    }

    /// All secrets, by owner and name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn list(&self) -> Result<Vec<SecretInfo>, StoreError> {
        self.database.with(|database| {
            let mut statement = database.connection.prepare("SELECT name, principal, updated_ms FROM secret ORDER BY principal, name")?;
            let secrets = statement.query_map([], |row| {
                let updated = of_millis(row.get(2)?);
                Ok(SecretInfo { name: row.get(0)?, principal: row.get(1)?, updated })
            })?;
            secrets.collect()
        })
    }
}

impl Secrets for CallerSecrets {
    fn secret(&self, name: &str, caller: &CallerId) -> Option<Zeroizing<String>> {
        let query = "SELECT sealed FROM secret WHERE name = ?1 AND principal = ?2";
        let found = self.database.with(|database| {
            database.connection.query_row(query, params![name, &**caller.principal()], |row| row.get::<_, Vec<u8>>(0)).optional()
        });
        let sealed = match found {
            Ok(sealed) => sealed?,
            Err(error) => {
                tracing::error!(%error, "the secrets of callers cannot be read");
                return None;
            }
        };
        let opened = open(&self.key.secrets, &bound_to(name, caller.principal()), sealed);
        if opened.is_none() {
            tracing::error!(name, owner = %caller.principal(), "a secret cannot be opened: it was sealed with another key, or changed");
        }
        opened
    }
}

fn bound_to(name: &str, principal: &str) -> Vec<u8> {
    [b"toolcrib secret 1\0".as_slice(), name.as_bytes(), b"\0", principal.as_bytes()].concat()
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
