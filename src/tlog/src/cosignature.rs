//! C2SP tlog-cosignature: a witness's timestamped signature on a checkpoint.
//!
//! Source: <https://c2sp.org/tlog-cosignature>, Ed25519 (signature type 0x04).

use alloc::format;
use alloc::vec::Vec;

use crate::note::{NoteSignature, SignatureType, VerifierKey};

/// The greatest timestamp: 2^63−1 seconds.
pub const TIMESTAMP_MAX: u64 = (1 << 63) - 1;

/// Why a cosignature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CosignatureError {
    /// Not 8 bytes of timestamp and 64 of signature.
    #[error("an Ed25519 cosignature has 72 bytes, found {found}")]
    Length {
        /// Bytes given.
        found: usize,
    },
    /// A timestamp that never counts: 0, or greater than 2^63−1.
    #[error("a cosignature stamped {found} never counts")]
    Timestamp {
        /// Seconds since 1970.
        found: u64,
    },
    /// A key of another signature type.
    #[error("a key of signature type 0x{found:02x} makes no Ed25519 cosignatures", found = found.byte())]
    KeyType {
        /// The key's type.
        found: SignatureType,
    },
    /// The signature does not verify.
    #[error("the cosignature does not verify")]
    Invalid,
}

/// What a witness signs: a header line, a time line, and the checkpoint's text.
#[must_use]
pub fn cosignature_message(timestamp_seconds: u64, note_text: &str) -> Vec<u8> {
    // SPEC: C2SP tlog-cosignature, Ed25519 signed message.
    format!("cosignature/v1\ntime {timestamp_seconds}\n{note_text}").into_bytes()
}

/// A timestamped Ed25519 signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// When, in seconds since 1970.
    pub timestamp: u64,
    /// Over [`cosignature_message`].
    pub signature: [u8; 64],
}

impl Cosignature {
    /// Takes a cosignature out of a signature line.
    pub fn from_note_signature(line: &NoteSignature) -> Result<Self, CosignatureError> {
        let length = || CosignatureError::Length { found: line.signature.len() };
        let (timestamp, signature) = line.signature.split_first_chunk::<8>().ok_or_else(length)?;
        let signature = signature.try_into().map_err(|_| length())?;
        Ok(Self { timestamp: u64::from_be_bytes(*timestamp), signature })
    }

    /// The signature line of a key.
    #[must_use]
    pub fn to_note_signature(&self, key: &VerifierKey) -> NoteSignature {
        let mut bytes = self.timestamp.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.signature);
        NoteSignature::new(key, &bytes)
    }

    /// Verifies the signature over a checkpoint's text, and that its timestamp counts.
    pub fn verify(&self, key: &VerifierKey, note_text: &str) -> Result<(), CosignatureError> {
        match key.kind() {
            SignatureType::CosignatureEd25519 => {}
            found @ (SignatureType::Ed25519 | SignatureType::CosignatureMlDsa44) => {
                return Err(CosignatureError::KeyType { found });
            }
        }
        if !key.verify_ed25519(&cosignature_message(self.timestamp, note_text), &self.signature) {
            return Err(CosignatureError::Invalid);
        }
        self.check_timestamp()
    }

    /// Whether the timestamp counts; says nothing about the signature.
    pub(crate) const fn check_timestamp(&self) -> Result<(), CosignatureError> {
        if self.timestamp == 0 || self.timestamp > TIMESTAMP_MAX {
            return Err(CosignatureError::Timestamp { found: self.timestamp });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
