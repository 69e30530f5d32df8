//! Values of arguments that are not given, as the schema of a tool tells them.

use serde_json::{Map, Value};
use std::sync::Arc;
use toolcrib_contract::{BoxFuture, CallContext, CallError, Callable, Input, Json, Others, Output, Spec};

/// The defaults of the arguments of a tool, by their names.
pub(super) fn of(spec: &Spec) -> Map<String, Value> {
    let schema = spec.input_schema.to_value().unwrap_or_default();
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties.filter_map(|(name, schema)| Some((name.clone(), schema.get("default")?.clone()))).collect()
}

/// The same tool, for which these are put in before anything else looks at the arguments.
pub(super) fn with(defaults: Map<String, Value>, tool: Arc<dyn Callable>) -> Arc<dyn Callable> {
    if defaults.is_empty() { tool } else { Arc::new(WithDefaults { defaults, tool }) }
}

struct WithDefaults {
    defaults: Map<String, Value>,
    tool: Arc<dyn Callable>,
}

impl Callable for WithDefaults {
    fn call(&self, input: Input, cx: CallContext) -> BoxFuture<'_, Result<Output, CallError>> {
        self.tool.call(input, cx)
    }

    fn prepare(&self, arguments: &Json) -> Result<Option<Json>, CallError> {
        let Ok(Value::Object(mut given)) = arguments.to_value() else { return Ok(None) };
        let before = given.len();
        for (name, value) in &self.defaults {
            given.entry(name.clone()).or_insert_with(|| value.clone());
        }
        Ok((given.len() > before).then(|| Json::from(&Value::Object(given))))
    }

    fn foretell(&self, arguments: &Json) -> Option<Result<Vec<String>, CallError>> {
        self.tool.foretell(arguments)
    }

    fn others(&self) -> Others<'_> {
        self.tool.others()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use toolcrib_contract::{ToolOutput, callable};

    #[test]
    fn what_is_not_given_is_put_in() {
        let schema = json!({"type": "object", "properties": {"a": {"default": 1}, "b": {"default": [2]}, "c": {}}});
        let defaults = of(&Spec::new("t", "T.").input_schema(Json::from(&schema)));
        let tool = with(defaults, callable(|_, _| async { Ok(Output::Tool(ToolOutput::text("x"))) }));
        let prepared = |arguments: Value| tool.prepare(&Json::from(&arguments)).unwrap().map(|json| json.to_value().unwrap());
        assert_eq!(prepared(json!({"a": 5})), Some(json!({"a": 5, "b": [2]})));
        assert_eq!(prepared(json!({"a": null, "b": 1})), None);
    }
}
