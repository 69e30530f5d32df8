//! The words every Toolcrib crate speaks: a call, what may be called, what comes of it, and who asked.
//!
//! A tool sees nothing but this crate. It does no I/O, has no runtime and reads no clock.
//!
//! | module | its words |
//! |---|---|
//! | [`call`] | [`Call`], its [`Kind`] |
//! | [`spec`] | what is known of a tool, resource, template or prompt before it is called |
//! | [`tool`] | [`Tool`], for authors; [`Callable`], for the gate |
//! | [`typed`](mod@typed) | tools with types, as the gate runs them |
//! | [`authored`] | tools, prompts and resources out of async functions |
//! | [`context`] | [`CallContext`]: progress, log, questions in mid-call |
//! | [`output`] | what comes of a call |
//! | [`error`] | [`CallError`]: one variant for each way to end without an output |
//! | [`glob`] | [`Globs`]: names by pattern |
//! | [`keys`] | [`KeyDirectory`], [`Secrets`], [`Vault`]: whom API keys belong to, what callers have, what we sign in with |
//! | [`login`] | [`Callback`]: what browsers bring back from an authorization server |
//! | [`listings`] | [`Listings`]: what servers had when they were last listed |
//! | [`audit`] | the [`Record`] of a call, and who keeps it |
//! | [`trace`] | [`Trace`]: where a call stands among those that led to it, and who is told what becomes of it |

pub mod audit;
pub mod authored;
pub mod call;
pub mod context;
pub mod error;
pub mod glob;
pub mod keys;
pub mod listings;
pub mod login;
pub mod output;
mod replicas;
pub mod spec;
pub mod tool;
pub mod trace;
pub mod typed;

pub use audit::{AuditLog, Kept, NoRecords, Origin, Outcome, Record, Unrecorded};
pub use authored::{Prompt, Resource, Template, completer, tool_fn};
pub use call::{Call, CallerId, Kind};
pub use context::{Answers, BackChannel, CallContext, Change, Client, LogEntry, LogLevel, Onward, Progress, Question, Session};
pub use error::{BoxError, CallError, Outage, causes};
pub use glob::Globs;
pub use keys::{KeyDirectory, Secrets, Stored, Vault, Version};
pub use listings::Listings;
pub use login::{Callback, Confirmation, LoggedIn};
pub use output::{Content, Output, ToolOutput};
pub use replicas::{Counted, Counter, CountsAway, Home, Known, SharedCounts};
pub use spec::{Annotations, Category, PromptArgument, PromptSpec, Reach, ResourceSpec, Spec, TemplateSpec};
pub use tool::{BoxFuture, Callable, Input, Others, Tool, Watch, callable, composed};
pub use trace::{CallSpan, StepSpan, Trace, Tracing};
pub use typed::typed;
// The ones that the types of a tool are written with.
pub use toolcrib_json::{Json, JsonError, Members};
pub use {schemars, serde};
