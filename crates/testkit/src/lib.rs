//! For tests only, yours and ours: a gate to test tools against without sockets, and a back channel and an audit log that remember.
//!
//! [`Site`] is an HTTP server that answers what a test says. The product never depends on this crate.

pub mod servers;
pub mod site;

pub use site::{Asked, Served, Site};

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};
use toolcrib_contract::{
    AuditLog, BackChannel, Call, CallContext, CallError, Callable, Change, Content, Input, Json, Kept, Origin, Output, Record, Spec, Tool,
    ToolOutput, callable, typed,
};
use toolcrib_gate::{Arrived, Config, Credential, Gate, Reply, Resilience, Source};

/// Keeps every record, for a test to look at.
#[derive(Debug, Default)]
pub struct Remembered(Mutex<Vec<Record>>);

impl Remembered {
    /// The records so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl AuditLog for Remembered {
    fn keep(&self, record: Record) -> Kept {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record);
        None
    }
}

/// A client that hears nothing and cannot be asked.
#[derive(Debug)]
pub struct Deaf;

impl BackChannel for Deaf {
    fn announce(&self, _: Change) {}
}

/// A gate with tools of the test's own.
///
/// ```
/// use toolcrib_contract::{Output, ToolOutput};
/// use toolcrib_testkit::TestGate;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let gate = TestGate::default().tool("hello", |_, _| async { Ok(Output::Tool(ToolOutput::text("hello"))) }).open();
/// assert!(gate.call("hello", "{}").await.is_ok());
/// assert_eq!(gate.records().len(), 1);
/// # });
/// ```
#[derive(Debug)]
pub struct TestGate {
    config: Config,
    source: Source,
    tools: Tools,
}

/// What is made ready.
#[derive(Default)]
struct Tools(Vec<Arc<dyn Callable>>);

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tools", self.0.len())
    }
}

impl Default for TestGate {
    fn default() -> Self {
        Self { config: Config::default(), source: Source::new("test"), tools: Tools::default() }
    }
}

impl TestGate {
    /// Sets the bounds.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets what is done about faults: of all tools, and of single ones.
    #[must_use]
    pub fn resilience(mut self, of_all: Resilience, of_tools: &[(&str, Resilience)]) -> Self {
        let of_tools = of_tools.iter().map(|(name, own)| ((*name).to_owned(), own.clone())).collect();
        self.source = self.source.resilience(of_all, of_tools);
        self
    }

    /// Adds a tool that takes any object.
    #[must_use]
    pub fn tool<F, R>(self, name: &str, run: F) -> Self
    where
        F: Fn(Input, CallContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Output, CallError>> + Send + 'static,
    {
        self.entry(Spec::new(name, "For a test."), callable(run))
    }

    /// Adds a typed tool.
    #[must_use]
    pub fn typed(self, tool: impl Tool) -> Self {
        let (spec, callable) = typed(tool);
        self.entry(spec, callable)
    }

    /// Adds a tool with a specification of its own.
    ///
    /// # Panics
    /// If its schema cannot be used.
    #[must_use]
    pub fn entry(mut self, spec: Spec, callable: Arc<dyn Callable>) -> Self {
        self.tools.0.push(Arc::clone(&callable));
        self.source.tool(spec, callable).expect("the test's schema is sound");
        self
    }

    /// The gate, open for calls once its tools are made ready, as those of a server are ([`Tool::initialize`]).
    ///
    /// # Panics
    /// If one of them cannot be made ready.
    pub async fn made_ready(self) -> OpenGate {
        for tool in &self.tools.0 {
            if let Err(reason) = tool.initialize().await {
                panic!("a tool cannot be made ready: {reason}");
            }
        }
        self.open()
    }

    /// The gate, open for calls of tools as they are.
    #[must_use]
    pub fn open(self) -> OpenGate {
        let audit = Arc::new(Remembered::default());
        let gate = Gate::new(self.config, Arc::clone(&audit) as Arc<dyn AuditLog>).shared();
        let clashes = gate.publish(self.source);
        assert!(clashes.is_empty(), "{clashes:?}");
        OpenGate { gate, audit }
    }
}

/// A gate under test: a [`TestGate`]'s, or that of a whole server.
#[derive(Debug, Clone)]
pub struct OpenGate {
    gate: Arc<Gate>,
    audit: Arc<Remembered>,
}

impl OpenGate {
    /// The gate of a server that records here.
    ///
    /// ```ignore
    /// let records = Arc::new(Remembered::default());
    /// let crib = Crib::builder().tool(greet()).audit(records.clone()).build().await?;
    /// let gate = OpenGate::new(crib.gate().clone(), records);
    /// ```
    #[must_use]
    pub fn new(gate: Arc<Gate>, audit: Arc<Remembered>) -> Self {
        Self { gate, audit }
    }

    /// The gate itself.
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// The records so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.audit.records()
    }

    /// Calls a tool as the anonymous caller, and sees to it that its output is what its schema says: clients refuse any other.
    ///
    /// # Errors
    /// Those of the gate.
    ///
    /// # Panics
    /// If the arguments are no JSON, or the output is not what the schema says.
    pub async fn call(&self, tool: &str, arguments: &str) -> Result<Reply, CallError> {
        let reply = self.pass(tool, arguments).await?;
        self.judge(tool, &reply);
        Ok(reply)
    }

    /// Calls a tool as the anonymous caller and looks at nothing: what a bench measures.
    ///
    /// # Errors
    /// Those of the gate.
    ///
    /// # Panics
    /// If the arguments are no JSON.
    pub async fn pass(&self, tool: &str, arguments: &str) -> Result<Reply, CallError> {
        let arguments = Json::parse(arguments.to_owned()).expect("the test's arguments are JSON");
        let caller = self.gate.authenticate(Credential::None).await.expect("anybody may call");
        let arrived =
            Arrived { caller, profile: None, call: Call::tool(tool, arguments), origin: Origin::door("test"), back: Arc::new(Deaf) };
        self.gate.call(arrived).await
    }

    /// Calls a tool that tells in its structure what went wrong, and gives the structure.
    ///
    /// # Panics
    /// If the call does not pass, or the output is marked as a failure without telling of one, or the other way round.
    pub async fn tell(&self, tool: &str, arguments: &serde_json::Value) -> serde_json::Value {
        let reply = self.call(tool, &arguments.to_string()).await.unwrap_or_else(|error| panic!("{arguments}: {error}"));
        let Output::Tool(output) = reply.output else { panic!("{tool} is no tool") };
        let structured = output.structured.expect("the tool has structure").to_value().expect("an output is JSON");
        assert_eq!(output.is_error, structured.get("error").is_some(), "{structured}");
        structured
    }

    /// Calls a tool, and gives the first text of its output; of a failure, what it says.
    ///
    /// # Errors
    /// The error of the call in words.
    ///
    /// # Panics
    /// If the output has no text.
    pub async fn text(&self, tool: &str, arguments: &serde_json::Value) -> Result<String, String> {
        let reply = self.call(tool, &arguments.to_string()).await.map_err(|error| error.to_string())?;
        let Output::Tool(output) = reply.output else { panic!("{tool} is no tool") };
        match output.content.into_iter().next() {
            Some(Content::Text { text }) if output.is_error => Err(text),
            Some(Content::Text { text }) => Ok(text),
            other => panic!("{tool} gives {other:?} before any text"),
        }
    }

    fn judge(&self, tool: &str, reply: &Reply) {
        let catalogue = self.gate.catalogue();
        let schema = catalogue.tool(tool).and_then(|entry| entry.spec().output_schema.as_ref());
        let (Some(schema), Output::Tool(output)) = (schema, &reply.output) else { return };
        let schema = schema.to_value().expect("a schema is JSON");
        let structured = output.structured.as_ref().expect("a tool with an output schema gives structure");
        let structured = structured.to_value().expect("an output is JSON");
        if let Err(error) = jsonschema::validate(&schema, &structured) {
            panic!("the output of {tool} is not what its schema says: {error} at {}\n{structured}", error.instance_path());
        }
    }
}

/// An output of one text, as most tests need it.
///
/// # Errors
/// None: the type is that of a tool.
pub fn said(text: &str) -> Result<Output, CallError> {
    Ok(Output::Tool(ToolOutput::text(text)))
}
