//! REST: tools for those who have no MCP. The same gate, the same records.
//!
//! `POST /api/v1/mcp/tool` takes `{"name": …, "args": {…}}`, `POST /api/v1/tools/NAME` the arguments alone. Both answer
//! `{"success": true, "result": …, "execution_time": …, "tool_version": …}` or `{"success": false, "error": …, "error_type": …,
//! "execution_time": …, "tool_version": …}` (see [`Envelope`](crate::envelope::Envelope)); a request that was no call has no time.

mod openapi;

use crate::{
    envelope::{TOOL_ERROR, kind_of, result_of},
    http::{Endpoints, authenticate, demand_scope, origin},
    mcp::{MAX_NAME_BYTES, tool_definition},
    statistics,
};
use axum::{
    Router,
    body::Body,
    extract::{
        Path, Query, Request, State,
        rejection::{PathRejection, QueryRejection},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::{sync::Arc, time::Instant};
use tokio::sync::Semaphore;
use toolcrib_contract::{BackChannel, Call, CallError, Change, Json, Origin, Spec};
use toolcrib_gate::{Arrived, Caller, Gate, Visible};
use toolcrib_wire::{Era, server::Limits};

/// The name of the door, for the record.
const DOOR: &str = "rest";

/// What bounds the door.
#[derive(Debug)]
pub(crate) struct Rest {
    limits: Limits,
    in_flight: Semaphore,
}

/// A request that is not answered with a result: the status, a word for programs, a sentence for people.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    message: String,
    retry_after_secs: Option<u64>,
    /// Of a call that was made: how long it took, in seconds, and the version of its tool.
    made: Option<(f64, Option<String>)>,
}

/// Somebody who calls by REST, and where from.
struct Visitor {
    caller: Caller,
    origin: Origin,
}

impl Rest {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { in_flight: Semaphore::new(limits.max_in_flight), limits }
    }

    fn overloaded(&self) -> Response {
        Refusal::of(&CallError::Overloaded { limit: self.limits.max_in_flight, what: "requests are being answered" }).into_response()
    }
}

/// The routes.
pub(crate) fn routes() -> Router<Arc<Endpoints>> {
    Router::new()
        .route("/api/v1/mcp/tool", post(call_named))
        .route("/api/v1/tools", get(list))
        .route("/api/v1/tools/{name}", post(call))
        .route("/api/v1/stats", get(usage))
        .route("/openapi.json", get(describe))
}

async fn call_named(State(endpoints): State<Arc<Endpoints>>, request: Request) -> Response {
    let (visitor, headers, body) = match enter(&endpoints, request).await {
        Ok(entered) => entered,
        Err(response) => return response,
    };
    let Ok(_place) = endpoints.rest.in_flight.try_acquire() else { return endpoints.rest.overloaded() };
    let asked = async {
        let body = read(&endpoints.rest, &headers, body).await?;
        let members = body.members().map_err(|error| Refusal::bad(format_args!("the body: {error}")))?;
        if let Some((key, _)) = members.iter().find(|(key, _)| !matches!(*key, "name" | "args")) {
            return Err(Refusal::bad(format_args!("unknown member {key:?}; the body is {{\"name\": …, \"args\": {{…}}}}")));
        }
        let name = members.string("name").ok_or_else(|| Refusal::bad("\"name\" is needed, a string"))?;
        if name.len() > MAX_NAME_BYTES {
            return Err(Refusal::bad(format_args!("\"name\" is longer than {MAX_NAME_BYTES} bytes")));
        }
        Ok((name, members.get("args").unwrap_or_else(Json::empty_object)))
    };
    match asked.await {
        Ok((name, arguments)) => answer(&endpoints, visitor, &name, arguments).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn call(State(endpoints): State<Arc<Endpoints>>, name: Result<Path<String>, PathRejection>, request: Request) -> Response {
    let Ok(Path(name)) = name else { return Refusal::bad("the name of the tool in the path is not UTF-8").into_response() };
    let (visitor, headers, body) = match enter(&endpoints, request).await {
        Ok(entered) => entered,
        Err(response) => return response,
    };
    let Ok(_place) = endpoints.rest.in_flight.try_acquire() else { return endpoints.rest.overloaded() };
    match read(&endpoints.rest, &headers, body).await {
        Ok(arguments) => answer(&endpoints, visitor, &name, arguments).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Which tools are listed: all that the caller may have, or those of a category, or with a tag.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    category: Option<String>,
    tag: Option<String>,
}

impl Wanted {
    fn includes(&self, spec: &Spec) -> bool {
        self.category.as_ref().is_none_or(|category| statistics::word(spec.category) == *category)
            && self.tag.as_ref().is_none_or(|tag| spec.tags.contains(tag))
    }
}

async fn list(State(endpoints): State<Arc<Endpoints>>, wanted: Result<Query<Wanted>, QueryRejection>, request: Request) -> Response {
    let Ok(Query(wanted)) = wanted else { return Refusal::bad("tools are listed by category and tag").into_response() };
    match enter(&endpoints, request).await {
        Ok((visitor, ..)) => {
            let visible = visitor.visible(&endpoints.gate);
            let wanted = visible.tools().filter(|spec| wanted.includes(spec));
            let tools = Json::array(wanted.map(|spec| tool_definition(spec, Era::Modern)));
            json(StatusCode::OK, Json::object().with("tools", &tools).finish())
        }
        Err(response) => response,
    }
}

async fn usage(State(endpoints): State<Arc<Endpoints>>, request: Request) -> Response {
    match enter(&endpoints, request).await {
        Ok((visitor, ..)) => json(StatusCode::OK, statistics::document(visitor.visible(&endpoints.gate).tool_entries())),
        Err(response) => response,
    }
}

async fn describe(State(endpoints): State<Arc<Endpoints>>, request: Request) -> Response {
    match enter(&endpoints, request).await {
        Ok((visitor, ..)) => {
            let document = openapi::document(&visitor.visible(&endpoints.gate), endpoints.gate.authenticates());
            json(StatusCode::OK, document)
        }
        Err(response) => response,
    }
}

/// Finds out who asks.
async fn enter(endpoints: &Endpoints, request: Request) -> Result<(Visitor, HeaderMap, Body), Response> {
    let origin = Origin { door: DOOR, client: user_agent(request.headers()), ..origin(request.headers(), request.extensions()) };
    let (parts, body) = request.into_parts();
    match authenticate(endpoints, &parts.headers, &parts.uri).await {
        Ok(caller) => Ok((Visitor { caller, origin }, parts.headers, body)),
        Err(error) => Err(endpoints.unauthorized(&error)),
    }
}

impl Visitor {
    fn visible(&self, gate: &Gate) -> Visible {
        gate.visible_to(&self.caller, &self.origin, None)
    }
}

fn user_agent(headers: &HeaderMap) -> Option<Arc<str>> {
    const MAX_BYTES: usize = 128;
    let agent = headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(agent[..agent.floor_char_boundary(MAX_BYTES)].into())
}

/// Reads a body of JSON, within bounds.
async fn read(rest: &Rest, headers: &HeaderMap, body: Body) -> Result<Json, Refusal> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json")) {
        let message = format!("the body must be application/json, not {content_type:?}");
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_request", message));
    }
    let limit = rest.limits.max_message_bytes;
    let collected = tokio::time::timeout(rest.limits.body_timeout, Limited::new(body, limit).collect()).await;
    let bytes = match collected {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => {
            let message = format!("the body exceeds the limit of {limit} bytes");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message));
        }
        Ok(Err(error)) => return Err(Refusal::bad(format_args!("the body broke off: {error}"))),
        Err(_) => return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not arrive in time".into())),
    };
    Json::parse(bytes).map_err(|error| Refusal::bad(format_args!("the body: {error}")))
}

async fn answer(endpoints: &Endpoints, visitor: Visitor, name: &str, arguments: Json) -> Response {
    let version = visitor.visible(&endpoints.gate).tool(name).filter(|spec| spec.foreign.is_none()).map(|spec| spec.version.clone());
    let is_anonymous = visitor.caller.is_anonymous();
    let Visitor { caller, origin } = visitor;
    let back = Arc::new(Unheard(Arc::clone(&endpoints.gate)));
    let started = Instant::now();
    let result = endpoints.gate.call(Arrived { caller, profile: None, call: Call::tool(name, arguments), origin, back }).await;
    let seconds = started.elapsed().as_secs_f64();
    match result {
        Ok(reply) => match result_of(reply) {
            Ok(result) => {
                let seconds = Json::of(&seconds).expect("a number has a JSON form");
                let body = Json::object()
                    .reserve(result.size_bytes())
                    .with("success", &Json::of(&true).expect("a flag has a JSON form"))
                    .with("result", &result)
                    .with("execution_time", &seconds)
                    .with_some("tool_version", version.as_deref().map(Json::string).as_ref());
                json(StatusCode::OK, body.finish())
            }
            Err(message) => Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, TOOL_ERROR, message).made(seconds, version).into_response(),
        },
        Err(CallError::Forbidden { scopes, .. }) if !scopes.is_empty() => {
            let refusal = Refusal::new(StatusCode::FORBIDDEN, "insufficient_scope", "a scope is missing, see WWW-Authenticate".into());
            demand_scope(refusal.into_response(), &scopes.join(" "), is_anonymous, endpoints)
        }
        Err(error) => Refusal::of(&error).made(seconds, version).into_response(),
    }
}

fn json(status: StatusCode, body: Json) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.into_bytes()).into_response()
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, kind: &'static str, message: String) -> Self {
        Self { status, kind, message, retry_after_secs: None, made: None }
    }

    pub(crate) fn unavailable(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message.to_owned())
    }

    pub(crate) fn bad(message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message.to_string())
    }

    fn made(self, seconds: f64, version: Option<String>) -> Self {
        Self { made: Some((seconds, version)), ..self }
    }

    /// What a call that ended without an output is answered with.
    pub(crate) fn of(error: &CallError) -> Self {
        let status = match error {
            CallError::NotFound { .. } | CallError::Forbidden { .. } => StatusCode::NOT_FOUND,
            CallError::ArgumentsForbidden { .. } => StatusCode::FORBIDDEN,
            CallError::Unauthenticated => StatusCode::UNAUTHORIZED,
            CallError::InvalidArguments(_) | CallError::Failed(_) | CallError::CannotAsk { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            CallError::NeedsInput(_) | CallError::NeedsRound(_) => StatusCode::UNPROCESSABLE_ENTITY,
            CallError::LimitReached { .. } => StatusCode::TOO_MANY_REQUESTS,
            CallError::DeadlineExceeded(_) => StatusCode::GATEWAY_TIMEOUT,
            CallError::Overloaded { .. } | CallError::Unavailable { .. } | CallError::NotCountable | CallError::NotRecordable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            CallError::OutcomeUnknown { .. } | CallError::Unreadable { .. } | CallError::TooLarge { .. } | CallError::Refused { .. } => {
                StatusCode::BAD_GATEWAY
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let kind = kind_of(error);
        let retry_after_secs = match error {
            CallError::LimitReached { retry_after, .. } => Some(retry_after.as_secs().max(1)),
            CallError::Unavailable { outage, .. } => outage.retry_after().map(|after| after.as_secs().max(1)),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => Some(1),
            _ => None,
        };
        Self { status, kind, message: error.to_string(), retry_after_secs, made: None }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = Json::object()
            .with("success", &Json::of(&false).expect("a flag has a JSON form"))
            .with_str("error", &self.message)
            .with_str("error_type", self.kind);
        if let Some((seconds, version)) = self.made {
            body = body.with("execution_time", &Json::of(&seconds).expect("a number has a JSON form"));
            body = body.with_some("tool_version", version.as_deref().map(Json::string).as_ref());
        }
        let mut response = json(self.status, body.finish());
        if let Some(seconds) = self.retry_after_secs {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A client that hears nothing before the answer and cannot be asked.
#[derive(Debug)]
pub(crate) struct Unheard(pub(crate) Arc<Gate>);

impl BackChannel for Unheard {
    fn announce(&self, change: Change) {
        self.0.announce(change);
    }
}
