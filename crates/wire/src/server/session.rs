//! Legacy sessions: opened by `initialize`, bound to their caller, bounded in number, and forgotten when idle.

use super::{
    Limits,
    channel::Asks,
    stream::{EventStream, MAX_KEPT_STREAMS},
};
use crate::{
    message::{ErrorObject, Id, Message, Notification, Response},
    revision::Revision,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use std::{
    any::Any,
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use toolcrib_json::{Json, Members};

/// What one session may be subscribed to.
const MAX_SUBSCRIPTIONS: usize = 1_000;
/// The largest capabilities that a client may declare; they are kept with the session.
const MAX_CAPABILITIES_BYTES: usize = 16 * 1024;

/// What one legacy client and we agreed on, and what it left with us.
#[derive(Debug)]
pub struct Session {
    id: Box<str>,
    principal: Box<str>,
    revision: Revision,
    capabilities: Json,
    started: Instant,
    /// Milliseconds after `started`.
    last_used_ms: AtomicU64,
    busy: AtomicUsize,
    pub(super) asks: Arc<Asks>,
    in_flight: Mutex<HashMap<Id, Arc<Notify>>>,
    /// What the session is subscribed to, with what is held as long as that lasts.
    subscriptions: Mutex<HashMap<String, Held>>,
    attached: OnceLock<Held>,
    log_level: Mutex<Option<String>>,
    outlet: Outlet,
    streams: Mutex<VecDeque<Arc<EventStream>>>,
    next_stream: AtomicU64,
}

/// What a session is, for another process to go on with it. Its streams and its requests in flight are not among it.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionState {
    /// At which endpoint it was opened.
    pub endpoint: Box<str>,
    /// Who opened it.
    pub principal: Box<str>,
    /// The revision that was negotiated.
    pub revision: Revision,
    /// The capabilities that the client declared.
    pub capabilities: Json,
    /// The least level of log messages that the client wants, if it said so.
    pub log_level: Option<String>,
    /// What it is subscribed to.
    pub subscriptions: Vec<String>,
    /// What the service has to know.
    pub of_service: Json,
}

impl SessionState {
    /// The state as JSON.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Json::object()
            .with_str("endpoint", &self.endpoint)
            .with_str("principal", &self.principal)
            .with_str("revision", self.revision.date())
            .with("capabilities", &self.capabilities)
            .with_some("logLevel", self.log_level.as_deref().map(Json::string).as_ref())
            .with("subscriptions", &Json::array(self.subscriptions.iter().map(|uri| Json::string(uri))))
            .with("service", &self.of_service)
            .finish()
    }

    /// The state that was written so, if it was.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let members = Json::parse(text.to_owned()).ok()?.members().ok()?;
        Some(Self {
            endpoint: members.string("endpoint")?.into(),
            principal: members.string("principal")?.into(),
            revision: Revision::from_date(&members.string("revision")?)?,
            capabilities: members.get("capabilities")?.unshared(),
            log_level: members.string("logLevel"),
            subscriptions: members.get("subscriptions")?.read().ok()?,
            of_service: members.get("service")?.unshared(),
        })
    }
}

/// Something of the service's own that is kept with a session.
pub type Held = Box<dyn Any + Send + Sync>;

/// Where messages go that belong to no request.
#[derive(Debug)]
enum Outlet {
    /// The stream that the client opens with GET.
    Stream(Arc<EventStream>),
    /// The pipe.
    Pipe(mpsc::Sender<Json>),
}

impl Session {
    fn new(id: Box<str>, principal: &str, revision: Revision, capabilities: Json, outlet: Outlet) -> Self {
        Self {
            id,
            principal: principal.into(),
            revision,
            capabilities,
            started: Instant::now(),
            last_used_ms: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            asks: Arc::default(),
            in_flight: Mutex::default(),
            subscriptions: Mutex::default(),
            attached: OnceLock::new(),
            log_level: Mutex::default(),
            outlet,
            streams: Mutex::default(),
            next_stream: AtomicU64::new(1),
        }
    }

    pub(super) fn on_pipe(principal: &str, revision: Revision, capabilities: Json, pipe: mpsc::Sender<Json>) -> Arc<Self> {
        Arc::new(Self::new("stdio".into(), principal, revision, capabilities, Outlet::Pipe(pipe)))
    }

    /// The id, random for HTTP. It names the session and proves nothing.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The revision that was negotiated.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The capabilities that the client declared in `initialize`: an object.
    #[must_use]
    pub fn capabilities(&self) -> &Json {
        &self.capabilities
    }

    /// What has to be known of the session where it goes on in another process.
    pub(super) fn state(&self, endpoint: &str, of_service: Json) -> SessionState {
        SessionState {
            endpoint: endpoint.into(),
            principal: self.principal.clone(),
            revision: self.revision,
            capabilities: self.capabilities.clone(),
            log_level: self.log_level(),
            subscriptions: self.subscriptions(),
            of_service,
        }
    }

    /// Keeps something with the session, once.
    pub fn attach<T: Any + Send + Sync>(&self, what: T) {
        // Whatever came first stays.
        let _ = self.attached.set(Box::new(what));
    }

    /// What was attached, if it is of this type.
    #[must_use]
    pub fn attached<T: Any>(&self) -> Option<&T> {
        self.attached.get()?.downcast_ref()
    }

    /// Subscribes to a resource, and holds something as long as that lasts. Returns false when the session has too many
    /// subscriptions already.
    pub fn subscribe(&self, uri: String, held: Held) -> bool {
        let mut subscriptions = self.subscribed();
        let has_room = subscriptions.len() < MAX_SUBSCRIPTIONS || subscriptions.contains_key(&uri);
        if has_room {
            subscriptions.insert(uri, held);
        }
        has_room
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, uri: &str) {
        self.subscribed().remove(uri);
    }

    /// Whether the session is subscribed to a resource.
    #[must_use]
    pub fn is_subscribed(&self, uri: &str) -> bool {
        self.subscribed().contains_key(uri)
    }

    /// What the session is subscribed to.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<String> {
        self.subscribed().keys().cloned().collect()
    }

    fn subscribed(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The least level of log messages that the client wants, once it said so.
    #[must_use]
    pub fn log_level(&self) -> Option<String> {
        self.log_level.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the least level of log messages.
    pub fn set_log_level(&self, level: &str) {
        *self.log_level.lock().unwrap_or_else(PoisonError::into_inner) = Some(level.to_owned());
    }

    /// Tells the client something that belongs to none of its requests. Dropped if the client does not read.
    pub fn notify(&self, method: &str, params: Option<Json>) {
        let message = Message::Notification(Notification { method: method.into(), params }).to_json();
        match &self.outlet {
            Outlet::Stream(stream) => stream.push(message),
            Outlet::Pipe(pipe) => {
                // A full pipe belongs to a client that does not read; what it misses here it may list again.
                let _ = pipe.try_send(message);
            }
        }
    }

    /// Hands over the client's answer to one of our questions.
    pub(super) fn answer(&self, response: Response) {
        self.asks.answer(response);
    }

    /// Registers a request, so that it can be cancelled. `None` if one with this id is still being answered.
    pub(super) fn begin(self: &Arc<Self>, id: &Id) -> Option<InFlight> {
        let cancelled = Arc::new(Notify::new());
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if in_flight.contains_key(id) {
            return None;
        }
        in_flight.insert(id.clone(), Arc::clone(&cancelled));
        Some(InFlight { session: Arc::clone(self), id: id.clone(), cancelled, _busy: self.occupy() })
    }

    /// Cancels a request of this session. One that is not (or no longer) being answered is ignored.
    pub(super) fn cancel(&self, id: &Id) {
        if let Some(cancelled) = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            cancelled.notify_one();
        }
    }

    /// Keeps the session alive while the guard lives.
    pub(super) fn occupy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    pub(super) fn standalone(&self) -> Option<&Arc<EventStream>> {
        match &self.outlet {
            Outlet::Stream(stream) => Some(stream),
            Outlet::Pipe(_) => None,
        }
    }

    /// Opens a stream for one answer, and forgets the oldest finished one when too many are kept.
    pub(super) fn open_stream(&self) -> Arc<EventStream> {
        let stream = Arc::new(EventStream::new(self.next_stream.fetch_add(1, Ordering::Relaxed)));
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.len() >= MAX_KEPT_STREAMS
            && let Some(oldest) = streams.iter().position(|stream| stream.is_finished())
        {
            streams.remove(oldest);
        }
        streams.push_back(Arc::clone(&stream));
        stream
    }

    pub(super) fn find_stream(&self, number: u64) -> Option<Arc<EventStream>> {
        let standalone = self.standalone().filter(|stream| stream.number() == number);
        let kept = || self.streams.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|stream| stream.number() == number).cloned();
        standalone.cloned().or_else(kept)
    }

    fn touch(&self) {
        let elapsed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_used_ms.store(elapsed_ms, Ordering::Relaxed);
    }

    fn silent_for(&self) -> Duration {
        let last_used = self.started + Duration::from_millis(self.last_used_ms.load(Ordering::Relaxed));
        last_used.elapsed()
    }

    fn may_be_silent_for(&self, limits: &Limits) -> Duration {
        let silent = if self.busy.load(Ordering::Relaxed) > 0 { Duration::ZERO } else { self.silent_for() };
        limits.session_idle.saturating_sub(silent)
    }

    fn is_idle(&self, limits: &Limits) -> bool {
        self.busy.load(Ordering::Relaxed) == 0 && self.silent_for() > limits.session_idle
    }
}

/// Keeps a session from being forgotten as idle.
#[derive(Debug)]
pub(super) struct Busy(Arc<Session>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.touch();
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request of a session that is being answered.
#[derive(Debug)]
pub(super) struct InFlight {
    session: Arc<Session>,
    id: Id,
    pub(super) cancelled: Arc<Notify>,
    _busy: Busy,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.session.in_flight.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// All sessions of one HTTP door.
#[derive(Debug)]
pub struct Sessions {
    limits: Limits,
    by_id: RwLock<HashMap<Box<str>, Arc<Session>>>,
}

/// There is no room for another session.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("too many sessions: {limit} are open")]
pub(super) struct TooManySessions {
    limit: usize,
}

/// The session that is missed least. Most clients leave without a word: who has been silent longest is most likely gone. But
/// nobody loses a session to somebody who opens more and more of them.
fn dispensable(sessions: &HashMap<Box<str>, Arc<Session>>) -> Option<Box<str>> {
    let unused = || sessions.values().filter(|session| session.busy.load(Ordering::Relaxed) == 0);
    let mut held: HashMap<&str, usize> = HashMap::new();
    unused().for_each(|session| *held.entry(&session.principal).or_default() += 1);
    let longest = unused().max_by_key(|session| (held[&*session.principal], session.silent_for()));
    longest.map(|session| session.id.clone())
}

impl Sessions {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, by_id: RwLock::default() }
    }

    /// Opens a session. When all places are taken, the caller with the most sessions gives up the one that has been silent
    /// longest; a busy one never makes room.
    pub(super) fn open(
        &self,
        id: Box<str>,
        principal: &str,
        revision: Revision,
        capabilities: Json,
    ) -> Result<Arc<Session>, TooManySessions> {
        self.take_in(Session::new(id, principal, revision, capabilities, Outlet::Stream(Arc::new(EventStream::new(0)))))
    }

    /// Goes on with a session that another process had.
    pub(super) fn restore(&self, id: &str, state: &SessionState) -> Result<Arc<Session>, TooManySessions> {
        // Numbers that the other process has hardly used: what it called so is none of ours.
        let first = random_number();
        let outlet = Outlet::Stream(Arc::new(EventStream::beginning(0, first)));
        let session = Session::new(id.into(), &state.principal, state.revision, state.capabilities.clone(), outlet);
        session.next_stream.store(first, Ordering::Relaxed);
        state.log_level.iter().for_each(|level| session.set_log_level(level));
        self.take_in(session)
    }

    fn take_in(&self, session: Session) -> Result<Arc<Session>, TooManySessions> {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = by_id.get(&session.id) {
            // Two requests of one session came at once.
            return Ok(Arc::clone(known));
        }
        if by_id.len() >= self.limits.max_sessions {
            by_id.retain(|_, session| !session.is_idle(&self.limits));
        }
        if by_id.len() >= self.limits.max_sessions {
            let dispensable = dispensable(&by_id).ok_or(TooManySessions { limit: self.limits.max_sessions })?;
            by_id.remove(&dispensable);
        }
        let session = Arc::new(session);
        by_id.insert(session.id.clone(), Arc::clone(&session));
        Ok(session)
    }

    /// Finds a session of this caller and notes that it is in use. Another caller's session is not found.
    pub(super) fn find(&self, id: &str, principal: &str) -> Option<Arc<Session>> {
        let session = self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()?;
        if *session.principal != *principal || session.is_idle(&self.limits) {
            return None;
        }
        session.touch();
        Some(session)
    }

    /// Ends a session: its streams close, its requests are cancelled.
    pub(super) fn close(&self, id: &str) {
        let removed = self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(session) = removed {
            end(&session);
        }
    }

    /// Visits every session.
    pub fn for_each(&self, visit: impl FnMut(&Arc<Session>)) {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).values().for_each(visit);
    }

    /// Forgets the sessions that have been idle too long. To be called now and then.
    pub fn forget_idle(&self) {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        by_id.retain(|_, session| !session.is_idle(&self.limits));
    }

    /// Lets go of a session that somebody else has by now. What is in flight goes on.
    pub(super) fn let_go(&self, id: &str) {
        let gone = self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        gone.iter().filter_map(|session| session.standalone()).for_each(|stream| stream.finish());
    }

    /// The session of this name, whoever has it, in use or not.
    pub(super) fn known(&self, id: &str) -> Option<Arc<Session>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// The sessions that are not over, each with how much longer it may be silent.
    pub(super) fn lasting(&self) -> Vec<(Box<str>, Duration)> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        let lasting = by_id.values().filter(|session| !session.is_idle(&self.limits));
        lasting.map(|session| (session.id.clone(), session.may_be_silent_for(&self.limits))).collect()
    }

    /// Ends the streams of all sessions, so that a door can shut.
    pub fn close_streams(&self) {
        self.for_each(|session| {
            if let Some(stream) = session.standalone() {
                stream.finish();
            }
        });
    }
}

fn end(session: &Session) {
    session.subscribed().clear();
    if let Some(stream) = session.standalone() {
        stream.finish();
    }
    let in_flight = session.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
    in_flight.values().for_each(|cancelled| cancelled.notify_one());
}

pub(super) fn random_id() -> Box<str> {
    let mut bytes = [0_u8; 24];
    getrandom::fill(&mut bytes).expect("the operating system provides random numbers");
    BASE64_URL_SAFE_NO_PAD.encode(bytes).into()
}

/// Somewhere between two and four thousand million, so that it stays a number for every client.
fn random_number() -> u64 {
    let mut bytes = [0_u8; 4];
    getrandom::fill(&mut bytes).expect("the operating system provides random numbers");
    u64::from(u32::from_ne_bytes(bytes) | 1 << 31)
}

/// Reads what `initialize` asks for: the revision that answers it, and the client's capabilities.
pub(super) fn negotiate(params: Option<&Members>) -> Result<(Revision, Json), ErrorObject> {
    let asked = params.and_then(|params| params.string("protocolVersion"));
    let asked = asked.ok_or_else(|| ErrorObject::invalid_params("initialize needs params.protocolVersion, a string"))?;
    let capabilities = params.and_then(|params| params.get("capabilities")).unwrap_or_else(Json::empty_object);
    if !capabilities.is_object() || capabilities.size_bytes() > MAX_CAPABILITIES_BYTES {
        return Err(ErrorObject::invalid_params(format!(
            "params.capabilities must be an object of at most {MAX_CAPABILITIES_BYTES} bytes"
        )));
    }
    Ok((Revision::negotiate(&asked), capabilities.unshared()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_all_places_are_taken_the_longest_silent_session_makes_room_and_a_busy_one_never_does() {
        let sessions = Sessions::new(Limits { max_sessions: 2, ..Limits::default() });
        let open = || sessions.open(random_id(), "anna", Revision::V2025_11_25, Json::empty_object());
        let (first, second) = (open().unwrap(), open().unwrap());
        let busy = first.occupy();
        let third = open().unwrap();
        assert!(sessions.find(first.id(), "anna").is_some() && sessions.find(third.id(), "anna").is_some());
        assert!(sessions.find(second.id(), "anna").is_none());
        let also_busy = third.occupy();
        assert_eq!(open().unwrap_err().to_string(), "too many sessions: 2 are open");
        drop((busy, also_busy));
        assert!(open().is_ok());
    }

    #[test]
    fn nobody_loses_a_session_to_somebody_who_opens_more_and_more() {
        let sessions = Sessions::new(Limits { max_sessions: 4, ..Limits::default() });
        let open = |principal: &str| sessions.open(random_id(), principal, Revision::V2025_11_25, Json::empty_object()).unwrap();
        let quiet = open("anna");
        (0..20).for_each(|_| drop(open("greedy")));
        assert!(sessions.find(quiet.id(), "anna").is_some());
    }

    #[test]
    fn a_session_is_found_only_by_the_caller_who_opened_it() {
        let sessions = Sessions::new(Limits::default());
        let session = sessions.open(random_id(), "anna", Revision::V2025_11_25, Json::empty_object()).unwrap();
        assert!(sessions.find(session.id(), "anna").is_some());
        assert!(sessions.find(session.id(), "bert").is_none());
        sessions.close(session.id());
        assert!(sessions.find(session.id(), "anna").is_none());
    }

    #[test]
    fn subscriptions_are_bounded() {
        let sessions = Sessions::new(Limits::default());
        let session = sessions.open(random_id(), "anna", Revision::V2025_11_25, Json::empty_object()).unwrap();
        assert!((0..MAX_SUBSCRIPTIONS).all(|number| session.subscribe(format!("x://{number}"), Box::new(()))));
        assert!(!session.subscribe("x://another".into(), Box::new(())));
        assert!(session.subscribe("x://0".into(), Box::new(())), "what is subscribed already is no more");
        session.unsubscribe("x://0");
        assert!(session.subscribe("x://another".into(), Box::new(())));
    }
}
