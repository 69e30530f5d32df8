//! The HTTP door: accept loop, guards and routes, in the order in which a request meets them. MCP that no browser sends is guarded alike and
//! goes past the routes ([`Door::respond`]).

mod bearer;
mod callback;
mod guard;
mod listener;

pub use bearer::ProtectedResource;
pub use callback::{PATH as CALLBACK_PATH, serve_callback};
pub use listener::{Bounds, serve};

use crate::{
    dashboard::{self, Operations},
    mcp::{Identity, Mcp, WireCaller},
    raised,
    rest::{self, Refusal, Rest},
};
use axum::{
    BoxError, Router,
    body::{Body, Bytes, HttpBody},
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use guard::Guard;
use http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet};
use toolcrib_contract::{Callback, Home, Json, Origin, Trace};
use toolcrib_gate::{Caller, Credential, Gate, Names, Unauthenticated};
use toolcrib_wire::{
    meta::{TRACEPARENT, TRACESTATE},
    server::{
        Limits,
        http::{HttpServer, MissingScope, Neighbours},
    },
};
use tower::ServiceExt;

/// How often sessions that nobody uses any more are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// Who may reach the door by name.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// Host names besides those of loopback that a request may be addressed to.
    pub allowed_hosts: Vec<String>,
    /// Origins besides those of loopback from which a browser may call.
    pub allowed_origins: Vec<String>,
}

/// How the door is seen from outside.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// The names by which it is reached.
    pub hosts: Hosts,
    /// What authorization servers know it as.
    pub resource: Option<ProtectedResource>,
    /// Who takes in what browsers bring back from the authorization servers of others, at [`CALLBACK_PATH`].
    pub callback: Option<Arc<dyn Callback>>,
    /// What those who look after the server see and do here.
    pub operations: Option<Arc<dyn Operations>>,
    /// The other processes that are one server with this one, if there are any.
    pub neighbours: Option<Arc<dyn Neighbours>>,
    /// What lives here and nowhere else has a name that begins with that of this process.
    pub home: Home,
    /// Turns true when clients are to go elsewhere: before the door shuts, or as it does.
    pub leaving: Option<watch::Receiver<bool>>,
    /// Turns true once there is what clients come for; if absent, that is so from the start.
    pub ready: Option<watch::Receiver<bool>>,
}

/// Parts of the catalogue that have an endpoint of their own, by name.
pub type Profiles = BTreeMap<String, Arc<Names>>;

/// The address that a request came from, as the listener knows it.
#[derive(Debug, Clone, Copy)]
struct Peer(IpAddr);

/// The HTTP door, ready to be served.
#[derive(Debug)]
pub struct Door {
    router: Router,
    crowded: Router,
    guard: Arc<Guard>,
    endpoints: Arc<Endpoints>,
    /// Turns true when clients are to go elsewhere.
    leaving: watch::Receiver<bool>,
}

/// One endpoint for everything, and one for each profile.
#[derive(Debug)]
pub(crate) struct Endpoints {
    pub(crate) gate: Arc<Gate>,
    pub(crate) rest: Rest,
    pub(crate) operations: Option<Arc<dyn Operations>>,
    resource: Option<ProtectedResource>,
    whole: Arc<Endpoint>,
    profiles: BTreeMap<String, Arc<Endpoint>>,
}

/// One MCP endpoint.
#[derive(Debug)]
struct Endpoint {
    mcp: Arc<Mcp>,
    server: HttpServer<Mcp>,
}

impl Endpoint {
    /// Tells legacy sessions of changes and forgets idle ones, until `shutdown` turns true.
    async fn tend(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let sessions = self.server.sessions();
        let sweep = async {
            let mut sweep = tokio::time::interval(SWEEP);
            loop {
                sweep.tick().await;
                sessions.forget_idle();
                self.server.renew_sessions().await;
            }
        };
        tokio::select! {
            () = self.mcp.tell_of_changes(|visit| sessions.for_each(visit)) => {}
            () = sweep => {}
            () = self.server.follow_neighbours() => {}
            () = raised(&mut shutdown) => {}
        }
        self.server.close_streams();
    }
}

impl Door {
    /// A door in front of this gate.
    #[must_use]
    pub fn new(
        gate: Arc<Gate>,
        identity: &Identity,
        limits: &Limits,
        site: Site,
        profiles: &Profiles,
        shutdown: &watch::Receiver<bool>,
    ) -> Self {
        let endpoint = |name: &str, profile: Option<&Arc<Names>>| {
            let mcp = Mcp::new(Arc::clone(&gate), "http", identity, profile.cloned(), shutdown.clone()).at(site.home.clone());
            let mcp = Arc::new(mcp);
            let server = HttpServer::new(Arc::clone(&mcp), limits.clone()).among(site.neighbours.clone(), name);
            Arc::new(Endpoint { server, mcp })
        };
        let (whole, profiles) =
            (endpoint("", None), profiles.iter().map(|(name, profile)| (name.clone(), endpoint(name, Some(profile)))).collect());
        let endpoints = Arc::new(Endpoints {
            gate,
            rest: Rest::new(limits.clone()),
            operations: site.operations,
            resource: site.resource,
            whole,
            profiles,
        });
        let (guard, ready, leaving) =
            (Arc::new(Guard::new(site.hosts, site.neighbours)), site.ready, site.leaving.unwrap_or_else(|| shutdown.clone()));
        let crowded = crowded(health(ready.clone(), leaving.clone()));
        let router = Router::new()
            .route("/mcp", any(everything))
            .route("/mcp/{profile}", any(one_profile))
            .merge(rest::routes())
            .merge(dashboard::routes())
            .route(bearer::WELL_KNOWN, get(metadata))
            // Clients put the path of the URL that they know behind it, whatever a proxy made of it.
            .route(&format!("{}/{{*path}}", bearer::WELL_KNOWN), get(metadata))
            .merge(site.callback.map(|callback| callback::routes(callback, Some(Arc::clone(&endpoints.whole)))).unwrap_or_default())
            .merge(health(ready, leaving.clone()))
            .fallback(|| async { (StatusCode::NOT_FOUND, "nothing here: MCP is at /mcp, REST at /api/v1, the dashboard at /\n") })
            // A browser asks before it calls; what it is told rests on the same list of origins as the guard.
            .layer(guard.cors())
            // Outermost: whoever came here by a false name goes no further.
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&guard), guard::check))
            .with_state(Arc::clone(&endpoints));
        Self { router, crowded, guard, endpoints, leaving }
    }

    /// Tells legacy sessions of changes and forgets idle ones, until `shutdown` turns true. To be run beside [`serve`].
    pub async fn tend(self: Arc<Self>, shutdown: watch::Receiver<bool>) {
        let endpoints = self.endpoints.profiles.values().chain([&self.endpoints.whole]);
        let tending: JoinSet<()> = endpoints.map(|endpoint| Arc::clone(endpoint).tend(shutdown.clone())).collect();
        tending.join_all().await;
    }

    /// Answers one request.
    ///
    /// MCP of programs goes straight to its endpoint, past the routes and what only browsers need: that saves a sixth of what a call costs.
    /// What is laid around the routes for other reasons has to be done here, too.
    pub async fn respond<B>(&self, mut request: http::Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let Some(endpoint) = self.endpoints.straight_to(&request) else {
            return self.router.clone().oneshot(request.map(Body::new)).await.into_response();
        };
        match self.guard.let_in(&mut request) {
            Ok(()) => {
                let mut response = answer(&self.endpoints, endpoint, request).await;
                // A cache must not give this refusal to a browser: its own would have headers of CORS.
                if !response.status().is_success() {
                    response.headers_mut().insert(header::VARY, HeaderValue::from_static("origin"));
                }
                response
            }
            Err(refused) => refused.into_response(),
        }
    }

    /// What is answered where there are too many connections.
    pub(crate) fn crowded_router(&self) -> Router {
        self.crowded.clone()
    }
}

/// Whether we are well, and whether what is listed is what there is.
fn health<S: Clone + Send + Sync + 'static>(ready: Option<watch::Receiver<bool>>, stopping: watch::Receiver<bool>) -> Router<S> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || std::future::ready(readiness(ready.as_ref(), &stopping))))
}

/// Answers what these routes do, and asks for everything else to come back.
fn crowded(health: Router) -> Router {
    let come_back = [(header::RETRY_AFTER, "1"), (header::CONNECTION, "close")];
    health.fallback(move || async move {
        (StatusCode::SERVICE_UNAVAILABLE, come_back, "overloaded: too many connections; try again in a moment\n")
    })
}

async fn everything(State(endpoints): State<Arc<Endpoints>>, request: Request) -> Response {
    answer(&endpoints, &endpoints.whole, request).await
}

async fn one_profile(State(endpoints): State<Arc<Endpoints>>, Path(name): Path<String>, request: Request) -> Response {
    match endpoints.profiles.get(&name) {
        Some(endpoint) => answer(&endpoints, endpoint, request).await,
        None => refuse(StatusCode::NOT_FOUND, "there is no such profile; the config names them under \"profiles\""),
    }
}

async fn answer<B>(endpoints: &Endpoints, endpoint: &Endpoint, request: http::Request<B>) -> Response
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>>,
{
    let caller = match authenticate(endpoints, request.headers(), request.uri()).await {
        Ok(caller) => caller,
        Err(error) => return bearer::unauthorized(&error, endpoints.resource.as_ref()),
    };
    let is_anonymous = caller.is_anonymous();
    let caller = WireCaller { caller, origin: origin(request.headers(), request.extensions()) };
    let response = endpoint.server.handle(request, caller).await.map(Body::new);
    match response.extensions().get::<MissingScope>().cloned() {
        Some(MissingScope(scope)) => bearer::demand_scope(response, &scope, is_anonymous, endpoints.resource.as_ref()),
        None => response,
    }
}

/// Finds out who asks, by what the request shows.
pub(crate) async fn authenticate(endpoints: &Endpoints, headers: &HeaderMap, uri: &Uri) -> Result<Caller, Unauthenticated> {
    let credential = bearer::credential(headers, uri);
    let identified = match credential {
        Ok(credential) => endpoints.gate.authenticate(credential).await,
        Err(_) if !endpoints.gate.authenticates() => endpoints.gate.authenticate(Credential::None).await,
        Err(error) => Err(error),
    };
    identified.inspect_err(|error| tracing::info!(reason = %error.reason, path = uri.path(), "a caller is not let in"))
}

impl Endpoints {
    /// The MCP endpoint that a request is for, unless it is one of a browser, which wants to be told more.
    fn straight_to<B>(&self, request: &http::Request<B>) -> Option<&Endpoint> {
        if request.headers().contains_key(header::ORIGIN) || request.method() == Method::OPTIONS {
            return None;
        }
        match request.uri().path().strip_prefix("/mcp")? {
            "" => Some(&self.whole),
            rest => self.profiles.get(rest.strip_prefix('/')?).map(Arc::as_ref),
        }
    }

    /// What a client is told, apart from MCP, that has no good credential.
    pub(crate) fn unauthorized(&self, error: &Unauthenticated) -> Response {
        let mut response = Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", error.to_string()).into_response();
        response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer::challenge_for(error, self.resource.as_ref()));
        response
    }
}

/// Says in the headers which scope is missing.
pub(crate) fn demand_scope(response: Response, scope: &str, is_anonymous: bool, endpoints: &Endpoints) -> Response {
    bearer::demand_scope(response, scope, is_anonymous, endpoints.resource.as_ref())
}

/// Where a request came from.
pub(crate) fn origin(headers: &HeaderMap, extensions: &Extensions) -> Origin {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let trace = text(TRACEPARENT).and_then(|parent| Trace::parse(parent, text(TRACESTATE)));
    Origin { door: "http", address: extensions.get::<Peer>().map(|Peer(address)| *address), client: None, trace }
}

/// Whether clients are to be sent here: those who look after us ask.
fn readiness(ready: Option<&watch::Receiver<bool>>, stopping: &watch::Receiver<bool>) -> (StatusCode, &'static str) {
    match (*stopping.borrow(), ready.is_none_or(|ready| *ready.borrow())) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        (false, true) => (StatusCode::OK, "ready\n"),
    }
}

async fn metadata(State(endpoints): State<Arc<Endpoints>>) -> Response {
    match &endpoints.resource {
        Some(resource) => bearer::metadata(resource),
        None => refuse(StatusCode::NOT_FOUND, "no authorization server is configured (auth.oauth)"),
    }
}

/// A refusal by the door itself, in words.
fn refuse(status: StatusCode, message: &str) -> Response {
    let body = Json::object().with_str("error", message).finish();
    (status, [(header::CONTENT_TYPE, "application/json")], body.into_bytes()).into_response()
}

/// The address that clients connect to.
#[must_use]
pub fn url(address: SocketAddr) -> String {
    format!("http://{address}/mcp")
}

#[cfg(test)]
mod tests;
