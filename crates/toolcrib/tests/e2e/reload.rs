//! A config that changes while the server runs.

use crate::support::{Http, Server, scripted, tool_names, toolcrib, wait_for};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// Writes the config anew, as editors do: beside the file, and then in its place.
fn write(server: &Server, config: &Value) {
    let mut config = config.clone();
    config["dataFolder"] = json!("data");
    write_text(server, &config.to_string());
}

fn write_text(server: &Server, text: &str) {
    let (file, beside) = (server.folder().join("mcp-config.yaml"), server.folder().join("mcp-config.yaml.new"));
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, file).unwrap();
}

fn pid(server: &Server, tool: &str) -> String {
    server.call(tool, json!({})).unwrap()
}

fn wait_until_gone(server: &Server, tool: &str) {
    wait_for(&format!("{tool} to be gone"), || (!server.tools().contains(&tool.to_owned())).then_some(()));
}

#[test]
fn servers_come_and_go_and_those_that_stay_are_not_touched() {
    let stays = scripted(&[]);
    let mut server = Server::start(&json!({"stays": stays, "goes": scripted(&[])}));
    ["stays__pid", "goes__pid"].iter().for_each(|tool| server.wait_for_tool(tool));
    let (stayed, gone) = (pid(&server, "stays__pid"), pid(&server, "goes__pid"));
    let session = Http::session(&server.url, "2025-11-25");
    write(&server, &json!({"mcpServers": {"stays": stays, "comes": scripted(&["--modern"])}}));
    server.wait_for_tool("comes__echo");
    wait_until_gone(&server, "goes__pid");
    assert_eq!(pid(&server, "stays__pid"), stayed);
    server.process.wait_to_say("servers added: comes; changed: none; removed: goes");
    wait_for("its process to end", || (!std::path::Path::new(&format!("/proc/{gone}")).exists()).then_some(()));
    // A session goes on over it.
    let listed = session.post(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}).to_string());
    assert!(tool_names(&listed.json()).contains(&"comes__echo".to_owned()));

    // What is said otherwise of a server makes another of it.
    let mut changed = stays.clone();
    changed["env"] = json!({"FLAVOUR": "new"});
    write(&server, &json!({"mcpServers": {"stays": changed}}));
    let next = wait_for("another process", || Some(pid(&server, "stays__pid")).filter(|next| *next != stayed));
    assert_ne!(next, stayed);
    wait_for("the old process to end", || (!std::path::Path::new(&format!("/proc/{stayed}")).exists()).then_some(()));

    // A file that makes no sense changes nothing, and says where.
    write_text(&server, "mcpServers: [");
    server.process.wait_to_say("the config was changed and is faulty; everything stays as it was");
    assert_eq!(pid(&server, "stays__pid"), next);
    write(&server, &json!({"mcpServers": {"stays": {"comand": "x"}}}));
    wait_for("the fault to be said", || server.process.said().contains("mcpServers.stays.comand: unknown key").then_some(()));
    assert_eq!(pid(&server, "stays__pid"), next);

    // Some of it takes a restart, which is said. A signal is as good as a look.
    write(&server, &json!({"mcpServers": {"stays": changed}, "limits": {"maxSessions": 7}}));
    server.process.signal("-HUP");
    server.process.wait_to_say("what the config says now under limits takes a restart");
    assert_eq!(pid(&server, "stays__pid"), next);
}

#[test]
fn what_is_done_about_faults_changes_without_any_server_noticing() {
    let stays = scripted(&[]);
    let server = Server::start(&json!({"s": stays}));
    server.wait_for_tool("s__heard");
    let before = pid(&server, "s__pid");
    let heard = || server.call("s__heard", json!({})).unwrap();
    assert_ne!(heard(), heard(), "nothing is remembered yet");
    let sum = json!({"expression": "1 + 1"});
    assert!(server.call("calculator", sum.clone()).is_ok());
    let remember = json!({"ttl": 60});
    let tools = json!({"s__heard": {"cache": remember}, "calculator": {"fallback": {"tool": "analyze_text"}, "maxConcurrent": 1}});
    write(&server, &json!({"resilience": {"attempts": 2, "tools": tools}, "mcpServers": {"s": stays}}));
    wait_for("answers to be remembered", || (heard() == heard()).then_some(()));
    assert_eq!(pid(&server, "s__pid"), before);
    assert!(server.call("calculator", sum).is_ok());
    assert!(!server.process.said().contains("takes a restart"));
    write(&server, &json!({"mcpServers": {"s": stays}}));
    wait_for("nothing to be remembered", || (heard() != heard()).then_some(()));
    assert_eq!(pid(&server, "s__pid"), before);
}

#[test]
fn of_two_servers_that_claim_a_name_the_first_of_the_config_keeps_it_whenever_it_came() {
    let named = |name: &str| {
        let mut child = scripted(&[]);
        (child["name"], child["prefix"]) = (json!(name), json!("never"));
        child
    };
    let server = Server::start(&json!([named("second")]));
    server.wait_for_tool("pid");
    let second = pid(&server, "pid");
    write(&server, &json!({"mcpServers": [named("first"), named("second")]}));
    wait_for("the first to have it", || (pid(&server, "pid") != second).then_some(()));
    write(&server, &json!({"mcpServers": [named("second"), named("first")]}));
    wait_for("the second to have it again", || (pid(&server, "pid") == second).then_some(()));
}

#[test]
fn rules_change_for_those_who_are_there() {
    let config = |allowed: &str| json!({"mcpServers": {}, "access": {"rules": [{"roles": ["*"], "allow": [allowed]}]}});
    let mut server = Server::with(&config("calculator"));
    assert_eq!(server.tools(), ["calculator"]);
    write(&server, &config("analyze_*"));
    wait_for("the new rules", || (server.tools() == ["analyze_text"]).then_some(()));
    let refused = server.modern("tools/call", json!({"name": "calculator", "arguments": {"expression": "1"}}));
    assert!(refused["error"]["message"].as_str().unwrap().contains("unknown tool"), "{refused}");
    // A file that is empty or gone for a moment opens nothing.
    write_text(&server, "");
    server.process.wait_to_say("the config is empty; everything stays as it was");
    std::fs::remove_file(server.folder().join("mcp-config.yaml")).unwrap();
    server.process.wait_to_say("the config was changed and is faulty; everything stays as it was");
    assert_eq!(server.tools(), ["analyze_text"]);
    // Nor do rules for callers whom nobody tells apart yet.
    let mut told_apart = config("*");
    told_apart["auth"] = json!({"apiKeys": true});
    write(&server, &told_apart);
    server.process.wait_to_say("the rules of \"access\" stay as they were until a restart");
    assert_eq!(server.tools(), ["analyze_text"]);
    // Without rules everybody may have everything, as at a start without any; which is said.
    write(&server, &json!({"mcpServers": {}}));
    wait_for("no rules", || (server.tools().len() > 5).then_some(()));
    assert!(server.process.said().contains("there are no rules of access any more"));
}

#[test]
fn no_call_fails_while_a_server_is_replaced_again_and_again() {
    let with = |number: usize| {
        let mut child = scripted(&[]);
        child["env"] = json!({"NUMBER": number.to_string()});
        json!({"mcpServers": {"s": child}})
    };
    let mut server = Server::with(&with(0));
    server.wait_for_tool("s__echo");
    let (is_over, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (url, is_over, calls) = (server.url.clone(), Arc::clone(&is_over), Arc::clone(&calls));
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let answer = Http::new(&url).modern("tools/call", json!({"name": "s__echo", "arguments": {"text": "hello"}})).json();
                    assert_eq!(answer["result"]["content"][0]["text"], "hello", "{answer}");
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    // One that began before goes on until it is done.
    let url = server.url.clone();
    let slow = thread::spawn(move || Http::new(&url).modern("tools/call", json!({"name": "s__slow", "arguments": {}})).json());
    server.process.wait_to_say("slow has begun");
    for number in 1..=3 {
        let before = pid(&server, "s__pid");
        write(&server, &with(number));
        server.process.signal("-HUP");
        wait_for("the next process", || Some(pid(&server, "s__pid")).filter(|next| *next != before));
    }
    let answer = slow.join().unwrap();
    assert!(answer["result"]["content"][0]["text"].is_string(), "{answer}");
    is_over.store(true, Ordering::Relaxed);
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    assert!(calls.load(Ordering::Relaxed) > 50, "{} calls", calls.load(Ordering::Relaxed));
}

#[test]
fn reload_checks_the_config_and_reaches_the_servers_that_run_by_it() {
    let mut server = Server::start(&json!({"s": scripted(&[])}));
    let reload = || {
        let output = toolcrib().arg("reload").current_dir(server.folder()).output().unwrap();
        (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    };
    let (code, said) = reload();
    assert!(code == Some(0) && said.contains("is sound"), "{said}");
    std::fs::write(server.folder().join("faulty.yaml"), "mcpServer: {}").unwrap();
    let output = toolcrib().args(["reload", "--config", "faulty.yaml"]).current_dir(server.folder()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    server.process.wait_to_say("servers added: none; changed: none; removed: none");
}
