//! The life of one other server: connect, list what it has, listen for changes, and connect again when it is gone.

use crate::{
    attempts::{Attempts, Lived, Next},
    authorization::Authorized,
    child::Child,
    definition::{Definition, Sharing, Transport},
    health::{Chart, Health},
    hearing::{Deaf, Ear, Hearing},
    line::{self, Connector, Line, Quarantine, Status},
    link::{Link, everything},
    listing::{Completed, Listing, Lists},
    login,
    orders::Orders,
    private::Private,
    pulse, raised,
    traffic::Traffic,
};
use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use toolcrib_child::Guard;
use toolcrib_contract::{Callable, CallerId, Change, PromptSpec, ResourceSpec, Spec, TemplateSpec};
use toolcrib_wire::{
    Era,
    client::{Audience, ClientInfo, Connection},
};

/// How long to gather changes before listing anew: servers announce many at once.
const SETTLE: Duration = Duration::from_millis(100);
/// The least time between two listings.
const REST: Duration = Duration::from_secs(1);
/// How long to wait before lists that could not be read are tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// However short a server says that its lists hold, they are not read more often than this.
const MIN_FRESH: Duration = Duration::from_secs(30);
/// How long a server that was only started to be listed stays, in case it is called after all.
const LISTED_ONLY: Duration = Duration::from_secs(5);
/// How long calls may go on at a server that somebody wants to end, and how often it is looked whether they do.
const MOMENT: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);
/// How long no call may have been seen at a server that nobody can reach any more before it is ended.
const QUIET: Duration = Duration::from_secs(1);

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

    /// The server has been away for so long that what it offered is not offered any more.
    fn forgotten(&self, server: &Definition);

    /// From now on callers sign in at the server by this tool, or by none.
    fn signs_in_by(&self, server: &Definition, tool: Option<(Spec, Arc<dyn Callable>)>);
}

/// One other server under supervision.
#[derive(Debug)]
pub struct Upstream {
    definition: Arc<Definition>,
    status: watch::Receiver<Status>,
    chart: Arc<Chart>,
    try_now: Arc<Notify>,
    orders: Arc<Orders>,
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
        let is_in_use = before.is_some_and(|before| !matches!(*before.status.borrow(), Status::Asleep));
        let link = Link {
            name: Arc::clone(&definition.name),
            sharing: definition.sharing,
            takes_token: definition.takes_token(),
            shared: seen.clone(),
            private: Arc::clone(&private),
            watches: Arc::clone(&watches),
            asks,
            turn: Arc::default(),
            wake: Notify::new(),
            waiting: AtomicUsize::new(0),
        };
        let hearing = Hearing::new(watches, listener);
        let tending = private.tend(connector.clone(), starting, shutdown.clone());
        let authorized = connector.authorized.clone();
        let link = Arc::new(link);
        let (chart, try_now) = (Arc::new(Chart::new()), Arc::new(Notify::new()));
        let orders = Arc::new(Orders::after(before.map(|before| &*before.orders)));
        let life = Life {
            connector,
            status,
            chart: Arc::clone(&chart),
            try_now: Arc::clone(&try_now),
            orders: Arc::clone(&orders),
            hearing,
            link: Arc::clone(&link),
            is_in_use,
            is_listed: AtomicBool::new(false),
            is_login_offered: AtomicBool::new(false),
        };
        (Self { definition, status: seen, chart, try_now, orders, authorized, link }, async move {
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

    /// How it has fared until now.
    #[must_use]
    pub fn health(&self) -> Health {
        self.chart.read()
    }

    /// Somebody may have mended what was wrong: one that is away is tried again at once.
    pub fn try_now(&self) {
        if matches!(*self.status.borrow(), Status::Down(_) | Status::Quarantined(_)) {
            self.try_now.notify_one();
        }
    }

    /// Starts it anew, with all its connections: calls that are under way have a moment to end, and those that come meanwhile wait.
    /// One that is away is tried at once, and one that was taken out of service is put back.
    pub fn restart(&self) {
        self.orders.restart();
    }

    /// Takes it out of service, until [`Upstream::restart`]: it is ended, and calls are refused.
    pub fn hold(&self) {
        self.orders.hold();
    }

    /// Whether no call is under way on any of its connections.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.link.is_idle()
    }

    /// Waits until it can be called.
    pub async fn ready(&self) {
        let mut status = self.status.clone();
        if status.wait_for(|status| matches!(status, Status::Ready(_) | Status::Asleep)).await.is_err() {
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

struct Life {
    connector: Connector,
    status: watch::Sender<Status>,
    chart: Arc<Chart>,
    try_now: Arc<Notify>,
    orders: Arc<Orders>,
    hearing: Arc<Hearing>,
    link: Arc<Link>,
    /// Whether the one whose place it takes was not asleep: then it has to show that it can be started.
    is_in_use: bool,
    /// Whether anything of it is offered.
    is_listed: AtomicBool,
    /// Whether callers were last told that they sign in by a tool.
    is_login_offered: AtomicBool,
}

/// How a connection ended.
enum End {
    /// Nobody needs it just now.
    Unused,
    /// Somebody ordered it.
    Ordered,
    /// It does not work, or no longer does, and why.
    Broken { reason: String, lived: Option<Lived> },
}

/// What became of the failures until now.
struct Failing {
    attempts: Attempts,
    /// The reason that was told last.
    reported: String,
    away_since: Option<Instant>,
}

impl Failing {
    fn new(is_child: bool) -> Self {
        Self { attempts: Attempts::new(is_child), reported: String::new(), away_since: None }
    }

    /// It was there, and is not missed.
    fn is_over(&mut self) {
        self.attempts.begin_anew();
        self.was_there();
    }

    /// From now on it is away again.
    fn was_there(&mut self) {
        (self.reported, self.away_since) = (String::new(), None);
    }
}

impl Life {
    fn definition(&self) -> &Arc<Definition> {
        &self.connector.definition
    }

    async fn live(self, mut shutdown: watch::Receiver<bool>) {
        let is_child = matches!(self.definition().transport, Transport::Child(_));
        let mut failing = Failing::new(is_child);
        let mut is_wanted = !self.definition().is_lazy || self.is_in_use;
        if !is_wanted && self.offer_remembered() {
            self.status.send_replace(Status::Asleep);
            is_wanted = self.is_woken(&mut shutdown).await;
            if !is_wanted {
                return;
            }
        }
        loop {
            if !self.is_let(&mut shutdown).await {
                return;
            }
            let goes_on = match self.once(is_wanted, &mut shutdown).await {
                None => return,
                Some(End::Ordered) => {
                    failing.is_over();
                    is_wanted = true;
                    true
                }
                Some(End::Unused) => {
                    failing.is_over();
                    is_wanted = true;
                    self.is_woken(&mut shutdown).await
                }
                Some(End::Broken { reason, lived }) => self.is_due_again(&mut failing, reason, lived, &mut shutdown).await,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Connects and stays connected. There is no end to tell of once we are told to stop.
    async fn once(&self, is_wanted: bool, shutdown: &mut watch::Receiver<bool>) -> Option<End> {
        self.orders.begun();
        self.chart.attempts();
        self.status.send_replace(Status::Connecting);
        self.link.forget_wakes();
        let mut child = None;
        let mut lived = None;
        let end = tokio::select! {
            end = self.connected(is_wanted, &mut lived, &mut child) => end,
            after = self.recalled() => {
                line::part(&self.status, child, after).await;
                self.chart.runs_no_more();
                return Some(End::Ordered);
            }
            () = raised(shutdown) => {
                line::part(&self.status, child, self.after("it is being stopped")).await;
                return None;
            }
        };
        self.chart.runs_no_more();
        match end {
            // It may have ended because of an order.
            _ if self.orders.is_given() => {
                line::part(&self.status, child, self.ordered()).await;
                Some(End::Ordered)
            }
            None => {
                line::part(&self.status, child, Status::Asleep).await;
                Some(End::Unused)
            }
            Some(reason) => {
                line::part(&self.status, child, self.after(&reason)).await;
                Some(End::Broken { reason, lived })
            }
        }
    }

    /// Waits until it is not held out of service any more; false if we are told to stop before.
    async fn is_let(&self, shutdown: &mut watch::Receiver<bool>) -> bool {
        if !self.orders.is_held() {
            return true;
        }
        tracing::warn!(server = %self.definition().name, "taken out of service by hand");
        self.chart.is_held();
        self.status.send_replace(Status::Held);
        tokio::select! {
            () = self.orders.released() => true,
            () = raised(shutdown) => false,
        }
    }

    /// Completes once there is an order to end the connection, and calls on it have had a moment to end, with how it stands then.
    async fn recalled(&self) -> Status {
        self.orders.given().await;
        let before = self.status.send_replace(self.ordered());
        let line = if let Status::Ready(line) = before { Some(line) } else { None };
        let is_busy = || line.as_ref().is_some_and(|line| line.traffic.idle_for().is_none()) || !self.link.private.is_idle();
        let deadline = Instant::now() + MOMENT;
        while is_busy() && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        self.link.private.end_all();
        line.iter().for_each(|line| line.close());
        self.ordered()
    }

    /// How it stands once an order is carried out.
    fn ordered(&self) -> Status {
        if self.orders.is_held() { Status::Held } else { Status::Connecting }
    }

    /// Waits until a call, or a subscription, needs the server; false if we are told to stop before.
    async fn is_woken(&self, shutdown: &mut watch::Receiver<bool>) -> bool {
        self.chart.is_well();
        tokio::select! {
            () = self.link.wake.notified() => true,
            () = self.hearing.watches.until_wanted() => true,
            () = self.orders.given() => true,
            () = raised(shutdown) => false,
        }
    }

    /// Waits until it is time for another attempt; false if we are told to stop before.
    async fn is_due_again(
        &self,
        failing: &mut Failing,
        reason: String,
        lived: Option<Lived>,
        shutdown: &mut watch::Receiver<bool>,
    ) -> bool {
        let next = failing.attempts.after(lived);
        let due = Instant::now() + next.wait;
        self.chart.failed(&reason, next.failures, next.wait);
        self.offer_login();
        let is_login_needed = matches!(*self.status.borrow(), Status::LoginNeeded(_));
        if next.is_quarantined && !is_login_needed {
            self.status.send_replace(Status::Quarantined(Quarantine { failures: next.failures, reason: reason.clone(), until: due }));
        }
        if lived.is_some() {
            failing.was_there();
        } else if !is_login_needed {
            // A server may have changed its era, and one that cannot bear the question is not asked it twice.
            let mut era = self.connector.era();
            *era = if era.is_none() { Some(Era::Legacy) } else { None };
        }
        self.report(&mut failing.reported, reason, next);
        let forgotten_at = *failing.away_since.get_or_insert_with(Instant::now) + self.definition().keep_listed;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(due) => return true,
                () = tokio::time::sleep_until(forgotten_at), if self.is_listed.load(Ordering::Relaxed) => {
                    self.is_listed.store(false, Ordering::Relaxed);
                    tracing::warn!(server = %self.definition().name, "has been away for too long: what it offered is not listed any more");
                    self.hearing.listener.forgotten(self.definition());
                }
                () = self.until_signed_in(is_login_needed) => break,
                () = self.try_now.notified() => break,
                () = self.orders.given() => break,
                () = raised(shutdown) => return false,
            }
        }
        failing.attempts.begin_anew();
        true
    }

    /// Tells why the server is away. The same reason again is no news.
    fn report(&self, reported: &mut String, reason: String, next: Next) {
        let (server, again_in_ms) = (&self.definition().name, next.wait.as_millis());
        if reason == *reported && !(next.is_quarantined && next.failures == Attempts::CRASH_LOOP) {
            tracing::debug!(%server, again_in_ms, "still not available: {reason}");
        } else if next.is_quarantined {
            tracing::warn!(%server, again_in_ms, failures = next.failures, "quarantined, since it does not stay: {reason}");
        } else {
            tracing::warn!(%server, again_in_ms, "not available: {reason}");
        }
        *reported = reason;
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

    /// Connects and stays connected. Completes with the reason when that does not succeed or is over, and without one when nobody needs it.
    async fn connected(&self, is_wanted: bool, lived: &mut Option<Lived>, slot: &mut Option<Child>) -> Option<String> {
        let traffic = Traffic::new(Arc::clone(&self.link.asks));
        let ear: Arc<dyn Audience> = Arc::new(Ear { hearing: Arc::clone(&self.hearing), traffic: Arc::clone(&traffic) });
        let connected = self.connector.connect(ear, slot).await;
        slot.iter().for_each(|child| self.chart.runs(child));
        let connection = match connected {
            Ok(connection) => connection,
            Err(reason) => return Some(reason),
        };
        tracing::info!(server = %self.definition().name, revision = %connection.greeting().revision, "connected");
        let line = Arc::new(Line { connection, traffic });
        let within = self.definition().start_timeout;
        let stay = async {
            let fresh_for = match tokio::time::timeout(within, self.offer(&line.connection, true)).await {
                Ok(Ok(fresh_for)) => fresh_for,
                Ok(Err(reason)) => return Some(format!("it cannot list what it has: {reason}")),
                Err(_) => return Some(format!("it did not list what it has within {} s", within.as_secs())),
            };
            self.status.send_replace(Status::Ready(Arc::clone(&line)));
            let ready_at = Instant::now();
            self.chart.is_well();
            self.hearing.suspect_watched();
            let reason = tokio::select! {
                () = self.until_unused(&line, ready_at, is_wanted) => return None,
                reason = pulse::lost(&line, within) => reason,
                never = self.follow_logins() => never,
                reason = line::ended(&line.connection, slot) => reason,
                never = self.keep_listed(&line.connection, fresh_for) => never,
                never = self.hearing.watches.keep(&line.connection, || self.hearing.suspect_watched()) => match never {},
            };
            *lived = Some(Lived { time: ready_at.elapsed(), was_called: line.traffic.was_just_called() });
            Some(reason)
        };
        // Listening begins before listing, so that no change falls into the gap.
        tokio::select! {
            end = stay => end,
            never = line.connection.listen() => never,
        }
    }

    /// Completes once the server has not been called for as long as the config says, and nobody can be on the way to it any more.
    async fn until_unused(&self, line: &Arc<Line>, ready_at: Instant, is_wanted: bool) {
        let is_idle_for = |time: Duration| ready_at.elapsed() >= time && line.traffic.idle_for().is_some_and(|idle| idle >= time);
        // Connections of single clients are listed by this one.
        let is_needed = || self.hearing.watches.is_wanted() || !self.link.private.is_empty();
        loop {
            let only_listed = (!is_wanted && line.traffic.has_served_nobody()).then_some(LISTED_ONLY);
            let Some(patience) = only_listed.or(self.definition().idle_stop) else { return std::future::pending().await };
            if is_idle_for(patience) && !is_needed() {
                self.status.send_replace(Status::Asleep);
                // A call may have taken the connection just before that; and whoever comes now need not wait for another start.
                tokio::select! {
                    () = self.link.wake.notified() => {}
                    () = tokio::time::sleep(QUIET) => if is_idle_for(QUIET) && !is_needed() {
                        return line.close();
                    }
                }
                self.status.send_replace(Status::Ready(Arc::clone(line)));
            }
            tokio::time::sleep(QUIET.min(patience)).await;
        }
    }

    /// Lists anew whenever the server says that something changed, or that what it listed holds no longer. If that fails, what was known
    /// stays, and it is tried again.
    async fn keep_listed(&self, connection: &Connection, mut fresh_for: Option<Duration>) -> String {
        loop {
            let stale = async {
                match fresh_for {
                    Some(fresh_for) => tokio::time::sleep(fresh_for.max(MIN_FRESH)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.hearing.arrived.notified() => tokio::time::sleep(SETTLE).await,
                () = stale => {}
            }
            let offered = tokio::time::timeout(self.definition().start_timeout, self.offer(connection, false)).await;
            // Whoever announces changes without end is not listed without end.
            let mut rest = REST;
            match offered.unwrap_or_else(|_| Err("no answer in time".into())) {
                Ok(fresh) => fresh_for = fresh,
                Err(reason) => {
                    tracing::warn!(server = %self.definition().name, "its lists changed but cannot be read, the earlier ones stay: {reason}");
                    self.hearing.arrived.notify_one();
                    rest = AGAIN_AFTER;
                }
            }
            tokio::time::sleep(rest).await;
        }
    }

    /// Offers what the server has, and tells for how long that holds, if the server says so.
    async fn offer(&self, connection: &Connection, is_connected_anew: bool) -> Result<Option<Duration>, String> {
        let told = self.hearing.told();
        let lists = Lists::ask(connection).await?;
        let offer = self.listing(matches!(connection, Connection::Pipe(_))).offer(&lists);
        let offer = Offer { told: told.changes(), is_connected_anew, ..offer };
        told.done();
        self.publish(offer);
        let fresh_for = lists.fresh_for;
        if self.definition().is_lazy {
            let definition = Arc::clone(self.definition());
            // Nobody waits for the disk.
            drop(tokio::task::spawn_blocking(move || definition.remember(&lists.to_json())));
        }
        Ok(fresh_for)
    }

    /// Offers what the server had when it was last listed, if that is known.
    fn offer_remembered(&self) -> bool {
        let Some(lists) = self.definition().remembered().and_then(|lists| Lists::of_json(&lists)) else { return false };
        self.publish(Offer { is_connected_anew: true, ..self.listing(true).offer(&lists) });
        true
    }

    fn listing(&self, is_pipe: bool) -> Listing<'_> {
        Listing { definition: self.definition(), link: &self.link, is_pipe }
    }

    fn publish(&self, offer: Offer) {
        for (name, reason) in &offer.left_out {
            tracing::warn!(server = %self.definition().name, tool = name, "left out: {reason}");
        }
        self.is_listed.store(true, Ordering::Relaxed);
        self.hearing.listener.offered(self.definition(), offer);
    }
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
