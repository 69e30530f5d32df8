//! Several processes that are one server, behind a proxy that knows nothing of sessions: what lasts is on PostgreSQL, what is shared
//! quickly in Valkey, and whichever answers is as good as the others.

use crate::{
    questions::{Person, answering, can_elicit, modern_call, named},
    support::{
        Folder, Http, Running, Server, free_port, free_ports, legacy, peers, processes_of, repository, scripted, text_of, toolcrib,
        wait_for,
    },
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};
use toolcrib_testkit::servers::{Postgres, Valkey};

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
    let of = |line: &str| serde_json::from_str::<Value>(line).unwrap()["replica"].as_str().map(str::to_owned);
    assert_eq!(records.lines().map(of).collect::<Vec<_>>(), [Some("one".to_owned()), Some("two".to_owned())], "{records}");
    let verdict: Value = serde_json::from_str(&run(&one, &["audit", "verify", "--json"])).unwrap();
    assert_eq!((&verdict["ok"], verdict["heads"].as_array().unwrap().len()), (&json!(true), 2), "{verdict}");

    let done = toolcrib().args(["doctor", "--listen", "127.0.0.1:0"]).current_dir(one.folder()).output().unwrap();
    let told = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success() && told.contains("well  storage \"postgres://127.0.0.1:"), "{told}");
    // While it is away nothing is let pass, and it is said why; then it goes on by itself.
    postgres.kill();
    let refused =
        || result(&calculate(&one, key, "1+1")).filter(|text| text.contains("calls are refused while the audit log cannot be written"));
    wait_for("a refusal", refused);
    let done = toolcrib().args(["doctor", "--listen", "127.0.0.1:0"]).current_dir(one.folder()).output().unwrap();
    let told = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.code() == Some(3) && told.contains("ILL   storage") && told.contains("cannot be reached"), "{told}");
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
        let folder = Folder::new();
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
    // A secret that is not at hand is not to be made anew.
    let (_, told) = check(json!({"database": "postgres://u@h/d", "key": "${NOT_SET_ANYWHERE}"}));
    assert!(told.contains("the variable NOT_SET_ANYWHERE is not set") && !told.contains("openssl"), "{told}");
}

/// Three replicas and what they share, behind HAProxy, which sends each request to the next.
struct Together {
    postgres: Postgres,
    valkey: Valkey,
    replicas: Vec<Option<Running>>,
    ports: Vec<u16>,
    config: Value,
    folder: Folder,
    _proxy: Running,
    url: String,
}

impl Together {
    /// Replicas with this in their config, too.
    fn with(more: &Value) -> Self {
        Self::behind("", more)
    }

    fn behind(on_loss: &str, more: &Value) -> Self {
        let (postgres, valkey, folder) = (Postgres::start(), Valkey::start(), Folder::new());
        let mut config = json!({"storage": {
            "database": format!("{}?sslmode=disable", postgres.url("postgres", "postgres")), "key": KEY, "shared": valkey.url(),
        }});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let port = free_port();
        let mut proxy = Command::new("haproxy");
        let proxy_config = folder.path().join("haproxy.cfg");
        fs::write(&proxy_config, haproxy(port, &ports, on_loss)).unwrap();
        proxy.arg("-f").arg(proxy_config).stdout(Stdio::null());
        let url = format!("http://127.0.0.1:{port}/mcp");
        let mut together =
            Self { postgres, valkey, replicas: vec![None, None, None], ports, config, folder, _proxy: Running::start(proxy), url };
        (0..3).for_each(|number| together.start(number));
        together.wait_for_all();
        together
    }

    fn start(&mut self, number: usize) {
        let folder = self.folder.path().join(format!("replica-{number}"));
        fs::create_dir_all(&folder).unwrap();
        let mut config = self.config.clone();
        config["storage"]["replica"] = json!(format!("replica-{number}"));
        fs::write(folder.join("mcp-config.yaml"), config.to_string()).unwrap();
        let mut serve = toolcrib();
        serve.args(["serve", "--listen", &format!("127.0.0.1:{}", self.ports[number])]).current_dir(&folder);
        self.replicas[number] = Some(Running::start(serve));
        self.replicas[number].as_mut().unwrap().wait_to_say("serves MCP at ");
    }

    /// Waits until every replica knows all others, and the proxy sends requests to all.
    fn wait_for_all(&self) {
        wait_for("all replicas", || {
            let there: Vec<Value> = self.ports.iter().filter_map(|port| stats_of(&format!("http://127.0.0.1:{port}/mcp"))).collect();
            (there.len() == 3 && there.iter().all(|stats| stats["replica"]["present"] == 3)).then_some(())
        });
        wait_for("the proxy", || {
            let seen: BTreeSet<String> =
                (0..6).filter_map(|_| stats_of(&self.url)?["replica"]["name"].as_str().map(str::to_owned)).collect();
            (seen.len() == 3).then_some(())
        });
    }

    fn kill(&mut self, number: usize) {
        let mut replica = self.replicas[number].take().unwrap();
        replica.signal("-KILL");
        replica.wait();
    }

    fn run(&self, args: &[&str]) -> String {
        let done = toolcrib().args(args).current_dir(self.folder.path().join("replica-0")).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }
}

/// What a replica tells of itself.
fn stats_of(url: &str) -> Option<Value> {
    let http = Http::new(url).header("connection", "close");
    let read = http.try_modern("resources/read", json!({"uri": "metrics://server/stats"}))?;
    serde_json::from_str(read["result"]["contents"][0]["text"].as_str()?).ok()
}

/// `on_loss` says what becomes of what waits for a replica that does not pass its checks.
fn haproxy(port: u16, ports: &[u16], on_loss: &str) -> String {
    let servers: String = ports.iter().enumerate().map(|(number, port)| format!("  server r{number} 127.0.0.1:{port}\n")).collect();
    format!(
        "global\n  maxconn 2000\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 1h\n  timeout server 1h\n  timeout check 500ms\n  \
         option redispatch\n  retries 3\n  retry-on conn-failure\nfrontend all\n  bind 127.0.0.1:{port}\n  default_backend replicas\n\
         backend replicas\n  balance roundrobin\n  option httpchk\n  http-check send meth GET uri /readyz hdr Host localhost\n  \
         default-server check inter 100 fall 2 rise 1 {on_loss}\n{servers}"
    )
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn every_replica_serves_every_client() {
    let together = Together::with(&json!({"mcpServers": {"s": scripted(&[])}}));
    let url = &together.url;
    // A session is one wherever its requests arrive, and so are the answers to what is asked in mid-call.
    runtime().block_on(async {
        let people: Vec<_> = (0..4)
            .map(|number| {
                let url = url.clone();
                tokio::spawn(async move {
                    let person = Person::arrive(&url, &format!("person {number}"), can_elicit()).await;
                    for round in 0..12 {
                        let about = format!("round {round}");
                        match person.call(round, "s__ask", json!({"text": about})).await {
                            Ok(answer) => assert_eq!(answer, format!("person {number}, asked about {about}")),
                            Err(error) => assert!(round == 0 && error.contains("several clients share this server"), "{error}"),
                        }
                        assert_eq!(person.call(round, "s__echo", json!({"text": about})).await.unwrap(), about);
                    }
                })
            })
            .collect();
        for person in people {
            person.await.unwrap();
        }
    });
    // A call that waits for an answer goes on where it waits.
    for round in 0..6 {
        let asked = modern_call(url, "s__ask", json!({"text": "tea"}), json!({}));
        assert_eq!(asked["result"]["resultType"], "input_required", "{round}: {asked}");
        let answer = answering(&asked, named("Ada"));
        assert_eq!(text_of(&modern_call(url, "s__ask", json!({"text": "tea"}), answer.clone())).unwrap(), "Ada, asked about tea");
        assert_eq!(modern_call(url, "s__ask", json!({"text": "tea"}), answer)["error"]["code"], -32602, "a state is used once, wherever");
    }
    // Nobody else may say that a request was passed on.
    let forged = Http::new(url).header("toolcrib-passed-on", "10.0.0.1;99999999999999;1;00").modern("tools/list", json!({}));
    assert_eq!(forged.status, 403, "{forged:?}");
    // A session that is ended is ended for all.
    let session = Http::session(url, "2025-11-25");
    assert_eq!(session.send(reqwest::Method::DELETE, None).status, 204);
    (0..3).for_each(|_| {
        let told = session.post(legacy(7, "tools/list", json!({})));
        assert!(told.status == 404 && told.json()["id"] == 7, "whoever asks at once for several can tell which is answered: {told:?}");
    });
    let verdict: Value = serde_json::from_str(&together.run(&["audit", "verify", "--json"])).unwrap();
    assert_eq!((&verdict["ok"], verdict["heads"].as_array().unwrap().len()), (&json!(true), 3), "{verdict}");
}

#[test]
fn what_a_caller_may_have_is_counted_once_for_all() {
    let together = Together::with(&json!({"access": {
        "rules": [
            {"roles": ["*"], "allow": {"tools": ["*"], "resources": ["metrics://server/stats"]}},
        ],
        "limits": [{"roles": ["*"], "tools": ["calculator"], "perDay": 50}],
    }}));
    let passed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let answer = Http::new(&together.url)
                        .modern("tools/call", json!({"name": "calculator", "arguments": {"expression": "6*7"}}))
                        .json();
                    match text_of(&answer) {
                        Ok(_) => drop(passed.fetch_add(1, Ordering::Relaxed)),
                        Err(refusal) => assert!(refusal.contains("limit reached: 50 calls per day"), "{refusal}"),
                    }
                }
            });
        }
    });
    assert_eq!(passed.into_inner(), 50);
}

/// Replicas are exchanged one by one, and nobody notices.
#[test]
fn an_upgrade_fails_no_call() {
    let mut together = Together::with(&json!({"http": {"drain": 1.5}}));
    let (stop, url) = (AtomicBool::new(false), together.url.clone());
    let calls = AtomicUsize::new(0);
    let session = Http::session(&url, "2025-11-25");
    let params = || json!({"name": "calculator", "arguments": {"expression": "6*7"}});
    thread::scope(|scope| {
        for in_session in [true, false, false] {
            let (stop, calls, url, session, params) = (&stop, &calls, &url, &session, &params);
            scope.spawn(move || {
                for number in 1.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let answer = if in_session {
                        session.post(legacy(number, "tools/call", params()))
                    } else {
                        Http::new(url).modern("tools/call", params())
                    };
                    assert!(answer.status == 200 && text_of(&answer.json()).is_ok(), "{answer:?}");
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stops = Stops(&stop);
        for number in 0..3 {
            let before = calls.load(Ordering::Relaxed);
            let mut old = together.replicas[number].take().unwrap();
            old.signal("-TERM");
            assert!(old.wait().success());
            together.start(number);
            together.wait_for_all();
            wait_for("calls that go on", || (calls.load(Ordering::Relaxed) > before + 20).then_some(()));
        }
    });
}

/// What deploys several replicas is what the tools for it understand.
#[test]
fn what_is_deployed_is_sound() {
    let deploy = repository().join("deploy");
    let judged = |program: &Path, args: &[&str]| {
        let places = [("LISTEN", "127.0.0.1:1"), ("REPLICA_1", "127.0.0.1:2"), ("REPLICA_2", "127.0.0.1:3"), ("REPLICA_3", "127.0.0.1:4")];
        let done = Command::new(program).args(args).current_dir(&deploy).envs(places).output();
        let done = done.unwrap_or_else(|error| panic!("{program:?}: {error}"));
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{program:?}: {said}");
        said
    };
    let of_peers = |name: &str| peers().join("python-rest/bin").join(name);
    let said = judged(&of_peers("kubernetes-validate"), &["kubernetes/toolcrib.yaml"]);
    assert_eq!(said.matches("passed for resource").count(), 7, "{said}");
    judged(&of_peers("shellcheck"), &["replicas/run.sh", "deb/build.sh"]);
    judged(&of_peers("hadolint"), &["Dockerfile"]);
    judged(Path::new("haproxy"), &["-c", "-f", "replicas/haproxy.cfg"]);
    for (file, is_manifest) in [("kubernetes/toolcrib.yaml", true), ("replicas/mcp-config.yaml", false)] {
        let text = fs::read_to_string(deploy.join(file)).unwrap();
        // The config within the manifest.
        let config = if is_manifest {
            let block = text.split("mcp-config.yaml: |\n").nth(1).unwrap().split("\n---").next().unwrap();
            block.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
        } else {
            text
        };
        let folder = Folder::new();
        fs::write(folder.path().join("mcp-config.yaml"), config).unwrap();
        let variables = [
            ("DATABASE_URL", "postgres://u:p@localhost/d"),
            ("SHARED_URL", "rediss://u:p@localhost:6379"),
            ("STORAGE_KEY", KEY),
            ("POD_NAME", "toolcrib-0"),
            ("POD_IP", "10.0.0.5"),
            ("REPLICA", "one"),
            ("ADVERTISE", "http://one:3001"),
            ("JWT_SECRET", "q1Vd0nYxkT8mZr5sHc2LwJ7uPb9eGfA4tKoXiRvN6Ms="),
        ];
        let done = toolcrib().arg("check").current_dir(folder.path()).envs(variables).output().unwrap();
        assert!(done.status.success(), "{file}: {}", String::from_utf8_lossy(&done.stdout));
    }
}

#[test]
fn a_set_does_not_begin_where_a_port_is_taken() {
    let (folder, first) = (Folder::new(), free_ports(6));
    let taken = format!("127.0.0.1:{}", first + 3);
    let _taken = std::net::TcpListener::bind(&taken).unwrap();
    let mut run = Command::new(repository().join("deploy/replicas/run.sh"));
    run.arg(folder.path()).env("BINARY", env!("CARGO_BIN_EXE_toolcrib")).env("PORTS", first.to_string());
    let done = run.env("LISTEN", format!("127.0.0.1:{}", first + 5)).output().unwrap();
    let told = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.code() == Some(1) && told.contains(&format!("{taken} is taken: say with PORTS")), "{:?}: {told}", done.status);
    assert!(!folder.path().join("database").exists(), "nothing was begun");
}

/// The three replicas of deploy/replicas, as plain processes.
#[test]
fn a_set_of_plain_processes_is_one_server() {
    let folder = Folder::new();
    let first = free_ports(6);
    let listen = first + 5;
    let mut run = Command::new(repository().join("deploy/replicas/run.sh"));
    run.arg(folder.path()).env("BINARY", env!("CARGO_BIN_EXE_toolcrib")).env("PORTS", first.to_string());
    run.env("LISTEN", format!("127.0.0.1:{listen}")).stdout(Stdio::piped());
    let mut set = Running::start(run);
    let mut told = String::new();
    let mut lines = BufReader::new(set.child.stdout.take().unwrap()).lines();
    let wait = thread::spawn(move || {
        while let Some(Ok(line)) = lines.next() {
            told += &line;
            if line.contains("key create") {
                return told;
            }
        }
        panic!("it ended: {told}");
    });
    let told = wait.join().unwrap();
    assert!(told.contains(&format!("http://127.0.0.1:{listen}/mcp")), "{told}");
    let variables = [
        ("DATABASE_URL", format!("postgres://toolcrib@127.0.0.1:{first}/postgres?sslmode=disable")),
        ("SHARED_URL", format!("redis://127.0.0.1:{}", first + 1)),
        ("STORAGE_KEY", fs::read_to_string(folder.path().join("toolcrib.key")).unwrap()),
        ("REPLICA", "shell".to_owned()),
        ("ADVERTISE", "http://127.0.0.1".to_owned()),
    ];
    let made =
        toolcrib().args(["key", "create", "--sub", "ann", "--role", "user"]).current_dir(folder.path()).envs(variables).output().unwrap();
    let key = String::from_utf8(made.stdout).unwrap();
    let url = format!("http://127.0.0.1:{listen}/mcp");
    let stats = || {
        let http = Http::new(&url).header("authorization", &format!("Bearer {}", key.trim()));
        let read = http.try_modern("resources/read", json!({"uri": "metrics://server/stats"}))?;
        serde_json::from_str::<Value>(read["result"]["contents"][0]["text"].as_str()?).ok()
    };
    wait_for("three replicas", || stats().filter(|stats| stats["replica"]["present"] == 3));
    set.signal("-TERM");
    set.wait();
    wait_for("its end", || processes_of(folder.path().to_str().unwrap()).is_empty().then_some(()));
}

/// Calls a tool that writes down each number that it is given, again and again, and gives the numbers that were acknowledged.
fn under_load(url: &str, stop: &AtomicBool, next: &AtomicUsize, session: Option<&Http>) -> Vec<usize> {
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let params = json!({"name": "note", "arguments": {"number": number.to_string()}});
        let answer = match session {
            Some(session) => session.try_post(legacy(number as i64 + 1, "tools/call", params)),
            None => Http::new(url).try_modern("tools/call", params),
        };
        let Some(answer) = answer else { continue };
        let said = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(!said.contains("no such session"), "{answer}");
        if answer["result"]["content"][0]["text"].as_str() == Some("noted") {
            acknowledged.push(number);
        }
    }
    acknowledged
}

struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What was written down, each with how often.
fn noted(file: &Path) -> BTreeMap<usize, usize> {
    let mut noted = BTreeMap::new();
    for line in fs::read_to_string(file).unwrap_or_default().lines() {
        *noted.entry(line.parse().unwrap()).or_default() += 1;
    }
    noted
}

#[test]
fn whatever_goes_away_under_load_loses_and_doubles_nothing() {
    let notes = Folder::new();
    let file = notes.path().join("notes");
    let script = "echo \"$1\" >> \"$2\" && printf noted";
    // Nobody waits for one that stands still.
    let mut together = Together::behind(
        "on-marked-down shutdown-sessions",
        &json!({"tools": {"note": {
            "description": "Writes down a number.", "input": {"number": "string"},
            "command": {"run": ["sh", "-c", script, "sh", "{{number}}", file.to_str().unwrap()]},
        }}}),
    );
    let (stop, next) = (AtomicBool::new(false), AtomicUsize::new(0));
    let sessions: Vec<Http> = (0..3).map(|_| Http::session(&together.url, "2025-11-25")).collect();
    let acknowledged = Mutex::new(Vec::new());
    let progress = || {
        let before = noted(&file).len();
        wait_for("calls that go on", || (noted(&file).len() > before + 30).then_some(()));
    };
    let trouble = |together: &mut Together| {
        progress();
        // A replica is killed, and another comes in its place.
        together.kill(1);
        progress();
        together.start(1);
        progress();
        // One stands still for longer than it is waited for, and goes on.
        let still = together.replicas[2].as_ref().unwrap();
        still.signal("-STOP");
        progress();
        wait_for("the others to miss it", || {
            let stats = stats_of(&format!("http://127.0.0.1:{}/mcp", together.ports[0]))?;
            (stats["replica"]["present"] == 2).then_some(())
        });
        still.signal("-CONT");
        together.wait_for_all();
        progress();
        // What they share goes away, and comes back.
        together.valkey.kill();
        together.valkey.start_again();
        progress();
        // Also where it comes back with nothing.
        together.valkey.forget();
        progress();
        together.wait_for_all();
        progress();
        together.postgres.kill();
        together.postgres.start_again();
        progress();
    };
    let url = together.url.clone();
    thread::scope(|scope| {
        for session in sessions.iter().map(Some).chain([None, None, None]) {
            let (stop, next, acknowledged, url) = (&stop, &next, &acknowledged, &url);
            scope.spawn(move || acknowledged.lock().unwrap().extend(under_load(url, stop, next, session)));
        }
        // However it ends, those who call are not to go on.
        let _stops = Stops(&stop);
        trouble(&mut together);
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    let noted = noted(&file);
    let doubled: Vec<_> = noted.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    let lost: Vec<_> = acknowledged.iter().filter(|number| !noted.contains_key(number)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    // Each that was acknowledged is in the log, and the log is what was written.
    let records = together.run(&["audit", "--json", "--tool", "note", "--outcome", "answered", "--limit", "0"]);
    let recorded: BTreeSet<String> = records
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["arguments"]["number"].as_str().unwrap().to_owned())
        .collect();
    let missing: Vec<_> = acknowledged.iter().filter(|number| !recorded.contains(&number.to_string())).collect();
    assert!(missing.is_empty() && acknowledged.len() > 150, "{missing:?} of {}", acknowledged.len());
    let verdict: Value = serde_json::from_str(&together.run(&["audit", "verify", "--json"])).unwrap();
    assert_eq!(verdict["ok"], true, "{verdict}");
}
