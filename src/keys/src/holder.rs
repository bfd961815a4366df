//! The three things a holder of a private key does with it. Nothing here knows where the key is.

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::randomness::RandomnessError;
use crate::role::{Algorithm, Role};

/// Holds one private signing key and signs with it.
pub trait Signer: Send + Sync {
    /// The one purpose of the key.
    fn role(&self) -> Role;

    /// The algorithm of the signatures.
    fn algorithm(&self) -> Algorithm;

    /// The public key: 32 raw bytes for Ed25519, the 97-byte uncompressed SEC 1 point for P-384, 1,312 for ML-DSA-44.
    fn public_key(&self) -> &[u8];

    /// Signs `message` as it is.
    ///
    /// Ed25519 gives 64 bytes. P-384 gives 96 bytes, r‖s with low S, over SHA-384 of the message. ML-DSA-44 gives 2,420
    /// bytes, with the empty context string.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

impl fmt::Debug for dyn Signer + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("role", &self.role())
            .field("public_key", &hex::encode(self.public_key()))
            .finish_non_exhaustive()
    }
}

/// Why a holder gave no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignError {
    /// Fault: the holder could not sign; the message is not to blame.
    #[error("the holder of the {role} key failed to sign with {algorithm}")]
    Failed {
        /// The role of the key.
        role: Role,
        /// The algorithm of the key.
        algorithm: Algorithm,
    },
    /// Fault: the token that has the key is gone or does not work. It is asked again for the next signature.
    #[error("the token that has the {role} key is not available")]
    TokenUnavailable {
        /// The role of the key.
        role: Role,
    },
    /// Refused: the token takes the PIN no longer. It is not tried again before a restart, as tokens lock.
    #[error("the token that has the {role} key refused its PIN, which is not tried again before a restart")]
    PinRefused {
        /// The role of the key.
        role: Role,
    },
    /// Refused: a token of that name is there, and the key in it is missing or another one.
    #[error("the token does not have the {role} key that was opened")]
    OtherKey {
        /// The role of the key.
        role: Role,
    },
}

/// Holds the private X25519 session key of a vault member.
pub trait AgreementKey: Send + Sync {
    /// The public key, the u-coordinate of RFC 7748.
    fn public_key(&self) -> [u8; 32];

    /// Agrees on a secret with the owner of `peer`, or refuses a `peer` that fixes the secret for everyone.
    fn diffie_hellman(&self, peer: &[u8; 32]) -> Result<SharedSecret, AgreementError>;
}

impl fmt::Debug for dyn AgreementKey + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgreementKey").field("public_key", &hex::encode(self.public_key())).finish_non_exhaustive()
    }
}

/// Why two keys agreed on no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AgreementError {
    /// Refused: the peer's key has low order, so the secret would not depend on ours.
    #[error("the peer's public key is non-contributory")]
    NonContributory,
}

/// What two X25519 keys agreed on; never all zeros.
pub struct SharedSecret(Zeroizing<[u8; 32]>);

impl SharedSecret {
    /// Takes the output of X25519, refusing the all-zero value of a low-order peer. Only holders of keys call it.
    pub fn admit(bytes: Zeroizing<[u8; 32]>) -> Result<Self, AgreementError> {
        // SPEC: RFC 7748 §6.1: all bytes are ORed before the one comparison, so its time tells nothing.
        if bytes.iter().fold(0, |union, byte| union | byte) == 0 {
            return Err(AgreementError::NonContributory);
        }
        Ok(Self(bytes))
    }

    /// The 32 secret bytes, to be fed to a key derivation.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(redacted)")
    }
}

/// Holds one secret key that seals bytes, so that only the same key opens them.
pub trait SealingKey: Send + Sync {
    /// Identifies the key: SHA-256 over a context line and the secret, 32 bytes. It may be seen.
    fn key_id(&self) -> [u8; 32];

    /// Seals `plaintext` for the place that `context` names. Adds [`SEALED_OVERHEAD_BYTES`](crate::SEALED_OVERHEAD_BYTES).
    fn seal(&self, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SealError>;

    /// Opens what this key sealed under the same `context`.
    fn unseal(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealKeyError>;
}

impl fmt::Debug for dyn SealingKey + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("key_id", &hex::encode(self.key_id())).finish_non_exhaustive()
    }
}

/// Why a holder sealed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// Fault: no randomness, no nonce; a repeated one would give the bytes away.
    #[error("nothing was sealed")]
    Randomness(#[from] RandomnessError),
    /// Fault: the holder could not seal.
    #[error("the holder of the sealing key failed to seal {bytes} bytes")]
    Failed {
        /// Bytes of the plaintext.
        bytes: usize,
    },
}

/// Why sealed bytes were not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UnsealKeyError {
    /// Refused: not sealed by this key, not for this context, or changed since.
    #[error("the bytes were not sealed by this key for this place")]
    NotOurs,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands for a holder that is out of reach, as an unplugged token is.
    struct Unplugged;

    impl Signer for Unplugged {
        fn role(&self) -> Role {
            Role::Operator
        }

        fn algorithm(&self) -> Algorithm {
            self.role().algorithm()
        }

        fn public_key(&self) -> &[u8] {
            &[4]
        }

        fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, SignError> {
            Err(SignError::Failed { role: self.role(), algorithm: self.algorithm() })
        }
    }

    #[test]
    fn a_holder_that_is_not_a_file_fits_behind_the_trait() {
        let signer: Box<dyn Signer> = Box::new(Unplugged);
        assert_eq!(
            signer.sign(b"message").unwrap_err().to_string(),
            "the holder of the operator key failed to sign with ecdsa-p384"
        );
        assert_eq!(format!("{signer:?}"), "Signer { role: Operator, public_key: \"04\", .. }");
    }

    #[test]
    fn a_shared_secret_of_zeros_is_refused() {
        let refused = SharedSecret::admit(Zeroizing::new([0; 32])).unwrap_err();
        assert_eq!(refused, AgreementError::NonContributory);
    }

    #[test]
    fn a_shared_secret_prints_nothing_of_itself() {
        let secret = SharedSecret::admit(Zeroizing::new([0xa7; 32])).unwrap();
        assert_eq!(format!("{secret:?}"), "SharedSecret(redacted)");
    }
}
