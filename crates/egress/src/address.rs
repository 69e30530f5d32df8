//! Which addresses are not for everybody.

use ipnet::{Ipv4Net, Ipv6Net};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// A range of addresses that means something special, so that what answers there is not the public internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Special {
    /// What the range is for.
    pub name: &'static str,
    /// Where that is laid down.
    pub source: &'static str,
}

impl Special {
    /// Whether not even an exception for a name opens this: who controls a name could lead us there, and it hands out what
    /// the machine is trusted with.
    #[must_use]
    pub fn needs_exception_by_address(&self) -> bool {
        matches!(self.name, METADATA | LINK_LOCAL)
    }
}

const METADATA: &str = "a cloud metadata address";
const LINK_LOCAL: &str = "a link-local address";

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.source)
    }
}

const fn special(name: &'static str, source: &'static str) -> Special {
    Special { name, source }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// The IANA special-purpose registry of IPv4, and the metadata addresses that lie outside it. The narrower range first.
const V4: &[(Ipv4Net, Special)] = &[
    (v4(0, 0, 0, 0, 8), special("an address of this host", "RFC 791")),
    (v4(10, 0, 0, 0, 8), special("a private address", "RFC 1918")),
    (v4(100, 100, 100, 200, 32), special(METADATA, "Alibaba Cloud")),
    (v4(100, 64, 0, 0, 10), special("a shared address of carriers", "RFC 6598")),
    (v4(127, 0, 0, 0, 8), special("a loopback address", "RFC 1122")),
    (v4(168, 63, 129, 16, 32), special(METADATA, "Azure")),
    (v4(169, 254, 169, 254, 32), special(METADATA, "AWS, Azure, Google Cloud, OpenStack")),
    (v4(169, 254, 170, 0, 24), special(METADATA, "AWS containers")),
    (v4(169, 254, 0, 0, 16), special(LINK_LOCAL, "RFC 3927")),
    (v4(172, 16, 0, 0, 12), special("a private address", "RFC 1918")),
    (v4(192, 0, 0, 0, 24), special("a reserved address", "RFC 6890")),
    (v4(192, 0, 2, 0, 24), special("an address for documentation", "RFC 5737")),
    (v4(192, 88, 99, 0, 24), special("a 6to4 relay", "RFC 7526")),
    (v4(192, 168, 0, 0, 16), special("a private address", "RFC 1918")),
    (v4(198, 18, 0, 0, 15), special("an address for benchmarks", "RFC 2544")),
    (v4(198, 51, 100, 0, 24), special("an address for documentation", "RFC 5737")),
    (v4(203, 0, 113, 0, 24), special("an address for documentation", "RFC 5737")),
    (v4(224, 0, 0, 0, 4), special("a multicast address", "RFC 5771")),
    (v4(240, 0, 0, 0, 4), special("a reserved or broadcast address", "RFC 1112")),
];

/// What is special inside of 2000::/3, the only block of IPv6 that is handed out.
const V6: &[(Ipv6Net, Special)] = &[
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), special("a Teredo address", "RFC 4380")),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), special("an address for documentation", "RFC 3849")),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), special("a reserved address", "RFC 2928")),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), special("an address for documentation", "RFC 9637")),
];

const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

/// Says what is special about an address, if anything is.
///
/// ```
/// use toolcrib_egress::address::special_range;
///
/// assert_eq!(special_range("8.8.8.8".parse().unwrap()), None);
/// assert_eq!(special_range("10.1.2.3".parse().unwrap()).unwrap().name, "a private address");
/// assert_eq!(special_range("64:ff9b::a01:203".parse().unwrap()).unwrap().name, "a private address");
/// ```
#[must_use]
pub fn special_range(address: IpAddr) -> Option<Special> {
    match address {
        IpAddr::V4(address) => V4.iter().find(|(range, _)| range.contains(&address)).map(|(_, special)| *special),
        IpAddr::V6(address) => special_v6(address),
    }
}

fn special_v6(address: Ipv6Addr) -> Option<Special> {
    let octets = address.octets();
    // Addresses of IPv4 in the clothes of IPv6 lead where the inner address leads.
    let inner = match address {
        _ if NAT64.contains(&address) => Some([octets[12], octets[13], octets[14], octets[15]]),
        _ if SIX_TO_FOUR.contains(&address) => Some([octets[2], octets[3], octets[4], octets[5]]),
        _ => None,
    };
    if let Some(inner) = inner {
        return special_range(IpAddr::V4(inner.into()));
    }
    if let Some((_, special)) = V6.iter().find(|(range, _)| range.contains(&address)) {
        return Some(*special);
    }
    (!GLOBAL_V6.contains(&address)).then(|| outside_of_global(address))
}

fn outside_of_global(address: Ipv6Addr) -> Special {
    let first = address.segments()[0];
    match address {
        Ipv6Addr::LOCALHOST => special("a loopback address", "RFC 4291"),
        Ipv6Addr::UNSPECIFIED => special("an address of this host", "RFC 4291"),
        _ if address.to_ipv4_mapped().is_some() => special("an IPv4-mapped address", "RFC 4291"),
        _ if first & 0xfe00 == 0xfc00 => special("a private address", "RFC 4193"),
        _ if first & 0xffc0 == 0xfe80 => special(LINK_LOCAL, "RFC 4291"),
        _ if first & 0xff00 == 0xff00 => special("a multicast address", "RFC 4291"),
        _ => special("a reserved address", "RFC 4291"),
    }
}
