//! `toolcrib doctor`.

use super::{Done, Failure, print, settings};
use crate::{
    Builder,
    assemble::{Stay, assemble, security::examine_issuers},
    exit,
};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use toolcrib_gate::Credential;
use toolcrib_tools::Finding;
use toolcrib_upstream::Status;

/// Ask everything that the config names whether it is well: databases and their logins, key sets, and the other servers.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// The config file. Without it, ./mcp-config.yaml if there is one.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
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
        let mut settings = settings(self.config.as_ref())?;
        // Whether it can be started is what is asked.
        settings.servers.iter_mut().for_each(|server| server.is_lazy = false);
        let databases = toolcrib_tools::examine(&settings.ready).await.map_err(Failure::failed)?;
        let issuers = examine_issuers(&settings).await.map_err(Failure::failed)?;
        let crib = assemble(builder, settings, Credential::None, Stay::Short).await.map_err(Failure::failed)?;
        let mut diagnoses: Vec<Diagnosis> = databases.into_iter().map(of_database).collect();
        let keys = |(name, state)| Diagnosis { kind: "key set", name, state, advice: None };
        diagnoses.extend(issuers.into_iter().map(keys));
        for upstream in crib.upstreams() {
            let state = match upstream.settled().await {
                Status::Ready(connection) => Ok(format!("speaks {}", connection.greeting().revision)),
                Status::Asleep => Ok("asleep until it is called".to_owned()),
                Status::Connecting => Err("still connecting".to_owned()),
                Status::Quarantined(why) => Err(why.to_string()),
                Status::Held => Err("taken out of service".to_owned()),
                Status::LoginNeeded(reason) | Status::Down(reason) => Err(reason),
            };
            diagnoses.push(Diagnosis { kind: "server", name: upstream.name().to_owned(), state, advice: None });
        }
        crib.close().await;
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
            diagnoses.iter().for_each(Diagnosis::print);
        }
        match diagnoses.iter().filter(|diagnosis| diagnosis.state.is_err()).count() {
            0 => Ok(()),
            count => Err(Failure::new(exit::UNREACHABLE, format_args!("{count} of {} not well", diagnoses.len()))),
        }
    }
}

impl Diagnosis {
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

fn of_database(Finding { database, answer, advice }: Finding) -> Diagnosis {
    Diagnosis { kind: "database", name: database, state: answer, advice }
}
