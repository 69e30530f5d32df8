//! Where what lasts is kept, when it is not in a folder: on a server that replicas share.

use super::{super::raw::storage, Faults, Spanned, ready::beside};
use std::path::Path;
use toolcrib_egress::tls;
use toolcrib_store::{Address, SharedKey, Store, StoreError};
use toolcrib_tools::{Location, Tls};

/// The longest name of a replica.
const MAX_REPLICA: usize = 64;

/// What replicas share.
#[derive(Debug, Clone)]
pub struct Storage {
    /// The server of the database.
    pub database: Address,
    /// The secret from which every other key is derived.
    pub key: SharedKey,
    /// What this process is called among the others.
    pub replica: String,
}

impl Storage {
    /// Opens what is kept there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(&self) -> Result<Store, StoreError> {
        Store::connect(self.database.clone(), &self.key, &self.replica)
    }
}

pub(super) fn check(written: &storage::Storage, base: &Path, faults: &mut Faults) -> Option<Storage> {
    let missing = |what: &str| written.place.fault(format!("{what:?} is needed"));
    let database = match &written.database {
        Some(database) => address(database, base, faults),
        None => {
            faults.add(missing("database"));
            None
        }
    };
    let key =
        match &written.key {
            Some(text) => {
                let key = SharedKey::parse(&text.value);
                if key.is_none() {
                    faults.add(text.fault("expected 64 hexadecimal digits, as `openssl rand -hex 32` gives them, from a variable or file"));
                }
                key
            }
            None => {
                faults.add(written.place.fault(
                    "\"key\" is needed: the secret that all replicas have, from a variable or file; `openssl rand -hex 32` makes one",
                ));
                None
            }
        };
    if let Some(replica) = written.replica.as_ref().filter(|name| name.value.trim().is_empty() || name.value.len() > MAX_REPLICA) {
        faults.add(replica.fault(format!("a replica has a name of up to {MAX_REPLICA} bytes")));
    }
    let replica = written.replica.as_ref().map_or_else(machine, |name| name.value.clone());
    Some(Storage { database: database?, key: key?, replica })
}

fn address(written: &Spanned<String>, base: &Path, faults: &mut Faults) -> Option<Address> {
    let server = match Location::parse(&written.value).map(|location| beside(location, base)) {
        Ok(Location::Postgres(server)) => server,
        Ok(_) => {
            faults.add(
                written.fault("expected postgres://USER:PASSWORD@HOST/DATABASE; without \"storage\" everything is kept in \"dataFolder\""),
            );
            return None;
        }
        Err(error) => {
            faults.add(written.fault(error.to_string()));
            return None;
        }
    };
    let tls = match &server.tls {
        Tls::Off => None,
        Tls::On { roots } => match tls::client_config(roots.as_deref()) {
            Ok(config) => Some(config),
            Err(reason) => {
                faults.add(written.fault(reason));
                return None;
            }
        },
    };
    let password = server.password.map(Into::into);
    Some(Address { host: server.host, port: server.port, user: server.user, password, database: server.database, tls })
}

/// The name of this machine.
fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
