//! The record of what was called: it survives whatever ends the process, and the disk.

use crate::support::{Http, Running, Server, client, modern, toolcrib, wait_for};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

fn audit(folder: &Path, args: &[&str]) -> (i32, String) {
    let output = toolcrib().arg("audit").args(args).current_dir(folder).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), said)
}

fn records(folder: &Path, args: &[&str]) -> Vec<Value> {
    let (code, said) = audit(folder, &[&["--json", "--limit", "0"], args].concat());
    assert_eq!(code, 0, "{said}");
    said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn every_call_is_recorded_with_who_what_and_how_it_ended() {
    let server = Server::with(&json!({"access": {"rules": [{"roles": ["*"], "allow": ["calculator"]}]}}));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let call = |name: &str, arguments: Value| {
        let info = json!({"io.modelcontextprotocol/clientInfo": {"name": "tester", "version": "7"}, "traceparent": trace});
        Http::new(&server.url).modern("tools/call", json!({"name": name, "arguments": arguments, "_meta": info}))
    };
    call("calculator", json!({"expression": "6*7"}));
    call("calculator", json!({"expression": 1}));
    call("web_scraper", json!({"url": "http://x.example"}));
    call("none", json!({"password": "hunter2"}));
    let all = records(server.folder(), &[]);
    let ended: Vec<(&str, &str)> =
        all.iter().map(|record| (record["outcome"].as_str().unwrap(), record["code"].as_str().unwrap_or_default())).collect();
    assert_eq!(ended, [("answered", ""), ("refused", "invalid_arguments"), ("refused", "forbidden"), ("refused", "not_found")]);
    let first = &all[0];
    for (key, expected) in [
        ("subject", json!("anonymous")),
        ("door", json!("http")),
        ("address", json!("127.0.0.1")),
        ("client", json!("tester 7")),
        ("trace", json!("0af7651916cd43dd8448eb211c80319c")),
        ("kind", json!("tool")),
        ("name", json!("calculator")),
        ("arguments", json!({"expression": "6*7"})),
    ] {
        assert_eq!(first[key], expected, "{key}");
    }
    assert!(first["execution_ms"].as_f64().unwrap() > 0.0 && first["output_bytes"].as_u64().unwrap() > 0, "{first}");
    assert!(first["at"].as_str().unwrap().ends_with('Z') && first["id"].as_str().unwrap().len() == 36, "{first}");
    assert!(!all[3].to_string().contains("hunter2"), "{}", all[3]);
    assert_eq!(records(server.folder(), &["--outcome", "forbidden"]).len(), 1);
    assert_eq!(records(server.folder(), &["--tool", "calc*", "--since", "1h"]).len(), 2);
    assert_eq!(audit(server.folder(), &["verify"]).0, 0);
}

#[test]
fn new_records_are_shown_as_they_come() {
    let server = Server::with(&json!({}));
    let mut command = toolcrib();
    command.args(["audit", "--follow", "--json"]).current_dir(server.folder()).stdout(std::process::Stdio::piped());
    let mut following = command.spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(following.stdout.take().unwrap()));
    for expression in ["1+1", "2+2"] {
        server.call("calculator", json!({"expression": expression})).unwrap();
        let told: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(told["arguments"]["expression"], expression);
    }
    following.kill().unwrap();
    following.wait().unwrap();
}

#[test]
fn no_record_of_an_answered_call_is_lost_when_the_process_is_killed() {
    let server = Server::with(&json!({"claude": {"mcp": {"maxConcurrentTools": 64}}}));
    let answered = Arc::new(std::sync::Mutex::new(HashSet::new()));
    let next = Arc::new(AtomicUsize::new(0));
    let (url, pid) = (server.url.clone(), server.process.child.id().to_string());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = client();
        let clients: Vec<_> = (0..32)
            .map(|_| {
                let (client, url, answered, next) = (client.clone(), url.clone(), Arc::clone(&answered), Arc::clone(&next));
                tokio::spawn(async move {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= 10_000 {
                            return;
                        }
                        let body =
                            modern(1, "tools/call", json!({"name": "calculator", "arguments": {"expression": format!("{number} + 0")}}));
                        let request = client
                            .post(&url)
                            .header("content-type", "application/json")
                            .header("accept", "application/json, text/event-stream");
                        let request = request.header("mcp-protocol-version", "2026-07-28").header("mcp-method", "tools/call");
                        let sent = request.header("mcp-name", "calculator").body(body.to_string()).send().await;
                        let Ok(response) = sent else { return };
                        let Ok(text) = response.text().await else { return };
                        if text.contains(&format!("\"result\":{number},")) {
                            answered.lock().unwrap().insert(number);
                        }
                    }
                })
            })
            .collect();
        while next.load(Ordering::Relaxed) < 5_000 {
            tokio::task::yield_now().await;
        }
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        for client in clients {
            client.await.unwrap();
        }
    });
    let answered = answered.lock().unwrap().clone();
    assert!(answered.len() > 1000, "only {} calls were answered before the kill", answered.len());
    let recorded: HashSet<usize> = records(server.folder(), &[])
        .iter()
        .filter(|record| record["outcome"] == "answered")
        .map(|record| record["arguments"]["expression"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap())
        .collect();
    let lost: Vec<_> = answered.difference(&recorded).collect();
    assert!(lost.is_empty(), "{} of {} answered calls are not recorded: {lost:?}", lost.len(), answered.len());
    let (code, said) = audit(server.folder(), &["verify"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_log_that_was_cut_short_is_not_the_one_that_is_expected() {
    let server = Server::with(&json!({}));
    Http::new(&server.url).modern("tools/call", json!({"name": "calculator", "arguments": {"expression": "1"}}));
    let (code, said) = audit(server.folder(), &["verify"]);
    let last = said.lines().find_map(|line| line.strip_prefix("the last: ")).unwrap_or_else(|| panic!("{code}: {said}"));
    assert_eq!(audit(server.folder(), &["verify", "--expect", last]).0, 0);
    let (number, hash) = last.split_once(':').unwrap();
    for (expected, fault) in [
        (format!("{number}:{}", "0".repeat(hash.len())), "is another than the one that is expected"),
        (format!("9{number}:{hash}"), "is not there"),
    ] {
        let (code, said) = audit(server.folder(), &["verify", "--expect", &expected]);
        assert!(code == 1 && said.contains(fault), "{expected}: {code}: {said}");
    }
    assert_eq!(audit(server.folder(), &["verify", "--expect", hash]).0, 2);
}

#[test]
fn what_only_looks_makes_no_store() {
    let folder = crate::support::Folder::new();
    folder.config(&json!({"dataFolder": "none-yet"}));
    for command in [&["key", "list"][..], &["key", "revoke", "x"], &["secret", "list"], &["audit"]] {
        let output = toolcrib().args(command).current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("there is nothing in"), "{command:?}: {said}");
    }
    assert!(!folder.path().join("none-yet").exists());
}

#[test]
fn a_full_disk_refuses_calls_and_recovers() {
    let folder = crate::support::Folder::new();
    folder.config(&json!({}));
    // What a full disk is to the process: files that cannot grow. The signal that comes with it is ignored, as the limit is ours.
    let mut command = Command::new("sh");
    let serve = format!("trap '' XFSZ; ulimit -S -f 600; exec '{}' serve --listen 127.0.0.1:0", env!("CARGO_BIN_EXE_toolcrib"));
    command.arg("-c").arg(serve).current_dir(folder.path());
    let mut process = Running::start(command);
    let url = process.wait_to_say("serves MCP at ");
    let call = || {
        let arguments = json!({"expression": "1+1", "x": "y ".repeat(1500)});
        Http::new(&url)
            .modern("tools/call", json!({"name": "calculator", "arguments": {"expression": "1+1"}, "_meta": {"x": arguments}}))
            .json()
    };
    let text = |answer: &Value| answer["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    let mut answered = 0;
    let refused = wait_for("the disk to be full", || {
        let answer = call();
        answered += usize::from(text(&answer).contains("\"result\":2"));
        Some(text(&answer)).filter(|text| text.contains("audit log cannot be written") || text.contains("record could not be written"))
    });
    assert!(answered > 10, "{answered}: {refused}");
    let again = text(&call());
    assert!(again.contains("calls are refused while the audit log cannot be written; nothing was started"), "{again}");
    // Health is another matter: the process is well.
    assert_eq!(Http::new(&url.replace("/mcp", "/healthz")).send(reqwest::Method::GET, None).status, 200);
    let rest = Http::new(&url.replace("/mcp", "/api/v1/mcp/tool")).post(r#"{"name": "calculator", "args": {"expression": "1"}}"#);
    assert_eq!((rest.status, rest.json()["error_type"].as_str().unwrap()), (503, "not_recordable"));
    let pid = rustix::process::Pid::from_raw(process.child.id() as i32);
    let unlimited = rustix::process::Rlimit { current: None, maximum: None };
    rustix::process::prlimit(pid, rustix::process::Resource::Fsize, unlimited).unwrap();
    wait_for("calls to be let pass again", || text(&call()).contains("\"result\":2").then_some(()));
    let (code, said) = audit(folder.path(), &["verify"]);
    assert_eq!(code, 0, "{said}");
    let gaps: Vec<Value> = records(folder.path(), &[]).into_iter().filter(|record| record["kind"] == "gap").collect();
    assert_eq!(gaps.len(), 1, "the log says that records were lost");
    let kept = records(folder.path(), &["--outcome", "answered"]).len();
    assert!(kept > answered, "{kept} records for {answered} answers and one more");
}

#[test]
fn no_secret_appears_in_a_log_a_record_or_a_response() {
    let secrets = ["canary-jwt-Zq3vKx8u7Rb2nMw5Lp9s4Td6", "canary-header-5Gh8Jk2L", "canary-env-9Xc4Vb7N", "canary-argument-3Qw6Er1T"];
    let site = crate::support::scripted(&[]);
    let mut child = site;
    child["env"] = json!({ "API_TOKEN": secrets[2] });
    let config = json!({
        "auth": {"jwt": {"secret": secrets[0]}, "apiKeys": true},
        "access": {"rules": [{"roles": ["user"], "allow": ["*"]}]},
        "mcpServers": {"s": child, "r": {"url": "http://127.0.0.1:1/mcp", "headers": {"Authorization": format!("Bearer {}", secrets[1])}}},
    });
    let server = Server::with(&config);
    let run = |args: &[&str]| {
        String::from_utf8(toolcrib().args(args).current_dir(server.folder()).output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let token = run(&["token", "--sub", "ann", "--role", "user"]);
    let key = run(&["key", "create", "--sub", "ci", "--role", "user"]);
    let mut said = String::new();
    for credential in [&*token, &*key, "wrong"] {
        let http = || Http::new(&server.url).header("authorization", &format!("Bearer {credential}"));
        for arguments in
            [json!({"expression": "1"}), json!({"password": secrets[3]}), json!({"expression": format!("Bearer {}", secrets[3])})]
        {
            let reply = http().modern("tools/call", json!({"name": "s__echo", "arguments": arguments}));
            // What a caller sends it may be sent back; whatever else is ours must not be there.
            said += &reply.body.replace(secrets[3], "");
        }
        said += &http().modern("tools/list", json!({})).body;
        said += &http().modern("tools/call", json!({"name": "r__x", "arguments": {"token": secrets[3]}})).body;
    }
    said += &server.process.said();
    said += &audit(server.folder(), &["--json", "--limit", "0"]).1;
    said += &run(&["key", "list"]);
    said += &run(&["doctor"]);
    said += &run(&["list", "servers", "--json"]);
    let processes = Command::new("ps").args(["axww", "-o", "args"]).output().unwrap();
    said += &String::from_utf8_lossy(&processes.stdout);
    let secret_of_key = key.rsplit('_').next().unwrap();
    for secret in secrets.iter().copied().chain([&*token, token.rsplit('.').next().unwrap(), secret_of_key]) {
        let found = said.find(secret).map(|at| &said[at.saturating_sub(200)..at]);
        assert_eq!(found, None, "{secret} was seen");
    }
    assert!(said.contains("[redacted]"), "something was there to be redacted");
}

#[test]
fn limits_outlast_a_restart() {
    let config = json!({"access": {
        "rules": [{"roles": ["*"], "allow": ["*"]}],
        "limits": [{"roles": ["*"], "tools": ["calculator"], "perDay": 3}],
    }});
    let folder = crate::support::Folder::new();
    folder.config(&config);
    let call = || {
        let output = toolcrib().args(["call", "calculator", "expression=1"]).current_dir(folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Each is a process of its own, and all of them one caller's.
    for _ in 0..3 {
        assert_eq!(call().0, Some(0));
    }
    let (code, said) = call();
    assert!(code == Some(1) && said.contains("limit reached: 3 calls per day"), "{said}");
}
