//! What a tool may know and say while it runs.

use crate::{
    call::{Call, CallerId},
    error::CallError,
    output::Output,
    tool::BoxFuture,
    trace::Trace,
    typed::form_of,
};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use toolcrib_json::{Json, Members};

/// What a tool may know of the call that it answers, and the way back to the client.
#[derive(Debug, Clone)]
pub struct CallContext {
    caller: CallerId,
    token: Option<Arc<str>>,
    deadline: Instant,
    back: Arc<dyn BackChannel>,
    onward: Option<Arc<dyn Onward>>,
    trace: Option<Trace>,
}

/// The way on to other tools, for one that is made of them. The gate implements it.
pub trait Onward: Send + Sync + fmt::Debug {
    /// Makes a call on behalf of the same caller, by the same road: it is judged, bounded and recorded like any other.
    fn call(&self, call: Call) -> BoxFuture<'_, Result<Output, CallError>>;
}

/// The way back to the client in mid-call. Doors implement it; what a client cannot hear is dropped there. By default it hears
/// nothing and cannot be asked.
pub trait BackChannel: Send + Sync + fmt::Debug {
    /// Tells how far the call is.
    fn progress(&self, _progress: Progress) {}

    /// Says something for the client's log.
    fn log(&self, _entry: LogEntry) {}

    /// Asks questions and gives all answers, by the names of the questions.
    ///
    /// A client of 2026-07-28 is asked by ending the call with [`CallError::NeedsInput`]; it then repeats the call, and the
    /// same questions find their answers at once.
    fn ask(&self, questions: Vec<(String, Question)>) -> BoxFuture<'_, Result<Answers, CallError>> {
        let capability = questions.first().map_or("elicitation", |(_, question)| question.capability());
        Box::pin(async move { Err(CallError::CannotAsk { capability }) })
    }

    /// Passes on a question of another server and waits for the answer, while the call goes on there.
    ///
    /// For a client of 2026-07-28 the call is parked: its request is answered with the question, and its next round with
    /// what comes then. A client that refuses is [`CallError::Refused`].
    fn relay(&self, question: Question) -> BoxFuture<'_, Result<Json, CallError>> {
        let capability = question.capability();
        Box::pin(async move { Err(CallError::CannotAsk { capability }) })
    }

    /// Tells every client that something changed.
    fn announce(&self, change: Change);

    /// Whether the caller wants to hear of progress.
    fn wants_progress(&self) -> bool {
        false
    }

    /// What is known of the client.
    fn client(&self) -> Client {
        Client::unknown()
    }
}

/// The client that a call came from, as far as whoever relays the call must know it.
#[derive(Debug, Clone)]
pub struct Client {
    /// What it can do, as it declared it: an object.
    pub capabilities: Json,
    /// Whether it is asked by ending the call, which it then makes again with the answers (2026-07-28).
    pub is_asked_in_rounds: bool,
    /// From which level on it wants to hear log messages about this call, if any.
    pub log_level: Option<LogLevel>,
    /// Its connection, if it has one that outlives the call.
    pub session: Option<Session>,
}

impl Client {
    /// A client that is nowhere and can do nothing.
    #[must_use]
    pub fn unknown() -> Self {
        Self { capabilities: Json::empty_object(), is_asked_in_rounds: false, log_level: None, session: None }
    }

    /// Whether the client declared what it takes to answer.
    #[must_use]
    pub fn can_answer(&self, question: &Question) -> bool {
        let Some(capability) = self.capabilities.members().ok().and_then(|members| members.get(question.capability())) else {
            return false;
        };
        // Asking by form is what every client that elicits can do; sending the user to a URL is declared besides.
        !question.needs_url() || capability.members().is_ok_and(|modes| modes.has("url"))
    }
}

/// One client's connection, from when it is opened until it ends. Two are equal if they are the same one.
#[derive(Debug, Clone)]
pub struct Session(Weak<dyn Any + Send + Sync>);

impl Session {
    /// The connection that lasts as long as `alive` is held.
    #[must_use]
    pub fn lasting_with<T: Any + Send + Sync>(alive: &Arc<T>) -> Self {
        let alive: Weak<T> = Arc::downgrade(alive);
        Self(alive)
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

impl Eq for Session {}

/// How far a call is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// How much is done; grows with every report.
    pub done: f64,
    /// How much there is, if that is known.
    pub total: Option<f64>,
    /// What is being done.
    pub message: Option<String>,
    /// All of it as another server said it.
    pub foreign: Option<Members>,
}

/// Something for the client's log.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// How important it is.
    pub level: LogLevel,
    /// Who says it.
    pub logger: Option<String>,
    /// What is said: any JSON.
    pub data: Json,
    /// All of it as another server said it.
    pub foreign: Option<Members>,
}

/// How important a log message is (RFC 5424).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of RFC 5424 and say all there is to say")]
pub enum LogLevel {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl LogLevel {
    /// All levels, the least important first.
    pub const ALL: [Self; 8] =
        [Self::Debug, Self::Info, Self::Notice, Self::Warning, Self::Error, Self::Critical, Self::Alert, Self::Emergency];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    /// The level with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

/// Something to ask the client in mid-call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Ask the user: the parameters of `elicitation/create`.
    Elicit(Json),
    /// Ask the client's model: the parameters of `sampling/createMessage`.
    Sample(Json),
    /// Ask for the client's roots: the parameters of `roots/list`, of which there need be none.
    Roots(Option<Json>),
}

impl Question {
    /// Asks the user to fill in a form.
    #[must_use]
    pub fn form(message: &str, requested_schema: &Json) -> Self {
        Self::Elicit(Json::object().with_str("message", message).with("requestedSchema", requested_schema).finish())
    }

    /// The capability that a client needs to answer.
    #[must_use]
    pub fn capability(&self) -> &'static str {
        match self {
            Self::Elicit(_) => "elicitation",
            Self::Sample(_) => "sampling",
            Self::Roots(_) => "roots",
        }
    }

    /// Whether the user is to be sent to a URL, to answer there.
    #[must_use]
    pub fn needs_url(&self) -> bool {
        matches!(self, Self::Elicit(params) if params.members().is_ok_and(|params| params.string("mode").as_deref() == Some("url")))
    }
}

/// The results that a client gave, by the names of the questions.
pub type Answers = BTreeMap<String, Json>;

/// Something that clients may have listed or read, and that is now different.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The list of resources.
    Resources,
    /// The contents of the resource with this URI.
    Resource(Arc<str>),
}

impl CallContext {
    /// A context for one call; the gate makes it.
    #[must_use]
    pub fn new(caller: CallerId, deadline: Instant, back: Arc<dyn BackChannel>) -> Self {
        Self { caller, token: None, deadline, back, onward: None, trace: None }
    }

    /// The same, with the token that the caller has shown.
    #[must_use]
    pub fn with_token(self, token: Arc<str>) -> Self {
        Self { token: Some(token), ..self }
    }

    /// The same, as a part of a trace.
    #[must_use]
    pub fn with_trace(self, trace: Option<Trace>) -> Self {
        Self { trace, ..self }
    }

    /// The same, for a tool that may call others.
    #[must_use]
    pub fn with_onward(self, onward: Arc<dyn Onward>) -> Self {
        Self { onward: Some(onward), ..self }
    }

    /// Calls another tool for the same caller. It takes the same road as a call from outside: what the caller may not have is
    /// not found, and a record is kept of it.
    ///
    /// # Errors
    /// [`CallError`]: those of the other call.
    pub async fn call_tool(&self, name: &str, arguments: Json) -> Result<Output, CallError> {
        match &self.onward {
            Some(onward) => onward.call(Call::tool(name, arguments)).await,
            None => Err(CallError::failed(
                "this tool has not said that it calls others: its author has to say so (`calls_others` in #[tool], CALLS_OTHERS of Tool, or composed)",
            )),
        }
    }

    /// Calls another tool as [`CallContext::call_tool`] does, and reads what it gives: its structure, or its text.
    ///
    /// ```
    /// # use toolcrib_contract::{CallContext, CallError};
    /// #[derive(serde::Deserialize)]
    /// struct Sum {
    ///     result: f64,
    /// }
    ///
    /// async fn double(x: f64, cx: &CallContext) -> Result<f64, CallError> {
    ///     let sum: Sum = cx.call_for("calculator", &serde_json::json!({"expression": format!("2 * {x}")})).await?;
    ///     Ok(sum.result)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`CallError`]: those of the other call; that it failed in its own words, or gave something else.
    pub async fn call_for<T: DeserializeOwned>(&self, name: &str, arguments: &impl Serialize) -> Result<T, CallError> {
        let arguments = Json::of(arguments).map_err(CallError::failed)?;
        let value =
            self.call_tool(name, arguments).await?.into_value().map_err(|said| CallError::failed(format_args!("{name}: {said}")))?;
        serde_json::from_value(value)
            .map_err(|error| CallError::failed(format_args!("{name} gave something else than is looked for: {error}")))
    }

    /// The token that the caller has shown, for what said that it passes it on.
    #[must_use]
    pub fn token(&self) -> Option<&Arc<str>> {
        self.token.as_ref()
    }

    /// Where in a trace the tool runs, for whatever it asks of others.
    #[must_use]
    pub fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// Who asked.
    #[must_use]
    pub fn caller(&self) -> &CallerId {
        &self.caller
    }

    /// When the call is given up, unless progress is reported or something asked before that.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How long the call may still take, reckoned from `now`.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }

    /// Tells the client how far the call is, if it asked to hear of that.
    pub fn progress(&self, done: f64, total: Option<f64>, message: Option<&str>) {
        self.back.progress(Progress { done, total, message: message.map(ToOwned::to_owned), foreign: None });
    }

    /// Whether the client asked to hear of progress.
    #[must_use]
    pub fn wants_progress(&self) -> bool {
        self.back.wants_progress()
    }

    /// Says something for the client's log, if the client wants this level.
    pub fn log(&self, level: LogLevel, text: &str) {
        self.back.log(LogEntry { level, logger: None, data: Json::string(text), foreign: None });
    }

    /// Asks one question in mid-call and gives the client's result.
    ///
    /// Clients of 2026-07-28 answer by repeating the call: the tool then runs again from its start, and the same question
    /// (by `name`) is answered at once. So ask before you act.
    ///
    /// # Errors
    /// [`CallError::CannotAsk`] for a client that cannot be asked, [`CallError::NeedsInput`] to be passed on with `?`.
    pub async fn ask(&self, name: &str, question: Question) -> Result<Json, CallError> {
        let mut answers = self.ask_all(vec![(name.to_owned(), question)]).await?;
        answers.remove(name).ok_or_else(|| CallError::failed(format_args!("the client left {name:?} unanswered")))
    }

    /// Asks the user to fill in a form in mid-call, and gives what they filled in; `None` if they would not.
    ///
    /// The type gives the form: a struct whose fields are texts, numbers, booleans, or enums without values. As for
    /// [`CallContext::ask`], ask before you act.
    ///
    /// ```
    /// # use toolcrib_contract::{CallContext, CallError};
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Confirmation {
    ///     /// Whether the order is to be sent.
    ///     send: bool,
    /// }
    ///
    /// async fn send(cx: &CallContext) -> Result<&'static str, CallError> {
    ///     match cx.ask_form("confirm", "Send the order to the kitchen?").await? {
    ///         Some(Confirmation { send: true }) => Ok("sent"),
    ///         _ => Ok("kept"),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of [`CallContext::ask`]; [`CallError::Failed`](CallError::failed) where the type is none of a flat form, or the client's answer is no such form.
    pub async fn ask_form<T: DeserializeOwned + JsonSchema>(&self, name: &str, message: &str) -> Result<Option<T>, CallError> {
        let form = form_of::<T>().map_err(CallError::failed)?;
        let answer = self.ask(name, Question::form(message, &form)).await?;
        let answer = answer.members().map_err(CallError::failed)?;
        if answer.string("action").as_deref() != Some("accept") {
            return Ok(None);
        }
        let content = answer.get("content").unwrap_or_else(Json::empty_object);
        content.read().map(Some).map_err(|error| CallError::failed(format_args!("the form came back in another shape: {error}")))
    }

    /// Asks several questions together.
    ///
    /// # Errors
    /// As [`CallContext::ask`].
    pub async fn ask_all(&self, questions: Vec<(String, Question)>) -> Result<Answers, CallError> {
        self.back.ask(questions).await
    }

    /// Tells every client that something changed.
    pub fn announce(&self, change: Change) {
        self.back.announce(change);
    }

    /// The way back, for whoever relays messages of another server.
    #[must_use]
    pub fn back(&self) -> &Arc<dyn BackChannel> {
        &self.back
    }
}
