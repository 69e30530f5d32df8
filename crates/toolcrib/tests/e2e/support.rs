//! Starts Toolcrib as a user would, and talks to it.

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

/// How long anything may take that is waited for: far longer than it does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn toolcrib() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toolcrib"));
    // What is kept without a config lies where the tests keep things, each process of tests for itself.
    command.env("XDG_DATA_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("data-{}", std::process::id())));
    command
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Where the real clients and servers are.
///
/// # Panics
/// If they are not installed, with the sentence that says how to.
pub(crate) fn peers() -> PathBuf {
    let folder = std::env::var_os("TOOLCRIB_PEERS").map_or_else(|| repository().join("target/peers"), PathBuf::from);
    assert!(
        folder.join("installed").exists(),
        "the real clients and servers are missing in {}: run `make peers` (or `make test`)",
        folder.display()
    );
    folder
}

pub(crate) fn node() -> PathBuf {
    peers().join("node_modules/node/bin/node")
}

pub(crate) fn python(major: u8) -> PathBuf {
    peers().join(format!("python-{major}/bin/python"))
}

/// A copy of one of our scripts beside the packages, where Node looks for them.
pub(crate) fn beside_packages(name: &str) -> PathBuf {
    let copy = peers().join(name);
    std::fs::copy(repository().join("tests/peers").join(name), &copy).unwrap();
    copy
}

/// The reference server.
pub(crate) fn everything_script() -> PathBuf {
    peers().join("node_modules/@modelcontextprotocol/server-everything/dist/index.js")
}

pub(crate) fn everything() -> Value {
    json!({"command": node(), "args": [everything_script()]})
}

/// The scripted server, with its flags.
pub(crate) fn scripted(flags: &[&str]) -> Value {
    let script = repository().join("tests/peers/scripted.py");
    let mut args = vec![json!(script)];
    args.extend(flags.iter().map(|flag| json!(flag)));
    json!({"command": "python3", "args": args})
}

/// A folder that goes away with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("toolcrib-e2e-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A config with these servers, as JSON, which is YAML.
    pub(crate) fn config(&self, config: &Value) -> PathBuf {
        let path = self.0.join("mcp-config.yaml");
        let mut config = config.clone();
        config["dataFolder"] = config.get("dataFolder").cloned().unwrap_or_else(|| json!("data"));
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running process whose standard error is read along. Killed when the test ends.
pub(crate) struct Running {
    pub(crate) child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, saying) = (child.stderr.take().unwrap(), Arc::clone(&said));
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                saying.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self { child, said }
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until standard error holds what is looked for, and gives what comes after it on the line.
    pub(crate) fn wait_to_say(&mut self, start: &str) -> String {
        wait_for(&format!("{start:?} on standard error"), || {
            let said = self.said();
            let found = said.lines().find_map(|line| line.split_once(start).map(|(_, rest)| rest.trim().to_owned()));
            if found.is_none()
                && let Some(status) = self.child.try_wait().unwrap()
            {
                panic!("ended with {status} before it said {start:?}: {said}");
            }
            found
        })
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// From now on it may have as many files open; those that are open stay so.
    #[cfg(target_os = "linux")]
    pub(crate) fn limit_files(&self, files: u64) {
        let process = rustix::process::Pid::from_raw(self.child.id().try_into().unwrap());
        let limit = rustix::process::Rlimit { current: Some(files), maximum: Some(1024) };
        rustix::process::prlimit(process, rustix::process::Resource::Nofile, limit).unwrap();
    }

    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        wait_for("the process to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the process said:\n{}---", self.said());
        }
        // Politely first, so that its own children go too.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again and again until there is an answer.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// `toolcrib serve` with these servers behind it.
pub(crate) struct Server {
    pub(crate) process: Running,
    pub(crate) url: String,
    folder: Folder,
}

impl Server {
    pub(crate) fn start(servers: &Value) -> Self {
        Self::with(&json!({ "mcpServers": servers }))
    }

    pub(crate) fn with(config: &Value) -> Self {
        let folder = Folder::new();
        let mut command = toolcrib();
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(folder.config(config)).current_dir(folder.path());
        // What children say on standard error is logged at this level; tests wait for it.
        command.env("TOOLCRIB_LOG", "info,toolcrib_upstream=debug");
        let mut process = Running::start(command);
        let url = process.wait_to_say("serves MCP at ");
        Self { process, url, folder }
    }

    /// The folder that it was started in, with its config.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until a tool is there.
    pub(crate) fn wait_for_tool(&self, name: &str) {
        wait_for(&format!("the tool {name}"), || self.tools().contains(&name.to_owned()).then_some(()));
    }

    pub(crate) fn tools(&self) -> Vec<String> {
        tool_names(&self.modern("tools/list", json!({})))
    }

    /// Makes a modern request and gives the answer.
    pub(crate) fn modern(&self, method: &str, params: Value) -> Value {
        Http::new(&self.url).modern(method, params).json()
    }

    /// Calls a tool and gives the text of its result.
    pub(crate) fn call(&self, tool: &str, arguments: Value) -> Result<String, String> {
        text_of(&self.modern("tools/call", json!({"name": tool, "arguments": arguments})))
    }
}

/// The names in a list of tools.
pub(crate) fn tool_names(answer: &Value) -> Vec<String> {
    let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

/// The text of a tool's result; of an error, what it says.
pub(crate) fn text_of(answer: &Value) -> Result<String, String> {
    let text = answer["result"]["content"][0]["text"].as_str().map(ToOwned::to_owned);
    match (text, answer["result"]["isError"] == true) {
        (Some(text), false) => Ok(text),
        (Some(text), true) => Err(text),
        (None, _) => Err(answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()),
    }
}

/// An HTTP client that sends just what it is told.
pub(crate) struct Http {
    url: String,
    headers: Vec<(String, String)>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The messages of a stream of events.
    pub(crate) fn events(&self) -> Vec<Value> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| !data.is_empty());
        data.map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))).collect()
    }

    pub(crate) fn code(&self) -> i64 {
        self.json()["error"]["code"].as_i64().unwrap_or_else(|| panic!("{self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

impl Http {
    pub(crate) fn new(url: &str) -> Self {
        let both = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
        Self { url: url.to_owned(), headers: both.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(header, _)| header != name);
        self
    }

    pub(crate) fn post(&self, body: impl Into<String>) -> Reply {
        self.send(reqwest::Method::POST, Some(body.into()))
    }

    pub(crate) fn get(&self) -> Reply {
        self.send(reqwest::Method::GET, None)
    }

    pub(crate) fn send(&self, method: reqwest::Method, body: Option<String>) -> Reply {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.send_by(&client(), method, body.unwrap_or_default()))
    }

    /// Makes two requests by one connection, with something done between them, and gives the answer to the second.
    pub(crate) fn post_and_post(&self, first: &str, between: impl FnOnce(), second: &str) -> Reply {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = client();
            self.send_by(&client, reqwest::Method::POST, first.to_owned()).await;
            between();
            self.send_by(&client, reqwest::Method::POST, second.to_owned()).await
        })
    }

    /// Posts, where it may be that nothing comes back, or nothing that is JSON.
    pub(crate) fn try_post(&self, body: impl Into<String>) -> Option<Value> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut request = client().post(&self.url).timeout(PATIENCE);
            for (name, value) in &self.headers {
                request = request.header(name, value);
            }
            let response = request.body(body.into()).send().await.ok()?;
            serde_json::from_slice(&response.bytes().await.ok()?).ok()
        })
    }

    /// As [`Http::modern`], where it may be that nothing comes back.
    pub(crate) fn try_modern(self, method: &str, params: Value) -> Option<Value> {
        self.naming(method, &params).try_post(modern(1, method, params).to_string())
    }

    async fn send_by(&self, client: &reqwest::Client, method: reqwest::Method, body: String) -> Reply {
        let mut request = client.request(method, &self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request.body(body).timeout(PATIENCE).send().await.unwrap();
        Reply { status: response.status().as_u16(), headers: response.headers().clone(), body: response.text().await.unwrap() }
    }

    /// A request of 2026-07-28 with all that it needs.
    pub(crate) fn modern(self, method: &str, params: Value) -> Reply {
        self.naming(method, &params).post(modern(1, method, params).to_string())
    }

    /// With what a request of 2026-07-28 says in its headers.
    fn naming(self, method: &str, params: &Value) -> Self {
        let name = params["name"].as_str().or(params["uri"].as_str());
        let http = self.header("mcp-protocol-version", "2026-07-28").header("mcp-method", method);
        match name.filter(|_| matches!(method, "tools/call" | "prompts/get" | "resources/read")) {
            Some(name) => http.header("mcp-name", name),
            None => http,
        }
    }

    /// Opens a legacy session and gives a client that stays in it.
    pub(crate) fn session(url: &str, revision: &str) -> Self {
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
        let reply = Self::new(url).post(hello.to_string());
        assert_eq!(reply.status, 200, "{reply:?}");
        let session = Self::new(url).header("mcp-session-id", reply.header("mcp-session-id")).header("mcp-protocol-version", revision);
        let initialized = session.post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        assert_eq!((initialized.status, initialized.body.as_str()), (202, ""));
        session
    }
}

/// Listens as a client of 2026-07-28 does, and gives what is told after the acknowledgement.
pub(crate) fn listen(url: &str, filter: &Value) -> mpsc::Receiver<Value> {
    let (tell, told) = mpsc::channel();
    let request = client().post(url).header("content-type", "application/json").header("accept", "application/json, text/event-stream");
    let request = request.header("mcp-protocol-version", "2026-07-28").header("mcp-method", "subscriptions/listen");
    let request = request.body(modern(1, "subscriptions/listen", json!({ "notifications": filter })).to_string());
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut stream = request.send().await.unwrap();
            while let Ok(Some(chunk)) = stream.chunk().await {
                for line in String::from_utf8_lossy(&chunk).lines().filter_map(|line| line.strip_prefix("data: ")) {
                    if tell.send(serde_json::from_str(line).unwrap()).is_err() {
                        return;
                    }
                }
            }
        });
    });
    let acknowledged: Value = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged["params"]["notifications"], *filter, "all of it is agreed to");
    told
}

pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A message of 2026-07-28.
pub(crate) fn modern(id: i64, method: &str, mut params: Value) -> Value {
    let own = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    let meta = params.as_object_mut().unwrap().entry("_meta").or_insert_with(|| json!({}));
    for (key, value) in own.as_object().unwrap() {
        meta.as_object_mut().unwrap().entry(key.clone()).or_insert(value.clone());
    }
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// A message of a legacy session.
pub(crate) fn legacy(id: i64, method: &str, params: Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

pub(crate) fn is_running(pid: &str) -> bool {
    // A zombie whose parent has not yet looked is gone all the same.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The first of so many free ports in a row, where Linux, as it comes, gives none to whoever asks for any. Only one test may ask.
pub(crate) fn free_ports(count: u16) -> u16 {
    let is_free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    // Tests that run at once begin to look in different places.
    let begin = 20_000 + u16::try_from(std::process::id() % 1000).unwrap() * 10;
    (begin..32_000).step_by(usize::from(count)).find(|first| (*first..first + count).all(is_free)).expect("there are free ports")
}

/// Processes whose command line holds this, by number.
pub(crate) fn processes_of(mark: &str) -> Vec<u32> {
    let numbers = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_one =
        |number: &u32| std::fs::read(format!("/proc/{number}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(mark));
    numbers.filter(is_one).collect()
}

/// The memory that a process has in use.
pub(crate) fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}
