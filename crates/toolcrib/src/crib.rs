//! A server put together: tools, resources and prompts behind one gate, and its doors.

use crate::{Builder, about::statistics::Process, assemble::Behind, lifecycle::Lifecycle};
use serde::Serialize;
use std::{io, net::SocketAddr, sync::Arc, time::Instant};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use toolcrib_contract::{BackChannel, Call, CallError, Change, Json, Origin, Spec};
use toolcrib_edge::{
    envelope::Envelope,
    http::{self, Bounds, Door, Profiles, Site},
    mcp::Identity,
    stdio,
};
use toolcrib_gate::{Arrived, Caller, Credential, Gate, Reply, Unauthenticated};
use toolcrib_upstream::Upstream;
use toolcrib_wire::server::Limits;

/// The name of the door of the program itself, for the record.
const DOOR: &str = "library";

/// A complete MCP server. Made by [`Crib::builder`]; ended by [`Crib::close`].
#[derive(Debug)]
pub struct Crib {
    pub(crate) identity: Identity,
    pub(crate) gate: Arc<Gate>,
    pub(crate) limits: Limits,
    pub(crate) site: Site,
    pub(crate) local: Credential,
    pub(crate) profiles: Profiles,
    pub(crate) shutdown: watch::Sender<bool>,
    /// Turns true when clients are to go elsewhere.
    pub(crate) leaving: watch::Sender<bool>,
    pub(crate) process: Process,
    pub(crate) lifecycle: Lifecycle,
    /// What a config has put behind the gate.
    pub(crate) behind: Option<Behind>,
    /// What is on its way to a collector, and what ends that.
    pub(crate) exporting: Option<(watch::Sender<bool>, JoinHandle<()>)>,
    /// What is written down from time to time; ends with this.
    pub(crate) _tasks: JoinSet<()>,
}

/// Why a server does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Other replicas cannot be told where they reach this one.
    #[error(
        "{address} stands for all addresses of this machine: \"storage.advertise\" in the config says at which one other replicas reach it"
    )]
    Nowhere {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The address can be reached from other machines, and nothing says who may call.
    #[error(
        "{address} can be reached from other machines, and callers are not authenticated: say in \"auth\" who they are, or listen on a loopback address such as 127.0.0.1:3001"
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
    },
    /// Whoever starts us as a child, or calls on the command line, is not known.
    #[error(transparent)]
    Unauthenticated(#[from] Unauthenticated),
    /// There is no profile of that name.
    #[error("there is no profile {name:?}; known are {known:?}")]
    NoProfile {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The door broke.
    #[error("the door broke")]
    Door(#[from] io::Error),
}

impl Crib {
    /// Starts to put a server together.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The gate, to which other sources may be published.
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// The names of the profiles.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        self.profiles.keys().map(String::as_str)
    }

    /// Who calls over standard input and output.
    #[must_use]
    pub fn local(&self) -> &Credential {
        &self.local
    }

    /// Turns true when the server shuts down.
    #[must_use]
    pub fn shutdown_signal(&self) -> watch::Receiver<bool> {
        self.shutdown.subscribe()
    }

    /// Says that we are leaving (`/readyz`), and waits until clients had the time to go elsewhere that the config gives them.
    pub(crate) async fn drain(&self) {
        let drain = self.behind.as_ref().map(|behind| behind.drain).unwrap_or_default();
        self.leaving.send_replace(true);
        if !drain.is_zero() {
            tracing::info!(seconds = drain.as_secs_f64(), "leaving: clients have time to go elsewhere before the door shuts");
        }
        tokio::time::sleep(drain).await;
    }

    /// Begins the shutdown: no new calls, calls in flight may finish.
    pub fn shut_down(&self) {
        self.leaving.send_replace(true);
        self.shutdown.send_replace(true);
    }

    /// Calls a tool as whoever is local, by the road of every call, and says what came of it. Questions in mid-call find nobody here.
    ///
    /// ```
    /// # use toolcrib::{CallError, Crib, tool};
    /// /// Halves a number.
    /// #[tool(pure)]
    /// async fn halve(number: u64) -> Result<u64, CallError> {
    ///     if number % 2 == 1 { Err(CallError::failed("it is odd")) } else { Ok(number / 2) }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let crib = Crib::builder().tool(halve()).build().await?;
    /// let halved = crib.call_tool("halve", &serde_json::json!({"number": 8})).await;
    /// assert!(halved.success && halved.result.unwrap().as_str() == r#"{"result":4}"#);
    /// let odd = crib.call_tool("halve", &serde_json::json!({"number": 7})).await;
    /// assert_eq!((odd.error.as_deref(), odd.error_type), (Some("it is odd"), Some("tool_error")));
    /// # crib.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call_tool(&self, name: &str, arguments: &impl Serialize) -> Envelope {
        let began = Instant::now();
        let of_ours = |spec: &Spec| spec.foreign.is_none().then(|| spec.version.clone());
        let (outcome, version) = match self.gate.authenticate(self.local.clone()).await {
            Err(_) => (Err(CallError::Unauthenticated), None),
            Ok(caller) => {
                let version = self.gate.visible_to(&caller, &Origin::door(DOOR), None).tool(name).and_then(of_ours);
                (self.pass(caller, name, arguments).await, version)
            }
        };
        Envelope::of(outcome, began.elapsed(), version)
    }

    async fn pass(&self, caller: Caller, name: &str, arguments: &impl Serialize) -> Result<Reply, CallError> {
        let arguments = Json::of(arguments).map_err(|error| CallError::InvalidArguments(error.to_string()))?;
        let (call, origin) = (Call::tool(name, arguments), Origin::door(DOOR));
        self.gate.call(Arrived { caller, profile: None, call, origin, back: Arc::new(Nobody(Arc::clone(&self.gate))) }).await
    }

    /// What tools there are, and how they have been used: what `metrics://server/stats` tells.
    #[must_use]
    pub fn statistics(&self) -> Json {
        self.process.told(&self.gate)
    }

    /// The other servers behind the gate.
    pub(crate) fn upstreams(&self) -> Vec<Arc<Upstream>> {
        self.behind.as_ref().map(|behind| behind.fleet.upstreams()).unwrap_or_default()
    }

    /// Ends the server, once nothing is served any more: stops the other servers, lets tools tidy up, and writes what is to be recorded.
    /// A server that is dropped without it kills its children and tidies up nothing.
    pub async fn close(mut self) {
        self.shut_down();
        if let Some(behind) = &self.behind {
            behind.stop_servers().await;
        }
        self.lifecycle.cleanup().await;
        if let Some(behind) = self.behind.take() {
            behind.close_records().await;
        }
        if let Some((stop, exporting)) = self.exporting.take() {
            stop.send_replace(true);
            // It takes the little time that it gives itself.
            let _ = exporting.await;
        }
    }

    /// Listens where clients can connect.
    ///
    /// # Errors
    /// [`ServeError::Exposed`] for an address that other machines can reach, [`ServeError::Listen`] for one in use.
    pub async fn listen(&self, address: SocketAddr) -> Result<TcpListener, ServeError> {
        if !address.ip().is_loopback() && !self.gate.authenticates() {
            return Err(ServeError::Exposed { address });
        }
        let is_nowhere = self.behind.as_ref().and_then(|behind| behind.replicas.as_ref()).is_some_and(|(_, advertise)| advertise.is_none());
        if address.ip().is_unspecified() && is_nowhere {
            return Err(ServeError::Nowhere { address });
        }
        TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
    }

    /// Serves HTTP at the listener until [`Crib::shut_down`].
    ///
    /// # Errors
    /// [`ServeError::Door`].
    pub async fn serve_listener(&self, listener: TcpListener) -> Result<(), ServeError> {
        if let (Some(behind), Ok(address)) = (&self.behind, listener.local_addr()) {
            behind.door_is_at(address);
            behind.announce(address).await;
        }
        let (gate, mut site) = (Arc::clone(&self.gate), self.site.clone());
        site.leaving = Some(self.leaving.subscribe());
        let door = Door::new(gate, &self.identity, &self.limits, site, &self.profiles, &self.shutdown_signal());
        let door = Arc::new(door);
        let open = Arc::clone(&self.process.connections);
        let bounds = Bounds { max_connections: self.limits.max_connections, open, ..Bounds::default() };
        let tending = tokio::spawn(Arc::clone(&door).tend(self.shutdown_signal()));
        let shut = async {
            // Whoever could say so is there as long as we are.
            let _ = self.shutdown_signal().wait_for(|is_shut| *is_shut).await;
            if let Some(behind) = &self.behind {
                behind.close_door().await;
            }
            std::future::pending().await
        };
        let served = tokio::select! {
            served = http::serve(listener, door, bounds, self.shutdown_signal()) => served,
            never = shut => never,
        };
        tending.abort();
        if let Some(behind) = &self.behind {
            behind.leave().await;
        }
        Ok(served?)
    }

    /// Serves HTTP at the address until [`Crib::shut_down`].
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn serve_http(&self, address: SocketAddr) -> Result<(), ServeError> {
        let listener = self.listen(address).await?;
        self.serve_listener(listener).await
    }

    /// Serves one client on standard input and output until it leaves: everything, or the part of it that the profile of
    /// this name holds.
    ///
    /// # Errors
    /// [`ServeError::NoProfile`], [`ServeError::Door`]; [`ServeError::Unauthenticated`] where the client may not call.
    pub async fn serve_stdio(&self, profile: Option<&str>) -> Result<(), ServeError> {
        let serving = self.serve_pipe(tokio::io::stdin(), tokio::io::stdout(), "stdio", profile, self.local.clone()).await?;
        Ok(serving.await?)
    }

    /// Serves one client on a pipe until it leaves: the future that this gives. The door's name is for the record.
    ///
    /// # Errors
    /// [`ServeError::NoProfile`]; [`ServeError::Unauthenticated`] where the client may not call.
    pub async fn serve_pipe(
        &self,
        input: impl AsyncRead + Unpin + Send + 'static,
        output: impl AsyncWrite + Unpin + Send + 'static,
        door: &'static str,
        profile: Option<&str>,
        credential: Credential,
    ) -> Result<impl Future<Output = io::Result<()>> + Send + 'static, ServeError> {
        let profile = profile.map(|name| self.profiles.get(name).cloned().ok_or_else(|| self.no_profile(name))).transpose()?;
        let caller = self.gate.authenticate(credential).await?;
        let (gate, identity, limits) = (Arc::clone(&self.gate), self.identity.clone(), self.limits.clone());
        let door = stdio::Door { gate, identity, caller, profile, limits, name: door };
        Ok(door.serve(input, output, self.shutdown_signal()))
    }

    fn no_profile(&self, name: &str) -> ServeError {
        ServeError::NoProfile { name: name.to_owned(), known: self.profiles.keys().cloned().collect() }
    }
}

/// Whoever calls from the program itself: hears nothing in mid-call, and cannot be asked. What changes is told to all others.
#[derive(Debug)]
struct Nobody(Arc<Gate>);

impl BackChannel for Nobody {
    fn announce(&self, change: Change) {
        self.0.announce(change);
    }
}
