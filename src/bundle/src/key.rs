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
    /// ML-DSA-44 (FIPS 204): 1,312-byte keys, with which logs and witnesses sign tree heads; no document of ours is signed
    /// with one.
    #[serde(rename = "ml-dsa-44")]
    MlDsa44,
}

impl KeyAlgorithm {
    /// The name in every format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::X25519 => "x25519",
            Self::MlDsa44 => "ml-dsa-44",
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

/// A public key of one of the four algorithms, checked to be usable. JSON: `{"algorithm", "public_key"}`, hex.
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
            KeyAlgorithm::MlDsa44 => 1312,
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
                is_usable_x25519(key)
            }
            KeyAlgorithm::MlDsa44 => {
                // FIPS 204: any bytes of that length are a key.
                let _: &[u8; 1312] = bytes.try_into().map_err(|_| length())?;
                true
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

    /// The key's bytes: 32, the 97 of an uncompressed P-384 point, or 1,312 of ML-DSA-44.
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

/// p−1 for the prime p = 2^255−19, little-endian as every X25519 key.
const X25519_P_MINUS_ONE: [u8; 32] = {
    let mut bytes = [0xff; 32];
    (bytes[0], bytes[31]) = (0xec, 0x7f);
    bytes
};

/// The two points of order 8 on the curve of X25519.
const X25519_ORDER_8: [[u8; 32]; 2] = [
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
];

/// Whether X25519 bytes are the one encoding of a point that is not of small order.
///
/// X25519 ignores the top bit and reduces modulo p: without this rule one key had several identities, and a revoked one
/// could return under another. With a point of small order the session's secret is known to everybody.
fn is_usable_x25519(key: &[u8; 32]) -> bool {
    // SPEC: RFC 7748 §5 and §6.1; the points of small order are 0, 1, p-1 and the two of order 8.
    let below_p_minus_one = key.iter().rev().lt(X25519_P_MINUS_ONE.iter().rev());
    let is_0_or_1 = key[0] <= 1 && key[1..] == [0; 31];
    below_p_minus_one && !is_0_or_1 && !X25519_ORDER_8.contains(key)
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
    fn an_x25519_key_has_one_encoding_and_a_large_order() {
        let little_endian = |first: u8, middle: u8, last: u8| {
            let mut bytes = [middle; 32];
            (bytes[0], bytes[31]) = (first, last);
            bytes
        };
        let usable = |bytes: &[u8; 32]| PublicKey::new(KeyAlgorithm::X25519, bytes).is_ok();
        let p_minus = |n: u8| little_endian(0xed - n, 0xff, 0x7f);
        for good in [little_endian(9, 0, 0), little_endian(2, 0, 0), p_minus(2), [101; 32]] {
            assert!(usable(&good), "{good:?}");
            let mut top_bit = good;
            top_bit[31] |= 0x80;
            assert!(!usable(&top_bit), "the top bit is ignored by X25519: {good:?}");
        }
        let p_plus = |n: u8| little_endian(0xed + n, 0xff, 0x7f);
        let small_order = [[0; 32], little_endian(1, 0, 0), p_minus(1), X25519_ORDER_8[0], X25519_ORDER_8[1]];
        for bad in small_order.into_iter().chain([p_minus(0), p_plus(1), p_plus(9), [0xff; 32]]) {
            assert!(!usable(&bad), "{bad:?}");
        }
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
        let low = signer.sign(b"m");
        let high = crate::testing::with_other_s(&low);
        assert_ne!(high, low);
        assert_eq!(signer.public().verify_p384(b"m", &high), Ok(()));
    }
}
