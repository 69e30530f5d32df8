//! The way of a call, in one process and without a socket: what the benches time, and of which the tests count allocations and instructions.
//! Run with `cargo bench -p toolcrib-bench`; what was measured stands in `bench/README.md`, and how Toolcrib stands beside others is
//! measured by `bench/compare`.
//!
//! Speed is never asserted in a test: times depend on the machine, and only ratios within one run mean something.

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Request, header},
    response::{IntoResponse, Response},
    routing::post,
};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use tokio::sync::watch;
use toolcrib_contract::{AuditLog, Globs, Json, NoRecords, Spec, callable};
use toolcrib_edge::{
    http::{Door, Profiles, Site},
    mcp::Identity,
};
use toolcrib_gate::{Access, Algorithm, Authentication, Condition, Config, Demands, Gate, Issuer, Keys, Names, Rule, Source};
use toolcrib_testkit::said;
use toolcrib_wire::server::Limits;
use tower::ServiceExt;

/// A call of `echo` by a client of 2026-07-28.
pub const MODERN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"0123456789abcdef"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
/// The same in a session of 2025-11-25.
pub const LEGACY: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"0123456789abcdef"}}}"#;
const HELLO: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"b","version":"1"}}}"#;

/// A door behind which everybody may call `echo`, and nobody writes it down.
#[must_use]
pub fn door(shutdown: watch::Receiver<bool>) -> Arc<Door> {
    door_of(Gate::new(Config::default(), Arc::new(NoRecords)), &shutdown)
}

/// A door behind which callers prove who they are, have what a rule gives them, and are recorded in this log.
///
/// # Panics
/// If `when` is no condition.
#[must_use]
pub fn guarded(
    audit: Arc<dyn AuditLog>,
    when: Option<&str>,
    keys: Keys,
    algorithm: Algorithm,
    shutdown: &watch::Receiver<bool>,
) -> Arc<Door> {
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
///
/// # Panics
/// At what is no call.
pub fn bare(answer: &'static str) -> Router {
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

/// What answers requests without a socket.
pub trait Answers {
    /// Answers one.
    fn answer(&self, request: Request<Body>) -> impl Future<Output = Response> + Send;
}

impl Answers for Arc<Door> {
    fn answer(&self, request: Request<Body>) -> impl Future<Output = Response> + Send {
        self.respond(request)
    }
}

impl Answers for Router {
    async fn answer(&self, request: Request<Body>) -> Response {
        self.clone().oneshot(request).await.expect("an answer")
    }
}

/// What Toolcrib answers, so that the floor answers the same.
///
/// # Panics
/// If the answer is not what was asked for.
pub async fn result_of(door: &impl Answers, headers: &[(&str, &str)], body: &'static str) -> &'static str {
    let text = send(door, headers, body).await;
    let answer: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    assert!(answer["result"]["content"][0]["text"] == "0123456789abcdef", "{answer}");
    answer["result"].to_string().leak()
}

/// Asks, and reads the answer.
///
/// # Panics
/// If it is a refusal.
pub async fn send(door: &impl Answers, headers: &[(&str, &str)], body: &'static str) -> Bytes {
    let mut request = Request::post("/mcp")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let reply = door.answer(request.body(Body::from(body)).expect("a request")).await;
    assert!(reply.status().is_success(), "{}", reply.status());
    reply.into_body().collect().await.expect("a body").to_bytes()
}

/// What goes with [`MODERN`].
pub const MODERN_HEADERS: [(&str, &str); 3] = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "echo")];

/// Opens a session of 2025-11-25, and gives its name.
///
/// # Panics
/// If none is opened.
pub async fn session(door: &impl Answers) -> String {
    let request = Request::post("/mcp")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Body::from(HELLO))
        .expect("a request");
    let reply = door.answer(request).await;
    reply.headers()["mcp-session-id"].to_str().expect("text").to_owned()
}

/// How a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the bare handler.
    Bare,
    /// To Toolcrib, by a client of 2026-07-28.
    Modern,
    /// To Toolcrib, in a session of 2025-11-25.
    Legacy,
}

/// All ways of a call, side by side.
#[derive(Debug)]
pub struct Ways {
    door: Arc<Door>,
    floor: Router,
    session: String,
}

impl Ways {
    /// Opens a door, a session, and a bare handler that answers the same.
    pub async fn open(shutdown: watch::Receiver<bool>) -> Self {
        let door = door(shutdown);
        let (session, floor) = (session(&door).await, bare(result_of(&door, &MODERN_HEADERS, MODERN).await));
        Self { door, floor, session }
    }

    /// Calls `echo` once.
    pub async fn call(&self, way: Way) -> Bytes {
        match way {
            Way::Bare => send(&self.floor, &MODERN_HEADERS, MODERN).await,
            Way::Modern => send(&self.door, &MODERN_HEADERS, MODERN).await,
            Way::Legacy => {
                let of_session = [("mcp-session-id", self.session.as_str()), ("mcp-protocol-version", "2025-11-25")];
                send(&self.door, &of_session, LEGACY).await
            }
        }
    }
}
