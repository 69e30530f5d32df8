//! What is done about faults of other servers, as those servers see it: how often they are asked, and when they are left alone.

use crate::support::{Folder, Running, Server, node, repository, scripted, toolcrib, wait_for};
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Mutex,
};
use tokio::runtime::Runtime;
use toolcrib_testkit::{Asked, Served, Site, site::converse};

/// A legacy server over HTTP whose tools are named after what they do.
struct Troubled {
    site: Site,
    _runtime: Runtime,
}

impl Troubled {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let calls = Mutex::new(HashMap::new());
        let site = runtime.block_on(Site::serve(move |asked| {
            let mut calls = calls.lock().unwrap();
            answer(asked, &mut calls)
        }));
        Self { site, _runtime: runtime }
    }

    fn url(&self) -> String {
        self.site.url("127.0.0.1", "/mcp")
    }

    /// How often a tool was called.
    fn calls(&self, tool: &str) -> usize {
        let is_call = |asked: &Asked| asked.body.contains("tools/call") && asked.body.contains(&format!("\"{tool}\""));
        self.site.asked().iter().filter(|asked| is_call(asked)).count()
    }
}

const TOOLS: &[&str] = &["busy", "crashes", "repeatable", "reads", "errs", "counts", "well", "nags"];

fn answer(asked: &Asked, calls: &mut HashMap<String, usize>) -> Served {
    if asked.method != "POST" {
        return Served::new(405, "");
    }
    let message: Value = serde_json::from_str(&asked.body).unwrap();
    let Some(id) = message.get("id") else { return Served::new(202, "") };
    let reply = |result: Value| Served::json(json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string());
    match message["method"].as_str().unwrap() {
        "initialize" => {
            reply(json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "t", "version": "1"}}))
        }
        "tools/list" => {
            let tool =
                |name: &&str| json!({"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": *name == "reads"}});
            reply(json!({"tools": TOOLS.iter().map(tool).collect::<Vec<_>>()}))
        }
        "tools/call" => {
            let name = message["params"]["name"].as_str().unwrap();
            let number = calls.entry(name.to_owned()).or_default();
            *number += 1;
            let said = |text: String, is_error: bool| reply(json!({"content": [{"type": "text", "text": text}], "isError": is_error}));
            match name {
                "busy" if *number < 3 => Served::new(429, "").header("retry-after", "0"),
                "crashes" | "repeatable" | "reads" if *number < 3 || name == "crashes" => Served::new(500, "oops"),
                "nags" => {
                    let progress =
                        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "x", "progress": 1}});
                    Served::new(200, "").header("content-type", "text/event-stream").then_repeat(format!("data: {progress}\n\n"))
                }
                "errs" => said("no such thing".into(), true),
                _ => said(number.to_string(), false),
            }
        }
        _ => Served::json(json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no"}}).to_string()),
    }
}

#[test]
fn calls_are_repeated_as_the_config_says_and_never_unsafely() {
    let troubled = Troubled::new();
    let server = Server::with(&json!({
        "mcpServers": {"t": {"url": troubled.url()}, "trusted": {"url": troubled.url(), "trusted": true, "resilience": {"firstWait": 0.01}}},
        "resilience": {"tools": {
            "t__repeatable": {"repeatable": true, "attempts": 5},
            "t__counts": {"cache": 60},
            "t__crashes": {"breaker": {"failures": 2, "recovery": 600}},
        }},
    }));
    ["t__well", "trusted__well"].iter().for_each(|tool| server.wait_for_tool(tool));
    let call = |tool: &str| server.call(tool, json!({}));
    // It says that it did not look at the call.
    assert_eq!((call("t__busy"), troubled.calls("busy")), (Ok("3".into()), 3));
    // Whatever it did before it answered 500: done again, it might be done twice.
    let said = call("t__crashes").unwrap_err();
    assert!(said.contains("the outcome is unknown"), "{said}");
    assert_eq!(troubled.calls("crashes"), 1);
    assert_eq!((call("t__repeatable"), troubled.calls("repeatable")), (Ok("3".into()), 3));
    // What a server says of its tools counts where it is trusted.
    assert!(call("t__reads").unwrap_err().contains("the outcome is unknown"));
    assert_eq!((call("trusted__reads"), troubled.calls("reads")), (Ok("3".into()), 3));
    assert!(call("t__errs").is_err() && troubled.calls("errs") == 1, "an answer is an answer");
    assert_eq!((call("t__counts"), call("t__counts"), troubled.calls("counts")), (Ok("1".into()), Ok("1".into()), 1));

    // After the second fault in a row it is left alone; its neighbours are not.
    assert!(call("t__crashes").unwrap_err().contains("the outcome is unknown"));
    let said = call("t__crashes").unwrap_err();
    assert!(said.contains("this tool failed 2 times in a row") && said.contains("500") && said.contains("try again in"), "{said}");
    assert_eq!(troubled.calls("crashes"), 2);
    assert_eq!(call("t__well"), Ok("1".into()));
}

#[test]
fn progress_that_nobody_asked_for_gives_no_call_more_time() {
    let troubled = Troubled::new();
    let server = Server::start(&json!({"t": {"url": troubled.url(), "timeout": 1}}));
    server.wait_for_tool("t__nags");
    assert!(server.call("t__nags", json!({})).unwrap_err().contains("no answer within the deadline of 1 s"));
    assert_eq!(server.call("t__well", json!({})), Ok("1".into()));
}

#[test]
fn another_tool_answers_for_a_server_that_is_down() {
    let troubled = Troubled::new();
    let server = Server::with(&json!({
        "mcpServers": {"t": {"url": troubled.url()}, "s": scripted(&[])},
        "resilience": {"attempts": 2, "firstWait": 0.01, "tools": {"t__well": {"fallback": {"tool": "s__echo", "arguments": {"text": "question"}}}}},
    }));
    ["t__well", "s__echo"].iter().for_each(|tool| server.wait_for_tool(tool));
    assert_eq!(server.call("t__well", json!({"question": "who?"})), Ok("1".into()));
    drop(troubled);
    let answer = server.modern("tools/call", json!({"name": "t__well", "arguments": {"question": "who?"}}));
    let content = answer["result"]["content"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert!(content[0]["text"].as_str().unwrap().starts_with("(t__well could not answer, this is from s__echo: "), "{answer}");
    assert_eq!(content[1]["text"], "who?");
    assert_eq!(answer["result"]["_meta"]["dev.toolcrib/fallback"]["tool"], "s__echo");
}

#[test]
fn what_makes_no_sense_about_faults_is_said_at_once() {
    let folder = Folder::new();
    for (resilience, expected) in [
        (json!({"attempts": 0}), "expected a number from 1 to 10"),
        (json!({"attempt": 2}), "attempts"),
        (json!({"breaker": {"failures": 0}}), "expected a number from 1 to 1000"),
        (json!({"cache": 5}), "unknown"),
        (json!({"tools": {"x": {"cache": {}}}}), "for how many seconds"),
        (json!({"tools": {"x": {"fallback": {}}}}), "which tool is called instead"),
        (json!({"tools": {"x": {"maxConcurrent": 0}}}), "expected a number from 1"),
    ] {
        folder.config(&json!({ "resilience": resilience }));
        let output = toolcrib().arg("check").current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.code() == Some(1) && said.contains(expected), "{resilience}: {said}");
    }
}

#[test]
fn a_server_is_reached_over_tls_by_a_certificate_that_the_config_trusts() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("localhost:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    runtime.spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(tls));
        let calls = Mutex::new(HashMap::new());
        while let Ok((stream, _)) = listener.accept().await {
            // Who does not trust us leaves.
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            converse(stream, &|asked: &Asked| answer(asked, &mut calls.lock().unwrap()), &Mutex::default()).await;
        }
    });
    let folder = Folder::new();
    let certificate = folder.path().join("ca.pem");
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    let url = format!("https://localhost:{port}/mcp");
    let server = Server::start(&json!({"strange": {"url": url}, "trusted": {"url": url, "caFile": certificate}}));
    server.wait_for_tool("trusted__well");
    assert_eq!(server.call("trusted__well", json!({})), Ok("1".into()));
    let said = server.call("strange__well", json!({})).unwrap_err();
    assert!(said.contains("has not connected yet"), "{said}");
    wait_for("the reason", || server.process.said().to_lowercase().contains("certificate").then_some(()));
}

/// The server that speaks HTTP/2, with what is there to trust it by. Ends with the process that it runs in.
fn http2(folder: &Path) -> (Running, u16, PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("ca.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut command = std::process::Command::new(node());
    let script = repository().join("tests/peers/http2.mjs");
    command.arg(script).args([&certificate, &key]);
    let mut running = Running::start(command);
    let port = running.wait_to_say("listening on ").parse().unwrap();
    (running, port, certificate)
}

#[test]
fn a_server_that_speaks_http_2_is_called_by_it_and_one_connection_carries_many_calls() {
    let folder = Folder::new();
    let (_peer, port, certificate) = http2(folder.path());
    let url = |path: &str| format!("https://localhost:{port}{path}");
    let once = json!({"attempts": 1});
    let server = Server::with(&json!({"claude": {"mcp": {"maxConcurrentTools": 20}}, "resilience": once, "mcpServers": {
        "two": {"url": url("/mcp"), "caFile": certificate},
        "moved": {"url": url("/moved"), "caFile": certificate},
        "see": {"url": url("/see"), "caFile": certificate},
        "away": {"url": url("/away"), "caFile": certificate, "headers": {"Authorization": "Bearer of-nobody-else"}},
    }}));
    server.wait_for_tool("two__version");
    assert_eq!(server.call("two__version", json!({})), Ok("2.0".into()));
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..16).map(|_| scope.spawn(|| server.call("two__slow", json!({})))).collect();
        let came_by: BTreeSet<String> = calls.into_iter().map(|call| call.join().unwrap().unwrap()).collect();
        assert_eq!(came_by.len(), 1, "{came_by:?}");
    });
    // What it did not look at is asked once more, by the connection: the gate does not repeat calls here.
    for turned_away in ["two__busy", "two__leaving"] {
        assert_eq!(server.call(turned_away, json!({})), Ok("2".into()), "{turned_away}");
    }
    // The same request, elsewhere in the same origin: followed. Another request, or another origin: told.
    server.wait_for_tool("moved__version");
    assert_eq!(server.call("moved__version", json!({})), Ok("2.0".into()));
    for (name, elsewhere) in [("see", "it redirects to /mcp"), ("away", "it redirects to https://example.invalid/mcp")] {
        wait_for("the reason", || server.process.said().contains(elsewhere).then_some(()));
        assert!(!server.tools().contains(&format!("{name}__version")));
    }
}

#[test]
fn the_table_of_faults_names_tests_that_there_are() {
    fn sources(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                sources(&entry, text);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(entry).unwrap());
            }
        }
    }
    let mut text = String::new();
    sources(&repository().join("crates"), &mut text);
    let page = std::fs::read_to_string(repository().join("docs/reliability.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains('`')).filter(|line| !line.starts_with("| fault"));
    let mut count = 0;
    for row in rows {
        let test = row.rsplit('|').nth(1).unwrap().split('`').nth(1).unwrap_or_else(|| panic!("{row}"));
        let name = test.rsplit("::").next().unwrap();
        assert!(text.contains(&format!("fn {name}(")), "there is no test {name:?}: {row}");
        count += 1;
    }
    assert!(count >= 50, "{count} rows");
}
