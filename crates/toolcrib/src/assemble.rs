//! Puts a server together from its settings: who may call, ready tools, other servers, one gate.

pub(crate) mod documents;
pub(crate) mod fleet;
mod publisher;
mod resources;
pub(crate) mod security;
pub(crate) mod sign_in;
pub(crate) mod status;

use crate::{
    BuildError, Builder, Crib,
    about::{self, settings::Effective},
    landing::Landings,
    open_files,
    operations::Configured,
    settings::{
        Sections, Settings,
        checked::{Overrides, Steadiness},
    },
};
use arc_swap::ArcSwap;
use fleet::{Changes, Fleet, Shelves};
use publisher::{Publisher, Steadied};
use sign_in::SignIns;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet};
use toolcrib_contract::Callback;
use toolcrib_egress::{Egress, Setup};
use toolcrib_gate::{Access, Credential, Gate, Limit, SchemaFault};
use toolcrib_store::{Audit, Replicas, Store, StoreError};
use toolcrib_telemetry::otlp::Exporter;
use toolcrib_tools::{
    Ready,
    declared::{Does, Resources},
};
use toolcrib_upstream::Definition;
use toolcrib_wire::server::Limits as DoorLimits;

/// Why a server cannot be put together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("a ready tool cannot be offered: {0}")]
    Schema(#[from] SchemaFault),
    #[error(transparent)]
    Egress(#[from] Setup),
    #[error("the audit log cannot be kept: {0}; \"dataFolder\" or \"storage\" in the config says where it is to be")]
    Store(#[from] StoreError),
    #[error("what replicas share cannot be used: {0}; no replica is started without it. \"storage\" in the config says where it is")]
    Shared(StoreError),
    #[error("the audit log needs a folder, and neither HOME nor XDG_DATA_HOME says where: set \"dataFolder\" in the config")]
    NoFolder,
}

impl From<Fault> for BuildError {
    fn from(fault: Fault) -> Self {
        Self::Assembly(fault.to_string().into())
    }
}

/// What the config has put behind the gate.
#[derive(Debug)]
pub(crate) struct Behind {
    gate: Arc<Gate>,
    pub(crate) fleet: Fleet,
    /// What of it there is to look after.
    pub(crate) configured: Configured,
    /// The names of the tools that are not another server's.
    pub(crate) own_tools: Vec<String>,
    /// Where browsers come back to.
    landings: Arc<Landings>,
    /// At which URL clients see our MCP endpoint, if the config says.
    public_url: Option<String>,
    stop: watch::Sender<bool>,
    store: Option<Store>,
    /// What the config said, section by section, when we began, and when the rules were last taken up.
    began_with: Sections,
    ruled_by: Mutex<Sections>,
    /// How we are set, for who asks.
    effective: Effective,
    /// Whether callers' tokens are kept for servers that they are passed on to, and callers' secrets are at hand.
    keeps_tokens: bool,
    has_secrets: bool,
    has_listings: bool,
    /// Where records are kept that last, if they are.
    pub(crate) recorded_in: Option<String>,
    audit: Option<Arc<Audit>>,
    /// The others that are one server with this one, and where they reach it if that is not where it listens.
    pub(crate) replicas: Option<(Arc<Replicas>, Option<String>)>,
    /// How long the door stays open after it was said that we are leaving.
    pub(crate) drain: Duration,
    /// What keeps the keys of issuers fresh, and the lists of files; ends with this.
    _tasks: JoinSet<()>,
}

/// Whether callers can begin to sign in at other servers: only where we stay for long enough to see them come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    /// For as long as there are clients.
    Long,
    /// For one command.
    Short,
}

/// Puts everything together and starts the other servers in the background. `shown` is what a local client shows to prove
/// who it is.
pub(crate) async fn assemble(mut builder: Builder, mut settings: Settings, shown: Credential, stay: Stay) -> Result<Crib, BuildError> {
    settings.notes.extend(documents::bring(&mut settings.ready, settings.security.audit.folder.as_deref()).await);
    settings.notes.iter().for_each(|note| tracing::info!("{note}"));
    settings.absences.iter().for_each(|absence| tracing::warn!("{absence}"));
    let mut fresh = JoinSet::new();
    // Records go where the author says, unless the config speaks of them.
    settings.security.audit.is_enabled &= builder.audit.is_none() || settings.sections.has("audit");
    let security = security::assemble(&settings, shown, &mut fresh)?;
    let shared = settings.storage.as_ref().and_then(|storage| storage.shared.as_ref().map(|shared| (&storage.key, shared)));
    let replicas = match shared {
        Some((key, shared)) => {
            let replicas = Replicas::join(&shared.at, key, shared.degrades).await.map_err(Fault::Shared)?;
            builder = builder.among(&replicas, shared.degrades, settings.doors.session_idle);
            settings.ready.home = replicas.home();
            Some((replicas, shared.advertise.clone()))
        }
        None => None,
    };
    let stop = watch::Sender::new(false);
    let sign_ins = SignIns::new(&settings.ready, security.vault.clone(), stop.subscribe())?;
    let effective: Effective = Arc::new(ArcSwap::from_pointee(about::settings::document(&settings, &builder.identity)));
    let (exporter, tracing) = match settings.otlp.take().filter(|_| stay == Stay::Long) {
        Some(otlp) => {
            let (exporter, tracing) =
                Exporter::new(otlp, &Egress::new(settings.ready.egress.clone()).map_err(Fault::from)?).map_err(Fault::from)?;
            (Some(exporter), tracing)
        }
        None => (None, None),
    };
    let builder = bounded(builder, &settings, stay).statistics().telling(exporter, tracing);
    let public_url = settings.security.public_url.clone();
    let recorded_in = security.audit.as_ref().and(security.store.as_ref()).map(Store::place);
    let (audit, store) = (security.audit.clone(), security.store.clone());
    let shelves = Shelves { secrets: security.secrets.clone(), listings: security.listings.clone() };
    let logins = (stay == Stay::Long).then(|| Arc::clone(&sign_ins.logins));
    let keeps_tokens = settings.servers.iter().any(Definition::takes_token);
    let has_secrets = shelves.secrets.is_some();
    let has_listings = shelves.listings.is_some();
    let ready = watch::Sender::new(false);
    let builder =
        security.build(builder, &settings.sections).ready(ready.subscribe()).callback(logins.map(|logins| logins as Arc<dyn Callback>));
    let declared = settings.ready.declared.iter();
    let declared = declared.map(|tool| (tool.spec.name.clone(), matches!(tool.does, Does::Pipeline(_)))).collect();
    let (builder, resources) = ready_tools(builder, settings.ready, &settings.steadiness, settings.sections.has("resilience"))?;
    let mut tasks = fresh;
    let behind = move |gate: &Arc<Gate>| {
        for source in [about::settings::source(gate, Arc::clone(&effective)), about::log::source(gate)] {
            gate.publish(source).iter().for_each(|clash| tracing::warn!("{clash}"));
        }
        resources::publish(gate, resources, &mut tasks);
        let own_tools = gate.catalogue().tools().map(|tool| tool.spec().name.clone()).collect();
        if let Err(fault) = security::recount(gate, store.as_ref()) {
            tracing::warn!("what was called before is not counted for limits: {fault}");
        }
        let steadied = Steadied { all: settings.steadiness, servers: settings.servers_steadied };
        let landings = Arc::clone(&sign_ins.landings);
        let file = settings.files.first().cloned();
        let fleet = Fleet::new(Publisher::new(Arc::clone(gate), steadied, declared), sign_ins, shelves, stay);
        fleet.offer_status();
        settings.servers.into_iter().try_for_each(|definition| fleet.start(definition))?;
        fleet.tell_when_settled(ready);
        Ok(Some(Behind {
            gate: Arc::clone(gate),
            configured: Configured { servers: fleet.lister(), store: store.clone(), effective: Arc::clone(&effective), file },
            fleet,
            own_tools,
            landings,
            public_url,
            stop,
            store,
            began_with: settings.sections.clone(),
            ruled_by: Mutex::new(settings.sections),
            effective,
            keeps_tokens,
            has_secrets,
            has_listings,
            recorded_in,
            audit,
            replicas,
            drain: settings.security.drain,
            _tasks: tasks,
        }))
    };
    builder.finish(behind).await
}

impl Behind {
    /// The sections of the config that are taken up while we serve.
    const TAKEN_UP: &[&str] = &["mcpServers", "access", "resilience"];

    /// Our HTTP door is open here; browsers see it there, unless the config says at which URL.
    pub(crate) fn door_is_at(&self, address: SocketAddr) {
        let url = toolcrib_edge::http::url(address);
        self.landings.door_is_at(self.public_url.as_deref().unwrap_or(&url));
    }

    /// Says to the other replicas where they reach us, now that our door is open here.
    pub(crate) async fn announce(&self, address: SocketAddr) {
        if let Some((replicas, advertise)) = &self.replicas {
            replicas.announce(advertise.clone().unwrap_or_else(|| format!("http://{address}"))).await;
        }
    }

    /// Says to the other replicas that our door is shut.
    pub(crate) async fn close_door(&self) {
        if let Some((replicas, _)) = &self.replicas {
            replicas.close().await;
        }
    }

    /// Says to the other replicas that we are there no more.
    pub(crate) async fn leave(&self) {
        if let Some((replicas, _)) = &self.replicas {
            replicas.leave().await;
        }
    }

    /// Makes of the config as it is now what can be made of it while we serve: other servers, and who may do what. Says what was done.
    pub(crate) fn reload(&self, settings: Settings) {
        settings.absences.iter().for_each(|absence| tracing::warn!("{absence}"));
        let sections = settings.sections.clone();
        let differing = self.began_with.differing(&sections);
        let waiting: Vec<&str> = differing.into_iter().filter(|section| !Self::TAKEN_UP.contains(section)).collect();
        self.effective.store(Arc::new(about::settings::taken_up(&self.effective.load(), &settings, &waiting)));
        let Settings { security, servers, steadiness, servers_steadied, .. } = settings;
        let mut needs_restart = waiting;
        // What was not asked for at the start is not there.
        if servers.iter().any(Definition::takes_token) && !self.keeps_tokens {
            needs_restart.push("${caller.token}");
        }
        if servers.iter().any(|server| !server.bindings.is_empty()) && !self.has_secrets {
            needs_restart.push("${secret:…}");
        }
        if servers.iter().any(|server| server.is_lazy) && !self.has_listings {
            needs_restart.push("start: lazy (until then it is started once to be listed)");
        }
        let mut ruled_by = self.ruled_by.lock().unwrap_or_else(PoisonError::into_inner);
        if ruled_by.differing(&sections).contains("access") {
            if needs_restart.contains(&"auth") {
                // Rules are for callers as they are told apart now.
                tracing::warn!("\"auth\" is another, so the rules of \"access\" stay as they were until a restart");
            } else {
                self.take_up_rules(security.access.map(|access| (access, security.limits)));
                ruled_by.clone_from(&sections);
            }
        }
        drop(ruled_by);
        let (Changes { added, changed, removed }, faults) =
            self.fleet.become_like(servers, Steadied { all: steadiness, servers: servers_steadied });
        let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let (added, changed, removed) = (list(&added), list(&changed), list(&removed));
        tracing::info!("the config was read anew; servers added: {added}; changed: {changed}; removed: {removed}");
        faults.iter().for_each(|fault| tracing::error!("a server of the config could not be taken up: {fault}"));
        if !needs_restart.is_empty() {
            tracing::warn!("what the config says now under {} takes a restart", needs_restart.join(", "));
        }
    }

    fn take_up_rules(&self, rules: Option<(Access, Vec<Limit>)>) {
        let gate = &self.gate;
        if rules.is_none() && !gate.authenticates() {
            tracing::warn!("there are no rules of access any more: whoever reaches us may call everything");
        }
        if gate.rule_anew(rules)
            && let Err(fault) = security::recount(gate, self.store.as_ref())
        {
            tracing::warn!("what was called today is not counted for the new limits: {fault}");
        }
        tracing::info!("the rules of access are those of the config as it is now");
    }

    /// Stops the other servers and waits until they are gone. To be done once no call is running any more.
    pub(crate) async fn stop_servers(&self) {
        self.stop.send_replace(true);
        self.fleet.stop().await;
    }

    /// Writes what of the records is still to be written.
    pub(crate) async fn close_records(self) {
        if let Some(audit) = self.audit {
            // It takes the time that the disk takes.
            let _ = tokio::task::spawn_blocking(move || audit.close()).await;
        }
    }
}

/// The bounds that the config sets, where it does; else those of the author.
fn bounded(mut builder: Builder, settings: &Settings, stay: Stay) -> Builder {
    let says = |section: &str| settings.sections.has(section);
    if says("claude") || says("limits") {
        builder = builder.gate_config(settings.gate.clone());
    }
    if says("profiles") {
        builder = builder.profiles(settings.profiles.clone());
    }
    let doors = if says("limits") { settings.doors.clone() } else { builder.limits.clone() };
    let max_connections = if stay == Stay::Long { open_files::make_room_for(doors.max_connections) } else { doors.max_connections };
    builder.door_limits(DoorLimits { max_connections, ..doors })
}

/// Adds the ready tools that the builder offers, and what the config declares.
pub(crate) fn ready_tools(
    mut builder: Builder,
    mut settings: toolcrib_tools::Settings,
    steadiness: &Steadiness,
    is_said: bool,
) -> Result<(Builder, Resources), BuildError> {
    let is_wanted = |name: &str| builder.ready.iter().any(|wanted| wanted == name);
    if let Some(unknown) = builder.ready.iter().find(|name| !toolcrib_tools::NAMES.contains(&name.as_str())) {
        let known = toolcrib_tools::NAMES.join(", ");
        return Err(BuildError::Assembly(format!("there is no ready tool {unknown:?}; known are {known}").into()));
    }
    for name in toolcrib_tools::NAMES.iter().filter(|name| !is_wanted(name)) {
        settings.offers.entry((*name).to_owned()).or_default().is_off = true;
    }
    let Ready { tools, declared, templates, prompts, resources } = toolcrib_tools::ready(settings).map_err(Fault::from)?;
    let of_all = steadiness.of_source(&Overrides::default(), true);
    let names: Vec<String> = tools.iter().map(|(spec, _)| spec.name.clone()).chain(builder.tool_names()).collect();
    let of_tools = names.into_iter().filter_map(|name| Some((name.clone(), steadiness.of_tool(&name, &of_all)?))).collect();
    if is_said || builder.treatment.is_none() {
        builder = builder.resilience(of_all, of_tools);
    }
    builder = tools.into_iter().fold(builder, |builder, (spec, callable)| builder.callable(spec, callable));
    for (spec, callable) in declared {
        builder = builder.source(publisher::declared_source(spec, callable, steadiness).map_err(Fault::from)?);
    }
    builder = templates.into_iter().fold(builder, Builder::template);
    builder = prompts.into_iter().fold(builder, Builder::prompt);
    Ok((builder, resources))
}
