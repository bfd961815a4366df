//! A socket with a clear refusal.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// Why a service does not listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("cannot listen on {address}: the port is taken")]
    AddressInUse {
        /// The configured address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Refused {
        /// The configured address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Listens on an address; port 0 takes any free one.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::AddressInUse { address },
        _other => BindError::Refused { address, source },
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listener = bind(address).await.unwrap();
        let taken = listener.local_addr().unwrap();
        assert!(matches!(bind(taken).await, Err(BindError::AddressInUse { address }) if address == taken));
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_refused() {
        let address: SocketAddr = "192.0.2.1:0".parse().unwrap();
        assert!(matches!(bind(address).await, Err(BindError::Refused { .. })));
    }
}
