//! `toolcrib explain`.

use super::{
    Done, Failure, Target,
    client::{Wait, settle},
    print, settings,
};
use crate::{assemble::assemble, exit};
use clap::Args;
use serde_json::json;
use toolcrib_contract::{Call, CallerId, Json, Origin};
use toolcrib_gate::{Caller, Credential, Explanation};

/// Say what each step would decide about a call, and why. Nothing is executed.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The tool.
    #[arg(value_name = "TOOL")]
    tool: String,
    #[command(flatten)]
    target: Target,
    /// The token of the caller, to see what it is taken for.
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["roles", "url"])]
    token: Option<String>,
    /// Arguments, as a JSON object.
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) async fn run(self) -> Done {
        if self.target.url.is_some() {
            return Err(Failure::usage("a running server does not explain itself to others: name its config instead"));
        }
        let arguments = match &self.args {
            Some(text) => Some(Json::parse(text.clone()).map_err(|error| Failure::usage(format_args!("--args: {error}")))?),
            None => None,
        };
        let assembled = assemble(settings(self.target.config.as_ref())?, Credential::None).map_err(Failure::failed)?;
        let settled = settle(&assembled, Wait::ForOwner, &self.tool).await;
        let done = match settled {
            Ok(()) => self.explain(assembled.crib.gate(), arguments).await,
            Err(failure) => Err(failure),
        };
        assembled.stop_servers().await;
        done
    }

    async fn explain(&self, gate: &toolcrib_gate::Gate, arguments: Option<Json>) -> Done {
        let assumed = match (&self.token, self.target.assumed()) {
            (Some(token), _) => match gate.authenticate(Credential::Bearer(token.as_str().into())).await {
                Ok(caller) => caller.into_assumed(),
                Err(error) => return self.refused(&error),
            },
            (None, Some(id)) => Caller::assumed(id, serde_json::Map::new()),
            (None, None) => Caller::assumed(CallerId::anonymous(), serde_json::Map::new()),
        };
        let has_arguments = arguments.is_some();
        let call = Call::tool(&self.tool, arguments.unwrap_or_else(Json::empty_object));
        self.report(&gate.explain(&assumed, &Origin::door("http"), &call, has_arguments))
    }

    fn refused(&self, error: &toolcrib_gate::Unauthenticated) -> Done {
        if self.json {
            let step = json!({"step": "authenticate", "passes": false, "reasons": [error.reason.to_string()]});
            print(json!({"made": false, "steps": [step], "answer": error.to_string()}));
        } else {
            print(format_args!("✗ authenticate\n    {}", error.reason));
        }
        Err(Failure::new(exit::FAILED, format_args!("would be answered: {error}")))
    }

    fn report(&self, explanation: &Explanation) -> Done {
        if self.json {
            let steps = explanation.steps.iter().map(|step| json!({"step": step.name, "passes": step.passes, "reasons": step.reasons}));
            print(json!({"made": explanation.is_made(), "steps": steps.collect::<Vec<_>>(), "answer": explanation.answer}));
        } else {
            for step in &explanation.steps {
                print(format_args!("{} {}", if step.passes { "✓" } else { "✗" }, step.name));
                step.reasons.iter().for_each(|reason| print(format_args!("    {reason}")));
            }
        }
        match &explanation.answer {
            None => Ok(()),
            Some(answer) => Err(Failure::new(exit::FAILED, format_args!("would be answered: {answer}"))),
        }
    }
}
