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
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use guard::Guard;
use http::{StatusCode, header};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::{broadcast, watch};
use toolcrib_contract::{Change, Json};
use toolcrib_gate::{Credential, Gate};
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

/// The HTTP door, ready to be served.
#[derive(Debug)]
pub struct Door {
    router: Router,
    mcp: Arc<HttpServer<Mcp>>,
    gate: Arc<Gate>,
}

#[derive(Clone)]
struct Shared {
    gate: Arc<Gate>,
    mcp: Arc<HttpServer<Mcp>>,
}

impl Door {
    /// A door in front of this gate.
    #[must_use]
    pub fn new(gate: Arc<Gate>, identity: &Identity, limits: Limits, access: Access, shutdown: watch::Receiver<bool>) -> Self {
        let service = Arc::new(Mcp::new(Arc::clone(&gate), "http", identity, shutdown));
        let mcp = Arc::new(HttpServer::new(service, limits));
        let guard = Arc::new(Guard::new(access));
        let router = Router::new()
            .route("/mcp", any(mcp_endpoint))
            .route("/healthz", get(|| async { "ok\n" }))
            .fallback(|| async { (StatusCode::NOT_FOUND, "nothing here: MCP is at /mcp\n") })
            // A browser asks before it calls; what it is told rests on the same list of origins as the guard.
            .layer(guard.cors())
            // Outermost: whoever came here by a false name goes no further.
            .layer(axum::middleware::from_fn_with_state(guard, guard::check))
            .with_state(Shared { gate: Arc::clone(&gate), mcp: Arc::clone(&mcp) });
        Self { router, mcp, gate }
    }

    /// Tells legacy sessions of changes and forgets idle ones, until `shutdown` turns true. To be run beside [`serve`].
    pub async fn tend(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let mut changes = self.gate.changes();
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(change) => self.mcp.sessions().for_each(|session| Mcp::tell(session, &change)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        for change in [Change::Tools, Change::Prompts, Change::Resources] {
                            self.mcp.sessions().for_each(|session| Mcp::tell(session, &change));
                        }
                    }
                    Err(broadcast::error::RecvError::Closed) => break,
                },
                _ = sweep.tick() => self.mcp.sessions().forget_idle(),
                () = raised(&mut shutdown) => break,
            }
        }
        self.mcp.sessions().close_streams();
    }

    /// The routes, for whoever serves them otherwise than by [`serve`].
    pub fn router(&self) -> Router {
        self.router.clone()
    }
}

async fn mcp_endpoint(State(Shared { gate, mcp }): State<Shared>, request: Request) -> Response {
    match gate.authenticate(&Credential::None) {
        Ok(caller) => mcp.handle(request, WireCaller(caller)).await.map(Body::new),
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
