//! What tools there are and how they have been used, as JSON: for REST, and for the resource of a server.

use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use toolcrib_contract::{Category, Json};
use toolcrib_gate::{ToolEntry, Usage};

#[derive(Serialize)]
struct Statistics<'a> {
    total_tools: usize,
    tools_by_category: BTreeMap<String, usize>,
    total_calls: u64,
    total_errors: u64,
    success_rate: Option<f64>,
    /// The tool that was called most, if any was called.
    most_used: Option<&'a str>,
    tools: Vec<Tool<'a>>,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    category: Category,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<&'a str>,
    tags: &'a [String],
    /// Which source offers it: `toolcrib`, or another server.
    source: &'a str,
    calls: u64,
    errors: u64,
    in_flight: u64,
    success_rate: Option<f64>,
    last_used: Option<String>,
    latency_ms: Latency,
}

#[derive(Serialize)]
struct Latency {
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

/// What these tools are, and how they have been used since the process began: durations in milliseconds, times in UTC (RFC 3339).
#[must_use]
pub fn document<'a>(tools: impl Iterator<Item = &'a ToolEntry>) -> Json {
    let (mut by_category, mut all, mut described) = (BTreeMap::new(), Usage::default(), Vec::new());
    for entry in tools {
        let usage = entry.usage();
        *by_category.entry(word(entry.spec().category)).or_default() += 1;
        all.calls += usage.calls;
        all.errors += usage.errors;
        described.push(tool(entry, &usage));
    }
    let most_used = described.iter().filter(|tool| tool.calls > 0).max_by_key(|tool| tool.calls).map(|tool| tool.name);
    let statistics = Statistics {
        total_tools: described.len(),
        tools_by_category: by_category,
        total_calls: all.calls,
        total_errors: all.errors,
        success_rate: all.success_rate(),
        most_used,
        tools: described,
    };
    Json::of(&statistics).expect("names and numbers are JSON")
}

fn tool<'a>(entry: &'a ToolEntry, usage: &Usage) -> Tool<'a> {
    let spec = entry.spec();
    Tool {
        name: &spec.name,
        category: spec.category,
        version: &spec.version,
        author: spec.author.as_deref(),
        tags: &spec.tags,
        source: entry.source(),
        calls: usage.calls,
        errors: usage.errors,
        in_flight: usage.in_flight,
        success_rate: usage.success_rate(),
        last_used: usage.last_used.and_then(|at| OffsetDateTime::from(at).format(&Rfc3339).ok()),
        latency_ms: Latency { p50: usage.median.map(millis), p95: usage.p95.map(millis), p99: usage.p99.map(millis) },
    }
}

/// A length of time in milliseconds, to the microsecond.
#[must_use]
pub fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// The word of a category.
pub(crate) fn word(category: Category) -> String {
    serde_json::to_value(category).ok().and_then(|word| word.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}
