//! A tool, resource or prompt of another server, as the gate runs it: one message there, one answer back, both untouched
//! but for the name.

use crate::{
    curate,
    definition::{Preset, Sharing},
    line::Line,
    link::{Link, declared},
    traffic::{Conversation, question},
};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
use toolcrib_contract::{BoxFuture, CallContext, CallError, Callable, Client, Input, Json, LogLevel, Members, Outage, Output, Watch};
use toolcrib_wire::{
    Era, ErrorObject,
    client::{Audience, Outgoing, RequestError},
    headers::{self, HeaderParam},
    message::code,
    method,
};

/// How often a server may ask before one call is done.
const MAX_ROUNDS: usize = 10;

/// Something that another server does.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) link: Arc<Link>,
    pub(crate) what: What,
}

/// What is asked of the other server, and by which name it knows it.
#[derive(Debug)]
pub(crate) enum What {
    Tool { name: String, header_params: Arc<[HeaderParam]>, presets: BTreeMap<String, Preset> },
    Resource,
    Prompt { name: String },
    Completion { reference: Json },
}

impl Callable for Remote {
    fn call(&self, input: Input, cx: CallContext) -> BoxFuture<'_, Result<Output, CallError>> {
        Box::pin(async move {
            let client = cx.back().client();
            let session = client.session.clone().filter(|_| self.link.sharing != Sharing::PerCaller);
            let conversation = Conversation::about(cx, session);
            let taken = self.link.take(&conversation).await?;
            let result = tokio::select! {
                result = self.rounds(&input, &client, &conversation, &taken.line) => result.map(Output::Foreign),
                never = conversation.converse() => match never {},
            };
            taken.answered();
            match conversation.lacked() {
                // It may have found another way, or failed for another reason. Where it says that it failed for this, this is
                // said to our client in the words of its era.
                Some(capability) if blames(&result, &CallError::CannotAsk { capability }) => Err(CallError::CannotAsk { capability }),
                _ => result,
            }
        })
    }

    /// Puts in the arguments that the config gives.
    fn prepare(&self, arguments: &Json) -> Result<Option<Json>, CallError> {
        match &self.what {
            What::Tool { presets, .. } => curate::arguments(arguments, presets),
            _ => Ok(None),
        }
    }

    fn takes_token(&self) -> bool {
        self.link.takes_token
    }

    fn watch(&self, uri: &str) -> Option<BoxFuture<'_, Result<Watch, CallError>>> {
        let uri = uri.to_owned();
        Some(Box::pin(async move { self.link.watches.watch(&uri).await }))
    }
}

impl Remote {
    /// Makes the call, and makes it again with the answers for as long as a server of the new era has questions. A client
    /// of the new era does that itself.
    async fn rounds(&self, input: &Input, client: &Client, conversation: &Arc<Conversation>, line: &Line) -> Result<Members, CallError> {
        let era = line.greeting().revision.era();
        let (method, mut params) = self.request(input, era)?;
        for round in 0..=MAX_ROUNDS {
            let outgoing = Outgoing {
                params: Some(params.clone()),
                audience: Some(Arc::clone(conversation) as Arc<dyn Audience>),
                wants_progress: conversation.context().wants_progress(),
                log_level: client.log_level.map(LogLevel::name),
                capabilities: (era == Era::Modern).then(|| declared(client)),
                trace: conversation.context().trace().map(|trace| (trace.parent_text(), trace.state.as_deref().map(Into::into))),
                headers: self.headers(input),
            };
            let result = line.connection.request(method, outgoing).await.map_err(|error| match self.translate(error) {
                // It has begun, and the client has answered.
                CallError::Unavailable { server, reason, .. } if round > 0 => CallError::OutcomeUnknown { server, reason },
                other => other,
            })?;
            let result = result.members().map_err(|error| self.broken(&error.to_string()))?;
            match result.string("resultType").as_deref() {
                None | Some("complete") => return Ok(result),
                Some("input_required") if client.is_asked_in_rounds => return Err(CallError::NeedsRound(result)),
                Some("input_required") => params = self.next_round(&params, &result, conversation.context()).await?,
                Some(other) => return Err(self.broken(&format!("it answered with resultType {other:?}"))),
            }
        }
        Err(self.broken(&format!("it asks again after {MAX_ROUNDS} rounds of questions")))
    }

    /// Asks the client what the server wants to know, and gives the parameters that say so.
    async fn next_round(&self, params: &Members, asked: &Members, cx: &CallContext) -> Result<Members, CallError> {
        let mut responses = Json::object();
        let requests = asked.get("inputRequests").map(|requests| requests.members()).transpose();
        for (name, request) in requests.map_err(|error| self.broken(&error.to_string()))?.iter().flat_map(Members::iter) {
            let request = request.members().map_err(|error| self.broken(&error.to_string()))?;
            let method = request.string("method").unwrap_or_default();
            let question = question(&method, request.get("params")).ok_or_else(|| self.broken(&format!("it asks for {method:?}")))?;
            let response = cx.back().relay(question).await.map_err(|error| match error {
                CallError::Refused { message, .. } => CallError::failed(format_args!("the client refused to answer: {message}")),
                other => other,
            })?;
            responses = responses.with(name, &response);
        }
        let edited = params.edit(&[("inputResponses", Some(responses.finish())), ("requestState", asked.get("requestState"))]);
        Ok(edited.members().expect("an object stays one"))
    }

    /// The request as the other server understands it. Parameters that nobody here knows go along.
    fn request(&self, input: &Input, era: Era) -> Result<(&'static str, Members), CallError> {
        let given = input.params.as_ref();
        let written = |key: &str, value: Json, otherwise: &dyn Fn() -> Json| {
            let mut edits = vec![(key, Some(value))];
            if era == Era::Legacy {
                edits.extend([("inputResponses", None), ("requestState", None)]);
            }
            let params = given.map_or_else(otherwise, |given| given.edit(&edits));
            params.members().expect("an object was written")
        };
        Ok(match &self.what {
            What::Tool { name, .. } | What::Prompt { name } => {
                let method = if matches!(self.what, What::Tool { .. }) { method::CALL_TOOL } else { method::GET_PROMPT };
                let alone = || Json::object().with_str("name", name).with("arguments", &input.arguments).finish();
                (method, written("name", Json::string(name), &alone))
            }
            What::Resource => {
                let uri = Json::string(&input.name);
                (method::READ_RESOURCE, written("uri", uri.clone(), &|| Json::object().with("uri", &uri).finish()))
            }
            What::Completion { reference } => {
                let arguments = input.arguments.members().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
                let alone = || arguments.edit(&[("ref", Some(reference.clone()))]);
                (method::COMPLETE, written("ref", reference.clone(), &alone))
            }
        })
    }

    fn headers(&self, input: &Input) -> Vec<(http::HeaderName, http::HeaderValue)> {
        match &self.what {
            What::Tool { header_params, .. } if !header_params.is_empty() => {
                let arguments = input.arguments.to_value().unwrap_or(Value::Null);
                headers::params_of(header_params, &arguments)
            }
            _ => Vec::new(),
        }
    }

    fn translate(&self, error: RequestError) -> CallError {
        let server = Arc::clone(&self.link.name);
        match error {
            RequestError::NotSent(reason) => CallError::Unavailable { server, reason, outage: Outage::Unreached },
            RequestError::NotLetIn(reason) => CallError::Unavailable { server, reason, outage: Outage::Lasting },
            RequestError::Busy(reason, after) => CallError::Unavailable { server, reason, outage: Outage::Busy(after) },
            RequestError::Lost(reason) => CallError::OutcomeUnknown { server, reason },
            RequestError::Server(error) => {
                missing_capability(&error).unwrap_or(CallError::Refused { code: error.code, message: error.message, data: error.data })
            }
            RequestError::Protocol(how) => self.broken(&how),
            other => self.broken(&other.to_string()),
        }
    }

    fn broken(&self, how: &str) -> CallError {
        CallError::Unreadable { server: Arc::clone(&self.link.name), reason: how.to_owned() }
    }
}

/// Whether a call failed because of this, as the server was told it.
fn blames(result: &Result<Output, CallError>, error: &CallError) -> bool {
    let reason = error.to_string();
    match result {
        Ok(Output::Foreign(result)) => {
            result.get("isError").is_some_and(|flag| flag.as_bytes() == b"true") && result.text().as_str().contains(&reason)
        }
        Err(CallError::Refused { message, .. }) => message.contains(&reason),
        _ => false,
    }
}

/// What our client lacks, where a server of the new era says so.
fn missing_capability(error: &ErrorObject) -> Option<CallError> {
    let data = error.data.as_ref().filter(|_| error.code == code::MISSING_CAPABILITY)?;
    let required = data.members().ok()?.get("requiredCapabilities")?.members().ok()?;
    let capability = ["elicitation", "sampling", "roots"].into_iter().find(|capability| required.has(capability))?;
    Some(CallError::CannotAsk { capability })
}
