//! SHA-256 tree hashes: leaves, interior nodes and the empty tree.
//!
//! A leaf and a node are hashed with different first bytes, so that no entry can be passed off as a node.
//!
//! Source: RFC 6962 §2.1.

use alloc::string::String;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use sha2::{Digest as _, Sha256};

/// The bytes of a hash: 32.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 value at some place of a tree, 32 bytes; shown in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; HASH_BYTES]);

impl Hash {
    /// Reads standard base64: padded, canonical, exactly 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, HashError> {
        let bytes = STANDARD.decode(text).map_err(|_| HashError::Base64)?;
        Self::from_slice(&bytes)
    }

    /// Writes standard base64 with padding, 44 characters.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Reads lower-case hex, exactly 64 digits.
    pub fn from_hex(text: &str) -> Result<Self, HashError> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(HashError::Hex);
        }
        let bytes = hex::decode(text).map_err(|_| HashError::Hex)?;
        Self::from_slice(&bytes)
    }

    /// Writes lower-case hex, 64 digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Takes exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, HashError> {
        <[u8; HASH_BYTES]>::try_from(bytes).map(Self).map_err(|_| HashError::Length { found: bytes.len() })
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of one entry, at level 0 of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafHash(pub Hash);

impl fmt::Display for LeafHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The hash of a whole tree of some size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootHash(pub Hash);

impl fmt::Display for RootHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text or bytes are not a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Not padded, canonical standard base64.
    #[error("not canonical standard base64")]
    Base64,
    /// Not lower-case hex.
    #[error("not lower-case hex")]
    Hex,
    /// Not 32 bytes.
    #[error("a hash has 32 bytes, found {found}")]
    Length {
        /// Bytes found.
        found: usize,
    },
}

/// The hash of an entry as a leaf.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> LeafHash {
    // SPEC: RFC 6962 §2.1: MTH({d(0)}) = SHA-256(0x00 || d(0)).
    let digest = Sha256::new().chain_update([0x00]).chain_update(entry).finalize();
    LeafHash(Hash(digest.into()))
}

/// The hash of a node over its left and right child.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    // SPEC: RFC 6962 §2.1: SHA-256(0x01 || MTH(left) || MTH(right)).
    let digest = Sha256::new().chain_update([0x01]).chain_update(left.0).chain_update(right.0).finalize();
    Hash(digest.into())
}

/// The root of the tree of size 0.
#[must_use]
pub fn empty_root() -> RootHash {
    // SPEC: RFC 6962 §2.1: MTH({}) = SHA-256().
    RootHash(Hash(Sha256::digest([]).into()))
}

#[cfg(test)]
mod tests;
