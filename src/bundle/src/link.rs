//! The consistency link from a client's floor to a bundle's checkpoint: proof that what the client saw is a prefix.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use countermark_tlog::hash::Hash;
use countermark_tlog::proof::ConsistencyProof;
use countermark_tlog::size::TreeSize;
use serde::{Deserialize, Serialize};

use crate::json::{self, JsonError};
use crate::wire;

/// The document's `type`.
pub const LINK_TYPE: &str = "countermark/consistency-link/v1";
/// The most bytes of a link: 63 hashes fit well.
pub const LINK_BYTES_MAX: usize = 8 * 1024;

/// An RFC 6962 consistency proof and the sizes it is between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyLink {
    #[serde(rename = "type")]
    kind: String,
    /// The floor's size.
    #[serde(with = "wire::tree_size")]
    pub from: TreeSize,
    /// The checkpoint's size.
    #[serde(with = "wire::tree_size")]
    pub to: TreeSize,
    #[serde(with = "wire::hashes")]
    proof: Vec<Hash>,
}

/// Why bytes are not a link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Not the JSON document.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// More hashes than any proof has.
    #[error("a consistency proof has at most 63 hashes")]
    TooLong,
}

impl ConsistencyLink {
    /// A link from one size to another.
    #[must_use]
    pub fn new(from: TreeSize, to: TreeSize, proof: &ConsistencyProof) -> Self {
        Self { kind: LINK_TYPE.to_string(), from, to, proof: proof.hashes().to_vec() }
    }

    /// Reads a link.
    pub fn parse(bytes: &[u8]) -> Result<Self, LinkError> {
        let link: Self = json::parse(bytes, LINK_BYTES_MAX)?;
        if link.kind != LINK_TYPE {
            return Err(JsonError::WrongType { expected: LINK_TYPE }.into());
        }
        ConsistencyProof::new(link.proof.clone()).map_err(|_| LinkError::TooLong)?;
        Ok(link)
    }

    /// The bytes that we write.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        json::write_line(self)
    }

    /// The proof.
    ///
    /// # Panics
    /// Never: [`Self::new`] and [`Self::parse`] refuse more hashes than a proof has.
    #[must_use]
    pub fn proof(&self) -> ConsistencyProof {
        ConsistencyProof::new(self.proof.clone()).expect("its length was checked when the link was made")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn a_link_is_read_as_written_and_bounded() {
        let size = |n| TreeSize::new(n).unwrap();
        let link = ConsistencyLink::new(size(3), size(7), &ConsistencyProof::new(vec![Hash([7; 32]); 2]).unwrap());
        assert_eq!(ConsistencyLink::parse(&link.write()).unwrap(), link);
        let text = String::from_utf8(link.write()).unwrap();
        assert!(matches!(
            ConsistencyLink::parse(text.replace(LINK_TYPE, "other").as_bytes()),
            Err(LinkError::Json(JsonError::WrongType { .. }))
        ));
        let hash = Hash([7; 32]).to_base64();
        let long = text.replacen(&hash, &[hash.as_str(); 63].join("\",\""), 1);
        assert!(matches!(ConsistencyLink::parse(long.as_bytes()), Err(LinkError::TooLong)));
        assert!(matches!(ConsistencyLink::parse(&[b' '; LINK_BYTES_MAX + 1]), Err(LinkError::Json(_))));
    }
}
