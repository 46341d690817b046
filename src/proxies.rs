//! The client address and scheme of a request that comes through reverse proxies.
//!
//! # Decisions
//!
//! *Only proxies in `server.trusted_proxies` are trusted.* Each proxy appends the address of its client, so the header is
//! read from the right, up to the first address that is not a trusted proxy. The client may have forged everything left
//! of it.
//!
//! *Only the header that the setting names is read.* A proxy that writes one of the two headers passes the other one on
//! unchanged, so reading both would mean trusting the client.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

/// A network in CIDR notation, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether the address belongs to the network.
    #[must_use]
    pub fn contains(&self, address: &IpAddr) -> bool {
        self.0.contains(address)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| format!("`{text}` is neither a network such as 10.0.0.0/8 nor an address"))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The header in which trusted proxies report the client.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`, which most proxies write.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl ForwardedHeader {
    /// The header with the addresses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The address; an IPv4-mapped IPv6 address is converted to IPv4.
    pub address: IpAddr,
    /// Whether a trusted proxy received the request over HTTPS.
    pub is_https: bool,
}

/// Finds the client of a request from `peer`. `header` returns the values of a header, in order.
#[must_use]
pub fn sender<'a, I>(
    peer: IpAddr,
    trusted: &[Network],
    kind: ForwardedHeader,
    header: impl Fn(&'static str) -> I,
) -> Sender
where
    I: Iterator<Item = &'a str>,
{
    let mut sender = Sender { address: peer.to_canonical(), is_https: false };
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(&sender.address) {
        return sender;
    }
    let hops: Vec<Hop> = match kind {
        ForwardedHeader::XForwardedFor => {
            let is_https = header("x-forwarded-proto").flat_map(|value| value.split(',')).last().is_some_and(is_https);
            let addresses = header(kind.name()).flat_map(|value| value.split(','));
            sender.is_https = is_https;
            addresses.map(|text| Hop { address: address(text.trim()), is_https }).collect()
        }
        ForwardedHeader::Forwarded => header(kind.name()).flat_map(|value| split(value, ',')).map(element).collect(),
    };
    for hop in hops.iter().rev() {
        sender.is_https = hop.is_https;
        let Some(address) = hop.address else { break };
        sender.address = address;
        if !is_trusted(&address) {
            break;
        }
    }
    sender
}

/// The entry of one proxy.
struct Hop {
    /// The address the proxy received the request from; `None` if it is hidden or invalid.
    address: Option<IpAddr>,
    is_https: bool,
}

fn is_https(scheme: &str) -> bool {
    scheme.trim().eq_ignore_ascii_case("https")
}

/// Parses an element of `Forwarded`, such as `for=192.0.2.43;proto=https`.
fn element(text: &str) -> Hop {
    let mut hop = Hop { address: None, is_https: false };
    for (name, value) in split(text, ';').filter_map(|pair| pair.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim() {
            name if name.eq_ignore_ascii_case("for") => hop.address = address(value),
            name if name.eq_ignore_ascii_case("proto") => hop.is_https = is_https(value),
            _ => {}
        }
    }
    hop
}

/// Splits at separators outside quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

/// Parses an address with an optional port, such as `192.0.2.43:47011` or `[2001:db8::1]:4711`.
fn address(text: &str) -> Option<IpAddr> {
    let host = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => host,
            _ => text,
        },
    };
    host.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn sent(peer: &str, kind: ForwardedHeader, headers: &[(&str, &str)]) -> (String, bool) {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        let found = sender(peer.parse().unwrap(), &trusted, kind, |wanted| {
            headers.iter().filter(move |(name, _)| *name == wanted).map(|(_, value)| *value)
        });
        (found.address.to_string(), found.is_https)
    }

    #[test]
    fn only_addresses_from_trusted_proxies_are_used() {
        for (peer, values, expected) in [
            ("192.0.2.9", &["198.51.100.1"][..], "192.0.2.9"),
            (PROXY, &[], PROXY),
            (PROXY, &["198.51.100.1"], "198.51.100.1"),
            (PROXY, &["203.0.113.5, 198.51.100.1"], "198.51.100.1"),
            (PROXY, &["203.0.113.5", "198.51.100.1"], "198.51.100.1"),
            (PROXY, &["198.51.100.1, 10.9.9.9, 10.0.0.3"], "198.51.100.1"),
            (PROXY, &["10.9.9.9, 10.0.0.3"], "10.9.9.9"),
            (PROXY, &["198.51.100.1, unknown, 10.0.0.3"], "10.0.0.3"),
            (PROXY, &["198.51.100.1, "], PROXY),
            (PROXY, &["198.51.100.1:4711"], "198.51.100.1"),
            (PROXY, &["[2001:db8::1]:4711"], "2001:db8::1"),
            (PROXY, &["2001:db8::1"], "2001:db8::1"),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("2001:db8::7", &["198.51.100.1"], "198.51.100.1"),
            ("2001:db8::8", &["198.51.100.1"], "2001:db8::8"),
        ] {
            let headers: Vec<_> = values.iter().map(|value| ("x-forwarded-for", *value)).collect();
            let (address, _) = sent(peer, ForwardedHeader::XForwardedFor, &headers);
            assert_eq!(address, expected, "{peer} {values:?}");
        }
    }

    #[test]
    fn forwarded_is_parsed_according_to_rfc_7239() {
        for (value, expected) in [
            ("for=192.0.2.60;proto=https;by=203.0.113.43", ("192.0.2.60", true)),
            ("For=\"[2001:db8:cafe::17]:4711\"", ("2001:db8:cafe::17", false)),
            ("for=192.0.2.43, FOR=198.51.100.17;Proto=HTTPS", ("198.51.100.17", true)),
            ("for=192.0.2.43;proto=https, for=10.0.0.2;proto=http", ("192.0.2.43", true)),
            ("for=192.0.2.43, for=\"_hidden, by=10.0.0.2\"", (PROXY, false)),
            ("for=unknown;proto=https", (PROXY, true)),
            ("", (PROXY, false)),
        ] {
            let (address, is_https) = sent(PROXY, ForwardedHeader::Forwarded, &[("forwarded", value)]);
            assert_eq!((address.as_str(), is_https), expected, "{value}");
        }
    }

    #[test]
    fn the_header_not_named_by_the_setting_is_ignored() {
        let headers =
            [("forwarded", "for=192.0.2.60"), ("x-forwarded-for", "198.51.100.1"), ("x-forwarded-proto", "https")];
        assert_eq!(sent(PROXY, ForwardedHeader::Forwarded, &headers), ("192.0.2.60".to_owned(), false));
        assert_eq!(sent(PROXY, ForwardedHeader::XForwardedFor, &headers), ("198.51.100.1".to_owned(), true));
    }

    #[test]
    fn a_network_is_a_cidr_block_or_an_address() {
        assert_eq!("10.0.0.0/8".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
        assert_eq!("::1".parse::<Network>().unwrap().to_string(), "::1/128");
        let bad = "proxy.example.org".parse::<Network>().unwrap_err();
        assert_eq!(bad, "`proxy.example.org` is neither a network such as 10.0.0.0/8 nor an address");
    }
}
