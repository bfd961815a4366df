//! What the tests own instead of the world: logs, a clock, a key, stores that fail on demand.

pub mod log;
pub mod stores;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use countermark_keys::{Algorithm, Role, SignError, Signer};
use countermark_tlog::note::{KeyName, VerifierKey};
use ed25519_dalek::{Signer as _, SigningKey};

use crate::cosigner::Cosigner;
use crate::logs::FollowedLogs;
use crate::ports::{Clock, ClockError, HeadStore, UnixSeconds};
use crate::witness::Witness;
use log::TestLog;

/// The time at which every test begins.
pub const BEGIN: u64 = 1_800_000_000;

/// A clock that stands until it is set. Its clones are one clock.
#[derive(Clone)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(BEGIN)))
    }

    /// 0 stands for a clock before 1970.
    pub fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Result<UnixSeconds, ClockError> {
        UnixSeconds::new(self.0.load(Ordering::SeqCst)).ok_or(ClockError)
    }
}

/// The holder of a key, with the ways in which a holder goes wrong.
pub struct TestSigner {
    key: SigningKey,
    public: [u8; 32],
    pub fault: SignerFault,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SignerFault {
    None,
    Refuses,
    FlipsABit,
    GivesTooFewBytes,
}

impl TestSigner {
    pub fn new(fault: SignerFault) -> Box<Self> {
        let key = SigningKey::from_bytes(&[0x77; 32]);
        let public = key.verifying_key().to_bytes();
        Box::new(Self { key, public, fault })
    }
}

impl Signer for TestSigner {
    fn role(&self) -> Role {
        Role::Witness
    }

    fn algorithm(&self) -> Algorithm {
        Algorithm::Ed25519
    }

    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut signature = self.key.sign(message).to_bytes().to_vec();
        match self.fault {
            SignerFault::None => {}
            SignerFault::Refuses => {
                return Err(SignError::Failed { role: self.role(), algorithm: self.algorithm() });
            }
            SignerFault::FlipsABit => signature[40] ^= 1,
            SignerFault::GivesTooFewBytes => signature.truncate(63),
        }
        Ok(signature)
    }
}

pub fn witness_name() -> KeyName {
    KeyName::new("witness.example/w1").unwrap()
}

pub fn following(logs: &[&TestLog]) -> FollowedLogs {
    let mut followed = FollowedLogs::default();
    for log in logs {
        followed.follow(&log.origin, &[log.vkey().to_string()]).unwrap();
    }
    followed
}

pub fn cosigner(logs: &FollowedLogs) -> Cosigner {
    Cosigner::new(&witness_name(), TestSigner::new(SignerFault::None), logs).unwrap()
}

/// The public key of every witness of these tests.
pub fn witness_key() -> VerifierKey {
    cosigner(&FollowedLogs::default()).key().clone()
}

/// A witness of these logs with a good key.
pub fn witness<Store: HeadStore>(logs: &[&TestLog], store: Store, clock: &TestClock) -> Witness<Store, TestClock> {
    let followed = following(logs);
    let cosigner = cosigner(&followed);
    Witness::new(followed, cosigner, store, clock.clone())
}
