//! The reference in `docs/reference`, made of the code: with `TOOLCRIB_WRITE_DOCS=1` these tests write it, else they see that it is as it
//! would be written.

use super::{Bare, environment, parser, schema::SCHEMA};
use crate::Crib;
use serde_json::Value;
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};
use toolcrib_contract::CallError;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Holds a page against what it should be.
fn settle(page: &str, text: &str) {
    let file = docs().join("reference").join(page);
    if environment("TOOLCRIB_WRITE_DOCS").is_some() {
        fs::write(&file, text).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == text,
        "{} is not up to date: TOOLCRIB_WRITE_DOCS=1 cargo test -p toolcrib --lib reference writes it",
        file.display()
    );
}

#[test]
fn every_command_is_there() {
    let mut text = "# Commands\n\nAs `toolcrib COMMAND --help` prints it.\n".to_owned();
    let mut root = parser(&Crib::builder().name("toolcrib", "0.1.0"), Bare::Helps).term_width(110);
    root.build();
    for command in root.get_subcommands_mut() {
        let name = command.get_name().to_owned();
        if name == "help" || command.is_hide_set() {
            continue;
        }
        let help = command.render_long_help().to_string();
        let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
        let _ = write!(text, "\n## toolcrib {name}\n\n```text\n{}\n```\n", lines.join("\n"));
    }
    settle("commands.md", &text);
}

/// The type of a value, in a word.
fn kind(part: &Value) -> String {
    if let Some(words) = part["enum"].as_array() {
        return words.iter().map(|word| format!("`{}`", word.as_str().unwrap_or_default())).collect::<Vec<_>>().join(", ");
    }
    match part["type"].as_str() {
        Some("array") => "list".to_owned(),
        Some("object") => "mapping".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("integer") => "whole number".to_owned(),
        Some("string") => "text".to_owned(),
        Some(other) => other.to_owned(),
        None if part["anyOf"].is_array() => {
            let mut kinds: Vec<String> = part["anyOf"].as_array().into_iter().flatten().map(kind).collect();
            kinds.dedup();
            kinds.join(" or ")
        }
        None if part["$ref"].is_string() => "mapping".to_owned(),
        None if part["const"].is_boolean() => part["const"].to_string(),
        None => "any".to_owned(),
    }
}

/// The rows of what may stand here, and in what stands here.
fn rows(root: &Value, part: &Value, path: &str, text: &mut String) {
    if let Some(name) = part["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
        return rows(root, &root["$defs"][name], path, text);
    }
    // A list or a mapping of the same is told once.
    let choices = part["anyOf"].as_array().into_iter().flatten();
    let mut seen = Vec::new();
    for choice in choices {
        let inner = choice.get("items").or(choice.get("additionalProperties")).filter(|inner| inner.is_object()).unwrap_or(choice);
        if inner.is_object() && !seen.contains(&inner) && (inner["properties"].is_object() || inner["$ref"].is_string()) {
            let is_direct = std::ptr::eq(inner, choice);
            rows(root, inner, &if is_direct { path.to_owned() } else { format!("{path}[]") }, text);
            seen.push(inner);
        }
    }
    if let Some(items) = part.get("items") {
        rows(root, items, &format!("{path}[]"), text);
    }
    for (key, property) in part["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let default = property.get("default").map(|value| format!(" Default {value}.")).unwrap_or_default();
        let about = property["description"].as_str().unwrap_or_default();
        let _ = writeln!(
            text,
            "| `{path}` | {} | {} |",
            kind(property).replace('|', "\\|"),
            format!("{about}{default}").trim().replace('|', "\\|")
        );
        rows(root, property, &path, text);
    }
    if part["additionalProperties"].is_object() {
        rows(root, &part["additionalProperties"], &format!("{path}.NAME"), text);
    }
}

#[test]
fn every_key_of_the_config_is_there() {
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut text = "# The config\n\nEvery key of `mcp-config.yaml`. `toolcrib schema` prints the same for editors; `toolcrib check` finds what does not fit.\n".to_owned();
    for (section, part) in root["properties"].as_object().unwrap() {
        let about = part["description"].as_str().unwrap_or_default();
        let _ = write!(text, "\n## {section}\n\n{about}{}", if about.is_empty() { "" } else { "\n\n" });
        let mut table = String::new();
        rows(&root, part, section, &mut table);
        if table.is_empty() {
            let _ = writeln!(text, "`{section}`: {}.", kind(part));
        } else {
            let _ = write!(text, "| key | value | |\n|---|---|---|\n{table}");
        }
    }
    settle("config.md", &text);
}

#[test]
fn every_error_is_there() {
    let mut text = "# Errors\n\nWhat a call can end with besides an answer: in records, in metrics (`error.type`) and in `error_type` of REST.\n\n| code | |\n|---|---|\n".to_owned();
    let mut codes = CallError::CODES;
    codes.sort_unstable();
    for code in codes {
        let page =
            fs::read_to_string(docs().join(format!("errors/{code}.md"))).unwrap_or_else(|error| panic!("docs/errors/{code}.md: {error}"));
        let about = page.lines().skip(1).find(|line| !line.is_empty()).unwrap_or_default();
        let _ = writeln!(text, "| [`{code}`](../errors/{code}.md) | {} |", about.replace('|', "\\|"));
    }
    assert_eq!(fs::read_dir(docs().join("errors")).unwrap().count(), codes.len(), "a page is of no error");
    settle("errors.md", &text);
}

/// The headings of a document, as links name them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let plain = heading.trim_start_matches('#').trim().to_lowercase();
            plain.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let repository = docs().join("..");
    let mut files = vec![repository.join("README.md"), repository.join("ARCHITECTURE.md"), repository.join("CONTRIBUTING.md")];
    ["docs", "examples", "bench"].iter().for_each(|folder| super::documented::documents(&repository.join(folder), &mut files));
    let (mut broken, mut count) = (String::new(), 0);
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        // What stands in a block of code is no link.
        let prose: String = text.split("```").step_by(2).collect();
        for target in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            let is_there = path.exists()
                && (anchor.is_empty() || fs::read_to_string(&path).is_ok_and(|text| anchors(&text).iter().any(|known| known == anchor)));
            if !is_there {
                let _ = writeln!(broken, "{}: {target}", file.display());
            }
        }
    }
    assert!(broken.is_empty(), "{broken}");
    assert!(count > 100, "only {count} links were found");
}

#[test]
fn the_book_has_every_chapter() {
    let summary = fs::read_to_string(docs().join("SUMMARY.md")).unwrap();
    let mut pages = Vec::new();
    super::documented::documents(&docs(), &mut pages);
    for page in pages.iter().filter(|page| !page.ends_with("SUMMARY.md")) {
        let path = page.strip_prefix(docs()).unwrap().display().to_string();
        assert!(summary.contains(&format!("({path})")), "{path} is in no chapter of docs/SUMMARY.md");
    }
}
