//! What we have at one server, for one owner: the token that goes with requests, the next one in time, and the word that
//! somebody has to sign in.
//!
//! A token endpoint that fails ends nothing: the old token serves for as long as it is good, and the next one is asked for
//! again, at growing intervals. Only the authorization server's own "no" ends a sign-in.

use crate::{
    challenge::Challenge,
    client::{Client, Registered, Settings},
    discovery::{Discovered, discover},
    error::OAuthError,
    out::{Out, shown},
    token::{Endpoint, Grant, Shown, now},
};
use arc_swap::ArcSwapOption;
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use toolcrib_contract::{CallerId, Vault};
use toolcrib_egress::{Egress, HeaderValue, Setup, Url};

/// The wait after a token endpoint failed; it doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// How often it is looked whether another process has signed in.
const LOOK: Duration = Duration::from_secs(2);
/// The most accounts of one server that are kept ready.
const MAX_ACCOUNTS: usize = 1024;

/// Where accounts are: one MCP server, and how to sign in there.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: Arc<str>,
    pub(crate) url: Url,
    pub(crate) settings: Settings,
    pub(crate) out: Out,
    pub(crate) vault: Arc<dyn Vault>,
}

/// The accounts at one server, by owner.
#[derive(Debug)]
pub struct Accounts {
    place: Arc<Place>,
    each: Mutex<HashMap<Arc<str>, Arc<Account>>>,
}

/// What one owner has at one server.
pub struct Account {
    pub(crate) place: Arc<Place>,
    owner: CallerId,
    current: ArcSwapOption<Current>,
    /// Whether it is known that there is nothing to show.
    has_nothing: AtomicBool,
    work: tokio::sync::Mutex<Work>,
    /// What the server said when it last refused us.
    challenge: Mutex<Option<Challenge>>,
    state: watch::Sender<State>,
}

/// How it stands with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nobody has asked who we are.
    Unasked,
    /// There is a token.
    SignedIn,
    /// Somebody has to sign in, and why.
    LoginNeeded(String),
}

/// Why a request cannot go out, or is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Somebody has to sign in, for this reason.
    #[error("{0}")]
    LoginNeeded(String),
    /// It may work in a while.
    #[error("{0}")]
    Failing(String),
    /// No sign-in helps here.
    #[error("{0}")]
    Unauthorized(String),
}

/// What to do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redress {
    /// Ask again: there is another token now.
    Retry,
    /// It is not about tokens.
    None,
}

/// The token that goes with requests.
#[derive(Debug)]
struct Current {
    header: HeaderValue,
    fresh_until: Option<u64>,
}

/// What only one at a time may do.
#[derive(Debug, Default)]
struct Work {
    failures: u32,
    /// When the token endpoint may be asked again, and what it failed with.
    failed: Option<(Instant, String)>,
    /// What we have as ourselves; it is not worth keeping.
    ours: Option<Grant>,
}

impl Accounts {
    /// The accounts at a server.
    ///
    /// # Errors
    /// [`Setup`].
    pub fn new(name: Arc<str>, url: Url, settings: Settings, egress: &Egress, vault: Arc<dyn Vault>) -> Result<Self, Setup> {
        let out = Out::new(egress, &url)?;
        Ok(Self { place: Arc::new(Place { name, url, settings, out, vault }), each: Mutex::default() })
    }

    /// What this caller has there.
    #[must_use]
    pub fn of(&self, owner: &CallerId) -> Arc<Account> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if each.len() >= MAX_ACCOUNTS {
            each.retain(|_, account| Arc::strong_count(account) > 1);
        }
        let account = each.entry(Arc::clone(owner.principal())).or_insert_with(|| Arc::new(Account::new(Arc::clone(&self.place), owner)));
        Arc::clone(account)
    }

    /// Whether we sign in as ourselves, without a person.
    #[must_use]
    pub fn is_machine(&self) -> bool {
        self.place.settings.is_machine
    }
}

impl Account {
    fn new(place: Arc<Place>, owner: &CallerId) -> Self {
        Self {
            place,
            owner: owner.clone(),
            current: ArcSwapOption::empty(),
            has_nothing: AtomicBool::new(false),
            work: tokio::sync::Mutex::default(),
            challenge: Mutex::default(),
            state: watch::Sender::new(State::Unasked),
        }
    }

    /// The name of the server.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.place.name
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> &CallerId {
        &self.owner
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// What goes into the `Authorization` header of the next request, if anything.
    ///
    /// # Errors
    /// [`Problem`], where there was something and it is no longer good.
    ///
    /// # Cancellation
    /// Whoever leaves breaks nothing off: a token that is being renewed is renewed.
    pub async fn header(self: &Arc<Self>) -> Result<Option<HeaderValue>, Problem> {
        if let Some(current) = &*self.current.load()
            && current.is_fresh()
        {
            return Ok(Some(current.header.clone()));
        }
        if self.has_nothing.load(Ordering::Relaxed) {
            return Ok(None);
        }
        self.provide(None).await
    }

    /// The server refused a request that went with `used`, as the answer to one that was sent before or already `again`.
    ///
    /// # Errors
    /// Why asking again does not help.
    pub async fn refused(
        self: &Arc<Self>,
        used: Option<&HeaderValue>,
        status: u16,
        challenge: Option<Challenge>,
        again: bool,
    ) -> Result<Redress, Problem> {
        match (status, challenge) {
            (401, challenge) => {
                (*self.challenge()).clone_from(&challenge);
                self.unauthorized(used, challenge, again).await
            }
            (403, Some(challenge)) if challenge.wants_more_scope() => self.more_scope(used, &challenge, again).await,
            _ => Ok(Redress::None),
        }
    }

    async fn unauthorized(
        self: &Arc<Self>,
        used: Option<&HeaderValue>,
        challenge: Option<Challenge>,
        again: bool,
    ) -> Result<Redress, Problem> {
        if again {
            return Err(self.login_needed("it refuses the token that was just obtained for it"));
        }
        match self.provide(used.cloned()).await? {
            Some(header) if used != Some(&header) => Ok(Redress::Retry),
            _ => Err(self.who_asks(challenge.as_ref()).await),
        }
    }

    /// Finds out who could give us a token, to say so.
    async fn who_asks(&self, challenge: Option<&Challenge>) -> Problem {
        match self.discover(challenge).await {
            Ok(found) if !found.is_assumed => {
                self.login_needed(&format!("it wants somebody to sign in at {}", shown(&found.server.issuer)))
            }
            Ok(_) | Err(OAuthError::NoAuthorizationServer { .. }) if challenge.is_none() => Problem::Unauthorized(
                "the server refuses us (401) and names no authorization server: check the headers or credentials in the config".into(),
            ),
            Ok(_) => self.login_needed("it wants somebody to sign in"),
            Err(error) if error.is_passing() => Problem::Failing(format!("it wants somebody to sign in, and cannot say where: {error}")),
            Err(error) => self.login_needed(&format!("it wants somebody to sign in, but that cannot be done safely: {error}")),
        }
    }

    /// The token is good, and does not reach far enough.
    async fn more_scope(self: &Arc<Self>, used: Option<&HeaderValue>, challenge: &Challenge, again: bool) -> Result<Redress, Problem> {
        let mut work = self.work.lock().await;
        if let Some(mut ours) = work.ours.take() {
            let had = ours.wanted_scopes.len();
            unite(&mut ours.wanted_scopes, challenge.scopes());
            let is_news = ours.wanted_scopes.len() > had && !again;
            work.ours = Some(ours);
            if is_news {
                return self.obtain(&mut work).await.map(|_| Redress::Retry);
            }
            return Err(Problem::Unauthorized(format!(
                "it wants more than we are given (scope {})",
                challenge.scope.as_deref().unwrap_or("?")
            )));
        }
        let kept = self.kept().map_err(Problem::Failing)?;
        if let Some(grant) = kept.as_ref().filter(|grant| used != Some(&grant.header()) && !again) {
            self.adopt(grant, self.fresh_until(grant));
            return Ok(Redress::Retry);
        }
        if let Some(mut grant) = kept {
            unite(&mut grant.wanted_scopes, challenge.scopes());
            self.keep(&grant);
        }
        let scope = challenge.scope.as_deref().map(|scope| format!(" (scope {scope})")).unwrap_or_default();
        Err(Problem::LoginNeeded(format!("this needs more than was agreed to when somebody signed in{scope}")))
    }

    /// Whether the server has asked for more than was agreed to.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub fn wants_more(&self) -> Result<bool, String> {
        Ok(self.kept()?.is_some_and(|grant| grant.wanted_scopes.iter().any(|wanted| !grant.scopes.contains(wanted))))
    }

    /// Completes when somebody has to sign in, with the reason.
    pub async fn until_login_is_needed(&self) -> String {
        let mut state = self.state.subscribe();
        loop {
            if let State::LoginNeeded(reason) = &*state.borrow_and_update() {
                return reason.clone();
            }
            if state.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Completes when somebody who had to has signed in, here or in another process.
    pub async fn until_signed_in(self: &Arc<Self>) {
        loop {
            let mut state = self.state.subscribe();
            if matches!(*state.borrow_and_update(), State::SignedIn) {
                return;
            }
            tokio::select! {
                _ = state.changed() => {}
                () = tokio::time::sleep(LOOK) => {
                    if matches!(self.state(), State::LoginNeeded(_)) && self.kept().is_ok_and(|kept| kept.is_some()) {
                        // Whether it is any good, the next request will tell.
                        self.has_nothing.store(false, Ordering::Relaxed);
                        self.state.send_replace(State::Unasked);
                        return;
                    }
                }
            }
        }
    }

    /// Signs out, as far as we know.
    ///
    /// # Errors
    /// Why it may still be known.
    pub fn forget(&self) -> Result<bool, String> {
        let was_kept = self.kept()?.is_some();
        self.place.vault.forget(&self.grant_name(), &self.owner)?;
        self.current.store(None);
        self.state.send_replace(State::Unasked);
        Ok(was_kept)
    }

    /// A token that is not the one that was refused; none if there is nothing to show. The work is done to its end, whoever
    /// waits for it.
    async fn provide(self: &Arc<Self>, refused: Option<HeaderValue>) -> Result<Option<HeaderValue>, Problem> {
        let this = Arc::clone(self);
        let work = tokio::spawn(async move { this.provide_alone(refused.as_ref()).await });
        work.await.unwrap_or_else(|_| Err(Problem::Failing("the process is ending".into())))
    }

    async fn provide_alone(&self, refused: Option<&HeaderValue>) -> Result<Option<HeaderValue>, Problem> {
        let mut work = self.work.lock().await;
        // Somebody may have been quicker.
        if let Some(current) = &*self.current.load()
            && current.is_fresh()
            && refused != Some(&current.header)
        {
            return Ok(Some(current.header.clone()));
        }
        if self.place.settings.is_machine {
            return self.obtain(&mut work).await.map(Some);
        }
        let Some(grant) = self.kept().map_err(Problem::Failing)? else {
            self.current.store(None);
            self.has_nothing.store(true, Ordering::Relaxed);
            return Ok(None);
        };
        let is_refused = refused == Some(&grant.header());
        if !is_refused && self.fresh_until(&grant).is_none_or(|until| now() < until) {
            return Ok(Some(self.adopt(&grant, self.fresh_until(&grant))));
        }
        self.renew(&mut work, grant, is_refused).await.map(Some)
    }

    async fn renew(&self, work: &mut Work, grant: Grant, is_refused: bool) -> Result<HeaderValue, Problem> {
        let is_good = !is_refused && !grant.is_expired();
        if let Some((again_at, reason)) = work.failed.as_ref().filter(|(again_at, _)| Instant::now() < *again_at) {
            return if is_good { Ok(self.adopt_for_now(&grant, *again_at)) } else { Err(Problem::Failing(reason.clone())) };
        }
        match grant.refreshed(&self.place.out).await {
            Ok(Some(next)) => {
                (work.failures, work.failed) = (0, None);
                tracing::debug!(server = %self.place.name, "the token was renewed");
                self.keep(&next);
                Ok(self.adopt(&next, self.fresh_until(&next)))
            }
            Ok(None) if is_good => Ok(self.adopt(&grant, grant.expires_at)),
            Ok(None) => Err(self.signed_out("its token is no longer good, and it gave none to renew it with")),
            Err(error) if error.is_passing() => {
                let (again_at, reason) = self.fail(work, &error);
                if is_good { Ok(self.adopt_for_now(&grant, again_at)) } else { Err(Problem::Failing(reason)) }
            }
            // With a token that is good once, whoever of two processes comes second is refused: the first has the next one.
            Err(error) => match self.kept().ok().flatten().filter(|kept| kept.access_token != grant.access_token && !kept.is_expired()) {
                Some(newer) => Ok(self.adopt(&newer, self.fresh_until(&newer))),
                None => {
                    if matches!(&error, OAuthError::Refused { code, .. } if code == "invalid_client") {
                        self.forget_client();
                    }
                    Err(self.signed_out(&format!("the sign-in is no longer good: {error}")))
                }
            },
        }
    }

    /// A token that we get as ourselves.
    async fn obtain(&self, work: &mut Work) -> Result<HeaderValue, Problem> {
        if let Some((_, reason)) = work.failed.as_ref().filter(|(again_at, _)| Instant::now() < *again_at) {
            return Err(Problem::Failing(reason.clone()));
        }
        let wanted = work.ours.as_ref().map(|ours| ours.wanted_scopes.clone()).unwrap_or_default();
        match self.as_ourselves(&wanted).await {
            Ok(grant) => {
                (work.failures, work.failed) = (0, None);
                let header = self.adopt(&grant, grant.fresh_until());
                work.ours = Some(grant);
                Ok(header)
            }
            Err(error) if error.is_passing() => Err(Problem::Failing(self.fail(work, &error).1)),
            Err(error) => Err(Problem::Unauthorized(format!("it gives us no token: {error}"))),
        }
    }

    async fn as_ourselves(&self, wanted: &[String]) -> Result<Grant, OAuthError> {
        let challenge = self.last_challenge();
        let found = self.discover(challenge.as_ref()).await?;
        let issuer = shown(&found.server.issuer);
        let lacking = |lacks| OAuthError::Lacking { issuer: issuer.clone(), lacks };
        let client = Client::beforehand(&self.place.settings, &found.server).ok_or_else(|| lacking("knows no client of ours"))?;
        let url = found.server.token_endpoint.as_deref().ok_or_else(|| lacking("has no token endpoint"))?;
        let mut scopes = self.scopes(&found, None);
        unite(&mut scopes, wanted.iter().map(String::as_str));
        let (server, issuer, resource) = (self.place.url.as_str(), found.server.issuer.as_str(), found.resource.as_str());
        let mut grant = Endpoint { server, issuer, url, resource, client: &client }.ask(&self.place.out, Shown::Ourselves, &scopes).await?;
        grant.wanted_scopes = wanted.to_vec();
        Ok(grant)
    }

    /// Who gives out tokens for the server, by what it last said or says now.
    pub(crate) async fn discover(&self, challenge: Option<&Challenge>) -> Result<Discovered, OAuthError> {
        let Place { out, url, settings, .. } = &*self.place;
        discover(out, url, challenge, settings.issuer.as_deref()).await
    }

    /// The scopes to ask for: what the config says; else what was agreed to and what was asked for since; else what the
    /// server says. A server that gives tokens to renew with only to those who ask is asked.
    pub(crate) fn scopes(&self, found: &Discovered, grant: Option<&Grant>) -> Vec<String> {
        const OFFLINE: &str = "offline_access";
        let challenge = self.last_challenge().unwrap_or_default();
        let mut scopes = Vec::new();
        match (&self.place.settings.scopes, grant) {
            (Some(configured), _) => scopes.clone_from(configured),
            (None, Some(grant)) if !grant.wanted_scopes.is_empty() => {
                unite(&mut scopes, grant.scopes.iter().chain(&grant.wanted_scopes).map(String::as_str));
            }
            (None, _) if challenge.scope.is_some() => unite(&mut scopes, challenge.scopes()),
            (None, _) => scopes.clone_from(&found.scopes),
        }
        let is_offered = found.server.scopes_supported.iter().any(|scope| scope == OFFLINE);
        if !scopes.is_empty() && is_offered && !self.place.settings.is_machine {
            unite(&mut scopes, [OFFLINE]);
        }
        scopes
    }

    /// What is kept of this account, if it was made at this URL: a token of one server goes to no other.
    pub(crate) fn kept(&self) -> Result<Option<Grant>, String> {
        let Some(text) = self.place.vault.load(&self.grant_name(), &self.owner)? else { return Ok(None) };
        let grant: Option<Grant> = serde_json::from_str(&text).ok();
        Ok(grant.filter(|grant| grant.server == self.place.url.as_str()))
    }

    /// Signs in with this.
    pub(crate) fn sign_in(&self, grant: &Grant) -> Result<(), OAuthError> {
        self.save(grant).map_err(OAuthError::NotKept)?;
        *self.challenge() = None;
        self.adopt(grant, self.fresh_until(grant));
        Ok(())
    }

    pub(crate) fn kept_client(&self) -> Result<Option<Registered>, String> {
        let text = self.place.vault.load(&self.client_name(), &CallerId::ourselves())?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    pub(crate) fn keep_client(&self, client: &Registered) -> Result<(), OAuthError> {
        let text = zeroize::Zeroizing::new(serde_json::to_string(client).expect("what is kept can be written"));
        self.place.vault.save(&self.client_name(), &CallerId::ourselves(), &text).map_err(OAuthError::NotKept)
    }

    fn forget_client(&self) {
        if let Err(reason) = self.place.vault.forget(&self.client_name(), &CallerId::ourselves()) {
            tracing::warn!(server = %self.place.name, "a registration that is no longer good is still kept: {reason}");
        }
    }

    fn save(&self, grant: &Grant) -> Result<(), String> {
        let text = zeroize::Zeroizing::new(serde_json::to_string(grant).expect("what is kept can be written"));
        self.place.vault.save(&self.grant_name(), &self.owner, &text)
    }

    /// Keeps what has changed; if that fails, it serves until the process ends.
    fn keep(&self, grant: &Grant) {
        if let Err(reason) = self.save(grant) {
            tracing::error!(server = %self.place.name, "a sign-in will not outlast this process: {reason}");
        }
    }

    fn adopt(&self, grant: &Grant, fresh_until: Option<u64>) -> HeaderValue {
        let header = grant.header();
        self.current.store(Some(Arc::new(Current { header: header.clone(), fresh_until })));
        self.has_nothing.store(false, Ordering::Relaxed);
        self.state.send_if_modified(|state| std::mem::replace(state, State::SignedIn) != State::SignedIn);
        header
    }

    /// Goes on with a token that is still good, until the next may be asked for again.
    fn adopt_for_now(&self, grant: &Grant, again_at: Instant) -> HeaderValue {
        let soon = now() + again_at.saturating_duration_since(Instant::now()).as_secs() + 1;
        self.adopt(grant, Some(grant.expires_at.map_or(soon, |expires| expires.min(soon))))
    }

    fn fresh_until(&self, grant: &Grant) -> Option<u64> {
        if grant.refresh_token.is_some() { grant.fresh_until() } else { grant.expires_at }
    }

    fn fail(&self, work: &mut Work, error: &OAuthError) -> (Instant, String) {
        let wait = MIN_BACKOFF.saturating_mul(1 << work.failures.min(16)).min(MAX_BACKOFF);
        work.failures += 1;
        let reason = format!("its token cannot be renewed just now, which is tried again: {error}");
        tracing::warn!(server = %self.place.name, again_in_ms = wait.as_millis(), "{reason}");
        let again_at = Instant::now() + wait;
        work.failed = Some((again_at, reason.clone()));
        (again_at, reason)
    }

    fn signed_out(&self, reason: &str) -> Problem {
        if let Err(fault) = self.place.vault.forget(&self.grant_name(), &self.owner) {
            tracing::warn!(server = %self.place.name, "a sign-in that is no longer good is still kept: {fault}");
        }
        self.login_needed(reason)
    }

    fn login_needed(&self, reason: &str) -> Problem {
        self.current.store(None);
        self.state.send_replace(State::LoginNeeded(reason.to_owned()));
        Problem::LoginNeeded(reason.to_owned())
    }

    /// What the server said when it last refused us.
    pub(crate) fn last_challenge(&self) -> Option<Challenge> {
        self.challenge().clone()
    }

    fn challenge(&self) -> MutexGuard<'_, Option<Challenge>> {
        self.challenge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn grant_name(&self) -> String {
        format!("grant:{}", self.place.name)
    }

    fn client_name(&self) -> String {
        format!("client:{}", self.place.name)
    }
}

impl Current {
    fn is_fresh(&self) -> bool {
        self.fresh_until.is_none_or(|until| now() < until)
    }
}

/// Adds what is not there yet.
fn unite<'a>(scopes: &mut Vec<String>, more: impl IntoIterator<Item = &'a str>) {
    for scope in more {
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("server", &self.place.name).field("owner", self.owner.principal()).finish_non_exhaustive()
    }
}
