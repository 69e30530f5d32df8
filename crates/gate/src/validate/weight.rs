//! How much work a schema may make, found out before it is ever used: another server wrote it, and validating cannot be
//! broken off.
//!
//! Keywords such as `allOf` and `$ref` apply several subschemas to one value; doubled at every level, thirty lines of schema
//! take years. So the subschemas that apply are counted, references followed, down to some depth of the value.

use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// The most subschemas that may apply, down to [`DEPTH`] levels of the value.
const MAX_WEIGHT: u64 = 50_000;
/// So many levels show how the count grows.
const DEPTH: usize = 12;

/// Subschemas of one keyword that apply to the value itself.
const IN_PLACE: &[&str] = &["not", "if", "then", "else"];
const IN_PLACE_LISTS: &[&str] = &["allOf", "anyOf", "oneOf"];
const IN_PLACE_MAPS: &[&str] = &["dependentSchemas", "dependencies"];
/// Subschemas that apply to what is in the value: for one member all of these may.
const INSIDE: &[&str] =
    &["items", "additionalItems", "contains", "additionalProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties"];
const INSIDE_LISTS: &[&str] = &["prefixItems", "items"];
const INSIDE_MAPS: &[&str] = &["properties", "patternProperties"];

/// What was found out about a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weight {
    /// Whether it refers to itself, so that deeper values make more work.
    pub(super) is_recursive: bool,
}

/// Weighs a schema.
///
/// # Errors
/// A sentence that says why it must not be used.
pub(super) fn weigh(schema: &Value) -> Result<Weight, String> {
    let mut scale = Scale { root: schema, known: HashMap::new(), open: HashSet::new(), is_recursive: false };
    scale.weigh(schema, DEPTH)?;
    Ok(Weight { is_recursive: scale.is_recursive })
}

struct Scale<'a> {
    root: &'a Value,
    known: HashMap<(*const Value, usize), u64>,
    /// What is being weighed, by level.
    open: HashSet<(*const Value, usize)>,
    is_recursive: bool,
}

impl<'a> Scale<'a> {
    fn weigh(&mut self, schema: &'a Value, levels: usize) -> Result<u64, String> {
        let Value::Object(keywords) = schema else { return Ok(1) };
        let place = (std::ptr::from_ref(schema), levels);
        if let Some(weight) = self.known.get(&place) {
            return Ok(*weight);
        }
        if !self.open.insert(place) {
            return Err("it refers to itself without end".into());
        }
        if !self.is_recursive {
            self.is_recursive = self.open.iter().any(|(open, level)| *open == place.0 && *level != levels);
        }
        let mut weight = 1_u64.saturating_add(self.in_place(keywords, levels)?);
        if levels > 0 {
            weight = weight.saturating_add(self.inside(keywords, levels - 1)?);
        }
        if weight > MAX_WEIGHT {
            return Err(format!("more than {MAX_WEIGHT} subschemas would apply to one value"));
        }
        self.open.remove(&place);
        self.known.insert(place, weight);
        Ok(weight)
    }

    fn in_place(&mut self, keywords: &'a Map<String, Value>, levels: usize) -> Result<u64, String> {
        let mut weight = 0_u64;
        for (keyword, value) in keywords {
            let keyword = keyword.as_str();
            let children: Vec<&'a Value> = match value {
                Value::String(reference) if matches!(keyword, "$ref" | "$dynamicRef" | "$recursiveRef") => vec![self.resolve(reference)?],
                Value::String(id) if keyword == "$id" && !std::ptr::eq(keywords, self.root.as_object().unwrap_or(keywords)) => {
                    return Err(format!("a subschema has an $id of its own, {id:?}"));
                }
                Value::Array(list) if IN_PLACE_LISTS.contains(&keyword) => list.iter().collect(),
                Value::Object(map) if IN_PLACE_MAPS.contains(&keyword) => map.values().collect(),
                value if IN_PLACE.contains(&keyword) => vec![value],
                _ => continue,
            };
            for child in children {
                weight = weight.saturating_add(self.weigh(child, levels)?);
            }
        }
        Ok(weight)
    }

    /// Of properties each member has at most one; patterns and the rest may all apply to it.
    fn inside(&mut self, keywords: &'a Map<String, Value>, levels: usize) -> Result<u64, String> {
        let mut weight = 0_u64;
        for (keyword, value) in keywords {
            let keyword = keyword.as_str();
            let children: Vec<&'a Value> = match value {
                Value::Array(list) if INSIDE_LISTS.contains(&keyword) => list.iter().collect(),
                Value::Object(map) if INSIDE_MAPS.contains(&keyword) => map.values().collect(),
                value if INSIDE.contains(&keyword) => vec![value],
                _ => continue,
            };
            let weights = children.into_iter().map(|child| self.weigh(child, levels)).collect::<Result<Vec<_>, _>>()?;
            let joined = if keyword == "patternProperties" {
                weights.into_iter().fold(0, u64::saturating_add)
            } else {
                weights.into_iter().max().unwrap_or(0)
            };
            weight = weight.saturating_add(joined);
        }
        Ok(weight)
    }

    fn resolve(&self, reference: &str) -> Result<&'a Value, String> {
        let missing = || format!("its reference {reference:?} leads nowhere");
        match reference.strip_prefix('#') {
            None => Err(format!("its reference {reference:?} leads out of the schema, and nothing is fetched")),
            Some("") => Ok(self.root),
            Some(pointer) if pointer.starts_with('/') => self.root.pointer(&decoded(pointer)).ok_or_else(missing),
            Some(anchor) => anchored(self.root, anchor).ok_or_else(missing),
        }
    }
}

/// A JSON pointer in a URI may be percent-encoded.
fn decoded(pointer: &str) -> String {
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%')
            .then(|| after.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()))
            .flatten();
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn anchored<'a>(schema: &'a Value, anchor: &str) -> Option<&'a Value> {
    match schema {
        Value::Object(members) => {
            let is_it = ["$anchor", "$dynamicAnchor"].iter().any(|key| members.get(*key).and_then(Value::as_str) == Some(anchor));
            if is_it { Some(schema) } else { members.values().find_map(|child| anchored(child, anchor)) }
        }
        Value::Array(items) => items.iter().find_map(|item| anchored(item, anchor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn schemas_that_would_take_for_ever_are_refused() {
        let mut tower = Map::new();
        for level in 0..60 {
            let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
            tower.insert(format!("a{level}"), json!({"allOf": [next, next]}));
        }
        tower.insert("a60".into(), json!({"type": "object"}));
        let fan = json!({"properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]}}});
        for (schema, reason) in [
            (json!({"$ref": "#/$defs/a0", "$defs": tower}), "subschemas would apply"),
            (fan, "subschemas would apply"),
            (json!({"$ref": "#"}), "without end"),
            (
                json!({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}),
                "without end",
            ),
            (json!({"$ref": "#/$defs/none"}), "leads nowhere"),
            (json!({"$ref": "https://example.com/s"}), "leads out"),
            (json!({"properties": {"a": {"$id": "x", "$ref": "#/b"}}}), "$id"),
        ] {
            let error = weigh(&schema).unwrap_err();
            assert!(error.contains(reason), "{error} instead of {reason}");
        }
    }

    #[test]
    fn schemas_that_people_write_pass() {
        let tree = json!({"$defs": {"node": {"type": "object", "properties": {"left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#/$defs/node"}}}}, "$ref": "#/$defs/node"});
        assert_eq!(weigh(&tree), Ok(Weight { is_recursive: true }));
        let any = json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#"}}, {"type": "object", "additionalProperties": {"$ref": "#"}}]});
        assert_eq!(weigh(&any), Ok(Weight { is_recursive: true }));
        let properties: Map<String, Value> = (0..2_000).map(|n| (format!("p{n}"), json!({"type": "string", "enum": ["a", "b"]}))).collect();
        assert_eq!(weigh(&json!({"type": "object", "properties": properties})), Ok(Weight { is_recursive: false }));
        assert!(weigh(&json!({"properties": {"a": {"$ref": "#addr"}}, "$defs": {"x": {"$anchor": "addr"}}})).is_ok());
        assert!(weigh(&json!({"properties": {"$id": {"type": "string"}, "$ref": {"type": "string"}}})).is_ok());
    }
}
