//! How tools are used: counted for every tool alike, and told where it may be.

use crate::support::{Http, Server, scripted, toolcrib};
use serde_json::{Value, json};

fn stats(server: &Server) -> Value {
    let answer = server.modern("resources/read", json!({"uri": "metrics://server/stats"}));
    serde_json::from_str(answer["result"]["contents"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))).unwrap()
}

fn tool<'a>(stats: &'a Value, name: &str) -> &'a Value {
    stats["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap_or_else(|| panic!("{stats}"))
}

#[test]
fn ready_declared_and_remote_tools_are_counted_alike() {
    let server = Server::with(&json!({
        "mcpServers": {"s": scripted(&[])},
        "tools": {"greet": {"description": "Greets.", "input": {"name": "string"}, "category": "utility", "tags": ["greeting"], "command": ["echo", "hello {{name}}"]}},
    }));
    server.wait_for_tool("s__echo");
    for _ in 0..3 {
        assert!(server.call("calculator", json!({"expression": "1+1"})).is_ok());
    }
    assert!(server.call("calculator", json!({"wrong": 1})).is_err());
    assert!(server.call("greet", json!({"name": "Ann"})).is_ok());
    assert!(server.call("s__echo", json!({"text": "x"})).is_ok());
    assert!(server.call("no_such_tool", json!({})).is_err());
    let stats = stats(&server);
    let used = |name: &str| ["calls", "errors"].map(|key| tool(&stats, name)[key].as_u64().unwrap());
    assert_eq!([used("calculator"), used("greet"), used("s__echo"), used("web_scraper")], [[4, 1], [1, 0], [1, 0], [0, 0]]);
    assert_eq!((&stats["total_calls"], &stats["most_used"]), (&json!(6), &json!("calculator")));
    assert_eq!(stats["total_tools"], json!(stats["tools"].as_array().unwrap().len()));
    assert_eq!(tool(&stats, "calculator")["success_rate"], 0.75);
    assert!(tool(&stats, "greet")["latency_ms"]["p95"].as_f64().unwrap() > 0.0 && tool(&stats, "web_scraper")["last_used"].is_null());
    assert!(tool(&stats, "greet")["last_used"].as_str().unwrap().ends_with('Z'));
    // The same by REST, where each caller sees what it may have, and on the command line.
    let base = server.url.trim_end_matches("/mcp");
    let get = |path: &str| Http::new(&format!("{base}{path}")).send(reqwest::Method::GET, None).json();
    assert_eq!(tool(&get("/api/v1/stats"), "calculator")["calls"], 4);
    let names = |listed: &Value| {
        listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&get("/api/v1/tools?tag=greeting")), ["greet"]);
    assert!(names(&get("/api/v1/tools?category=data_retrieval")).contains(&"web_scraper".to_owned()));
    assert_eq!(get("/api/v1/tools?colour=red")["error_type"], "bad_request");
    let list = |args: &[&str]| {
        let output = toolcrib().arg("list").args(args).args(["--url", &server.url]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let told = list(&["tools", "--stats"]);
    let row = told.lines().find(|line| line.starts_with("calculator ")).unwrap_or_else(|| panic!("{told}"));
    assert_eq!(row.split_whitespace().take(5).collect::<Vec<_>>(), ["calculator", "4", "1", "75.0", "%"]);
    assert!(told.ends_with("most used: calculator\n"), "{told}");
    assert!(list(&["tools", "--tag", "greeting"]).starts_with("greet  "));
}
