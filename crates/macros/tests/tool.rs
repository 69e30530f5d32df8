//! What `#[tool]` makes of a function, seen from outside.

extern crate toolcrib_contract as toolcrib;

use serde_json::{Value, json};
use toolcrib::{CallContext, CallError, Category, LogLevel, Spec, Tool};
use toolcrib_macros::tool;
use toolcrib_testkit::TestGate;

/// Greets somebody.
///
/// In the language that they speak.
#[tool(title = "Greeter", category = utility, version = "2.1.0", author = "Ann", tags("hello", "people"), timeout = 2.5, pure, open_world = true)]
async fn greet(
    /// Whom to greet.
    name: String,
    /// How often.
    #[serde(default = "once")]
    times: u8,
    cx: &CallContext,
) -> Result<Vec<String>, CallError> {
    cx.log(LogLevel::Info, "greeting");
    Ok(vec![format!("Hello, {name}!"); times.into()])
}

fn once() -> u8 {
    1
}

/// Has no arguments.
#[tool(name = "nothing-needed", destructive, reaches(network))]
async fn bare() -> Result<String, CallError> {
    Err(CallError::failed("on purpose"))
}

/// The author's own, which is not ours.
#[derive(toolcrib::serde::Serialize, toolcrib::schemars::JsonSchema)]
#[serde(crate = "toolcrib::serde")]
#[schemars(crate = "toolcrib::schemars")]
struct Arguments {
    query: String,
}

/// Looks something up.
#[tool]
async fn query(query: String) -> Result<Arguments, CallError> {
    Ok(Arguments { query })
}

#[test]
fn a_function_says_what_the_tool_is() {
    let Spec { name, title, description, category, version, author, tags, annotations, timeout, .. } = greet().spec();
    assert_eq!((name.as_str(), title.as_deref(), version.as_str()), ("greet", Some("Greeter"), "2.1.0"));
    assert_eq!(description, "Greets somebody.\n\nIn the language that they speak.");
    assert_eq!((category, author.as_deref(), tags), (Category::Utility, Some("Ann"), vec!["hello".into(), "people".into()]));
    assert_eq!((annotations.is_read_only, annotations.is_open_world), (Some(true), Some(true)));
    assert_eq!(timeout.unwrap().as_millis(), 2500);
    let bare = bare().spec();
    assert_eq!((bare.name.as_str(), bare.annotations.is_destructive, bare.annotations.is_read_only), ("nothing-needed", Some(true), None));
}

#[test]
fn parameters_are_the_arguments() {
    let (spec, _) = toolcrib::typed(greet());
    let schema = spec.input_schema.to_value().unwrap();
    assert_eq!(schema["properties"]["name"], json!({"type": "string", "description": "Whom to greet."}));
    assert_eq!(schema["required"], json!(["name"]));
    assert_eq!(schema["additionalProperties"], Value::Bool(false));
    assert!(schema["properties"].get("cx").is_none());
}

#[tokio::test(flavor = "current_thread")]
async fn a_function_is_called_by_the_road_of_every_tool() {
    let gate = TestGate::default().typed(greet()).typed(bare()).typed(query()).open();
    assert_eq!(gate.text("query", &json!({"query": "nails"})).await.unwrap(), r#"{"query":"nails"}"#);
    assert_eq!(gate.text("greet", &json!({"name": "Ann", "times": 2})).await.unwrap(), r#"["Hello, Ann!","Hello, Ann!"]"#);
    let error = gate.text("greet", &json!({"name": "Ann", "tmies": 2})).await.unwrap_err();
    assert!(error.contains("tmies"), "{error}");
    assert_eq!(gate.text("nothing-needed", &json!({})).await.unwrap_err(), "on purpose");
    let error = gate.text("nothing-needed", &json!({"more": 1})).await.unwrap_err();
    assert!(error.contains("there is no argument \"more\"; there are none"), "{error}");
    assert_eq!(gate.records().len(), 5);
}

#[tokio::test(flavor = "current_thread")]
async fn what_takes_nothing_is_called_with_an_empty_object() {
    let nothing = toolcrib::tool_fn(Spec::new("nothing", "Takes nothing."), |(): (), _| async { Ok("done".to_owned()) });
    let gate = TestGate::default().typed(nothing).open();
    assert_eq!(gate.text("nothing", &json!({})).await.unwrap(), "done");
    assert!(gate.text("nothing", &json!({"more": 1})).await.unwrap_err().contains("there are none"));
}
