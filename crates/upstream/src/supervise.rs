//! The life of one other server: connect, list what it has, listen for changes, and connect again when it is gone.

use crate::{
    authorization::Authorized,
    child::Child,
    definition::{Definition, Sharing},
    guard::Guard,
    line::{self, Connector, Line, Status},
    link::{Link, everything},
    listing::{Completed, Listing},
    login,
    private::Private,
    pulse, raised,
    traffic::Traffic,
    watches::Watches,
};
use std::{
    collections::HashSet,
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use toolcrib_contract::{Callable, CallerId, Change, PromptSpec, ResourceSpec, Spec, TemplateSpec};
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
/// How long to wait before lists that could not be read are tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

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
    /// Whether this is the first since it connected.
    pub is_connected_anew: bool,
}

/// Hears what a server offers, and what of it changes.
pub trait Listener: Send + Sync {
    /// This is what the server offers from now on.
    fn offered(&self, server: &Definition, offer: Offer);

    /// Something that somebody watches has changed.
    fn changed(&self, change: Change);

    /// From now on callers sign in at the server by this tool, or by none.
    fn signs_in_by(&self, server: &Definition, tool: Option<(Spec, Arc<dyn Callable>)>);
}

/// One other server under supervision.
#[derive(Debug)]
pub struct Upstream {
    definition: Arc<Definition>,
    status: watch::Receiver<Status>,
    authorized: Option<Arc<Authorized>>,
    link: Arc<Link>,
}

impl Upstream {
    /// Takes a server under supervision. The future that comes with it is its life: to be spawned by whoever joins it,
    /// and over once `shutdown` turns true and the server has been stopped. What somebody watches at the one `before` it, whose place it
    /// takes, is watched at this one.
    pub fn new(
        definition: Definition,
        client: ClientInfo,
        guard: Arc<Guard>,
        listener: Arc<dyn Listener>,
        shutdown: watch::Receiver<bool>,
        before: Option<&Self>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let definition = Arc::new(definition);
        let (status, seen) = watch::channel(Status::Connecting);
        let asks = Arc::new(AtomicBool::new(false));
        let (private, starting) = Private::new(Arc::clone(&asks));
        let watches = before.map_or_else(Arc::default, |before| Arc::clone(&before.link.watches));
        let connector = Connector {
            definition: Arc::clone(&definition),
            bound: Arc::default(),
            authorized: Connector::authorized(&definition, &CallerId::ourselves()),
            client: ClientInfo { capabilities: everything(), ..client },
            guard,
            known_era: Arc::default(),
        };
        let link = Link {
            name: Arc::clone(&definition.name),
            sharing: definition.sharing,
            takes_token: definition.takes_token(),
            shared: seen.clone(),
            private: Arc::clone(&private),
            watches: Arc::clone(&watches),
            asks,
            turn: Arc::default(),
        };
        let hearing = Arc::new(Hearing { told: Mutex::default(), arrived: Notify::new(), watches, listener });
        let tending = private.tend(connector.clone(), starting, shutdown.clone());
        let authorized = connector.authorized.clone();
        let link = Arc::new(link);
        let life = Life { connector, status, hearing, link: Arc::clone(&link), is_login_offered: AtomicBool::new(false) };
        (Self { definition, status: seen, authorized, link }, async move {
            tokio::join!(life.live(shutdown), tending);
        })
    }

    /// Connects once, for the owner of what all share or for a caller, and says whether that works. Nothing is offered.
    ///
    /// # Errors
    /// Why there is no connection, in words.
    pub async fn reach(definition: Definition, client: ClientInfo, guard: Arc<Guard>, owner: &CallerId) -> Result<(), String> {
        let definition = Arc::new(definition);
        let authorized = Connector::authorized(&definition, owner);
        let mut connector = Connector { definition, bound: Arc::default(), authorized, client, guard, known_era: Arc::default() };
        if *owner != CallerId::ourselves() {
            connector = connector.for_caller(owner, None)?;
        }
        let mut child = None;
        let connected = connector.connect(Arc::new(Deaf), &mut child).await;
        if let Some(child) = child {
            child.stop().await;
        }
        connected.map(drop)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// What it is and how it is reached.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// How it is now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.told(self.status.borrow().clone())
    }

    /// A server that is connected may let nobody call.
    fn told(&self, status: Status) -> Status {
        let login_needed = || self.authorized.as_ref().and_then(|authorized| authorized.login_needed());
        match status {
            Status::Ready(line) => login_needed().map_or(Status::Ready(line), Status::LoginNeeded),
            other => other,
        }
    }

    /// Whether no call is under way on any of its connections.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.link.is_idle()
    }

    /// Waits until it is connected.
    pub async fn ready(&self) {
        let mut status = self.status.clone();
        if status.wait_for(|status| matches!(status, Status::Ready(_))).await.is_err() {
            // It will not be any more.
            std::future::pending().await
        }
    }

    /// Waits until the first attempt to connect has succeeded or failed.
    pub async fn settled(&self) -> Status {
        let mut status = self.status.clone();
        match status.wait_for(|status| !matches!(status, Status::Connecting)).await {
            Ok(status) => self.told(status.clone()),
            Err(_) => Status::Down("it is no longer supervised".into()),
        }
    }
}

/// Hears what the server says besides its answers.
struct Hearing {
    /// What it said has changed, since that was last looked at.
    told: Mutex<HashSet<Change>>,
    arrived: Notify,
    watches: Arc<Watches>,
    listener: Arc<dyn Listener>,
}

impl Hearing {
    fn note(&self, change: Change) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(change);
        self.arrived.notify_one();
    }

    fn take_told(&self) -> HashSet<Change> {
        std::mem::take(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The lists could not be read: what was told is still to be looked at.
    fn put_back(&self, told: HashSet<Change>) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
    }

    /// Nobody knows what changed while we were away.
    fn suspect_watched(&self) {
        self.watches.uris().into_iter().for_each(|uri| self.listener.changed(Change::Resource(uri.into())));
    }
}

/// Hears nothing.
#[derive(Debug)]
struct Deaf;

impl Audience for Deaf {
    fn hear(&self, _notification: Notification) {}
}

/// Hears what is said on one connection.
#[derive(Debug)]
struct Ear {
    hearing: Arc<Hearing>,
    traffic: Arc<Traffic>,
}

impl Audience for Ear {
    fn hear(&self, notification: Notification) {
        let hearing = &self.hearing;
        match notification.method.as_ref() {
            method::TOOLS_CHANGED => hearing.note(Change::Tools),
            method::PROMPTS_CHANGED => hearing.note(Change::Prompts),
            method::RESOURCES_CHANGED => hearing.note(Change::Resources),
            method::RESOURCE_UPDATED => {
                let uri = notification.params.and_then(|params| params.members().ok()?.string("uri"));
                // Servers tell of more than they were asked for.
                if let Some(uri) = uri.filter(|uri| hearing.watches.has(uri)) {
                    hearing.listener.changed(Change::Resource(uri.into()));
                }
            }
            _ => self.traffic.hear(notification),
        }
    }

    fn ask(&self, asked: Asked) {
        self.traffic.ask(asked);
    }

    fn answered_late(&self) {
        self.traffic.answered_late();
    }

    fn missed(&self) {
        self.hearing.arrived.notify_one();
        self.hearing.suspect_watched();
    }

    fn renewed(&self) {
        self.hearing.watches.forget();
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
    /// Whether callers were last told that they sign in by a tool.
    is_login_offered: AtomicBool,
}

impl Life {
    fn definition(&self) -> &Arc<Definition> {
        &self.connector.definition
    }

    async fn live(self, mut shutdown: watch::Receiver<bool>) {
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
            line::part(&self.status, child, self.after(reason.as_deref().unwrap_or("it is being stopped"))).await;
            let Some(reason) = reason else { return };
            self.offer_login();
            let is_login_needed = matches!(*self.status.borrow(), Status::LoginNeeded(_));
            if was_ready {
                reported.clear();
            } else if !is_login_needed {
                // A server may have changed its era, and one that cannot bear the question is not asked it twice.
                let mut era = self.connector.era();
                *era = if era.is_none() { Some(Era::Legacy) } else { None };
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
                () = tokio::time::sleep(wait) => backoff = (backoff * 2).min(MAX_BACKOFF),
                () = self.until_signed_in(is_login_needed) => backoff = MIN_BACKOFF,
                () = raised(&mut shutdown) => return,
            }
        }
    }

    /// How it stands once there is no connection any more.
    fn after(&self, reason: &str) -> Status {
        let login_needed = self.connector.authorized.as_ref().and_then(|authorized| authorized.login_needed());
        login_needed.map_or_else(|| Status::Down(reason.to_owned()), Status::LoginNeeded)
    }

    /// Completes when somebody signs in who has to.
    async fn until_signed_in(&self, is_login_needed: bool) {
        match self.connector.authorized.as_ref().filter(|_| is_login_needed) {
            Some(authorized) => authorized.until_signed_in().await,
            None => std::future::pending().await,
        }
    }

    /// Gives callers the tool by which they sign in: where each of them does that, as soon as it is known that they have to;
    /// where one does it for all, for as long as that is worthwhile.
    fn offer_login(&self) {
        let definition = self.definition();
        let (Some(sign_in), Some(authorized)) = (&definition.sign_in, &self.connector.authorized) else { return };
        let is_each = definition.sharing == Sharing::PerCaller;
        let is_wanted = if is_each { *sign_in.accounts.asks().borrow() } else { authorized.is_login_worthwhile() };
        if self.is_login_offered.swap(is_wanted, Ordering::Relaxed) == is_wanted {
            return;
        }
        let tool = || login::tool(&definition.login_tool(), &definition.name, definition.sharing, sign_in);
        self.hearing.listener.signs_in_by(definition, is_wanted.then(tool).flatten());
    }

    /// Offers the login as it becomes worthwhile, and lists anew when somebody has signed in: there may be more for them.
    async fn follow_logins(&self) -> String {
        let (Some(sign_in), Some(authorized)) = (&self.definition().sign_in, &self.connector.authorized) else {
            return std::future::pending().await;
        };
        let (mut asks, mut states) = (sign_in.accounts.asks(), authorized.states());
        let mut was_worthwhile = authorized.is_login_worthwhile();
        loop {
            self.offer_login();
            tokio::select! {
                Ok(()) = asks.changed() => {}
                Ok(()) = states.changed() => {}
                () = authorized.until_signed_in(), if was_worthwhile => {}
                else => return std::future::pending().await,
            }
            let is_worthwhile = authorized.is_login_worthwhile();
            if was_worthwhile && !is_worthwhile {
                self.hearing.arrived.notify_one();
            }
            was_worthwhile = is_worthwhile;
        }
    }

    /// Connects and stays connected. Completes with the reason when that does not succeed or is over.
    async fn connected(&self, slot: &mut Option<Child>) -> String {
        let traffic = Traffic::new(Arc::clone(&self.link.asks));
        let ear: Arc<dyn Audience> = Arc::new(Ear { hearing: Arc::clone(&self.hearing), traffic: Arc::clone(&traffic) });
        let connection = match self.connector.connect(ear, slot).await {
            Ok(connection) => connection,
            Err(reason) => return reason,
        };
        tracing::info!(server = %self.definition().name, revision = %connection.greeting().revision, "connected");
        let line = Arc::new(Line { connection, traffic });
        let within = self.definition().start_timeout;
        let stay = async {
            match tokio::time::timeout(within, self.offer(&line.connection, true)).await {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => return format!("it cannot list what it has: {reason}"),
                Err(_) => return format!("it did not list what it has within {} s", within.as_secs()),
            }
            self.status.send_replace(Status::Ready(Arc::clone(&line)));
            self.hearing.suspect_watched();
            tokio::select! {
                reason = pulse::lost(&line, within) => reason,
                never = self.follow_logins() => never,
                reason = line::ended(&line.connection, slot) => reason,
                never = self.keep_listed(&line.connection) => never,
                never = self.hearing.watches.keep(&line.connection, || self.hearing.suspect_watched()) => match never {},
            }
        };
        // Listening begins before listing, so that no change falls into the gap.
        tokio::select! {
            reason = stay => reason,
            never = line.connection.listen() => never,
        }
    }

    /// Lists anew whenever the server says that something changed. If that fails, what was known stays, and it is tried
    /// again.
    async fn keep_listed(&self, connection: &Connection) -> String {
        loop {
            self.hearing.arrived.notified().await;
            tokio::time::sleep(SETTLE).await;
            let offered = tokio::time::timeout(self.definition().start_timeout, self.offer(connection, false)).await;
            // Whoever announces changes without end is not listed without end.
            let mut rest = REST;
            if let Err(reason) = offered.unwrap_or_else(|_| Err("no answer in time".into())) {
                tracing::warn!(server = %self.definition().name, "its lists changed but cannot be read, the earlier ones stay: {reason}");
                self.hearing.arrived.notify_one();
                rest = AGAIN_AFTER;
            }
            tokio::time::sleep(rest).await;
        }
    }

    async fn offer(&self, connection: &Connection, is_connected_anew: bool) -> Result<(), String> {
        let told = Told { hearing: &self.hearing, changes: self.hearing.take_told() };
        let listing = Listing { definition: self.definition(), link: &self.link, connection };
        let offer = Offer { told: told.changes.iter().cloned().collect(), is_connected_anew, ..listing.take().await? };
        told.done();
        for (name, reason) in &offer.left_out {
            tracing::warn!(server = %self.definition().name, tool = name, "left out: {reason}");
        }
        self.hearing.listener.offered(self.definition(), offer);
        Ok(())
    }
}

/// What the server told us has changed, put back unless it is looked at.
struct Told<'a> {
    hearing: &'a Hearing,
    changes: HashSet<Change>,
}

impl Told<'_> {
    fn done(mut self) {
        self.changes.clear();
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.hearing.put_back(std::mem::take(&mut self.changes));
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
