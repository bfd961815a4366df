//! Signers from small numbers, each of which gives with a signature the check of it.

use std::hint::black_box;

use countermark_bundle::key::{KeyAlgorithm, PublicKey};
use countermark_tlog::note::{KeyName, SignatureType, VerifierKey};
use ed25519_dalek::Signer as _;
use p384::ecdsa::signature::Verifier as _;

pub struct Ed25519 {
    key: ed25519_dalek::SigningKey,
    pub public: PublicKey,
}

impl Ed25519 {
    pub fn new(seed: u8) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let public = PublicKey::ed25519(key.verifying_key().as_bytes()).unwrap();
        Self { key, public }
    }

    pub fn vkey(&self, name: &str, kind: SignatureType) -> VerifierKey {
        VerifierKey::new(KeyName::new(name).unwrap(), kind, self.public.bytes()).unwrap()
    }

    pub fn sign(&self, message: &[u8]) -> ([u8; 64], Check) {
        let (key, signature) = (self.key.verifying_key(), self.key.sign(message));
        (signature.to_bytes(), Check::Ed25519 { key, message: message.to_vec(), signature })
    }
}

pub struct P384 {
    key: p384::ecdsa::SigningKey,
    pub public: PublicKey,
}

impl P384 {
    pub fn new(seed: u8) -> Self {
        let key = p384::ecdsa::SigningKey::from_slice(&[seed; 48]).unwrap();
        let point = key.verifying_key().to_sec1_point(false);
        let public = PublicKey::new(KeyAlgorithm::EcdsaP384, point.as_bytes()).unwrap();
        Self { key, public }
    }

    pub fn sign(&self, message: &[u8]) -> (Vec<u8>, Check) {
        let signature: p384::ecdsa::Signature = p384::ecdsa::signature::Signer::sign(&self.key, message);
        let signature = signature.normalize_s();
        let check = Check::P384 { key: *self.key.verifying_key(), message: message.to_vec(), signature };
        (signature.to_bytes().to_vec(), check)
    }
}

/// One signature check with everything read beforehand: nothing can be cheaper.
pub enum Check {
    Ed25519 { key: ed25519_dalek::VerifyingKey, message: Vec<u8>, signature: ed25519_dalek::Signature },
    P384 { key: p384::ecdsa::VerifyingKey, message: Vec<u8>, signature: p384::ecdsa::Signature },
}

impl Check {
    pub fn verify(&self) {
        match self {
            Self::Ed25519 { key, message, signature } => key.verify_strict(black_box(message), signature).unwrap(),
            Self::P384 { key, message, signature } => key.verify(black_box(message), signature).unwrap(),
        }
    }
}
