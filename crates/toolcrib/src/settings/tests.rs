use super::*;
use std::sync::atomic::{AtomicU32, Ordering};
use toolcrib_contract::Globs;
use toolcrib_gate::Names;
use toolcrib_upstream::{Preset, Sharing, Transport};
use toolcrib_wire::Era;

/// A directory that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("toolcrib-settings-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn lookup(name: &str) -> Option<String> {
    match name {
        "TICKETS_TOKEN" => Some("s3cret".into()),
        "PATH" => Some("/bin".into()),
        "AWS_SECRET_ACCESS_KEY" => Some("must not be inherited".into()),
        _ => None,
    }
}

fn read_text(name: &str, text: &str) -> Result<Settings, SettingsError> {
    let folder = Folder::new();
    read(&folder.write(name, text), &lookup)
}

fn faults(text: &str) -> Vec<String> {
    match read_text("mcp-config.yaml", text) {
        Err(SettingsError::Faulty(faults)) => {
            faults.iter().map(|fault| format!("{}: {}: {}", fault.line, fault.key, fault.message)).collect()
        }
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn the_documented_example_is_read_as_it_stands() {
    let text = r#"
mcpServers:
  - name: everything
    command: npx
    args: ["-y", "@modelcontextprotocol/server-everything"]
    env: { TOKEN: "${TOKEN:-none}", PORT: 1.10 }
  - name: tickets
    url: https://tickets.example.com/mcp
    headers: { Authorization: "Bearer ${TICKETS_TOKEN}" }
claude:
  mcp: { enabled: true, configFile: ./mcp-config.yaml, timeout: 45, maxConcurrentTools: 7 }
"#;
    let settings = read_text("mcp-config.yaml", text).unwrap();
    assert_eq!((settings.gate.timeout.as_secs(), settings.gate.max_concurrent), (45, 7));
    let Transport::Child(command) = &settings.servers[0].transport else { panic!() };
    assert_eq!((command.program.to_str(), command.args.len()), (Some("npx"), 2));
    let mut env: Vec<_> = command.env.iter().map(|(key, value)| format!("{}={}", key.display(), value.display())).collect();
    env.sort();
    assert_eq!(env, ["PATH=/bin", "PORT=1.10", "TOKEN=none"], "a text stays as it was written, and secrets of ours stay here");
    let Transport::Remote(endpoint, _) = &settings.servers[1].transport else { panic!() };
    assert_eq!(endpoint.headers["authorization"], "Bearer s3cret");
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[test]
fn the_file_of_claude_code_is_read_as_it_stands() {
    let text = "{\n\t\"mcpServers\": {\n\t\t\"git\": {\"type\": \"stdio\", \"command\": \"uvx\", \"args\": [\"mcp-server-git\"], \"env\": {}},\n\t\t\"api\": {\"type\": \"http\", \"url\": \"http:\\/\\/127.0.0.1:9\\/mcp\"}\n\t}\n}";
    let settings = read_text(".mcp.json", text).unwrap();
    assert_eq!(settings.servers.iter().map(|server| &*server.name).collect::<Vec<_>>(), ["git", "api"]);
    assert_eq!(settings.gate.timeout.as_secs(), 30);
    assert_eq!(settings.gate.max_concurrent, 5);
}

#[test]
fn every_fault_is_reported_at_once_with_line_and_key() {
    let text = r#"mcpServers:
  - name: one
    comand: npx
  - name: two
    command: a
    url: http://x
  - command: b
  - name: four
    url: ftp://x
    headers: { "bad name": "${NOT_SET}" }
  - name: two
    type: ws
    url: http://x
claude:
  mcp:
    timeout: soon
    maxConcurrentTools: 0
    enabeld: true
extra: 1
"#;
    assert_eq!(
        faults(text),
        [
            "2: mcpServers[0]: a server needs a command or a url",
            "3: mcpServers[0].comand: unknown key; did you mean \"command\"?",
            "6: mcpServers[1].url: a server has either a command or a url",
            "7: mcpServers[2]: a server needs a name",
            "9: mcpServers[3].url: expected an absolute URL that begins with http:// or https://",
            "10: mcpServers[3].headers.bad name: the variable NOT_SET is not set: set it, or write ${NOT_SET:-default}",
            "11: mcpServers[4].name: another server is named \"two\" already",
            "12: mcpServers[4].type: unknown type \"ws\"; known are \"stdio\", \"http\" and \"sse\"",
            "16: claude.mcp.timeout: expected a number of seconds, found \"soon\"",
            "17: claude.mcp.maxConcurrentTools: expected a number from 1 to 10000, found 0",
            "18: claude.mcp.enabeld: unknown key; did you mean \"enabled\"?",
            "19: extra: unknown key; known are mcpServers, claude, limits, profiles, tools, prompts, resources, egress, connections, databases, dataFolder, storage, auth, access, audit, http, resilience, telemetry",
        ]
    );
}

#[test]
fn what_is_offered_of_a_server_and_how() {
    let text = r#"
mcpServers:
  - name: git
    command: uvx
    prefix: vcs
    sharing: perSession
    era: legacy
    include: ["git_*"]
    exclude: [git_reset]
    tools:
      git_log:
        rename: log
        arguments: { repo_path: { fixed: "${TICKETS_TOKEN}/x" }, max_count: { default: 1.50 }, flags: { fixed: [true, null, "1"] } }
profiles:
  review: { tools: ["vcs__*", calculator] }
"#;
    let settings = read_text("mcp-config.yaml", text).unwrap();
    let git = &settings.servers[0];
    assert_eq!((git.prefix.as_deref(), git.sharing, git.era), (Some("vcs"), Sharing::PerSession, Some(Era::Legacy)));
    assert_eq!(git.choice.include, Some(Globs::new(["git_*"])));
    let log = &git.choice.tools["git_log"];
    assert_eq!(log.rename.as_deref(), Some("log"));
    let preset = |name: &str| match &log.arguments[name] {
        Preset::Fixed(json) => format!("fixed {json}"),
        Preset::Default(json) => format!("default {json}"),
    };
    assert_eq!(preset("repo_path"), r#"fixed "s3cret/x""#);
    assert_eq!(preset("max_count"), "default 1.50", "a number stays as it was written");
    assert_eq!(preset("flags"), r#"fixed [true,null,"1"]"#);
    assert_eq!(*settings.profiles["review"], Names { tools: Globs::new(["vcs__*", "calculator"]), ..Names::default() });
}

#[test]
fn a_prefix_may_depend_on_whether_there_are_other_servers() {
    let prefixes = |text: &str| -> Vec<Option<String>> {
        read_text("mcp-config.yaml", text).unwrap().servers.into_iter().map(|server| server.prefix).collect()
    };
    let auto = "claude: { mcp: { prefix: auto } }\nmcpServers: ";
    assert_eq!(prefixes(&format!("{auto} {{ a: {{ command: x }} }}")), [None]);
    assert_eq!(prefixes(&format!("{auto} {{ a: {{ command: x }}, b: {{ command: x, disabled: true }} }}")), [None]);
    let both = [Some("a".to_owned()), None];
    assert_eq!(prefixes(&format!("{auto} {{ a: {{ command: x }}, b: {{ command: x, prefix: never }} }}")), both);
}

#[test]
fn faults_of_what_is_offered_name_what_would_be_right() {
    let text = r#"mcpServers:
  git:
    command: x
    sharing: each
    era: modern
    prefix: a__b
    tools:
      log: { arguments: { n: { fixed: 1, default: 2 } }, nmae: x }
  one: { command: x }
  two: { command: x, prefix: one }
profiles:
  "a/b": { tolls: [] }
claude: { mcp: { timeout: 6, maxTimeout: 2 } }
"#;
    assert_eq!(
        faults(text),
        [
            "4: mcpServers.git.sharing: expected \"shared\" or \"perSession\" or \"perCaller\", found \"each\"",
            "5: mcpServers.git.era: expected \"auto\" or \"legacy\", found \"modern\"",
            "6: mcpServers.git.prefix: expected \"always\", \"auto\", \"never\" or a word of at most 24 letters, digits, \"-\" and single \"_\", found \"a__b\"",
            "8: mcpServers.git.tools.log.nmae: unknown key; known are rename, description, arguments",
            "8: mcpServers.git.tools.log.arguments.n: give the value of an argument either as \"fixed\" or as \"default\"",
            "10: mcpServers.two: its names would begin as those of \"one\": give it another prefix",
            "12: profiles.a/b.tolls: unknown key; did you mean \"tools\"?",
            "12: profiles.a/b: a profile's name is part of a URL: use letters, digits, \"-\" and \"_\"",
            "13: claude.mcp.maxTimeout: expected at least the timeout of 6 s, found 2",
        ]
    );
}

#[test]
fn what_is_no_config_is_refused_with_its_line() {
    assert!(faults("mcpServers:\n  - name: [\n")[0].contains("this is not YAML"));
    assert_eq!(faults("mcpServers: 5\n"), ["1: mcpServers: expected a mapping of keys to values, found a single value"]);
    assert!(faults("a: 1\na: 2\n")[0].contains("duplicated key"));
    assert!(faults("--- {}\n--- {}\n")[0].contains("one document"));
    assert_eq!(
        faults("mcpServers:\n  a__b: { command: x }\n")[0],
        "2: mcpServers.a__b: a server's name must not hold \"__\", which separates it from the names of its tools"
    );
}

#[test]
fn servers_may_stand_in_a_file_of_their_own() {
    let folder = Folder::new();
    folder.write("servers.json", r#"{"mcpServers": {"time": {"command": "./server"}}}"#);
    let file = folder.write("mcp-config.yaml", "claude:\n  mcp:\n    configFile: servers.json\n");
    let settings = read(&file, &lookup).unwrap();
    let Transport::Child(command) = &settings.servers[0].transport else { panic!() };
    assert_eq!(command.program, folder.0.join("./server"), "a relative program is looked for beside the config");

    let file = folder.write("mcp-config.yaml", "claude:\n  mcp:\n    configFile: none.json\n");
    let error = read(&file, &lookup).unwrap_err().to_string();
    assert!(error.contains("mcp-config.yaml:3: claude.mcp.configFile: cannot read"), "{error}");
}

#[test]
fn a_server_may_send_what_may_be_passed_on() {
    let accepted = |limits: &str| {
        let text = format!("{limits}mcpServers: [{{ name: far, url: \"https://far.example/mcp\" }}, {{ name: near, command: near }}]");
        let Settings { servers, .. } = read_text("a.yaml", &text).unwrap();
        servers.iter().map(|server| server.max_message_bytes).collect::<Vec<_>>()
    };
    assert_eq!(accepted("limits: { maxOutputBytes: 2000 }\n"), [8 << 20, 8 << 20], "it wraps what it says as it likes");
    assert_eq!(accepted("limits: { maxOutputBytes: 33554432 }\n"), [(32 << 20) + (64 << 10); 2]);
}

#[test]
fn limits_are_settings() {
    let text = "limits: { maxMessageBytes: 65536, maxArgumentBytes: 1000, maxOutputBytes: 2000, maxRequestsInFlight: 7, maxQueuedCalls: 0, maxSessions: 3, sessionIdle: 60 }";
    let Settings { gate, doors, .. } = read_text("a.yaml", text).unwrap();
    assert_eq!((gate.max_argument_bytes, gate.max_output_bytes, gate.max_queued), (1000, 2000, 0));
    assert_eq!((doors.max_message_bytes, doors.max_in_flight, doors.max_sessions, doors.session_idle.as_secs()), (65_536, 7, 3, 60));
    assert_eq!(
        faults("limits: { maxSessions: 0, maxMessageByte: 5, sessionIdle: -1 }"),
        [
            "1: limits.maxMessageByte: unknown key; did you mean \"maxMessageBytes\"?",
            "1: limits.maxSessions: expected a number from 1 to 1000000, found 0",
            "1: limits.sessionIdle: expected more than 0 and at most 86400 seconds, found -1",
        ]
    );
}

#[test]
fn what_is_switched_off_is_not_started_but_still_checked() {
    assert!(read_text("a.yaml", "claude: { mcp: { enabled: false } }\nmcpServers: { a: { command: x } }").unwrap().servers.is_empty());
    assert!(
        read_text("a.yaml", "mcpServers: { a: { command: x, disabled: true }, b: { command: x, enabled: false } }")
            .unwrap()
            .servers
            .is_empty()
    );
    assert_eq!(faults("mcpServers: { a: { disabled: true } }").len(), 1);
    assert!(read_text("a.yaml", "").unwrap().servers.is_empty());
}

#[test]
fn ready_tools_are_set_up_as_it_is_written() {
    let folder = Folder::new();
    folder.write("shop.sqlite", "");
    fs::create_dir(folder.0.join("data")).unwrap();
    let text = r#"
tools:
  weather_api: { enabled: false }
  web_scraper: { rename: read_page, timeout: 60, robots: false }
  api_client: { methods: [get, HEAD] }
  database_query: { connectionStrings: true, folders: [data] }
egress:
  allow: ["*.Example.com"]
  deny: [bad.example.com]
  exceptions: ["10.1.0.0/16", "wiki.corp:8080"]
  proxy: environment
  timeout: 20
  maxRedirects: 2
  maxBodyBytes: 2000000
  requestsPerSecond: 3
connections:
  tickets:
    baseUrl: https://tickets.example.com/api/
    headers: { Authorization: "Bearer ${TICKETS_TOKEN}" }
    methods: [GET]
    paths: ["/tickets/*"]
    description: our tickets
databases:
  shop: sqlite:shop.sqlite
  books:
    url: "postgres://reader:${TICKETS_TOKEN}@db.example.com/books?sslrootcert=ca.pem"
    description: the books
    mask: ["*.email"]
    maxRows: 500
    timeout: 5
    poolSize: 2
"#;
    let settings = read(&folder.write("mcp-config.yaml", text), &lookup).unwrap().ready;
    assert!(settings.offers["weather_api"].is_off && !settings.keeps_to_robots);
    assert_eq!(settings.offers["web_scraper"].rename.as_deref(), Some("read_page"));
    assert_eq!(settings.offers["web_scraper"].timeout, Some(std::time::Duration::from_secs(60)));
    assert_eq!(settings.api_methods.unwrap().len(), 2);
    assert_eq!(settings.connection_strings.folders, [folder.0.join("data")]);
    let egress = &settings.egress;
    assert!(egress.policy.judge_name("www.example.com", 443).is_ok() && egress.policy.judge_name("example.org", 443).is_err());
    assert!(egress.policy.judge_name("bad.example.com", 443).is_err());
    assert_eq!(
        (egress.policy.exceptions.len(), egress.timeout.as_secs(), egress.max_redirects, egress.max_body_bytes),
        (2, 20, 2, 2_000_000)
    );
    assert_eq!((egress.per_host_per_second.get(), &egress.proxy), (3, &None), "the environment names no proxy");
    let [tickets] = settings.connections.as_slice() else { panic!() };
    assert_eq!((tickets.name.as_str(), tickets.headers["authorization"].to_str().unwrap()), ("tickets", "Bearer s3cret"));
    assert!(tickets.headers["authorization"].is_sensitive() && tickets.paths.as_ref().unwrap().include("/tickets/7"));
    let [shop, books] = settings.databases.as_slice() else { panic!() };
    assert_eq!(shop.location, toolcrib_tools::Location::Sqlite(folder.0.join("shop.sqlite")));
    let toolcrib_tools::Location::Postgres(server) = &books.location else { panic!() };
    assert_eq!(
        (server.password.as_deref(), &server.tls),
        (Some("s3cret"), &toolcrib_tools::Tls::On { roots: Some(folder.0.join("ca.pem")) })
    );
    assert_eq!((books.max_rows, books.timeout.as_secs(), books.pool_size, books.allows_privileged_role), (500, 5, 2, false));
    assert_eq!(settings.sample_folder, None, "the sample is for those who have no database");
    assert!(!format!("{:?}{:?}", settings.databases, settings.connections).contains("s3cret"));
}

#[test]
fn faults_of_ready_tools_have_their_lines() {
    let text = r#"
tools:
  web_scrapper: {}
  calculator: { robots: true }
  api_client: { methods: [FETCH], rename: calculator }
egress:
  exceptions: ["10.0.0.0/99", "a b"]
  proxy: proxy.example.com
  caFile: none.pem
  requestsPerSecond: 0
connections:
  "odd name": { headers: { "bad header": x } }
  twice: { baseUrl: "https://user:secret@example.com/" }
databases:
  shop: sqlite:none.sqlite
  other: "postgres://u:topsecret@h/db?options=x"
  empty: {}
"#;
    let found = faults(text).join("\n");
    for expected in [
        r#"3: tools.web_scrapper: there is no ready tool "web_scrapper"; known are analyze_text, api_client"#,
        "4: tools.calculator.robots: unknown key",
        r#"5: tools.api_client.methods[0]: expected one of GET, HEAD, POST, PUT, PATCH, DELETE, found "FETCH""#,
        r#"5: tools.api_client.rename: another ready tool is called "calculator""#,
        r#"7: egress.exceptions[0]: "10.0.0.0/99" is no network"#,
        r#"7: egress.exceptions[1]: "a b" is no address, network or name"#,
        r#"8: egress.proxy: expected "environment" or the URL of a proxy"#,
        "9: egress.caFile: cannot read ",
        "10: egress.requestsPerSecond: expected a number from 1 to 10000, found 0",
        r#"12: connections.odd name: a name has up to 40 letters, digits, "-" and "_""#,
        "12: connections.odd name: a connection needs a baseUrl",
        r#"12: connections.odd name.headers.bad header: "bad header" is not the name of a header"#,
        "13: connections.twice.baseUrl: a URL must not hold a user name or password",
        "15: databases.shop: there is no file ",
        r#"16: databases.other: the parameter "options" is not understood"#,
        "17: databases.empty: a database needs a url",
    ] {
        assert!(found.contains(expected), "{expected}\n---\n{found}");
    }
    assert!(!found.contains("topsecret") && !found.contains(":secret@"), "{found}");
}

#[test]
fn the_sample_lies_where_the_data_of_users_lie() {
    let folder_with = |variables: &'static [(&'static str, &'static str)]| {
        let lookup = |name: &str| variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned());
        without_file(&lookup).ready.sample_folder
    };
    assert_eq!(folder_with(&[("HOME", "/home/ann")]), Some("/home/ann/.local/share/toolcrib".into()));
    assert_eq!(folder_with(&[("HOME", "/home/ann"), ("XDG_DATA_HOME", "/data")]), Some("/data/toolcrib".into()));
    assert_eq!(folder_with(&[("XDG_DATA_HOME", "relative")]), None);
    assert!(read_text("mcp-config.yaml", "dataFolder: kept").unwrap().ready.sample_folder.unwrap().ends_with("kept"));
}

#[test]
fn what_is_nested_without_end_is_a_fault() {
    let deep = format!("mcpServers:\n  {}x", "- ".repeat(20_000));
    let mut faults = Faults::default();
    assert!(document::parse(&deep, Path::new("deep.yaml"), &mut faults).is_none());
    assert!(faults.to_string().contains("nested more than 200 levels deep"), "{faults}");
    let error = document::value_of(&deep, Path::new("deep.yaml")).unwrap_err();
    assert!(error.contains("nested more than 200 levels deep"), "{error}");
    let error = document::value_of("a: &a [1]\nb: [*a, *a]", Path::new("many.yaml")).unwrap_err();
    assert!(error.contains("aliases"), "{error}");
}

#[test]
fn what_replicas_share_is_read() {
    let folder = Folder::new();
    let key = "a".repeat(64);
    let text = format!(
        "dataFolder: data
storage:
  database: postgres://toolcrib:s3cret@db.internal/books?sslmode=disable
  key: {key}
  replica: one
  spoolMaxBytes: 67108864
  shared: [valkeys://ann:s3cret@n1:6379, rediss://n2:6379]
  onSharedLoss: degrade
  advertise: http://10.0.0.5:3001/
"
    );
    let settings = read(&folder.write("mcp-config.yaml", &text), &lookup).unwrap();
    let storage = settings.storage.unwrap();
    assert_eq!((&*storage.database.host, &*storage.database.database, &*storage.replica), ("db.internal", "books", "one"));
    let spool = settings.security.audit.policy.spool.unwrap();
    assert_eq!((spool.folder, spool.max_bytes), (folder.0.join("data"), 64 << 20));
    let shared = storage.shared.unwrap();
    assert_eq!(shared.at.urls, ["rediss://ann:s3cret@n1:6379", "rediss://n2:6379"]);
    assert!(shared.at.is_cluster && shared.degrades);
    assert_eq!(shared.advertise.as_deref(), Some("http://10.0.0.5:3001"));
    assert_eq!(format!("{:?}", shared.at), "rediss://n1:6379, rediss://n2:6379", "passwords are shown to nobody");

    let alone = format!("storage: {{ database: postgres://ann@db.internal/books?sslmode=disable, key: {key}, shared: redis://one }}");
    let settings = read_text("mcp-config.yaml", &alone).unwrap();
    assert!(!settings.storage.unwrap().shared.unwrap().at.is_cluster);
    assert_eq!(settings.security.audit.policy.spool, None, "nothing waits unless the config says so");

    let text = "
storage:
  database: sqlite:///x
  spoolMaxBytes: 4096
  shared: [http://one]
  onSharedLoss: wait
";
    let told = faults(text);
    let tells = |line: usize, of: &str| told.iter().any(|fault| fault.starts_with(&format!("{line}: ")) && fault.contains(of));
    assert!(tells(3, "postgres://") && tells(4, "expected a number from 1048576") && tells(5, "the URL of Valkey or Redis"), "{told:#?}");
    assert!(tells(6, "refuse") && told.iter().any(|fault| fault.contains("\"key\" is needed")), "{told:#?}");
    assert!(faults(&format!("storage: {{ database: postgres://ann@x/y, key: {key}, shared: [] }}"))[0].contains("at least one node"));
}
