//! A URL that may be fetched, as far as its text tells. Where its name leads is judged when it is resolved.

use crate::policy::{Policy, Refusal};
use std::net::IpAddr;
use url::{Host, Url};

/// The longest URL.
const MAX_BYTES: usize = 8 * 1024;

/// A URL whose text passed the rules.
///
/// ```
/// use toolcrib_egress::{Policy, Target};
///
/// let policy = Policy::default();
/// assert!(Target::parse("https://example.com/a", &policy).is_ok());
/// for text in ["http://0x7f.1/", "http://[::1]/", "http://metadata/", "file:///etc/passwd", "https://a:b@example.com/"] {
///     assert!(Target::parse(text, &policy).is_err(), "{text}");
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
    host: String,
    port: u16,
}

impl Target {
    /// Parses and judges a URL.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn parse(text: &str, policy: &Policy) -> Result<Self, Refusal> {
        let text = text.trim_matches(' ');
        if text.len() > MAX_BYTES {
            return Err(Refusal::Malformed(format!("{} bytes are more than the limit of {MAX_BYTES}", text.len())));
        }
        if text.chars().any(char::is_control) {
            return Err(Refusal::Malformed("it holds control characters".into()));
        }
        refuse_ambiguous(text)?;
        let url = Url::parse(text).map_err(|error| Refusal::Malformed(error.to_string()))?;
        Self::judge(url, policy)
    }

    /// Judges where a redirect or a link leads.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn join(&self, location: &str, policy: &Policy) -> Result<Self, Refusal> {
        if location.len() > MAX_BYTES || location.chars().any(char::is_control) {
            return Err(Refusal::Malformed("the location is too long or holds control characters".into()));
        }
        let url = self.url.join(location).map_err(|error| Refusal::Malformed(error.to_string()))?;
        Self::judge(url, policy)
    }

    fn judge(url: Url, policy: &Policy) -> Result<Self, Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials);
        }
        let port = url.port_or_known_default().unwrap_or_default();
        let host = match url.host() {
            Some(Host::Domain(name)) => {
                let name = name.strip_suffix('.').unwrap_or(name).to_lowercase();
                policy.judge_name(&name, port)?;
                name
            }
            Some(Host::Ipv4(address)) => literal(address.into(), port, policy)?,
            Some(Host::Ipv6(address)) => literal(address.into(), port, policy)?,
            None => return Err(Refusal::Malformed("it names no host".into())),
        };
        policy.judge_port(&host, port)?;
        Ok(Self { url, host, port })
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The name or address, lower case, without a final dot or brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether both stand for one origin: scheme, host and port.
    #[must_use]
    pub fn is_same_origin(&self, other: &Self) -> bool {
        self.url.scheme() == other.url.scheme() && self.host == other.host && self.port == other.port
    }
}

fn literal(address: IpAddr, port: u16, policy: &Policy) -> Result<String, Refusal> {
    policy.judge_literal(address, port)?;
    Ok(address.to_string())
}

/// What one reader takes for a host and another for a path: refused, not guessed.
fn refuse_ambiguous(text: &str) -> Result<(), Refusal> {
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err(Refusal::Malformed("it has no scheme; write it like https://example.com/".into()));
    };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Refusal::Scheme(scheme.to_owned()));
    }
    let Some(rest) = rest.strip_prefix("//").filter(|rest| !rest.starts_with(['/', '\\'])) else {
        return Err(Refusal::Malformed("two slashes must follow the scheme".into()));
    };
    let before_query = rest.split(['?', '#']).next().unwrap_or_default();
    if before_query.contains('\\') {
        return Err(Refusal::Malformed("it holds a backslash".into()));
    }
    Ok(())
}
