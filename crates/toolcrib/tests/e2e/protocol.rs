//! MCP over HTTP, message by message: what the specification demands and what real peers trip over.

use crate::support::{Http, Server, legacy, modern, resident_kib, scripted, wait_for};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

fn server() -> Server {
    Server::start(&json!({}))
}

/// A connection on which nothing was said yet.
fn connection(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.url.trim_start_matches("http://").trim_end_matches("/mcp")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn sum(expression: &str) -> Value {
    json!({"name": "calculator", "arguments": {"expression": expression}})
}

#[test]
fn a_modern_and_a_legacy_call_are_answered_as_plain_json() {
    let server = server();
    let reply = Http::new(&server.url).modern("tools/call", sum("0.1+0.2"));
    assert_eq!((reply.status, reply.header("content-type"), reply.header("mcp-session-id")), (200, "application/json", ""));
    let result = &reply.json()["result"];
    assert_eq!((&result["resultType"], &result["structuredContent"]["result"]), (&json!("complete"), &json!(0.3)));
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "toolcrib");

    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let session = Http::session(&server.url, revision);
        let reply = session.post(legacy(1, "tools/call", sum("2^10")));
        assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"), "{revision}");
        let result = &reply.json()["result"];
        assert_eq!(result["structuredContent"]["result"], 1024, "{revision}");
        assert!(result.get("resultType").is_none(), "a legacy result has no resultType");
        assert_eq!(session.send(reqwest::Method::DELETE, None).status, 204);
        assert_eq!(session.post(legacy(2, "ping", json!({}))).status, 404, "the session has ended");
    }
}

#[test]
fn initialize_negotiates_and_never_gives_the_modern_revision() {
    let server = server();
    for (asked, given) in [("2025-06-18", "2025-06-18"), ("2026-07-28", "2025-11-25"), ("1.0", "2025-11-25")] {
        let params = json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let reply = Http::new(&server.url).post(legacy(1, "initialize", params));
        assert_eq!(reply.json()["result"]["protocolVersion"], given, "asked for {asked}");
        assert!(reply.header("mcp-session-id").len() >= 32);
    }
    assert_eq!(Http::new(&server.url).post(legacy(1, "initialize", json!({}))).code(), -32602);
}

#[test]
fn discover_tells_what_there_is() {
    let result = server().modern("server/discover", json!({}))["result"].clone();
    assert_eq!(result["supportedVersions"][0], "2026-07-28");
    assert!(result["capabilities"]["tools"].is_object() && result["ttlMs"].is_u64() && result["cacheScope"].is_string(), "{result}");
}

#[test]
fn wrong_messages_get_the_codes_of_json_rpc() {
    let server = server();
    let http = || Http::new(&server.url);
    let check = |body: &str, status: u16, code: i64| {
        let reply = http().post(body);
        assert_eq!((reply.status, reply.code()), (status, code), "{body}: {reply:?}");
    };
    check("{", 400, -32700);
    check("", 400, -32700);
    check("\u{1}", 400, -32700);
    check("[]", 400, -32600);
    check("5", 400, -32600);
    check(r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, 400, -32600);
    check(r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, 400, -32600);
    check(r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, 400, -32600);
    check(r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, 400, -32600);
    check(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, 400, -32600);
    check(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"a":{}}}}}"#, "[".repeat(200) + &"]".repeat(200)), 400, -32600);

    let session = Http::session(&server.url, "2025-11-25");
    let check = |method: &str, params: Value, code: i64| {
        let reply = session.post(legacy(7, method, params));
        assert_eq!((reply.status, reply.code(), &reply.json()["id"]), (200, code, &json!(7)), "{method}");
    };
    check("no/such", json!({}), -32601);
    check("tools/call", json!({"name": "calculator", "arguments": [1]}), -32602);
    check("tools/call", json!({"arguments": {}}), -32602);
    check("tools/call", json!({"name": "no_such_tool"}), -32602);
    check("resources/read", json!({"uri": "x://nothing"}), -32002);
    check("tools/list", json!({"cursor": "?"}), -32602);
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"calculator"}}"#;
    assert_eq!(session.post(twice).code(), -32602);

    let unknown = http().modern("no/such", json!({}));
    assert_eq!((unknown.status, unknown.code()), (404, -32601));
    assert_eq!(http().modern("ping", json!({})).code(), -32601, "ping is gone in 2026-07-28");
}

#[test]
fn names_and_uris_are_bounded() {
    let server = server();
    let session = Http::session(&server.url, "2025-11-25");
    let long = "x".repeat(9_000);
    for (method, params) in [
        ("tools/call", json!({"name": long})),
        ("prompts/get", json!({"name": long})),
        ("resources/read", json!({"uri": long})),
        ("resources/subscribe", json!({"uri": long})),
    ] {
        let reply = session.post(legacy(1, method, params));
        assert!(reply.json()["error"]["message"].as_str().unwrap().contains("longer than 8192 bytes"), "{reply:?}");
    }
}

/// Other readers take names loosely: what we pass over, they might act upon (CVE-2026-27896, GHSA-q382-vc8q-7jhj).
#[test]
fn a_parameter_that_looks_like_another_is_refused() {
    let server = server();
    let session = Http::session(&server.url, "2025-11-25");
    for key in ["Name", "NAME", "name\\u0000", " name", "Arguments", "_META"] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"calculator","arguments":{{"expression":"1"}},"{key}":"x"}}}}"#
        );
        let reply = session.post(body);
        assert_eq!(reply.code(), -32602, "{key}");
    }
}

#[test]
fn arguments_that_do_not_fit_reach_the_model() {
    let result =
        server().modern("tools/call", json!({"name": "analyze_text", "arguments": {"text": 5, "analysis_type": "mood"}}))["result"].clone();
    assert_eq!(result["isError"], true);
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("/text: ") && text.contains("/analysis_type: ") && text.contains("string"), "{text}");
}

#[test]
fn modern_headers_must_say_what_the_body_says() {
    let server = server();
    let body = modern(1, "tools/call", sum("1+1")).to_string();
    let standard = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "calculator")];
    let with = |headers: &[(&str, &str)]| headers.iter().fold(Http::new(&server.url), |http, (name, value)| http.header(name, value));
    assert_eq!(with(&standard).post(body.as_str()).status, 200);
    for (name, _) in standard {
        let without: Vec<_> = standard.iter().copied().filter(|(header, _)| *header != name).collect();
        let reply = with(&without).post(body.as_str());
        assert_eq!((reply.status, reply.code()), (400, -32020), "without {name}");
        let reply = with(&without).header(name, "other").post(body.as_str());
        assert_eq!((reply.status, reply.code()), (400, -32020), "another {name}");
        let reply = with(&standard).header(name, "other").post(body.as_str());
        assert_eq!((reply.status, reply.code()), (400, -32020), "{name} twice");
    }
    let encoded = [standard[0], standard[1], ("mcp-name", "=?base64?Y2FsY3VsYXRvcg==?=")];
    assert_eq!(with(&encoded).post(body.as_str()).status, 200);
}

#[test]
fn a_modern_request_says_its_revision_and_capabilities() {
    let server = server();
    let headers = || Http::new(&server.url).header("mcp-protocol-version", "2026-07-28").header("mcp-method", "tools/list");
    let reply = headers().post(legacy(1, "tools/list", json!({})));
    assert_eq!((reply.status, reply.code()), (400, -32602), "no _meta");
    let reply = headers().post(legacy(1, "tools/list", json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}})));
    assert_eq!((reply.status, reply.code()), (400, -32602), "no capabilities");
    let future = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "2031-01-01"}});
    let reply = Http::new(&server.url)
        .header("mcp-protocol-version", "2031-01-01")
        .header("mcp-method", "tools/list")
        .post(modern(1, "tools/list", future).to_string());
    assert_eq!((reply.status, reply.code()), (400, -32022));
    assert_eq!(reply.json()["error"]["data"]["requested"], "2031-01-01");
    assert!(reply.json()["error"]["data"]["supported"].as_array().unwrap().contains(&json!("2026-07-28")));
    for method in [reqwest::Method::GET, reqwest::Method::DELETE, reqwest::Method::PUT] {
        assert_eq!(Http::new(&server.url).header("mcp-protocol-version", "2026-07-28").send(method, None).status, 405);
    }
}

/// Claude Code sent 2025-11-25 after it had negotiated 2024-11-05.
#[test]
fn another_known_revision_in_the_header_of_a_session_is_accepted() {
    let server = server();
    let session = Http::session(&server.url, "2024-11-05").without("mcp-protocol-version");
    assert_eq!(session.post(legacy(1, "ping", json!({}))).status, 200, "old clients send none");
    assert_eq!(session.header("mcp-protocol-version", "2025-11-25").post(legacy(2, "ping", json!({}))).status, 200);
    let stranger = Http::session(&server.url, "2025-06-18").without("mcp-protocol-version").header("mcp-protocol-version", "1999-01-01");
    assert_eq!(stranger.post(legacy(1, "ping", json!({}))).status, 400);
}

#[test]
fn batches_are_answered_where_the_revision_has_them() {
    let server = server();
    let batch = format!(
        "[{},{},{},7]",
        legacy(1, "ping", json!({})),
        r#"{"jsonrpc":"2.0","method":"notifications/x"}"#,
        legacy(2, "tools/call", sum("3!"))
    );
    let reply = Http::session(&server.url, "2025-03-26").post(batch.as_str());
    let answers = reply.json();
    assert_eq!(answers.as_array().unwrap().len(), 3, "{answers}");
    assert_eq!(
        (&answers[0]["id"], &answers[1]["result"]["structuredContent"]["result"], &answers[2]["error"]["code"]),
        (&json!(1), &json!(6), &json!(-32600))
    );
    let quiet = Http::session(&server.url, "2025-03-26").post(r#"[{"jsonrpc":"2.0","method":"notifications/x"}]"#);
    assert_eq!(quiet.status, 202);
    for revision in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        assert_eq!(Http::session(&server.url, revision).post(batch.as_str()).code(), -32600, "{revision}");
    }
}

#[test]
fn only_json_from_our_own_names_is_taken() {
    let server = server();
    let http = || Http::new(&server.url);
    let ping = legacy(1, "ping", json!({}));
    assert_eq!(http().without("content-type").header("content-type", "text/plain").post(ping.as_str()).status, 415);
    assert_eq!(http().without("accept").header("accept", "text/html").post(ping.as_str()).status, 406);
    assert_eq!(http().header("host", "evil.example").post(ping.as_str()).status, 403);
    for origin in ["http://evil.example", "null"] {
        assert_eq!(http().header("origin", origin).modern("tools/list", json!({})).status, 403, "{origin}");
    }
    let allowed = http().header("origin", "http://localhost:6274").modern("tools/list", json!({}));
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (200, "http://localhost:6274"));
    let preflight = http()
        .header("origin", "http://localhost:6274")
        .header("access-control-request-method", "POST")
        .send(reqwest::Method::OPTIONS, None);
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (200, "http://localhost:6274"));
}

#[test]
fn a_body_beyond_the_limit_is_refused_before_it_is_read() {
    let server = server();
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://").trim_end_matches("/mcp")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head =
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: */*\r\nContent-Length: 10737418240\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer[..length]));
}

#[test]
fn a_client_that_sends_no_headers_does_not_keep_its_connection() {
    let server = server();
    let mut stream = connection(&server);
    stream.write_all(b"POST /mcp HTTP/1.1\r\nHost: loc").unwrap();
    // The end of the stream, with or without an answer before it, and not our own timeout.
    stream.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn a_client_that_sends_its_body_slowly_is_given_up_and_delays_nobody() {
    let server = server();
    let mut slow = connection(&server);
    let head = "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: 400\r\n\r\n";
    slow.write_all(head.as_bytes()).unwrap();
    let sending = thread::spawn(move || {
        // A byte now and then is not enough to be waited for.
        while slow.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(500));
        }
        let mut said = String::new();
        let _ = slow.read_to_string(&mut said);
        said
    });
    let others = (0..50).map(|_| server.modern("tools/call", sum("1+1")));
    others.for_each(|answer| assert_eq!(answer["result"]["structuredContent"]["result"], 2, "{answer}"));
    wait_for("it to be given up", || sending.is_finished().then_some(()));
}

#[test]
fn clients_that_do_not_read_cost_no_more_than_their_answers() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__given");
    let before = resident_kib(server.process.child.id());
    let large = json!({"text": "x".repeat(1_000_000)});
    assert!(server.call("s__given", large.clone()).is_ok_and(|answer| answer.len() > 1_000_000));
    let body = modern(1, "tools/call", json!({"name": "s__given", "arguments": large})).to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: 2026-07-28\r\nMCP-Method: tools/call\r\nMCP-Name: s__given\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // None of them reads a byte.
    let silent: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = connection(&server);
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body.as_bytes()).unwrap();
            stream
        })
        .collect();
    // Their calls are over, and hold no place.
    let answered = (0..50).map(|_| server.call("s__echo", json!({"text": "well"})));
    answered.for_each(|answer| assert_eq!(answer, Ok("well".into())));
    let after = resident_kib(server.process.child.id());
    // Twenty answers, and what it takes to have made them.
    assert!(after < before + 100 * 1024, "{before} KiB became {after} KiB");
    drop(silent);
}

#[test]
fn where_there_are_too_many_connections_who_asks_for_our_health_is_answered_and_others_come_back() {
    let server = Server::with(&json!({"limits": {"maxConnections": 4}}));
    let held: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = connection(&server);
            // It has been accepted once it is answered.
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
            stream
        })
        .collect();
    let ask = |path: &str| {
        let url = server.url.replace("/mcp", path);
        Http::new(&url).send(reqwest::Method::GET, None)
    };
    for _ in 0..100 {
        assert_eq!((ask("/healthz").status, ask("/readyz").status), (200, 200));
        let refused = ask("/mcp");
        assert_eq!((refused.status, refused.header("retry-after")), (503, "1"), "{refused:?}");
    }
    drop(held);
    wait_for("a place", || (Http::new(&server.url).modern("tools/list", json!({})).status == 200).then_some(()));
}

#[test]
fn requests_on_one_connection_are_answered_in_their_order() {
    let server = server();
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://").trim_end_matches("/mcp")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut all = String::new();
    for id in 1..=30 {
        let body = modern(id, "tools/call", sum(&format!("{id}*2"))).to_string();
        all += &format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nMCP-Protocol-Version: 2026-07-28\r\n\
             Mcp-Method: tools/call\r\nMcp-Name: calculator\r\nContent-Length: {}\r\n{}\r\n{body}",
            body.len(),
            if id == 30 { "Connection: close\r\n" } else { "" },
        );
    }
    stream.write_all(all.as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    let ids: Vec<usize> =
        (1..=30).map(|id| answers.find(&format!("\"id\":{id},")).unwrap_or_else(|| panic!("no answer to {id}: {answers}"))).collect();
    assert!(ids.is_sorted());
}
