//! What is not done, and what is said of it: a status, and an error of JSON-RPC.

use super::{Reply, plain};
use crate::{
    message::{ErrorObject, Fault, Id, Incoming, Message, Response, code},
    server::session::TooManySessions,
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

/// An answer that is not a result: the status and what the body says.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) id: Option<Id>,
    pub(super) error: ErrorObject,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: ErrorObject) -> Self {
        Self { status, id: None, error }
    }

    /// The same to the request of this id, so that whoever asked can tell what it answers.
    pub(super) fn to(self, id: Id) -> Self {
        Self { id: Some(id), ..self }
    }

    /// The same to the request in this text, if it is one.
    pub(super) fn answering(self, text: &Bytes) -> Self {
        match Incoming::parse(text) {
            Ok(Incoming::One(Message::Request(request))) => self.to(request.id),
            _ => self,
        }
    }

    pub(super) fn into_reply(self) -> Reply {
        let mut reply = plain(self.status, Response { id: self.id, outcome: Err(self.error) }.to_pieces(), None);
        match self.status {
            StatusCode::METHOD_NOT_ALLOWED => {
                reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        reply
    }
}

impl From<Fault> for Refusal {
    fn from(Fault { id, error }: Fault) -> Self {
        Self { status: StatusCode::BAD_REQUEST, id, error }
    }
}

pub(super) fn no_such_session() -> Refusal {
    let message = "no such session: it ended or never was; send initialize to open one";
    Refusal::new(StatusCode::NOT_FOUND, ErrorObject::new(code::INVALID_REQUEST, message))
}

pub(super) fn too_many_sessions(error: &TooManySessions) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, ErrorObject::new(code::INTERNAL_ERROR, error.to_string()))
}

pub(super) fn bad_request(code: i64, message: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, ErrorObject::new(code, message))
}

pub(super) fn not_allowed(message: &str) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, ErrorObject::new(code::INVALID_REQUEST, message))
}

pub(super) fn not_acceptable(message: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_ACCEPTABLE, ErrorObject::new(code::INVALID_REQUEST, message))
}

pub(super) fn overloaded(limit: usize) -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        ErrorObject::new(code::INTERNAL_ERROR, format!("overloaded: {limit} requests are being answered; try again in a moment")),
    )
}
