//! Starting and ending.

use crate::support::{
    Folder, Http, PATIENCE, Running, Server, client, legacy, modern, resident_kib, scripted, text_of, toolcrib, wait_for,
};
use serde_json::json;
use std::thread;

#[test]
fn a_start_says_where_it_listens_and_how_to_connect() {
    let server = Server::start(&json!({"quiet": scripted(&[])}));
    let mut process = server.process;
    process.wait_to_say("claude mcp add --transport http toolcrib http://127.0.0.1:");
    let said = process.said();
    assert!(
        said.contains("  tools: analyze_text, api_client, calculator, ") && said.contains("starting in the background: quiet"),
        "{said}"
    );
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
    let mut server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__slow");
    let url = server.url.clone();
    let calling = thread::spawn(move || text_of(&Http::new(&url).modern("tools/call", json!({"name": "s__slow"})).json()));
    server.process.wait_to_say("slow has begun");
    server.process.signal("-TERM");
    assert_eq!(calling.join().unwrap().unwrap(), "done at last");
    assert!(server.process.wait().success());
}

#[test]
fn open_streams_do_not_hold_up_the_end() {
    let mut server = Server::start(&json!({}));
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let session = Http::new(&server.url).post(legacy(1, "initialize", hello)).header("mcp-session-id").to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // A stream is open once its headers are here.
        let stream =
            client().get(&server.url).header("mcp-session-id", session).header("accept", "text/event-stream").send().await.unwrap();
        let listen = modern(7, "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})).to_string();
        let headers =
            [("content-type", "application/json"), ("mcp-protocol-version", "2026-07-28"), ("mcp-method", "subscriptions/listen")];
        let request = headers.iter().fold(client().post(&server.url), |request, (name, value)| request.header(*name, *value));
        let listening = request.body(listen).send().await.unwrap();
        server.process.signal("-INT");
        assert_eq!(stream.text().await.unwrap(), "", "nothing was to be told");
        let told = listening.text().await.unwrap();
        assert!(told.contains("notifications/subscriptions/acknowledged") && told.contains(r#""resultType":"complete""#), "{told}");
    });
    assert!(server.process.wait().success());
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__hang");
    let url = server.url.clone();
    let hanging = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let body = modern(1, "tools/call", json!({"name": "s__hang"})).to_string();
        let headers = [
            ("content-type", "application/json"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "s__hang"),
        ];
        let request = headers.iter().fold(client().post(url), |request, (name, value)| request.header(*name, *value));
        runtime.block_on(request.body(body).send()).is_err()
    });
    server.process.wait_to_say("hang has begun");
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

#[test]
fn who_looks_after_us_is_told_when_we_are_ready_and_when_we_end() {
    let folder = Folder::new();
    // One is there at once, the other never.
    let slow = json!({"command": "sleep", "args": ["600"], "startTimeout": 3});
    let config = folder.config(&json!({"mcpServers": {"there": scripted(&[]), "slow": slow}}));
    let socket = folder.path().join("manager.sock");
    let manager = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut line = [0; 64];
        let length = manager.recv(&mut line).unwrap();
        String::from_utf8_lossy(&line[..length]).into_owned()
    };
    let mut command = toolcrib();
    command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(config).env("NOTIFY_SOCKET", &socket);
    let mut server = Running::start(command);
    let url = server.wait_to_say("serves MCP at ");
    assert_eq!(heard(), "READY=1");
    let state = |path: &str| {
        let reply = Http::new(&url.replace("/mcp", path)).send(reqwest::Method::GET, None);
        (reply.status, reply.body)
    };
    assert_eq!(state("/readyz"), (503, "starting\n".into()));
    assert_eq!(state("/healthz").0, 200, "we live before we are ready");
    wait_for("readiness", || (state("/readyz") == (200, "ready\n".into())).then_some(()));
    server.signal("-TERM");
    assert_eq!(heard(), "STOPPING=1");
    assert!(server.wait().success());
}

#[test]
fn ten_thousand_sessions_come_and_go_and_leave_nothing() {
    let server = Server::with(&json!({"limits": {"maxSessions": 200}}));
    let resident_kib = || resident_kib(server.process.child.id());
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let open = async |client: &reqwest::Client, number: usize| {
        let request = client.post(&server.url).header("content-type", "application/json");
        let reply = request.header("accept", "application/json, text/event-stream").body(hello.to_string()).send().await.unwrap();
        assert_eq!(reply.status(), 200, "session {number}");
        let session = reply.headers()["mcp-session-id"].clone();
        reply.bytes().await.unwrap();
        // Every other client says goodbye.
        if number.is_multiple_of(2) {
            let goodbye = client.delete(&server.url).header("mcp-session-id", session).header("mcp-protocol-version", "2025-11-25");
            assert!(goodbye.send().await.unwrap().status().is_success());
        }
    };
    runtime.block_on(async {
        let client = client();
        for number in 0..500 {
            open(&client, number).await;
        }
        let before = resident_kib();
        for number in 500..10_000 {
            open(&client, number).await;
        }
        let after = resident_kib();
        assert!(after < before + 16 * 1024, "from {before} to {after} KiB");
    });
    // Those who are there are served.
    let session = Http::session(&server.url, "2025-11-25");
    let listed = session.post(legacy(1, "tools/list", json!({})).to_string());
    assert_eq!(listed.status, 200);
}
