//! A config is edited as the text that it is: what is not touched stays as it was written, comments included.
//!
//! Only what stands on lines of its own is edited; what is written in one line, or in another way that is not understood, is left to
//! its author. What comes of an edit is read again before it is taken for one.

use super::{
    Lookup,
    document::{Faults, parse},
    raw,
};
use jsonc_parser::{
    ParseOptions,
    cst::{CstInputValue, CstObject, CstRootNode},
};
use saphyr::{MarkedYaml, YamlData};
use serde_json::{Map, Value};
use std::{ops::Range, path::Path};

/// An entry of `mcpServers`, without its name: `command`, `args`, `url` …
pub(crate) type Entry = Map<String, Value>;

/// Where the servers stand.
const SECTION: &str = "mcpServers";

/// Adds a server.
///
/// # Errors
/// Why that is for its author to do.
pub(crate) fn add(text: &str, name: &str, entry: &Entry) -> Result<String, String> {
    if names(text)?.iter().any(|known| known == name) {
        return Err(format!("there is a server {name:?} already: `toolcrib edit {name}` changes it, `toolcrib remove {name}` removes it"));
    }
    let edited = if is_json(text) { Json::of(text)?.add(name, entry)? } else { Lines::of(text).add(name, entry)? };
    verified(text, edited, |names| names.push(name.to_owned()))
}

/// Removes a server, and the comment right above it.
///
/// # Errors
/// Why that is for its author to do; that there is none of that name.
pub(crate) fn remove(text: &str, name: &str) -> Result<String, String> {
    known(text, name)?;
    let edited = if is_json(text) { Json::of(text)?.remove(name)? } else { Lines::of(text).remove(name)? };
    verified(text, edited, |names| names.retain(|other| other != name))
}

/// Sets keys of a server, or, without a value, removes them.
///
/// # Errors
/// Why that is for its author to do; that there is none of that name.
pub(crate) fn change(text: &str, name: &str, changes: &[(String, Option<Value>)]) -> Result<String, String> {
    known(text, name)?;
    let mut edited = text.to_owned();
    for (key, value) in changes {
        edited = match is_json(&edited) {
            true => Json::of(&edited)?.change(name, key, value.as_ref())?,
            false => Lines::of(&edited).change(name, key, value.as_ref())?,
        };
    }
    verified(text, edited, |_| {})
}

/// The names of the servers in a config.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn names(text: &str) -> Result<Vec<String>, String> {
    let nothing: Lookup<'_> = &|_| Some(String::new());
    let mut faults = Faults::default();
    // What variables stand for does not matter here.
    let written = raw::read(text, Path::new("the config"), nothing, &mut faults);
    match faults.iter().find(|fault| fault.key.is_empty()) {
        Some(fault) => Err(fault.to_string()),
        None => Ok(written.servers.into_iter().filter_map(|server| server.name).map(|name| name.value).collect()),
    }
}

fn known(text: &str, name: &str) -> Result<(), String> {
    let names = names(text)?;
    if names.iter().any(|known| known == name) {
        return Ok(());
    }
    let known = if names.is_empty() { "there are none".to_owned() } else { format!("known are {}", names.join(", ")) };
    Err(format!("there is no server {name:?}; {known}"))
}

/// What came of an edit, if the servers in it are those that are meant.
fn verified(before: &str, after: String, expect: impl FnOnce(&mut Vec<String>)) -> Result<String, String> {
    let (mut expected, mut found) = (names(before)?, names(&after)?);
    expect(&mut expected);
    expected.sort_unstable();
    found.sort_unstable();
    if expected == found {
        Ok(after)
    } else {
        Err("the file is written in a way that is not understood well enough: edit it by hand".to_owned())
    }
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// A config in JSON, as it is shared with an agent.
struct Json {
    root: CstRootNode,
}

impl Json {
    fn of(text: &str) -> Result<Self, String> {
        CstRootNode::parse(text, &ParseOptions::default()).map(|root| Self { root }).map_err(|error| error.to_string())
    }

    fn servers(&self) -> Option<CstObject> {
        self.root.object_value_or_create()?.object_value_or_create(SECTION)
    }

    fn add(self, name: &str, entry: &Entry) -> Result<String, String> {
        let servers = self.servers().ok_or(BY_HAND)?;
        servers.append(name, input(&Value::Object(entry.clone())));
        servers.ensure_multiline();
        Ok(self.root.to_string())
    }

    fn remove(self, name: &str) -> Result<String, String> {
        self.servers().and_then(|servers| servers.get(name)).ok_or(BY_HAND)?.remove();
        Ok(self.root.to_string())
    }

    fn change(self, name: &str, key: &str, value: Option<&Value>) -> Result<String, String> {
        let server = self.servers().and_then(|servers| servers.object_value(name)).ok_or(BY_HAND)?;
        match (server.get(key), value) {
            (Some(property), Some(value)) => property.set_value(input(value)),
            (Some(property), None) => property.remove(),
            (None, Some(value)) => drop(server.append(key, input(value))),
            (None, None) => {}
        }
        Ok(self.root.to_string())
    }
}

/// A value, as it is put into a document.
pub(crate) fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(flag) => CstInputValue::Bool(*flag),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(input).collect()),
        Value::Object(members) => CstInputValue::Object(members.iter().map(|(key, value)| (key.clone(), input(value))).collect()),
    }
}

const BY_HAND: &str = "the file is written in a way that is not understood well enough: edit it by hand (toolcrib edit)";

/// A config in YAML, line by line.
struct Lines<'a> {
    text: &'a str,
    lines: Vec<&'a str>,
}

/// One server, as it stands there.
struct Place {
    /// The column of the dash, or of the name.
    column: usize,
    lines: Range<usize>,
    /// Its keys, each with its lines, if they stand on lines of their own.
    keys: Vec<(String, usize)>,
    key_column: usize,
    is_item: bool,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, lines: text.lines().collect() }
    }

    fn add(&self, name: &str, entry: &Entry) -> Result<String, String> {
        let as_item = |column: usize| rendered(&with_name(name, entry), column, true);
        let mut faults = Faults::default();
        let document = parse(self.text, Path::new("the config"), &mut faults);
        let section = document.as_ref().and_then(section);
        let Some((line, value)) = section else {
            let gap = if self.text.trim().is_empty() { "" } else { "\n" };
            let end = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { "\n" };
            return Ok(format!("{}{end}{gap}{SECTION}:\n{}", self.text, as_item(2).join("\n") + "\n"));
        };
        let places = self.places(value)?;
        match (&value.data, places.last()) {
            (_, Some(last)) if last.is_item => Ok(self.spliced(last.lines.end..last.lines.end, &as_item(last.column))),
            (_, Some(last)) => {
                let mut lines = vec![format!("{}{}:", " ".repeat(last.column), plain(name))];
                lines.extend(rendered(entry, last.column + 2, false));
                Ok(self.spliced(last.lines.end..last.lines.end, &lines))
            }
            // Nothing stands there yet, or an empty list in brackets.
            (_, None) => {
                let mut lines = vec![format!("{SECTION}:")];
                lines.extend(as_item(2));
                Ok(self.spliced(line..line + 1, &lines))
            }
        }
    }

    fn remove(&self, name: &str) -> Result<String, String> {
        let mut faults = Faults::default();
        let document = parse(self.text, Path::new("the config"), &mut faults).ok_or(BY_HAND)?;
        let (line, value) = section(&document).ok_or(BY_HAND)?;
        let places = self.places(value)?;
        let index = server_index(value, name).ok_or(BY_HAND)?;
        let place = places.get(index).ok_or(BY_HAND)?;
        if places.len() == 1 {
            return Ok(self.spliced(line..place.lines.end, &[format!("{SECTION}: []")]));
        }
        let mut from = place.lines.start;
        // What is said right above it is said of it; above the first one, it may be said of all.
        while index > 0 && self.lines[from - 1].trim_start().starts_with('#') && indentation(self.lines[from - 1]) == place.column {
            from -= 1;
        }
        Ok(self.spliced(from..place.lines.end, &[]))
    }

    fn change(&self, name: &str, key: &str, value: Option<&Value>) -> Result<String, String> {
        let mut faults = Faults::default();
        let document = parse(self.text, Path::new("the config"), &mut faults).ok_or(BY_HAND)?;
        let (_, servers) = section(&document).ok_or(BY_HAND)?;
        let places = self.places(servers)?;
        let place = server_index(servers, name).and_then(|index| places.get(index)).ok_or(BY_HAND)?;
        if place.keys.is_empty() {
            return Err(format!("{name} is written in one line: edit it by hand (toolcrib edit)"));
        }
        let found = place.keys.iter().position(|(known, _)| known == key);
        let one: Entry = value.map(|value| (key.to_owned(), value.clone())).into_iter().collect();
        let mut lines = rendered(&one, place.key_column, false);
        match found {
            None => Ok(self.spliced(place.lines.end..place.lines.end, &lines)),
            Some(index) => {
                let from = place.keys[index].1;
                let until = self.end_of_value(from, place.key_column, place.lines.end);
                if let (Some(comment), Some(line)) = (self.comment_of(from, until), lines.first_mut()) {
                    line.push_str(comment);
                }
                // The first key of an item stands behind its dash, and must be there.
                if index == 0 && place.is_item {
                    match lines.first_mut() {
                        Some(first) => first.replace_range(place.column..=place.column, "-"),
                        None => return Err(BY_HAND.to_owned()),
                    }
                }
                Ok(self.spliced(from..until, &lines))
            }
        }
    }

    /// The servers, in their order.
    fn places(&self, value: &MarkedYaml<'_>) -> Result<Vec<Place>, String> {
        let starts: Vec<(usize, usize, &MarkedYaml<'_>, bool)> = match &value.data {
            YamlData::Sequence(items) => items.iter().map(|item| (item.span.start.line() - 1, item.span.start.col(), item, true)).collect(),
            YamlData::Mapping(entries) => {
                entries.iter().map(|(key, value)| (key.span.start.line() - 1, key.span.start.col(), value, false)).collect()
            }
            _ => Vec::new(),
        };
        let mut places = Vec::new();
        for (line, column, node, is_item) in starts {
            let text = self.lines.get(line).ok_or(BY_HAND)?;
            let column = if is_item { indentation(text) } else { column };
            let begins = text.get(column..).unwrap_or_default();
            let is_on_its_own = if is_item { begins.starts_with('-') } else { indentation(text) == column };
            let is_after_another = places.last().is_some_and(|place: &Place| place.lines.start == line);
            if !is_on_its_own || is_after_another || column == 0 && !is_item {
                return Err(format!(
                    "{SECTION} is written in one line: write each server on lines of its own, or edit it by hand (toolcrib edit)"
                ));
            }
            let (keys, key_column) = self.keys(node, line);
            places.push(Place { column, lines: line..self.end_of(line, column, self.lines.len()), keys, key_column, is_item });
        }
        Ok(places)
    }

    fn keys(&self, node: &MarkedYaml<'_>, line: usize) -> (Vec<(String, usize)>, usize) {
        let YamlData::Mapping(entries) = &node.data else { return (Vec::new(), 0) };
        let keys: Vec<(String, usize, usize)> =
            entries.iter().filter_map(|(key, _)| Some((text_of(key)?, key.span.start.line() - 1, key.span.start.col()))).collect();
        let column = keys.first().map_or(0, |(_, _, column)| *column);
        let is_in_braces =
            self.lines.get(line).is_some_and(|text| text.trim_start_matches(['-', ' ']).starts_with('{') || text.trim_end().ends_with('}'));
        let is_own = keys.windows(2).all(|pair| pair[0].1 < pair[1].1 && pair[1].2 == column) && !is_in_braces;
        if is_own { (keys.into_iter().map(|(key, line, _)| (key, line)).collect(), column) } else { (Vec::new(), 0) }
    }

    /// Where what begins on this line ends: before the next line that is not further in. Blank lines and comments behind it are not its own.
    fn end_of(&self, line: usize, column: usize, limit: usize) -> usize {
        let is_inside = |text: &str| text.trim().is_empty() || text.trim_start().starts_with('#') || indentation(text) > column;
        let next = (line + 1..limit).find(|index| !is_inside(self.lines[*index])).unwrap_or(limit);
        let is_own = |index: &usize| {
            let text = self.lines[*index];
            !text.trim().is_empty() && (!text.trim_start().starts_with('#') || indentation(text) > column)
        };
        (line..next).rev().find(is_own).map_or(line + 1, |last| last + 1)
    }

    /// Where the value of a key ends: a list may stand in the column of its key.
    fn end_of_value(&self, line: usize, column: usize, limit: usize) -> usize {
        let is_item = |text: &str| indentation(text) == column && text[column..].starts_with("- ");
        let mut end = self.end_of(line, column, limit);
        while end < limit && self.lines.get(end).is_some_and(|text| is_item(text)) {
            end = self.end_of(end, column, limit);
        }
        end
    }

    /// The comment behind a value on one line, with the blanks before it.
    fn comment_of(&self, from: usize, until: usize) -> Option<&'a str> {
        let line = self.lines[from];
        let hash = line.rfind(" #").filter(|_| until == from + 1)?;
        let is_in_quotes = line[..hash].matches('"').count() % 2 == 1 || line[..hash].matches('\'').count() % 2 == 1;
        let begin = line[..hash].trim_end().len();
        (!is_in_quotes).then(|| &line[begin..])
    }

    fn spliced(&self, range: Range<usize>, lines: &[String]) -> String {
        // Lines end as they do in the file.
        let end = if self.text.contains("\r\n") { "\r\n" } else { "\n" };
        let before = self.lines[..range.start].iter().copied();
        let after = self.lines[range.end..].iter().copied();
        let all = before.chain(lines.iter().map(String::as_str)).chain(after);
        all.map(|line| format!("{line}{end}")).collect()
    }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn text_of(yaml: &MarkedYaml<'_>) -> Option<String> {
    if let YamlData::Representation(text, ..) = &yaml.data { Some(text.to_string()) } else { None }
}

/// The line of the section, and what stands in it.
fn section<'a>(document: &'a MarkedYaml<'a>) -> Option<(usize, &'a MarkedYaml<'a>)> {
    let YamlData::Mapping(entries) = &document.data else { return None };
    let (key, value) = entries.iter().find(|(key, _)| text_of(key).as_deref() == Some(SECTION))?;
    Some((key.span.start.line() - 1, value))
}

/// Which of the servers has this name.
fn server_index(servers: &MarkedYaml<'_>, name: &str) -> Option<usize> {
    let is_named = |entry: &MarkedYaml<'_>| {
        let YamlData::Mapping(members) = &entry.data else { return false };
        members.iter().any(|(key, value)| text_of(key).as_deref() == Some("name") && text_of(value).as_deref() == Some(name))
    };
    match &servers.data {
        YamlData::Sequence(items) => items.iter().position(is_named),
        YamlData::Mapping(entries) => entries.iter().position(|(key, _)| text_of(key).as_deref() == Some(name)),
        _ => None,
    }
}

fn with_name(name: &str, entry: &Entry) -> Entry {
    let name = ("name".to_owned(), Value::from(name));
    std::iter::once(name).chain(entry.clone()).collect()
}

/// The lines of an entry: a key on each, the first behind a dash if it is an item.
fn rendered(entry: &Entry, column: usize, is_item: bool) -> Vec<String> {
    let margin = " ".repeat(column);
    let lines = entry.iter().enumerate().map(|(index, (key, value))| {
        let dash = match (is_item, index) {
            (true, 0) => "- ",
            (true, _) => "  ",
            (false, _) => "",
        };
        format!("{margin}{dash}{}: {}", plain(key), flow(value))
    });
    lines.collect()
}

/// A value on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members: Vec<String> = members.iter().map(|(key, value)| format!("{}: {}", plain(key), flow(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string(),
    }
}

/// A text as it stands in YAML: without quotes only where nobody could take it for something else.
fn plain(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '.')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | '.' | '@' | '+'))
        && !matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n")
        && text.parse::<f64>().is_err();
    // JSON's quotes are YAML's.
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(value: Value) -> Entry {
        value.as_object().unwrap().clone()
    }

    const LIST: &str = "# ours\nclaude:\n  mcp: { timeout: 7 }   # short\n\nmcpServers:\n  # of the team\n  - name: one      # first\n    command: npx\n    args:\n      - -y\n      - \"@a/b\"\n\n  # slow\n  - name: two\n    url: https://two.example/mcp\n    headers:\n      Authorization: \"Bearer ${T}\"   # secret\n\n# last\naudit: { maxAgeDays: 9 }\n";
    const MAP: &str = "mcpServers:\n  one: { command: a }\n  two:\n    command: b\n    env: {X: y}\n";

    #[test]
    fn servers_are_added_where_the_others_stand() {
        let three = entry(json!({"command": "uvx", "args": ["x", "--flag=1", "no"], "env": {"K": "${K}"}}));
        let added = add(LIST, "three", &three).unwrap();
        let lines = "  - name: three\n    command: uvx\n    args: [x, \"--flag=1\", \"no\"]\n    env: { K: \"${K}\" }\n";
        assert_eq!(added, LIST.replace("   # secret\n", &format!("   # secret\n{lines}")));
        let added = add(MAP, "three", &three).unwrap();
        assert_eq!(added, format!("{MAP}  three:\n    command: uvx\n    args: [x, \"--flag=1\", \"no\"]\n    env: {{ K: \"${{K}}\" }}\n"));
        for empty in ["", "# nothing yet\n", "claude: {}", "mcpServers:\n", "mcpServers: []\n", "mcpServers: {} # none\naudit: {}\n"] {
            let added = add(empty, "three", &three).unwrap();
            assert_eq!(names(&added).unwrap(), ["three"], "{added}");
            assert!(empty.lines().filter(|line| !line.starts_with("mcpServers")).all(|line| added.contains(line)), "{added}");
        }
        assert!(add(LIST, "one", &three).unwrap_err().contains("already"));
        assert!(add("mcpServers: [{name: a, command: b}]\n", "c", &three).unwrap_err().contains("one line"));
    }

    #[test]
    fn servers_are_removed_with_what_is_said_of_them() {
        assert_eq!(
            remove(LIST, "two").unwrap(),
            "# ours\nclaude:\n  mcp: { timeout: 7 }   # short\n\nmcpServers:\n  # of the team\n  - name: one      # first\n    command: npx\n    args:\n      - -y\n      - \"@a/b\"\n\n\n# last\naudit: { maxAgeDays: 9 }\n"
        );
        let removed = remove(LIST, "one").unwrap();
        assert!(removed.contains("# of the team\n\n  # slow\n  - name: two") && !removed.contains("npx"), "{removed}");
        assert_eq!(names(&remove(&removed, "two").unwrap()).unwrap(), Vec::<String>::new());
        assert_eq!(remove(MAP, "one").unwrap(), "mcpServers:\n  two:\n    command: b\n    env: {X: y}\n");
        assert!(remove(LIST, "three").unwrap_err().contains("known are one, two"));
    }

    #[test]
    fn keys_of_servers_are_changed() {
        let set = |text: &str, name: &str, key: &str, value: Value| change(text, name, &[(key.to_owned(), Some(value))]).unwrap();
        assert_eq!(set(LIST, "one", "args", json!(["z"])), LIST.replace("    args:\n      - -y\n      - \"@a/b\"\n", "    args: [z]\n"));
        assert_eq!(set(LIST, "two", "timeout", json!(5)), LIST.replace("   # secret\n", "   # secret\n    timeout: 5\n"));
        assert_eq!(set(MAP, "two", "command", json!("c")), MAP.replace("command: b", "command: c"));
        let at_column = "mcpServers:\n  - name: a\n    command: b   # why\n    args:\n    - -c\n    - d\n    timeout: 3\n";
        assert_eq!(set(at_column, "a", "args", json!(["e"])), at_column.replace("    args:\n    - -c\n    - d\n", "    args: [e]\n"));
        assert_eq!(set(at_column, "a", "command", json!("c")), at_column.replace("command: b   # why", "command: c   # why"));
        let windows = at_column.replace('\n', "\r\n");
        assert_eq!(set(&windows, "a", "timeout", json!(4)), windows.replace("timeout: 3", "timeout: 4"));
        let renamed = change(LIST, "one", &[("name".into(), Some(json!("uno")))]);
        assert!(renamed.is_err(), "a name is no key: {renamed:?}");
        assert_eq!(
            change(LIST, "two", &[("headers".into(), None)]).unwrap(),
            LIST.replace("    headers:\n      Authorization: \"Bearer ${T}\"   # secret\n", "")
        );
        assert!(change(MAP, "one", &[("args".into(), Some(json!([])))]).unwrap_err().contains("one line"));
    }

    #[test]
    fn json_stays_json() {
        let text = "{\n  \"mcpServers\": {\n    \"one\": { \"command\": \"a\" }\n  }\n}\n";
        let added = add(text, "two", &entry(json!({"url": "http://x/mcp"}))).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&added).unwrap()["mcpServers"]["two"]["url"], "http://x/mcp");
        assert!(added.starts_with("{\n  \"mcpServers\": {\n    \"one\": { \"command\": \"a\" },\n    \"two\": {"), "{added}");
        assert_eq!(names(&remove(&added, "one").unwrap()).unwrap(), ["two"]);
        let changed = change(&added, "one", &[("args".into(), Some(json!(["b"])))]).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&changed).unwrap()["mcpServers"]["one"]["args"], json!(["b"]));
    }
}
