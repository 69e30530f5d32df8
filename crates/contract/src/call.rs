//! A call: one request for work.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};
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
    /// What vouched for the caller: the name of the issuer of its token, `key` for an API key, `local`, `anonymous`.
    pub authority: Arc<str>,
    /// Whom that named.
    pub subject: Arc<str>,
    /// The roles, sorted.
    pub roles: Arc<[Box<str>]>,
    principal: Arc<str>,
}

impl CallerId {
    /// The authority of holders of API keys.
    pub const KEY: &str = "key";
    /// The authority of callers that the operator names.
    pub const LOCAL: &str = "local";
    /// The authority of whoever shows nothing.
    pub const ANONYMOUS: &str = "anonymous";
    /// The authority of what Toolcrib does by itself.
    pub const OURSELVES: &str = "toolcrib";
    /// Authorities that no issuer of tokens may be named like: its callers could be taken for others.
    pub const RESERVED: [&str; 4] = [Self::KEY, Self::LOCAL, Self::ANONYMOUS, Self::OURSELVES];

    /// A caller for whom an authority vouched.
    ///
    /// ```
    /// use toolcrib_contract::CallerId;
    ///
    /// let ann = CallerId::new("login", "ann", ["user", "admin", "user"]);
    /// assert_eq!(ann.principal().as_ref(), "login:ann");
    /// assert_eq!(ann.roles.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["admin", "user"]);
    /// ```
    #[must_use]
    pub fn new<R: Into<Box<str>>>(authority: &str, subject: &str, roles: impl IntoIterator<Item = R>) -> Self {
        let mut roles: Vec<Box<str>> = roles.into_iter().map(Into::into).collect();
        roles.sort_unstable();
        roles.dedup();
        let principal = format!("{authority}:{subject}").into();
        Self { authority: authority.into(), subject: subject.into(), roles: roles.into(), principal }
    }

    /// Whether a text can be somebody's name: not blank, at most 256 bytes, no control characters.
    #[must_use]
    pub fn is_subject(text: &str) -> bool {
        !text.trim().is_empty() && text.len() <= 256 && !text.chars().any(char::is_control)
    }

    /// Whether a text can be somebody's role: one word of at most 128 bytes; not `*`, which stands for everyone.
    #[must_use]
    pub fn is_role(text: &str) -> bool {
        !text.is_empty() && text != "*" && text.len() <= 128 && !text.chars().any(|c| c.is_control() || c.is_whitespace())
    }

    /// Whoever shows nothing.
    #[must_use]
    pub fn anonymous() -> Self {
        // Made once: on an open server every call is from nobody.
        static NOBODY: LazyLock<CallerId> = LazyLock::new(|| CallerId::new(CallerId::ANONYMOUS, "anonymous", [""; 0]));
        NOBODY.clone()
    }

    /// Toolcrib itself, as the owner of what callers share.
    #[must_use]
    pub fn ourselves() -> Self {
        Self::new(Self::OURSELVES, "shared", [""; 0])
    }

    /// Whether the caller has shown nothing.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        &*self.authority == Self::ANONYMOUS
    }

    /// One name for authority and subject, unique among all callers: what belongs to a caller is kept under it.
    #[must_use]
    pub fn principal(&self) -> &Arc<str> {
        &self.principal
    }

    /// Whether the caller has the role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.binary_search_by(|own| (**own).cmp(role)).is_ok()
    }
}
