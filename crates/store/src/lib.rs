//! What lasts: the audit log, API keys, secrets of callers and sign-ins, in one folder. And what need not: the latest records in memory.
//!
//! The folder holds `toolcrib.db` (SQLite) and `toolcrib.key`, from which every other key is derived. Both are for their
//! owner's eyes only. Several processes may share the folder.

mod api_keys;
mod audit;
mod database;
mod listings;
mod recent;
mod sealed;
mod secret;
mod secrets;
mod times;
mod vault;

pub use api_keys::{ApiKeys, Issued, KeyInfo, NewKey};
pub use audit::{
    Audit, Policy,
    query::{Activity, Entry, Filter, OutcomeFilter, Spent},
    redact::{Arguments, looks_secret, names_a_secret},
    verify::{Broken, Verdict},
};
pub use listings::ServerLists;
pub use recent::Recent;
pub use secrets::{CallerSecrets, SecretInfo};
pub use times::{moment, utc};
pub use vault::SignIns;

use database::Database;
use secret::Master;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or a file in it cannot be made or read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read a file that is secret.
    #[error("{} can be read by others: run chmod 600 on it, and think about who may have read it", .0.display())]
    Exposed(PathBuf),
    /// The secret is gone, though what it protects is there.
    #[error("{} is missing, though there is a database that belongs to it: put it back from a backup, or move the folder away to begin anew", .0.display())]
    KeyMissing(PathBuf),
    /// A file is not what it should be.
    #[error("{} is damaged or of another kind: {reason}; put it back from a backup, or move it away to begin anew", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// In what way.
        reason: String,
    },
    /// The database was written by a newer version.
    #[error("{} was written by a newer Toolcrib (its schema is {found}, this one knows {known}): use that one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The database does not do what it is asked.
    #[error("{}: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

/// The folder in which everything lasts.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
    master: Arc<Master>,
}

impl Store {
    /// Opens the folder, and makes what is missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        secret::make_folder(folder)?;
        let store = Self { folder: folder.to_owned(), master: Arc::new(Master::of(folder)?) };
        store.database()?;
        Ok(store)
    }

    /// Whether there is anything in this folder yet.
    #[must_use]
    pub fn exists(folder: &Path) -> bool {
        folder.join(database::FILE).exists()
    }

    /// Begins to keep an audit log.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn audit(&self, policy: Policy) -> Result<Arc<Audit>, StoreError> {
        Audit::start(self.database()?, &self.master, policy)
    }

    /// The API keys, as they are now and as they change.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn api_keys(&self) -> Result<Arc<ApiKeys>, StoreError> {
        ApiKeys::open(self.database()?, &self.master)
    }

    /// The secrets of callers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn secrets(&self) -> Result<Arc<CallerSecrets>, StoreError> {
        Ok(CallerSecrets::open(self.database()?, &self.master))
    }

    /// What we sign in with at other servers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sign_ins(&self) -> Result<Arc<SignIns>, StoreError> {
        Ok(SignIns::open(self.database()?, &self.master))
    }

    /// What other servers had when they were last listed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn listings(&self) -> Result<Arc<ServerLists>, StoreError> {
        ServerLists::open(self.database()?)
    }

    /// The records that the filter lets pass, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn records(&self, filter: &Filter) -> Result<Vec<Entry>, StoreError> {
        audit::query::read(&self.database()?, filter)
    }

    /// The record of this number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn record(&self, seq: i64) -> Result<Option<Entry>, StoreError> {
        audit::query::one(&self.database()?, seq)
    }

    /// How much each caller has called since then, for limits that outlast a restart.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn spent_since(&self, since: std::time::SystemTime) -> Result<Vec<Spent>, StoreError> {
        audit::query::spent_since(&self.database()?, since)
    }

    /// Who has called since then, the busiest first, and no more than so many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn activity_since(&self, since: std::time::SystemTime, limit: usize) -> Result<Vec<Activity>, StoreError> {
        audit::query::activity_since(&self.database()?, since, limit)
    }

    /// Checks the whole chain of records.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read at all; a broken chain is a [`Verdict`].
    pub fn verify(&self) -> Result<Verdict, StoreError> {
        audit::verify::verify(&self.database()?, &self.master)
    }

    fn database(&self) -> Result<Database, StoreError> {
        Database::open(&self.folder.join(database::FILE))
    }
}
