//! Tools, prompts and resources out of async functions: for what needs no struct of its own.

use crate::{
    context::CallContext,
    error::CallError,
    output::{Completion, Output, PromptOutput, ResourceContents},
    spec::{PromptArgument, PromptSpec, ResourceSpec, Spec, TemplateSpec},
    tool::{Callable, Tool, callable},
    typed::schema_of_read,
};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{fmt, future::Future, marker::PhantomData, sync::Arc};

/// The most values that a completion may hold (MCP, `completion/complete`).
const MAX_COMPLETIONS: usize = 100;

/// Makes a tool of an async function of its arguments and the call's context.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use toolcrib_contract::{Annotations, Spec, tool_fn};
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Text {
///     /// What to shout.
///     text: String,
/// }
///
/// let shout = tool_fn(Spec::new("shout", "Shouts.").annotations(Annotations::PURE), |Text { text }, _| async move {
///     Ok(text.to_uppercase())
/// });
/// # let _ = shout;
/// ```
pub fn tool_fn<A, O, F, R>(spec: Spec, run: F) -> impl Tool<Args = A, Output = O>
where
    A: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + JsonSchema + Send + 'static,
    F: Fn(A, CallContext) -> R + Send + Sync + 'static,
    R: Future<Output = Result<O, CallError>> + Send + 'static,
{
    ToolFn { spec, run, types: PhantomData }
}

struct ToolFn<F, A, O> {
    spec: Spec,
    run: F,
    types: PhantomData<fn(A) -> O>,
}

impl<A, O, F, R> Tool for ToolFn<F, A, O>
where
    A: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + JsonSchema + Send + 'static,
    F: Fn(A, CallContext) -> R + Send + Sync + 'static,
    R: Future<Output = Result<O, CallError>> + Send + 'static,
{
    type Args = A;
    type Output = O;

    fn spec(&self) -> Spec {
        self.spec.clone()
    }

    async fn run(&self, args: A, cx: &CallContext) -> Result<O, CallError> {
        (self.run)(args, cx.clone()).await
    }
}

/// A prompt as its author writes it.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use toolcrib_contract::{Prompt, PromptSpec};
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Review {
///     /// The language that the code is written in.
///     language: String,
///     /// What to look at above all.
///     focus: Option<String>,
/// }
///
/// let review = Prompt::new(PromptSpec::new("review", "Reviews code."), |Review { language, focus }, _| async move {
///     let focus = focus.unwrap_or_else(|| "mistakes".into());
///     Ok(format!("Review this {language} code. Look for {focus} first."))
/// })
/// .completing(|argument, typed| async move {
///     let languages = ["Python", "Rust", "TypeScript"].map(String::from);
///     let fitting = languages.into_iter().filter(|language| argument == "language" && language.starts_with(&typed));
///     Ok(fitting.collect())
/// });
/// # let _ = review;
/// ```
#[derive(Clone)]
#[must_use]
pub struct Prompt {
    /// What is known of it.
    pub spec: PromptSpec,
    /// What gives its messages.
    pub callable: Arc<dyn Callable>,
    /// What completes its arguments.
    pub completer: Option<Arc<dyn Callable>>,
}

impl Prompt {
    /// A prompt out of an async function. The type of its arguments gives their names, their descriptions, and which must be
    /// given; clients send texts only, so each is a `String`, an `Option<String>`, or an enum without values.
    pub fn new<A, P, F, R>(mut spec: PromptSpec, run: F) -> Self
    where
        A: DeserializeOwned + JsonSchema + Send + 'static,
        P: Into<PromptOutput>,
        F: Fn(A, CallContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<P, CallError>> + Send + 'static,
    {
        spec.arguments = arguments_of::<A>();
        let run = Arc::new(run);
        let callable = callable(move |input, cx| {
            let run = Arc::clone(&run);
            async move {
                let args = input.arguments.read().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
                Ok(Output::Prompt(run(args, cx).await?.into()))
            }
        });
        Self { spec, callable, completer: None }
    }

    /// A prompt whose arguments are read from JSON.
    pub fn of(spec: PromptSpec, callable: Arc<dyn Callable>) -> Self {
        Self { spec, callable, completer: None }
    }

    /// Sets what completes its arguments: given the argument's name and what was typed of its value, the best values first.
    pub fn completing<F, R>(self, complete: F) -> Self
    where
        F: Fn(String, String) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<String>, CallError>> + Send + 'static,
    {
        Self { completer: Some(completer(complete)), ..self }
    }
}

fn arguments_of<A: JsonSchema>() -> Vec<PromptArgument> {
    let schema = schema_of_read::<A>();
    let must = |name: &str| schema.get("required").and_then(Value::as_array).is_some_and(|names| names.iter().any(|other| other == name));
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let argument = |(name, about): (&String, &Value)| PromptArgument {
        name: name.clone(),
        description: about["description"].as_str().map(ToOwned::to_owned),
        required: must(name),
    };
    properties.map(argument).collect()
}

/// A resource as its author writes it.
#[derive(Clone)]
#[must_use]
pub struct Resource {
    /// What is known of it.
    pub spec: ResourceSpec,
    /// What gives its contents.
    pub callable: Arc<dyn Callable>,
}

impl Resource {
    /// A resource whose contents are a text.
    ///
    /// ```
    /// use toolcrib_contract::{Resource, ResourceSpec};
    ///
    /// let motd = Resource::text(ResourceSpec::new("motd://today", "motd").mime_type("text/plain"), |_| async { Ok("Measure twice.".into()) });
    /// # let _ = motd;
    /// ```
    pub fn text<F, R>(spec: ResourceSpec, read: F) -> Self
    where
        F: Fn(CallContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, CallError>> + Send + 'static,
    {
        let (read, mime_type) = (Arc::new(read), spec.mime_type.clone());
        let callable = callable(move |input, cx| {
            let (read, mime_type) = (Arc::clone(&read), mime_type.clone());
            async move { Ok(Output::Resource(vec![contents(&input.name, mime_type, read(cx).await?)])) }
        });
        Self { spec, callable }
    }

    /// A resource with other contents, such as bytes.
    pub fn of(spec: ResourceSpec, callable: Arc<dyn Callable>) -> Self {
        Self { spec, callable }
    }
}

/// A family of resources as its author writes it.
#[derive(Clone)]
#[must_use]
pub struct Template {
    /// What is known of it.
    pub spec: TemplateSpec,
    /// What gives the contents of one of them.
    pub callable: Arc<dyn Callable>,
    /// What completes its variables.
    pub completer: Option<Arc<dyn Callable>>,
}

impl Template {
    /// A family of resources whose contents are texts: the function is given the URI that is read.
    pub fn text<F, R>(spec: TemplateSpec, read: F) -> Self
    where
        F: Fn(String, CallContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, CallError>> + Send + 'static,
    {
        let (read, mime_type) = (Arc::new(read), spec.mime_type.clone());
        let callable = callable(move |input, cx| {
            let (read, mime_type) = (Arc::clone(&read), mime_type.clone());
            async move { Ok(Output::Resource(vec![contents(&input.name, mime_type, read(input.name.to_string(), cx).await?)])) }
        });
        Self { spec, callable, completer: None }
    }

    /// A family of resources with other contents.
    pub fn of(spec: TemplateSpec, callable: Arc<dyn Callable>) -> Self {
        Self { spec, callable, completer: None }
    }

    /// Sets what completes its variables, as [`Prompt::completing`] does.
    pub fn completing<F, R>(self, complete: F) -> Self
    where
        F: Fn(String, String) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<String>, CallError>> + Send + 'static,
    {
        Self { completer: Some(completer(complete)), ..self }
    }
}

fn contents(uri: &str, mime_type: Option<String>, text: String) -> ResourceContents {
    ResourceContents { uri: uri.to_owned(), mime_type, text: Some(text), blob: None }
}

/// Makes what completes arguments of a function of the argument's name and what was typed of its value.
pub fn completer<F, R>(complete: F) -> Arc<dyn Callable>
where
    F: Fn(String, String) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Vec<String>, CallError>> + Send + 'static,
{
    let complete = Arc::new(complete);
    callable(move |input, _| {
        let complete = Arc::clone(&complete);
        async move {
            let argument = input.arguments.members().ok().and_then(|given| given.get("argument")?.members().ok());
            let text = |key: &str| argument.as_ref().and_then(|argument| argument.string(key)).unwrap_or_default();
            let mut values = complete(text("name"), text("value")).await?;
            let (total, has_more) = (Some(values.len()), values.len() > MAX_COMPLETIONS);
            values.truncate(MAX_COMPLETIONS);
            Ok(Output::Completion(Completion { values, total, has_more }))
        }
    })
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prompt").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("spec", &self.spec).finish_non_exhaustive()
    }
}
