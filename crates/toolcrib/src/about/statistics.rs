//! How the server and its tools are used, as a resource.

use serde::Serialize;
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use toolcrib_contract::{Json, ResourceSpec};
use toolcrib_edge::statistics::document;
use toolcrib_gate::{Catalogue, Gate, Source, ToolEntry, Usage};
use toolcrib_store::Replicas;

/// The resource.
pub(crate) const URI: &str = "metrics://server/stats";
/// How often it is looked whether it is something else.
const LOOK: Duration = Duration::from_secs(5);

/// What the process itself knows.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    began: Instant,
    /// Connections that are open at the HTTP door.
    pub(crate) connections: Arc<AtomicUsize>,
    /// The others that are one server with this one, if there may be any.
    replicas: Option<Arc<Replicas>>,
}

#[derive(Serialize)]
struct Live {
    uptime_seconds: u64,
    /// Calls of tools, answered or not.
    total_requests: Option<u64>,
    active_connections: usize,
    /// What the process holds in memory, where the system tells it.
    memory_usage_mb: Option<f64>,
    /// Which of the replicas this is, where there may be several.
    #[serde(skip_serializing_if = "Option::is_none")]
    replica: Option<Replica>,
}

#[derive(Serialize)]
struct Replica {
    name: String,
    /// How many there are.
    present: usize,
}

impl Process {
    pub(crate) fn begun(replicas: Option<Arc<Replicas>>) -> Self {
        Self { began: Instant::now(), connections: Arc::default(), replicas }
    }

    /// How many replicas there are, this one among them.
    pub(crate) fn replicas(&self) -> usize {
        self.replicas.as_ref().map_or(1, |replicas| replicas.together().max(1))
    }

    /// How long it has run.
    pub(crate) fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    fn live(&self, total_requests: Option<u64>) -> Live {
        Live {
            uptime_seconds: self.began.elapsed().as_secs(),
            total_requests,
            active_connections: self.connections.load(Ordering::Relaxed),
            memory_usage_mb: resident_bytes().map(megabytes),
            replica: self.replicas.as_ref().map(|of| Replica { name: of.process().to_owned(), present: self.replicas() }),
        }
    }

    /// How the process is, and how its tools have been used.
    pub(crate) fn told(&self, gate: &Gate) -> Json {
        let of_tools = document(gate.catalogue().tools()).members();
        let total = of_tools.as_ref().ok().and_then(|told| told.get("total_calls")?.read().ok());
        let of_process = Json::of(&self.live(total)).and_then(|live| live.members());
        let members = of_process.iter().chain(&of_tools).flat_map(|members| members.iter());
        members.fold(Json::object(), |object, (name, value)| object.with(name, &value)).finish()
    }
}

/// What of the process lies in memory, in bytes (proc(5), `VmRSS`).
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib: Option<u64> = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok();
    kib.map(|kib| kib << 10)
}

/// The tools that have been called, those first that were called most.
pub(crate) fn busiest(catalogue: &Catalogue) -> Vec<(&ToolEntry, Usage)> {
    let mut used: Vec<_> = catalogue.tools().map(|tool| (tool, tool.usage())).filter(|(_, usage)| usage.calls > 0).collect();
    used.sort_by_key(|(_, usage)| std::cmp::Reverse(usage.calls));
    used
}

/// For people: in MiB, to a tenth.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    (bytes as f64 / 104_857.6).round() / 10.0
}

/// The resource, as a source of the catalogue of this gate.
pub(crate) fn source(gate: &Arc<Gate>, process: Process) -> Source {
    let description = "How this server is doing, its tools by category, and how they have been used: calls, errors, latency.";
    let spec = ResourceSpec::new(URI, "statistics").description(description).mime_type("application/json");
    let weak = Arc::downgrade(gate);
    super::source(gate, spec, LOOK, move || weak.upgrade().map_or_else(|| "{}".to_owned(), |gate| process.told(&gate).to_string()))
}
