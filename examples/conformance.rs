//! A server with everything that the official conformance suite asks for, written with our own library.
//!
//! ```sh
//! cargo run --example conformance -- --listen 127.0.0.1:3002
//! ```
//!
//! With `--stdio` it serves one client on standard input and output; `--legacy` and `--modern` leave it one era.

#![expect(clippy::print_stderr, reason = "a person, or the suite, waits for the address")]

use serde_json::{Value, json};
use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};
use toolcrib::{
    Builder, CallContext, CallError, Callable, Change, Content, Crib, DoorLimits, Era, Input, Json, LogLevel, Output, Prompt,
    PromptArgument, PromptSpec, Question, Resource, ResourceSpec, Spec, Template, TemplateSpec, ToolOutput, callable,
    output::{PromptMessage, PromptOutput, ResourceContents, Role},
};

/// A red pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// A WAV file without a sample.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let only_era = has("--legacy").then_some(Era::Legacy).or(has("--modern").then_some(Era::Modern));
    let crib = Crib::builder().name("toolcrib-conformance", env!("CARGO_PKG_VERSION"));
    let crib = crib.door_limits(DoorLimits { only_era, ..DoorLimits::default() });
    let crib = prompts(resources(questions(contents(crib)))).build().await?;
    if has("--stdio") {
        return Ok(crib.serve_stdio(None).await?);
    }
    let address = arguments.iter().skip_while(|argument| *argument != "--listen").nth(1).map_or("127.0.0.1:3002", String::as_str);
    let address: SocketAddr = address.parse()?;
    let listener = crib.listen(address).await?;
    eprintln!("serves MCP at http://{}/mcp", listener.local_addr()?);
    Ok(crib.serve_listener(listener).await?)
}

/// Tools that show each kind of content, and what can be said in mid-call.
fn contents(crib: Builder) -> Builder {
    let crib = fixed(crib, "test_simple_text", vec![Content::text("This is a simple text response for testing.")]);
    let crib = fixed(crib, "test_image_content", vec![image()]);
    let crib = fixed(crib, "test_audio_content", vec![Content::Audio { data: WAV.into(), mime_type: "audio/wav".into() }]);
    let embedded = || Content::Resource {
        resource: ResourceContents::text("test://embedded-resource", "text/plain", "This is an embedded resource content."),
    };
    let crib = fixed(crib, "test_embedded_resource", vec![embedded()]);
    let mixed = Content::Resource {
        resource: ResourceContents::text("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
    };
    let crib = fixed(crib, "test_multiple_content_types", vec![Content::text("Multiple content types test:"), image(), mixed]);
    let crib =
        tool(crib, "test_error_handling", |_, _| async { Err(CallError::failed("This tool intentionally returns an error for testing")) });
    let crib = tool(crib, "test_tool_with_logging", |_, cx| async move {
        for text in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
            cx.log(LogLevel::Info, text);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        said("Logging done.")
    });
    let crib = tool(crib, "test_logging_tool", |_, cx| async move {
        cx.log(LogLevel::Info, "Info level message");
        said("Logged.")
    });
    let crib = tool(crib, "test_tool_with_progress", |_, cx| async move {
        for done in [0.0, 50.0, 100.0] {
            cx.progress(done, Some(100.0), Some(&format!("Completed step {done} of 100")));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        said("Progress done.")
    });
    let crib = tool(crib, "test_trigger_tool_change", |_, cx| async move {
        cx.announce(Change::Tools);
        said("The list of tools changed.")
    });
    let crib = tool(crib, "test_trigger_prompt_change", |_, cx| async move {
        cx.announce(Change::Prompts);
        said("The list of prompts changed.")
    });
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    });
    let spec =
        Spec::new("json_schema_2020_12_tool", "Has every keyword of JSON Schema 2020-12 that matters.").input_schema(Json::from(&schema));
    let crib = crib.callable(spec, callable(|input, _| async move { said(&format!("Received {}", input.arguments)) }));
    let schema = json!({"type": "object", "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "priority": {"type": "integer", "x-mcp-header": "Priority"},
        "verbose": {"type": "boolean", "x-mcp-header": "Verbose"},
        "query": {"type": "string"},
    }});
    let spec = Spec::new("test_custom_header", "Has arguments that are mirrored into headers.").input_schema(Json::from(&schema));
    crib.callable(spec, callable(|input, _| async move { said(&format!("Received {}", input.arguments)) }))
}

/// Tools that ask the client in mid-call, in the words of both eras.
fn questions(crib: Builder) -> Builder {
    let crib = with_string(crib, "test_sampling", "prompt", |prompt, cx| async move {
        let answer = cx.ask("completion", sample(&prompt)).await?;
        said(&format!("LLM response: {}", answer.to_value().map_err(CallError::failed)?["content"]["text"].as_str().unwrap_or_default()))
    });
    let crib = with_string(crib, "test_elicitation", "message", |message, cx| async move {
        let schema = json!({"type": "object", "properties": {
            "username": {"type": "string", "description": "User's response"}, "email": {"type": "string", "description": "User's email address"}},
            "required": ["username", "email"]});
        let answer = cx.ask("user", form(&message, &schema)).await?;
        said(&format!("User response: {answer}"))
    });
    let crib = tool(crib, "test_elicitation_sep1034_defaults", |_, cx| async move {
        let schema = json!({"type": "object", "properties": {
            "name": {"type": "string", "default": "John Doe"}, "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": true}}});
        let answer = cx.ask("profile", form("Please review and update the form fields with defaults", &schema)).await?;
        said(&format!("Elicitation completed: {answer}"))
    });
    let crib = tool(crib, "test_elicitation_sep1330_enums", |_, cx| async move {
        let titled = |value: &str, title: &str| json!({"const": value, "title": title});
        let options = ["option1", "option2", "option3"];
        let schema = json!({"type": "object", "properties": {
            "untitledSingle": {"type": "string", "enum": options},
            "titledSingle": {"type": "string", "oneOf": [titled("value1", "First Option"), titled("value2", "Second Option"), titled("value3", "Third Option")]},
            "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]},
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
            "titledMulti": {"type": "array", "items": {"anyOf": [titled("value1", "First Choice"), titled("value2", "Second Choice"), titled("value3", "Third Choice")]}}}});
        let answer = cx.ask("choices", form("Please select options from the enum fields", &schema)).await?;
        said(&format!("Elicitation completed: {answer}"))
    });
    let crib = tool(crib, "test_missing_capability", |_, cx| async move {
        cx.ask("completion", sample("This needs the capability to sample.")).await?;
        said("Sampled.")
    });
    let crib = tool(crib, "test_streaming_elicitation", |_, cx| async move {
        cx.progress(0.0, Some(1.0), Some("about to ask"));
        let answer = cx.ask("user", form("Please confirm", &name_schema())).await?;
        said(&format!("Confirmed: {answer}"))
    });
    let crib = tool(crib, "test_input_required_result_elicitation", |_, cx| async move {
        said(&format!("Hello, {}!", name_of(&cx.ask("user_name", form("What is your name?", &name_schema())).await?)?))
    });
    let crib = tool(crib, "test_input_required_result_sampling", |_, cx| async move {
        let answer = cx.ask("capital_question", sample("What is the capital of France?")).await?;
        said(&format!("The model said: {answer}"))
    });
    let crib = tool(crib, "test_input_required_result_list_roots", |_, cx| async move {
        said(&format!("Roots: {}", cx.ask("client_roots", Question::Roots(None)).await?))
    });
    let crib = tool(crib, "test_input_required_result_request_state", confirmed);
    let crib = tool(crib, "test_input_required_result_tampered_state", confirmed);
    let crib = tool(crib, "test_input_required_result_multiple_inputs", |_, cx| async move {
        let questions = vec![
            ("user_name".to_owned(), form("What is your name?", &name_schema())),
            ("greeting".to_owned(), sample("Generate a greeting")),
            ("client_roots".to_owned(), Question::Roots(None)),
        ];
        let answers = cx.ask_all(questions).await?;
        said(&format!("Hello, {}: {} answers.", name_of(&answers["user_name"])?, answers.len()))
    });
    let crib = tool(crib, "test_input_required_result_multi_round", |_, cx| async move {
        let name = name_of(&cx.ask("step1", form("Step 1: What is your name?", &name_schema())).await?)?;
        let schema = json!({"type": "object", "properties": {"color": {"type": "string"}}, "required": ["color"]});
        let color = cx.ask("step2", form("Step 2: What is your favorite color?", &schema)).await?;
        said(&format!("{name} likes {color}"))
    });
    tool(crib, "test_input_required_result_capabilities", |_, cx| async move {
        // Whatever of this the client cannot be asked, it is not asked.
        let mut answers = 0;
        for (name, question) in [("sample", sample("Say hello")), ("elicit", form("What is your name?", &name_schema()))] {
            match cx.ask(name, question).await {
                Ok(_) => answers += 1,
                Err(CallError::CannotAsk { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        said(&format!("{answers} answers."))
    })
}

async fn confirmed(_: Input, cx: CallContext) -> Result<Output, CallError> {
    let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]});
    cx.ask("confirm", form("Please confirm", &schema)).await?;
    said("state-ok: confirmed")
}

fn resources(crib: Builder) -> Builder {
    let plain = |uri: &str, name: &str, mime: &str| ResourceSpec::new(uri, name).description("For the conformance suite.").mime_type(mime);
    let text = |uri: &'static str, text: &'static str| holding(ResourceContents::text(uri, "text/plain", text));
    let binary =
        ResourceContents { uri: "test://static-binary".into(), mime_type: Some("image/png".into()), text: None, blob: Some(PNG.into()) };
    let template = TemplateSpec::new("test://template/{id}/data", "Template").description("Data by its id.").mime_type("application/json");
    let read = callable(|input: Input, _| async move {
        let id = input.name.trim_start_matches("test://template/").trim_end_matches("/data");
        let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
        Ok(Output::Resource(vec![ResourceContents::text(&input.name, "application/json", data.to_string())]))
    });
    crib.resource(Resource::of(
        plain("test://static-text", "Static text", "text/plain"),
        text("test://static-text", "This is the content of the static text resource."),
    ))
    .resource(Resource::of(plain("test://static-binary", "Static binary", "image/png"), holding(binary)))
    .resource(Resource::of(
        plain("test://watched-resource", "Watched", "text/plain"),
        text("test://watched-resource", "Watched resource content."),
    ))
    .template(Template::of(template, read))
}

fn prompts(crib: Builder) -> Builder {
    let spec = |name: &str, arguments: &[&str]| PromptSpec {
        name: name.into(),
        title: None,
        description: Some("For the conformance suite.".into()),
        arguments: arguments
            .iter()
            .map(|name| PromptArgument { name: (*name).into(), description: Some(format!("The {name}")), required: true })
            .collect(),
        foreign: None,
    };
    let prompt = |name: &str, arguments: &[&str], callable| Prompt::of(spec(name, arguments), callable);
    crib.prompt(prompt("test_simple_prompt", &[], saying(|_| vec![Content::text("This is a simple prompt for testing.")])))
        .prompt(
            prompt(
                "test_prompt_with_arguments",
                &["arg1", "arg2"],
                saying(|arguments| {
                    let argument = |name: &str| arguments[name].as_str().unwrap_or_default().to_owned();
                    vec![Content::text(format!("Prompt with arguments: arg1='{}', arg2='{}'", argument("arg1"), argument("arg2")))]
                }),
            )
            .completing(|_, typed| async move {
                Ok(["paris", "park", "party"].iter().filter(|word| word.starts_with(&typed)).map(ToString::to_string).collect())
            }),
        )
        .prompt(prompt(
            "test_prompt_with_embedded_resource",
            &["resourceUri"],
            saying(|arguments| {
                let uri = arguments["resourceUri"].as_str().unwrap_or_default();
                let resource = ResourceContents::text(uri, "text/plain", "Embedded resource content for testing.");
                vec![Content::Resource { resource }, Content::text("Please process the embedded resource above.")]
            }),
        ))
        .prompt(prompt("test_prompt_with_image", &[], saying(|_| vec![image(), Content::text("Please analyze the image above.")])))
        .prompt(prompt(
            "test_input_required_result_prompt",
            &[],
            callable(|_, cx: CallContext| async move {
                let schema = json!({"type": "object", "properties": {"context": {"type": "string"}}, "required": ["context"]});
                let answer = cx.ask("user_context", form("What context should the prompt use?", &schema)).await?;
                Ok(messages(vec![Content::text(format!("Use this context: {answer}"))]))
            }),
        ))
}

fn tool<F, R>(crib: Builder, name: &str, run: F) -> Builder
where
    F: Fn(Input, CallContext) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Output, CallError>> + Send + 'static,
{
    crib.callable(Spec::new(name, "For the conformance suite."), callable(run))
}

fn fixed(crib: Builder, name: &str, content: Vec<Content>) -> Builder {
    tool(crib, name, move |_, _| {
        let content = content.clone();
        async move { Ok(Output::Tool(ToolOutput { content, ..ToolOutput::default() })) }
    })
}

fn with_string<F, R>(crib: Builder, name: &str, argument: &'static str, run: F) -> Builder
where
    F: Fn(String, CallContext) -> R + Send + Sync + Clone + 'static,
    R: Future<Output = Result<Output, CallError>> + Send + 'static,
{
    let schema = json!({"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]});
    let spec = Spec::new(name, "For the conformance suite.").input_schema(Json::from(&schema));
    let run = callable(move |input: Input, cx| {
        let run = run.clone();
        async move { run(input.arguments.to_value().map_err(CallError::failed)?[argument].as_str().unwrap_or_default().to_owned(), cx).await }
    });
    crib.callable(spec, run)
}

fn holding(contents: ResourceContents) -> Arc<dyn Callable> {
    callable(move |_, _| {
        let contents = contents.clone();
        async move { Ok(Output::Resource(vec![contents])) }
    })
}

fn saying(content: impl Fn(&Value) -> Vec<Content> + Send + Sync + 'static) -> Arc<dyn Callable> {
    callable(move |input: Input, _| {
        let said = input.arguments.to_value().map(|arguments| messages(content(&arguments))).map_err(CallError::failed);
        async move { said }
    })
}

fn messages(content: Vec<Content>) -> Output {
    let messages = content.into_iter().map(|content| PromptMessage { role: Role::User, content }).collect();
    Output::Prompt(PromptOutput { description: None, messages })
}

fn said(text: &str) -> Result<Output, CallError> {
    Ok(Output::Tool(ToolOutput::text(text)))
}

fn image() -> Content {
    Content::Image { data: PNG.into(), mime_type: "image/png".into() }
}

fn form(message: &str, schema: &Value) -> Question {
    Question::form(message, &Json::from(schema))
}

fn sample(prompt: &str) -> Question {
    let messages = json!([{"role": "user", "content": {"type": "text", "text": prompt}}]);
    Question::Sample(Json::from(&json!({"messages": messages, "maxTokens": 100})))
}

fn name_schema() -> Value {
    json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]})
}

fn name_of(answer: &Json) -> Result<String, CallError> {
    let answer = answer.to_value().map_err(CallError::failed)?;
    answer["content"]["name"].as_str().map(ToOwned::to_owned).ok_or_else(|| CallError::failed("no name was given"))
}
