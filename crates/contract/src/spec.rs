//! What is known of a tool, resource, template or prompt before it is called.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use toolcrib_json::Json;

/// What a tool is for, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Fetches data.
    DataRetrieval,
    /// Works on data that it is given.
    DataProcessing,
    /// Acts on another system.
    ExternalIntegration,
    /// Everything else.
    Utility,
}

/// What a tool says about its effects. Hints: those of a server that is not trusted decide nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Annotations {
    /// Changes nothing.
    #[serde(rename = "readOnlyHint")]
    pub is_read_only: Option<bool>,
    /// May destroy something.
    #[serde(rename = "destructiveHint")]
    pub is_destructive: Option<bool>,
    /// Called twice with the same arguments, does no more than once.
    #[serde(rename = "idempotentHint")]
    pub is_idempotent: Option<bool>,
    /// Reaches things outside.
    #[serde(rename = "openWorldHint")]
    pub is_open_world: Option<bool>,
}

impl Annotations {
    /// A tool that only looks at its arguments.
    pub const PURE: Self =
        Self { is_read_only: Some(true), is_destructive: Some(false), is_idempotent: Some(true), is_open_world: Some(false) };

    /// A tool that looks at things outside and changes none.
    pub const LOOKS_OUTSIDE: Self = Self { is_open_world: Some(true), ..Self::PURE };

    /// These, and where they say nothing, the others.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            is_read_only: self.is_read_only.or(others.is_read_only),
            is_destructive: self.is_destructive.or(others.is_destructive),
            is_idempotent: self.is_idempotent.or(others.is_idempotent),
            is_open_world: self.is_open_world.or(others.is_open_world),
        }
    }
}

/// What a tool reaches beyond its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Other hosts.
    Network,
    /// Files of this machine.
    Files,
}

/// What is known of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The name that clients call.
    pub name: String,
    /// The name that people read.
    pub title: Option<String>,
    /// What it does, for the model that chooses.
    pub description: String,
    /// What it is for.
    pub category: Category,
    /// The version, semantic. Default `1.0.0`.
    pub version: String,
    /// Who made it.
    pub author: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// What it says about its effects.
    pub annotations: Annotations,
    /// What it reaches beyond its arguments. Nothing, unless it says so.
    pub reaches: Vec<Reach>,
    /// The JSON Schema of its arguments.
    pub input_schema: Json,
    /// The JSON Schema of its structured output, if it has one.
    pub output_schema: Option<Json>,
    /// How long a call may take, where that differs from the general deadline.
    pub timeout: Option<Duration>,
    /// The definition as another server wrote it: passed on as it stands, but for the name.
    pub foreign: Option<Json>,
}

impl Spec {
    /// A tool with this name and description, any object as its arguments, and every other field at its default.
    #[must_use]
    pub fn new(name: &str, description: &str) -> Self {
        Self {
            name: name.into(),
            title: None,
            description: description.into(),
            category: Category::Utility,
            version: "1.0.0".into(),
            author: None,
            tags: Vec::new(),
            annotations: Annotations::default(),
            reaches: Vec::new(),
            input_schema: Json::object().with_str("type", "object").finish(),
            output_schema: None,
            timeout: None,
            foreign: None,
        }
    }

    /// Sets the name that people read.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Sets what the tool is for.
    #[must_use]
    pub fn category(mut self, category: Category) -> Self {
        self.category = category;
        self
    }

    /// Sets the words to find it by.
    #[must_use]
    pub fn tags(mut self, tags: &[&str]) -> Self {
        self.tags = tags.iter().map(ToString::to_string).collect();
        self
    }

    /// Sets who made it.
    #[must_use]
    pub fn author(mut self, author: &str) -> Self {
        self.author = Some(author.into());
        self
    }

    /// Sets what it says about its effects.
    #[must_use]
    pub fn annotations(mut self, annotations: Annotations) -> Self {
        self.annotations = annotations;
        self
    }

    /// Sets what it reaches beyond its arguments.
    #[must_use]
    pub fn reaches(mut self, reaches: &[Reach]) -> Self {
        self.reaches = reaches.to_vec();
        self
    }

    /// Sets the version.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        self.version = version.into();
        self
    }

    /// Sets the JSON Schema of its arguments.
    #[must_use]
    pub fn input_schema(mut self, schema: Json) -> Self {
        self.input_schema = schema;
        self
    }

    /// Sets how long a call may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// What is known of a resource.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResourceSpec {
    /// Its URI, which clients read it by.
    pub uri: String,
    /// Its name.
    pub name: String,
    /// What it holds.
    pub description: Option<String>,
    /// The media type of its contents.
    pub mime_type: Option<String>,
    /// The definition as another server wrote it.
    pub foreign: Option<Json>,
}

impl ResourceSpec {
    /// A resource with this URI and name.
    #[must_use]
    pub fn new(uri: &str, name: &str) -> Self {
        Self { uri: uri.into(), name: name.into(), ..Self::default() }
    }

    /// Sets what it holds.
    #[must_use]
    pub fn description(self, text: &str) -> Self {
        Self { description: Some(text.into()), ..self }
    }

    /// Sets the media type of its contents.
    #[must_use]
    pub fn mime_type(self, mime_type: &str) -> Self {
        Self { mime_type: Some(mime_type.into()), ..self }
    }
}

/// What is known of a family of resources.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TemplateSpec {
    /// The URI with variables, `{id}` (RFC 6570, simple expansion).
    pub uri_template: String,
    /// Its name.
    pub name: String,
    /// What the resources hold.
    pub description: Option<String>,
    /// The media type of their contents.
    pub mime_type: Option<String>,
    /// The definition as another server wrote it.
    pub foreign: Option<Json>,
}

impl TemplateSpec {
    /// A family of resources with these URIs and this name.
    #[must_use]
    pub fn new(uri_template: &str, name: &str) -> Self {
        Self { uri_template: uri_template.into(), name: name.into(), ..Self::default() }
    }

    /// Sets what the resources hold.
    #[must_use]
    pub fn description(self, text: &str) -> Self {
        Self { description: Some(text.into()), ..self }
    }

    /// Sets the media type of their contents.
    #[must_use]
    pub fn mime_type(self, mime_type: &str) -> Self {
        Self { mime_type: Some(mime_type.into()), ..self }
    }
}

/// What is known of a prompt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PromptSpec {
    /// The name that clients get it by.
    pub name: String,
    /// The name that people read.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Its arguments.
    pub arguments: Vec<PromptArgument>,
    /// The definition as another server wrote it.
    pub foreign: Option<Json>,
}

impl PromptSpec {
    /// A prompt with this name, and what it is for.
    #[must_use]
    pub fn new(name: &str, description: &str) -> Self {
        Self { name: name.into(), description: Some(description.into()), ..Self::default() }
    }

    /// Sets the name that people read.
    #[must_use]
    pub fn title(self, title: &str) -> Self {
        Self { title: Some(title.into()), ..self }
    }
}

/// One argument of a prompt, always a string.
#[derive(Debug, Clone, Default, Serialize, PartialEq)]
pub struct PromptArgument {
    /// Its name.
    pub name: String,
    /// What it means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it must be given.
    pub required: bool,
}
