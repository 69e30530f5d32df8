//! What servers offer, as sources of the catalogue.

use crate::settings::checked::{Overrides, Steadiness};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use toolcrib_contract::{Callable, Change, Spec};
use toolcrib_gate::{Caching, Clash, Gate, Resilience, Source};
use toolcrib_upstream::{Definition, Listener, Offer, Sharing};

/// Turns what servers offer into sources of the catalogue.
pub(super) struct Publisher {
    pub(super) gate: Arc<Gate>,
    steadied: Mutex<Steadied>,
    /// Held while something is published, so that nobody publishes who is not heard any more.
    publishing: Mutex<()>,
    /// What was last said about names that two sources claim.
    reported: Mutex<Vec<Clash>>,
}

/// What is done about faults: of all, and of single servers; and which of these are trusted in what they say of their tools.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Steadied {
    pub(super) all: Steadiness,
    pub(super) servers: BTreeMap<Arc<str>, (Overrides, bool)>,
}

impl Publisher {
    pub(super) fn new(gate: Arc<Gate>, steadied: Steadied) -> Arc<Self> {
        Arc::new(Self { gate, steadied: Mutex::new(steadied), publishing: Mutex::default(), reported: Mutex::default() })
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
        self.gate.publish(self.source_of(server, &[]));
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

    fn publishing(&self) -> MutexGuard<'_, ()> {
        self.publishing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn source_of(&self, server: &Definition, tools: &[(Spec, Arc<dyn Callable>)]) -> Source {
        let steadied = self.steadied();
        let (own, is_trusted) = steadied.servers.get(&server.name).cloned().unwrap_or_default();
        let of_server = steadied.all.of_source(&own, is_trusted);
        let of_tool = |(spec, _): &(Spec, Arc<dyn Callable>)| {
            let own = steadied.all.of_tool(&spec.name, &of_server)?;
            Some((spec.name.clone(), Resilience { caching: own.caching.and_then(|caching| allowed(caching, server.sharing)), ..own }))
        };
        let of_tools = tools.iter().filter_map(of_tool).collect();
        let source = Source::new(&server.name).prefix(server.names_begin_with().as_deref()).timeout(server.call_timeout);
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
    fn publish(&self, source: Source) {
        let _publishing = self.publisher.publishing();
        if self.is_heard.load(Ordering::Acquire) {
            self.publisher.report(self.publisher.gate.publish(source));
        }
    }
}

impl Listener for Heard {
    fn offered(&self, server: &Definition, offer: Offer) {
        let mut source = self.publisher.source_of(server, &offer.tools).told(offer.told).connected_anew(offer.is_connected_anew).offered();
        for (spec, callable) in offer.tools {
            let tool = spec.name.clone();
            if let Err(fault) = source.tool(spec, callable) {
                tracing::warn!(server = %server.name, tool, "left out: {fault}");
            }
        }
        offer.resources.into_iter().for_each(|(spec, callable)| source.resource(spec, callable));
        offer.templates.into_iter().for_each(|(spec, callable, completer)| source.template(spec, callable, Some(completer)));
        offer.prompts.into_iter().for_each(|(spec, callable, completer)| source.prompt(spec, callable, Some(completer)));
        self.publish(source);
    }

    fn changed(&self, change: Change) {
        self.publisher.gate.announce(change);
    }

    fn forgotten(&self, server: &Definition) {
        self.publish(self.publisher.source_of(server, &[]));
    }

    fn signs_in_by(&self, server: &Definition, tool: Option<(Spec, Arc<dyn Callable>)>) {
        let mut source = login_source_of(server);
        if let Some((spec, callable)) = tool
            && let Err(fault) = source.tool(spec, callable)
        {
            tracing::warn!(server = %server.name, "nobody can sign in by a tool: {fault}");
        }
        self.publish(source);
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

fn login_name_of(server: &Definition) -> String {
    format!("{} (login)", server.name)
}

fn login_source_of(server: &Definition) -> Source {
    Source::new(&login_name_of(server))
}
