use super::{ApiClient, ConnectionSettings};
use crate::{kept::Kept, outside::egress_to};
use serde_json::{Value, json};
use std::time::Duration;
use toolcrib_contract::{Globs, Json, Output, typed};
use toolcrib_egress::{Config, Egress, HeaderMap, HeaderValue, Method};
use toolcrib_testkit::{OpenGate, Served, Site, TestGate};

fn gate_of(client: ApiClient) -> OpenGate {
    let (spec, callable) = typed(client);
    TestGate::default().entry(spec, callable).open()
}

fn gate(site: &Site) -> OpenGate {
    gate_of(ApiClient::new(egress_to(site), vec![], None, Kept::default()).unwrap())
}

async fn call(gate: &OpenGate, arguments: Value) -> Value {
    gate.tell("api_client", &arguments).await
}

async fn error(gate: &OpenGate, arguments: Value) -> String {
    let answer = call(gate, arguments).await;
    answer["error_class"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Answers with what was asked.
async fn echo() -> Site {
    Site::serve(|asked| {
        let headers: serde_json::Map<String, Value> = asked.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        Served::json(json!({"method": asked.method, "path": asked.path, "headers": headers, "body": asked.body}).to_string())
    })
    .await
}

#[tokio::test]
async fn requests_say_what_the_arguments_say() {
    let site = echo().await;
    let gate = gate(&site);
    let url = |path: &str| site.url("127.0.0.1", path);
    let answer =
        call(&gate, json!({"url": url("/a?x=1#f"), "query": {"q": "ü &", "n": [1, 2], "none": null}, "headers": {"X-Note": "hi"}})).await;
    assert_eq!(answer["status_code"], 200);
    assert_eq!(answer["json"]["path"], "/a?x=1&n=1&n=2&q=%C3%BC+%26");
    assert_eq!(answer["json"]["headers"]["x-note"], "hi");
    assert_eq!((&answer["method"], &answer["headers"]["content-type"]), (&json!("GET"), &json!("application/json")));
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let answer = call(&gate, json!({"method": method, "url": url("/"), "body": {"a": 1.50}})).await;
        let told = &answer["json"];
        assert_eq!(
            (&told["method"], &told["body"], &told["headers"]["content-type"]),
            (&json!(method), &json!(r#"{"a":1.5}"#), &json!("application/json"))
        );
    }
    let told = |answer: Value| (answer["json"]["body"].clone(), answer["json"]["headers"]["content-type"].clone());
    let post = |more: Value| {
        let mut arguments = json!({"method": "POST", "url": url("/")});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        arguments
    };
    assert_eq!(told(call(&gate, post(json!({"body": "plain"}))).await), (json!("plain"), json!("text/plain; charset=utf-8")));
    assert_eq!(told(call(&gate, post(json!({"body": "{\"a\": 1}"}))).await), (json!("{\"a\": 1}"), json!("application/json")));
    assert_eq!(
        told(call(&gate, post(json!({"form": {"a": "b c", "d": 1}}))).await),
        (json!("a=b+c&d=1"), json!("application/x-www-form-urlencoded"))
    );
    let typed = post(json!({"body": "<a/>", "headers": {"Content-Type": "application/xml"}}));
    assert_eq!(told(call(&gate, typed).await), (json!("<a/>"), json!("application/xml")));
    let head = call(&gate, json!({"method": "HEAD", "url": url("/")})).await;
    assert_eq!((&head["status_code"], head.get("json")), (&json!(200), None));
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused() {
    let site = echo().await;
    let gate = gate(&site);
    let url = site.url("127.0.0.1", "/");
    assert_eq!(error(&gate, json!({"url": "http://169.254.169.254/latest/meta-data/"})).await, "blocked");
    assert_eq!(error(&gate, json!({"url": "ftp://example.com/"})).await, "bad_url");
    assert_eq!(error(&gate, json!({"url": url, "headers": {"Host": "x"}})).await, "blocked");
    assert_eq!(error(&gate, json!({"url": url, "headers": {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}})).await, "blocked");
    assert_eq!(error(&gate, json!({"url": url, "headers": {"X-Test": "a\r\nEvil: 1"}})).await, "bad_request");
    assert_eq!(error(&gate, json!({"url": url, "headers": {"bad name": "a"}})).await, "bad_request");
    assert_eq!(error(&gate, json!({"url": url, "body": "x"})).await, "bad_request", "GET takes no body");
    assert_eq!(error(&gate, json!({"method": "POST", "url": url, "body": "x", "form": {}})).await, "bad_request");
    assert_eq!(error(&gate, json!({"url": url, "connection": "nope"})).await, "bad_request");
    assert_eq!(error(&gate, json!({"url": url, "select": "$.["})).await, "bad_select");
    assert!(site.asked().is_empty());
    assert!(gate.call("api_client", &json!({"method": "TRACE", "url": url}).to_string()).await.is_err());
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let answer = call(&gate, json!({"url": format!("http://127.0.0.1:{gone}/"), "method": "DELETE"})).await;
    assert_eq!((&answer["method"], &answer["error_class"]), (&json!("DELETE"), &json!("blocked")));
}

#[tokio::test]
async fn answers_are_given_as_what_they_are() {
    let big = format!("[{}]", vec!["12345678901234567890"; 10_000].join(","));
    let site = Site::serve(move |asked| match asked.path.as_str() {
        "/json" => Served::json(r#"{"big": 12345678901234567890.10, "items": [{"name": "a"}, {"name": "b"}]}"#)
            .header("set-cookie", "session=secret"),
        "/problem" => Served::new(422, r#"{"detail": "no"}"#).header("content-type", "application/problem+json"),
        "/untyped" => Served::new(200, r#" {"a": 1}"#),
        "/broken" => Served::json(r#"{"a": "#),
        "/big" => Served::json(big.clone()),
        "/text" => Served::new(200, "ä".repeat(3000)).header("content-type", "text/plain; charset=utf-8"),
        "/latin" => Served::new(200, b"gr\xfc\xdfe".to_vec()).header("content-type", "text/plain; charset=iso-8859-1"),
        "/png" => Served::new(200, b"\x89PNG\r\n\x1a\n\x00\x01".to_vec()).header("content-type", "image/png"),
        "/empty" => Served::new(204, ""),
        "/missing" => Served::new(404, "not here").header("content-type", "text/plain"),
        "/moved" => Served::redirect(301, "/json"),
        "/slow" => Served::json("1").after(Duration::from_secs(30)),
        _ => Served::new(500, ""),
    })
    .await;
    let gate = gate(&site);
    let get = async |path: &str, more: Value| {
        let mut arguments = json!({"url": site.url("127.0.0.1", path)});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call(&gate, arguments).await
    };
    let plain = json!({});
    let whole = gate.call("api_client", &json!({"url": site.url("127.0.0.1", "/json")}).to_string()).await.unwrap();
    let Output::Tool(output) = whole.output else { panic!() };
    assert!(output.structured.unwrap().as_str().contains("12345678901234567890.10"), "numbers keep their text");
    assert_eq!(output.meta.unwrap().as_str(), r#"{"dev.toolcrib/untrusted":["headers","json","text"]}"#);
    assert_eq!(get("/json", plain.clone()).await["headers"]["set-cookie"], "***");
    assert_eq!(get("/json", json!({"select": "$.items[*].name"})).await["json"], json!(["a", "b"]));
    let problem = get("/problem", plain.clone()).await;
    assert_eq!((&problem["status_code"], &problem["json"]["detail"]), (&json!(422), &json!("no")));
    assert_eq!(get("/untyped", plain.clone()).await["json"], json!({"a": 1}));
    assert_eq!(get("/broken", plain.clone()).await["text"], r#"{"a": "#);
    let big = get("/big", plain.clone()).await;
    assert_eq!((big["text"].as_str().unwrap().len(), &big["truncated"]), (1000, &json!(true)));
    assert!(big["note"].as_str().unwrap().contains("select") && big["resource"].is_string());
    assert_eq!(get("/big", json!({"select": "$[1]"})).await["json"].to_string(), "12345678901234567890");
    let text = get("/text", plain.clone()).await;
    assert_eq!(
        (text["text"].as_str().unwrap().chars().count(), &text["total_chars"], &text["truncated"]),
        (1000, &json!(3000), &json!(true))
    );
    assert_eq!(get("/text", json!({"max_text": 5000})).await["text"].as_str().unwrap().chars().count(), 3000);
    assert_eq!(get("/latin", plain.clone()).await["text"], "grüße");
    let png = get("/png", plain.clone()).await;
    assert_eq!((&png["binary"]["media_type"], &png["binary"]["size_bytes"]), (&json!("image/png"), &json!(10)));
    assert_eq!(png["binary"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(get("/empty", plain.clone()).await["status_code"], 204);
    let missing = get("/missing", plain.clone()).await;
    assert_eq!((&missing["status_code"], &missing["text"]), (&json!(404), &json!("not here")));
    let moved = get("/moved", plain.clone()).await;
    assert!(moved["redirects"] == 1 && moved["url"].as_str().unwrap().ends_with("/json"));
    assert_eq!(get("/moved", json!({"follow_redirects": false})).await["headers"]["location"], "/json");
    assert_eq!(error(&gate, json!({"url": site.url("127.0.0.1", "/slow"), "timeout": 0.2})).await, "timeout");
    assert_eq!(error(&gate, json!({"url": site.url("127.0.0.1", "/text"), "select": "$.a"})).await, "bad_select");
}

#[tokio::test]
async fn a_connection_has_the_secrets_and_stays_below_its_base() {
    let site = echo().await;
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer secret-word"));
    let connection = ConnectionSettings {
        name: "tickets".into(),
        base_url: site.url("127.0.0.1", "/api/v1/").parse().unwrap(),
        headers,
        methods: vec![Method::GET],
        paths: Some(Globs::new(["/tickets*"])),
        description: Some("our tickets".into()),
    };
    // The rules themselves make no exception for this host.
    let strict = Egress::new(Config::default()).unwrap();
    let gate = gate_of(ApiClient::new(strict, vec![connection], None, Kept::default()).unwrap());
    let answer =
        call(&gate, json!({"connection": "tickets", "url": "tickets/7", "query": {"a": "b"}, "headers": {"Authorization": "mine"}})).await;
    assert_eq!(answer["json"]["path"], "/api/v1/tickets/7?a=b");
    assert_eq!(site.asked()[0].header("authorization"), Some("Bearer secret-word"), "the config has the last word");
    assert_eq!(answer["json"]["headers"]["authorization"], "***", "a server that echoes shows no secret");
    for path in
        ["../../admin", "/tickets/../../../admin", "tickets/%2e%2e/%2e%2e/%2e%2e/admin", "users", "/tickets/..%2f..%2fx/../../users"]
    {
        assert_eq!(error(&gate, json!({"connection": "tickets", "url": path})).await, "blocked", "{path}");
    }
    for path in ["http://example.com/", "//example.com/", "\\\\example.com"] {
        assert_eq!(error(&gate, json!({"connection": "tickets", "url": path})).await, "bad_url", "{path}");
    }
    let posted = call(&gate, json!({"connection": "tickets", "url": "tickets", "method": "POST"})).await;
    assert_eq!(posted["error"], r#"the connection "tickets" does not allow POST, only GET"#);
    let steered = json!({"connection": "tickets", "url": "tickets/7", "headers": {"X-Original-URL": "/admin"}});
    assert_eq!(error(&gate, steered).await, "blocked");
    let with_url = call(&gate, json!({"connection": "tickets", "url": "tickets/7?next=http://x/"})).await;
    assert_eq!(with_url["json"]["path"], "/api/v1/tickets/7?next=http://x/");
    assert_eq!(
        error(&gate, json!({"url": site.url("127.0.0.1", "/")})).await,
        "blocked",
        "without the connection the host is as any other"
    );
    assert!(!gate.gate().catalogue().tools().any(|tool| tool.spec().description.contains("secret-word")));
}

#[tokio::test]
async fn secrets_of_a_connection_follow_no_redirect() {
    let site = Site::serve(|asked| match asked.path.as_str() {
        "/api/out" => Served::redirect(302, "/admin"),
        _ => Served::json(r#""secret""#),
    })
    .await;
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer secret-word"));
    let base_url = site.url("127.0.0.1", "/api").parse().unwrap();
    let connection = ConnectionSettings { name: "api".into(), base_url, headers, methods: vec![], paths: None, description: None };
    let gate = gate_of(ApiClient::new(Egress::new(Config::default()).unwrap(), vec![connection], None, Kept::default()).unwrap());
    let answer = call(&gate, json!({"connection": "api", "url": "out", "follow_redirects": true})).await;
    assert_eq!((&answer["status_code"], &answer["headers"]["location"]), (&json!(302), &json!("/admin")));
    assert_eq!(site.asked().len(), 1);
}

#[tokio::test]
async fn a_tool_that_may_only_look_says_so() {
    let egress = || Egress::new(Config::default()).unwrap();
    let all = typed(ApiClient::new(egress(), vec![], None, Kept::default()).unwrap()).0;
    assert_eq!((all.annotations.is_read_only, all.annotations.is_destructive), (Some(false), Some(true)));
    let (looking, callable) = typed(ApiClient::new(egress(), vec![], Some(vec![Method::GET, Method::HEAD]), Kept::default()).unwrap());
    assert_eq!(looking.annotations.is_read_only, Some(true));
    let gate = TestGate::default().entry(looking, callable).open();
    assert_eq!(error(&gate, json!({"url": "https://example.com/", "method": "POST"})).await, "blocked");
}

#[tokio::test]
async fn a_kept_body_is_for_its_caller_only() {
    use std::sync::Arc;
    use toolcrib_contract::{CallContext, Callable, CallerId, Input};
    let kept = Kept::default();
    let caller = |name: &str| CallerId::new("login", name, [""; 0]);
    let uri = kept.keep(&caller("ann"), "text/plain", "the body").unwrap();
    let read = |who: &str, uri: &str| {
        let cx = CallContext::new(caller(who), std::time::Instant::now(), Arc::new(toolcrib_testkit::Deaf));
        let input = Input { name: uri.into(), arguments: Json::empty_object(), params: None };
        kept.call(input, cx)
    };
    let Ok(Output::Resource(contents)) = read("ann", &uri).await else { panic!() };
    assert_eq!(contents[0].text.as_deref(), Some("the body"));
    assert!(read("bob", &uri).await.is_err() && read("ann", "toolcrib://results/00").await.is_err());
    assert!(kept.keep(&caller("ann"), "text/plain", vec![0; crate::kept::MAX_BYTES + 1]).is_none());
}
