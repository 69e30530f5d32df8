//! Secrets of callers: what they show to other servers.

use crate::{
    StoreError,
    database::{Row, Shared, values},
    sealed::{self, Belongs},
    secret::Master,
    times::{millis, of_millis},
};
use std::{fmt, sync::Arc, time::SystemTime};
use toolcrib_contract::{CallerId, Secrets};
use zeroize::Zeroizing;

/// The secrets of callers.
pub struct CallerSecrets {
    database: Arc<Shared>,
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
    pub(crate) fn open(database: Arc<Shared>, master: &Arc<Master>) -> Arc<Self> {
        Arc::new(Self { database, key: Arc::clone(master) })
    }

    /// Stores a secret of a caller, in place of one of that name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set(&self, name: &str, owner: &CallerId, secret: &str) -> Result<(), StoreError> {
        let sealed = sealed::seal(&self.key.secrets, belongs(name, owner), secret);
        let insert = "INSERT INTO secret (name, principal, sealed, updated_ms) VALUES ($1, $2, $3, $4)
            ON CONFLICT (name, principal) DO UPDATE SET sealed = excluded.sealed, updated_ms = excluded.updated_ms";
        self.database.execute(insert, &values![name, &**owner.principal(), sealed, millis(SystemTime::now())]).map(drop)
    }

    /// Forgets a secret. Returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove(&self, name: &str, owner: &CallerId) -> Result<bool, StoreError> {
        let delete = "DELETE FROM secret WHERE name = $1 AND principal = $2";
        self.database.execute(delete, &values![name, &**owner.principal()]).map(|gone| gone > 0)
    }

    /// All secrets, by owner and name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn list(&self) -> Result<Vec<SecretInfo>, StoreError> {
        self.database.with(|database| {
            database.read(|it| {
                let rows = it.query("SELECT name, principal, updated_ms FROM secret ORDER BY principal, name", &[])?;
                let info = |row: &Row| {
                    Ok(SecretInfo { name: row.text(0)?.into(), principal: row.text(1)?.into(), updated: of_millis(row.integer(2)?) })
                };
                rows.iter().map(info).collect()
            })
        })
    }
}

impl Secrets for CallerSecrets {
    fn secret(&self, name: &str, caller: &CallerId) -> Option<Zeroizing<String>> {
        let query = "SELECT sealed FROM secret WHERE name = $1 AND principal = $2";
        let found = self.database.blob(query, &values![name, &**caller.principal()]);
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
