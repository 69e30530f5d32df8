//! Whether what the documentation shows can be typed: every command line is one that we understand, every config is sound, all JSON
//! is JSON. Blocks of Rust are compiled as tests of the documentation.

use super::{Bare, Cli, parser};
use crate::{
    Crib,
    settings::{self, SettingsError},
};
use clap::FromArgMatches;
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// A block of a document: where it begins, its language, and what it holds.
struct Block {
    place: String,
    language: String,
    text: String,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(super) fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            documents(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "md") {
            found.push(entry);
        }
    }
}

fn blocks() -> Vec<Block> {
    let mut files = vec![repository().join("README.md")];
    ["docs", "examples"].iter().for_each(|folder| documents(&repository().join(folder), &mut files));
    let mut blocks = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let mut open: Option<Block> = None;
        for (number, line) in text.lines().enumerate() {
            match (&mut open, line.trim_start().strip_prefix("```")) {
                (None, Some(language)) => {
                    let place = format!("{}:{}", file.strip_prefix(repository()).unwrap().display(), number + 1);
                    open = Some(Block { place, language: language.to_owned(), text: String::new() });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(block), None) => {
                    let _ = writeln!(block.text, "{line}");
                }
                (None, None) => {}
            }
        }
    }
    blocks
}

/// The words of a command line, as a shell reads them, up to a comment or another command.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote): (Vec<String>, Option<String>, Option<char>) = (Vec::new(), None, None);
    for character in line.chars() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (Some(_), inner) => word.get_or_insert_default().push(inner),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, '#') if word.is_none() => break,
            (None, '&' | '|' | ';' | '>') => break,
            (None, plain) => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    words
}

/// What `toolcrib`, or a server of ours, is given in this line.
fn arguments(line: &str) -> Option<Vec<String>> {
    let mut words = words(line.trim().trim_start_matches("$ "));
    while words.first().is_some_and(|word| word.contains('=')) {
        words.remove(0);
    }
    match words.first()?.as_str() {
        "toolcrib" => Some(words),
        "cargo" if words.get(1).is_some_and(|word| word == "run") => {
            let rest = words.iter().position(|word| word == "--").map_or(words.len(), |index| index + 1);
            Some(std::iter::once("program".to_owned()).chain(words.drain(rest..)).collect())
        }
        _ => None,
    }
}

#[test]
fn every_command_line_is_understood() {
    let (mut faults, mut count) = (String::new(), 0);
    for block in blocks().iter().filter(|block| matches!(block.language.as_str(), "sh" | "console")) {
        // Of what was seen on a console, only what was typed.
        let is_typed = |line: &&str| block.language == "sh" || line.starts_with("$ ");
        for given in block.text.replace("\\\n", " ").lines().filter(is_typed).filter_map(arguments) {
            count += 1;
            let bare = if given[0] == "toolcrib" { Bare::Helps } else { Bare::Serves };
            let read = parser(&Crib::builder(), bare).try_get_matches_from(&given).and_then(|matches| Cli::from_arg_matches(&matches));
            if let Err(error) = read {
                let _ = writeln!(faults, "{}: {given:?}: {error}", block.place);
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
    assert!(count > 30, "only {count} command lines were found");
}

#[test]
fn every_config_is_sound() {
    let folder = std::env::temp_dir().join(format!("toolcrib-documented-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (mut faults, mut count) = (String::new(), 0);
    let schema = serde_json::from_str(super::schema::SCHEMA).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    // As `openssl rand -base64 32` gives one.
    let lookup = |name: &str| match name {
        "STORAGE_KEY" => Some("0f".repeat(32)),
        "POD_IP" => Some("10.0.0.5".to_owned()),
        other => (!other.to_lowercase().contains("proxy")).then(|| "q1Vd0nYxkT8mZr5sHc2LwJ7uPb9eGfA4tKoXiRvN6Ms=".to_owned()),
    };
    for block in blocks().iter().filter(|block| block.language == "yaml") {
        count += 1;
        let file = folder.join("mcp-config.yaml");
        // A secret that lies in a file lies nowhere here.
        let text = block.text.split("${file:").enumerate().map(|(index, part)| match part.split_once('}') {
            Some((_, rest)) if index > 0 => format!("${{SECRET}}{rest}"),
            _ => part.to_owned(),
        });
        fs::write(&file, text.collect::<String>()).unwrap();
        // What editors are told by is the same.
        let value = settings::document::value_of(&block.text, &file).unwrap_or_default();
        for error in schema.iter_errors(&value) {
            let _ = writeln!(faults, "{}: the schema: {}: {error}", block.place, error.instance_path());
        }
        let Err(SettingsError::Faulty(found)) = settings::read(&file, &lookup) else { continue };
        // What a document speaks of does not lie here.
        let is_absent = |message: &str| {
            ["there is no file", "there is no folder", "there is no directory", "cannot read", "No such file"]
                .iter()
                .any(|absent| message.contains(absent))
        };
        for fault in found.iter().filter(|fault| !is_absent(&fault.message)) {
            let _ = writeln!(faults, "{}: {fault}", block.place);
        }
    }
    fs::remove_dir_all(folder).unwrap();
    assert!(faults.is_empty(), "{faults}");
    assert!(count > 10, "only {count} configs were found");
}

#[test]
fn all_json_is_json() {
    for block in blocks().iter().filter(|block| block.language == "json") {
        let read: Result<serde_json::Value, _> = serde_json::from_str(&block.text);
        assert!(read.is_ok(), "{}: {read:?}", block.place);
    }
}

#[test]
fn words_are_read_as_a_shell_reads_them() {
    assert_eq!(words(r#"toolcrib call x 'a b'=c "d=e f" # why"#), ["toolcrib", "call", "x", "a b=c", "d=e f"]);
    assert_eq!(words("toolcrib serve & toolcrib list"), ["toolcrib", "serve"]);
    assert_eq!(arguments("PORT=1 cargo run --example weather -- list --json").unwrap(), ["program", "list", "--json"]);
    assert_eq!(arguments("cargo test"), None);
}
