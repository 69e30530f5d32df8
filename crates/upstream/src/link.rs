//! The way from a call to the connection that it takes: the one that all share, or one of its client's own.

use crate::{
    definition::Sharing,
    line::{HELD, Line, Status},
    private::{Meeting, Private, Reserved},
    traffic::{Conversation, Owner, UnderWay},
    watches::Watches,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, watch};
use toolcrib_contract::{CallError, Client, Json, Outage};

/// The way to the connections of one server.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) name: Arc<str>,
    pub(crate) sharing: Sharing,
    /// Whether the token that a caller has shown to us is passed on.
    pub(crate) takes_token: bool,
    /// The connection that all share.
    pub(crate) shared: watch::Receiver<Status>,
    /// Those that clients have for themselves.
    pub(crate) private: Arc<Private>,
    pub(crate) watches: Arc<Watches>,
    /// Whether the server has asked a question that names no call.
    pub(crate) asks: Arc<AtomicBool>,
    /// Held by the call that may not meet others on the connection that all share.
    pub(crate) turn: Arc<Mutex<()>>,
    /// Starts the server if it sleeps.
    pub(crate) wake: Notify,
    /// Calls that wait for the connection that all share.
    pub(crate) waiting: AtomicUsize,
}

/// A call that waits for a connection.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection for the time of one call.
pub(crate) struct Taken {
    pub(crate) line: Arc<Line>,
    under_way: UnderWay,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Taken {
    /// The call is over, and the server knows it.
    pub(crate) fn answered(self) {
        self.under_way.answered();
    }
}

impl Link {
    /// The connection for this call. While it is being made, waits for it; the deadline of the call bounds that.
    pub(crate) async fn take(&self, conversation: &Arc<Conversation>) -> Result<Taken, CallError> {
        let owner = conversation.owner();
        match self.sharing {
            Sharing::PerSession | Sharing::PerCaller => self.take_private(conversation).await,
            Sharing::Shared => {
                let line = self.shared().await?;
                let turn = if self.asks() { Some(Arc::clone(&self.turn).lock_owned().await) } else { None };
                let under_way = line.traffic.enter(conversation);
                Ok(Taken { line, under_way, _turn: turn })
            }
            // Few of those who ask find it free: its start is nothing to wait for.
            Sharing::WhileSilent if self.asks() && !matches!(*self.shared.borrow(), Status::Ready(_)) => {
                self.take_private(conversation).await
            }
            Sharing::WhileSilent => {
                let line = self.shared().await?;
                let entered = if !self.asks() {
                    Some(line.traffic.enter(conversation))
                } else if self.may_meet(owner) {
                    // Who has had the connection for itself until now keeps it.
                    line.traffic.is_only_for(owner).then(|| line.traffic.enter(conversation))
                } else {
                    line.traffic.enter_alone(conversation)
                };
                match entered {
                    Some(under_way) => Ok(Taken { line, under_way, _turn: None }),
                    None => self.take_private(conversation).await,
                }
            }
        }
    }

    /// Whether no call is under way.
    pub(crate) fn is_idle(&self) -> bool {
        let is_shared_idle = match &*self.shared.borrow() {
            Status::Ready(line) => line.traffic.idle_for().is_some(),
            _ => true,
        };
        is_shared_idle && self.waiting.load(Ordering::Relaxed) == 0 && self.private.is_idle()
    }

    /// The connection that all share.
    async fn shared(&self) -> Result<Arc<Line>, CallError> {
        if let Status::Ready(line) = &*self.shared.borrow() {
            return Ok(Arc::clone(line));
        }
        let _waiting = Waiting::new(&self.waiting);
        self.ready(self.shared.clone()).await
    }

    /// Lets the connection that all share know that it is needed, if it sleeps. Told while its status is held, so that it is not
    /// told once it is being started.
    fn wake_if_asleep(&self, status: &Status) {
        if matches!(status, Status::Asleep) {
            self.wake.notify_one();
        }
    }

    async fn take_private(&self, conversation: &Arc<Conversation>) -> Result<Taken, CallError> {
        let owner = conversation.owner();
        // What does not stay when all share it does not stay for one. What is listed is so by the connection that all share.
        match &*self.shared.borrow() {
            Status::Quarantined(why) => return Err(self.unavailable(&why.to_string(), Outage::Lasting)),
            Status::Held => return Err(self.unavailable(HELD, Outage::Lasting)),
            status => self.wake_if_asleep(status),
        }
        let meeting = if self.may_meet(owner) { Meeting::Allowed } else { Meeting::Forbidden };
        let Reserved { under_way, status } = self.private.reserve(conversation, meeting, || match owner {
            Owner::Session(_) => declared(&conversation.context().back().client()),
            Owner::Caller(..) => everything(),
        })?;
        match self.ready(status).await {
            Ok(line) => Ok(Taken { line, under_way, _turn: None }),
            Err(error) => {
                under_way.answered();
                // Nobody brings back a connection of one caller: this was the attempt.
                Err(match error {
                    CallError::Unavailable { server, reason, outage: Outage::Down } => {
                        CallError::Unavailable { server, reason, outage: Outage::Unreached }
                    }
                    other => other,
                })
            }
        }
    }

    /// Calls of one session may run beside each other: whichever of them a question is about, it is for the same client.
    /// Other calls may not once the server asks.
    fn may_meet(&self, owner: &Owner) -> bool {
        matches!(owner, Owner::Session(_)) || !self.asks()
    }

    fn unavailable(&self, reason: &str, outage: Outage) -> CallError {
        CallError::Unavailable { server: Arc::clone(&self.name), reason: reason.to_owned(), outage }
    }

    fn asks(&self) -> bool {
        self.asks.load(Ordering::Relaxed)
    }

    async fn ready(&self, mut status: watch::Receiver<Status>) -> Result<Arc<Line>, CallError> {
        loop {
            match &*status.borrow_and_update() {
                Status::Ready(line) => return Ok(Arc::clone(line)),
                Status::Down(reason) => return Err(self.unavailable(reason, Outage::Down)),
                Status::LoginNeeded(reason) => return Err(self.unavailable(reason, Outage::Lasting)),
                Status::Quarantined(why) => return Err(self.unavailable(&why.to_string(), Outage::Lasting)),
                Status::Held => return Err(self.unavailable(HELD, Outage::Lasting)),
                status @ (Status::Asleep | Status::Connecting) => self.wake_if_asleep(status),
            }
            status.changed().await.map_err(|_| self.unavailable("it is being stopped", Outage::Down))?;
        }
    }

    /// Whoever woke the server did so until now: from here on it is being started.
    pub(crate) fn forget_wakes(&self) {
        std::pin::pin!(self.wake.notified()).as_mut().enable();
    }
}

/// What a server is told that clients can do where it is not known which client will be asked.
pub(crate) fn everything() -> Json {
    Json::parse(r#"{"elicitation":{},"sampling":{},"roots":{}}"#).expect("this is JSON")
}

/// What a client declared, as far as it is passed on: that it can be asked things, and extensions other than tasks.
pub(crate) fn declared(client: &Client) -> Json {
    const TASKS: &str = "io.modelcontextprotocol/tasks";
    let Ok(members) = client.capabilities.members() else { return Json::empty_object() };
    let extensions = members.get("extensions").and_then(|extensions| extensions.members().ok());
    let extensions = extensions.map(|extensions| extensions.edit(&[(TASKS, None)])).filter(|extensions| extensions.as_bytes() != b"{}");
    // That the client tells when its roots change is not passed on, so it is not promised.
    let roots = members.get("roots").map(|_| Json::empty_object());
    Json::object()
        .with_some("elicitation", members.get("elicitation").as_ref())
        .with_some("sampling", members.get("sampling").as_ref())
        .with_some("roots", roots.as_ref())
        .with_some("extensions", extensions.as_ref())
        .finish()
}
