//! The way back to an MCP client in mid-call.

use super::{
    WireCaller,
    questions::{Questions, with_name},
    state::Answered,
};
use crate::answer::request_of;
use futures_util::future::join_all;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use toolcrib_contract::{
    Answers, BackChannel, BoxFuture, CallError, Change, Client, Json, LogEntry, LogLevel, Progress, Question, Session,
};
use toolcrib_gate::Gate;
use toolcrib_wire::{
    Era, method,
    server::{self, AskError, Channel, Exchange},
};

/// From which level on a legacy client hears of things before it has said so.
const DEFAULT_LOG_LEVEL: LogLevel = LogLevel::Info;

#[derive(Debug)]
pub(super) struct Back {
    gate: Arc<Gate>,
    client: Client,
    lane: Mutex<Lane>,
    /// The answers that a repeated call brought along.
    answered: Answered,
    questions: Questions,
}

/// Where messages go: to the request that is being answered now, which for a parked call is not the first.
#[derive(Debug)]
struct Lane {
    channel: Channel,
    progress_token: Option<Json>,
    log_level: Option<LogLevel>,
    /// How much was last reported as done: progress only ever grows.
    done: f64,
}

impl Lane {
    fn of(exchange: &Exchange<WireCaller>) -> Self {
        Self {
            channel: exchange.channel.clone(),
            progress_token: exchange.meta.progress_token.clone(),
            log_level: log_level(exchange),
            done: f64::NEG_INFINITY,
        }
    }
}

impl Back {
    /// The way back of this request. `pipe` is the connection of a client that has the whole door for itself.
    pub(super) fn new(gate: Arc<Gate>, exchange: &Exchange<WireCaller>, pipe: Option<&Session>, answered: Answered) -> Self {
        let lane = Lane::of(exchange);
        let session = exchange.session.as_ref();
        let declared = session.map(|session| session.capabilities().clone()).or_else(|| exchange.meta.client_capabilities.clone());
        let client = Client {
            capabilities: declared.unwrap_or_else(Json::empty_object),
            is_asked_in_rounds: exchange.revision.era() == Era::Modern,
            log_level: lane.log_level,
            session: pipe.cloned().or_else(|| session.map(Session::lasting_with)),
        };
        Self { gate, client, lane: Mutex::new(lane), answered, questions: Questions::default() }
    }

    /// Goes on with the client's next request: what is said from now on belongs to that.
    pub(super) fn move_to(&self, exchange: &Exchange<WireCaller>) {
        let mut lane = self.lane();
        *lane = Lane { done: lane.done, ..Lane::of(exchange) };
    }

    /// The answers that the client has given to questions of ours.
    pub(super) fn answered(&self) -> &Answered {
        &self.answered
    }

    /// What the client is to answer in its next round.
    pub(super) fn questions(&self) -> &Questions {
        &self.questions
    }

    fn lane(&self) -> MutexGuard<'_, Lane> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In the legacy era a question is a request of ours, answered while the call waits.
    async fn ask_now(&self, question: &Question) -> Result<Json, AskError> {
        let (method, params) = request_of(question);
        let channel = self.lane().channel.clone();
        channel.ask(method, params.unwrap_or_else(Json::empty_object)).await
    }

    /// In the modern era a question of ours ends the call, and its answer comes with the call's repetition.
    fn ask_by_repetition(&self, questions: Vec<(String, Question)>) -> Result<Answers, CallError> {
        let (known, open): (Vec<_>, Vec<_>) = questions.into_iter().partition(|(name, _)| self.answered.contains_key(name));
        if !open.is_empty() {
            return Err(CallError::NeedsInput(open));
        }
        Ok(known.into_iter().map(|(name, _)| (name.clone(), self.answered[&name].clone())).collect())
    }
}

impl BackChannel for Back {
    fn progress(&self, Progress { done, total, message, foreign }: Progress) {
        let mut lane = self.lane();
        let Some(token) = &lane.progress_token else { return };
        if done <= lane.done || !done.is_finite() {
            return;
        }
        let params = match foreign {
            Some(theirs) => theirs.edit(&[("progressToken", Some(token.clone()))]),
            None => Json::object()
                .with("progressToken", token)
                .with("progress", &number(done))
                .with_some("total", total.map(number).as_ref())
                .with_some("message", message.as_deref().map(Json::string).as_ref())
                .finish(),
        };
        lane.done = done;
        lane.channel.notify(method::PROGRESS, params);
    }

    fn log(&self, LogEntry { level, logger, data, foreign }: LogEntry) {
        let lane = self.lane();
        if lane.log_level.is_none_or(|least| level < least) {
            return;
        }
        let ours = || {
            let logger = logger.as_deref().map(Json::string);
            Json::object().with_str("level", level.name()).with_some("logger", logger.as_ref()).with("data", &data).finish()
        };
        lane.channel.notify(method::LOG, foreign.map_or_else(ours, |theirs| theirs.text().clone()));
    }

    fn ask(&self, questions: Vec<(String, Question)>) -> BoxFuture<'_, Result<Answers, CallError>> {
        Box::pin(async move {
            if let Some((_, question)) = questions.iter().find(|(_, question)| !self.client.can_answer(question)) {
                return Err(CallError::CannotAsk { capability: question.capability() });
            }
            if self.client.is_asked_in_rounds {
                return self.ask_by_repetition(questions);
            }
            let named: Vec<(String, Question)> =
                questions.into_iter().map(|(name, question)| (name.clone(), with_name(question, &name))).collect();
            let asked = join_all(named.iter().map(|(_, question)| self.ask_now(question))).await;
            let mut answers = Answers::new();
            for ((name, question), answer) in named.iter().zip(asked) {
                let answer = answer.map_err(|error| match error {
                    AskError::NotInThisEra => CallError::CannotAsk { capability: question.capability() },
                    other => CallError::failed(other),
                })?;
                answers.insert(name.clone(), answer);
            }
            Ok(answers)
        })
    }

    fn relay(&self, question: Question) -> BoxFuture<'_, Result<Json, CallError>> {
        Box::pin(async move {
            if !self.client.can_answer(&question) {
                return Err(CallError::CannotAsk { capability: question.capability() });
            }
            if self.client.is_asked_in_rounds {
                return self.questions.ask(question).await;
            }
            self.ask_now(&question).await.map_err(|error| match error {
                AskError::NotInThisEra => CallError::CannotAsk { capability: question.capability() },
                AskError::Refused(error) => CallError::Refused { code: error.code, message: error.message, data: error.data },
                other => CallError::failed(other),
            })
        })
    }

    fn announce(&self, change: Change) {
        self.gate.announce(change);
    }

    fn wants_progress(&self) -> bool {
        self.lane().progress_token.is_some()
    }

    fn client(&self) -> Client {
        self.client.clone()
    }
}

/// A whole number without a fraction, as it most likely came.
fn number(value: f64) -> Json {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let written = if value.fract() == 0.0 && value.abs() < EXACT { Json::of(&(value as i64)) } else { Json::of(&value) };
    written.expect("a number has a JSON form")
}

/// Modern clients hear nothing unless the request asks for it; legacy ones set a level for their session.
fn log_level(exchange: &Exchange<WireCaller>) -> Option<LogLevel> {
    match &exchange.session {
        Some(session) => Some(session_level(session)),
        None => LogLevel::from_name(exchange.meta.log_level.as_deref()?),
    }
}

fn session_level(session: &server::Session) -> LogLevel {
    session.log_level().and_then(|name| LogLevel::from_name(&name)).unwrap_or(DEFAULT_LOG_LEVEL)
}
