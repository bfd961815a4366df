//! A socket with a clear refusal, and a server that ends gracefully.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How long requests may go on after a service was told to end.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

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

/// Serves until `shutdown` completes; requests that run then have [`SHUTDOWN_GRACE`] to end.
///
/// A request that is cut off then is a crash at the step it had reached, which every service must be able to bear.
pub async fn serve_until(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        // Completes when `stop` is dropped.
        let _ = stopped.await;
    });
    let mut server = pin!(server.into_future());
    tokio::select! {
        ended = &mut server => return ended,
        () = shutdown => drop(stop),
    }
    if let Ok(ended) = tokio::time::timeout(SHUTDOWN_GRACE, server).await {
        return ended;
    }
    tracing::warn!("requests were cut off at the end");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_and_a_server_ends_when_told() {
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listener = bind(address).await.unwrap();
        let taken = listener.local_addr().unwrap();
        assert!(matches!(bind(taken).await, Err(BindError::AddressInUse { address }) if address == taken));
        // A connection that stays open and asks nothing does not keep the server alive.
        let idle = tokio::net::TcpStream::connect(taken).await.unwrap();
        serve_until(listener, Router::new(), std::future::ready(())).await.unwrap();
        drop(idle);
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_refused() {
        let address: SocketAddr = "192.0.2.1:0".parse().unwrap();
        assert!(matches!(bind(address).await, Err(BindError::Refused { .. })));
    }
}
