//! Tools by REST, and the description of it.

use crate::support::{Http, Reply, Server, peers, scripted, toolcrib, wait_for};
use serde_json::{Value, json};
use std::process::Command;

fn base(server: &Server) -> String {
    server.url.strip_suffix("/mcp").unwrap().to_owned()
}

fn call(server: &Server, body: &Value) -> Reply {
    Http::new(&format!("{}/api/v1/mcp/tool", base(server))).post(body.to_string())
}

fn failure(reply: &Reply) -> (u16, String) {
    let answer = reply.json();
    assert_eq!(answer["success"], false, "{answer}");
    assert!(!answer["error"].as_str().unwrap().is_empty(), "{answer}");
    (reply.status, answer["error_type"].as_str().unwrap().to_owned())
}

#[test]
fn a_tool_is_called_by_its_name_and_at_its_path() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__echo");
    let answer = call(&server, &json!({"name": "calculator", "args": {"expression": "6*7"}})).json();
    assert_eq!((&answer["success"], &answer["result"]["result"], &answer["tool_version"]), (&json!(true), &json!(42), &json!("1.0.0")));
    assert!(answer["execution_time"].as_f64().is_some_and(|seconds| seconds > 0.0), "{answer}");
    let answer = Http::new(&format!("{}/api/v1/tools/calculator", base(&server))).post(r#"{"expression": "6*7"}"#).json();
    assert_eq!(answer["result"]["result"], 42);
    // Another server's result: its lone text is the result.
    let answer = call(&server, &json!({"name": "s__echo", "args": {"text": "hello"}})).json();
    assert_eq!((&answer["success"], &answer["result"]), (&json!(true), &json!("hello")));
    let listed = Http::new(&format!("{}/api/v1/tools", base(&server))).send(reqwest::Method::GET, None).json();
    let names: Vec<&str> = listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"calculator") && names.contains(&"s__echo"), "{names:?}");
}

#[test]
fn each_failure_has_its_status() {
    let config = json!({
        "mcpServers": {"s": scripted(&[]), "gone": {"command": "no-such-program"}},
        "claude": {"mcp": {"timeout": 2}},
        "limits": {"maxMessageBytes": 4096},
        "access": {"rules": [{"roles": ["*"], "allow": ["*"]}], "limits": [{"roles": ["*"], "tools": ["analyze_text"], "perDay": 1}]},
    });
    let server = Server::with(&config);
    server.wait_for_tool("s__echo");
    let status = |body: &Value| failure(&call(&server, body));
    let is = |status: u16, kind: &str| (status, kind.to_owned());
    assert_eq!(status(&json!({"name": "none"})), is(404, "not_found"));
    assert_eq!(status(&json!({"name": "calculator", "args": {"expression": 1}})), is(422, "invalid_arguments"));
    assert_eq!(status(&json!({"name": "calculator", "args": []})), is(422, "invalid_arguments"));
    assert_eq!(status(&json!({"name": "calculator", "arguments": {}})), is(400, "bad_request"));
    assert_eq!(status(&json!({"args": {}})), is(400, "bad_request"));
    assert_eq!(status(&json!({"name": "calculator", "args": {"expression": "1".repeat(5000)}})), is(413, "too_large"));
    assert_eq!(status(&json!({"name": "web_scraper", "args": {"url": "http://127.0.0.1:1/"}})), is(422, "tool_error"));
    assert_eq!(status(&json!({"name": "s__die"})), is(502, "outcome_unknown"));
    assert_eq!(status(&json!({"name": "gone__x"})), is(503, "unavailable"));
    let text = json!({"name": "analyze_text", "args": {"text": "Good.", "analysis_type": "sentiment"}});
    assert_eq!(call(&server, &text).status, 200);
    let limited = call(&server, &text);
    assert_eq!(failure(&limited), is(429, "limit_reached"));
    assert!(limited.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{limited:?}");
    let raw = |http: Http, body: &str| failure(&http.post(body));
    let url = format!("{}/api/v1/mcp/tool", base(&server));
    assert_eq!(raw(Http::new(&url), "{"), is(400, "bad_request"));
    assert_eq!(raw(Http::new(&url), r#"{"name": "calculator", "name": "none"}"#), is(400, "bad_request"));
    let as_text = Http::new(&url).without("content-type").header("content-type", "text/plain");
    assert_eq!(raw(as_text, "{}"), is(415, "bad_request"));
    assert_eq!(Http::new(&url).send(reqwest::Method::GET, None).status, 405);
    assert_eq!(status(&json!({"name": "x".repeat(3000)})).0, 404);
    let path = |name: &str| Http::new(&format!("{}/api/v1/tools/{name}", base(&server))).post("{}");
    assert_eq!(failure(&path("%ff")), is(400, "bad_request"));
    assert_eq!(failure(&path("a%0Ab%1b[31m")), is(404, "not_found"));
    let shown = toolcrib().arg("audit").current_dir(server.folder()).output().unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains("a\\nb\\u{1b}[31m"), "nobody draws on the terminal: {shown:?}");
    let foreign = Http::new(&url).header("origin", "https://evil.example");
    assert_eq!(foreign.post("{}").status, 403);
    wait_for("the server to be back", || (call(&server, &json!({"name": "s__echo", "args": {"text": "a"}})).status == 200).then_some(()));
    assert_eq!(status(&json!({"name": "s__hang"})), is(504, "deadline_exceeded"));
}

#[test]
fn independent_judges_find_the_description_sound_and_true() {
    let config = json!({
        "auth": {"jwt": {"secret": "u8Zq3vKx-for-tests-only-7Rb2nMw5Lp9s"}},
        "access": {"rules": [{"roles": ["user"], "allow": ["calculator", "analyze_text", "describe_database"]}]},
    });
    let server = Server::with(&config);
    let output = toolcrib().args(["token", "--sub", "ann", "--role", "user"]).current_dir(server.folder()).output().unwrap();
    let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let url = format!("{}/openapi.json", base(&server));
    let description = Http::new(&url).header("authorization", &format!("Bearer {token}")).send(reqwest::Method::GET, None);
    let paths: Vec<String> = description.json()["paths"].as_object().unwrap().keys().cloned().collect();
    let tool = |name: &str| format!("/api/v1/tools/{name}");
    let expected = ["/api/v1/mcp/tool".into(), "/api/v1/tools".into(), tool("analyze_text"), tool("calculator"), tool("describe_database")];
    assert_eq!(paths.iter().collect::<std::collections::BTreeSet<_>>(), expected.iter().collect(), "a caller is told of what it may call");

    let file = server.folder().join("openapi.json");
    std::fs::write(&file, &description.body).unwrap();
    let python = peers().join("python-rest/bin");
    let validated = Command::new(python.join("openapi-spec-validator")).arg("--schema").arg("3.1").arg(&file).output().unwrap();
    assert!(validated.status.success(), "{}{}", String::from_utf8_lossy(&validated.stdout), String::from_utf8_lossy(&validated.stderr));

    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,ignored_auth";
    let tried = Command::new(python.join("schemathesis"))
        .args(["run", &url, "--max-examples", "25", "--seed", "1", "--checks", checks, "--no-color", "--workers", "1"])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .current_dir(server.folder())
        .output()
        .unwrap();
    assert!(tried.status.success(), "{}", String::from_utf8_lossy(&tried.stdout));
}
