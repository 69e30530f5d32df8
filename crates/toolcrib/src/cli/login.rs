//! `toolcrib login` and `toolcrib logout`.

use super::{Done, Failure, Voucher, note, print, settings, store};
use crate::{assemble::sign_in::SignIns, landing::Landings, settings::Settings};
use clap::Args;
use std::{io::IsTerminal, path::PathBuf, process::Stdio, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::{mpsc, watch},
};
use toolcrib_contract::{BoxFuture, Callback, CallerId, Json, LoggedIn, Vault};
use toolcrib_oauth::{Account, Confirmation, Landing, Logins, State};
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
    account: Arc<Account>,
    owner: CallerId,
    landings: Arc<Landings>,
    _stop: watch::Sender<bool>,
}

impl Login {
    pub(super) async fn run(self) -> Done {
        let place = self.at.place()?;
        let first = place.reach().await;
        let server = &place.definition.name;
        if let Err(reason) = first {
            if !matches!(place.account.state(), State::LoginNeeded(_)) {
                return Err(Failure::unreachable(format_args!("the server {server:?} is not available: {reason}")));
            }
        } else if place.account.state() == State::Unasked {
            return Err(Failure::failed(format_args!("the server {server:?} does not ask who we are: there is nothing to sign in for")));
        } else if !self.again && !place.account.wants_more().map_err(Failure::failed)? {
            print(format_args!("signed in at {server:?} already; --again does it anew"));
            return Ok(());
        }
        self.sign_in(&place).await?;
        place
            .reach()
            .await
            .map_err(|reason| Failure::failed(format_args!("signed in, but the server {server:?} still says no: {reason}")))?;
        print(format_args!("signed in at {server:?}"));
        Ok(())
    }

    async fn sign_in(&self, place: &Place) -> Done {
        let logins = Logins::new(Arc::clone(&place.landings) as Arc<dyn Landing>);
        let (heard, mut coming) = mpsc::channel(4);
        // Whatever comes back is told to us, too.
        let door = Arc::new(Overheard { logins: Arc::clone(&logins), heard });
        let url =
            logins.begin_at(&place.account, Confirmation::None, Arc::clone(&door) as Arc<dyn Callback>).await.map_err(Failure::failed)?;
        note("Open this address in a browser and agree:\n");
        print(&url);
        let is_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if is_terminal {
            note("\nIf the browser is on another machine, paste here the address at which it ends.");
        }
        if is_terminal && !self.no_browser {
            open_browser(&url).await;
        }
        let pasted = async {
            if !is_terminal {
                return std::future::pending().await;
            }
            let mut lines = BufReader::new(tokio::io::stdin()).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, query)) = line.trim().split_once('?') {
                    return logins.come_back(query).await;
                }
            }
            std::future::pending().await
        };
        let finished = tokio::select! {
            Some(finished) = coming.recv() => finished,
            finished = pasted => finished,
            () = tokio::time::sleep(WITHIN) => Err("nobody came back within ten minutes".to_owned()),
        };
        finished.map(drop).map_err(Failure::failed)
    }
}

impl Logout {
    pub(super) fn run(self) -> Done {
        let place = self.at.place()?;
        let server = &place.definition.name;
        if place.account.forget().map_err(Failure::failed)? {
            print(format_args!("the sign-in at {server:?} is forgotten here; the server may take what it gave out until that expires"));
            return Ok(());
        }
        Err(Failure::failed(format_args!("nobody is signed in at {server:?}")))
    }
}

impl At {
    fn place(&self) -> Result<Place, Failure> {
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
        let vault: Arc<dyn Vault> = store(self.config.as_ref())?.0.sign_ins().map_err(Failure::failed)?;
        let stop = watch::Sender::new(false);
        let sign_ins = SignIns::new(&settings.ready.egress, Some(vault), stop.subscribe()).map_err(Failure::failed)?;
        let accounts = sign_ins.accounts(&definition).map_err(Failure::failed)?.ok_or_else(|| {
            Failure::usage(format_args!(
                "nobody signs in at {:?}: it is a command, or the config gives what proves who we are",
                self.server
            ))
        })?;
        if accounts.is_machine() {
            return Err(Failure::usage(format_args!("we sign in at {:?} by ourselves (clientCredentials): nobody has to", self.server)));
        }
        let account = accounts.of(&owner);
        definition.sign_in = Some(SignIn { accounts, logins: None });
        Ok(Place { definition, account, owner, landings: sign_ins.landings, _stop: stop })
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
    heard: mpsc::Sender<Result<LoggedIn, String>>,
}

impl Callback for Overheard {
    fn come_back<'a>(&'a self, query: &'a str) -> BoxFuture<'a, Result<LoggedIn, String>> {
        Box::pin(async move {
            let finished = self.logins.come_back(query).await;
            // A stray visitor is no answer to our login.
            if finished.is_ok() || self.logins.is_idle() {
                let _ = self.heard.try_send(finished.clone());
            }
            finished
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
