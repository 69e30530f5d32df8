//! What we sign in with at other servers. Several processes may share it: each change names the version that it is made to, and whoever is
//! about to change something can ask the others to wait.

use crate::{
    StoreError,
    database::{Shared, Value, values},
    sealed::{self, Belongs},
    secret::Master,
    times::millis,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};
use toolcrib_contract::{CallerId, Stored, Vault, Version};

/// Sign-ins at other servers.
pub struct SignIns {
    database: Arc<Shared>,
    key: Arc<Master>,
    /// Tells this process from others.
    holder: i64,
    has_complained: AtomicBool,
}

impl SignIns {
    pub(crate) fn open(database: Arc<Shared>, master: &Arc<Master>) -> Arc<Self> {
        let mut holder = [0; 8];
        getrandom::fill(&mut holder).expect("the operating system provides random numbers");
        let holder = i64::from_ne_bytes(holder);
        Arc::new(Self { database, key: Arc::clone(master), holder, has_complained: AtomicBool::new(false) })
    }

    fn seal(&self, name: &str, owner: &CallerId, text: &str) -> Vec<u8> {
        sealed::seal(&self.key.secrets, belongs(name, owner), text)
    }

    fn execute(&self, sql: &str, values: &[Value]) -> Result<bool, String> {
        self.database.execute(sql, values).map(|rows| rows > 0).map_err(|error| error.to_string())
    }

    fn select(&self, name: &str, owner: &CallerId) -> Result<Option<Vec<u8>>, StoreError> {
        let query = "SELECT sealed FROM vault WHERE name = $1 AND principal = $2";
        self.database.blob(query, &values![name, &**owner.principal()])
    }
}

impl Vault for SignIns {
    fn load(&self, name: &str, owner: &CallerId) -> Result<Option<Stored>, String> {
        let Some(sealed) = self.select(name, owner).map_err(|error| error.to_string())? else { return Ok(None) };
        let opened = sealed::open(&self.key.secrets, belongs(name, owner), &sealed);
        if opened.is_none() && !self.has_complained.swap(true, Ordering::Relaxed) {
            tracing::error!(name, owner = %owner.principal(), "a sign-in cannot be opened: it was sealed with another key, or changed");
        }
        Ok(opened.map(|text| Stored { text, version: Version(sealed.into()) }))
    }

    fn save(&self, name: &str, owner: &CallerId, text: &str) -> Result<(), String> {
        let insert = "INSERT INTO vault (name, principal, sealed, updated_ms) VALUES ($1, $2, $3, $4) ON CONFLICT (name, principal)
            DO UPDATE SET sealed = excluded.sealed, updated_ms = excluded.updated_ms, holder = NULL, held_until_ms = NULL";
        let values = values![name, &**owner.principal(), self.seal(name, owner, text), millis(SystemTime::now())];
        self.execute(insert, &values).map(drop)
    }

    fn replace(&self, name: &str, owner: &CallerId, version: &Version, text: Option<&str>) -> Result<bool, String> {
        let (principal, version) = (&**owner.principal(), &*version.0);
        let Some(text) = text else {
            let delete = "DELETE FROM vault WHERE name = $1 AND principal = $2 AND sealed = $3";
            return self.execute(delete, &values![name, principal, version]);
        };
        let update = "UPDATE vault SET sealed = $4, updated_ms = $5, holder = NULL, held_until_ms = NULL
            WHERE name = $1 AND principal = $2 AND sealed = $3";
        self.execute(update, &values![name, principal, version, self.seal(name, owner, text), millis(SystemTime::now())])
    }

    fn forget(&self, name: &str, owner: &CallerId) -> Result<bool, String> {
        self.execute("DELETE FROM vault WHERE name = $1 AND principal = $2", &values![name, &**owner.principal()])
    }

    fn hold(&self, name: &str, owner: &CallerId, within: Duration) -> Result<bool, String> {
        let now = SystemTime::now();
        let update = "UPDATE vault SET holder = $3, held_until_ms = $4
            WHERE name = $1 AND principal = $2 AND (holder IS NULL OR holder = $3 OR held_until_ms <= $5)";
        self.execute(update, &values![name, &**owner.principal(), self.holder, millis(now + within), millis(now)])
    }

    fn release(&self, name: &str, owner: &CallerId) {
        let update = "UPDATE vault SET holder = NULL, held_until_ms = NULL WHERE name = $1 AND principal = $2 AND holder = $3";
        if let Err(reason) = self.execute(update, &values![name, &**owner.principal(), self.holder]) {
            tracing::debug!("others have to wait for a sign-in until our time is over: {reason}");
        }
    }
}

fn belongs<'a>(name: &'a str, owner: &'a CallerId) -> Belongs<'a> {
    Belongs { table: "vault", name, owner }
}

impl fmt::Debug for SignIns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignIns")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;

    #[test]
    fn what_has_changed_meanwhile_stays_and_who_came_first_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (ours, theirs) = (store.sign_ins().unwrap(), store.sign_ins().unwrap());
        let owner = CallerId::ourselves();
        ours.save("a", &owner, "one").unwrap();
        let one = ours.load("a", &owner).unwrap().unwrap();
        assert_eq!(*one.text, "one");
        let a_while = Duration::from_secs(60);
        assert!(ours.hold("a", &owner, a_while).unwrap() && ours.hold("a", &owner, a_while).unwrap());
        assert!(!theirs.hold("a", &owner, a_while).unwrap());
        ours.release("a", &owner);
        assert!(theirs.hold("a", &owner, Duration::ZERO).unwrap(), "and it is over at once");
        assert!(ours.hold("a", &owner, a_while).unwrap());
        assert!(ours.replace("a", &owner, &one.version, Some("two")).unwrap());
        assert!(theirs.hold("a", &owner, a_while).unwrap(), "a change ends it");
        assert!(!theirs.replace("a", &owner, &one.version, None).unwrap());
        assert!(!theirs.replace("a", &owner, &one.version, Some("three")).unwrap());
        assert_eq!(*theirs.load("a", &owner).unwrap().unwrap().text, "two");
        assert!(theirs.forget("a", &owner).unwrap() && !ours.forget("a", &owner).unwrap());
        assert!(!ours.hold("nothing", &owner, a_while).unwrap());
    }
}
