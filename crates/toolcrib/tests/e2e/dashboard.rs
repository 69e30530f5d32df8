//! The dashboard, used in a real browser, and its endpoints by those who may not have them.

use crate::support::{Http, Server, beside_packages, node, repository, scripted, toolcrib, wait_for};
use serde_json::{Value, json};
use std::{path::Path, process::Command};

/// Has a browser do one of the tasks of `tests/peers/dashboard.mjs`.
fn browse(server: &Server, task: &str, environment: &[(&str, &str)]) {
    let script = beside_packages("dashboard.mjs");
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard").join(task);
    std::fs::create_dir_all(&pictures).unwrap();
    let base = server.url.strip_suffix("/mcp").unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_toolcrib")).parent().unwrap();
    let mut command = Command::new(node());
    command.arg(script).args([base, task]).arg(pictures).env("TOOLCRIB_BIN", programs).envs(environment.iter().copied());
    let done = command.output().unwrap();
    let [said, wrong] = [&done.stdout, &done.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(done.status.success() && said.trim() == "done", "{said}{wrong}");
}

/// A server that everybody may look after, with two others behind it.
fn open_server() -> Server {
    let broken = json!({"command": "sh", "args": ["-c", "echo no database here >&2; exit 3"]});
    let far = json!({"url": "http://127.0.0.1:9/mcp", "headers": {"Authorization": "Bearer secret-in-a-header"}});
    let server = Server::with(&json!({"mcpServers": {"s": scripted(&[]), "asks": scripted(&[]), "broken": broken, "far": far}}));
    server.wait_for_tool("s__echo");
    server.wait_for_tool("asks__ask");
    server
}

const FOR_OPERATORS: [&str; 8] = [
    "control://server/log",
    "metrics://server/stats",
    "status://server/upstreams",
    "control://server/upstreams",
    "audit://server/calls",
    "access://server/rules",
    "config://server/settings",
    "logs://server/recent",
];

/// A server with rules, and the keys of somebody who looks after it and of somebody who does not.
fn ruled_server() -> (Server, String, String) {
    let server = Server::with(&json!({
        "mcpServers": {"s": scripted(&[])},
        "auth": {"apiKeys": true},
        "access": {"rules": [
            {"roles": ["admin"], "allow": {"tools": ["*"], "resources": FOR_OPERATORS}},
            {"roles": ["user"], "allow": {"tools": ["calculator"], "resources": ["*"]}},
            {"roles": ["user"], "allow": {"tools": ["database_query"]}, "when": "args.query.startsWith('SELECT')"},
        ]},
    }));
    let key = |role: &str| {
        let mut command = toolcrib();
        command.args(["key", "create", "--sub", role, "--role", role, "--config"]).arg(server.folder().join("mcp-config.yaml"));
        String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let (admin, user) = (key("admin"), key("user"));
    for key in [&admin, &user] {
        wait_for("the key to be known", || (get(&server, "/api/v1/me", Some(key)).0 == 200).then_some(()));
    }
    (server, admin, user)
}

macro_rules! in_a_browser {
    ($($name:ident: $task:literal;)*) => {$(
        #[test]
        fn $name() {
            browse(&open_server(), $task, &[]);
        }
    )*};
}

in_a_browser! {
    what_happens_now_is_seen: "now";
    servers_are_restarted_and_taken_out_of_service: "servers";
    tools_are_found_and_told_of: "tools";
    tools_are_tried_out: "playground";
    calls_are_followed_cancelled_and_asked_back: "inMidCall";
    records_are_found_saved_and_checked: "calls";
    it_works_without_a_mouse: "keyboard";
}

#[test]
fn every_page_is_well_for_everybody() {
    let (server, admin, _) = ruled_server();
    browse(&server, "everyPage", &[("ADMIN", &admin)]);
}

#[test]
fn roles_decide_what_is_seen() {
    let (server, admin, user) = ruled_server();
    browse(&server, "roles", &[("ADMIN", &admin), ("USER_KEY", &user)]);
}

#[test]
fn faults_of_the_config_are_told() {
    let server = open_server();
    let file = server.folder().join("mcp-config.yaml");
    browse(&server, "config", &[("CONFIG", file.to_str().unwrap())]);
}

fn get(server: &Server, path: &str, key: Option<&str>) -> (u16, String) {
    let mut http = Http::new(&server.url.replace("/mcp", path));
    if let Some(key) = key {
        http = http.header("authorization", &format!("Bearer {key}"));
    }
    let reply = http.get();
    (reply.status, reply.body)
}

#[test]
fn each_view_is_given_by_its_rule_and_by_no_pattern() {
    let (server, admin, user) = ruled_server();
    let views = [
        "/metrics",
        "/api/v1/now",
        "/api/v1/servers",
        "/api/v1/calls",
        "/api/v1/calls/verdict",
        "/api/v1/access",
        "/api/v1/config",
        "/api/v1/log",
    ];
    for view in views {
        assert_eq!(get(&server, view, Some(&admin)).0, 200, "{view}");
        let (status, body) = get(&server, view, Some(&user));
        assert!(status == 403 && body.contains("://server/"), "{view}: {status} {body}");
        assert_eq!(get(&server, view, None).0, 401, "{view}");
    }
    // The page itself is for everybody: it holds nothing.
    assert_eq!(get(&server, "/", None).0, 200);
    let restart = |key: &str| {
        let url = server.url.replace("/mcp", "/api/v1/servers/s/restart");
        Http::new(&url).header("authorization", &format!("Bearer {key}")).post("").status
    };
    assert_eq!((restart(&user), restart(&admin)), (403, 200));
    // Who did it, and who tried to, stands in the record.
    let (_, calls) = get(&server, "/api/v1/calls?tool=control*", Some(&admin));
    let calls: Value = serde_json::from_str(&calls).unwrap();
    let told: Vec<_> =
        calls["calls"].as_array().unwrap().iter().map(|call| [&call["subject"], &call["outcome"], &call["arguments"]["order"]]).collect();
    assert_eq!(told, [[&json!("admin"), &json!("answered"), &json!("restart")], [&json!("user"), &json!("refused"), &json!("restart")]]);
    let unknown = Http::new(&server.url.replace("/mcp", "/api/v1/servers/nobody/restart"))
        .header("authorization", &format!("Bearer {admin}"))
        .post("");
    assert!(unknown.status == 404 && unknown.body.contains("server nobody"), "{unknown:?}");
    let senseless =
        Http::new(&server.url.replace("/mcp", "/api/v1/servers/s/explode")).header("authorization", &format!("Bearer {admin}")).post("");
    assert_eq!(senseless.status, 400);
}

#[test]
fn another_site_can_do_nothing_with_a_browser() {
    let server = open_server();
    let url = server.url.replace("/mcp", "/api/v1/servers/s/quarantine");
    let reply = Http::new(&url).header("origin", "https://evil.example").post("");
    assert_eq!(reply.status, 403, "{reply:?}");
    let page = Http::new(&server.url.replace("/mcp", "/")).get();
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
}

/// What Prometheus itself makes of it.
#[test]
fn metrics_are_as_prometheus_takes_them() {
    let server = open_server();
    server.call("calculator", json!({"expression": "1+1"})).unwrap();
    server.modern("tools/call", json!({"name": "no\"such\\tool", "arguments": {}}));
    let (status, text) = wait_for("the broken server to have failed", || {
        Some(get(&server, "/metrics", None))
            .filter(|(_, text)| text.contains("toolcrib_server_state{server=\"broken\",state=\"quarantined\"} 1"))
    });
    assert_eq!(status, 200);
    for line in [
        "mcp_server_operation_duration_seconds_count{mcp_method_name=\"tools/call\",gen_ai_tool_name=\"calculator\"} 1",
        "toolcrib_calls_total{outcome=\"answered\",error_type=\"\"} 1",
        "toolcrib_calls_total{outcome=\"refused\",error_type=\"not_found\"} 1",
        "toolcrib_server_state{server=\"s\",state=\"ready\"} 1",
        "toolcrib_calls_in_flight 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    // What a caller makes up is in no name and no label.
    assert!(!text.contains("such"), "{text}");
    let mut check = Command::new("promtool");
    let mut check = check
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("promtool is needed: install the package prometheus");
    std::io::Write::write_all(&mut check.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let checked = check.wait_with_output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// Every path that the reference names is there.
#[test]
fn every_endpoint_of_the_reference_is_there() {
    let reference = std::fs::read_to_string(repository().join("docs/reference/endpoints.md")).unwrap();
    let server = open_server();
    let mut count = 0;
    for line in reference.lines().filter(|line| line.starts_with("| `")) {
        let Some(cell) = line.split('|').nth(1) else { continue };
        for text in cell.split('`').skip(1).step_by(2) {
            let (method, path) = text.split_once(' ').unwrap_or(("GET", text));
            let path = path.replace("/mcp/NAME", "/mcp").replace("tools/NAME", "tools/calculator").replace("NAME", "broken");
            let reply = Http::new(&server.url.replace("/mcp", &path)).send(method.parse().unwrap(), Some("{}".to_owned()));
            // Where nothing is at a path, that is said in these words.
            assert!(!reply.body.starts_with("nothing here"), "{text}: {reply:?}");
            assert!(reply.status != 405 || !reply.body.is_empty(), "{text}: {reply:?}");
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn orders_are_judged_by_what_they_order() {
    let server = Server::with(&json!({
        "mcpServers": {"s": scripted(&[]), "t": scripted(&[])},
        "access": {"rules": [{"roles": ["*"], "allow": {"resources": ["control://server/upstreams", "status://server/upstreams"]}, "when": "!has(args.server) || args.server == 's' && args.order == 'quarantine'"}]},
    }));
    let order = |path: &str| Http::new(&server.url.replace("/mcp", &format!("/api/v1/servers/{path}"))).post("").status;
    assert_eq!((order("t/quarantine"), order("s/restart"), order("s/quarantine")), (403, 403, 200));
    let states = || {
        let (_, body) = get(&server, "/api/v1/servers", None);
        let told: Value = serde_json::from_str(&body).unwrap();
        told["servers"].as_array().unwrap().iter().map(|server| server["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    wait_for("the one that was ordered", || (states() == ["held", "ready"]).then_some(()));
    // A config that is read anew puts nothing back that was taken out by hand.
    let file = server.folder().join("mcp-config.yaml");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    config["mcpServers"]["s"]["timeout"] = json!(9);
    std::fs::write(&file, config.to_string()).unwrap();
    wait_for("the config to be read anew", || server.process.said().contains("changed: s").then_some(()));
    assert_eq!(states(), ["held", "ready"]);
}

/// A server for each caller is ended with all its processes.
#[test]
fn what_single_callers_have_of_a_server_is_ended_too() {
    let mut s = scripted(&[]);
    s["sharing"] = json!("perCaller");
    let server = Server::start(&json!({ "s": s }));
    server.wait_for_tool("s__pid");
    let own = server.call("s__pid", json!({})).unwrap();
    let order = |what: &str| assert_eq!(Http::new(&server.url.replace("/mcp", &format!("/api/v1/servers/s/{what}"))).post("").status, 200);
    order("quarantine");
    wait_for("the process of the caller to end", || (!crate::support::is_running(&own)).then_some(()));
    assert!(server.call("s__pid", json!({})).unwrap_err().contains("taken out of service"));
    order("restart");
    wait_for("another process", || server.call("s__pid", json!({})).ok().filter(|pid| *pid != own));
}
