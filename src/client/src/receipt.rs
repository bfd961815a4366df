//! A receipt: the proof that an entry stands in the log, verified without a network.
//!
//! It proves publication under a head that a quorum cosigned. It says nothing about what the entry means, nor whether
//! anything after it took it back.
//!
//! Source: <https://c2sp.org/tlog-proof>.

use countermark_bundle::ExitClass;
use countermark_bundle::authority::AuthorityKeysError;
use countermark_bundle::trust::TrustFile;
use countermark_tlog::checkpoint::SignedCheckpoint;
use countermark_tlog::hash::{LeafHash, leaf_hash};
use countermark_tlog::proof::{ProofError, verify_inclusion};
use countermark_tlog::size::LeafIndex;
use countermark_tlog::tlog_proof::{TlogProof, TlogProofParseError};

use crate::head::{HeadError, VerifiedHead};

/// What a receipt should be about.
#[derive(Clone, Copy, Debug)]
pub enum Logged<'a> {
    /// The exact bytes of the entry.
    Entry(&'a [u8]),
    /// Its leaf hash.
    Leaf(LeafHash),
}

impl Logged<'_> {
    /// The leaf hash.
    #[must_use]
    pub fn leaf_hash(&self) -> LeafHash {
        match self {
            Self::Entry(entry) => leaf_hash(entry),
            Self::Leaf(leaf) => *leaf,
        }
    }
}

/// A receipt that verified.
#[derive(Clone, Debug)]
pub struct VerifiedReceipt {
    /// Where the entry stands.
    pub index: LeafIndex,
    /// Its leaf hash.
    pub leaf_hash: LeafHash,
    /// The head above it.
    pub head: VerifiedHead,
}

/// Why a receipt proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// Not a receipt.
    #[error("the receipt: {0}")]
    Malformed(#[from] TlogProofParseError),
    /// The trust file's keys break a rule.
    #[error("the trust file: {0}")]
    Trust(#[from] AuthorityKeysError),
    /// The checkpoint in it is not believed.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The path does not lead from the entry to the checkpoint.
    #[error("the entry is not under the receipt's checkpoint: {0}")]
    Inclusion(#[from] ProofError),
}

impl ReceiptError {
    /// The class that a process exits with.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Malformed(_) | Self::Trust(_) => ExitClass::Malformed,
            Self::Head(error) => error.exit_class(),
            Self::Inclusion(_) => ExitClass::Proof,
        }
    }
}

/// Verifies a `.tlog-proof` of at most 1 MiB under the trust file's witness policy.
///
/// The receipt of an entry that was logged under other keys than the trust file's verifies under the trust file of its
/// time.
pub fn verify_receipt(receipt: &[u8], logged: Logged<'_>, trust: &TrustFile) -> Result<VerifiedReceipt, ReceiptError> {
    let proof = TlogProof::parse(receipt)?;
    let authority = trust.authority()?;
    let signed = SignedCheckpoint::parse(&proof.checkpoint).map_err(HeadError::Malformed)?;
    let head = VerifiedHead::verify(&signed, &trust.origin, authority.policy())?;
    let (leaf_hash, index) = (logged.leaf_hash(), proof.index);
    verify_inclusion(leaf_hash, index, head.size(), head.checkpoint().root, &proof.proof)?;
    Ok(VerifiedReceipt { index, leaf_hash, head })
}

#[cfg(test)]
mod tests;
