//! What a request says about itself in `params._meta` (MCP 2026-07-28, "General fields").

use crate::{Id, message::ErrorObject, revision::Revision};
use toolcrib_json::{Json, JsonError, Members};

/// The revision of a modern request.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// Who the client says it is.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// What the client can do, for this request.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// From which level on the client wants log messages about this request.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// Which `subscriptions/listen` request a notification belongs to.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// Who the server says it is.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// The trace that the request belongs to (W3C Trace Context).
pub const TRACEPARENT: &str = "traceparent";
/// What those that the request came from want to hear again (W3C Trace Context).
pub const TRACESTATE: &str = "tracestate";
/// Names the request in progress notifications about it.
pub const PROGRESS_TOKEN: &str = "progressToken";

/// The part of `_meta` that the protocol defines, read once.
#[derive(Debug, Clone, Default)]
pub struct Meta {
    /// The whole object as it came, if there was one.
    pub raw: Option<Json>,
    /// The revision that a modern request names.
    pub protocol_version: Option<String>,
    /// Who the client says it is, for a modern request.
    pub client_info: Option<Json>,
    /// The trace that the request belongs to, as the client wrote it.
    pub traceparent: Option<String>,
    /// What comes with it.
    pub tracestate: Option<String>,
    /// The capabilities that a modern request declares: an object.
    pub client_capabilities: Option<Json>,
    /// The log level that a modern request asks for.
    pub log_level: Option<String>,
    /// The token under which the caller wants to hear of progress: a string or a whole number.
    pub progress_token: Option<Json>,
}

impl Meta {
    /// Reads `_meta` out of the members of `params`.
    ///
    /// # Errors
    /// -32602 where `_meta` is no object or one of its fields has the wrong type.
    pub fn of(params: Option<&Members>) -> Result<Self, ErrorObject> {
        let Some(raw) = params.and_then(|params| params.get("_meta")) else { return Ok(Self::default()) };
        let members = raw.members().map_err(|error| invalid("_meta", &error))?;
        let string = |key: &str| match members.get(key) {
            None => Ok(None),
            Some(_) => members.string(key).map(Some).ok_or_else(|| wrong_type(key, "a string")),
        };
        let protocol_version = string(PROTOCOL_VERSION)?;
        let log_level = string(LOG_LEVEL)?;
        let client_capabilities = match members.get(CLIENT_CAPABILITIES) {
            Some(json) if !json.is_object() => return Err(wrong_type(CLIENT_CAPABILITIES, "an object")),
            capabilities => capabilities,
        };
        let progress_token = match members.get(PROGRESS_TOKEN) {
            Some(token) if Id::from_json(&token).is_none() => return Err(wrong_type(PROGRESS_TOKEN, "a string or a whole number")),
            token => token,
        };
        let (client_info, traceparent, tracestate) = (members.get(CLIENT_INFO), members.string(TRACEPARENT), members.string(TRACESTATE));
        Ok(Self { raw: Some(raw), protocol_version, client_info, traceparent, tracestate, client_capabilities, log_level, progress_token })
    }

    /// Whether the request says that it is modern, in whatever revision.
    #[must_use]
    pub fn is_modern(&self) -> bool {
        self.protocol_version.is_some()
    }

    /// Checks what every modern request must carry and gives its revision.
    ///
    /// # Errors
    /// -32602 where a required field is missing, -32022 where we do not speak the revision.
    pub fn modern_revision(&self) -> Result<Revision, ErrorObject> {
        let date = self.protocol_version.as_deref().ok_or_else(|| missing(PROTOCOL_VERSION))?;
        let revision = match Revision::from_date(date) {
            Some(revision) if revision.era() == crate::Era::Modern => revision,
            _ => return Err(unsupported_version(date, Revision::ALL)),
        };
        if self.client_capabilities.is_none() {
            return Err(missing(CLIENT_CAPABILITIES));
        }
        Ok(revision)
    }
}

/// -32022 with the revisions we do speak (MCP 2026-07-28, "Protocol Version Negotiation").
#[must_use]
pub fn unsupported_version(requested: &str, supported: impl IntoIterator<Item = Revision>) -> ErrorObject {
    let supported = Json::array(supported.into_iter().map(|revision| Json::string(revision.date())));
    ErrorObject::new(crate::message::code::UNSUPPORTED_VERSION, format!("unsupported protocol version {requested:?}"))
        .with_data(Json::object().with("supported", &supported).with_str("requested", requested).finish())
}

fn missing(key: &str) -> ErrorObject {
    ErrorObject::invalid_params(format!("params._meta lacks {key:?}, which every request of 2026-07-28 carries"))
}

fn wrong_type(key: &str, expected: &str) -> ErrorObject {
    ErrorObject::invalid_params(format!("params._meta[{key:?}] must be {expected}"))
}

fn invalid(what: &str, error: &JsonError) -> ErrorObject {
    ErrorObject::invalid_params(format!("params.{what}: {error}"))
}
