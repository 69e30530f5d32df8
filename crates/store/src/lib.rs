//! What lasts: the audit log, API keys, secrets of callers and sign-ins, in one folder or on a server of PostgreSQL.
//!
//! The folder holds `toolcrib.db` (SQLite) and `toolcrib.key`, from which every other key is derived. Both are for their
//! owner's eyes only. Several processes may share the folder; several machines share a server, and the key.

mod api_keys;
mod audit;
mod database;
mod listings;
mod replicas;
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
    spool::SpoolAt,
    verify::{Broken, Verdict},
};
pub use database::server::Address;
pub use listings::ServerLists;
pub use replicas::{Adoption, Replicas, SharedAt, Standing, Whereabouts};
pub use secret::SharedKey;
pub use secrets::{CallerSecrets, SecretInfo};
pub use times::{moment, utc};
pub use vault::SignIns;

use database::{
    Database, Shared,
    server::{Background, Server},
};
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
    #[error("{place} was written by a newer Toolcrib (its schema is {found}, this one knows {known}): use that one")]
    Newer {
        /// The file or server.
        place: String,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// What is on the server belongs to another secret.
    #[error("what is in {0} was written with another key: every replica needs the same \"storage.key\"")]
    OtherKey(String),
    /// A value is of another type than was written.
    #[error("{place} is damaged: a value is of another type than was written")]
    OddValue {
        /// The file or server.
        place: String,
    },
    /// The database does not do what it is asked.
    #[error("{place}: {reason}")]
    Database {
        /// The file or server.
        place: String,
        /// Why.
        reason: String,
    },
}

/// Where everything lasts.
#[derive(Debug, Clone)]
pub struct Store {
    place: Place,
    master: Arc<Master>,
}

#[derive(Debug, Clone)]
enum Place {
    Folder(PathBuf),
    Server(OnServer),
}

/// What all who use a server have in common.
#[derive(Debug, Clone)]
struct OnServer {
    address: Arc<Address>,
    background: Arc<Background>,
    /// One connection for what is asked now and then.
    shared: Arc<Shared>,
    replica: Arc<str>,
}

impl Store {
    /// Opens the folder, and makes what is missing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        secret::make_folder(folder)?;
        let store = Self { place: Place::Folder(folder.to_owned()), master: Arc::new(Master::of(folder)?) };
        store.database()?;
        Ok(store)
    }

    /// Uses a server, and brings it to the schema of this version. `replica` names this process in the audit log.
    ///
    /// # Errors
    /// [`StoreError`]: also where the server cannot be reached.
    pub fn connect(address: Address, key: &SharedKey, replica: &str) -> Result<Self, StoreError> {
        let (address, background, master) = (Arc::new(address), Arc::new(Background::start()?), Arc::new(key.master()));
        let mut server = Server::new(&address, &background);
        server.migrate(&master)?;
        let shared = Shared::new(Database::Server(server));
        Ok(Self { place: Place::Server(OnServer { address, background, shared, replica: replica.into() }), master })
    }

    /// Where it is, for people: a folder, or a server and its database.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.place {
            Place::Folder(folder) => folder.display().to_string(),
            Place::Server(OnServer { address, .. }) => format!("{address:?}"),
        }
    }

    /// Whether there is anything in this folder yet.
    #[must_use]
    pub fn exists(folder: &Path) -> bool {
        folder.join(database::file::NAME).exists()
    }

    /// Begins to keep an audit log.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn audit(&self, policy: Policy) -> Result<Arc<Audit>, StoreError> {
        let replica = if let Place::Server(OnServer { replica, .. }) = &self.place { replica } else { "" };
        Audit::start(self.database()?, &self.master, policy, replica)
    }

    /// The API keys, as they are now and as they change.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn api_keys(&self) -> Result<Arc<ApiKeys>, StoreError> {
        // Asked every second: it is not to stand in the way of others.
        ApiKeys::open(Shared::new(self.database()?), &self.master)
    }

    /// The secrets of callers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn secrets(&self) -> Result<Arc<CallerSecrets>, StoreError> {
        Ok(CallerSecrets::open(self.shared()?, &self.master))
    }

    /// What we sign in with at other servers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sign_ins(&self) -> Result<Arc<SignIns>, StoreError> {
        Ok(SignIns::open(self.shared()?, &self.master))
    }

    /// What other servers had when they were last listed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn listings(&self) -> Result<Arc<ServerLists>, StoreError> {
        ServerLists::open(self.shared()?)
    }

    /// The records that the filter lets pass, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn records(&self, filter: &Filter) -> Result<Vec<Entry>, StoreError> {
        audit::query::read(&mut self.reader()?, filter)
    }

    /// The record of this number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn record(&self, seq: i64) -> Result<Option<Entry>, StoreError> {
        audit::query::one(&mut self.reader()?, seq)
    }

    /// How much each caller has called since then, for limits that outlast a restart.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn spent_since(&self, since: std::time::SystemTime) -> Result<Vec<Spent>, StoreError> {
        audit::query::spent_since(&mut self.reader()?, since)
    }

    /// Who has called since then, the busiest first, and no more than so many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn activity_since(&self, since: std::time::SystemTime, limit: usize) -> Result<Vec<Activity>, StoreError> {
        audit::query::activity_since(&mut self.reader()?, since, limit)
    }

    /// Checks the whole chain of records.
    ///
    /// # Errors
    /// [`StoreError`] where the log cannot be read at all; a broken chain is a [`Verdict`].
    pub fn verify(&self) -> Result<Verdict, StoreError> {
        audit::verify(&mut self.reader()?, &self.master)
    }

    /// A connection for what reads much of the log.
    fn reader(&self) -> Result<Database, StoreError> {
        Ok(match self.database()? {
            Database::Server(server) => Database::Server(server.patient()),
            file @ Database::File(_) => file,
        })
    }

    /// A connection of one's own.
    fn database(&self) -> Result<Database, StoreError> {
        Ok(match &self.place {
            Place::Folder(folder) => Database::open(&folder.join(database::file::NAME))?,
            Place::Server(OnServer { address, background, .. }) => Database::Server(Server::new(address, background)),
        })
    }

    /// A connection for what is asked now and then.
    fn shared(&self) -> Result<Arc<Shared>, StoreError> {
        match &self.place {
            Place::Folder(_) => Ok(Shared::new(self.database()?)),
            Place::Server(OnServer { shared, .. }) => Ok(Arc::clone(shared)),
        }
    }
}
