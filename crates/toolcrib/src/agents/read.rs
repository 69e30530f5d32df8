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
    /// Variables that stand in the place of secrets, with these.
    pub(crate) secrets: Vec<(String, String)>,
    /// What a person has to know.
    pub(crate) notes: Vec<String>,
}

/// The servers in a file of this agent; those that are ourselves are left out.
///
/// # Errors
/// Why the file cannot be read.
pub(crate) fn read(agent: &Agent, text: &str) -> Result<Vec<Found>, String> {
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
    Ok(servers.iter().filter(|(_, server)| !is_ourselves(server)).map(|(name, server)| found(name, server)).collect())
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

fn is_ourselves(server: &Value) -> bool {
    let program = server["command"].as_str().unwrap_or_default();
    program.rsplit('/').next() == Some("toolcrib")
}

fn found(name: &str, server: &Value) -> Found {
    let mut found = Found { name: plain_name(name), entry: Entry::new(), secrets: Vec::new(), notes: Vec::new() };
    let text = |key: &str| server[key].as_str().map(ToOwned::to_owned);
    // Older files of Zed have the program in an object of its own.
    let nested = server["command"].as_object().map(|command| Value::Object(command.clone()));
    let command = nested.as_ref().map_or_else(|| text("command"), |command| command["path"].as_str().map(ToOwned::to_owned));
    let of_program = nested.as_ref().unwrap_or(server);
    if let Some(command) = command {
        found.entry.insert("command".into(), translated(&command).into());
        found.args(&of_program["args"]);
        found.values("env", &of_program["env"]);
        if let Some(folder) = text("cwd") {
            found.entry.insert("cwd".into(), translated(&folder).into());
        }
    } else if let Some(url) = text("httpUrl").or_else(|| text("serverUrl")).or_else(|| text("url")) {
        if text("type").as_deref() == Some("sse") {
            found.entry.insert("type".into(), "sse".into());
        }
        found.entry.insert("url".into(), translated(&url).into());
        ["headers", "http_headers"].iter().for_each(|key| found.values("headers", &server[key]));
        if let Some(variable) = text("bearer_token_env_var") {
            found.header("Authorization", format!("Bearer ${{{variable}}}"));
        }
    } else {
        found.notes.push("it has neither a command nor a url".into());
    }
    for (theirs, ours) in [("startup_timeout_sec", "startTimeout"), ("tool_timeout_sec", "timeout")] {
        if let Some(seconds) = server[theirs].as_f64() {
            found.entry.insert(ours.into(), json!(seconds));
        }
    }
    // In milliseconds there.
    if let Some(millis) = server["timeout"].as_f64().filter(|millis| *millis >= 1000.0) {
        found.entry.insert("timeout".into(), json!(millis / 1000.0));
    }
    if server["disabled"] == true || server["enabled"] == false {
        found.entry.insert("enabled".into(), false.into());
    }
    if server.get("envFile").is_some() {
        found.notes.push("what its envFile says has to be given in env".into());
    }
    if server.to_string().contains("${workspaceFolder}") {
        found.notes.push("${workspaceFolder} is the folder of a project there; say here which one".into());
    }
    found
}

impl Found {
    fn args(&mut self, args: &Value) {
        let args: Vec<&str> = args.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut kept = Vec::new();
        let mut names_secret = None;
        for arg in &args {
            let (flag, value) = arg.split_once('=').map_or((*arg, None), |(flag, value)| (flag, Some(value)));
            let is_flag = flag.starts_with('-');
            kept.push(match (names_secret.take(), value) {
                // `--token abc`, `--token=abc`
                (Some(name), _) if !is_flag => self.hidden(name, arg),
                (_, Some(value)) if is_flag && names_a_secret(flag) => format!("{flag}={}", self.hidden(flag, value)),
                _ if looks_secret(arg) => self.hidden("token", arg),
                _ => translated(arg),
            });
            names_secret = (is_flag && value.is_none() && names_a_secret(flag)).then_some(flag);
        }
        if !kept.is_empty() {
            self.entry.insert("args".into(), kept.into());
        }
    }

    /// Texts by name, the secret ones as variables.
    fn values(&mut self, key: &str, values: &Value) {
        let mut kept = Map::new();
        for (name, value) in values.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            let (scheme, secret) = text.split_once(' ').filter(|_| name.eq_ignore_ascii_case("authorization")).unwrap_or(("", &text));
            let is_variable = text.contains("${");
            let is_secret = names_a_secret(name) || name.eq_ignore_ascii_case("authorization") || looks_secret(secret);
            let text = match (is_variable, is_secret && !secret.is_empty()) {
                (false, true) => format!("{scheme}{}{}", if scheme.is_empty() { "" } else { " " }, self.hidden(name, secret)),
                _ => translated(&text),
            };
            kept.insert(name.clone(), text.into());
        }
        for (name, value) in kept {
            self.put(key, name, value);
        }
    }

    fn header(&mut self, name: &str, value: String) {
        self.put("headers", name.to_owned(), value.into());
    }

    fn put(&mut self, key: &str, name: String, value: Value) {
        let values = self.entry.entry(key).or_insert_with(|| Value::Object(Map::new()));
        if let Some(values) = values.as_object_mut() {
            values.insert(name, value);
        }
    }

    /// A variable for a secret: named as it is where that says enough, else after the server, too.
    fn hidden(&mut self, name: &str, secret: &str) -> String {
        let word = |text: &str| -> String {
            text.trim_start_matches('-').chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
        };
        let is_variable =
            name.len() > 5 && name.contains('_') && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        let name = if is_variable { name.to_owned() } else { format!("{}_{}", word(&self.name), word(name)) };
        let name = if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name };
        let variable = format!("${{{name}}}");
        if !self.secrets.iter().any(|(known, _)| *known == name) {
            self.secrets.push((name, secret.to_owned()));
        }
        variable
    }
}

/// A name as our config takes it.
fn plain_name(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect();
    plain.replace("__", "_").trim_matches(['-', '_']).to_owned()
}

/// The variables of VS Code and others, as ours.
fn translated(text: &str) -> String {
    text.replace("${env:", "${").replace("${input:", "${")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(agent: &str, text: &str) -> Vec<Found> {
        read(&Agent::named(agent).unwrap(), text).unwrap()
    }

    #[test]
    fn each_agent_has_its_own_words() {
        let entry = |found: &Found| Value::Object(found.entry.clone());
        let vscode = of(
            "vscode",
            r#"{ // comments are fine
              "servers": { "my tools": {"type": "stdio", "command": "npx", "args": ["-y", "x"], "env": {"DIR": "${env:HOME}", "API_KEY": "${input:key}"}}, "web": {"type": "http", "url": "https://x/mcp"}, },
            }"#,
        );
        assert_eq!(vscode[0].name, "my-tools");
        assert_eq!(entry(&vscode[0]), json!({"command": "npx", "args": ["-y", "x"], "env": {"DIR": "${HOME}", "API_KEY": "${key}"}}));
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
            "git": {"command": "x", "args": ["--token", "abc", "--api-key=def", "ghp_0123456789abcdef"], "env": {"GITHUB_TOKEN": "ghi", "LEVEL": "info", "key": "jkl"}},
            "web": {"url": "https://x/mcp", "headers": {"Authorization": "Bearer mno", "X-Api-Key": "${KEPT}"}}
        }}"#;
        let found = of("cursor", text);
        let entry = Value::Object(found[0].entry.clone());
        assert_eq!(entry["args"], json!(["--token", "${GIT_TOKEN}", "--api-key=${GIT_API_KEY}", "${GIT_TOKEN}"]));
        assert_eq!(entry["env"], json!({"GITHUB_TOKEN": "${GITHUB_TOKEN}", "LEVEL": "info", "key": "${GIT_KEY}"}));
        assert_eq!(found[1].entry["headers"], json!({"Authorization": "Bearer ${WEB_AUTHORIZATION}", "X-Api-Key": "${KEPT}"}));
        for secret in ["abc", "def", "ghi", "jkl", "mno", "0123456789abcdef"] {
            assert!(
                !format!("{:?}", found.iter().map(|found| &found.entry).collect::<Vec<_>>()).contains(&format!("\"{secret}\"")),
                "{secret}"
            );
        }
    }
}
