//! The way of one call. The modules stand here in the order in which a call visits them.
//!
//! Each step takes the value that only the step before can make, so the compiler checks the order: a [`Permitted`] call
//! cannot run, only a [`Checked`] one can. The gate does no I/O of its own; what a call does outside happens in the
//! [`Callable`](toolcrib_contract::Callable) that it executes.

mod authenticate;
mod authorize;
mod validate;

mod resilience;

mod execute;
mod onward;

mod compose;

mod telemetry;

mod statistics;

pub mod catalogue;
mod explain;

pub use authenticate::{
    Algorithm, Assumed, Authentication, Caller, Credential, Demands, Issuer, KeyFault, KeySet, KeySource, Keys, PublicKey, Reason,
    SharedSecret, Unauthenticated, WeakSecret,
};
pub use authorize::{Access, Condition, CountedTogether, Decision, EVERYONE, Limit, Names, Permitted, Rule, Visible};
pub use catalogue::{Catalogue, Clash, Entry, Event, Prompt, Resource, Source, Template, ToolEntry};
pub use compose::Reply;
pub use explain::{Explanation, Step};
pub use resilience::{Caching, Fallback, Resilience, Trip};
pub use statistics::{Durations, Totals, Usage};
pub use validate::{Checked, SchemaFault};

use arc_swap::{ArcSwap, ArcSwapOption};
use authenticate::Authenticator;
use authorize::Asker;
use std::{
    collections::HashMap,
    net::IpAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, SystemTime},
};
use telemetry::Steps;
use tokio::sync::broadcast;
use toolcrib_contract::{AuditLog, BackChannel, Call, CallError, CallerId, Change, Kind, Origin, Output, Tracing, Watch};

/// How many changes a slow listener may fall behind before it misses some and lists everything anew.
const CHANGES_KEPT: usize = 256;

/// What the gate bounds. Every field has a default that suits a person with a few servers.
#[derive(Debug, Clone)]
pub struct Config {
    /// How long a call may take from arrival to reply; each report of progress gives it as long again, and the time that the
    /// client takes to answer a question does not count. A tool may say otherwise for itself. Default 30 s.
    pub timeout: Duration,
    /// How long a call may take in all, whatever progress it reports. Default 1 h.
    pub max_timeout: Duration,
    /// Calls running at once in each source: our own tools together, and each server by itself, so that one that hangs
    /// takes no place from the others. Default 5.
    pub max_concurrent: usize,
    /// Calls that may wait for a place, for each source; more are refused as overloaded. Default 256.
    pub max_queued: usize,
    /// The largest output passed on, in bytes. Default 8 MiB.
    pub max_output_bytes: usize,
    /// The largest arguments accepted, in bytes. Default 1 MiB.
    pub max_argument_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            max_timeout: Duration::from_secs(3600),
            max_concurrent: 5,
            max_queued: 256,
            max_output_bytes: 8 << 20,
            max_argument_bytes: 1 << 20,
        }
    }
}

/// A call at the gate: what is asked, by whom, through which door, and the way back.
#[derive(Debug)]
pub struct Arrived {
    /// Who asks.
    pub caller: Caller,
    /// The part of the catalogue that the door shows, if not all of it.
    pub profile: Option<Arc<Names>>,
    /// What is asked.
    pub call: Call,
    /// Where it came from.
    pub origin: Origin,
    /// The way back to the client in mid-call.
    pub back: Arc<dyn BackChannel>,
}

/// The one road that every call takes.
#[derive(Debug)]
pub struct Gate {
    config: Config,
    authentication: Authenticator,
    /// The rules; where there are none, everybody may have everything.
    access: ArcSwapOption<Access>,
    limits: ArcSwap<authorize::Limits>,
    /// What counts for all replicas, if there are others.
    counted_together: Option<CountedTogether>,
    catalogue: ArcSwap<Catalogue>,
    sources: Mutex<Sources>,
    changes: broadcast::Sender<Event>,
    audit: Arc<dyn AuditLog>,
    answers: resilience::Answers,
    tallies: statistics::Tallies,
    totals: statistics::Tote,
    /// Who wants to see what becomes of calls, if anybody.
    tracing: Option<Arc<dyn Tracing>>,
    /// For calls that make others; there is none before the gate is shared.
    itself: Weak<Self>,
}

/// What the catalogue is put together from, in the order in which sources were first published.
#[derive(Debug, Default)]
struct Sources {
    published: Vec<Arc<Source>>,
    states: HashMap<Arc<str>, Arc<resilience::SourceState>>,
}

impl Gate {
    /// A gate with nothing to call yet.
    #[must_use]
    pub fn new(config: Config, audit: Arc<dyn AuditLog>) -> Self {
        let changes = broadcast::Sender::new(CHANGES_KEPT);
        Self {
            config,
            authentication: Authenticator::default(),
            access: ArcSwapOption::empty(),
            limits: ArcSwap::default(),
            counted_together: None,
            catalogue: ArcSwap::default(),
            sources: Mutex::default(),
            changes,
            audit,
            answers: resilience::Answers::default(),
            tallies: statistics::Tallies::default(),
            totals: statistics::Tote::default(),
            tracing: None,
            itself: Weak::new(),
        }
    }

    /// The gate, to be shared by all doors. From now on tools may call others, if they say so.
    #[must_use]
    pub fn shared(self) -> Arc<Self> {
        Arc::new_cyclic(|itself| Self { itself: Weak::clone(itself), ..self })
    }

    /// Tells this of what becomes of calls, step by step.
    #[must_use]
    pub fn traced_by(mut self, tracing: Option<Arc<dyn Tracing>>) -> Self {
        self.tracing = tracing;
        self
    }

    /// Asks callers to prove who they are. From then on nothing is allowed that no rule allows.
    ///
    /// # Panics
    /// If two issuers have one name, or one has a name that holds a colon or is that of other callers (`key`, `local`,
    /// `anonymous`, `toolcrib`): callers could be taken for others.
    #[must_use]
    pub fn authenticating(mut self, authentication: Authentication) -> Self {
        assert!(authentication.has_distinct_authorities(), "the names of issuers tell their callers from others");
        if authentication.is_configured() {
            self.access = ArcSwapOption::from(Some(self.access.load_full().unwrap_or_default()));
        }
        self.answers = self.answers.knowing_callers(authentication.is_configured());
        self.authentication = Authenticator::new(authentication);
        self
    }

    /// Sets the rules of access, and how much callers may have. From then on nothing is allowed that no rule allows, whether callers
    /// prove who they are or not.
    #[must_use]
    pub fn ruled_by(mut self, access: Access, limits: Vec<Limit>) -> Self {
        self.access = ArcSwapOption::from(Some(Arc::new(access)));
        self.limits = ArcSwap::from_pointee(authorize::Limits::new(limits));
        self
    }

    /// Counts calls together with other replicas, where callers' calls are limited.
    #[must_use]
    pub fn counted_together(mut self, together: Option<CountedTogether>) -> Self {
        self.counted_together = together;
        self
    }

    /// Sets other rules and limits while calls are made: a call that has passed the old ones goes on. Without rules everybody may have
    /// everything, unless callers are asked who they are. Returns whether the limits are others: what was
    /// counted is forgotten then, see [`Gate::recount`].
    pub fn rule_anew(&self, rules: Option<(Access, Vec<Limit>)>) -> bool {
        let (access, limits) = match rules {
            Some((access, limits)) => (Some(Arc::new(access)), limits),
            None => (self.authenticates().then(Arc::default), Vec::new()),
        };
        let has_other_limits = !self.limits.load().are(&limits);
        if has_other_limits {
            self.limits.store(Arc::new(authorize::Limits::new(limits)));
        }
        self.access.store(access);
        // What each caller sees may be something else.
        [Change::Tools, Change::Resources, Change::Prompts].into_iter().for_each(|change| self.announce(change));
        has_other_limits
    }

    /// Finds out who calls.
    ///
    /// # Errors
    /// [`Unauthenticated`], never a silent fall back to anonymous.
    pub async fn authenticate(&self, credential: Credential) -> Result<Caller, Unauthenticated> {
        self.authentication.identify(credential).await
    }

    /// Whether what a caller has proved still holds: its token has not expired, its key was not revoked.
    #[must_use]
    pub fn still_holds(&self, caller: &Caller) -> bool {
        self.authentication.asked.still_holds(caller)
    }

    /// Whether callers are asked to prove who they are.
    #[must_use]
    pub fn authenticates(&self) -> bool {
        self.authentication.asked.is_configured()
    }

    /// Whether callers without a credential are refused.
    #[must_use]
    pub fn requires_authentication(&self) -> bool {
        self.authentication.asked.is_required
    }

    /// Lets a call pass, or says why not. Whatever happens, one record is kept, and the answer leaves once it is safe.
    ///
    /// # Errors
    /// [`CallError`]; while no record can be kept, [`CallError::NotRecordable`].
    ///
    /// # Cancellation
    /// Dropping the future abandons the call; it is recorded as such.
    // No `async fn`, which would hold the future of another once more.
    pub fn call(&self, arrived: Arrived) -> impl Future<Output = Result<Reply, CallError>> + Send {
        self.call_from(arrived, 0)
    }

    /// Does something to the server itself on behalf of a caller, if it may have the resource that stands for that: judged and recorded as a
    /// call that reads it.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn act(&self, mut arrived: Arrived, act: impl FnOnce() -> Result<(), CallError>) -> Result<(), CallError> {
        let record = self.open(&mut arrived)?;
        let done = self.may_act(&arrived).and_then(|()| act());
        let done = done.map(|()| Reply { output: Output::Resource(Vec::new()), size_bytes: 0 });
        record.close(done).await.map(drop)
    }

    fn may_act(&self, Arrived { caller, profile, call, origin, .. }: &Arrived) -> Result<(), CallError> {
        if !self.visible_to(caller, origin, profile.clone()).may_read(&call.name) {
            return Err(CallError::Forbidden { kind: call.kind, name: call.name.clone(), scopes: Box::default(), rule: None });
        }
        authorize::agree_on(self.access.load().as_ref(), call, caller, origin)
    }

    /// The rules of access, if there are any.
    #[must_use]
    pub fn access(&self) -> Option<Arc<Access>> {
        self.access.load_full()
    }

    /// The same, for a call that so many others have led to.
    pub(crate) async fn call_from(&self, mut arrived: Arrived, depth: u8) -> Result<Reply, CallError> {
        let record = self.open(&mut arrived)?;
        let result = self.pass(arrived, depth, true, record.steps()).await;
        record.close(result).await
    }

    fn open(&self, arrived: &mut Arrived) -> Result<telemetry::Open<'_>, CallError> {
        telemetry::open(&self.audit, &self.totals, self.tracing.as_ref(), arrived)
    }

    /// Finds what is called, if the caller may have it, and counts what comes of the call.
    async fn pass(&self, arrived: Arrived, depth: u8, may_fall_back: bool, steps: &Steps) -> Result<Reply, CallError> {
        if !self.still_holds(&arrived.caller) {
            return Err(CallError::Unauthenticated);
        }
        let (access, profile) = (self.access.load(), arrived.profile.clone());
        let permitted = steps.take("authorize", || authorize::permit(access.as_ref(), self.catalogue.load_full(), arrived))?;
        let entry = Arc::clone(&permitted.entry);
        let counted = statistics::Counted::begin(&entry);
        let further = onward::Further { gate: Weak::clone(&self.itself), profile, depth };
        let result = self.go(permitted, access, further, may_fall_back, steps).await;
        counted.end(&result);
        result
    }

    /// The rest of the road, for what the caller may have.
    async fn go(
        &self,
        permitted: Box<Permitted>,
        access: arc_swap::Guard<Option<Arc<Access>>>,
        further: onward::Further,
        may_fall_back: bool,
        steps: &Steps,
    ) -> Result<Reply, CallError> {
        let checked = steps.take("validate", || validate::check(permitted, self.config.max_argument_bytes))?;
        steps.take("authorize the arguments", || authorize::agree(access.as_ref(), &checked))?;
        drop(access);
        match &self.counted_together {
            None => steps.take("limits", || self.limits.load().admit(&checked))?,
            Some(together) => {
                let _counting = steps.begin("limits");
                let limits = self.limits.load_full();
                Box::pin(limits.admit_together(&checked, together)).await?;
            }
        }
        let bounds = resilience::Bounds::for_call(&checked, &self.config, further);
        let executing = steps.begin(Steps::EXECUTE);
        // What was given up is gone before anything else is done.
        let result = {
            let running = pin!(resilience::run(&checked, &bounds, &self.answers));
            bounds.hold(running).await
        };
        drop(executing);
        let output = match result {
            Err(error) => self.fall_back(&checked, bounds.further(), may_fall_back, error, steps).await?,
            Ok(output) => output,
        };
        steps.take("compose", || compose::reply(output, self.config.max_output_bytes))
    }

    /// Calls another tool, if there is one for this case; what failed stays what is told if that fails, too.
    async fn fall_back(
        &self,
        checked: &Checked,
        further: &onward::Further,
        may: bool,
        error: CallError,
        steps: &Steps,
    ) -> Result<Output, CallError> {
        let is_alike = |fallback: &&Fallback| self.catalogue.load().answers_alike(&checked.permitted.entry, &fallback.tool);
        let Some(fallback) = checked.steady().fallback_for(&error).filter(|_| may).filter(is_alike) else { return Err(error) };
        let instead = resilience::instead(checked, further.profile.clone(), fallback)?;
        match Box::pin(self.pass(instead, further.depth, false, steps)).await {
            Ok(reply) => Ok(resilience::from_fallback(reply.output, &checked.permitted.call.name, fallback, &error)),
            Err(other) => Err(resilience::neither(error, fallback, &other)),
        }
    }

    /// Counts calls that were made before this process began, so that limits outlast it.
    pub fn recount(&self, caller: &CallerId, address: Option<IpAddr>, kind: Kind, name: &str, at: SystemTime, calls: u64) {
        self.limits.load().recount(Asker { caller, address }, kind, name, at, calls);
    }

    /// Whether limits are set, so that what was called before is of interest.
    #[must_use]
    pub fn has_limits(&self) -> bool {
        !self.limits.load().is_empty()
    }

    /// What became of all calls since the process began.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals.read()
    }

    /// How many records wait until the place where they last is back.
    #[must_use]
    pub fn spooled(&self) -> u64 {
        self.audit.spooled()
    }

    /// What may be called now. The snapshot stays as it is while it is held.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.load_full()
    }

    /// What this caller may call: the same decision as for a call.
    #[must_use]
    pub fn visible_to(&self, caller: &Caller, origin: &Origin, profile: Option<Arc<Names>>) -> Visible {
        authorize::visible(self.access.load().as_ref(), self.catalogue(), caller, origin, profile, self.still_holds(caller))
    }

    /// Sees to it that changes of a resource are announced, for a caller who may read it, as long as the watch is held.
    ///
    /// # Errors
    /// [`CallError`]: there is no such resource, or its server does not tell of changes.
    pub async fn watch(&self, visible: &Visible, uri: &str) -> Result<Watch, CallError> {
        match visible.find(Kind::Resource, uri)?.callable().watch(uri) {
            Some(watching) => watching.await,
            None => Ok(Watch::holding(())),
        }
    }

    /// Tells of changes from now on. Whether one concerns a caller says [`Visible::concerns`].
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Event> {
        self.changes.subscribe()
    }

    /// Tells all whom it may concern that something changed.
    pub fn announce(&self, change: Change) {
        self.tell(Event::of(change));
    }

    fn tell(&self, event: Event) {
        // Nobody listening is nothing to report.
        let _ = self.changes.send(event);
    }

    /// Adds a source to the catalogue, or replaces the one of the same name, and announces what is different.
    /// Returns the names that another source already has; those entries are left out.
    pub fn publish(&self, source: Source) -> Vec<Clash> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let state = sources.states.entry(Arc::clone(&source.name));
        let state = Arc::clone(state.or_insert_with(|| resilience::SourceState::new(&source.name, &source.resilience, &self.config)));
        if source.is_connected_anew {
            state.is_there();
        }
        state.retain_tools(|name| source.has_tool(name));
        let source = Arc::new(source.steadied(&state, &self.tallies));
        let told = source.told_changes();
        match sources.published.iter_mut().find(|published| published.name == source.name) {
            Some(published) => *published = source,
            None => sources.published.push(source),
        }
        let clashes = self.assemble(&sources, told);
        drop(sources);
        clashes
    }

    /// From now on something else is done about the faults of a source, and of single tools of it. Breakers, places and budgets begin anew;
    /// calls that have begun go on as they began.
    pub fn treat(&self, name: &str, of_source: Resilience, of_tool: impl Fn(&str) -> Option<Resilience>) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(index) = sources.published.iter().position(|source| &*source.name == name) else { return };
        let source = sources.published[index].treated(of_source, of_tool);
        let state = resilience::SourceState::new(&source.name, &source.resilience, &self.config);
        sources.states.insert(Arc::clone(&source.name), Arc::clone(&state));
        sources.published[index] = Arc::new(source.steadied(&state, &self.tallies));
        self.assemble(&sources, Vec::new());
    }

    /// Puts these sources into this order, behind all others: of two that claim a name, the first keeps it. Gives
    /// the names that two claim, unless they were in this order already.
    pub fn arrange(&self, names: &[Arc<str>]) -> Option<Vec<Clash>> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let place = |source: &Arc<Source>| names.iter().position(|name| *name == source.name).map_or(0, |index| index + 1);
        if sources.published.is_sorted_by_key(place) {
            return None;
        }
        sources.published.sort_by_key(place);
        Some(self.assemble(&sources, Vec::new()))
    }

    /// Takes a source out of the catalogue, and announces what is gone. Calls that have begun go on.
    pub fn withdraw(&self, name: &str) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.published.retain(|source| &*source.name != name);
        sources.states.remove(name);
        self.assemble(&sources, Vec::new());
    }

    /// Forgets what is remembered of a source, and of its tools: what is published of that name next is another.
    pub fn forget_faults(&self, name: &str) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).states.remove(name);
    }

    /// Swaps the catalogue for one of these sources, and tells what is different. What a source says has changed is passed on, even where a
    /// list looks the same as before.
    fn assemble(&self, sources: &Sources, told: Vec<Event>) -> Vec<Clash> {
        let before = self.catalogue.load_full();
        let (catalogue, clashes) = Catalogue::assemble(&sources.published, before.generation() + 1);
        let mut events = catalogue.changes_since(&before);
        self.tallies.retain(|name| catalogue.tool(name).is_some());
        self.catalogue.store(Arc::new(catalogue));
        for told in told {
            if !events.iter().any(|event| event.change == told.change) {
                events.push(told);
            }
        }
        events.into_iter().for_each(|event| self.tell(event));
        clashes
    }
}
