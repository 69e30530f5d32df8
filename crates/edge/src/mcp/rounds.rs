//! The rounds of a modern call: it is answered with questions, and the client makes it again with the answers (MCP
//! 2026-07-28, "Multi Round-Trip Requests").
//!
//! Our own tools run again from their start. A call that another server of the new era interrupted goes on there, with the
//! state that it gave. A call that waits at a server of the old era is parked here: it cannot be made twice.

use super::{
    Mcp, WireCaller,
    back::Back,
    state::{Answered, BadState, LIFETIME, Round, StateOwner, random},
};
use crate::answer::Answer;
use std::{
    collections::HashMap,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};
use tokio::task::AbortHandle;
use toolcrib_contract::{BackChannel, BoxFuture, Call, CallError, Json, Kind, Members, Question};
use toolcrib_gate::{Arrived, Reply};
use toolcrib_wire::{Era, ErrorObject, server::Exchange};

/// The most calls that wait for their next round, in all and of one caller. The longest waiting make room: their clients are
/// most likely gone.
const MAX_PARKED: usize = 256;
const MAX_PARKED_OF_CALLER: usize = 64;

/// How long a server that asks one thing may take to ask another before the client is asked.
const GATHER: Duration = Duration::from_millis(20);

/// A call under way, and how it reaches the client.
struct Live {
    caller: Arc<str>,
    kind: Kind,
    running: BoxFuture<'static, Result<Reply, CallError>>,
    back: Arc<Back>,
}

/// What comes next of a call.
enum Next {
    Done(Result<Reply, CallError>),
    Questions(Vec<(String, Question)>),
}

/// What the client brought along from the round before.
struct Brought {
    round: Option<Round>,
    responses: Option<Members>,
}

impl Mcp {
    /// Answers one round of a modern call.
    pub(super) async fn round(&self, mut call: Call, exchange: Box<Exchange<WireCaller>>) -> Answer {
        let owner = StateOwner::of(exchange.caller.caller.id().principal(), &call);
        let Brought { round, responses } = self.brought(call.params.as_ref(), &owner)?;
        let mut answered = Answered::new();
        match round {
            Some(Round::Parked(ticket)) => {
                // A call that was begun is gone on with only by whoever may still make it.
                if let Err(error) = self.visible_to(&exchange.caller).check(call.kind, &call.name) {
                    return self.answers.error(&error, call.kind, Era::Modern);
                }
                let live = self.parked.claim(ticket).ok_or_else(|| ErrorObject::invalid_params(BadState.to_string()))?;
                live.back.move_to(&exchange);
                live.back.questions().answer(responses.as_ref());
                return self.go_on(live, &owner).await;
            }
            Some(Round::Elsewhere(state)) => {
                let params = call.params.as_ref().map(|params| params.edit(&[("requestState", state)]));
                call.params = params.map(|params| params.members().expect("an object stays one"));
            }
            Some(Round::Again(known)) => answered = known,
            None => {}
        }
        answered.extend(responses.iter().flat_map(Members::iter).map(|(name, answer)| (name.to_owned(), answer)));
        let caller = Arc::clone(exchange.caller.caller.id().principal());
        let (kind, gate, profile) = (call.kind, Arc::clone(&self.gate), self.profile.clone());
        let back = Arc::new(Back::new(Arc::clone(&gate), &exchange, self.pipe.as_ref(), answered));
        let origin = self.origin_of(&exchange);
        let arrived = Arrived { caller: exchange.caller.caller, profile, call, origin, back: Arc::clone(&back) as Arc<dyn BackChannel> };
        self.go_on(Live { caller, kind, running: Box::pin(async move { gate.call(arrived).await }), back }, &owner).await
    }

    /// Lets a call run until it ends or has to wait for the client.
    async fn go_on(&self, mut live: Live, owner: &StateOwner) -> Answer {
        match live.next().await {
            Next::Questions(questions) => {
                let ticket = self.parked.park(live);
                Ok(self.answers.input_required(&questions, &self.seal.seal(owner, &Round::Parked(ticket))))
            }
            Next::Done(Ok(reply)) => self.answers.reply(reply, live.kind, Era::Modern),
            Next::Done(Err(CallError::NeedsInput(questions))) => {
                let state = self.seal.seal(owner, &Round::Again(live.back.answered().clone()));
                Ok(self.answers.input_required(&questions, &state))
            }
            Next::Done(Err(CallError::NeedsRound(theirs))) => {
                let state = self.seal.seal(owner, &Round::Elsewhere(theirs.get("requestState")));
                Ok(theirs.edit(&[("requestState", Some(Json::string(&state)))]))
            }
            Next::Done(Err(error)) => self.answers.error(&error, live.kind, Era::Modern),
        }
    }

    fn brought(&self, params: Option<&Members>, owner: &StateOwner) -> Result<Brought, ErrorObject> {
        let Some(params) = params else { return Ok(Brought { round: None, responses: None }) };
        // Answers that make no sense are refused before the state is used up.
        let responses = params.get("inputResponses").map(|responses| responses.members()).transpose();
        let responses = responses.map_err(|error| ErrorObject::invalid_params(format!("params.inputResponses: {error}")))?;
        if let Some((name, _)) = responses.iter().flat_map(Members::iter).find(|(_, response)| !response.is_object()) {
            return Err(ErrorObject::invalid_params(format!("params.inputResponses[{name:?}] must be an object")));
        }
        let round = match params.get("requestState") {
            None => None,
            Some(_) => {
                let sealed =
                    params.string("requestState").ok_or_else(|| ErrorObject::invalid_params("params.requestState must be a string"))?;
                Some(self.seal.open(owner, &sealed).map_err(|error| ErrorObject::invalid_params(error.to_string()))?)
            }
        };
        Ok(Brought { round, responses })
    }
}

impl Live {
    /// What comes next. Questions that are asked at once come together.
    async fn next(&mut self) -> Next {
        match self.poll_next().await {
            Next::Questions(_) => {}
            done @ Next::Done(_) => return done,
        }
        if let Ok(ended) = tokio::time::timeout(GATHER, self.running.as_mut()).await {
            return Next::Done(ended);
        }
        self.poll_next().await
    }

    async fn poll_next(&mut self) -> Next {
        poll_fn(|cx| match self.running.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Next::Done(ended)),
            Poll::Pending => self.back.questions().poll_open(cx).map(Next::Questions),
        })
        .await
    }
}

/// Calls that wait for the next round of their client, for as long as its state is good.
#[derive(Clone, Default)]
pub(super) struct Parked(Arc<Mutex<HashMap<u64, Waiting>>>);

struct Waiting {
    live: Live,
    since: Instant,
    /// Gives the call up when its time is over.
    timer: AbortHandle,
}

impl Parked {
    fn park(&self, live: Live) -> u64 {
        let (ticket, parked) = (random(), self.clone());
        let timer = tokio::spawn(async move {
            tokio::time::sleep(LIFETIME).await;
            let given_up = parked.lock().remove(&ticket);
            drop(given_up);
        });
        let mut waiting = self.lock();
        let longest = too_many(&waiting, &live.caller);
        let given_up = longest.and_then(|longest| waiting.remove(&longest));
        waiting.insert(ticket, Waiting { live, since: Instant::now(), timer: timer.abort_handle() });
        drop(waiting);
        if let Some(Waiting { timer, .. }) = given_up {
            timer.abort();
        }
        ticket
    }

    fn claim(&self, ticket: u64) -> Option<Live> {
        let Waiting { live, timer, .. } = self.lock().remove(&ticket)?;
        timer.abort();
        Some(live)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which call has to make room for another of this caller, if one has to.
fn too_many(waiting: &HashMap<u64, Waiting>, caller: &Arc<str>) -> Option<u64> {
    let longest = |only: Option<&Arc<str>>| {
        let those = waiting.iter().filter(|(_, waiting)| only.is_none_or(|caller| waiting.live.caller == *caller));
        those.min_by_key(|(_, waiting)| waiting.since).map(|(ticket, _)| *ticket)
    };
    let of_caller = waiting.values().filter(|waiting| waiting.live.caller == *caller).count();
    if of_caller >= MAX_PARKED_OF_CALLER {
        longest(Some(caller))
    } else if waiting.len() >= MAX_PARKED {
        longest(None)
    } else {
        None
    }
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parked({})", self.lock().len())
    }
}
