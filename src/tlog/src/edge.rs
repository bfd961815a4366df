//! The right edge of a growing tree: all that appending needs.
//!
//! A tree of any size is a row of perfect subtrees, each smaller than the one before: its *peaks*, one for each set
//! bit of the size. Invariant: as many peaks as set bits.
//!
//! Source: RFC 6962 §2.1.

use alloc::vec::Vec;

use crate::hash::{Hash, LeafHash, RootHash, empty_root, node_hash};
use crate::size::{LeafIndex, TreeSize};
use crate::tree::{NodeCoord, fold_peaks, peaks_of};

/// The size of a tree and the hashes of its peaks, at most 63.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RightEdge {
    size: TreeSize,
    peaks: Vec<Hash>,
}

/// Why there is no such edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EdgeError {
    /// Not one peak for each set bit of the size.
    #[error("a tree of size {size} has {expected} peaks, found {found}")]
    PeakCount {
        /// The tree's size.
        size: TreeSize,
        /// The size's set bits.
        expected: usize,
        /// Peaks found.
        found: usize,
    },
    /// The tree has 2^63 - 1 leaves, or would have more.
    #[error("the tree has the largest size")]
    Full,
    /// A subtree that does not begin where the tree ends.
    #[error("no subtree of level {level} begins at {size} leaves")]
    Unaligned {
        /// The tree's size.
        size: TreeSize,
        /// The subtree's level.
        level: u8,
    },
}

impl RightEdge {
    /// The edge of the empty tree.
    #[must_use]
    pub const fn empty() -> Self {
        Self { size: TreeSize::ZERO, peaks: Vec::new() }
    }

    /// The edge with these peaks, largest first, at [`peak_coords`]; refuses another number of them.
    pub fn from_peaks(size: TreeSize, peaks: Vec<Hash>) -> Result<Self, EdgeError> {
        let (expected, found) = (peak_coords(size).len(), peaks.len());
        if expected != found {
            return Err(EdgeError::PeakCount { size, expected, found });
        }
        Ok(Self { size, peaks })
    }

    /// The peaks, largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// The tree's size.
    #[must_use]
    pub const fn size(&self) -> TreeSize {
        self.size
    }

    /// The tree's root.
    #[must_use]
    pub fn root(&self) -> RootHash {
        fold_peaks(&self.peaks).map_or_else(empty_root, RootHash)
    }

    /// Appends a leaf and returns its index. Calls `sink` with every node that the leaf completes, lowest first,
    /// beginning with the leaf itself at level 0.
    ///
    /// Errors: [`EdgeError::Full`], before anything changed.
    pub fn append(&mut self, leaf: LeafHash, sink: &mut impl FnMut(NodeCoord, Hash)) -> Result<LeafIndex, EdgeError> {
        let index = LeafIndex::new(self.size.get()).ok_or(EdgeError::Full)?;
        self.append_subtree(0, leaf.0, sink)?;
        Ok(index)
    }

    /// Appends a perfect subtree of 2^`level` leaves by its hash. Calls `sink` with every node that it completes, lowest
    /// first, beginning with the subtree itself.
    ///
    /// Errors: [`EdgeError::Unaligned`] unless the size is a multiple of 2^`level`, and [`EdgeError::Full`]; both before
    /// anything changed.
    pub fn append_subtree(
        &mut self,
        level: u8,
        hash: Hash,
        sink: &mut impl FnMut(NodeCoord, Hash),
    ) -> Result<(), EdgeError> {
        let leaves = 1_u64.checked_shl(u32::from(level)).ok_or(EdgeError::Full)?;
        let size = self.size.checked_add(leaves).ok_or(EdgeError::Full)?;
        if !self.size.get().is_multiple_of(leaves) {
            return Err(EdgeError::Unaligned { size: self.size, level });
        }

        let (mut node, mut hash) = (NodeCoord { level, index: self.size.get() >> level }, hash);
        sink(node, hash);
        // Each trailing one of the index is a peak to the left that this subtree completes.
        while node.index & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            node = NodeCoord { level: node.level.saturating_add(1), index: node.index >> 1 };
            sink(node, hash);
        }
        self.peaks.push(hash);
        self.size = size;
        Ok(())
    }
}

impl Default for RightEdge {
    fn default() -> Self {
        Self::empty()
    }
}

/// Where the peaks of a tree of this size are, largest first.
#[must_use]
pub fn peak_coords(size: TreeSize) -> Vec<NodeCoord> {
    peaks_of(size)
}

#[cfg(test)]
mod tests;
