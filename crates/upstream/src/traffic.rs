//! The calls under way on one connection, and to which of them belongs what the server says without naming one.
//!
//! Over a pipe a server of the old era asks and logs without saying which call that is about. On a connection that ever
//! served one session only, it is about a call of that. Otherwise it is about the only call under way, if all before it
//! were answered. Where neither is so it cannot be told, and nobody hears of it: a question must never reach the wrong
//! person.

use crate::naming::fnv1a;
use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::Notify,
    task::{AbortHandle, JoinSet},
};
use toolcrib_contract::{CallContext, CallError, Json, LogEntry, LogLevel, Progress, Question, Session};
use toolcrib_wire::{
    ErrorObject, Id, Notification,
    client::{Asked, Audience},
    message::code,
    method,
};

/// The most questions of one call that wait to be passed on.
const MAX_QUESTIONS: usize = 16;

/// For how long it may have been a call by which a connection ended.
const JUST_NOW: Duration = Duration::from_secs(2);

/// After what time a log message is no longer taken to be about a call that was given up.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// The calls under way on one connection.
#[derive(Debug)]
pub(crate) struct Traffic {
    state: Mutex<State>,
    /// Raised once the server has asked a question that names no call.
    asks: Arc<AtomicBool>,
    /// Told when a call ends without an answer.
    given_up: Notify,
}

#[derive(Debug)]
struct State {
    calls: Vec<Arc<Conversation>>,
    served: Served,
    /// Calls that ended without an answer: the server may still be busy with them.
    unanswered: usize,
    /// When the latest of those ended.
    left_at: Option<Instant>,
    last_used: Instant,
    /// When the server last answered a call, in time or late.
    answered_at: Option<Instant>,
}

/// Whose calls they are, as far as that can be told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// One client's, for as long as its own connection lasts.
    Session(Session),
    /// One caller's, by subject, whose clients have no connection that lasts. Where its token is passed on, each token makes
    /// another: what was opened with one that has expired is of no more use.
    Caller(Arc<str>, Option<u64>),
}

/// Whom the connection has served so far.
#[derive(Debug, PartialEq)]
enum Served {
    Nobody,
    Only(Owner),
    Many,
}

impl Served {
    fn is_only(&self, owner: &Owner) -> bool {
        match self {
            Self::Nobody => true,
            Self::Only(known) => known == owner,
            Self::Many => false,
        }
    }
}

/// A call under way. Dropped without an answer, it counts as one that the server may still be busy with.
pub(crate) struct UnderWay {
    traffic: Arc<Traffic>,
    conversation: Arc<Conversation>,
    is_answered: bool,
}

/// Why it cannot be told which call something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unclear {
    NoCall,
    SeveralCalls,
}

impl Traffic {
    pub(crate) fn new(asks: Arc<AtomicBool>) -> Arc<Self> {
        let state =
            State { calls: Vec::new(), served: Served::Nobody, unanswered: 0, left_at: None, last_used: Instant::now(), answered_at: None };
        Arc::new(Self { state: Mutex::new(state), asks, given_up: Notify::new() })
    }

    pub(crate) fn enter(self: &Arc<Self>, conversation: &Arc<Conversation>) -> UnderWay {
        self.enter_into(&mut self.lock(), conversation)
    }

    /// Enters if there is nobody else, nobody else ever was, and nothing is left of earlier calls.
    pub(crate) fn enter_alone(self: &Arc<Self>, conversation: &Arc<Conversation>) -> Option<UnderWay> {
        let mut state = self.lock();
        let is_free = state.calls.is_empty() && state.unanswered == 0 && state.served.is_only(&conversation.owner);
        is_free.then(|| self.enter_into(&mut state, conversation))
    }

    fn enter_into(self: &Arc<Self>, state: &mut State, conversation: &Arc<Conversation>) -> UnderWay {
        match &state.served {
            Served::Nobody => state.served = Served::Only(conversation.owner.clone()),
            Served::Only(known) if *known == conversation.owner => {}
            Served::Only(_) | Served::Many => state.served = Served::Many,
        }
        state.calls.push(Arc::clone(conversation));
        UnderWay { traffic: Arc::clone(self), conversation: Arc::clone(conversation), is_answered: false }
    }

    /// Whether nobody else was ever served.
    pub(crate) fn is_only_for(&self, owner: &Owner) -> bool {
        self.lock().served.is_only(owner)
    }

    /// Whether there never was a call.
    pub(crate) fn has_served_nobody(&self) -> bool {
        self.lock().served == Served::Nobody
    }

    /// Whether a call is under way, or was until just now.
    pub(crate) fn was_just_called(&self) -> bool {
        let state = self.lock();
        state.served != Served::Nobody && (!state.calls.is_empty() || state.last_used.elapsed() < JUST_NOW)
    }

    /// How long there has been no call.
    pub(crate) fn idle_for(&self) -> Option<Duration> {
        let state = self.lock();
        state.calls.is_empty().then(|| state.last_used.elapsed())
    }

    /// Completes once a call has ended without an answer.
    pub(crate) async fn until_one_is_given_up(&self) {
        self.given_up.notified().await;
    }

    /// Whether the server has answered any call since then.
    pub(crate) fn has_answered_since(&self, then: tokio::time::Instant) -> bool {
        self.lock().answered_at.is_some_and(|at| at >= then.into_std())
    }

    /// Whether a call is under way that began before then.
    pub(crate) fn has_call_from_before(&self, then: tokio::time::Instant) -> bool {
        self.lock().calls.iter().any(|call| call.began < then.into_std())
    }

    /// Whether nobody may use the connection any more: a server that asks may still be busy with a call that nobody waits
    /// for, and ask on its behalf.
    pub(crate) fn is_spent(&self) -> bool {
        self.asks.load(Ordering::Relaxed) && self.lock().unanswered > 0
    }

    /// Passes on what the server logs. What is left of a call long ago is taken to have fallen silent.
    fn log(&self, notification: Notification) {
        let is_long_ago = |state: &State| state.left_at.is_none_or(|left| left.elapsed() > FORGOTTEN);
        if let Ok(conversation) = self.meant(is_long_ago) {
            conversation.hear(notification);
        }
    }

    /// The server no longer wants to know something.
    fn withdraw(&self, notification: &Notification) {
        let Some(id) = notification.cancelled_id() else { return };
        let calls = self.lock().calls.clone();
        calls.iter().for_each(|call| call.withdraw(&id));
    }

    fn meant(&self, forgets: impl FnOnce(&State) -> bool) -> Result<Arc<Conversation>, Unclear> {
        let state = self.lock();
        match (state.calls.as_slice(), &state.served) {
            ([], _) => Err(Unclear::NoCall),
            ([oldest, ..], Served::Only(Owner::Session(_))) => Ok(Arc::clone(oldest)),
            ([only], _) if state.unanswered == 0 || forgets(&state) => Ok(Arc::clone(only)),
            _ => Err(Unclear::SeveralCalls),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears what is said on the connection about calls, without naming one.
impl Audience for Traffic {
    fn hear(&self, notification: Notification) {
        match notification.method.as_ref() {
            method::LOG => self.log(notification),
            method::CANCELLED => self.withdraw(&notification),
            _ => {}
        }
    }

    fn ask(&self, asked: Asked) {
        match self.meant(|_| false) {
            Ok(conversation) => {
                self.asks.store(true, Ordering::Relaxed);
                conversation.ask(asked);
            }
            // Outside of a call there is nobody to ask; that nobody has shown us a root is true.
            Err(Unclear::NoCall) if &*asked.method == method::LIST_ROOTS => {
                asked.answer(Ok(Json::object().with("roots", &Json::array([])).finish()));
            }
            Err(Unclear::NoCall) => asked.answer(Err(refusal("there is no call under way that this question could be about"))),
            Err(Unclear::SeveralCalls) => {
                self.asks.store(true, Ordering::Relaxed);
                asked.answer(Err(refusal(
                    "several clients share this server, so it cannot be told whom to ask; make the call again when no other is running, or set \"sharing: perSession\" for the server",
                )));
            }
        }
    }

    fn answered_late(&self) {
        let mut state = self.lock();
        state.unanswered = state.unanswered.saturating_sub(1);
        state.answered_at = Some(Instant::now());
    }
}

impl UnderWay {
    pub(crate) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.traffic.lock();
        state.calls.retain(|call| !Arc::ptr_eq(call, &self.conversation));
        state.last_used = Instant::now();
        if self.is_answered {
            state.answered_at = Some(state.last_used);
        } else {
            state.unanswered += 1;
            state.left_at = Some(state.last_used);
            self.traffic.given_up.notify_one();
        }
    }
}

/// One call as the server sees it: what it says about the call goes to the client, and so does what it asks.
pub(crate) struct Conversation {
    cx: CallContext,
    owner: Owner,
    began: Instant,
    asked: Mutex<Vec<Asked>>,
    arrived: Notify,
    /// Questions that the client is being asked.
    passing: Mutex<Vec<(Id, AbortHandle)>>,
    /// What the server asked for that the client cannot do.
    lacked: OnceLock<&'static str>,
}

impl Conversation {
    pub(crate) fn about(cx: CallContext, session: Option<Session>) -> Arc<Self> {
        let token = cx.token().map(|token| fnv1a(token.as_bytes()));
        let owner = session.map_or_else(|| Owner::Caller(Arc::clone(cx.caller().principal()), token), Owner::Session);
        Arc::new(Self {
            cx,
            owner,
            began: Instant::now(),
            asked: Mutex::default(),
            arrived: Notify::new(),
            passing: Mutex::default(),
            lacked: OnceLock::new(),
        })
    }

    pub(crate) fn context(&self) -> &CallContext {
        &self.cx
    }

    /// Whose call it is.
    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    fn withdraw(&self, id: &Id) {
        self.lock().retain(|asked| asked.id != *id);
        let passing = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        passing.iter().filter(|(other, _)| other == id).for_each(|(_, task)| task.abort());
    }

    /// What the server asked for that the client cannot do, if that is so.
    pub(crate) fn lacked(&self) -> Option<&'static str> {
        self.lacked.get().copied()
    }

    /// Passes on questions and answers for as long as this is polled.
    pub(crate) async fn converse(self: &Arc<Self>) -> Infallible {
        let mut passing = JoinSet::new();
        loop {
            self.arrived.notified().await;
            while passing.try_join_next().is_some() {}
            for asked in std::mem::take(&mut *self.lock()) {
                if passing.len() >= MAX_QUESTIONS {
                    asked.answer(Err(refusal(TOO_MANY)));
                    continue;
                }
                let (this, id) = (Arc::clone(self), asked.id.clone());
                let task = passing.spawn(async move {
                    let answer = this.answer_to(&asked.method.clone(), asked.params.clone()).await;
                    asked.answer(answer);
                });
                let mut known = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
                known.retain(|(_, task)| !task.is_finished());
                known.push((id, task));
            }
        }
    }

    /// Asks the client. What it cannot be asked, or refuses, the server is told; it may know another way.
    async fn answer_to(&self, method: &str, params: Option<Json>) -> Result<Json, ErrorObject> {
        let question = question(method, params).ok_or_else(|| ErrorObject::method_not_found(method))?;
        self.cx.back().relay(question).await.map_err(|error| match error {
            CallError::Refused { code, message, data } => ErrorObject { code, message, data, missing_scope: None },
            CallError::CannotAsk { capability } => {
                self.lacked.get_or_init(|| capability);
                ErrorObject::new(code::METHOD_NOT_FOUND, error.to_string())
            }
            other => refusal(&other.to_string()),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Audience for Conversation {
    fn hear(&self, notification: Notification) {
        let Some(params) = notification.params.and_then(|params| params.members().ok()) else { return };
        match notification.method.as_ref() {
            method::PROGRESS => {
                let number = |key: &str| params.get(key).and_then(|json| json.read::<f64>().ok());
                if let Some(done) = number("progress") {
                    let (total, message) = (number("total"), params.string("message"));
                    self.cx.back().progress(Progress { done, total, message, foreign: Some(params) });
                }
            }
            method::LOG => {
                let level = params.string("level").and_then(|name| LogLevel::from_name(&name)).unwrap_or(LogLevel::Info);
                let (logger, data) = (params.string("logger"), params.get("data").unwrap_or_else(|| Json::string("")));
                self.cx.back().log(LogEntry { level, logger, data, foreign: Some(params) });
            }
            _ => {}
        }
    }

    fn ask(&self, asked: Asked) {
        let mut waiting = self.lock();
        if waiting.len() < MAX_QUESTIONS {
            waiting.push(asked.ending_with_its_call());
            drop(waiting);
            self.arrived.notify_one();
        } else {
            asked.answer(Err(refusal(TOO_MANY)));
        }
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").field("cx", &self.cx).finish_non_exhaustive()
    }
}

/// What a request of a server asks, if it asks something that clients answer.
pub(crate) fn question(method: &str, params: Option<Json>) -> Option<Question> {
    match method {
        method::ELICIT => Some(Question::Elicit(params.unwrap_or_else(Json::empty_object))),
        method::SAMPLE => Some(Question::Sample(params.unwrap_or_else(Json::empty_object))),
        method::LIST_ROOTS => Some(Question::Roots(params)),
        _ => None,
    }
}

const TOO_MANY: &str = "too many questions at once";

fn refusal(message: &str) -> ErrorObject {
    ErrorObject::new(code::INTERNAL_ERROR, message)
}
