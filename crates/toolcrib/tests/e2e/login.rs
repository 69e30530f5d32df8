//! Signing in at servers that want to know on whose behalf we work: by a person in a browser, for all or each for themselves; and
//! staying signed in, whatever the token endpoint does.

use crate::support::{Folder, Http, Server, client, text_of, tool_names, toolcrib, wait_for};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    process::{Output, Stdio},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::runtime::Runtime;
use toolcrib_testkit::{Asked, Served, Site};

/// Not a secret: every run of the tests has it.
const SECRET: &str = "u8Zq3vKx-for-tests-only-7Rb2nMw5Lp9s";

/// What we are registered as.
const CLIENT: &str = "toolcrib-of-test";

/// A server with its authorization server, which lets in whoever agrees: each login is of another person.
struct Provider {
    site: Site,
    state: Arc<Mutex<State>>,
    runtime: Runtime,
}

#[derive(Default)]
struct State {
    mood: Mood,
    /// Whether only calls need a token.
    lists_for_everybody: bool,
    /// How long tokens live, in seconds.
    lifetime: u64,
    people: usize,
    codes: HashMap<String, Code>,
    /// Who has a token, and who can renew it.
    tokens: HashMap<String, String>,
    refresh_tokens: HashMap<String, String>,
    /// All that was ever given out.
    secrets: Vec<String>,
    /// How often the token endpoint was asked for the next token, and how often it said no.
    renewals: usize,
    refusals: usize,
}

/// A code that was given to a browser, and what it was asked for with.
struct Code {
    person: String,
    query: HashMap<String, String>,
}

/// How the token endpoint feels.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Mood {
    #[default]
    Well,
    Failing,
    /// A proxy in front shows a page.
    Html,
    Slow,
}

impl Provider {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let state = Arc::new(Mutex::new(State { lifetime: 3600, ..State::default() }));
        let shared = Arc::clone(&state);
        let site = runtime.block_on(Site::serve(move |asked| shared.lock().unwrap().answer(asked)));
        Self { site, state, runtime }
    }

    fn url(&self) -> String {
        self.site.url("127.0.0.1", "/mcp")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What was sent to the server itself as proof, request by request.
    fn proofs(&self) -> Vec<Option<String>> {
        let to_server = self.site.asked().into_iter().filter(|asked| asked.path == "/mcp" && asked.method == "POST");
        to_server.map(|asked| asked.header("authorization").map(ToOwned::to_owned)).collect()
    }

    /// Opens an address as a browser would whose person agrees, and gives the page at the end.
    fn agree(&self, address: &str) -> String {
        self.runtime.block_on(async { client().get(address).send().await.unwrap().text().await.unwrap() })
    }
}

impl State {
    fn answer(&mut self, asked: &Asked) -> Served {
        let host = asked.header("host").unwrap();
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        match path {
            "/mcp" if asked.method == "POST" => self.serve(asked, host),
            "/mcp" => Served::new(405, ""),
            "/.well-known/oauth-protected-resource/mcp" => Served::json(
                json!({"resource": format!("http://{host}/mcp"), "authorization_servers": [format!("http://{host}")]}).to_string(),
            ),
            "/.well-known/oauth-authorization-server" => Served::json(
                json!({
                    "issuer": format!("http://{host}"),
                    "authorization_endpoint": format!("http://{host}/authorize"),
                    "token_endpoint": format!("http://{host}/token"),
                    "registration_endpoint": format!("http://{host}/register"),
                    "response_types_supported": ["code"],
                    "code_challenge_methods_supported": ["S256"],
                    "token_endpoint_auth_methods_supported": ["none"],
                })
                .to_string(),
            ),
            "/register" => Served::json(json!({ "client_id": CLIENT }).to_string()),
            "/authorize" => {
                let query = pairs(query);
                self.people += 1;
                let code = self.secret("code");
                let back = format!("{}?code={code}&state={}", query["redirect_uri"], query["state"]);
                let is_complete =
                    query["response_type"] == "code" && query["code_challenge_method"] == "S256" && query["client_id"] == CLIENT;
                assert!(is_complete && query["resource"] == format!("http://{host}/mcp"), "{query:?}");
                self.codes.insert(code.clone(), Code { person: format!("person-{}", self.people), query });
                Served::redirect(302, &back)
            }
            "/token" => self.give(&pairs(&asked.body)),
            _ => Served::new(404, ""),
        }
    }

    fn serve(&self, asked: &Asked, host: &str) -> Served {
        let token = asked.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let nobody = String::new();
        let is_listing = self.lists_for_everybody && !asked.body.contains("tools/call");
        let Some(person) = token.and_then(|token| self.tokens.get(token)).or(is_listing.then_some(&nobody)) else {
            let place = format!("http://{host}/.well-known/oauth-protected-resource/mcp");
            return Served::new(401, "").header("www-authenticate", &format!("Bearer resource_metadata=\"{place}\""));
        };
        let message: Value = serde_json::from_str(&asked.body).unwrap();
        let Some(id) = message.get("id") else { return Served::new(202, "") };
        let result = match message["method"].as_str().unwrap() {
            "initialize" => {
                json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "secured", "version": "1"}})
            }
            "tools/list" => json!({"tools": [{"name": "whoami", "inputSchema": {"type": "object"}}]}),
            "tools/call" => json!({"content": [{"type": "text", "text": person}]}),
            _ => {
                let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "Method not found"}});
                return Served::json(error.to_string());
            }
        };
        Served::json(json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string())
    }

    fn give(&mut self, form: &HashMap<String, String>) -> Served {
        let is_renewal = form["grant_type"] == "refresh_token";
        self.renewals += usize::from(is_renewal);
        match self.mood {
            Mood::Failing => return Served::new(503, "come back later"),
            Mood::Html => return Served::html("<h1>Maintenance</h1>"),
            Mood::Well | Mood::Slow => {}
        }
        // Each code and each refresh token is good once.
        let person = if is_renewal {
            self.refresh_tokens.remove(&form["refresh_token"])
        } else {
            self.codes.remove(&form["code"]).filter(|code| code.is_for(form)).map(|code| code.person)
        };
        let Some(person) = person.filter(|_| form["client_id"] == CLIENT && form["resource"].ends_with("/mcp")) else {
            self.refusals += 1;
            let error = json!({"error": "invalid_grant", "error_description": "withdrawn by its owner"});
            return Served::new(400, error.to_string()).header("content-type", "application/json");
        };
        let (token, refresh_token) = (self.secret("access"), self.secret("refresh"));
        self.tokens.retain(|_, owner| *owner != person);
        self.tokens.insert(token.clone(), person.clone());
        self.refresh_tokens.insert(refresh_token.clone(), person);
        let given = json!({"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime, "refresh_token": refresh_token});
        let served = Served::json(given.to_string());
        if self.mood == Mood::Slow { served.after(Duration::from_millis(1500)) } else { served }
    }

    fn secret(&mut self, kind: &str) -> String {
        let secret = format!("{kind}-s3cret-{}", self.secrets.len());
        self.secrets.push(secret.clone());
        secret
    }
}

impl Code {
    /// Whether whoever brings it is who asked for it (RFC 7636, section 4.6).
    fn is_for(&self, form: &HashMap<String, String>) -> bool {
        let digest = ring::digest::digest(&ring::digest::SHA256, form["code_verifier"].as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(digest) == self.query["code_challenge"] && form["redirect_uri"] == self.query["redirect_uri"]
    }
}

fn pairs(text: &str) -> HashMap<String, String> {
    let url = reqwest::Url::parse(&format!("http://x/?{text}")).unwrap();
    url.query_pairs().into_owned().collect()
}

/// The address in a text.
fn address_in(text: &str) -> &str {
    text.split_whitespace().find(|word| word.starts_with("http")).unwrap_or_else(|| panic!("no address: {text}"))
}

/// Signs in on the command line, in the folder of a config.
fn login(provider: &Provider, folder: &std::path::Path) -> Output {
    let mut command = toolcrib();
    command.args(["login", "secured"]).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().map(Result::unwrap).unwrap_or_default();
    if first.starts_with("http") {
        provider.agree(&first);
    }
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let mut output = child.wait_with_output().unwrap();
    output.stdout = format!("{first}\n{}", rest.join("\n")).into_bytes();
    output
}

fn run(folder: &std::path::Path, args: &[&str]) -> (Option<i32>, String) {
    let output = toolcrib().args(args).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

fn whoami(server: &Server) -> Result<String, String> {
    server.call("secured__whoami", json!({}))
}

#[test]
fn a_tool_begins_the_login_and_the_tools_come_when_it_is_done() {
    let provider = Provider::new();
    let server = Server::start(&json!({"secured": {"url": provider.url()}}));
    server.wait_for_tool("secured__login");
    assert!(!server.tools().contains(&"secured__whoami".to_owned()));
    let (_, listed) = run(server.folder(), &["list", "servers"]);
    assert!(listed.contains("secured  login needed  it wants somebody to sign in at http://127.0.0.1"), "{listed}");
    assert!(listed.contains("`toolcrib login secured`"), "{listed}");

    let said = server.call("secured__login", json!({})).unwrap();
    let page = provider.agree(address_in(&said));
    assert!(page.contains("You are signed in at secured"), "{page}");
    server.wait_for_tool("secured__whoami");
    wait_for("the login to be over", || (!server.tools().contains(&"secured__login".to_owned())).then_some(()));
    assert_eq!(whoami(&server), Ok("person-1".into()));
    // The same answer again is no login.
    let again = provider.agree(address_in(&said));
    assert!(again.contains("Not signed in") && again.contains("this login is not known"), "{again}");
}

#[test]
fn somebody_signs_in_on_the_command_line_for_a_server_that_runs_and_for_the_next() {
    let provider = Provider::new();
    let server = Server::start(&json!({"secured": {"url": provider.url()}}));
    server.wait_for_tool("secured__login");
    let folder = server.folder();
    let output = login(&provider, folder);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("signed in at \"secured\""), "{output:?}");
    server.wait_for_tool("secured__whoami");
    assert_eq!(whoami(&server), Ok("person-1".into()));
    assert_eq!(run(folder, &["call", "secured__whoami"]), (Some(0), "person-1\n".into()));
    let (code, said) = run(folder, &["login", "secured"]);
    assert!(code == Some(0) && said.contains("signed in at \"secured\" already"), "{said}");

    // What is kept tells nobody anything.
    let kept = std::fs::read_dir(folder.join("data")).unwrap().flat_map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let kept = String::from_utf8_lossy(&kept.collect::<Vec<u8>>()).into_owned() + &server.process.said();
    for secret in &provider.state().secrets {
        assert!(!kept.contains(secret.as_str()), "{secret} lies about");
    }
    // A server of another URL does not get the token, whatever it is called.
    let other = Provider::new();
    let elsewhere = Folder::new();
    elsewhere.config(&json!({"mcpServers": {"secured": {"url": other.url()}}, "dataFolder": folder.join("data")}));
    let (_, listed) = run(elsewhere.path(), &["list", "servers"]);
    assert!(listed.contains("login needed"), "{listed}");
    assert!(other.proofs().iter().all(Option::is_none), "{:?}", other.proofs());

    let (code, said) = run(folder, &["logout", "secured"]);
    assert!(code == Some(0) && said.contains("is forgotten here"), "{said}");
    assert_eq!(run(folder, &["logout", "secured"]).0, Some(1));
    assert!(run(folder, &["list", "servers"]).1.contains("login needed"));
}

#[test]
fn a_token_endpoint_that_fails_ends_no_sign_in() {
    let provider = Provider::new();
    provider.state().lifetime = 4;
    let server = Server::start(&json!({"secured": {"url": provider.url()}}));
    server.wait_for_tool("secured__login");
    assert!(login(&provider, server.folder()).status.success());
    server.wait_for_tool("secured__whoami");

    // It is renewed before it ends.
    let before = provider.state().renewals;
    wait_for("a renewal", || {
        assert_eq!(whoami(&server), Ok("person-1".into()));
        (provider.state().renewals > before).then_some(())
    });
    for mood in [Mood::Failing, Mood::Html] {
        provider.state().mood = mood;
        // The token is good for a while, then nobody can say who we are; that is no reason to ask a person.
        let (renewals, mut good) = (provider.state().renewals, 0);
        let said = wait_for("the token to end", || {
            let said = whoami(&server);
            assert_eq!(provider.state().refresh_tokens.len(), 1);
            good += usize::from(said.is_ok() && provider.state().renewals > renewals);
            said.err()
        });
        assert!(good > 0, "what is good serves on while the next token cannot be had");
        assert!(said.contains("its token cannot be renewed just now, which is tried again"), "{said}");
        assert!(!said.contains("sign in"), "{said}");
        provider.state().mood = Mood::Well;
        wait_for("it to recover", || whoami(&server).ok());
    }
    // Whoever waits for the next token and leaves does not take it along: it was good once.
    provider.state().mood = Mood::Slow;
    let renewals = provider.state().renewals;
    wait_for("somebody to wait for a renewal", || {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "secured__whoami", "arguments": {},
            "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"}}}});
        provider.runtime.block_on(async {
            let request = client().post(&server.url).header("content-type", "application/json");
            let request = request.header("accept", "application/json, text/event-stream").header("mcp-protocol-version", "2026-07-28");
            let request = request.header("mcp-method", "tools/call").header("mcp-name", "secured__whoami").body(call.to_string());
            let _ = request.timeout(Duration::from_millis(300)).send().await;
        });
        (provider.state().renewals > renewals).then_some(())
    });
    provider.state().mood = Mood::Well;
    wait_for("the renewal that nobody waited for", || whoami(&server).ok());

    // The authorization server's own no ends it.
    provider.state().refresh_tokens.clear();
    provider.state().tokens.clear();
    let said = wait_for("the sign-in to end", || whoami(&server).err().filter(|said| said.contains("sign")));
    assert!(
        said.contains("the sign-in is no longer good: the authorization server refuses: invalid_grant (withdrawn by its owner)"),
        "{said}"
    );
    assert!(said.contains("call the tool \"secured__login\""), "{said}");
    server.wait_for_tool("secured__login");
}

#[test]
fn processes_that_share_a_sign_in_renew_it_once_and_leave_nothing_half_done() {
    let provider = Provider::new();
    provider.state().lifetime = 2;
    let config = json!({"mcpServers": {"secured": {"url": provider.url()}}});
    let server = Server::with(&config);
    server.wait_for_tool("secured__login");
    assert!(login(&provider, server.folder()).status.success());
    let mut shared = config.clone();
    shared["dataFolder"] = json!(server.folder().join("data"));
    let other = Server::with(&shared);
    [&server, &other].iter().for_each(|server| server.wait_for_tool("secured__whoami"));
    let enough = provider.state().renewals + 4;
    wait_for("some renewals", || {
        assert_eq!(whoami(&server), Ok("person-1".into()));
        assert_eq!(whoami(&other), Ok("person-1".into()));
        (provider.state().renewals >= enough).then_some(())
    });
    drop((other, server.process));
    // A command that has nothing to do with the server ends before the renewal does that its start began.
    let renewals = provider.state().renewals;
    provider.state().mood = Mood::Slow;
    let folder = Folder::new();
    folder.config(&shared);
    wait_for("a command to begin a renewal", || {
        assert_eq!(run(folder.path(), &["call", "calculator", "expression=1"]).0, Some(0));
        (provider.state().renewals > renewals).then_some(())
    });
    provider.state().mood = Mood::Well;
    assert_eq!(run(folder.path(), &["call", "secured__whoami"]), (Some(0), "person-1\n".into()));
    assert_eq!(provider.state().refusals, 0);
}

#[test]
fn a_server_that_asks_only_when_it_is_called_can_be_signed_in_at() {
    let provider = Provider::new();
    provider.state().lists_for_everybody = true;
    let server = Server::start(&json!({"secured": {"url": provider.url()}}));
    server.wait_for_tool("secured__whoami");
    let said = whoami(&server).unwrap_err();
    assert!(said.contains("it wants somebody to sign in") && said.contains("call the tool \"secured__login\""), "{said}");
    server.wait_for_tool("secured__login");
    assert!(server.tools().contains(&"secured__whoami".to_owned()), "what can be seen stays so");
    let page = provider.agree(address_in(&server.call("secured__login", json!({})).unwrap()));
    assert!(page.contains("You are signed in"), "{page}");
    assert_eq!(whoami(&server), Ok("person-1".into()));
    wait_for("the login to be over", || (!server.tools().contains(&"secured__login".to_owned())).then_some(()));
    assert!(run(server.folder(), &["logout", "secured"]).0 == Some(0));
    wait_for("the running server to know", || whoami(&server).err());
    let output = login(&provider, server.folder());
    assert!(output.status.success(), "{output:?}");
    wait_for("the running server to know that, too", || whoami(&server).ok());
}

#[test]
fn each_caller_signs_in_for_itself_and_nobody_for_another() {
    let provider = Provider::new();
    let config = json!({
        "mcpServers": {"secured": {"url": provider.url(), "sharing": "perCaller"}},
        "auth": {"jwt": {"secret": SECRET}},
        "access": {"rules": [{"roles": ["user"], "allow": ["secured__*"]}]},
    });
    let server = Server::with(&config);
    let token = |name: &str| run(server.folder(), &["token", "--sub", name, "--role", "user"]).1.trim().to_owned();
    let (ann, bob) = (token("ann"), token("bob"));
    let modern = |token: &str, method: &str, params: Value| {
        Http::new(&server.url).header("authorization", &format!("Bearer {token}")).modern(method, params).json()
    };
    let call =
        |token: &str, tool: &str, arguments: Value| text_of(&modern(token, "tools/call", json!({"name": tool, "arguments": arguments})));
    let tools = |token: &str| tool_names(&modern(token, "tools/list", json!({})));
    // What the tools are is listed once, by whoever runs us.
    wait_for("the login tool", || tools(&ann).contains(&"secured__login".to_owned()).then_some(()));
    assert!(login(&provider, server.folder()).status.success());
    wait_for("the tools", || tools(&ann).contains(&"secured__whoami".to_owned()).then_some(()));
    let said = call(&ann, "secured__whoami", json!({})).unwrap_err();
    assert!(said.contains("it wants somebody to sign in") && said.contains("call the tool \"secured__login\""), "{said}");

    let agreed = |token: &str| {
        let page = provider.agree(address_in(&call(token, "secured__login", json!({})).unwrap()));
        page.split("to complete the sign-in: ")
            .nth(1)
            .and_then(|rest| rest.split('.').next())
            .unwrap_or_else(|| panic!("{page}"))
            .to_owned()
    };
    let code = agreed(&ann);
    // Who has only followed the address has signed nobody in.
    assert!(call(&ann, "secured__whoami", json!({})).is_err());
    assert!(call(&bob, "secured__login", json!({"code": code})).unwrap_err().contains("not known"));
    let wrong = call(&ann, "secured__login", json!({"code": "AAAAA-AAAAA"})).unwrap_err();
    assert!(wrong.contains("not the code"), "{wrong}");
    assert!(call(&ann, "secured__login", json!({"code": code})).unwrap_err().contains("not known"), "there is one try");
    let code = agreed(&ann);
    assert!(call(&ann, "secured__login", json!({"code": code.to_lowercase()})).unwrap().contains("Signed in"));
    assert_eq!(call(&ann, "secured__whoami", json!({})), Ok("person-3".into()));
    assert!(call(&bob, "secured__whoami", json!({})).is_err());
    let code = agreed(&bob);
    call(&bob, "secured__login", json!({"code": code})).unwrap();
    assert_eq!(call(&bob, "secured__whoami", json!({})), Ok("person-4".into()));
    assert_eq!(call(&ann, "secured__whoami", json!({})), Ok("person-3".into()));
    // What callers prove to us is never shown to another.
    let shown: Vec<String> = provider.proofs().into_iter().flatten().collect();
    assert!(shown.iter().all(|proof| proof.starts_with("Bearer access-s3cret-")), "{shown:?}");
}

#[test]
fn the_callers_own_token_is_passed_on_only_where_the_config_says_so() {
    let provider = Provider::new();
    let passed_on = json!({"url": provider.url(), "sharing": "perCaller", "headers": {"Authorization": "Bearer ${caller.token}"}});
    let config = json!({
        "mcpServers": {"secured": passed_on},
        "auth": {"jwt": {"secret": SECRET}, "apiKeys": true},
        "access": {"rules": [{"roles": ["user"], "allow": ["secured__*"]}]},
    });
    let server = Server::with(&config);
    let mint =
        |name: &str, life: &str| run(server.folder(), &["token", "--sub", name, "--role", "user", "--ttl", life]).1.trim().to_owned();
    let (ann, next, bob) = (mint("ann", "1h"), mint("ann", "2h"), mint("bob", "1h"));
    let modern = |token: &str, method: &str, params: Value| {
        Http::new(&server.url).header("authorization", &format!("Bearer {token}")).modern(method, params).json()
    };
    let whoami = |token: &str| text_of(&modern(token, "tools/call", json!({"name": "secured__whoami", "arguments": {}})));
    // The tools are listed for whoever runs us, who signs in.
    assert!(login(&provider, server.folder()).status.success());
    wait_for("the tools", || tool_names(&modern(&ann, "tools/list", json!({}))).contains(&"secured__whoami".to_owned()).then_some(()));
    let known = [(ann.clone(), "ann herself"), (next.clone(), "ann later")];
    provider.state().tokens.extend(known.map(|(token, name)| (token, name.to_owned())));
    assert_eq!(whoami(&ann), Ok("ann herself".into()));
    assert_eq!(whoami(&next), Ok("ann later".into()), "each token has a connection of its own");
    assert!(whoami(&bob).unwrap_err().contains("401"), "the server does not know bob, and gets nobody else's token");
    let key = run(server.folder(), &["key", "create", "--sub", "agent", "--role", "user"]).1;
    let key = key.lines().next().unwrap();
    wait_for("the key to be known", || modern(key, "tools/list", json!({})).get("result").map(drop));
    assert!(whoami(key).unwrap_err().contains("you have shown none"));
    assert!(!provider.proofs().iter().flatten().any(|proof| proof.contains(key)));
}

#[test]
fn a_login_that_cannot_work_says_why() {
    let folder = Folder::new();
    let provider = Provider::new();
    folder.config(&json!({"mcpServers": {
        "child": {"command": "true"},
        "fixed": {"url": provider.url(), "headers": {"Authorization": "Bearer x"}},
        "off": {"url": provider.url(), "oauth": false},
        "gone": {"url": "http://127.0.0.1:9/mcp"},
        "secured": {"url": provider.url()},
    }}));
    for (args, code, expected) in [
        (&["login", "nobody"][..], 2, "the config names no server \"nobody\"; it names child, fixed, off, gone, secured"),
        (&["login", "child"], 2, "nobody signs in at \"child\""),
        (&["login", "fixed"], 2, "nobody signs in at \"fixed\""),
        (&["login", "off"], 2, "nobody signs in at \"off\""),
        (&["login", "gone"], 3, "the server \"gone\" is not available"),
        (&["login", "secured", "--sub", "ann", "--authority", "local"], 2, "all callers share this server"),
        (&["logout", "secured"], 1, "nobody is signed in at \"secured\""),
    ] {
        let (found, said) = run(folder.path(), args);
        assert!(found == Some(code) && said.contains(expected), "{args:?}: {found:?} {said}");
    }
    for (oauth, expected) in [
        (json!({"clientSecret": "x"}), "give both"),
        (json!({"clientId": "x", "clientSecret": "y"}), "name it as \"issuer\""),
        (json!({"issuer": "http://login.example"}), "expected the https URL"),
        (json!({"grant": "clientCredentials"}), "give clientId and clientSecret"),
        (json!({"grant": "password"}), "authorizationCode"),
        (json!({"clientMetadataUrl": "http://x/y"}), "expected the https URL"),
        (json!({"callbackPort": 0}), "from 1 to 65535"),
        (json!({"scopes": ["a b"]}), "a scope is one word"),
        (json!({"client": "x"}), "clientId"),
    ] {
        folder.config(&json!({"mcpServers": {"s": {"url": provider.url(), "oauth": oauth}}}));
        let (code, said) = run(folder.path(), &["check"]);
        assert!(code == Some(1) && said.contains(expected), "{oauth}: {said}");
    }
    folder.config(&json!({"mcpServers": {"s": {"url": "http://tickets.example/mcp", "oauth": true}}}));
    let (code, said) = run(folder.path(), &["check"]);
    assert!(code == Some(1) && said.contains("needs an https URL"), "{said}");
}
