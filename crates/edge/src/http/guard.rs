//! Against DNS rebinding and cross-site calls: requests must be addressed to a name of ours, and a browser's must come
//! from an origin that is allowed (MCP, "Security & Endpoint").

use super::{Hosts, Peer, refuse};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use std::{sync::Arc, time::Duration};
use toolcrib_wire::server::http::{Neighbours, PASSED_ON};
use tower_http::cors::{AllowOrigin, CorsLayer};

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Why a request is not let in, as it is told.
pub(super) struct NotLetIn(StatusCode, &'static str);

impl IntoResponse for NotLetIn {
    fn into_response(self) -> Response {
        refuse(self.0, self.1)
    }
}

#[derive(Debug)]
pub(super) struct Guard {
    hosts: Hosts,
    neighbours: Option<Arc<dyn Neighbours>>,
}

impl Guard {
    pub(super) fn new(hosts: Hosts, neighbours: Option<Arc<dyn Neighbours>>) -> Self {
        Self { hosts, neighbours }
    }

    /// Takes what another process says of a request that it passes on. Nobody else may say such things.
    fn take_word<B>(&self, request: &mut http::Request<B>) -> Result<(), NotLetIn> {
        let Some(shown) = request.headers_mut().remove(PASSED_ON) else { return Ok(()) };
        let vouched = self.neighbours.as_ref().and_then(|neighbours| neighbours.vouched(&shown));
        let (address, passed_on) =
            vouched.ok_or(NotLetIn(StatusCode::FORBIDDEN, "this request says that a replica passes it on, and none of ours does"))?;
        let extensions = request.extensions_mut();
        match address {
            Some(address) => extensions.insert(Peer(address)),
            None => extensions.remove::<Peer>(),
        };
        extensions.insert(passed_on);
        Ok(())
    }

    pub(super) fn cors(self: &Arc<Self>) -> CorsLayer {
        let guard = Arc::clone(self);
        let exposed = ["mcp-session-id", "mcp-protocol-version", "www-authenticate"];
        CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(move |origin, _| guard.is_allowed_origin(origin)))
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            .allow_headers(tower_http::cors::AllowHeaders::mirror_request())
            .expose_headers(exposed.map(HeaderName::from_static))
            .max_age(Duration::from_secs(600))
    }

    /// Lets a request in that is addressed to us, and comes from where it may.
    pub(super) fn let_in<B>(&self, request: &mut http::Request<B>) -> Result<(), NotLetIn> {
        self.judge(request.headers(), request.uri()).and_then(|()| self.take_word(request))
    }

    fn judge(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), NotLetIn> {
        let host = only_one(headers, &header::HOST)?;
        // A request line with an authority of its own outranks the header (RFC 9112, section 3.2.2).
        let host = uri.authority().map(http::uri::Authority::as_str).or_else(|| host.and_then(|host| host.to_str().ok()));
        if !host.is_some_and(|host| self.is_allowed_host(host)) {
            return Err(NotLetIn(
                StatusCode::FORBIDDEN,
                "this Host is not allowed here: http.allowedHosts in the config names those that are",
            ));
        }
        match only_one(headers, &header::ORIGIN)? {
            Some(origin) if !self.is_allowed_origin(origin) => Err(NotLetIn(
                StatusCode::FORBIDDEN,
                "this Origin is not allowed here: http.allowedOrigins in the config names those that are",
            )),
            _ => Ok(()),
        }
    }

    fn is_allowed_host(&self, host: &str) -> bool {
        let name = without_port(host);
        LOOPBACK.iter().any(|known| name.eq_ignore_ascii_case(known))
            || self.hosts.allowed_hosts.iter().any(|known| name.eq_ignore_ascii_case(known) || host.eq_ignore_ascii_case(known))
    }

    fn is_allowed_origin(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        if self.hosts.allowed_origins.iter().any(|known| known.eq_ignore_ascii_case(origin)) {
            return true;
        }
        let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        host.is_some_and(|host| LOOPBACK.iter().any(|known| without_port(host).eq_ignore_ascii_case(known)))
    }
}

pub(super) async fn check(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    match guard.let_in(&mut request) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

fn only_one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, NotLetIn> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(NotLetIn(StatusCode::BAD_REQUEST, "Host and Origin may appear only once")) } else { Ok(first) }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_and_origins_pass() {
        let hosts = Hosts { allowed_hosts: vec!["tools.example".into()], allowed_origins: vec!["https://app.example".into()] };
        let guard = Guard::new(hosts, None);
        let check = |pairs: &[(HeaderName, &str)], expected: Option<u16>| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(name, HeaderValue::from_str(value).unwrap());
            }
            let status = guard.judge(&headers, &Uri::from_static("/mcp")).err().map(|NotLetIn(status, _)| status.as_u16());
            assert_eq!(status, expected, "{pairs:?}");
        };
        let host = |value| (header::HOST, value);
        let origin = |value| (header::ORIGIN, value);
        for good in ["localhost", "LOCALHOST:3001", "127.0.0.1:3001", "[::1]:3001", "[::1]", "tools.example", "tools.example:80"] {
            check(&[host(good)], None);
        }
        for bad in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:3001", "evil.example:127", "127.0.0.2", ""] {
            check(&[host(bad)], Some(403));
        }
        check(&[], Some(403));
        check(&[host("localhost"), host("localhost")], Some(400));
        for good in ["http://localhost:6274", "https://127.0.0.1", "http://[::1]:1", "https://app.example"] {
            check(&[host("localhost"), origin(good)], None);
        }
        for bad in [
            "http://evil.example",
            "null",
            "http://localhost.evil.example",
            "file://",
            "http://localhost@evil.example",
            "https://app.example.evil",
        ] {
            check(&[host("localhost"), origin(bad)], Some(403));
        }
        check(&[host("localhost"), origin("http://localhost"), origin("http://localhost")], Some(400));
    }
}
