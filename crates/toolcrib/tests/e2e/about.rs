//! What the server tells of itself.

use crate::support::{PATIENCE, Server, listen, scripted, wait_for};
use serde_json::{Value, json};

fn read(server: &Server, uri: &str) -> Value {
    server.modern("resources/read", json!({ "uri": uri }))
}

fn text(server: &Server, uri: &str) -> String {
    let answer = read(server, uri);
    answer["result"]["contents"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[test]
fn settings_statistics_and_log_are_told_without_secrets() {
    let server = Server::with(&json!({
        "mcpServers": {
            "s": scripted(&[]),
            "far": {"url": "http://127.0.0.1:9/mcp?key=secret-in-a-url", "headers": {"Authorization": "Bearer secret-in-a-header"}},
        },
        "claude": {"mcp": {"timeout": 7, "maxConcurrentTools": 3}},
        "connections": {"shop": {"baseUrl": "https://shop.example.com", "headers": {"X-Key": "secret-of-the-shop"}}},
        "databases": {"books": "postgres://clerk:secret-of-the-clerk@127.0.0.1:1/books"},
    }));
    server.wait_for_tool("s__echo");
    server.call("calculator", json!({"expression": "1+1"})).unwrap();
    let settings: Value = serde_json::from_str(&text(&server, "config://server/settings")).unwrap();
    assert_eq!(
        (&settings["timeout"], &settings["max_tools"], &settings["version"]),
        (&json!(7.0), &json!(3), &json!(env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(settings["settings"]["servers"][1], json!({"name": "far", "transport": "http", "lazy": false, "timeout": null}));
    assert_eq!((&settings["settings"]["databases"], &settings["settings"]["needsRestart"]), (&json!(["books"]), &json!([])));
    let statistics: Value = serde_json::from_str(&text(&server, "metrics://server/stats")).unwrap();
    assert!(statistics["uptime_seconds"].is_u64() && statistics["memory_usage_mb"].as_f64() > Some(1.0), "{statistics}");
    assert_eq!((&statistics["total_requests"], &statistics["most_used"]), (&json!(1), &json!("calculator")));
    // The one that asks is open at this moment.
    assert!(statistics["active_connections"].as_u64() >= Some(1), "{statistics}");
    let log = wait_for("the log", || Some(text(&server, "logs://server/recent")).filter(|log| log.contains("connected")));
    assert!(log.lines().all(|line| !line.contains('\u{1b}')), "{log}");
    for told in [settings.to_string(), statistics.to_string(), log] {
        assert!(!told.contains("secret-"), "{told}");
    }
}

#[test]
fn whoever_listens_hears_of_changes() {
    let server = Server::with(&json!({"mcpServers": {"s": scripted(&[])}}));
    server.wait_for_tool("s__echo");
    let settings = listen(&server.url, &json!({"resourceSubscriptions": ["config://server/settings"]}));
    let log = listen(&server.url, &json!({"resourceSubscriptions": ["logs://server/recent"]}));
    // What takes a restart is named.
    let file = server.folder().join("mcp-config.yaml");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    config["limits"] = json!({"maxSessions": 5});
    std::fs::write(&file, config.to_string()).unwrap();
    for (told, uri) in [(settings, "config://server/settings"), (log, "logs://server/recent")] {
        let update = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!((&update["method"], &update["params"]["uri"]), (&json!("notifications/resources/updated"), &json!(uri)));
    }
    let settings: Value = serde_json::from_str(&text(&server, "config://server/settings")).unwrap();
    assert_eq!(settings["settings"]["needsRestart"], json!(["limits"]), "{settings}");
    // Until then, what was said before is in effect.
    assert_eq!(settings["settings"]["doors"]["maxSessions"], 4096);
}

#[test]
fn only_a_rule_that_names_them_gives_them() {
    let all = ["config://server/settings", "metrics://server/stats", "logs://server/recent", "status://server/upstreams"];
    let server = |resources: &[&str]| Server::with(&json!({"access": {"rules": [{"roles": ["*"], "allow": {"resources": resources}}]}}));
    let by_pattern = server(&["*"]);
    for uri in all {
        assert!(read(&by_pattern, uri)["error"].is_object(), "{uri}");
    }
    let by_name = server(&["logs://server/recent"]);
    for uri in all {
        assert_eq!(read(&by_name, uri)["error"].is_object(), uri != "logs://server/recent", "{uri}");
    }
}
