//! The way back to an MCP client in mid-call.

use super::{WireCaller, state::Answered};
use crate::answer::request_of;
use std::sync::{Arc, Mutex, PoisonError};
use toolcrib_contract::{Answers, BackChannel, BoxFuture, CallError, Change, Json, LogLevel, Progress, Question};
use toolcrib_gate::Gate;
use toolcrib_wire::{
    Era, method,
    server::{AskError, Channel, Exchange, Session},
};

/// From which level on a legacy client hears of things before it has said so.
const DEFAULT_LOG_LEVEL: LogLevel = LogLevel::Info;

#[derive(Debug)]
pub(super) struct Back {
    gate: Arc<Gate>,
    era: Era,
    channel: Channel,
    progress_token: Option<Json>,
    /// How much was last reported as done: progress only ever grows.
    done: Mutex<f64>,
    log_level: Option<LogLevel>,
    capabilities: Option<Json>,
    answered: Answered,
}

impl Back {
    pub(super) fn new(gate: Arc<Gate>, exchange: &Exchange<WireCaller>, answered: Answered) -> Self {
        let era = exchange.revision.era();
        let session = exchange.session.as_ref();
        Self {
            gate,
            era,
            channel: exchange.channel.clone(),
            progress_token: exchange.meta.progress_token.clone(),
            done: Mutex::new(f64::NEG_INFINITY),
            log_level: log_level(exchange),
            capabilities: session.map(|session| session.capabilities().clone()).or_else(|| exchange.meta.client_capabilities.clone()),
            answered,
        }
    }

    fn can_answer(&self, question: &Question) -> bool {
        self.capabilities.as_ref().and_then(|json| json.members().ok()).is_some_and(|members| members.has(question.capability()))
    }

    /// In the legacy era a question is a request of ours, answered while the call waits.
    async fn ask_now(&self, questions: Vec<(String, Question)>) -> Result<Answers, CallError> {
        let mut answers = Answers::new();
        for (name, question) in questions {
            let (method, params) = request_of(&question);
            let answer = self.channel.ask(method, params.unwrap_or_else(Json::empty_object)).await;
            let answer = answer.map_err(|error| match error {
                AskError::NotInThisEra => CallError::CannotAsk { capability: question.capability() },
                other => CallError::failed(other),
            })?;
            answers.insert(name, answer);
        }
        Ok(answers)
    }

    /// In the modern era a question ends the call, and its answer comes with the call's repetition.
    fn ask_by_repetition(&self, questions: Vec<(String, Question)>) -> Result<Answers, CallError> {
        let (known, open): (Vec<_>, Vec<_>) = questions.into_iter().partition(|(name, _)| self.answered.contains_key(name));
        if !open.is_empty() {
            return Err(CallError::NeedsInput(open));
        }
        Ok(known.into_iter().map(|(name, _)| (name.clone(), self.answered[&name].clone())).collect())
    }
}

impl BackChannel for Back {
    fn progress(&self, Progress { done, total, message }: Progress) {
        let Some(token) = &self.progress_token else { return };
        {
            let mut last = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            if done <= *last || !done.is_finite() {
                return;
            }
            *last = done;
        }
        let params = Json::object()
            .with("progressToken", token)
            .with("progress", &number(done))
            .with_some("total", total.map(number).as_ref())
            .with_some("message", message.as_deref().map(Json::string).as_ref())
            .finish();
        self.channel.notify(method::PROGRESS, params);
    }

    fn log(&self, level: LogLevel, logger: Option<&str>, data: Json) {
        if self.log_level.is_none_or(|least| level < least) {
            return;
        }
        let logger = logger.map(Json::string);
        let params = Json::object().with_str("level", level.name()).with_some("logger", logger.as_ref()).with("data", &data).finish();
        self.channel.notify(method::LOG, params);
    }

    fn ask(&self, questions: Vec<(String, Question)>) -> BoxFuture<'_, Result<Answers, CallError>> {
        Box::pin(async move {
            if let Some((_, question)) = questions.iter().find(|(_, question)| !self.can_answer(question)) {
                return Err(CallError::CannotAsk { capability: question.capability() });
            }
            match self.era {
                Era::Legacy => self.ask_now(questions).await,
                Era::Modern => self.ask_by_repetition(questions),
            }
        })
    }

    fn announce(&self, change: Change) {
        self.gate.announce(change);
    }

    fn wants_progress(&self) -> bool {
        self.progress_token.is_some()
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

fn session_level(session: &Session) -> LogLevel {
    session.log_level().and_then(|name| LogLevel::from_name(&name)).unwrap_or(DEFAULT_LOG_LEVEL)
}
