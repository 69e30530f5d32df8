//! The page and its parts, as they lie in the binary.

use crate::http::Endpoints;
use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderName, header};
use std::sync::Arc;

/// Scripts and styles are ours and nobody else's; nothing may frame the page, and it sends nothing elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! assets {
    ($($path:literal: $content_type:expr, $file:literal;)*) => {
        Router::new()$(.route($path, get(|| async { asset($content_type, include_str!(concat!("page/", $file))) })))*
    };
}

pub(super) fn routes() -> Router<Arc<Endpoints>> {
    assets! {
        "/": HTML, "index.html";
        "/dashboard/style.css": CSS, "style.css";
        "/dashboard/icon.svg": SVG, "icon.svg";
        "/dashboard/main.js": JS, "main.js";
        "/dashboard/api.js": JS, "api.js";
        "/dashboard/dom.js": JS, "dom.js";
        "/dashboard/charts.js": JS, "charts.js";
        "/dashboard/schema.js": JS, "schema.js";
        "/dashboard/mcp.js": JS, "mcp.js";
        "/dashboard/now.js": JS, "now.js";
        "/dashboard/servers.js": JS, "servers.js";
        "/dashboard/tools.js": JS, "tools.js";
        "/dashboard/playground.js": JS, "playground.js";
        "/dashboard/calls.js": JS, "calls.js";
        "/dashboard/access.js": JS, "access.js";
        "/dashboard/config.js": JS, "config.js";
    }
}

fn asset(content_type: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        // Another version has other parts.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content).into_response()
}
