//! The tool by which a caller signs in at a server that wants to know who it is.

use crate::{authorization::SignIn, definition::Sharing, naming};
use serde::Deserialize;
use std::sync::Arc;
use toolcrib_contract::{Annotations, BoxFuture, CallContext, CallError, Callable, CallerId, Input, Json, Output, Spec, ToolOutput};
use toolcrib_oauth::{Begun, Confirm, Logins, OAuthError};

/// What a login tool is called, behind the prefix.
const NAME: &str = "login";

/// Signs callers in.
#[derive(Debug)]
struct Login {
    server: Arc<str>,
    sign_in: SignIn,
    logins: Arc<Logins>,
    is_each: bool,
}

/// The name of the tool for a server.
pub(crate) fn tool_name(prefix: Option<&str>, server: &str) -> String {
    naming::offered(Some(prefix.unwrap_or(server)), &[NAME]).remove(0)
}

/// The tool, if callers may sign in by one.
pub(crate) fn tool(name: &str, server: &Arc<str>, sharing: Sharing, sign_in: &SignIn) -> Option<(Spec, Arc<dyn Callable>)> {
    let logins = sign_in.logins.clone().filter(|_| !sign_in.accounts.is_machine())?;
    let is_each = sharing == Sharing::PerCaller;
    let code = "The code that the page showed when the person had agreed, to complete the login.";
    let properties =
        if is_each { format!(r#"{{"code":{{"type":"string","description":"{code}","maxLength":64}}}}"#) } else { "{}".to_owned() };
    let schema = format!(r#"{{"type":"object","properties":{properties},"additionalProperties":false}}"#);
    let description = format!(
        "Signs in at the server {server:?}, which wants to know on whose behalf it works. Gives an address: show it to the person you work \
         for, who opens it in a browser and agrees.{}",
        if is_each { " The page then shows a code: ask for it, and call this tool again with it." } else { "" }
    );
    let mut spec = Spec::new(name, &description).title(&format!("Sign in at {server}"));
    spec.input_schema = Json::parse(schema).expect("this is JSON");
    spec.annotations =
        Annotations { is_read_only: Some(false), is_destructive: Some(false), is_open_world: Some(true), is_idempotent: None };
    Some((spec, Arc::new(Login { server: Arc::clone(server), sign_in: sign_in.clone(), logins, is_each })))
}

#[derive(Deserialize)]
struct Arguments {
    code: Option<String>,
}

impl Callable for Login {
    fn call(&self, input: Input, cx: CallContext) -> BoxFuture<'_, Result<Output, CallError>> {
        Box::pin(async move {
            let given: Arguments = input.arguments.read().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
            let owner = if self.is_each { cx.caller().clone() } else { CallerId::ourselves() };
            if self.sign_in.knows_callers && owner.is_anonymous() {
                return Err(CallError::failed("whoever shows no token is anybody: nobody can be signed in for all of those"));
            }
            let account = self.sign_in.accounts.of(&owner);
            let server = &self.server;
            let said = match given.code {
                Some(code) => {
                    self.logins.confirm(&account, &code).await.map_err(failed)?;
                    format!(
                        "Signed in at {server:?}. If its tools are not listed, whoever runs Toolcrib has to sign in, too, for the list."
                    )
                }
                None => {
                    let confirmation = if self.is_each { Confirm::Caller } else { Confirm::Nobody };
                    let Begun { url, is_here } = self.logins.begin(&account, confirmation).await.map_err(failed)?;
                    let then = if self.is_each {
                        "The page at the end shows a code: call this tool again with it as \"code\"."
                    } else {
                        "When the page at the end says that it is done, the tools of the server can be called."
                    };
                    let place = if is_here { " on the machine that runs Toolcrib" } else { "" };
                    format!("To sign in at {server:?}, open this address in a browser{place} within ten minutes:\n\n{url}\n\n{then}")
                }
            };
            Ok(Output::Tool(ToolOutput::text(&said)))
        })
    }
}

fn failed(error: OAuthError) -> CallError {
    CallError::failed(error)
}
