//! Tools that the config declares: that they do what it says, by the road of every other tool.

use crate::support::{Folder, Http, Running, Server, repository, text_of, toolcrib};
use serde_json::{Value, json};
use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use toolcrib_testkit::{Served, Site};

fn example() -> std::path::PathBuf {
    repository().join("examples/declared/mcp-config.yaml")
}

fn output(command: &mut Command) -> (bool, String, String) {
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_example_does_what_it_says() {
    let (is_sound, said, fault) = output(toolcrib().arg("check").arg(example()));
    assert!(is_sound && said.contains("6 of 6 tests came out as expected"), "{said}{fault}");
    let folder = Folder::new();
    let mut serve = toolcrib();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(example()).env("XDG_DATA_HOME", folder.path());
    let mut running = Running::start(serve);
    let url = running.wait_to_say("serves MCP at ");
    let ask = |method: &str, params: Value| Http::new(&url).modern(method, params).json();
    let words = text_of(&ask("tools/call", json!({"name": "count_words", "arguments": {"text": "one two\nthree"}}))).unwrap();
    assert_eq!(words.split_whitespace().collect::<Vec<_>>(), ["1", "3", "13"]);
    let best = ask("tools/call", json!({"name": "best_sellers", "arguments": {"category": "books"}}));
    let rows = best["result"]["structuredContent"]["result"].as_array().unwrap_or_else(|| panic!("{best}"));
    assert!(rows.len() == 3 && rows[0]["sold"].as_i64() >= rows[1]["sold"].as_i64(), "{best}");
    let report = ask("tools/call", json!({"name": "category_report", "arguments": {"category": "books", "count": true}}));
    assert_eq!(report["result"]["structuredContent"]["best"], json!(rows), "{report}");
    assert!(report["result"]["structuredContent"]["counted"].is_string(), "{report}");
    // The report only looks, since both of its parts do.
    let listed = ask("tools/list", json!({}));
    let tool = |name: &str| listed["result"]["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap().clone();
    assert_eq!(tool("category_report")["annotations"]["readOnlyHint"], true, "{listed}");
    assert_eq!(tool("exchange_rate")["title"], "Exchange rate");
    assert_eq!(tool("exchange_rate")["inputSchema"]["required"], json!(["from", "to"]));
    // Each of the calls has its record, those of the report included.
    let (_, records, _) = output(toolcrib().args(["audit", "--json", "--config"]).arg(example()).env("XDG_DATA_HOME", folder.path()));
    let count = |name: &str| records.matches(&format!("\"{name}\"")).count();
    assert_eq!([count("count_words"), count("best_sellers"), count("category_report")], [2, 2, 1], "{records}");
}

#[test]
fn a_request_that_fails_is_made_again_and_another_tool_stands_in_for_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    let site = runtime.block_on(Site::serve(move |asked| {
        let number = counting.fetch_add(1, Ordering::Relaxed);
        assert_eq!(asked.header("authorization"), Some("Bearer secret-of-the-shop"));
        match asked.path.as_str() {
            "/flaky/7" if number == 0 => Served::new(500, "secret-of-the-shop"),
            "/flaky/7" => Served::json(r#"{"state": "sent", "token": "secret-of-the-shop"}"#),
            _ => Served::new(503, "no").header("retry-after", "3600"),
        }
    }));
    let request = |path: &str| {
        json!({
            "description": "Tells where an order is.",
            "input": {"order": "integer"},
            "http": {"url": site.url("127.0.0.1", path), "headers": {"Authorization": "Bearer secret-of-the-shop"}},
        })
    };
    let server = Server::with(&json!({
        "tools": {
            "order": request("/flaky/{{order}}"),
            "busy": request("/busy/{{order}}"),
            "spare": {"description": "Stands in.", "input": {"order": "integer"}, "command": ["echo", "order {{order}} is somewhere"]},
        },
        "resilience": {"tools": {"busy": {"fallback": "spare"}}},
    }));
    let answer = server.modern("tools/call", json!({"name": "order", "arguments": {"order": 7}}));
    assert_eq!(answer["result"]["structuredContent"], json!({"state": "sent", "token": "***"}), "{answer}");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    let answer = server.modern("tools/call", json!({"name": "busy", "arguments": {"order": 7}}));
    assert!(answer.to_string().contains("order 7 is somewhere") && answer.to_string().contains("dev.toolcrib/fallback"), "{answer}");
    let (_, explained, _) =
        output(toolcrib().args(["explain", "order", "--args", r#"{"order": 7}"#, "--config"]).arg(server.folder().join("mcp-config.yaml")));
    assert!(explained.contains("/flaky/7") && explained.contains("authorization: ***") && !explained.contains("secret-of"), "{explained}");
}

#[test]
fn what_a_caller_may_not_have_it_does_not_get_through_a_pipeline_either() {
    let hello = json!({"description": "Greets.", "command": ["echo", "hello"]});
    let server = Server::with(&json!({
        "tools": {
            "inner": hello,
            "outer": {"description": "Greets by another.", "pipeline": [{"tool": "inner"}]},
        },
        "access": {"rules": [{"roles": ["*"], "allow": ["outer"]}]},
    }));
    assert_eq!(server.tools(), ["outer"]);
    let error = server.call("outer", json!({})).unwrap_err();
    assert_eq!(error, r#"the step "step1" (inner) failed: unknown tool: inner"#);
}

#[test]
fn what_is_wrong_with_a_declared_tool_is_said_with_its_line() {
    let folder = Folder::new();
    let faulty = r#"
tools:
  no_description: { command: [echo] }
  two_things: { description: D., command: [echo], sql: SELECT 1 }
  moving: { description: D., input: { host: string }, http: { url: "https://{{host}}/x" } }
  lost: { description: D., input: { a: string }, command: [echo, "{{b}}"] }
  quoted: { description: D., input: { a: string }, sql: "SELECT '{{a}}'" }
  round: { description: D., pipeline: [{ tool: about }] }
  about: { description: D., pipeline: [{ tool: round }] }
  later: { description: D., pipeline: [{ tool: calculator, args: { expression: "{{step2}}" } }] }
  calculator: { description: D., enabled: true }
  untyped: { description: D., input: { a: strng }, command: [echo] }
  unequal:
    description: D.
    command: [echo]
    tests:
      - { answer: { text: one }, expect: two }
"#;
    let file = folder.path().join("mcp-config.yaml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let (is_sound, said, _) = output(toolcrib().arg("check").arg(&file));
        assert!(!is_sound);
        said
    };
    let said = check(faulty);
    for (line, reason) in [
        (3, "a declared tool needs a description"),
        (4, "does one thing: http, command, sql, pipeline or openapi"),
        (5, "no value can change where a request goes"),
        (6, "{{b}} is no argument of it; its input has: a"),
        (7, "{{a}} stands within quotes or a comment"),
        (8, "its steps lead back to itself"),
        (9, "its steps lead back to itself"),
        (10, "looks for {{step2}}, and known there are args"),
        (12, "unusable input schema"),
    ] {
        assert!(said.lines().any(|told| told.contains(&format!(":{line}: ")) && told.contains(reason)), "{line}: {reason}\n{said}");
    }
    let sound_but_for_the_test =
        faulty.split_inclusive('\n').filter(|line| !line.starts_with("  ") || line.contains("unequal") || line.starts_with("    "));
    let said = check(&sound_but_for_the_test.collect::<String>());
    assert!(
        said.contains(r#"the test of unequal expects "two", and gets one"#) || said.contains(r#"expects "two", and gets "one""#),
        "{said}"
    );
}

#[test]
fn a_statement_writes_only_where_the_config_says_so() {
    let folder = Folder::new();
    let file = folder.path().join("shop.sqlite");
    let made = Command::new("python3")
        .args(["-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('CREATE TABLE notes (text)')"])
        .arg(&file)
        .status();
    assert!(made.unwrap().success());
    let note = |sql: Value| {
        json!({
            "databases": {"shop": format!("sqlite:{}", file.display())},
            "tools": {"note": {"description": "Notes something.", "input": {"text": "string"}, "sql": sql}},
        })
    };
    let said = |statement: &str| {
        let (_, said, fault) = output(toolcrib().arg("check").arg(folder.config(&note(json!({"statement": statement, "writes": true})))));
        said + &fault
    };
    assert!(said("CREATE TABLE other (a) -- ").contains("a statement begins with INSERT, UPDATE, DELETE"));
    assert!(said("INSERT INTO notes VALUES ('{{text}}')").contains("within quotes or a comment"));
    let insert = "INSERT INTO notes (text) VALUES ({{text}})";
    let server = Server::with(&note(json!({"statement": insert, "writes": true})));
    let listed = server.modern("tools/list", json!({}));
    let tool = listed["result"]["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "note").unwrap();
    assert_eq!((&tool["annotations"]["readOnlyHint"], &tool["annotations"]["destructiveHint"]), (&json!(false), &json!(true)));
    assert_eq!(server.call("note", json!({"text": "it's here"})).unwrap(), r#"{"affected":1}"#);
    let read = |server: &Server| server.call("database_query", json!({"query": "SELECT text FROM notes"})).unwrap();
    assert!(read(&server).contains("it's here"));
    // Without that word it is a fault; and what does not look like one that writes is refused by the walls that stand before every reader.
    let (_, said, _) = output(toolcrib().arg("check").arg(folder.config(&note(json!(insert)))));
    assert!(said.contains("it writes: say writes: true"), "{said}");
    let server = Server::with(&note(json!("WITH new(text) AS (SELECT {{text}}) INSERT INTO notes SELECT text FROM new")));
    assert!(server.call("note", json!({"text": "nor this"})).unwrap_err().contains("only reading is allowed"));
    assert!(!read(&server).contains("nor this"));
}
