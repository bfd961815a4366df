//! Signers from small numbers, so that every test makes the same bytes.

use std::sync::Arc;

use countermark_bundle::key::{KeyAlgorithm, PublicKey};
use countermark_keys::{Algorithm, Role, SignError, Signer};
use countermark_tlog::note::{KeyName, SignatureType, VerifierKey};
use ed25519_dalek::Signer as _;
use ml_dsa::{KeyExport as _, Keypair as _};

/// A key in memory.
#[derive(Clone)]
pub(crate) struct TestSigner {
    role: Role,
    kind: Arc<Kind>,
    public: PublicKey,
}

enum Kind {
    Ed25519(ed25519_dalek::SigningKey),
    P384(p384::ecdsa::SigningKey),
    MlDsa44(Box<ml_dsa::SigningKey<ml_dsa::MlDsa44>>),
}

impl TestSigner {
    /// The key of this role and number.
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
                let public = PublicKey::new(KeyAlgorithm::EcdsaP384, point.as_bytes()).unwrap();
                (Kind::P384(key), public)
            }
            Algorithm::MlDsa44 => {
                let key = ml_dsa::SigningKey::<ml_dsa::MlDsa44>::from_seed(&[seed; 32].into());
                let public = PublicKey::new(KeyAlgorithm::MlDsa44, &key.verifying_key().to_bytes()).unwrap();
                (Kind::MlDsa44(Box::new(key)), public)
            }
            Algorithm::X25519 | Algorithm::XChaCha20Poly1305 => panic!("{role} keys sign nothing"),
        };
        Self { role, kind: Arc::new(kind), public }
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn make_signature(&self, message: &[u8]) -> Vec<u8> {
        match &*self.kind {
            Kind::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Kind::P384(key) => {
                let signature: p384::ecdsa::Signature = p384::ecdsa::signature::Signer::sign(key, message);
                signature.normalize_s().to_bytes().to_vec()
            }
            Kind::MlDsa44(key) => key.expanded_key().sign_deterministic(message, &[]).unwrap().encode().to_vec(),
        }
    }

    pub(crate) fn vkey(&self, name: &str, kind: SignatureType) -> VerifierKey {
        VerifierKey::new(KeyName::new(name).unwrap(), kind, self.public.bytes()).unwrap()
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
        Ok(self.make_signature(message))
    }
}

/// Holds its signature back.
pub(crate) struct Unplugged(pub(crate) TestSigner);

impl Signer for Unplugged {
    fn role(&self) -> Role {
        self.0.role()
    }

    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    fn public_key(&self) -> &[u8] {
        self.0.public_key()
    }

    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, SignError> {
        Err(SignError::Failed { role: self.role(), algorithm: self.algorithm() })
    }
}

/// Signs something else.
pub(crate) struct Broken(pub(crate) TestSigner);

impl Signer for Broken {
    fn role(&self) -> Role {
        self.0.role()
    }

    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    fn public_key(&self) -> &[u8] {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.0.sign(&message[1..])
    }
}
