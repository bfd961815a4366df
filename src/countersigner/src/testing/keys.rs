//! Signers from small numbers, so that every test makes the same bytes.

use std::sync::{Arc, Mutex};

use countermark_bundle::key::{KeyAlgorithm, PublicKey};
use countermark_keys::{Algorithm, Role, SignError, Signer};
use ed25519_dalek::Signer as _;

/// Every message that a signer ever signed.
#[derive(Clone, Default)]
pub(crate) struct Signatures(Arc<Mutex<Vec<Vec<u8>>>>);

impl Signatures {
    pub(crate) fn messages(&self) -> Vec<String> {
        let messages = self.0.lock().unwrap();
        messages.iter().map(|message| String::from_utf8(message.clone()).unwrap()).collect()
    }
}

#[derive(Clone)]
pub(crate) struct TestSigner {
    role: Role,
    kind: Kind,
    public: PublicKey,
    signatures: Signatures,
}

#[derive(Clone)]
enum Kind {
    Ed25519(ed25519_dalek::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Unplugged,
}

impl TestSigner {
    pub(crate) fn new(role: Role, seed: u8) -> Self {
        let (kind, public) = match role.algorithm() {
            Algorithm::Ed25519 => {
                let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
                let public = PublicKey::ed25519(key.verifying_key().as_bytes()).unwrap();
                (Kind::Ed25519(key), public)
            }
            Algorithm::EcdsaP384 => {
                let key = p384::ecdsa::SigningKey::from_slice(&[seed; 48]).unwrap();
                let point = key.verifying_key().to_sec1_point(false);
                (Kind::P384(key), PublicKey::new(KeyAlgorithm::EcdsaP384, point.as_bytes()).unwrap())
            }
            Algorithm::MlDsa44 | Algorithm::X25519 | Algorithm::XChaCha20Poly1305 => panic!("{role} keys sign nothing"),
        };
        Self { role, kind, public, signatures: Signatures::default() }
    }

    /// The same signer, whose messages are collected.
    pub(crate) fn recorded_by(self, signatures: &Signatures) -> Self {
        Self { signatures: signatures.clone(), ..self }
    }

    /// The same key in a holder that is out of reach.
    pub(crate) fn unplugged(self) -> Self {
        Self { kind: Kind::Unplugged, ..self }
    }

    /// The key of this signer with the public key of another.
    pub(crate) fn claiming(self, other: &Self) -> Self {
        Self { public: other.public.clone(), ..self }
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn signature(&self, message: &[u8]) -> Vec<u8> {
        self.sign(message).unwrap()
    }
}

impl Signer for TestSigner {
    fn role(&self) -> Role {
        self.role
    }

    fn algorithm(&self) -> Algorithm {
        self.role.algorithm()
    }

    fn public_key(&self) -> &[u8] {
        self.public.bytes()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature = match &self.kind {
            Kind::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Kind::P384(key) => {
                let signature: p384::ecdsa::Signature = p384::ecdsa::signature::Signer::sign(key, message);
                signature.normalize_s().to_bytes().to_vec()
            }
            Kind::Unplugged => return Err(SignError::Failed { role: self.role, algorithm: self.algorithm() }),
        };
        self.signatures.0.lock().unwrap().push(message.to_vec());
        Ok(signature)
    }
}
