//! What is measured, read at one moment: calls, tools, other servers, the process. What a caller chooses is never part of a name or of a
//! label, and there are so many tools and servers at most: the number of series is bounded.

use super::statistics::{Process, busiest, resident_bytes};
use std::fs;
use toolcrib_gate::{Durations, Gate, ToolEntry, Totals};
use toolcrib_telemetry::{Family, Histogram, Label, Value};
use toolcrib_upstream::{Status, Upstream};

/// The tools that have series of their own, those that are called most.
const MAX_TOOLS: usize = 500;
/// The servers that do, in the order of the config.
const MAX_SERVERS: usize = 500;
/// The bounds of histograms are powers of two of microseconds, so that they are exact: from 64 µs to 67 s.
const BOUNDS: [u32; 11] = [6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26];

/// The states that a server can be in.
pub(crate) const STATES: [&str; 7] = ["ready", "asleep", "connecting", "login needed", "down", "quarantined", "held"];

/// The word for the state of a server.
pub(crate) fn state_of(status: &Status) -> &'static str {
    match status {
        Status::Ready(_) => "ready",
        Status::Asleep => "asleep",
        Status::Connecting => "connecting",
        Status::LoginNeeded(_) => "login needed",
        Status::Down(_) => "down",
        Status::Quarantined(_) => "quarantined",
        Status::Held => "held",
    }
}

/// Everything.
pub(crate) fn families<'a>(gate: &Gate, process: &Process, version: &str, servers: impl Iterator<Item = &'a Upstream>) -> Vec<Family> {
    let mut families = of_calls(&gate.totals());
    families.extend(of_tools(gate));
    families.extend(of_servers(servers.take(MAX_SERVERS)));
    families.push(
        Family::new("toolcrib.replicas", "{process}", "Processes that are one server with this one, itself among them.")
            .with([], gauge(process.replicas() as f64)),
    );
    families.push(
        Family::new(
            "toolcrib.audit.spooled",
            "{record}",
            "Records that wait on the local disk until the database of the audit log is back.",
        )
        .with([], gauge(gate.spooled() as f64)),
    );
    families.extend(of_process(process, version));
    families
}

fn of_calls(totals: &Totals) -> Vec<Family> {
    let counted = [("answered", totals.answered), ("tool_error", totals.tool_errors), ("abandoned", totals.abandoned)];
    let calls = Family::new("toolcrib.calls", "{call}", "Calls that have ended, by how; what was refused also by the code of its error.");
    let none = || ("error.type", "".into());
    let calls =
        counted.into_iter().fold(calls, |calls, (outcome, count)| calls.with([("outcome", outcome.into()), none()], counter(count)));
    let refused = totals.refused.iter();
    let calls = refused
        .fold(calls, |calls, (code, count)| calls.with([("outcome", "refused".into()), ("error.type", (*code).into())], counter(*count)));
    vec![
        calls,
        Family::new("toolcrib.calls.in_flight", "{call}", "Calls that are under way.").with([], gauge(totals.in_flight as f64)),
        Family::new("toolcrib.call.duration", "s", "How long calls took, from arrival to reply, those that were refused included.")
            .with([], histogram(&totals.durations)),
    ]
}

fn of_tools(gate: &Gate) -> Vec<Family> {
    let catalogue = gate.catalogue();
    let mut used = busiest(&catalogue);
    let left_out = used.len().saturating_sub(MAX_TOOLS);
    used.truncate(MAX_TOOLS);
    let named = |tool: &ToolEntry| -> Label { ("gen_ai.tool.name", tool.spec().name.clone().into()) };
    let method = || -> Label { ("mcp.method.name", "tools/call".into()) };
    let durations = Family::new("mcp.server.operation.duration", "s", "How long calls of a tool took that its caller may have.");
    let errors =
        Family::new("toolcrib.tool.errors", "{call}", "Calls of a tool that ended with an error, or with an output that tells of one.");
    let running = Family::new("toolcrib.tool.calls.in_flight", "{call}", "Calls of a tool that are under way.");
    vec![
        used.iter().fold(durations, |all, (tool, _)| all.with([method(), named(tool)], histogram(&tool.durations()))),
        used.iter().fold(errors, |all, (tool, usage)| all.with([named(tool)], counter(usage.errors))),
        used.iter().fold(running, |all, (tool, usage)| all.with([named(tool)], gauge(usage.in_flight as f64))),
        Family::new("toolcrib.tools", "{tool}", "Tools in the catalogue.").with([], gauge(catalogue.tools().count() as f64)),
        Family::new("toolcrib.tools.without_series", "{tool}", "Tools that were called, and have no series here: there are too many.")
            .with([], gauge(left_out as f64)),
    ]
}

fn of_servers<'a>(servers: impl Iterator<Item = &'a Upstream>) -> Vec<Family> {
    let mut state = Family::new("toolcrib.server.state", "{server}", "How a server behind this one is: 1 for its state, 0 for all others.");
    let mut attempts =
        Family::new("toolcrib.server.attempts", "{attempt}", "How often a server was started or reached, or that was tried.");
    let mut failures = Family::new("toolcrib.server.failures", "{attempt}", "How many attempts in a row have failed or did not last.");
    for server in servers {
        let name = || -> Label { ("server", server.name().to_owned().into()) };
        let (now, health) = (state_of(&server.status()), server.health());
        for known in STATES {
            state = state.with([name(), ("state", known.into())], gauge(f64::from(u8::from(known == now))));
        }
        attempts = attempts.with([name()], counter(health.attempts));
        failures = failures.with([name()], gauge(f64::from(health.failures)));
    }
    vec![state, attempts, failures]
}

fn of_process(process: &Process, version: &str) -> Vec<Family> {
    let connections = process.connections.load(std::sync::atomic::Ordering::Relaxed);
    let of_system = [
        (resident_bytes().map(|bytes| bytes as f64), "process.resident_memory", "By", "What of the process lies in memory."),
        (open_files().map(|files| files as f64), "process.open_fds", "{file}", "Files and connections that the process has open."),
    ];
    let of_system =
        of_system.into_iter().filter_map(|(value, name, unit, help)| Some(Family::new(name, unit, help).with([], gauge(value?))));
    let version = ("version", version.to_owned().into());
    let of_ours = [
        Family::new("process.cpu_seconds", "s", "CPU time that the process has used.").with([], Value::Count(cpu_seconds())),
        Family::new("toolcrib.uptime", "s", "How long the process has served.").with([], gauge(process.uptime().as_secs_f64())),
        Family::new("toolcrib.connections", "{connection}", "Connections that are open at the HTTP door.")
            .with([], gauge(connections as f64)),
        Family::new("toolcrib.build_info", "{build}", "The version that runs.").with([version], gauge(1.0)),
    ];
    of_ours.into_iter().chain(of_system).collect()
}

fn histogram(durations: &Durations) -> Value {
    let within = BOUNDS.map(|power| (f64::from(1 << power) / 1e6, durations.within_power_of_two_us(power))).to_vec();
    // Counted while it is read: no bucket may hold more than all of them.
    let count = durations.count().max(within.last().map(|(_, count)| *count).unwrap_or_default());
    Value::Histogram(Histogram { within, count, sum: durations.sum().as_secs_f64() })
}

fn counter(count: u64) -> Value {
    Value::Count(count as f64)
}

fn gauge(value: f64) -> Value {
    Value::Gauge(value)
}

fn cpu_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

fn open_files() -> Option<usize> {
    fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}
