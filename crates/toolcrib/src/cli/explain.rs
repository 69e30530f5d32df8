//! `toolcrib explain`.

use super::{
    Done, Failure, Target,
    client::{Wait, settle},
    print, settings,
};
use crate::{
    Builder, Crib,
    assemble::{Stay, assemble},
    exit,
};
use clap::Args;
use serde_json::json;
use toolcrib_contract::{Call, Json, Origin};
use toolcrib_gate::{Credential, Explanation};

/// Say what each step would decide about a call, and why. Nothing is executed.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The tool.
    #[arg(value_name = "TOOL")]
    tool: String,
    #[command(flatten)]
    target: Target,
    /// The token of the caller, to see what it is taken for. Better in TOOLCRIB_TOKEN: others on this machine can read arguments.
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["roles", "url"])]
    token: Option<String>,
    /// Arguments, as a JSON object.
    #[arg(long, value_name = "JSON")]
    args: Option<String>,
    /// The door that the call would come through.
    #[arg(long, value_name = "DOOR", default_value = "http", value_parser = ["http", "rest", "stdio", "cli"])]
    door: String,
    /// The address that it would come from.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<std::net::IpAddr>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) async fn run(self, builder: Builder) -> Done {
        if self.target.url.is_some() {
            return Err(Failure::usage("a running server does not explain itself to others: name its config instead"));
        }
        let arguments = match &self.args {
            Some(text) => Some(Json::parse(text.clone()).map_err(|error| Failure::usage(format_args!("--args: {error}")))?),
            None => None,
        };
        let settings = settings(self.target.config.as_ref())?;
        self.target.check_roles(&settings);
        let crib = assemble(builder, settings, self.target.credential(), Stay::Short).await.map_err(Failure::failed)?;
        let settled = settle(&crib, Wait::ForOwner, &self.tool).await;
        let done = match settled {
            Ok(()) => self.explain(&crib, arguments).await,
            Err(failure) => Err(failure),
        };
        crib.close().await;
        done
    }

    /// The caller is whom a call would be from: of a token, of a role that is assumed, of the environment or the config.
    async fn explain(&self, crib: &Crib, arguments: Option<Json>) -> Done {
        let gate = crib.gate();
        let credential = match &self.token {
            Some(token) => Credential::Bearer(token.as_str().into()),
            None => crib.local().clone(),
        };
        let assumed = match gate.authenticate(credential).await {
            Ok(caller) => caller.into_assumed(),
            Err(error) => return self.refused(&error),
        };
        let has_arguments = arguments.is_some();
        let call = Call::tool(&self.tool, arguments.unwrap_or_else(Json::empty_object));
        let door = ["http", "rest", "stdio", "cli"].into_iter().find(|door| *door == self.door).unwrap_or("http");
        let origin = Origin { address: self.address, ..Origin::door(door) };
        self.report(&gate.explain(&assumed, &origin, &call, has_arguments))
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
