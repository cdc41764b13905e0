//! Where a broker listens, as people and brokers write it: `host`, `host:9092`, `10.0.0.1:9092`, `[::1]:9092`.
//!
//! A listener prefix (`PLAINTEXT://`) is taken off, because addresses are often copied from a broker's configuration; the
//! prefix of a protocol we do not speak is refused by name instead of failing later in the middle of a handshake.

use crate::base::text::visible;
use std::fmt;

/// The port Kafka listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 9092;

/// A host (name or literal address) and a port; not resolved yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl Address {
    /// Reads an address; the port defaults to [`DEFAULT_PORT`].
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{:?} is no broker address: {why}", visible(text)));
        let bare = match text.trim().split_once("://") {
            None => text.trim(),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("plaintext") => rest,
            Some((scheme, _)) => {
                return wrong(&format!("only plain connections are supported so far, not {}", visible(scheme)));
            }
        };
        let (host, port) = if let Some(rest) = bare.strip_prefix('[') {
            let Some((host, after)) = rest.split_once(']') else {
                return wrong("the bracket is not closed; write [::1]:9092");
            };
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return wrong("after the bracket comes :PORT"),
            }
        } else if bare.matches(':').count() > 1 {
            // More than one colon and no brackets can only be an IPv6 literal, which leaves no way to tell a port.
            if bare.parse::<std::net::Ipv6Addr>().is_err() {
                return wrong("write HOST:PORT, or [IPV6]:PORT");
            }
            (bare, None)
        } else {
            match bare.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (bare, None),
            }
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || "/,@?#".contains(c)) {
            return wrong("write HOST:PORT, or [IPV6]:PORT");
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse::<u16>() {
                Ok(port) if port > 0 => port,
                _ => return wrong("the port is a number from 1 to 65535"),
            },
        };
        Ok(Self { host: host.to_owned(), port })
    }

    /// What a broker says about a broker. Nothing is checked: a nonsensical port fails when it is used.
    pub(crate) fn advertised(host: &str, port: i32) -> Option<Self> {
        let port = u16::try_from(port).ok().filter(|port| *port > 0)?;
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", visible(&self.host), self.port),
            false => write!(f, "{}:{}", visible(&self.host), self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, shown) in [
            ("kafka", "kafka:9092"),
            ("kafka:19092", "kafka:19092"),
            (" 10.0.0.1:1 ", "10.0.0.1:1"),
            ("[::1]:9093", "[::1]:9093"),
            ("[::1]", "[::1]:9092"),
            ("::1", "[::1]:9092"),
            ("PLAINTEXT://kafka-1.example.org:9094", "kafka-1.example.org:9094"),
        ] {
            assert_eq!(Address::parse(text).map(|address| address.to_string()), Ok(shown.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_way_out() {
        for text in
            ["", ":9092", "kafka:", "kafka:0", "kafka:65536", "kafka:+1x", "[::1", "[::1]9092", "a:b:c", "a b:1"]
        {
            let error = Address::parse(text).unwrap_err();
            assert!(error.contains("is no broker address"), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_listener_of_another_protocol_is_refused_by_name() {
        assert!(Address::parse("SASL_SSL://kafka:9092").unwrap_err().contains("not SASL_SSL"));
        assert!(Address::parse("http://kafka:9092").unwrap_err().contains("not http"));
    }
}
