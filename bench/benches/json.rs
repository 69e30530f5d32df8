//! Carrying JSON: the cost must grow with the bytes, not with what they mean.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use toolcrib_wire::message::Incoming;

fn envelope(c: &mut Criterion) {
    let mut group = c.benchmark_group("envelope");
    for rows in [1, 100, 2_000] {
        let rows_text = vec![r#"{"id":12345,"name":"a row","tags":["x","y"],"ok":true}"#; rows].join(",");
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{{"rows":[{rows_text}]}}}}}}"#);
        let bytes = bytes_of(text);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_with_input(BenchmarkId::new("ours", bytes.len()), &bytes, |b, bytes| {
            b.iter(|| Incoming::parse(bytes).expect("a message"))
        });
        group.bench_with_input(BenchmarkId::new("serde_json::Value", bytes.len()), &bytes, |b, bytes| {
            b.iter(|| serde_json::from_slice::<serde_json::Value>(bytes).expect("JSON"));
        });
    }
    group.finish();
}

fn bytes_of(text: String) -> axum::body::Bytes {
    text.into()
}

criterion_group!(benches, envelope);
criterion_main!(benches);
