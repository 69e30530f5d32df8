//! Tools with types, as the gate runs them: the types give the schemas, and are forgotten.

use crate::{
    context::CallContext,
    error::{BoxError, CallError},
    output::{Content, Output, ToolOutput},
    spec::Spec,
    tool::{BoxFuture, Callable, Input, Others, Tool},
};
use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::{Value, json};
use std::sync::Arc;
use toolcrib_json::Json;

/// The member that holds an output that is no object.
const RESULT: &str = "result";

/// Formats of JSON Schema (2020-12, section 7.3) that types here may have.
const KNOWN_FORMATS: &[&str] = &["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid", "regex"];

/// Forgets the types of a tool: gives what is known of it, and what the gate runs.
#[must_use]
pub fn typed<T: Tool>(tool: T) -> (Spec, Arc<dyn Callable>) {
    let mut spec = tool.spec();
    // What is read may leave out what has a default; what is written leaves out what says nothing.
    spec.input_schema = of(&schema_of::<T::Args>(SchemaSettings::default().for_deserialize()));
    let output = schema_of::<T::Output>(SchemaSettings::default().for_serialize());
    let is_object = output.get("type").is_some_and(|kind| kind == "object");
    spec.output_schema = Some(if is_object { of(&output) } else { wrapped(output) });
    (spec, Arc::new(Typed { tool, is_object }))
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

/// The schema of an object that holds what this one describes. What others refer to stays where they look for it.
fn wrapped(mut schema: Schema) -> Json {
    let definitions = schema.remove("$defs");
    let dialect = schema.remove("$schema");
    let mut object = json!({"type": "object", "properties": {RESULT: schema}, "required": [RESULT]});
    for (key, value) in [("$schema", dialect), ("$defs", definitions)] {
        if let Some(value) = value {
            object[key] = value;
        }
    }
    Json::from(&object)
}

fn of(schema: &Schema) -> Json {
    Json::of(schema).expect("a schema is JSON")
}

struct Typed<T> {
    tool: T,
    is_object: bool,
}

impl<T: Tool> Typed<T> {
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
            let args = input.arguments.read().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
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

    #[test]
    fn a_text_is_shown_as_it_stands() {
        let texts = Typed { tool: Gives::<String>(std::marker::PhantomData), is_object: false };
        let written = texts.written(&"two\nlines".to_owned()).unwrap();
        assert!(matches!(&written.content[..], [Content::Text { text }] if text == "two\nlines"));
        assert_eq!(written.structured.unwrap().as_str(), r#"{"result":"two\nlines"}"#);
    }
}
