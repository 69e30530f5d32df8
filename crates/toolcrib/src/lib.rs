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
//!
//! Who may call it, and a record that lasts:
//!
//! ```no_run
//! use std::{path::Path, sync::Arc};
//! use toolcrib::{Access, Algorithm, AuditPolicy, Authentication, Crib, Demands, Globs, Issuer, Keys, Names, Rule, Store};
//!
//! # fn secret() -> String { String::new() }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let issuer = Issuer {
//!     name: "login".into(),
//!     keys: Keys::secret(secret().as_bytes(), &[Algorithm::HS256])?,
//!     algorithms: vec![Algorithm::HS256],
//!     demands: Demands { audiences: vec!["greeter".into()], ..Demands::default() },
//!     only_access_tokens: false,
//! };
//! let users = Rule {
//!     place: "main.rs".into(),
//!     roles: vec!["user".into()],
//!     allow: Names { tools: Globs::new(["*"]), ..Names::default() },
//!     deny: Names::default(),
//!     when: None,
//! };
//! let crib = Crib::builder("greeter", "1.0.0")
//!     .authentication(Authentication { issuers: vec![Arc::new(issuer)], is_required: true, ..Authentication::default() })
//!     .access(Access { rules: vec![users], scopes: Vec::new() }, Vec::new())
//!     .audit(Store::open(Path::new("data"))?.audit(AuditPolicy::default())?)
//!     .build();
//! # let _ = crib;
//! # Ok(())
//! # }
//! ```

mod assemble;
pub mod cli;
mod crib;
pub mod exit;
mod jwks;
mod landing;
mod notify;
mod observe;
mod open_files;
mod reload;
pub mod settings;
mod shutdown;
mod statistics;

pub use crib::{Builder, Crib, ServeError};
pub use toolcrib_contract::{
    Annotations, Answers, CallContext, CallError, Callable, Category, Change, Content, Input, Json, LogLevel, Output, PromptArgument,
    PromptSpec, Question, ResourceSpec, Spec, TemplateSpec, Tool, ToolOutput, callable, composed, output,
};
pub use toolcrib_contract::{AuditLog, CallerId, Globs, Kept, KeyDirectory, Origin, Outcome, Record, Unrecorded, call::Kind};
pub use toolcrib_edge::http::{Hosts, ProtectedResource};
pub use toolcrib_gate::{
    Access, Algorithm, Authentication, Condition, Config as GateConfig, Credential, Demands, Issuer, KeyFault, KeySet, KeySource, Keys,
    Limit, Names, PublicKey, Resilience, Rule, SchemaFault, Source, Unauthenticated, WeakSecret,
};
pub use toolcrib_store::{Audit, Policy as AuditPolicy, Store, StoreError};
pub use toolcrib_wire::{Era, server::Limits as DoorLimits};
