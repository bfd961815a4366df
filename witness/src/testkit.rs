//! What the tests own instead of the world: logs, a clock, a key, stores that fail on demand.

pub mod log;
pub mod stores;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use countermark_keys::{Algorithm, KeyFile, Role, SignError, Signer, create_passphrase_file};
use countermark_tlog::note::{KeyName, VerifierKey};
use tempfile::TempDir;

use crate::cosigner::Cosigner;
use crate::logs::FollowedLogs;
use crate::ports::{Clock, ClockError, ForkStore, UnixSeconds};
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
    key: Box<dyn Signer>,
    fault: SignerFault,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SignerFault {
    None,
    Refuses,
    FlipsABit,
    GivesTooFewBytes,
}

impl TestSigner {
    pub fn new(key: Box<dyn Signer>, fault: SignerFault) -> Self {
        Self { key, fault }
    }
}

impl Signer for TestSigner {
    fn role(&self) -> Role {
        self.key.role()
    }

    fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    fn public_key(&self) -> &[u8] {
        self.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut signature = self.key.sign(message)?;
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

/// The two keys of every witness of these tests; the second goes wrong in these ways.
pub fn signers(ed25519: SignerFault, ml_dsa_44: SignerFault) -> Vec<Box<dyn Signer>> {
    static FILES: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    static MADE: LazyLock<()> = LazyLock::new(|| {
        create_passphrase_file(&FILES.path().join("passphrase")).unwrap();
        for role in [Role::Witness, Role::WitnessMlDsa44] {
            KeyFile::create(&FILES.path().join(role.as_str()), role, &FILES.path().join("passphrase")).unwrap();
        }
    });
    LazyLock::force(&MADE);
    let open = |role: Role, fault| -> Box<dyn Signer> {
        let file = FILES.path().join(role.as_str());
        Box::new(TestSigner::new(KeyFile::open_signer(&file, role, &FILES.path().join("passphrase")).unwrap(), fault))
    };
    vec![open(Role::Witness, ed25519), open(Role::WitnessMlDsa44, ml_dsa_44)]
}

pub fn witness_name() -> KeyName {
    KeyName::new("witness.example/w1").unwrap()
}

pub fn following(logs: &[&TestLog]) -> FollowedLogs {
    let mut followed = FollowedLogs::default();
    for log in logs {
        followed.follow(&log.origin, &[log.vkey().to_string()], crate::REQUESTS_PER_DAY).unwrap();
    }
    followed
}

pub fn cosigner(logs: &FollowedLogs) -> Cosigner {
    Cosigner::new(&witness_name(), signers(SignerFault::None, SignerFault::None), logs).unwrap()
}

/// The public keys of every witness of these tests, Ed25519 first.
pub fn witness_keys() -> Vec<VerifierKey> {
    cosigner(&FollowedLogs::default()).vkeys().cloned().collect()
}

/// A witness of these logs with a good key.
pub fn witness<Store: ForkStore>(logs: &[&TestLog], store: Store, clock: &TestClock) -> Witness<Store, TestClock> {
    let followed = following(logs);
    let cosigner = cosigner(&followed);
    Witness::new(followed, cosigner, store, clock.clone())
}
