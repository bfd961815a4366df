//! The evidence manifest: what is claimed about how a fleet was deployed, item by item, under one Merkle root.
//!
//! The root is the RFC 6962 root over the items' canonical lines ([`to_sign::evidence_item`]), made with `rs_merkle`
//! and a domain-separating hasher, so that one item can be shown without the rest.

use alloc::string::String;
use alloc::vec::Vec;
use countermark_tlog::checkpoint::Origin;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::identity::{Digest, Name};
use crate::json::{self, JsonError};
use crate::{to_sign, wire};

/// The document's `type`.
pub const MANIFEST_TYPE: &str = "countermark/evidence-manifest/v1";
/// The most bytes of a manifest: 32 KiB, so that it fits into a log entry.
pub const MANIFEST_BYTES_MAX: usize = 32 * 1024;
/// The most items: what fits into a manifest of [`MANIFEST_BYTES_MAX`] with short texts.
pub const ITEMS_MAX: usize = 128;
/// The most bytes of a text in an item.
pub const TEXT_BYTES_MAX: usize = 200;

/// What an evidence package holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The log.
    #[serde(with = "wire::origin")]
    pub origin: Origin,
    /// The fleet.
    pub fleet_id: Name,
    /// The items, sorted by name.
    pub items: Vec<Item>,
}

/// One thing in the package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its file name.
    pub name: Name,
    /// Its media type, as `application/json`.
    pub media_type: String,
    /// Its size in bytes.
    #[serde(with = "wire::integer")]
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// What it claims, in one line.
    pub claims: String,
    /// Who can check the claim.
    pub checked_by: CheckedBy,
}

/// Who can check a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckedBy {
    /// A program, from the bytes alone.
    Machine,
    /// A person, who has to look.
    Human,
}

impl CheckedBy {
    /// The word in the format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Human => "human",
        }
    }
}

/// Why bytes are not a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the JSON document.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// No items, too many, or not sorted by name.
    #[error("a manifest has 1 to {ITEMS_MAX} items, sorted by name and unique")]
    Items,
    /// A text that is empty, too long, or holds control characters.
    #[error("{field} of {item} must be one line of 1 to {TEXT_BYTES_MAX} bytes")]
    Text {
        /// Which text.
        field: &'static str,
        /// Of which item.
        item: Name,
    },
}

impl Manifest {
    /// Reads and checks a manifest.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = json::parse(bytes, MANIFEST_BYTES_MAX)?;
        if manifest.kind != MANIFEST_TYPE {
            return Err(JsonError::WrongType { expected: MANIFEST_TYPE }.into());
        }
        let count = manifest.items.len();
        if count == 0 || count > ITEMS_MAX || !wire::is_sorted_unique(manifest.items.iter().map(|item| &item.name)) {
            return Err(ManifestError::Items);
        }
        for item in &manifest.items {
            for (field, text) in [("media_type", &item.media_type), ("claims", &item.claims)] {
                if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.contains(char::is_control) {
                    return Err(ManifestError::Text { field, item: item.name.clone() });
                }
            }
        }
        Ok(manifest)
    }

    /// The bytes that we write.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        json::write_indented(self)
    }

    /// The root that a statement names as `evidence_root`.
    #[must_use]
    pub fn root(&self) -> Digest {
        let leaves: Vec<[u8; 32]> = self.items.iter().map(|item| leaf(&to_sign::evidence_item(item))).collect();
        let tree = rs_merkle::MerkleTree::<DomainSeparated>::from_leaves(&leaves);
        // An empty manifest cannot be parsed; its root is the empty tree's, as in RFC 6962.
        Digest(tree.root().unwrap_or_else(|| Sha256::digest([]).into()))
    }
}

/// RFC 6962 §2.1: 0x00 before a leaf, 0x01 before a node; `rs_merkle` hashes plainly otherwise.
#[derive(Clone)]
struct DomainSeparated;

fn leaf(data: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([0x00]).chain_update(data).finalize().into()
}

impl rs_merkle::Hasher for DomainSeparated {
    type Hash = [u8; 32];

    fn hash(data: &[u8]) -> Self::Hash {
        leaf(data)
    }

    fn concat_and_hash(left: &Self::Hash, right: Option<&Self::Hash>) -> Self::Hash {
        // SPEC: RFC 6962 §2.1: a node without a right sibling is carried up unchanged.
        right.map_or(*left, |right| {
            Sha256::new().chain_update([0x01]).chain_update(left).chain_update(right).finalize().into()
        })
    }
}

#[cfg(test)]
mod tests;
