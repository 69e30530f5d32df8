//! What comes of a call.

use serde::Serialize;
use serde_json::Value;
use toolcrib_json::{Json, JsonError, Members};

/// What comes of a call, before a door gives it the form that its client understands.
#[derive(Debug, Clone)]
pub enum Output {
    /// A tool's.
    Tool(ToolOutput),
    /// A resource's contents.
    Resource(Vec<ResourceContents>),
    /// A prompt's messages.
    Prompt(PromptOutput),
    /// Values that complete an argument.
    Completion(Completion),
    /// The result object of another server, as it stands.
    Foreign(Members),
}

impl Output {
    /// Whether the output tells of a failure that the model may react to.
    #[must_use]
    pub fn is_error(&self) -> bool {
        match self {
            Self::Tool(output) => output.is_error,
            Self::Foreign(result) => result.get("isError").is_some_and(|flag| flag.as_bytes() == b"true"),
            _ => false,
        }
    }

    /// What a tool has given, as a value for whoever goes on with it: its structure, or its text, read as JSON where it is that.
    ///
    /// # Errors
    /// What a tool says that has failed; and where it gave nothing that can be gone on with.
    pub fn into_value(self) -> Result<Value, String> {
        let is_error = self.is_error();
        let (texts, structured): (Vec<String>, Option<Json>) = match self {
            Self::Tool(output) => {
                // What is too much for a model lies elsewhere; its beginning is not what is to be gone on with.
                if output.structured.is_none() && output.content.iter().any(|block| matches!(block, Content::ResourceLink { .. })) {
                    return Err("it gave more than can be handed on".to_owned());
                }
                let texts =
                    output.content.into_iter().filter_map(|block| if let Content::Text { text } = block { Some(text) } else { None });
                (texts.collect(), output.structured)
            }
            Self::Foreign(result) => {
                let blocks = result.get("content").and_then(|content| content.elements().ok()).unwrap_or_default();
                let texts = blocks.iter().filter_map(|block| block.members().ok()?.string("text"));
                (texts.collect(), result.get("structuredContent"))
            }
            _ => return Err("it gave something that is no tool's result".to_owned()),
        };
        let text = texts.join("\n");
        if is_error {
            return Err(text);
        }
        match structured {
            Some(structured) => structured.to_value().map_err(|error| error.to_string()),
            // A text that looks like a number is a text.
            None if text.trim_start().starts_with(['{', '[']) => Ok(serde_json::from_str(&text).unwrap_or(Value::String(text))),
            None => Ok(Value::String(text)),
        }
    }

    /// How large the output is, near enough to bound it: the bytes of its texts.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Foreign(result) => result.text().size_bytes(),
            Self::Tool(output) => {
                output.content.iter().map(Content::size_bytes).sum::<usize>() + output.structured.as_ref().map_or(0, Json::size_bytes)
            }
            Self::Resource(contents) => contents.iter().map(ResourceContents::size_bytes).sum(),
            Self::Prompt(prompt) => prompt.messages.iter().map(|message| message.content.size_bytes()).sum(),
            Self::Completion(completion) => completion.values.iter().map(String::len).sum(),
        }
    }
}

/// What a tool gives back: content for the model to read, and structure for programs.
#[derive(Debug, Clone, Default)]
pub struct ToolOutput {
    /// For the model.
    pub content: Vec<Content>,
    /// For programs: what the output schema describes.
    pub structured: Option<Json>,
    /// Whether the content tells of a failure that the model may react to.
    pub is_error: bool,
    /// What else is worth knowing about the output, for programs: an object, by names such as `dev.toolcrib/untrusted`.
    pub meta: Option<Json>,
}

impl ToolOutput {
    /// One text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: vec![Content::text(text)], ..Self::default() }
    }

    /// A failure in words, for the model to react to.
    #[must_use]
    pub fn failure(text: impl Into<String>) -> Self {
        Self { is_error: true, ..Self::text(text) }
    }

    /// Structure, with the same as JSON text for models that read only content.
    ///
    /// # Errors
    /// [`JsonError`] where the value has no JSON form.
    pub fn structured(value: &impl Serialize) -> Result<Self, JsonError> {
        let structured = Json::of(value)?;
        Ok(Self { content: vec![Content::text(structured.as_str())], structured: Some(structured), ..Self::default() })
    }
}

/// One block of content. Serialises as MCP content blocks do.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// An image.
    #[serde(rename_all = "camelCase")]
    Image {
        /// The bytes in Base64.
        data: String,
        /// Its media type.
        mime_type: String,
    },
    /// Sound.
    #[serde(rename_all = "camelCase")]
    Audio {
        /// The bytes in Base64.
        data: String,
        /// Its media type.
        mime_type: String,
    },
    /// A resource, with its contents.
    Resource {
        /// The contents.
        resource: ResourceContents,
    },
    /// A resource that can be read.
    #[serde(rename_all = "camelCase")]
    ResourceLink {
        /// Its URI.
        uri: String,
        /// Its name.
        name: String,
        /// Its media type.
        #[serde(skip_serializing_if = "Option::is_none")]
        mime_type: Option<String>,
        /// Its size in bytes.
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<usize>,
    },
}

impl Content {
    /// A block of text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    fn size_bytes(&self) -> usize {
        match self {
            Self::Text { text } => text.len(),
            Self::Image { data, .. } | Self::Audio { data, .. } => data.len(),
            Self::Resource { resource } => resource.size_bytes(),
            Self::ResourceLink { uri, name, .. } => uri.len() + name.len(),
        }
    }
}

/// The contents of a resource, or of one part of it: text, or bytes in Base64.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceContents {
    /// The URI.
    pub uri: String,
    /// The media type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The text, for a resource that is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The bytes in Base64, for one that is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
}

impl ResourceContents {
    /// Contents that are text.
    #[must_use]
    pub fn text(uri: &str, mime_type: &str, text: impl Into<String>) -> Self {
        Self { uri: uri.into(), mime_type: Some(mime_type.into()), text: Some(text.into()), blob: None }
    }

    fn size_bytes(&self) -> usize {
        self.uri.len() + self.text.as_ref().map_or(0, String::len) + self.blob.as_ref().map_or(0, String::len)
    }
}

/// What a prompt gives.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PromptOutput {
    /// What this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The messages.
    pub messages: Vec<PromptMessage>,
}

impl PromptOutput {
    /// What the user says.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        let message = PromptMessage { role: Role::User, content: Content::text(text) };
        Self { description: None, messages: vec![message] }
    }
}

impl From<String> for PromptOutput {
    fn from(text: String) -> Self {
        Self::user(text)
    }
}

impl From<&str> for PromptOutput {
    fn from(text: &str) -> Self {
        Self::user(text)
    }
}

/// One message of a prompt.
#[derive(Debug, Clone, Serialize)]
pub struct PromptMessage {
    /// `user` or `assistant`.
    pub role: Role,
    /// What it says.
    pub content: Content,
}

/// Who speaks in a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The user.
    User,
    /// The model.
    Assistant,
}

/// Values that complete an argument.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    /// At most 100 values, the best first.
    pub values: Vec<String>,
    /// How many there are in all, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<usize>,
    /// Whether there are more than are given.
    pub has_more: bool,
}
