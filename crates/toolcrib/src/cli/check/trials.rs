//! Whether declared tools do what their tests say: each with the answer that the test gives, by the road of every call.

use crate::settings::{
    Fault, Settings,
    checked::declared::{Expected, Trial},
};
use serde_json::Value;
use std::sync::Arc;
use toolcrib_contract::{BackChannel, Call, Change, Content, Json, NoRecords, Origin, Output};
use toolcrib_gate::{Arrived, Config, Credential, Gate, Source};
use toolcrib_tools::declared::{Declared, rehearsal};

/// What of the tests comes out otherwise than is expected.
pub(super) async fn faults(settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    for trial in &settings.trials {
        let Some(tool) = settings.ready.declared.iter().find(|tool| tool.spec.name == trial.tool) else { continue };
        let outcome = outcome(tool, trial, &settings.gate).await;
        faults.extend(surprise(trial, &outcome).map(|message| trial.fault(message)));
    }
    faults
}

/// What comes of the call: a result or an error, in words.
async fn outcome(tool: &Declared, trial: &Trial, config: &Config) -> Result<String, String> {
    let gate = Gate::new(config.clone(), Arc::new(NoRecords)).shared();
    let (spec, callable) = rehearsal(tool.clone(), trial.canned.clone()).map_err(|setup| setup.to_string())?;
    let mut source = Source::new("test");
    // An answer that says that a server is busy is given once, not waited for.
    source = source.resilience(toolcrib_gate::Resilience { attempts: 1, ..Default::default() }, Default::default());
    source.tool(spec, callable).map_err(|fault| fault.to_string())?;
    gate.publish(source);
    let caller = gate.authenticate(Credential::None).await.map_err(|error| error.to_string())?;
    let call = Call::tool(&trial.tool, Json::from(&trial.arguments));
    let arrived = Arrived { caller, profile: None, call, origin: Origin::door("check"), back: Arc::new(Unheard) };
    let reply = gate.call(arrived).await.map_err(|error| error.to_string())?;
    let Output::Tool(output) = reply.output else { return Err("it gave something that is no tool's result".to_owned()) };
    let text = output.content.into_iter().find_map(|block| if let Content::Text { text } = block { Some(text) } else { None });
    let text = text.unwrap_or_default();
    if output.is_error { Err(text) } else { Ok(text) }
}

fn surprise(trial: &Trial, outcome: &Result<String, String>) -> Option<String> {
    match (&trial.expected, outcome) {
        (Expected::Result(expected), Ok(text)) => {
            let found = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
            let is_same = found == *expected || expected.as_str() == Some(text);
            (!is_same).then(|| format!("the test of {} expects {expected}, and gets {found}", trial.tool))
        }
        (Expected::Result(expected), Err(error)) => Some(format!("the test of {} expects {expected}, and fails: {error}", trial.tool)),
        (Expected::Error(expected), Err(error)) => (!error.contains(expected))
            .then(|| format!("the test of {} expects an error that says {expected:?}, and gets: {error}", trial.tool)),
        (Expected::Error(expected), Ok(text)) => {
            Some(format!("the test of {} expects an error that says {expected:?}, and gets a result: {text}", trial.tool))
        }
    }
}

/// Nobody who could hear anything.
#[derive(Debug)]
struct Unheard;

impl BackChannel for Unheard {
    fn announce(&self, _change: Change) {}
}
