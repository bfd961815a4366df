//! C2SP tlog-cosignature: a cosigner's timestamped signature on a checkpoint, or on a subtree.
//!
//! Two types: Ed25519 (0x04) signs a header, the time and the checkpoint's whole text; ML-DSA-44 (0x06) signs a structure
//! of the cosigner's name, the time, the log's origin, a range of leaves and its root, and no extension lines. A log signs
//! its own checkpoints with the second type too.
//!
//! Source: <https://c2sp.org/tlog-cosignature>, FIPS 204 (ML-DSA, empty context string).

use alloc::format;
use alloc::vec::Vec;

use crate::checkpoint::{Checkpoint, Origin};
use crate::hash::Hash;
use crate::note::{KeyName, NoteSignature, SignatureType, VerifierKey};
use crate::subtree::Subtree;

/// The greatest timestamp: 2^63−1 seconds.
pub const TIMESTAMP_MAX: u64 = (1 << 63) - 1;

/// Why a cosignature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CosignatureError {
    /// Not 8 bytes of timestamp and a signature: 72 bytes with Ed25519, 2,428 with ML-DSA-44.
    #[error("a cosignature has {ED25519_BYTES} bytes (Ed25519) or {ML_DSA_44_BYTES} (ML-DSA-44), found {found}")]
    Length {
        /// Bytes given.
        found: usize,
    },
    /// ML-DSA-44 signs a tree head, and the text is none.
    #[error("the text that is cosigned is no checkpoint")]
    NotACheckpoint,
    /// A timestamp that never counts: 0, or greater than 2^63−1.
    #[error("a cosignature stamped {found} never counts")]
    Timestamp {
        /// Seconds since 1970.
        found: u64,
    },
    /// A subtree's cosignature with a timestamp.
    #[error("a subtree's cosignature is stamped 0, found {found}")]
    SubtreeTimestamp {
        /// Seconds since 1970.
        found: u64,
    },
    /// A key of another signature type.
    #[error("a key of signature type 0x{found:02x} makes no such cosignatures", found = found.byte())]
    KeyType {
        /// The key's type.
        found: SignatureType,
    },
    /// The signature does not verify.
    #[error("the cosignature does not verify")]
    Invalid,
}

/// The bytes of an Ed25519 cosignature in a signature line: timestamp and signature.
pub const ED25519_BYTES: usize = 8 + 64;
/// The bytes of an ML-DSA-44 cosignature in a signature line: timestamp and signature.
pub const ML_DSA_44_BYTES: usize = 8 + 2420;

/// The label with which everything begins that ML-DSA-44 signs here.
const SUBTREE_LABEL: &[u8; 12] = b"subtree/v1\n\0";

/// What an Ed25519 cosigner signs: a header line, a time line, and the checkpoint's text.
#[must_use]
pub fn cosignature_message(timestamp_seconds: u64, note_text: &str) -> Vec<u8> {
    // SPEC: C2SP tlog-cosignature, Ed25519 signed message.
    format!("cosignature/v1\ntime {timestamp_seconds}\n{note_text}").into_bytes()
}

/// What an ML-DSA-44 cosigner signs: that the subtree of a log has this root.
///
/// A subtree that does not begin at 0 has the timestamp 0; only a whole tree can be the newest at a time.
#[must_use]
pub fn subtree_message(
    cosigner: &KeyName,
    timestamp_seconds: u64,
    origin: &Origin,
    subtree: Subtree,
    root: Hash,
) -> Vec<u8> {
    // SPEC: C2SP tlog-cosignature, ML-DSA-44 signed message; vectors and integers as in RFC 8446 §3.
    let mut message = SUBTREE_LABEL.to_vec();
    push_short_vector(&mut message, cosigner.as_str());
    message.extend_from_slice(&timestamp_seconds.to_be_bytes());
    push_short_vector(&mut message, origin.as_str());
    message.extend_from_slice(&subtree.start().to_be_bytes());
    message.extend_from_slice(&subtree.end().to_be_bytes());
    message.extend_from_slice(root.as_bytes());
    message
}

/// Appends `opaque<1..2^8-1>`: names of keys and origins have 1 to 255 bytes.
fn push_short_vector(message: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).expect("a key name and an origin have at most 255 bytes");
    message.push(length);
    message.extend_from_slice(text.as_bytes());
}

/// What the holder of `key` signs to cosign a checkpoint's text.
pub fn message_of(key: &VerifierKey, timestamp_seconds: u64, note_text: &str) -> Result<Vec<u8>, CosignatureError> {
    match key.kind() {
        SignatureType::CosignatureEd25519 => Ok(cosignature_message(timestamp_seconds, note_text)),
        SignatureType::CosignatureMlDsa44 => {
            let (head, _extensions) =
                Checkpoint::parse_allowing_extensions(note_text).map_err(|_| CosignatureError::NotACheckpoint)?;
            let whole = Subtree::whole(head.size);
            Ok(subtree_message(key.name(), timestamp_seconds, &head.origin, whole, head.root.0))
        }
        found @ SignatureType::Ed25519 => Err(CosignatureError::KeyType { found }),
    }
}

/// A timestamped signature of either type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// When, in seconds since 1970; 0 says nothing about time.
    pub timestamp: u64,
    /// Over [`message_of`] the key: 64 bytes of Ed25519, 2,420 of ML-DSA-44.
    pub signature: Vec<u8>,
}

impl Cosignature {
    /// Takes a cosignature out of a signature line.
    pub fn from_note_signature(line: &NoteSignature) -> Result<Self, CosignatureError> {
        let found = line.signature.len();
        if found != ED25519_BYTES && found != ML_DSA_44_BYTES {
            return Err(CosignatureError::Length { found });
        }
        let (timestamp, signature) =
            line.signature.split_first_chunk::<8>().ok_or(CosignatureError::Length { found })?;
        Ok(Self { timestamp: u64::from_be_bytes(*timestamp), signature: signature.to_vec() })
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
        self.verify_signature(key, note_text)?;
        self.check_timestamp()
    }

    /// Verifies the signature over a checkpoint's text, whatever its timestamp.
    pub(crate) fn verify_signature(&self, key: &VerifierKey, note_text: &str) -> Result<(), CosignatureError> {
        let message = message_of(key, self.timestamp, note_text)?;
        if key.verify_bytes(&message, &self.signature) { Ok(()) } else { Err(CosignatureError::Invalid) }
    }

    /// Verifies a signature on a subtree by a key of type 0x06. Its timestamp is 0.
    ///
    /// SPEC: C2SP tlog-cosignature and tlog-witness, sign-subtree: the timestamp of a subtree's cosignature is zero.
    pub fn verify_subtree(
        &self,
        key: &VerifierKey,
        origin: &Origin,
        subtree: Subtree,
        root: Hash,
    ) -> Result<(), CosignatureError> {
        match key.kind() {
            SignatureType::CosignatureMlDsa44 => {}
            found @ (SignatureType::Ed25519 | SignatureType::CosignatureEd25519) => {
                return Err(CosignatureError::KeyType { found });
            }
        }
        if self.timestamp != 0 {
            return Err(CosignatureError::SubtreeTimestamp { found: self.timestamp });
        }
        let message = subtree_message(key.name(), 0, origin, subtree, root);
        if key.verify_bytes(&message, &self.signature) { Ok(()) } else { Err(CosignatureError::Invalid) }
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
