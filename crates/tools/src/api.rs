//! What `api_client` and declared requests share: hosts of the config with the secrets that go there, and the part of an answer
//! that is wanted.

mod connection;
mod select;

pub use connection::ConnectionSettings;
pub(crate) use connection::{Connection, covered, hidden, scrub, stays};
pub(crate) use select::Select;

/// Why a request is not sent, or its answer not given.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) class: &'static str,
    pub(crate) reason: String,
}

impl Failure {
    pub(crate) fn new(class: &'static str, reason: impl Into<String>) -> Self {
        Self { class, reason: reason.into() }
    }
}
