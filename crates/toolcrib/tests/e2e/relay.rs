//! What the relay costs another server, what it makes of changes and long calls, and what the config alters.

use crate::support::{
    Folder, Http, PATIENCE, Running, Server, free_port, legacy, listen, python, repository, scripted, text_of, toolcrib, wait_for,
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Command, Stdio},
};

/// Every message that the scripted server got so far.
fn heard(server: &Server) -> Vec<String> {
    serde_json::from_str(&server.call("s__heard", json!({})).unwrap()).unwrap()
}

#[test]
fn a_call_costs_one_message() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__heard");
    let before = heard(&server);
    let session = Http::session(&server.url, "2025-11-25");
    for id in 0..10 {
        server.call("s__echo", json!({"text": "hi"})).unwrap();
        text_of(&session.post(legacy(id, "tools/call", json!({"name": "s__echo", "arguments": {}}))).json()).unwrap();
        server.tools();
    }
    let after = heard(&server);
    assert_eq!(after[before.len()..], vec!["tools/call"; 21], "twenty calls and the one that tells");
}

#[test]
fn a_storm_of_changes_is_one_or_two_listings() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__storm");
    let before = heard(&server).len();
    server.call("s__storm", json!({})).unwrap();
    wait_for("the lists to be read again", || heard(&server)[before..].contains(&"tools/list".to_owned()).then_some(()));
    // A change of which we hear goes on after all of the storm: `grow` comes behind it on the same pipe.
    server.call("s__grow", json!({})).unwrap();
    server.wait_for_tool("s__grown");
    let lists = heard(&server)[before..].iter().filter(|method| *method == "tools/list").count();
    assert!(lists <= 3, "{lists} listings after two hundred and one changes");
}

#[test]
fn progress_gives_a_call_more_time_up_to_a_maximum() {
    let steps = |mcp: Value, asks_for_progress: bool| {
        let server = Server::with(&json!({"mcpServers": {"s": scripted(&[])}, "claude": {"mcp": mcp}}));
        server.wait_for_tool("s__steps");
        let mut params = json!({"name": "s__steps"});
        if asks_for_progress {
            params["_meta"] = json!({"progressToken": "p"});
        }
        let reply = Http::new(&server.url).modern("tools/call", params);
        let answer = if asks_for_progress { reply.events().pop().unwrap() } else { reply.json() };
        text_of(&answer)
    };
    assert_eq!(steps(json!({"timeout": 1.5}), true).unwrap(), "all steps done", "it takes two seconds");
    assert!(steps(json!({"timeout": 1.5}), false).unwrap_err().contains("deadline of 1.5 s"));
    assert!(steps(json!({"timeout": 1.5, "maxTimeout": 1.8}), true).unwrap_err().contains("deadline of 1.8 s"));
}

#[test]
fn progress_passes_in_order_with_all_that_the_server_said() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__steps");
    let reply = Http::new(&server.url).modern("tools/call", json!({"name": "s__steps", "_meta": {"progressToken": 0}}));
    let events = reply.events();
    let (answer, progress) = events.split_last().unwrap();
    assert_eq!(text_of(answer).unwrap(), "all steps done");
    let done: Vec<i64> = progress.iter().map(|event| event["params"]["progress"].as_i64().unwrap()).collect();
    assert_eq!(done, [1, 2, 3, 4]);
    assert!(reply.body.contains(r#""params":{"progressToken":0,"progress":1,"total":4,"x-extra":1.5}"#), "{}", reply.body);
}

#[test]
fn a_profile_holds_what_it_names_and_nothing_else() {
    let config = json!({
        "mcpServers": {"s": scripted(&[]), "t": scripted(&[])},
        "profiles": {"review": {"tools": ["s__*", "calculator"]}},
    });
    let server = Server::with(&config);
    server.wait_for_tool("s__echo");
    server.wait_for_tool("t__echo");
    let review = |method: &str, params: Value| Http::new(&format!("{}/review", server.url)).modern(method, params).json();
    let names: Vec<String> = review("tools/list", json!({}))["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(names.contains(&"calculator".to_owned()) && names.contains(&"s__echo".to_owned()));
    assert!(names.iter().all(|name| name == "calculator" || name.starts_with("s__")), "{names:?}");
    assert_eq!(text_of(&review("tools/call", json!({"name": "s__echo", "arguments": {"text": "hi"}}))).unwrap(), "hi");
    let hidden = review("tools/call", json!({"name": "t__echo"}));
    let unknown = review("tools/call", json!({"name": "t__nothing"}));
    assert_eq!((&hidden["error"]["code"], hidden["error"]["message"].as_str().unwrap()), (&json!(-32602), "unknown tool: t__echo"));
    assert_eq!(unknown["error"]["code"], hidden["error"]["code"], "hidden and unknown are answered alike");
    assert_eq!(Http::new(&format!("{}/nobody", server.url)).modern("tools/list", json!({})).status, 404);

    let folder = Folder::new();
    let file = folder.config(&config);
    let mut command = toolcrib();
    command.args(["serve", "--stdio", "--profile", "review", "--config"]).arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
    writeln!(input, "{}", crate::support::modern(1, "tools/call", json!({"name": "analyze_text", "arguments": {"text": "x"}}))).unwrap();
    let answer: Value = serde_json::from_str(&output.next().unwrap().unwrap()).unwrap();
    assert_eq!(answer["error"]["message"], "unknown tool: analyze_text");
    drop(input);
    assert!(child.wait().unwrap().success());

    let refused = toolcrib().args(["serve", "--stdio", "--profile", "nobody", "--config"]).arg(&file).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains(r#"there is no profile "nobody"; known are ["review"]"#));
}

/// A change of what a profile does not hold is no change for those who have only the profile.
#[test]
fn nobody_hears_of_a_change_of_what_they_cannot_see() {
    let server = Server::with(&json!({
        "mcpServers": {"s": scripted(&[]), "t": scripted(&[])},
        "profiles": {"review": {"tools": ["s__*"]}},
    }));
    server.wait_for_tool("s__grow");
    server.wait_for_tool("t__grow");
    let listening = |path: &str| listen(&format!("{}{path}", server.url), &json!({"toolsListChanged": true}));
    let next = |told: &std::sync::mpsc::Receiver<Value>| told.recv_timeout(PATIENCE).unwrap()["method"].clone();
    let (all, review) = (listening(""), listening("/review"));
    server.call("t__grow", json!({})).unwrap();
    server.wait_for_tool("t__grown");
    assert_eq!(next(&all), "notifications/tools/list_changed");
    server.call("s__grow", json!({})).unwrap();
    server.wait_for_tool("s__grown");
    assert_eq!(next(&review), "notifications/tools/list_changed");
    assert_eq!(next(&all), "notifications/tools/list_changed");
    assert!(review.try_recv().is_err(), "the first change did not concern the profile");
}

/// Whoever watches a resource goes on hearing of it when its server comes back, in whichever era that server is.
#[test]
fn a_watched_resource_is_watched_again_when_its_server_comes_back() {
    for (interpreter, script) in [(python(1), "legacy_server.py"), (python(2), "modern_server.py")] {
        let port = free_port();
        let start = || {
            let mut command = Command::new(&interpreter);
            command.arg(repository().join("tests/peers/pairs").join(script)).arg("http").arg(port.to_string());
            let running = Running::start(command);
            wait_for("the server", || TcpStream::connect(("127.0.0.1", port)).ok());
            running
        };
        let upstream = start();
        let server = Server::start(&json!({"s": {"url": format!("http://127.0.0.1:{port}/mcp")}}));
        server.wait_for_tool("s__touch");
        let told = listen(&server.url, &json!({"resourceSubscriptions": ["note://one"]}));
        let is_told = || {
            // A server that is away cannot be touched.
            let _ = server.call("s__touch", json!({}));
            told.recv_timeout(std::time::Duration::from_millis(500)).ok()
        };
        let update = wait_for("an update", is_told);
        assert_eq!((&update["method"], &update["params"]["uri"]), (&json!("notifications/resources/updated"), &json!("note://one")));
        drop(upstream);
        server.call("s__touch", json!({})).unwrap_err();
        let _upstream = start();
        wait_for("the server to be called again", || server.call("s__echo", json!({"text": "hi"})).ok());
        while told.try_recv().is_ok() {}
        let watched_again = || is_told().filter(|update| update["method"] == "notifications/resources/updated");
        wait_for(&format!("an update of the {script} that came back"), watched_again);
    }
}

#[test]
fn tools_are_chosen_and_altered_by_the_config() {
    let mut definition = scripted(&[]);
    let more = json!({
        "prefix": "my",
        "include": ["e*", "g*"],
        "exclude": ["grow", "no_such_tool"],
        "tools": {
            "given": {
                "rename": "what_is_given",
                "description": "Tells its arguments.",
                "arguments": {"text": {"fixed": "from the config"}, "count": {"default": 1.50}},
            },
        },
    });
    definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let server = Server::start(&json!({ "s": definition }));
    server.wait_for_tool("my__echo");
    let foreign: Vec<String> = server.tools().into_iter().filter(|name| name.contains("__")).collect();
    assert_eq!(foreign, ["my__echo", "my__what_is_given"]);
    let tools = server.modern("tools/list", json!({}))["result"]["tools"].clone();
    let tool = tools.as_array().unwrap().iter().find(|tool| tool["name"] == "my__what_is_given").unwrap();
    assert_eq!(tool["description"], "Tells its arguments.");
    assert_eq!(tool["inputSchema"]["properties"], json!({}), "nobody sees an argument that is fixed");
    assert_eq!(tool["_meta"]["dev.toolcrib/original"], "given");
    assert_eq!(server.call("my__what_is_given", json!({"x": 1})).unwrap(), r#"{"x": 1, "count": 1.5, "text": "from the config"}"#);
    assert!(server.process.said().contains(r#"the config names "no_such_tool" under "exclude""#), "{}", server.process.said());
    assert!(server.process.said().contains(r#"the config gives a value to "count""#), "{}", server.process.said());
    let listed = toolcrib().args(["list", "--url", &server.url]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let line = listed.lines().find(|line| line.starts_with("my__what_is_given")).unwrap();
    assert!(line.ends_with("(given) Tells its arguments."), "{line}");
    let refused = server.call("my__what_is_given", json!({"text": "mine"})).unwrap_err();
    assert!(refused.contains("/text: its value is set by the config"), "{refused}");
}
