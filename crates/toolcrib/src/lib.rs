//! Toolcrib as a library: a complete MCP server out of your own tools.
//!
//! ```no_run
//! use toolcrib::{CallContext, CallError, Crib, Spec, Tool};
//!
//! struct Greet;
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Who {
//!     /// Whom to greet.
//!     name: String,
//! }
//!
//! #[derive(serde::Serialize, schemars::JsonSchema)]
//! struct Greeting {
//!     text: String,
//! }
//!
//! impl Tool for Greet {
//!     type Args = Who;
//!     type Output = Greeting;
//!
//!     fn spec(&self) -> Spec {
//!         Spec::new("greet", "Greets somebody by name.")
//!     }
//!
//!     async fn run(&self, Who { name }: Who, _: &CallContext) -> Result<Greeting, CallError> {
//!         Ok(Greeting { text: format!("Hello, {name}!") })
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let crib = Crib::builder("greeter", "1.0.0").tool(Greet)?.build();
//!     crib.serve_http("127.0.0.1:3001".parse()?).await?;
//!     Ok(())
//! }
//! ```

mod assemble;
pub mod cli;
mod crib;
pub mod exit;
mod jwks;
mod observe;
pub mod settings;
mod shutdown;

pub use crib::{Builder, Crib, ServeError};
pub use toolcrib_contract::{
    Annotations, Answers, CallContext, CallError, Callable, Category, Change, Content, Input, Json, LogLevel, Output, PromptArgument,
    PromptSpec, Question, ResourceSpec, Spec, TemplateSpec, Tool, ToolOutput, callable, output,
};
pub use toolcrib_contract::{AuditLog, CallerId, Globs, KeyDirectory, Record};
pub use toolcrib_edge::http::{Hosts, ProtectedResource};
pub use toolcrib_gate::{
    Access, Algorithm, Authentication, Condition, Config as GateConfig, Credential, Demands, Issuer, Keys, Limit, Names, PublicKey, Rule,
    SchemaFault,
};
pub use toolcrib_wire::{Era, server::Limits as DoorLimits};
