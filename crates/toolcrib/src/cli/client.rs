//! How a command reaches the tools: through a running server, or through the gate in this process. Either way it speaks
//! MCP, so what it shows is what a client would see.

use super::{Done, Failure, TOKEN, Target, credential_of_environment, settings};
use crate::{
    Builder, Crib, ServeError,
    assemble::{Stay, assemble},
};
use std::{sync::Arc, time::Duration};
use toolcrib_contract::{Json, Members};
use toolcrib_gate::{Credential, Reason, Unauthenticated};
use toolcrib_upstream::Status;
use toolcrib_wire::{
    Notification,
    client::{Audience, ClientInfo, ConnectError, Connection, Outgoing, RequestError, http, pipe},
    method,
};

const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// A connection, and what must be taken down after it.
pub(super) struct Client {
    connection: Connection,
    crib: Option<Crib>,
}

/// Shows on the terminal what the server says in mid-call.
#[derive(Debug)]
struct Terminal;

impl Audience for Terminal {
    #[expect(clippy::print_stderr, reason = "progress is for the person at the terminal")]
    fn hear(&self, notification: Notification) {
        let Some(params) = notification.params.and_then(|params| params.members().ok()) else { return };
        let number = |key: &str| params.get(key).map(|json| json.to_string());
        match notification.method.as_ref() {
            method::PROGRESS => {
                let done = number("progress").and_then(|done| done.parse::<f64>().ok()).unwrap_or_default();
                let total = number("total").map(|total| format!("/{total}")).unwrap_or_default();
                let message = params.string("message").unwrap_or_default();
                eprintln!("… {}{total} {message}", (done * 10.0).round() / 10.0);
            }
            method::LOG => eprintln!(
                "{}: {}",
                params.string("level").unwrap_or_default(),
                params.get("data").map(|json| json.to_string()).unwrap_or_default()
            ),
            _ => {}
        }
    }
}

/// Whether a command needs the other servers to be there before it begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// For all of them.
    ForAll,
    /// For the one whose name is in front of this one's, if there is such a server.
    ForOwner,
}

impl Client {
    pub(super) async fn connect(builder: Builder, target: &Target, wait: Wait, name: &str) -> Result<Self, Failure> {
        let audience: Arc<dyn Audience> = Arc::new(Terminal);
        let info =
            ClientInfo { name: "toolcrib-cli".into(), version: env!("CARGO_PKG_VERSION").into(), capabilities: Json::empty_object() };
        if let Some(url) = &target.url {
            // Of a server whose address alone is given, the MCP endpoint is meant.
            let is_bare = url.split_once("://").is_some_and(|(_, rest)| rest.trim_end_matches('/').find('/').is_none());
            let url = &if is_bare { format!("{}/mcp", url.trim_end_matches('/')) } else { url.clone() };
            let endpoint = http::Endpoint {
                url: url.clone(),
                headers: headers()?,
                authorization: None,
                max_message_bytes: MAX_MESSAGE_BYTES,
                connect_timeout: Duration::from_secs(5),
                extra_roots: Vec::new(),
            };
            let connection = http::Connection::open(endpoint, info, audience, None).await.map_err(|error| unreachable(url, &error))?;
            return Ok(Self { connection: Connection::Http(connection), crib: None });
        }
        let settings = settings(target.config.as_ref())?;
        target.check_roles(&settings);
        let crib = assemble(builder, settings, target.credential(), Stay::Short).await.map_err(Failure::failed)?;
        if let Err(failure) = settle(&crib, wait, name).await {
            crib.close().await;
            return Err(failure);
        }
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (input, output) = tokio::io::split(theirs);
        let credential = crib.local().clone();
        let serving = match crib.serve_pipe(input, output, "cli", None, credential).await {
            Ok(serving) => serving,
            Err(error) => {
                crib.close().await;
                return Err(who_are_you(&error));
            }
        };
        tokio::spawn(serving);
        let (output, input) = tokio::io::split(ours);
        let connection = match pipe::Connection::open(output, input, info, audience, MAX_MESSAGE_BYTES, None).await {
            Ok(connection) => connection,
            Err(error) => {
                crib.close().await;
                return Err(Failure::failed(error));
            }
        };
        Ok(Self { connection: Connection::Pipe(connection), crib: Some(crib) })
    }

    /// The server, where it is in this process.
    pub(super) fn crib(&self) -> Option<&Crib> {
        self.crib.as_ref()
    }

    pub(super) async fn list(&self, method: &str, key: &str) -> Result<Vec<Json>, Failure> {
        self.connection.list(method, key, 100_000).await.map(|listed| listed.items).map_err(|error| failed(&error))
    }

    pub(super) async fn request(&self, method: &str, params: Json) -> Result<Members, Failure> {
        let params = params.members().map_err(Failure::failed)?;
        let outgoing = Outgoing { params: Some(params), audience: Some(Arc::new(Terminal)), wants_progress: true, ..Outgoing::default() };
        let result = self.connection.request(method, outgoing).await.map_err(|error| failed(&error))?;
        result.members().map_err(Failure::failed)
    }

    /// A failure to find a tool, with the name that was probably meant.
    pub(super) async fn with_suggestion(&self, failure: Failure, name: &str) -> Failure {
        if !failure.message.starts_with("unknown tool") {
            return failure;
        }
        let tools = self.list(method::LIST_TOOLS, "tools").await.unwrap_or_default();
        let names: Vec<String> = tools.iter().filter_map(|tool| tool.members().ok()?.string("name")).collect();
        let near = names.iter().map(|known| (strsim::osa_distance(&name.to_lowercase(), &known.to_lowercase()), known));
        let nearest = near.min().filter(|(distance, known)| *distance <= 2 || distance * 3 <= known.len());
        // Of another server, or without its name.
        let same = || names.iter().find(|known| known.split("__").last() == name.split("__").last());
        match nearest.map(|(_, known)| known).or_else(same) {
            Some(known) => Failure::new(failure.code, format_args!("{}; did you mean {known}?", failure.message)),
            None => Failure::new(failure.code, format_args!("{}; `toolcrib list` shows those that there are", failure.message)),
        }
    }

    /// Takes everything down again, whatever came of the command.
    pub(super) async fn close(self, done: Done) -> Done {
        if let Some(crib) = self.crib {
            crib.close().await;
        }
        done
    }
}

/// Waits for the servers that the command needs. That the one that has the tool is down is worth saying so; that another
/// is, is not.
pub(super) async fn settle(crib: &Crib, wait: Wait, name: &str) -> Result<(), Failure> {
    let catalogue = crib.gate().catalogue();
    // One that is made of others may need any of them.
    let wait = match catalogue.tool(name) {
        Some(tool) if tool.calls_others() => Wait::ForAll,
        _ => wait,
    };
    for upstream in crib.upstreams() {
        let beginning = upstream.definition().names_begin_with();
        let is_owner = beginning.as_deref().is_some_and(|beginning| name.starts_with(beginning));
        let may_have_it = is_owner || beginning.is_none();
        if wait == Wait::ForOwner && (crib.gate().catalogue().tool(name).is_some() || !may_have_it) {
            continue;
        }
        let ill = match upstream.settled().await {
            Status::Down(reason) | Status::LoginNeeded(reason) => Some(reason),
            Status::Quarantined(why) => Some(why.to_string()),
            Status::Held => Some("taken out of service".to_owned()),
            Status::Connecting | Status::Ready(_) | Status::Asleep => None,
        };
        if let Some(reason) = ill.filter(|_| wait == Wait::ForOwner && is_owner) {
            return Err(Failure::unreachable(format_args!("the server {:?} is not available: {reason}", upstream.name())));
        }
    }
    Ok(())
}

/// The token of the environment goes to the server that the command names, and is shown nowhere.
fn headers() -> Result<::http::HeaderMap, Failure> {
    let mut headers = ::http::HeaderMap::new();
    if let Credential::Bearer(token) = credential_of_environment() {
        let value = ::http::HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| Failure::usage(format_args!("{TOKEN} holds characters that no token has")))?;
        value.set_sensitive(true);
        headers.insert(::http::header::AUTHORIZATION, value);
    }
    Ok(headers)
}

/// Why somebody at the terminal may not call, and what helps.
pub(super) fn who_are_you(error: &ServeError) -> Failure {
    match error {
        ServeError::Unauthenticated(Unauthenticated { reason: Reason::Missing }) => Failure::failed(format_args!(
            "authentication is required: set {TOKEN}, or say who you are in \"auth.local\" of the config (call, list and read take --as ROLE)"
        )),
        // To whoever has the config in hands the reason is no secret.
        ServeError::Unauthenticated(error) => Failure::failed(format_args!("{error} in {TOKEN}: {}", error.reason)),
        other => Failure::failed(other),
    }
}

fn unreachable(url: &str, error: &ConnectError) -> Failure {
    if let ConnectError::Unauthorized(_) = error {
        let has_one = !matches!(credential_of_environment(), Credential::None);
        let what = if has_one { "does not take the token" } else { "wants to know who calls" };
        return Failure::failed(format_args!("{url} {what}: set {TOKEN} to a token that it takes, or to an API key"));
    }
    Failure::unreachable(format_args!("{url}: {error}; is toolcrib running there? start it with `toolcrib serve`"))
}

fn failed(error: &RequestError) -> Failure {
    match error {
        RequestError::Server(error) => Failure::failed(&error.message),
        RequestError::NotSent(_) | RequestError::Lost(_) | RequestError::Busy(..) => Failure::unreachable(error),
        other => Failure::failed(other),
    }
}
