//! Other servers behind ours: real ones and misbehaving ones.

use crate::support::{
    Http, Running, Server, everything, everything_script, free_port, is_running, legacy, node, peers, scripted, text_of, wait_for,
};
use serde_json::{Value, json};
use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

#[test]
fn real_servers_are_called_through_us() {
    let folder = crate::support::Folder::new();
    let git = |args: &[&str]| assert!(Command::new("git").args(args).current_dir(folder.path()).output().unwrap().status.success());
    git(&["init", "-q"]);
    let bin = |path: &str| json!({"command": peers().join(path)});
    let server = Server::start(&json!({
        "everything": everything(),
        "time": bin("python-1/bin/mcp-server-time"),
        "git": bin("python-1/bin/mcp-server-git"),
    }));
    for tool in ["everything__echo", "time__convert_time", "git__git_status", "calculator", "analyze_text"] {
        server.wait_for_tool(tool);
    }
    assert_eq!(server.call("everything__echo", json!({"message": "hi"})).unwrap(), "Echo: hi");
    let convert = json!({"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"});
    assert!(server.call("time__convert_time", convert).unwrap().contains("T21:00:00+09:00"));
    assert!(server.call("git__git_status", json!({"repo_path": folder.path()})).unwrap().contains("No commits yet"));

    let list = |method: &str, key: &str| server.modern(method, json!({}))["result"][key].as_array().unwrap().clone();
    let resource = list("resources/list", "resources")[0]["uri"].clone();
    assert!(server.modern("resources/read", json!({"uri": resource}))["result"]["contents"][0]["text"].is_string());
    assert!(!list("resources/templates/list", "resourceTemplates").is_empty());
    let dynamic = server.modern("resources/read", json!({"uri": "demo://resource/dynamic/text/3"}));
    assert!(dynamic["result"]["contents"][0]["text"].is_string(), "a URI out of a template: {dynamic}");
    assert!(list("prompts/list", "prompts").iter().any(|prompt| prompt["name"] == "everything__simple-prompt"));
    let prompt = server.modern("prompts/get", json!({"name": "everything__args-prompt", "arguments": {"city": "Oslo"}}));
    assert!(prompt["result"]["messages"][0]["content"]["text"].as_str().unwrap().contains("Oslo"), "{prompt}");
    let reference =
        json!({"ref": {"type": "ref/prompt", "name": "everything__completable-prompt"}, "argument": {"name": "department", "value": "E"}});
    assert_eq!(server.modern("completion/complete", reference)["result"]["completion"]["values"], json!(["Engineering"]));
}

#[test]
fn progress_of_another_server_reaches_the_client_of_either_era() {
    let server = Server::start(&json!({"everything": everything()}));
    server.wait_for_tool("everything__trigger-long-running-operation");
    let params = json!({"name": "everything__trigger-long-running-operation", "arguments": {"duration": 1, "steps": 4}, "_meta": {"progressToken": "p-1"}});
    for reply in [
        Http::new(&server.url).modern("tools/call", params.clone()),
        Http::session(&server.url, "2025-11-25").post(legacy(1, "tools/call", params)),
    ] {
        assert_eq!((reply.status, reply.header("content-type")), (200, "text/event-stream"));
        let events = reply.events();
        let (answer, progress) = events.split_last().unwrap();
        assert!(text_of(answer).unwrap().contains("completed"));
        let done: Vec<f64> = progress.iter().map(|event| event["params"]["progress"].as_f64().unwrap()).collect();
        assert!(
            done.len() >= 3 && done.is_sorted() && progress.iter().all(|event| event["params"]["progressToken"] == "p-1"),
            "{events:?}"
        );
    }
}

#[test]
fn a_stream_that_broke_off_is_resumed_where_it_stopped() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__steps");
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let session = Http::new(&server.url).post(legacy(0, "initialize", hello)).header("mcp-session-id").to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (seen, last) = runtime.block_on(async {
        let body = legacy(1, "tools/call", json!({"name": "s__steps", "_meta": {"progressToken": 7}}));
        let request =
            crate::support::client().post(&server.url).header("mcp-session-id", &session).header("content-type", "application/json");
        let mut stream = request.header("accept", "application/json, text/event-stream").body(body).send().await.unwrap();
        let mut text = String::new();
        while !text.contains("\"progress\":1") || !text.ends_with("\n\n") {
            text += std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap();
        }
        // The connection breaks here: in a session that cancels nothing.
        let last = text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap().to_owned();
        (text.matches("notifications/progress").count(), last)
    });
    let resuming = Http::new(&server.url).without("accept").header("accept", "text/event-stream").header("mcp-session-id", &session);
    let rest = resuming.header("last-event-id", &last).send(reqwest::Method::GET, None).events();
    let (answer, progress) = rest.split_last().unwrap();
    assert_eq!(text_of(answer).unwrap(), "all steps done");
    assert_eq!(seen + progress.len(), 4, "nothing is missing and nothing comes twice: {rest:?}");
    let strange =
        Http::new(&server.url).header("mcp-session-id", &session).header("last-event-id", "99-1").send(reqwest::Method::GET, None);
    assert_eq!(strange.status, 404);
}

#[test]
fn a_legacy_client_cancels_its_call_by_a_message() {
    let mut server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__hang");
    let session = Http::session(&server.url, "2025-11-25");
    thread::scope(|scope| {
        let hanging = scope.spawn(|| session.post(legacy(5, "tools/call", json!({"name": "s__hang"}))));
        server.process.wait_to_say("hang has begun");
        let cancelled = session.post(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}"#);
        assert_eq!(cancelled.status, 202);
        let reply = hanging.join().unwrap();
        assert_eq!((reply.status, reply.body.as_str()), (202, ""), "it gets no answer");
    });
}

#[test]
fn a_server_behind_http_is_called_through_us() {
    let port = free_port();
    let mut command = Command::new(node());
    let mut upstream = Running::start({
        command.args([everything_script(), "streamableHttp".into()]).env("PORT", port.to_string());
        command
    });
    upstream.wait_to_say("listening on port");
    let server = Server::start(
        &json!({"remote": {"type": "http", "url": format!("http://127.0.0.1:{port}/mcp"), "headers": {"X-Team": "${HOME:-none}"}}}),
    );
    server.wait_for_tool("remote__echo");
    assert_eq!(server.call("remote__echo", json!({"message": "over HTTP"})).unwrap(), "Echo: over HTTP");
    drop(upstream);
    let error = server.call("remote__echo", json!({"message": "?"})).unwrap_err();
    assert!(error.contains("\"remote\""), "{error}");
    assert_eq!(server.call("calculator", json!({"expression": "1+1"})).map(|text| text.contains("\"result\":2")), Ok(true));
}

/// Toolcrib behind Toolcrib: modern over HTTP, so that both of our sides meet.
#[test]
fn a_modern_server_behind_http_is_called_through_us() {
    let inner = Server::start(&json!({}));
    let outer = Server::start(&json!({"inner": {"url": inner.url}}));
    outer.wait_for_tool("inner__calculator");
    let result = outer.modern("tools/call", json!({"name": "inner__calculator", "arguments": {"expression": "1/4"}}))["result"].clone();
    assert_eq!((&result["structuredContent"]["result"], &result["resultType"]), (&json!(0.25), &json!("complete")));
    let tool = outer.modern("tools/list", json!({}))["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .find(|tool| tool["name"] == "inner__calculator")
        .cloned()
        .unwrap();
    assert_eq!(tool["annotations"]["readOnlyHint"], true, "the definition is passed on whole");
}

#[test]
fn what_we_need_not_touch_passes_byte_for_byte() {
    let server = Server::start(&json!({"old": scripted(&[]), "new": scripted(&["--modern"])}));
    for name in ["old", "new"] {
        server.wait_for_tool(&format!("{name}__echo"));
        let params = json!({"name": format!("{name}__echo"), "arguments": {"text": "ü\u{1f642}"}});
        for body in [
            Http::new(&server.url).modern("tools/call", params.clone()).body,
            Http::session(&server.url, "2025-11-25").post(legacy(1, "tools/call", params)).body,
        ] {
            assert!(body.contains(r#""x-unknown":1.5"#) && body.contains(r#""x-extra":{"z":1,"a":2}"#), "{body}");
            assert_eq!(text_of(&serde_json::from_str(&body).unwrap()).unwrap(), "ü\u{1f642}");
        }
        assert!(Http::new(&server.url).modern("tools/list", json!({})).body.contains(r#""x-unknown":[1]"#));
    }
}

#[test]
fn a_server_that_gains_a_tool_is_listed_anew() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__grow");
    assert!(!server.tools().contains(&"s__grown".to_owned()));
    server.call("s__grow", json!({})).unwrap();
    server.wait_for_tool("s__grown");
}

#[test]
fn a_child_that_dies_in_mid_call_is_told_of_and_brought_back() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__die");
    let first = server.call("s__pid", json!({})).unwrap();
    let error = server.call("s__die", json!({})).unwrap_err();
    assert!(error.contains("\"s\" did not finish the call, the outcome is unknown"), "{error}");
    assert!(server.tools().contains(&"s__pid".to_owned()), "what it last offered stays listed");
    let second = wait_for("the server to come back", || server.call("s__pid", json!({})).ok());
    assert_ne!(first, second);
    assert!(server.process.said().contains("it exited with code 3; it last said: last words"), "{}", server.process.said());
}

#[test]
fn a_child_killed_from_outside_in_mid_call_ends_only_that_call() {
    let mut server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__hang");
    let pid = server.call("s__pid", json!({})).unwrap();
    let url = server.url.clone();
    thread::scope(|scope| {
        let hanging = scope.spawn(move || text_of(&Http::new(&url).modern("tools/call", json!({"name": "s__hang"})).json()));
        server.process.wait_to_say("hang has begun");
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        let error = hanging.join().unwrap().unwrap_err();
        assert!(error.contains("outcome is unknown"), "{error}");
    });
}

#[test]
fn an_answer_beyond_the_limit_ends_its_call_at_once() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__flood");
    let error = server.call("s__flood", json!({})).unwrap_err();
    assert!(error.contains("beyond the limit"), "{error}");
    assert!(server.call("s__pid", json!({})).is_ok(), "the server itself is as well as before");
}

#[test]
fn a_child_that_closes_a_pipe_and_stays_is_replaced() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    for tool in ["mute", "deaf"] {
        server.wait_for_tool("s__pid");
        let first = wait_for("the server", || server.call("s__pid", json!({})).ok());
        let url = server.url.clone();
        let tool = format!("s__{tool}");
        // A deaf one is found out when something is written to it.
        let called = thread::spawn(move || text_of(&Http::new(&url).modern("tools/call", json!({"name": tool})).json()));
        let second = wait_for("another process", || server.call("s__pid", json!({})).ok().filter(|pid| *pid != first));
        assert!(!is_running(&first), "{first} is replaced by {second} and gone");
        called.join().unwrap().unwrap_err();
    }
}

#[test]
fn a_server_that_cannot_bear_the_question_for_its_era_is_connected_all_the_same() {
    let server = Server::start(&json!({"proud": scripted(&["--proud"])}));
    server.wait_for_tool("proud__echo");
    assert_eq!(server.call("proud__echo", json!({"text": "well"})).unwrap(), "well");
}

#[test]
fn a_server_behind_http_that_was_started_anew_is_called_in_a_new_session() {
    let port = free_port();
    let start = || {
        let mut command = Command::new(node());
        command.args([everything_script(), "streamableHttp".into()]).env("PORT", port.to_string());
        let mut upstream = Running::start(command);
        upstream.wait_to_say("listening on port");
        upstream
    };
    let upstream = start();
    let server = Server::start(&json!({"remote": {"url": format!("http://127.0.0.1:{port}/mcp")}}));
    server.wait_for_tool("remote__echo");
    server.call("remote__echo", json!({"message": "before"})).unwrap();
    drop(upstream);
    server.call("remote__echo", json!({"message": "meanwhile"})).unwrap_err();
    let _upstream = start();
    let url = server.url.clone();
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let url = url.clone();
            thread::spawn(move || {
                text_of(&Http::new(&url).modern("tools/call", json!({"name": "remote__echo", "arguments": {"message": "after"}})).json())
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.join().unwrap().unwrap(), "Echo: after");
    }
}

#[test]
fn a_tool_whose_schema_would_take_for_ever_is_left_out() {
    let mut tower: Value = json!({"a40": {"type": "object"}});
    for level in 0..40 {
        let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
        tower[format!("a{level}")] = json!({"allOf": [next, next]});
    }
    let schema = json!({"$ref": "#/$defs/a0", "$defs": tower}).to_string();
    let server = Server::start(
        &json!({"s": {"command": "python3", "args": [crate::support::repository().join("tests/peers/scripted.py")], "env": {"SCRIPTED_SCHEMA": schema}}}),
    );
    server.wait_for_tool("s__echo");
    assert!(!server.tools().contains(&"s__hostile".to_owned()));
    let mut process = server.process;
    assert!(process.wait_to_say("left out: ").contains("subschemas would apply"));
}

#[test]
fn servers_that_fail_or_hang_delay_nobody() {
    let begun = Instant::now();
    let server = Server::start(&json!({
        "fails": {"command": "false"},
        "missing": {"command": "no-such-program"},
        "silent": {"command": "sleep", "args": ["600"]},
        "nobody": {"url": format!("http://127.0.0.1:{}/mcp", free_port())},
        "works": scripted(&[]),
    }));
    assert!(server.call("calculator", json!({"expression": "2+2"})).is_ok());
    server.wait_for_tool("works__echo");
    let error = server.call("silent__anything", json!({})).unwrap_err();
    assert!(error.contains("\"silent\" is not available: it has not connected yet"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(30), "the silent one takes a minute to be given up");
    let mut process = server.process;
    process.wait_to_say("\"no-such-program\" cannot be started");
    process.wait_to_say("it exited with code 1");
}

#[test]
fn a_thousand_mixed_calls_are_answered_while_a_server_hangs() {
    let server = Server::with(&json!({
        "mcpServers": {"hangs": scripted(&[]), "works": scripted(&[])},
        "claude": {"mcp": {"timeout": 120}},
    }));
    server.wait_for_tool("hangs__hang");
    server.wait_for_tool("works__echo");
    let (url, runtime) = (server.url.clone(), tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
    let hanging: Vec<_> = (0..8).map(|_| runtime.spawn(post(url.clone(), 0, json!({"name": "hangs__hang", "arguments": {}})))).collect();
    let calls: Vec<_> = (0..32_i64)
        .map(|connection| {
            let url = url.clone();
            runtime.spawn(async move {
                for round in 0..32_i64 {
                    // All clients use the same ids: answers must find back all the same.
                    let text = format!("{connection}-{round}");
                    let (params, expected) = match round % 2 {
                        0 => (json!({"name": "works__echo", "arguments": {"text": text}}), text),
                        _ => (
                            json!({"name": "calculator", "arguments": {"expression": format!("{connection}*1000+{round}")}}),
                            format!("\"result\":{}", connection * 1000 + round),
                        ),
                    };
                    let answer = post(url.clone(), round, params).await;
                    let found = text_of(&answer).unwrap_or_else(|error| panic!("{error}"));
                    assert!(found.contains(&expected), "{found} instead of {expected}");
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for call in calls {
            call.await.unwrap();
        }
    });
    assert!(hanging.iter().all(|call| !call.is_finished()), "they still hang");
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
}

async fn post(url: String, id: i64, params: Value) -> Value {
    let name = params["name"].as_str().unwrap().to_owned();
    let body = crate::support::modern(id, "tools/call", params).to_string();
    let request = crate::support::client()
        .post(url)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    let request = request.header("mcp-protocol-version", "2026-07-28").header("mcp-method", "tools/call").header("mcp-name", name);
    serde_json::from_str(&request.body(body).send().await.unwrap().text().await.unwrap()).unwrap()
}

#[test]
fn no_process_is_left_after_we_are_told_to_end() {
    let mut server = Server::start(&json!({"polite": scripted(&[]), "stubborn": scripted(&["--stubborn"])}));
    let family = family(&server, &["polite", "stubborn"]);
    server.process.signal("-TERM");
    assert!(server.process.wait().success());
    for pid in &family {
        assert!(!is_running(pid), "{pid} is left");
    }
}

#[test]
fn no_process_is_left_after_we_are_killed() {
    let mut server = Server::start(&json!({"polite": scripted(&[]), "stubborn": scripted(&["--stubborn"])}));
    let family = family(&server, &["polite", "stubborn"]);
    server.process.signal("-KILL");
    server.process.wait();
    for pid in &family {
        wait_for(&format!("{pid} to end"), || (!is_running(pid)).then_some(()));
    }
}

/// The processes of these servers and of what they started.
fn family(server: &Server, names: &[&str]) -> Vec<String> {
    names
        .iter()
        .flat_map(|name| {
            server.wait_for_tool(&format!("{name}__spawn"));
            ["pid", "spawn"].map(|tool| server.call(&format!("{name}__{tool}"), json!({})).unwrap())
        })
        .inspect(|pid| assert!(is_running(pid)))
        .collect()
}
