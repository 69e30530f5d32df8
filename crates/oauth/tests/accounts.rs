//! Accounts against an authorization server on loopback that does just what a test says.

#![expect(clippy::unwrap_used, reason = "in a test, what goes wrong ends it")]

use serde_json::json;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use toolcrib_contract::{BoxFuture, Callback, CallerId, Stored, Vault, Version};
use toolcrib_egress::{Config, Egress, HeaderValue, Url};
use toolcrib_oauth::{
    Account, Accounts, Begun, Challenge, Confirm, InMemory, Landing, Logins, OAuthError, Problem, Redress, Settings, State,
};
use toolcrib_testkit::{Asked, Served, Site};

/// Answers a form that was posted to the token endpoint.
type TokenEndpoint = dyn Fn(&str) -> Served + Send + Sync;

/// An MCP server and its authorization server, of which only the token endpoint matters.
async fn site(token_endpoint: impl Fn(&str) -> Served + Send + Sync + 'static) -> Site {
    let token_endpoint: Box<TokenEndpoint> = Box::new(token_endpoint);
    Site::serve(move |asked| answer(asked, &*token_endpoint)).await
}

fn answer(asked: &Asked, token_endpoint: &TokenEndpoint) -> Served {
    let host = asked.header("host").unwrap();
    match asked.path.as_str() {
        "/.well-known/oauth-protected-resource/mcp" => {
            Served::json(json!({"resource": format!("http://{host}/mcp"), "authorization_servers": [format!("http://{host}")], "scopes_supported": null}).to_string())
        }
        "/.well-known/oauth-authorization-server" => {
            let (issuer, token, register) = (format!("http://{host}"), format!("http://{host}/token"), format!("http://{host}/register"));
            Served::json(
                json!({"issuer": issuer, "authorization_endpoint": format!("http://{host}/authorize"), "token_endpoint": token,
                    "registration_endpoint": register, "code_challenge_methods_supported": ["S256"]})
                .to_string(),
            )
        }
        "/register" => Served::json(r#"{"client_id":"registered","client_secret":"s3cret"}"#),
        "/token" => token_endpoint(&asked.body),
        _ => Served::new(404, ""),
    }
}

fn token(name: &str, lifetime_secs: u64) -> Served {
    Served::json(
        json!({"access_token": name, "token_type": "bearer", "expires_in": lifetime_secs, "refresh_token": format!("after-{name}")})
            .to_string(),
    )
}

fn refused(code: &str) -> Served {
    Served::new(400, json!({"error": code}).to_string()).header("content-type", "application/json")
}

fn accounts(site: &Site, settings: Settings, vault: Arc<dyn Vault>) -> Accounts {
    let url = Url::parse(&site.url("127.0.0.1", "/mcp")).unwrap();
    Accounts::new("tickets".into(), url, settings, &Egress::new(Config::default()).unwrap(), vault).unwrap()
}

#[derive(Debug)]
struct Nowhere;

impl Landing for Nowhere {
    fn redirect_uri(&self, _port: Option<u16>, _callback: Arc<dyn Callback>) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async { Ok("http://127.0.0.1:1/oauth/callback".into()) })
    }
}

/// The state that a login was begun with.
async fn begun(logins: &Arc<Logins>, account: &Arc<Account>) -> String {
    let Begun { url, is_here } = logins.begin(account, Confirm::Nobody).await.unwrap();
    assert!(is_here);
    Url::parse(&url).unwrap().query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned()
}

async fn sign_in(account: &Arc<Account>) {
    let logins = Arc::new(Logins::new(Arc::new(Nowhere)));
    let state = begun(&logins, account).await;
    logins.finish(&format!("state={state}&code=good")).await.unwrap();
}

async fn shown(account: &Arc<Account>) -> Result<Option<String>, Problem> {
    account.header().await.map(|header| header.map(|header| header.to_str().unwrap().to_owned()))
}

fn bearer(name: &str) -> Option<HeaderValue> {
    Some(HeaderValue::from_str(&format!("Bearer {name}")).unwrap())
}

/// A vault that can be broken.
#[derive(Debug, Default)]
struct Breakable {
    inner: InMemory,
    is_broken: AtomicBool,
}

impl Vault for Breakable {
    fn load(&self, name: &str, owner: &CallerId) -> Result<Option<Stored>, String> {
        self.inner.load(name, owner)
    }

    fn save(&self, name: &str, owner: &CallerId, text: &str) -> Result<(), String> {
        self.inner.save(name, owner, text)
    }

    fn replace(&self, name: &str, owner: &CallerId, version: &Version, text: Option<&str>) -> Result<bool, String> {
        if self.is_broken.load(Ordering::Relaxed) { Err("the disk is full".into()) } else { self.inner.replace(name, owner, version, text) }
    }

    fn forget(&self, name: &str, owner: &CallerId) -> Result<bool, String> {
        self.inner.forget(name, owner)
    }

    fn hold(&self, name: &str, owner: &CallerId, within: Duration) -> Result<bool, String> {
        self.inner.hold(name, owner, within)
    }

    fn release(&self, name: &str, owner: &CallerId) {
        self.inner.release(name, owner);
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_kept_serves_on_and_is_kept_later() {
    // Tokens end at once; each refresh token is good once.
    let given = Mutex::new(0);
    let site = site(move |form| {
        let mut given = given.lock().unwrap();
        let expected = if *given == 0 { "code=good".to_owned() } else { format!("refresh_token=after-token-{}", *given - 1) };
        if !form.contains(&expected) {
            return refused("invalid_grant");
        }
        *given += 1;
        token(&format!("token-{}", *given - 1), 0)
    })
    .await;
    let vault = Arc::new(Breakable::default());
    let account = accounts(&site, Settings::default(), Arc::clone(&vault) as Arc<dyn Vault>).of(&CallerId::ourselves());
    sign_in(&account).await;
    vault.is_broken.store(true, Ordering::Relaxed);
    assert_eq!(shown(&account).await, Ok(Some("Bearer token-1".into())));
    assert_eq!(shown(&account).await, Ok(Some("Bearer token-2".into())), "the next one is asked for with what could not be kept");
    vault.is_broken.store(false, Ordering::Relaxed);
    assert_eq!(shown(&account).await, Ok(Some("Bearer token-3".into())));
    let another = accounts(&site, Settings::default(), vault).of(&CallerId::ourselves());
    assert_eq!(shown(&another).await, Ok(Some("Bearer token-4".into())), "whoever comes later finds it kept");
}

#[tokio::test]
async fn a_token_that_is_refused_as_soon_as_it_is_got_is_not_got_over_and_over() {
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let site = site(move |_| {
        *count.lock().unwrap() += 1;
        token("useless", 3600)
    })
    .await;
    let account = accounts(&site, Settings::default(), Arc::new(InMemory::default())).of(&CallerId::ourselves());
    sign_in(&account).await;
    let used = bearer("useless");
    for _ in 0..3 {
        let problem = account.refused(used.as_ref(), 401, None, true).await.unwrap_err();
        assert_eq!(problem, Problem::LoginNeeded("it refuses the token that was just obtained for it".into()));
        // The next connection goes without, and nobody is asked for another.
        assert_eq!(shown(&account).await, Ok(None));
        assert!(account.refused(None, 401, None, false).await.is_err());
    }
    assert_eq!(*asked.lock().unwrap(), 1);
    sign_in(&account).await;
    assert_eq!(account.state(), State::SignedIn);
}

#[tokio::test]
async fn a_client_that_is_not_taken_any_more_is_a_fault_of_the_config_or_registered_anew() {
    let site = site(|form| if form.contains("code=good") { token("first", 0) } else { refused("invalid_client") }).await;
    let configured = Settings {
        client_id: Some("ours".into()),
        client_secret: Some("old-s3cret".to_owned().into()),
        issuer: Some(site.url("127.0.0.1", "")),
        ..Settings::default()
    };
    let vault = Arc::new(InMemory::default());
    let account = accounts(&site, configured, Arc::clone(&vault) as Arc<dyn Vault>).of(&CallerId::ourselves());
    sign_in(&account).await;
    let problem = shown(&account).await.unwrap_err();
    assert!(matches!(&problem, Problem::Unauthorized(said) if said.contains("check oauth.clientId and oauth.clientSecret")), "{problem:?}");
    let kept = vault.load(&name_of("grant", &site), &CallerId::ourselves()).unwrap().expect("nothing is thrown away");
    assert!(!kept.text.contains("old-s3cret"), "what stands in the config is kept nowhere else");

    let account = accounts(&site, Settings::default(), Arc::clone(&vault) as Arc<dyn Vault>).of(&CallerId::ourselves());
    sign_in(&account).await;
    assert!(vault.load(&name_of("client", &site), &CallerId::ourselves()).unwrap().is_some());
    assert!(matches!(shown(&account).await, Err(Problem::LoginNeeded(_))));
    assert!(vault.load(&name_of("client", &site), &CallerId::ourselves()).unwrap().is_none(), "the next login registers us anew");
}

/// The name under which something of this server is kept.
fn name_of(kind: &str, site: &Site) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, site.url("127.0.0.1", "/mcp").as_bytes());
    let digest: String = digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{kind}:tickets:{digest}")
}

#[tokio::test]
async fn as_ourselves_we_ask_only_once_we_are_asked_and_go_on_with_what_is_good() {
    let mood = Arc::new(Mutex::new("well"));
    let shared = Arc::clone(&mood);
    let site = site(move |form| match *shared.lock().unwrap() {
        "well" if form.contains("scope=write") => token("wide", 6),
        "well" => token("narrow", 6),
        "html" => Served::html("<h1>no</h1>"),
        _ => refused("invalid_scope"),
    })
    .await;
    let settings = Settings {
        client_id: Some("ours".into()),
        client_secret: Some("s3cret".to_owned().into()),
        issuer: Some(site.url("127.0.0.1", "")),
        is_machine: true,
        ..Settings::default()
    };
    let account = accounts(&site, settings, Arc::new(InMemory::default())).of(&CallerId::ourselves());
    assert_eq!(shown(&account).await, Ok(None), "nobody has asked");
    assert!(site.asked().is_empty());
    assert_eq!(account.refused(None, 401, None, false).await, Ok(Redress::Retry));
    assert_eq!(shown(&account).await, Ok(Some("Bearer narrow".into())));
    // What the authorization server does not give is not asked for from then on.
    let more = |scope: &str| Challenge { scope: Some(scope.into()), error: Some("insufficient_scope".into()), ..Challenge::default() };
    *mood.lock().unwrap() = "refusing";
    assert!(matches!(account.refused(bearer("narrow").as_ref(), 403, Some(more("admin")), false).await, Err(Problem::Unauthorized(_))));
    *mood.lock().unwrap() = "well";
    assert_eq!(account.refused(bearer("narrow").as_ref(), 403, Some(more("write")), false).await, Ok(Redress::Retry));
    assert_eq!(shown(&account).await, Ok(Some("Bearer wide".into())));
    // It is to be renewed after three seconds, and good for six.
    *mood.lock().unwrap() = "html";
    tokio::time::sleep(Duration::from_millis(3100)).await;
    assert_eq!(shown(&account).await, Ok(Some("Bearer wide".into())));
    let problem = account.refused(bearer("wide").as_ref(), 401, None, true).await.unwrap_err();
    assert!(matches!(problem, Problem::Unauthorized(_)), "nobody can sign in for us: {problem:?}");
}

#[tokio::test]
async fn a_login_ends_once_whatever_comes_back() {
    let site = site(|_| Served::json(r#"{"error":"bad_verification_code","error_description":"with a status that says yes"}"#)).await;
    let account = accounts(&site, Settings::default(), Arc::new(InMemory::default())).of(&CallerId::ourselves());
    let logins = Arc::new(Logins::new(Arc::new(Nowhere)));
    let issuer = site.url("127.0.0.1", "");
    for (query, expected) in [
        (
            "code=c&iss=https://evil.example".to_owned(),
            OAuthError::ForeignIssuer { expected: issuer.clone(), found: "https://evil.example".into() },
        ),
        (format!("code=c&iss={issuer}/"), OAuthError::ForeignIssuer { expected: issuer.clone(), found: format!("{issuer}/") }),
        (
            "error=access_denied&error_description=not%1Bnow".to_owned(),
            OAuthError::Refused { code: "access_denied".into(), description: Some("notnow".into()) },
        ),
        (
            format!("code=c&iss={issuer}"),
            OAuthError::Refused { code: "bad_verification_code".into(), description: Some("with a status that says yes".into()) },
        ),
    ] {
        let state = begun(&logins, &account).await;
        assert_eq!(logins.finish(&format!("state={state}&{query}")).await, Err(expected), "{query}");
        assert_eq!(logins.finish(&format!("state={state}&code=c")).await, Err(OAuthError::UnknownLogin));
    }
    assert_eq!(logins.finish("state=guessed&code=c").await, Err(OAuthError::UnknownLogin));
    assert_eq!(account.state(), State::Unasked);
    // Of many logins of one account the latest can be finished.
    let states = [begun(&logins, &account).await, begun(&logins, &account).await, begun(&logins, &account).await];
    let later = [begun(&logins, &account).await, begun(&logins, &account).await];
    assert_eq!(logins.finish(&format!("state={}&code=c", states[0])).await, Err(OAuthError::UnknownLogin));
    for state in states[1..].iter().chain(&later) {
        assert_ne!(logins.finish(&format!("state={state}&error=denied")).await, Err(OAuthError::UnknownLogin));
    }
}
