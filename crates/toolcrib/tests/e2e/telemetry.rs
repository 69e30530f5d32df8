//! What a collector of OpenTelemetry is told, read with the official messages; and how traces go on through us.

use crate::support::{Http, PATIENCE, Server, free_port, peers, repository, scripted, text_of, wait_for};
use serde_json::{Value, json};
use std::{
    fmt::Write,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

/// A collector, and what it was told.
struct Collector {
    child: Child,
    port: u16,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    fn start(failures: u32) -> Self {
        let port = free_port();
        let mut command = Command::new(peers().join("python-rest/bin/python"));
        command.arg(repository().join("tests/peers/collector.py")).args([port.to_string(), failures.to_string()]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (told, lines) = (Arc::<Mutex<Vec<Value>>>::default(), BufReader::new(child.stdout.take().unwrap()).lines());
        let hearing = Arc::clone(&told);
        let (ready, is_ready) = std::sync::mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                match line.as_str() {
                    "ready" => ready.send(()).unwrap(),
                    told => hearing.lock().unwrap().push(serde_json::from_str(told).unwrap()),
                }
            }
        });
        is_ready.recv_timeout(PATIENCE).unwrap();
        Self { child, port, told }
    }

    /// What stands at these places of all messages of this path.
    fn all(&self, path: &str, keys: [&str; 3]) -> Vec<Value> {
        let told = self.told.lock().unwrap();
        let messages = told.iter().filter(|told| told["path"] == path).map(|told| &told["message"]);
        let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        let of_resources = messages.flat_map(|message| list(message, keys[0]));
        let of_scopes = of_resources.flat_map(|resource| list(&resource, keys[1]));
        of_scopes.flat_map(|scope| list(&scope, keys[2])).collect()
    }

    fn spans(&self) -> Vec<Value> {
        self.all("/v1/traces", ["resourceSpans", "scopeSpans", "spans"])
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn attribute<'a>(thing: &'a Value, key: &str) -> Option<&'a str> {
    let attributes = thing["attributes"].as_array()?;
    attributes.iter().find(|attribute| attribute["key"] == key)?["value"]["stringValue"].as_str()
}

/// The proto3 JSON form has bytes in Base64.
fn hex(value: &Value) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let bytes = BASE64_STANDARD.decode(value.as_str().unwrap_or_default()).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Calls a tool as a part of this trace, and gives the text of the result.
fn traced(server: &Server, tool: &str, parent: &str) -> Result<String, String> {
    let params = json!({"name": tool, "arguments": {"expression": "1"}, "_meta": {"traceparent": parent, "tracestate": "vendor=1"}});
    text_of(&Http::new(&server.url).modern("tools/call", params).json())
}

#[test]
fn a_trace_goes_through_us_and_is_told_step_by_step() {
    let collector = Collector::start(1);
    let server = Server::with(&json!({
        "mcpServers": {"s": scripted(&[])},
        "telemetry": {"otlp": {
            "endpoint": format!("http://127.0.0.1:{}", collector.port), "headers": {"X-Key": "secret-of-the-collector"},
            "service": "crib-under-test", "attributes": {"team": "blue"}, "metricsEvery": 0.2,
        }},
    }));
    server.wait_for_tool("s__meta");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let sent: Value = serde_json::from_str(&traced(&server, "s__meta", parent).unwrap()).unwrap();
    traced(&server, "no_such_tool", parent).unwrap_err();
    // What was decided elsewhere, not to keep a trace, holds here.
    traced(&server, "calculator", "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-00f067aa0ba902b7-00").unwrap();
    server.call("calculator", json!({"expression": "1+1"})).unwrap();
    let spans = wait_for("the spans", || {
        let spans = collector.spans();
        let of_calls = spans.iter().filter(|span| span["kind"] == "SPAN_KIND_SERVER").count();
        (of_calls >= 3).then_some(spans)
    });
    let called = spans.iter().find(|span| span["name"] == "tools/call s__meta").unwrap();
    assert_eq!((hex(&called["traceId"]), hex(&called["parentSpanId"])), (parent[3..35].to_owned(), parent[36..52].to_owned()));
    assert_eq!(called["traceState"], "vendor=1");
    assert_eq!(attribute(called, "gen_ai.tool.name"), Some("s__meta"));
    assert_eq!(attribute(called, "mcp.method.name"), Some("tools/call"));
    assert!(called["status"].is_null(), "{called}");
    let steps: Vec<&Value> = spans.iter().filter(|span| span["parentSpanId"] == called["spanId"]).collect();
    let names: Vec<&str> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["authorize", "validate", "authorize the arguments", "limits", "execute", "compose"]);
    for step in &steps {
        let at = |thing: &Value, key: &str| thing[key].as_str().unwrap().parse::<u64>().unwrap();
        assert!(
            at(step, "startTimeUnixNano") >= at(called, "startTimeUnixNano")
                && at(step, "endTimeUnixNano") <= at(called, "endTimeUnixNano")
        );
    }
    // A name that is made up is the name of no span; why it was refused is told.
    let refused = spans.iter().find(|span| attribute(span, "error.type") == Some("not_found")).unwrap();
    assert_eq!((&refused["name"], &refused["status"]["code"]), (&json!("tools/call"), &json!("STATUS_CODE_ERROR")));
    assert!(spans.iter().all(|span| hex(&span["traceId"]) != "a".repeat(32)));
    // The other server stands behind the step in which it was called.
    let execute = steps.iter().find(|step| step["name"] == "execute").unwrap();
    assert_eq!(sent["tracestate"], "vendor=1");
    assert_eq!(sent["traceparent"], format!("00-{}-{}-01", &parent[3..35], hex(&execute["spanId"])));
    // The record of the call is found by its trace.
    let records = Http::new(&server.url.replace("/mcp", "/api/v1/calls?tool=s__meta")).get().json();
    assert!(records["calls"].as_array().unwrap().iter().any(|call| call["trace"] == parent[3..35]), "{records}");
    let told = collector.told.lock().unwrap();
    let resource = &told.iter().find(|told| told["path"] == "/v1/traces").unwrap()["message"]["resourceSpans"][0]["resource"];
    assert_eq!((attribute(resource, "service.name"), attribute(resource, "team")), (Some("crib-under-test"), Some("blue")));
    assert!(told.iter().all(|told| told["key"] == "secret-of-the-collector"));
    drop(told);
    let metrics = wait_for("the metrics", || {
        let metrics = collector.all("/v1/metrics", ["resourceMetrics", "scopeMetrics", "metrics"]);
        metrics.into_iter().rev().find(|metric| metric["name"] == "mcp.server.operation.duration")
    });
    assert_eq!(
        (&metrics["unit"], &metrics["histogram"]["aggregationTemporality"]),
        (&json!("s"), &json!("AGGREGATION_TEMPORALITY_CUMULATIVE"))
    );
    let point = &metrics["histogram"]["dataPoints"][0];
    let buckets: Vec<u64> =
        point["bucketCounts"].as_array().unwrap().iter().map(|count| count.as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(buckets.len(), point["explicitBounds"].as_array().unwrap().len() + 1);
    assert_eq!(buckets.iter().sum::<u64>().to_string(), point["count"].as_str().unwrap());
    let logs = collector.all("/v1/logs", ["resourceLogs", "scopeLogs", "logRecords"]);
    let connected = logs.iter().find(|line| line["body"]["stringValue"] == "connected").unwrap_or_else(|| panic!("{logs:?}"));
    assert_eq!((&connected["severityText"], attribute(connected, "server")), (&json!("INFO"), Some("s")));
    assert!(!server.process.said().contains("secret-of-the-collector"));
}

#[test]
fn what_is_not_told_yet_is_told_at_the_end() {
    let collector = Collector::start(0);
    let mut server = Server::with(&json!({
        "telemetry": {"otlp": {"endpoint": format!("http://127.0.0.1:{}", collector.port), "metricsEvery": 3600}},
    }));
    server.call("calculator", json!({"expression": "1+1"})).unwrap();
    server.process.signal("-TERM");
    assert!(server.process.wait().success());
    let spans = collector.spans();
    assert!(spans.iter().any(|span| span["name"] == "tools/call calculator"), "{spans:?}");
    assert!(!collector.all("/v1/metrics", ["resourceMetrics", "scopeMetrics", "metrics"]).is_empty());
}

#[test]
fn a_collector_that_is_away_holds_up_nothing_and_is_told_of_once() {
    let port = free_port();
    let mut server = Server::with(&json!({
        "telemetry": {"otlp": {"endpoint": format!("http://127.0.0.1:{port}"), "metrics": false, "logs": false}},
    }));
    for _ in 0..5 {
        server.call("calculator", json!({"expression": "1+1"})).unwrap();
    }
    server.process.wait_to_say("traces are lost");
    server.process.signal("-TERM");
    assert!(server.process.wait().success());
    assert_eq!(server.process.said().matches("are lost").count(), 1);
}

#[test]
fn where_nobody_looks_a_trace_is_passed_on_as_it_came() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__meta");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let sent: Value = serde_json::from_str(&traced(&server, "s__meta", parent).unwrap()).unwrap();
    assert_eq!((&sent["traceparent"], &sent["tracestate"]), (&json!(parent), &json!("vendor=1")));
    // A client may say it by a header instead.
    let http = Http::new(&server.url).header("traceparent", parent);
    let sent = text_of(&http.modern("tools/call", json!({"name": "s__meta", "arguments": {}})).json()).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&sent).unwrap()["traceparent"], parent);
}

#[test]
fn logs_are_lines_of_json_for_machines() {
    let server = {
        let folder = crate::support::Folder::new();
        let mut command = crate::support::toolcrib();
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(folder.config(&json!({"mcpServers": {"s": scripted(&[])}})));
        command.env("TOOLCRIB_LOG_FORMAT", "json");
        let mut process = crate::support::Running::start(command);
        process.wait_to_say("serves MCP at ");
        wait_for("a line", || process.said().lines().any(|line| line.contains("connected")).then_some(()));
        process.said()
    };
    let line = server.lines().find(|line| line.contains("connected")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["level"], &line["message"], &line["server"]), (&json!("INFO"), &json!("connected"), &json!("s")));
}

/// Runs promtool on files of `deploy/prometheus`.
fn promtool(arguments: &[&str]) {
    let done = Command::new("promtool").args(arguments).current_dir(repository().join("deploy/prometheus")).output();
    let done = done.expect("promtool is needed: install the package prometheus");
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn alerts_and_charts_are_of_what_there_is() {
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["test", "rules", "alerts_test.yml"]);
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__echo");
    server.call("s__echo", json!({})).unwrap();
    let metrics = Http::new(&server.url.replace("/mcp", "/metrics")).get().body;
    let mut page = "# Metrics\n\nWhat `/metrics` tells. A collector of OpenTelemetry is told the same under the names that its conventions give: with dots, and the unit beside it.\n\n| metric | kind | |\n|---|---|---|\n".to_owned();
    for (help, kind) in
        metrics.lines().filter_map(|line| line.strip_prefix("# HELP ")).zip(metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")))
    {
        let ((name, help), (_, kind)) = (help.split_once(' ').unwrap(), kind.split_once(' ').unwrap());
        writeln!(page, "| `{name}` | {kind} | {help} |").unwrap();
    }
    let file = repository().join("docs/reference/metrics.md");
    if std::env::var_os("TOOLCRIB_WRITE_DOCS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(&file).unwrap_or_default() == page,
        "{} is not up to date: TOOLCRIB_WRITE_DOCS=1 and this test writes it",
        file.display()
    );
    let names: Vec<&str> = metrics.lines().filter_map(|line| line.split(['{', ' ']).next()).filter(|name| *name != "#").collect();
    let read = |file: &str| std::fs::read_to_string(repository().join("deploy").join(file)).unwrap();
    for file in ["prometheus/alerts.yml", "grafana/toolcrib.json"] {
        let text = read(file);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let used: Vec<&str> =
            words.filter(|word| ["toolcrib_", "mcp_server_", "process_"].iter().any(|start| word.starts_with(start))).collect();
        assert!(used.len() > 5, "{file}");
        for name in used {
            assert!(names.contains(&name), "{file} asks for {name}, which is not told");
        }
    }
    serde_json::from_str::<Value>(&read("grafana/toolcrib.json")).unwrap();
}
