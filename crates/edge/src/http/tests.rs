use super::*;
use toolcrib_contract::NoRecords;
use toolcrib_gate::Config;
use toolcrib_wire::server::http::PASSED_ON;

fn door() -> Door {
    let gate = Arc::new(Gate::new(Config::default(), Arc::new(NoRecords)));
    let identity = Identity { name: "test".into(), title: None, version: "1".into(), instructions: None };
    let profiles = Profiles::from([("review".to_owned(), Arc::new(Names::default()))]);
    let (_, shutdown) = watch::channel(false);
    Door::new(gate, &identity, &Limits::default(), Site::default(), &profiles, &shutdown)
}

/// Method, URI, headers, body, and the status that is right.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, u16);

/// An answer, but for what only browsers are told, and for its length, which axum says and hyper else.
async fn seen(response: Response) -> (StatusCode, BTreeMap<String, String>, Bytes) {
    let (parts, body) = response.into_parts();
    let may_differ = |name: &str| matches!(name, "vary" | "content-length") || name.starts_with("access-control-");
    let headers = parts.headers.iter().filter(|(name, _)| !may_differ(name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    (parts.status, headers.collect(), axum::body::to_bytes(body, 1 << 20).await.unwrap())
}

#[tokio::test]
async fn a_request_is_judged_alike_whether_it_goes_straight_to_its_endpoint_or_by_the_routes() {
    const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}"#;
    const DISCOVER: &str = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let door = door();
    let ours = ("host", "localhost");
    let json = ("content-type", "application/json");
    let passed_on = PASSED_ON;
    let forged = (passed_on.as_str(), "forged");
    let cases: &[Case<'_>] = &[
        ("POST", "/mcp", &[ours, json, ("mcp-protocol-version", "2026-07-28"), ("mcp-method", "server/discover")], DISCOVER, 200),
        ("POST", "/mcp/review", &[ours, json, ("mcp-protocol-version", "2026-07-28"), ("mcp-method", "server/discover")], DISCOVER, 200),
        ("POST", "/mcp", &[ours, json], PING, 400),
        ("POST", "/mcp", &[ours], PING, 415),
        ("POST", "/mcp", &[("host", "evil.example"), json], PING, 403),
        ("POST", "/mcp", &[ours, ours, json], PING, 400),
        ("POST", "/mcp", &[json], PING, 403),
        ("POST", "http://evil.example/mcp", &[ours, json], PING, 403),
        ("POST", "/mcp", &[ours, json, forged], PING, 403),
        ("POST", "/mcp", &[ours, json, ("origin", "http://evil.example")], PING, 403),
        ("POST", "/mcp", &[ours, json, ("origin", "http://localhost")], PING, 400),
        ("POST", "/mcp?access_token=x", &[ours, json], PING, 400),
        ("GET", "/mcp", &[ours], "", 405),
        ("PUT", "/mcp", &[ours, json], PING, 405),
        ("OPTIONS", "/mcp", &[ours], "", 200),
        ("POST", "/mcp/", &[ours, json], PING, 404),
        ("POST", "/mcp/review/", &[ours, json], PING, 404),
        ("POST", "/mcp/%72eview", &[ours, json], PING, 400),
        ("POST", "/mcp/none", &[ours, json], PING, 404),
        ("POST", "/mcpreview", &[ours, json], PING, 404),
    ];
    for (method, uri, headers, body, expected) in cases {
        let request = || {
            let request =
                headers.iter().fold(http::Request::builder().method(*method).uri(*uri), |it, (name, value)| it.header(*name, *value));
            request.body(Body::from((*body).to_owned())).unwrap()
        };
        let straight = seen(door.respond(request()).await).await;
        let by_the_routes = seen(door.router.clone().oneshot(request()).await.unwrap()).await;
        assert_eq!(straight, by_the_routes, "{method} {uri} {headers:?}");
        assert_eq!(straight.0.as_u16(), *expected, "{method} {uri} {headers:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_not_kept_for_a_browser() {
    let request = http::Request::get("/mcp").header(header::HOST, "localhost").body(Body::empty()).unwrap();
    let response = door().respond(request).await;
    assert_eq!((response.status().as_u16(), &response.headers()[header::VARY]), (405, &HeaderValue::from_static("origin")));
}
