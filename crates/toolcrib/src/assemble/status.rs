//! How the other servers are: for `toolcrib list servers`, and as a resource of a server that runs.

use crate::about::{metrics::state_of, statistics::megabytes};
use serde::Serialize;
use std::{collections::HashMap, sync::Arc, time::SystemTime};
use toolcrib_contract::{CallError, Json, Output, ResourceSpec, callable, output::ResourceContents};
use toolcrib_gate::{Catalogue, Source};
use toolcrib_store::utc;
use toolcrib_upstream::{Status, Transport, Upstream, Use};
use toolcrib_wire::Era;

/// The resource.
pub(crate) const URI: &str = "status://server/upstreams";

/// One server.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Server {
    name: String,
    state: &'static str,
    /// The protocol revision that it speaks, or why it is as it is.
    detail: String,
    since: String,
    attempts: u64,
    failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<String>,
    #[serde(flatten)]
    detail_of: Option<Detail>,
}

/// What is only told to those who look after the server.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    transport: &'static str,
    era: Option<&'static str>,
    tools: usize,
    /// The process that runs, if it is a child.
    process: Option<u32>,
    /// How many it and all that it started are, and what they have in memory.
    processes: Option<u64>,
    memory_mb: Option<f64>,
    /// What it said last on its standard error.
    last_words: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Servers {
    servers: Vec<Server>,
}

/// How these servers are, as `{"servers": […]}`.
pub(crate) fn of(upstreams: &[Arc<Upstream>]) -> Json {
    let servers = upstreams.iter().map(|upstream| server(upstream)).collect();
    Json::of(&Servers { servers }).expect("names, words and numbers are JSON")
}

/// The same, with what is known of their processes and their tools. Reads files of the system.
pub(crate) fn in_detail(upstreams: &[Arc<Upstream>], catalogue: &Catalogue) -> Json {
    let mut tools: HashMap<&str, usize> = HashMap::new();
    catalogue.tools().for_each(|tool| *tools.entry(tool.source()).or_default() += 1);
    let servers = upstreams.iter().map(|upstream| Server {
        detail_of: Some(detail(upstream, tools.get(upstream.name()).copied().unwrap_or_default())),
        ..server(upstream)
    });
    Json::of(&Servers { servers: servers.collect() }).expect("names, words and numbers are JSON")
}

fn detail(upstream: &Upstream, tools: usize) -> Detail {
    let health = upstream.health();
    let era = if let Status::Ready(line) = upstream.status() { Some(line.greeting().revision.era()) } else { None };
    let used = health.process.and_then(|process| i32::try_from(process).ok()).map(Use::of);
    Detail {
        transport: match &upstream.definition().transport {
            Transport::Child(_) => "stdio",
            Transport::Remote(..) => "http",
        },
        era: era.map(|era| if era == Era::Legacy { "legacy" } else { "modern" }),
        tools,
        process: health.process,
        processes: used.map(|used| used.processes),
        memory_mb: used.map(|used| megabytes(used.memory_bytes)),
        last_words: health.last_words,
    }
}

fn server(upstream: &Upstream) -> Server {
    let (health, status) = (upstream.health(), upstream.status());
    let state = state_of(&status);
    let detail = match status {
        Status::Ready(line) => line.greeting().revision.to_string(),
        Status::Asleep => "the next call starts it".to_owned(),
        Status::Connecting => String::new(),
        Status::LoginNeeded(reason) | Status::Down(reason) => reason,
        Status::Quarantined(why) => why.to_string(),
        Status::Held => "taken out of service by hand, until it is restarted".to_owned(),
    };
    Server {
        name: upstream.name().to_owned(),
        state,
        detail,
        since: utc(health.since),
        attempts: health.attempts,
        failures: health.failures,
        last_failure: health.last_failure,
        next_attempt: health.next_attempt.filter(|next| *next > SystemTime::now()).map(utc),
        detail_of: None,
    }
}

/// The resource, as a source of the catalogue.
pub(super) fn source(upstreams: impl Fn() -> Vec<Arc<Upstream>> + Send + Sync + 'static) -> Source {
    let spec = ResourceSpec {
        uri: URI.to_owned(),
        name: "upstreams".to_owned(),
        description: Some("How the servers behind this one are: connected, asleep, down or quarantined, since when, and why.".to_owned()),
        mime_type: Some("application/json".to_owned()),
        foreign: None,
    };
    let read = callable(move |_input, _cx| {
        let status = of(&upstreams());
        async move { Ok::<_, CallError>(Output::Resource(vec![ResourceContents::text(URI, "application/json", status.to_string())])) }
    });
    let mut source = Source::new("toolcrib (status)");
    source.resource(spec, read);
    source
}
