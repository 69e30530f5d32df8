//! `toolcrib check`.

mod access;
mod trials;

use super::{Done, Failure, environment, print};
use crate::{
    assemble::documents,
    exit,
    settings::{self, Fault, Settings},
};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Report every fault of a config file at once, and what it names that is not there.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The config file.
    #[arg(value_name = "FILE", default_value = settings::DEFAULT_FILE)]
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) async fn run(self) -> Done {
        let (mut settings, faults) = settings::read_with_faults(&self.file, &environment).map_err(Failure::usage)?;
        if !faults.is_empty() {
            return self.report(faults.iter());
        }
        let mut faults = access::faults(&settings);
        faults.extend(trials::faults(&settings).await);
        if !faults.is_empty() {
            return self.report(faults.iter());
        }
        let folder = settings.security.audit.folder.clone();
        let notes = documents::bring(&mut settings.ready, folder.as_deref()).await;
        settings.notes.extend(notes);
        self.approve(&settings);
        Ok(())
    }

    fn approve(&self, settings: &Settings) {
        let tests = settings.security.tests.len();
        let servers: Vec<&str> = settings.servers.iter().map(|server| &*server.name).collect();
        let connections: Vec<&str> = settings.ready.connections.iter().map(|connection| &*connection.name).collect();
        let databases: Vec<&str> = settings.ready.databases.iter().map(|database| &*database.name).collect();
        let declared: Vec<&str> = settings.ready.declared.iter().map(|tool| tool.spec.name.as_str()).collect();
        let trials = settings.trials.len();
        if self.json {
            print(
                json!({"ok": true, "servers": servers, "tools": declared, "toolTests": trials, "connections": connections, "databases": databases, "notes": settings.notes, "accessTests": tests, "faults": []}),
            );
            return;
        }
        let [servers, connections, databases] = [servers, connections, databases].map(|names| listed(&names));
        print(format_args!("{} is sound; servers: {servers}; connections: {connections}; databases: {databases}", self.file.display()));
        if !declared.is_empty() {
            print(format_args!("tools of your own: {}; {trials} of {trials} tests came out as expected", declared.join(", ")));
        }
        settings.notes.iter().for_each(|note| super::note(format_args!("note: {note}")));
        if tests > 0 {
            print(format_args!("access: {tests} of {tests} tests came out as expected"));
        }
    }

    fn report<'a>(&self, faults: impl Iterator<Item = &'a Fault>) -> Done {
        let faults: Vec<&Fault> = faults.collect();
        if self.json {
            let written = |fault: &&Fault| json!({"file": fault.file, "line": fault.line, "key": fault.key, "message": fault.message});
            print(json!({"ok": false, "faults": faults.iter().map(written).collect::<Vec<_>>()}));
        } else {
            faults.iter().for_each(print);
        }
        Err(Failure::new(exit::FAILED, format_args!("{} fault(s) in {}", faults.len(), self.file.display())))
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
