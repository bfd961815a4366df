//! Strict JSON: the size is looked at before parsing, unknown and duplicate fields are refused (every document type
//! denies them), nothing may follow the value, and integers stop at 2^53−1.

use alloc::vec::Vec;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest integer in any document: 2^53−1, the largest that every JSON reader keeps exactly (RFC 8259 §6).
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why bytes are not a document.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Larger than the format allows; nothing was parsed.
    #[error("the document has {found} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Bytes given.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not JSON, or not this document.
    #[error("not the expected JSON document: {0}")]
    Invalid(#[source] serde_json::Error),
    /// The document is another one, or of another version.
    #[error("the document's type is not {expected:?}")]
    WrongType {
        /// The type that was expected.
        expected: &'static str,
    },
}

/// Parses one document of at most `bytes_max` bytes.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Result<T, JsonError> {
    if bytes.len() > bytes_max {
        return Err(JsonError::TooLarge { found: bytes.len(), limit: bytes_max });
    }
    serde_json::from_slice(bytes).map_err(JsonError::Invalid)
}

/// Compact JSON and a final newline: the one encoding of everything that is written by us on one line.
pub(crate) fn write_line<T: Serialize>(document: &T) -> Vec<u8> {
    let mut bytes =
        serde_json::to_vec(document).expect("our documents have string keys only, so they always serialise");
    bytes.push(b'\n');
    bytes
}

/// Indented JSON and a final newline: the one encoding of documents that people read, as the trust file.
pub(crate) fn write_indented<T: Serialize>(document: &T) -> Vec<u8> {
    let mut bytes =
        serde_json::to_vec_pretty(document).expect("our documents have string keys only, so they always serialise");
    bytes.push(b'\n');
    bytes
}
