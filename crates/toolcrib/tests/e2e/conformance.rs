//! The official conformance suite: our own example server, and our client side through the command line.

use crate::support::{Folder, Running, Server, node, peers, python, repository, toolcrib};
use serde_json::json;
use std::{path::PathBuf, process::Command};

/// The example beside the binary under test; Cargo builds it with the tests.
fn example() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_toolcrib")).parent().unwrap().join("examples/conformance");
    assert!(path.exists(), "{} is missing: run the tests with `cargo nextest run --workspace` or `make test`", path.display());
    path
}

fn suite(arguments: &[&str]) -> (bool, String) {
    let results = Folder::new();
    let suite = peers().join("node_modules/@modelcontextprotocol/conformance/dist/index.js");
    let output = Command::new(node()).arg(suite).args(arguments).args(["-o"]).arg(results.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

/// How many scenarios each revision requires of a server.
const REQUIRED: [(&str, usize); 2] = [("2025-11-25", 30), ("2026-07-28", 37)];

fn check(url: &str, (revision, scenarios): (&str, usize)) {
    let (is_conformant, said) = suite(&["server", "--url", url, "--requirements", revision]);
    assert!(is_conformant, "{said}");
    let summary = said.split("=== SUMMARY ===").nth(1).unwrap_or_else(|| panic!("no summary: {said}"));
    let passed = summary.lines().filter(|line| line.starts_with('✓')).count();
    assert!(passed >= scenarios, "{passed} of {scenarios} scenarios passed: {summary}");
}

/// The example server, listening.
fn listening(flags: &[&str]) -> (Running, String) {
    let mut command = Command::new(example());
    command.args(["--listen", "127.0.0.1:0"]).args(flags);
    let mut server = Running::start(command);
    let url = server.wait_to_say("serves MCP at ");
    (server, url)
}

#[test]
fn our_server_conforms() {
    let (_server, url) = listening(&[]);
    REQUIRED.into_iter().for_each(|required| check(&url, required));
}

/// The example server of one era behind Toolcrib: what it passes by itself, it passes through us, whatever the era of the
/// client.
fn check_through_us(era: &str, over_http: bool) {
    let (_upstream, definition) = if over_http {
        let (server, url) = listening(&[era]);
        (Some(server), json!({ "url": url }))
    } else {
        (None, json!({"command": example(), "args": ["--stdio", era]}))
    };
    let config = json!({"mcpServers": {"fixture": definition}, "claude": {"mcp": {"prefix": "never"}}});
    let server = Server::with(&config);
    server.wait_for_tool("test_simple_text");
    REQUIRED.into_iter().for_each(|required| check(&server.url, required));
}

#[test]
fn a_legacy_stdio_server_conforms_through_us() {
    check_through_us("--legacy", false);
}

#[test]
fn a_legacy_http_server_conforms_through_us() {
    check_through_us("--legacy", true);
}

#[test]
fn a_modern_stdio_server_conforms_through_us() {
    check_through_us("--modern", false);
}

#[test]
fn a_modern_http_server_conforms_through_us() {
    check_through_us("--modern", true);
}

/// Our client side: the suite is the server, and Toolcrib calls it as one behind its own gate.
#[test]
fn our_client_side_conforms() {
    let folder = Folder::new();
    let driver = folder.path().join("driver.py");
    std::fs::write(&driver, DRIVER).unwrap();
    let command = format!("python3 {} {}", driver.display(), toolcrib().get_program().display());
    for (scenario, revision) in [
        ("initialize", "2025-11-25"),
        ("tools_call", "2025-11-25"),
        ("sse-retry", "2025-11-25"),
        ("tools_call", "2026-07-28"),
        ("request-metadata", "2026-07-28"),
        ("http-standard-headers", "2026-07-28"),
        ("http-custom-headers", "2026-07-28"),
        ("http-invalid-tool-headers", "2026-07-28"),
        ("json-schema-ref-no-deref", "2026-07-28"),
    ] {
        let (is_conformant, said) = suite(&["client", "--command", &command, "--scenario", scenario, "--spec-version", revision]);
        assert!(is_conformant, "{scenario} of {revision}: {said}");
    }
}

/// What the suite's server asks is answered by a client in front of Toolcrib.
#[test]
fn our_client_side_conforms_where_it_is_asked() {
    let driver = repository().join("tests/peers/answering.py");
    let command = format!("{} {} {}", python(2).display(), driver.display(), toolcrib().get_program().display());
    for (scenario, revision) in [("elicitation-sep1034-client-defaults", "2025-11-25"), ("sep-2322-client-request-state", "2026-07-28")] {
        let (is_conformant, said) = suite(&["client", "--command", &command, "--scenario", scenario, "--spec-version", revision]);
        assert!(is_conformant, "{scenario} of {revision}: {said}");
    }
}

/// The scenarios in which somebody has to sign in, as each revision requires them of a client.
const SIGNING_IN: &[&str] = &[
    "metadata-default",
    "metadata-var1",
    "metadata-var2",
    "metadata-var3",
    "basic-cimd",
    "scope-from-www-authenticate",
    "scope-from-scopes-supported",
    "scope-omitted-when-undefined",
    "scope-step-up",
    "scope-retry-limit",
    "token-endpoint-auth-basic",
    "token-endpoint-auth-post",
    "token-endpoint-auth-none",
    "pre-registration",
];
/// Those that 2026-07-28 added.
const SIGNING_IN_SAFELY: &[&str] = &[
    "resource-mismatch",
    "offline-access-scope",
    "offline-access-not-supported",
    "authorization-server-migration",
    "iss-supported",
    "iss-not-advertised",
    "iss-supported-missing",
    "iss-wrong-issuer",
    "iss-unexpected",
    "iss-normalized",
    "metadata-issuer-mismatch",
];

/// The suite is the server and its authorization server; a person signs in by `toolcrib login`.
fn check_signing_in(scenarios: &[&str], revision: Option<&str>) {
    let driver = repository().join("tests/peers/signing_in.py");
    let command = format!("python3 {} {}", driver.display(), toolcrib().get_program().display());
    for scenario in scenarios {
        let scenario = format!("auth/{scenario}");
        let mut arguments = vec!["client", "--command", &command, "--scenario", &scenario];
        arguments.extend(revision.iter().flat_map(|revision| ["--spec-version", revision]));
        let (is_conformant, said) = suite(&arguments);
        // A scenario that does not apply is skipped, and counts as well.
        assert!(is_conformant && said.contains("OVERALL: PASSED"), "{scenario} of {revision:?}: {said}");
    }
}

#[test]
fn signing_in_conforms_in_2025_11_25() {
    check_signing_in(SIGNING_IN, Some("2025-11-25"));
}

#[test]
fn signing_in_conforms_in_2026_07_28() {
    check_signing_in(SIGNING_IN, Some("2026-07-28"));
    check_signing_in(SIGNING_IN_SAFELY, Some("2026-07-28"));
}

/// What is not required: servers of 2025-03-26, and signing in as ourselves.
#[test]
fn signing_in_conforms_beyond_what_is_required() {
    check_signing_in(&["2025-03-26-oauth-metadata-backcompat", "2025-03-26-oauth-endpoint-fallback"], Some("2025-03-26"));
    check_signing_in(&["client-credentials-basic"], None);
}

/// Puts the suite's server behind Toolcrib and calls every tool that it has, with the arguments that the suite asks for.
const DRIVER: &str = r#"
import json, os, subprocess, sys, tempfile

toolcrib, url = sys.argv[1], sys.argv[2]
folder = tempfile.mkdtemp()
config = os.path.join(folder, "mcp-config.yaml")
with open(config, "w") as file:
    json.dump({"dataFolder": "data", "mcpServers": {"suite": {"url": url}}, "claude": {"mcp": {"prefix": "never"}}}, file)

def run(*arguments):
    done = subprocess.run([toolcrib, *arguments, "--config", config], capture_output=True, text=True)
    sys.stderr.write(done.stderr)
    return done.stdout

wanted = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}").get("toolCalls")
if wanted:
    calls = [(call["name"], call.get("arguments", {})) for call in wanted]
else:
    tools = json.loads(run("list", "tools", "--json"))["tools"]
    samples = {"string": "sample", "number": 5, "integer": 5, "boolean": True, "object": {}, "array": []}
    own = ("analyze_text", "api_client", "calculator", "database_query", "describe_database", "weather_api", "web_scraper")
    calls = []
    for tool in tools:
        if tool["name"] not in own:
            properties = tool.get("inputSchema", {}).get("properties", {})
            calls.append((tool["name"], {key: samples.get(schema.get("type"), "sample") for key, schema in properties.items()}))
for name, arguments in calls:
    print(run("call", name, "--args", json.dumps(arguments), "--json"))
"#;
