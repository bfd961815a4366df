//! Proofs from the log's HTTP service, each verified here under a head that was verified here.
//!
//! Who has only tiles makes proofs with [`crate::tree`].

use std::sync::Arc;

use countermark_bundle::ExitClass;
use countermark_bundle::authority::AuthorityKeysError;
use countermark_bundle::trust::TrustFile;
use countermark_tlog::hash::{LeafHash, RootHash, leaf_hash};
use countermark_tlog::proof::{ConsistencyProof, InclusionProof, ProofError, verify_consistency, verify_inclusion};
use countermark_tlog::size::{LeafIndex, TreeSize};

use crate::fetch::{FetchError, LogReader};
use crate::head::{HeadError, VerifiedHead};
use crate::tree::{TreeError, VerifiedTree};

/// Which entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// The one at an index.
    Index(LeafIndex),
    /// The one with a leaf hash.
    Leaf(LeafHash),
}

/// An inclusion proof that verified.
#[derive(Clone, Debug)]
pub struct ProvenInclusion {
    /// Where the entry stands.
    pub index: LeafIndex,
    /// Its leaf hash.
    pub leaf_hash: LeafHash,
    /// The path from the leaf to the head's root.
    pub proof: InclusionProof,
    /// The head above it.
    pub head: VerifiedHead,
}

/// A consistency proof that verified.
#[derive(Clone, Debug)]
pub struct ProvenConsistency {
    /// The smaller tree's size.
    pub from: TreeSize,
    /// Its root.
    pub from_root: RootHash,
    /// The larger tree's size.
    pub to: TreeSize,
    /// Its root.
    pub to_root: RootHash,
    /// The way from one to the other.
    pub proof: ConsistencyProof,
    /// The head that both are under.
    pub head: VerifiedHead,
}

/// Why nothing is proven.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The trust file's keys break a rule.
    #[error("the trust file: {0}")]
    Trust(#[from] AuthorityKeysError),
    /// The head is not believed.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// Proof or entry was not fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A root of an earlier size could not be made from tiles.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The larger tree is beyond the published head.
    #[error("the log has published {published} entries, asked for was {asked}")]
    BeyondHead {
        /// The head's size.
        published: TreeSize,
        /// The size or index asked for.
        asked: u64,
    },
    /// The proof does not prove it.
    #[error("the log's proof: {0}")]
    Proof(#[from] ProofError),
}

impl ProveError {
    /// The class that a process exits with.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Trust(_) => ExitClass::Malformed,
            Self::Head(error) => error.exit_class(),
            Self::Fetch(error) => error.exit_class(),
            Self::Tree(error) => error.exit_class(),
            Self::BeyondHead { .. } => ExitClass::NotChecked,
            Self::Proof(_) => ExitClass::Proof,
        }
    }
}

/// Fetches the head and the proof that an entry is under it, and verifies both. An entry that is sought by its index is
/// fetched too: its leaf hash is computed, not believed.
pub async fn prove_inclusion(
    log: &LogReader,
    trust: &TrustFile,
    sought: Sought,
) -> Result<ProvenInclusion, ProveError> {
    let head = VerifiedHead::fetch(log, &trust.origin, trust.authority()?.policy()).await?;
    let size = head.size();
    let (index, leaf_hash, proof) = match sought {
        Sought::Index(index) if !index.is_in(size) => {
            return Err(ProveError::BeyondHead { published: size, asked: index.get() });
        }
        Sought::Index(index) => {
            let leaf = leaf_hash(&log.entry(index).await?);
            (index, leaf, log.inclusion_by_index(index, size).await?.proof)
        }
        Sought::Leaf(leaf) => {
            let answer = log.inclusion_by_leaf(leaf, size).await?;
            (answer.index, leaf, answer.proof)
        }
    };
    verify_inclusion(leaf_hash, index, size, head.checkpoint().root, &proof)?;
    Ok(ProvenInclusion { index, leaf_hash, proof, head })
}

/// Fetches the head and the proof that the tree of size `from` is the beginning of the tree of size `to`, and verifies
/// both.
///
/// * `from_root`: the smaller tree's root, if the caller has kept it: that is the case in which the proof says most.
///   Otherwise it is read from the log's tiles, and what is proven is that the log agrees with itself.
/// * `to`: at most the published size, which it is if it is left out.
pub async fn prove_consistency(
    log: &LogReader,
    trust: &TrustFile,
    from: TreeSize,
    from_root: Option<RootHash>,
    to: Option<TreeSize>,
) -> Result<ProvenConsistency, ProveError> {
    let head = VerifiedHead::fetch(log, &trust.origin, trust.authority()?.policy()).await?;
    let (published, to) = (head.size(), to.unwrap_or(head.size()));
    if from > to {
        return Err(ProofError::Shrinks { from, to }.into());
    }
    if to > published {
        return Err(ProveError::BeyondHead { published, asked: to.get() });
    }
    let tree = VerifiedTree::open(Arc::new(log.clone()), head.checkpoint()).await?;
    let to_root = tree.root_at(to).await?;
    let from_root = match from_root {
        Some(root) => root,
        None => tree.root_at(from).await?,
    };
    let proof = log.consistency(from, to).await?.proof;
    verify_consistency(from, from_root, to, to_root, &proof)?;
    Ok(ProvenConsistency { from, from_root, to, to_root, proof, head })
}

#[cfg(test)]
mod tests;
