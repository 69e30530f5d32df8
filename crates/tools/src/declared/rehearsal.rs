//! A declared tool that is given an answer instead of asking for one: what the tests of a config are made with. The request is
//! made, the answer is read, and nothing leaves this process.

use super::{Declared, Does, command, defaults, http, pipeline};
use crate::kept::Kept;
use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
use toolcrib_contract::{BoxFuture, CallContext, CallError, Callable, Input, Json, Output, Spec, ToolOutput};
use toolcrib_egress::{Egress, Setup};

/// The answer that is given. Which of it makes sense depends on what the tool does.
#[derive(Debug, Clone, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Canned {
    /// The status of the answer of an API. Default 200.
    pub status: Option<u16>,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its body, or what a program writes, if that is JSON.
    pub json: Option<Value>,
    /// The same, if it is text.
    pub text: Option<String>,
    /// The exit code of a program. Default 0.
    pub exit: Option<i32>,
    /// What a program complains of.
    pub stderr: String,
    /// What the steps of a pipeline give, by their names.
    pub steps: BTreeMap<String, Value>,
}

impl Canned {
    /// The body, or what is written.
    pub(super) fn bytes(&self) -> Vec<u8> {
        match (&self.json, &self.text) {
            (Some(json), _) => json.to_string().into_bytes(),
            (None, Some(text)) => text.clone().into_bytes(),
            (None, None) => Vec::new(),
        }
    }
}

/// The tool, which is given this answer.
///
/// # Errors
/// [`Setup`] where it cannot be made.
///
/// # Panics
/// For a statement, of which nothing is left without its database: tests of a config are not for it.
pub fn rehearsal(Declared { spec, does }: Declared, canned: Canned) -> Result<(Spec, Arc<dyn Callable>), Setup> {
    let kept = Kept::default();
    let part = match does {
        Does::Http(settings) => {
            let nowhere = Egress::new(toolcrib_egress::Config::default())?;
            Part::Http(Box::new(http::Http::new(settings, nowhere, kept.clone())))
        }
        Does::Command(settings) => Part::Command(Box::new(command::Command::new(settings, Arc::default(), kept.clone()))),
        Does::Pipeline(settings) => Part::Pipeline(pipeline::Pipeline::new(settings, kept.clone())),
        Does::Sql(_) => unreachable!("a statement is not rehearsed"),
    };
    let defaults = defaults::of(&spec);
    Ok((spec, defaults::with(defaults, Arc::new(Rehearsal { part, canned, kept }))))
}

struct Rehearsal {
    part: Part,
    canned: Canned,
    kept: Kept,
}

enum Part {
    Http(Box<http::Http>),
    Command(Box<command::Command>),
    Pipeline(pipeline::Pipeline),
}

impl Callable for Rehearsal {
    fn call(&self, input: Input, cx: CallContext) -> BoxFuture<'_, Result<Output, CallError>> {
        Box::pin(async move {
            let arguments = input.arguments.to_value().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
            let given = match &self.part {
                Part::Http(http) => http.rehearse(&arguments, &self.canned)?,
                Part::Command(command) => command.rehearse(&arguments, &self.canned)?,
                Part::Pipeline(pipeline) => pipeline.run(arguments, &cx, &Steps(&self.canned)).await?,
            };
            Ok(Output::Tool(given.output(&self.kept, cx.caller(), None)))
        })
    }
}

/// Steps that give what the test says.
struct Steps<'a>(&'a Canned);

impl pipeline::Steps for Steps<'_> {
    fn call<'a>(&'a self, step: &'a pipeline::Step, _arguments: Json, _cx: &'a CallContext) -> BoxFuture<'a, Result<Output, CallError>> {
        Box::pin(async move {
            let missing = || CallError::failed(format_args!("the test does not say what the step {:?} gives", step.name));
            let given = self.0.steps.get(&step.name).ok_or_else(missing)?;
            Ok(Output::Tool(match given {
                Value::String(text) => ToolOutput::text(text),
                other => ToolOutput { structured: Some(Json::from(other)), ..ToolOutput::default() },
            }))
        })
    }
}
