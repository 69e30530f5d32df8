//! `toolcrib schema`: what may stand in a config, for editors.

use super::{Done, print};
use clap::Args;

/// The schema, draft 2020-12.
pub(super) const SCHEMA: &str = include_str!("schema/config.json");

/// Print the JSON Schema of the config. A line `# yaml-language-server: $schema=FILE` at its top has editors use it.
#[derive(Debug, Args)]
pub(super) struct Schema {}

impl Schema {
    #[expect(clippy::unused_self, reason = "as all commands")]
    pub(super) fn run(self) -> Done {
        print(SCHEMA.trim_end());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{self, SettingsError};
    use serde_json::{Map, Value, json};
    use std::collections::BTreeSet;

    fn schema() -> Value {
        serde_json::from_str(SCHEMA).unwrap()
    }

    /// What is said of a config with this in it: the keys that are known where an unknown one stands.
    fn known_at(config: &Value) -> Option<BTreeSet<String>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mcp-config.yaml");
        std::fs::write(&file, config.to_string()).unwrap();
        let Err(SettingsError::Faulty(faults)) = settings::read(&file, &|_| None) else { return None };
        let told = faults.iter().find(|fault| fault.key.ends_with(UNKNOWN) || fault.message.starts_with("unknown key; known are"))?;
        let list = told.message.split_once("known are ")?.1.to_owned();
        Some(list.split(", ").map(ToOwned::to_owned).collect())
    }

    /// A key that is like none.
    const UNKNOWN: &str = "qqqqqqqqqqqqqqqqqqqq";

    /// Is shown the way to an object of the schema, and its properties.
    type Visit<'a> = dyn FnMut(&[Value], &Map<String, Value>) + 'a;

    /// Every object of the schema that takes only certain keys, with a config that reaches it.
    fn walk(root: &Value, part: &Value, path: &mut Vec<Value>, visit: &mut Visit<'_>) {
        if let Some(name) = part["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
            return walk(root, &root["$defs"][name], path, visit);
        }
        for choice in part["anyOf"].as_array().into_iter().flatten() {
            walk(root, choice, path, visit);
        }
        if let Some(items) = part.get("items") {
            path.push(json!(0));
            walk(root, items, path, visit);
            path.pop();
        }
        let properties = part["properties"].as_object();
        if let Some(properties) = properties {
            if part["additionalProperties"] == false {
                visit(path, properties);
            }
            for (key, property) in properties {
                path.push(json!(key));
                walk(root, property, path, visit);
                path.pop();
            }
        }
        if part["additionalProperties"].is_object() {
            path.push(json!("name"));
            walk(root, &part["additionalProperties"], path, visit);
            path.pop();
        }
    }

    /// A config that has an unknown key at this place, and what it takes for that place to be read.
    fn config_at(path: &[Value]) -> Value {
        let mut value = json!({UNKNOWN: 1});
        for (index, step) in path.iter().enumerate().rev() {
            value = match step.as_u64() {
                Some(_) => json!([value]),
                None => json!({step.as_str().unwrap(): value}),
            };
            // What is declared is told from settings of ready tools by what it does.
            if index == 2 && path[0] == "tools" && step != "http" && value.get("http").is_none() && path[1] == "name" {
                value["http"] = json!({});
            }
        }
        if path.len() == 2 && path[0] == "tools" && path[1] == "name" {
            value["tools"]["name"]["http"] = json!({});
        }
        value
    }

    #[test]
    fn it_knows_the_keys_that_the_config_knows_and_no_others() {
        let root = schema();
        let (mut wrong, mut looked) = (Vec::new(), 0);
        walk(&root, &root, &mut Vec::new(), &mut |path, properties| {
            let ours: BTreeSet<String> = properties.keys().cloned().collect();
            let Some(theirs) = known_at(&config_at(path)) else { return wrong.push(format!("{path:?}: not reached")) };
            looked += 1;
            if ours != theirs {
                wrong.push(format!("{path:?}: only in the schema {:?}, only in the config {:?}", &ours - &theirs, &theirs - &ours));
            }
        });
        assert!(wrong.is_empty() && looked > 30, "{looked}\n{}", wrong.join("\n"));
    }
}
