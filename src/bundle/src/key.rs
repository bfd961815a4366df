//! Public keys as our documents name them, and the signature checks under them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use p384::ecdsa::signature::Verifier as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::identity::Digest;
use crate::to_sign;

/// What a public key is for, cryptographically.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KeyAlgorithm {
    /// Ed25519 (RFC 8032): 32-byte keys, 64-byte signatures, verified strictly.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA on P-384 with SHA-384 (FIPS 186-5): 97-byte uncompressed points, 96-byte signatures r‖s.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    /// X25519 (RFC 7748): 32-byte keys of Noise sessions.
    #[serde(rename = "x25519")]
    X25519,
}

impl KeyAlgorithm {
    /// The name in every format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::X25519 => "x25519",
        }
    }
}

/// The identity of a key: SHA-256 over its algorithm and bytes ([`to_sign::key_id`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub Digest);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why bytes are not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Another length than the algorithm's.
    #[error("a {algorithm} key has {expected} bytes, found {found}", algorithm = algorithm.as_str())]
    Length {
        /// The algorithm that was named.
        algorithm: KeyAlgorithm,
        /// Its key length in bytes.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// Not a point of the curve, or one of small order.
    #[error("not a usable {algorithm} point", algorithm = algorithm.as_str())]
    Point {
        /// The algorithm that was named.
        algorithm: KeyAlgorithm,
    },
}

/// Why a signature does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The signature is not of this message under this key.
    #[error("the signature does not verify")]
    Invalid,
    /// A key that cannot sign, or of another algorithm than the document prescribes.
    #[error("a {algorithm} key cannot make this signature", algorithm = algorithm.as_str())]
    Algorithm {
        /// The key's algorithm.
        algorithm: KeyAlgorithm,
    },
}

/// A public key of one of the three algorithms, checked to be usable. JSON: `{"algorithm", "public_key"}`, hex.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    bytes: Vec<u8>,
}

impl PublicKey {
    /// Checks and takes a key: its length, and that it is a point that can be used.
    pub fn new(algorithm: KeyAlgorithm, bytes: &[u8]) -> Result<Self, PublicKeyError> {
        let expected = match algorithm {
            KeyAlgorithm::Ed25519 | KeyAlgorithm::X25519 => 32,
            KeyAlgorithm::EcdsaP384 => 97,
        };
        let length = || PublicKeyError::Length { algorithm, expected, found: bytes.len() };
        let usable = match algorithm {
            KeyAlgorithm::Ed25519 => {
                let key: &[u8; 32] = bytes.try_into().map_err(|_| length())?;
                ed25519_dalek::VerifyingKey::from_bytes(key).is_ok_and(|key| !key.is_weak())
            }
            KeyAlgorithm::EcdsaP384 => {
                let _: &[u8; 97] = bytes.try_into().map_err(|_| length())?;
                p384::ecdsa::VerifyingKey::from_sec1_bytes(bytes).is_ok()
            }
            KeyAlgorithm::X25519 => {
                let key: &[u8; 32] = bytes.try_into().map_err(|_| length())?;
                *key != [0; 32]
            }
        };
        if !usable {
            return Err(PublicKeyError::Point { algorithm });
        }
        Ok(Self { algorithm, bytes: bytes.to_vec() })
    }

    /// An Ed25519 key of 32 bytes.
    pub fn ed25519(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        Self::new(KeyAlgorithm::Ed25519, bytes)
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The key's bytes: 32, or the 97 of an uncompressed P-384 point.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The key's identity.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        KeyId(Digest::of(&to_sign::key_id(self.algorithm, &self.bytes)))
    }

    /// Verifies an Ed25519 signature of 64 bytes, strictly (no small-order points, one encoding).
    pub fn verify_ed25519(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if self.algorithm != KeyAlgorithm::Ed25519 {
            return Err(SignatureError::Algorithm { algorithm: self.algorithm });
        }
        let key: [u8; 32] = self.bytes.as_slice().try_into().map_err(|_| SignatureError::Invalid)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&key).map_err(|_| SignatureError::Invalid)?;
        let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| SignatureError::Invalid)?;
        key.verify_strict(message, &signature).map_err(|_| SignatureError::Invalid)
    }

    /// Verifies an ECDSA P-384 signature r‖s of 96 bytes over SHA-384 of the message. Both forms of s are accepted;
    /// that is why a signature is never part of an identity.
    pub fn verify_p384(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if self.algorithm != KeyAlgorithm::EcdsaP384 {
            return Err(SignatureError::Algorithm { algorithm: self.algorithm });
        }
        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&self.bytes).map_err(|_| SignatureError::Invalid)?;
        let signature = p384::ecdsa::Signature::from_slice(signature).map_err(|_| SignatureError::Invalid)?;
        key.verify(message, &signature).map_err(|_| SignatureError::Invalid)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm.as_str(), hex::encode(&self.bytes))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicKeyForm {
    algorithm: KeyAlgorithm,
    public_key: String,
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PublicKeyForm { algorithm: self.algorithm, public_key: hex::encode(&self.bytes) }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = PublicKeyForm::deserialize(deserializer)?;
        let bytes = crate::wire::hex_lower(&form.public_key)
            .ok_or_else(|| de::Error::custom("a public key is lower-case hex"))?;
        Self::new(form.algorithm, &bytes).map_err(de::Error::custom)
    }
}

/// Finds a key by its identity.
#[must_use]
pub fn find(keys: &[PublicKey], id: KeyId) -> Option<&PublicKey> {
    keys.iter().find(|key| key.key_id() == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ed25519_signer, p384_signer};

    #[test]
    fn keys_that_cannot_be_used_are_refused() {
        let length = |algorithm, expected, found| Err(PublicKeyError::Length { algorithm, expected, found });
        assert_eq!(PublicKey::ed25519(&[1; 31]), length(KeyAlgorithm::Ed25519, 32, 31));
        assert_eq!(PublicKey::new(KeyAlgorithm::EcdsaP384, &[4; 96]), length(KeyAlgorithm::EcdsaP384, 97, 96));
        assert_eq!(PublicKey::new(KeyAlgorithm::X25519, &[]), length(KeyAlgorithm::X25519, 32, 0));
        let point = |algorithm| Err(PublicKeyError::Point { algorithm });
        let mut small_order = [0; 32];
        small_order[0] = 1;
        assert_eq!(PublicKey::ed25519(&small_order), point(KeyAlgorithm::Ed25519));
        assert_eq!(PublicKey::new(KeyAlgorithm::EcdsaP384, &[4; 97]), point(KeyAlgorithm::EcdsaP384));
        assert_eq!(PublicKey::new(KeyAlgorithm::X25519, &[0; 32]), point(KeyAlgorithm::X25519));
    }

    #[test]
    fn a_key_signs_only_with_its_own_algorithm() {
        let (ed, p384) = (ed25519_signer(1), p384_signer(1));
        let (by_ed, by_p384) = (ed.sign(b"m"), p384.sign(b"m"));
        assert_eq!(ed.public().verify_ed25519(b"m", &by_ed), Ok(()));
        assert_eq!(p384.public().verify_p384(b"m", &by_p384), Ok(()));
        assert_eq!(ed.public().verify_ed25519(b"n", &by_ed), Err(SignatureError::Invalid));
        assert_eq!(p384.public().verify_p384(b"n", &by_p384), Err(SignatureError::Invalid));
        assert_eq!(ed.public().verify_ed25519(b"m", &by_ed[..63]), Err(SignatureError::Invalid));
        assert_eq!(
            ed.public().verify_p384(b"m", &by_p384),
            Err(SignatureError::Algorithm { algorithm: KeyAlgorithm::Ed25519 })
        );
        assert_eq!(
            p384.public().verify_ed25519(b"m", &by_ed),
            Err(SignatureError::Algorithm { algorithm: KeyAlgorithm::EcdsaP384 })
        );
    }

    #[test]
    fn a_high_s_signature_is_accepted_too() {
        let signer = p384_signer(1);
        let low = p384::ecdsa::Signature::from_slice(&signer.sign(b"m")).unwrap();
        let (r, s) = (low.r().to_bytes(), (-*low.s()).to_bytes());
        let high = [r.as_slice(), s.as_slice()].concat();
        assert_ne!(high, low.to_bytes().as_slice());
        assert_eq!(signer.public().verify_p384(b"m", &high), Ok(()));
    }
}
