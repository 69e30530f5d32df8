//! The text that Prometheus scrapes (exposition format 0.0.4). Names are made of those of OpenTelemetry as its specification says:
//! `mcp.server.operation.duration` in seconds is `mcp_server_operation_duration_seconds`, and what is counted ends in `_total`
//! ("Prometheus and OpenMetrics Compatibility").

use crate::{Family, Histogram, Label, Point, Value};
use std::fmt::Write;

/// What the text is, for the header of an answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// These metrics as text. One without points is left out.
///
/// ```
/// use toolcrib_telemetry::{Family, Value, prometheus};
///
/// let calls = Family::new("toolcrib.calls", "{call}", "Calls.").with([("outcome", "answered".into())], Value::Count(3.0));
/// let text = prometheus::text(&[calls]);
/// assert!(text.ends_with("# TYPE toolcrib_calls_total counter\ntoolcrib_calls_total{outcome=\"answered\"} 3\n"));
/// ```
#[must_use]
pub fn text(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        let Some(first) = family.points.first() else { continue };
        let name = name_of(family, &first.value);
        let kind = match first.value {
            Value::Count(_) => "counter",
            Value::Gauge(_) => "gauge",
            Value::Histogram(_) => "histogram",
        };
        let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for point in &family.points {
            write_point(&mut text, &name, point);
        }
    }
    text
}

fn name_of(family: &Family, value: &Value) -> String {
    let name = family.name.replace(['.', '-'], "_");
    let unit = match family.unit {
        "s" => "_seconds",
        "By" => "_bytes",
        "1" => "_ratio",
        _ => "",
    };
    let unit = if name.ends_with(unit) { "" } else { unit };
    let total = if matches!(value, Value::Count(_)) { "_total" } else { "" };
    format!("{name}{unit}{total}")
}

fn write_point(text: &mut String, name: &str, Point { labels, value }: &Point) {
    match value {
        Value::Count(value) | Value::Gauge(value) => line(text, name, labels, None, *value),
        Value::Histogram(Histogram { within, count, sum }) => {
            let bucket = format!("{name}_bucket");
            for (bound, values) in within {
                line(text, &bucket, labels, Some(*bound), *values as f64);
            }
            line(text, &bucket, labels, Some(f64::INFINITY), *count as f64);
            line(text, &format!("{name}_sum"), labels, None, *sum);
            line(text, &format!("{name}_count"), labels, None, *count as f64);
        }
    }
}

fn line(text: &mut String, name: &str, labels: &[Label], bound: Option<f64>, value: f64) {
    text.push_str(name);
    let bound = bound.map(|bound| ("le", number(bound).into()));
    let mut before = '{';
    for (key, value) in labels.iter().chain(&bound) {
        let _ = write!(text, "{before}{}=\"{}\"", key.replace('.', "_"), escaped(value));
        before = ',';
    }
    let close = if before == ',' { "}" } else { "" };
    let _ = writeln!(text, "{close} {}", number(value));
}

fn number(value: f64) -> String {
    if value.is_infinite() { if value > 0.0 { "+Inf".into() } else { "-Inf".into() } } else { value.to_string() }
}

/// What would end a value early, or a line.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_has_its_buckets_its_sum_and_its_count() {
        let spread = Histogram { within: vec![(0.001, 2), (0.5, 3)], count: 4, sum: 2.25 };
        let family = Family::new("mcp.server.operation.duration", "s", "How long.\nReally.")
            .with([("gen_ai.tool.name", "a\"b\\c\nd".into())], Value::Histogram(spread));
        assert_eq!(
            text(&[family, Family::new("nothing", "1", "")]),
            "# HELP mcp_server_operation_duration_seconds How long.\\nReally.\n\
             # TYPE mcp_server_operation_duration_seconds histogram\n\
             mcp_server_operation_duration_seconds_bucket{gen_ai_tool_name=\"a\\\"b\\\\c\\nd\",le=\"0.001\"} 2\n\
             mcp_server_operation_duration_seconds_bucket{gen_ai_tool_name=\"a\\\"b\\\\c\\nd\",le=\"0.5\"} 3\n\
             mcp_server_operation_duration_seconds_bucket{gen_ai_tool_name=\"a\\\"b\\\\c\\nd\",le=\"+Inf\"} 4\n\
             mcp_server_operation_duration_seconds_sum{gen_ai_tool_name=\"a\\\"b\\\\c\\nd\"} 2.25\n\
             mcp_server_operation_duration_seconds_count{gen_ai_tool_name=\"a\\\"b\\\\c\\nd\"} 4\n"
        );
    }

    #[test]
    fn units_are_in_the_names() {
        let name = |name, unit, value| name_of(&Family::new(name, unit, ""), &value);
        assert_eq!(name("process.memory", "By", Value::Gauge(1.0)), "process_memory_bytes");
        assert_eq!(name("process.cpu_seconds", "s", Value::Count(1.0)), "process_cpu_seconds_total");
        assert_eq!(name("toolcrib.calls.in_flight", "{call}", Value::Gauge(1.0)), "toolcrib_calls_in_flight");
    }
}
