//! How a session's bytes get to a member. Whatever comes back is bounded, and none of it is believed here.

use countermark_vault_core::member::REPORT_BYTES_MAX;
use countermark_vault_core::noise::{FRAME_BYTES, OPENED_BYTES, OPENING_BYTES, SessionId};

use crate::fetch::{Endpoint, LocationError, SourceFuture, Timeouts};

/// The way to one member. An app that goes through a relay of its own implements this.
///
/// Each call sends its bytes once. An error says nothing about whether they arrived.
pub trait Transport: Send + Sync {
    /// Where it leads, for a person.
    fn address(&self) -> &str;

    /// The member's report about itself.
    fn report(&self) -> SourceFuture<'_>;

    /// The answer to a session's opening: [`OPENED_BYTES`].
    fn open(&self, opening: [u8; OPENING_BYTES]) -> SourceFuture<'_>;

    /// The answer to a frame: [`FRAME_BYTES`].
    fn exchange(&self, session: SessionId, frame: Vec<u8>) -> SourceFuture<'_>;
}

/// A member's HTTP service.
#[derive(Clone, Debug)]
pub struct HttpMember {
    endpoint: Endpoint,
    address: String,
}

impl HttpMember {
    /// Names a member by its address, as `https://member-1.example`; a path in it is kept.
    pub fn new(address: &str, timeouts: Timeouts) -> Result<Self, LocationError> {
        Ok(Self { endpoint: Endpoint::new(address, timeouts)?, address: address.to_string() })
    }
}

impl Transport for HttpMember {
    fn address(&self) -> &str {
        &self.address
    }

    fn report(&self) -> SourceFuture<'_> {
        Box::pin(self.endpoint.get("v1/member", REPORT_BYTES_MAX))
    }

    fn open(&self, opening: [u8; OPENING_BYTES]) -> SourceFuture<'_> {
        Box::pin(self.endpoint.post("v1/sessions", opening.to_vec(), OPENED_BYTES))
    }

    fn exchange(&self, session: SessionId, frame: Vec<u8>) -> SourceFuture<'_> {
        Box::pin(async move { self.endpoint.post(&format!("v1/sessions/{session}"), frame, FRAME_BYTES).await })
    }
}
