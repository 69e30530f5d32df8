//! Tools as their authors write them, and as the gate runs them.

use crate::{
    call::Call,
    context::CallContext,
    error::CallError,
    output::{Output, ToolOutput},
    spec::Spec,
};
use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde::{Serialize, de::DeserializeOwned};
use std::{any::Any, fmt, future::Future, marker::PhantomData, pin::Pin, sync::Arc};
use toolcrib_json::{Json, Members};

/// A future whose type is forgotten.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A tool as its author writes it: typed arguments in, typed output out, one async method.
///
/// The types give the schemas; the doc comments of their fields become the descriptions that the model reads.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use toolcrib_contract::{Annotations, CallContext, CallError, Spec, Tool};
///
/// struct WordCount;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Args {
///     /// The text to count.
///     text: String,
/// }
///
/// #[derive(Serialize, JsonSchema)]
/// struct Count {
///     words: usize,
/// }
///
/// impl Tool for WordCount {
///     type Args = Args;
///     type Output = Count;
///
///     fn spec(&self) -> Spec {
///         Spec::new("word_count", "Counts the words of a text.").annotations(Annotations::PURE)
///     }
///
///     async fn run(&self, Args { text }: Args, _: &CallContext) -> Result<Count, CallError> {
///         Ok(Count { words: text.split_whitespace().count() })
///     }
/// }
/// ```
pub trait Tool: Send + Sync + 'static {
    /// The arguments.
    type Args: DeserializeOwned + JsonSchema + Send;
    /// The structured output: an object.
    type Output: Serialize + JsonSchema + Send;

    /// What is known of the tool. The schemas are filled in from the types.
    fn spec(&self) -> Spec;

    /// Does the work.
    ///
    /// # Errors
    /// [`CallError`]; a failure that the model can react to is [`CallError::failed`].
    ///
    /// # Cancellation
    /// The future is dropped when the client cancels, leaves, or the deadline passes.
    fn run(&self, args: Self::Args, cx: &CallContext) -> impl Future<Output = Result<Self::Output, CallError>> + Send;

    /// Whether it calls other tools, by [`CallContext::call_tool`].
    const CALLS_OTHERS: bool = false;

    /// Changes how the output is presented: what is written is the structure, with the same as JSON text for a model that is
    /// given text only. A failure in which the structure says what is wrong is marked here, too.
    fn present(&self, _output: &Self::Output, _written: &mut ToolOutput) {}
}

/// What the gate runs once a call has passed: a tool, resource or prompt with its types forgotten.
pub trait Callable: Send + Sync {
    /// Does the work.
    ///
    /// # Errors
    /// [`CallError`].
    ///
    /// # Cancellation
    /// The future is dropped when the client cancels, leaves, or the deadline passes.
    fn call(&self, input: Input, cx: CallContext) -> BoxFuture<'_, Result<Output, CallError>>;

    /// The arguments as they are to be acted on, where that is not as they came: what an operator has set is put in here,
    /// after the schema has judged them and before the rules do.
    ///
    /// # Errors
    /// [`CallError::InvalidArguments`].
    fn prepare(&self, _arguments: &Json) -> Result<Option<Json>, CallError> {
        Ok(None)
    }

    /// What a call with these arguments would do, in lines for people and without secrets. Nothing is done.
    fn foretell(&self, _arguments: &Json) -> Option<Result<Vec<String>, CallError>> {
        None
    }

    /// Whether a call is to be given the token that its caller has shown, to pass it on. What does not say so never sees one.
    fn takes_token(&self) -> bool {
        false
    }

    /// Which other tools a call may make calls of. What does not say so is given no way to them.
    fn others(&self) -> Others<'_> {
        Others::Nobody
    }

    /// Sees to it that changes of the resource with this URI are announced, as long as the watch is held. `None` where
    /// they are announced anyhow.
    fn watch(&self, _uri: &str) -> Option<BoxFuture<'_, Result<Watch, CallError>>> {
        None
    }
}

/// Which tools another one calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Others<'a> {
    /// None.
    #[default]
    Nobody,
    /// Whichever it finds out to need.
    Anybody,
    /// These, and nothing else: what they say of their effects says what this one's are.
    These(&'a [String]),
}

/// Somebody wants to hear of changes of a resource. Dropping it ends that.
pub struct Watch(#[expect(dead_code, reason = "held for what happens when it is dropped")] Box<dyn Any + Send + Sync>);

impl Watch {
    /// A watch that ends when what it holds is dropped.
    #[must_use]
    pub fn holding(what: impl Any + Send + Sync) -> Self {
        Self(Box::new(what))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// What a [`Callable`] is given.
#[derive(Debug, Clone)]
pub struct Input {
    /// What the caller called it: for a resource out of a template, the URI.
    pub name: Box<str>,
    /// The arguments, checked against the schema.
    pub arguments: Json,
    /// All parameters as the client sent them, for a call that is passed on to another server.
    pub params: Option<Members>,
}

impl From<Call> for Input {
    fn from(Call { name, arguments, params, .. }: Call) -> Self {
        Self { name, arguments, params }
    }
}

/// Forgets the types of a tool: gives what is known of it, and what the gate runs.
#[must_use]
pub fn typed<T: Tool>(tool: T) -> (Spec, Arc<dyn Callable>) {
    let mut spec = tool.spec();
    // What is read may leave out what has a default; what is written leaves out what says nothing.
    spec.input_schema = schema_of::<T::Args>(SchemaSettings::default().for_deserialize());
    spec.output_schema = Some(schema_of::<T::Output>(SchemaSettings::default().for_serialize()));
    (spec, Arc::new(Typed(tool)))
}

fn schema_of<T: JsonSchema>(settings: SchemaSettings) -> Json {
    // Formats of Rust's numbers are none that JSON Schema knows; validators complain about them.
    let without_formats = RecursiveTransform(|schema: &mut Schema| {
        if schema.get("format").and_then(|format| format.as_str()).is_some_and(|format| !KNOWN_FORMATS.contains(&format)) {
            schema.remove("format");
        }
    });
    let schema = settings.with_transform(without_formats).into_generator().into_root_schema_for::<T>();
    Json::of(&schema).expect("a schema is JSON")
}

/// Formats of JSON Schema (2020-12, section 7.3) that types here may have.
const KNOWN_FORMATS: &[&str] = &["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid", "regex"];

struct Typed<T>(T);

impl<T: Tool> Callable for Typed<T> {
    fn call(&self, input: Input, cx: CallContext) -> BoxFuture<'_, Result<Output, CallError>> {
        Box::pin(async move {
            let args = input.arguments.read().map_err(|error| CallError::InvalidArguments(error.to_string()))?;
            let output = self.0.run(args, &cx).await?;
            let mut written = ToolOutput::structured(&output).map_err(CallError::failed)?;
            self.0.present(&output, &mut written);
            Ok(Output::Tool(written))
        })
    }

    fn others(&self) -> Others<'_> {
        if T::CALLS_OTHERS { Others::Anybody } else { Others::Nobody }
    }
}

/// Makes a [`Callable`] of an async function, for what needs no types of its own.
///
/// ```
/// use toolcrib_contract::{Output, ToolOutput, callable};
///
/// let hello = callable(|input, _cx| async move { Ok(Output::Tool(ToolOutput::text(format!("hello from {}", input.name)))) });
/// # let _ = hello;
/// ```
pub fn callable<F, R>(run: F) -> Arc<dyn Callable>
where
    F: Fn(Input, CallContext) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Output, CallError>> + Send + 'static,
{
    Arc::new(Closure::<_, _, false> { run, result: PhantomData })
}

/// The same, for what calls other tools ([`CallContext::call_tool`]).
pub fn composed<F, R>(run: F) -> Arc<dyn Callable>
where
    F: Fn(Input, CallContext) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Output, CallError>> + Send + 'static,
{
    Arc::new(Closure::<_, _, true> { run, result: PhantomData })
}

struct Closure<F, R, const CALLS_OTHERS: bool> {
    run: F,
    result: PhantomData<fn() -> R>,
}

impl<F, R, const CALLS_OTHERS: bool> Callable for Closure<F, R, CALLS_OTHERS>
where
    F: Fn(Input, CallContext) -> R + Send + Sync,
    R: Future<Output = Result<Output, CallError>> + Send + 'static,
{
    fn call(&self, input: Input, cx: CallContext) -> BoxFuture<'_, Result<Output, CallError>> {
        Box::pin((self.run)(input, cx))
    }

    fn others(&self) -> Others<'_> {
        if CALLS_OTHERS { Others::Anybody } else { Others::Nobody }
    }
}
