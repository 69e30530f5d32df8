//! What servers offer, as sources of the catalogue.

use crate::settings::checked::{Overrides, Steadiness};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use toolcrib_contract::{Callable, Change, Others, Spec};
use toolcrib_gate::{Caching, Clash, Gate, Resilience, SchemaFault, Source};
use toolcrib_upstream::{Definition, Listener, Offer, Sharing};

/// What is done about faults of a declared tool, and of what may wait in it: a pipeline only waits for others, which have places of
/// their own.
fn of_declared(steadiness: &Steadiness, waits_for_others: bool) -> Resilience {
    const WAITING: usize = 1024;
    let of_tool = steadiness.of_source(&Overrides::default(), true);
    if waits_for_others { Resilience { max_concurrent: Some(WAITING), ..of_tool } } else { of_tool }
}

/// A declared tool as a source of its own: one that hangs, or whose server does, takes nothing from the others.
pub(super) fn declared_source(spec: Spec, callable: Arc<dyn Callable>, steadiness: &Steadiness) -> Result<Source, SchemaFault> {
    let of_tool = of_declared(steadiness, !matches!(callable.others(), Others::Nobody));
    let own = steadiness.of_tool(&spec.name, &of_tool).map(|own| (spec.name.clone(), own));
    let mut source = Source::new(&declared_name(&spec.name)).resilience(of_tool, own.into_iter().collect());
    source.tool(spec, callable)?;
    Ok(source)
}

fn declared_name(tool: &str) -> String {
    format!("{tool} (declared)")
}

/// The source of our own tools.
const OWN: &str = "toolcrib";

/// Turns what servers offer into sources of the catalogue.
pub(super) struct Publisher {
    pub(super) gate: Arc<Gate>,
    steadied: Mutex<Steadied>,
    /// Held while something is published, so that nobody publishes who is not heard any more.
    publishing: Mutex<()>,
    /// The declared tools, and whether they wait for others.
    declared: Vec<(String, bool)>,
    /// What was last said about names that two sources claim.
    reported: Mutex<Vec<Clash>>,
}

/// What is done about faults: of all, and of single servers; and which of these are trusted in what they say of their tools.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Steadied {
    pub(super) all: Steadiness,
    pub(super) servers: BTreeMap<Arc<str>, (Overrides, bool)>,
}

impl Steadied {
    fn of_server(&self, name: &Arc<str>) -> Resilience {
        let (own, is_trusted) = self.servers.get(name).cloned().unwrap_or_default();
        self.all.of_source(&own, is_trusted)
    }

    /// Of a tool, where it is treated otherwise than the rest. Our own are shared by nobody in particular.
    fn of_tool(&self, name: &str, of_source: &Resilience, sharing: Option<Sharing>) -> Option<Resilience> {
        let own = self.all.of_tool(name, of_source)?;
        let caching = own.caching.and_then(|caching| sharing.map_or(Some(caching), |sharing| allowed(caching, sharing)));
        Some(Resilience { caching, ..own })
    }
}

impl Publisher {
    pub(super) fn new(gate: Arc<Gate>, steadied: Steadied, declared: Vec<(String, bool)>) -> Arc<Self> {
        Arc::new(Self { gate, steadied: Mutex::new(steadied), declared, publishing: Mutex::default(), reported: Mutex::default() })
    }

    pub(super) fn steadied(&self) -> MutexGuard<'_, Steadied> {
        self.steadied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes that there is such a server, before it has offered anything. Who comes first in the config keeps a name that two claim,
    /// whoever connects first; and without its login a server has no tools.
    pub(super) fn expect(&self, server: &Definition) {
        self.gate.publish(login_source_of(server));
        self.expect_tools(server);
    }

    /// Publishes that a server has no tools just now.
    pub(super) fn expect_tools(&self, server: &Definition) {
        self.gate.publish(self.steady(server, source_of(server)));
    }

    /// The same, for one that took another's place and has not connected in time, if that is still so.
    pub(super) fn give_up_waiting(&self, server: &Definition, is_so: impl FnOnce() -> bool) {
        let _publishing = self.publishing();
        if is_so() {
            self.expect_tools(server);
        }
    }

    /// Another server takes the name of this one: what that one offers stays until the other has something to offer, but for its login.
    pub(super) fn succeed(&self, server: &Definition, is_heard: &AtomicBool) {
        let _publishing = self.publishing();
        is_heard.store(false, Ordering::Release);
        self.gate.forget_faults(&server.name);
        self.gate.publish(login_source_of(server));
    }

    /// Takes out what a server offered.
    pub(super) fn forget(&self, server: &Definition, is_heard: &AtomicBool) {
        let _publishing = self.publishing();
        is_heard.store(false, Ordering::Release);
        self.gate.withdraw(&server.name);
        self.gate.withdraw(&login_name_of(server));
    }

    /// Puts the servers into the order of the config: of two that claim a name, the first keeps it.
    pub(super) fn arrange<'a>(&self, servers: impl Iterator<Item = &'a Definition>) {
        let _publishing = self.publishing();
        let names: Vec<Arc<str>> = servers.flat_map(|server| [login_name_of(server).into(), Arc::clone(&server.name)]).collect();
        if let Some(clashes) = self.gate.arrange(&names) {
            self.report(clashes);
        }
    }

    fn publishing(&self) -> MutexGuard<'_, ()> {
        self.publishing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on does about the faults of these servers, and of our own tools, what the config says now.
    pub(super) fn treat_anew<'a>(&self, steadied: Steadied, servers: impl Iterator<Item = &'a Definition>) {
        let _publishing = self.publishing();
        let before = std::mem::replace(&mut *self.steadied(), steadied.clone());
        let treat = |name: &str, of_source: &Resilience, sharing: Option<Sharing>| {
            self.gate.treat(name, of_source.clone(), |tool| steadied.of_tool(tool, of_source, sharing));
        };
        let of_own = |steadied: &Steadied| steadied.all.of_source(&Overrides::default(), true);
        let are_tools_same = before.all.says_the_same_of_tools(&steadied.all);
        if !are_tools_same || of_own(&before) != of_own(&steadied) {
            treat(OWN, &of_own(&steadied), None);
            for (tool, waits_for_others) in &self.declared {
                treat(&declared_name(tool), &of_declared(&steadied.all, *waits_for_others), None);
            }
        }
        for server in servers {
            let of_server = steadied.of_server(&server.name);
            if !are_tools_same || before.of_server(&server.name) != of_server {
                treat(&server.name, &of_server, Some(server.sharing));
            }
        }
    }

    /// With what is done about faults of the server and its tools, as the config has it at this moment.
    fn steady(&self, server: &Definition, source: Source) -> Source {
        let steadied = self.steadied();
        let of_server = steadied.of_server(&server.name);
        let of_tool = |name: &str| Some((name.to_owned(), steadied.of_tool(name, &of_server, Some(server.sharing))?));
        let of_tools = source.tool_names().filter_map(of_tool).collect();
        source.resilience(of_server, of_tools)
    }

    /// Says what is left out, in one line for each pair of sources, and only when that is news.
    fn report(&self, clashes: Vec<Clash>) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
        for clash in clashes.iter().filter(|clash| !reported.contains(clash)) {
            news.entry((clash.loser.to_string(), clash.winner.to_string())).or_default().push(&clash.name);
        }
        for ((loser, winner), names) in news {
            let (count, shown) = (names.len(), names[..names.len().min(3)].join(", "));
            let more = if count > 3 { ", …" } else { "" };
            tracing::warn!("{count} of {loser:?} left out, since {winner:?} already has what is called so: {shown}{more}");
        }
        *reported = clashes;
    }
}

/// Publishes what one server offers, for as long as it is the one of its name.
pub(super) struct Heard {
    pub(super) publisher: Arc<Publisher>,
    pub(super) is_heard: Arc<AtomicBool>,
}

impl Heard {
    /// Publishes what is made of it while nobody else publishes.
    fn publish(&self, source: impl FnOnce(&Publisher) -> Source) {
        let publisher = &*self.publisher;
        let _publishing = publisher.publishing();
        if self.is_heard.load(Ordering::Acquire) {
            publisher.report(publisher.gate.publish(source(publisher)));
        }
    }
}

impl Listener for Heard {
    fn offered(&self, server: &Definition, offer: Offer) {
        let mut source = source_of(server).told(offer.told).connected_anew(offer.is_connected_anew).offered();
        for (spec, callable) in offer.tools {
            let tool = spec.name.clone();
            if let Err(fault) = source.tool(spec, callable) {
                tracing::warn!(server = %server.name, tool, "left out: {fault}");
            }
        }
        offer.resources.into_iter().for_each(|(spec, callable)| source.resource(spec, callable));
        offer.templates.into_iter().for_each(|(spec, callable, completer)| source.template(spec, callable, Some(completer)));
        offer.prompts.into_iter().for_each(|(spec, callable, completer)| source.prompt(spec, callable, Some(completer)));
        self.publish(|publisher| publisher.steady(server, source));
    }

    fn changed(&self, change: Change) {
        self.publisher.gate.announce(change);
    }

    fn forgotten(&self, server: &Definition) {
        self.publish(|publisher| publisher.steady(server, source_of(server)));
    }

    fn signs_in_by(&self, server: &Definition, tool: Option<(Spec, Arc<dyn Callable>)>) {
        let mut source = login_source_of(server);
        if let Some((spec, callable)) = tool
            && let Err(fault) = source.tool(spec, callable)
        {
            tracing::warn!(server = %server.name, "nobody can sign in by a tool: {fault}");
        }
        self.publish(|_| source);
    }
}

/// What one caller is answered is no answer for another where each has a connection of its own; and one session's is none for the next.
fn allowed(caching: Caching, sharing: Sharing) -> Option<Caching> {
    match sharing {
        Sharing::PerSession => None,
        Sharing::PerCaller => Some(Caching { is_shared: false, ..caching }),
        Sharing::Shared | Sharing::WhileSilent => Some(caching),
    }
}

/// A server's source, with nothing in it yet.
fn source_of(server: &Definition) -> Source {
    Source::new(&server.name).prefix(server.names_begin_with().as_deref()).timeout(server.call_timeout)
}

fn login_name_of(server: &Definition) -> String {
    format!("{} (login)", server.name)
}

fn login_source_of(server: &Definition) -> Source {
    Source::new(&login_name_of(server))
}
