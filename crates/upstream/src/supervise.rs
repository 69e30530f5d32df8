//! The life of one other server: connect, list what it has, listen for changes, and connect again when it is gone.

use crate::{
    child::Child,
    definition::{Definition, Transport},
    guard::Guard,
    remote::{Remote, What},
};
use std::{fmt, future::Future, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use toolcrib_contract::{Annotations, CallError, Callable, Json, PromptSpec, ResourceSpec, Spec, TemplateSpec};
use toolcrib_wire::{
    Era, Notification,
    client::{Audience, ClientInfo, ConnectError, Connection, http, stdio},
    headers::{HeaderParam, header_params},
    method,
};

/// The wait before the first new attempt; it doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// A server that lived this long has recovered: the next wait is a short one again.
const SUSTAINED: Duration = Duration::from_secs(60);
/// How long to gather changes before listing anew: servers announce many at once.
const SETTLE: Duration = Duration::from_millis(100);
/// The least time between two listings.
const REST: Duration = Duration::from_secs(1);
/// How long a child that closed its pipe may take to end.
const GRACE: Duration = Duration::from_secs(1);
/// The most items of one list.
const MAX_ITEMS: usize = 10_000;

/// Something to call, and what completes its arguments.
pub type Completed<S> = (S, Arc<dyn Callable>, Arc<dyn Callable>);

/// What a server offers, named as it is to be called here.
#[derive(Default)]
pub struct Offer {
    /// Tools.
    pub tools: Vec<(Spec, Arc<dyn Callable>)>,
    /// Resources.
    pub resources: Vec<(ResourceSpec, Arc<dyn Callable>)>,
    /// Resource templates, with what completes their variables.
    pub templates: Vec<Completed<TemplateSpec>>,
    /// Prompts, with what completes their arguments.
    pub prompts: Vec<Completed<PromptSpec>>,
    /// Tools that are left out, with the reasons.
    pub left_out: Vec<(String, String)>,
}

/// How a server is.
#[derive(Debug, Clone)]
pub enum Status {
    /// Being started or reached.
    Connecting,
    /// Connected.
    Ready(Arc<Connection>),
    /// Not to be reached, and why; the next attempt comes by itself.
    Down(String),
}

/// One other server under supervision.
#[derive(Debug)]
pub struct Upstream {
    definition: Arc<Definition>,
    status: watch::Receiver<Status>,
}

/// Hears what a server offers, each time that changes.
pub type Publish = Arc<dyn Fn(&str, Offer) + Send + Sync>;

/// The way to the connection of the moment.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    name: Arc<str>,
    status: watch::Receiver<Status>,
}

impl Upstream {
    /// Takes a server under supervision. The future that comes with it is its life: to be spawned by whoever joins it,
    /// and over once `shutdown` turns true and the server has been stopped.
    pub fn new(
        definition: Definition,
        client: ClientInfo,
        guard: Arc<Guard>,
        publish: Publish,
        shutdown: watch::Receiver<bool>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let definition = Arc::new(definition);
        let (status, seen) = watch::channel(Status::Connecting);
        let life = Life {
            definition: Arc::clone(&definition),
            client,
            guard,
            publish,
            status,
            changes: Arc::new(Changes::default()),
            known_era: None,
        };
        (Self { definition, status: seen }, life.live(shutdown))
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// How it is now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Waits until the first attempt to connect has succeeded or failed.
    pub async fn settled(&self) -> Status {
        let mut status = self.status.clone();
        match status.wait_for(|status| !matches!(status, Status::Connecting)).await {
            Ok(status) => status.clone(),
            Err(_) => Status::Down("it is no longer supervised".into()),
        }
    }
}

impl Link {
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The connection. While one is being made, waits for it; the deadline of the call bounds that.
    pub(crate) async fn connection(&self) -> Result<Arc<Connection>, CallError> {
        let unavailable = |reason: &str| CallError::Unavailable { server: Arc::clone(&self.name), reason: reason.to_owned() };
        if let Status::Ready(connection) = &*self.status.borrow() {
            return Ok(Arc::clone(connection));
        }
        let mut status = self.status.clone();
        match &*status.wait_for(|status| !matches!(status, Status::Connecting)).await.map_err(|_| unavailable("it is being stopped"))? {
            Status::Ready(connection) => Ok(Arc::clone(connection)),
            Status::Down(reason) => Err(unavailable(reason)),
            Status::Connecting => Err(unavailable("it is starting")),
        }
    }
}

/// Hears from the server that its lists changed.
#[derive(Debug, Default)]
struct Changes(Notify);

impl Audience for Changes {
    fn hear(&self, notification: Notification) {
        if matches!(notification.method.as_ref(), method::TOOLS_CHANGED | method::PROMPTS_CHANGED | method::RESOURCES_CHANGED) {
            self.0.notify_one();
        }
    }
}

struct Life {
    definition: Arc<Definition>,
    client: ClientInfo,
    guard: Arc<Guard>,
    publish: Publish,
    status: watch::Sender<Status>,
    changes: Arc<Changes>,
    /// The era to try, if it is known or guessed.
    known_era: Option<Era>,
}

impl Life {
    async fn live(mut self, mut shutdown: watch::Receiver<bool>) {
        let mut backoff = MIN_BACKOFF;
        let mut reported = String::new();
        loop {
            let started = Instant::now();
            self.status.send_replace(Status::Connecting);
            let mut child = None;
            let reason = tokio::select! {
                reason = self.connected(&mut child) => Some(reason),
                () = raised(&mut shutdown) => None,
            };
            let was_ready = matches!(*self.status.borrow(), Status::Ready(_));
            self.part(child, reason.as_deref()).await;
            let Some(reason) = reason else { return };
            if was_ready {
                reported.clear();
            } else {
                // A server may have changed its era, and one that cannot bear the question is not asked it twice.
                self.known_era = if self.known_era.is_none() { Some(Era::Legacy) } else { None };
            }
            if started.elapsed() > SUSTAINED {
                backoff = MIN_BACKOFF;
            }
            let wait = jittered(backoff);
            // The same reason again is no news.
            if reason == reported {
                tracing::debug!(server = %self.definition.name, again_in_ms = wait.as_millis(), "still not available: {reason}");
            } else {
                tracing::warn!(server = %self.definition.name, again_in_ms = wait.as_millis(), "not available: {reason}");
            }
            reported = reason;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = raised(&mut shutdown) => return,
            }
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    /// Leaves the server, and ends it if it is a child.
    async fn part(&self, child: Option<Child>, reason: Option<&str>) {
        let before = self.status.send_replace(Status::Down(reason.unwrap_or("it is being stopped").to_owned()));
        if let Status::Ready(connection) = before
            && let Connection::Stdio(pipe) = &*connection
        {
            pipe.close();
        }
        if let Some(child) = child {
            child.stop().await;
        }
    }

    /// Connects and stays connected. Completes with the reason when that does not succeed or is over.
    async fn connected(&mut self, slot: &mut Option<Child>) -> String {
        let connection = match tokio::time::timeout(self.definition.start_timeout, self.connect(slot)).await {
            Ok(Ok(connection)) => Arc::new(connection),
            Ok(Err(error)) => return self.explain(slot.as_mut(), &error).await,
            Err(_) => {
                let how = format!("no greeting within {} s", self.definition.start_timeout.as_secs());
                return slot.as_ref().map_or(how.clone(), |child| child.with_last_words(&how));
            }
        };
        let greeting = connection.greeting();
        self.known_era = Some(greeting.revision.era());
        tracing::info!(server = %self.definition.name, revision = %greeting.revision, "connected");
        let stay = async {
            match tokio::time::timeout(self.definition.start_timeout, self.offer(&connection)).await {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => return format!("it cannot list what it has: {reason}"),
                Err(_) => return format!("it did not list what it has within {} s", self.definition.start_timeout.as_secs()),
            }
            self.status.send_replace(Status::Ready(Arc::clone(&connection)));
            let ended = async {
                let reason = connection.closed().await;
                match slot.as_mut() {
                    // One that closed its output and stays is of no more use.
                    Some(child) => tokio::time::timeout(GRACE, child.ended()).await.unwrap_or(reason),
                    None => reason,
                }
            };
            tokio::select! {
                reason = ended => reason,
                never = self.keep_listed(&connection) => never,
            }
        };
        // Listening begins before listing, so that no change falls into the gap.
        tokio::select! {
            reason = stay => reason,
            never = connection.listen() => never,
        }
    }

    async fn connect(&self, slot: &mut Option<Child>) -> Result<Connection, ConnectError> {
        let audience = Arc::clone(&self.changes) as Arc<dyn Audience>;
        match &self.definition.transport {
            Transport::Child(command) => {
                let started = Child::start(&self.definition.name, command, &self.guard);
                let (child, pipes) = started.map_err(|error| {
                    ConnectError::Unreachable(format!("{:?} cannot be started: {error}", command.program.to_string_lossy()))
                })?;
                *slot = Some(child);
                let limit = self.definition.max_message_bytes;
                stdio::Connection::open(pipes.output, pipes.input, self.client.clone(), audience, limit, self.known_era)
                    .await
                    .map(Connection::Stdio)
            }
            Transport::Remote(endpoint) => {
                http::Connection::open(endpoint.clone(), self.client.clone(), audience).await.map(Connection::Http)
            }
        }
    }

    /// Why there is no connection; of a child that ended, how it ended says more than that its pipe broke.
    async fn explain(&self, child: Option<&mut Child>, error: &ConnectError) -> String {
        match (child, error) {
            (Some(child), ConnectError::Unreachable(_)) => {
                tokio::time::timeout(Duration::from_secs(1), child.ended()).await.unwrap_or_else(|_| error.to_string())
            }
            (Some(child), _) => child.with_last_words(&error.to_string()),
            (None, _) => error.to_string(),
        }
    }

    /// Lists anew whenever the server says that something changed. What was known stays if that fails.
    async fn keep_listed(&self, connection: &Connection) -> String {
        loop {
            self.changes.0.notified().await;
            tokio::time::sleep(SETTLE).await;
            let offered = tokio::time::timeout(self.definition.start_timeout, self.offer(connection)).await;
            if let Err(reason) = offered.unwrap_or_else(|_| Err("no answer in time".into())) {
                tracing::warn!(server = %self.definition.name, "its lists changed but cannot be read, the earlier ones stay: {reason}");
            }
            // Whoever announces changes without end is not listed without end.
            tokio::time::sleep(REST).await;
        }
    }

    async fn offer(&self, connection: &Connection) -> Result<(), String> {
        let offer = Listing { definition: &self.definition, link: self.link(), connection }.take().await?;
        for (name, reason) in &offer.left_out {
            tracing::warn!(server = %self.definition.name, tool = name, "left out: {reason}");
        }
        (self.publish)(&self.definition.name, offer);
        Ok(())
    }

    fn link(&self) -> Link {
        Link { name: Arc::clone(&self.definition.name), status: self.status.subscribe() }
    }
}

/// Reads the lists of a server and turns their items into entries.
struct Listing<'a> {
    definition: &'a Definition,
    link: Link,
    connection: &'a Connection,
}

impl Listing<'_> {
    async fn take(&self) -> Result<Offer, String> {
        let mut offer = Offer::default();
        let capabilities = self.connection.greeting().capabilities.members().map_err(|error| error.to_string())?;
        if capabilities.has("tools") {
            for item in self.items(method::LIST_TOOLS, "tools").await? {
                match self.tool(&item) {
                    Ok(tool) => offer.tools.push(tool),
                    Err((name, reason)) => offer.left_out.push((name, reason)),
                }
            }
        }
        if capabilities.has("resources") {
            offer.resources =
                self.items(method::LIST_RESOURCES, "resources").await?.iter().filter_map(|item| self.resource(item)).collect();
            // A server may have resources and have never heard of templates.
            let templates = self.items(method::LIST_TEMPLATES, "resourceTemplates").await.unwrap_or_default();
            offer.templates = templates.iter().filter_map(|item| self.template(item)).collect();
        }
        if capabilities.has("prompts") {
            offer.prompts = self.items(method::LIST_PROMPTS, "prompts").await?.iter().filter_map(|item| self.prompt(item)).collect();
        }
        Ok(offer)
    }

    async fn items(&self, method: &str, key: &str) -> Result<Vec<Json>, String> {
        self.connection.list(method, key, MAX_ITEMS).await.map_err(|error| error.to_string())
    }

    fn tool(&self, item: &Json) -> Result<(Spec, Arc<dyn Callable>), (String, String)> {
        let members = item.members().map_err(|error| ("(unreadable)".to_owned(), error.to_string()))?;
        let theirs = members.string("name").ok_or_else(|| ("(unnamed)".to_owned(), "it has no name".to_owned()))?;
        let input_schema = members.get("inputSchema").ok_or_else(|| (theirs.clone(), "it has no inputSchema".to_owned()))?;
        let header_params = self.header_params(&input_schema).map_err(|reason| (theirs.clone(), reason))?;
        let name = self.definition.prefix.name(&self.definition.name, &theirs);
        let mut spec = Spec::new(&name, &members.string("description").unwrap_or_default()).input_schema(input_schema);
        spec.title = members.string("title");
        spec.timeout = self.definition.call_timeout;
        spec.output_schema = members.get("outputSchema");
        spec.annotations = members.get("annotations").and_then(|json| json.read::<Annotations>().ok()).unwrap_or_default();
        spec.foreign = Some(if name == theirs { item.clone() } else { members.edit(&[("name", Some(Json::string(&name)))]) });
        Ok((spec, self.remote(What::Tool { name: theirs, header_params })))
    }

    /// The arguments to mirror into headers. Only HTTP has headers; over a pipe the annotation means nothing.
    fn header_params(&self, schema: &Json) -> Result<Arc<[HeaderParam]>, String> {
        if matches!(self.connection, Connection::Stdio(_)) {
            return Ok(Arc::default());
        }
        header_params(&schema.to_value().map_err(|error| error.to_string())?)
    }

    fn resource(&self, item: &Json) -> Option<(ResourceSpec, Arc<dyn Callable>)> {
        let members = item.members().ok()?;
        let spec = ResourceSpec {
            uri: members.string("uri")?,
            name: members.string("name").unwrap_or_default(),
            description: members.string("description"),
            mime_type: members.string("mimeType"),
            foreign: Some(item.clone()),
        };
        Some((spec, self.remote(What::Resource)))
    }

    fn template(&self, item: &Json) -> Option<Completed<TemplateSpec>> {
        let members = item.members().ok()?;
        let uri_template = members.string("uriTemplate")?;
        let reference = Json::object().with_str("type", "ref/resource").with_str("uri", &uri_template).finish();
        let spec = TemplateSpec {
            uri_template,
            name: members.string("name").unwrap_or_default(),
            description: members.string("description"),
            mime_type: members.string("mimeType"),
            foreign: Some(item.clone()),
        };
        Some((spec, self.remote(What::Resource), self.remote(What::Completion { reference })))
    }

    fn prompt(&self, item: &Json) -> Option<Completed<PromptSpec>> {
        let members = item.members().ok()?;
        let theirs = members.string("name")?;
        let name = self.definition.prefix.name(&self.definition.name, &theirs);
        let reference = Json::object().with_str("type", "ref/prompt").with_str("name", &theirs).finish();
        let foreign = Some(if name == theirs { item.clone() } else { members.edit(&[("name", Some(Json::string(&name)))]) });
        let spec =
            PromptSpec { name, title: members.string("title"), description: members.string("description"), arguments: Vec::new(), foreign };
        Some((spec, self.remote(What::Prompt { name: theirs }), self.remote(What::Completion { reference })))
    }

    fn remote(&self, what: What) -> Arc<dyn Callable> {
        Arc::new(Remote { link: self.link.clone(), what })
    }
}

/// Somewhere between half of the wait and all of it, so that servers that fell together do not return together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + fastrand::f64() / 2.0)
}

async fn raised(flag: &mut watch::Receiver<bool>) {
    // A sender that is gone will not tell any more: that, too, is the end.
    let _ = flag.wait_for(|is_raised| *is_raised).await;
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer")
            .field("tools", &self.tools.len())
            .field("resources", &self.resources.len())
            .field("templates", &self.templates.len())
            .field("prompts", &self.prompts.len())
            .finish_non_exhaustive()
    }
}
