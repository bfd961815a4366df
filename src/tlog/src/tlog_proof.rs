//! C2SP tlog-proof: a checkpoint and an inclusion path under it, verified offline.
//!
//! Reading a proof checks its form only; what it proves comes back from [`TlogProof::verify`]. The extra data is
//! authenticated by nothing.
//!
//! Source: <https://c2sp.org/tlog-proof>.

use alloc::format;
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::hash::{Hash, LeafHash};
use crate::policy::{Policy, PolicyError, WitnessedCheckpoint};
use crate::proof::{InclusionProof, ProofError, verify_inclusion};
use crate::size::LeafIndex;

/// The most bytes of a proof: 1 MiB.
pub const TLOG_PROOF_BYTES_MAX: usize = 1 << 20;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Why bytes are not a tlog-proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofParseError {
    /// More bytes than allowed.
    #[error("a tlog-proof has at most {TLOG_PROOF_BYTES_MAX} bytes, found {found}")]
    TooLarge {
        /// Bytes given.
        found: usize,
    },
    /// No empty line between the proof and its checkpoint, or nothing after it.
    #[error("a tlog-proof ends with an empty line and a checkpoint")]
    NoCheckpoint,
    /// Not UTF-8 before the checkpoint.
    #[error("the lines before the checkpoint are not UTF-8")]
    Characters,
    /// Another first line.
    #[error("the first line is not {HEADER}")]
    Header,
    /// An `extra` line that is not base64.
    #[error("the extra line is not standard base64")]
    Extra,
    /// No `index` line, or not a decimal without leading zeroes up to 2^63-1.
    #[error("the index line is not a decimal without leading zeroes")]
    Index,
    /// A proof line that is not a hash.
    #[error("hash {number} of the path is not 32 bytes in standard base64")]
    Hash {
        /// Counted from 1.
        number: usize,
    },
    /// More hashes than a path can have.
    #[error(transparent)]
    Path(ProofError),
}

/// Why a tlog-proof does not prove that an entry was logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// What stands in the checkpoint's place is not one.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint does not satisfy the policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The path does not lead from the entry to the checkpoint's root.
    #[error(transparent)]
    Inclusion(#[from] ProofError),
}

/// An entry's place in a log, its path and the checkpoint above it. Nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Application data that nothing authenticates.
    pub extra: Option<Vec<u8>>,
    /// The entry's place.
    pub index: LeafIndex,
    /// From the entry's sibling up.
    pub proof: InclusionProof,
    /// The checkpoint's bytes, verbatim.
    pub checkpoint: Vec<u8>,
}

impl TlogProof {
    /// Reads a proof of at most 1 MiB. The checkpoint is taken as it stands.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofParseError> {
        if bytes.len() > TLOG_PROOF_BYTES_MAX {
            return Err(TlogProofParseError::TooLarge { found: bytes.len() });
        }
        // SPEC: C2SP tlog-proof, Format: no line before the checkpoint is empty, so the first empty line ends them.
        let split = bytes.windows(2).position(|pair| pair == b"\n\n").ok_or(TlogProofParseError::NoCheckpoint)?;
        let (head, rest) = bytes.split_at(split);
        let checkpoint = rest.strip_prefix(b"\n\n").filter(|checkpoint| !checkpoint.is_empty());
        let checkpoint = checkpoint.ok_or(TlogProofParseError::NoCheckpoint)?.to_vec();

        let head = core::str::from_utf8(head).map_err(|_| TlogProofParseError::Characters)?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(TlogProofParseError::Header);
        }
        let mut line = lines.next();
        let encoded = line.and_then(|line| line.strip_prefix("extra "));
        let extra = encoded.map(|extra| STANDARD.decode(extra)).transpose().map_err(|_| TlogProofParseError::Extra)?;
        if extra.is_some() {
            line = lines.next();
        }
        let index = line.and_then(|line| line.strip_prefix("index ")).ok_or(TlogProofParseError::Index)?;
        let index = LeafIndex::parse_decimal(index).map_err(|_| TlogProofParseError::Index)?;
        let hash = |(number, line): (usize, &str)| {
            Hash::from_base64(line).map_err(|_| TlogProofParseError::Hash { number: number.saturating_add(1) })
        };
        let hashes = lines.enumerate().map(hash).collect::<Result<Vec<_>, _>>()?;
        let proof = InclusionProof::new(hashes).map_err(TlogProofParseError::Path)?;
        Ok(Self { extra, index, proof, checkpoint })
    }

    /// The proof's bytes; exactly those it was read from.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let extra = self.extra.as_ref().map(|extra| format!("extra {}\n", STANDARD.encode(extra)));
        let mut head = format!("{HEADER}\n{}index {}\n", extra.unwrap_or_default(), self.index);
        for hash in self.proof.hashes() {
            head.push_str(&hash.to_base64());
            head.push('\n');
        }
        head.push('\n');
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.checkpoint);
        bytes
    }

    /// Verifies that the policy accepts the checkpoint and that the entry stands under it at the index.
    pub fn verify(&self, policy: &Policy, leaf: LeafHash) -> Result<WitnessedCheckpoint, TlogProofError> {
        let witnessed = policy.verify(&SignedCheckpoint::parse(&self.checkpoint)?)?;
        let head = witnessed.checkpoint();
        verify_inclusion(leaf, self.index, head.size, head.root, &self.proof)?;
        Ok(witnessed)
    }
}

#[cfg(test)]
mod tests;
