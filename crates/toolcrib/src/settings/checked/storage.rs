//! Where what lasts is kept, when it is not in a folder: on a server that replicas share.

use super::{
    super::raw::storage,
    Faults, Spanned, one_of,
    ready::{beside, ca_file},
    within,
};
use std::path::Path;
use toolcrib_egress::{Url, tls};
use toolcrib_store::{Address, SharedAt, SharedKey, SpoolAt, Store, StoreError};
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
    /// How much of the audit log may wait on the local disk while the database is away, in bytes. 0: nothing.
    pub spool_max_bytes: u64,
    /// What replicas share that is quicker than a database, if there is more than one.
    pub shared: Option<Shared>,
}

/// What replicas share that is quick.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Where it is.
    pub at: SharedAt,
    /// Whether each replica counts by itself while it is away, rather than to refuse what is limited.
    pub degrades: bool,
    /// Where the other replicas reach this one, if that is not where it listens.
    pub advertise: Option<String>,
}

/// The words for what is done while what is shared is away.
const ON_LOSS: &[(&str, bool)] = &[("refuse", false), ("degrade", true)];

impl Storage {
    /// Opens what is kept there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(&self) -> Result<Store, StoreError> {
        Store::connect(self.database.clone(), &self.key, &self.replica)
    }

    /// Where records wait while the database is away, if they may.
    pub(super) fn spool(&self, folder: Option<&Path>) -> Option<SpoolAt> {
        let folder = folder?.to_owned();
        (self.spool_max_bytes > 0).then_some(SpoolAt { folder, max_bytes: self.spool_max_bytes })
    }
}

pub(super) fn check(written: &storage::Storage, base: &Path, faults: &mut Faults) -> Option<Storage> {
    let database = written.database.as_ref().and_then(|database| address(database, base, faults));
    let key = written.key.as_ref().and_then(|text| {
        let key = SharedKey::parse(&text.value);
        if key.is_none() {
            faults.add(text.fault("expected 64 hexadecimal digits, as `openssl rand -hex 32` gives them, from a variable or file"));
        }
        key
    });
    if let Some(replica) = written.replica.as_ref().filter(|name| name.value.trim().is_empty() || name.value.len() > MAX_REPLICA) {
        faults.add(replica.fault(format!("a replica has a name of up to {MAX_REPLICA} bytes")));
    }
    let replica = written.replica.as_ref().map_or_else(machine, |name| name.value.clone());
    let shared = shared(written, base, faults);
    let spool = written.spool_max_bytes.as_ref().filter(|bytes| bytes.value > 0);
    let spool_max_bytes = within(spool, (1 << 20)..=(1 << 40), faults).unwrap_or_default() as u64;
    Some(Storage { database: database?, key: key?, replica, spool_max_bytes, shared })
}

fn shared(written: &storage::Storage, base: &Path, faults: &mut Faults) -> Option<Shared> {
    let roots = written.shared_ca_file.as_ref().and_then(|file| ca_file(file, base, faults));
    let degrades = one_of(written.on_shared_loss.as_ref(), ON_LOSS, faults).unwrap_or_default();
    let advertise = written.advertise.as_ref().and_then(|url| advertised(url, faults));
    if written.shared.is_empty() {
        let alone = [&written.shared_ca_file, &written.on_shared_loss, &written.advertise];
        alone.into_iter().flatten().for_each(|key| faults.add(key.fault("this goes with \"shared\"")));
        return None;
    }
    let is_known =
        |url: &str| Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "redis" | "rediss" | "valkey" | "valkeys") && url.has_host());
    for url in written.shared.iter().filter(|url| !is_known(&url.value)) {
        faults.add(url.fault("expected the URL of Valkey or Redis, such as rediss://USER:PASSWORD@HOST:6379"));
    }
    let as_redis = |url: &Spanned<String>| url.value.replacen("valkey", "redis", usize::from(url.value.starts_with("valkey")));
    let at = SharedAt { urls: written.shared.iter().map(as_redis).collect(), is_cluster: written.is_cluster, roots };
    Some(Shared { at, degrades, advertise })
}

/// A URL without a path: where the other replicas reach us.
fn advertised(written: &Spanned<String>, faults: &mut Faults) -> Option<String> {
    let url = Url::parse(&written.value).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.filter(|url| url.path() == "/" && url.query().is_none() && url.username().is_empty());
    if url.is_none() {
        faults.add(written.fault("expected where the other replicas reach this one, without a path, such as http://10.0.0.5:3001"));
    }
    url.map(|url| url.as_str().trim_end_matches('/').to_owned())
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
