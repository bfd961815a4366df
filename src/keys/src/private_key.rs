//! Private keys in memory, and the holders made of them. Each lives in the wiping type of its own crate.

use std::fmt;

use aws_lc_rs::signature::{KeyPair as _, ML_DSA_44_SIGNING, PqdsaKeyPair};
use ed25519_dalek::Signer as _;
use p384::ecdsa;
use p384::elliptic_curve::Generate as _;
use rand_core::{TryCryptoRng, UnwrapErr};
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::holder::{AgreementError, AgreementKey, SealingKey, SharedSecret, SignError, Signer};
use crate::randomness::{self, RandomnessError};
use crate::role::{Algorithm, Role};
use crate::sealing::SealingSecret;

/// A private key of any algorithm.
pub(crate) enum PrivateKey {
    /// An Ed25519 seed, expanded.
    Ed25519(Box<ed25519_dalek::SigningKey>),
    /// A P-384 scalar.
    EcdsaP384(Box<ecdsa::SigningKey>),
    /// The 32-byte seed of an ML-DSA-44 key, which fixes it (FIPS 204, KeyGen_internal).
    MlDsa44(MlDsaSeed),
    /// An X25519 secret.
    X25519(StaticSecret),
    /// A symmetric key.
    XChaCha20Poly1305(SealingSecret),
}

impl PrivateKey {
    /// Generates a key with the algorithm's own generator, fed by `rng`.
    pub(crate) fn generate<R: TryCryptoRng>(algorithm: Algorithm, rng: &mut R) -> Result<Self, RandomnessError> {
        // The generators of Ed25519 and X25519 cannot report a failure, they panic. Asking once before finds a generator
        // that does not work; one that answered goes on answering.
        randomness::fill(rng, &mut [0; 32])?;
        Ok(match algorithm {
            Algorithm::Ed25519 => Self::Ed25519(Box::new(ed25519_dalek::SigningKey::generate(&mut UnwrapErr(rng)))),
            Algorithm::EcdsaP384 => Self::EcdsaP384(Box::new(
                ecdsa::SigningKey::try_generate_from_rng(rng).map_err(|_failed| RandomnessError::Unavailable)?,
            )),
            Algorithm::MlDsa44 => {
                let mut seed = Zeroizing::new([0; 32]);
                randomness::fill(rng, seed.as_mut_slice())?;
                Self::MlDsa44(MlDsaSeed::new(seed).ok_or(RandomnessError::Unavailable)?)
            }
            Algorithm::X25519 => Self::X25519(StaticSecret::random_from_rng(&mut UnwrapErr(rng))),
            Algorithm::XChaCha20Poly1305 => {
                let mut secret = Zeroizing::new([0; 32]);
                randomness::fill(rng, secret.as_mut_slice())?;
                Self::XChaCha20Poly1305(SealingSecret::new(secret))
            }
        })
    }

    /// Reads the secret of a key file; `None` if it is not lower-case hex of a key of `algorithm`.
    pub(crate) fn from_hex(algorithm: Algorithm, secret: &str) -> Option<Self> {
        Some(match algorithm {
            Algorithm::Ed25519 => {
                let seed = decode::<32>(secret)?;
                Self::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&seed)))
            }
            Algorithm::EcdsaP384 => {
                let scalar = decode::<48>(secret)?;
                // Refuses zero and what is not below the order of the curve.
                let key = ecdsa::SigningKey::from_slice(scalar.as_slice()).ok()?;
                Self::EcdsaP384(Box::new(key))
            }
            Algorithm::MlDsa44 => Self::MlDsa44(MlDsaSeed::new(decode::<32>(secret)?)?),
            Algorithm::X25519 => Self::X25519(StaticSecret::from(*decode::<32>(secret)?)),
            Algorithm::XChaCha20Poly1305 => Self::XChaCha20Poly1305(SealingSecret::new(decode::<32>(secret)?)),
        })
    }

    /// The secret in lower-case hex, only ever to be sealed.
    pub(crate) fn to_hex(&self) -> Zeroizing<String> {
        match self {
            Self::Ed25519(key) => Zeroizing::new(hex::encode(key.as_bytes())),
            Self::EcdsaP384(key) => {
                let scalar = Zeroizing::new(key.to_bytes());
                Zeroizing::new(hex::encode(scalar.as_slice()))
            }
            Self::MlDsa44(seed) => Zeroizing::new(hex::encode(seed.as_bytes())),
            Self::X25519(secret) => Zeroizing::new(hex::encode(secret.as_bytes())),
            Self::XChaCha20Poly1305(secret) => Zeroizing::new(hex::encode(secret.as_bytes())),
        }
    }

    /// The public key in the encoding of [`Signer::public_key`] and [`AgreementKey::public_key`]; the identifier of a key
    /// that has none, as in [`SealingKey::key_id`].
    pub(crate) fn public_key(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.verifying_key().as_bytes().to_vec(),
            Self::EcdsaP384(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
            Self::MlDsa44(seed) => seed.public_key().to_vec(),
            Self::X25519(secret) => x25519_dalek::PublicKey::from(secret).as_bytes().to_vec(),
            Self::XChaCha20Poly1305(secret) => secret.key_id().to_vec(),
        }
    }

    /// Turns the key into a signer for `role`; `None` if it cannot sign.
    pub(crate) fn into_signer(self, role: Role) -> Option<Box<dyn Signer>> {
        let public_key = self.public_key();
        match self {
            Self::Ed25519(key) => Some(Box::new(Ed25519Signer { role, key, public_key })),
            Self::EcdsaP384(key) => Some(Box::new(EcdsaP384Signer { role, key, public_key })),
            Self::MlDsa44(seed) => Some(Box::new(MlDsa44Signer { role, pair: seed.into_pair(), public_key })),
            Self::X25519(_) | Self::XChaCha20Poly1305(_) => None,
        }
    }

    /// Turns the key into one that agrees on secrets; `None` if it cannot.
    pub(crate) fn into_agreement(self) -> Option<Box<dyn AgreementKey>> {
        match self {
            Self::X25519(secret) => Some(Box::new(X25519Agreement { secret })),
            Self::Ed25519(_) | Self::EcdsaP384(_) | Self::MlDsa44(_) | Self::XChaCha20Poly1305(_) => None,
        }
    }

    /// Turns the key into one that seals; `None` if it cannot.
    pub(crate) fn into_sealing(self) -> Option<Box<dyn SealingKey>> {
        match self {
            Self::XChaCha20Poly1305(secret) => Some(Box::new(secret)),
            Self::Ed25519(_) | Self::EcdsaP384(_) | Self::MlDsa44(_) | Self::X25519(_) => None,
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(redacted)")
    }
}

/// Exactly `N` bytes of lower-case hex.
fn decode<const N: usize>(digits: &str) -> Option<Zeroizing<[u8; N]>> {
    if digits.bytes().any(|digit| digit.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = Zeroizing::new([0; N]);
    hex::decode_to_slice(digits, bytes.as_mut_slice()).ok()?;
    Some(bytes)
}

struct Ed25519Signer {
    role: Role,
    key: Box<ed25519_dalek::SigningKey>,
    public_key: Vec<u8>,
}

impl Signer for Ed25519Signer {
    fn role(&self) -> Role {
        self.role
    }

    fn algorithm(&self) -> Algorithm {
        Algorithm::Ed25519
    }

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.key.sign(message).to_bytes().to_vec())
    }
}

struct EcdsaP384Signer {
    role: Role,
    key: Box<ecdsa::SigningKey>,
    public_key: Vec<u8>,
}

impl Signer for EcdsaP384Signer {
    fn role(&self) -> Role {
        self.role
    }

    fn algorithm(&self) -> Algorithm {
        Algorithm::EcdsaP384
    }

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        // SPEC: RFC 6979 §3.2, with SHA-384: the same message gives the same signature, and no nonce can repeat.
        let signature: ecdsa::Signature = self
            .key
            .try_sign(message)
            .map_err(|_failed| SignError::Failed { role: self.role, algorithm: Algorithm::EcdsaP384 })?;
        // For this curve the crate leaves s as it falls; without this line half the signatures have a high one.
        Ok(signature.normalize_s().to_bytes().to_vec())
    }
}

/// An ML-DSA-44 key: its seed, and the pair that follows from it, which the library wipes.
pub(crate) struct MlDsaSeed {
    seed: Zeroizing<[u8; 32]>,
    pair: PqdsaKeyPair,
}

impl MlDsaSeed {
    /// Expands a seed; `None` if the library fails.
    fn new(seed: Zeroizing<[u8; 32]>) -> Option<Self> {
        let pair = PqdsaKeyPair::from_seed(&ML_DSA_44_SIGNING, seed.as_slice()).ok()?;
        Some(Self { seed, pair })
    }

    fn as_bytes(&self) -> &[u8; 32] {
        &self.seed
    }

    fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn into_pair(self) -> PqdsaKeyPair {
        self.pair
    }
}

struct MlDsa44Signer {
    role: Role,
    pair: PqdsaKeyPair,
    public_key: Vec<u8>,
}

impl Signer for MlDsa44Signer {
    fn role(&self) -> Role {
        self.role
    }

    fn algorithm(&self) -> Algorithm {
        Algorithm::MlDsa44
    }

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        // SPEC: FIPS 204, ML-DSA.Sign with the empty context string, hedged with fresh randomness.
        let mut signature = vec![0; ML_DSA_44_SIGNING.signature_len()];
        self.pair
            .sign(message, &mut signature)
            .map_err(|_failed| SignError::Failed { role: self.role, algorithm: Algorithm::MlDsa44 })?;
        Ok(signature)
    }
}

struct X25519Agreement {
    secret: StaticSecret,
}

impl AgreementKey for X25519Agreement {
    fn public_key(&self) -> [u8; 32] {
        x25519_dalek::PublicKey::from(&self.secret).to_bytes()
    }

    fn diffie_hellman(&self, peer: &[u8; 32]) -> Result<SharedSecret, AgreementError> {
        let shared = self.secret.diffie_hellman(&x25519_dalek::PublicKey::from(*peer));
        SharedSecret::admit(Zeroizing::new(shared.to_bytes()))
    }
}

#[cfg(test)]
mod tests;
