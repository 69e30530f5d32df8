//! The rules for what may be reached.

use crate::address::{Special, special_range};
use ipnet::IpNet;
use std::{fmt, net::IpAddr, str::FromStr};
use toolcrib_contract::Globs;

/// Ports that browsers refuse, since what listens there can be talked into mischief by an HTTP request (WHATWG Fetch,
/// "bad port"), and those of databases, caches, queues and control planes.
const BAD_PORTS: &[u16] = &[
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113, 115,
    117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601,
    636, 989, 990, 993, 995, 1433, 1521, 1719, 1720, 1723, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 3659, 4045, 4190, 4369, 5060,
    5061, 5432, 5672, 5900, 5984, 6000, 6379, 6380, 6443, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 7000, 7001, 7199, 9042, 9092,
    9160, 9200, 9300, 10080, 10250, 11211, 15672, 26379, 27017, 27018, 27019,
];

/// Names that mean something only inside of a network, as whole names or as endings after a dot.
const INTERNAL_NAMES: &[&str] = &[
    "localhost",
    "localdomain",
    "local",
    "localnet",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "home.arpa",
    "consul",
    "onion",
    "invalid",
    "arpa",
];

/// What may be reached. The default is the public internet on ordinary ports.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// What may be reached, if not all that no rule refuses.
    pub allow: Option<Vec<Destination>>,
    /// What may not be reached, whatever else is said.
    pub deny: Vec<Destination>,
    /// What may be reached although it is special.
    pub exceptions: Vec<Destination>,
}

/// A host, an address or a network, on one port or on all.
///
/// ```
/// use toolcrib_egress::Destination;
///
/// for text in ["10.1.0.0/16", "127.0.0.1:9000", "[::1]:9000", "fd00::/8", "wiki.corp", "*.internal:8443"] {
///     assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
/// }
/// for text in ["10.1.0.0/99", "192.168.1.*", "[::1]9000", "host:0", "a b"] {
///     assert!(text.parse::<Destination>().is_err(), "{text}");
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Destination {
    text: Box<str>,
    what: What,
    port: Option<u16>,
}

#[derive(Debug, Clone)]
enum What {
    Network(IpNet),
    Name(Globs),
}

/// Why something may not be reached: the rule that refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The text is no URL that everybody would read alike.
    #[error("not a URL that can be fetched: {0}")]
    Malformed(String),
    /// Only http and https are spoken.
    #[error("the scheme {0:?} is not spoken, only http and https are")]
    Scheme(String),
    /// The URL carries a user name or a password.
    #[error("a URL must not carry a user name or password; secrets belong into a connection of the config")]
    Credentials,
    /// The port is one at which HTTP does mischief.
    #[error("port {0} is not one of HTTP; the config can make an exception (egress.exceptions: [\"HOST:{0}\"])")]
    Port(u16),
    /// The name means something only inside of a network.
    #[error("{0:?} is a name of internal networks; the config can make an exception (egress.exceptions)")]
    InternalName(String),
    /// The address is special.
    #[error("{}{address}{} {special}; the config can make an exception (egress.exceptions)", named(host, *address), verb(host, *address))]
    SpecialAddress {
        /// What was asked for.
        host: String,
        /// Where it leads.
        address: IpAddr,
        /// What that is.
        special: Special,
    },
    /// The config denies the host.
    #[error("the config denies {0:?} (egress.deny)")]
    Denied(String),
    /// The config allows only other hosts.
    #[error("the config does not allow {0:?} (egress.allow)")]
    NotAllowed(String),
}

/// What leads to an address, where that is not the address itself.
fn named(host: &str, address: IpAddr) -> String {
    if host == address.to_string() { String::new() } else { format!("{host} leads to ") }
}

fn verb(host: &str, address: IpAddr) -> &'static str {
    if host == address.to_string() { " is" } else { "," }
}

impl Policy {
    /// Judges a name, before anybody resolves it. `host` is lower case and without a final dot.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn judge_name(&self, host: &str, port: u16) -> Result<(), Refusal> {
        self.judge_lists(host, None, Some(port))?;
        if any(&self.exceptions, host, None, Some(port)) {
            return Ok(());
        }
        if host.split('.').any(str::is_empty) {
            return Err(Refusal::Malformed(format!("{host:?} has an empty label")));
        }
        let is_internal = |name: &str| host == name || host.strip_suffix(name).is_some_and(|before| before.ends_with('.'));
        if !host.contains('.') || INTERNAL_NAMES.iter().any(|name| is_internal(name)) {
            return Err(Refusal::InternalName(host.to_owned()));
        }
        Ok(())
    }

    /// Judges an address that is about to be dialled for `host`. Without a port, exceptions for single ports do not count.
    ///
    /// # Errors
    /// [`Refusal::SpecialAddress`], [`Refusal::Denied`].
    pub fn judge_address(&self, host: &str, address: IpAddr, port: Option<u16>) -> Result<(), Refusal> {
        if any(&self.deny, "", Some(address), port) {
            return Err(Refusal::Denied(host.to_owned()));
        }
        let Some(special) = special_range(address) else { return Ok(()) };
        let by_name = !special.needs_exception_by_address() && any(&self.exceptions, host, None, port);
        let is_excepted = by_name || any(&self.exceptions, "", Some(address), port);
        let refusal = || Refusal::SpecialAddress { host: host.to_owned(), address, special };
        is_excepted.then_some(()).ok_or_else(refusal)
    }

    /// Judges a host that is an address: there is no name to resolve.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn judge_literal(&self, address: IpAddr, port: u16) -> Result<(), Refusal> {
        let host = address.to_string();
        self.judge_lists(&host, Some(address), Some(port))?;
        self.judge_address(&host, address, Some(port))
    }

    /// Judges a port.
    ///
    /// # Errors
    /// [`Refusal::Port`].
    pub fn judge_port(&self, host: &str, port: u16) -> Result<(), Refusal> {
        let address: Option<IpAddr> = host.parse().ok();
        let names_it = |exception: &Destination| exception.port == Some(port) && exception.covers(host, address);
        if BAD_PORTS.contains(&port) && !self.exceptions.iter().any(names_it) {
            return Err(Refusal::Port(port));
        }
        Ok(())
    }

    /// The ports that exceptions name.
    pub fn excepted_ports(&self) -> impl Iterator<Item = u16> + '_ {
        self.exceptions.iter().filter_map(|exception| exception.port)
    }

    fn judge_lists(&self, host: &str, address: Option<IpAddr>, port: Option<u16>) -> Result<(), Refusal> {
        if any(&self.deny, host, address, port) {
            return Err(Refusal::Denied(host.to_owned()));
        }
        if self.allow.as_ref().is_some_and(|allow| !any(allow, host, address, port)) {
            return Err(Refusal::NotAllowed(host.to_owned()));
        }
        Ok(())
    }
}

fn any(destinations: &[Destination], host: &str, address: Option<IpAddr>, port: Option<u16>) -> bool {
    destinations.iter().any(|destination| destination.applies_to(port) && destination.covers(host, address))
}

impl Destination {
    fn applies_to(&self, port: Option<u16>) -> bool {
        self.port.is_none() || self.port == port
    }

    fn covers(&self, host: &str, address: Option<IpAddr>) -> bool {
        match &self.what {
            What::Network(network) => address.is_some_and(|address| network.contains(&address)),
            What::Name(names) => names.include(host),
        }
    }
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = split_port(text)?;
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '*' | '?');
        let what = if let Ok(address) = host.parse::<IpAddr>() {
            What::Network(address.into())
        } else if host.contains('/') {
            What::Network(host.parse().map_err(|_| format!("{host:?} is no network; write it like 10.1.0.0/16"))?)
        } else if host.is_empty() || !host.chars().all(is_name) {
            return Err(format!("{text:?} is no address, network or name; write it like 10.1.0.0/16, 127.0.0.1:9000 or wiki.corp"));
        } else if host != "*" && !host.chars().any(char::is_alphabetic) {
            return Err(format!("{text:?} looks like addresses but would be names; write a network like 192.168.1.0/24"));
        } else {
            What::Name(Globs::new([ascii(host)]))
        };
        Ok(Self { text: text.into(), what, port })
    }
}

/// A name as URLs have it: in lower case, its labels in Punycode.
fn ascii(name: &str) -> String {
    let label = |label: &str| {
        if label.is_ascii() {
            return label.to_ascii_lowercase();
        }
        let encoded = url::Url::parse(&format!("http://{label}.example")).ok();
        let encoded = encoded.and_then(|url| url.host_str()?.strip_suffix(".example").map(str::to_owned));
        encoded.unwrap_or_else(|| label.to_lowercase())
    };
    name.split('.').map(label).collect::<Vec<_>>().join(".")
}

/// Splits `host:port`, `[v6]:port`, or what has no port.
fn split_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let bad_port = || format!("{text:?} has no port from 1 to 65535 after its colon");
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port_of(port).ok_or_else(bad_port)?),
            None if rest.is_empty() => None,
            None => return Err(bad_port()),
        };
        return Ok((host, port));
    }
    match text.split_once(':') {
        // More than one colon is an address of IPv6 without a port.
        Some((_, rest)) if rest.contains(':') => Ok((text, None)),
        Some((host, port)) => Ok((host, Some(port_of(port).ok_or_else(bad_port)?))),
        None => Ok((text, None)),
    }
}

fn port_of(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
