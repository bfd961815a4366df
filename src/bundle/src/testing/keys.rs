//! Signers from small numbers, so that every test makes the same bytes.

use crate::key::{KeyAlgorithm, PublicKey};
use ed25519_dalek::Signer as _;
use std::vec::Vec;

pub struct TestSigner {
    kind: Kind,
    public: PublicKey,
}

enum Kind {
    Ed25519(ed25519_dalek::SigningKey),
    P384(p384::ecdsa::SigningKey),
}

impl TestSigner {
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.kind {
            Kind::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Kind::P384(key) => {
                let signature: p384::ecdsa::Signature = p384::ecdsa::signature::Signer::sign(key, message);
                signature.normalize_s().to_bytes().to_vec()
            }
        }
    }
}

pub fn ed25519_signer(seed: u8) -> TestSigner {
    let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    let public = PublicKey::ed25519(key.verifying_key().as_bytes()).unwrap();
    TestSigner { kind: Kind::Ed25519(key), public }
}

pub fn p384_signer(seed: u8) -> TestSigner {
    let key = p384::ecdsa::SigningKey::from_slice(&[seed; 48]).unwrap();
    let public = PublicKey::new(KeyAlgorithm::EcdsaP384, key.verifying_key().to_sec1_point(false).as_bytes()).unwrap();
    TestSigner { kind: Kind::P384(key), public }
}

pub fn x25519_public(seed: u8) -> PublicKey {
    PublicKey::new(KeyAlgorithm::X25519, &[seed; 32]).unwrap()
}

/// The other form of an ECDSA P-384 signature r‖s: the same r, and n − s.
pub fn with_other_s(signature: &[u8]) -> Vec<u8> {
    let signature = p384::ecdsa::Signature::from_slice(signature).unwrap();
    [signature.r().to_bytes(), (-*signature.s()).to_bytes()].concat()
}
