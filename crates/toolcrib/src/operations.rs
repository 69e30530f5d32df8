//! What those who look after the server see of it, and do to it: the product's side of the dashboard.

use crate::{
    about::{
        self,
        history::{self, History},
        metrics,
        settings::Effective,
        statistics::{Process, busiest, megabytes, resident_bytes},
    },
    assemble::status,
    cli::environment,
    observe, settings, times,
};
use serde_json::{Value, json};
use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use toolcrib_contract::{BoxFuture, Json};
use toolcrib_edge::{
    dashboard::{self, Order, Wanted},
    mcp::Identity,
    statistics::millis,
};
use toolcrib_gate::Gate;
use toolcrib_store::{Filter, OutcomeFilter, Store, utc};
use toolcrib_telemetry::{Family, prometheus};
use toolcrib_upstream::Upstream;

/// Whose calls are told as those of callers who are there: of the last quarter of an hour.
const LATELY: Duration = Duration::from_secs(900);
/// How many of them.
const MAX_CALLERS: usize = 50;
/// The tools whose figures are told, those that are called most.
const MAX_TOOLS: usize = 200;
/// Records at once: by default, and at most.
const CALLS: usize = 100;
const MAX_CALLS: usize = 10_000;

/// The other servers, as they are at the moment.
pub(crate) type Servers = Arc<dyn Fn() -> Vec<Arc<Upstream>> + Send + Sync>;

/// What of a config there is to look after.
#[derive(Clone)]
pub(crate) struct Configured {
    pub(crate) servers: Servers,
    /// Where records last, if they do.
    pub(crate) store: Option<Store>,
    pub(crate) effective: Effective,
    /// The file, if there is one.
    pub(crate) file: Option<PathBuf>,
}

/// All of it.
pub(crate) struct Operations {
    pub(crate) gate: Arc<Gate>,
    pub(crate) identity: Identity,
    pub(crate) process: Process,
    pub(crate) history: Arc<History>,
    pub(crate) configured: Option<Configured>,
}

impl Operations {
    fn upstreams(&self) -> Vec<Arc<Upstream>> {
        self.configured.as_ref().map(|configured| (configured.servers)()).unwrap_or_default()
    }

    /// Everything that is measured, as it is now.
    pub(crate) fn families(&self) -> Vec<Family> {
        let upstreams = self.upstreams();
        let servers = upstreams.iter().map(|upstream| &**upstream);
        metrics::families(&self.gate, &self.process, &self.identity.version, servers)
    }

    fn store(&self) -> Option<&Store> {
        self.configured.as_ref()?.store.as_ref()
    }

    /// Asks the store for something, apart from those who wait for calls.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(Store) -> Result<T, toolcrib_store::StoreError> + Send + 'static,
    ) -> Result<T, String> {
        let store = self.store().cloned().ok_or("no audit log is kept: \"audit\" in the config says where it is to be")?;
        let asked = tokio::task::spawn_blocking(move || question(store)).await;
        asked.map_err(|_| "the audit log cannot be read".to_owned())?.map_err(|error| error.to_string())
    }

    async fn callers(&self) -> Vec<Value> {
        let since = SystemTime::now().checked_sub(LATELY).unwrap_or(UNIX_EPOCH);
        // Without records nothing is known of callers; the page says so.
        let active = self.ask(move |store| store.activity_since(since, MAX_CALLERS)).await.unwrap_or_default();
        let told = active.into_iter().map(|caller| {
            let mean = caller.spent.as_secs_f64() * 1e3 / caller.calls.max(1) as f64;
            json!({"principal": caller.principal, "calls": caller.calls, "errors": caller.errors, "mean_ms": mean, "last": utc(caller.last)})
        });
        told.collect()
    }

    fn tools(&self) -> Vec<Value> {
        let catalogue = self.gate.catalogue();
        let told = busiest(&catalogue).into_iter().take(MAX_TOOLS).map(|(tool, usage)| {
            json!({
                "name": tool.spec().name, "source": tool.source(), "calls": usage.calls, "errors": usage.errors, "in_flight": usage.in_flight,
                "p50": usage.median.map(millis), "p95": usage.p95.map(millis), "p99": usage.p99.map(millis),
            })
        });
        told.collect()
    }
}

impl dashboard::Operations for Operations {
    fn now(&self) -> BoxFuture<'_, Json> {
        Box::pin(async move {
            let totals = self.gate.totals();
            let refused: serde_json::Map<_, _> =
                totals.refused.iter().filter(|(_, calls)| *calls > 0).map(|(code, calls)| ((*code).to_owned(), (*calls).into())).collect();
            told(&json!({
                "name": self.identity.name,
                "version": self.identity.version,
                "uptime_seconds": self.process.uptime().as_secs(),
                "memory_mb": resident_bytes().map(megabytes),
                "connections": self.process.connections.load(Ordering::Relaxed),
                "calls": totals.ended(),
                "errors": totals.errors(),
                "abandoned": totals.abandoned,
                "tool_errors": totals.tool_errors,
                "in_flight": totals.in_flight,
                "refused": refused,
                "history": {"every_seconds": history::EVERY.as_secs(), "points": self.history.points()},
                "tools": self.tools(),
                "callers": self.callers().await,
                "keeps_records": self.store().is_some(),
            }))
        })
    }

    fn metrics(&self) -> (&'static str, String) {
        (prometheus::CONTENT_TYPE, prometheus::text(&self.families()))
    }

    fn servers(&self) -> BoxFuture<'_, Json> {
        Box::pin(async move {
            let (upstreams, gate) = (self.upstreams(), Arc::clone(&self.gate));
            // What processes use is read from files of the system.
            let looked = tokio::task::spawn_blocking(move || status::in_detail(&upstreams, &gate.catalogue())).await;
            looked.unwrap_or_else(|_| status::of(&[]))
        })
    }

    fn order(&self, server: &str, order: Order) -> bool {
        let upstreams = self.upstreams();
        let Some(upstream) = upstreams.iter().find(|upstream| upstream.name() == server) else { return false };
        match order {
            Order::Restart => upstream.restart(),
            Order::Quarantine => upstream.hold(),
        }
        true
    }

    fn config(&self) -> BoxFuture<'_, Json> {
        Box::pin(async move {
            let Some(Configured { effective, file, .. }) = self.configured.clone() else {
                return told(&json!({"name": self.identity.name, "version": self.identity.version, "faults": []}));
            };
            let read = tokio::task::spawn_blocking(move || file.map(|file| settings::faults_of(&file, &environment))).await;
            let faults: Vec<String> = match read {
                Ok(Some(Ok(faults))) => faults.iter().map(ToString::to_string).collect(),
                Ok(Some(Err(error))) => vec![error.to_string()],
                Ok(None) | Err(_) => Vec::new(),
            };
            let mut document = Value::clone(&effective.load());
            document["faults"] = faults.into();
            told(&document)
        })
    }

    fn log(&self) -> Json {
        told(&json!({"lines": about::log::recent(), "filter": observe::filter()}))
    }

    fn set_log_filter(&self, filter: &str) -> Result<(), String> {
        observe::set_filter(filter)
    }

    fn calls(&self, wanted: Wanted) -> BoxFuture<'_, Result<Json, String>> {
        Box::pin(async move {
            let said = |text: Option<String>| text.filter(|text| !text.is_empty());
            let moment = |text: Option<String>| said(text).map(|text| times::moment(&text)).transpose();
            let limit = wanted.limit.unwrap_or(CALLS).min(MAX_CALLS);
            let filter = Filter {
                user: said(wanted.user),
                tool: said(wanted.tool),
                outcome: said(wanted.outcome).as_deref().map(OutcomeFilter::of),
                since: moment(wanted.since)?,
                until: moment(wanted.until)?,
                after: wanted.after,
                before: wanted.before,
                limit: Some(limit),
            };
            let entries = self.ask(move |store| store.records(&filter)).await?;
            // The latest first, as one looks for them.
            let calls = Json::array(entries.iter().rev().map(toolcrib_store::Entry::to_json));
            Ok(Json::object().with("calls", &calls).finish())
        })
    }

    fn verify(&self) -> BoxFuture<'_, Result<Json, String>> {
        Box::pin(async move {
            let verdict = self.ask(|store| store.verify()).await?;
            Ok(told(&json!({
                "ok": verdict.broken.is_none(),
                "fault": verdict.broken.map(|broken| broken.to_string()),
                "records": verdict.records,
                "checkpoints": verdict.checkpoints,
                "first": verdict.first,
                "head": verdict.heads.last().map(|(seq, hash)| json!({"seq": seq, "hash": hash})),
            })))
        })
    }
}

fn told(value: &Value) -> Json {
    Json::of(value).expect("a value has a JSON form")
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operations").finish_non_exhaustive()
    }
}

impl fmt::Debug for Configured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configured").field("file", &self.file).finish_non_exhaustive()
    }
}
