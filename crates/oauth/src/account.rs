//! What we have at one server, for one owner: the token that goes with requests, the next one in time, and the word that
//! somebody has to sign in.

mod renewal;

use crate::{
    challenge::Challenge,
    client::Settings,
    discovery::Discovered,
    error::OAuthError,
    out::shown,
    place::{Kept, MAX_RENEWING, Place},
    token::{Grant, now},
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

/// How often it is looked whether another process has signed in or out.
const LOOK: Duration = Duration::from_secs(2);
/// How long a token that was refused as soon as it was got is not tried again.
const SPURNED: Duration = Duration::from_secs(10 * 60);
/// The most accounts of one server that are kept ready.
const MAX_ACCOUNTS: usize = 1024;
/// The most scopes that are asked for, and the longest.
const MAX_SCOPES: usize = 64;
const MAX_SCOPE_BYTES: usize = 256;

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
    work: tokio::sync::Mutex<Work>,
    /// Whether the server has asked this owner who it is.
    is_asked: AtomicBool,
    /// What the server said when it last refused us.
    challenge: Mutex<Option<Challenge>>,
    state: watch::Sender<State>,
}

/// How it stands with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing is known: nobody has asked who we are, or what is kept has not been tried.
    Unasked,
    /// There is a token.
    SignedIn,
    /// There is a token, which does not reach as far as something that was called.
    MoreWanted(String),
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

/// What goes with requests.
#[derive(Debug)]
struct Current {
    header: Option<HeaderValue>,
    /// When it has to be renewed, in seconds since 1970.
    fresh_until: Option<u64>,
    /// When it is looked whether another process has signed in or out.
    look_at: Option<Instant>,
}

/// Why a token is asked for.
enum Occasion {
    /// A request is to go out.
    Request,
    /// One was refused that went with this.
    Refusal(Option<HeaderValue>),
}

/// What only one at a time may do.
#[derive(Debug, Default)]
struct Work {
    failures: u32,
    /// When the token endpoint may be asked again, and what it failed with.
    failed: Option<(Instant, String)>,
    /// What we have as ourselves; it is not worth keeping.
    ours: Option<Grant>,
    /// What could not be kept, and what it was to be kept in place of.
    unsaved: Option<Kept>,
    /// What was refused as soon as it was got, and when.
    spurned: Option<(HeaderValue, Instant)>,
}

impl Accounts {
    /// The accounts at a server.
    ///
    /// # Errors
    /// [`Setup`].
    pub fn new(name: Arc<str>, url: Url, settings: Settings, egress: &Egress, vault: Arc<dyn Vault>) -> Result<Self, Setup> {
        Ok(Self { place: Arc::new(Place::new(name, url, settings, egress, vault)?), each: Mutex::default() })
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

    /// Turns true once the server has asked any owner who it is.
    #[must_use]
    pub fn asks(&self) -> watch::Receiver<bool> {
        self.place.asks.subscribe()
    }

    /// Waits until every renewal that has begun is brought to its end, and lets no other begin.
    pub async fn settle(&self) {
        // It was never closed: nobody else closes it.
        let all = self.place.renewing.acquire_many(MAX_RENEWING).await;
        self.place.renewing.close();
        drop(all);
    }
}

impl Account {
    fn new(place: Arc<Place>, owner: &CallerId) -> Self {
        Self {
            place,
            owner: owner.clone(),
            current: ArcSwapOption::empty(),
            work: tokio::sync::Mutex::default(),
            is_asked: AtomicBool::new(false),
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

    /// How it stands, as it changes.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// What goes into the `Authorization` header of the next request, if anything.
    ///
    /// # Errors
    /// [`Problem`], where there was something and it is no longer good.
    ///
    /// # Cancellation
    /// Whoever leaves breaks nothing off: a token that is being renewed is renewed.
    pub async fn header(self: &Arc<Self>) -> Result<Option<HeaderValue>, Problem> {
        match &*self.current.load() {
            Some(current) if current.is_fresh() => Ok(current.header.clone()),
            _ => self.provide(Occasion::Request).await,
        }
    }

    /// The server refused a request that went with `used`: the first attempt, or already `again`.
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
        let wants_more = challenge.as_ref().is_some_and(Challenge::wants_more_scope);
        if status == 401 || (status == 403 && wants_more) {
            (*self.challenge()).clone_from(&challenge);
        }
        match (status, challenge) {
            (401, challenge) => self.unauthorized(used, challenge.as_ref(), again).await,
            (403, Some(challenge)) if wants_more => self.more_scope(used, &challenge, again).await,
            _ => Ok(Redress::None),
        }
    }

    async fn unauthorized(
        self: &Arc<Self>,
        used: Option<&HeaderValue>,
        challenge: Option<&Challenge>,
        again: bool,
    ) -> Result<Redress, Problem> {
        self.is_asked.store(true, Ordering::Relaxed);
        if let Some(used) = used.filter(|used| again && self.is_current(used)) {
            self.work.lock().await.spurned = Some((used.clone(), Instant::now()));
            return Err(self.login_needed("it refuses the token that was just obtained for it"));
        }
        match self.provide(Occasion::Refusal(used.cloned())).await? {
            Some(header) if used != Some(&header) => Ok(Redress::Retry),
            _ => Err(self.who_asks(challenge).await),
        }
    }

    /// Finds out who could give us a token, to say so.
    async fn who_asks(&self, challenge: Option<&Challenge>) -> Problem {
        if let State::LoginNeeded(reason) = self.state() {
            return Problem::LoginNeeded(reason);
        }
        let elsewhere = |reason: &str| {
            Problem::Unauthorized(format!("the server refuses us (401){reason}: check the headers or credentials in the config"))
        };
        match self.place.discover(challenge).await {
            Ok(found) if !found.is_assumed => {
                self.login_needed(&format!("it wants somebody to sign in at {}", shown(&found.server.issuer)))
            }
            Ok(_) | Err(OAuthError::NoAuthorizationServer { .. }) if challenge.is_none() => elsewhere(" and names no authorization server"),
            Err(OAuthError::Insecure { .. }) if challenge.is_none() => elsewhere(""),
            Ok(_) => self.login_needed("it wants somebody to sign in"),
            Err(error) if error.is_passing() => Problem::Failing(format!("it wants somebody to sign in, and cannot say where: {error}")),
            Err(error) => self.login_needed(&format!("it wants somebody to sign in, but that cannot be done safely: {error}")),
        }
    }

    /// The token is good, and does not reach far enough.
    async fn more_scope(self: &Arc<Self>, used: Option<&HeaderValue>, challenge: &Challenge, again: bool) -> Result<Redress, Problem> {
        let mut work = self.work.lock().await;
        let scope = challenge.scope.as_deref().map(|scope| format!(" (scope {})", shown(scope))).unwrap_or_default();
        if self.place.settings.is_machine {
            let mut wanted = work.ours.as_ref().map(|ours| ours.wanted_scopes.clone()).unwrap_or_default();
            let had = wanted.len();
            unite(&mut wanted, challenge.scopes());
            if again || wanted.len() == had {
                return Err(Problem::Unauthorized(format!("it wants more than we are given{scope}")));
            }
            return self.obtain(&mut work, &wanted).await.map(|_| Redress::Retry);
        }
        let kept = self.kept(&mut work).map_err(Problem::Failing)?;
        if let Some(Kept { grant, .. }) = kept.as_ref().filter(|kept| used != Some(&kept.grant.header()) && !again) {
            self.adopt(grant);
            return Ok(Redress::Retry);
        }
        let reason = format!("this needs more than was agreed to when somebody signed in{scope}");
        if let Some(Kept { mut grant, version }) = kept {
            unite(&mut grant.wanted_scopes, challenge.scopes());
            if let Err(fault) = self.place.replace(&self.owner, &version, Some(&grant)) {
                tracing::warn!(server = self.server(), "what the next login has to ask for is not kept: {fault}");
            }
            self.state.send_replace(State::MoreWanted(reason.clone()));
        }
        Err(Problem::LoginNeeded(reason))
    }

    /// Whether there is somewhere to sign in: the server names an authorization server.
    ///
    /// # Errors
    /// [`OAuthError`]: why that cannot be told, or why it cannot be done safely.
    pub async fn can_sign_in(&self) -> Result<bool, OAuthError> {
        match self.place.discover(self.known_challenge(None).as_ref()).await {
            Ok(found) => Ok(!found.is_assumed || self.is_asked.load(Ordering::Relaxed)),
            Err(OAuthError::NoAuthorizationServer { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the server has asked for more than was agreed to.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub fn wants_more(&self) -> Result<bool, String> {
        Ok(self.place.load(&self.owner)?.is_some_and(|kept| kept.grant.wants_more()))
    }

    /// Completes when somebody who had to has signed in, here or in another process.
    pub async fn until_signed_in(self: &Arc<Self>) {
        let mut state = self.state.subscribe();
        loop {
            if matches!(*state.borrow_and_update(), State::SignedIn) {
                return;
            }
            tokio::select! {
                _ = state.changed() => {}
                () = tokio::time::sleep(LOOK) => {
                    let work = self.work.lock().await;
                    let is_more_wanted = matches!(self.state(), State::MoreWanted(_));
                    let is_old = |grant: &Grant| work.spurns(&grant.header()) || (is_more_wanted && grant.wants_more());
                    if self.place.load(&self.owner).ok().flatten().is_some_and(|kept| !is_old(&kept.grant)) {
                        // Whether it is any good, the next request will tell.
                        self.current.store(None);
                        self.state.send_replace(State::Unasked);
                        return;
                    }
                }
            }
        }
    }

    /// Signs in with this.
    pub(crate) async fn sign_in(&self, grant: &Grant) -> Result<(), OAuthError> {
        // What is being renewed is kept first, and then replaced.
        let mut work = self.work.lock().await;
        self.place.save(&self.owner, grant).map_err(OAuthError::NotKept)?;
        *work = Work::default();
        *self.challenge() = None;
        self.is_asked.store(true, Ordering::Relaxed);
        self.adopt(grant);
        Ok(())
    }

    /// Signs out, as far as we know, and forgets what the authorization server knows us as. Returns whether somebody was signed in.
    ///
    /// # Errors
    /// Why it may still be known.
    pub async fn forget(&self) -> Result<bool, String> {
        let mut work = self.work.lock().await;
        let was_kept = self.place.load(&self.owner)?.is_some();
        self.place.forget(&self.owner)?;
        self.forget_client();
        *work = Work::default();
        self.current.store(None);
        self.state.send_replace(State::Unasked);
        Ok(was_kept)
    }

    /// Forgets what the authorization server knows us as: the next login registers us anew.
    pub fn forget_client(&self) {
        self.place.forget_client();
    }

    /// The scopes to ask for: what the config says; else what was agreed to and what was asked for since; else what the
    /// server says. A server that gives tokens to renew with only to those who ask is asked.
    pub(crate) fn scopes(&self, found: &Discovered, grant: Option<&Grant>) -> Vec<String> {
        const OFFLINE: &str = "offline_access";
        let challenge = self.challenge().clone().unwrap_or_default();
        let mut scopes = Vec::new();
        match (&self.place.settings.scopes, grant) {
            (Some(configured), _) => scopes.clone_from(configured),
            (None, Some(grant)) if grant.wants_more() => {
                unite(&mut scopes, grant.scopes.iter().chain(&grant.wanted_scopes).map(String::as_str));
            }
            (None, _) if challenge.scope.is_some() => unite(&mut scopes, challenge.scopes()),
            (None, _) => unite(&mut scopes, found.scopes.iter().map(String::as_str)),
        }
        let is_offered = found.server.offers_scope(OFFLINE);
        if !scopes.is_empty() && is_offered && !self.place.settings.is_machine {
            unite(&mut scopes, [OFFLINE]);
        }
        scopes
    }

    /// What the server has said when it refused us, or when we last signed in.
    pub(crate) fn known_challenge(&self, grant: Option<&Grant>) -> Option<Challenge> {
        let challenge = self.challenge().clone();
        let known = || Some(Challenge { resource_metadata: grant?.resource_metadata.clone(), ..Challenge::default() });
        challenge.filter(|challenge| challenge.resource_metadata.is_some()).or_else(known)
    }

    fn is_current(&self, header: &HeaderValue) -> bool {
        self.current.load().as_ref().is_some_and(|current| current.header.as_ref() == Some(header))
    }

    fn signed_out(&self, kept: &Kept, reason: &str) -> Problem {
        if let Err(fault) = self.place.replace(&self.owner, &kept.version, None) {
            tracing::warn!(server = self.server(), "a sign-in that is no longer good is still kept: {fault}");
        }
        self.login_needed(reason)
    }

    /// A person cannot help where we sign in by ourselves.
    fn login_needed(&self, reason: &str) -> Problem {
        self.show_nothing(Some(LOOK));
        if self.place.settings.is_machine {
            return Problem::Unauthorized(format!("the server refuses us (401): {reason}"));
        }
        self.place.asks.send_if_modified(|asks| !std::mem::replace(asks, true));
        self.state.send_replace(State::LoginNeeded(reason.to_owned()));
        Problem::LoginNeeded(reason.to_owned())
    }

    fn challenge(&self) -> MutexGuard<'_, Option<Challenge>> {
        self.challenge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Occasion {
    fn is_met_by(&self, header: Option<&HeaderValue>) -> bool {
        match self {
            Self::Request => true,
            Self::Refusal(used) => header.is_some() && header != used.as_ref(),
        }
    }

    /// Whether this is what was refused.
    fn is_about(&self, header: &HeaderValue) -> bool {
        matches!(self, Self::Refusal(Some(used)) if used == header)
    }
}

impl Current {
    fn is_fresh(&self) -> bool {
        self.fresh_until.is_none_or(|until| now() < until) && self.look_at.is_none_or(|look_at| Instant::now() < look_at)
    }
}

impl Work {
    /// Whether this was refused as soon as it was got, a short while ago.
    fn spurns(&self, header: &HeaderValue) -> bool {
        self.spurned.as_ref().is_some_and(|(spurned, since)| spurned == header && since.elapsed() < SPURNED)
    }
}

/// Adds what is not there yet, as far as anybody needs it: a server may ask for anything.
fn unite<'a>(scopes: &mut Vec<String>, more: impl IntoIterator<Item = &'a str>) {
    for scope in more.into_iter().filter(|scope| scope.len() <= MAX_SCOPE_BYTES) {
        if scopes.len() < MAX_SCOPES && !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("server", &self.place.name).field("owner", self.owner.principal()).finish_non_exhaustive()
    }
}
