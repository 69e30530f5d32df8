//! Who may do what, put together: keys, rules, the audit log.

use super::Fault;
use crate::{
    Builder,
    jwks::Jwks,
    settings::{
        Sections, Settings,
        checked::security::{self as settings, KeySetAt, KeysAt},
    },
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::task::JoinSet;
use toolcrib_contract::{AuditLog, KeyDirectory, Listings, Secrets, Vault};
use toolcrib_edge::http::{Hosts, ProtectedResource};
use toolcrib_egress::Egress;
use toolcrib_gate::{Access, Authentication, Credential, Gate, Issuer, Keys, Limit};
use toolcrib_store::{ApiKeys, Audit, Store};
use toolcrib_upstream::Definition;

struct Asked {
    authentication: Authentication,
    resource: Option<ProtectedResource>,
}

/// Everything that decides who may do what.
pub(super) struct Security {
    /// Who may call, and how that is told, where the config says.
    asked: Option<Asked>,
    access: Option<(Access, Vec<Limit>)>,
    local: Credential,
    hosts: Hosts,
    pub(super) audit: Option<Arc<Audit>>,
    /// Who knows the secrets of callers.
    pub(super) secrets: Option<Arc<dyn Secrets>>,
    /// Who keeps what servers had when they were last listed.
    pub(super) listings: Option<Arc<dyn Listings>>,
    /// Where sign-ins at other servers last, if they do.
    pub(super) vault: Option<Arc<dyn Vault>>,
    /// Where records are, if they last.
    pub(super) store: Option<Store>,
}

pub(super) fn assemble(all: &Settings, shown: Credential, fresh: &mut JoinSet<()>) -> Result<Security, Fault> {
    let settings = &all.security;
    let store = open_store(all)?;
    let audit = match &store {
        Some(store) if settings.audit.is_enabled => Some(store.audit(settings.audit.policy.clone())?),
        _ => None,
    };
    let (mut asked, mut local) = (None, Credential::None);
    if let Some(auth) = &settings.auth {
        let keys = store.as_ref().filter(|_| auth.takes_api_keys).map(Store::api_keys).transpose()?;
        let authentication = Authentication {
            issuers: issuers(auth, all, fresh)?,
            keys: keys.map(|keys: Arc<ApiKeys>| keys as Arc<dyn KeyDirectory>),
            is_required: auth.is_required,
            keeps_tokens: all.servers.iter().any(Definition::takes_token),
        };
        local = auth.local.clone().map_or(Credential::None, Credential::Local);
        asked = Some(Asked { authentication, resource: auth.resource.clone() });
    }
    // What a client shows goes before what the config assumes.
    if !matches!(shown, Credential::None) {
        local = shown;
    }
    if settings.auth.is_some() && settings.access.as_ref().is_none_or(|access| access.rules.is_empty()) {
        tracing::warn!("\"auth\" is set and no rule of \"access\" allows anything: nobody can call a tool");
    }
    let access = settings.access.clone().map(|access| (access, settings.limits.clone()));
    let secrets = store.as_ref().map(Store::secrets).transpose()?.map(|secrets| secrets as Arc<dyn Secrets>);
    let listings = store.as_ref().map(Store::listings).transpose()?.map(|listings| listings as Arc<dyn Listings>);
    let vault = store.as_ref().map(Store::sign_ins).transpose()?.map(|vault| vault as Arc<dyn Vault>);
    let store = store.filter(|_| settings.audit.is_enabled);
    Ok(Security { asked, access, local, hosts: settings.hosts.clone(), audit, secrets, listings, vault, store })
}

impl Security {
    /// What the config says of it goes before what the author says.
    pub(super) fn build(self, mut builder: Builder, sections: &Sections) -> Builder {
        if !matches!(self.local, Credential::None) {
            builder = builder.local(self.local);
        }
        if sections.has("http") || sections.has("auth") {
            builder = builder.hosts(self.hosts);
        }
        if let Some(Asked { authentication, resource }) = self.asked {
            builder = builder.authentication(authentication).protected_resource(resource);
        }
        if let Some((access, limits)) = self.access {
            builder = builder.access(access, limits);
        }
        match self.audit {
            Some(audit) => builder.audit(audit as Arc<dyn AuditLog>),
            None => builder,
        }
    }
}

/// Opens the store. Where the config asks for none, a server without one is better than none: it says so and keeps its records
/// in memory.
fn open_store(all: &Settings) -> Result<Option<Store>, Fault> {
    let settings = &all.security;
    let takes_keys = settings.auth.as_ref().is_some_and(|auth| auth.takes_api_keys);
    let has_secrets = all.servers.iter().any(|server| !server.bindings.is_empty());
    let can_sign_in = all.servers.iter().any(|server| server.oauth.is_some());
    let is_lazy = all.servers.iter().any(|server| server.is_lazy);
    if let Some(storage) = &all.storage {
        return Ok(Some(storage.open()?));
    }
    let is_wanted = settings.audit.is_enabled || takes_keys || has_secrets || can_sign_in || is_lazy;
    let is_demanded = settings.audit.is_demanded || takes_keys || has_secrets;
    if !is_wanted {
        return Ok(None);
    }
    let opened = match &settings.audit.folder {
        Some(folder) => Store::open(folder).map_err(Fault::from),
        None => Err(Fault::NoFolder),
    };
    match opened {
        Ok(store) => Ok(Some(store)),
        Err(fault) if is_demanded => Err(fault),
        Err(fault) => {
            tracing::warn!("no records of calls are kept, and sign-ins at other servers only in memory: {fault}");
            Ok(None)
        }
    }
}

fn issuers(auth: &settings::Auth, all: &Settings, fresh: &mut JoinSet<()>) -> Result<Vec<Arc<Issuer>>, Fault> {
    let mut issuers = Vec::with_capacity(auth.issuers.len());
    for settings in &auth.issuers {
        let keys = match &settings.keys {
            KeysAt::Here(keys) => keys.clone(),
            KeysAt::Elsewhere(place) => followed(jwks(place, all)?, fresh),
        };
        issuers.push(Arc::new(Issuer {
            name: settings.name.as_str().into(),
            keys,
            algorithms: settings.algorithms.clone(),
            demands: settings.demands.clone(),
            only_access_tokens: settings.only_access_tokens,
        }));
    }
    Ok(issuers)
}

fn jwks(place: &KeySetAt, all: &Settings) -> Result<Arc<Jwks>, Fault> {
    Ok(match place {
        KeySetAt::File(path) => Jwks::file(path.clone()),
        KeySetAt::Url(url) => Jwks::url(url.clone(), &Egress::new(all.ready.egress.clone())?)?,
    })
}

/// Asks for every key set that is elsewhere: by the name of its issuer, what is there or why nothing is.
pub(crate) async fn examine_issuers(all: &Settings) -> Result<Vec<(String, Result<String, String>)>, Fault> {
    let mut found = Vec::new();
    for issuer in all.security.auth.iter().flat_map(|auth| &auth.issuers) {
        let KeysAt::Elsewhere(place) = &issuer.keys else { continue };
        let state = jwks(place, all)?.examine().await.map(|keys| format!("{keys} key(s)"));
        found.push((issuer.name.clone(), state));
    }
    Ok(found)
}

fn followed(jwks: Arc<Jwks>, fresh: &mut JoinSet<()>) -> Keys {
    fresh.spawn(Arc::clone(&jwks).keep_fresh());
    Keys::Set(jwks)
}

/// Counts what was called today before this process began.
pub(super) fn recount(gate: &Gate, store: Option<&Store>) -> Result<(), Fault> {
    const DAY_SECS: u64 = 86_400;
    let Some(store) = store.filter(|_| gate.has_limits()) else { return Ok(()) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let today = UNIX_EPOCH + Duration::from_secs(now - now % DAY_SECS);
    for spent in store.spent_since(today)? {
        gate.recount(&spent.caller, spent.address, spent.kind, &spent.name, spent.at, spent.calls);
    }
    Ok(())
}
