//! Resources of a server whose changes somebody wants to hear of. The server is told once for all who do, and told again
//! when it has been away.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, watch};
use toolcrib_contract::{BoxFuture, CallError, Json, Watch};
use toolcrib_wire::{
    Era, Notification,
    client::{Audience, Connection, Outgoing},
    method,
};

/// How long a server may take over a subscription.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait before a stream that broke off is opened again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How long to wait before what a server refused is asked for again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// What is watched at one server.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    /// How many want to hear of each resource.
    wanted: Mutex<BTreeMap<String, usize>>,
    /// Told when that changes.
    changed: Notify,
    /// What the server has agreed to or refused on the connection of the moment; `None` while there is no connection.
    settled: watch::Sender<Option<Settled>>,
}

type Settled = BTreeMap<String, Result<(), String>>;

/// One who wants to hear of a resource.
struct Wanted {
    watches: Arc<Watches>,
    uri: String,
}

impl Watches {
    /// Watches a resource for as long as what this gives is held. A server that is away, or slow to answer, is told as
    /// soon as that is possible; only one that refuses is an error.
    pub(crate) async fn watch(self: &Arc<Self>, uri: &str) -> Result<Watch, CallError> {
        *self.lock().entry(uri.to_owned()).or_default() += 1;
        let wanted = Wanted { watches: Arc::clone(self), uri: uri.to_owned() };
        // An earlier refusal was for somebody else, and may no longer hold.
        self.settled.send_if_modified(|settled| {
            settled.as_mut().is_some_and(|settled| settled.get(uri).is_some_and(Result::is_err) && settled.remove(uri).is_some())
        });
        self.changed.notify_one();
        let mut settled = self.settled.subscribe();
        let is_settled = |settled: &Option<Settled>| settled.as_ref().is_none_or(|settled| settled.contains_key(uri));
        let answer = tokio::time::timeout(PATIENCE, settled.wait_for(is_settled)).await;
        let answer = answer.ok().and_then(|settled| settled.ok()?.as_ref()?.get(uri).cloned());
        match answer {
            Some(Err(reason)) => Err(CallError::failed(format_args!("no changes are announced of {uri}: {reason}"))),
            Some(Ok(())) | None => Ok(Watch::holding(wanted)),
        }
    }

    /// Whether anybody wants to hear of this resource.
    pub(crate) fn has(&self, uri: &str) -> bool {
        self.lock().contains_key(uri)
    }

    /// Whether anybody wants to hear of anything.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Waits until somebody wants to hear of something, while there is no connection that could be told.
    pub(crate) async fn until_wanted(&self) {
        while !self.is_wanted() {
            self.changed.notified().await;
        }
    }

    /// What is watched now.
    pub(crate) fn uris(&self) -> BTreeSet<String> {
        self.lock().keys().cloned().collect()
    }

    /// The server has forgotten what it was told.
    pub(crate) fn forget(&self) {
        self.settled.send_if_modified(|settled| settled.as_mut().map(BTreeMap::clear).is_some());
        self.changed.notify_one();
    }

    /// Keeps the server told of what is watched, for as long as this is polled. Where changes may have been missed,
    /// `suspect` is called.
    pub(crate) async fn keep(&self, connection: &Connection, suspect: impl Fn()) -> Infallible {
        self.settled.send_replace(Some(Settled::new()));
        let _away = Away(self);
        if !can_be_watched(connection) {
            return self.refuse_all().await;
        }
        match connection.greeting().revision.era() {
            Era::Legacy => self.keep_subscribed(connection).await,
            Era::Modern => self.keep_listening(connection, suspect).await,
        }
    }

    async fn refuse_all(&self) -> Infallible {
        loop {
            let refused = || Err("its server does not tell of changes".to_owned());
            self.settle(self.uris().into_iter().map(|uri| (uri, refused())).collect());
            self.changed.notified().await;
        }
    }

    /// A server of the old era is told of each resource by itself.
    async fn keep_subscribed(&self, connection: &Connection) -> Infallible {
        let request = async |method: &str, uri: &str| {
            let params = Json::object().with_str("uri", uri).finish().members().expect("an object was written");
            let outgoing = Outgoing { params: Some(params), ..Outgoing::default() };
            match tokio::time::timeout(PATIENCE, connection.request(method, outgoing)).await {
                Ok(answer) => answer.map(|_| ()).map_err(|error| error.to_string()),
                Err(_) => Err("the server does not answer".to_owned()),
            }
        };
        loop {
            let (wanted, told) = (self.uris(), self.told());
            for uri in wanted.iter().filter(|uri| !matches!(told.get(*uri), Some(Ok(())))) {
                let answer = request(method::SUBSCRIBE, uri).await;
                self.note(uri, Some(answer));
            }
            for (uri, answer) in told.iter().filter(|(uri, _)| !wanted.contains(*uri)) {
                if answer.is_ok()
                    && let Err(error) = request(method::UNSUBSCRIBE, uri).await
                {
                    tracing::debug!(error, "a subscription stays with the server; nobody hears of it");
                }
                self.note(uri, None);
            }
            self.changed_or_retried(self.told().values().any(Result::is_err)).await;
        }
    }

    /// A server of the new era has one stream for all; a new one takes over before the old one ends.
    async fn keep_listening(&self, connection: &Connection, suspect: impl Fn()) -> Infallible {
        let mut listening: Option<Stream<'_>> = None;
        let mut told = BTreeSet::new();
        loop {
            let wanted = self.uris();
            let is_in_full = listening.is_some() || wanted.is_empty();
            if wanted != told || !is_in_full {
                let next = Stream::open(connection, &wanted).await;
                let agreed = next.as_ref().map(|stream| stream.acknowledged.uris()).unwrap_or_default();
                let refused = || Err("its server does not tell of changes of it".to_owned());
                let answers = wanted.iter().map(|uri| (uri.clone(), if agreed.contains(uri) { Ok(()) } else { refused() }));
                self.settle(answers.collect());
                (listening, told) = (next, wanted);
            }
            let is_broken = listening.is_none() && !told.is_empty();
            tokio::select! {
                () = self.changed_or_retried(is_broken) => {}
                () = ended(&mut listening) => {
                    listening = None;
                    tokio::time::sleep(AGAIN_AFTER).await;
                    suspect();
                }
            }
        }
    }

    async fn changed_or_retried(&self, is_retried: bool) {
        tokio::select! {
            () = self.changed.notified() => {}
            () = tokio::time::sleep(RETRY_AFTER), if is_retried => {}
        }
    }

    fn told(&self) -> Settled {
        self.settled.borrow().clone().unwrap_or_default()
    }

    fn settle(&self, answers: Settled) {
        self.settled.send_replace(Some(answers));
    }

    fn note(&self, uri: &str, answer: Option<Result<(), String>>) {
        self.settled.send_modify(|settled| {
            let settled = settled.get_or_insert_default();
            match answer {
                Some(answer) => drop(settled.insert(uri.to_owned(), answer)),
                None => drop(settled.remove(uri)),
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let mut wanted = self.watches.lock();
        if let Some(count) = wanted.get_mut(&self.uri) {
            *count -= 1;
            if *count == 0 {
                wanted.remove(&self.uri);
            }
        }
        drop(wanted);
        self.watches.changed.notify_one();
    }
}

/// Hears which resources a server of the new era has agreed to tell of.
#[derive(Debug, Default)]
struct Acknowledged {
    heard: Notify,
    accepted: Mutex<BTreeSet<String>>,
}

impl Acknowledged {
    fn uris(&self) -> BTreeSet<String> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Audience for Acknowledged {
    fn hear(&self, notification: Notification) {
        let accepted = || {
            let params = notification.params.as_ref()?.members().ok()?;
            params.get("notifications")?.members().ok()?.get("resourceSubscriptions")?.read::<BTreeSet<String>>().ok()
        };
        if notification.method.as_ref() == method::ACKNOWLEDGED {
            *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = accepted().unwrap_or_default();
            self.heard.notify_one();
        }
    }
}

/// A stream on which a server of the new era tells of changes. Dropping it closes it.
struct Stream<'a> {
    acknowledged: Arc<Acknowledged>,
    listening: BoxFuture<'a, ()>,
}

impl<'a> Stream<'a> {
    /// Opens a stream and waits until the server has said of what it will tell. `None` where it ends before that, or
    /// nothing is to be told.
    async fn open(connection: &'a Connection, uris: &BTreeSet<String>) -> Option<Self> {
        if uris.is_empty() {
            return None;
        }
        let acknowledged = Arc::new(Acknowledged::default());
        let mut stream = Self { listening: Box::pin(listen(connection, uris.clone(), Arc::clone(&acknowledged))), acknowledged };
        let is_open = tokio::select! {
            biased;
            () = stream.acknowledged.heard.notified() => true,
            () = stream.listening.as_mut() => false,
            () = tokio::time::sleep(PATIENCE) => false,
        };
        is_open.then_some(stream)
    }
}

/// Completes when the stream ends, if there is one.
async fn ended(stream: &mut Option<Stream<'_>>) {
    match stream {
        Some(stream) => stream.listening.as_mut().await,
        None => std::future::pending().await,
    }
}

/// Listens until the server ends that.
async fn listen(connection: &Connection, uris: BTreeSet<String>, audience: Arc<Acknowledged>) {
    let uris = Json::array(uris.iter().map(|uri| Json::string(uri)));
    let filter = Json::object().with("resourceSubscriptions", &uris).finish();
    let params = Json::object().with("notifications", &filter).finish().members().expect("an object was written");
    let outgoing = Outgoing { params: Some(params), audience: Some(audience), ..Outgoing::default() };
    if let Err(error) = connection.request(method::LISTEN, outgoing).await {
        tracing::debug!(%error, "the stream of resource changes broke off");
    }
}

/// Says that there is no connection any more.
struct Away<'a>(&'a Watches);

impl Drop for Away<'_> {
    fn drop(&mut self) {
        self.0.settled.send_replace(None);
        // Whoever takes our place may have missed what we were told.
        self.0.changed.notify_one();
    }
}

fn can_be_watched(connection: &Connection) -> bool {
    let resources = connection.greeting().capabilities.members().ok().and_then(|members| members.get("resources"));
    let subscribe = resources.and_then(|resources| resources.members().ok()?.get("subscribe"));
    subscribe.is_some_and(|flag| flag.as_bytes() == b"true")
}
