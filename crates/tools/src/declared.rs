//! Tools that the config declares: no code, but the same road.

mod command;
mod given;
mod http;
mod pipeline;
mod sql;
mod template;

pub use command::{CommandSettings, DEFAULT_MAX_OUTPUT_BYTES, Written};
pub use http::{Body, DEFAULT_PAGES, HttpSettings, Next, Pages};
pub use pipeline::{ARGS, PipelineSettings, Step};
pub use sql::{SqlSettings, Statement};
pub use template::{Place, Shape, Template};
