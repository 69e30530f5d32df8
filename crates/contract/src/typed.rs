//! Tools with types, as the gate runs them: the types give the schemas, and are forgotten.

use crate::{
    context::CallContext,
    error::{BoxError, CallError},
    output::{Content, Output, ToolOutput},
    spec::Spec,
    tool::{BoxFuture, Callable, Input, Others, Tool},
};
use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use toolcrib_json::Json;

/// The member that holds an output that is no object.
const RESULT: &str = "result";

/// The name of an output's own schema among those that it refers to.
const ITSELF: &str = "Result";

/// Formats of JSON Schema (2020-12, section 7.3) that types here may have.
const KNOWN_FORMATS: &[&str] = &["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid", "regex"];

/// Forgets the types of a tool: gives what is known of it, and what the gate runs.
#[must_use]
pub fn typed<T: Tool>(tool: T) -> (Spec, Arc<dyn Callable>) {
    let mut spec = tool.spec();
    // What is read may leave out what has a default; what is written leaves out what says nothing.
    let input = schema_of::<T::Args>(SchemaSettings::default().for_deserialize());
    // Whoever takes nothing is called with an object all the same.
    let takes_nothing = input.get("type").is_some_and(|kind| kind == "null");
    spec.input_schema = if takes_nothing { Json::from(&json!({"type": "object", "additionalProperties": false})) } else { strict(input) };
    let output = schema_of::<T::Output>(SchemaSettings::default().for_serialize());
    let is_object = output.get("type").is_some_and(|kind| kind == "object");
    spec.output_schema = Some(if is_object { of(&output) } else { wrapped(output) });
    (spec, Arc::new(Typed { tool, is_object, takes_nothing }))
}

/// The schema of a type that is read.
pub(crate) fn schema_of_read<T: JsonSchema>() -> Schema {
    schema_of::<T>(SchemaSettings::default().for_deserialize())
}

fn schema_of<T: JsonSchema>(settings: SchemaSettings) -> Schema {
    // Formats of Rust's numbers are none that JSON Schema knows; validators complain about them.
    let without_formats = RecursiveTransform(|schema: &mut Schema| {
        if schema.get("format").and_then(Value::as_str).is_some_and(|format| !KNOWN_FORMATS.contains(&format)) {
            schema.remove("format");
        }
    });
    settings.with_transform(without_formats).into_generator().into_root_schema_for::<T>()
}

/// What the form is that a user is asked to fill in: flat, of texts, numbers, flags and choices, as MCP has them (2025-11-25,
/// elicitation). What may be left out is not required; nobody fills in a null.
///
/// # Errors
/// What of it no form can have, in a sentence.
pub(crate) fn form_of<T: JsonSchema>() -> Result<Json, String> {
    let settings = SchemaSettings::default().for_deserialize().with(|settings| settings.inline_subschemas = true);
    let schema = schema_of::<T>(settings);
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let fields: Map<String, Value> = properties.map(|(name, field)| (name.clone(), form_field(field))).collect();
    let is_flat = |field: &Value| ["string", "number", "integer", "boolean"].iter().any(|kind| field["type"] == *kind);
    if let Some((name, _)) = fields.iter().find(|(_, field)| !is_flat(field)) {
        return Err(format!("a form has texts, numbers, flags and choices: {name} is none of these"));
    }
    let required = schema.get("required").cloned().unwrap_or_else(|| json!([]));
    Ok(Json::from(&json!({"type": "object", "properties": fields, "required": required})))
}

fn form_field(field: &Value) -> Value {
    let mut field = field.clone();
    // Of a field that may be absent: what it is if it is there.
    let without_null = field["anyOf"].as_array().and_then(|either| either.iter().find(|kind| kind["type"] != "null").cloned());
    if let Some(mut kind) = without_null {
        if let (Some(object), Some(about)) = (kind.as_object_mut(), field.get("description")) {
            object.insert("description".into(), about.clone());
        }
        field = kind;
    }
    let kinds = field["type"].as_array().and_then(|kinds| kinds.iter().find(|kind| **kind != "null").cloned());
    if let Some(kind) = kinds {
        field["type"] = kind;
    }
    if let Some(values) = field.get_mut("enum").and_then(Value::as_array_mut) {
        values.retain(|value| !value.is_null());
    }
    // Those that are described stand each for itself, the others together.
    let those = |choice: &Value| choice["enum"].as_array().cloned().unwrap_or_else(|| vec![choice["const"].clone()]);
    let choices: Option<Vec<Value>> = field["oneOf"].as_array().map(|choices| choices.iter().flat_map(those).collect());
    if let (Some(choices), Some(object)) = (choices, field.as_object_mut()) {
        object.remove("oneOf");
        object.insert("type".into(), "string".into());
        object.insert("enum".into(), choices.into());
    }
    field
}

/// The schema of an object that holds what this one describes. What others refer to stays where they look for it.
fn wrapped(mut schema: Schema) -> Json {
    let mut definitions = schema.remove("$defs");
    let dialect = schema.remove("$schema");
    let schema = match rooted(schema.clone().to_value()) {
        None => schema.to_value(),
        // What refers to itself is not the root any more.
        Some(itself) => {
            let definitions = definitions.get_or_insert_with(|| json!({}));
            *definitions = elsewhere(definitions.take());
            definitions[ITSELF] = itself;
            json!({"$ref": format!("#/$defs/{ITSELF}")})
        }
    };
    let mut object = json!({"type": "object", "properties": {RESULT: schema}, "required": [RESULT]});
    for (key, value) in [("$schema", dialect), ("$defs", definitions)] {
        if let Some(value) = value {
            object[key] = value;
        }
    }
    Json::from(&object)
}

/// The same schema, where it refers to itself as the root: with references to where it stands from now on.
fn rooted(schema: Value) -> Option<Value> {
    let moved = elsewhere(schema.clone());
    (moved != schema).then_some(moved)
}

fn elsewhere(schema: Value) -> Value {
    match schema {
        Value::Object(members) => {
            let member = |(key, value): (String, Value)| {
                let is_root = key == "$ref" && value == "#";
                (key, if is_root { format!("#/$defs/{ITSELF}").into() } else { elsewhere(value) })
            };
            members.into_iter().map(member).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.into_iter().map(elsewhere).collect(),
        other => other,
    }
}

/// The same schema, by which an argument that nobody has heard of is a mistake, unless the type says that it takes others.
fn strict(mut schema: Schema) -> Json {
    let is_plain = schema.get("properties").is_some() && !["allOf", "anyOf", "oneOf", "$ref"].iter().any(|key| schema.get(*key).is_some());
    if is_plain && schema.get("additionalProperties").is_none() {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    of(&schema)
}

fn of(schema: &Schema) -> Json {
    Json::of(schema).expect("a schema is JSON")
}

struct Typed<T> {
    tool: T,
    is_object: bool,
    takes_nothing: bool,
}

impl<T: Tool> Typed<T> {
    fn arguments(&self, given: &Json) -> Result<T::Args, CallError> {
        let read = if self.takes_nothing { Json::from(&Value::Null).read() } else { given.read() };
        read.map_err(|error| CallError::InvalidArguments(error.to_string()))
    }

    fn written(&self, output: &T::Output) -> Result<ToolOutput, CallError> {
        if self.is_object {
            return ToolOutput::structured(output).map_err(CallError::failed);
        }
        let value = Json::of(output).map_err(CallError::failed)?;
        let text = value.read::<String>().unwrap_or_else(|_| value.to_string());
        let structured = Some(Json::object().with(RESULT, &value).finish());
        Ok(ToolOutput { content: vec![Content::text(text)], structured, ..ToolOutput::default() })
    }
}

impl<T: Tool> Callable for Typed<T> {
    fn call(&self, input: Input, cx: CallContext) -> BoxFuture<'_, Result<Output, CallError>> {
        Box::pin(async move {
            let args = self.arguments(&input.arguments)?;
            let output = self.tool.run(args, &cx).await?;
            let mut written = self.written(&output)?;
            self.tool.present(&output, &mut written);
            Ok(Output::Tool(written))
        })
    }

    fn initialize(&self) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(self.tool.initialize())
    }

    fn cleanup(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.tool.cleanup())
    }

    fn others(&self) -> Others<'_> {
        if T::CALLS_OTHERS { Others::Anybody } else { Others::Nobody }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    #[derive(Serialize, JsonSchema)]
    struct Place {
        name: String,
    }

    struct Gives<T>(std::marker::PhantomData<fn() -> T>);

    impl<T: Serialize + JsonSchema + Send + 'static> Tool for Gives<T> {
        type Args = std::collections::BTreeMap<String, String>;
        type Output = T;

        fn spec(&self) -> Spec {
            Spec::new("gives", "Gives something.")
        }

        async fn run(&self, _: Self::Args, _: &CallContext) -> Result<T, CallError> {
            Err(CallError::failed("only its schema is looked at"))
        }
    }

    fn schema_of_output<T: Serialize + JsonSchema + Send + 'static>() -> Value {
        typed(Gives::<T>(std::marker::PhantomData)).0.output_schema.unwrap().to_value().unwrap()
    }

    #[test]
    fn what_is_no_object_is_given_in_one() {
        assert_eq!(schema_of_output::<String>()["properties"][RESULT]["type"], "string");
        let places = schema_of_output::<Vec<Place>>();
        assert_eq!(places["type"], "object");
        // The definition is where the reference says that it is.
        assert_eq!(places["properties"][RESULT]["items"]["$ref"], "#/$defs/Place");
        assert_eq!(places["$defs"]["Place"]["properties"]["name"]["type"], "string");
        assert_eq!(schema_of_output::<Place>()["properties"]["name"]["type"], "string");
    }

    #[derive(Serialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    enum Tree {
        Leaf(u8),
        Branch(Vec<Tree>),
    }

    #[test]
    fn what_refers_to_itself_still_does() {
        let tree = schema_of_output::<Tree>();
        assert!(!tree.to_string().contains(r##""$ref":"#""##), "{tree}");
        assert_eq!(tree["properties"][RESULT]["$ref"], "#/$defs/Result");
        assert!(tree["$defs"]["Result"]["oneOf"].is_array(), "{tree}");
    }

    #[test]
    fn a_form_is_flat() {
        #[derive(serde::Deserialize, JsonSchema)]
        enum Size {
            Small,
            /// As large as it gets.
            Large,
        }
        #[derive(serde::Deserialize, JsonSchema)]
        #[expect(dead_code, reason = "only its schema is looked at")]
        struct Order {
            /// How large.
            size: Size,
            note: Option<String>,
            again: Option<Size>,
            pieces: u8,
        }
        #[derive(serde::Deserialize, JsonSchema)]
        #[expect(dead_code, reason = "only its schema is looked at")]
        struct Nested {
            order: Order,
        }
        assert_eq!(form_of::<Nested>().unwrap_err(), "a form has texts, numbers, flags and choices: order is none of these");
        let form = form_of::<Order>().unwrap().to_value().unwrap();
        assert!(form["properties"]["pieces"].get("enum").is_none(), "{form}");
        let choice = json!({"description": "How large.", "type": "string", "enum": ["Small", "Large"]});
        assert_eq!(form["properties"]["size"], choice);
        assert_eq!(form["properties"]["note"]["type"], "string");
        assert_eq!(form["properties"]["again"]["enum"], choice["enum"]);
        assert_eq!((&form["required"], &form["properties"]["pieces"]["type"]), (&json!(["size", "pieces"]), &json!("integer")));
    }

    #[test]
    fn a_text_is_shown_as_it_stands() {
        let texts = Typed { tool: Gives::<String>(std::marker::PhantomData), is_object: false, takes_nothing: false };
        let written = texts.written(&"two\nlines".to_owned()).unwrap();
        assert!(matches!(&written.content[..], [Content::Text { text }] if text == "two\nlines"));
        assert_eq!(written.structured.unwrap().as_str(), r#"{"result":"two\nlines"}"#);
    }
}
