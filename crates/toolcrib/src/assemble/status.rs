//! How the other servers are: for `toolcrib list servers`, and as a resource of a server that runs.

use serde::Serialize;
use std::{sync::Arc, time::SystemTime};
use toolcrib_contract::{CallError, Json, Output, ResourceSpec, callable, output::ResourceContents};
use toolcrib_gate::Source;
use toolcrib_store::utc;
use toolcrib_upstream::{Status, Upstream};

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

fn server(upstream: &Upstream) -> Server {
    let health = upstream.health();
    let (state, detail) = match upstream.status() {
        Status::Ready(line) => ("ready", line.greeting().revision.to_string()),
        Status::Asleep => ("asleep", "the next call starts it".to_owned()),
        Status::Connecting => ("connecting", String::new()),
        Status::LoginNeeded(how) => ("login needed", how),
        Status::Down(reason) => ("down", reason),
        Status::Quarantined(why) => ("quarantined", why.to_string()),
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
