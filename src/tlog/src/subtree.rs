//! Subtrees: ranges of leaves whose root can be signed and shown to be a part of a larger tree.
//!
//! A subtree begins at a multiple of the least power of two that is not below its number of leaves, so that everything
//! in it but its ragged right edge is a node of the whole tree. Its root is the RFC 6962 root over its own leaves. The
//! proof says that these leaves stand at these places of the larger tree; from 0 on it is a consistency proof.
//!
//! Source: draft-ietf-plants-merkle-tree-certs-03 §4.1 (subtrees), §4.4 (consistency proofs of subtrees).

use core::fmt;

use crate::hash::{Hash, RootHash, node_hash};
use crate::proof::{ConsistencyProof, ProofError};
use crate::size::{SIZE_MAX, TreeSize};

/// The leaves from `start` on and before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subtree {
    start: u64,
    end: u64,
}

/// Why a range of leaves is no subtree, or a proof does not show one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubtreeError {
    /// Nothing in the range, or it ends above 2^63 - 1.
    #[error("a subtree begins before it ends, and ends at most at 2^63-1: {start} to {end}")]
    Range {
        /// The first leaf.
        start: u64,
        /// The leaf after the last.
        end: u64,
    },
    /// The range is not aligned.
    #[error("a subtree of the leaves {start} to {end} must begin at a multiple of {align}")]
    Unaligned {
        /// The first leaf.
        start: u64,
        /// The leaf after the last.
        end: u64,
        /// The least power of two that is not below the number of leaves.
        align: u64,
    },
    /// The tree ends before the subtree.
    #[error("the subtree ends at {end}, the tree has {size} leaves")]
    OutsideTree {
        /// The leaf after the last.
        end: u64,
        /// The tree's size.
        size: TreeSize,
    },
    /// The proof does not lead to both roots.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The proof starts from another subtree.
    #[error("the proof starts from the subtree root {found}, expected {expected}")]
    RootMismatch {
        /// The root of the subtree.
        expected: Hash,
        /// The root that the proof starts from.
        found: Hash,
    },
}

impl Subtree {
    /// Takes a range of at least one leaf that is aligned as a subtree must be.
    pub fn new(start: u64, end: u64) -> Result<Self, SubtreeError> {
        if start >= end || end > SIZE_MAX {
            return Err(SubtreeError::Range { start, end });
        }
        // SPEC: draft-ietf-plants-merkle-tree-certs-03 §4.1: BIT_CEIL(end - start); below 2^63, so there is a next power.
        let align = end.saturating_sub(start).next_power_of_two();
        if start.checked_rem(align) == Some(0) {
            Ok(Self { start, end })
        } else {
            Err(SubtreeError::Unaligned { start, end, align })
        }
    }

    /// The whole tree, also the empty one.
    #[must_use]
    pub const fn whole(size: TreeSize) -> Self {
        Self { start: 0, end: size.get() }
    }

    /// The first leaf.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.start
    }

    /// The leaf after the last.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.end
    }

    /// Checks that the leaves of this subtree stand at these places of the tree with this size and root.
    ///
    /// At most 63 hashes; a proof that is one hash short or long is refused.
    pub fn verify_consistency(
        self,
        root: Hash,
        size: TreeSize,
        tree_root: RootHash,
        proof: &ConsistencyProof,
    ) -> Result<(), SubtreeError> {
        if self.start >= self.end || self.end > size.get() {
            return Err(SubtreeError::OutsideTree { end: self.end, size });
        }
        let (found, found_tree) = self.roots(root, size, proof.hashes())?;
        if found != root {
            return Err(SubtreeError::RootMismatch { expected: root, found });
        }
        if found_tree != tree_root {
            return Err(ProofError::RootMismatch { expected: tree_root, found: found_tree }.into());
        }
        Ok(())
    }

    /// The roots of the subtree and of the tree to which the hashes lead.
    fn roots(self, root: Hash, size: TreeSize, hashes: &[Hash]) -> Result<(Hash, RootHash), ProofError> {
        let count = hashes.len();
        let too_long = ProofError::TooLong { found: count };
        let too_short = ProofError::TooShort { found: count };
        // SPEC: draft-ietf-plants-merkle-tree-certs-03 §4.4.3: fn, sn, tn.
        let mut climb =
            Climb { first: self.start, last: self.end.saturating_sub(1), tree_last: size.get().saturating_sub(1) };
        climb.skip_complete();
        let (start, rest) = if climb.first == climb.last {
            // The subtree is a node of the tree: its root is where the way up begins.
            (root, hashes)
        } else {
            let (first, rest) = hashes.split_first().ok_or(too_short)?;
            (*first, rest)
        };
        let (mut subtree_hash, mut tree_hash) = (start, start);
        for sibling in rest {
            match climb.step() {
                Step::Above => return Err(too_long),
                Step::LeftInside => {
                    subtree_hash = node_hash(sibling, &subtree_hash);
                    tree_hash = node_hash(sibling, &tree_hash);
                }
                Step::LeftOutside => tree_hash = node_hash(sibling, &tree_hash),
                Step::Right => tree_hash = node_hash(&tree_hash, sibling),
            }
        }
        if climb.tree_last == 0 { Ok((subtree_hash, RootHash(tree_hash))) } else { Err(too_short) }
    }
}

impl fmt::Display for Subtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.start, self.end)
    }
}

/// Where the next hash of a proof stands.
enum Step {
    /// There is none: the way is at the root.
    Above,
    /// To the left, inside of the subtree.
    LeftInside,
    /// To the left, before the subtree.
    LeftOutside,
    /// To the right.
    Right,
}

/// The indexes, on one level, of the subtree's first node, of its last, and of the tree's last.
struct Climb {
    first: u64,
    last: u64,
    tree_last: u64,
}

impl Climb {
    /// Goes up to the highest node that ends where the subtree ends, in the tree as in the subtree.
    fn skip_complete(&mut self) {
        let ends_with_the_tree = self.last == self.tree_last;
        while self.first != self.last && (ends_with_the_tree || self.last & 1 == 1) {
            self.up();
        }
    }

    fn step(&mut self) -> Step {
        if self.tree_last == 0 {
            return Step::Above;
        }
        let step = if self.last & 1 == 1 || self.last == self.tree_last {
            let step = if self.first < self.last { Step::LeftInside } else { Step::LeftOutside };
            // The last node of its level has no sibling where it is a left child, and moves up as it is.
            while self.last & 1 == 0 {
                self.up();
            }
            step
        } else {
            Step::Right
        };
        self.up();
        step
    }

    fn up(&mut self) {
        self.first >>= 1;
        self.last >>= 1;
        self.tree_last >>= 1;
    }
}

#[cfg(test)]
mod tests;
