//! Connections that one client, or one caller, has for itself: started when they are first needed, and ended when their
//! client is gone or has not used them for a while.

use crate::{
    child::Child,
    definition::Sharing,
    line::{self, Connector, Line, Status},
    pulse, raised,
    traffic::{Conversation, Owner, Traffic, UnderWay},
};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use toolcrib_contract::{CallError, CallerId, Json};
use toolcrib_wire::client::Audience;

/// The most private connections to one server.
const MAX_LINES: usize = 64;
/// How long one may be without a call before it is ended, unless the config says.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// How often it is looked for such.
const SWEEP: Duration = Duration::from_secs(5);

/// The private connections to one server.
pub(crate) struct Private {
    lines: Mutex<Vec<Entry>>,
    start: mpsc::Sender<Start>,
    asks: Arc<AtomicBool>,
}

struct Entry {
    owner: Owner,
    traffic: Arc<Traffic>,
    status: watch::Receiver<Status>,
    /// Ends the connection when it is dropped.
    _open: watch::Sender<bool>,
}

/// A connection to be made.
pub(crate) struct Start {
    capabilities: Json,
    caller: CallerId,
    token: Option<Arc<str>>,
    traffic: Arc<Traffic>,
    status: watch::Sender<Status>,
    closed: watch::Receiver<bool>,
}

/// A place at a private connection that may still be under way.
pub(crate) struct Reserved {
    pub(crate) under_way: UnderWay,
    pub(crate) status: watch::Receiver<Status>,
}

/// Whether calls may run beside each other on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meeting {
    Allowed,
    /// Each call has a connection of its own for as long as it runs.
    Forbidden,
}

impl Private {
    pub(crate) fn new(asks: Arc<AtomicBool>) -> (Arc<Self>, mpsc::Receiver<Start>) {
        let (start, starting) = mpsc::channel(MAX_LINES);
        (Arc::new(Self { lines: Mutex::default(), start, asks }), starting)
    }

    /// A connection of the call's owner. One that is not there, or not free, is started, and told that its client can do
    /// this. The call is under way on it from now on: what the server asks while it starts is asked for this call.
    pub(crate) fn reserve(
        &self,
        conversation: &Arc<Conversation>,
        meeting: Meeting,
        capabilities: impl FnOnce() -> Json,
    ) -> Result<Reserved, CallError> {
        let owner = conversation.owner();
        let mut lines = self.lock();
        lines.retain(|entry| !entry.is_over());
        let entered = lines.iter().filter(|entry| entry.owner == *owner).find_map(|entry| {
            let under_way = match meeting {
                Meeting::Allowed => Some(entry.traffic.enter(conversation)),
                Meeting::Forbidden => entry.traffic.enter_alone(conversation),
            };
            under_way.map(|under_way| Reserved { under_way, status: entry.status.clone() })
        });
        if let Some(reserved) = entered {
            return Ok(reserved);
        }
        let overloaded = CallError::Overloaded { limit: MAX_LINES, what: "connections to this server are in use by single clients" };
        if lines.len() >= MAX_LINES {
            let longest = lines.iter().enumerate().filter_map(|(index, entry)| Some((entry.traffic.idle_for()?, index))).max();
            let (_, index) = longest.ok_or_else(|| overloaded.clone())?;
            lines.swap_remove(index);
        }
        let traffic = Traffic::new(Arc::clone(&self.asks));
        let (status, seen) = watch::channel(Status::Connecting);
        let (open, closed) = watch::channel(false);
        let (caller, token) = (conversation.context().caller().clone(), conversation.context().token().cloned());
        let start = Start { capabilities: capabilities(), caller, token, traffic: Arc::clone(&traffic), status, closed };
        self.start.try_send(start).map_err(|_| overloaded)?;
        let under_way = traffic.enter(conversation);
        lines.push(Entry { owner: owner.clone(), traffic, status: seen.clone(), _open: open });
        Ok(Reserved { under_way, status: seen })
    }

    /// Makes and keeps the connections until `shutdown` turns true and all of them have ended.
    pub(crate) async fn tend(
        self: Arc<Self>,
        connector: Connector,
        mut starting: mpsc::Receiver<Start>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let mut lives = JoinSet::new();
        let idle = connector.definition.idle_stop.unwrap_or(IDLE);
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                Some(start) = starting.recv() => {
                    lives.spawn(live(connector.with_capabilities(start.capabilities.clone()), start));
                }
                Some(_) = lives.join_next() => {}
                _ = sweep.tick() => self.lock().retain(|entry| !entry.is_over() && !entry.is_abandoned(idle)),
                () = raised(&mut shutdown) => break,
            }
        }
        starting.close();
        self.lock().clear();
        while lives.join_next().await.is_some() {}
    }

    /// Ends all of them, whatever is under way.
    pub(crate) fn end_all(&self) {
        self.lock().clear();
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Whether no call is under way on any of them.
    pub(crate) fn is_idle(&self) -> bool {
        self.lock().iter().all(|entry| entry.traffic.idle_for().is_some())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_over(&self) -> bool {
        self.status.has_changed().is_err() || matches!(&*self.status.borrow(), Status::Down(_) | Status::LoginNeeded(_))
    }

    fn is_abandoned(&self, most: Duration) -> bool {
        let is_gone = match &self.owner {
            Owner::Session(session) => session.is_over(),
            Owner::Caller(..) => self.traffic.is_spent(),
        };
        self.traffic.idle_for().is_some_and(|idle| is_gone || idle > most)
    }
}

/// The life of one private connection. It is not made again: the next call starts another.
async fn live(connector: Connector, Start { caller, token, traffic, status, mut closed, .. }: Start) {
    let mut child = None;
    // What is for one caller goes only where nobody else is.
    let connector =
        if connector.definition.sharing == Sharing::PerCaller { connector.for_caller(&caller, token.as_deref()) } else { Ok(connector) };
    let connector = match connector {
        Ok(connector) => connector,
        // What a caller lacks, trying again does not give it.
        Err(reason) => return line::part(&status, None, Status::LoginNeeded(reason)).await,
    };
    let reason = tokio::select! {
        reason = connected(&connector, traffic, &status, &mut child) => reason,
        () = raised(&mut closed) => "it is no longer needed".to_owned(),
    };
    tracing::debug!(server = %connector.definition.name, "a private connection ended: {reason}");
    let login_needed = connector.authorized.as_ref().and_then(|authorized| authorized.login_needed());
    let after = login_needed.map_or(Status::Down(reason), Status::LoginNeeded);
    line::part(&status, child, after).await;
}

async fn connected(connector: &Connector, traffic: Arc<Traffic>, status: &watch::Sender<Status>, child: &mut Option<Child>) -> String {
    // What the server has is listed on the connection that all share: of this one only the calls are heard.
    let connection = match connector.connect(Arc::clone(&traffic) as Arc<dyn Audience>, child).await {
        Ok(connection) => connection,
        Err(reason) => return reason,
    };
    let line = Arc::new(Line { connection, traffic });
    status.send_replace(Status::Ready(Arc::clone(&line)));
    tokio::select! {
        reason = line::ended(&line.connection, child) => reason,
        reason = pulse::lost(&line, connector.definition.start_timeout) => reason,
        never = line.connection.listen() => never,
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Private({})", self.lock().len())
    }
}
