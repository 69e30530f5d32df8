//! The dashboard, and the endpoints that it is made of: how the server does, for those who look after it.
//!
//! The page holds no secret and is given to everybody; what it shows it asks for as whoever signs in. The credential goes with each request
//! in its header and never in a cookie, so that no other site can make a browser use it. Each view stands for a resource, and is given
//! by the rules that give this resource (see [`views`]).

mod access;
mod assets;

use crate::{
    http::{Endpoints, authenticate, origin},
    rest::{Refusal, Unheard},
};
use axum::{
    Router,
    extract::{
        FromRequestParts, Path, Query, State,
        rejection::{PathRejection, QueryRejection, StringRejection},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{StatusCode, header, request::Parts};
use serde::Deserialize;
use std::{fmt, sync::Arc};
use toolcrib_contract::{BoxFuture, Call, CallError, CallerId, Json, Kind, Origin};
use toolcrib_gate::{Arrived, Caller, Visible};

/// The door of those who look after the server, for the record.
const DOOR: &str = "dashboard";

/// What those who look after a server see of it, and do to it. The product implements it.
pub trait Operations: Send + Sync + fmt::Debug {
    /// How it does now, and did in the last minutes.
    fn now(&self) -> BoxFuture<'_, Json>;

    /// The same for Prometheus, with the content type of it.
    fn metrics(&self) -> (&'static str, String);

    /// The other servers.
    fn servers(&self) -> BoxFuture<'_, Json>;

    /// Has something done to one of them; false if there is none of that name.
    fn order(&self, server: &str, order: Order) -> bool;

    /// What the config comes to, and what is wrong with it as it is now.
    fn config(&self) -> BoxFuture<'_, Json>;

    /// What was logged lately, and what is logged.
    fn log(&self) -> Json;

    /// From now on something else is logged.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    fn set_log_filter(&self, filter: &str) -> Result<(), String>;

    /// Records of calls.
    ///
    /// # Errors
    /// Why there are none to be had, in a sentence.
    fn calls(&self, wanted: Wanted) -> BoxFuture<'_, Result<Json, String>>;

    /// Whether the records are what was written.
    ///
    /// # Errors
    /// Why that cannot be told, in a sentence.
    fn verify(&self) -> BoxFuture<'_, Result<Json, String>>;
}

/// What can be done to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Start it anew, also one that was quarantined.
    Restart,
    /// Take it out of service until it is restarted.
    Quarantine,
}

impl Order {
    fn word(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Quarantine => "quarantine",
        }
    }
}

/// Which records are wanted. Without any word, the latest.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Of this caller.
    pub user: Option<String>,
    /// Of what is called so, with `*` for any characters.
    pub tool: Option<String>,
    /// That ended so, or with this code.
    pub outcome: Option<String>,
    /// That arrived then or later: an age such as `1h`, or a time (RFC 3339).
    pub since: Option<String>,
    /// That arrived before.
    pub until: Option<String>,
    /// Older than the record of this number.
    pub before: Option<i64>,
    /// Newer than the record of this number.
    pub after: Option<i64>,
    /// The most records.
    pub limit: Option<usize>,
}

/// What is seen here, each under the URI by which rules of access give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct View {
    name: &'static str,
    uri: &'static str,
}

const NOW: View = View { name: "now", uri: "metrics://server/stats" };
const SERVERS: View = View { name: "servers", uri: "status://server/upstreams" };
const CONTROL: View = View { name: "control", uri: "control://server/upstreams" };
const LOG_CONTROL: View = View { name: "log_control", uri: "control://server/log" };
const CALLS: View = View { name: "calls", uri: "audit://server/calls" };
const ACCESS: View = View { name: "access", uri: "access://server/rules" };
const CONFIG: View = View { name: "config", uri: "config://server/settings" };
const LOG: View = View { name: "log", uri: "logs://server/recent" };
const VIEWS: [View; 8] = [NOW, SERVERS, CONTROL, LOG_CONTROL, CALLS, ACCESS, CONFIG, LOG];

/// The URIs by which rules of access give views.
pub fn views() -> impl Iterator<Item = &'static str> {
    VIEWS.iter().map(|view| view.uri)
}

/// The routes.
pub(crate) fn routes() -> Router<Arc<Endpoints>> {
    Router::new()
        .merge(assets::routes())
        .route("/metrics", get(metrics))
        .route("/api/v1/me", get(me))
        .route("/api/v1/now", get(now))
        .route("/api/v1/servers", get(servers))
        .route("/api/v1/servers/{name}/{order}", post(order))
        .route("/api/v1/calls", get(calls))
        .route("/api/v1/calls/verdict", get(verdict))
        .route("/api/v1/access", get(matrix))
        .route("/api/v1/config", get(config))
        .route("/api/v1/log", get(log))
        .route("/api/v1/log/filter", post(set_log_filter))
}

/// Somebody who looks, and what they may see.
struct Visitor {
    caller: Caller,
    origin: Origin,
    visible: Visible,
}

impl FromRequestParts<Arc<Endpoints>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, endpoints: &Arc<Endpoints>) -> Result<Self, Response> {
        let origin = Origin { door: DOOR, ..origin(&parts.headers, &parts.extensions) };
        let caller = authenticate(endpoints, &parts.headers, &parts.uri).await;
        let caller = caller.map_err(|error| endpoints.unauthorized(&error))?;
        let visible = endpoints.gate.visible_to(&caller, &origin, None);
        Ok(Self { caller, origin, visible })
    }
}

impl Visitor {
    fn may_see(&self, view: View) -> Result<(), Refusal> {
        if self.visible.may_read(view.uri) {
            return Ok(());
        }
        let message = format!("you may not see this: a rule of access gives it that names {:?} under allow.resources", view.uri);
        Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", message))
    }

    /// What tells of this, for whoever may see it.
    fn sees<'a>(&self, view: View, endpoints: &'a Endpoints) -> Result<&'a dyn Operations, Refusal> {
        self.may_see(view)?;
        endpoints.operations.as_deref().ok_or_else(|| Refusal::unavailable("this server does not tell how it does"))
    }
}

type Answer = Result<Response, Refusal>;

async fn me(State(endpoints): State<Arc<Endpoints>>, visitor: Visitor) -> Response {
    let id: &CallerId = visitor.caller.id();
    let flag = |flag: bool| Json::of(&flag).expect("a flag has a JSON form");
    let may = VIEWS.iter().fold(Json::object(), |may, view| may.with(view.name, &flag(visitor.may_see(*view).is_ok())));
    let body = Json::object()
        .with_str("subject", &id.subject)
        .with_str("authority", &id.authority)
        .with("roles", &Json::array(id.roles.iter().map(|role| Json::string(role))))
        .with("is_anonymous", &flag(id.is_anonymous()))
        .with("authenticates", &flag(endpoints.gate.authenticates()))
        .with("may", &may.finish())
        .finish();
    json(body)
}

async fn metrics(State(endpoints): State<Arc<Endpoints>>, visitor: Visitor) -> Answer {
    let (content_type, text) = visitor.sees(NOW, &endpoints)?.metrics();
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}

async fn now(State(endpoints): State<Arc<Endpoints>>, visitor: Visitor) -> Answer {
    Ok(json(visitor.sees(NOW, &endpoints)?.now().await))
}

async fn servers(State(endpoints): State<Arc<Endpoints>>, visitor: Visitor) -> Answer {
    Ok(json(visitor.sees(SERVERS, &endpoints)?.servers().await))
}

async fn config(State(endpoints): State<Arc<Endpoints>>, visitor: Visitor) -> Answer {
    Ok(json(visitor.sees(CONFIG, &endpoints)?.config().await))
}

async fn log(State(endpoints): State<Arc<Endpoints>>, visitor: Visitor) -> Answer {
    Ok(json(visitor.sees(LOG, &endpoints)?.log()))
}

async fn calls(State(endpoints): State<Arc<Endpoints>>, visitor: Visitor, wanted: Result<Query<Wanted>, QueryRejection>) -> Answer {
    let operations = visitor.sees(CALLS, &endpoints)?;
    let Query(wanted) =
        wanted.map_err(|_| Refusal::bad("calls are found by user, tool, outcome, since, until, before, after and limit"))?;
    operations.calls(wanted).await.map(json).map_err(Refusal::bad)
}

async fn verdict(State(endpoints): State<Arc<Endpoints>>, visitor: Visitor) -> Answer {
    visitor.sees(CALLS, &endpoints)?.verify().await.map(json).map_err(|reason| Refusal::unavailable(&reason))
}

async fn matrix(State(endpoints): State<Arc<Endpoints>>, visitor: Visitor) -> Answer {
    visitor.may_see(ACCESS)?;
    Ok(json(access::matrix(&endpoints.gate)))
}

/// Has something done to a server.
async fn order(State(endpoints): State<Arc<Endpoints>>, visitor: Visitor, path: Result<Path<(String, Order)>, PathRejection>) -> Answer {
    let Path((server, order)) = path.map_err(|_| Refusal::bad("a server can be told to \"restart\" and to \"quarantine\""))?;
    let arguments = Json::object().with_str("order", order.word()).with_str("server", &server).finish();
    let there_is_none = || CallError::NotFound { kind: Kind::Resource, name: format!("server {server}").into() };
    act(&endpoints, visitor, CONTROL, arguments, |operations| operations.order(&server, order).then_some(()).ok_or_else(there_is_none))
        .await
}

/// Has something else logged.
async fn set_log_filter(State(endpoints): State<Arc<Endpoints>>, visitor: Visitor, body: Result<String, StringRejection>) -> Answer {
    let filter = body.map_err(|rejection| Refusal::bad(rejection.body_text()))?;
    let arguments = Json::object().with_str("filter", &filter).finish();
    act(&endpoints, visitor, LOG_CONTROL, arguments, |operations| operations.set_log_filter(&filter).map_err(CallError::InvalidArguments))
        .await
}

/// Does something to the server itself. The record says who did it, or would have.
async fn act(
    endpoints: &Endpoints,
    visitor: Visitor,
    view: View,
    arguments: Json,
    what: impl FnOnce(&dyn Operations) -> Result<(), CallError>,
) -> Answer {
    let call = Call { kind: Kind::Resource, name: view.uri.into(), arguments, params: None };
    let (refused, operations) = (visitor.may_see(view), endpoints.operations.clone());
    let Visitor { caller, origin, .. } = visitor;
    let arrived = Arrived { caller, profile: None, call, origin, back: Arc::new(Unheard(Arc::clone(&endpoints.gate))) };
    let nobody = || CallError::failed("this server cannot be looked after");
    let act = || what(operations.as_deref().ok_or_else(nobody)?);
    let done = endpoints.gate.act(arrived, act).await;
    // Of a call that is not theirs, callers learn nothing; whoever looks after a server is told what is missing.
    refused?;
    done.map_err(|error| Refusal::of(&error))?;
    Ok(json(Json::object().with("success", &Json::of(&true).expect("a flag has a JSON form")).finish()))
}

/// What is so now may be something else in a moment.
fn json(body: Json) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body.into_bytes()).into_response()
}
