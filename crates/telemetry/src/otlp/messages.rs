//! What we know, in the messages of OTLP. Names are those of the semantic conventions of OpenTelemetry for MCP (development status).

use crate::{Family, Histogram, Label, Value, log::Line};
use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram as ToldHistogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
        ScopeMetrics, Sum, metric, number_data_point,
    },
    resource::v1::Resource as ToldResource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::SpanKind, status::StatusCode},
};
use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use toolcrib_contract::{CallSpan, Kind, Outcome, StepSpan};
use tracing::Level;

pub(super) type Resource = ToldResource;

/// Since when what is counted is.
static BEGAN: LazyLock<u64> = LazyLock::new(|| nanos(SystemTime::now()));

pub(super) fn resource(attributes: &[(String, String)]) -> Resource {
    LazyLock::force(&BEGAN);
    Resource { attributes: attributes.iter().map(|(key, value)| text(key, value)).collect(), ..Resource::default() }
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name: "toolcrib".into(), version: env!("CARGO_PKG_VERSION").into(), ..InstrumentationScope::default() })
}

fn nanos(at: SystemTime) -> u64 {
    u64::try_from(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

fn any(value: any_value::Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: any(any_value::Value::StringValue(value.to_owned())), ..KeyValue::default() }
}

fn number(key: &str, value: usize) -> KeyValue {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    KeyValue { key: key.to_owned(), value: any(any_value::Value::IntValue(value)), ..KeyValue::default() }
}

pub(super) fn traces(resource: &Resource, calls: Vec<CallSpan>) -> ExportTraceServiceRequest {
    let spans = calls.iter().flat_map(|call| std::iter::once(span_of(call)).chain(call.steps.iter().map(|step| span_of_step(call, step))));
    let scope_spans = vec![ScopeSpans { scope: scope(), spans: spans.collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource.clone()), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

/// The method by which a client asks for such a thing, and the attribute that names it.
fn method_of(kind: Kind) -> (&'static str, Option<&'static str>) {
    match kind {
        Kind::Tool => ("tools/call", Some("gen_ai.tool.name")),
        Kind::Resource => ("resources/read", Some("mcp.resource.uri")),
        Kind::Prompt => ("prompts/get", Some("gen_ai.prompt.name")),
        Kind::PromptCompletion | Kind::TemplateCompletion => ("completion/complete", None),
    }
}

fn span_of(call: &CallSpan) -> Span {
    let (method, named_by) = method_of(call.kind);
    let mut attributes = vec![
        text("mcp.method.name", method),
        text("toolcrib.call.id", &call.call),
        text("toolcrib.caller", call.caller.principal()),
        text("toolcrib.door", call.origin.door),
    ];
    attributes.extend(named_by.map(|key| text(key, &call.name)));
    if call.kind == Kind::Tool {
        attributes.push(text("gen_ai.operation.name", "execute_tool"));
    }
    attributes.extend(call.origin.address.map(|address| text("client.address", &address.to_string())));
    attributes.extend(call.origin.client.as_deref().map(|client| text("user_agent.original", client)));
    let error = match call.outcome {
        Outcome::Answered { output_bytes, is_error } => {
            attributes.push(number("toolcrib.output.bytes", output_bytes));
            is_error.then_some("tool_error")
        }
        Outcome::Refused("needs_input") => None,
        Outcome::Refused(code) => Some(code),
        Outcome::Abandoned => Some("cancelled"),
    };
    attributes.extend(error.map(|error| text("error.type", error)));
    // A name that anybody may have made up makes no name of a span.
    let is_known = !matches!(call.outcome, Outcome::Refused("not_found" | "forbidden"));
    let name =
        if is_known && named_by.is_some() && call.kind != Kind::Resource { format!("{method} {}", call.name) } else { method.to_owned() };
    let began = nanos(call.at);
    Span {
        trace_id: call.trace.id.to_vec(),
        span_id: call.trace.span.to_vec(),
        parent_span_id: call.parent.map(|parent| parent.to_vec()).unwrap_or_default(),
        trace_state: call.trace.state.as_deref().unwrap_or_default().to_owned(),
        flags: u32::from(call.trace.is_sampled),
        name,
        kind: SpanKind::Server.into(),
        start_time_unix_nano: began,
        end_time_unix_nano: began + nanos_of(call.took),
        attributes,
        status: error.map(|error| Status { code: StatusCode::Error.into(), message: error.to_owned() }),
        ..Span::default()
    }
}

fn span_of_step(call: &CallSpan, step: &StepSpan) -> Span {
    let began = nanos(call.at);
    Span {
        trace_id: call.trace.id.to_vec(),
        span_id: step.span.to_vec(),
        parent_span_id: call.trace.span.to_vec(),
        flags: u32::from(call.trace.is_sampled),
        name: step.name.to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: began + nanos_of(step.from),
        end_time_unix_nano: began + nanos_of(step.until),
        ..Span::default()
    }
}

fn nanos_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn metrics(resource: &Resource, families: &[Family]) -> ExportMetricsServiceRequest {
    let now = nanos(SystemTime::now());
    let metrics = families.iter().filter(|family| !family.points.is_empty()).map(|family| metric_of(family, now)).collect();
    let scope_metrics = vec![ScopeMetrics { scope: scope(), metrics, ..ScopeMetrics::default() }];
    let resource_metrics = vec![ResourceMetrics { resource: Some(resource.clone()), scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }
}

fn metric_of(family: &Family, now: u64) -> Metric {
    let cumulative = AggregationTemporality::Cumulative.into();
    let numbers = || family.points.iter().filter_map(|point| number_of(&point.labels, &point.value, now)).collect();
    let data = match family.points[0].value {
        Value::Count(_) => metric::Data::Sum(Sum { data_points: numbers(), aggregation_temporality: cumulative, is_monotonic: true }),
        Value::Gauge(_) => metric::Data::Gauge(Gauge { data_points: numbers() }),
        Value::Histogram(_) => {
            let data_points = family.points.iter().filter_map(|point| spread_of(&point.labels, &point.value, now)).collect();
            metric::Data::Histogram(ToldHistogram { data_points, aggregation_temporality: cumulative })
        }
    };
    Metric {
        name: family.name.to_owned(),
        description: family.help.to_owned(),
        unit: family.unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn attributes_of(labels: &[Label]) -> Vec<KeyValue> {
    labels.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| text(key, value)).collect()
}

fn number_of(labels: &[Label], value: &Value, now: u64) -> Option<NumberDataPoint> {
    let (Value::Count(value) | Value::Gauge(value)) = value else { return None };
    Some(NumberDataPoint {
        attributes: attributes_of(labels),
        start_time_unix_nano: *BEGAN,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsDouble(*value)),
        ..NumberDataPoint::default()
    })
}

fn spread_of(labels: &[Label], value: &Value, now: u64) -> Option<HistogramDataPoint> {
    let Value::Histogram(Histogram { within, count, sum }) = value else { return None };
    // Here each bucket is told by itself, and the last one is that of everything beyond.
    let ends = within.iter().map(|(_, count)| *count).chain([*count]);
    let bucket_counts = ends.scan(0, |before, end| Some(end.saturating_sub(std::mem::replace(before, end)))).collect();
    Some(HistogramDataPoint {
        attributes: attributes_of(labels),
        start_time_unix_nano: *BEGAN,
        time_unix_nano: now,
        count: *count,
        sum: Some(*sum),
        bucket_counts,
        explicit_bounds: within.iter().map(|(bound, _)| *bound).collect(),
        ..HistogramDataPoint::default()
    })
}

pub(super) fn logs(resource: &Resource, lines: Vec<Line>) -> ExportLogsServiceRequest {
    let log_records = lines.into_iter().map(record_of).collect();
    let scope_logs = vec![ScopeLogs { scope: scope(), log_records, ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { resource: Some(resource.clone()), scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }
}

fn record_of(Line { at, level, target, text: body, fields }: Line) -> LogRecord {
    // The severities of the data model of logs.
    let severity = match level {
        Level::ERROR => 17,
        Level::WARN => 13,
        Level::INFO => 9,
        Level::DEBUG => 5,
        Level::TRACE => 1,
    };
    let fields = fields.iter().map(|(key, value)| text(key, value));
    LogRecord {
        time_unix_nano: nanos(at),
        observed_time_unix_nano: nanos(at),
        severity_number: severity,
        severity_text: level.to_string(),
        body: any(any_value::Value::StringValue(body)),
        attributes: fields.chain([text("code.namespace", target)]).collect(),
        ..LogRecord::default()
    }
}
