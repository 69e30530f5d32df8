//! What is meant about who may do what: whose tokens are taken, the rules of access, the audit log.

use super::{is_plain, one_of, seconds, within};
use crate::settings::{
    document::{Faults, Spanned},
    raw::{
        self,
        security::{Jwt, OAuth},
    },
};
use http::Uri;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use toolcrib_contract::{CallerId, Globs, Json, Kind};
use toolcrib_edge::http::{Hosts, ProtectedResource};
use toolcrib_egress::Url;
use toolcrib_gate::{Access, Algorithm, Condition, Demands, EVERYONE, KeySet, Keys, Limit, Names, PublicKey, Rule};
use toolcrib_store::{Arguments, Policy};

/// How far clocks may be apart at most: ten minutes.
const MAX_LEEWAY_SECS: f64 = 600.0;

/// Who may do what, and what is kept of it.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// Who callers have to be.
    pub auth: Option<Auth>,
    /// What they may have; without it everything, unless they are asked who they are.
    pub access: Option<Access>,
    /// How much they may have.
    pub limits: Vec<Limit>,
    /// What is expected of the rules.
    pub tests: Vec<AccessTest>,
    /// What is kept of calls, and where.
    pub audit: Audit,
    /// By which names the server is reached.
    pub hosts: Hosts,
    /// At which URL clients see the MCP endpoint, if that is said.
    pub public_url: Option<String>,
    /// How long the door stays open after it was said that we are leaving.
    pub drain: Duration,
}

/// How callers prove who they are.
#[derive(Debug, Clone, Default)]
pub struct Auth {
    /// Whose tokens are taken.
    pub issuers: Vec<Issuer>,
    /// Whether API keys are taken.
    pub takes_api_keys: bool,
    /// Whether callers without a credential are refused.
    pub is_required: bool,
    /// What authorization servers know us as.
    pub resource: Option<ProtectedResource>,
    /// Who calls over stdio and on the command line.
    pub local: Option<CallerId>,
}

/// Somebody whose tokens are taken.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// The name of the authority.
    pub name: String,
    /// Where its keys are.
    pub keys: KeysAt,
    /// The algorithms that are taken.
    pub algorithms: Vec<Algorithm>,
    /// What its tokens must say.
    pub demands: Demands,
    /// Whether its tokens must say that they are access tokens.
    pub only_access_tokens: bool,
}

/// Where keys are.
#[derive(Debug, Clone)]
pub enum KeysAt {
    /// In the config.
    Here(Keys),
    /// In a set that is somewhere else.
    Elsewhere(KeySetAt),
}

/// Where a key set is.
#[derive(Debug, Clone)]
pub enum KeySetAt {
    /// In a file.
    File(PathBuf),
    /// At a URL.
    Url(Url),
}

/// What is expected of the rules.
#[derive(Debug, Clone)]
pub struct AccessTest {
    /// Where it is written.
    pub place: Arc<str>,
    /// Who asks.
    pub caller: CallerId,
    /// What its token says.
    pub claims: Json,
    /// For what kind of thing.
    pub kind: Kind,
    /// By which name.
    pub name: String,
    /// With which arguments, if these are to be judged.
    pub arguments: Option<Json>,
    /// Whether it may have it.
    pub expects_allowed: bool,
}

/// What is kept of calls.
#[derive(Debug, Clone)]
pub struct Audit {
    /// Whether a log that lasts is kept. Default: yes.
    pub is_enabled: bool,
    /// Whether nothing is served without it: where the config speaks of it or asks callers who they are.
    pub is_demanded: bool,
    /// Where.
    pub folder: Option<PathBuf>,
    /// How.
    pub policy: Policy,
}

impl Default for Audit {
    fn default() -> Self {
        Self { is_enabled: true, is_demanded: false, folder: None, policy: Policy::default() }
    }
}

/// `base` is the folder of the config file, `folder` the one of what is kept.
pub(super) fn check(written: &raw::security::Security, base: &Path, folder: Option<PathBuf>, faults: &mut Faults) -> Security {
    let (access, limits, tests) = match &written.access {
        Some(written) => access(written, faults),
        None => (None, Vec::new(), Vec::new()),
    };
    let mut access = access;
    let auth = written.auth.as_ref().map(|written| auth(written, access.as_ref(), base, faults));
    let resource = auth.as_ref().and_then(|auth| auth.resource.as_ref());
    if let (Some(access), Some(resource)) = (&mut access, resource) {
        access.scopes = resource.scopes.iter().map(|scope| scope.as_str().into()).collect();
    }
    check_hosts(&written.http, faults);
    if let (Some(written), None) = (&written.access, &auth)
        && written.rules.is_empty()
    {
        faults.add(written.place.fault("without rules and without \"auth\" nobody could call anything: allow something, if only to \"*\""));
    }
    let mut hosts = Hosts { allowed_hosts: values(&written.http.allowed_hosts), allowed_origins: values(&written.http.allowed_origins) };
    let public_url = written.auth.as_ref().and_then(|auth| Some(auth.public_url.as_ref()?.value.clone()));
    let public = public_url.as_ref().and_then(|url| url.parse::<Uri>().ok());
    hosts.allowed_hosts.extend(public.and_then(|url| Some(url.host()?.to_owned())));
    let audit = audit(written.audit.as_ref(), auth.is_some(), folder, faults);
    let drain = seconds(written.http.drain_secs.as_ref(), faults).unwrap_or_default();
    Security { auth, access, limits, tests, audit, hosts, public_url, drain }
}

/// A value that could never match is misspelt.
fn check_hosts(written: &raw::security::Http, faults: &mut Faults) {
    for host in &written.allowed_hosts {
        let is_host = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']' | '_');
        if host.value.is_empty() || !host.value.chars().all(is_host) {
            faults.add(host.fault("expected the name of a host, as in tools.example.com, without a scheme"));
        }
    }
    for origin in &written.allowed_origins {
        let is_origin = Url::parse(&origin.value).is_ok_and(|url| url.origin().ascii_serialization() == origin.value);
        if !is_origin {
            faults.add(origin.fault("expected an origin, as in https://app.example.com, without a path or a slash at its end"));
        }
    }
}

fn values(written: &[Spanned<String>]) -> Vec<String> {
    written.iter().map(|text| text.value.clone()).collect()
}

fn auth(written: &raw::security::Auth, access: Option<&Access>, base: &Path, faults: &mut Faults) -> Auth {
    let mut issuers: Vec<Issuer> = Vec::new();
    // Clients may ask an authorization server for any scope: only those that are offered make roles.
    let scopes = written.oauth.as_ref().map(|oauth| values(&oauth.scopes));
    for jwt in &written.jwt {
        let Some(issuer) = issuer(jwt, &scopes, base, faults) else { continue };
        if issuers.iter().any(|other| other.name == issuer.name) {
            faults.add(jwt.place.fault(format!("another entry is named {:?} already: give this one a name", issuer.name)));
        }
        issuers.push(issuer);
    }
    let takes_api_keys = written.api_keys.as_ref().is_some_and(|flag| flag.value);
    if written.jwt.is_empty() && !takes_api_keys {
        faults.add(written.place.fault("nobody could prove who they are: add \"jwt\" or \"apiKeys: true\""));
    }
    let admits_anonymous = written.anonymous.as_ref().map(|flag| flag.value);
    // Clients of OAuth begin by being refused: where they are let in as nobody, they never ask for a token.
    let has_something = || written.oauth.is_none() && access.is_some_and(Access::has_something_for_everyone);
    let is_required = !admits_anonymous.unwrap_or_else(has_something);
    let resource = written.oauth.as_ref().and_then(|oauth| resource(oauth, written.public_url.as_ref(), faults));
    if let Some(url) = &written.public_url {
        web_url(url, faults);
    }
    let local = written.local.as_ref().and_then(|local| {
        let Some(subject) = &local.subject else {
            faults.add(local.place.fault("the local caller needs a subject"));
            return None;
        };
        if !CallerId::is_subject(&subject.value) {
            faults.add(subject.fault("a subject is a text of at most 256 bytes, not blank, without control characters"));
        }
        Some(CallerId::new(CallerId::LOCAL, &subject.value, roles(&local.roles, faults)))
    });
    Auth { issuers, takes_api_keys, is_required, resource, local }
}

fn issuer(written: &Jwt, scopes: &Option<Vec<String>>, base: &Path, faults: &mut Faults) -> Option<Issuer> {
    let name = written.name.as_ref().map_or("jwt", |name| &name.value);
    if name.is_empty() || !name.chars().all(is_plain) || CallerId::RESERVED.contains(&name) {
        faults.add(written.name.as_ref().unwrap_or(&written.place.with(String::new())).fault(format!(
            "the name of an issuer stands before its callers' names: use letters, digits, \"-\" and \"_\", and not {}",
            CallerId::RESERVED.join(", ")
        )));
    }
    for text in [&written.issuer, &written.roles, &written.subject].into_iter().flatten().chain(&written.audience) {
        if text.value.split('.').any(|part| part.trim().is_empty()) && !text.value.contains("://") {
            faults.add(text.fault("this is empty, or a part of it is"));
        }
    }
    let algorithms = algorithms(written, faults);
    let (keys, algorithms) = keys(written, algorithms, base, faults)?;
    let is_shared = !matches!(keys, KeysAt::Here(Keys::Secret(_)));
    if is_shared && written.audience.is_empty() {
        faults.add(written.place.fault("an issuer with a key pair may issue tokens for others too: name this server in \"audience\""));
    }
    if is_shared && written.issuer.is_none() {
        faults.add(written.place.fault("say in \"issuer\" what stands in the claim iss of its tokens"));
    }
    let defaults = Demands::default();
    let leeway = written.leeway_secs.as_ref().map_or(Some(defaults.leeway), |leeway| {
        let is_fine = (0.0..=MAX_LEEWAY_SECS).contains(&leeway.value);
        if !is_fine {
            faults.add(leeway.fault(format!("expected 0 to {MAX_LEEWAY_SECS} seconds, found {}", leeway.value)));
        }
        is_fine.then(|| Duration::from_secs_f64(leeway.value))
    });
    let text = |text: &Option<Spanned<String>>, default: String| text.as_ref().map_or(default, |text| text.value.clone());
    let demands = Demands {
        issuer: written.issuer.as_ref().map(|issuer| issuer.value.clone()),
        audiences: values(&written.audience),
        roles: text(&written.roles, defaults.roles),
        scopes: scopes.clone(),
        subject: text(&written.subject, defaults.subject),
        leeway: leeway.unwrap_or(defaults.leeway),
        max_lifetime: lifetime(written.max_lifetime_secs.as_ref(), faults).unwrap_or(defaults.max_lifetime),
    };
    let only_access_tokens = written.only_access_tokens.as_ref().is_some_and(|flag| flag.value);
    Some(Issuer { name: name.to_owned(), keys, algorithms, demands, only_access_tokens })
}

fn lifetime(written: Option<&Spanned<f64>>, faults: &mut Faults) -> Option<Duration> {
    const MAX_SECS: f64 = 366.0 * 86_400.0;
    let written = written?;
    if written.value > 0.0 && written.value <= MAX_SECS {
        return Some(Duration::from_secs_f64(written.value));
    }
    faults.add(written.fault(format!("expected more than 0 and at most {MAX_SECS} seconds (a year), found {}", written.value)));
    None
}

fn algorithms(written: &Jwt, faults: &mut Faults) -> Vec<Algorithm> {
    let mut algorithms = Vec::new();
    for name in &written.algorithms {
        match name.value.parse::<Algorithm>() {
            Ok(algorithm) => algorithms.push(algorithm),
            Err(()) => {
                let known: Vec<&str> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
                faults.add(name.fault(format!("unknown algorithm {:?}; known are {}", name.value, known.join(", "))));
            }
        }
    }
    algorithms
}

/// The keys, and the algorithms that go with them: those that are written, or the usual one of the key.
fn keys(written: &Jwt, algorithms: Vec<Algorithm>, base: &Path, faults: &mut Faults) -> Option<(KeysAt, Vec<Algorithm>)> {
    let or = |usual: Algorithm| if written.algorithms.is_empty() { vec![usual] } else { algorithms.clone() };
    match (&written.secret, &written.public_key, &written.jwks) {
        (Some(secret), None, None) => {
            let algorithms = or(Algorithm::HS256);
            if algorithms.iter().any(|algorithm| !algorithm.is_symmetric()) {
                faults.add(secret.fault("a secret goes with HS256, HS384 and HS512 only"));
                return None;
            }
            match Keys::secret(secret.value.as_bytes(), &algorithms) {
                Ok(keys) => Some((KeysAt::Here(keys), algorithms)),
                Err(weak) => {
                    faults.add(secret.fault(weak.to_string()));
                    None
                }
            }
        }
        (None, Some(key), None) => {
            let pem = pem(key, base, faults)?;
            let public = PublicKey::from_pem(&pem).map_err(|fault| faults.add(key.fault(fault.to_string()))).ok()?;
            let usual = Algorithm::ALL.into_iter().find(|algorithm| public.goes_with(*algorithm))?;
            let algorithms = or(usual);
            if algorithms.iter().any(|algorithm| !public.goes_with(*algorithm)) {
                faults.add(key.fault(format!("this key does not go with all of the algorithms; it goes with {}", usual.name())));
                return None;
            }
            Some((KeysAt::Here(Keys::Public(public)), algorithms))
        }
        (None, None, Some(set)) => {
            if algorithms.is_empty() || algorithms.iter().any(|algorithm| algorithm.is_symmetric()) {
                faults.add(
                    set.fault("name the algorithms that a key set is used with, such as \"algorithms: [RS256]\"; none that takes a secret"),
                );
                return None;
            }
            Some((KeysAt::Elsewhere(key_set(set, base, faults)?), algorithms))
        }
        // What was written and could not be read is a fault already.
        (None, None, None) if written.keys_given == 1 => None,
        _ => {
            faults.add(written.place.fault("give exactly one of \"secret\", \"publicKey\" and \"jwks\""));
            None
        }
    }
}

fn pem(key: &Spanned<String>, base: &Path, faults: &mut Faults) -> Option<String> {
    if key.value.trim_start().starts_with("-----BEGIN") {
        return Some(key.value.clone());
    }
    let path = base.join(&key.value);
    fs::read_to_string(&path).map_err(|error| faults.add(key.fault(format!("cannot read {}: {error}", path.display())))).ok()
}

fn key_set(set: &Spanned<String>, base: &Path, faults: &mut Faults) -> Option<KeySetAt> {
    if !set.value.contains("://") {
        let path = base.join(&set.value);
        let read = fs::read(&path).map_err(|error| error.to_string());
        if let Err(fault) = read.and_then(|text| KeySet::parse(&text).map_err(|fault| fault.to_string())) {
            faults.add(set.fault(format!("{}: {fault}", path.display())));
        }
        return Some(KeySetAt::File(path));
    }
    let is_local = |url: &Url| matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let url = Url::parse(&set.value).ok().filter(|url| url.scheme() == "https" || (url.scheme() == "http" && is_local(url)));
    if url.is_none() {
        faults.add(set.fault("expected the path of a file, or a URL that begins with https:// (http:// only on this machine)"));
    }
    url.map(KeySetAt::Url)
}

fn resource(oauth: &OAuth, public_url: Option<&Spanned<String>>, faults: &mut Faults) -> Option<ProtectedResource> {
    let Some(url) = public_url else {
        faults.add(
            oauth
                .place
                .fault("clients are sent to an authorization server for a resource: say in \"auth.publicUrl\" at which URL they see it"),
        );
        return None;
    };
    if oauth.authorization_servers.is_empty() {
        faults.add(oauth.place.fault("name the issuer of tokens in \"authorizationServers\""));
    }
    for server in oauth.authorization_servers.iter().chain(&oauth.documentation) {
        web_url(server, faults);
    }
    for scope in &oauth.scopes {
        let is_word = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
        if scope.value.is_empty() || !scope.value.chars().all(is_word) {
            faults.add(scope.fault("a scope is one word (RFC 6749, section 3.3)"));
        }
    }
    Some(ProtectedResource {
        url: url.value.clone(),
        authorization_servers: values(&oauth.authorization_servers),
        scopes: values(&oauth.scopes),
        documentation: oauth.documentation.as_ref().map(|url| url.value.clone()),
    })
}

fn web_url(written: &Spanned<String>, faults: &mut Faults) {
    let is_url = Url::parse(&written.value).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !is_url || written.value.contains('"') {
        faults.add(written.fault("expected an absolute URL that begins with https:// or http://"));
    }
}

/// Roles as rules name them; somebody's own roles are not `*`.
fn roles(written: &[Spanned<String>], faults: &mut Faults) -> Vec<Box<str>> {
    for role in written.iter().filter(|role| role.value == EVERYONE) {
        faults.add(role.fault("\"*\" stands for everyone and is nobody's own role"));
    }
    role_names(written, faults)
}

fn role_names(written: &[Spanned<String>], faults: &mut Faults) -> Vec<Box<str>> {
    for role in written.iter().filter(|role| role.value != EVERYONE && !CallerId::is_role(&role.value)) {
        faults.add(role.fault("a role is one word of at most 128 bytes"));
    }
    written.iter().map(|role| role.value.as_str().into()).collect()
}

fn access(written: &raw::security::Access, faults: &mut Faults) -> (Option<Access>, Vec<Limit>, Vec<AccessTest>) {
    let rules = written.rules.iter().filter_map(|written| rule(written, faults)).collect();
    let limits = written.limits.iter().filter_map(|written| limit(written, faults)).collect();
    let tests = written.tests.iter().filter_map(|written| test(written, faults)).collect();
    (Some(Access { rules, scopes: Vec::new() }), limits, tests)
}

fn names(written: &raw::security::Names) -> Names {
    let globs = |patterns: &[Spanned<String>]| Globs::new(patterns.iter().map(|pattern| &pattern.value));
    Names { tools: globs(&written.tools), resources: globs(&written.resources), prompts: globs(&written.prompts) }
}

fn rule(written: &raw::security::Rule, faults: &mut Faults) -> Option<Rule> {
    if written.roles.is_empty() {
        faults.add(written.place.fault("for whom? Name roles; \"*\" means everyone"));
    }
    let [allow, deny] = [&written.allow, &written.deny].map(|written| written.as_ref().map(names).unwrap_or_default());
    if allow == Names::default() && deny == Names::default() {
        faults.add(written.place.fault("a rule allows or denies something"));
    }
    let when = match written.when.as_ref().map(|when| (when, Condition::parse(&when.value))) {
        None => None,
        Some((_, Ok(condition))) => Some(condition),
        Some((when, Err(fault))) => {
            faults.add(when.fault(fault));
            return None;
        }
    };
    Some(Rule { place: written.place.describe().into(), roles: role_names(&written.roles, faults), allow, deny, when })
}

fn limit(written: &raw::security::Limit, faults: &mut Faults) -> Option<Limit> {
    if written.roles.is_empty() {
        faults.add(written.place.fault("for whom? Name roles; \"*\" means everyone"));
    }
    if written.per_minute.is_none() && written.per_day.is_none() {
        faults.add(written.place.fault("a limit says \"perMinute\" or \"perDay\""));
        return None;
    }
    let [per_minute, per_day] = [&written.per_minute, &written.per_day].map(|calls| calls.as_ref().map(|calls| calls.value));
    let mut names = names(&written.names);
    if names == Names::default() {
        let all = || Globs::new(["*"]);
        names = Names { tools: all(), resources: all(), prompts: all() };
    }
    Some(Limit { roles: role_names(&written.roles, faults), names, per_minute, per_day })
}

fn test(written: &raw::security::Test, faults: &mut Faults) -> Option<AccessTest> {
    let named = [(Kind::Tool, &written.tool), (Kind::Resource, &written.resource), (Kind::Prompt, &written.prompt)];
    let mut named = named.into_iter().filter_map(|(kind, name)| Some((kind, name.as_ref()?)));
    let (Some((kind, name)), None) = (named.next(), named.next()) else {
        faults.add(written.place.fault("a test names one of \"tool\", \"resource\" and \"prompt\""));
        return None;
    };
    let verdicts = [("allow", true), ("deny", false)];
    let Some(expect) = &written.expect else {
        faults.add(written.place.fault("a test says what it expects: \"expect: allow\" or \"expect: deny\""));
        return None;
    };
    let expects_allowed = one_of(Some(expect), &verdicts, faults)?;
    if let Some(given) = [&written.claims, &written.args].into_iter().flatten().find(|given| !given.is_object()) {
        faults.add(written.place.fault(format!("claims and args are mappings, not {}", given.kind())));
        return None;
    }
    let roles = roles(&written.roles, faults);
    let caller = match &written.subject {
        None if roles.is_empty() => CallerId::anonymous(),
        subject => CallerId::new(CallerId::LOCAL, subject.as_ref().map_or("somebody", |subject| &subject.value), roles),
    };
    let claims = written.claims.clone().unwrap_or_else(Json::empty_object);
    let (place, name) = (written.place.describe().into(), name.value.clone());
    Some(AccessTest { place, caller, claims, kind, name, arguments: written.args.clone(), expects_allowed })
}

fn audit(written: Option<&raw::security::Audit>, authenticates: bool, folder: Option<PathBuf>, faults: &mut Faults) -> Audit {
    let defaults = Audit { is_demanded: authenticates, folder, ..Audit::default() };
    let Some(written) = written else { return defaults };
    let policies = [("off", Arguments::Off), ("digest", Arguments::Digest), ("redacted", Arguments::Redacted), ("full", Arguments::Full)];
    let policy = Policy {
        arguments: one_of(written.arguments.as_ref(), &policies, faults).unwrap_or_default(),
        is_awaited: one_of(written.durability.as_ref(), &[("reply", true), ("relaxed", false)], faults).unwrap_or(true),
        is_required: one_of(written.on_failure.as_ref(), &[("refuse", true), ("allow", false)], faults).unwrap_or(true),
        max_age: written.max_age_days.as_ref().and_then(|days| seconds_of_days(days, faults)),
        max_bytes: within(written.max_bytes.as_ref(), (1 << 20)..=(1 << 40), faults)
            .map(|bytes| bytes as u64)
            .or(defaults.policy.max_bytes),
        spool: None,
    };
    let is_enabled = written.enabled.as_ref().is_none_or(|flag| flag.value);
    Audit { is_enabled, is_demanded: is_enabled && policy.is_required, policy, ..defaults }
}

fn seconds_of_days(days: &Spanned<f64>, faults: &mut Faults) -> Option<Duration> {
    if days.value > 0.0 && days.value <= 36_525.0 {
        return Some(Duration::from_secs_f64(days.value * 86_400.0));
    }
    faults.add(days.fault(format!("expected more than 0 and at most 36525 days, found {}", days.value)));
    None
}
