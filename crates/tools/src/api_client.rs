//! `api_client`: HTTP requests to APIs, through the one way out. Secrets stand in named connections of the config, where the
//! model never sees them.

mod answer;
mod request;

use crate::{
    api::{Connection, ConnectionSettings, Failure, Select},
    kept::{self, Kept},
    outside::{untrusted, with_heartbeat},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use toolcrib_contract::{Annotations, CallContext, CallError, Category, Json, Reach, Spec, Tool, ToolOutput};
use toolcrib_egress::{Egress, Method, Setup};

/// The longest that a request may be given.
const MAX_TIMEOUT_SECS: f64 = 300.0;
const DEFAULT_MAX_TEXT: usize = 1000;
/// The most characters of text, and the most bytes of JSON, in one answer.
const MAX_TEXT: usize = 100_000;

pub(crate) struct ApiClient {
    egress: Egress,
    connections: HashMap<String, Connection>,
    methods: Vec<Method>,
    kept: Kept,
}

/// A request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The method. Default GET.
    #[serde(default)]
    method: Verb,
    /// The URL; with a connection, the path below its base URL.
    url: String,
    /// A connection of the config, which has the base URL and the secrets.
    #[serde(default)]
    connection: Option<String>,
    /// Headers.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Parameters to add to the URL; a list gives one parameter for each of its values.
    #[serde(default)]
    query: BTreeMap<String, serde_json::Value>,
    /// The body: a text is sent as it is, anything else as JSON.
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Value>")]
    body: Option<Json>,
    /// Fields to send as a form instead of a body.
    #[serde(default)]
    form: Option<BTreeMap<String, serde_json::Value>>,
    /// Seconds that the request may take, up to 300. Default as the config says, 30 if it does not.
    #[serde(default)]
    #[schemars(range(min = 0.1, max = 300))]
    timeout: Option<f64>,
    /// A JSONPath (RFC 9535) that says which part of a JSON answer is wanted, e.g. "$.items[*].name".
    #[serde(default)]
    select: Option<String>,
    /// The most characters of a text answer, up to 100000. Default 1000.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100_000))]
    max_text: Option<usize>,
    /// Whether redirects are followed. Default true; with a connection they never are.
    #[serde(default)]
    follow_redirects: Option<bool>,
}

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Verb {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Head => Method::HEAD,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }
}

/// The answer, or why there is none.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// The method.
    method: String,
    /// Where the answer came from, after redirects; the URL as it was given if there is no answer.
    url: String,
    /// The status. One of 400 or more is an answer, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    /// The headers of the answer, their names in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
    /// The answer, if it is JSON: all of it, or what `select` asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    json: Option<Json>,
    /// The answer, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// What the answer is, if it is neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    binary: Option<Binary>,
    /// Whether there is more than is given.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    /// How many characters the whole text has.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_chars: Option<usize>,
    /// Where the whole body can be read for 15 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    /// How many redirects led there.
    #[serde(skip_serializing_if = "Option::is_none")]
    redirects: Option<usize>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed_ms: Option<u64>,
    /// What is worth knowing about the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Why there is no answer, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What kind of failure it is: bad_url, bad_request, blocked, dns, connect, tls, timeout, redirects, too_large,
    /// bad_answer or bad_select.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<&'static str>,
}

/// A body that is no text.
#[derive(Debug, Serialize, JsonSchema)]
struct Binary {
    /// Its media type.
    media_type: String,
    /// Its size.
    size_bytes: usize,
    /// Its digest, in hexadecimal.
    sha256: String,
}

impl ApiClient {
    /// The tool. A connection may reach its own host whatever the rules say, since the config names it.
    pub(crate) fn new(
        egress: Egress,
        connections: Vec<ConnectionSettings>,
        methods: Option<Vec<Method>>,
        kept: Kept,
    ) -> Result<Self, Setup> {
        let all = || vec![Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let open = |settings: ConnectionSettings| Ok((settings.name.clone(), Connection::open(settings, &egress)?));
        let connections = connections.into_iter().map(open).collect::<Result<_, Setup>>()?;
        Ok(Self { egress, connections, methods: methods.unwrap_or_else(all), kept })
    }

    fn only_looks(&self) -> bool {
        self.methods.iter().all(|method| matches!(*method, Method::GET | Method::HEAD))
    }

    async fn exchange(&self, args: &Args, cx: &CallContext) -> Result<Answer, Failure> {
        let select = args.select.as_deref().map(Select::parse).transpose()?;
        let method = args.method.method();
        if !self.methods.contains(&method) {
            let allowed: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
            return Err(Failure::new("blocked", format!("the config allows only {} (tools.api_client.methods)", allowed.join(", "))));
        }
        let connection = args.connection.as_deref().map(|name| self.connection(name)).transpose()?;
        let request = request::build(args, method, connection)?;
        let egress = connection.map_or(&self.egress, Connection::egress);
        let is_told_of_redirects = !request.follows_redirects;
        let fetched = egress.send(request).await.map_err(|error| Failure::new(error.class(), error.to_string()))?;
        let reader = answer::Reader {
            kept: self.kept.clone(),
            caller: cx.caller().clone(),
            max_text: args.max_text.unwrap_or(DEFAULT_MAX_TEXT).min(MAX_TEXT),
            secrets: connection.map(Connection::secrets).unwrap_or_default(),
            is_told_of_redirects,
        };
        let method = args.method;
        // Large answers take a while to read: not on a thread that serves others.
        let read = tokio::task::spawn_blocking(move || reader.read(method, fetched, select)).await;
        read.unwrap_or_else(|_| Err(Failure::new("bad_answer", "the answer cannot be read")))
    }

    fn connection(&self, name: &str) -> Result<&Connection, Failure> {
        self.connections.get(name).ok_or_else(|| {
            let mut known: Vec<&str> = self.connections.keys().map(String::as_str).collect();
            known.sort_unstable();
            Failure::new("bad_request", format!("there is no connection {name:?}; known are {known:?}"))
        })
    }
}

impl Tool for ApiClient {
    type Args = Args;
    type Output = Answer;

    fn spec(&self) -> Spec {
        let mut known: Vec<&Connection> = self.connections.values().collect();
        known.sort_by_key(|connection| connection.name().to_owned());
        let known: Vec<String> = known.into_iter().map(Connection::described).collect();
        let known = if known.is_empty() { String::new() } else { format!(" Connections: {}.", known.join(", ")) };
        let annotations = if self.only_looks() {
            Annotations::LOOKS_OUTSIDE
        } else {
            Annotations { is_read_only: Some(false), is_destructive: Some(true), is_idempotent: Some(false), is_open_world: Some(true) }
        };
        Spec::new(
            "api_client",
            &format!(
                "Sends an HTTP request and gives the status, the headers and the answer: as JSON (or the part of it that `select` names), as text, \
                 or described. For web pages use web_scraper.{known}"
            ),
        )
        .title("Call an HTTP API")
        .category(Category::ExternalIntegration)
        .tags(&["http", "api", "rest", "json"])
        .author("Toolcrib")
        .annotations(annotations)
        .reaches(&[Reach::Network])
        // The request has a deadline of its own, which its caller may set.
        .timeout(Duration::from_secs_f64(MAX_TIMEOUT_SECS + 5.0))
    }

    async fn run(&self, args: Args, cx: &CallContext) -> Result<Answer, CallError> {
        let exchanged = with_heartbeat(cx, "waiting for the answer", self.exchange(&args, cx)).await?;
        Ok(exchanged.unwrap_or_else(|Failure { class, reason }| Answer {
            method: args.method.method().to_string(),
            url: args.url.clone(),
            error: Some(reason),
            error_class: Some(class),
            ..Answer::default()
        }))
    }

    fn present(&self, answer: &Answer, written: &mut ToolOutput) {
        written.is_error = answer.error.is_some();
        written.meta = (!written.is_error).then(|| untrusted(&["headers", "json", "text"]));
        if let Some(uri) = &answer.resource {
            let media_type =
                answer.headers.as_ref().and_then(|headers| headers.get("content-type")).map_or("application/octet-stream", String::as_str);
            written.content.push(kept::link(uri, "the whole body", media_type));
        }
    }
}

#[cfg(test)]
mod tests;
