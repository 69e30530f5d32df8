//! From one call to others: tools that are made of tools.
//!
//! A call on the way takes the same road as the one that made it, for the same caller, at the same door; it has a record, a
//! place and a deadline of its own, and ends with the one that made it.

use crate::{Arrived, Caller, Gate, Names, resilience::Bounds, validate::Checked};
use std::{
    sync::{Arc, Weak},
    time::Instant,
};
use toolcrib_contract::{
    Answers, BackChannel, BoxFuture, Call, CallError, Change, Client, Json, LogEntry, Onward, Origin, Output, Progress, Question,
};

/// How deep calls may make calls.
const MAX_DEPTH: u8 = 8;

/// What a call needs to make others, as far as it does not depend on how it runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Further {
    pub(crate) gate: Weak<Gate>,
    pub(crate) profile: Option<Arc<Names>>,
    /// How many calls have led here.
    pub(crate) depth: u8,
}

/// The way on from one call.
#[derive(Debug)]
struct Way {
    further: Further,
    caller: Caller,
    origin: Origin,
    bounds: Arc<Bounds>,
    back: Arc<dyn BackChannel>,
}

/// The way on from this call.
pub(crate) fn from(checked: &Checked, bounds: &Arc<Bounds>) -> Arc<dyn Onward> {
    let (caller, origin) = (checked.permitted.caller.clone(), checked.permitted.origin.clone());
    let back = Arc::new(Passing { back: Arc::clone(bounds), began: Instant::now() });
    Arc::new(Way { further: bounds.further().clone(), caller, origin, bounds: Arc::clone(bounds), back })
}

impl Onward for Way {
    fn call(&self, call: Call) -> BoxFuture<'_, Result<Output, CallError>> {
        Box::pin(async move {
            let gone = || CallError::failed("no other tools can be called from here");
            let gate = self.further.gate.upgrade().ok_or_else(gone)?;
            if self.further.depth >= MAX_DEPTH {
                return Err(CallError::failed(format_args!("{} is not called: {MAX_DEPTH} calls have led here already", call.name)));
            }
            // While it waits for others it takes no place from them.
            self.bounds.leave();
            let (caller, origin, back) = (self.caller.clone(), self.origin.clone(), Arc::clone(&self.back));
            let arrived = Arrived { caller, profile: self.further.profile.clone(), call, origin, back };
            match gate.call_from(arrived, self.further.depth + 1).await {
                Ok(reply) => Ok(reply.output),
                // The client would repeat the call that it made, and with it what was done before the question.
                Err(CallError::NeedsInput(_) | CallError::NeedsRound(_)) => Err(CallError::CannotAsk { capability: "elicitation" }),
                Err(error) => Err(error),
            }
        })
    }
}

/// What a call on the way says to the client, as the call that made it would say it.
#[derive(Debug)]
struct Passing {
    back: Arc<Bounds>,
    began: Instant,
}

impl BackChannel for Passing {
    fn progress(&self, progress: Progress) {
        // Several calls report, each from its own beginning; to the client it is one, which only goes forward.
        let done = self.began.elapsed().as_secs_f64();
        self.back.progress(Progress { done, total: None, foreign: None, ..progress });
    }

    fn log(&self, entry: LogEntry) {
        self.back.log(entry);
    }

    /// Questions are passed on while the call goes on, in either era: what came before them is not done again.
    fn ask(&self, questions: Vec<(String, Question)>) -> BoxFuture<'_, Result<Answers, CallError>> {
        Box::pin(async move {
            let mut answers = Answers::new();
            for (name, question) in questions {
                answers.insert(name, self.back.relay(question).await?);
            }
            Ok(answers)
        })
    }

    fn relay(&self, question: Question) -> BoxFuture<'_, Result<Json, CallError>> {
        self.back.relay(question)
    }

    fn announce(&self, change: Change) {
        self.back.announce(change);
    }

    fn wants_progress(&self) -> bool {
        self.back.wants_progress()
    }

    fn client(&self) -> Client {
        Client { is_asked_in_rounds: false, ..self.back.client() }
    }
}
