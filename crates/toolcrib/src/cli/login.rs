//! `toolcrib login` and `toolcrib logout`.

use super::{Done, Failure, Voucher, existing_store, note, print, settings, store};
use crate::{
    assemble::sign_in::SignIns,
    landing::{Landings, Lands},
    settings::Settings,
};
use clap::Args;
use std::{io::IsTerminal, path::PathBuf, process::Stdio, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::{mpsc, watch},
};
use toolcrib_contract::{BoxFuture, Callback, CallerId, Json, LoggedIn, Vault};
use toolcrib_oauth::{Account, Accounts, Begun, Confirm, Logins, OAuthError, State};
use toolcrib_upstream::{Definition, Guard, Sharing, SignIn, Upstream};
use toolcrib_wire::client::ClientInfo;

/// How long a person may take.
const WITHIN: Duration = Duration::from_secs(10 * 60);

/// Sign in at a server that wants to know on whose behalf it works: an address is printed, to be opened in a browser.
#[derive(Debug, Args)]
pub(super) struct Login {
    #[command(flatten)]
    at: At,
    /// Sign in even if somebody is signed in already.
    #[arg(long)]
    again: bool,
    /// Do not open a browser.
    #[arg(long)]
    no_browser: bool,
}

/// Forget a sign-in. What the server gave out stays good there until it expires or is withdrawn there.
#[derive(Debug, Args)]
pub(super) struct Logout {
    #[command(flatten)]
    at: At,
}

/// Where, and for whom.
#[derive(Debug, Args)]
struct At {
    /// The name of the server in the config.
    server: String,
    /// The config file. Without it, ./mcp-config.yaml if there is one.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For this caller only, at a server with sharing: perCaller.
    #[arg(long, value_name = "SUBJECT")]
    sub: Option<String>,
    #[command(flatten)]
    voucher: Voucher,
}

/// What it takes to sign in at the server.
struct Place {
    definition: Definition,
    accounts: Arc<Accounts>,
    account: Arc<Account>,
    owner: CallerId,
    landings: Arc<Landings>,
    stop: watch::Sender<bool>,
}

impl Login {
    pub(super) async fn run(self) -> Done {
        let store = store(self.at.config.as_ref())?;
        let place = self.at.place(store.sign_ins().map_err(Failure::failed)?)?;
        let done = self.sign_in_at(&place).await;
        place.accounts.settle().await;
        place.stop.send_replace(true);
        place.landings.closed().await;
        done
    }

    async fn sign_in_at(&self, place: &Place) -> Done {
        let server = &place.definition.name;
        let reached = place.reach().await;
        let is_in = reached.is_ok() && place.account.state() == State::SignedIn;
        if is_in && !self.again && !place.account.wants_more().map_err(Failure::failed)? {
            print(format_args!("signed in at {server:?} already; --again does it anew"));
            return Ok(());
        }
        match (place.account.can_sign_in().await, &reached) {
            (Ok(true), _) => {}
            (Ok(false), Ok(())) => {
                return Err(Failure::failed(format_args!(
                    "the server {server:?} does not ask who we are: there is nothing to sign in for"
                )));
            }
            (Ok(false), Err(reason)) => return Err(Failure::unreachable(format_args!("the server {server:?} is not available: {reason}"))),
            (Err(error), Err(reason)) if error.is_passing() => {
                return Err(Failure::unreachable(format_args!("the server {server:?} is not available: {reason}")));
            }
            (Err(error), _) => return Err(Failure::failed(error)),
        }
        if self.again {
            // What they know us as may be what is wrong.
            place.account.forget_client();
        }
        self.lead(place).await?;
        place
            .reach()
            .await
            .map_err(|reason| Failure::failed(format_args!("signed in, but the server {server:?} still says no: {reason}")))?;
        print(format_args!("signed in at {server:?}"));
        Ok(())
    }

    /// Leads a person through the login.
    async fn lead(&self, place: &Place) -> Done {
        let logins = Arc::new(Logins::new(Arc::new(Lands(Arc::clone(&place.landings)))));
        let (heard, mut coming) = mpsc::channel(4);
        // Whatever comes back is told to us, too.
        let door: Arc<dyn Callback> = Arc::new(Overheard { logins: Arc::clone(&logins), heard });
        let Begun { url, .. } = logins.begin_at(&place.account, Confirm::Nobody, Arc::clone(&door)).await.map_err(Failure::failed)?;
        note("Open this address in a browser and agree:\n");
        print(&url);
        let is_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if is_terminal {
            note("\nIf the browser is on another machine, paste here the address at which it ends.");
        }
        if is_terminal && !self.no_browser {
            open_browser(&url).await;
        }
        tokio::select! {
            Some(finished) = coming.recv() => finished.map_err(Failure::failed),
            () = take_pasted(&*door, is_terminal) => Err(Failure::failed("nothing comes from the terminal any more")),
            () = tokio::time::sleep(WITHIN) => Err(Failure::failed("nobody came back within ten minutes")),
        }
    }
}

/// Takes addresses from the terminal to which a browser could not come back. What came of them is overheard.
async fn take_pasted(door: &dyn Callback, is_terminal: bool) {
    if !is_terminal {
        return std::future::pending().await;
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, query)) = line.trim().split_once('?')
            && let Err(reason) = door.come_back(query).await
        {
            note(reason);
        }
    }
    std::future::pending().await
}

impl Logout {
    pub(super) async fn run(self) -> Done {
        let place = self.at.place(existing_store(self.at.config.as_ref())?.sign_ins().map_err(Failure::failed)?)?;
        let server = &place.definition.name;
        if place.account.forget().await.map_err(Failure::failed)? {
            print(format_args!("the sign-in at {server:?} is forgotten here; the server may take what it gave out until that expires"));
            return Ok(());
        }
        Err(Failure::failed(format_args!("nobody is signed in at {server:?}")))
    }
}

impl At {
    fn place(&self, vault: Arc<dyn Vault>) -> Result<Place, Failure> {
        let settings = settings(self.config.as_ref())?;
        let owner = self.owner(&settings)?;
        let names: Vec<&str> = settings.servers.iter().map(|server| &*server.name).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let found = settings.servers.iter().find(|server| *server.name == *self.server).cloned();
        let mut definition =
            found.ok_or_else(|| Failure::usage(format_args!("the config names no server {:?}; it names {names}", self.server)))?;
        if self.sub.is_some() && definition.sharing != Sharing::PerCaller {
            return Err(Failure::usage("all callers share this server: --sub is for one with \"sharing: perCaller\""));
        }
        let stop = watch::Sender::new(false);
        let sign_ins = SignIns::new(&settings.ready, Some(vault), stop.subscribe()).map_err(Failure::failed)?;
        let accounts = sign_ins.accounts_at(&definition).map_err(Failure::failed)?.ok_or_else(|| {
            Failure::usage(format_args!(
                "nobody signs in at {:?}: it is a command, or the config gives what proves who we are",
                self.server
            ))
        })?;
        if accounts.is_machine() {
            return Err(Failure::usage(format_args!("we sign in at {:?} by ourselves (clientCredentials): nobody has to", self.server)));
        }
        let account = accounts.of(&owner);
        definition.sign_in = Some(SignIn { accounts: Arc::clone(&accounts), logins: None, knows_callers: self.sub.is_some() });
        Ok(Place { definition, accounts, account, owner, landings: sign_ins.landings, stop })
    }

    fn owner(&self, settings: &Settings) -> Result<CallerId, Failure> {
        match &self.sub {
            Some(subject) => self.voucher.caller(subject, settings),
            None => Ok(CallerId::ourselves()),
        }
    }
}

impl Place {
    /// Asks the server whether it lets us in.
    async fn reach(&self) -> Result<(), String> {
        let client = ClientInfo { name: "toolcrib".into(), version: env!("CARGO_PKG_VERSION").into(), capabilities: Json::empty_object() };
        Upstream::reach(self.definition.clone(), client, Arc::new(Guard::start()), &self.owner).await
    }
}

/// Hands on what browsers bring, and tells what came of it.
#[derive(Debug)]
struct Overheard {
    logins: Arc<Logins>,
    heard: mpsc::Sender<Result<(), String>>,
}

impl Callback for Overheard {
    fn come_back<'a>(&'a self, query: &'a str) -> BoxFuture<'a, Result<LoggedIn, String>> {
        Box::pin(async move {
            let finished = self.logins.finish(query).await;
            // A stray visitor, or the same one again, is no answer to our login. Whoever waits takes the first that is.
            if !matches!(finished, Err(OAuthError::UnknownLogin)) {
                let _ = self.heard.try_send(finished.as_ref().map(drop).map_err(ToString::to_string));
            }
            finished.map_err(|error| error.to_string())
        })
    }
}

/// Opens the address, which is one of the web, in the person's browser. Where that fails, they have the address.
async fn open_browser(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let opened = tokio::process::Command::new(program).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !tokio::time::timeout(Duration::from_secs(5), opened).await.is_ok_and(|opened| opened.is_ok_and(|status| status.success())) {
        note("No browser could be opened here.");
    }
}
