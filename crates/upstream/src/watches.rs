//! Resources of a server whose changes somebody wants to hear of. The server is told once for all who do, and told again
//! when it has been away.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, watch};
use toolcrib_contract::{CallError, Json, Watch};
use toolcrib_wire::{
    Era, Notification,
    client::{Audience, Connection, Outgoing},
    method,
};

/// How long a server may take over a subscription.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait before a stream that broke off is opened again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What is watched at one server.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    /// How many want to hear of each resource.
    wanted: Mutex<BTreeMap<String, usize>>,
    /// Told when that changes.
    changed: Notify,
    /// What the server has agreed to or refused, on the connection of the moment.
    settled: watch::Sender<HashMap<String, Result<(), String>>>,
}

/// One who wants to hear of a resource.
struct Wanted {
    watches: Arc<Watches>,
    uri: String,
}

impl Watches {
    /// Watches a resource for as long as what this gives is held.
    pub(crate) async fn watch(self: &Arc<Self>, uri: &str) -> Result<Watch, CallError> {
        *self.lock().entry(uri.to_owned()).or_default() += 1;
        let wanted = Wanted { watches: Arc::clone(self), uri: uri.to_owned() };
        self.changed.notify_one();
        let mut settled = self.settled.subscribe();
        let answer = tokio::time::timeout(PATIENCE, settled.wait_for(|settled| settled.contains_key(uri))).await;
        match answer.map(|settled| settled.ok().and_then(|settled| settled.get(uri).cloned())) {
            Ok(Some(Ok(()))) => Ok(Watch::holding(wanted)),
            Ok(Some(Err(reason))) => Err(CallError::failed(format_args!("no changes are announced of {uri}: {reason}"))),
            Ok(None) | Err(_) => Err(CallError::failed(format_args!("no changes are announced of {uri}: the server does not answer"))),
        }
    }

    /// Whether anybody wants to hear of this resource.
    pub(crate) fn has(&self, uri: &str) -> bool {
        self.lock().contains_key(uri)
    }

    /// What is watched now.
    pub(crate) fn uris(&self) -> BTreeSet<String> {
        self.lock().keys().cloned().collect()
    }

    /// The server has forgotten what it was told.
    pub(crate) fn forget(&self) {
        self.settled.send_replace(HashMap::new());
        self.changed.notify_one();
    }

    /// Keeps the server told of what is watched, for as long as this is polled.
    pub(crate) async fn keep(&self, connection: &Connection) -> Infallible {
        self.forget();
        if !can_be_watched(connection) {
            return self.refuse_all().await;
        }
        match connection.greeting().revision.era() {
            Era::Legacy => self.keep_subscribed(connection).await,
            Era::Modern => self.keep_listening(connection).await,
        }
    }

    async fn refuse_all(&self) -> Infallible {
        loop {
            let refused = Err("its server does not tell of changes".to_owned());
            self.settled.send_modify(|settled| settled.extend(self.uris().into_iter().map(|uri| (uri, refused.clone()))));
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
            let (wanted, told) = (self.uris(), self.settled.borrow().clone());
            for uri in wanted.iter().filter(|uri| !told.contains_key(*uri)) {
                let answer = request(method::SUBSCRIBE, uri).await;
                self.settled.send_modify(|settled| drop(settled.insert(uri.clone(), answer)));
            }
            for (uri, answer) in told.iter().filter(|(uri, _)| !wanted.contains(*uri)) {
                if answer.is_ok()
                    && let Err(error) = request(method::UNSUBSCRIBE, uri).await
                {
                    tracing::debug!(error, "a subscription stays with the server; nobody hears of it");
                }
                self.settled.send_modify(|settled| drop(settled.remove(uri)));
            }
            self.changed.notified().await;
        }
    }

    /// A server of the new era has one stream for all; a new one takes over before the old one ends.
    async fn keep_listening(&self, connection: &Connection) -> Infallible {
        let mut listening: Option<std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>>> = None;
        let mut told = BTreeSet::new();
        loop {
            let wanted = self.uris();
            if wanted != told {
                let acknowledged = Arc::new(Acknowledged::default());
                let mut next = (!wanted.is_empty()).then(|| Box::pin(listen(connection, wanted.clone(), Arc::clone(&acknowledged))) as _);
                if let Some(next) = &mut next {
                    tokio::select! {
                        () = acknowledged.heard.notified() => {}
                        () = &mut *next => {}
                        () = tokio::time::sleep(PATIENCE) => {}
                    }
                }
                let agreed = acknowledged.uris();
                let refused = || Err("its server does not tell of changes of it".to_owned());
                let answers = wanted.iter().map(|uri| (uri.clone(), if agreed.contains(uri) { Ok(()) } else { refused() }));
                self.settled.send_replace(answers.collect());
                (listening, told) = (next, wanted);
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = async { match &mut listening { Some(stream) => stream.await, None => std::future::pending().await } } => {
                    listening = None;
                    told.clear();
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
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

fn can_be_watched(connection: &Connection) -> bool {
    let resources = connection.greeting().capabilities.members().ok().and_then(|members| members.get("resources"));
    let subscribe = resources.and_then(|resources| resources.members().ok()?.get("subscribe"));
    subscribe.is_some_and(|flag| flag.as_bytes() == b"true")
}
