//! Every pair of a client and a server: each era and transport on either side, and in each pair everything that the
//! protocol has, between the official SDKs.
//!
//! `docs/pairs.md` is generated from the cells below. A test says when it is out of date; run that with `BLESS=1` to write
//! it anew.

use crate::support::{Folder, PATIENCE, Running, Server, free_port, python, repository, toolcrib, wait_for};
use serde_json::{Value, json};
use std::{net::TcpStream, path::Path, process::Command};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Era {
    Legacy,
    Modern,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Transport {
    Stdio,
    Http,
    Sse,
}

/// A client and a server, and the test that puts them together.
struct Cell {
    client: (Era, Transport),
    server: (Era, Transport),
    test: &'static str,
}

macro_rules! cells {
    ($($test:ident: $client_era:ident $client:ident => $server_era:ident $server:ident;)*) => {
        const CELLS: &[Cell] = &[$(Cell {
            client: (Era::$client_era, Transport::$client),
            server: (Era::$server_era, Transport::$server),
            test: stringify!($test),
        }),*];

        $(#[test]
        fn $test() {
            check(CELLS.iter().find(|cell| cell.test == stringify!($test)).unwrap());
        })*
    };
}

cells! {
    legacy_http_client_legacy_stdio_server: Legacy Http => Legacy Stdio;
    legacy_http_client_legacy_http_server: Legacy Http => Legacy Http;
    legacy_http_client_legacy_sse_server: Legacy Http => Legacy Sse;
    legacy_http_client_modern_stdio_server: Legacy Http => Modern Stdio;
    legacy_http_client_modern_http_server: Legacy Http => Modern Http;
    legacy_stdio_client_legacy_stdio_server: Legacy Stdio => Legacy Stdio;
    legacy_stdio_client_legacy_http_server: Legacy Stdio => Legacy Http;
    legacy_stdio_client_legacy_sse_server: Legacy Stdio => Legacy Sse;
    legacy_stdio_client_modern_stdio_server: Legacy Stdio => Modern Stdio;
    legacy_stdio_client_modern_http_server: Legacy Stdio => Modern Http;
    modern_http_client_legacy_stdio_server: Modern Http => Legacy Stdio;
    modern_http_client_legacy_http_server: Modern Http => Legacy Http;
    modern_http_client_legacy_sse_server: Modern Http => Legacy Sse;
    modern_http_client_modern_stdio_server: Modern Http => Modern Stdio;
    modern_http_client_modern_http_server: Modern Http => Modern Http;
    modern_stdio_client_legacy_stdio_server: Modern Stdio => Legacy Stdio;
    modern_stdio_client_legacy_http_server: Modern Stdio => Legacy Http;
    modern_stdio_client_legacy_sse_server: Modern Stdio => Legacy Sse;
    modern_stdio_client_modern_stdio_server: Modern Stdio => Modern Stdio;
    modern_stdio_client_modern_http_server: Modern Stdio => Modern Http;
}

/// What is tried in each pair, in the words of the table.
const TRIED: [(&str, &str); 14] = [
    ("tools", "tools"),
    ("resources", "resources"),
    ("templates", "templates"),
    ("subscriptions", "subscriptions"),
    ("prompts", "prompts"),
    ("completion", "completion"),
    ("logging", "logging"),
    ("progress", "progress"),
    ("cancellation", "cancellation"),
    ("list_changes", "list changes"),
    ("elicitation", "elicitation"),
    ("sampling", "sampling"),
    ("roots", "roots"),
    ("ping", "ping"),
];

fn check(cell: &Cell) {
    let folder = Folder::new();
    let mark = folder.path().join("mark");
    let (_upstream, mut definition) = upstream(cell.server, &mark);
    if cell.server.1 == Transport::Sse && cell.client.1 == Transport::Stdio {
        // Said here, and found out where the client is on HTTP.
        definition["type"] = json!("sse");
    }
    let servers = json!({ "s": definition });
    let (_server, target) = match cell.client.1 {
        Transport::Stdio => {
            let config = folder.config(&json!({ "mcpServers": servers }));
            let program = toolcrib().get_program().to_str().unwrap().to_owned();
            (None, json!({"command": program, "args": ["serve", "--stdio", "--config", config], "mark": mark}))
        }
        _ => {
            let server = Server::start(&servers);
            let target = json!({"url": server.url, "mark": mark});
            (Some(server), target)
        }
    };
    let mut client = Command::new(python(2));
    client.arg(script("client.py")).arg(target.to_string()).arg(if cell.client.0 == Era::Modern { "auto" } else { "legacy" });
    let output = client.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(found["revision"], if cell.client.0 == Era::Modern { "2026-07-28" } else { "2025-11-25" });
    for (name, _) in TRIED {
        let expected = if is_tried(name, cell) { "ok" } else { "none in this era" };
        assert_eq!(found[name], expected, "{name}: {found}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The server of the pair, if it is not ours to start, and how it stands in the config.
fn upstream((era, transport): (Era, Transport), mark: &Path) -> (Option<Running>, Value) {
    let (interpreter, script) = match era {
        Era::Legacy => (python(1), script("legacy_server.py")),
        Era::Modern => (python(2), script("modern_server.py")),
    };
    let (how, path) = match transport {
        Transport::Stdio => return (None, json!({"command": interpreter, "args": [script, "stdio"], "env": {"MARK": mark}})),
        Transport::Http => ("http", "mcp"),
        Transport::Sse => ("sse", "sse"),
    };
    let port = free_port();
    let mut command = Command::new(interpreter);
    command.arg(script).arg(how).arg(port.to_string()).env("MARK", mark);
    let running = Running::start(command);
    wait_for(&format!("the server at port {port} within {PATIENCE:?}"), || TcpStream::connect(("127.0.0.1", port)).ok());
    (Some(running), json!({"url": format!("http://127.0.0.1:{port}/{path}")}))
}

fn script(name: &str) -> std::path::PathBuf {
    repository().join("tests/peers/pairs").join(name)
}

/// 2026-07-28 has no ping.
fn is_tried(name: &str, cell: &Cell) -> bool {
    name != "ping" || cell.client.0 == Era::Legacy
}

#[test]
fn the_table_in_the_docs_is_current() {
    let path = repository().join("docs/pairs.md");
    let table = table();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), table, "run this test with BLESS=1 to write the table anew");
}

fn table() -> String {
    let name = |(era, transport): (Era, Transport)| {
        let era = if era == Era::Legacy { "legacy" } else { "modern" };
        let transport = match transport {
            Transport::Stdio => "stdio",
            Transport::Http => "Streamable HTTP",
            Transport::Sse => "HTTP+SSE",
        };
        format!("{era}, {transport}")
    };
    let mut text = INTRODUCTION.to_owned();
    text += &format!("| client | server | {} | test |\n", TRIED.map(|(_, name)| name).join(" | "));
    text += &format!("|---|---|{}---|\n", ":-:|".repeat(TRIED.len()));
    for cell in CELLS {
        let tried = TRIED.map(|(name, _)| if is_tried(name, cell) { "✓" } else { "–" });
        text += &format!("| {} | {} | {} | `pairs::{}` |\n", name(cell.client), name(cell.server), tried.join(" | "), cell.test);
    }
    text
}

const INTRODUCTION: &str = "\
# Any client, any server

*Legacy* is MCP up to 2025-11-25 (`initialize`, sessions), *modern* is 2026-07-28 (stateless). Each line is one client and
one server with Toolcrib between them, and a test in which the official SDKs try all of it: the client is the Python SDK 2.x
in either mode, legacy servers are the Python SDK 1.x, modern ones 2.x. A dash stands where an era has no such thing.

This table is generated from `crates/toolcrib/tests/e2e/pairs.rs`.

";
