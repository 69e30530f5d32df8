//! The part of a JSON answer that is wanted, by JSONPath (RFC 9535). It is no language: there is no program to bound.

use super::Failure;
use serde_json::Value;
use serde_json_path::JsonPath;
use std::borrow::Cow;
use toolcrib_contract::Json;

const MAX_BYTES: usize = 500;
/// The largest document that is searched: as a tree it is many times as large.
const MAX_JSON_BYTES: usize = 5 << 20;
/// The most parts that one path may select.
const MAX_NODES: usize = 10_000;
/// From this length on, a number may have more digits than a tree keeps.
const LONG_NUMBER: usize = 16;
/// What a number that is kept as a text begins with.
const KEPT_ESCAPED: &str = "\"\\u0000#";

/// A path that was understood.
pub(crate) struct Select {
    path: JsonPath,
    is_singular: bool,
    has_filter: bool,
}

impl Select {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        // `.items[0]`, as jq writes it, is meant as `$.items[0]`.
        let separator = if text.starts_with(['.', '[']) { "" } else { "." };
        let text = if text.starts_with('$') { text.to_owned() } else { format!("${separator}{text}") };
        refuse_costly(&text)?;
        let path = JsonPath::parse(&text).map_err(|error| bad(format!("{text:?} is no JSONPath (RFC 9535): {error}")))?;
        let outside_of_quotes = unquoted(&text);
        let is_singular = !outside_of_quotes.contains(['*', '?', ':', ',']) && !outside_of_quotes.contains("..");
        Ok(Self { path, is_singular, has_filter: outside_of_quotes.contains('?') })
    }

    /// What the path selects: one part, or the list of all parts. Numbers keep their text, unless the path compares them.
    pub(crate) fn apply(&self, json: &Json) -> Result<Option<Json>, Failure> {
        if json.size_bytes() > MAX_JSON_BYTES {
            return Err(bad(format!("the answer has {} bytes, more than the {MAX_JSON_BYTES} that are searched", json.size_bytes())));
        }
        // A filter compares numbers, so there they must be numbers.
        let text = if self.has_filter { Cow::Borrowed(json.as_str()) } else { with_numbers_kept(json.as_str()) };
        let tree = Json::parse(text.into_owned()).and_then(|json| json.to_value()).map_err(|error| bad(error.to_string()))?;
        let nodes = self.path.query(&tree);
        if nodes.len() > MAX_NODES {
            return Err(bad(format!("the select gives {} parts, more than {MAX_NODES}", nodes.len())));
        }
        let mut parts = nodes.into_iter().map(written);
        Ok(if self.is_singular { parts.next() } else { Some(Json::array(parts)) })
    }
}

fn bad(reason: impl Into<String>) -> Failure {
    Failure::new("bad_select", reason)
}

/// Refuses paths whose cost grows faster than the document: filters within filters, filters that look at the whole document
/// for each of its parts, patterns, and more than one `..`.
fn refuse_costly(text: &str) -> Result<(), Failure> {
    let outside_of_quotes = unquoted(text);
    let count = |what: &str| outside_of_quotes.matches(what).count();
    if text.len() > MAX_BYTES || count("..") > 1 || count("?") > 1 || count("$") > 1 {
        return Err(bad(format!("a select has at most {MAX_BYTES} bytes, one `..`, one filter, and its `$` at the start")));
    }
    if count("match(") + count("search(") > 0 {
        return Err(bad("a select cannot use match() or search(); compare with == instead"));
    }
    Ok(())
}

/// The path without what stands in quotes.
fn unquoted(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => {
                characters.next();
            }
            (Some(open), close) if open == close => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, character) => plain.push(character),
        }
    }
    plain
}

/// The document with its long numbers and its decimals as marked texts, since a tree would round or rewrite them.
fn with_numbers_kept(text: &str) -> Cow<'_, str> {
    if text.contains(KEPT_ESCAPED) {
        // Somebody else's texts look like ours: better rounded numbers than wrong ones.
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let is_part = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    let (mut kept, mut done, mut index) = (String::new(), 0, 0);
    while index < bytes.len() {
        match bytes[index] {
            b'"' => {
                index += 1;
                while index < bytes.len() && bytes[index] != b'"' {
                    index += if bytes[index] == b'\\' { 2 } else { 1 };
                }
                index += 1;
            }
            b'0'..=b'9' | b'-' => {
                let start = index;
                while index < bytes.len() && is_part(bytes[index]) {
                    index += 1;
                }
                let number = &text[start..index];
                if number.len() >= LONG_NUMBER || number.contains(['.', 'e', 'E']) {
                    kept.push_str(&text[done..start]);
                    kept.push_str(KEPT_ESCAPED);
                    kept.push_str(number);
                    kept.push('"');
                    done = index;
                }
            }
            _ => index += 1,
        }
    }
    if done == 0 { Cow::Borrowed(text) } else { Cow::Owned(kept + &text[done..]) }
}

/// A part as it was written, its kept numbers as numbers again.
fn written(node: &Value) -> Json {
    let json = Json::from(node);
    let Some((first, rest)) = json.as_str().split_once(KEPT_ESCAPED) else { return json };
    let mut text = first.to_owned();
    for piece in rest.split(KEPT_ESCAPED) {
        let (number, after) = piece.split_once('"').unwrap_or((piece, ""));
        text.push_str(number);
        text.push_str(after);
    }
    Json::parse(text).unwrap_or(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_document_is_searched_in_time_that_grows_with_it() {
        let objects = format!("[{}1e400]", r#"{"name": "e-12345678901234567890", "id": 1.50},"#.repeat(20_000));
        let Ok(select) = Select::parse("$[0].id") else { panic!() };
        assert_eq!(select.apply(&Json::parse(objects).unwrap()).ok().flatten().unwrap().as_str(), "1.50");
        let deep = format!("{}{}{}", "[".repeat(100), vec!["1"; 9_000].join(","), "]".repeat(100));
        let Ok(select) = Select::parse("$..*") else { panic!() };
        assert!(select.apply(&Json::parse(deep).unwrap()).is_ok());
    }

    #[test]
    fn a_path_selects_what_it_says_and_numbers_keep_their_text() {
        let json =
            Json::parse(r#"{"items": [{"id": 12345678901234567890123, "name": "a"}, {"id": 2, "name": "b"}], "price": 1.50}"#).unwrap();
        let check = |path: &str, expected: &str| {
            let Ok(select) = Select::parse(path) else { panic!("{path}") };
            let Ok(found) = select.apply(&json) else { panic!("{path}") };
            assert_eq!(found.map_or("nothing".to_owned(), |json| json.as_str().to_owned()), expected, "{path}");
        };
        check("$.items[0].id", "12345678901234567890123");
        check(".price", "1.50");
        check("price", "1.50");
        check("$.items[*].name", r#"["a","b"]"#);
        check("$.items[?@.id > 1].name", r#"["a","b"]"#);
        check("$.items[1]", r#"{"id":2,"name":"b"}"#);
        check("$..id", "[12345678901234567890123,2]");
        check("$..name", r#"["a","b"]"#);
        check("$['items'][1]['name']", r#""b""#);
        check("$.nope", "nothing");
        check("$.nope[*]", "[]");
        for path in
            ["$.items[", "$..a..b", "", &"a".repeat(600), "$[?$[?@==2]]", "$[?@.a==$.b]", "$[?search(@.a, '(a+)+b')]", "$[?@[?@.x]]"]
        {
            assert!(Select::parse(path).is_err(), "{path}");
        }
    }
}
