//! Real clients: the official SDKs of three languages and the Inspector, over HTTP and as a child, in either era.

use crate::support::{Folder, Server, beside_packages, node, peers, python, scripted, toolcrib};
use serde_json::{Value, json};
use std::process::Command;

/// One client in one way of connecting: how it is started, and which revision it should end up with.
struct Peer {
    command: Command,
    target: Value,
}

fn calls() -> Value {
    json!([
        ["calculator", {"expression": "200 + 10%"}],
        ["s__echo", {"text": "through two pipes"}],
        ["calculator", {"expression": "1/0"}],
        ["s__ask", {"text": "tea"}],
    ])
}

fn check(Peer { mut command, target }: Peer) {
    let output = command.arg(target.to_string()).arg(calls().to_string()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{target}\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let tools = seen["tools"].as_array().unwrap();
    for name in ["calculator", "analyze_text", "s__echo"] {
        assert!(tools.contains(&json!(name)), "{target}: {tools:?}");
    }
    assert_eq!(seen["results"][0]["structured"]["result"].as_f64(), Some(220.0), "{target}: {seen}");
    assert_eq!((&seen["results"][1]["text"], &seen["results"][1]["isError"]), (&json!("through two pipes"), &json!(false)));
    assert_eq!(seen["results"][2]["structured"]["error_class"], "division_by_zero");
    assert_eq!(seen["results"][3]["text"], "Ada, asked about tea", "{target}: {seen}");
    if let Some(revision) = target.get("revision") {
        assert_eq!(&seen["revision"], revision, "{target}");
    }
}

/// Over HTTP, and as a child of the client.
fn everywhere(peer: impl Fn() -> Command, target: &Value) {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__echo");
    let mut over_http = target.clone();
    over_http["url"] = json!(server.url);
    check(Peer { command: peer(), target: over_http });

    let folder = Folder::new();
    let config = folder.config(&json!({"mcpServers": {"s": scripted(&[])}}));
    let mut as_child = target.clone();
    as_child["command"] = json!(toolcrib().get_program().to_str().unwrap());
    as_child["args"] = json!(["serve", "--stdio", "--config", config]);
    check(Peer { command: peer(), target: as_child });
}

fn script(interpreter: impl AsRef<std::ffi::OsStr>, name: &str) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(beside_packages(name));
    command
}

#[test]
fn the_python_sdk_1() {
    everywhere(|| script(python(1), "client_1.py"), &json!({"revision": "2025-11-25"}));
}

#[test]
fn the_python_sdk_2_modern() {
    everywhere(|| script(python(2), "client_2.py"), &json!({"mode": "auto", "revision": "2026-07-28"}));
}

#[test]
fn the_python_sdk_2_legacy() {
    everywhere(|| script(python(2), "client_2.py"), &json!({"mode": "legacy", "revision": "2025-11-25"}));
}

#[test]
fn the_typescript_sdk_1() {
    everywhere(|| script(node(), "client.mjs"), &json!({"sdk": 1}));
}

#[test]
fn the_typescript_sdk_2_modern() {
    everywhere(|| script(node(), "client.mjs"), &json!({"sdk": 2, "mode": "auto"}));
}

#[test]
fn the_typescript_sdk_2_legacy() {
    everywhere(|| script(node(), "client.mjs"), &json!({"sdk": 2, "mode": "legacy"}));
}

#[test]
fn the_inspector() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__echo");
    let inspect = |arguments: &[&str]| {
        let inspector = peers().join("node_modules/.bin/mcp-inspector");
        let output =
            Command::new(node()).arg(inspector).args(["--cli", &server.url, "--transport", "http"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let tools = inspect(&["--method", "tools/list"]);
    assert!(tools["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "s__echo"), "{tools}");
    let result = inspect(&["--method", "tools/call", "--tool-name", "calculator", "--tool-arg", "expression=6*7"]);
    assert_eq!(result["structuredContent"]["result"], 42, "{result}");
}

/// The official Rust SDK, in either era.
#[test]
fn the_rust_sdk() {
    use rmcp::{
        ServiceExt,
        model::{CallToolRequestParams, ClientConfig},
        service::{ClientLifecycleMode, ClientServiceExt},
        transport::StreamableHttpClientTransport,
    };
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__echo");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let transport = || StreamableHttpClientTransport::from_uri(server.url.clone());
        let modern = ClientLifecycleMode::Discover { preferred_versions: vec![rmcp::model::ProtocolVersion::V_2026_07_28] };
        for client in [
            ClientConfig::default().serve(transport()).await.unwrap(),
            ClientConfig::default().serve_with_lifecycle(transport(), modern).await.unwrap(),
        ] {
            let tools = client.list_all_tools().await.unwrap();
            assert!(tools.iter().any(|tool| tool.name == "s__echo"));
            let arguments = json!({"expression": "2^64"}).as_object().cloned().unwrap();
            let result = client.call_tool(CallToolRequestParams::new("calculator").with_arguments(arguments)).await.unwrap();
            assert_eq!(result.structured_content.unwrap()["result"], json!(18_446_744_073_709_551_616_u128 as f64));
            client.cancel().await.unwrap();
        }
    });
}
