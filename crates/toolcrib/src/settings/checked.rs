//! What the settings mean: values that could not stand here if they were wrong.

mod child;
pub(crate) mod declared;
mod oauth;
mod offered;
pub(crate) mod openapi;
mod ready;
pub(crate) mod resilience;
pub(crate) mod security;
pub(crate) mod storage;
mod telemetry;

use super::{
    Lookup, Sections,
    document::{Faults, Spanned},
    raw::{self, Server, Written},
    variables::Expanded,
};
pub use resilience::{Overrides, Steadiness};
pub use security::Security;
use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use toolcrib_contract::Globs;
use toolcrib_edge::http::Profiles;
use toolcrib_gate::{Config, Names};
use toolcrib_telemetry::otlp;
use toolcrib_upstream::{Alteration, Binding, Choice, Definition, Place, Preset, Protocol, Sharing, Transport, naming::SEPARATOR};
use toolcrib_wire::{Era, client::http::Endpoint, server::Limits as DoorLimits};

/// How long what a server offered stays listed while it is away.
const KEEP_LISTED: Duration = Duration::from_secs(60 * 60);
/// How long a server may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest timeout that makes sense: a day.
const MAX_TIMEOUT_SECS: f64 = 86_400.0;
/// The largest message accepted from another server, unless larger outputs are passed on.
const MAX_MESSAGE_BYTES: usize = 8 << 20;
/// What may stand in a message around an output: one that may be passed on arrives, and one that may not is told of as too large.
const AROUND_OUTPUT_BYTES: usize = 64 << 10;
/// The largest limit of bytes that makes sense: a gibibyte.
const MAX_BYTES: usize = 1 << 30;
/// The words for who shares a server.
const SHARING: &[(&str, Sharing)] = &[("shared", Sharing::Shared), ("perSession", Sharing::PerSession), ("perCaller", Sharing::PerCaller)];
/// The words for the era to speak with a server.
const ERAS: &[(&str, Option<Era>)] = &[("auto", None), ("legacy", Some(Era::Legacy))];
/// The longest prefix, so that something of every name is left.
const MAX_PREFIX: usize = 24;

/// Everything that a config decides.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The bounds of the gate.
    pub gate: Config,
    /// The bounds of the doors.
    pub doors: DoorLimits,
    /// The other servers.
    pub servers: Vec<Definition>,
    /// Parts of the catalogue that have an endpoint of their own.
    pub profiles: Profiles,
    /// The ready tools.
    pub ready: toolcrib_tools::Settings,
    /// What of what is declared cannot be offered, though the rest can.
    pub notes: Vec<String>,
    /// What is named and is not there: what needs it fails until it is.
    pub absences: Faults,
    /// What declared tools are tried out with.
    pub trials: Vec<declared::Trial>,
    /// Who may do what, and what is kept of it.
    pub security: Security,
    /// What replicas share, if there are others.
    pub storage: Option<storage::Storage>,
    /// Whom to tell what is measured, if anybody.
    pub otlp: Option<otlp::Settings>,
    /// The files that all this stands in.
    pub files: Vec<PathBuf>,
    /// What the main file says, section by section.
    pub sections: Sections,
    /// What is done about faults.
    pub steadiness: Steadiness,
    /// What is said about that for single servers, and which of them are trusted in what they say of their tools.
    pub servers_steadied: BTreeMap<Arc<str>, (Overrides, bool)>,
}

/// What stands before the names of a server's tools and prompts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Prefix {
    /// The server's name.
    Always,
    /// The server's name, unless it is the only server.
    Auto,
    /// Nothing.
    Never,
    /// This word.
    Word(String),
}

/// Where everything is kept that lasts.
#[derive(Debug)]
pub enum Kept {
    /// In this folder, if the environment says where one may be.
    InFolder(Option<PathBuf>),
    /// On a server.
    OnServer(Box<storage::Storage>),
}

/// Where everything is kept that lasts, unless what is said of that makes no sense.
pub(super) fn kept(written: &Written, file: &Path, lookup: Lookup<'_>, faults: &mut Faults) -> Option<Kept> {
    let base = file.parent().unwrap_or(Path::new(""));
    match &written.storage {
        Some(written) => storage::check(written, base, faults).map(Box::new).map(Kept::OnServer),
        None => Some(Kept::InFolder(ready::data_folder(&written.ready, base, lookup))),
    }
}

/// `base` is the folder of the config file.
pub(super) fn check(written: Written, base: &Path, lookup: Lookup<'_>, faults: &mut Faults) -> Settings {
    let defaults = Config::default();
    let limits = &written.limits;
    let gate = Config {
        timeout: seconds(written.timeout_secs.as_ref(), faults).unwrap_or(defaults.timeout),
        max_timeout: seconds(written.max_timeout_secs.as_ref(), faults).unwrap_or(defaults.max_timeout),
        max_concurrent: within(written.max_concurrent_tools.as_ref(), 1..=10_000, faults).unwrap_or(defaults.max_concurrent),
        max_queued: within(limits.max_queued_calls.as_ref(), 0..=100_000, faults).unwrap_or(defaults.max_queued),
        max_output_bytes: within(limits.max_output_bytes.as_ref(), 1..=MAX_BYTES, faults).unwrap_or(defaults.max_output_bytes),
        max_argument_bytes: within(limits.max_argument_bytes.as_ref(), 1..=MAX_BYTES, faults).unwrap_or(defaults.max_argument_bytes),
    };
    if let Some(written) = written.max_timeout_secs.as_ref().filter(|_| gate.max_timeout < gate.timeout) {
        faults.add(written.fault(format!("expected at least the timeout of {} s, found {}", gate.timeout.as_secs_f64(), written.value)));
    }
    let defaults = DoorLimits::default();
    let doors = DoorLimits {
        max_message_bytes: within(limits.max_message_bytes.as_ref(), 1024..=MAX_BYTES, faults).unwrap_or(defaults.max_message_bytes),
        max_connections: within(limits.max_connections.as_ref(), 1..=1_000_000, faults).unwrap_or(defaults.max_connections),
        max_in_flight: within(limits.max_requests_in_flight.as_ref(), 1..=1_000_000, faults).unwrap_or(defaults.max_in_flight),
        max_sessions: within(limits.max_sessions.as_ref(), 1..=1_000_000, faults).unwrap_or(defaults.max_sessions),
        session_idle: seconds(limits.session_idle_secs.as_ref(), faults).unwrap_or(defaults.session_idle),
        ..defaults
    };
    let prefix = prefix(written.prefix.as_ref(), faults).unwrap_or(Prefix::Always);
    let is_only_one = written.servers.iter().filter(|server| is_enabled(server)).count() == 1;
    let mut names: Vec<String> = Vec::new();
    let mut servers = Vec::new();
    for server in &written.servers {
        let definition = define(server, &prefix, is_only_one, lookup, faults);
        let definition = definition.map(|it| it.accepting(MAX_MESSAGE_BYTES.max(gate.max_output_bytes + AROUND_OUTPUT_BYTES)));
        if let Some(name) = &server.name {
            if names.contains(&name.value) {
                faults.add(name.fault(format!("another server is named {:?} already", name.value)));
            }
            names.push(name.value.clone());
        }
        // One that is not as its config means it is none, least of all one that is less confined.
        servers.extend(definition.filter(|_| is_enabled(server) && !faults.spoil(&server.place)));
    }
    refuse_equal_prefixes(&written, &servers, faults);
    if written.enabled.is_some_and(|enabled| !enabled.value) {
        servers.clear();
    }
    let mut ready = ready::check(&written.ready, base, lookup, faults);
    let sample = ready.sample_folder.as_ref().map(|_| toolcrib_tools::SAMPLE);
    let databases: Vec<&str> = ready.databases.iter().map(|database| database.name.as_str()).chain(sample).collect();
    let (brought, trials) = declared::check(&written.ready.declared, &databases, lookup, faults);
    (ready.declared, ready.documents) = (brought.tools, brought.documents);
    ready.prompts = offered::prompts(&written.prompts, faults);
    ready.resources = offered::resources(&written.resources, lookup, faults);
    let mut security = security::check(&written.security, base, ready::data_folder(&written.ready, base, lookup), faults);
    let storage = written.storage.as_ref().and_then(|written| storage::check(written, base, faults));
    let folder = security.audit.folder.as_deref();
    if let Some(spool) =
        written.storage.as_ref().and_then(|written| written.spool_max_bytes.as_ref()).filter(|bytes| bytes.value > 0 && folder.is_none())
    {
        faults.add(spool.fault("records wait in \"dataFolder\": say where that is"));
    }
    security.audit.policy.spool = storage.as_ref().and_then(|storage| storage.spool(folder));
    let steadiness = resilience::check(&written.resilience, faults);
    let of_server = |server: &Server, faults: &mut Faults| {
        let is_trusted = server.trusted.as_ref().is_some_and(|flag| flag.value);
        let overrides = resilience::overrides(&server.resilience, faults);
        Some((server.name.as_ref()?.value.as_str().into(), (overrides, is_trusted)))
    };
    let servers_steadied = written.servers.iter().filter_map(|server| of_server(server, faults)).collect();
    Settings {
        gate,
        doors,
        servers,
        profiles: profiles(&written.profiles, faults),
        ready,
        security,
        files: Vec::new(),
        sections: written.sections,
        trials,
        notes: brought.notes,
        absences: Faults::default(),
        storage,
        otlp: telemetry::check(written.otlp.as_ref(), lookup, faults),
        steadiness,
        servers_steadied,
    }
}

/// Two servers with one prefix could pass for each other.
fn refuse_equal_prefixes(written: &Written, servers: &[Definition], faults: &mut Faults) {
    for (index, server) in servers.iter().enumerate() {
        let is_equal = |other: &&Definition| other.prefix.is_some() && other.names_begin_with() == server.names_begin_with();
        let place = written.servers.iter().find(|written| written.name.as_ref().is_some_and(|name| *name.value == *server.name));
        if let (Some(other), Some(place)) = (servers[..index].iter().find(is_equal), place) {
            faults.add(place.place.fault(format!("its names would begin as those of {:?}: give it another prefix", other.name)));
        }
    }
}

fn profiles(written: &[raw::Profile], faults: &mut Faults) -> Profiles {
    let globs = |patterns: &[Spanned<String>]| Globs::new(patterns.iter().map(|pattern| &pattern.value));
    let mut profiles = Profiles::new();
    for raw::Profile { name, tools, resources, prompts } in written {
        if name.value.is_empty() || !name.value.chars().all(is_plain) {
            faults.add(name.fault("a profile's name is part of a URL: use letters, digits, \"-\" and \"_\""));
        }
        let profile = Names { tools: globs(tools), resources: globs(resources), prompts: globs(prompts) };
        profiles.insert(name.value.clone(), Arc::new(profile));
    }
    profiles
}

fn define(server: &Server, default_prefix: &Prefix, is_only_one: bool, lookup: Lookup<'_>, faults: &mut Faults) -> Option<Definition> {
    let name = name_of(server, faults);
    let transport = transport_of(server, lookup, faults);
    let start_timeout = seconds(server.start_timeout_secs.as_ref(), faults).unwrap_or(START_TIMEOUT);
    let call_timeout = seconds(server.timeout_secs.as_ref(), faults);
    let prefix = prefix(server.prefix.as_ref(), faults).unwrap_or_else(|| default_prefix.clone());
    let sharing = one_of(server.sharing.as_ref(), SHARING, faults).unwrap_or_default();
    let era = one_of(server.era.as_ref(), ERAS, faults).flatten();
    let choice = choice(server, faults);
    let bindings = bindings(server, sharing, faults);
    let oauth = oauth::check(server, faults);
    let (is_lazy, idle_stop) = child::rest(server, faults);
    let keep_listed = seconds(server.keep_listed_secs.as_ref(), faults).unwrap_or(KEEP_LISTED);
    let (name, transport) = (name?, transport?);
    let prefix = match prefix {
        Prefix::Word(word) => Some(word),
        Prefix::Always => Some(name.to_string()),
        Prefix::Auto => (!is_only_one).then(|| name.to_string()),
        Prefix::Never => None,
    };
    let max_message_bytes = MAX_MESSAGE_BYTES;
    let (secrets, sign_in, listings) = (None, None, None);
    Some(Definition {
        name,
        transport,
        bindings,
        secrets,
        oauth,
        sign_in,
        prefix,
        choice,
        sharing,
        era,
        is_lazy,
        idle_stop,
        listings,
        keep_listed,
        start_timeout,
        call_timeout,
        max_message_bytes,
    })
}

/// What of env and headers is about the caller.
fn bindings(server: &Server, sharing: Sharing, faults: &mut Faults) -> Vec<Binding> {
    let mut bindings = Vec::new();
    let variables = server.env.iter().map(|(name, value)| (Some(Place::Variable(name.clone())), value));
    let headers = server.headers.iter().map(|(name, value)| (name.parse().ok().map(Place::Header), value));
    for (to, value) in variables.chain(headers) {
        let Expanded::ForCaller(template) = &value.value else { continue };
        if sharing != Sharing::PerCaller {
            faults.add(value.fault("this differs from caller to caller: say \"sharing: perCaller\" for the server"));
        }
        match to {
            Some(to) => bindings.push(Binding { to, template: template.clone() }),
            None => faults.add(value.fault("this is not the name of a header")),
        }
    }
    bindings
}

/// What of env or headers is the same for everybody.
fn fixed(values: &[(String, Spanned<Expanded>)]) -> impl Iterator<Item = (&String, Spanned<String>)> {
    values.iter().filter_map(|(name, value)| match &value.value {
        Expanded::Fixed(text) => Some((name, value.with(text.clone()))),
        Expanded::ForCaller(_) => None,
    })
}

fn choice(server: &Server, faults: &mut Faults) -> Choice {
    let globs = |patterns: &Vec<Spanned<String>>| Globs::new(patterns.iter().map(|pattern| &pattern.value));
    let mut tools = BTreeMap::new();
    for raw::Tool { name, rename, description, arguments } in &server.tools {
        if let Some(rename) = rename.as_ref().filter(|rename| rename.value.trim().is_empty()) {
            faults.add(rename.fault("a tool's name must not be empty"));
        }
        let arguments = arguments.iter().filter_map(|argument| preset(argument, faults)).collect();
        let text = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.value.clone());
        tools.insert(name.value.clone(), Alteration { rename: text(rename), description: text(description), arguments });
    }
    Choice { include: server.include.as_ref().map(globs), exclude: globs(&server.exclude), tools }
}

fn preset(raw::Argument { name, fixed, default }: &raw::Argument, faults: &mut Faults) -> Option<(String, Preset)> {
    let preset = match (fixed, default) {
        (Some(value), None) => Preset::Fixed(value.clone()),
        (None, Some(value)) => Preset::Default(value.clone()),
        _ => {
            faults.add(name.fault("give the value of an argument either as \"fixed\" or as \"default\""));
            return None;
        }
    };
    Some((name.value.clone(), preset))
}

/// The meaning of a word out of a few.
fn one_of<T: Clone>(written: Option<&Spanned<String>>, known: &[(&str, T)], faults: &mut Faults) -> Option<T> {
    let written = written?;
    let found = known.iter().find(|(word, _)| *word == written.value);
    if found.is_none() {
        let words: Vec<String> = known.iter().map(|(word, _)| format!("{word:?}")).collect();
        faults.add(written.fault(format!("expected {}, found {:?}", words.join(" or "), written.value)));
    }
    found.map(|(_, meaning)| meaning.clone())
}

fn name_of(server: &Server, faults: &mut Faults) -> Option<Arc<str>> {
    let Some(name) = &server.name else {
        faults.add(server.place.fault("a server needs a name"));
        return None;
    };
    if name.value.trim().is_empty() {
        faults.add(name.fault("a server's name must not be empty"));
        return None;
    }
    if name.value.contains(SEPARATOR) {
        faults.add(name.fault(format!("a server's name must not hold {SEPARATOR:?}, which separates it from the names of its tools")));
        return None;
    }
    if name.value == "toolcrib" {
        faults.add(name.fault("\"toolcrib\" is the name of our own tools; give the server another"));
        return None;
    }
    Some(name.value.as_str().into())
}

fn transport_of(server: &Server, lookup: Lookup<'_>, faults: &mut Faults) -> Option<Transport> {
    let expected = match server.kind.as_ref().map(|kind| (kind, kind.value.as_str())) {
        None => None,
        Some((_, "stdio")) => Some("command"),
        Some((_, "http" | "streamable-http" | "streamableHttp" | "sse")) => Some("url"),
        Some((kind, other)) => {
            faults.add(kind.fault(format!("unknown type {other:?}; known are \"stdio\", \"http\" and \"sse\"")));
            return None;
        }
    };
    match (&server.command, &server.url, expected) {
        (Some(_), Some(url), _) => {
            faults.add(url.fault("a server has either a command or a url"));
            None
        }
        (Some(command), None, None | Some("command")) => child::child(server, command, lookup, faults),
        (None, Some(url), None | Some("url")) => remote(server, url, faults),
        (_, _, expected) => {
            let needed = expected.map_or_else(|| "a command or a url".to_owned(), |key| format!("the key {key:?} to go with its type"));
            faults.add(server.place.fault(format!("a server needs {needed}")));
            None
        }
    }
}

fn remote(server: &Server, url: &Spanned<String>, faults: &mut Faults) -> Option<Transport> {
    let places = server.args.iter().map(|arg| arg.with(())).chain(server.env.iter().map(|(_, value)| value.with(())));
    places.for_each(|place| faults.add(place.fault("args and env go with a command, not with a url")));
    let of_children = [
        ("limits", server.limits.as_ref().map(|limits| &limits.place)),
        ("sandbox", server.sandbox.as_ref().map(|sandbox| &sandbox.place)),
    ];
    for (key, place) in of_children.into_iter().filter_map(|(key, place)| Some((key, place?))) {
        faults.add(place.fault(format!("{key:?} goes with a command, not with a url")));
    }
    let is_url =
        url.value.parse::<http::Uri>().is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some());
    if !is_url {
        faults.add(url.fault("expected an absolute URL that begins with http:// or https://"));
        return None;
    }
    let mut headers = http::HeaderMap::new();
    for (name, value) in fixed(&server.headers) {
        if let Some((name, value)) = header_of(name, &value, faults) {
            headers.append(name, value);
        }
    }
    let protocol = match server.kind.as_ref().map(|kind| kind.value.as_str()) {
        None => Protocol::Either,
        Some("sse") => Protocol::Sse,
        Some(_) => Protocol::Streamable,
    };
    let (url, connect_timeout) = (url.value.clone(), Duration::from_secs(10));
    let extra_roots = server.ca_file.as_ref().and_then(|file| ready::ca_file(file, &server.base, faults)).unwrap_or_default();
    let (authorization, max_message_bytes) = (None, MAX_MESSAGE_BYTES);
    Some(Transport::Remote(Endpoint { url, headers, authorization, max_message_bytes, connect_timeout, extra_roots }, protocol))
}

/// A header that is kept out of logs.
fn header_of(name: &str, value: &Spanned<String>, faults: &mut Faults) -> Option<(http::HeaderName, http::HeaderValue)> {
    match (http::HeaderName::from_bytes(name.as_bytes()), http::HeaderValue::from_str(&value.value)) {
        (Ok(name), Ok(mut content)) => {
            content.set_sensitive(true);
            return Some((name, content));
        }
        (Err(_), _) => faults.add(value.fault(format!("{name:?} is not the name of a header"))),
        (_, Err(_)) => faults.add(value.fault("the value holds characters that no header may")),
    }
    None
}

fn is_enabled(server: &Server) -> bool {
    server.enabled.as_ref().is_none_or(|flag| flag.value) && server.disabled.as_ref().is_none_or(|flag| !flag.value)
}

fn prefix(written: Option<&Spanned<String>>, faults: &mut Faults) -> Option<Prefix> {
    let written = written?;
    match written.value.as_str() {
        "always" => Some(Prefix::Always),
        "auto" => Some(Prefix::Auto),
        "never" => Some(Prefix::Never),
        word if !word.is_empty() && word.len() <= MAX_PREFIX && !word.contains(SEPARATOR) && word.chars().all(is_plain) => {
            Some(Prefix::Word(word.to_owned()))
        }
        other => {
            faults.add(written.fault(format!(
                "expected \"always\", \"auto\", \"never\" or a word of at most {MAX_PREFIX} letters, digits, \"-\" and single \"_\", found {other:?}"
            )));
            None
        }
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

fn seconds(written: Option<&Spanned<f64>>, faults: &mut Faults) -> Option<Duration> {
    let written = written?;
    if written.value > 0.0 && written.value <= MAX_TIMEOUT_SECS {
        return Some(Duration::from_secs_f64(written.value));
    }
    faults.add(written.fault(format!("expected more than 0 and at most {MAX_TIMEOUT_SECS} seconds, found {}", written.value)));
    None
}

fn within(written: Option<&Spanned<usize>>, allowed: RangeInclusive<usize>, faults: &mut Faults) -> Option<usize> {
    let written = written?;
    if allowed.contains(&written.value) {
        return Some(written.value);
    }
    faults.add(written.fault(format!("expected a number from {} to {}, found {}", allowed.start(), allowed.end(), written.value)));
    None
}
