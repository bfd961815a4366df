//! Inclusion and consistency proofs and their verification.
//!
//! A proof alone says nothing; it is verified against roots that came from elsewhere (a checkpoint). Verification
//! walks the path from the leaf to the root, never recurses, and refuses a path that is one hash short or long.
//!
//! Source: RFC 6962 §2.1.1 and §2.1.2; the verification is RFC 9162 §2.1.3.2 and §2.1.4.2.

use alloc::vec::Vec;

use crate::hash::{Hash, LeafHash, RootHash, empty_root, node_hash};
use crate::size::{LeafIndex, TreeSize};

/// The most hashes of a proof: a tree of 2^63 - 1 leaves is 63 levels high.
pub const PROOF_HASHES_MAX: usize = 63;

/// The siblings on the way from a leaf to the root, lowest first; at most 63.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InclusionProof(Vec<Hash>);

impl InclusionProof {
    /// Takes the hashes; refuses more than 63 with [`ProofError::TooManyHashes`].
    pub fn new(hashes: Vec<Hash>) -> Result<Self, ProofError> {
        checked_length(hashes).map(Self)
    }

    /// The hashes, lowest first.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.0
    }
}

/// The hashes that lead from a tree to a larger one, in the order of RFC 6962 §2.1.2; at most 63.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsistencyProof(Vec<Hash>);

impl ConsistencyProof {
    /// Takes the hashes; refuses more than 63 with [`ProofError::TooManyHashes`].
    pub fn new(hashes: Vec<Hash>) -> Result<Self, ProofError> {
        checked_length(hashes).map(Self)
    }

    /// The hashes, in the order of RFC 6962 §2.1.2.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.0
    }
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// More hashes than the highest tree has levels.
    #[error("a proof has at most 63 hashes, found {found}")]
    TooManyHashes {
        /// Hashes found.
        found: usize,
    },
    /// The tree is too small to have the leaf.
    #[error("leaf {index} is not in a tree of size {size}")]
    IndexOutsideTree {
        /// The leaf.
        index: LeafIndex,
        /// The tree's size.
        size: TreeSize,
    },
    /// The tree shrinks.
    #[error("a tree of size {from} is not the beginning of one of size {to}")]
    Shrinks {
        /// The size that should be the smaller.
        from: TreeSize,
        /// The size that should be the larger.
        to: TreeSize,
    },
    /// The path ends before the root.
    #[error("the proof is too short: {found} hashes")]
    TooShort {
        /// Hashes found.
        found: usize,
    },
    /// The path goes on after the root.
    #[error("the proof is too long: {found} hashes")]
    TooLong {
        /// Hashes found.
        found: usize,
    },
    /// The path leads to another root; for a consistency proof, another root of the larger tree.
    #[error("the proof leads to the root {found}, expected {expected}")]
    RootMismatch {
        /// The root that was to be proved.
        expected: RootHash,
        /// The root that the proof leads to.
        found: RootHash,
    },
    /// The consistency proof starts from another smaller tree.
    #[error("the proof starts from the root {found}, expected {expected}")]
    FromRootMismatch {
        /// The root of the smaller tree.
        expected: RootHash,
        /// The root that the proof starts from.
        found: RootHash,
    },
}

/// Checks that the tree with this size and root has the leaf at the index.
pub fn verify_inclusion(
    leaf: LeafHash,
    index: LeafIndex,
    size: TreeSize,
    root: RootHash,
    proof: &InclusionProof,
) -> Result<(), ProofError> {
    let found = root_from_inclusion(leaf, index, size, proof)?;
    if found == root { Ok(()) } else { Err(ProofError::RootMismatch { expected: root, found }) }
}

/// The root to which the proof leads from the leaf; the caller compares it with a root that it trusts.
///
/// Errors: [`ProofError::IndexOutsideTree`], [`ProofError::TooShort`], [`ProofError::TooLong`].
pub fn root_from_inclusion(
    leaf: LeafHash,
    index: LeafIndex,
    size: TreeSize,
    proof: &InclusionProof,
) -> Result<RootHash, ProofError> {
    let found = proof.0.len();
    if !index.is_in(size) {
        return Err(ProofError::IndexOutsideTree { index, size });
    }
    // SPEC: RFC 9162 §2.1.3.2, steps 2 to 5.
    let mut climb = Climb { node: index.get(), last: size.get().saturating_sub(1) };
    let mut hash = leaf.0;
    for sibling in &proof.0 {
        hash = match climb.step() {
            None => return Err(ProofError::TooLong { found }),
            Some(Side::Left) => node_hash(sibling, &hash),
            Some(Side::Right) => node_hash(&hash, sibling),
        };
    }
    if climb.is_at_root() { Ok(RootHash(hash)) } else { Err(ProofError::TooShort { found }) }
}

/// Checks that the smaller tree is the beginning of the larger one.
///
/// From size 0 the proof is empty and `from_root` the empty tree's root: every tree begins so, and `to_root` is *not*
/// vouched for. Between equal sizes the proof is empty and the roots are equal.
pub fn verify_consistency(
    from: TreeSize,
    from_root: RootHash,
    to: TreeSize,
    to_root: RootHash,
    proof: &ConsistencyProof,
) -> Result<(), ProofError> {
    let empty = (from == TreeSize::ZERO).then(empty_root);
    if let Some(found) = empty.filter(|found| *found != from_root) {
        return Err(ProofError::FromRootMismatch { expected: from_root, found });
    }
    let (found_from, found_to) = if from == TreeSize::ZERO && to > from {
        if !proof.0.is_empty() {
            return Err(ProofError::TooLong { found: proof.0.len() });
        }
        (from_root, to_root)
    } else {
        roots_from_consistency(from, from_root, to, proof)?
    };
    if found_from != from_root {
        return Err(ProofError::FromRootMismatch { expected: from_root, found: found_from });
    }
    if found_to != to_root {
        return Err(ProofError::RootMismatch { expected: to_root, found: found_to });
    }
    Ok(())
}

/// The roots of the smaller and of the larger tree to which the proof leads.
///
/// `from_root` is used only where RFC 6962 leaves it out of the proof: where `from` is a power of two or equals `to`.
/// It is then the first root of the answer.
///
/// Errors: [`ProofError::Shrinks`], [`ProofError::TooShort`] (also from size 0 to a larger one, where a proof cannot
/// say anything), [`ProofError::TooLong`].
pub fn roots_from_consistency(
    from: TreeSize,
    from_root: RootHash,
    to: TreeSize,
    proof: &ConsistencyProof,
) -> Result<(RootHash, RootHash), ProofError> {
    let found = proof.0.len();
    if from > to {
        return Err(ProofError::Shrinks { from, to });
    }
    if from == to {
        return if found == 0 { Ok((from_root, from_root)) } else { Err(ProofError::TooLong { found }) };
    }
    let Some(from_last) = from.get().checked_sub(1) else {
        return Err(ProofError::TooShort { found });
    };
    // SPEC: RFC 9162 §2.1.4.2, steps 2 to 6.
    let (start, rest) = if from.get().is_power_of_two() {
        (from_root.0, proof.0.as_slice())
    } else {
        let (first, rest) = proof.0.split_first().ok_or(ProofError::TooShort { found })?;
        (*first, rest)
    };
    let mut climb = Climb { node: from_last, last: to.get().saturating_sub(1) };
    climb.skip_right_children();
    let (mut from_hash, mut to_hash) = (start, start);
    for sibling in rest {
        match climb.step() {
            None => return Err(ProofError::TooLong { found }),
            Some(Side::Left) => {
                from_hash = node_hash(sibling, &from_hash);
                to_hash = node_hash(sibling, &to_hash);
            }
            Some(Side::Right) => to_hash = node_hash(&to_hash, sibling),
        }
    }
    if climb.is_at_root() { Ok((RootHash(from_hash), RootHash(to_hash))) } else { Err(ProofError::TooShort { found }) }
}

/// On which side of the path the next hash of a proof stands.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// The way from a node to the root: the node's index on its level and the index of that level's last node (`fn` and
/// `sn` in RFC 9162).
#[derive(Clone, Copy)]
struct Climb {
    node: u64,
    last: u64,
}

impl Climb {
    /// Goes to the parent; `None` when there is none.
    fn step(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let is_right_child = self.node & 1 == 1;
        let side = if is_right_child || self.node == self.last {
            if !is_right_child {
                // The last node of its level has no sibling there and moves up as it is.
                self.up(self.node.trailing_zeros());
            }
            Side::Left
        } else {
            Side::Right
        };
        self.up(1);
        Some(side)
    }

    /// Goes up while the node is a right child: the smaller tree's last perfect subtree.
    fn skip_right_children(&mut self) {
        self.up(self.node.trailing_ones());
    }

    fn is_at_root(self) -> bool {
        self.last == 0
    }

    fn up(&mut self, levels: u32) {
        self.node = self.node.checked_shr(levels).unwrap_or(0);
        self.last = self.last.checked_shr(levels).unwrap_or(0);
    }
}

fn checked_length(hashes: Vec<Hash>) -> Result<Vec<Hash>, ProofError> {
    if hashes.len() > PROOF_HASHES_MAX {
        return Err(ProofError::TooManyHashes { found: hashes.len() });
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests;
