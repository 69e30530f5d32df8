//! Who may come in, and what they find: by HTTP, by stdio, on the command line.

use crate::support::{Folder, Http, Reply, Running, Server, legacy, modern, scripted, text_of, tool_names, toolcrib, wait_for};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

/// Not a secret: every run of the tests has it.
const SECRET: &str = "u8Zq3vKx-for-tests-only-7Rb2nMw5Lp9s";

/// The config of a team: admins have everything, users some of it, everybody the calculator.
fn team() -> Value {
    json!({
        "auth": {"jwt": {"secret": SECRET, "issuer": "tests", "audience": "toolcrib"}, "apiKeys": true},
        "access": {"rules": [
            {"roles": ["admin"], "allow": {"tools": ["*"], "resources": ["*"], "prompts": ["*"]}},
            {"roles": ["user"], "allow": ["analyze_text", "calculator"]},
            {"roles": ["*"], "allow": ["calculator"]},
        ]},
    })
}

/// The same, but with nothing for those without a token.
fn closed() -> Value {
    let mut config = team();
    config["access"]["rules"].as_array_mut().unwrap().pop();
    config
}

fn token(folder: &Folder, args: &[&str]) -> String {
    let output = toolcrib().args(["token"]).args(args).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn token_of(role: &str) -> String {
    let folder = Folder::new();
    folder.config(&team());
    token(&folder, &["--sub", "ann", "--role", role])
}

fn bearer(url: &str, token: &str) -> Http {
    Http::new(url).header("authorization", &format!("Bearer {token}"))
}

fn tools(reply: &Reply) -> Vec<String> {
    tool_names(&reply.json())
}

#[test]
fn each_caller_sees_and_calls_what_the_rules_say() {
    let server = Server::with(&team());
    let list = |http: Http| tools(&http.modern("tools/list", json!({})));
    assert_eq!(list(Http::new(&server.url)), ["calculator"]);
    assert_eq!(list(bearer(&server.url, &token_of("user"))), ["analyze_text", "calculator"]);
    assert!(list(bearer(&server.url, &token_of("admin"))).len() >= 7);

    let describe = json!({"name": "describe_database", "arguments": {}});
    let refused = bearer(&server.url, &token_of("user")).modern("tools/call", describe.clone()).json();
    let unknown = bearer(&server.url, &token_of("user")).modern("tools/call", json!({"name": "describe_databose", "arguments": {}})).json();
    assert_eq!(refused["error"]["code"], unknown["error"]["code"]);
    assert_eq!(refused["error"]["message"], "unknown tool: describe_database");
    let allowed = bearer(&server.url, &token_of("admin")).modern("tools/call", describe).json();
    assert!(allowed["result"]["structuredContent"].is_object(), "{allowed}");
}

#[test]
fn how_all_servers_are_is_told_only_to_those_to_whom_a_rule_gives_it_by_name() {
    const URI: &str = "status://server/upstreams";
    let mut config = team();
    config["access"]["rules"].as_array_mut().unwrap().push(json!({"roles": ["operator"], "allow": {"resources": [URI]}}));
    let server = Server::with(&config);
    let read = |role: &str| bearer(&server.url, &token_of(role)).modern("resources/read", json!({"uri": URI})).json();
    let listed = |role: &str| bearer(&server.url, &token_of(role)).modern("resources/list", json!({})).body.contains(URI);
    assert!(read("operator")["result"]["contents"][0]["text"].is_string() && listed("operator"));
    // A pattern gives what stands for itself, not what tells of everything.
    assert_eq!(read("admin")["error"]["code"], -32602, "{}", read("admin"));
    assert!(!listed("admin"));
}

#[test]
fn every_route_and_method_refuses_without_a_token() {
    let server = Server::with(&closed());
    let base = server.url.strip_suffix("/mcp").unwrap();
    let methods = [
        "tools/list",
        "tools/call",
        "resources/list",
        "resources/read",
        "resources/templates/list",
        "prompts/list",
        "prompts/get",
        "completion/complete",
        "server/discover",
        "subscriptions/listen",
    ];
    for method in methods {
        let reply = Http::new(&server.url).modern(method, json!({"name": "calculator", "uri": "x://y"}));
        assert_eq!((reply.status, &*reply.json()["error"].to_string()), (401, "\"authentication is required\""), "{method}");
    }
    for method in ["initialize", "ping", "tools/list", "logging/setLevel", "resources/subscribe"] {
        assert_eq!(Http::new(&server.url).post(legacy(1, method, json!({}))).status, 401, "{method}");
    }
    for (verb, path) in [("GET", "/mcp"), ("DELETE", "/mcp"), ("GET", "/api/v1/tools"), ("GET", "/openapi.json")] {
        assert_eq!(Http::new(&format!("{base}{path}")).send(verb.parse().unwrap(), None).status, 401, "{verb} {path}");
    }
    for tool in ["calculator", "analyze_text", "web_scraper", "api_client", "database_query", "describe_database", "weather_api", "none"] {
        assert_eq!(Http::new(&format!("{base}/api/v1/tools/{tool}")).post("{}").status, 401, "{tool}");
        let named = json!({ "name": tool }).to_string();
        assert_eq!(Http::new(&format!("{base}/api/v1/mcp/tool")).post(named).status, 401, "{tool}");
    }
    // A token without a role is somebody, for whom nothing is there.
    let nobody = token_of("nobody");
    assert!(tools(&bearer(&server.url, &nobody).modern("tools/list", json!({}))).is_empty());
    for tool in ["calculator", "analyze_text", "web_scraper", "api_client", "database_query", "describe_database", "weather_api", "none"] {
        let reply = bearer(&server.url, &nobody).modern("tools/call", json!({"name": tool, "arguments": {}})).json();
        assert_eq!(reply["error"]["message"], format!("unknown tool: {tool}"));
        assert_eq!(bearer(&format!("{base}/api/v1/tools/{tool}"), &nobody).post("{}").status, 404, "{tool}");
    }
    assert_eq!(Http::new(&format!("{base}/healthz")).send(reqwest::Method::GET, None).status, 200);
}

#[test]
fn an_invalid_token_is_never_taken_for_none() {
    let server = Server::with(&team());
    let good = token_of("user");
    let call = json!({"name": "calculator", "arguments": {"expression": "1"}});
    for wrong in [&*format!("{good}x"), "abc", "a.b.c", "tck_0000000000000000_00", &good[..good.len() - 3]] {
        let reply = bearer(&server.url, wrong).modern("tools/call", call.clone());
        assert_eq!((reply.status, &*reply.json()["error"].to_string()), (401, "\"Invalid authentication token\""), "{wrong}");
        assert!(reply.header("www-authenticate").contains("error=\"invalid_token\""));
    }
    for (name, value) in
        [("authorization", format!("DPoP {good}")), ("authorization", format!("Basic {good}")), ("authorization", good.clone())]
    {
        assert_eq!(Http::new(&server.url).header(name, &value).modern("tools/call", call.clone()).status, 401, "{value}");
    }
    let twice =
        Http::new(&server.url).header("authorization", &format!("Bearer {good}")).header("authorization", &format!("Bearer {good}"));
    assert_eq!(twice.modern("tools/call", call.clone()).status, 401);
    let in_url = format!("{}?access_token={good}", server.url);
    assert_eq!(Http::new(&in_url).modern("tools/call", call.clone()).status, 401);
    assert_eq!(Http::new(&server.url).header("cookie", &format!("access_token={good}")).modern("tools/list", json!({})).status, 200);
    assert_eq!(bearer(&server.url, &good).modern("tools/call", call).status, 200);
}

#[test]
fn a_session_belongs_to_whoever_opened_it() {
    let server = Server::with(&team());
    let (ann, admin) = (token_of("user"), token_of("admin"));
    let folder = Folder::new();
    folder.config(&team());
    let bob = token(&folder, &["--sub", "bob", "--role", "user"]);
    let hello =
        legacy(0, "initialize", json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}));
    let opened = bearer(&server.url, &ann).post(hello);
    assert_eq!(opened.status, 200, "{opened:?}");
    let session = opened.header("mcp-session-id").to_owned();
    let within = |token: &str| bearer(&server.url, token).header("mcp-session-id", &session).header("mcp-protocol-version", "2025-11-25");
    assert_eq!(within(&ann).post(legacy(1, "tools/list", json!({}))).status, 200);
    assert_eq!(within(&bob).post(legacy(2, "tools/list", json!({}))).status, 404, "somebody else's session is none");
    assert_eq!(Http::new(&server.url).header("mcp-session-id", &session).post(legacy(3, "tools/list", json!({}))).status, 404);
    // Who asks is found out with each request, so that roles are those of its token.
    let listed = tools(&within(&admin).post(legacy(4, "tools/list", json!({}))));
    assert!(listed.len() >= 7, "{listed:?}");
    assert_eq!(tools(&within(&ann).post(legacy(5, "tools/list", json!({})))), ["analyze_text", "calculator"]);
}

#[test]
fn keys_are_made_used_listed_and_revoked() {
    let server = Server::with(&team());
    let folder = server.folder();
    let run = |args: &[&str]| {
        let output = toolcrib().arg("key").args(args).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let key = run(&["create", "--sub", "ci", "--role", "user"]);
    assert!(key.starts_with("tck_") && key.len() == 4 + 16 + 1 + 64, "{key}");
    let list = || bearer(&server.url, &key).modern("tools/list", json!({}));
    // Another process made it; this one hears of it.
    let listed = wait_for("the key to be known", || Some(list()).filter(|reply| reply.status == 200));
    assert_eq!(tools(&listed), ["analyze_text", "calculator"]);
    let shown = run(&["list"]);
    assert!(shown.contains("ci  user  good") && !shown.contains(key.rsplit('_').next().unwrap()), "{shown}");
    run(&["revoke", &key[4..20]]);
    wait_for("the key to be refused", || Some(list()).filter(|reply| reply.status == 401));
    assert!(run(&["list"]).contains("revoked"));
}

#[test]
fn an_agent_on_stdio_is_whom_its_token_or_the_config_names() {
    let folder = Folder::new();
    folder.config(&closed());
    let ask = |environment: Option<&str>| {
        let mut command = toolcrib();
        command.args(["serve", "--stdio"]).current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(token) = environment {
            command.env("TOOLCRIB_TOKEN", token);
        }
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // Whoever is not let in may be gone before it has read.
        let _ = writeln!(input, "{}", modern(1, "tools/list", json!({})));
        drop(input);
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, out, err) = ask(None);
    assert!(code == Some(1) && out.is_empty() && err.contains("authentication is required: set TOOLCRIB_TOKEN"), "{out}{err}");
    let (code, out, err) = ask(Some("wrong"));
    assert!(code == Some(1) && out.is_empty() && err.contains("Invalid authentication token"), "{out}{err}");
    let user = token(&folder, &["--sub", "ann", "--role", "user"]);
    let (code, out, _) = ask(Some(&user));
    assert!(code == Some(0) && out.contains("\"analyze_text\"") && !out.contains("\"web_scraper\""), "{out}");
    let mut config = closed();
    config["auth"]["local"] = json!({"subject": "ann", "roles": ["admin"]});
    folder.config(&config);
    let (code, out, _) = ask(None);
    assert!(code == Some(0) && out.contains("\"web_scraper\""), "{out}");
    let (code, out, _) = ask(Some(&user));
    assert!(code == Some(0) && !out.contains("\"web_scraper\""), "the token goes before the config: {out}");
}

#[test]
fn a_client_is_told_where_to_get_a_token_and_which_scope_it_lacks() {
    let mut config = closed();
    config["auth"]["publicUrl"] = json!("https://tools.example/mcp");
    config["auth"]["oauth"] = json!({"authorizationServers": ["https://login.example"], "scopes": ["tools:read", "tools:write"]});
    config["access"]["rules"]
        .as_array_mut()
        .unwrap()
        .extend([json!({"roles": ["tools:read"], "allow": ["calculator"]}), json!({"roles": ["tools:write"], "allow": ["analyze_text"]})]);
    let server = Server::with(&config);
    let base = server.url.strip_suffix("/mcp").unwrap();
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let metadata = Http::new(&format!("{base}{path}")).send(reqwest::Method::GET, None);
        let expected = json!({"resource": "https://tools.example/mcp", "authorization_servers": ["https://login.example"],
            "scopes_supported": ["tools:read", "tools:write"], "bearer_methods_supported": ["header"]});
        assert_eq!((metadata.status, metadata.json()), (200, expected));
    }
    let metadata = "resource_metadata=\"https://tools.example/.well-known/oauth-protected-resource/mcp\"";
    let missing = Http::new(&server.url).modern("tools/list", json!({}));
    assert_eq!(missing.header("www-authenticate"), format!("Bearer scope=\"tools:read tools:write\", {metadata}"));
    let folder = Folder::new();
    folder.config(&config);
    let reader = token(&folder, &["--sub", "ann", "--claim", "scope=tools:read"]);
    assert_eq!(tools(&bearer(&server.url, &reader).modern("tools/list", json!({}))), ["calculator"]);
    let call = |tool: &str| bearer(&server.url, &reader).modern("tools/call", json!({"name": tool, "arguments": {"expression": "1"}}));
    let stepped = call("analyze_text");
    assert_eq!(stepped.status, 403, "{stepped:?}");
    assert_eq!(stepped.header("www-authenticate"), format!("Bearer error=\"insufficient_scope\", scope=\"tools:write\", {metadata}"));
    let by_rest = bearer(&format!("{base}/api/v1/tools/analyze_text"), &reader).post("{}");
    assert_eq!((by_rest.status, &*by_rest.json()["error_type"].to_string()), (403, "\"insufficient_scope\""));
    // What no scope would open is not told from what is not there.
    let hidden = call("web_scraper");
    assert_eq!((hidden.status, hidden.header("www-authenticate")), (200, ""));
    assert_eq!(hidden.json()["error"]["message"], "unknown tool: web_scraper");
}

#[test]
fn only_those_who_prove_who_they_are_are_served_to_other_machines() {
    let folder = Folder::new();
    folder.config(&json!({}));
    let refused = toolcrib().args(["serve", "--listen", "0.0.0.0:0"]).current_dir(folder.path()).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("say in \"auth\" who they are"), "{refused:?}");
    folder.config(&team());
    let mut command = toolcrib();
    command.args(["serve", "--listen", "0.0.0.0:0"]).current_dir(folder.path());
    let mut running = Running::start(command);
    running.wait_to_say("serves MCP at ");
}

#[test]
fn a_config_with_a_weak_secret_or_none_at_all_does_not_start() {
    let cases = [
        (json!({"jwt": {"secret": "short"}}), "the secret has 5 bytes"),
        (json!({"jwt": {"secret": "changemechangemechangemechangeme!"}}), "can be guessed"),
        (json!({"jwt": {"secret": ""}}), "the secret has 0 bytes"),
        (json!({"jwt": {"secret": "${NO_SUCH_VARIABLE}"}}), "NO_SUCH_VARIABLE is not set"),
        (json!({"jwt": {}}), "exactly one of"),
        (json!({}), "nobody could prove who they are"),
        (json!({"jwt": {"secret": SECRET, "algorithms": ["none"]}}), "unknown algorithm"),
        (json!({"jwt": {"secret": SECRET, "algorithms": ["RS256"]}}), "goes with HS256"),
        (
            json!({"jwt": {"jwks": "https://login.example/jwks", "algorithms": ["RS256"], "issuer": "x"}}),
            "name this server in \"audience\"",
        ),
        (json!({"jwt": {"jwks": "http://login.example/jwks", "algorithms": ["RS256"]}}), "https://"),
        (json!({"jwt": {"secret": SECRET}, "oauth": {"authorizationServers": ["https://x.example"]}}), "auth.publicUrl"),
    ];
    for (auth, expected) in cases {
        let folder = Folder::new();
        folder.config(&json!({ "auth": auth }));
        let output = toolcrib().args(["serve", "--listen", "127.0.0.1:0"]).current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(2) && said.contains(expected) && !said.contains("short\"") && !said.contains(SECRET),
            "{auth}: {said}"
        );
    }
}

#[test]
fn explanations_and_tests_tell_which_rule_decides() {
    let folder = Folder::new();
    let mut config = team();
    config["access"]["tests"] = json!([
        {"roles": ["user"], "tool": "calculator", "expect": "allow"},
        {"roles": ["user"], "tool": "web_scraper", "expect": "deny"},
        {"tool": "analyze_text", "expect": "deny"},
    ]);
    folder.config(&config);
    let run = |args: &[&str], code: i32| {
        let output = toolcrib().args(args).current_dir(folder.path()).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        said
    };
    assert!(run(&["check"], 0).contains("3 of 3 tests came out as expected"));
    let said = run(&["explain", "analyze_text", "--as", "user", "--json"], 0);
    let explained: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(explained["made"], true);
    assert!(explained["steps"][1]["reasons"].to_string().contains("allowed by mcp-config.yaml:1"), "{said}");
    let said = run(&["explain", "web_scraper", "--as", "user"], 1);
    assert!(said.contains("no rule allows it") && said.contains("would be answered: unknown tool: web_scraper"), "{said}");
    let said = run(&["explain", "calculator", "--as", "user", "--args", r#"{"expression": 1}"#], 1);
    assert!(said.contains("✗ validate") && said.contains("Invalid tool input"), "{said}");
    assert!(run(&["explain", "calculator", "--token", "abc"], 1).contains("this is no token"));
    assert!(
        run(&["explain", "calculator", "--token", &token(&folder, &["--sub", "ann", "--role", "admin"])], 0)
            .contains("jwt:ann with the roles admin")
    );
    assert!(run(&["call", "web_scraper", "url=http://x.example"], 1).contains("unknown tool"));
    assert!(run(&["call", "calculator", "expression=1", "--as", "user"], 0).contains("\"result\":1"));

    config["access"]["tests"] = json!([{"roles": ["user"], "tool": "web_scraper", "expect": "allow"}]);
    folder.config(&config);
    assert!(run(&["check"], 1).contains("expected allow for tool \"web_scraper\" with user: no rule allows it"));
    config["access"]["tests"] = json!([]);
    config["access"]["rules"] = json!([{"roles": ["*"], "allow": ["api_client"], "when": "args.methd == 'GET'"}]);
    folder.config(&config);
    assert!(run(&["check"], 1).contains("the tool has no argument \"methd\""));
}

#[test]
fn keys_of_an_issuer_are_fetched_and_not_asked_for_by_everybody() {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as B64};
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use toolcrib_testkit::{Served, Site};
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let pair = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(pair.as_ref()).unwrap();
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": B64.encode(pair.public_key())}]}).to_string();
    let site = runtime.block_on(Site::serve(move |_| Served::json(set.clone())));
    let mut config = closed();
    config["auth"]["jwt"] = json!([{"jwks": site.url("127.0.0.1", "/jwks.json"), "algorithms": ["EdDSA"], "issuer": "i", "audience": "a"}]);
    let server = Server::with(&config);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let token_of = |subject: &str, key: &str| {
        let claims = json!({"iss": "i", "aud": "a", "sub": subject, "exp": now + 600, "roles": ["user"]});
        let signed = format!("{}.{}", B64.encode(json!({"alg": "EdDSA", "kid": key}).to_string()), B64.encode(claims.to_string()));
        let signature = B64.encode(pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    };
    let token = |key: &str| token_of("ann", key);
    assert_eq!(tools(&bearer(&server.url, &token("one")).modern("tools/list", json!({}))), ["analyze_text", "calculator"]);
    for number in 0..60 {
        assert_eq!(bearer(&server.url, &token(&format!("unknown-{number}"))).modern("tools/list", json!({})).status, 401);
    }
    let asked = site.asked().len();
    assert!((1..=2).contains(&asked), "the keys were asked for {asked} times");
    let doctor = toolcrib().arg("doctor").current_dir(server.folder()).output().unwrap();
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("well  key set \"jwt\": 1 key(s)"), "{doctor:?}");
    // The issuer is gone; its keys are still known, for tokens that nobody has shown yet.
    drop(site);
    drop(runtime);
    assert_eq!(bearer(&server.url, &token_of("bob", "one")).modern("tools/list", json!({})).status, 200);
    let doctor = toolcrib().arg("doctor").current_dir(server.folder()).output().unwrap();
    assert_eq!(doctor.status.code(), Some(3), "{doctor:?}");
}

#[test]
fn each_caller_reaches_a_server_with_what_is_theirs() {
    use toolcrib_testkit::{Served, Site};
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let site = runtime.block_on(Site::serve(|_| Served::new(404, "no MCP here")));
    let mut child = scripted(&[]);
    child["sharing"] = json!("perCaller");
    child["env"] = json!({"GITHUB_TOKEN": "${secret:github}", "WHO": "${caller.subject} of ${caller.authority}", "FIXED": "the same"});
    let remote = json!({"url": site.url("127.0.0.1", "/mcp"), "sharing": "perCaller", "headers": {"X-User": "${caller.subject}"}});
    let mut config = team();
    config["mcpServers"] = json!({"s": child, "r": remote});
    config["access"]["rules"][1]["allow"] = json!(["s__variable"]);
    let server = Server::with(&config);
    let folder = server.folder();
    let run = |args: &[&str], input: &str| {
        let mut command = toolcrib();
        command.args(args).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    };
    for name in ["ann", "bob"] {
        assert_eq!(run(&["secret", "set", "github", "--sub", name], &format!("ghp_of-{name}\n")), (Some(0), String::new()));
    }
    let (_, listed) = run(&["secret", "list"], "");
    assert!(listed.contains("github  jwt:ann") && !listed.contains("ghp_"), "{listed}");
    let token = |name: &str| run(&["token", "--sub", name, "--role", "user"], "").1.trim().to_owned();
    let tokens = ["ann", "bob", "cid"].map(token);
    wait_for("the tool", || {
        tools(&bearer(&server.url, &tokens[0]).modern("tools/list", json!({}))).contains(&"s__variable".to_owned()).then_some(())
    });
    let env = |token: &str, variable: &str| {
        text_of(&bearer(&server.url, token).modern("tools/call", json!({"name": "s__variable", "arguments": {"text": variable}})).json())
    };
    assert_eq!(env(&tokens[0], "GITHUB_TOKEN"), Ok("ghp_of-ann".into()));
    assert_eq!(env(&tokens[1], "GITHUB_TOKEN"), Ok("ghp_of-bob".into()));
    assert_eq!(env(&tokens[0], "WHO"), Ok("ann of jwt".into()));
    assert_eq!(env(&tokens[1], "FIXED"), Ok("the same".into()));
    let missing = env(&tokens[2], "GITHUB_TOKEN").unwrap_err();
    assert!(missing.contains("there is no secret \"github\" of yours"), "{missing}");
    // What a caller shows to us goes to nobody else, and what is a caller's not to the connection that lists.
    wait_for("the remote to be asked", || (!site.asked().is_empty()).then_some(()));
    for asked in site.asked() {
        assert_eq!((asked.header("authorization"), asked.header("x-user")), (None, None), "{asked:?}");
    }
    let (code, said) = run(&["secret", "remove", "github", "--sub", "cid"], "");
    assert!(code == Some(1) && said.contains("no secret \"github\" of cid"), "{said}");

    let wrong = Folder::new();
    for (server, expected) in [
        (json!({"command": "x", "env": {"A": "${secret:a}"}}), "sharing: perCaller"),
        (json!({"command": "x", "sharing": "perCaller", "env": {"A": "${caller.name}"}}), "is not known of a caller"),
        (json!({"command": "x", "sharing": "perCaller", "args": ["${caller.sub}"]}), "it has its place in env and headers"),
    ] {
        wrong.config(&json!({"mcpServers": {"s": server}}));
        let output = toolcrib().arg("check").current_dir(wrong.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.code() == Some(1) && said.contains(expected), "{server}: {said}");
    }
}

#[test]
fn a_key_that_is_revoked_ends_what_was_opened_with_it() {
    let folder = Folder::new();
    folder.config(&team());
    let run = |args: &[&str]| {
        let output = toolcrib().args(args).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let key = run(&["key", "create", "--sub", "agent", "--role", "user"]);
    let mut command = toolcrib();
    command.args(["serve", "--stdio"]).current_dir(folder.path()).env("TOOLCRIB_TOKEN", &key);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
    let mut call = || -> Value {
        writeln!(input, "{}", modern(1, "tools/call", json!({"name": "calculator", "arguments": {"expression": "1"}}))).unwrap();
        serde_json::from_str(&output.next().unwrap().unwrap()).unwrap()
    };
    assert_eq!(call()["result"]["structuredContent"]["result"], 1);
    // The whole key may be given, or its id.
    run(&["key", "revoke", &key]);
    let refused = wait_for("the key to be refused", || Some(call()).filter(|answer| answer.get("error").is_some()));
    assert_eq!(refused["error"]["message"], "Invalid authentication token");
    drop(input);
    child.wait().unwrap();
}

#[test]
fn a_call_that_waits_is_gone_on_with_only_by_whoever_may_still_make_it() {
    let mut config = team();
    config["mcpServers"] = json!({"s": scripted(&[])});
    config["access"]["rules"][1]["allow"] = json!(["s__*"]);
    let server = Server::with(&config);
    let folder = server.folder().to_owned();
    let token = |role: &str| {
        let output = toolcrib().args(["token", "--sub", "ann", "--role", role]).current_dir(&folder).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (user, nobody) = (token("user"), token("nobody"));
    let asking = json!({"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}});
    wait_for("the tool", || {
        tools(&bearer(&server.url, &user).modern("tools/list", json!({}))).contains(&"s__ask".to_owned()).then_some(())
    });
    let round = |token: &str, more: Value| {
        let mut params = json!({"name": "s__ask", "arguments": {"text": "x"}, "_meta": asking});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bearer(&server.url, token).modern("tools/call", params).json()
    };
    let first = round(&user, json!({}));
    let state = first["result"]["requestState"].as_str().unwrap_or_else(|| panic!("{first}"));
    let question = first["result"]["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    let answers = json!({"requestState": state, "inputResponses": {question: {"action": "accept", "content": {"name": "ann"}}}});
    let refused = round(&nobody, answers);
    assert_eq!(refused["error"]["message"], "unknown tool: s__ask", "{refused}");
}
