//! What servers stand in the config file of an agent, in the words of ours.

use super::{Agent, Shape};
use crate::settings::edit::Entry;
use jsonc_parser::{ParseOptions, cst::CstRootNode};
use serde_json::{Map, Value, json};
use toolcrib_store::{looks_secret, names_a_secret};

/// A server of an agent's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// Its name.
    pub(crate) name: String,
    /// What our config would say of it.
    pub(crate) entry: Entry,
    /// What a person has to know.
    pub(crate) notes: Vec<String>,
}

/// The variables that stand in the place of secrets: each for one secret, whichever server has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Hidden(pub(crate) Vec<(String, String)>);

/// The servers in a file of this agent; those that are ourselves are left out.
///
/// # Errors
/// Why the file cannot be read.
pub(crate) fn read(agent: &Agent, text: &str, hidden: &mut Hidden) -> Result<Vec<Found>, String> {
    let servers = match agent.shape {
        Shape::Json(key) => {
            let root = CstRootNode::parse(text, &ParseOptions::default()).map_err(|error| error.to_string())?;
            let value = root.to_serde_value().unwrap_or_default();
            let mut servers = value[key].as_object().cloned().unwrap_or_default();
            // Claude Code keeps what belongs to a project beside what belongs to its user.
            for project in value["projects"].as_object().into_iter().flat_map(Map::values) {
                for (name, server) in project[key].as_object().into_iter().flatten() {
                    servers.entry(name.clone()).or_insert_with(|| server.clone());
                }
            }
            servers
        }
        Shape::Toml(key) => {
            let document: toml_edit::DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
            let servers = document.get(key).and_then(toml_edit::Item::as_table_like);
            servers.into_iter().flat_map(|servers| servers.iter()).map(|(name, server)| (name.to_owned(), json_of(server))).collect()
        }
    };
    let others = servers.iter().filter(|(name, server)| !is_ourselves(name, server));
    Ok(others.map(|(name, server)| Reading { found: Found::named(name), hidden }.read(server)).collect())
}

fn json_of(item: &toml_edit::Item) -> Value {
    match item {
        toml_edit::Item::Value(value) => json_of_value(value),
        toml_edit::Item::Table(table) => table.iter().map(|(key, item)| (key.to_owned(), json_of(item))).collect::<Map<_, _>>().into(),
        _ => Value::Null,
    }
}

fn json_of_value(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => text.value().as_str().into(),
        toml_edit::Value::Integer(number) => (*number.value()).into(),
        toml_edit::Value::Float(number) => json!(*number.value()),
        toml_edit::Value::Boolean(flag) => (*flag.value()).into(),
        toml_edit::Value::Datetime(time) => time.to_string().into(),
        toml_edit::Value::Array(items) => items.iter().map(json_of_value).collect(),
        toml_edit::Value::InlineTable(table) => {
            table.iter().map(|(key, value)| (key.to_owned(), json_of_value(value))).collect::<Map<_, _>>().into()
        }
    }
}

/// Whether an agent reaches us by this: it starts us, or calls what is called like us and runs here.
fn is_ourselves(name: &str, server: &Value) -> bool {
    let program = server["command"].as_str().or_else(|| server["command"]["path"].as_str()).unwrap_or_default();
    let url = ["url", "httpUrl", "serverUrl"].iter().find_map(|key| server[key].as_str()).unwrap_or_default();
    let is_here = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"].iter().any(|start| url.starts_with(start));
    program.rsplit('/').next() == Some("toolcrib") || (is_here && (name == "toolcrib" || url.contains(":3001/mcp")))
}

impl Found {
    fn named(name: &str) -> Self {
        let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect();
        let plain = plain.replace("__", "_").trim_matches(['-', '_']).to_owned();
        let (name, notes) = match plain.is_empty() {
            true => ("server".to_owned(), vec![format!("it is called {name:?} there, which no tool's name can begin with")]),
            false => (plain, Vec::new()),
        };
        Self { name, entry: Entry::new(), notes }
    }
}

/// What of a server has a word of ours.
const KNOWN: [&str; 30] = [
    "command",
    "args",
    "env",
    "cwd",
    "type",
    "url",
    "httpUrl",
    "serverUrl",
    "headers",
    "http_headers",
    "bearer_token_env_var",
    "env_http_headers",
    "env_vars",
    "startup_timeout_sec",
    "tool_timeout_sec",
    "timeout",
    "disabled",
    "enabled",
    "envFile",
    "includeTools",
    "excludeTools",
    "enabled_tools",
    "disabled_tools",
    "disabledTools",
    "source",
    "transport",
    "description",
    "name",
    "trust",
    "autoApprove",
];

/// One server, while it is read.
struct Reading<'a> {
    found: Found,
    hidden: &'a mut Hidden,
}

impl Reading<'_> {
    fn read(mut self, server: &Value) -> Found {
        let text = |key: &str| server[key].as_str().map(ToOwned::to_owned);
        // Older files of Zed have the program in an object of its own.
        let nested = server["command"].as_object().map(|command| Value::Object(command.clone()));
        let command = nested.as_ref().map_or_else(|| text("command"), |command| command["path"].as_str().map(ToOwned::to_owned));
        let of_program = nested.as_ref().unwrap_or(server);
        if let Some(command) = command {
            self.set("command", translated(&command).into());
            self.args(&of_program["args"]);
            self.values("env", &of_program["env"]);
            for variable in server["env_vars"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                self.put("env", variable.to_owned(), format!("${{{variable}}}").into());
            }
            if let Some(folder) = text("cwd") {
                self.set("cwd", translated(&folder).into());
            }
        } else if let Some(url) = text("httpUrl").or_else(|| text("serverUrl")).or_else(|| text("url")) {
            if text("type").as_deref() == Some("sse") {
                self.set("type", "sse".into());
            }
            let url = self.url(&url).unwrap_or_else(|| translated(&url));
            self.set("url", url.into());
            ["headers", "http_headers"].iter().for_each(|key| self.values("headers", &server[key]));
            for (name, variable) in server["env_http_headers"].as_object().into_iter().flatten() {
                let variable = variable.as_str().unwrap_or_default();
                self.put("headers", name.clone(), format!("${{{variable}}}").into());
            }
            if let Some(variable) = text("bearer_token_env_var") {
                self.put("headers", "Authorization".into(), format!("Bearer ${{{variable}}}").into());
            }
        } else {
            self.note("it has neither a command nor a url");
        }
        self.bounds(server);
        self.remarks(server);
        self.found
    }

    /// How long it may take, whether it is used, and which of its tools are.
    fn bounds(&mut self, server: &Value) {
        for (theirs, ours) in [("startup_timeout_sec", "startTimeout"), ("tool_timeout_sec", "timeout")] {
            if let Some(seconds) = server[theirs].as_f64() {
                self.set(ours, json!(seconds));
            }
        }
        // In milliseconds there.
        if let Some(millis) = server["timeout"].as_f64().filter(|millis| *millis >= 1000.0) {
            self.set("timeout", json!(millis / 1000.0));
        }
        if server["disabled"] == true || server["enabled"] == false {
            self.set("enabled", false.into());
        }
        for (theirs, ours) in [
            ("includeTools", "include"),
            ("enabled_tools", "include"),
            ("excludeTools", "exclude"),
            ("disabled_tools", "exclude"),
            ("disabledTools", "exclude"),
        ] {
            if server[theirs].is_array() {
                self.set(ours, server[theirs].clone());
            }
        }
    }

    fn remarks(&mut self, server: &Value) {
        if server.get("envFile").is_some() {
            self.note("what its envFile says has to be given in env");
        }
        if server.to_string().contains("${workspaceFolder}") {
            self.note("${workspaceFolder} is the folder of a project there; say here which one");
        }
        for key in server.as_object().into_iter().flat_map(Map::keys).filter(|key| !KNOWN.contains(&key.as_str())) {
            self.note(&format!("{key:?} has no word here, and is left out"));
        }
    }

    fn note(&mut self, text: &str) {
        self.found.notes.push(text.to_owned());
    }

    fn set(&mut self, key: &str, value: Value) {
        self.found.entry.insert(key.to_owned(), value);
    }

    fn put(&mut self, key: &str, name: String, value: Value) {
        let values = self.found.entry.entry(key).or_insert_with(|| Value::Object(Map::new()));
        if let Some(values) = values.as_object_mut() {
            values.insert(name, value);
        }
    }

    fn args(&mut self, args: &Value) {
        let mut kept = Vec::new();
        let mut named_by: Option<&str> = None;
        for arg in args.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let is_flag = arg.starts_with('-');
            kept.push(match named_by.take() {
                // `--token abc`
                Some(name) if !is_flag => self.secret(name, arg),
                _ => self.arg(arg),
            });
            named_by = (is_flag && !arg.contains('=') && names_a_secret(arg)).then_some(arg);
        }
        if !kept.is_empty() {
            self.set("args", kept.into());
        }
    }

    /// An argument without what is secret in it: `--token=abc`, `TOKEN=abc`, `Authorization: Bearer abc`, `https://u:p@h/?key=abc`.
    fn arg(&mut self, arg: &str) -> String {
        if let Some(url) = self.url(arg) {
            return url;
        }
        if let Some((name, value)) = arg.split_once('=').filter(|(name, _)| !name.contains([' ', '/', '?'])) {
            return match names_a_secret(name) || looks_secret(value) {
                true => format!("{name}={}", self.secret(name, value)),
                false => translated(arg),
            };
        }
        if let Some((name, value)) = arg.split_once(':').filter(|(name, _)| is_header(name)) {
            return format!("{name}: {}", self.value(name, value.trim()));
        }
        if looks_secret(arg) { self.secret("token", arg) } else { translated(arg) }
    }

    /// Texts by name, the secret ones as variables.
    fn values(&mut self, key: &str, values: &Value) {
        for (name, value) in values.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            let text = self.value(name, &text);
            self.put(key, name.clone(), text.into());
        }
    }

    /// A value by its name: the secret in it as a variable, and what stands before it, such as `Bearer`, as it is.
    fn value(&mut self, name: &str, text: &str) -> String {
        if let Some(url) = self.url(text) {
            return url;
        }
        let is_authorization = name.eq_ignore_ascii_case("authorization");
        let (scheme, secret) =
            text.split_once(' ').filter(|_| is_authorization).map_or(("", text), |(scheme, secret)| (scheme, secret.trim()));
        if !(is_authorization || names_a_secret(name) || looks_secret(secret)) || secret.is_empty() {
            return translated(text);
        }
        let secret = self.secret(name, secret);
        if scheme.is_empty() { secret } else { format!("{scheme} {secret}") }
    }

    /// A URL without the password and the keys in it; none if it has none of these, or is no URL.
    fn url(&mut self, text: &str) -> Option<String> {
        let (scheme, rest) = text.split_once("://").filter(|(scheme, _)| scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+'))?;
        let mut written = format!("{scheme}://");
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let mut is_changed = false;
        match authority.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?, host))) {
            Some(((user, password), host)) => {
                written.push_str(&format!("{user}:{}@{host}", self.secret("password", password)));
                is_changed = true;
            }
            None => written.push_str(authority),
        }
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        written.push_str(path);
        let pairs = query.into_iter().flat_map(|query| query.split('&'));
        for (index, pair) in pairs.enumerate() {
            written.push(if index == 0 { '?' } else { '&' });
            match pair.split_once('=').filter(|(name, value)| names_a_secret(name) || looks_secret(value)) {
                Some((name, value)) => {
                    written.push_str(&format!("{name}={}", self.secret(name, value)));
                    is_changed = true;
                }
                None => written.push_str(pair),
            }
        }
        is_changed.then(|| translated(&written))
    }

    /// A variable in the place of a secret: named as that is where it says enough, else after the server, too. What is a variable stays one.
    fn secret(&mut self, name: &str, secret: &str) -> String {
        if secret.contains("${") {
            return translated(secret);
        }
        if let Some(variable) = secret.strip_prefix('$').filter(|name| is_variable(name)) {
            return format!("${{{variable}}}");
        }
        let word = |text: &str| -> String {
            let plain = text.trim_start_matches('-').chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
            plain.collect::<String>().trim_start_matches(|c: char| c.is_ascii_digit()).to_owned()
        };
        let of_server = format!("{}_{}", word(&self.found.name), word(name));
        let says_enough = is_variable(name) && name.contains('_');
        let first = if says_enough { name.to_owned() } else { of_server.clone() };
        let further = (2..).map(|number| format!("{of_server}_{number}"));
        let names = std::iter::once(first).chain(says_enough.then(|| of_server.clone())).chain(further);
        for name in names {
            match self.hidden.0.iter().find(|(known, _)| *known == name) {
                Some((_, known)) if known == secret => return format!("${{{name}}}"),
                Some(_) => {}
                None => {
                    self.hidden.0.push((name.clone(), secret.to_owned()));
                    return format!("${{{name}}}");
                }
            }
        }
        unreachable!("there are as many names as numbers")
    }
}

/// Whether this is the name of a variable, as people write them.
fn is_variable(name: &str) -> bool {
    name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// Whether this is the name of a header that nobody should see.
fn is_header(name: &str) -> bool {
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    is_name && (name.eq_ignore_ascii_case("authorization") || names_a_secret(name))
}

/// The variables of VS Code and others, as ours: `${env:HOME}`, `${input:api-key}`. What is none of these stays as it is.
fn translated(text: &str) -> String {
    let mut parts = text.split("${");
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        written.push_str("${");
        match part.split_once('}') {
            Some((name, rest)) if name.starts_with("env:") || name.starts_with("input:") => {
                let name = name.split_once(':').map_or(name, |(_, name)| name);
                let is_ours = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                let plain = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
                written.push_str(&if is_ours { name.to_owned() } else { plain.collect() });
                written.push('}');
                written.push_str(rest);
            }
            _ => written.push_str(part),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(agent: &str, text: &str) -> Vec<Found> {
        read(&Agent::named(agent).unwrap(), text, &mut Hidden::default()).unwrap()
    }

    #[test]
    fn each_agent_has_its_own_words() {
        let entry = |found: &Found| Value::Object(found.entry.clone());
        let vscode = of(
            "vscode",
            r#"{ // comments are fine
              "servers": { "my tools": {"type": "stdio", "command": "npx", "args": ["-y", "x"], "env": {"DIR": "${env:HOME}", "API_KEY": "${input:my-key}"}}, "web": {"type": "http", "url": "https://x/mcp"}, },
            }"#,
        );
        assert_eq!(vscode[0].name, "my-tools");
        assert_eq!(entry(&vscode[0]), json!({"command": "npx", "args": ["-y", "x"], "env": {"DIR": "${HOME}", "API_KEY": "${MY_KEY}"}}));
        assert_eq!(entry(&vscode[1]), json!({"url": "https://x/mcp"}));
        let gemini = of("gemini", r#"{"mcpServers": {"a": {"httpUrl": "https://x/mcp", "headers": {"X-Team": "blue"}, "timeout": 5000}}}"#);
        assert_eq!(entry(&gemini[0]), json!({"url": "https://x/mcp", "headers": {"X-Team": "blue"}, "timeout": 5.0}));
        let windsurf = of("windsurf", r#"{"mcpServers": {"a": {"serverUrl": "https://x/mcp", "disabled": true}}}"#);
        assert_eq!(entry(&windsurf[0]), json!({"url": "https://x/mcp", "enabled": false}));
        let zed = of("zed", r#"{"context_servers": {"a": {"command": {"path": "b", "args": ["c"], "env": {}}}, "d": {"command": "e"}}}"#);
        assert_eq!((entry(&zed[0]), entry(&zed[1])), (json!({"command": "b", "args": ["c"]}), json!({"command": "e"})));
        let codex = of(
            "codex",
            "model = \"x\"\n[mcp_servers.a]\ncommand = \"b\"\nargs = [\"c\"]\ntool_timeout_sec = 9\n[mcp_servers.a.env]\nK = \"v\"\n[mcp_servers.w]\nurl = \"https://w/mcp\"\nbearer_token_env_var = \"W_TOKEN\"\n",
        );
        assert_eq!(entry(&codex[0]), json!({"command": "b", "args": ["c"], "env": {"K": "v"}, "timeout": 9.0}));
        assert_eq!(entry(&codex[1]), json!({"url": "https://w/mcp", "headers": {"Authorization": "Bearer ${W_TOKEN}"}}));
        let claude = of(
            "claude-code",
            r#"{"mcpServers": {"toolcrib": {"command": "/usr/bin/toolcrib"}}, "projects": {"/p": {"mcpServers": {"a": {"command": "b"}}}}}"#,
        );
        assert_eq!(claude.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn secrets_become_variables() {
        let text = r#"{"mcpServers": {
            "git": {"command": "x", "args": ["--token", "abc", "--token", "other", "--api-key=def", "ghp_0123456789abcdef", "--header", "Authorization: Bearer pqr", "-e", "GITHUB_TOKEN=ghi", "postgresql://u:stu@h/db", "--key=${KEPT}"],
                "env": {"GITHUB_TOKEN": "ghi", "LEVEL": "info", "key": "jkl", "MY_TOKEN": "$OUTER"}},
            "hub": {"command": "y", "env": {"GITHUB_TOKEN": "another"}},
            "web": {"url": "https://x/mcp?api_key=vwx&page=2", "headers": {"Authorization": "Bearer mno", "X-Api-Key": "${KEPT}"}}
        }}"#;
        let mut hidden = Hidden::default();
        let found = read(&Agent::named("cursor").unwrap(), text, &mut hidden).unwrap();
        let entry = |index: usize| Value::Object(found[index].entry.clone());
        assert_eq!(
            entry(0)["args"],
            json!([
                "--token",
                "${GIT_TOKEN}",
                "--token",
                "${GIT_TOKEN_2}",
                "--api-key=${GIT_API_KEY}",
                "${GIT_TOKEN_3}",
                "--header",
                "Authorization: Bearer ${GIT_AUTHORIZATION}",
                "-e",
                "GITHUB_TOKEN=${GITHUB_TOKEN}",
                "postgresql://u:${GIT_PASSWORD}@h/db",
                "--key=${KEPT}"
            ])
        );
        assert_eq!(
            entry(0)["env"],
            json!({"GITHUB_TOKEN": "${GITHUB_TOKEN}", "LEVEL": "info", "key": "${GIT_KEY}", "MY_TOKEN": "${OUTER}"})
        );
        assert_eq!(entry(1)["env"], json!({"GITHUB_TOKEN": "${HUB_GITHUB_TOKEN}"}), "one variable is for one secret");
        assert_eq!(entry(2)["headers"], json!({"Authorization": "Bearer ${WEB_AUTHORIZATION}", "X-Api-Key": "${KEPT}"}));
        assert_eq!(entry(2)["url"], "https://x/mcp?api_key=${WEB_API_KEY}&page=2");
        let secret = |name: &str| hidden.0.iter().find(|(known, _)| known == name).unwrap().1.as_str();
        assert_eq!([secret("GITHUB_TOKEN"), secret("HUB_GITHUB_TOKEN"), secret("GIT_TOKEN_2")], ["ghi", "another", "other"]);
        let written = format!("{:?}", found.iter().map(|found| &found.entry).collect::<Vec<_>>());
        for (_, secret) in &hidden.0 {
            assert!(!written.contains(&format!("{secret}\"")) && !written.contains(&format!("{secret}@")), "{secret}: {written}");
        }
    }

    #[test]
    fn what_an_agent_keeps_back_is_kept_back_and_we_are_left_out() {
        let text = r#"{"mcpServers": {
            "a": {"command": "x", "includeTools": ["read"], "excludeTools": ["write"], "sandboxed": true},
            "toolcrib": {"httpUrl": "http://127.0.0.1:3002/mcp"}, "us": {"command": "/opt/toolcrib"}, "日本": {"command": "y"}
        }}"#;
        let found = of("gemini", text);
        assert_eq!(found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["a", "server"]);
        assert_eq!(Value::Object(found[0].entry.clone()), json!({"command": "x", "include": ["read"], "exclude": ["write"]}));
        assert!(found[0].notes[0].contains("sandboxed") && found[1].notes[0].contains("日本"));
        let codex = of(
            "codex",
            "[mcp_servers.w]\nurl = \"https://w/mcp\"\nenabled_tools = [\"a\"]\n[mcp_servers.w.env_http_headers]\nX-Key = \"W_KEY\"\n",
        );
        assert_eq!(
            Value::Object(codex[0].entry.clone()),
            json!({"url": "https://w/mcp", "headers": {"X-Key": "${W_KEY}"}, "include": ["a"]})
        );
    }
}
