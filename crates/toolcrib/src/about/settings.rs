//! How the server is set, as a resource: what is in effect, and nothing that is secret. Of commands, headers and connection strings only
//! the names of what they belong to are told.

use crate::settings::Settings;
use arc_swap::ArcSwap;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use toolcrib_contract::ResourceSpec;
use toolcrib_edge::mcp::Identity;
use toolcrib_gate::{Gate, Source};
use toolcrib_upstream::Transport;

/// The resource.
pub(crate) const URI: &str = "config://server/settings";
/// How often it is looked whether it is something else: after a reload it is.
const LOOK: Duration = Duration::from_secs(2);

/// What is told; another after the config was taken up anew.
pub(crate) type Effective = Arc<ArcSwap<Value>>;

/// What becomes of it when the config is another: what is taken up, and the names of the sections that take a restart.
pub(crate) fn taken_up(before: &Value, settings: &Settings, needs_restart: &[&str]) -> Value {
    let mut now = before.clone();
    now["settings"]["servers"] = servers(settings);
    now["settings"]["accessRules"] = rules(settings);
    now["settings"]["needsRestart"] = needs_restart.into();
    now
}

fn rules(settings: &Settings) -> Value {
    settings.security.access.as_ref().map(|access| access.rules.len()).into()
}

fn servers(settings: &Settings) -> Value {
    let servers = settings.servers.iter().map(|server| {
        let how = match &server.transport {
            Transport::Child(_) => "stdio",
            Transport::Remote(..) => "http",
        };
        json!({"name": &*server.name, "transport": how, "lazy": server.is_lazy, "timeout": server.call_timeout.map(|time| time.as_secs_f64())})
    });
    servers.collect()
}

/// What these settings come to.
pub(crate) fn document(settings: &Settings, identity: &Identity) -> Value {
    let Settings { gate, doors, ready, security, .. } = settings;
    let auth = security.auth.as_ref().map(|auth| {
        let issuers: Vec<&str> = auth.issuers.iter().map(|issuer| issuer.name.as_str()).collect();
        json!({"required": auth.is_required, "issuers": issuers, "apiKeys": auth.takes_api_keys})
    });
    let names = |names: Vec<&str>| Value::from(names);
    json!({
        "name": identity.name,
        "version": identity.version,
        "max_tools": gate.max_concurrent,
        "timeout": gate.timeout.as_secs_f64(),
        "debug_mode": tracing::enabled!(tracing::Level::DEBUG),
        "settings": {
            "files": settings.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
            "sections": settings.sections.names().collect::<Vec<_>>(),
            "needsRestart": [],
            "gate": {
                "maxTimeout": gate.max_timeout.as_secs_f64(), "maxQueuedCalls": gate.max_queued,
                "maxOutputBytes": gate.max_output_bytes, "maxArgumentBytes": gate.max_argument_bytes,
            },
            "doors": {
                "maxMessageBytes": doors.max_message_bytes, "maxConnections": doors.max_connections,
                "maxRequestsInFlight": doors.max_in_flight, "maxSessions": doors.max_sessions,
                "sessionIdle": doors.session_idle.as_secs_f64(), "publicUrl": security.public_url,
            },
            "servers": servers(settings),
            "profiles": settings.profiles.keys().collect::<Vec<_>>(),
            "declared": names(ready.declared.iter().map(|tool| tool.spec.name.as_str()).collect()),
            "connections": names(ready.connections.iter().map(|connection| connection.name.as_str()).collect()),
            "databases": names(ready.databases.iter().map(|database| database.name.as_str()).collect()),
            "auth": auth,
            "accessRules": rules(settings),
            "audit": {"enabled": security.audit.is_enabled, "folder": security.audit.folder.as_ref().map(|folder| folder.display().to_string())},
        },
    })
}

/// The resource, as a source of the catalogue of this gate.
pub(crate) fn source(gate: &Arc<Gate>, effective: Effective) -> Source {
    let description = "How this server is set: version, bounds, and what of its config is in effect, without secrets.";
    let spec = ResourceSpec::new(URI, "settings").description(description).mime_type("application/json");
    super::source(gate, spec, LOOK, move || effective.load().to_string())
}
