//! The commands of every day: a config is begun, servers are taken over, added and removed, agents are told of us.

use crate::support::{Folder, PATIENCE, Running, Server, peers, repository, scripted, toolcrib, wait_for};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Command, Output, Stdio},
};

/// A project and a home folder, both empty.
struct Desk {
    project: Folder,
    home: Folder,
}

impl Desk {
    fn new() -> Self {
        Self { project: Folder::new(), home: Folder::new() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = toolcrib();
        command.args(arguments).current_dir(self.project.path()).env("HOME", self.home.path()).env_remove("EDITOR").env_remove("VISUAL");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a command says that ends well.
    fn well(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{arguments:?}: {said}");
        String::from_utf8(done.stdout).unwrap() + &said
    }

    /// What a command says that does not, and its exit code.
    fn ill(&self, arguments: &[&str]) -> (i32, String) {
        let done = self.run(arguments);
        assert!(!done.status.success(), "{arguments:?}");
        (done.status.code().unwrap(), String::from_utf8(done.stderr).unwrap())
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.project.path().join(file)).unwrap()
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.project.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn a_config_is_begun_and_lived_with() {
    let desk = Desk::new();
    let said = desk.well(&["init"]);
    assert!(said.contains("toolcrib add NAME"), "{said}");
    assert!(desk.ill(&["init"]).1.contains("--force"));
    desk.well(&["check"]);
    // The schema that lies beside it says the same of it, in the words of a judge that is not ours.
    let validate = "import json,sys,jsonschema,yaml; jsonschema.Draft202012Validator(json.load(open('mcp-config.schema.json'))).validate(yaml.safe_load(open('mcp-config.yaml')))";
    let judged =
        Command::new(peers().join("python-rest/bin/python")).args(["-c", validate]).current_dir(desk.project.path()).output().unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));

    let script = repository().join("tests/peers/scripted.py");
    let said = desk.well(&["add", "s", "--set", "timeout=20", "--", "python3", script.to_str().unwrap()]);
    assert!(said.contains("+  - name: s") && said.contains("toolcrib doctor"), "{said}");
    let config = desk.read("mcp-config.yaml");
    assert!(config.contains("# Databases for database_query") && config.contains("    timeout: 20\n"), "comments stay: {config}");
    assert!(desk.well(&["list"]).contains("s__echo"));
    assert!(desk.ill(&["add", "s", "--url", "http://x/mcp"]).1.contains("already"));
    assert_eq!(desk.ill(&["add", "t"]).0, 2);
    // What is only to be seen is not done.
    desk.well(&["edit", "s", "--set", "timeout=9", "--dry-run"]);
    assert!(desk.read("mcp-config.yaml").contains("timeout: 20"));
    desk.well(&["edit", "s", "--unset", "timeout", "--env", "MODE=${MODE:-fast}"]);
    let config = desk.read("mcp-config.yaml");
    assert!(!config.contains("timeout: 20") && config.contains("env: { MODE: \"${MODE:-fast}\" }"), "{config}");
    let (code, said) = desk.ill(&["remove", "nobody"]);
    assert!(code == 2 && said.contains("known are s"), "{said}");
    desk.well(&["remove", "s"]);
    assert!(!desk.well(&["list"]).contains("s__echo"));
    desk.well(&["check"]);
}

#[test]
fn what_an_editor_leaves_is_taken_up_once_it_has_no_faults() {
    let desk = Desk::new();
    desk.write("mcp-config.yaml", "# mine\nclaude:\n  mcp: { timeout: 7 }\n");
    let edit = |script: &str| desk.command(&["edit"]).env("EDITOR", format!("sh {script}")).output().unwrap();
    desk.write("good.sh", "sed -i 's/timeout: 7/timeout: 8/' \"$1\"");
    assert!(edit("good.sh").status.success());
    assert_eq!(desk.read("mcp-config.yaml"), "# mine\nclaude:\n  mcp: { timeout: 8 }\n");
    desk.write("bad.sh", "sed -i 's/timeout: 8/timeuot: 9/' \"$1\"");
    let done = edit("bad.sh");
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(
        done.status.code() == Some(2) && said.contains("did you mean \"timeout\"?") && said.contains(".mcp-config.yaml.draft"),
        "{said}"
    );
    assert!(desk.read("mcp-config.yaml").contains("timeout: 8") && desk.read(".mcp-config.yaml.draft").contains("timeuot"));
    assert!(desk.ill(&["edit"]).1.contains("EDITOR"));
}

#[test]
fn servers_of_agents_are_taken_over_without_their_secrets() {
    let desk = Desk::new();
    let script = repository().join("tests/peers/scripted.py");
    desk.write(
        ".mcp.json",
        &json!({"mcpServers": {"s": {"command": "python3", "args": [script], "env": {"API_TOKEN": "secret-of-mine", "MODE": "fast"}}}})
            .to_string(),
    );
    desk.write(".vscode/mcp.json", "{\n  // ours\n  \"servers\": { \"web\": { \"type\": \"http\", \"url\": \"https://web.example/mcp\", \"headers\": { \"Authorization\": \"Bearer secret-of-web\" } } },\n}\n");
    fs::create_dir_all(desk.home.path().join(".codex")).unwrap();
    fs::write(desk.home.path().join(".codex/config.toml"), "[mcp_servers.s]\ncommand = \"other\"\n").unwrap();
    let said = desk.well(&["import", "--dry-run"]);
    assert!(said.contains("Claude Code") && said.contains("VS Code") && said.contains("Codex") && said.contains("s is left out"), "{said}");
    assert!(!desk.project.path().join("mcp-config.yaml").exists());
    let said = desk.well(&["import", "claude-code", "vscode", "--env-file", ".env"]);
    let config = desk.read("mcp-config.yaml");
    for text in [&said, &config] {
        assert!(!text.contains("secret-of"), "{text}");
    }
    assert!(
        config.contains("API_TOKEN: \"${API_TOKEN}\"")
            && config.contains("MODE: fast")
            && config.contains("\"Bearer ${WEB_AUTHORIZATION}\""),
        "{config}"
    );
    let secrets = desk.project.path().join(".env");
    assert_eq!(fs::metadata(&secrets).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(secrets).unwrap(), "API_TOKEN='secret-of-mine'\nWEB_AUTHORIZATION='secret-of-web'\n");
    // What was taken over works.
    let listed =
        desk.command(&["call", "s__variable", "text=API_TOKEN"]).env("API_TOKEN", "given").env("WEB_AUTHORIZATION", "x").output().unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap().trim(), "given");
    let (code, said) = desk.ill(&["import", "nobody"]);
    assert!(code == 2 && said.contains("claude-code, claude-desktop"), "{said}");
    assert!(desk.well(&["import", "claude-code"]).contains("nothing to take over"));
}

#[test]
fn agents_are_told_of_us_and_their_files_stay_theirs() {
    let desk = Desk::new();
    desk.write("mcp-config.yaml", "claude: {}\n");
    let theirs = "{\n  \"mcpServers\": {\n    \"other\": { \"command\": \"x\" }\n  }\n}\n";
    desk.write(".mcp.json", theirs);
    desk.well(&["install", "claude-code", "--dry-run"]);
    assert_eq!(desk.read(".mcp.json"), theirs);
    let said = desk.well(&["install", "claude-code"]);
    assert!(said.contains(".mcp.json.before-toolcrib"), "{said}");
    assert_eq!(desk.read(".mcp.json.before-toolcrib"), theirs);
    let written: Value = serde_json::from_str(&desk.read(".mcp.json")).unwrap();
    // Started as it stands there, from any folder, it answers.
    let entry = &written["mcpServers"]["toolcrib"];
    let mut command = Command::new(entry["command"].as_str().unwrap());
    command.args(entry["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap())).current_dir("/").env("HOME", desk.home.path());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), format!("{hello}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut answer).unwrap();
    assert!(answer.contains("\"serverInfo\""), "{answer}");
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(desk.well(&["install", "claude-code"]).contains("there already"));
    desk.well(&["uninstall", "claude-code"]);
    assert_eq!(serde_json::from_str::<Value>(&desk.read(".mcp.json")).unwrap(), serde_json::from_str::<Value>(theirs).unwrap());
    assert!(desk.ill(&["uninstall", "claude-code"]).1.contains("is not in"));
    desk.well(&["install", "codex", "--user", "--url", "http://127.0.0.1:3001/mcp"]);
    assert!(
        fs::read_to_string(desk.home.path().join(".codex/config.toml"))
            .unwrap()
            .contains("[mcp_servers.toolcrib]\nurl = \"http://127.0.0.1:3001/mcp\"")
    );
    assert_eq!(desk.ill(&["install", "emacs"]).0, 2);
}

#[test]
fn a_tool_is_timed_and_a_name_that_is_misspelt_is_guessed() {
    let desk = Desk::new();
    let told: Value =
        serde_json::from_str(&desk.well(&["bench", "calculator", "expression=6*7", "-n", "20", "--at-once", "4", "--json"])).unwrap();
    assert_eq!((&told["calls"], &told["failures"]), (&json!(20), &json!(0)));
    assert!(
        told["latency_ms"]["p50"].as_f64() <= told["latency_ms"]["max"].as_f64() && told["calls_per_second"].as_f64() > Some(0.0),
        "{told}"
    );
    assert!(desk.well(&["bench", "calculator", "expression=6*7", "-n", "3"]).contains("p95"));
    for command in ["call", "bench"] {
        let (code, said) = desk.ill(&[command, "calculater", "expression=1"]);
        assert!(code == 1 && said.contains("did you mean calculator?"), "{command}: {said}");
    }
    assert!(desk.ill(&["call", "nothing_like_it"]).1.contains("toolcrib list"));
}

#[test]
fn calls_are_seen_as_they_happen() {
    let server = Server::start(&json!({}));
    server.call("calculator", json!({"expression": "1+1"})).unwrap();
    let config = server.folder().join("mcp-config.yaml");
    let at = server.url.replace("/mcp", "");
    for source in [["--config", config.to_str().unwrap()], ["--url", &at]] {
        let mut command = toolcrib();
        command.arg("tail").args(source).stdout(Stdio::piped());
        let mut tail = Running::start(command);
        let mut lines = BufReader::new(tail.child.stdout.take().unwrap()).lines();
        assert!(lines.next().unwrap().unwrap().contains("calculator  answered"));
        server.call("analyze_text", json!({"text": "good", "analysis_type": "sentiment"})).ok();
        let line = lines.find(|line| line.as_ref().unwrap().contains("analyze_text")).unwrap().unwrap();
        assert!(line.contains("anonymous  http  analyze_text"), "{line}");
    }
}

#[test]
fn lists_are_kept_up_to_date() {
    let server = Server::start(&json!({"s": scripted(&[])}));
    server.wait_for_tool("s__grow");
    let mut command = toolcrib();
    command.args(["list", "--watch", "--url", &server.url]).stdout(Stdio::piped());
    let mut list = Running::start(command);
    let lines = BufReader::new(list.child.stdout.take().unwrap()).lines();
    let (found, is_found) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .filter(|line| line.starts_with("s__grown") || line.starts_with("s__grow "))
            .for_each(|line| drop(found.send(line)));
    });
    is_found.recv_timeout(PATIENCE).unwrap();
    server.call("s__grow", json!({})).unwrap();
    wait_for("the tool that was added", || is_found.recv_timeout(PATIENCE).ok().filter(|line| line.starts_with("s__grown")));
    list.signal("-INT");
    assert!(list.wait().success());
}

#[test]
fn shells_and_manuals_are_served() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = desk.well(&["completions", shell]);
        assert!(script.contains("doctor"), "{shell}");
        if shell == "bash" {
            desk.write("completions", &script);
            assert!(Command::new("bash").arg("-n").arg(desk.project.path().join("completions")).status().unwrap().success());
        }
    }
    desk.well(&["man", "man1"]);
    assert!(desk.read("man1/toolcrib-serve.1").contains("listen"));
}

#[test]
fn a_doctor_says_what_helps() {
    let desk = Desk::new();
    desk.write(
        "mcp-config.yaml",
        &json!({"dataFolder": "data", "mcpServers": {
            "s": scripted(&[]),
            "absent": {"command": "no-such-program-here"},
            "broken": {"command": "sh", "args": ["-c", "echo no database >&2; exit 3"]},
            "far": {"url": "http://127.0.0.1:9/mcp"},
        }})
        .to_string(),
    );
    let done = desk.run(&["doctor", "--json", "--listen", "127.0.0.1:0"]);
    assert_eq!(done.status.code(), Some(3));
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    let found = |name: &str| {
        told["diagnoses"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name}: {told}")).clone()
    };
    assert!(found("s")["detail"].as_str().unwrap().contains("tools"), "{told}");
    assert!(found("absent")["advice"].as_str().unwrap().contains("PATH"), "{told}");
    let broken = found("broken");
    assert!(broken["detail"].as_str().unwrap().contains("no database") && broken["advice"].as_str().unwrap().contains("by hand"), "{told}");
    assert!(found("far")["advice"].as_str().unwrap().contains("is it running"), "{told}");
    assert_eq!((&found("this machine")["ok"], &found("127.0.0.1:0")["ok"]), (&json!(true), &json!(true)));
    let quiet = String::from_utf8(desk.run(&["doctor", "--quiet", "--listen", "127.0.0.1:0"]).stdout).unwrap();
    assert!(!quiet.contains("well  ") && quiet.contains("ILL   server \"absent\""), "{quiet}");
}

#[test]
fn a_doctor_goes_on_past_what_is_wrong_with_the_config() {
    let desk = Desk::new();
    let server = scripted(&[]);
    desk.write(
        "mcp-config.yaml",
        &json!({"dataFolder": "data", "port": 1, "databases": {"shop": "sqlite:shop.sqlite"}, "mcpServers": {
            "s": server,
            "elsewhere": {"command": "true", "cwd": "nowhere"},
            "secretive": {"command": "true", "env": {"TOKEN": "${SURELY_NOT_SET}"}},
        }})
        .to_string(),
    );
    let done = desk.run(&["doctor", "--listen", "127.0.0.1:0"]);
    assert_eq!(done.status.code(), Some(3));
    let told = String::from_utf8(done.stdout).unwrap();
    for expected in [
        "port: unknown key",
        "databases.shop: there is no file",
        "ILL   database \"shop\"",
        "mcpServers.elsewhere.cwd: there is no directory",
        "ILL   server \"elsewhere\": \"true\" cannot be started: there is no directory",
        "SURELY_NOT_SET",
        "well  server \"s\"",
    ] {
        assert!(told.contains(expected), "{expected}\n---\n{told}");
    }
    assert!(!told.contains("server \"secretive\""), "one that is not as it is meant is not started: {told}");
}

#[test]
fn what_is_not_there_costs_only_what_needs_it() {
    let config = json!({"databases": {"shop": "sqlite:shop.sqlite"}, "resources": {"books": {"folder": "books"}},
        "mcpServers": {"s": scripted(&[]), "elsewhere": {"command": scripted(&[])["command"], "args": scripted(&[])["args"], "cwd": "nowhere"}}});
    let server = Server::with(&config);
    server.wait_for_tool("s__grow");
    let missing = server.call("database_query", json!({"database": "shop", "query": "SELECT 1"})).unwrap_err();
    assert!(missing.contains("cannot be reached"), "{missing}");
    // Whoever asks beforehand is told.
    let checked = toolcrib().arg("check").current_dir(server.folder()).output().unwrap();
    let told = String::from_utf8(checked.stdout).unwrap();
    assert_eq!((checked.status.code(), told.matches(": there is no ").count()), (Some(1), 3), "{told}");
    // What comes is taken.
    fs::create_dir(server.folder().join("nowhere")).unwrap();
    server.wait_for_tool("elsewhere__grow");
}

/// What a Debian system gets, with this build in it.
#[test]
fn a_package_has_all_that_belongs_to_it() {
    let folder = Folder::new();
    let build = |into: &str| {
        let mut build = Command::new(repository().join("deploy/deb/build.sh"));
        let into = folder.path().join(into);
        let built = build.arg(into).env("BINARY", env!("CARGO_BIN_EXE_toolcrib")).env("COMPRESSION", "none").output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        String::from_utf8(built.stdout).unwrap()
    };
    let (package, again) = (build("one"), build("two"));
    assert!(fs::read(package.trim()).unwrap() == fs::read(again.trim()).unwrap(), "the same sources give the same package");
    let root = folder.path().join("root");
    let unpacked = Command::new("dpkg-deb").args(["-x", package.trim()]).arg(&root).status().unwrap();
    assert!(unpacked.success());
    let run =
        Command::new(root.join("usr/bin/toolcrib")).args(["check", "etc/toolcrib/mcp-config.yaml"]).current_dir(&root).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    for file in ["usr/share/man/man1/toolcrib.1.gz", "usr/share/bash-completion/completions/toolcrib", "usr/share/doc/toolcrib/copyright"] {
        assert!(root.join(file).is_file(), "{file}");
    }
    let sbom: Value = serde_json::from_str(&fs::read_to_string(root.join("usr/share/doc/toolcrib/sbom.cdx.json")).unwrap()).unwrap();
    let names: Vec<&str> = sbom["components"].as_array().unwrap().iter().map(|component| component["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"tokio") && !names.contains(&"proptest"), "what only tests use is not in it");
    // The unit is one that systemd understands, where there is a systemd to ask.
    let unit = fs::read_to_string(root.join("usr/lib/systemd/system/toolcrib.service")).unwrap();
    let file = folder.path().join("toolcrib.service");
    fs::write(&file, unit.replace("/usr/bin/toolcrib", env!("CARGO_BIN_EXE_toolcrib"))).unwrap();
    if let Ok(verified) = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output() {
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(!said.lines().any(|line| line.contains("toolcrib.service")), "{said}");
    }
}
