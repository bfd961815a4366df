//! The validation bundle: statement, certificate, activation and proof in one file, verified offline.
//!
//! Reading one believes nothing; [`crate::verify`] is the only door to belief.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use countermark_tlog::hash::Hash;
use countermark_tlog::proof::InclusionProof;
use countermark_tlog::size::LeafIndex;
use serde::{Deserialize, Serialize};

use crate::json::{self, JsonError};
use crate::wire;

/// The document's `type`.
pub const BUNDLE_TYPE: &str = "countermark/validation-bundle/v1";
/// The most bytes of a bundle: 1 MiB.
pub const BUNDLE_BYTES_MAX: usize = 1 << 20;
/// The most entries after the newest activation: the tail.
pub const TAIL_MAX: usize = 16;
/// The most records: statement, activation, tail, and changes of authority.
pub const RECORDS_MAX: usize = 64;

/// One file, verified offline. One encoding: `write(parse(b)) == b`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationBundle {
    #[serde(rename = "type")]
    kind: String,
    /// The cosigned checkpoint, a signed note.
    pub checkpoint: String,
    /// Entries with their proofs, sorted by index.
    pub records: Vec<Record>,
}

/// One entry under the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Where it stands.
    #[serde(with = "wire::leaf_index")]
    pub index: LeafIndex,
    /// Its exact bytes.
    #[serde(with = "wire::base64_bytes")]
    pub entry: Vec<u8>,
    /// The RFC 6962 audit path.
    #[serde(with = "wire::hashes")]
    path: Vec<Hash>,
    /// For a change of authority: a `.tlog-proof` of the entry under the quorum in force before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnessed: Option<String>,
}

/// Why bytes are not a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Not the JSON document.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Readable, but not in the one encoding.
    #[error("the bundle is not in its one encoding: compact JSON, fields in order, a final newline")]
    Encoding,
    /// No records, too many, or not sorted by index.
    #[error("a bundle has 1 to {RECORDS_MAX} records, sorted by index and unique")]
    Records,
    /// A path longer than any proof.
    #[error("an audit path has at most 63 hashes")]
    PathTooLong,
}

impl Record {
    /// A record of an entry.
    #[must_use]
    pub fn new(index: LeafIndex, entry: Vec<u8>, path: &InclusionProof, witnessed: Option<String>) -> Self {
        Self { index, entry, path: path.hashes().to_vec(), witnessed }
    }

    /// The audit path.
    ///
    /// # Panics
    /// Never: [`Self::new`] and [`ValidationBundle::parse`] refuse more hashes than a path has.
    #[must_use]
    pub fn path(&self) -> InclusionProof {
        InclusionProof::new(self.path.clone()).expect("its length was checked when the record was made")
    }
}

impl ValidationBundle {
    /// A bundle of a checkpoint and records.
    #[must_use]
    pub fn new(checkpoint: String, records: Vec<Record>) -> Self {
        Self { kind: BUNDLE_TYPE.to_string(), checkpoint, records }
    }

    /// Reads a bundle of at most 1 MiB in its one encoding.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let bundle: Self = json::parse(bytes, BUNDLE_BYTES_MAX)?;
        if bundle.kind != BUNDLE_TYPE {
            return Err(JsonError::WrongType { expected: BUNDLE_TYPE }.into());
        }
        let records = &bundle.records;
        if records.is_empty() || records.len() > RECORDS_MAX || !wire::is_sorted_unique(records.iter().map(|r| r.index))
        {
            return Err(BundleError::Records);
        }
        for record in records {
            InclusionProof::new(record.path.clone()).map_err(|_| BundleError::PathTooLong)?;
        }
        if bundle.write() != bytes {
            return Err(BundleError::Encoding);
        }
        Ok(bundle)
    }

    /// The one encoding.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        json::write_line(self)
    }
}

#[cfg(test)]
mod tests;
