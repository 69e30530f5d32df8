//! An account at a server as its connections want it: what goes with each request, and what is said when somebody has to sign in.

use http::header;
use std::sync::Arc;
use toolcrib_contract::{BoxFuture, CallerId};
use toolcrib_oauth::{Account, Accounts, Challenge, Logins, Problem, Redress, State};
use toolcrib_wire::client::{Authorization, Refusal};

/// How callers come to be signed in at a server.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// What each of them has there.
    pub accounts: Arc<Accounts>,
    /// Those that callers may begin by a tool, if they may.
    pub logins: Option<Arc<Logins>>,
}

/// One account, and the way to sign in.
#[derive(Debug)]
pub(crate) struct Authorized {
    account: Arc<Account>,
    how: Box<str>,
}

impl Authorized {
    /// What this caller has at the server of this name. The tool is the one by which they sign in.
    pub(crate) fn new(sign_in: &SignIn, server: &str, tool: &str, owner: &CallerId) -> Arc<Self> {
        let command = format!("`toolcrib login {server}`");
        let how = match (&sign_in.logins, *owner == CallerId::ourselves()) {
            (Some(_), _) => format!("call the tool \"{tool}\", or run {command}"),
            (None, true) => format!("whoever runs Toolcrib has to run {command}"),
            (None, false) => format!("run {command} --sub {} --authority {}", owner.subject, owner.authority),
        };
        Arc::new(Self { account: sign_in.accounts.of(owner), how: how.into() })
    }

    /// Why somebody has to sign in, and how, if that is so.
    pub(crate) fn login_needed(&self) -> Option<String> {
        match self.account.state() {
            State::LoginNeeded(reason) => Some(self.with_how(&reason)),
            State::Unasked | State::SignedIn => None,
        }
    }

    /// Whether signing in has to do with this server at all, as far as is known.
    pub(crate) fn is_asked(&self) -> bool {
        self.account.state() != State::Unasked
    }

    /// Completes when somebody has to sign in, with the reason.
    pub(crate) async fn until_login_is_needed(&self) -> String {
        self.with_how(&self.account.until_login_is_needed().await)
    }

    /// Completes when somebody who had to has signed in.
    pub(crate) async fn until_signed_in(&self) {
        self.account.until_signed_in().await;
    }

    fn with_how(&self, reason: &str) -> String {
        format!("{reason}; {}", self.how)
    }

    fn say(&self, problem: Problem) -> String {
        match problem {
            Problem::LoginNeeded(reason) => self.with_how(&reason),
            other => other.to_string(),
        }
    }
}

impl Authorization for Authorized {
    fn header(&self) -> BoxFuture<'_, Result<Option<http::HeaderValue>, String>> {
        Box::pin(async { self.account.header().await.map_err(|problem| self.say(problem)) })
    }

    fn refused<'a>(&'a self, refusal: &'a Refusal) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move {
            let values = refusal.headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
            let challenge = Challenge::parse(values);
            let redress = self.account.refused(refusal.used.as_ref(), refusal.status.as_u16(), challenge, refusal.again).await;
            redress.map(|redress| redress == Redress::Retry).map_err(|problem| self.say(problem))
        })
    }
}
