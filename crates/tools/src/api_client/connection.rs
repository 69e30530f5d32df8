//! Named connections: a base URL, the secrets that go with it, and what may be done there.

use super::Failure;
use toolcrib_contract::Globs;
use toolcrib_egress::{Egress, HeaderMap, Method, Setup, Url};

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
pub(super) struct Connection {
    settings: ConnectionSettings,
    egress: Egress,
}

impl Connection {
    /// Opens a way out that reaches what others reach, and the connection's own host, which the config names.
    pub(super) fn open(settings: ConnectionSettings, egress: &Egress) -> Result<Self, Setup> {
        let egress = egress.also_reaching(&[&settings.base_url], |_| {})?;
        Ok(Self { settings, egress })
    }

    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(super) fn described(&self) -> String {
        match &self.settings.description {
            Some(description) => format!("{:?} ({description})", self.settings.name),
            None => format!("{:?}", self.settings.name),
        }
    }

    pub(super) fn egress(&self) -> &Egress {
        &self.egress
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.settings.headers
    }

    /// The URL of a path below the base URL, if this may be done there.
    pub(super) fn url(&self, path: &str, method: &Method) -> Result<Url, Failure> {
        let ConnectionSettings { name, base_url, methods, paths, .. } = &self.settings;
        if !methods.is_empty() && !methods.contains(method) {
            return Err(Failure::new("blocked", format!("the connection {name:?} does not allow {method}")));
        }
        if path.contains("://") || path.starts_with("//") || path.contains('\\') {
            return Err(Failure::new("bad_url", format!("with a connection, the URL is a path below {}", without_secrets(base_url))));
        }
        let base = base_url.as_str().trim_end_matches('/');
        let joined = Url::parse(&format!("{base}/{}", path.trim_start_matches('/')));
        let joined = joined.map_err(|error| Failure::new("bad_url", error.to_string()))?;
        // Dot segments are resolved by now, written plainly or not.
        let below =
            joined.path().strip_prefix(base_url.path().trim_end_matches('/')).filter(|below| below.is_empty() || below.starts_with('/'));
        let Some(below) = below.filter(|_| joined.origin() == base_url.origin()) else {
            return Err(Failure::new("blocked", format!("the path leaves {}", without_secrets(base_url))));
        };
        if paths.as_ref().is_some_and(|paths| !paths.include(below)) {
            return Err(Failure::new("blocked", format!("the connection {name:?} does not allow the path {below}")));
        }
        Ok(joined)
    }
}

fn without_secrets(base_url: &Url) -> String {
    let mut shown = base_url.clone();
    shown.set_query(None);
    shown.to_string()
}
