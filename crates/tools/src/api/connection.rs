//! Named connections: a base URL, the secrets that go with it, and what may be done there.

use super::Failure;
use toolcrib_contract::Globs;
use toolcrib_egress::{Body, Egress, HeaderMap, Method, Setup, Url};

/// A connection that the config names.
#[derive(Clone)]
pub struct ConnectionSettings {
    /// The name that callers use.
    pub name: String,
    /// What all its URLs begin with.
    pub base_url: Url,
    /// Headers that go with every request, secrets among them.
    pub headers: HeaderMap,
    /// The methods that are allowed; all of the tool's if empty.
    pub methods: Vec<Method>,
    /// The paths below the base URL that are allowed, as patterns; all if there are none.
    pub paths: Option<Globs>,
    /// What it is, for the model that chooses.
    pub description: Option<String>,
}

impl std::fmt::Debug for ConnectionSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionSettings").field("name", &self.name).field("base_url", &self.base_url.as_str()).finish_non_exhaustive()
    }
}

/// A connection with its own way out.
#[derive(Debug)]
pub(crate) struct Connection {
    settings: ConnectionSettings,
    egress: Egress,
}

impl Connection {
    /// Opens a way out that reaches what others reach, and the connection's own host, which the config names.
    pub(crate) fn open(settings: ConnectionSettings, egress: &Egress) -> Result<Self, Setup> {
        let egress = egress.also_reaching(&[&settings.base_url], |_| {})?;
        Ok(Self { settings, egress })
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(crate) fn described(&self) -> String {
        match &self.settings.description {
            Some(description) => format!("{:?} ({description})", self.settings.name),
            None => format!("{:?}", self.settings.name),
        }
    }

    pub(crate) fn egress(&self) -> &Egress {
        &self.egress
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.settings.headers
    }

    /// The URL of a path below the base URL, if this may be done there.
    pub(crate) fn url(&self, path: &str, method: &Method) -> Result<Url, Failure> {
        let ConnectionSettings { name, base_url, methods, paths, .. } = &self.settings;
        if !methods.is_empty() && !methods.contains(method) {
            let allowed: Vec<&str> = methods.iter().map(Method::as_str).collect();
            return Err(Failure::new("blocked", format!("the connection {name:?} does not allow {method}, only {}", allowed.join(", "))));
        }
        let plain = path.split(['?', '#']).next().unwrap_or_default();
        if plain.contains("://") || plain.starts_with("//") || plain.contains('\\') {
            return Err(Failure::new("bad_url", format!("with a connection, the URL is a path below {base_url}")));
        }
        let leaves = || Failure::new("blocked", format!("the path leaves {base_url}"));
        if !stays(plain) {
            return Err(leaves());
        }
        let base = base_url.as_str().trim_end_matches('/');
        let joined = Url::parse(&format!("{base}/{}", path.trim_start_matches('/')));
        let joined = joined.map_err(|error| Failure::new("bad_url", error.to_string()))?;
        let below = joined.path().strip_prefix(base_url.path().trim_end_matches('/'));
        let below = below.filter(|below| below.is_empty() || below.starts_with('/'));
        let below = below.filter(|_| joined.origin() == base_url.origin()).ok_or_else(leaves)?;
        if paths.as_ref().is_some_and(|paths| !paths.include(below)) {
            return Err(Failure::new(
                "blocked",
                format!("the connection {name:?} does not allow the path {below}, only {paths:?}", paths = paths.as_ref()),
            ));
        }
        Ok(joined)
    }

    /// Refuses headers by which some servers take another path or method than the request's.
    pub(crate) fn judge_headers(&self, headers: &HeaderMap) -> Result<(), Failure> {
        const STEERING: &[&str] =
            &["x-original-url", "x-rewrite-url", "x-http-method", "x-http-method-override", "x-method-override", "forwarded"];
        let is_steering = |name: &str| STEERING.contains(&name) || name.starts_with("x-forwarded-");
        match headers.keys().find(|name| is_steering(name.as_str())) {
            Some(name) => Err(Failure::new("blocked", format!("the header {name} is not allowed with a connection"))),
            None => Ok(()),
        }
    }

    /// What an answer must not show: the secrets, and the tokens within them.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let values = self.settings.headers.values().filter_map(|value| value.to_str().ok());
        let with_tokens = values.flat_map(|value| [Some(value), value.split_once(' ').map(|(_, token)| token)]).flatten();
        hidden(with_tokens.map(ToOwned::to_owned))
    }
}

/// What of these values is to be hidden: shorter ones are words that an answer may well hold. The longest first, since one may be in another.
pub(crate) fn hidden(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut hidden: Vec<String> = values.map(|value| value.trim().to_owned()).filter(|value| value.len() >= 8).collect();
    hidden.sort_unstable_by_key(|value| std::cmp::Reverse(value.len()));
    hidden.dedup();
    hidden
}

/// The text with these secrets covered.
pub(crate) fn covered(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
}

/// The body without these secrets: a server that sends back what it was sent would show them to whoever asked.
pub(crate) fn scrub(secrets: &[String], body: Body) -> Body {
    // As bytes: a text need not be in an encoding that we know.
    let holds = |secret: &String| body.bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    if !secrets.iter().any(holds) {
        return body;
    }
    let mut bytes = body.bytes.to_vec();
    for secret in secrets {
        let mut scrubbed = Vec::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        while let Some(index) = rest.windows(secret.len()).position(|window| window == secret.as_bytes()) {
            scrubbed.extend_from_slice(&rest[..index]);
            scrubbed.extend_from_slice(b"***");
            rest = &rest[index + secret.len()..];
        }
        scrubbed.extend_from_slice(rest);
        bytes = scrubbed;
    }
    Body { bytes: bytes.into(), ..body }
}

/// Whether a path stays below where it starts, however often a server decodes it: no segment is dots, or holds a slash,
/// before or after its parameters are taken off.
pub(crate) fn stays(path: &str) -> bool {
    path.split('/').all(|segment| {
        let mut segment = segment.to_owned();
        for _ in 0..5 {
            let name = segment.split(';').next().unwrap_or_default();
            if matches!(name, "." | "..") || (segment.contains(['/', '\\'])) {
                return false;
            }
            let decoded = percent_encoding::percent_decode_str(&segment).decode_utf8_lossy().into_owned();
            if decoded == segment {
                return true;
            }
            segment = decoded;
        }
        // Encoded more often than any server needs it.
        false
    })
}
