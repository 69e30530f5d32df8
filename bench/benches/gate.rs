//! The gate around a tool that does nothing: what the road itself costs.

use criterion::{Criterion, criterion_group, criterion_main};
use toolcrib_contract::{Json, Output, Spec, ToolOutput, callable};
use toolcrib_testkit::{TestGate, said};

fn gate(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let schema =
        Json::parse(r#"{"type":"object","properties":{"n":{"type":"integer"},"text":{"type":"string"}},"required":["n"]}"#).expect("JSON");
    let gate = TestGate::default()
        .tool("noop", |_, _| async { Ok(Output::Tool(ToolOutput::default())) })
        .entry(Spec::new("checked", "").input_schema(schema), callable(|_, _| async { said("ok") }))
        .open();
    let mut group = c.benchmark_group("gate");
    group.bench_function("no schema", |b| b.to_async(&runtime).iter(|| gate.call("noop", "{}")));
    group.bench_function("schema", |b| b.to_async(&runtime).iter(|| gate.call("checked", r#"{"n": 5, "text": "hello"}"#)));
    group.finish();
}

criterion_group!(benches, gate);
criterion_main!(benches);
