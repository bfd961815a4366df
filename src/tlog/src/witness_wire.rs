//! C2SP tlog-witness: the bodies of `add-checkpoint` and `sign-subtree`, and the path of a log's newest cosigned checkpoint.
//!
//! This is form only: nothing here verifies a signature or a proof.
//!
//! Source: <https://c2sp.org/tlog-witness>.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use sha2::{Digest as _, Sha256};

use crate::checkpoint::{CheckpointError, Origin};
use crate::hash::Hash;
use crate::note::{NoteError, NoteSignature, SIGNATURES_MAX};
use crate::proof::{ConsistencyProof, ProofError};
use crate::size::TreeSize;

mod sign_subtree;

pub use sign_subtree::{SUBTREE_SIGNATURES_MAX, SignSubtreeRequest};

/// The most bytes of a request: 64 KiB.
pub const ADD_CHECKPOINT_BYTES_MAX: usize = 1 << 16;
/// The most bytes of a response that carries cosignatures: 64 KiB.
pub const COSIGNATURES_BYTES_MAX: usize = 1 << 16;
/// The `Content-Type` of a 409 response that carries a size.
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// Why bytes are no body of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessWireError {
    /// More bytes than allowed.
    #[error("{found} bytes, at most {max} are allowed")]
    TooLarge {
        /// Bytes given.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// A line without its newline, or no lines.
    #[error("every line must end with a newline")]
    Newline,
    /// No empty line between the proof and the checkpoint, or nothing after it.
    #[error("an empty line and a checkpoint must follow the proof")]
    NoCheckpoint,
    /// Not UTF-8 where text is due.
    #[error("not UTF-8")]
    Characters,
    /// The first line is not `old` and a size.
    #[error("the first line must be `old`, a space and a decimal without leading zeroes")]
    OldSize,
    /// A proof line that is not a hash.
    #[error("hash {number} of the proof is not 32 bytes in standard base64")]
    Hash {
        /// Counted from 1.
        number: usize,
    },
    /// More than 63 proof lines.
    #[error(transparent)]
    Proof(ProofError),
    /// The first line is not `subtree` and two decimals.
    #[error("the first line must be `subtree`, a space, the first leaf, a space and the leaf after the last")]
    SubtreeRange,
    /// The second line is not a hash.
    #[error("the second line must be the root of the subtree: 32 bytes in standard base64")]
    SubtreeHash,
    /// What follows the proof is no checkpoint, with signatures or without.
    #[error("the reference checkpoint: {0}")]
    Checkpoint(CheckpointError),
    /// A conflict body that is not a size and a newline.
    #[error("the body must be a decimal without leading zeroes and a newline")]
    ConflictSize,
    /// A signature line that is not one.
    #[error("line {number} is no signature line")]
    SignatureLine {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        source: NoteError,
    },
    /// More signature lines than allowed.
    #[error("{found} signature lines, at most {max} are allowed")]
    TooManySignatures {
        /// Lines given.
        found: usize,
        /// The limit.
        max: usize,
    },
}

/// The body of `POST add-checkpoint`. Nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpointRequest {
    /// The size that the client believes the witness has.
    pub old: TreeSize,
    /// From there to the checkpoint.
    pub proof: ConsistencyProof,
    /// The checkpoint's bytes, verbatim.
    pub checkpoint: Vec<u8>,
}

impl AddCheckpointRequest {
    /// Reads a request of at most 64 KiB. The checkpoint is taken as it stands.
    pub fn parse(bytes: &[u8]) -> Result<Self, WitnessWireError> {
        check_lines(bytes, ADD_CHECKPOINT_BYTES_MAX)?;
        // SPEC: C2SP tlog-witness, add-checkpoint: old size line, proof lines, an empty line, a checkpoint.
        let split = bytes.windows(2).position(|pair| pair == b"\n\n").ok_or(WitnessWireError::NoCheckpoint)?;
        let (head, rest) = bytes.split_at(split);
        let checkpoint = rest.strip_prefix(b"\n\n").filter(|checkpoint| !checkpoint.is_empty());
        let checkpoint = checkpoint.ok_or(WitnessWireError::NoCheckpoint)?.to_vec();

        let head = core::str::from_utf8(head).map_err(|_| WitnessWireError::Characters)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(WitnessWireError::OldSize)?;
        let old = TreeSize::parse_decimal(old).map_err(|_| WitnessWireError::OldSize)?;
        let hash = |(number, line): (usize, &str)| {
            Hash::from_base64(line).map_err(|_| WitnessWireError::Hash { number: number.saturating_add(1) })
        };
        let hashes = lines.enumerate().map(hash).collect::<Result<Vec<_>, _>>()?;
        let proof = ConsistencyProof::new(hashes).map_err(WitnessWireError::Proof)?;
        Ok(Self { old, proof, checkpoint })
    }

    /// The request's bytes; exactly those it was read from.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("old {}\n", self.old);
        for hash in self.proof.hashes() {
            head.push_str(&hash.to_base64());
            head.push('\n');
        }
        head.push('\n');
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.checkpoint);
        bytes
    }
}

/// The body of a 409 response: the size of the newest checkpoint that the witness cosigned.
#[must_use]
pub fn conflict_body(size: TreeSize) -> String {
    format!("{size}\n")
}

/// Reads the body of a 409 response.
pub fn parse_conflict_body(body: &str) -> Result<TreeSize, WitnessWireError> {
    let size = body.strip_suffix('\n').ok_or(WitnessWireError::ConflictSize)?;
    TreeSize::parse_decimal(size).map_err(|_| WitnessWireError::ConflictSize)
}

/// Reads the body of a 200 response: one or more signature lines, at most 64 KiB.
pub fn parse_cosignature_lines(bytes: &[u8]) -> Result<Vec<NoteSignature>, WitnessWireError> {
    check_lines(bytes, COSIGNATURES_BYTES_MAX)?;
    let text = core::str::from_utf8(bytes).map_err(|_| WitnessWireError::Characters)?;
    let text = text.strip_suffix('\n').ok_or(WitnessWireError::Newline)?;
    let found = text.split('\n').count();
    if found > SIGNATURES_MAX {
        return Err(WitnessWireError::TooManySignatures { found, max: SIGNATURES_MAX });
    }
    let line = |(number, line): (usize, &str)| {
        let number = number.saturating_add(1);
        NoteSignature::parse_line(line).map_err(|source| WitnessWireError::SignatureLine { number, source })
    };
    text.split('\n').enumerate().map(line).collect()
}

/// The path below the monitoring prefix where a log's newest cosigned checkpoint is served.
#[must_use]
pub fn monitoring_path(origin: &Origin) -> String {
    format!("{}/checkpoint", hex::encode(Sha256::digest(origin.as_str())))
}

fn check_lines(bytes: &[u8], max: usize) -> Result<(), WitnessWireError> {
    if bytes.len() > max {
        return Err(WitnessWireError::TooLarge { found: bytes.len(), max });
    }
    if bytes.ends_with(b"\n") { Ok(()) } else { Err(WitnessWireError::Newline) }
}

#[cfg(test)]
mod tests;
