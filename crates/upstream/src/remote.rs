//! A tool, resource or prompt of another server, as the gate runs it: one message there, one answer back, both untouched
//! but for the name.

use crate::supervise::Link;
use serde_json::Value;
use std::sync::Arc;
use toolcrib_contract::{BoxFuture, CallContext, CallError, Callable, Input, Json, LogLevel, Members, Output};
use toolcrib_wire::{
    ErrorObject, Notification,
    client::{Audience, Outgoing, RequestError},
    headers::{self, HeaderParam},
    method,
};

/// Something that another server does.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) link: Link,
    pub(crate) what: What,
}

/// What is asked of the other server, and by which name it knows it.
#[derive(Debug)]
pub(crate) enum What {
    Tool { name: String, header_params: Arc<[HeaderParam]> },
    Resource,
    Prompt { name: String },
    Completion { reference: Json },
}

impl Callable for Remote {
    fn call(&self, input: Input, cx: CallContext) -> BoxFuture<'_, Result<Output, CallError>> {
        Box::pin(async move {
            let connection = self.link.connection().await?;
            let (method, params) = self.request(&input)?;
            let audience = cx.wants_progress().then(|| Arc::new(Relay(cx.clone())) as Arc<dyn Audience>);
            let outgoing = Outgoing { params: Some(params), audience, headers: self.headers(&input) };
            let result = connection.request(method, outgoing).await.map_err(|error| self.translate(error))?;
            let result = result.members().map_err(|error| self.broken(&error.to_string()))?;
            match result.string("resultType").as_deref() {
                None | Some("complete") => Ok(Output::Foreign(result)),
                Some("input_required") => Err(CallError::failed(format_args!(
                    "the server {:?} asks a question in mid-call, which cannot be passed on yet",
                    self.link.name()
                ))),
                Some(other) => Err(self.broken(&format!("it answered with resultType {other:?}"))),
            }
        })
    }
}

impl Remote {
    /// The request as the other server understands it. Parameters that nobody here knows go along.
    fn request(&self, input: &Input) -> Result<(&'static str, Members), CallError> {
        let edits = |name: &'static str, value: Json| [(name, Some(value)), ("inputResponses", None), ("requestState", None)];
        let written = |params: Json| params.members().expect("an object was written");
        let given = input.params.as_ref();
        Ok(match &self.what {
            What::Tool { name, .. } | What::Prompt { name } => {
                let method = if matches!(self.what, What::Tool { .. }) { method::CALL_TOOL } else { method::GET_PROMPT };
                let params = match given {
                    Some(given) => given.edit(&edits("name", Json::string(name))),
                    None => Json::object().with_str("name", name).with("arguments", &input.arguments).finish(),
                };
                (method, written(params))
            }
            What::Resource => {
                let uri = Json::string(&input.name);
                let params =
                    given.map_or_else(|| Json::object().with("uri", &uri).finish(), |given| given.edit(&edits("uri", uri.clone())));
                (method::READ_RESOURCE, written(params))
            }
            What::Completion { reference } => {
                let arguments = input.arguments.members().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
                let params = match given {
                    Some(given) => given.edit(&[("ref", Some(reference.clone()))]),
                    None => arguments.edit(&[("ref", Some(reference.clone()))]),
                };
                (method::COMPLETE, written(params))
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
        let server = Arc::clone(self.link.name());
        match error {
            RequestError::NotSent(reason) => CallError::Unavailable { server, reason },
            RequestError::Lost(reason) => CallError::OutcomeUnknown { server, reason },
            RequestError::Server(ErrorObject { code, message, data }) => CallError::Refused { code, message, data },
            other => self.broken(&other.to_string()),
        }
    }

    fn broken(&self, how: &str) -> CallError {
        CallError::failed(format_args!("the server {:?} broke the protocol: {how}", self.link.name()))
    }
}

/// Passes on to our client what the other server says about the call.
#[derive(Debug)]
struct Relay(CallContext);

impl Audience for Relay {
    fn hear(&self, notification: Notification) {
        let Some(params) = notification.params.and_then(|params| params.members().ok()) else { return };
        match notification.method.as_ref() {
            method::PROGRESS => {
                let number = |key: &str| params.get(key).and_then(|json| json.read::<f64>().ok());
                if let Some(done) = number("progress") {
                    self.0.progress(done, number("total"), params.string("message").as_deref());
                }
            }
            method::LOG => {
                let level = params.string("level").and_then(|name| LogLevel::from_name(&name)).unwrap_or(LogLevel::Info);
                let logger = params.string("logger");
                self.0.back().log(level, logger.as_deref(), params.get("data").unwrap_or_else(|| Json::string("")));
            }
            _ => {}
        }
    }
}
