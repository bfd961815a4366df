//! Where a bearer token may be sent: by TLS to anybody, in the clear only to this machine.
//!
//! Whoever reads a token on its way can act in its bearer's name until it expires. So the check comes before the token is
//! made and before anything is connected; and who sends a token follows no redirect, which would lead it elsewhere.

use thiserror::Error;
use url::{Host, Url};

/// Why no token is sent to an address.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BearerRefused {
    /// Not an address of a service.
    #[error("{address:?} is not the http or https address of a service")]
    Address {
        /// What was given.
        address: String,
    },
    /// The token could be read on the way.
    #[error(
        "a bearer token would cross the network in the clear to {host}; only https may carry it beyond this machine"
    )]
    InTheClear {
        /// To whom.
        host: String,
    },
}

/// Checks that a bearer token may be sent to a URL.
pub fn check(address: &str) -> Result<(), BearerRefused> {
    let unknown = || BearerRefused::Address { address: address.to_owned() };
    let url = Url::parse(address).map_err(|_| unknown())?;
    let host = url.host().ok_or_else(unknown)?;
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_this_machine(&host) => Ok(()),
        "http" => Err(BearerRefused::InTheClear { host: host.to_string() }),
        _ => Err(unknown()),
    }
}

fn is_this_machine(host: &Host<&str>) -> bool {
    match host {
        // SPEC: RFC 6761 §6.3: it resolves to nothing but loopback.
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.to_canonical().is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leaves_this_machine_by_tls_only() {
        for fine in [
            "https://log.example",
            "https://192.0.2.1:7380/a",
            "http://127.0.0.1:7380",
            "http://127.9.9.9",
            "http://[::1]:1",
            "http://[::ffff:127.0.0.1]:1",
            "http://localhost:7380",
            "http://LOCALHOST",
        ] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        for (address, host) in [
            ("http://log.example", "log.example"),
            ("http://192.0.2.1", "192.0.2.1"),
            ("http://0.0.0.0:1", "0.0.0.0"),
            ("http://[2001:db8::1]:1", "[2001:db8::1]"),
            ("http://localhost.example", "localhost.example"),
            ("http://127.0.0.1.example", "127.0.0.1.example"),
            ("http://127.0.0.1@log.example", "log.example"),
        ] {
            assert_eq!(check(address), Err(BearerRefused::InTheClear { host: host.to_owned() }), "{address}");
        }
        for none in ["", "log.example", "ftp://127.0.0.1", "unix:/run/log", "http://"] {
            assert!(matches!(check(none), Err(BearerRefused::Address { .. })), "{none}");
        }
    }
}
