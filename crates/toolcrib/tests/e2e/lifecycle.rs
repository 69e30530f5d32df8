//! Starting and ending.

use crate::support::{Folder, Http, Running, Server, scripted, toolcrib};
use serde_json::json;
use std::{thread, time::Duration};

#[test]
fn a_start_says_where_it_listens_and_how_to_connect() {
    let server = Server::start(&json!({"quiet": scripted(&[])}));
    let mut process = server.process;
    process.wait_to_say("claude mcp add --transport http toolcrib http://127.0.0.1:");
    let said = process.said();
    assert!(said.contains("analyze_text, calculator") && said.contains("starting in the background: quiet"), "{said}");
}

#[test]
fn an_address_that_others_can_reach_is_refused() {
    let output = toolcrib().args(["serve", "--listen", "0.0.0.0:0"]).current_dir(Folder::new().path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("can be reached from other machines"), "{said}");
}

#[test]
fn an_address_in_use_is_named() {
    let server = Server::start(&json!({}));
    let address = server.url.trim_start_matches("http://").trim_end_matches("/mcp");
    let output = toolcrib().args(["serve", "--listen", address]).current_dir(Folder::new().path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{address} is in use already")) && said.contains("--listen"), "{said}");
}

#[test]
fn calls_in_flight_are_answered_before_we_end() {
    let mut server = Server::with(&json!({
        "mcpServers": {"everything": {"command": crate::support::peers().join("node_modules/.bin/mcp-server-everything")}},
    }));
    server.wait_for_tool("everything__trigger-long-running-operation");
    let url = server.url.clone();
    let calling = thread::spawn(move || {
        let params = json!({"name": "everything__trigger-long-running-operation", "arguments": {"duration": 3, "steps": 3}});
        Http::new(&url).modern("tools/call", params)
    });
    thread::sleep(Duration::from_secs(1));
    server.process.signal("-TERM");
    let reply = calling.join().unwrap();
    assert!(reply.body.contains("completed"), "{reply:?}");
    assert!(server.process.wait().success());
}

#[test]
fn open_streams_do_not_hold_up_the_end() {
    let mut server = Server::start(&json!({}));
    let session = Http::session(&server.url, "2025-11-25");
    let modern_url = server.url.clone();
    let legacy_stream =
        thread::spawn(move || session.without("accept").header("accept", "text/event-stream").send(reqwest::Method::GET, None));
    let modern_stream =
        thread::spawn(move || Http::new(&modern_url).modern("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})));
    thread::sleep(Duration::from_millis(500));
    server.process.signal("-INT");
    assert!(server.process.wait().success());
    assert_eq!(legacy_stream.join().unwrap().status, 200);
    let events = modern_stream.join().unwrap().events();
    assert_eq!(events.last().unwrap()["result"]["resultType"], "complete", "a listening client is told that we end: {events:?}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__hang");
    let url = server.url.clone();
    let hanging = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let body = crate::support::modern(1, "tools/call", json!({"name": "s__hang"})).to_string();
        let headers = [
            ("content-type", "application/json"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "s__hang"),
        ];
        let request = headers.iter().fold(crate::support::client().post(url), |request, (name, value)| request.header(*name, *value));
        runtime.block_on(request.body(body).send()).is_err()
    });
    thread::sleep(Duration::from_millis(500));
    server.process.signal("-INT");
    server.process.wait_to_say("press Ctrl-C again");
    server.process.signal("-INT");
    assert_eq!(server.process.wait().code(), Some(1));
    assert!(hanging.join().unwrap());
}

#[test]
fn a_faulty_config_does_not_start() {
    let folder = Folder::new();
    let mut process = Running::start({
        let mut command = toolcrib();
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(folder.config(&json!({"mcpServers": {"a": {"comand": "x"}}})));
        command
    });
    assert_eq!(process.wait().code(), Some(2));
    process.wait_to_say("mcpServers.a.comand: unknown key; did you mean \"command\"?");
}
