//! Members with keys in memory.

use std::sync::Arc;

use countermark_bundle::identity::Name;
use countermark_bundle::key::{KeyAlgorithm, PublicKey};
use countermark_tlog::checkpoint::Origin;
use countermark_vault_core::device::{DeviceFault, IdentityKey, SessionKey};
use countermark_vault_core::noise::peer::PeerKeys;
use countermark_vault_raft::MemberNumber;
use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use super::name;
use crate::peer::{OwnEnd, RosterMember};

/// A member with keys in memory.
pub(crate) struct TestMember {
    pub(crate) member_id: Name,
    identity: Arc<MemoryIdentity>,
    session: Arc<MemorySession>,
}

struct MemoryIdentity(SigningKey);

impl IdentityKey for MemoryIdentity {
    fn public_key(&self) -> [u8; 32] {
        *self.0.verifying_key().as_bytes()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], DeviceFault> {
        Ok(self.0.sign(message).to_bytes())
    }
}

struct MemorySession(x25519_dalek::StaticSecret);

impl SessionKey for MemorySession {
    fn public_key(&self) -> [u8; 32] {
        *x25519_dalek::PublicKey::from(&self.0).as_bytes()
    }

    fn diffie_hellman(&self, peer: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, DeviceFault> {
        Ok(Zeroizing::new(*self.0.diffie_hellman(&x25519_dalek::PublicKey::from(*peer)).as_bytes()))
    }
}

impl TestMember {
    /// `member-<seed>` of `fleet-1`.
    pub(crate) fn new(seed: u8) -> Self {
        Self {
            member_id: name(&format!("member-{seed}")),
            identity: Arc::new(MemoryIdentity(SigningKey::from_bytes(&[seed; 32]))),
            session: Arc::new(MemorySession(x25519_dalek::StaticSecret::from([seed; 32]))),
        }
    }

    /// With the name of `member-<number>` and these keys.
    pub(crate) fn named(self, number: u8) -> Self {
        Self { member_id: name(&format!("member-{number}")), ..self }
    }

    pub(crate) fn own_end(&self) -> OwnEnd {
        OwnEnd {
            origin: Origin::new("log.example/backup").unwrap(),
            fleet_id: name("fleet-1"),
            member_id: self.member_id.clone(),
            identity: self.identity.clone(),
            session: self.session.clone(),
        }
    }

    pub(crate) fn session_key(&self) -> PublicKey {
        PublicKey::new(KeyAlgorithm::X25519, &self.session.public_key()).unwrap()
    }

    pub(crate) fn peer_keys(&self) -> PeerKeys {
        let identity = PublicKey::ed25519(&self.identity.public_key()).unwrap();
        PeerKeys { session_public: self.session.public_key(), identity }
    }

    pub(crate) fn number(&self) -> MemberNumber {
        MemberNumber::of(self.peer_keys().identity.key_id())
    }

    pub(crate) fn roster_member(&self) -> RosterMember {
        RosterMember { member_id: self.member_id.clone(), number: self.number(), keys: self.peer_keys() }
    }
}
