//! Keys that sign in the tests of this crate; each is its seed.

use ed25519_dalek::Signer as _;
use ml_dsa::{KeyExport as _, Keypair as _, MlDsa44};

use super::{KeyName, NoteSignature, SignatureType, VerifierKey};
use crate::checkpoint::{Checkpoint, Origin};
use crate::cosignature::{Cosignature, message_of, subtree_message};
use crate::hash::{Hash, leaf_hash};
use crate::size::TreeSize;
use crate::subtree::Subtree;

enum Secret {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    MlDsa44(Box<ml_dsa::SigningKey<MlDsa44>>),
}

/// A key pair of a log or a witness.
pub(crate) struct TestKey {
    secret: Secret,
    pub vkey: VerifierKey,
}

impl TestKey {
    pub fn log(name: &str, seed: u8) -> Self {
        Self::new(name, SignatureType::Ed25519, seed)
    }

    pub fn witness(name: &str, seed: u8) -> Self {
        Self::new(name, SignatureType::CosignatureEd25519, seed)
    }

    /// Signs with ML-DSA-44, as a witness or as a log.
    pub fn ml_dsa(name: &str, seed: u8) -> Self {
        Self::new(name, SignatureType::CosignatureMlDsa44, seed)
    }

    fn new(name: &str, kind: SignatureType, seed: u8) -> Self {
        let (secret, public) = match kind {
            SignatureType::Ed25519 | SignatureType::CosignatureEd25519 => {
                let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
                let public = key.verifying_key().as_bytes().to_vec();
                (Secret::Ed25519(Box::new(key)), public)
            }
            SignatureType::CosignatureMlDsa44 => {
                let key = ml_dsa::SigningKey::<MlDsa44>::from_seed(&[seed; 32].into());
                let public = key.verifying_key().to_bytes().to_vec();
                (Secret::MlDsa44(Box::new(key)), public)
            }
        };
        let vkey = VerifierKey::new(KeyName::new(name).unwrap(), kind, &public).unwrap();
        Self { secret, vkey }
    }

    fn sign_bytes(&self, message: &[u8]) -> Vec<u8> {
        match &self.secret {
            Secret::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Secret::MlDsa44(key) => key.expanded_key().sign_deterministic(message, &[]).unwrap().encode().to_vec(),
        }
    }

    pub fn sign(&self, text: &str) -> NoteSignature {
        NoteSignature::new(&self.vkey, &self.sign_bytes(text.as_bytes()))
    }

    pub fn cosign(&self, text: &str, timestamp: u64) -> NoteSignature {
        let signature = self.sign_bytes(&message_of(&self.vkey, timestamp, text).unwrap());
        Cosignature { timestamp, signature }.to_note_signature(&self.vkey)
    }

    pub fn sign_subtree(&self, timestamp: u64, origin: &Origin, subtree: Subtree, root: Hash) -> Cosignature {
        let message = subtree_message(self.vkey.name(), timestamp, origin, subtree, root);
        Cosignature { timestamp, signature: self.sign_bytes(&message) }
    }
}

/// The public half of an ML-DSA-44 witness.
pub(crate) fn ml_dsa_witness(name: &str, seed: u8) -> VerifierKey {
    TestKey::ml_dsa(name, seed).vkey
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
