//! API keys: `tck_`, sixteen digits to find one by, and 256 random bits of which only a keyed hash is kept.

use crate::{
    StoreError,
    database::{Database, Failed, Row, Shared, values},
    secret::{Master, from_hex, hex},
    times::{millis, of_millis},
};
use arc_swap::ArcSwap;
use ring::hmac;
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicI64, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};
use toolcrib_contract::{CallerId, KeyDirectory};

/// How every key begins, so that people and scanners know one when they see it.
const BEGINNING: &str = "tck_";
const ID_DIGITS: usize = 16;
const SECRET_BYTES: usize = 32;
/// How soon a change made by another process is known here.
const REFRESH: Duration = Duration::from_secs(1);
/// In how many rounds it is written down which keys were used.
const NOTE_USED_EVERY: u64 = 10;

/// The API keys of a store.
pub struct ApiKeys {
    database: Arc<Shared>,
    hashes: hmac::Key,
    known: ArcSwap<HashMap<String, Known>>,
}

/// A key that may be used.
#[derive(Debug)]
struct Known {
    mac: Vec<u8>,
    holder: CallerId,
    /// The roles as they are written down, which the MAC covers.
    roles: String,
    expires_ms: Option<i64>,
    /// When it was last used; 0 if it was not since this was last written down.
    used_ms: AtomicI64,
}

/// What a new key is to be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Who holds it.
    pub subject: String,
    /// What the holder may be.
    pub roles: Vec<String>,
    /// When it stops being good.
    pub expires: Option<SystemTime>,
}

/// A key that was made just now. This is the only time that it can be seen.
pub struct Issued {
    /// By which it is listed and revoked.
    pub id: String,
    /// The key.
    pub key: String,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What is known of a key, but for the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in `NewKey`")]
pub struct KeyInfo {
    pub id: String,
    pub subject: String,
    pub roles: Vec<String>,
    pub created: SystemTime,
    pub expires: Option<SystemTime>,
    pub revoked: Option<SystemTime>,
    /// When it was last used, to the minute or so.
    pub used: Option<SystemTime>,
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys").field("known", &self.known.load().len()).finish_non_exhaustive()
    }
}

impl ApiKeys {
    pub(crate) fn open(database: Arc<Shared>, master: &Arc<Master>) -> Result<Arc<Self>, StoreError> {
        let keys = Arc::new(Self { database, hashes: master.api_keys.clone(), known: ArcSwap::default() });
        keys.refresh()?;
        let watched = Arc::downgrade(&keys);
        let spawned = thread::Builder::new().name("api keys".into()).spawn(move || watch(&watched));
        spawned.map_err(|source| StoreError::File { path: "api keys".into(), source })?;
        Ok(keys)
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn issue(&self, new: &NewKey) -> Result<Issued, StoreError> {
        let (mut id, mut secret) = ([0_u8; ID_DIGITS / 2], [0_u8; SECRET_BYTES]);
        getrandom::fill(&mut id).and_then(|()| getrandom::fill(&mut secret)).expect("the operating system provides random numbers");
        let (id, secret) = (hex(&id), hex(&secret));
        let roles = serde_json::to_string(&new.roles).unwrap_or_default();
        let mac = hmac::sign(&self.hashes, &covered(&id, &new.subject, &roles, new.expires.map(millis), &secret));
        let values = values![&*id, mac.as_ref(), &*new.subject, roles, millis(SystemTime::now()), new.expires.map(millis)];
        let insert = "INSERT INTO api_key (id, mac, subject, roles, created_ms, expires_ms) VALUES ($1, $2, $3, $4, $5, $6)";
        self.database.execute(insert, &values)?;
        self.refresh()?;
        Ok(Issued { key: format!("{BEGINNING}{id}_{secret}"), id })
    }

    /// Takes a key out of use. Returns whether there was such a key that was in use.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn revoke(&self, id: &str) -> Result<bool, StoreError> {
        // Without its MAC nobody makes it good again.
        let update = "UPDATE api_key SET revoked_ms = $2, mac = $3 WHERE id = $1 AND revoked_ms IS NULL";
        let changed = self.database.execute(update, &values![id, millis(SystemTime::now()), Vec::new()])?;
        self.refresh()?;
        Ok(changed > 0)
    }

    /// All keys, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn list(&self) -> Result<Vec<KeyInfo>, StoreError> {
        let query = "SELECT id, subject, roles, created_ms, expires_ms, revoked_ms, used_ms FROM api_key ORDER BY created_ms, id";
        let info = |row: &Row| {
            Ok(KeyInfo {
                id: row.text(0)?.into(),
                subject: row.text(1)?.into(),
                roles: serde_json::from_str(row.text(2)?).unwrap_or_default(),
                created: of_millis(row.integer(3)?),
                expires: row.some_integer(4)?.map(of_millis),
                revoked: row.some_integer(5)?.map(of_millis),
                used: row.some_integer(6)?.map(of_millis),
            })
        };
        self.database.with(|database| database.read(|it| it.query(query, &[])?.iter().map(info).collect()))
    }

    /// Writes down which keys were used.
    fn note_used(&self) -> Result<(), StoreError> {
        let known = self.known.load_full();
        for (id, key) in known.iter() {
            let used_ms = key.used_ms.swap(0, Ordering::Relaxed);
            if used_ms > 0 {
                self.database.execute("UPDATE api_key SET used_ms = $2 WHERE id = $1", &values![&**id, used_ms])?;
            }
        }
        Ok(())
    }

    /// Reads which keys there are.
    fn refresh(&self) -> Result<(), StoreError> {
        let query = "SELECT id, mac, subject, roles, expires_ms FROM api_key WHERE revoked_ms IS NULL";
        self.database.with(|database| {
            let known = self.known.load_full();
            let key = |row: &Row| {
                let (id, written) = (row.text(0)?.to_owned(), row.text(3)?.to_owned());
                let roles: Vec<String> = serde_json::from_str(&written).unwrap_or_default();
                let holder = CallerId::new(CallerId::KEY, row.text(2)?, roles);
                let used_ms = AtomicI64::new(known.get(&id).map_or(0, |key| key.used_ms.load(Ordering::Relaxed)));
                Ok((id, Known { mac: row.blob(1)?.into(), holder, roles: written, expires_ms: row.some_integer(4)?, used_ms }))
            };
            let keys = database.read(|it| it.query(query, &[])?.iter().map(key).collect())?;
            // Stored before the database is let go, so that an older state never comes after a newer one.
            self.known.store(Arc::new(keys));
            Ok(())
        })
    }

    /// Nothing depends on it, and the next time it may go well.
    fn try_to_note_used(&self) {
        if let Err(error) = self.note_used() {
            tracing::debug!(%error, "it cannot be written down which keys were used");
        }
    }

    /// A number that differs after somebody else has changed something.
    fn version(&self) -> Result<i64, StoreError> {
        self.database.with(|database| {
            let question = match database {
                Database::File(_) => "PRAGMA data_version",
                Database::Server(_) => "SELECT number FROM api_key_changes",
            };
            database.read(|it| it.first(question, &[])?.ok_or(Failed::OddValue)?.integer(0))
        })
    }
}

/// Looks for changes that other processes make, for as long as anybody has the keys.
fn watch(keys: &Weak<ApiKeys>) {
    let (mut seen, mut is_cut_off) = (None, false);
    for round in 1_u64.. {
        thread::sleep(REFRESH);
        let Some(keys) = keys.upgrade() else { return };
        let refreshed = keys.version().and_then(|version| {
            if seen != Some(version) {
                keys.refresh()?;
                seen = Some(version);
            }
            Ok(())
        });
        if round % NOTE_USED_EVERY == 0 {
            keys.try_to_note_used();
        }
        // Told when it begins and when it ends, and not every second between.
        match (&refreshed, std::mem::replace(&mut is_cut_off, refreshed.is_err())) {
            (Err(error), false) => tracing::warn!(%error, "the API keys cannot be read anew; those that are known stay as they are"),
            (Ok(()), true) => tracing::info!("the API keys can be read anew"),
            _ => {}
        }
    }
}

/// What the MAC of a key is over: whoever changes a row without the secret of the store makes a key that opens nothing.
fn covered(id: &str, subject: &str, roles: &str, expires_ms: Option<i64>, secret: &str) -> Vec<u8> {
    let expires = expires_ms.map(|ms| ms.to_string()).unwrap_or_default();
    [id, subject, roles, &expires, secret].iter().flat_map(|part| [&(part.len() as u64).to_be_bytes(), part.as_bytes()].concat()).collect()
}

impl Drop for ApiKeys {
    fn drop(&mut self) {
        self.try_to_note_used();
    }
}

impl KeyDirectory for ApiKeys {
    fn is_key(&self, credential: &str) -> bool {
        credential.starts_with(BEGINNING)
    }

    fn holder(&self, key: &str) -> Option<CallerId> {
        let (id, secret) = key.strip_prefix(BEGINNING)?.split_once('_')?;
        let known = self.known.load();
        let found = known.get(id)?;
        from_hex(secret).filter(|bytes| bytes.len() == SECRET_BYTES)?;
        // Compares in constant time.
        let covered = covered(id, &found.holder.subject, &found.roles, found.expires_ms, secret);
        hmac::verify(&self.hashes, &covered, &found.mac).ok()?;
        let now = millis(SystemTime::now());
        if found.expires_ms.is_some_and(|expires| expires <= now) {
            return None;
        }
        found.used_ms.store(now, Ordering::Relaxed);
        Some(found.holder.clone())
    }
}
