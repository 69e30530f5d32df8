//! `toolcrib check`.

use super::{Done, Failure, environment, print};
use crate::{
    exit,
    settings::{self, SettingsError},
};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Report every fault of a config file at once.
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
    pub(super) fn run(self) -> Done {
        let read = settings::read(&self.file, &environment);
        match read {
            Ok(settings) => {
                let names: Vec<&str> = settings.servers.iter().map(|server| &*server.name).collect();
                let connections: Vec<&str> = settings.ready.connections.iter().map(|connection| &*connection.name).collect();
                let databases: Vec<&str> = settings.ready.databases.iter().map(|database| &*database.name).collect();
                if self.json {
                    print(json!({"ok": true, "servers": names, "connections": connections, "databases": databases, "faults": []}));
                } else {
                    let [names, connections, databases] = [names, connections, databases].map(|names| listed(&names));
                    let file = self.file.display();
                    print(format_args!("{file} is sound; servers: {names}; connections: {connections}; databases: {databases}"));
                }
                Ok(())
            }
            Err(SettingsError::Faulty(faults)) => {
                if self.json {
                    let faults: Vec<_> = faults
                        .iter()
                        .map(|fault| json!({"file": fault.file, "line": fault.line, "key": fault.key, "message": fault.message}))
                        .collect();
                    print(json!({"ok": false, "faults": faults}));
                } else {
                    print(&faults);
                }
                let count = faults.iter().count();
                Err(Failure::new(exit::FAILED, format_args!("{count} fault(s) in {}", self.file.display())))
            }
            Err(error @ SettingsError::Unreadable { .. }) => Err(Failure::usage(error)),
        }
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
