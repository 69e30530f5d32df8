//! `toolcrib call`.

use super::{
    Done, Failure, Target,
    client::{Client, Wait},
    print,
};
use crate::{Builder, exit};
use clap::Args;
use serde_json::{Map, Value};
use toolcrib_contract::{Json, Members};
use toolcrib_wire::method;

/// Call a tool.
#[derive(Debug, Args)]
pub(super) struct Call {
    /// The tool.
    tool: String,
    /// Arguments as key=value. A value is read as the tool's schema asks: `n=5` is a number where a number is wanted.
    #[arg(value_name = "KEY=VALUE")]
    pairs: Vec<String>,
    /// The arguments as one JSON object.
    #[arg(long, value_name = "JSON", conflicts_with = "pairs")]
    args: Option<String>,
    #[command(flatten)]
    target: Target,
    /// Print the whole result as JSON.
    #[arg(long)]
    json: bool,
}

impl Call {
    pub(super) async fn run(self, builder: Builder) -> Done {
        let given = Given::read(&self.tool, &self.pairs, self.args.as_deref())?;
        let client = Client::connect(builder, &self.target, Wait::ForOwner, &self.tool).await?;
        let done = self.call(&client, given).await;
        client.close(done).await
    }

    async fn call(&self, client: &Client, given: Given<'_>) -> Done {
        let arguments = given.arguments(client).await?;
        let params = Json::object().with_str("name", &self.tool).with("arguments", &arguments).finish();
        let result = match client.request(method::CALL_TOOL, params).await {
            Ok(result) => result,
            Err(failure) => return Err(client.with_suggestion(failure, &self.tool).await),
        };
        let is_error = is_error(&result);
        let text = if self.json { result.text().to_string() } else { content(&result)? };
        if is_error && !self.json {
            return Err(Failure::failed(reason(&result).unwrap_or(text)));
        }
        print(text);
        if is_error { Err(Failure::new(exit::FAILED, "")) } else { Ok(()) }
    }
}

/// The arguments, as far as they can be read before the schema is known.
pub(super) enum Given<'a> {
    Whole(Json),
    Pairs(Vec<(String, String)>, &'a str),
}

impl<'a> Given<'a> {
    pub(super) fn read(tool: &'a str, pairs: &[String], args: Option<&str>) -> Result<Self, Failure> {
        if let Some(text) = args {
            let json = Json::parse(text.to_owned()).map_err(|error| Failure::usage(format_args!("--args: {error}")))?;
            return if json.is_object() { Ok(Given::Whole(json)) } else { Err(Failure::usage("--args must be a JSON object")) };
        }
        let split = |pair: &String| {
            let (key, value) = pair.split_once('=')?;
            Some((key.to_owned(), value.to_owned()))
        };
        let pairs = pairs.iter().map(|pair| split(pair).ok_or_else(|| Failure::usage(format_args!("{pair:?} is no key=value"))));
        Ok(Given::Pairs(pairs.collect::<Result<_, _>>()?, tool))
    }

    pub(super) async fn arguments(self, client: &Client) -> Result<Json, Failure> {
        match self {
            Self::Whole(json) => Ok(json),
            Self::Pairs(pairs, _) if pairs.is_empty() => Ok(Json::empty_object()),
            Self::Pairs(pairs, tool) => {
                let tools = client.list(method::LIST_TOOLS, "tools").await?;
                let definition =
                    tools.iter().filter_map(|item| item.members().ok()).find(|item| item.string("name").as_deref() == Some(tool));
                let schema =
                    definition.and_then(|item| item.get("inputSchema")).and_then(|schema| schema.to_value().ok()).unwrap_or_default();
                let arguments: Map<String, Value> =
                    pairs.into_iter().map(|(key, text)| (key.clone(), value(&schema, &key, text))).collect();
                Ok(Json::from(&Value::Object(arguments)))
            }
        }
    }
}

/// Reads a value as its schema asks. What does not fit stays a text: the tool then says what it wants.
fn value(schema: &Value, key: &str, text: String) -> Value {
    let kind = &schema["properties"][key]["type"];
    let takes_text = kind == "string" || kind.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "string"));
    if takes_text {
        return text.into();
    }
    serde_json::from_str(&text).unwrap_or_else(|_| text.into())
}

/// What went wrong in the words of a tool that says so in its structure, and what may help.
fn reason(result: &Members) -> Option<String> {
    let told = result.get("structuredContent")?.members().ok()?;
    let position = told.get("position").map(|position| format!(" (at character {})", position.as_str())).unwrap_or_default();
    let hint = told.string("hint").map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    let choices: Vec<String> =
        told.get("choices").and_then(|choices| choices.elements().ok()).unwrap_or_default().iter().map(choice).collect();
    let choices = if choices.is_empty() { String::new() } else { format!("\nchoices:\n  {}", choices.join("\n  ")) };
    let resource = told.string("resource").map(|uri| format!("\nkept as {uri}")).unwrap_or_default();
    Some(format!("{}{position}{hint}{choices}{resource}", told.string("error")?))
}

/// One of several that could be meant: the values of its fields, in their order.
fn choice(choice: &Json) -> String {
    let plain = |value: &Json| value.read::<String>().unwrap_or_else(|_| value.to_string());
    match choice.members() {
        Ok(fields) => fields.iter().map(|(_, value)| plain(&value)).collect::<Vec<_>>().join(", "),
        Err(_) => plain(choice),
    }
}

/// Whether a result tells of a failure.
pub(super) fn is_error(result: &Members) -> bool {
    result.get("isError").is_some_and(|flag| flag.as_bytes() == b"true")
}

/// The content as a person reads it.
pub(super) fn content(result: &Members) -> Result<String, Failure> {
    let blocks = result.get("content").map(|content| content.elements()).transpose().map_err(Failure::failed)?.unwrap_or_default();
    let shown = blocks.iter().filter_map(|block| block.members().ok()).map(|block| {
        block.string("text").unwrap_or_else(|| {
            let kind = block.string("mimeType").or_else(|| block.string("type")).unwrap_or_default();
            format!("({kind}; print it with --json)")
        })
    });
    Ok(shown.collect::<Vec<_>>().join("\n"))
}
