//! A server put together: tools, resources and prompts behind one gate, and its doors.

use crate::statistics;
use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch,
};
use toolcrib_contract::{AuditLog, Callable, Callback, PromptSpec, ResourceSpec, Spec, TemplateSpec, Tool, typed};
use toolcrib_edge::{
    http::{self, Bounds, Door, Hosts, Profiles, ProtectedResource, Site},
    mcp::Identity,
    stdio,
};
use toolcrib_gate::{Access, Authentication, Config, Credential, Gate, Limit, Resilience, SchemaFault, Source, Unauthenticated};
use toolcrib_store::Recent;
use toolcrib_wire::server::Limits;

/// How many records a server keeps in memory.
const RECORDS_KEPT: usize = 10_000;

/// A complete MCP server. Made by [`Crib::builder`].
#[derive(Debug)]
pub struct Crib {
    identity: Identity,
    gate: Arc<Gate>,
    limits: Limits,
    site: Site,
    local: Credential,
    profiles: Profiles,
    shutdown: watch::Sender<bool>,
}

/// Puts a [`Crib`] together.
#[derive(Debug)]
pub struct Builder {
    identity: Identity,
    config: Config,
    limits: Limits,
    site: Site,
    local: Credential,
    authentication: Authentication,
    access: Option<(Access, Vec<Limit>)>,
    profiles: Profiles,
    audit: Arc<dyn AuditLog>,
    own: Source,
    others: Vec<Source>,
    tells_statistics: bool,
}

/// Why a server does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
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
    /// Starts to put a server together. Name and version are what it tells its clients of itself.
    #[must_use]
    pub fn builder(name: &str, version: &str) -> Builder {
        Builder {
            identity: Identity { name: name.into(), title: None, version: version.into(), instructions: None },
            config: Config::default(),
            limits: Limits::default(),
            site: Site::default(),
            local: Credential::None,
            authentication: Authentication::default(),
            access: None,
            profiles: Profiles::new(),
            audit: Arc::new(Recent::new(RECORDS_KEPT)),
            // What our own tools say of themselves is no hint but known.
            others: Vec::new(),
            tells_statistics: false,
            own: Source::new("toolcrib").resilience(Resilience { trusts_hints: true, ..Resilience::default() }, BTreeMap::new()),
        }
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

    /// Begins the shutdown: no new calls, calls in flight may finish.
    pub fn shut_down(&self) {
        self.shutdown.send_replace(true);
    }

    /// Listens where clients can connect.
    ///
    /// # Errors
    /// [`ServeError::Exposed`] for an address that other machines can reach, [`ServeError::Listen`] for one in use.
    pub async fn listen(&self, address: SocketAddr) -> Result<TcpListener, ServeError> {
        if !address.ip().is_loopback() && !self.gate.authenticates() {
            return Err(ServeError::Exposed { address });
        }
        TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
    }

    /// Serves HTTP at the listener until [`Crib::shut_down`].
    ///
    /// # Errors
    /// [`ServeError::Door`].
    pub async fn serve_listener(&self, listener: TcpListener) -> Result<(), ServeError> {
        let (gate, site) = (Arc::clone(&self.gate), self.site.clone());
        let door = Door::new(gate, &self.identity, &self.limits, site, &self.profiles, &self.shutdown_signal());
        let door = Arc::new(door);
        let bounds = Bounds { max_connections: self.limits.max_connections, ..Bounds::default() };
        let tending = tokio::spawn(Arc::clone(&door).tend(self.shutdown_signal()));
        let served = http::serve(listener, door, bounds, self.shutdown_signal()).await;
        tending.abort();
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

impl Builder {
    /// Sets how the server is to be used, for the model that reads it.
    #[must_use]
    pub fn instructions(mut self, text: &str) -> Self {
        self.identity.instructions = Some(text.into());
        self
    }

    /// Sets the name that people read.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        self.identity.title = Some(title.into());
        self
    }

    /// Sets the bounds of the gate.
    #[must_use]
    pub fn gate_config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the bounds of the doors: messages, requests in flight, sessions.
    #[must_use]
    pub fn door_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the parts of the catalogue that have an endpoint of their own, at `/mcp/NAME`.
    #[must_use]
    pub fn profiles(mut self, profiles: Profiles) -> Self {
        self.profiles = profiles;
        self
    }

    /// Asks callers to prove who they are. From then on nothing is allowed that no rule of [`Builder::access`] allows.
    ///
    /// # Panics
    /// In [`Builder::build`], if the names of issuers do not tell their callers from others: see [`Issuer`](crate::Issuer).
    #[must_use]
    pub fn authentication(mut self, authentication: Authentication) -> Self {
        self.authentication = authentication;
        self
    }

    /// Sets what callers may have, and how much of it. From then on nothing is allowed that no rule allows, whether callers prove who
    /// they are or not.
    #[must_use]
    pub fn access(mut self, access: Access, limits: Vec<Limit>) -> Self {
        self.access = Some((access, limits));
        self
    }

    /// Sets who calls over standard input and output.
    #[must_use]
    pub fn local(mut self, credential: Credential) -> Self {
        self.local = credential;
        self
    }

    /// Sets the names by which the HTTP door is reached, besides those of loopback.
    #[must_use]
    pub fn hosts(mut self, hosts: Hosts) -> Self {
        self.site.hosts = hosts;
        self
    }

    /// Sets what authorization servers know the HTTP door as.
    #[must_use]
    pub fn protected_resource(mut self, resource: Option<ProtectedResource>) -> Self {
        self.site.resource = resource;
        self
    }

    /// Sets what says that the server is ready for its clients, at `/readyz`; without it, it is as soon as it listens.
    #[must_use]
    pub fn ready(mut self, ready: watch::Receiver<bool>) -> Self {
        self.site.ready = Some(ready);
        self
    }

    /// Sets who takes in what browsers bring back from authorization servers, at `/oauth/callback`.
    #[must_use]
    pub fn callback(mut self, callback: Option<Arc<dyn Callback>>) -> Self {
        self.site.callback = callback;
        self
    }

    /// Sets who keeps the records of calls.
    #[must_use]
    pub fn audit(mut self, audit: Arc<dyn AuditLog>) -> Self {
        self.audit = audit;
        self
    }

    /// Adds a tool.
    ///
    /// # Errors
    /// [`SchemaFault`] where the schema of its arguments cannot be used.
    pub fn tool(self, tool: impl Tool) -> Result<Self, SchemaFault> {
        let (spec, callable) = typed(tool);
        self.callable(spec, callable)
    }

    /// Adds a tool that has no types of its own.
    ///
    /// # Errors
    /// [`SchemaFault`] where the schema of its arguments cannot be used.
    pub fn callable(mut self, spec: Spec, callable: Arc<dyn Callable>) -> Result<Self, SchemaFault> {
        self.own.tool(spec, callable)?;
        Ok(self)
    }

    /// Offers how the tools are used, as the resource `metrics://server/stats`. Where there are rules of access, only one that names it
    /// gives it.
    #[must_use]
    pub fn statistics(mut self) -> Self {
        self.tells_statistics = true;
        self
    }

    /// Adds a source: tools, resources and prompts that have places and breakers of their own.
    #[must_use]
    pub fn source(mut self, source: Source) -> Self {
        self.others.push(source);
        self
    }

    /// Sets what is done about faults of our own tools: of all, and of single ones by their names.
    #[must_use]
    pub fn resilience(mut self, of_all: Resilience, of_tools: BTreeMap<String, Resilience>) -> Self {
        self.own = self.own.resilience(of_all, of_tools);
        self
    }

    /// Adds a resource.
    #[must_use]
    pub fn resource(mut self, spec: ResourceSpec, callable: Arc<dyn Callable>) -> Self {
        self.own.resource(spec, callable);
        self
    }

    /// Adds a family of resources, and what completes its variables.
    #[must_use]
    pub fn template(mut self, spec: TemplateSpec, callable: Arc<dyn Callable>, completer: Option<Arc<dyn Callable>>) -> Self {
        self.own.template(spec, callable, completer);
        self
    }

    /// Adds a prompt, and what completes its arguments.
    #[must_use]
    pub fn prompt(mut self, spec: PromptSpec, callable: Arc<dyn Callable>, completer: Option<Arc<dyn Callable>>) -> Self {
        self.own.prompt(spec, callable, completer);
        self
    }

    /// The server, ready to serve.
    #[must_use]
    pub fn build(self) -> Crib {
        let mut gate = Gate::new(self.config, self.audit).authenticating(self.authentication);
        if let Some((access, limits)) = self.access {
            gate = gate.ruled_by(access, limits);
        }
        let gate = gate.shared();
        let statistics = self.tells_statistics.then(|| statistics::source(&gate));
        for clash in std::iter::once(self.own).chain(self.others).chain(statistics).flat_map(|source| gate.publish(source)) {
            tracing::warn!("{clash}");
        }
        let Self { identity, limits, site, local, profiles, .. } = self;
        Crib { identity, gate, limits, site, local, profiles, shutdown: watch::Sender::new(false) }
    }
}
