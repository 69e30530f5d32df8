//! Secrets of callers: what they show to other servers.

use crate::{
    StoreError,
    database::{Database, Shared},
    sealed::{self, Belongs},
    secret::Master,
    times::{millis, of_millis},
};
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
        let sealed = sealed::seal(&self.key.secrets, belongs(name, owner), secret);
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
        let opened = sealed::open(&self.key.secrets, belongs(name, caller), &sealed);
        if opened.is_none() {
            tracing::error!(name, owner = %caller.principal(), "a secret cannot be opened: it was sealed with another key, or changed");
        }
        opened
    }
}

fn belongs<'a>(name: &'a str, owner: &'a CallerId) -> Belongs<'a> {
    Belongs { table: "secret", name, owner }
}
