//! What the tests of this crate build members from: keys from seeds, stores that fail, a log and a fleet in memory.

mod machine;
mod peers;
mod user;
mod world;

pub(crate) use machine::{Commits, LocalFleet, TestClock, terms};
pub(crate) use peers::TestMember;
pub(crate) use user::{ISSUER, User};
pub(crate) use world::{TestLog, TestWorld};

use std::sync::{Arc, Mutex};

use countermark_bundle::attestation::{self, AttestationBody};
use countermark_bundle::identity::{Digest, Name, Timestamp};
use countermark_bundle::key::{KeyAlgorithm, PublicKey};
use countermark_bundle::statement::Software;
use countermark_keys::{Algorithm, Role, SignError, Signer};
use countermark_tlog::checkpoint::Origin;
use countermark_vault_core::member::MemberIdentity;
use ed25519_dalek::{Signer as _, SigningKey};

use crate::member::{Member, MemberError};
use crate::ports::{AttestationStore, StoreError};

/// The seed of the vendor that the tests trust.
pub(crate) const VENDOR: u8 = 200;

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn public(seed: u8) -> PublicKey {
    PublicKey::ed25519(SigningKey::from_bytes(&[seed; 32]).verifying_key().as_bytes()).unwrap()
}

/// Member 1, with the identity key of seed 1.
pub(crate) fn identity() -> MemberIdentity {
    MemberIdentity {
        origin: Origin::new("log.example/backup").unwrap(),
        fleet_id: name("fleet-1"),
        member_id: name("member-1"),
        failure_domain: name("site-1"),
        identity_key: public(1),
        session_key: PublicKey::new(KeyAlgorithm::X25519, &[1; 32]).unwrap(),
        software: Software {
            name: "countermark-vault".to_owned(),
            version: "0.1.0".to_owned(),
            sha256: Digest::of(b"executable"),
        },
    }
}

/// What a vendor attests of exactly this member.
pub(crate) fn body(identity: &MemberIdentity) -> AttestationBody {
    AttestationBody {
        origin: identity.origin.clone(),
        fleet_id: identity.fleet_id.clone(),
        member_id: identity.member_id.clone(),
        identity_key: identity.identity_key.clone(),
        session_key: identity.session_key.clone(),
        software_sha256: identity.software.sha256,
        issued_at: Timestamp::from_unix(1_795_253_400).unwrap(),
    }
}

/// The attestation of this body by the key of this seed.
pub(crate) fn attest(body: AttestationBody, by: u8) -> Vec<u8> {
    let message = countermark_bundle::to_sign::attestation(&body);
    let signature = SigningKey::from_bytes(&[by; 32]).sign(&message).to_bytes().to_vec();
    attestation::write(body, public(by).key_id(), signature)
}

/// Holds the identity key of a seed, until it is told to fail.
pub(crate) struct TestSigner {
    key: SigningKey,
    public: Vec<u8>,
    fails: bool,
}

impl TestSigner {
    pub(crate) fn holding(seed: u8) -> Arc<dyn Signer> {
        Self::make(seed, false)
    }

    pub(crate) fn failing(seed: u8) -> Arc<dyn Signer> {
        Self::make(seed, true)
    }

    fn make(seed: u8, fails: bool) -> Arc<dyn Signer> {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let public = key.verifying_key().as_bytes().to_vec();
        Arc::new(Self { key, public, fails })
    }
}

impl Signer for TestSigner {
    fn role(&self) -> Role {
        Role::VaultIdentity
    }

    fn algorithm(&self) -> Algorithm {
        Algorithm::Ed25519
    }

    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        if self.fails {
            return Err(SignError::Failed { role: self.role(), algorithm: self.algorithm() });
        }
        Ok(self.key.sign(message).to_bytes().to_vec())
    }
}

/// Where a store fails, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailsAt {
    Nowhere,
    Reading,
    /// Before the name changes over: the old bytes stay.
    BeforeRename,
    /// After it, at the folder's fsync: the new bytes are there, and nobody knows.
    AfterRename,
}

/// A disk that outlives its member.
#[derive(Clone, Debug)]
pub(crate) struct MemoryStore {
    disk: Arc<Mutex<(Option<Vec<u8>>, FailsAt)>>,
}

impl MemoryStore {
    pub(crate) fn holding(attestation: Option<Vec<u8>>) -> Self {
        Self { disk: Arc::new(Mutex::new((attestation, FailsAt::Nowhere))) }
    }

    pub(crate) fn fail(&self, at: FailsAt) {
        self.disk.lock().unwrap().1 = at;
    }

    pub(crate) fn on_disk(&self) -> Option<Vec<u8>> {
        self.disk.lock().unwrap().0.clone()
    }
}

impl AttestationStore for MemoryStore {
    fn read(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let (stored, fails) = self.disk.lock().unwrap().clone();
        if fails == FailsAt::Reading {
            return Err(StoreError::Read { path: "attestation".into(), source: std::io::Error::other("broken") });
        }
        Ok(stored)
    }

    fn replace(&mut self, attestation: &[u8]) -> Result<(), StoreError> {
        let mut disk = self.disk.lock().unwrap();
        let broken = || StoreError::Write { path: "attestation".into(), source: std::io::Error::other("broken") };
        match disk.1 {
            FailsAt::Nowhere | FailsAt::Reading => {
                disk.0 = Some(attestation.to_vec());
                Ok(())
            }
            FailsAt::BeforeRename => Err(broken()),
            FailsAt::AfterRename => {
                disk.0 = Some(attestation.to_vec());
                Err(broken())
            }
        }
    }
}

/// Starts a member with this identity on this disk.
pub(crate) fn start(identity: MemberIdentity, store: MemoryStore) -> Result<Member<MemoryStore>, MemberError> {
    Member::open(identity, vec![public(VENDOR)], TestSigner::holding(1), store)
}
