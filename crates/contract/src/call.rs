//! A call: one request for work.

use std::{fmt, sync::Arc};
use toolcrib_json::{Json, Members};

/// What kind of thing is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A tool (`tools/call`).
    Tool,
    /// A resource (`resources/read`).
    Resource,
    /// A prompt (`prompts/get`).
    Prompt,
    /// The completion of a prompt's argument (`completion/complete` with `ref/prompt`).
    PromptCompletion,
    /// The completion of a template's variable (`completion/complete` with `ref/resource`).
    TemplateCompletion,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tool => "tool",
            Self::Resource => "resource",
            Self::Prompt | Self::PromptCompletion => "prompt",
            Self::TemplateCompletion => "resource template",
        })
    }
}

/// One request for work, as a door hands it to the gate.
#[derive(Debug, Clone)]
pub struct Call {
    /// What kind of thing is called.
    pub kind: Kind,
    /// Which one: a tool's or prompt's name, a resource's URI, a template's URI template.
    pub name: Box<str>,
    /// The arguments: an object. For a completion, `{"argument": …, "context": …}`.
    pub arguments: Json,
    /// All parameters as the client sent them, for a call that is passed on to another server.
    pub params: Option<Members>,
}

impl Call {
    /// A call of a tool with these arguments, as doors without MCP parameters make it.
    #[must_use]
    pub fn tool(name: &str, arguments: Json) -> Self {
        Self { kind: Kind::Tool, name: name.into(), arguments, params: None }
    }

    /// A call that reads a resource.
    #[must_use]
    pub fn resource(uri: &str) -> Self {
        Self { kind: Kind::Resource, name: uri.into(), arguments: Json::empty_object(), params: None }
    }
}

/// Who asked, as tools and records may know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerId {
    /// The subject: a stable name, unique among all callers.
    pub subject: Arc<str>,
    /// The roles, sorted.
    pub roles: Arc<[Box<str>]>,
}
