//! The life of one other server: connect, list what it has, listen for changes, and connect again when it is gone.

use crate::{
    child::Child,
    definition::Definition,
    guard::Guard,
    line::{self, Connector, Line, Status},
    link::{Link, everything},
    listing::{Completed, Listing},
    private::Private,
    raised,
    traffic::Traffic,
    watches::Watches,
};
use std::{
    collections::HashSet,
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use toolcrib_contract::{Callable, Change, PromptSpec, ResourceSpec, Spec, TemplateSpec};
use toolcrib_wire::{
    Era, Notification,
    client::{Asked, Audience, ClientInfo, Connection},
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
    /// What the server says has changed, even if it looks the same.
    pub told: Vec<Change>,
    /// Tools that are left out, with the reasons.
    pub left_out: Vec<(String, String)>,
}

/// Hears what a server offers, and what of it changes.
pub trait Listener: Send + Sync {
    /// This is what the server offers from now on.
    fn offered(&self, server: &Definition, offer: Offer);

    /// Something that somebody watches has changed.
    fn changed(&self, change: Change);
}

/// One other server under supervision.
#[derive(Debug)]
pub struct Upstream {
    definition: Arc<Definition>,
    status: watch::Receiver<Status>,
}

impl Upstream {
    /// Takes a server under supervision. The future that comes with it is its life: to be spawned by whoever joins it,
    /// and over once `shutdown` turns true and the server has been stopped.
    pub fn new(
        definition: Definition,
        client: ClientInfo,
        guard: Arc<Guard>,
        listener: Arc<dyn Listener>,
        shutdown: watch::Receiver<bool>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let definition = Arc::new(definition);
        let (status, seen) = watch::channel(Status::Connecting);
        let asks = Arc::new(AtomicBool::new(false));
        let (private, starting) = Private::new(Arc::clone(&asks));
        let watches = Arc::new(Watches::default());
        let connector =
            Connector { definition: Arc::clone(&definition), client: ClientInfo { capabilities: everything(), ..client }, guard };
        let link = Link {
            name: Arc::clone(&definition.name),
            sharing: definition.sharing,
            shared: seen.clone(),
            private: Arc::clone(&private),
            watches: Arc::clone(&watches),
            asks: Arc::clone(&asks),
            turn: Arc::default(),
        };
        let traffic = Traffic::new(Arc::clone(&asks));
        let hearing = Arc::new(Hearing { told: Mutex::default(), arrived: Notify::new(), traffic: Mutex::new(traffic), watches, listener });
        let tending = private.tend(connector.clone(), starting, shutdown.clone());
        let life = Life { connector, status, hearing, link: Arc::new(link), asks, known_era: None };
        (Self { definition, status: seen }, async move {
            tokio::join!(life.live(shutdown), tending);
        })
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

/// Hears what the server says besides its answers.
struct Hearing {
    /// What it said has changed, since that was last looked at.
    told: Mutex<HashSet<Change>>,
    arrived: Notify,
    /// The calls on the connection of the moment.
    traffic: Mutex<Arc<Traffic>>,
    watches: Arc<Watches>,
    listener: Arc<dyn Listener>,
}

impl Hearing {
    fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, change: Change) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(change);
        self.arrived.notify_one();
    }

    fn take_told(&self) -> Vec<Change> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }

    /// Nobody knows what changed while we were away.
    fn suspect_watched(&self) {
        self.watches.uris().into_iter().for_each(|uri| self.listener.changed(Change::Resource(uri.into())));
    }
}

impl Audience for Hearing {
    fn hear(&self, notification: Notification) {
        match notification.method.as_ref() {
            method::TOOLS_CHANGED => self.note(Change::Tools),
            method::PROMPTS_CHANGED => self.note(Change::Prompts),
            method::RESOURCES_CHANGED => self.note(Change::Resources),
            method::RESOURCE_UPDATED => {
                let uri = notification.params.and_then(|params| params.members().ok()?.string("uri"));
                // Servers tell of more than they were asked for.
                if let Some(uri) = uri.filter(|uri| self.watches.has(uri)) {
                    self.listener.changed(Change::Resource(uri.into()));
                }
            }
            method::LOG => self.traffic().hear(notification),
            _ => {}
        }
    }

    fn ask(&self, asked: Asked) {
        self.traffic().ask(asked);
    }

    fn missed(&self) {
        self.arrived.notify_one();
        self.suspect_watched();
    }

    fn renewed(&self) {
        self.watches.forget();
    }
}

impl fmt::Debug for Hearing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hearing").finish_non_exhaustive()
    }
}

struct Life {
    connector: Connector,
    status: watch::Sender<Status>,
    hearing: Arc<Hearing>,
    link: Arc<Link>,
    asks: Arc<AtomicBool>,
    /// The era to try, if it is known or guessed.
    known_era: Option<Era>,
}

impl Life {
    fn definition(&self) -> &Arc<Definition> {
        &self.connector.definition
    }

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
            line::part(&self.status, child, reason.as_deref().unwrap_or("it is being stopped")).await;
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
                tracing::debug!(server = %self.definition().name, again_in_ms = wait.as_millis(), "still not available: {reason}");
            } else {
                tracing::warn!(server = %self.definition().name, again_in_ms = wait.as_millis(), "not available: {reason}");
            }
            reported = reason;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = raised(&mut shutdown) => return,
            }
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    /// Connects and stays connected. Completes with the reason when that does not succeed or is over.
    async fn connected(&mut self, slot: &mut Option<Child>) -> String {
        let traffic = Traffic::new(Arc::clone(&self.asks));
        *self.hearing.traffic.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&traffic);
        let audience = Arc::clone(&self.hearing) as Arc<dyn Audience>;
        let connection = match self.connector.connect(audience, self.known_era, slot).await {
            Ok(connection) => connection,
            Err(reason) => return reason,
        };
        self.known_era = Some(connection.greeting().revision.era());
        tracing::info!(server = %self.definition().name, revision = %connection.greeting().revision, "connected");
        let line = Arc::new(Line { connection, traffic });
        let within = self.definition().start_timeout;
        let stay = async {
            match tokio::time::timeout(within, self.offer(&line.connection)).await {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => return format!("it cannot list what it has: {reason}"),
                Err(_) => return format!("it did not list what it has within {} s", within.as_secs()),
            }
            self.status.send_replace(Status::Ready(Arc::clone(&line)));
            self.hearing.suspect_watched();
            tokio::select! {
                reason = line::ended(&line.connection, slot) => reason,
                never = self.keep_listed(&line.connection) => never,
                never = self.hearing.watches.keep(&line.connection) => match never {},
            }
        };
        // Listening begins before listing, so that no change falls into the gap.
        tokio::select! {
            reason = stay => reason,
            never = line.connection.listen() => never,
        }
    }

    /// Lists anew whenever the server says that something changed. What was known stays if that fails.
    async fn keep_listed(&self, connection: &Connection) -> String {
        loop {
            self.hearing.arrived.notified().await;
            tokio::time::sleep(SETTLE).await;
            let offered = tokio::time::timeout(self.definition().start_timeout, self.offer(connection)).await;
            if let Err(reason) = offered.unwrap_or_else(|_| Err("no answer in time".into())) {
                tracing::warn!(server = %self.definition().name, "its lists changed but cannot be read, the earlier ones stay: {reason}");
            }
            // Whoever announces changes without end is not listed without end.
            tokio::time::sleep(REST).await;
        }
    }

    async fn offer(&self, connection: &Connection) -> Result<(), String> {
        let told = self.hearing.take_told();
        let listing = Listing { definition: self.definition(), link: &self.link, connection };
        let offer = Offer { told, ..listing.take().await? };
        for (name, reason) in &offer.left_out {
            tracing::warn!(server = %self.definition().name, tool = name, "left out: {reason}");
        }
        self.hearing.listener.offered(self.definition(), offer);
        Ok(())
    }
}

/// Somewhere between half of the wait and all of it, so that servers that fell together do not return together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + fastrand::f64() / 2.0)
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
