//! Several processes that are one server: what lasts is on PostgreSQL, and whichever answers is as good as the others.

use crate::support::{Http, Server, toolcrib, wait_for};
use serde_json::{Value, json};
use toolcrib_testkit::servers::Postgres;

const KEY: &str = "7c1f0e5b9a3d4c8e6f2a1b0d9c8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e";

/// A config whose records, keys and secrets are on that server.
fn config(postgres: &Postgres, replica: &str) -> Value {
    json!({
        "storage": {"database": format!("{}?sslmode=disable", postgres.url("postgres", "postgres")), "key": KEY, "replica": replica},
        "auth": {"apiKeys": true},
        "access": {"rules": [{"roles": ["user"], "allow": {"tools": ["*"]}}]},
    })
}

fn calculate(server: &Server, key: &str, expression: &str) -> Value {
    let http = Http::new(&server.url).header("authorization", &format!("Bearer {key}"));
    http.modern("tools/call", json!({"name": "calculator", "arguments": {"expression": expression}})).json()
}

/// The result, if there is one.
fn result(answer: &Value) -> Option<String> {
    answer["result"]["content"][0]["text"].as_str().map(ToOwned::to_owned)
}

/// Runs a command with the config of a server.
fn run(server: &Server, args: &[&str]) -> String {
    let done = toolcrib().args(args).current_dir(server.folder()).output().unwrap();
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn what_lasts_is_shared() {
    let mut postgres = Postgres::start();
    let (one, two) = (Server::with(&config(&postgres, "one")), Server::with(&config(&postgres, "two")));
    assert!(one.process.said().contains("records: postgres://127.0.0.1:"), "{}", one.process.said());

    // A key that is made at one is good at both, and revoked at both.
    let made = run(&one, &["key", "create", "--sub", "ann", "--role", "user"]);
    let key = made.trim();
    for server in [&one, &two] {
        wait_for("the key", || result(&calculate(server, key, "6*7")));
    }
    // Both keep their records there, each in a chain of its own.
    let records = run(&two, &["audit", "--json", "--user", "ann"]);
    assert_eq!(records.lines().count(), 2, "{records}");
    let verdict: Value = serde_json::from_str(&run(&one, &["audit", "verify", "--json"])).unwrap();
    assert_eq!((&verdict["ok"], verdict["heads"].as_array().unwrap().len()), (&json!(true), 2), "{verdict}");

    // While it is away nothing is let pass, and it is said why; then it goes on by itself.
    postgres.kill();
    let refused =
        || result(&calculate(&one, key, "1+1")).filter(|text| text.contains("calls are refused while the audit log cannot be written"));
    wait_for("a refusal", refused);
    postgres.start_again();
    wait_for("an answer", || result(&calculate(&one, key, "6*7")).filter(|text| text.contains("42")));

    let id = &run(&two, &["key", "list", "--json"]);
    let id: Value = serde_json::from_str(id).unwrap();
    run(&two, &["key", "revoke", id["keys"][0]["id"].as_str().unwrap_or_else(|| panic!("{id}"))]);
    wait_for("its end", || {
        (Http::new(&one.url).header("authorization", &format!("Bearer {key}")).modern("tools/list", json!({})).status == 401).then_some(())
    });
    let verdict: Value = serde_json::from_str(&run(&one, &["audit", "verify", "--json"])).unwrap();
    assert_eq!(verdict["ok"], true, "{verdict}");
}

#[test]
fn a_storage_that_makes_no_sense_is_said_with_its_line() {
    let check = |storage: Value| {
        let folder = crate::support::Folder::new();
        let file = folder.config(&json!({ "storage": storage }));
        let done = toolcrib().arg("check").arg(file).output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    for (storage, expected) in [
        (json!({"key": KEY}), "storage: \"database\" is needed"),
        (json!({"database": "postgres://u@h/d"}), "storage: \"key\" is needed"),
        (json!({"database": "postgres://u@h/d", "key": "hunter2"}), "storage.key: expected 64 hexadecimal digits"),
        (json!({"database": "sqlite:x.db", "key": KEY}), "storage.database: expected postgres://"),
        (json!({"database": "postgres://u@h/d?options=x", "key": KEY}), "storage.database: the parameter \"options\""),
        (json!({"database": "postgres://u@h/d", "key": KEY, "replica": ""}), "storage.replica: a replica has a name"),
        (json!({"databse": "x"}), "did you mean \"database\"?"),
    ] {
        let (code, told) = check(storage);
        assert!(code == Some(1) && told.contains(expected) && !told.contains("hunter2"), "{expected}: {told}");
    }
}
