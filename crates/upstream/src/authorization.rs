//! An account at a server as its connections want it: what goes with each request, and what is said when somebody has to sign in.

use http::header;
use std::sync::Arc;
use tokio::sync::watch;
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
    /// Whether callers prove who they are.
    pub knows_callers: bool,
}

/// One account, and the way to sign in.
#[derive(Debug)]
pub(crate) struct Authorized {
    account: Arc<Account>,
    how: Box<str>,
}

impl Authorized {
    /// What this caller has at the server. `tool` is the one by which callers sign in, if they may.
    pub(crate) fn new(sign_in: &SignIn, server: &str, tool: Option<&str>, owner: &CallerId) -> Arc<Self> {
        let is_nobody = owner.is_anonymous() && sign_in.knows_callers;
        let how = match tool {
            _ if is_nobody => "callers without a token cannot be signed in".to_owned(),
            Some(tool) => format!("call the tool \"{tool}\", or run `{}`", command(server, owner)),
            None => format!("whoever runs Toolcrib has to run `{}`", command(server, owner)),
        };
        Arc::new(Self { account: sign_in.accounts.of(owner), how: how.into() })
    }

    /// Why somebody has to sign in, and how, if that is so.
    pub(crate) fn login_needed(&self) -> Option<String> {
        match self.account.state() {
            State::LoginNeeded(reason) => Some(self.with_how(&reason)),
            State::Unasked | State::SignedIn | State::MoreWanted(_) => None,
        }
    }

    /// Whether there is anything to sign in for just now.
    pub(crate) fn is_login_worthwhile(&self) -> bool {
        matches!(self.account.state(), State::LoginNeeded(_) | State::MoreWanted(_))
    }

    /// How the account stands, as it changes.
    pub(crate) fn states(&self) -> watch::Receiver<State> {
        self.account.states()
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

/// The command by which whoever runs us signs in, for all or for one caller.
fn command(server: &str, owner: &CallerId) -> String {
    let server = quoted(server);
    if *owner == CallerId::ourselves() || owner.is_anonymous() {
        return format!("toolcrib login {server}");
    }
    format!("toolcrib login {server} --sub {} --authority {}", quoted(&owner.subject), quoted(&owner.authority))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | ':');
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
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
