//! The ready tools that reach outside, through the doors.

use crate::support::{Folder, Http, Server, legacy, text_of, toolcrib};
use serde_json::{Value, json};
use std::{
    fs,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
    thread,
};
use toolcrib_testkit::{Served, Site};

/// A site of a test's own, on a runtime of its own.
struct Web {
    site: Arc<Site>,
    _runtime: tokio::runtime::Runtime,
}

impl Web {
    fn serve(answer: impl Fn(&toolcrib_testkit::Asked) -> Served + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let site = Arc::new(runtime.block_on(Site::serve(answer)));
        Self { site, _runtime: runtime }
    }

    fn url(&self, path: &str) -> String {
        self.site.url("127.0.0.1", path)
    }

    fn exception(&self) -> String {
        format!("127.0.0.1:{}", self.site.address().port())
    }
}

fn structured(answer: &Value) -> Value {
    answer["result"]["structuredContent"].clone()
}

#[test]
fn an_agent_asks_the_sample_in_one_call() {
    let server = Server::with(&json!({"dataFolder": "data"}));
    let question = "SELECT count(*) AS users FROM users WHERE registered_at >= date('now', 'start of month')";
    let answer = server.modern("tools/call", json!({"name": "database_query", "arguments": {"query": question}}));
    let told = structured(&answer);
    assert_eq!((&told["columns"], &told["row_count"], &told["database"]), (&json!(["users"]), &json!(1), &json!("sample")));
    assert!(told["rows"][0][0].as_i64().unwrap() >= 40, "{told}");
    assert_eq!(answer["result"]["_meta"]["dev.toolcrib/untrusted"], json!(["rows", "table", "csv"]));
    let refused = server.call("database_query", json!({"query": "DELETE FROM users"})).unwrap_err();
    assert!(refused.contains("only reading is allowed"), "{refused}");
    let tables = server.modern("tools/call", json!({"name": "describe_database", "arguments": {}}));
    let names: Vec<Value> = structured(&tables)["tables"].as_array().unwrap().iter().map(|table| table["name"].clone()).collect();
    assert_eq!(names, ["order_items", "orders", "products", "reviews", "users"]);
}

#[test]
fn a_large_result_is_read_as_a_resource_in_each_era() {
    let server = Server::with(&json!({"dataFolder": "data"}));
    let arguments = json!({"query": "SELECT * FROM users", "max_rows": 2000});
    let answer = server.modern("tools/call", json!({"name": "database_query", "arguments": arguments}));
    let told = structured(&answer);
    assert!(told["truncated"] == true && told["row_count"].as_i64().unwrap() < 1200, "{}", told["note"]);
    let uri = told["resource"].as_str().unwrap();
    let link = &answer["result"]["content"][1];
    assert_eq!((&link["type"], &link["uri"], &link["mimeType"]), (&json!("resource_link"), &told["resource"], &json!("text/csv")));
    let read = server.modern("resources/read", json!({"uri": uri}));
    let csv = read["result"]["contents"][0]["text"].as_str().unwrap();
    assert_eq!(csv.lines().count(), 1201, "a line of names, and all users");
    // A legacy client gets the link in words, and reads it, too.
    let session = Http::session(&server.url, "2025-03-26");
    let answer = session.post(legacy(1, "tools/call", json!({"name": "database_query", "arguments": arguments})));
    let answer = answer.events().into_iter().last().unwrap_or_else(|| answer.json());
    let words = answer["result"]["content"][1]["text"].as_str().unwrap().to_owned();
    let uri = words.strip_prefix("all rows: ").unwrap();
    let read = session.post(legacy(2, "resources/read", json!({"uri": uri})));
    let read = read.events().into_iter().last().unwrap_or_else(|| read.json());
    assert_eq!(read["result"]["contents"][0]["mimeType"], "text/csv");
    let missing = server.modern("resources/read", json!({"uri": "toolcrib://results/0123"}));
    assert!(missing["error"]["message"].as_str().unwrap().contains("unknown resource"), "{missing}");
}

#[test]
fn tools_are_switched_off_and_renamed_by_the_config() {
    let server = Server::with(&json!({"tools": {"weather_api": {"enabled": false}, "web_scraper": {"rename": "read_page"}}}));
    assert_eq!(server.tools(), ["analyze_text", "api_client", "calculator", "database_query", "describe_database", "read_page"]);
    let answer = server.modern("tools/list", json!({}));
    let reaches = |name: &str| {
        let tools = answer["result"]["tools"].as_array().unwrap();
        tools.iter().find(|tool| tool["name"] == name).unwrap()["_meta"]["dev.toolcrib/reaches"].clone()
    };
    assert_eq!(
        (reaches("calculator"), reaches("read_page"), reaches("database_query")),
        (json!([]), json!(["network"]), json!(["network", "files"]))
    );
    let refused = server.call("read_page", json!({"url": "http://127.0.0.1:1/"})).unwrap_err();
    assert!(refused.contains("a loopback address (RFC 1122)"), "{refused}");
}

#[test]
fn the_command_line_tells_a_tools_failure_in_words() {
    let folder = Folder::new();
    folder.config(&json!({"dataFolder": "data"}));
    let output = toolcrib().args(["call", "database_query", "query=SELECT nme FROM users"]).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "toolcrib: no such column: nme (at character 8)\nhint: describe_database lists tables and columns\n");
}

#[test]
fn the_doctor_says_what_is_well_and_what_is_not() {
    let folder = Folder::new();
    let check = |config: Value, code: i32, expected: &[&str]| {
        folder.config(&config);
        let output = toolcrib().arg("doctor").current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}{}", String::from_utf8_lossy(&output.stderr));
        expected.iter().for_each(|expected| assert!(said.contains(expected), "{expected}\n{said}"));
    };
    check(json!({"dataFolder": "data"}), 0, &[r#"well  database "sample": SQLite 3."#]);
    let broken = json!({
        "mcpServers": {"s": crate::support::scripted(&[]), "gone": {"command": "no-such-program"}},
        "databases": {"away": "postgres://reader@127.0.0.1:1/x"},
    });
    let expected = [
        r#"ILL   database "away": "away" cannot be reached: "#,
        "advice: check host, port",
        r#"well  server "s": speaks "#,
        r#"ILL   server "gone": "#,
    ];
    check(broken, 3, &expected);
}

#[test]
fn two_hundred_mixed_calls_keep_memory_bounded() {
    let heavy =
        format!("<title>heavy</title><article>{}</article>", "<p>A paragraph of a very long page about nothing at all.</p>".repeat(40_000));
    let nested = "<div>".repeat(200_000);
    let web = Web::serve(move |asked| match asked.path.as_str() {
        "/heavy" => Served::html(heavy.clone()),
        "/nested" => Served::html(nested.clone()),
        "/endless" => Served::html("<p>x").then_repeat("<b>and on ".repeat(500)),
        "/large.json" => Served::json(format!("[{}1]", "1,".repeat(2_000_000))),
        _ => Served::new(404, ""),
    });
    let server = Server::with(&json!({
        "dataFolder": "data",
        "egress": {"exceptions": [web.exception()], "requestsPerSecond": 1000},
        "claude": {"mcp": {"timeout": 600}},
    }));
    let calls = [
        ("web_scraper", json!({"url": web.url("/heavy")})),
        ("web_scraper", json!({"url": web.url("/nested")})),
        ("web_scraper", json!({"url": web.url("/endless")})),
        ("api_client", json!({"url": web.url("/large.json"), "select": "$[0]"})),
        ("api_client", json!({"url": web.url("/heavy")})),
        ("database_query", json!({"query": "SELECT * FROM order_items a, order_items b", "max_rows": 10_000})),
        ("database_query", json!({"query": "SELECT hex(randomblob(4000000)) FROM users", "max_rows": 10_000})),
        ("calculator", json!({"expression": "2^100000"})),
    ];
    let (answered, next) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                while let Some(turn) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|turn| *turn < 200) {
                    let (tool, arguments) = &calls[turn % calls.len()];
                    let answer = server.modern("tools/call", json!({"name": tool, "arguments": arguments}));
                    assert!(text_of(&answer).is_ok() || answer["result"]["isError"] == true, "{tool}: {answer}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(answered.into_inner(), 200);
    let status = fs::read_to_string(format!("/proc/{}/status", server.process.child.id())).unwrap();
    let peak_kib: u64 =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").trim().parse().unwrap();
    eprintln!("peak: {} MiB", peak_kib / 1024);
    assert!(peak_kib < 1024 * 1024, "{} MiB at the peak", peak_kib / 1024);
    assert_eq!(server.call("calculator", json!({"expression": "1+1"})).map(|text| text.contains("\"result\":2")), Ok(true));
}
