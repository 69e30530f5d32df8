//! What a legacy server asks of us, which is to be answered exactly once.

use crate::{
    message::{ErrorObject, Id, Request, Response},
    method,
};
use std::fmt;
use toolcrib_json::Json;

type Answer = Result<Json, ErrorObject>;

/// Something that a legacy server asks. Dropped, it is refused, so that the server does not wait in vain.
pub struct Asked {
    /// Names the question, for a server that withdraws it.
    pub id: Id,
    /// What is asked.
    pub method: Box<str>,
    /// The parameters: an object.
    pub params: Option<Json>,
    reply: Option<Box<dyn FnOnce(Answer) + Send>>,
    /// Whether there is nothing to be said once the question is dropped.
    ends_with_call: bool,
}

impl Asked {
    /// A question, with the way back of its answer. `ping` needs nobody: it is answered at once, which `send` is told since
    /// a server that pings and does not read is owed nothing.
    pub(super) fn or_pong(request: Request, send: impl FnOnce(Json, bool) + Send + 'static) -> Option<Self> {
        let Request { id, method, params } = request;
        let is_ping = method.as_ref() == method::PING;
        let answered = id.clone();
        let reply = move |outcome| send(Response { id: Some(answered), outcome }.to_json(), is_ping);
        if is_ping {
            reply(Ok(Json::empty_object()));
            return None;
        }
        Some(Self { id, method, params, reply: Some(Box::new(reply)), ends_with_call: false })
    }

    /// The question of a call that may be given up before it is answered. That the call was given up the server is told
    /// anyhow; an answer to what it no longer asks confuses some.
    #[must_use]
    pub fn ending_with_its_call(mut self) -> Self {
        self.ends_with_call = true;
        self
    }

    /// Answers the question.
    pub fn answer(mut self, answer: Answer) {
        if let Some(reply) = self.reply.take() {
            reply(answer);
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take().filter(|_| !self.ends_with_call) {
            reply(Err(ErrorObject::method_not_found(&self.method)));
        }
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("method", &self.method).finish_non_exhaustive()
    }
}
