//! [`Permitted`] → [`Checked`]: are the arguments what the schema asks for?
//!
//! Schemas are compiled once, when a source is published. They never fetch a `$ref`, and their patterns run in linear time.

mod faults;
mod weight;

use crate::{Permitted, catalogue::Entry, resilience::Steady};
use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};
use std::sync::Arc;
use toolcrib_contract::{Call, CallError, Json};
use toolcrib_json::{DEFAULT_MAX_DEPTH, check_depth};

/// The largest schema that is compiled.
const MAX_SCHEMA_BYTES: usize = 256 * 1024;
/// The deepest arguments for a schema that refers to itself: each level may then make more work than the one before.
const MAX_RECURSIVE_DEPTH: usize = 16;

/// A call whose arguments fit. Only this can be executed.
#[derive(Debug)]
pub struct Checked {
    pub(crate) permitted: Box<Permitted>,
}

impl Checked {
    /// What steadies the call.
    pub(crate) fn steady(&self) -> &Arc<Steady> {
        self.permitted.entry.steady()
    }
}

/// A schema that cannot be used, so that the tool cannot be offered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unusable input schema: {0}")]
pub struct SchemaFault(String);

/// What arguments are checked against.
#[derive(Debug)]
pub(crate) enum Arguments {
    /// Nothing: any object will do, and is passed on unread.
    AnyObject,
    /// A schema, and how deep the arguments may nest.
    Schema { validator: Box<Validator>, schema: Box<Value>, max_depth: usize },
}

impl Arguments {
    pub(crate) fn compile(schema: &Json) -> Result<Self, SchemaFault> {
        if schema.size_bytes() > MAX_SCHEMA_BYTES {
            return Err(SchemaFault(format!("{} bytes are more than the limit of {MAX_SCHEMA_BYTES}", schema.size_bytes())));
        }
        let schema = schema.to_value().map_err(|error| SchemaFault(error.to_string()))?;
        if accepts_any_object(&schema) {
            return Ok(Self::AnyObject);
        }
        let weight = weight::weigh(&schema).map_err(SchemaFault)?;
        let max_depth = if weight.is_recursive { MAX_RECURSIVE_DEPTH } else { DEFAULT_MAX_DEPTH };
        let compiled = jsonschema::options().with_pattern_options(PatternOptions::regex()).build(&schema);
        compiled
            .map(|validator| Self::Schema { validator: Box::new(validator), schema: Box::new(schema), max_depth })
            .map_err(|error| SchemaFault(error.to_string()))
    }

    /// Checks the arguments, and gives them as they are to go on: what is judged is what the tool gets.
    fn check(&self, arguments: &Json) -> Result<Option<Json>, CallError> {
        let Self::Schema { validator, schema, max_depth } = self else { return Ok(None) };
        check_depth(arguments.as_bytes(), *max_depth).map_err(|error| CallError::InvalidArguments(error.to_string()))?;
        let value = arguments.to_value().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
        if validator.is_valid(&value) {
            return Ok(None);
        }
        if let Some(given) = without_nulls(&value).filter(|given| validator.is_valid(given)) {
            return Ok(Some(Json::from(&given)));
        }
        Err(CallError::InvalidArguments(faults::say(validator, schema, &value)))
    }
}

pub(crate) fn check(mut permitted: Box<Permitted>, max_argument_bytes: usize) -> Result<Checked, CallError> {
    let Permitted { call, entry, .. } = &mut *permitted;
    if let Some(fitted) = fitted(entry, &call.arguments, max_argument_bytes)? {
        replace(call, fitted);
    }
    Ok(Checked { permitted })
}

/// The arguments as they are to go on, if that is not as they came: mended, and with what the config puts in.
pub(crate) fn fitted(entry: &Entry, arguments: &Json, max_bytes: usize) -> Result<Option<Json>, CallError> {
    let mended = judge(entry, arguments, max_bytes)?;
    let prepared = entry.callable().prepare(mended.as_ref().unwrap_or(arguments))?;
    Ok(prepared.or(mended))
}

/// Puts other arguments in the place of those that came, wherever they stand.
fn replace(call: &mut Call, arguments: Json) {
    let params = call.params.as_ref().map(|params| params.edit(&[("arguments", Some(arguments.clone()))]));
    call.params = params.map(|params| params.members().expect("an object stays one"));
    call.arguments = arguments;
}

/// Checks arguments against what they are for, and mends them where that is plain.
fn judge(entry: &Entry, arguments: &Json, max_bytes: usize) -> Result<Option<Json>, CallError> {
    let size = arguments.size_bytes();
    if size > max_bytes {
        return Err(CallError::InvalidArguments(format!("{size} bytes are more than the limit of {max_bytes}")));
    }
    if !arguments.is_object() {
        return Err(CallError::InvalidArguments(format!("the arguments must be an object, not {}", arguments.kind())));
    }
    match entry {
        Entry::Tool(tool) => tool.arguments().check(arguments),
        _ => Ok(None),
    }
}

/// The arguments less those that are null, if there are such: models write null where they mean that there is none.
fn without_nulls(value: &Value) -> Option<Value> {
    let members = value.as_object()?;
    let given: Map<String, Value> =
        members.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.clone(), value.clone())).collect();
    (given.len() < members.len()).then_some(Value::Object(given))
}

fn accepts_any_object(schema: &Value) -> bool {
    const SAYS_NOTHING: [&str; 5] = ["$schema", "type", "title", "description", "properties"];
    let is_plain = |members: &Map<String, Value>| {
        members.keys().all(|key| SAYS_NOTHING.contains(&key.as_str()))
            && members.get("type").is_none_or(|kind| kind == "object")
            && members.get("properties").is_none_or(|properties| properties.as_object().is_some_and(Map::is_empty))
    };
    schema.as_object().is_some_and(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(schema: &Value, arguments: &str) -> Result<(), String> {
        let arguments = Json::parse(arguments.to_owned()).unwrap();
        Arguments::compile(&Json::from(schema)).unwrap().check(&arguments).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn a_fault_names_the_place_what_was_expected_and_what_came() {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}, "tags": {"type": "array", "items": {"enum": ["a", "b"]}}}, "required": ["n"]});
        assert_eq!(check(&schema, r#"{"n": 1}"#), Ok(()));
        assert_eq!(
            check(&schema, r#"{"n": "one"}"#).unwrap_err(),
            r#"Invalid tool input: /n: it is not of type "integer" (found a string)"#
        );
        assert_eq!(check(&schema, "{}").unwrap_err(), r#"Invalid tool input: the arguments: "n" is a required property"#);
        assert_eq!(
            check(&schema, r#"{"n": 1, "tags": ["a", "c"]}"#).unwrap_err(),
            r#"Invalid tool input: /tags/1: expected one of "a", "b" (found a string)"#
        );
        let documented = json!({"type": "object", "additionalProperties": false, "properties": {"unit": {"$ref": "#/$defs/Unit"}},
            "$defs": {"Unit": {"oneOf": [{"const": "metric", "description": "m"}, {"const": "imperial"}]}}});
        assert_eq!(
            check(&documented, r#"{"unit": "kelvin"}"#).unwrap_err(),
            r#"Invalid tool input: /unit: expected one of "metric", "imperial" (found a string)"#
        );
        assert_eq!(
            check(&documented, r#"{"units": "metric"}"#).unwrap_err(),
            r#"Invalid tool input: there is no argument "units"; known are "unit""#
        );
        assert_eq!(check(&schema, r#"{"n": 1, "tags": null}"#), Ok(()), "null means that there is none");
        assert!(check(&schema, r#"{"n": null}"#).is_err());
        assert!(check(&schema, r#"{"n": 1, "n": 2}"#).unwrap_err().contains("appears twice"));
    }

    #[test]
    fn a_flood_of_faults_is_cut() {
        let schema = json!({"type": "object", "additionalProperties": {"type": "string"}});
        let text = check(&schema, r#"{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1}"#).unwrap_err();
        assert!(text.ends_with("; and more"), "{text}");
    }

    #[test]
    fn a_schema_never_fetches() {
        for reference in ["https://example.com/schema.json", "http://127.0.0.1:1/x", "file:///etc/hosts"] {
            Arguments::compile(&Json::from(&json!({"type": "object", "properties": {"a": {"$ref": reference}}}))).unwrap_err();
        }
        check(&json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}}), "{}").unwrap();
    }

    #[test]
    fn draft_7_is_understood_where_it_is_named() {
        let schema =
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {"a": {"type": "string"}}});
        check(&schema, r#"{"a": 1}"#).unwrap_err();
    }
}
