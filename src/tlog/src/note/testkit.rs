//! Keys that sign in the tests of this crate; each is its seed.

use ed25519_dalek::{Signer as _, SigningKey};

use super::{KeyName, NoteSignature, SignatureType, VerifierKey};
use crate::checkpoint::{Checkpoint, Origin};
use crate::cosignature::{Cosignature, cosignature_message};
use crate::hash::leaf_hash;
use crate::size::TreeSize;

/// A key pair of a log or a witness.
pub(crate) struct TestKey {
    key: SigningKey,
    pub vkey: VerifierKey,
}

impl TestKey {
    pub fn log(name: &str, seed: u8) -> Self {
        Self::new(name, SignatureType::Ed25519, seed)
    }

    pub fn witness(name: &str, seed: u8) -> Self {
        Self::new(name, SignatureType::CosignatureEd25519, seed)
    }

    fn new(name: &str, kind: SignatureType, seed: u8) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let vkey = VerifierKey::new(KeyName::new(name).unwrap(), kind, key.verifying_key().as_bytes()).unwrap();
        Self { key, vkey }
    }

    pub fn sign(&self, text: &str) -> NoteSignature {
        NoteSignature::new(&self.vkey, &self.key.sign(text.as_bytes()).to_bytes())
    }

    pub fn cosign(&self, text: &str, timestamp: u64) -> NoteSignature {
        let signature = self.key.sign(&cosignature_message(timestamp, text)).to_bytes();
        Cosignature { timestamp, signature }.to_note_signature(&self.vkey)
    }
}

/// A key of a type that can be listed and not verified.
pub(crate) fn ml_dsa_witness(name: &str, fill: u8) -> VerifierKey {
    VerifierKey::new(KeyName::new(name).unwrap(), SignatureType::CosignatureMlDsa44, &[fill; 1312]).unwrap()
}

/// The head of a log whose only entry is `entry`.
pub(crate) fn head_of_one(origin: &str, entry: &[u8]) -> Checkpoint {
    let root = crate::hash::RootHash(leaf_hash(entry).0);
    Checkpoint { origin: Origin::new(origin).unwrap(), size: TreeSize::new(1).unwrap(), root }
}

/// The bytes with the last signature byte of a line changed.
pub(crate) fn spoilt(mut line: NoteSignature) -> NoteSignature {
    *line.signature.last_mut().unwrap() ^= 1;
    line
}
