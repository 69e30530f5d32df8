//! Another tool instead of one that is not to be had. It is called like any other: by the same caller, under its own rules.

use crate::{Arrived, Names, validate::Checked};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, sync::Arc};
use toolcrib_contract::{Call, CallError, Content, Json, Output};

/// What is called instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// The name of the other tool.
    pub tool: Box<str>,
    /// Its arguments, by the names of those that were given: only these are passed on. Without it, all as they are.
    pub arguments: Option<BTreeMap<String, String>>,
}

/// Where `_meta` of an answer says that it came from another tool.
const META: &str = "dev.toolcrib/fallback";

/// The call that is made instead.
pub(crate) fn instead(checked: &Checked, profile: Option<Arc<Names>>, fallback: &Fallback) -> Result<Arrived, CallError> {
    let permitted = &checked.permitted;
    let arguments = match &fallback.arguments {
        Some(names) => renamed(&permitted.call.arguments, names)?,
        None => permitted.call.arguments.clone(),
    };
    Ok(Arrived {
        caller: permitted.caller.clone(),
        profile,
        call: Call::tool(&fallback.tool, arguments),
        origin: permitted.origin.clone(),
        back: Arc::clone(&permitted.back),
    })
}

fn renamed(arguments: &Json, names: &BTreeMap<String, String>) -> Result<Json, CallError> {
    let given: Map<String, Value> = arguments.read().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
    let taken = names.iter().filter_map(|(theirs, ours)| Some((theirs.clone(), given.get(ours)?.clone())));
    Ok(Json::from(&Value::Object(taken.collect())))
}

/// The answer of the other tool, which says so: to programs and to the model.
pub(crate) fn from_fallback(output: Output, tool: &str, fallback: &Fallback, why: &CallError) -> Output {
    let said = format!("({tool} could not answer, this is from {}: {why})", fallback.tool);
    let told = Json::object().with_str("tool", &fallback.tool).with_str("insteadOf", tool).with_str("because", &why.to_string()).finish();
    match output {
        Output::Tool(mut output) => {
            output.content.insert(0, Content::text(said));
            output.meta = Some(with_member(output.meta.as_ref(), &told));
            Output::Tool(output)
        }
        Output::Foreign(result) => {
            let meta = with_member(result.get("_meta").as_ref(), &told);
            let note = Json::object().with_str("type", "text").with_str("text", &said).finish();
            let content = result.get("content").and_then(|content| content.elements().ok()).unwrap_or_default();
            let content = Json::array(std::iter::once(note).chain(content).collect::<Vec<_>>());
            let edited = result.edit(&[("content", Some(content)), ("_meta", Some(meta))]);
            Output::Foreign(edited.members().expect("an object stays one"))
        }
        other => other,
    }
}

fn with_member(meta: Option<&Json>, told: &Json) -> Json {
    match meta.and_then(|meta| meta.members().ok()) {
        Some(meta) => meta.edit(&[(META, Some(told.clone()))]),
        None => Json::object().with(META, told).finish(),
    }
}

/// What is told where the other tool failed, too.
pub(crate) fn neither(error: CallError, fallback: &Fallback, other: &CallError) -> CallError {
    // The graver of the two: what may have been done, by either, may have been done.
    let may_be_done = matches!(other, CallError::OutcomeUnknown { .. } | CallError::Unreadable { .. } | CallError::DeadlineExceeded(_));
    let both = |reason: String| format!("{reason}; {} was tried instead, and failed, too: {other}", fallback.tool);
    match error {
        CallError::Unavailable { server, reason, .. } if may_be_done => CallError::OutcomeUnknown { server, reason: both(reason) },
        CallError::Unavailable { server, reason, outage } => CallError::Unavailable { server, reason: both(reason), outage },
        CallError::OutcomeUnknown { server, reason } => CallError::OutcomeUnknown { server, reason: both(reason) },
        CallError::Unreadable { server, reason } => CallError::Unreadable { server, reason: both(reason) },
        other => other,
    }
}
