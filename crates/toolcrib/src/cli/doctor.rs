//! `toolcrib doctor`.

use super::{Done, Failure, config_file, environment, is_quiet, print, progress::Progress};
use crate::{
    BuildError, Builder,
    assemble::{Stay, assemble, security::examine_issuers},
    exit,
    settings::{self, Fault, Faults, Settings, checked::storage::Storage},
};
use clap::Args;
use serde_json::json;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use toolcrib_gate::{Catalogue, Credential};
use toolcrib_store::{Replicas, utc};
use toolcrib_tools::Finding;
use toolcrib_upstream::{Status, Transport, Upstream};

/// Ask everything that the config names whether it is well, and say what to do where it is not: databases and their logins, key sets, the
/// other servers, the address, the folder of records, the clock. With --quiet, only what is not well is told.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// The config file. Without it, ./mcp-config.yaml if there is one.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address that is to be served at.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3001", value_parser = super::address)]
    listen: SocketAddr,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What was found out about one thing.
struct Diagnosis {
    kind: &'static str,
    name: String,
    /// What is there, or why it is not well.
    state: Result<String, String>,
    advice: Option<String>,
}

impl Doctor {
    pub(super) async fn run(self, builder: Builder) -> Done {
        let (mut settings, faults) = match config_file(self.config.as_ref()) {
            // What else is not well is told too.
            Some(file) => settings::read_with_faults(&file, &environment).map_err(Failure::usage)?,
            None => (settings::without_file(&environment), Faults::default()),
        };
        // Whether it can be started is what is asked.
        settings.servers.iter_mut().for_each(|server| server.is_lazy = false);
        let mut diagnoses = vec![of_clock(), of_port(self.listen)];
        diagnoses.extend(faults.iter().map(of_fault));
        let progress = Progress::of_steps(settings.servers.len() + 1, "databases and key sets");
        let mut is_stored = true;
        match &settings.storage {
            Some(storage) => {
                let of_storage = of_storage(storage).await;
                is_stored = of_storage.iter().all(|diagnosis| diagnosis.state.is_ok());
                diagnoses.extend(of_storage);
            }
            None => diagnoses.extend(settings.security.audit.folder.as_deref().map(of_folder)),
        }
        diagnoses.extend(toolcrib_tools::examine(&settings.ready).await.map_err(Failure::failed)?.into_iter().map(of_database));
        let issuers = examine_issuers(&settings).await.map_err(Failure::failed)?;
        diagnoses.extend(issuers.into_iter().map(|(name, state)| Diagnosis::of("key set", name, state)));
        // Without what it needs nothing is put together, and nothing is made elsewhere instead.
        if is_stored {
            match servers(builder, settings, &progress).await {
                Ok(servers) => diagnoses.extend(servers),
                Err(error) => diagnoses.push(Diagnosis::of("config", "the whole".to_owned(), Err(error.to_string()))),
            }
        }
        drop(progress);
        self.report(&diagnoses)
    }

    fn report(&self, diagnoses: &[Diagnosis]) -> Done {
        if self.json {
            let written = diagnoses.iter().map(|Diagnosis { kind, name, state, advice }| {
                let (is_well, detail) = match state {
                    Ok(detail) => (true, detail),
                    Err(reason) => (false, reason),
                };
                json!({"kind": kind, "name": name, "ok": is_well, "detail": detail, "advice": advice})
            });
            print(json!({"diagnoses": written.collect::<Vec<_>>()}));
        } else {
            diagnoses.iter().filter(|diagnosis| !is_quiet() || diagnosis.state.is_err()).for_each(Diagnosis::print);
        }
        match diagnoses.iter().filter(|diagnosis| diagnosis.state.is_err()).count() {
            0 => Ok(()),
            count => Err(Failure::new(exit::UNREACHABLE, format_args!("{count} of {} not well", diagnoses.len()))),
        }
    }
}

impl Diagnosis {
    fn of(kind: &'static str, name: String, state: Result<String, String>) -> Self {
        Self { kind, name, state, advice: None }
    }

    fn print(&self) {
        let (verdict, detail) = match &self.state {
            Ok(detail) => ("well", detail),
            Err(reason) => ("ILL ", reason),
        };
        print(format_args!("{verdict}  {} {:?}: {detail}", self.kind, self.name));
        if let Some(advice) = &self.advice {
            print(format_args!("      advice: {advice}"));
        }
    }
}

/// Starts every server, and tells what becomes of each.
async fn servers(builder: Builder, settings: Settings, progress: &Progress) -> Result<Vec<Diagnosis>, BuildError> {
    let began = Instant::now();
    let crib = assemble(builder, settings, Credential::None, Stay::Short).await?;
    let mut diagnoses = Vec::new();
    for upstream in crib.upstreams() {
        progress.advance();
        progress.say(upstream.name().to_owned());
        let status = upstream.settled().await;
        diagnoses.push(of_server(&upstream, &status, began.elapsed(), &crib.gate().catalogue()));
    }
    crib.close().await;
    Ok(diagnoses)
}

/// What replicas share.
async fn of_storage(storage: &Storage) -> Vec<Diagnosis> {
    let name = format!("{:?}", storage.database);
    let state = storage.open().map(|_| "answers, and has our schema".to_owned()).map_err(|error| error.to_string());
    let advice = state.is_err().then(|| "every replica refuses calls until it answers: is it running, and is the login right?".to_owned());
    let mut diagnoses = vec![Diagnosis { kind: "storage", name, state, advice }];
    if let Some(shared) = &storage.shared {
        let joined = Replicas::join(&shared.at, &storage.key, false).await;
        let state = joined.map(|_| "answers".to_owned()).map_err(|error| error.to_string());
        let advice =
            state.is_err().then(|| "without it replicas do not know of each other: is it running, and is the login right?".to_owned());
        diagnoses.push(Diagnosis { kind: "storage", name: format!("{:?}", shared.at), state, advice });
    }
    diagnoses
}

fn of_fault(fault: &Fault) -> Diagnosis {
    let place = format!("{}:{}", fault.file.display(), fault.line);
    let reason = if fault.key.is_empty() { fault.message.clone() } else { format!("{}: {}", fault.key, fault.message) };
    let advice =
        if fault.is_absence { "what needs it fails until it is there" } else { "nothing is served by this config until it is mended" };
    Diagnosis { kind: "config", name: place, state: Err(reason), advice: Some(advice.to_owned()) }
}

fn of_database(Finding { database, answer, advice }: Finding) -> Diagnosis {
    Diagnosis { kind: "database", name: database, state: answer, advice }
}

/// A clock that is wrong makes good tokens bad.
fn of_clock() -> Diagnosis {
    // This was written then: it is not earlier.
    const WRITTEN: Duration = Duration::from_secs(1_795_000_000);
    let now = SystemTime::now();
    let is_well = now.duration_since(UNIX_EPOCH).is_ok_and(|since| since > WRITTEN);
    let state = if is_well { Ok(utc(now)) } else { Err(format!("it says {}, which has been", utc(now))) };
    let advice = (!is_well).then(|| "set the clock: tokens and certificates are judged by it".to_owned());
    Diagnosis { kind: "clock", name: "this machine".to_owned(), state, advice }
}

/// Somebody who listens there already is most likely a Toolcrib that runs.
fn of_port(address: SocketAddr) -> Diagnosis {
    let state = match TcpListener::bind(address) {
        Ok(_) => Ok("is free".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Ok("is in use: if that is no Toolcrib, serve at another address (--listen)".to_owned())
        }
        Err(error) => Err(error.to_string()),
    };
    Diagnosis::of("address", address.to_string(), state)
}

/// Whether records and keys can be kept.
fn of_folder(folder: &Path) -> Diagnosis {
    const LEAST: u64 = 100 << 20;
    // A folder that is not there yet is made where its parents are.
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let is_writable = rustix::fs::access(there, rustix::fs::Access::WRITE_OK).is_ok();
    let left = rustix::fs::statvfs(there).map(|disk| disk.f_bavail * disk.f_frsize).unwrap_or(u64::MAX);
    let (state, advice) = match (is_writable, left) {
        (false, _) => (
            Err(format!("{} cannot be written to", there.display())),
            Some("say in \"dataFolder\" of the config where records are to be kept"),
        ),
        (true, left) if left < LEAST => (
            Err(format!("only {} MiB are left on its disk", left >> 20)),
            Some("calls are refused once it is full: make room, or set audit.maxBytes"),
        ),
        (true, left) => (Ok(format!("can be written to; {} MiB are left on its disk", left >> 20)), None),
    };
    Diagnosis { kind: "data folder", name: folder.display().to_string(), state, advice: advice.map(ToOwned::to_owned) }
}

fn of_server(upstream: &Upstream, status: &Status, took: Duration, catalogue: &Catalogue) -> Diagnosis {
    let state = match status {
        Status::Ready(line) => {
            let tools = catalogue.tools().filter(|tool| tool.source() == upstream.name()).count();
            Ok(format!("speaks {}, has {tools} tools, was there after {:.1} s", line.greeting().revision, took.as_secs_f64()))
        }
        Status::Asleep => Ok("asleep until it is called".to_owned()),
        Status::Connecting => Err("still connecting".to_owned()),
        Status::Quarantined(why) => Err(why.to_string()),
        Status::Held => Err("taken out of service".to_owned()),
        Status::LoginNeeded(reason) | Status::Down(reason) => Err(reason.clone()),
    };
    let advice = state.as_ref().err().and_then(|reason| advice(upstream, status, reason));
    Diagnosis { kind: "server", name: upstream.name().to_owned(), state, advice }
}

/// What most likely helps.
fn advice(upstream: &Upstream, status: &Status, reason: &str) -> Option<String> {
    let (name, says) = (upstream.name(), |text: &str| reason.to_lowercase().contains(text));
    Some(match (status, &upstream.definition().transport) {
        (Status::LoginNeeded(_), _) => format!("sign in: toolcrib login {name}"),
        (_, Transport::Child(command)) if says("cannot be started") && says("no such file") => {
            format!("install {:?}, or give its full path: it is looked for in PATH", command.program.to_string_lossy())
        }
        (_, Transport::Child(_)) if says("permission denied") => "make the file executable (chmod +x)".to_owned(),
        (_, Transport::Child(_)) if says("no greeting") => {
            "does it speak MCP on standard output, and nothing else there? one that is slow to start needs startTimeout".to_owned()
        }
        (_, Transport::Child(_)) if says("exited with code") || says("ended by itself") => {
            "run its command by hand: what it says last is above; variables that it needs stand under env".to_owned()
        }
        (_, Transport::Remote(..)) if says("401") || says("403") || says("unauthorized") => {
            format!("give what it asks for under headers, or sign in: toolcrib login {name}")
        }
        (_, Transport::Remote(..)) if says("connect") || says("resolve") || says("dns") || says("lookup") || says("name or service") => {
            "is it running, and is the url right? curl -i URL tells".to_owned()
        }
        (_, Transport::Remote(..)) if says("certificate") => "caFile names the certificate of an authority of your own".to_owned(),
        _ => return None,
    })
}
