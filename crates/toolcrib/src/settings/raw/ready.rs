//! What was written about ready tools: the blocks `tools`, `egress`, `connections` and `databases`.

use super::{
    Reader,
    declared::{Declared, is_declared},
};
use crate::settings::document::{Node, Spanned};

/// Everything about ready tools.
#[derive(Debug, Default)]
pub(in crate::settings) struct Ready {
    pub(in crate::settings) tools: Vec<Tool>,
    pub(in crate::settings) declared: Vec<Declared>,
    pub(in crate::settings) egress: Egress,
    pub(in crate::settings) connections: Vec<Connection>,
    pub(in crate::settings) databases: Option<Vec<Database>>,
    pub(in crate::settings) data_folder: Option<Spanned<String>>,
}

/// One entry of `tools`. Which keys make sense depends on the tool.
#[derive(Debug)]
pub(in crate::settings) struct Tool {
    pub(in crate::settings) name: Spanned<String>,
    pub(in crate::settings) enabled: Option<Spanned<bool>>,
    pub(in crate::settings) rename: Option<Spanned<String>>,
    pub(in crate::settings) description: Option<Spanned<String>>,
    pub(in crate::settings) timeout_secs: Option<Spanned<f64>>,
    pub(in crate::settings) robots: Option<Spanned<bool>>,
    pub(in crate::settings) methods: Option<Vec<Spanned<String>>>,
    pub(in crate::settings) connection_strings: Option<Spanned<bool>>,
    pub(in crate::settings) folders: Vec<Spanned<String>>,
    pub(in crate::settings) forecast_url: Option<Spanned<String>>,
    pub(in crate::settings) geocoding_url: Option<Spanned<String>>,
    pub(in crate::settings) api_key: Option<Spanned<String>>,
}

/// The block `egress`.
#[derive(Debug, Default)]
pub(in crate::settings) struct Egress {
    pub(in crate::settings) allow: Option<Vec<Spanned<String>>>,
    pub(in crate::settings) deny: Vec<Spanned<String>>,
    pub(in crate::settings) exceptions: Vec<Spanned<String>>,
    pub(in crate::settings) proxy: Option<Spanned<String>>,
    pub(in crate::settings) ca_file: Option<Spanned<String>>,
    pub(in crate::settings) timeout_secs: Option<Spanned<f64>>,
    pub(in crate::settings) max_redirects: Option<Spanned<usize>>,
    pub(in crate::settings) max_body_bytes: Option<Spanned<usize>>,
    pub(in crate::settings) per_host_per_second: Option<Spanned<usize>>,
}

/// One entry of `connections`.
#[derive(Debug)]
pub(in crate::settings) struct Connection {
    pub(in crate::settings) name: Spanned<String>,
    pub(in crate::settings) base_url: Option<Spanned<String>>,
    pub(in crate::settings) headers: Vec<(String, Spanned<String>)>,
    pub(in crate::settings) methods: Vec<Spanned<String>>,
    pub(in crate::settings) paths: Option<Vec<Spanned<String>>>,
    pub(in crate::settings) description: Option<Spanned<String>>,
}

/// One entry of `databases`: a connection string, or a mapping that holds one.
#[derive(Debug)]
pub(in crate::settings) struct Database {
    pub(in crate::settings) name: Spanned<String>,
    pub(in crate::settings) url: Option<Spanned<String>>,
    pub(in crate::settings) description: Option<Spanned<String>>,
    pub(in crate::settings) mask: Vec<Spanned<String>>,
    pub(in crate::settings) max_rows: Option<Spanned<usize>>,
    pub(in crate::settings) timeout_secs: Option<Spanned<f64>>,
    pub(in crate::settings) pool_size: Option<Spanned<usize>>,
    pub(in crate::settings) allow_privileged_role: Option<Spanned<bool>>,
}

const EGRESS: &[&str] = &["allow", "deny", "exceptions", "proxy", "caFile", "timeout", "maxRedirects", "maxBodyBytes", "requestsPerSecond"];
const CONNECTION: &[&str] = &["baseUrl", "headers", "methods", "paths", "description"];
const DATABASE: &[&str] = &["url", "description", "mask", "maxRows", "timeout", "poolSize", "allowPrivilegedRole"];
const COMMON: &[&str] = &["enabled", "rename", "description", "timeout"];

/// The keys of a tool: those of all, and its own.
fn keys_of(tool: &str) -> Vec<&'static str> {
    let own: &[&str] = match tool {
        "web_scraper" => &["robots"],
        "api_client" => &["methods"],
        "database_query" => &["connectionStrings", "folders"],
        "weather_api" => &["forecastUrl", "geocodingUrl", "apiKey"],
        _ => &[],
    };
    [COMMON, own].concat()
}

impl Reader<'_> {
    /// Tools: what is said of those that are ready, and those that are declared.
    pub(super) fn own_tools(&mut self, node: &Node<'_>) -> (Vec<Tool>, Vec<Declared>) {
        let (mut ready, mut declared) = (Vec::new(), Vec::new());
        for (name, node) in node.entries(self.faults) {
            if is_declared(&name, &node) {
                declared.push(self.declared(name, &node));
            } else {
                ready.push(self.ready_tool(name, &node));
            }
        }
        (ready, declared)
    }

    fn ready_tool(&mut self, name: String, node: &Node<'_>) -> Tool {
        let known = keys_of(&name);
        let mut tool = Tool {
            name: node.place().with(name),
            enabled: None,
            rename: None,
            description: None,
            timeout_secs: None,
            robots: None,
            methods: None,
            connection_strings: None,
            folders: Vec::new(),
            forecast_url: None,
            geocoding_url: None,
            api_key: None,
        };
        for (key, node) in node.entries(self.faults) {
            if !known.contains(&key.as_str()) {
                self.faults.add(node.unknown(&key, &known));
                continue;
            }
            match key.as_str() {
                "enabled" => tool.enabled = self.flag(&node),
                "rename" => tool.rename = self.text(&node),
                "description" => tool.description = self.text(&node),
                "timeout" => tool.timeout_secs = node.scalar("a number of seconds", self.faults),
                "robots" => tool.robots = self.flag(&node),
                "methods" => tool.methods = Some(self.list(&node)),
                "connectionStrings" => tool.connection_strings = self.flag(&node),
                "folders" => tool.folders = self.list(&node),
                "forecastUrl" => tool.forecast_url = self.text(&node),
                "geocodingUrl" => tool.geocoding_url = self.text(&node),
                "apiKey" => tool.api_key = self.text(&node),
                _ => self.faults.add(node.unknown(&key, &known)),
            }
        }
        tool
    }

    pub(super) fn egress(&mut self, node: &Node<'_>) -> Egress {
        let mut egress = Egress::default();
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "allow" => egress.allow = Some(self.list(&node)),
                "deny" => egress.deny = self.list(&node),
                "exceptions" => egress.exceptions = self.list(&node),
                "proxy" => egress.proxy = self.text(&node),
                "caFile" => egress.ca_file = self.text(&node),
                "timeout" => egress.timeout_secs = node.scalar("a number of seconds", self.faults),
                "maxRedirects" => egress.max_redirects = node.scalar("a whole number", self.faults),
                "maxBodyBytes" => egress.max_body_bytes = node.scalar("a whole number", self.faults),
                "requestsPerSecond" => egress.per_host_per_second = node.scalar("a whole number", self.faults),
                _ => self.faults.add(node.unknown(&key, EGRESS)),
            }
        }
        egress
    }

    pub(super) fn connections(&mut self, node: &Node<'_>) -> Vec<Connection> {
        let mut connections = Vec::new();
        for (name, node) in node.entries(self.faults) {
            let name = node.place().with(name);
            let mut connection =
                Connection { name, base_url: None, headers: Vec::new(), methods: Vec::new(), paths: None, description: None };
            for (key, node) in node.entries(self.faults) {
                match key.as_str() {
                    "baseUrl" => connection.base_url = self.text(&node),
                    "headers" => connection.headers = self.texts(&node),
                    "methods" => connection.methods = self.list(&node),
                    "paths" => connection.paths = Some(self.list(&node)),
                    "description" => connection.description = self.text(&node),
                    _ => self.faults.add(node.unknown(&key, CONNECTION)),
                }
            }
            connections.push(connection);
        }
        connections
    }

    pub(super) fn databases(&mut self, node: &Node<'_>) -> Vec<Database> {
        let entries = node.entries(self.faults);
        entries.into_iter().map(|(name, node)| self.database(name, &node)).collect()
    }

    fn database(&mut self, name: String, node: &Node<'_>) -> Database {
        let mut database = Database {
            name: node.place().with(name),
            url: None,
            description: None,
            mask: Vec::new(),
            max_rows: None,
            timeout_secs: None,
            pool_size: None,
            allow_privileged_role: None,
        };
        if node.is_scalar() {
            database.url = self.text(node);
            return database;
        }
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "url" => database.url = self.text(&node),
                "description" => database.description = self.text(&node),
                "mask" => database.mask = self.list(&node),
                "maxRows" => database.max_rows = node.scalar("a whole number", self.faults),
                "timeout" => database.timeout_secs = node.scalar("a number of seconds", self.faults),
                "poolSize" => database.pool_size = node.scalar("a whole number", self.faults),
                "allowPrivilegedRole" => database.allow_privileged_role = self.flag(&node),
                _ => self.faults.add(node.unknown(&key, DATABASE)),
            }
        }
        database
    }
}
