//! How a server is put together out of what its author gives.

use crate::{
    Crib,
    about::{
        history::History,
        statistics::{self, Process},
    },
    assemble::{Behind, Stay, assemble, ready_tools},
    cli,
    lifecycle::Lifecycle,
    neighbours::Neighbourhood,
    operations::Operations,
    settings::{self, SettingsError, checked::Steadiness},
};
use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};
use toolcrib_contract::{AuditLog, BoxError, Callable, Callback, NoRecords, Prompt, Resource, Spec, Template, Tool, Tracing, typed};
use toolcrib_edge::{
    http::{Hosts, Profiles, ProtectedResource, Site},
    mcp::Identity,
};
use toolcrib_gate::{Access, Authentication, Config, CountedTogether, Credential, Gate, Limit, Resilience, SchemaFault, Source};
use toolcrib_store::Replicas;
use toolcrib_telemetry::otlp::Exporter;
use toolcrib_wire::server::Limits;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A tool cannot be offered.
    #[error("the tool {name:?} cannot be offered: {fault}")]
    Schema {
        /// The tool.
        name: String,
        /// What is wrong with its schema.
        fault: SchemaFault,
    },
    /// No client could make use of a tool.
    #[error("the tool {name:?} cannot be offered: {reason}")]
    Unfit {
        /// The tool.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// Two tools have one name.
    #[error("there are two tools of the name {name:?}")]
    Twice {
        /// The name.
        name: String,
    },
    /// The config makes no sense.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// What the config asks for cannot be had.
    #[error("{0}")]
    Assembly(Box<str>),
    /// Something that was to be made ready is not.
    #[error("{what} could not be made ready: {reason}")]
    NotReady {
        /// What: a tool, or the server.
        what: String,
        /// What it said.
        reason: BoxError,
    },
}

/// Puts a [`Crib`] together.
#[derive(Debug)]
pub struct Builder {
    pub(crate) identity: Identity,
    config: Config,
    pub(crate) limits: Limits,
    site: Site,
    counted_together: Option<CountedTogether>,
    replicas: Option<Arc<Replicas>>,
    local: Credential,
    authentication: Authentication,
    access: Option<(Access, Vec<Limit>)>,
    profiles: Profiles,
    /// Who keeps the records, if the author says.
    pub(crate) audit: Option<Arc<dyn AuditLog>>,
    /// What is done about faults of our own tools, if that is said.
    pub(crate) treatment: Option<(Resilience, BTreeMap<String, Resilience>)>,
    own: Source,
    others: Vec<Source>,
    tells_statistics: bool,
    /// Who is told what is measured, and what becomes of calls.
    told: (Option<Exporter>, Option<Arc<dyn Tracing>>),
    /// The names of ready tools that are offered.
    pub(crate) ready: Vec<String>,
    /// The config.
    pub(crate) file: Option<PathBuf>,
    /// What is to be done once; whoever breaks off [`Builder::finish`] tidies up with a clone of it.
    pub(crate) lifecycle: Lifecycle,
    faults: Vec<BuildError>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            identity: Identity { name: program(), title: None, version: "1.0.0".into(), instructions: None },
            config: Config::default(),
            limits: Limits::default(),
            site: Site::default(),
            counted_together: None,
            replicas: None,
            local: Credential::None,
            authentication: Authentication::default(),
            access: None,
            profiles: Profiles::new(),
            audit: None,
            treatment: None,
            // What our own tools say of themselves is no hint but known.
            own: Source::new("toolcrib").resilience(Resilience { trusts_hints: true, ..Resilience::default() }, BTreeMap::new()),
            others: Vec::new(),
            tells_statistics: false,
            told: (None, None),
            ready: Vec::new(),
            file: None,
            lifecycle: Lifecycle::default(),
            faults: Vec::new(),
        }
    }

    /// Sets what the server tells its clients of itself. Without it, the name is that of the program, and the version 1.0.0.
    #[must_use]
    pub fn name(mut self, name: &str, version: &str) -> Self {
        (self.identity.name, self.identity.version) = (name.into(), version.into());
        self
    }

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

    /// One of several processes that are one server.
    pub(crate) fn among(mut self, replicas: &Arc<Replicas>, degrades: bool, session_idle: Duration) -> Self {
        self.replicas = Some(Arc::clone(replicas));
        self.site.home = replicas.home();
        self.site.neighbours = Some(Neighbourhood::new(Arc::clone(replicas), session_idle));
        self.counted_together = Some(CountedTogether { counts: Arc::clone(replicas) as _, degrades });
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
        self.audit = Some(audit);
        self
    }

    /// Adds a tool. One whose schema cannot be used, and a second one of the same name, is told of by [`Builder::build`].
    #[must_use]
    pub fn tool(self, tool: impl Tool) -> Self {
        let (spec, callable) = typed(tool);
        self.callable(spec, callable)
    }

    /// Adds a tool that has no types of its own.
    #[must_use]
    pub fn callable(mut self, spec: Spec, callable: Arc<dyn Callable>) -> Self {
        let name = spec.name.clone();
        if self.own.tool_names().any(|other| other == name) {
            self.faults.push(BuildError::Twice { name });
            return self;
        }
        if let Some(reason) = unfit(&spec) {
            self.faults.push(BuildError::Unfit { name, reason });
            return self;
        }
        self.lifecycle.tool(&name, Arc::clone(&callable));
        match self.own.tool(spec, callable) {
            Ok(()) => {}
            Err(fault) => self.faults.push(BuildError::Schema { name, fault }),
        }
        self
    }

    /// The names of the tools so far.
    pub(crate) fn tool_names(&self) -> impl Iterator<Item = String> {
        self.own.tool_names().map(ToOwned::to_owned)
    }

    /// Offers ready tools: those of these names, see [`READY_TOOLS`](crate::READY_TOOLS). A config says what they reach.
    #[must_use]
    pub fn ready_tools(mut self, names: &[&str]) -> Self {
        self.ready.extend(names.iter().map(ToString::to_string));
        self
    }

    /// Takes up a config: other servers, declared tools, who may do what, records. Where it has a section, that goes before what the code
    /// says of the same; a tool of the code keeps its name before one that is declared. A path that is not absolute is one in the
    /// folder that the process is started in.
    ///
    /// [`Builder::serve`] takes `--config` instead, where it is given; without either, it takes `mcp-config.yaml` if there is one.
    #[must_use]
    pub fn config(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Does this once before anything is served, and before tools are made ready. If it fails, the server does not start.
    ///
    /// ```
    /// # use toolcrib::Crib;
    /// let builder = Crib::builder().initialize(|| async { Ok(std::fs::create_dir_all("/tmp/greetings")?) });
    /// # let _ = builder;
    /// ```
    #[must_use]
    pub fn initialize<F, R>(mut self, begin: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.lifecycle.begin(Arc::new(move || Box::pin(begin())));
        self
    }

    /// Does this once when the server ends, after its tools have tidied up; also when it could not start.
    #[must_use]
    pub fn cleanup<F, R>(mut self, end: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.lifecycle.end(Arc::new(move || Box::pin(end())));
        self
    }

    /// Offers how the tools are used, as the resource `metrics://server/stats`. Where there are rules of access, only one that names it
    /// gives it.
    #[must_use]
    pub fn statistics(mut self) -> Self {
        self.tells_statistics = true;
        self
    }

    /// Has a collector told of what is measured, and of what becomes of calls.
    pub(crate) fn telling(mut self, exporter: Option<Exporter>, tracing: Option<Arc<dyn Tracing>>) -> Self {
        self.told = (exporter, tracing);
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
        self.treatment = Some((of_all, of_tools));
        self
    }

    /// Adds a resource.
    #[must_use]
    pub fn resource(mut self, Resource { spec, callable }: Resource) -> Self {
        self.own.resource(spec, callable);
        self
    }

    /// Adds a family of resources.
    #[must_use]
    pub fn template(mut self, Template { spec, callable, completer }: Template) -> Self {
        self.own.template(spec, callable, completer);
        self
    }

    /// Adds a prompt.
    #[must_use]
    pub fn prompt(mut self, Prompt { spec, callable, completer }: Prompt) -> Self {
        self.own.prompt(spec, callable, completer);
        self
    }

    /// Runs the server as a program of its own, with the command line of Toolcrib: without arguments it serves HTTP on
    /// `127.0.0.1:3001`, `--stdio` serves whoever started it; `call`, `list`, `check`, `explain` and the rest are there, too.
    ///
    /// Gives the code to exit with; what went wrong is on standard error. It makes the runtime, so it is to be called outside of one.
    #[must_use]
    pub fn serve(self) -> ExitCode {
        cli::run(self, cli::Bare::Serves)
    }

    /// The server, ready to serve: everything that is to be done once has been done.
    ///
    /// # Errors
    /// [`BuildError`]; what was begun is tidied up then.
    pub async fn build(mut self) -> Result<Crib, BuildError> {
        if let Some(file) = self.file.take() {
            let settings = settings::read(&file, &cli::environment)?;
            let local = self.local.clone();
            return assemble(self, settings, local, Stay::Long).await;
        }
        let builder = if self.ready.is_empty() {
            self
        } else {
            ready_tools(self, toolcrib_tools::Settings::default(), &Steadiness::default(), false)?.0
        };
        builder.finish(|_| Ok(None)).await
    }

    /// Makes ready, and puts together what the gate stands before. `behind` is given the gate before anybody can call.
    pub(crate) async fn finish(
        mut self,
        behind: impl FnOnce(&Arc<Gate>) -> Result<Option<Behind>, BuildError>,
    ) -> Result<Crib, BuildError> {
        if !self.faults.is_empty() {
            return Err(self.faults.swap_remove(0));
        }
        let lifecycle = self.lifecycle.clone();
        lifecycle.initialize().await?;
        let audit = self.audit.unwrap_or_else(|| Arc::new(NoRecords));
        if let Some((of_all, of_tools)) = self.treatment {
            self.own = self.own.resilience(of_all, of_tools);
        }
        let (exporter, tracing) = self.told;
        let mut gate = Gate::new(self.config, audit).authenticating(self.authentication).traced_by(tracing);
        if let Some((access, limits)) = self.access {
            gate = gate.ruled_by(access, limits);
        }
        let gate = gate.counted_together(self.counted_together).shared();
        let process = Process::begun(self.replicas);
        let statistics = self.tells_statistics.then(|| statistics::source(&gate, process.clone()));
        for clash in std::iter::once(self.own).chain(self.others).chain(statistics).flat_map(|source| gate.publish(source)) {
            tracing::warn!("{clash}");
        }
        let behind = match behind(&gate) {
            Ok(behind) => behind,
            Err(error) => {
                lifecycle.cleanup().await;
                return Err(error);
            }
        };
        let Self { identity, limits, mut site, local, profiles, .. } = self;
        let history = Arc::<History>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&history).keep(Arc::downgrade(&gate)));
        let configured = behind.as_ref().map(|behind| behind.configured.clone());
        let operations = Operations { gate: Arc::clone(&gate), identity: identity.clone(), process: process.clone(), history, configured };
        let operations = Arc::new(operations);
        let exporting = exporter.map(|exporter| {
            let (read, stop) = (Arc::clone(&operations), watch::Sender::new(false));
            let exporting = tokio::spawn(exporter.run(Arc::new(move || read.families()), stop.subscribe()));
            (stop, exporting)
        });
        site.operations = Some(operations);
        let (shutdown, leaving) = (watch::Sender::new(false), watch::Sender::new(false));
        Ok(Crib { identity, gate, limits, site, local, profiles, shutdown, leaving, process, lifecycle, behind, exporting, _tasks: tasks })
    }
}

/// Why no client could make use of the tool, if that is so.
fn unfit(spec: &Spec) -> Option<&'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if spec.name.is_empty() || spec.name.len() > 49 || !spec.name.chars().all(is_plain) {
        return Some("its name has to have up to 49 letters, digits, \"-\" and \"_\": clients take no others");
    }
    if spec.description.trim().is_empty() {
        return Some("it needs a description: by that the model chooses");
    }
    let kind = spec.input_schema.members().ok().and_then(|schema| schema.string("type"));
    kind.is_some_and(|kind| kind != "object").then_some("its arguments are no object: take a struct, each field of which is one argument")
}

/// The name of the program that runs.
fn program() -> String {
    let file = std::env::current_exe().ok();
    let name = file.as_ref().and_then(|file| file.file_stem()).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "toolcrib".to_owned())
}
