//! Signing in elsewhere, as far as doors have to do with it.

use crate::tool::BoxFuture;
use std::fmt;

/// Takes in what browsers bring back from an authorization server.
pub trait Callback: Send + Sync + fmt::Debug {
    /// A browser has come back with this query.
    ///
    /// # Errors
    /// Why nobody is signed in, in a sentence without secrets.
    fn come_back<'a>(&'a self, query: &'a str) -> BoxFuture<'a, Result<LoggedIn, String>>;
}

/// Where somebody is signed in now, or is once they have said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// The server.
    pub server: String,
    /// What is still to be done, if anything.
    pub confirmation: Option<Confirmation>,
}

/// A login that counts once its caller says that it was theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// Who would be signed in.
    pub caller: String,
    /// The code that the caller has to bring.
    pub code: String,
}
