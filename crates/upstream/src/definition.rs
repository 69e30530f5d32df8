//! Where another server is, how to start or reach it, and what of it is offered.

use crate::{authorization::SignIn, binding::Binding, login, naming};
use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf, sync::Arc, time::Duration};
use toolcrib_child::{Limits, Sandbox};
use toolcrib_contract::{Globs, Json, Listings, Secrets};
use toolcrib_wire::{Era, client::http::Endpoint};

/// One other server, as the config names it.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The name, unique among all servers.
    pub name: Arc<str>,
    /// How it is reached.
    pub transport: Transport,
    /// What of that differs from caller to caller: for [`Sharing::PerCaller`] only. The connection by which the server's
    /// tools are listed goes without.
    pub bindings: Vec<Binding>,
    /// Who knows the secrets that the bindings name.
    pub secrets: Option<Arc<dyn Secrets>>,
    /// How to sign in there, for a server behind HTTP whose config gives no `Authorization` itself.
    pub oauth: Option<toolcrib_oauth::Settings>,
    /// Who is signed in there, where that is so.
    pub sign_in: Option<SignIn>,
    /// What its names begin with here, if anything.
    pub prefix: Option<String>,
    /// What of it is offered, and how that is altered.
    pub choice: Choice,
    /// Whether its clients share one connection.
    pub sharing: Sharing,
    /// The era to speak with it, if that is not to be found out: some servers that speak both can do more in the old one.
    pub era: Option<Era>,
    /// Whether it is started by the first call only. What it had when it was last listed is known from then, if anybody keeps that.
    pub is_lazy: bool,
    /// After how long without a call it is ended, until the next: for children only.
    pub idle_stop: Option<Duration>,
    /// Who keeps what it had when it was last listed.
    pub listings: Option<Arc<dyn Listings>>,
    /// For how long what it offered stays listed while it is away.
    pub keep_listed: Duration,
    /// How long it may take to start, to greet and to list what it has. Default 60 s: `npx` may have to fetch it first.
    pub start_timeout: Duration,
    /// How long a call may take, where that differs from the general deadline.
    pub call_timeout: Option<Duration>,
    /// The largest message accepted from it, in bytes. By the config what may be passed on and 64 KiB around it, at least 8 MiB.
    pub max_message_bytes: usize,
}

impl Definition {
    /// The same server, from which messages of up to so many bytes are accepted.
    #[must_use]
    pub fn accepting(mut self, max_message_bytes: usize) -> Self {
        self.max_message_bytes = max_message_bytes;
        if let Transport::Remote(endpoint, _) = &mut self.transport {
            endpoint.max_message_bytes = max_message_bytes;
        }
        self
    }

    /// Whether another says the same: a server that is defined as before need not be touched.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let Self { name, transport, bindings, secrets: _, oauth, sign_in: _, prefix, choice, sharing, era, listings: _, .. } = self;
        let is_same_server = *name == other.name && *transport == other.transport && *bindings == other.bindings && *oauth == other.oauth;
        let is_offered_alike = *prefix == other.prefix && *choice == other.choice && *sharing == other.sharing && *era == other.era;
        let has_same_bounds = self.start_timeout == other.start_timeout
            && self.call_timeout == other.call_timeout
            && self.max_message_bytes == other.max_message_bytes;
        let lives_alike = self.is_lazy == other.is_lazy && self.idle_stop == other.idle_stop && self.keep_listed == other.keep_listed;
        is_same_server && is_offered_alike && has_same_bounds && lives_alike
    }

    /// What the names of its tools and prompts begin with here, if anything.
    #[must_use]
    pub fn names_begin_with(&self) -> Option<String> {
        self.prefix.as_deref().map(naming::beginning)
    }

    /// Whether the token that a caller has shown to us is passed on there.
    #[must_use]
    pub fn takes_token(&self) -> bool {
        self.bindings.iter().any(|binding| binding.template.takes_token())
    }

    /// What it had when it was last listed, if it is started by the first call only, and was defined as it is now.
    pub(crate) fn remembered(&self) -> Option<Json> {
        self.listings.as_ref().filter(|_| self.is_lazy)?.last(&self.name, &self.fingerprint())
    }

    pub(crate) fn remember(&self, lists: &Json) {
        if let Some(listings) = &self.listings {
            listings.keep(&self.name, &self.fingerprint(), lists);
        }
    }

    /// What tells one way to start it from another. Values of variables may be secrets, and are not in it.
    fn fingerprint(&self) -> String {
        let Transport::Child(command) = &self.transport else { return String::new() };
        let variables: Vec<_> = command.env.iter().map(|(name, _)| name).collect();
        let started_by = format!("{:?}", (&command.program, &command.args, &command.directory, variables));
        format!("{:016x}", naming::fnv1a(started_by.as_bytes()))
    }

    /// What the tool is called by which callers sign in there, if they may.
    pub(crate) fn login_tool(&self) -> String {
        login::tool_name(self.prefix.as_deref(), &self.name)
    }
}

/// Who shares a connection to a server: one process, or one session of a server behind HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// All, until the server asks a question that names no call; from then on as [`Sharing::PerSession`], but that a client
    /// which has had the connection for itself until then keeps it.
    #[default]
    WhileSilent,
    /// All. A server that asks questions runs one call at a time.
    Shared,
    /// Each session of a client has its own. Clients without one (2026-07-28 over HTTP) share by caller.
    PerSession,
    /// Each caller has its own.
    PerCaller,
}

/// Which tools and prompts of a server are offered, by the names that the server gave them, and what is altered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// Only these, if given.
    pub include: Option<Globs>,
    /// Not these.
    pub exclude: Globs,
    /// What is altered of single tools.
    pub tools: BTreeMap<String, Alteration>,
}

impl Choice {
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|globs| globs.include(name)) && !self.exclude.include(name)
    }
}

/// What is altered of one tool.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alteration {
    /// Another name, before which the prefix comes.
    pub rename: Option<String>,
    /// Another description.
    pub description: Option<String>,
    /// Arguments whose values the config gives.
    pub arguments: BTreeMap<String, Preset>,
}

/// The value of an argument, given by the config.
#[derive(Debug, Clone, PartialEq)]
pub enum Preset {
    /// Always this; nobody sees the argument or can give it.
    Fixed(Json),
    /// This, if the caller gives none.
    Default(Json),
}

/// How another server is reached.
#[derive(Clone, PartialEq)]
pub enum Transport {
    /// As a child of ours, over its standard input and output.
    Child(Command),
    /// Over HTTP.
    Remote(Endpoint, Protocol),
}

/// What is spoken over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Streamable HTTP or, where that is not taken, HTTP+SSE.
    #[default]
    Either,
    /// Streamable HTTP.
    Streamable,
    /// The HTTP+SSE of 2024-11-05.
    Sse,
}

/// How a child is started.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its whole environment: nothing is inherited beyond this. Secrets may be in it.
    pub env: Vec<(OsString, OsString)>,
    /// The directory it starts in; ours, if absent.
    pub directory: Option<PathBuf>,
    /// What it may use up.
    pub limits: Limits,
    /// What it may reach, where that is less than everything.
    pub sandbox: Option<Sandbox>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Arguments and environment may hold secrets.
            Self::Child(command) => f.debug_tuple("Child").field(&command.program).finish(),
            Self::Remote(endpoint, protocol) => f.debug_tuple("Remote").field(endpoint).field(protocol).finish(),
        }
    }
}
