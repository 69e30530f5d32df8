//! Schemas of OpenAPI as JSON Schema: references are replaced by what they lead to, as deep as a model can read.
//!
//! OpenAPI 3.0 and 2.0 have a dialect of their own (Schema Object, section 4.7.24 of 3.0.3); 3.1 is JSON Schema 2020-12.

use super::document::Document;
use serde_json::{Map, Value, json};

/// How large the schema of a tool may be, so that a model can read it beside others.
const MAX_BYTES: usize = 16 << 10;
/// How deep objects are told of, where they are not too large.
const MAX_DEPTH: usize = 8;
/// How much is told of a part.
const MAX_DESCRIPTION_CHARS: usize = 300;

/// How long a pattern may be: those that list every case there is are no help.
const MAX_PATTERN_BYTES: usize = 100;

/// What tells nothing about which values are right.
const FOR_READERS: &[&str] = &["example", "examples", "xml", "externalDocs", "discriminator", "deprecated", "readOnly", "writeOnly"];
/// What holds schemas by names.
const BY_NAME: &[&str] = &["properties", "patternProperties", "dependentSchemas"];
/// What holds a list of schemas.
const LISTS: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems"];
/// What holds a schema.
const SINGLE: &[&str] =
    &["items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedProperties"];

/// The schema of a value that is sent, as deep as there is room for.
pub(super) fn within_reason(document: &Document<'_>, schema: &Value) -> Value {
    let mut deepest = json!({});
    for depth in 0..=MAX_DEPTH {
        let mut expansion = Expansion { document, open: Vec::new(), room: MAX_BYTES };
        let expanded = expansion.expand(schema, depth);
        // What is cut off for want of room is not whole; what is the same as before is all there is.
        if expansion.room == 0 || (depth > 0 && expanded == deepest) {
            break;
        }
        deepest = expanded;
    }
    deepest
}

struct Expansion<'a, 'd> {
    document: &'a Document<'d>,
    /// The references that lead here: one that is met again goes in a circle.
    open: Vec<String>,
    /// How many bytes there is still room for: a document whose schemas refer to many others would grow without end.
    room: usize,
}

impl Expansion<'_, '_> {
    fn expand(&mut self, schema: &Value, depth: usize) -> Value {
        let Some(reference) = schema["$ref"].as_str() else { return self.plain(schema, depth) };
        if self.open.iter().any(|other| other == reference) {
            return json!({ "description": format!("as {} above", reference.rsplit('/').next().unwrap_or_default()) });
        }
        // What cannot be found may be anything.
        let Some(found) = self.document.resolve(schema) else { return json!({}) };
        self.open.push(reference.to_owned());
        let expanded = self.plain(found, depth);
        self.open.pop();
        expanded
    }

    fn plain(&mut self, schema: &Value, depth: usize) -> Value {
        let Some(written) = schema.as_object() else {
            // `true` and `false` are schemas, too.
            return if schema.is_boolean() { schema.clone() } else { json!({}) };
        };
        let mut expanded = Map::new();
        for (key, value) in written {
            if self.room == 0 {
                break;
            }
            let key = key.as_str();
            let is_too_long = key == "pattern" && value.as_str().is_some_and(|pattern| pattern.len() > MAX_PATTERN_BYTES);
            // References are replaced, so nothing leads anywhere any more.
            if FOR_READERS.contains(&key) || key.starts_with("x-") || key.starts_with('$') || is_too_long {
                continue;
            }
            let value = match key {
                "description" => {
                    self.take(value.as_str().map_or(0, |text| text.len().min(MAX_DESCRIPTION_CHARS)));
                    shortened(value)
                }
                "nullable" | "exclusiveMinimum" | "exclusiveMaximum" if value.is_boolean() => continue,
                _ if BY_NAME.contains(&key) || LISTS.contains(&key) || SINGLE.contains(&key) => {
                    if depth == 0 {
                        continue;
                    }
                    self.parts(key, value, depth - 1)
                }
                _ => {
                    self.take(value.to_string().len());
                    value.clone()
                }
            };
            self.take(key.len() + 4);
            expanded.insert(key.to_owned(), value);
        }
        translate_bounds(written, &mut expanded);
        if written.get("nullable") == Some(&Value::Bool(true)) {
            allow_null(&mut expanded);
        }
        if let Some(required) = expanded.get_mut("required") {
            self.keep_known(required, written, depth);
        }
        if written.get("type") == Some(&json!("file")) {
            expanded.insert("type".into(), json!("string"));
        }
        Value::Object(expanded)
    }

    fn parts(&mut self, key: &str, value: &Value, depth: usize) -> Value {
        if BY_NAME.contains(&key) {
            let properties = value.as_object().into_iter().flatten();
            let sent = properties.filter(|(_, schema)| key != "properties" || !self.is_only_read(schema));
            let sent: Vec<(&String, &Value)> = sent.collect();
            let mut expanded = Map::new();
            for (name, schema) in sent {
                if self.room == 0 {
                    break;
                }
                self.take(name.len() + 4);
                expanded.insert(name.clone(), self.expand(schema, depth));
            }
            return expanded.into();
        }
        match value {
            Value::Array(schemas) => schemas.iter().map_while(|schema| (self.room > 0).then(|| self.expand(schema, depth))).collect(),
            schema => self.expand(schema, depth),
        }
    }

    fn take(&mut self, bytes: usize) {
        self.room = self.room.saturating_sub(bytes);
    }

    /// What must be there is what can be sent.
    fn keep_known(&self, required: &mut Value, written: &Map<String, Value>, depth: usize) {
        let Value::Array(names) = required else { return };
        let properties = written.get("properties").and_then(Value::as_object);
        names.retain(|name| {
            let property = properties.zip(name.as_str()).and_then(|(properties, name)| properties.get(name));
            property.is_none_or(|property| !self.is_only_read(property)) && depth > 0
        });
    }

    /// Whether a property is given back and never sent.
    fn is_only_read(&self, schema: &Value) -> bool {
        schema["readOnly"] == true || self.document.resolve(schema).is_some_and(|schema| schema["readOnly"] == true)
    }
}

/// Bounds as 3.0 and 2.0 write them: a number, and whether it is itself out of bounds.
fn translate_bounds(written: &Map<String, Value>, expanded: &mut Map<String, Value>) {
    for (flag, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if written.get(flag) == Some(&Value::Bool(true))
            && let Some(number) = expanded.remove(bound)
        {
            expanded.insert(flag.into(), number);
        }
    }
}

fn allow_null(schema: &mut Map<String, Value>) {
    match schema.get_mut("type") {
        Some(kind @ Value::String(_)) => *kind = json!([kind.take(), "null"]),
        // Where it is described by others, they say whether it may be null.
        _ => return,
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
}

fn shortened(text: &Value) -> Value {
    let text = text.as_str().unwrap_or_default().trim();
    if text.chars().count() <= MAX_DESCRIPTION_CHARS {
        return text.into();
    }
    format!("{}…", text.chars().take(MAX_DESCRIPTION_CHARS).collect::<String>().trim_end()).into()
}
