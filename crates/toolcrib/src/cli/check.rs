//! `toolcrib check`.

use super::{Done, Failure, environment, print};
use crate::{
    exit,
    settings::{self, Settings, SettingsError, checked::security::AccessTest},
};
use clap::Args;
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc};
use toolcrib_gate::{Access, Caller, Decision};

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
                let broken = access_faults(&settings);
                if !broken.is_empty() {
                    return self.report_access(&broken);
                }
                let tests = settings.security.tests.len();
                let names: Vec<&str> = settings.servers.iter().map(|server| &*server.name).collect();
                let connections: Vec<&str> = settings.ready.connections.iter().map(|connection| &*connection.name).collect();
                let databases: Vec<&str> = settings.ready.databases.iter().map(|database| &*database.name).collect();
                if self.json {
                    print(
                        json!({"ok": true, "servers": names, "connections": connections, "databases": databases, "accessTests": tests, "faults": []}),
                    );
                } else {
                    let [names, connections, databases] = [names, connections, databases].map(|names| listed(&names));
                    let file = self.file.display();
                    print(format_args!("{file} is sound; servers: {names}; connections: {connections}; databases: {databases}"));
                    if tests > 0 {
                        print(format_args!("access: {tests} of {tests} tests came out as expected"));
                    }
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

impl Check {
    fn report_access(&self, broken: &[(Arc<str>, String)]) -> Done {
        if self.json {
            let fault = |(place, message): &(Arc<str>, String)| {
                let (file, line) = place.rsplit_once(':').unwrap_or((place, ""));
                json!({"file": file, "line": line.parse::<usize>().ok(), "key": "access", "message": message})
            };
            let faults: Vec<_> = broken.iter().map(fault).collect();
            print(json!({"ok": false, "faults": faults}));
        } else {
            broken.iter().for_each(|(place, message)| print(format_args!("{place}: access: {message}")));
        }
        Err(Failure::new(exit::FAILED, format_args!("{} fault(s) in {}", broken.len(), self.file.display())))
    }
}

/// What of the rules is not as it is said to be: tests that come out otherwise, conditions on arguments that no tool has.
fn access_faults(settings: &Settings) -> Vec<(Arc<str>, String)> {
    let Some(access) = &settings.security.access else { return Vec::new() };
    let mut faults: Vec<(Arc<str>, String)> = settings.security.tests.iter().filter_map(|test| surprise(access, test)).collect();
    // What the ready tools take is known without asking anybody.
    let schemas: Vec<(String, Value)> = toolcrib_tools::ready(settings.ready.clone())
        .map(|ready| ready.tools.into_iter().filter_map(|(spec, _)| Some((spec.name, spec.input_schema.to_value().ok()?))).collect())
        .unwrap_or_default();
    // Where every server has a prefix, a name without one is that of a ready tool.
    if settings.servers.iter().all(|server| server.names_begin_with().is_some()) {
        let names: Vec<&str> = schemas.iter().map(|(name, _)| name.as_str()).collect();
        for rule in &access.rules {
            let patterns = rule.allow.tools.without_match(&names).chain(rule.deny.tools.without_match(&names));
            let misspelt = patterns.filter(|pattern| !pattern.contains("__") && !pattern.trim_matches('*').is_empty());
            faults.extend(
                misspelt.map(|pattern| {
                    (Arc::clone(&rule.place), format!("no tool is called {pattern:?}; ready tools are {}", names.join(", ")))
                }),
            );
        }
    }
    for rule in &access.rules {
        let Some(when) = &rule.when else { continue };
        let meant = schemas.iter().filter(|(name, _)| rule.allow.tools.include(name) || rule.deny.tools.include(name));
        let fits: Vec<_> = meant.map(|(name, schema)| when.fits(schema).map_err(|fault| format!("when, for {name}: {fault}"))).collect();
        // A wide pattern means many tools; a condition that fits none of them is misspelt.
        if !fits.is_empty() && fits.iter().all(Result::is_err) {
            faults.extend(fits.into_iter().find_map(Result::err).map(|fault| (Arc::clone(&rule.place), fault)));
        }
    }
    faults
}

fn surprise(access: &Access, test: &AccessTest) -> Option<(Arc<str>, String)> {
    let claims = test.claims.to_value().ok().and_then(|claims| claims.as_object().cloned()).unwrap_or_default();
    let caller = Caller::assumed(test.caller.clone(), claims);
    let decision = access.verdict(&caller, test.kind, &test.name, test.arguments.as_ref());
    if decision.is_allowed() == test.expects_allowed {
        return None;
    }
    let found = match decision {
        Decision::Allowed(rule) => format!("it is allowed, by {}", rule.place),
        Decision::Denied(rule) => format!("it is denied, by {}", rule.place),
        Decision::NotAllowed => "no rule allows it".to_owned(),
    };
    let expected = if test.expects_allowed { "allow" } else { "deny" };
    let roles = if test.caller.roles.is_empty() { "nobody's roles".into() } else { test.caller.roles.join(", ") };
    let given = test.arguments.as_ref().map(|arguments| format!(" and {arguments}")).unwrap_or_default();
    Some((Arc::clone(&test.place), format!("expected {expected} for {} {:?} with {roles}{given}: {found}", test.kind, test.name)))
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
