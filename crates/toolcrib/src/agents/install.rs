//! How we are added to the config file of an agent, and taken out of it: nothing else in the file is touched.

use super::{Agent, Shape};
use crate::settings::edit::input;
use jsonc_parser::{ParseOptions, cst::CstRootNode};
use serde_json::{Value, json};

/// How the agent reaches us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// It starts us: the program, and its arguments.
    Start(String, Vec<String>),
    /// It calls a server that runs, at this URL.
    Url(String),
}

/// The file with us in it, under this name; whatever stood there under it is replaced.
///
/// # Errors
/// Why that cannot be: the file is not understood, or the agent cannot reach us in this way.
pub(crate) fn install(agent: &Agent, text: &str, name: &str, link: &Link) -> Result<String, String> {
    let entry = entry_of(agent, link)?;
    match agent.shape {
        Shape::Json(key) => {
            let root = json(text)?;
            let servers = root.object_value_or_create().and_then(|root| root.object_value_or_create(key));
            let servers = servers.ok_or_else(|| format!("{key:?} in it is no object"))?;
            match servers.get(name) {
                Some(property) => property.set_value(input(&entry)),
                None => drop(servers.append(name, input(&entry))),
            }
            servers.ensure_multiline();
            Ok(root.to_string())
        }
        Shape::Toml(key) => {
            let mut document = toml(text)?;
            let servers = document.entry(key).or_insert_with(implicit_table);
            let servers = servers.as_table_mut().ok_or_else(|| format!("{key:?} in it is no table"))?;
            let mut table = toml_edit::Table::new();
            for (name, value) in entry.as_object().into_iter().flatten() {
                table.insert(name, toml_edit::value(toml_of(value)));
            }
            servers.insert(name, toml_edit::Item::Table(table));
            Ok(document.to_string())
        }
    }
}

/// The file without us; none if we are not in it.
///
/// # Errors
/// Why the file is not understood.
pub(crate) fn uninstall(agent: &Agent, text: &str, name: &str) -> Result<Option<String>, String> {
    match agent.shape {
        Shape::Json(key) => {
            let root = json(text)?;
            let property = root.object_value().and_then(|root| root.object_value(key)?.get(name));
            Ok(property.map(|property| {
                property.remove();
                root.to_string()
            }))
        }
        Shape::Toml(key) => {
            let mut document = toml(text)?;
            let servers = document.get_mut(key).and_then(toml_edit::Item::as_table_like_mut);
            let removed = servers.and_then(|servers| servers.remove(name));
            Ok(removed.map(|_| document.to_string()))
        }
    }
}

fn json(text: &str) -> Result<CstRootNode, String> {
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    CstRootNode::parse(text, &ParseOptions::default()).map_err(|error| error.to_string())
}

fn toml(text: &str) -> Result<toml_edit::DocumentMut, String> {
    text.parse().map_err(|error: toml_edit::TomlError| error.to_string())
}

/// A table that is only there for those in it.
fn implicit_table() -> toml_edit::Item {
    let mut table = toml_edit::Table::new();
    table.set_implicit(true);
    toml_edit::Item::Table(table)
}

fn toml_of(value: &Value) -> toml_edit::Value {
    match value {
        Value::Array(items) => items.iter().map(toml_of).collect::<toml_edit::Array>().into(),
        other => other.as_str().map_or_else(|| other.to_string(), ToOwned::to_owned).into(),
    }
}

/// What the agent wants to know, in its words.
fn entry_of(agent: &Agent, link: &Link) -> Result<Value, String> {
    let url = match link {
        Link::Start(program, args) => return Ok(json!({"command": program, "args": args})),
        Link::Url(url) => url,
    };
    Ok(match agent.name {
        "claude-code" | "vscode" => json!({"type": "http", "url": url}),
        "gemini" => json!({"httpUrl": url}),
        "windsurf" => json!({"serverUrl": url}),
        "claude-desktop" => return Err(format!("{} starts servers itself: leave --url out", agent.title)),
        _ => json!({"url": url}),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::AGENTS, *};

    #[test]
    fn what_is_added_can_be_taken_out_again() {
        let start = Link::Start("/usr/bin/toolcrib".into(), vec!["serve".into(), "--stdio".into()]);
        for agent in AGENTS {
            for before in match agent.shape {
                Shape::Json("context_servers") => [
                    "",
                    "// mine\n{\n  \"theme\": \"dark\", // loved\n  \"context_servers\": {\n    \"a\": { \"command\": \"b\" },\n  },\n}\n",
                ],
                Shape::Json("servers") => ["", "{\n  // mine\n  \"servers\": {\n    \"a\": { \"command\": \"b\" }\n  }\n}\n"],
                Shape::Json(_) => ["", "{\n  \"other\": 1.50,\n  \"mcpServers\": {\n    \"a\": { \"command\": \"b\" }\n  }\n}\n"],
                Shape::Toml(_) => ["", "# mine\nmodel = \"x\" # loved\n\n[mcp_servers.a]\ncommand = \"b\"\n"],
            } {
                let with = install(&agent, before, "toolcrib", &start).unwrap();
                let again = install(&agent, &with, "toolcrib", &start).unwrap();
                assert_eq!(with.matches("/usr/bin/toolcrib").count(), 1, "{with}");
                assert_eq!(again.matches("/usr/bin/toolcrib").count(), 1, "{again}");
                let without = uninstall(&agent, &with, "toolcrib").unwrap().unwrap();
                assert_eq!(uninstall(&agent, &without, "toolcrib").unwrap(), None);
                for line in before.lines().filter(|line| line.contains("//") || line.contains('#') || line.contains("1.50")) {
                    assert!(without.contains(line), "{line} is lost:\n{without}");
                }
                assert_eq!(
                    super::super::read(&agent, &without, &mut super::super::Hidden::default()).unwrap().len(),
                    usize::from(!before.is_empty()),
                    "{without}"
                );
            }
        }
        let url = Link::Url("http://127.0.0.1:3001/mcp".into());
        let of = |agent: &str| install(&Agent::named(agent).unwrap(), "", "toolcrib", &url);
        assert!(of("gemini").unwrap().contains("\"httpUrl\"") && of("codex").unwrap().contains("[mcp_servers.toolcrib]\nurl = "));
        assert!(of("claude-desktop").unwrap_err().contains("--url"));
    }
}
