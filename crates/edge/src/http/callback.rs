//! Where browsers come back to from an authorization server, and the page that they are shown.

use super::{
    Endpoint, Peer, crowded,
    listener::{Bounds, Ending, Respondent, Respondents, serve_any},
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use std::{io, sync::Arc};
use tokio::{net::TcpListener, sync::watch};
use toolcrib_contract::{Callback, Confirmation, LoggedIn};

/// The path on our own door, which authorization servers are told.
pub const PATH: &str = "/oauth/callback";
/// The path that clients registered beforehand often have.
const SHORT_PATH: &str = "/callback";
/// The page may do nothing, be shown in nothing, and tell nobody where it was.
const HEADERS: [(header::HeaderName, &str); 6] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// Who takes in what browsers bring back.
#[derive(Clone)]
pub(super) struct Taker {
    callback: Arc<dyn Callback>,
    /// The way to other processes, one of which may have sent the browser.
    endpoint: Option<Arc<Endpoint>>,
}

/// The route, for a door that has others.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(callback: Arc<dyn Callback>, endpoint: Option<Arc<Endpoint>>) -> Router<S> {
    Router::new().route(PATH, get(come_back).with_state(Taker { callback, endpoint }))
}

/// Serves nothing but browsers that come back, until `shutdown` turns true.
///
/// # Errors
/// As [`serve`](super::serve).
pub async fn serve_callback(listener: TcpListener, callback: Arc<dyn Callback>, shutdown: watch::Receiver<bool>) -> io::Result<()> {
    let router = routes(Arc::clone(&callback), None).route(SHORT_PATH, get(come_back).with_state(Taker { callback, endpoint: None }));
    serve_any(
        listener,
        Respondents { all: Respondent::Routes(router), crowded: crowded(Router::new()) },
        Bounds { max_connections: 32, ..Bounds::default() },
        Ending { leaving: shutdown.clone(), shutdown },
    )
    .await
}

async fn come_back(State(Taker { callback, endpoint }): State<Taker>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    if let Some((endpoint, state)) = endpoint.zip(state_in(query)) {
        let address = parts.extensions.get::<Peer>().map(|Peer(address)| *address);
        if let Some(reply) = endpoint.server.elsewhere(&state, &parts, address).await {
            return reply.map(Body::new);
        }
    }
    let (status, title, text) = match callback.come_back(query).await {
        Ok(LoggedIn { server, confirmation: None }) => {
            (StatusCode::OK, "Signed in", format!("You are signed in at {server}. This window can be closed."))
        }
        Ok(LoggedIn { server, confirmation: Some(Confirmation { caller, code }) }) => {
            let text = format!(
                "This gives {caller} your access at {server}. If that is you, enter this code in your own session to complete the sign-in: \
                 {code}. If somebody else sent you here, give the code to nobody and close this window."
            );
            (StatusCode::OK, "One more step", text)
        }
        Err(reason) => (StatusCode::BAD_REQUEST, "Not signed in", reason),
    };
    (status, HEADERS, page(title, &text)).into_response()
}

/// The state of a login: of what stands in it all but one sign needs no escape, and that one is often escaped.
fn state_in(query: &str) -> Option<String> {
    let state = query.split('&').find_map(|pair| pair.strip_prefix("state="))?;
    Some(state.replace("%7E", "~").replace("%7e", "~"))
}

fn page(title: &str, text: &str) -> String {
    let text = escaped(text);
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title} · Toolcrib</title>\
         <body style=\"font-family:system-ui;max-width:32rem;margin:4rem auto;padding:0 1rem\"><h1>{title}</h1><p>{text}</p></body></html>\n"
    )
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
