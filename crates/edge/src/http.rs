//! The HTTP door: accept loop, guards and routes, in the order in which a request meets them.

mod guard;
mod listener;

pub use listener::{Bounds, serve};

use crate::{
    mcp::{Identity, Mcp, WireCaller},
    raised,
};
use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use guard::Guard;
use http::{StatusCode, header};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};
use toolcrib_contract::Json;
use toolcrib_gate::{Credential, Gate, Profile};
use toolcrib_wire::server::{Limits, http::HttpServer};

/// How often sessions that nobody uses any more are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// Who may reach the door by name.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Host names besides those of loopback that a request may be addressed to.
    pub allowed_hosts: Vec<String>,
    /// Origins besides those of loopback from which a browser may call.
    pub allowed_origins: Vec<String>,
}

/// Parts of the catalogue that have an endpoint of their own, by name.
pub type Profiles = BTreeMap<String, Arc<Profile>>;

/// The HTTP door, ready to be served.
#[derive(Debug)]
pub struct Door {
    router: Router,
    endpoints: Arc<Endpoints>,
}

/// One endpoint for everything, and one for each profile.
#[derive(Debug)]
struct Endpoints {
    gate: Arc<Gate>,
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
            }
        };
        tokio::select! {
            () = self.mcp.tell_of_changes(|visit| sessions.for_each(visit)) => {}
            () = sweep => {}
            () = raised(&mut shutdown) => {}
        }
        sessions.close_streams();
    }
}

impl Door {
    /// A door in front of this gate.
    #[must_use]
    pub fn new(
        gate: Arc<Gate>,
        identity: &Identity,
        limits: &Limits,
        access: Access,
        profiles: &Profiles,
        shutdown: &watch::Receiver<bool>,
    ) -> Self {
        let endpoint = |profile: Option<&Arc<Profile>>| {
            let mcp = Arc::new(Mcp::new(Arc::clone(&gate), "http", identity, profile.cloned(), shutdown.clone()));
            Arc::new(Endpoint { server: HttpServer::new(Arc::clone(&mcp), limits.clone()), mcp })
        };
        let (whole, profiles) = (endpoint(None), profiles.iter().map(|(name, profile)| (name.clone(), endpoint(Some(profile)))).collect());
        let endpoints = Arc::new(Endpoints { gate, whole, profiles });
        let guard = Arc::new(Guard::new(access));
        let router = Router::new()
            .route("/mcp", any(everything))
            .route("/mcp/{profile}", any(one_profile))
            .route("/healthz", get(|| async { "ok\n" }))
            .fallback(|| async { (StatusCode::NOT_FOUND, "nothing here: MCP is at /mcp\n") })
            // A browser asks before it calls; what it is told rests on the same list of origins as the guard.
            .layer(guard.cors())
            // Outermost: whoever came here by a false name goes no further.
            .layer(axum::middleware::from_fn_with_state(guard, guard::check))
            .with_state(Arc::clone(&endpoints));
        Self { router, endpoints }
    }

    /// Tells legacy sessions of changes and forgets idle ones, until `shutdown` turns true. To be run beside [`serve`].
    pub async fn tend(self: Arc<Self>, shutdown: watch::Receiver<bool>) {
        let endpoints = self.endpoints.profiles.values().chain([&self.endpoints.whole]);
        let tending: JoinSet<()> = endpoints.map(|endpoint| Arc::clone(endpoint).tend(shutdown.clone())).collect();
        tending.join_all().await;
    }

    /// The routes, for whoever serves them otherwise than by [`serve`].
    pub fn router(&self) -> Router {
        self.router.clone()
    }
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

async fn answer(endpoints: &Endpoints, endpoint: &Endpoint, request: Request) -> Response {
    match endpoints.gate.authenticate(&Credential::None) {
        Ok(caller) => endpoint.server.handle(request, WireCaller(caller)).await.map(Body::new),
        Err(error) => (StatusCode::UNAUTHORIZED, error.to_string()).into_response(),
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
