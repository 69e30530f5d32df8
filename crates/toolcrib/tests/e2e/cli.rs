//! The command line: what it prints, and what it exits with.

use crate::support::{Folder, Server, everything, scripted, toolcrib};
use serde_json::{Value, json};
use std::process::Output;

struct Shell(Folder);

impl Shell {
    fn with(servers: &Value) -> Self {
        let folder = Folder::new();
        folder.config(&json!({ "mcpServers": servers }));
        Self(folder)
    }

    fn run(&self, args: &[&str]) -> Output {
        toolcrib().args(args).current_dir(self.0.path()).output().unwrap()
    }

    /// Runs a command that must exit so, and gives what it printed.
    fn check(&self, args: &[&str], code: i32) -> (String, String) {
        let output = self.run(args);
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{err}");
        (out, err)
    }
}

#[test]
fn a_tool_is_called_and_its_result_printed() {
    let shell = Shell::with(&json!({"s": scripted(&[])}));
    let (out, err) = shell.check(&["call", "calculator", "expression=0.1 + 0.2"], 0);
    assert!(out.contains("\"result\":0.3") && err.is_empty(), "{out}{err}");
    let (out, _) = shell.check(&["call", "calculator", "--args", r#"{"expression": "2^5"}"#, "--json"], 0);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["structuredContent"]["result"], 32);
    // The schema wants a text, so 5 is one.
    let (out, _) = shell.check(&["call", "s__echo", "text=5"], 0);
    assert_eq!(out, "5\n");
    let (out, _) = shell.check(&["call", "analyze_text", "text=Good.", "analysis_type=summary", "max_sentences=1", "--json"], 0);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["structuredContent"]["summary"], "Good.");
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let shell = Shell::with(&json!({"s": scripted(&[]), "gone": {"command": "no-such-program"}}));
    let (out, err) = shell.check(&["call", "no_such_tool"], 1);
    assert!(out.is_empty() && err.contains("unknown tool: no_such_tool"), "{err}");
    let (_, err) = shell.check(&["call", "analyze_text", "text=x"], 1);
    assert!(err.contains("analysis_type"), "{err}");
    let (_, err) = shell.check(&["call", "s__die"], 1);
    assert!(err.contains("outcome is unknown"), "{err}");
    let (_, err) = shell.check(&["call", "gone__x"], 3);
    assert!(err.contains("\"gone\" is not available") && err.contains("no-such-program"), "{err}");
    let (_, err) = shell.check(&["call", "calculator", "expression"], 2);
    assert!(err.contains("is no key=value"), "{err}");
    shell.check(&["call", "calculator", "--args", "{"], 2);
    shell.check(&["no-such-command"], 2);
    let (_, err) = shell.check(&["list", "--url", "http://127.0.0.1:1/mcp"], 3);
    assert!(err.contains("is toolcrib running there?"), "{err}");
    let (_, err) = shell.check(&["list", "--config", "missing.yaml"], 2);
    assert!(err.contains("missing.yaml"), "{err}");
}

#[test]
fn everything_is_listed() {
    let shell = Shell::with(&json!({"s": scripted(&[]), "gone": {"command": "no-such-program"}}));
    let (out, _) = shell.check(&["list"], 0);
    for name in ["analyze_text ", "calculator ", "s__echo"] {
        assert!(out.lines().any(|line| line.starts_with(name)), "{name}: {out}");
    }
    let (out, _) = shell.check(&["list", "servers", "--json"], 0);
    let servers = serde_json::from_str::<Value>(&out).unwrap()["servers"].clone();
    assert_eq!((&servers[0]["state"], &servers[0]["detail"]), (&json!("ready"), &json!("2025-06-18")));
    assert_eq!((&servers[1]["name"], &servers[1]["state"]), (&json!("gone"), &json!("down")));
    let (out, _) = shell.check(&["list", "tools", "--json"], 0);
    assert!(serde_json::from_str::<Value>(&out).unwrap()["tools"].as_array().unwrap().len() >= 8);
}

#[test]
fn a_running_server_is_asked_over_http() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__echo");
    let shell = Shell::with(&json!({}));
    let (out, _) = shell.check(&["call", "s__echo", "text=over HTTP", "--url", &server.url], 0);
    assert_eq!(out, "over HTTP\n");
    let (out, _) = shell.check(&["list", "--url", &server.url], 0);
    assert!(out.contains("s__echo"), "{out}");
}

#[test]
fn a_config_is_checked_without_starting_anything() {
    let shell = Shell::with(&json!({"s": {"command": "no-such-program"}}));
    let (out, _) = shell.check(&["check"], 0);
    assert!(out.contains("servers: s; connections: none; databases: none"), "{out}");
    let faulty = shell.0.config(&json!({"mcpServers": {"a": {"comand": "x"}, "b": {"url": "y"}}}));
    let (out, err) = shell.check(&["check", faulty.to_str().unwrap()], 1);
    assert!(out.lines().count() == 3 && out.contains("did you mean \"command\"?") && err.contains("3 fault(s)"), "{out}{err}");
    let (out, _) = shell.check(&["check", "--json"], 1);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["faults"][0]["line"], 1);
    shell.check(&["check", "missing.yaml"], 2);
}

#[test]
fn a_resource_is_read() {
    let shell = Shell::with(&json!({"everything": everything()}));
    let (out, _) = shell.check(&["read", "demo://resource/dynamic/text/7"], 0);
    assert!(out.contains("Resource 7"), "{out}");
    let (_, err) = shell.check(&["read", "demo://nothing"], 1);
    assert!(err.contains("unknown resource: demo://nothing"), "{err}");
    let (out, _) = shell.check(&["list", "resources"], 0);
    assert!(out.contains("demo://resource/dynamic/text/{resourceId}"), "{out}");
    let (out, _) = shell.check(&["list", "prompts"], 0);
    assert!(out.contains("everything__simple-prompt"), "{out}");
}
