//! Links between the members of a fleet: TCP, Noise KK with the attested session keys, and each end's identity key as a
//! second proof.
//!
//! A link carries one call at a time, from the end that opened it: a request, then its answer. Each member keeps a few
//! links ("lanes") to every other one, so that a large snapshot does not stand in the way of a heartbeat. What is carried
//! means nothing here.
//!
//! Invariant: nothing is read from, and nothing is said to, somebody who is not a member of the roster right now.
//!
//! On the wire, every piece stands behind its length, two bytes, big-endian:
//! 1. from the caller: its member id, which only says whose keys to try, and the handshake's first message;
//! 2. back: the handshake's second message with the hello inside;
//! 3. from the caller: its own hello, and from then on requests, each answered before the next.

mod dial;
mod link;
mod listen;
mod roster;

use std::sync::Arc;
use std::time::Duration;

use countermark_bundle::identity::Name;
use countermark_tlog::checkpoint::Origin;
use countermark_vault_core::device::{IdentityKey, SessionKey};
use countermark_vault_core::noise::PeerContext;

pub(crate) use dial::PeerLanes;
pub(crate) use listen::{Answer, Listening};
pub(crate) use roster::{Roster, RosterMember};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a handshake may take, once connected.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take, and how much longer for each MiB of the request.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT_PER_MIB: Duration = Duration::from_secs(1);
/// The most lanes that a member opens to another one.
const LANES_MAX: usize = 8;
/// How long the caller keeps a lane that it does not use; shorter than [`QUIET_MAX`], so that a lane does not close
/// under a request.
const LANE_IDLE_MAX: Duration = Duration::from_secs(20);
/// How long the called end waits for the next request.
const QUIET_MAX: Duration = Duration::from_mins(1);

/// This member, as the other end of a link knows it.
#[derive(Clone)]
pub(crate) struct OwnEnd {
    pub(crate) origin: Origin,
    pub(crate) fleet_id: Name,
    pub(crate) member_id: Name,
    pub(crate) identity: Arc<dyn IdentityKey>,
    pub(crate) session: Arc<dyn SessionKey>,
}

impl OwnEnd {
    /// The context of a link that this member opens.
    fn calling(&self, responder: &Name) -> PeerContext {
        self.context(&self.member_id, responder)
    }

    /// The context of a link that another member opens.
    fn called_by(&self, initiator: &Name) -> PeerContext {
        self.context(initiator, &self.member_id)
    }

    fn context(&self, initiator: &Name, responder: &Name) -> PeerContext {
        PeerContext {
            origin: self.origin.clone(),
            fleet_id: self.fleet_id.clone(),
            initiator: initiator.clone(),
            responder: responder.clone(),
        }
    }
}

/// How long a call with so large a request may take.
fn call_timeout(request_bytes: usize) -> Duration {
    let mib = u32::try_from(request_bytes >> 20).unwrap_or(u32::MAX);
    CALL_TIMEOUT.saturating_add(CALL_TIMEOUT_PER_MIB.saturating_mul(mib))
}

#[cfg(test)]
mod tests;
