//! The part of a JSON answer that is wanted, by JSONPath (RFC 9535). It is no language: there is no program to bound.

use super::Failure;
use serde_json_path::{JsonPath, PathElement};
use toolcrib_contract::Json;

const MAX_BYTES: usize = 500;
/// Each `..` looks at everything below; two of them look at it many times.
const MAX_DESCENTS: usize = 1;
/// The most parts that one path may select.
const MAX_NODES: usize = 10_000;
/// From this length on, a number may have more digits than a tree keeps.
const LONG_NUMBER: usize = 16;

/// A path that was understood.
pub(super) struct Select {
    path: JsonPath,
    is_singular: bool,
}

impl Select {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let bad = |reason: String| Failure::new("bad_select", reason);
        if text.len() > MAX_BYTES || text.matches("..").count() > MAX_DESCENTS {
            return Err(bad(format!("a select has at most {MAX_BYTES} bytes and {MAX_DESCENTS} `..`")));
        }
        // `.items[0]`, as jq writes it, is meant as `$.items[0]`.
        let text =
            if text.starts_with('$') { text.to_owned() } else { format!("${}{text}", if text.starts_with(['.', '[']) { "" } else { "." }) };
        let path = JsonPath::parse(&text).map_err(|error| bad(format!("{text:?} is no JSONPath (RFC 9535): {error}")))?;
        let is_singular = !text.contains(['*', '?', ':', ',']) && !text.contains("..");
        Ok(Self { path, is_singular })
    }

    /// What the path selects: one part, or the list of all parts. Numbers keep their text.
    pub(super) fn apply(&self, json: &Json) -> Result<Option<Json>, Failure> {
        let bad = |reason: String| Failure::new("bad_select", reason);
        let tree = json.to_value().map_err(|error| bad(error.to_string()))?;
        let nodes = self.path.query_located(&tree);
        if nodes.len() > MAX_NODES {
            return Err(bad(format!("the select gives {} parts, more than {MAX_NODES}", nodes.len())));
        }
        let must_keep_text = has_long_number(json.as_str());
        let mut parts = nodes.into_iter().map(|node| match must_keep_text {
            true => walk(json, node.location()).unwrap_or_else(|| Json::from(node.node())),
            false => Json::from(node.node()),
        });
        Ok(if self.is_singular { parts.next() } else { Some(Json::array(parts)) })
    }
}

fn has_long_number(text: &str) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
    text.as_bytes().split(|byte| !is_part(byte)).any(|run| run.len() >= LONG_NUMBER || run.iter().any(|byte| matches!(byte, b'e' | b'E')))
}

/// The part at a location, as it was written.
fn walk(json: &Json, location: &serde_json_path::NormalizedPath<'_>) -> Option<Json> {
    location.iter().try_fold(json.clone(), |json, element| match element {
        PathElement::Name(name) => json.members().ok()?.get(name),
        PathElement::Index(index) => json.elements().ok()?.get(*index).cloned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        check("$.items[1]", r#"{"id": 2, "name": "b"}"#);
        check("$..id", "[12345678901234567890123,2]");
        check("$.nope", "nothing");
        check("$.nope[*]", "[]");
        for path in ["$.items[", "$..a..b", "", &"a".repeat(600)] {
            assert!(Select::parse(path).is_err(), "{path}");
        }
    }
}
