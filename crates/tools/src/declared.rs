//! Tools, prompts and resources that the config declares: no code, but the same road.
//!
//! | module | a tool that |
//! |---|---|
//! | `http` | asks an API |
//! | `command` | runs a program |
//! | `openapi` | asks an API that an OpenAPI document describes |
//! | `sql` | reads from a database of the config |
//! | `pipeline` | calls other tools, one after the other |
//! | `template` | (texts with places for values, for all of them) |
//! | `rehearsal` | (the same with an answer that is given, for the tests of the config) |
//! | `prompt` | (no tool: messages with places) |
//! | `resource`, `folder` | (no tools: files, and what programs write) |

mod command;
mod defaults;
mod folder;
mod given;
mod http;
mod openapi;
mod pipeline;
mod prompt;
mod rehearsal;
mod resource;
mod sql;
mod template;

pub use command::{CommandSettings, DEFAULT_MAX_OUTPUT_BYTES, Written};
pub use folder::FolderSettings;
pub use http::{Body, DEFAULT_PAGES, HttpSettings, Next, Pages};
pub use openapi::{MAX_OPERATIONS, OpenApiSettings, Translated, digest, fetch, shown, translate};
pub use pipeline::{ARGS, PipelineSettings, Step};
pub use prompt::PromptSettings;
pub(crate) use prompt::prompt;
pub use rehearsal::{Canned, rehearsal};
pub use resource::{Announce, PREFIX, ReadFrom, ResourceSettings, Resources, media_type};
pub use sql::{SqlSettings, Statement};
pub use template::{Place, Shape, Template};

use crate::{database::Databases, kept::Kept};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use toolcrib_child::Guard;
use toolcrib_contract::{Annotations, Callable, Spec};
use toolcrib_egress::{Egress, Method, Setup, Url};

/// A tool that the config declares.
#[derive(Debug, Clone)]
pub struct Declared {
    /// What is known of it.
    pub spec: Spec,
    /// What it does.
    pub does: Does,
}

/// What a declared tool does.
#[derive(Debug, Clone)]
pub enum Does {
    /// Asks an API.
    Http(HttpSettings),
    /// Runs a program.
    Command(CommandSettings),
    /// Reads from a database, or writes to it.
    Sql(SqlSettings),
    /// Calls other tools.
    Pipeline(PipelineSettings),
}

impl Does {
    /// What it says of its effects, unless the config says otherwise.
    #[must_use]
    pub fn annotations(&self) -> Annotations {
        match self {
            Self::Http(http) if matches!(http.method, Method::GET | Method::HEAD) => Annotations::LOOKS_OUTSIDE,
            // What is sent by POST may be anything; PUT and PATCH write over what was there.
            Self::Http(http) => Annotations {
                is_read_only: Some(false),
                is_destructive: matches!(http.method, Method::PUT | Method::PATCH | Method::DELETE).then_some(true),
                is_idempotent: Some(matches!(http.method, Method::PUT | Method::DELETE)),
                is_open_world: Some(true),
            },
            Self::Sql(sql) if sql.writes => Annotations {
                is_read_only: Some(false),
                is_destructive: Some(true),
                is_idempotent: Some(false),
                is_open_world: Some(false),
            },
            Self::Sql(_) => Annotations { is_open_world: Some(false), ..Annotations::LOOKS_OUTSIDE },
            // What a program does nobody can tell but who declares it; what a pipeline does, its parts tell.
            Self::Command(_) | Self::Pipeline(_) => Annotations::default(),
        }
    }
}

/// What declared tools share.
pub(crate) struct Shared {
    pub(crate) egress: Egress,
    pub(crate) databases: Arc<Databases>,
    pub(crate) kept: Kept,
    guard: Arc<OnceLock<Guard>>,
    /// Ways to single hosts, by their origins.
    ways: Mutex<BTreeMap<String, Egress>>,
}

impl Shared {
    pub(crate) fn new(egress: Egress, databases: Arc<Databases>, kept: Kept) -> Self {
        Self { egress, databases, kept, guard: Arc::default(), ways: Mutex::default() }
    }

    /// The resources that were declared.
    pub(crate) fn resources(&self, settings: Vec<ResourceSettings>) -> Resources {
        Resources::new(settings, &self.guard, &self.kept)
    }

    /// The way to a host that the config names, and wherever everybody may go: one for all tools that ask it, so that they share
    /// connections, and its patience.
    fn egress_to(&self, origin: &Url) -> Result<Egress, Setup> {
        let mut known = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        let name = origin.origin().ascii_serialization();
        if let Some(egress) = known.get(&name) {
            return Ok(egress.clone());
        }
        let egress = self.egress.also_reaching(&[origin], |_| {})?;
        known.insert(name, egress.clone());
        Ok(egress)
    }

    /// The tool that was declared.
    pub(crate) fn make(&self, Declared { spec, does }: Declared) -> Result<(Spec, Arc<dyn Callable>), Setup> {
        let kept = self.kept.clone();
        let defaults = defaults::of(&spec);
        let callable: Arc<dyn Callable> = match does {
            Does::Http(settings) => {
                let egress = self.egress_to(&settings.origin)?;
                Arc::new(http::Http::new(settings, egress, kept))
            }
            Does::Command(settings) => Arc::new(command::Command::new(settings, Arc::clone(&self.guard), kept)),
            Does::Sql(settings) => Arc::new(sql::Sql::new(settings, Arc::clone(&self.databases), kept)),
            Does::Pipeline(settings) => Arc::new(pipeline::Pipeline::new(settings, kept)),
        };
        Ok((spec, defaults::with(defaults, callable)))
    }
}
