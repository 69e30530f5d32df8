//! Where another server is, and how to start or reach it.

use crate::naming::Prefix;
use std::{ffi::OsString, fmt, path::PathBuf, sync::Arc, time::Duration};
use toolcrib_wire::client::http::Endpoint;

/// One other server, as the config names it.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The name, unique among all servers.
    pub name: Arc<str>,
    /// How it is reached.
    pub transport: Transport,
    /// Whether its names carry its own in front.
    pub prefix: Prefix,
    /// How long it may take to start, to greet and to list what it has. Default 60 s: `npx` may have to fetch it first.
    pub start_timeout: Duration,
    /// How long a call may take, where that differs from the general deadline.
    pub call_timeout: Option<Duration>,
    /// The largest message accepted from it, in bytes. Default 8 MiB.
    pub max_message_bytes: usize,
}

/// How another server is reached.
#[derive(Clone)]
pub enum Transport {
    /// As a child of ours, over its standard input and output.
    Child(Command),
    /// Over HTTP.
    Remote(Endpoint),
}

/// How a child is started.
#[derive(Clone)]
pub struct Command {
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its whole environment: nothing is inherited beyond this. Secrets may be in it.
    pub env: Vec<(OsString, OsString)>,
    /// The directory it starts in; ours, if absent.
    pub directory: Option<PathBuf>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Arguments and environment may hold secrets.
            Self::Child(command) => f.debug_tuple("Child").field(&command.program).finish(),
            Self::Remote(endpoint) => f.debug_tuple("Remote").field(endpoint).finish(),
        }
    }
}
