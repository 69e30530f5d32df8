//! `/mcp` through the whole way (guard, wire, gate, record), beside a bare axum handler that reads the envelope and answers
//! the same bytes. In one process and thread, so that the time is the CPU time; then over loopback, one connection.

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Request, header},
    response::IntoResponse,
    routing::post,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use criterion::{Criterion, criterion_group, criterion_main};
use http_body_util::BodyExt;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::{net::TcpListener, sync::watch};
use toolcrib_contract::{AuditLog, BoxFuture, Globs, Json, Spec, callable};
use toolcrib_edge::{
    http::{Bounds, Door, Profiles, Site, serve},
    mcp::Identity,
};
use toolcrib_gate::{
    Access, Algorithm, Authentication, Condition, Config, Demands, Gate, Issuer, KeySet, KeySource, Keys, Names, Rule, Source,
};
use toolcrib_store::{Policy, Recent, Store};
use toolcrib_testkit::said;
use toolcrib_wire::server::Limits;
use tower::ServiceExt;

const MODERN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"0123456789abcdef"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
const LEGACY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"0123456789abcdef"}}}"#;
const HELLO: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"b","version":"1"}}}"#;

fn door(shutdown: watch::Receiver<bool>) -> Arc<Door> {
    door_of(Gate::new(Config::default(), Arc::new(Recent::new(1000))), &shutdown)
}

/// A door behind which callers prove who they are, have what a rule gives them, and are recorded in this log.
fn guarded(audit: Arc<dyn AuditLog>, when: Option<&str>, keys: Keys, algorithm: Algorithm, shutdown: &watch::Receiver<bool>) -> Arc<Door> {
    let demands = Demands { issuer: Some("bench".into()), audiences: vec!["toolcrib".into()], ..Demands::default() };
    let issuer = Issuer { name: "jwt".into(), keys, algorithms: vec![algorithm], demands, only_access_tokens: false };
    let authentication = Authentication { issuers: vec![Arc::new(issuer)], is_required: true, ..Authentication::default() };
    let rule = |roles: &str, pattern: &str, when: Option<&str>| Rule {
        place: "bench".into(),
        roles: vec![roles.into()],
        allow: Names { tools: Globs::new([pattern]), ..Names::default() },
        deny: Names::default(),
        when: when.map(|when| Condition::parse(when).expect("a condition")),
    };
    let rules = vec![rule("admin", "*", None), rule("user", "git__*", None), rule("user", "echo", when), rule("*", "public_*", None)];
    let gate = Gate::new(Config::default(), audit).authenticating(authentication);
    door_of(gate.ruled_by(Access { rules, scopes: Vec::new() }, Vec::new()), shutdown)
}

fn door_of(gate: Gate, shutdown: &watch::Receiver<bool>) -> Arc<Door> {
    let schema = Json::parse(r#"{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}"#).expect("JSON");
    let mut source = Source::new("bench");
    let echo = callable(|_, _| async { said("0123456789abcdef") });
    source.tool(Spec::new("echo", "").input_schema(schema), echo).expect("a sound schema");
    let gate = Arc::new(gate);
    gate.publish(source);
    let identity = Identity { name: "bench".into(), title: None, version: "1".into(), instructions: None };
    Arc::new(Door::new(gate, &identity, &Limits::default(), Site::default(), &Profiles::new(), shutdown))
}

/// Parses the envelope as far as it must, and formats an answer: the floor.
fn bare(answer: &'static str) -> Router {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
        method: &'a str,
    }
    let handler = move |body: Bytes| async move {
        let Envelope { id, method } = serde_json::from_slice(&body).expect("a request");
        assert_eq!(method, "tools/call");
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{answer}}}"#);
        ([(header::CONTENT_TYPE, "application/json")], text).into_response()
    };
    Router::new().route("/mcp", post(handler))
}

/// What Toolcrib answers, so that the floor answers the same.
async fn result_of(router: &Router, headers: &[(&str, &str)], body: &'static str) -> &'static str {
    let text = send(router, headers, body).await;
    let answer: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    assert!(answer["result"]["content"][0]["text"] == "0123456789abcdef", "{answer}");
    answer["result"].to_string().leak()
}

async fn send(router: &Router, headers: &[(&str, &str)], body: &'static str) -> Bytes {
    let mut request = Request::post("/mcp")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let reply = router.clone().oneshot(request.body(Body::from(body)).expect("a request")).await.expect("an answer");
    assert!(reply.status().is_success(), "{}", reply.status());
    reply.into_body().collect().await.expect("a body").to_bytes()
}

const MODERN_HEADERS: [(&str, &str); 3] = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "echo")];

async fn session(router: &Router) -> String {
    let request = Request::post("/mcp")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Body::from(HELLO))
        .expect("a request");
    let reply = router.clone().oneshot(request).await.expect("an answer");
    reply.headers()["mcp-session-id"].to_str().expect("text").to_owned()
}

fn in_process(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (_shutdown, signal) = watch::channel(false);
    let router = runtime.block_on(async { door(signal).router() });
    let (floor, session) = runtime.block_on(async { (bare(result_of(&router, &MODERN_HEADERS, MODERN).await), session(&router).await) });
    let legacy_headers = [("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-11-25")];
    let mut group = c.benchmark_group("mcp in process");
    group.bench_function("bare axum", |b| b.to_async(&runtime).iter(|| send(&floor, &MODERN_HEADERS, MODERN)));
    group.bench_function("toolcrib modern", |b| b.to_async(&runtime).iter(|| send(&router, &MODERN_HEADERS, MODERN)));
    group.bench_function("toolcrib legacy", |b| b.to_async(&runtime).iter(|| send(&router, &legacy_headers, LEGACY)));
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
    let recent = || Arc::new(Recent::new(1000));
    let when = Some("args.text.size() < 100 && caller.subject != ''");
    let open = door(signal.clone()).router();
    let cases = [
        ("HS256 and rules", guarded(recent(), None, secret(), Algorithm::HS256, &signal), &hs256),
        ("HS256, rules, a condition", guarded(recent(), when, secret(), Algorithm::HS256, &signal), &hs256),
        ("ES256 and rules", guarded(recent(), None, set(), Algorithm::ES256, &signal), &es256),
        ("HS256, rules, audit relaxed", guarded(lasting(false), None, secret(), Algorithm::HS256, &signal), &hs256),
        ("HS256, rules, audit reply, alone", guarded(lasting(true), None, secret(), Algorithm::HS256, &signal), &hs256),
    ];
    let mut group = c.benchmark_group("mcp guarded");
    group.bench_function("open", |b| b.to_async(&runtime).iter(|| send(&open, &MODERN_HEADERS, MODERN)));
    for (name, door, token) in &cases {
        let (router, bearer) = (door.router(), format!("Bearer {token}"));
        let headers = [MODERN_HEADERS[0], MODERN_HEADERS[1], MODERN_HEADERS[2], ("authorization", bearer.as_str())];
        group.bench_function(*name, |b| b.to_async(&runtime).iter(|| send(&router, &headers, MODERN)));
    }
    // What many calls pay that share a commit.
    const TOGETHER: usize = 64;
    let (router, bearer) = (cases[4].1.router(), format!("Bearer {hs256}"));
    let headers = [MODERN_HEADERS[0], MODERN_HEADERS[1], MODERN_HEADERS[2], ("authorization", bearer.as_str())];
    group.throughput(criterion::Throughput::Elements(TOGETHER as u64));
    group.bench_function("HS256, rules, audit reply, 64 together", |b| {
        b.to_async(&runtime).iter(|| futures_util::future::join_all((0..TOGETHER).map(|_| send(&router, &headers, MODERN))));
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
        let answer = result_of(&door.router(), &MODERN_HEADERS, MODERN).await;
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
