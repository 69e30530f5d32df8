//! `toolcrib serve`.

use super::{Done, Failure, client::who_are_you, config_file, credential_of_environment, environment, is_quiet, settings};
use crate::{
    Builder, Crib, ServeError,
    assemble::{Stay, assemble},
    notify,
    reload::Reload,
    settings::DEFAULT_FILE,
    shutdown::Signals,
};
use clap::Args;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tokio::net::TcpListener;
use toolcrib_gate::Credential;

/// Serve MCP over HTTP, or over standard input and output.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The config file. Without it, ./mcp-config.yaml if there is one.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3001", value_parser = super::address)]
    listen: SocketAddr,
    /// Serve one client on standard input and output, as an agent starts us.
    #[arg(long, conflicts_with = "listen")]
    stdio: bool,
    /// On standard input and output, serve only what this profile of the config holds.
    #[arg(long, value_name = "NAME", requires = "stdio")]
    profile: Option<String>,
}

impl Serve {
    pub(super) async fn run(self, builder: Builder) -> Done {
        let mut signals = Signals::listen().map_err(Failure::failed)?;
        let credential = if self.stdio { credential_of_environment() } else { Credential::None };
        // The file that is meant now is the one that is read anew, whatever lies here then.
        let file = config_file(self.config.as_ref());
        let settings = settings(file.as_ref())?;
        let files = settings.files.clone();
        let lifecycle = builder.lifecycle.clone();
        let crib = tokio::select! {
            built = assemble(builder, settings, credential, Stay::Long) => built.map_err(Failure::failed)?,
            () = signals.next() => {
                lifecycle.cleanup().await;
                return Err(Failure::failed("interrupted while the server was made ready"));
            }
        };
        let read = || match &file {
            Some(file) => super::settings(Some(file)).map_err(|failure| failure.message),
            None => Err("we began without one: start anew with --config".to_owned()),
        };
        let served = match Reload::new(files, &read) {
            Ok(reload) => self.keep_serving(&crib, reload, &mut signals).await,
            Err(error) => Err(Failure::failed(error)),
        };
        tokio::select! {
            () = crib.close() => served,
            // Dropped at once, children are killed on the way.
            () = signals.next() => Err(Failure::failed("interrupted while the servers were being stopped")),
        }
    }

    /// Serves, and takes up what becomes of the config.
    async fn keep_serving(&self, crib: &Crib, reload: Reload<'_>, signals: &mut Signals) -> Done {
        let serving = async {
            if self.stdio {
                drained(crib, crib.serve_stdio(self.profile.as_deref()), signals, false).await
            } else {
                self.serve_http(crib, signals).await
            }
        };
        let Some(behind) = &crib.behind else { return serving.await };
        tokio::select! {
            served = serving => served,
            never = reload.keep(behind) => match never {},
        }
    }

    async fn serve_http(&self, crib: &Crib, signals: &mut Signals) -> Done {
        let listener = crib.listen(self.listen).await.map_err(explain)?;
        announce(crib, &listener, config_file(self.config.as_ref()).as_deref());
        notify::tell(service_manager().as_deref(), notify::State::Ready);
        let serving = crib.serve_listener(listener);
        drained(crib, serving, signals, true).await
    }
}

/// Serves until a signal comes, then lets calls in flight finish, unless a second one comes. Where `leaves`, clients are given the time to go
/// elsewhere before.
async fn drained(crib: &Crib, serving: impl Future<Output = Result<(), ServeError>>, signals: &mut Signals, leaves: bool) -> Done {
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        served = &mut serving => return served.map_err(explain),
        () = signals.next() => {}
    }
    notify::tell(service_manager().as_deref(), notify::State::Stopping);
    if leaves {
        tokio::select! {
            served = &mut serving => return served.map_err(explain),
            () = crib.drain() => {}
            () = signals.next() => return Err(Failure::failed("interrupted while clients were sent elsewhere")),
        }
    }
    tracing::info!("shutting down; calls in flight may finish, press Ctrl-C again to end at once");
    crib.shut_down();
    tokio::select! {
        served = serving => served.map_err(explain),
        () = signals.next() => Err(Failure::failed("interrupted while calls were in flight")),
    }
}

/// The socket of whoever started us as a service, if they want to be told.
fn service_manager() -> Option<String> {
    environment("NOTIFY_SOCKET")
}

fn explain(error: ServeError) -> Failure {
    match &error {
        ServeError::Unauthenticated(_) => who_are_you(&error),
        ServeError::Exposed { .. } | ServeError::Nowhere { .. } | ServeError::NoProfile { .. } => Failure::usage(error),
        ServeError::Listen { address, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
            Failure::failed(format_args!("{address} is in use already: is another server running? choose another address with --listen"))
        }
        ServeError::Listen { source, .. } | ServeError::Door(source) => Failure::failed(format_args!("{error}: {source}")),
    }
}

#[expect(clippy::print_stderr, reason = "this is what the person at the terminal waits for")]
fn announce(crib: &Crib, listener: &TcpListener, file: Option<&Path>) {
    let Some(address) = listener.local_addr().ok().filter(|_| !is_quiet()) else { return };
    let (url, name) = (toolcrib_edge::http::url(address), &crib.identity.name);
    let servers = crib.upstreams();
    let servers: Vec<&str> = servers.iter().map(|server| server.name()).collect();
    eprintln!("{name} {} serves MCP at {url}", crib.identity.version);
    let behind = crib.behind.as_ref();
    eprintln!("  tools: {}", behind.map(|behind| behind.own_tools.join(", ")).unwrap_or_default());
    if !servers.is_empty() {
        eprintln!("  starting in the background: {}", servers.join(", "));
    }
    crib.profiles().for_each(|profile| eprintln!("  profile: {url}/{profile}"));
    match file {
        Some(file) => eprintln!("  config: {}", file.display()),
        None => eprintln!("  config: none; there is no {} here, and --config names none", DEFAULT_FILE),
    }
    let gate = crib.gate();
    let admitted = match (gate.authenticates(), gate.requires_authentication()) {
        (false, _) => "whoever reaches this address, as anonymous",
        (true, true) => "those with a token or key",
        (true, false) => "those with a token or key, others as anonymous",
    };
    eprintln!("  callers: {admitted}");
    match behind.and_then(|behind| behind.recorded_in.as_ref()) {
        Some(place) => eprintln!("  records: {place}"),
        None => eprintln!("  records: none are kept"),
    }
    eprintln!("  dashboard: http://{address}/");
    let header = if gate.requires_authentication() { " --header \"Authorization: Bearer $TOOLCRIB_TOKEN\"" } else { "" };
    eprintln!("\nTo connect Claude Code:\n  claude mcp add --transport http {name} {url}{header}\n");
}
