//! Tools as their authors write them, and as the gate runs them.

use crate::{
    call::Call,
    context::CallContext,
    error::{BoxError, CallError},
    output::{Output, ToolOutput},
    spec::Spec,
};
use schemars::JsonSchema;
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tool",
    label = "this is no tool",
    note = "implement `Tool` for it (a struct with `Args`, `Output`, `spec` and `run`), write `#[tool]` above an async function, or make one of a closure with `tool_fn`",
    note = "a tool that is shared is an `Arc` in a field of the tool, not an `Arc` of it"
)]
pub trait Tool: Send + Sync + 'static {
    /// The arguments.
    type Args: DeserializeOwned + JsonSchema + Send;
    /// The structured output. What is no object is given as `{"result": …}`, since clients take no other structure; a text
    /// is shown to the model as it stands.
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

    /// Makes ready, once, before anything is served: connects, loads, warms up. What fails here keeps the server from starting.
    ///
    /// # Errors
    /// Whatever went wrong; it is told with the name of the tool.
    fn initialize(&self) -> impl Future<Output = Result<(), BoxError>> + Send {
        async { Ok(()) }
    }

    /// Tidies up, once, when the server ends: also when it could not start, whether this tool was made ready or not.
    fn cleanup(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

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

    /// Makes ready, once, before anything is served.
    ///
    /// # Errors
    /// Whatever went wrong.
    fn initialize(&self) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async { Ok(()) })
    }

    /// Tidies up, once, when the server ends.
    fn cleanup(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
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
