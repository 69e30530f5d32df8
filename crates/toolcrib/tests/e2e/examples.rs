//! Every example, used as its README says. `declared` is used by the tests of what it shows, `conformance` by the official suite.

use crate::support::{Folder, Http, Running, free_port, node, peers, python, repository, text_of, toolcrib, wait_for};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use toolcrib_testkit::{Served, Site};

/// An example that is a program: Cargo builds it with the tests.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_toolcrib")).parent().unwrap().join("examples").join(name);
    assert!(path.exists(), "the example {name} is not built: run `cargo build --examples`");
    path
}

/// Runs an example in a folder of its own.
fn run(name: &str, arguments: &[&str], folder: &Folder, variables: &[(&str, &str)]) -> (bool, String, String) {
    let mut command = Command::new(program(name));
    command.args(arguments).current_dir(folder.path()).env("XDG_DATA_HOME", folder.path()).envs(variables.iter().copied());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn basic_tools() {
    let folder = Folder::new();
    let call = |arguments: &[&str]| run("basic-tools", &[&["call"], arguments].concat(), &folder, &[]);
    assert_eq!(call(&["calculate", "operation=multiply", "a=6", "b=7"]).1, "42.0");
    assert_eq!(call(&["describe_text", "text=measure twice, cut once"]).1, r#"{"words":4,"lines":1,"longest":"measure"}"#);
    assert_eq!(call(&["shout", "text=hey"]).1, "HEY");
    let (is_well, _, said) = call(&["calculate", "operation=divide", "a=1", "b=0"]);
    assert!(!is_well && said == "basic-tools: nothing can be divided by zero", "{said}");
    let (is_well, _, said) = call(&["calculate", "operation=square", "a=1", "b=0"]);
    assert!(!is_well && said.contains("operation"), "{said}");
    let (_, listed, _) = run("basic-tools", &["list"], &folder, &[]);
    assert_eq!(listed.lines().count(), 3, "{listed}");
    // REST gives what every tool of ours gives there.
    let mut serve = Command::new(program("basic-tools"));
    serve.args(["--listen", "127.0.0.1:0"]).current_dir(folder.path()).env("XDG_DATA_HOME", folder.path());
    let mut running = Running::start(serve);
    let url = running.wait_to_say("serves MCP at ").replace("/mcp", "/api/v1/mcp/tool");
    let ask = |args: Value| {
        Http::new(&url).header("content-type", "application/json").post(json!({"name": "calculate", "args": args}).to_string())
    };
    let told = ask(json!({"operation": "add", "a": 1, "b": 2})).json();
    assert_eq!((&told["success"], &told["result"]["result"], &told["tool_version"]), (&json!(true), &json!(3.0), &json!("1.0.0")));
    assert!(told["execution_time"].as_f64().is_some_and(|seconds| seconds >= 0.0));
    let told = ask(json!({"operation": "divide", "a": 1, "b": 0})).json();
    assert_eq!((&told["success"], &told["error"]), (&json!(false), &json!("nothing can be divided by zero")));
    assert_eq!((&told["error_type"], &told["tool_version"]), (&json!("tool_error"), &json!("1.0.0")));
    assert!(told["execution_time"].as_f64().is_some_and(|seconds| seconds >= 0.0), "{told}");
}

#[test]
fn weather() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let site = runtime.block_on(Site::serve(|asked| match asked.path.split('?').next() {
        Some("/v1/search") => Served::json(
            r#"{"results": [{"name": "Bern", "latitude": 46.9, "longitude": 7.4, "country_code": "CH", "timezone": "Europe/Zurich", "country": "Switzerland"}]}"#,
        ),
        _ => Served::json(
            json!({
                "timezone": "Europe/Zurich",
                "current": {"time": "2026-11-24T11:15", "interval": 900, "temperature_2m": 4.0, "apparent_temperature": 1.5,
                    "relative_humidity_2m": 81, "is_day": 1, "precipitation": 0.6, "weather_code": 61, "cloud_cover": 100,
                    "wind_speed_10m": 14.8, "wind_direction_10m": 230, "wind_gusts_10m": 33.1},
            })
            .to_string(),
        ),
    }));
    let folder = Folder::new();
    let url = site.url("127.0.0.1", "");
    folder.config(&json!({"tools": {"weather_api": {"forecastUrl": url, "geocodingUrl": url}}}));
    let (is_well, advice, said) = run("weather", &["call", "what_to_wear", "place=Bern"], &folder, &[]);
    assert!(is_well, "{said}");
    assert_eq!(advice, r#"{"place":"Bern, Switzerland","feels_like":1.5,"wear":["a pullover","a raincoat"]}"#);
    let (_, listed, _) = run("weather", &["list", "--json"], &folder, &[]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let tool = listed["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "what_to_wear").unwrap();
    assert_eq!((&tool["title"], &tool["annotations"]["readOnlyHint"]), (&json!("What to wear"), &json!(true)));
    let meta = |key: &str| tool["_meta"][format!("dev.toolcrib/{key}")].clone();
    assert_eq!((meta("category"), meta("version")), (json!("external_integration"), json!("1.2.0")));
    assert_eq!((meta("author"), meta("tags")), (json!("The examples of Toolcrib"), json!(["weather", "clothes"])));
    // Both calls have their records: the advice, and the weather that it asked for.
    let (_, records, _) = run("weather", &["audit", "--json"], &folder, &[]);
    assert!(records.contains("what_to_wear") && records.contains("weather_api"), "{records}");
}

#[test]
fn advanced_tools() {
    let folder = Folder::new();
    let config = repository().join("examples/advanced-tools/mcp-config.yaml");
    fs::copy(&config, folder.path().join("mcp-config.yaml")).unwrap();
    let run = |arguments: &[&str]| run("advanced-tools", arguments, &folder, &[]);
    assert_eq!(run(&["call", "note", "text=buy nails"]).1, r#"{"notes":1}"#);
    let (_, second, said) = run(&["call", "note", "text=mend the ladder"]);
    // What the first had written when it ended, the second has read before it began.
    assert_eq!((second.as_str(), said.contains("the notes are kept")), (r#"{"notes":2}"#, true), "{said}");
    assert_eq!(run(&["read", "notes://all"]).1, "buy nails\nmend the ladder");
    assert_eq!(fs::read_to_string(folder.path().join("notes.txt")).unwrap(), "buy nails\nmend the ladder\n");
    assert!(run(&["explain", "clear_notes", "--as", "user"]).1.contains("✗ authorize"));
    assert!(run(&["explain", "clear_notes", "--as", "owner"]).1.contains("✓ authorize"));
    let (_, statistics, _) = run(&["read", "metrics://server/stats"]);
    assert!(serde_json::from_str::<Value>(&statistics).unwrap()["total_tools"].as_u64() >= Some(6), "{statistics}");
    let (_, settings, _) = run(&["read", "config://server/settings"]);
    assert_eq!(serde_json::from_str::<Value>(&settings).unwrap()["name"], "advanced-tools", "{settings}");
    assert!(run(&["read", "logs://server/recent"]).0);
    let (is_well, found, said) = run(&["call", "database_query", "query=SELECT count(*) AS n FROM users"]);
    assert!(is_well && found.contains("\"n\""), "{found}{said}");
    // A file that cannot be read keeps the server from starting, and is not written over.
    fs::remove_file(folder.path().join("notes.txt")).unwrap();
    fs::create_dir(folder.path().join("notes.txt")).unwrap();
    let (is_well, _, said) = run(&["list"]);
    assert!(!is_well && said.contains("the tool \"note\" could not be made ready"), "{said}");
}

#[test]
fn the_owner_is_asked_before_notes_are_forgotten() {
    let folder = Folder::new();
    fs::write(folder.path().join("notes.txt"), "one\ntwo\n").unwrap();
    let mut serve = Command::new(program("advanced-tools"));
    serve.args(["--listen", "127.0.0.1:0"]).current_dir(folder.path()).env("XDG_DATA_HOME", folder.path());
    let mut running = Running::start(serve);
    let url = running.wait_to_say("serves MCP at ");
    let can_ask = json!({"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}});
    let call = |more: Value| {
        let mut params = json!({"name": "clear_notes", "arguments": {}, "_meta": can_ask});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Http::new(&url).modern("tools/call", params).json()
    };
    let asked = || {
        let asked = call(json!({}));
        let question = &asked["result"]["inputRequests"]["confirm"]["params"];
        assert_eq!(question["message"], "Forget all 2 notes?", "{asked}");
        assert_eq!(question["requestedSchema"]["properties"]["forget"]["type"], "boolean");
        asked["result"]["requestState"].clone()
    };
    let answer = |forget: Value| json!({"inputResponses": {"confirm": forget}, "requestState": asked()});
    let done = call(answer(json!({"action": "decline"})));
    assert_eq!(text_of(&done).unwrap(), "nothing is forgotten");
    let done = call(answer(json!({"action": "accept", "content": {"forget": true}})));
    assert_eq!(text_of(&done).unwrap(), "2 notes are forgotten", "{done}");
    running.signal("-TERM");
    running.wait();
    assert_eq!(fs::read_to_string(folder.path().join("notes.txt")).unwrap(), "");
}

#[test]
fn resilient_api() {
    let example = repository().join("examples/resilient-api");
    let port = free_port();
    let mut service = Command::new("python3");
    service.arg(example.join("flaky_service.py")).arg(port.to_string()).stdout(Stdio::null());
    let service = Running::start(service);
    let base = format!("http://127.0.0.1:{port}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let get = |path: &str| -> Option<Value> {
        let request = crate::support::client().get(format!("{base}{path}"));
        runtime.block_on(async { request.send().await.ok()?.text().await.ok() }).and_then(|text| serde_json::from_str(&text).ok())
    };
    wait_for("the service", || get("/log"));
    let mut serve = toolcrib();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(example.join("mcp-config.yaml")).env("SERVICE_URL", &base);
    let mut running = Running::start(serve);
    let url = running.wait_to_say("serves MCP at ");
    let call = |tool: &str, arguments: Value| Http::new(&url).modern("tools/call", json!({"name": tool, "arguments": arguments})).json();
    let count = |path: &str| get("/log").unwrap().as_array().unwrap().iter().filter(|asked| **asked == json!(path)).count();
    // Busy, then broken, then well: asked three times for one call.
    assert_eq!(text_of(&call("stock", json!({"article": "nails"}))).unwrap(), "42");
    assert_eq!(count("/stock/nails"), 3);
    // Another stands in, and after three failures nobody asks any more.
    for _ in 0..5 {
        let answer = call("price", json!({"article": "nails"}));
        assert_eq!(answer["result"]["structuredContent"]["result"], "9.90", "{answer}");
        assert_eq!(answer["result"]["_meta"]["dev.toolcrib/fallback"]["insteadOf"], "price");
    }
    assert_eq!((count("/price/nails"), count("/list/nails")), (3, 5));
    // What may have been done is not done again.
    let error = text_of(&call("report", json!({}))).unwrap_err();
    assert!(error.contains("1 s") || error.contains("deadline"), "{error}");
    assert_eq!(count("/report"), 1);
    drop(service);
}

#[test]
fn secure_tools() {
    let folder = Folder::new();
    fs::copy(repository().join("examples/secure-tools/mcp-config.yaml"), folder.path().join("mcp-config.yaml")).unwrap();
    let command = |arguments: &[&str], token: &str| {
        let mut command = toolcrib();
        command.args(arguments).current_dir(folder.path()).env("JWT_SECRET", "q1Vd0nYxkT8mZr5sHc2LwJ7uPb9eGfA4tKoXiRvN6Ms=");
        command.env("TOOLCRIB_TOKEN", token);
        command
    };
    let said = |arguments: &[&str], token: &str| {
        let output = command(arguments, token).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, checked, faults) = said(&["check"], "");
    assert!(code == Some(0) && checked.contains("6 of 6 tests came out as expected"), "{checked}{faults}");
    let mut running = Running::start(command(&["serve", "--listen", "127.0.0.1:0"], ""));
    let url = running.wait_to_say("serves MCP at ");
    let admin = said(&["token", "--sub", "alice", "--role", "admin"], "").1;
    let bob = said(&["token", "--sub", "bob", "--role", "user"], "").1;
    let listed = |token: &str| -> Vec<String> {
        let (_, listed, _) = said(&["list", "--url", &url], token);
        listed.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(""), ["public_info"]);
    assert_eq!(listed(&bob), ["public_info", "user_data"]);
    assert_eq!(listed(&admin), ["admin_database", "public_info", "user_data"]);
    let rest = url.replace("/mcp", "/api/v1/mcp/tool");
    let ask = |token: &str, body: Value| {
        let http = Http::new(&rest).header("content-type", "application/json").header("authorization", &format!("Bearer {token}"));
        let reply = http.post(body.to_string());
        (reply.status, reply.json())
    };
    let query = |sql: &str| json!({"name": "admin_database", "args": {"query": sql}});
    assert_eq!(ask(&admin, query("SELECT name FROM users LIMIT 3")).0, 200);
    let (status, told) = ask(&bob, query("SELECT 1"));
    assert_eq!((status, &told["error"], &told["error_type"]), (404, &json!("unknown tool: admin_database"), &json!("not_found")));
    let (status, told) = ask(&format!("{bob}x"), json!({"name": "public_info", "args": {"expression": "6*7"}}));
    assert_eq!((status, &told["error"]), (401, &json!("Invalid authentication token")));
    let (_, _, told) = said(&["call", "admin_database", "query=SELECT * FROM salaries", "--url", &url], &admin);
    assert_eq!(told, "toolcrib: these arguments are not allowed for you; others may be");
    let (_, explained, _) = said(&["explain", "admin_database", "--as", "admin", "--args", r#"{"query": "SELECT * FROM salaries"}"#], "");
    assert!(explained.contains("denied by mcp-config.yaml:18"), "{explained}");
    let key = said(&["key", "create", "--sub", "ci", "--role", "user", "--ttl", "90d"], "").1;
    // A server that runs knows of it within a second.
    wait_for("the new key", || (listed(&key) == ["public_info", "user_data"]).then_some(()));
    let (_, refused, _) = said(&["audit", "--outcome", "refused", "--json"], "");
    assert!(refused.contains("bob") && refused.contains("forbidden"), "{refused}");
    let (code, verified, _) = said(&["audit", "verify"], "");
    assert!(code == Some(0), "{verified}");
}

#[test]
fn python_and_node() {
    // Node looks for packages in the folders above a script.
    let folder = peers().join("python-and-node");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for file in ["mcp-config.yaml", "server.py", "server.mjs"] {
        fs::copy(repository().join("examples/python-and-node").join(file), folder.join(file)).unwrap();
    }
    let call = |arguments: &[&str]| {
        let mut call = toolcrib();
        call.arg("call").args(arguments).current_dir(&folder).env("PYTHON", python(1)).env("NODE", node());
        let output = call.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(call(&["words__slug", "text=Été à Genève"]), "ete-a-geneve");
    assert_eq!(call(&["numbers__roman", "number=2026"]), "MMXXVI");
    let headline: Value = serde_json::from_str(&call(&["headline", "number=14", "title=Measure twice"])).unwrap();
    assert_eq!(headline["number"], "XIV");
    assert!(headline["address"].to_string().contains("measure-twice"), "{headline}");
}

/// One tool three times: written in Rust, declared in the config, and another server's. What is done for one is done for all.
#[test]
fn wherever_a_tool_comes_from_it_is_treated_alike() {
    let program = program("basic-tools");
    let shout = "import sys; text = sys.stdin.read(); sys.exit(3) if not text else print(text.upper(), end='')";
    let config = json!({
        "mcpServers": {"other": {"command": program, "args": ["--stdio"], "cwd": "/"}},
        "tools": {"declared_shout": {
            "description": "Writes a text in capitals.",
            "input": {"text": {"type": "string", "description": "The text."}},
            "command": {"run": ["python3", "-c", shout], "stdin": "{{text}}", "exitCodes": {"3": "there is nothing to shout"}},
        }},
        "access": {"rules": [{"roles": ["*"], "allow": {"tools": ["shout", "declared_shout", "other__shout"], "resources": ["metrics://server/stats"]},
            "when": "!has(args.text) || args.text != 'secret'"}]},
        "dataFolder": "data",
    });
    let folder = Folder::new();
    let file = folder.config(&config);
    let mut serve = Command::new(&program);
    serve.args(["--listen", "127.0.0.1:0", "--config"]).arg(&file).current_dir(folder.path());
    let mut running = Running::start(serve);
    let url = running.wait_to_say("serves MCP at ");
    let ask = |method: &str, params: Value| Http::new(&url).modern(method, params).json();
    let names = ["shout", "declared_shout", "other__shout"];
    wait_for("the other server", || ask("tools/list", json!({})).to_string().contains("other__shout").then_some(()));
    // What nobody may have is offered by none.
    assert_eq!(ask("tools/list", json!({}))["result"]["tools"].as_array().unwrap().len(), 3);
    let call = |name: &str, arguments: Value| ask("tools/call", json!({"name": name, "arguments": arguments}));
    let alike = |arguments: &Value| {
        let answers = names.map(|name| {
            let answer = call(name, arguments.clone());
            text_of(&answer).map_err(|error| (error, answer["error"]["code"].clone()))
        });
        assert_eq!((&answers[0], &answers[0]), (&answers[1], &answers[2]), "{arguments}");
        answers[0].clone()
    };
    assert_eq!(alike(&json!({"text": "hey"})).unwrap(), "HEY");
    assert_eq!(alike(&json!({"text": ""})).unwrap_err().0, "there is nothing to shout");
    // Who may not shout that is told so, whatever shouts.
    assert!(alike(&json!({"text": "secret"})).unwrap_err().0.contains("not allowed"));
    // Bad arguments are refused before anything is done, each by its schema.
    for name in names {
        let refused = call(name, json!({"text": 7}));
        assert!(text_of(&refused).unwrap_err().contains("text"), "{refused}");
    }
    // Each has the same records, and the same count.
    let records = Command::new(&program).args(["audit", "--json", "--config"]).arg(&file).output().unwrap();
    let records: Vec<Value> = String::from_utf8(records.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |name: &str| -> Vec<Value> {
        let of_it = records.iter().filter(|record| record["name"] == name);
        of_it.map(|record| json!([record["outcome"], record["code"], record["caller"], record["door"], record["arguments"]])).collect()
    };
    assert_eq!(told("shout").len(), 4, "{records:?}");
    assert_eq!((told("shout"), told("shout")), (told("declared_shout"), told("other__shout")));
    let statistics = ask("resources/read", json!({"uri": "metrics://server/stats"}));
    let statistics: Value = serde_json::from_str(statistics["result"]["contents"][0]["text"].as_str().unwrap()).unwrap();
    let counted = |name: &str| {
        let tools = statistics["tools"].as_array().unwrap();
        let tool = tools.iter().find(|tool| tool["name"] == name).unwrap();
        json!([tool["calls"], tool["errors"], tool["success_rate"]])
    };
    assert_eq!((counted("shout"), counted("shout")), (counted("declared_shout"), counted("other__shout")), "{statistics}");
}
