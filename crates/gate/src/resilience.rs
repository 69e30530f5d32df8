//! [`Checked`] → `Output`, whatever the server does: bounds, answers that are remembered, breakers, further attempts, another tool instead.
//!
//! Nothing here needs the config to be touched. What a call costs where nothing fails: a look at some counters, and a place.

mod attempts;
mod bounds;
mod breaker;
mod cache;
mod fallback;
mod places;

pub(crate) use bounds::Bounds;
pub use breaker::Trip;
pub(crate) use cache::Answers;
pub use cache::Caching;
pub use fallback::Fallback;
pub(crate) use fallback::{from_fallback, instead, neither};

use crate::{Config, execute, validate::Checked};
use attempts::Budget;
use breaker::{Breaker, Open, Pass};
use places::Places;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use toolcrib_contract::{CallError, Outage, Output, Spec};

/// What is done about faults, for all of a source or for one tool. Every field has a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resilience {
    /// How often a call is made at most, the first time included. Default 3. A second time only where nothing was started, or where that
    /// does no harm.
    pub attempts: u32,
    /// The most that is waited before the second attempt; it doubles from one to the next. Default 100 ms.
    pub first_wait: Duration,
    /// The most that is ever waited. Default 2 s.
    pub max_wait: Duration,
    /// Whether a call may be made again although it may have been done: the operator's word.
    pub is_repeatable: Option<bool>,
    /// Whether what the tools say of themselves (`readOnlyHint`, `idempotentHint`) counts as well. By default it does not.
    pub trusts_hints: bool,
    /// When it is left alone for a while, if ever. Default: for 60 s after five faults in a row.
    pub breaker: Option<Trip>,
    /// Whether answers are remembered. By default they are not.
    pub caching: Option<Caching>,
    /// What is called instead, if anything.
    pub fallback: Option<Fallback>,
    /// How many calls run at once, where that differs from the general limit.
    pub max_concurrent: Option<usize>,
}

impl Default for Resilience {
    fn default() -> Self {
        Self {
            attempts: 3,
            first_wait: Duration::from_millis(100),
            max_wait: Duration::from_secs(2),
            is_repeatable: None,
            trusts_hints: false,
            breaker: Some(Trip::default()),
            caching: None,
            fallback: None,
            max_concurrent: None,
        }
    }
}

/// What is remembered of a source, over all that it ever offers.
#[derive(Debug)]
pub(crate) struct SourceState {
    name: Arc<str>,
    places: Arc<Places>,
    breaker: Breaker,
    budget: Budget,
    /// Looked at when something is published, never by a call.
    tools: Mutex<HashMap<String, Arc<ToolState>>>,
    max_queued: usize,
}

/// What is remembered of a tool.
#[derive(Debug)]
struct ToolState {
    breaker: Breaker,
    places: Option<Arc<Places>>,
}

/// What steadies the calls of one entry of the catalogue.
#[derive(Debug)]
pub(crate) struct Steady {
    settings: Resilience,
    source: Option<Arc<SourceState>>,
    tool: Option<Arc<ToolState>>,
    /// Whether a call may be made again although it may have been done.
    is_repeatable: bool,
    /// Tells this entry from every other that there ever was.
    pub(crate) id: u64,
}

impl SourceState {
    pub(crate) fn new(name: &Arc<str>, settings: &Resilience, config: &Config) -> Arc<Self> {
        Arc::new(Self {
            name: Arc::clone(name),
            places: Places::new(settings.max_concurrent.unwrap_or(config.max_concurrent), config.max_queued),
            breaker: Breaker::default(),
            budget: Budget::new(),
            tools: Mutex::default(),
            max_queued: config.max_queued,
        })
    }

    /// The source has connected anew: it is there.
    pub(crate) fn is_there(&self) {
        self.breaker.reset();
    }

    /// Forgets the tools that are no longer offered.
    pub(crate) fn retain_tools(&self, is_offered: impl Fn(&str) -> bool) {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| is_offered(name));
    }

    fn tool(&self, name: &str, settings: &Resilience) -> Arc<ToolState> {
        let mut tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        let state = tools.entry(name.to_owned()).or_insert_with(|| {
            let places = settings.max_concurrent.map(|limit| Places::new(limit, self.max_queued));
            Arc::new(ToolState { breaker: Breaker::default(), places })
        });
        Arc::clone(state)
    }
}

impl Steady {
    /// An entry that belongs to no source yet.
    pub(crate) fn nothing() -> Arc<Self> {
        Arc::new(Self { settings: Resilience::default(), source: None, tool: None, is_repeatable: false, id: next_id() })
    }

    /// An entry that is no tool.
    pub(crate) fn of_source(source: &Arc<SourceState>, settings: &Resilience) -> Arc<Self> {
        let settings = Resilience { caching: None, fallback: None, ..settings.clone() };
        Arc::new(Self { is_repeatable: false, settings, source: Some(Arc::clone(source)), tool: None, id: next_id() })
    }

    /// A tool, with the settings of the source or its own.
    pub(crate) fn of_tool(source: &Arc<SourceState>, spec: &Spec, of_source: &Resilience, own: Option<&Resilience>) -> Arc<Self> {
        let settings = own.unwrap_or(of_source).clone();
        let says_so = spec.annotations.is_read_only == Some(true) || spec.annotations.is_idempotent == Some(true);
        let is_repeatable = settings.is_repeatable.unwrap_or(settings.trusts_hints && says_so);
        // The places of the source are for all of its tools together.
        let own_places = Resilience { max_concurrent: own.and_then(|own| own.max_concurrent), ..settings.clone() };
        let tool = source.tool(&spec.name, &own_places);
        Arc::new(Self { settings, source: Some(Arc::clone(source)), tool: Some(tool), is_repeatable, id: next_id() })
    }

    /// The same, for what is made anew for each call.
    pub(crate) fn remembering_nothing(self: Arc<Self>) -> Arc<Self> {
        let Self { settings, source, tool, is_repeatable, id } = &*self;
        let settings = Resilience { caching: None, ..settings.clone() };
        Arc::new(Self { settings, source: source.clone(), tool: tool.clone(), is_repeatable: *is_repeatable, id: *id })
    }

    /// The places of the source, and of the tool if it has some of its own.
    fn places(&self) -> [Option<&Arc<Places>>; 2] {
        let of_tool = self.tool.as_ref().and_then(|tool| tool.places.as_ref());
        [self.source.as_ref().map(|source| &source.places), of_tool]
    }

    /// What is called instead, once a call has ended like this.
    pub(crate) fn fallback_for(&self, error: &CallError) -> Option<&Fallback> {
        let has_done_nothing = matches!(error, CallError::Unavailable { .. });
        let is_harmless = || {
            self.is_repeatable
                && matches!(error, CallError::OutcomeUnknown { .. } | CallError::Unreadable { .. } | CallError::DeadlineExceeded(_))
        };
        self.settings.fallback.as_ref().filter(|_| has_done_nothing || is_harmless())
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Makes the call, or remembers what came of the same before.
pub(crate) async fn run(checked: &Checked, bounds: &Arc<Bounds>, answers: &Answers) -> Result<Output, CallError> {
    match &checked.steady().settings.caching {
        // Apart: what remembers takes a hundred times the room of a call, and most calls are not remembered.
        Some(caching) => Box::pin(answers.answer(checked, bounds, *caching, || attempts(checked, bounds))).await,
        None => attempts(checked, bounds).await,
    }
}

/// Makes the call, and makes it again where that is safe and may help.
async fn attempts(checked: &Checked, bounds: &Arc<Bounds>) -> Result<Output, CallError> {
    let steady = checked.steady();
    let Some(source) = &steady.source else { return execute::run(checked, bounds).await };
    steady.refuse_if_open(source)?;
    let (mut made, mut watched, mut unknown) = (0, None, None);
    let result = loop {
        made += 1;
        let error = match attempt(checked, bounds, source, &mut watched).await {
            Ok(output) => break Ok(output),
            Err(error) => error,
        };
        // What the client has answered once is not asked again unseen.
        let is_repeatable = steady.is_repeatable && !bounds.has_asked();
        let left = bounds.deadline().saturating_duration_since(Instant::now());
        let wait = attempts::wait_before_next(&steady.settings, &error, made, is_repeatable, left, &source.budget);
        if matches!(error, CallError::OutcomeUnknown { .. }) {
            unknown = Some(error.clone());
        }
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            // What may have been done at the first attempt may have been done, whatever became of the last.
            None => break Err(unknown.filter(|_| matches!(error, CallError::Unavailable { .. })).unwrap_or(error)),
        }
    };
    if let Some(watched) = watched {
        watched.judge(&result);
    }
    result.map_err(|error| said_how_often(error, made))
}

/// Makes the call once, as soon as there is a place for it. The breakers are asked before the first attempt, and told once how the call ended.
async fn attempt<'a>(
    checked: &'a Checked,
    bounds: &'a Arc<Bounds>,
    source: &'a SourceState,
    watched: &mut Option<Watched<'a>>,
) -> Result<Output, CallError> {
    let _place = bounds.enter(checked.permitted.caller.id()).await?;
    if watched.is_none() {
        *watched = Some(Watched::pass(checked.steady(), source, bounds)?);
        source.budget.earn();
    }
    execute::run(checked, bounds).await
}

/// A call whose end the breakers are told.
struct Watched<'a> {
    source: Option<Pass<'a>>,
    tool: Option<Pass<'a>>,
    bounds: &'a Bounds,
    is_judged: bool,
}

impl Steady {
    /// Says at once what would be said once there is a place.
    fn refuse_if_open(&self, source: &SourceState) -> Result<(), CallError> {
        let Some(trip) = self.settings.breaker else { return Ok(()) };
        if let Some(open) = self.tool.as_ref().and_then(|tool| tool.breaker.refuses(trip)) {
            return Err(resting(source, "this tool", open));
        }
        source.breaker.refuses(trip).map_or(Ok(()), |open| Err(resting(source, "it", open)))
    }
}

fn resting(source: &SourceState, what: &str, Open { retry_after, failures, reason }: Open) -> CallError {
    CallError::Unavailable {
        server: Arc::clone(&source.name),
        reason: format!("{what} failed {failures} times in a row and is left alone for a while; the last time: {reason}"),
        outage: Outage::Resting(retry_after),
    }
}

impl<'a> Watched<'a> {
    fn pass(steady: &'a Steady, source: &'a SourceState, bounds: &'a Bounds) -> Result<Self, CallError> {
        let Some(trip) = steady.settings.breaker else { return Ok(Self { source: None, tool: None, bounds, is_judged: true }) };
        let began = Instant::now();
        let of_tool = match &steady.tool {
            Some(tool) => Some(tool.breaker.pass(trip, began).map_err(|open| resting(source, "this tool", open))?),
            None => None,
        };
        let of_source = source.breaker.pass(trip, began).map_err(|open| resting(source, "it", open))?;
        Ok(Self { source: Some(of_source), tool: of_tool, bounds, is_judged: false })
    }

    /// Only faults of the server count: what it answered, however it answered, did not fail here.
    fn judge(mut self, result: &Result<Output, CallError>) {
        self.is_judged = true;
        let passes = [&self.source, &self.tool].into_iter().flatten();
        match result {
            Err(CallError::OutcomeUnknown { reason, .. }) => passes.for_each(|pass| pass.failed(reason.clone())),
            // That it is not there says nothing of a tool.
            Err(CallError::Unavailable { outage: Outage::Unreached, reason, .. }) => {
                self.source.iter().for_each(|pass| pass.failed(reason.clone()));
            }
            // Nobody has asked it, or it was one caller who may not ask more.
            Err(CallError::Unavailable { .. } | CallError::Overloaded { .. } | CallError::Panicked | CallError::CannotAsk { .. }) => {}
            _ => passes.for_each(Pass::succeeded),
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        // Broken off at its deadline it failed; where the client left, nothing is known.
        if !self.is_judged && Instant::now() >= self.bounds.deadline() {
            self.tool.iter().for_each(|pass| pass.failed("no answer in time".into()));
            // The one that was to tell whether the server is well has not.
            self.source.iter().filter(|pass| pass.is_probe()).for_each(|pass| pass.failed("no answer in time".into()));
        }
    }
}

fn said_how_often(error: CallError, made: u32) -> CallError {
    match error {
        CallError::Unavailable { server, reason, outage } if made > 1 => {
            CallError::Unavailable { server, reason: format!("{reason} ({made} attempts)"), outage }
        }
        other => other,
    }
}
