//! A login: a person agrees, in a browser, that we may act for them (authorization code with PKCE; RFC 6749, 7636, 8252, 9207).
//!
//! Who begins a login for one caller need not be who follows its address. So where an account is a caller's own, the page at the
//! end shows a code, and the sign-in counts once the caller brings it back: nobody signs another in by sending them a link.

use crate::{
    account::Account,
    client::{Client, Registered},
    discovery::{Discovered, ServerMetadata},
    error::OAuthError,
    out::{is_loopback, secure, shown},
    token::{Endpoint, Grant, GrantType},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use toolcrib_contract::{BoxFuture, Callback, Confirmation, Home, LoggedIn};
use toolcrib_egress::Url;
use zeroize::Zeroizing;

/// How long a login may take.
const WITHIN: Duration = Duration::from_secs(10 * 60);
/// The most logins that are under way at once: of one account, and in all. The oldest make room.
const MAX_PENDING_EACH: usize = 4;
const MAX_PENDING: usize = 1024;
/// The letters and digits of a code, without those that look alike.
const CODE_LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const CODE_LENGTH: usize = 10;

/// Where browsers come back to.
pub trait Landing: Send + Sync + fmt::Debug {
    /// The URL that is named to authorization servers: on this port of this machine, if one is given. What lands there is to be
    /// handed to `callback`.
    ///
    /// # Errors
    /// Why there is no such place, in a sentence.
    fn redirect_uri(&self, port: Option<u16>, callback: Arc<dyn Callback>) -> BoxFuture<'_, Result<String, String>>;
}

/// The logins that are under way.
#[derive(Debug)]
pub struct Logins {
    landing: Arc<dyn Landing>,
    /// Where they are finished: the state of each names it.
    home: Home,
    pending: Mutex<HashMap<String, Pending>>,
    confirming: Mutex<Vec<Confirming>>,
}

/// A login that a person was sent off with.
struct Pending {
    begun: Instant,
    account: Arc<Account>,
    confirmation: Confirm,
    verifier: Zeroizing<String>,
    redirect_uri: String,
    issuer: String,
    promises_issuer: bool,
    token_endpoint: String,
    resource: String,
    resource_metadata: Option<String>,
    client: Client,
    scopes: Vec<String>,
}

/// A login that is done but for the word of the caller that it was theirs.
struct Confirming {
    begun: Instant,
    account: Arc<Account>,
    code: String,
    grant: Grant,
}

/// A login that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The address that a person has to open.
    pub url: String,
    /// Whether the browser has to be on this machine, since it comes back to a port of it.
    pub is_here: bool,
}

/// Who is to say that a login was theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// Nobody: who begins it has the config in hands.
    Nobody,
    /// The caller who began it, by the code that the page shows.
    Caller,
}

impl Logins {
    /// No login yet.
    #[must_use]
    pub fn new(landing: Arc<dyn Landing>) -> Self {
        Self { landing, home: Home::default(), pending: Mutex::default(), confirming: Mutex::default() }
    }

    /// In a process among several: what browsers bring back belongs to the one whose name it begins with.
    #[must_use]
    pub fn at(self, home: Home) -> Self {
        Self { home, ..self }
    }

    /// Begins a login.
    ///
    /// # Errors
    /// [`OAuthError`].
    pub async fn begin(self: &Arc<Self>, account: &Arc<Account>, confirmation: Confirm) -> Result<Begun, OAuthError> {
        self.begin_at(account, confirmation, Arc::clone(self) as Arc<dyn Callback>).await
    }

    /// The same, where somebody else is told first what browsers bring back.
    ///
    /// # Errors
    /// [`OAuthError`].
    pub async fn begin_at(&self, account: &Arc<Account>, confirmation: Confirm, callback: Arc<dyn Callback>) -> Result<Begun, OAuthError> {
        let port = account.place.settings.callback_port;
        let redirect_uri = self.landing.redirect_uri(port, callback).await.map_err(OAuthError::NoLanding)?;
        let is_here = Url::parse(&redirect_uri).is_ok_and(|uri| is_loopback(&uri));
        let state = self.home.name(&random());
        let (url, mut pending) = begin(account, redirect_uri, &state).await?;
        pending.confirmation = confirmation;
        let mut all = self.pending();
        all.retain(|_, pending| pending.begun.elapsed() < WITHIN);
        make_room(&mut all, MAX_PENDING_EACH, |other| Arc::ptr_eq(&other.account, account));
        make_room(&mut all, MAX_PENDING, |_| true);
        all.insert(state, pending);
        Ok(Begun { url, is_here })
    }

    /// A browser has come back, with this query. Each login is finished once.
    ///
    /// # Errors
    /// [`OAuthError`].
    pub async fn finish(&self, query: &str) -> Result<LoggedIn, OAuthError> {
        let returned = Returned::parse(query);
        let pending = self.pending().remove(&returned.state).filter(|pending| pending.begun.elapsed() < WITHIN);
        let pending = pending.ok_or(OAuthError::UnknownLogin)?;
        returned.check_issuer(&pending)?;
        let code = returned.into_code();
        let grant = match code {
            Ok(code) => pending.exchange(&code).await,
            Err(error) => Err(error),
        };
        let grant = grant.inspect_err(|error| {
            if error.is_about_client() {
                pending.account.forget_client();
            }
        })?;
        let server = pending.account.server().to_owned();
        if pending.confirmation == Confirm::Nobody {
            pending.account.sign_in(&grant).await?;
            return Ok(LoggedIn { server, confirmation: None });
        }
        let confirmation = Confirmation { caller: pending.account.owner().principal().to_string(), code: confirmation_code() };
        let mut confirming = self.confirming();
        confirming.retain(|other| other.begun.elapsed() < WITHIN && !Arc::ptr_eq(&other.account, &pending.account));
        confirming.push(Confirming { begun: Instant::now(), account: pending.account, code: confirmation.code.clone(), grant });
        Ok(LoggedIn { server, confirmation: Some(confirmation) })
    }

    /// A caller brings the code that the page showed. There is one try.
    ///
    /// # Errors
    /// [`OAuthError`].
    pub async fn confirm(&self, account: &Arc<Account>, code: &str) -> Result<(), OAuthError> {
        let found = self.take_confirming(account).ok_or(OAuthError::UnknownLogin)?;
        let given: String = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
        let expected: String = found.code.chars().filter(char::is_ascii_alphanumeric).collect();
        // One try at fifty bits: how long the comparison takes tells nothing that helps.
        if given == expected { found.account.sign_in(&found.grant).await } else { Err(OAuthError::WrongCode) }
    }

    fn take_confirming(&self, account: &Arc<Account>) -> Option<Confirming> {
        let mut confirming = self.confirming();
        confirming.retain(|other| other.begun.elapsed() < WITHIN);
        let index = confirming.iter().position(|other| Arc::ptr_eq(&other.account, account))?;
        Some(confirming.swap_remove(index))
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<String, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn confirming(&self) -> MutexGuard<'_, Vec<Confirming>> {
        self.confirming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Callback for Logins {
    fn come_back<'a>(&'a self, query: &'a str) -> BoxFuture<'a, Result<LoggedIn, String>> {
        Box::pin(async {
            let finished = self.finish(query).await;
            finished.map_err(|error| {
                tracing::warn!("a login failed: {error}");
                error.to_string()
            })
        })
    }
}

/// The oldest of those make room for another.
fn make_room(all: &mut HashMap<String, Pending>, most: usize, is_of_those: impl Fn(&Pending) -> bool) {
    let mut those: Vec<(Instant, String)> =
        all.iter().filter(|(_, pending)| is_of_those(pending)).map(|(state, pending)| (pending.begun, state.clone())).collect();
    those.sort_unstable();
    let excess = (those.len() + 1).saturating_sub(most);
    those.iter().take(excess).for_each(|(_, state)| drop(all.remove(state)));
}

/// Prepares a login: the address to open, the state that comes back, and what is to be known then.
async fn begin(account: &Arc<Account>, redirect_uri: String, state: &str) -> Result<(String, Pending), OAuthError> {
    let grant = account.place.load(account.owner()).map_err(OAuthError::NotKept)?.map(|kept| kept.grant);
    let challenge = account.known_challenge(grant.as_ref());
    let found = account.place.discover(challenge.as_ref()).await?;
    let (authorization_endpoint, token_endpoint) = endpoints(&found.server)?;
    let scopes = account.scopes(&found, grant.as_ref());
    let client = match Client::beforehand(&account.place.settings, &found.server) {
        Some(client) => client,
        None => registered(account, &found, &redirect_uri, &scopes).await?,
    };
    let pending = Pending {
        begun: Instant::now(),
        account: Arc::clone(account),
        confirmation: Confirm::Caller,
        verifier: random(),
        redirect_uri,
        issuer: found.server.issuer.clone(),
        promises_issuer: found.server.authorization_response_iss_parameter_supported == Some(true),
        token_endpoint,
        resource: found.resource,
        resource_metadata: challenge.and_then(|challenge| challenge.resource_metadata),
        client,
        scopes,
    };
    Ok((pending.address(authorization_endpoint, state), pending))
}

/// Where people agree, and where tokens are: of a server that keeps to PKCE, and at places that nobody can listen to.
fn endpoints(server: &ServerMetadata) -> Result<(Url, String), OAuthError> {
    let lacking = |lacks| OAuthError::Lacking { issuer: shown(&server.issuer), lacks };
    let authorization_endpoint = server.authorization_endpoint.as_deref().ok_or_else(|| lacking("has no authorization endpoint"))?;
    let token_endpoint = server.token_endpoint.clone().ok_or_else(|| lacking("has no token endpoint"))?;
    if !server.code_challenge_methods_supported.iter().flatten().any(|method| method == "S256") {
        return Err(lacking("does not say that it takes PKCE with S256, without which a code could be stolen"));
    }
    secure(&token_endpoint)?;
    Ok((secure(authorization_endpoint)?, token_endpoint))
}

/// The client that this authorization server knows, or that it now gets to know.
async fn registered(account: &Account, found: &Discovered, redirect_uri: &str, scopes: &[String]) -> Result<Client, OAuthError> {
    let kept = account.place.client().map_err(OAuthError::NotKept)?;
    if let Some(kept) = kept.filter(|kept| kept.is_for(&found.server, redirect_uri)) {
        return Ok(kept.client);
    }
    let registered = Registered::register(&account.place.out, &found.server, redirect_uri, scopes).await;
    let registered = registered.map_err(|error| match error {
        // Nobody said that there is an authorization server at all.
        _ if found.is_assumed => OAuthError::NoAuthorizationServer { server: shown(account.place.url.as_str()) },
        error => error,
    })?;
    account.place.save_client(&registered)?;
    Ok(registered.client)
}

impl Pending {
    /// The address at which a person agrees (RFC 6749, section 4.1.1; RFC 7636, section 4.3; RFC 8707, section 2).
    fn address(&self, mut endpoint: Url, state: &str) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, self.verifier.as_bytes());
        endpoint
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client.id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("state", state)
            .append_pair("code_challenge", &BASE64_URL_SAFE_NO_PAD.encode(digest.as_ref()))
            .append_pair("code_challenge_method", "S256")
            .append_pair("resource", &self.resource);
        if !self.scopes.is_empty() {
            endpoint.query_pairs_mut().append_pair("scope", &self.scopes.join(" "));
        }
        // OpenID Connect gives a token to renew with only where the person is asked for it (Core, section 11).
        if self.scopes.iter().any(|scope| scope == "offline_access") {
            endpoint.query_pairs_mut().append_pair("prompt", "consent");
        }
        endpoint.into()
    }

    async fn exchange(&self, code: &str) -> Result<Grant, OAuthError> {
        let place = &self.account.place;
        let endpoint = Endpoint {
            server: place.url.as_str(),
            issuer: &self.issuer,
            url: &self.token_endpoint,
            resource: &self.resource,
            client: &self.client,
        };
        let grant_type = GrantType::AuthorizationCode { code, verifier: &self.verifier, redirect_uri: &self.redirect_uri };
        let grant = endpoint.ask(&place.out, grant_type, &self.scopes).await?;
        Ok(Grant { resource_metadata: self.resource_metadata.clone(), ..grant })
    }
}

/// What a browser brought back.
#[derive(Default)]
struct Returned {
    state: String,
    code: Option<Zeroizing<String>>,
    issuer: Option<String>,
    error: Option<String>,
    description: Option<String>,
}

impl Returned {
    fn parse(query: &str) -> Self {
        let mut returned = Self::default();
        let Ok(url) = Url::parse(&format!("http://localhost/?{query}")) else { return returned };
        for (name, value) in url.query_pairs() {
            let value = value.into_owned();
            match &*name {
                "state" => returned.state = value,
                "code" => returned.code = Some(Zeroizing::new(value)),
                "iss" => returned.issuer = Some(value),
                "error" => returned.error = Some(value),
                "error_description" => returned.description = Some(value),
                _ => {}
            }
        }
        returned
    }

    /// The code, or why there is none.
    fn into_code(self) -> Result<Zeroizing<String>, OAuthError> {
        if let Some(error) = &self.error {
            return Err(OAuthError::refused(error, self.description.as_deref()));
        }
        self.code.ok_or_else(|| OAuthError::refused("no code", Some("the answer holds neither a code nor an error")))
    }

    /// Checks that the answer is from whom it should be, as it is written (RFC 9207, section 2.4).
    fn check_issuer(&self, pending: &Pending) -> Result<(), OAuthError> {
        let expected = pending.issuer.clone();
        match &self.issuer {
            Some(found) if *found != expected => Err(OAuthError::ForeignIssuer { expected, found: shown(found) }),
            None if pending.promises_issuer => Err(OAuthError::MissingIssuer { expected }),
            _ => Ok(()),
        }
    }
}

fn random() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).expect("the operating system provides random numbers");
    Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes))
}

fn confirmation_code() -> String {
    let mut bytes = [0; CODE_LENGTH];
    getrandom::fill(&mut bytes).expect("the operating system provides random numbers");
    let letter = |byte: &u8| char::from(CODE_LETTERS[usize::from(byte % 32)]);
    let (first, second) = bytes.split_at(CODE_LENGTH / 2);
    format!("{}-{}", first.iter().map(letter).collect::<String>(), second.iter().map(letter).collect::<String>())
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("account", &self.account).finish_non_exhaustive()
    }
}

impl fmt::Debug for Confirming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirming").field("account", &self.account).finish_non_exhaustive()
    }
}
