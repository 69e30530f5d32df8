//! What was written about who may do what: the blocks `auth`, `access`, `audit` and `http`.

use super::Reader;
use crate::settings::document::{Node, Spanned};
use toolcrib_contract::Json;

/// Everything about who may do what, and what is kept of it.
#[derive(Debug, Default)]
pub(in crate::settings) struct Security {
    pub(in crate::settings) auth: Option<Auth>,
    pub(in crate::settings) access: Option<Access>,
    pub(in crate::settings) audit: Option<Audit>,
    pub(in crate::settings) http: Http,
}

/// The block `auth`.
#[derive(Debug)]
pub(in crate::settings) struct Auth {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) public_url: Option<Spanned<String>>,
    pub(in crate::settings) anonymous: Option<Spanned<bool>>,
    pub(in crate::settings) jwt: Vec<Jwt>,
    pub(in crate::settings) api_keys: Option<Spanned<bool>>,
    pub(in crate::settings) oauth: Option<OAuth>,
    pub(in crate::settings) local: Option<Local>,
}

/// One entry of `auth.jwt`.
#[derive(Debug)]
pub(in crate::settings) struct Jwt {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) name: Option<Spanned<String>>,
    pub(in crate::settings) secret: Option<Spanned<String>>,
    pub(in crate::settings) public_key: Option<Spanned<String>>,
    pub(in crate::settings) jwks: Option<Spanned<String>>,
    /// How many of the three were written, whether they could be read or not.
    pub(in crate::settings) keys_given: usize,
    pub(in crate::settings) algorithms: Vec<Spanned<String>>,
    pub(in crate::settings) issuer: Option<Spanned<String>>,
    pub(in crate::settings) audience: Vec<Spanned<String>>,
    pub(in crate::settings) roles: Option<Spanned<String>>,
    pub(in crate::settings) subject: Option<Spanned<String>>,
    pub(in crate::settings) leeway_secs: Option<Spanned<f64>>,
    pub(in crate::settings) max_lifetime_secs: Option<Spanned<f64>>,
    pub(in crate::settings) only_access_tokens: Option<Spanned<bool>>,
}

/// The block `auth.oauth`.
#[derive(Debug)]
pub(in crate::settings) struct OAuth {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) authorization_servers: Vec<Spanned<String>>,
    pub(in crate::settings) scopes: Vec<Spanned<String>>,
    pub(in crate::settings) documentation: Option<Spanned<String>>,
}

/// The block `auth.local`.
#[derive(Debug)]
pub(in crate::settings) struct Local {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) subject: Option<Spanned<String>>,
    pub(in crate::settings) roles: Vec<Spanned<String>>,
}

/// The block `access`.
#[derive(Debug)]
pub(in crate::settings) struct Access {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) rules: Vec<Rule>,
    pub(in crate::settings) limits: Vec<Limit>,
    pub(in crate::settings) tests: Vec<Test>,
}

/// Things by the patterns of their names.
#[derive(Debug, Default)]
pub(in crate::settings) struct Names {
    pub(in crate::settings) tools: Vec<Spanned<String>>,
    pub(in crate::settings) resources: Vec<Spanned<String>>,
    pub(in crate::settings) prompts: Vec<Spanned<String>>,
}

/// One entry of `access.rules`.
#[derive(Debug)]
pub(in crate::settings) struct Rule {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) roles: Vec<Spanned<String>>,
    pub(in crate::settings) allow: Option<Names>,
    pub(in crate::settings) deny: Option<Names>,
    pub(in crate::settings) when: Option<Spanned<String>>,
}

/// One entry of `access.limits`.
#[derive(Debug)]
pub(in crate::settings) struct Limit {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) roles: Vec<Spanned<String>>,
    pub(in crate::settings) names: Names,
    pub(in crate::settings) per_minute: Option<Spanned<u64>>,
    pub(in crate::settings) per_day: Option<Spanned<u64>>,
}

/// One entry of `access.tests`.
#[derive(Debug)]
pub(in crate::settings) struct Test {
    pub(in crate::settings) place: Spanned<()>,
    pub(in crate::settings) roles: Vec<Spanned<String>>,
    pub(in crate::settings) subject: Option<Spanned<String>>,
    pub(in crate::settings) claims: Option<Json>,
    pub(in crate::settings) tool: Option<Spanned<String>>,
    pub(in crate::settings) resource: Option<Spanned<String>>,
    pub(in crate::settings) prompt: Option<Spanned<String>>,
    pub(in crate::settings) args: Option<Json>,
    pub(in crate::settings) expect: Option<Spanned<String>>,
}

/// The block `audit`.
#[derive(Debug)]
pub(in crate::settings) struct Audit {
    pub(in crate::settings) enabled: Option<Spanned<bool>>,
    pub(in crate::settings) arguments: Option<Spanned<String>>,
    pub(in crate::settings) durability: Option<Spanned<String>>,
    pub(in crate::settings) on_failure: Option<Spanned<String>>,
    pub(in crate::settings) max_age_days: Option<Spanned<f64>>,
    pub(in crate::settings) max_bytes: Option<Spanned<usize>>,
}

/// The block `http`.
#[derive(Debug, Default)]
pub(in crate::settings) struct Http {
    pub(in crate::settings) allowed_hosts: Vec<Spanned<String>>,
    pub(in crate::settings) allowed_origins: Vec<Spanned<String>>,
    pub(in crate::settings) drain_secs: Option<Spanned<f64>>,
}

impl Security {
    /// Whether any of it was written.
    pub(in crate::settings) fn is_something(&self) -> bool {
        let Http { allowed_hosts, allowed_origins, drain_secs } = &self.http;
        let of_http = !allowed_hosts.is_empty() || !allowed_origins.is_empty() || drain_secs.is_some();
        self.auth.is_some() || self.access.is_some() || self.audit.is_some() || of_http
    }
}

const AUTH: &[&str] = &["publicUrl", "anonymous", "jwt", "apiKeys", "oauth", "local"];
const JWT: &[&str] = &[
    "name",
    "secret",
    "publicKey",
    "jwks",
    "algorithms",
    "issuer",
    "audience",
    "roles",
    "subject",
    "leeway",
    "maxLifetime",
    "accessTokensOnly",
];
const OAUTH: &[&str] = &["authorizationServers", "scopes", "documentation"];
const LOCAL: &[&str] = &["subject", "roles"];
const ACCESS: &[&str] = &["rules", "limits", "tests"];
const RULE: &[&str] = &["roles", "allow", "deny", "when"];
const NAMES: &[&str] = &["tools", "resources", "prompts"];
const LIMIT: &[&str] = &["roles", "tools", "resources", "prompts", "perMinute", "perDay"];
const TEST: &[&str] = &["roles", "subject", "claims", "tool", "resource", "prompt", "args", "expect"];
const AUDIT: &[&str] = &["enabled", "arguments", "durability", "onFailure", "maxAgeDays", "maxBytes"];
const HTTP: &[&str] = &["allowedHosts", "allowedOrigins", "drain"];
const SECONDS: &str = "a number of seconds";
const WHOLE: &str = "a whole number";

impl Reader<'_> {
    pub(super) fn auth(&mut self, node: &Node<'_>) -> Auth {
        let place = node.place();
        let mut auth = Auth { place, public_url: None, anonymous: None, jwt: Vec::new(), api_keys: None, oauth: None, local: None };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "publicUrl" => auth.public_url = self.text(&node),
                "anonymous" => auth.anonymous = self.flag(&node),
                "jwt" if node.is_sequence() => auth.jwt = node.items(self.faults).iter().map(|item| self.jwt(item)).collect(),
                "jwt" => auth.jwt = vec![self.jwt(&node)],
                "apiKeys" => auth.api_keys = self.flag(&node),
                "oauth" => auth.oauth = Some(self.oauth(&node)),
                "local" => auth.local = Some(self.local(&node)),
                _ => self.faults.add(node.unknown(&key, AUTH)),
            }
        }
        auth
    }

    fn jwt(&mut self, node: &Node<'_>) -> Jwt {
        let mut jwt = Jwt {
            place: node.place(),
            name: None,
            secret: None,
            public_key: None,
            jwks: None,
            keys_given: 0,
            algorithms: Vec::new(),
            issuer: None,
            audience: Vec::new(),
            roles: None,
            subject: None,
            leeway_secs: None,
            max_lifetime_secs: None,
            only_access_tokens: None,
        };
        for (key, node) in node.entries(self.faults) {
            jwt.keys_given += usize::from(matches!(key.as_str(), "secret" | "publicKey" | "jwks"));
            match key.as_str() {
                "name" => jwt.name = self.text(&node),
                "secret" => jwt.secret = self.text(&node),
                "publicKey" => jwt.public_key = self.text(&node),
                "jwks" => jwt.jwks = self.text(&node),
                "algorithms" => jwt.algorithms = self.one_or_more(&node),
                "issuer" => jwt.issuer = self.text(&node),
                "audience" => jwt.audience = self.one_or_more(&node),
                "roles" => jwt.roles = self.text(&node),
                "subject" => jwt.subject = self.text(&node),
                "leeway" => jwt.leeway_secs = node.scalar(SECONDS, self.faults),
                "maxLifetime" => jwt.max_lifetime_secs = node.scalar(SECONDS, self.faults),
                "accessTokensOnly" => jwt.only_access_tokens = self.flag(&node),
                _ => self.faults.add(node.unknown(&key, JWT)),
            }
        }
        jwt
    }

    fn oauth(&mut self, node: &Node<'_>) -> OAuth {
        let mut oauth = OAuth { place: node.place(), authorization_servers: Vec::new(), scopes: Vec::new(), documentation: None };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "authorizationServers" => oauth.authorization_servers = self.one_or_more(&node),
                "scopes" => oauth.scopes = self.list(&node),
                "documentation" => oauth.documentation = self.text(&node),
                _ => self.faults.add(node.unknown(&key, OAUTH)),
            }
        }
        oauth
    }

    fn local(&mut self, node: &Node<'_>) -> Local {
        let mut local = Local { place: node.place(), subject: None, roles: Vec::new() };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "subject" => local.subject = self.text(&node),
                "roles" => local.roles = self.one_or_more(&node),
                _ => self.faults.add(node.unknown(&key, LOCAL)),
            }
        }
        local
    }

    pub(super) fn access(&mut self, node: &Node<'_>) -> Access {
        let mut access = Access { place: node.place(), rules: Vec::new(), limits: Vec::new(), tests: Vec::new() };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "rules" => access.rules = node.items(self.faults).iter().map(|item| self.rule(item)).collect(),
                "limits" => access.limits = node.items(self.faults).iter().map(|item| self.limit(item)).collect(),
                "tests" => access.tests = node.items(self.faults).iter().map(|item| self.access_test(item)).collect(),
                _ => self.faults.add(node.unknown(&key, ACCESS)),
            }
        }
        access
    }

    fn rule(&mut self, node: &Node<'_>) -> Rule {
        let mut rule = Rule { place: node.place(), roles: Vec::new(), allow: None, deny: None, when: None };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "roles" => rule.roles = self.one_or_more(&node),
                "allow" => rule.allow = Some(self.names(&node)),
                "deny" => rule.deny = Some(self.names(&node)),
                "when" => rule.when = self.text(&node),
                _ => self.faults.add(node.unknown(&key, RULE)),
            }
        }
        rule
    }

    /// Names of tools, resources and prompts; a list is one of tools.
    fn names(&mut self, node: &Node<'_>) -> Names {
        if node.is_sequence() || node.is_scalar() {
            return Names { tools: self.one_or_more(node), ..Names::default() };
        }
        let mut names = Names::default();
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "tools" => names.tools = self.one_or_more(&node),
                "resources" => names.resources = self.one_or_more(&node),
                "prompts" => names.prompts = self.one_or_more(&node),
                _ => self.faults.add(node.unknown(&key, NAMES)),
            }
        }
        names
    }

    fn limit(&mut self, node: &Node<'_>) -> Limit {
        let mut limit = Limit { place: node.place(), roles: Vec::new(), names: Names::default(), per_minute: None, per_day: None };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "roles" => limit.roles = self.one_or_more(&node),
                "tools" => limit.names.tools = self.one_or_more(&node),
                "resources" => limit.names.resources = self.one_or_more(&node),
                "prompts" => limit.names.prompts = self.one_or_more(&node),
                "perMinute" => limit.per_minute = node.scalar(WHOLE, self.faults),
                "perDay" => limit.per_day = node.scalar(WHOLE, self.faults),
                _ => self.faults.add(node.unknown(&key, LIMIT)),
            }
        }
        limit
    }

    fn access_test(&mut self, node: &Node<'_>) -> Test {
        let mut test = Test {
            place: node.place(),
            roles: Vec::new(),
            subject: None,
            claims: None,
            tool: None,
            resource: None,
            prompt: None,
            args: None,
            expect: None,
        };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "roles" => test.roles = self.one_or_more(&node),
                "subject" => test.subject = self.text(&node),
                "claims" => test.claims = self.json(&node),
                "tool" => test.tool = self.text(&node),
                "resource" => test.resource = self.text(&node),
                "prompt" => test.prompt = self.text(&node),
                "args" => test.args = self.json(&node),
                "expect" => test.expect = self.text(&node),
                _ => self.faults.add(node.unknown(&key, TEST)),
            }
        }
        test
    }

    pub(super) fn audit(&mut self, node: &Node<'_>) -> Audit {
        let mut audit = Audit { enabled: None, arguments: None, durability: None, on_failure: None, max_age_days: None, max_bytes: None };
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "enabled" => audit.enabled = self.flag(&node),
                "arguments" => audit.arguments = self.text(&node),
                "durability" => audit.durability = self.text(&node),
                "onFailure" => audit.on_failure = self.text(&node),
                "maxAgeDays" => audit.max_age_days = node.scalar("a number of days", self.faults),
                "maxBytes" => audit.max_bytes = node.scalar(WHOLE, self.faults),
                _ => self.faults.add(node.unknown(&key, AUDIT)),
            }
        }
        audit
    }

    pub(super) fn http(&mut self, node: &Node<'_>) -> Http {
        let mut http = Http::default();
        for (key, node) in node.entries(self.faults) {
            match key.as_str() {
                "allowedHosts" => http.allowed_hosts = self.list(&node),
                "allowedOrigins" => http.allowed_origins = self.list(&node),
                "drain" => http.drain_secs = node.scalar("a number of seconds", self.faults),
                _ => self.faults.add(node.unknown(&key, HTTP)),
            }
        }
        http
    }

    fn one_or_more(&mut self, node: &Node<'_>) -> Vec<Spanned<String>> {
        if node.is_scalar() { self.text(node).into_iter().collect() } else { self.list(node) }
    }
}
