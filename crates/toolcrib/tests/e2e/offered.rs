//! Prompts and resources that the config declares.

use crate::support::{Folder, PATIENCE, Running, Server, listen, toolcrib, wait_for};
use serde_json::{Value, json};
use std::fs;

fn served() -> (Folder, Running, String) {
    let folder = Folder::new();
    let notes = folder.path().join("notes");
    fs::create_dir_all(notes.join("deep")).unwrap();
    fs::write(folder.path().join("handbook.md"), "Chapter 1").unwrap();
    fs::write(notes.join("deep/a note.md"), "# A").unwrap();
    fs::write(notes.join("picture.png"), [0x89, b'P', b'N', b'G', 0xff]).unwrap();
    fs::write(folder.path().join("secret.txt"), "nobody's business").unwrap();
    std::os::unix::fs::symlink("../secret.txt", notes.join("link.md")).unwrap();
    let config = json!({
        "prompts": {"review": {
            "title": "Review", "description": "Reviews code.",
            "arguments": {"language": "The language of the code", "focus": {"optional": true, "values": ["speed", "clarity"]}},
            "messages": [{"user": "Review this {{language}} code."}, {"assistant": "I look at {{focus}} first."}],
        }},
        "resources": {
            "handbook": {"file": "handbook.md", "description": "How we work."},
            "notes": {"folder": "notes", "exclude": ["*.tmp"]},
            "words": {"uri": "shell://words", "command": {"run": ["wc", "-w", "handbook.md"], "directory": "."}, "every": 1},
        },
        "dataFolder": "data",
    });
    let mut serve = toolcrib();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(folder.config(&config)).current_dir(folder.path());
    let mut running = Running::start(serve);
    let url = running.wait_to_say("serves MCP at ");
    (folder, running, url)
}

fn ask(url: &str, method: &str, params: Value) -> Value {
    crate::support::Http::new(url).modern(method, params).json()
}

#[test]
fn prompts_are_filled_and_completed() {
    let (_folder, _running, url) = served();
    let listed = ask(&url, "prompts/list", json!({}));
    let prompt = &listed["result"]["prompts"][0];
    assert_eq!((&prompt["name"], &prompt["title"]), (&json!("review"), &json!("Review")));
    assert_eq!(prompt["arguments"][0], json!({"name": "language", "description": "The language of the code", "required": true}));
    let got = |arguments: Value| ask(&url, "prompts/get", json!({"name": "review", "arguments": arguments}));
    let both = got(json!({"language": "Rust", "focus": "speed"}));
    let said = |index: usize| both["result"]["messages"][index].clone();
    assert_eq!(said(0), json!({"role": "user", "content": {"type": "text", "text": "Review this Rust code."}}));
    assert_eq!(said(1)["content"]["text"], "I look at speed first.");
    assert!(got(json!({}))["error"]["message"].as_str().unwrap().contains("\"language\" is missing"));
    let typed = json!({"ref": {"type": "ref/prompt", "name": "review"}, "argument": {"name": "focus", "value": "cl"}});
    assert_eq!(ask(&url, "completion/complete", typed)["result"]["completion"]["values"], json!(["clarity"]));
}

#[test]
fn resources_are_read_and_nothing_beside_them() {
    let (_folder, _running, url) = served();
    let listed = ask(&url, "resources/list", json!({}));
    let uris: Vec<&str> = listed["result"]["resources"].as_array().unwrap().iter().map(|item| item["uri"].as_str().unwrap()).collect();
    for uri in [
        "toolcrib://resources/handbook",
        "toolcrib://resources/notes/deep/a%20note.md",
        "toolcrib://resources/notes/picture.png",
        "shell://words",
    ] {
        assert!(uris.contains(&uri), "{uri} is not among {uris:?}");
    }
    assert!(!uris.iter().any(|uri| uri.contains("link")), "{uris:?}");
    let read = |uri: &str| ask(&url, "resources/read", json!({ "uri": uri }));
    let contents = |uri: &str| read(uri)["result"]["contents"][0].clone();
    let handbook = contents("toolcrib://resources/handbook");
    assert_eq!((&handbook["text"], &handbook["mimeType"]), (&json!("Chapter 1"), &json!("text/markdown")));
    assert_eq!(contents("toolcrib://resources/notes/deep/a%20note.md")["text"], "# A");
    assert_eq!(contents("toolcrib://resources/notes/picture.png")["blob"], "iVBOR/8=");
    assert!(contents("shell://words")["text"].as_str().unwrap().trim().starts_with('2'));
    for outside in ["link.md", "../secret.txt", "%2e%2e/secret.txt", "deep/%2e%2e/%2e%2e/secret.txt", "nothing.md", "deep"] {
        let answer = read(&format!("toolcrib://resources/notes/{outside}"));
        assert!(answer["error"]["message"].is_string() && !answer.to_string().contains("business"), "{outside}: {answer}");
    }
}

#[test]
fn changes_are_told() {
    let (folder, _running, url) = served();
    let (file, command) = ("toolcrib://resources/handbook", "shell://words");
    let told = listen(&url, &json!({"resourcesListChanged": true, "resourceSubscriptions": [command, file]}));
    fs::write(folder.path().join("handbook.md"), "Chapter 1 and 2").unwrap();
    let mut updated: Vec<Value> = Vec::new();
    while updated.len() < 2 {
        let told = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(told["method"], "notifications/resources/updated", "{told}");
        let uri = told["params"]["uri"].clone();
        if !updated.contains(&uri) {
            updated.push(uri);
        }
    }
    assert!(updated.contains(&json!(file)) && updated.contains(&json!(command)), "{updated:?}");
    fs::write(folder.path().join("notes/new.md"), "New").unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap()["method"], "notifications/resources/list_changed");
    let is_there = |url: &str| ask(url, "resources/list", json!({})).to_string().contains("notes/new.md");
    wait_for("the new file", || is_there(&url).then_some(()));
}

#[test]
fn what_makes_no_sense_is_said_with_its_line() {
    let folder = Folder::new();
    let config = folder.path().join("mcp-config.yaml");
    fs::write(
        &config,
        "prompts:\n  p:\n    text: \"Say {{what}}\"\n  q: { title: T }\nresources:\n  both: { file: a, folder: b }\n  gone: { folder: nowhere }\n  \
         odd: { file: a, uri: no-scheme }\n  asks: { command: [echo, \"{{name}}\"] }\n  busy: { file: a, every: 3 }\n",
    )
    .unwrap();
    let output = toolcrib().arg("check").arg(&config).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for fault in [
        ":3:",
        "{{what}} is no argument of this prompt",
        ":4:",
        "a prompt has either a text or messages",
        ":6:",
        "a resource is either a file, a folder, or what a command writes",
        ":7:",
        "there is no folder",
        ":8:",
        "a URI begins with its scheme",
        ":9:",
        "a resource has no arguments",
        ":10:",
        "\"every\" goes with a command",
    ] {
        assert!(said.contains(fault), "{fault:?} is not in {said}");
    }
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn rules_decide_who_reads() {
    let server = Server::with(&json!({
        "resources": {"open": {"file": "open.md"}, "closed": {"file": "closed.md"}},
        "access": {"rules": [{"roles": ["*"], "allow": {"resources": ["toolcrib://resources/open"]}}]},
    }));
    fs::write(server.folder().join("open.md"), "for all").unwrap();
    fs::write(server.folder().join("closed.md"), "for few").unwrap();
    let read = |name: &str| server.modern("resources/read", json!({"uri": format!("toolcrib://resources/{name}")}));
    assert_eq!(read("open")["result"]["contents"][0]["text"], "for all");
    assert!(read("closed")["error"]["message"].is_string());
}
