//! What is wrong with arguments, in words by which a model can mend its call.

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;

/// The most faults that one answer lists: enough to mend a call, not a flood.
const MAX_FAULTS: usize = 5;
/// The most names or values that are listed as the known ones.
const MAX_KNOWN: usize = 20;

/// Says what is wrong where: a JSON pointer, what the schema asks for, and what came.
pub(super) fn say(validator: &Validator, schema: &Value, value: &Value) -> String {
    let mut found = validator.iter_errors(value);
    let mut faults: Vec<String> = found.by_ref().take(MAX_FAULTS).map(|error| fault(&error, schema, value)).collect();
    if found.next().is_some() {
        faults.push("and more".into());
    }
    faults.join("; ")
}

fn fault(error: &ValidationError<'_>, schema: &Value, value: &Value) -> String {
    let pointer = error.instance_path().as_str();
    let place = if pointer.is_empty() { "the arguments" } else { pointer };
    let came = kind_of(value.pointer(pointer));
    // The part of the schema that the value does not fit.
    let asked = error.schema_path().as_str();
    let part = |path: &str| schema.pointer(path).or_else(|| schema.pointer(path.split("/$ref").last().unwrap_or(path)));
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let owner = part(asked.trim_end_matches("/additionalProperties"));
            let known = owner.and_then(|owner| owner.get("properties")?.as_object()).map(|known| listed(known.keys().map(String::as_str)));
            let known = known.map_or_else(String::new, |known| format!("; known are {known}"));
            let within = if pointer.is_empty() { String::new() } else { format!("{pointer}: ") };
            format!("{within}there is no argument {}{known}", listed(unexpected.iter().map(String::as_str)))
        }
        // So it is told where there are no properties at all.
        ValidationErrorKind::FalseSchema if asked.ends_with("/additionalProperties") => {
            let given = value.pointer(pointer).and_then(Value::as_object).into_iter().flat_map(|given| given.keys());
            let given = listed(given.map(String::as_str));
            if pointer.is_empty() {
                format!("there is no argument {given}; there are none")
            } else {
                format!("{pointer}: there is no {given}")
            }
        }
        ValidationErrorKind::Required { .. } => format!("{place}: {}", error.masked_with("it")),
        ValidationErrorKind::Enum { options } => match options.as_array().map(|options| values(options.iter())) {
            Some(values) => format!("{place}: expected one of {values} (found {came})"),
            None => format!("{place}: {} (found {came})", error.masked_with("it")),
        },
        ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::AnyOf { .. } => {
            let choices = resolved(schema, asked).and_then(|choices| choices.as_array());
            match choices.map(|choices| constants(schema, choices)).filter(|constants| !constants.is_empty()) {
                Some(constants) => format!("{place}: expected one of {} (found {came})", values(constants.into_iter())),
                None => format!("{place}: {} (found {came})", error.masked_with("it")),
            }
        }
        // The value itself is left out: it may be huge, and it may be secret.
        _ => format!("{place}: {} (found {came})", error.masked_with("it")),
    }
}

/// The part of a schema at a path that may lead through references.
fn resolved<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = schema;
    for step in path.split('/').skip(1) {
        at = match step {
            "$ref" => schema.pointer(at.get("$ref")?.as_str()?.strip_prefix('#')?)?,
            step => match at {
                Value::Array(items) => items.get(step.parse::<usize>().ok()?)?,
                at => at.get(step.replace("~1", "/").replace("~0", "~"))?,
            },
        };
    }
    Some(at)
}

/// The single values that choices stand for, through references and nested choices.
fn constants<'a>(schema: &'a Value, choices: &'a [Value]) -> Vec<&'a Value> {
    let mut found = Vec::new();
    for choice in choices {
        let choice = match choice.get("$ref").and_then(Value::as_str) {
            Some(reference) => reference.strip_prefix('#').and_then(|path| schema.pointer(path)).unwrap_or(choice),
            None => choice,
        };
        if let Some(value) = choice.get("const") {
            found.push(value);
        } else if let Some(values) = choice.get("enum").and_then(Value::as_array) {
            found.extend(values);
        } else if let Some(values) = choice.get("oneOf").and_then(Value::as_array) {
            found.extend(values.iter().filter_map(|value| value.get("const")));
        }
    }
    found
}

fn values<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    values.take(MAX_KNOWN).map(Value::to_string).collect::<Vec<_>>().join(", ")
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.take(MAX_KNOWN).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

fn kind_of(value: Option<&Value>) -> &'static str {
    match value {
        None => "nothing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a boolean",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "a string",
        Some(Value::Array(_)) => "an array",
        Some(Value::Object(_)) => "an object",
    }
}
