//! Signers from small numbers, so that every test makes the same bytes.

use countermark_bundle::key::{KeyAlgorithm, PublicKey};
use countermark_tlog::note::{KeyName, SignatureType, VerifierKey};
use ed25519_dalek::Signer as _;

pub(crate) struct TestSigner {
    kind: Kind,
    public: PublicKey,
}

enum Kind {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    P384(Box<p384::ecdsa::SigningKey>),
}

impl TestSigner {
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.kind {
            Kind::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Kind::P384(key) => {
                let signature: p384::ecdsa::Signature = p384::ecdsa::signature::Signer::sign(key.as_ref(), message);
                signature.normalize_s().to_bytes().to_vec()
            }
        }
    }
}

pub(crate) fn ed25519_signer(seed: u8) -> TestSigner {
    let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    let public = PublicKey::ed25519(key.verifying_key().as_bytes()).unwrap();
    TestSigner { kind: Kind::Ed25519(Box::new(key)), public }
}

pub(crate) fn p384_signer(seed: u8) -> TestSigner {
    let key = p384::ecdsa::SigningKey::from_slice(&[seed; 48]).unwrap();
    let point = key.verifying_key().to_sec1_point(false);
    let public = PublicKey::new(KeyAlgorithm::EcdsaP384, point.as_bytes()).unwrap();
    TestSigner { kind: Kind::P384(Box::new(key)), public }
}

pub(crate) fn x25519_public(seed: u8) -> PublicKey {
    PublicKey::new(KeyAlgorithm::X25519, &[seed; 32]).unwrap()
}

pub(crate) fn vkey(name: &str, kind: SignatureType, signer: &TestSigner) -> VerifierKey {
    VerifierKey::new(KeyName::new(name).unwrap(), kind, signer.public().bytes()).unwrap()
}
