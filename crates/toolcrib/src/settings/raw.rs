//! What was written: the file's own shape, read value by value. What it means is decided in [`super::checked`].

pub(super) mod declared;
pub(super) mod offered;
pub(super) mod ready;
pub(super) mod resilience;
pub(super) mod security;
pub(super) mod storage;
pub(super) mod telemetry;

use super::{
    Lookup, Sections,
    document::{Faults, Node, Spanned, parse},
    variables::{self, Expanded},
};
use std::path::{Path, PathBuf};
use toolcrib_contract::Json;

/// A config file.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) servers: Vec<Server>,
    pub(super) enabled: Option<Spanned<bool>>,
    pub(super) config_file: Option<Spanned<String>>,
    pub(super) timeout_secs: Option<Spanned<f64>>,
    pub(super) max_concurrent_tools: Option<Spanned<usize>>,
    pub(super) prefix: Option<Spanned<String>>,
    pub(super) max_timeout_secs: Option<Spanned<f64>>,
    pub(super) limits: Limits,
    pub(super) profiles: Vec<Profile>,
    pub(super) ready: ready::Ready,
    pub(super) prompts: Vec<offered::Prompt>,
    pub(super) resources: Vec<offered::Resource>,
    pub(super) security: security::Security,
    pub(super) resilience: resilience::Resilience,
    pub(super) storage: Option<storage::Storage>,
    pub(super) otlp: Option<telemetry::Otlp>,
    pub(super) sections: Sections,
}

/// One entry of `profiles`: patterns of names.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) name: Spanned<String>,
    pub(super) tools: Vec<Spanned<String>>,
    pub(super) resources: Vec<Spanned<String>>,
    pub(super) prompts: Vec<Spanned<String>>,
}

/// The block `limits`.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) max_message_bytes: Option<Spanned<usize>>,
    pub(super) max_argument_bytes: Option<Spanned<usize>>,
    pub(super) max_output_bytes: Option<Spanned<usize>>,
    pub(super) max_requests_in_flight: Option<Spanned<usize>>,
    pub(super) max_queued_calls: Option<Spanned<usize>>,
    pub(super) max_connections: Option<Spanned<usize>>,
    pub(super) max_sessions: Option<Spanned<usize>>,
    pub(super) session_idle_secs: Option<Spanned<f64>>,
}

/// One entry of `mcpServers`.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) place: Spanned<()>,
    /// The directory of the file that it stands in.
    pub(super) base: PathBuf,
    pub(super) name: Option<Spanned<String>>,
    pub(super) kind: Option<Spanned<String>>,
    pub(super) command: Option<Spanned<String>>,
    pub(super) args: Vec<Spanned<String>>,
    pub(super) env: Vec<(String, Spanned<Expanded>)>,
    pub(super) directory: Option<Spanned<String>>,
    pub(super) url: Option<Spanned<String>>,
    pub(super) headers: Vec<(String, Spanned<Expanded>)>,
    pub(super) timeout_secs: Option<Spanned<f64>>,
    pub(super) start_timeout_secs: Option<Spanned<f64>>,
    pub(super) enabled: Option<Spanned<bool>>,
    pub(super) disabled: Option<Spanned<bool>>,
    pub(super) prefix: Option<Spanned<String>>,
    pub(super) sharing: Option<Spanned<String>>,
    pub(super) era: Option<Spanned<String>>,
    pub(super) include: Option<Vec<Spanned<String>>>,
    pub(super) exclude: Vec<Spanned<String>>,
    pub(super) tools: Vec<Tool>,
    pub(super) oauth: Option<SignIn>,
    pub(super) trusted: Option<Spanned<bool>>,
    pub(super) limits: Option<ChildLimits>,
    pub(super) sandbox: Option<Sandbox>,
    pub(super) start: Option<Spanned<String>>,
    pub(super) idle_stop_secs: Option<Spanned<f64>>,
    pub(super) keep_listed_secs: Option<Spanned<f64>>,
    pub(super) ca_file: Option<Spanned<String>>,
    pub(super) resilience: resilience::Resilience,
}

/// What a server that is a child may use up.
#[derive(Debug)]
pub(super) struct ChildLimits {
    pub(super) place: Spanned<()>,
    pub(super) memory_mib: Option<Spanned<u64>>,
    pub(super) address_space_mib: Option<Spanned<u64>>,
    pub(super) cpu_secs: Option<Spanned<u64>>,
    pub(super) open_files: Option<Spanned<u64>>,
    pub(super) processes: Option<Spanned<u64>>,
}

/// What a server that is a child may reach.
#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) place: Spanned<()>,
    pub(super) read: Vec<Spanned<String>>,
    pub(super) write: Vec<Spanned<String>>,
    pub(super) network: Option<Spanned<bool>>,
}

/// How to sign in at a server.
#[derive(Debug)]
pub(super) struct SignIn {
    pub(super) place: Spanned<()>,
    pub(super) enabled: Option<Spanned<bool>>,
    pub(super) grant: Option<Spanned<String>>,
    pub(super) client_id: Option<Spanned<String>>,
    pub(super) client_secret: Option<Spanned<String>>,
    pub(super) client_metadata_url: Option<Spanned<String>>,
    pub(super) scopes: Option<Vec<Spanned<String>>>,
    pub(super) issuer: Option<Spanned<String>>,
    pub(super) callback_port: Option<Spanned<u16>>,
}

/// What is altered of one tool of a server.
#[derive(Debug)]
pub(super) struct Tool {
    pub(super) name: Spanned<String>,
    pub(super) rename: Option<Spanned<String>>,
    pub(super) description: Option<Spanned<String>>,
    pub(super) arguments: Vec<Argument>,
}

/// The value that the config gives to an argument.
#[derive(Debug)]
pub(super) struct Argument {
    pub(super) name: Spanned<String>,
    pub(super) fixed: Option<Json>,
    pub(super) default: Option<Json>,
}

const TOP: &[&str] = &[
    "mcpServers",
    "claude",
    "limits",
    "profiles",
    "tools",
    "prompts",
    "resources",
    "egress",
    "connections",
    "databases",
    "dataFolder",
    "storage",
    "auth",
    "access",
    "audit",
    "http",
    "resilience",
    "telemetry",
];
const PROFILE: &[&str] = &["tools", "resources", "prompts"];
const CHILD_LIMITS: &[&str] = &["memoryMiB", "addressSpaceMiB", "cpuSeconds", "openFiles", "processes"];
const SANDBOX: &[&str] = &["read", "write", "network"];
const SIGN_IN: &[&str] = &["grant", "clientId", "clientSecret", "clientMetadataUrl", "scopes", "issuer", "callbackPort"];
const TOOL: &[&str] = &["rename", "description", "arguments"];
const ARGUMENT: &[&str] = &["fixed", "default"];
const LIMITS: &[&str] = &[
    "maxMessageBytes",
    "maxArgumentBytes",
    "maxOutputBytes",
    "maxRequestsInFlight",
    "maxQueuedCalls",
    "maxConnections",
    "maxSessions",
    "sessionIdle",
];
const CLAUDE: &[&str] = &["mcp"];
const MCP: &[&str] = &["enabled", "configFile", "timeout", "maxTimeout", "maxConcurrentTools", "prefix"];
const SERVER: &[&str] = &[
    "name",
    "type",
    "command",
    "args",
    "env",
    "cwd",
    "url",
    "headers",
    "timeout",
    "startTimeout",
    "enabled",
    "disabled",
    "prefix",
    "sharing",
    "era",
    "include",
    "exclude",
    "tools",
    "oauth",
    "trusted",
    "limits",
    "sandbox",
    "start",
    "idleStop",
    "keepListed",
    "caFile",
    "resilience",
];

/// Reads what is written; what cannot be read is a fault and stays absent.
pub(super) fn read(text: &str, file: &Path, lookup: Lookup<'_>, faults: &mut Faults) -> Written {
    let mut written = Written::default();
    let Some(document) = parse(text, file, faults) else { return written };
    let mut reader = Reader { lookup, faults, values: Vec::new() };
    for (key, node) in Node::root(&document, file).entries(reader.faults) {
        written.sections.note(&key, &node);
        match key.as_str() {
            "mcpServers" => written.servers = reader.servers(&node, file),
            "claude" => reader.claude(&node, &mut written),
            "limits" => written.limits = reader.limits(&node),
            "profiles" => written.profiles = reader.profiles(&node),
            "tools" => (written.ready.tools, written.ready.declared) = reader.own_tools(&node),
            "prompts" => written.prompts = reader.prompts(&node),
            "resources" => written.resources = reader.resources(&node),
            "egress" => written.ready.egress = reader.egress(&node),
            "connections" => written.ready.connections = reader.connections(&node),
            "databases" => written.ready.databases = Some(reader.databases(&node)),
            "auth" => written.security.auth = Some(reader.auth(&node)),
            "access" => written.security.access = Some(reader.access(&node)),
            "audit" => written.security.audit = Some(reader.audit(&node)),
            "http" => written.security.http = reader.http(&node),
            "resilience" => written.resilience = reader.resilience(&node),
            "telemetry" => written.otlp = reader.telemetry(&node),
            "storage" => written.storage = Some(reader.storage(&node)),
            "dataFolder" => written.ready.data_folder = reader.text(&node),
            _ => reader.faults.add(node.unknown(&key, TOP)),
        }
    }
    written
}

/// How a text gets its values.
type Expand<T> = fn(&str, &Path, Lookup<'_>) -> Result<T, String>;

struct Reader<'a> {
    lookup: Lookup<'a>,
    faults: &'a mut Faults,
    /// The values of variables and files that were put into texts.
    values: Vec<String>,
}

impl Reader<'_> {
    fn claude(&mut self, node: &Node<'_>, written: &mut Written) {
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "mcp" => self.mcp(&node, written),
                _ => self.faults.add(node.unknown(&key, CLAUDE)),
            }
        }
    }

    fn mcp(&mut self, node: &Node<'_>, written: &mut Written) {
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "enabled" => written.enabled = self.flag(&node),
                "configFile" => written.config_file = self.text(&node),
                "timeout" => written.timeout_secs = node.scalar("a number of seconds", self.faults),
                "maxTimeout" => written.max_timeout_secs = node.scalar("a number of seconds", self.faults),
                "maxConcurrentTools" => written.max_concurrent_tools = node.scalar("a whole number", self.faults),
                "prefix" => written.prefix = self.text(&node),
                _ => self.faults.add(node.unknown(&key, MCP)),
            }
        }
    }

    fn limits(&mut self, node: &Node<'_>) -> Limits {
        let mut limits = Limits::default();
        for (key, node) in node.entries(self.faults) {
            let slot = match key.as_str() {
                "maxMessageBytes" => &mut limits.max_message_bytes,
                "maxArgumentBytes" => &mut limits.max_argument_bytes,
                "maxOutputBytes" => &mut limits.max_output_bytes,
                "maxRequestsInFlight" => &mut limits.max_requests_in_flight,
                "maxQueuedCalls" => &mut limits.max_queued_calls,
                "maxConnections" => &mut limits.max_connections,
                "maxSessions" => &mut limits.max_sessions,
                "sessionIdle" => {
                    limits.session_idle_secs = node.scalar("a number of seconds", self.faults);
                    continue;
                }
                _ => {
                    self.faults.add(node.unknown(&key, LIMITS));
                    continue;
                }
            };
            *slot = node.scalar("a whole number", self.faults);
        }
        limits
    }

    /// A list whose items have a `name`, or a mapping of names, as other tools write it.
    fn servers(&mut self, node: &Node<'_>, file: &Path) -> Vec<Server> {
        if node.is_sequence() {
            return node.items(self.faults).iter().map(|item| self.server(item, None, file)).collect();
        }
        let entries = node.entries(self.faults);
        entries.iter().map(|(name, node)| self.server(node, Some(node.place().with(name.clone())), file)).collect()
    }

    fn server(&mut self, node: &Node<'_>, name: Option<Spanned<String>>, file: &Path) -> Server {
        let mut server = Server {
            place: node.place(),
            base: std::path::absolute(file).ok().and_then(|file| file.parent().map(Path::to_owned)).unwrap_or_default(),
            name,
            kind: None,
            command: None,
            args: Vec::new(),
            env: Vec::new(),
            directory: None,
            url: None,
            headers: Vec::new(),
            timeout_secs: None,
            start_timeout_secs: None,
            enabled: None,
            disabled: None,
            prefix: None,
            sharing: None,
            era: None,
            include: None,
            exclude: Vec::new(),
            tools: Vec::new(),
            oauth: None,
            trusted: None,
            limits: None,
            sandbox: None,
            start: None,
            idle_stop_secs: None,
            keep_listed_secs: None,
            ca_file: None,
            resilience: resilience::Resilience::default(),
        };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "name" if server.name.is_none() => server.name = self.text(&node),
                "name" => self.faults.add(node.fault("in a mapping of servers the key is the name")),
                "type" => server.kind = self.text(&node),
                "command" => server.command = self.text(&node),
                "args" => server.args = self.list(&node),
                "env" => server.env = self.texts_for_callers(&node),
                "cwd" => server.directory = self.text(&node),
                "url" => server.url = self.text(&node),
                "headers" => server.headers = self.texts_for_callers(&node),
                "timeout" => server.timeout_secs = node.scalar("a number of seconds", self.faults),
                "startTimeout" => server.start_timeout_secs = node.scalar("a number of seconds", self.faults),
                "enabled" => server.enabled = self.flag(&node),
                "disabled" => server.disabled = self.flag(&node),
                "prefix" => server.prefix = self.text(&node),
                "sharing" => server.sharing = self.text(&node),
                "era" => server.era = self.text(&node),
                "include" => server.include = Some(self.list(&node)),
                "exclude" => server.exclude = self.list(&node),
                "tools" => server.tools = self.tools(&node),
                "oauth" => server.oauth = Some(self.sign_in(&node)),
                "trusted" => server.trusted = self.flag(&node),
                "limits" => server.limits = Some(self.child_limits(&node)),
                "sandbox" => server.sandbox = Some(self.sandbox(&node)),
                "start" => server.start = self.text(&node),
                "idleStop" => server.idle_stop_secs = node.scalar("a number of seconds", self.faults),
                "keepListed" => server.keep_listed_secs = node.scalar("a number of seconds", self.faults),
                "caFile" => server.ca_file = self.text(&node),
                "resilience" => server.resilience = self.resilience_of_server(&node),
                _ => self.faults.add(node.unknown(&key, SERVER)),
            }
        }
        server
    }

    fn child_limits(&mut self, node: &Node<'_>) -> ChildLimits {
        let mut limits = ChildLimits {
            place: node.place(),
            memory_mib: None,
            address_space_mib: None,
            cpu_secs: None,
            open_files: None,
            processes: None,
        };
        for (key, node) in node.entries(self.faults) {
            let slot = match key.as_str() {
                "memoryMiB" => &mut limits.memory_mib,
                "addressSpaceMiB" => &mut limits.address_space_mib,
                "cpuSeconds" => &mut limits.cpu_secs,
                "openFiles" => &mut limits.open_files,
                "processes" => &mut limits.processes,
                _ => {
                    self.faults.add(node.unknown(&key, CHILD_LIMITS));
                    continue;
                }
            };
            *slot = node.scalar("a whole number", self.faults);
        }
        limits
    }

    fn sandbox(&mut self, node: &Node<'_>) -> Sandbox {
        let mut sandbox = Sandbox { place: node.place(), read: Vec::new(), write: Vec::new(), network: None };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "read" => sandbox.read = self.list(&node),
                "write" => sandbox.write = self.list(&node),
                "network" => sandbox.network = self.flag(&node),
                _ => self.faults.add(node.unknown(&key, SANDBOX)),
            }
        }
        sandbox
    }

    /// True or false, or how.
    fn sign_in(&mut self, node: &Node<'_>) -> SignIn {
        let mut oauth = SignIn {
            place: node.place(),
            enabled: None,
            grant: None,
            client_id: None,
            client_secret: None,
            client_metadata_url: None,
            scopes: None,
            issuer: None,
            callback_port: None,
        };
        if node.is_scalar() {
            oauth.enabled = self.flag(node);
            return oauth;
        }
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "grant" => oauth.grant = self.text(&node),
                "clientId" => oauth.client_id = self.text(&node),
                "clientSecret" => oauth.client_secret = self.text(&node),
                "clientMetadataUrl" => oauth.client_metadata_url = self.text(&node),
                "scopes" => oauth.scopes = Some(self.list(&node)),
                "issuer" => oauth.issuer = self.text(&node),
                "callbackPort" => oauth.callback_port = node.scalar("a port from 1 to 65535", self.faults),
                _ => self.faults.add(node.unknown(&key, SIGN_IN)),
            }
        }
        oauth
    }

    fn tools(&mut self, node: &Node<'_>) -> Vec<Tool> {
        let mut tools = Vec::new();
        for (name, node) in node.entries(self.faults) {
            let mut tool = Tool { name: node.place().with(name), rename: None, description: None, arguments: Vec::new() };
            for (key, node) in node.entries(self.faults) {
                match key.as_str() {
                    "rename" => tool.rename = self.text(&node),
                    "description" => tool.description = self.text(&node),
                    "arguments" => tool.arguments = self.arguments(&node),
                    _ => self.faults.add(node.unknown(&key, TOOL)),
                }
            }
            tools.push(tool);
        }
        tools
    }

    fn arguments(&mut self, node: &Node<'_>) -> Vec<Argument> {
        let mut arguments = Vec::new();
        for (name, node) in node.entries(self.faults) {
            let mut argument = Argument { name: node.place().with(name), fixed: None, default: None };
            for (key, node) in node.entries(self.faults) {
                match key.as_str() {
                    "fixed" => argument.fixed = self.json(&node),
                    "default" => argument.default = self.json(&node),
                    _ => self.faults.add(node.unknown(&key, ARGUMENT)),
                }
            }
            arguments.push(argument);
        }
        arguments
    }

    fn profiles(&mut self, node: &Node<'_>) -> Vec<Profile> {
        let mut profiles = Vec::new();
        for (name, node) in node.entries(self.faults) {
            let mut profile = Profile { name: node.place().with(name), tools: Vec::new(), resources: Vec::new(), prompts: Vec::new() };
            for (key, node) in node.entries(self.faults) {
                match key.as_str() {
                    "tools" => profile.tools = self.list(&node),
                    "resources" => profile.resources = self.list(&node),
                    "prompts" => profile.prompts = self.list(&node),
                    _ => self.faults.add(node.unknown(&key, PROFILE)),
                }
            }
            profiles.push(profile);
        }
        profiles
    }

    fn list(&mut self, node: &Node<'_>) -> Vec<Spanned<String>> {
        node.items(self.faults).iter().filter_map(|item| self.text(item)).collect()
    }

    fn json(&mut self, node: &Node<'_>) -> Option<Json> {
        let (mut unset, mut values) = (Vec::new(), Vec::new());
        let mut expand = |text: Spanned<String>| match variables::expand(&text.value, text.folder(), self.lookup) {
            Ok(value) => {
                values.extend(variables::values(&text.value, text.folder(), self.lookup));
                Some(value)
            }
            Err(message) => {
                unset.push(text.fault(message));
                None
            }
        };
        let json = node.json(&mut expand, self.faults);
        unset.into_iter().for_each(|fault| self.faults.add(fault));
        self.values.extend(values);
        json
    }

    fn texts(&mut self, node: &Node<'_>) -> Vec<(String, Spanned<String>)> {
        let entries = node.entries(self.faults);
        entries.into_iter().filter_map(|(key, node)| Some((key, self.text(&node)?))).collect()
    }

    /// The same, where what is about the caller may stand.
    fn texts_for_callers(&mut self, node: &Node<'_>) -> Vec<(String, Spanned<Expanded>)> {
        let entries = node.entries(self.faults);
        entries.into_iter().filter_map(|(key, node)| Some((key, self.expanded(&node, variables::expand_for_callers)?))).collect()
    }

    fn text(&mut self, node: &Node<'_>) -> Option<Spanned<String>> {
        self.expanded(node, variables::expand)
    }

    fn expanded<T>(&mut self, node: &Node<'_>, expand: Expand<T>) -> Option<Spanned<T>> {
        let text = node.text(self.faults)?;
        self.values.extend(variables::values(&text.value, text.folder(), self.lookup));
        match expand(&text.value, text.folder(), self.lookup) {
            Ok(value) => Some(text.with(value)),
            Err(message) => {
                self.faults.add(text.fault(message));
                None
            }
        }
    }

    fn flag(&mut self, node: &Node<'_>) -> Option<Spanned<bool>> {
        node.scalar("true or false", self.faults)
    }
}
