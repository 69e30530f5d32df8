//! `/mcp` through the whole way (guard, wire, gate, record), beside a bare axum handler that reads the envelope and answers
//! the same bytes. In one process and thread, so that the time is the CPU time; then over loopback, one connection.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use criterion::{Criterion, criterion_group, criterion_main};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::{net::TcpListener, sync::watch};
use toolcrib_bench::{MODERN, MODERN_HEADERS, Way, Ways, bare, door, guarded, result_of, send};
use toolcrib_contract::{BoxFuture, Json, NoRecords};
use toolcrib_edge::http::{Bounds, serve};
use toolcrib_gate::{Algorithm, KeySet, KeySource, Keys};
use toolcrib_store::{Policy, Store};

fn in_process(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (_shutdown, signal) = watch::channel(false);
    let ways = runtime.block_on(Ways::open(signal));
    let mut group = c.benchmark_group("mcp in process");
    for (name, way) in [("bare axum", Way::Bare), ("toolcrib modern", Way::Modern), ("toolcrib legacy", Way::Legacy)] {
        group.bench_function(name, |b| b.to_async(&runtime).iter(|| ways.call(way)));
    }
    group.finish();
}

/// The same call with a token, rules and a log that lasts: what it costs to know who did what.
fn guarded_in_process(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (_shutdown, signal) = watch::channel(false);
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pair.as_ref(), &random).expect("a key");
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let claims = serde_json::json!({"iss": "bench", "aud": "toolcrib", "sub": "ann", "iat": now, "exp": now + 3600, "roles": ["user"]});
    let secret = || Keys::secret(b"u8Zq3vKx-for-benches-only-7Rb2nMw5Lp9s", &[Algorithm::HS256]).expect("a secret");
    let hs256 = secret().mint("JWT", &Json::of(&claims).expect("JSON")).expect("a token");
    let signed = format!("{}.{}", encode(br#"{"alg":"ES256","kid":"k"}"#), encode(claims.to_string().as_bytes()));
    let es256 = format!("{signed}.{}", encode(pair.sign(&random, signed.as_bytes()).expect("a signature").as_ref()));
    let point = &pair.public_key().as_ref()[1..];
    let jwk =
        serde_json::json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "x": encode(&point[..32]), "y": encode(&point[32..])}]});
    let set = || Keys::Set(Arc::new(Fixed(Arc::new(KeySet::parse(jwk.to_string().as_bytes()).expect("a set")))));
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let lasting = |is_awaited| store.audit(Policy { is_awaited, ..Policy::default() }).expect("a log");
    let unrecorded = || Arc::new(NoRecords);
    let when = Some("args.text.size() < 100 && caller.subject != ''");
    let open = door(signal.clone());
    let cases = [
        ("HS256 and rules", guarded(unrecorded(), None, secret(), Algorithm::HS256, &signal), &hs256),
        ("HS256, rules, a condition", guarded(unrecorded(), when, secret(), Algorithm::HS256, &signal), &hs256),
        ("ES256 and rules", guarded(unrecorded(), None, set(), Algorithm::ES256, &signal), &es256),
        ("HS256, rules, audit relaxed", guarded(lasting(false), None, secret(), Algorithm::HS256, &signal), &hs256),
        ("HS256, rules, audit reply, alone", guarded(lasting(true), None, secret(), Algorithm::HS256, &signal), &hs256),
    ];
    let mut group = c.benchmark_group("mcp guarded");
    group.bench_function("open", |b| b.to_async(&runtime).iter(|| send(&open, &MODERN_HEADERS, MODERN)));
    for (name, door, token) in &cases {
        let bearer = format!("Bearer {token}");
        let headers = [MODERN_HEADERS[0], MODERN_HEADERS[1], MODERN_HEADERS[2], ("authorization", bearer.as_str())];
        group.bench_function(*name, |b| b.to_async(&runtime).iter(|| send(door, &headers, MODERN)));
    }
    // What many calls pay that share a commit.
    const TOGETHER: usize = 64;
    let (door, bearer) = (&cases[4].1, format!("Bearer {hs256}"));
    let headers = [MODERN_HEADERS[0], MODERN_HEADERS[1], MODERN_HEADERS[2], ("authorization", bearer.as_str())];
    group.throughput(criterion::Throughput::Elements(TOGETHER as u64));
    group.bench_function("HS256, rules, audit reply, 64 together", |b| {
        b.to_async(&runtime).iter(|| futures_util::future::join_all((0..TOGETHER).map(|_| send(door, &headers, MODERN))));
    });
    group.finish();
}

/// A key set that does not change.
#[derive(Debug)]
struct Fixed(Arc<KeySet>);

impl KeySource for Fixed {
    fn current(&self) -> Option<Arc<KeySet>> {
        Some(Arc::clone(&self.0))
    }

    fn renew(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

fn over_loopback(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (shutdown, signal) = watch::channel(false);
    let (ours, floor) = runtime.block_on(async {
        let door = door(signal.clone());
        let answer = result_of(&door, &MODERN_HEADERS, MODERN).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let ours = listener.local_addr().expect("an address");
        tokio::spawn(serve(listener, door, Bounds::default(), signal));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let floor = listener.local_addr().expect("an address");
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| stream.set_nodelay(true).expect("TCP_NODELAY"));
        tokio::spawn(async move { axum::serve(listener, bare(answer)).await });
        (ours, floor)
    });
    let mut group = c.benchmark_group("mcp over loopback");
    for (name, address) in [("bare axum", floor), ("toolcrib modern", ours)] {
        let mut client = Client::connect(address);
        group.bench_function(name, |b| b.iter(|| client.call()));
    }
    group.finish();
    shutdown.send_replace(true);
}

/// One connection, kept; as little of a client as there can be.
struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let headers: String = MODERN_HEADERS.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\n{headers}content-length: {}\r\n\r\n{MODERN}",
            MODERN.len()
        );
        Self { stream, request: request.into_bytes(), buffer: vec![0; 16 * 1024] }
    }

    fn call(&mut self) -> usize {
        self.stream.write_all(&self.request).expect("it is sent");
        let mut length = 0;
        loop {
            length += self.stream.read(&mut self.buffer[length..]).expect("an answer");
            // The last bytes of the result tell that all of it is there.
            if self.buffer[..length].ends_with(b"}}") {
                return length;
            }
        }
    }
}

criterion_group!(benches, in_process, guarded_in_process, over_loopback);
criterion_main!(benches);
