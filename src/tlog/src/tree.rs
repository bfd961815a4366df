//! Which nodes of a tree make a root or a proof, and their reading from any store.
//!
//! A plan names only perfect subtrees, whose hashes never change while the log grows; so a store keeps exactly those
//! and any size at or below its own can be planned. Planning knows no hashes and a plan's result is not verified.
//!
//! Source: RFC 6962 §2.1.

use alloc::vec::Vec;

use crate::hash::{Hash, RootHash, empty_root, node_hash};
use crate::proof::{ConsistencyProof, InclusionProof};
use crate::size::{LeafIndex, TreeSize};

/// A perfect subtree of 2^`level` leaves, whose leftmost leaf is `index` * 2^`level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeCoord {
    /// The height above the leaves, 0 to 62.
    pub level: u8,
    /// The position among the nodes of its level, from the left.
    pub index: u64,
}

impl NodeCoord {
    /// The number of leaves up to the end of this subtree: the least tree size that has the node. `None` when no tree
    /// has it.
    #[must_use]
    pub fn end(self) -> Option<TreeSize> {
        let width = 1_u64.checked_shl(u32::from(self.level))?;
        self.index.checked_add(1)?.checked_mul(width).and_then(TreeSize::new)
    }
}

/// A store of the hashes of perfect subtrees.
pub trait HashReader {
    /// Why a hash could not be read.
    type Error;

    /// The hashes of the nodes, in the order asked, exactly as many.
    fn read(&self, nodes: &[NodeCoord]) -> Result<Vec<Hash>, Self::Error>;
}

/// Why there is no plan, or no result of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
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
    /// Not one hash for each node of the plan.
    #[error("the plan has {expected} nodes, found {found} hashes")]
    HashCount {
        /// Nodes of the plan.
        expected: usize,
        /// Hashes found.
        found: usize,
    },
    /// A proof of more than 63 hashes, which only trees above 2^62 leaves can need.
    #[error("a proof has at most 63 hashes, this one {found}")]
    TooManyHashes {
        /// Hashes of the proof.
        found: usize,
    },
}

/// The nodes of an inclusion proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionPlan(Plan);

impl InclusionPlan {
    /// Plans the proof that a tree of this size has the leaf; refuses a leaf outside with
    /// [`PlanError::IndexOutsideTree`].
    pub fn new(index: LeafIndex, size: TreeSize) -> Result<Self, PlanError> {
        if !index.is_in(size) {
            return Err(PlanError::IndexOutsideTree { index, size });
        }
        // SPEC: RFC 6962 §2.1.1, PATH, from the root down; a proof is written from the leaf up.
        let leaf = index.get();
        let mut span = Span { start: 0, end: size.get() };
        let mut siblings = Vec::new();
        while let Some((left, right)) = span.split() {
            let (inside, sibling) = if leaf < right.start { (left, right) } else { (right, left) };
            siblings.push(sibling);
            span = inside;
        }
        Ok(Self(Plan::of(siblings.into_iter().rev())))
    }

    /// The nodes to read.
    #[must_use]
    pub fn nodes(&self) -> &[NodeCoord] {
        &self.0.nodes
    }

    /// The proof, from the hashes of the nodes in the same order.
    pub fn assemble(&self, hashes: Vec<Hash>) -> Result<InclusionProof, PlanError> {
        let hashes = self.0.assemble(hashes)?;
        let found = hashes.len();
        InclusionProof::new(hashes).map_err(|_| PlanError::TooManyHashes { found })
    }
}

/// The nodes of a consistency proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyPlan(Plan);

impl ConsistencyPlan {
    /// Plans the proof that the tree of size `from` is the beginning of the one of size `to`; refuses `from` above
    /// `to` with [`PlanError::Shrinks`]. From 0 and between equal sizes the proof is empty.
    pub fn new(from: TreeSize, to: TreeSize) -> Result<Self, PlanError> {
        if from > to {
            return Err(PlanError::Shrinks { from, to });
        }
        // SPEC: RFC 6962 §2.1.2, SUBPROOF, from the root down; a proof is written from the bottom up.
        let mut span = Span { start: 0, end: to.get() };
        let mut parts = Vec::new();
        if from != TreeSize::ZERO {
            while span.end != from.get() {
                let Some((left, right)) = span.split() else { break };
                let (inside, other) = if from.get() <= right.start { (left, right) } else { (right, left) };
                parts.push(other);
                span = inside;
            }
            // The verifier knows the root of D[0:from]; another last subtree of the smaller tree it does not.
            if span.start != 0 {
                parts.push(span);
            }
        }
        Ok(Self(Plan::of(parts.into_iter().rev())))
    }

    /// The nodes to read.
    #[must_use]
    pub fn nodes(&self) -> &[NodeCoord] {
        &self.0.nodes
    }

    /// The proof, from the hashes of the nodes in the same order.
    pub fn assemble(&self, hashes: Vec<Hash>) -> Result<ConsistencyProof, PlanError> {
        let hashes = self.0.assemble(hashes)?;
        let found = hashes.len();
        ConsistencyProof::new(hashes).map_err(|_| PlanError::TooManyHashes { found })
    }
}

/// The nodes of a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootPlan(Plan);

impl RootPlan {
    /// Plans the root of the tree of this size. No size is refused; the `Result` is that of the other plans.
    pub fn new(size: TreeSize) -> Result<Self, PlanError> {
        Ok(Self(Plan::of(core::iter::once(Span { start: 0, end: size.get() }))))
    }

    /// The nodes to read: the peaks, largest first; none for the empty tree.
    #[must_use]
    pub fn nodes(&self) -> &[NodeCoord] {
        &self.0.nodes
    }

    /// The root, from the hashes of the nodes in the same order.
    pub fn assemble(&self, hashes: Vec<Hash>) -> Result<RootHash, PlanError> {
        Ok(self.0.assemble(hashes)?.first().map_or_else(empty_root, |root| RootHash(*root)))
    }
}

/// Why a root or proof was not made from a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProveError<E> {
    /// What was asked has no plan, or the store answered with another number of hashes.
    #[error("{0}")]
    Plan(PlanError),
    /// The store failed.
    #[error("the tree's hashes could not be read: {0}")]
    Read(E),
}

/// Reads the root of the tree of this size.
pub fn root<R: HashReader + ?Sized>(size: TreeSize, reader: &R) -> Result<RootHash, ProveError<R::Error>> {
    let plan = RootPlan::new(size).map_err(ProveError::Plan)?;
    let hashes = reader.read(plan.nodes()).map_err(ProveError::Read)?;
    plan.assemble(hashes).map_err(ProveError::Plan)
}

/// Reads the proof that the tree of this size has the leaf.
pub fn prove_inclusion<R: HashReader + ?Sized>(
    index: LeafIndex,
    size: TreeSize,
    reader: &R,
) -> Result<InclusionProof, ProveError<R::Error>> {
    let plan = InclusionPlan::new(index, size).map_err(ProveError::Plan)?;
    let hashes = reader.read(plan.nodes()).map_err(ProveError::Read)?;
    plan.assemble(hashes).map_err(ProveError::Plan)
}

/// Reads the proof that the tree of size `from` is the beginning of the one of size `to`.
pub fn prove_consistency<R: HashReader + ?Sized>(
    from: TreeSize,
    to: TreeSize,
    reader: &R,
) -> Result<ConsistencyProof, ProveError<R::Error>> {
    let plan = ConsistencyPlan::new(from, to).map_err(ProveError::Plan)?;
    let hashes = reader.read(plan.nodes()).map_err(ProveError::Read)?;
    plan.assemble(hashes).map_err(ProveError::Plan)
}

/// The hash over subtrees that stand side by side, each smaller than the one before: a tree's peaks.
pub(crate) fn fold_peaks(peaks: &[Hash]) -> Option<Hash> {
    peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right))
}

/// The nodes of several hashes in a row, each the fold of a run of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    nodes: Vec<NodeCoord>,
    /// How many nodes each hash of the result is folded from.
    runs: Vec<usize>,
}

impl Plan {
    fn of(spans: impl Iterator<Item = Span>) -> Self {
        let mut plan = Self { nodes: Vec::new(), runs: Vec::new() };
        for span in spans {
            let peaks = span.peaks();
            plan.runs.push(peaks.len());
            plan.nodes.extend(peaks);
        }
        plan
    }

    fn assemble(&self, hashes: Vec<Hash>) -> Result<Vec<Hash>, PlanError> {
        let (expected, found) = (self.nodes.len(), hashes.len());
        if expected != found {
            return Err(PlanError::HashCount { expected, found });
        }
        let mut rest = hashes.into_iter();
        let mut result = Vec::with_capacity(self.runs.len());
        for run in &self.runs {
            let peaks: Vec<Hash> = rest.by_ref().take(*run).collect();
            // Only the empty tree's run is empty; its root is the caller's to name.
            result.extend(fold_peaks(&peaks));
        }
        Ok(result)
    }
}

/// The leaves from `start` up to `end`, where `start` is a multiple of the power of two that covers them.
#[derive(Clone, Copy)]
struct Span {
    start: u64,
    end: u64,
}

impl Span {
    /// The two children in RFC 6962's tree; `None` for a single leaf or none.
    fn split(self) -> Option<(Self, Self)> {
        // SPEC: RFC 6962 §2.1: k is the largest power of two smaller than n.
        let last = self.end.checked_sub(self.start)?.checked_sub(1)?;
        let half = 1_u64.checked_shl(last.checked_ilog2()?)?;
        let middle = self.start.checked_add(half)?;
        Some((Self { start: self.start, end: middle }, Self { start: middle, end: self.end }))
    }

    /// The perfect subtrees that make it up, largest first: one for each set bit of its width.
    fn peaks(self) -> Vec<NodeCoord> {
        let mut peaks = Vec::new();
        let (mut start, mut width) = (self.start, self.end.saturating_sub(self.start));
        for level in (0..=62_u8).rev() {
            let leaves = 1 << level;
            if width >= leaves {
                peaks.push(NodeCoord { level, index: start >> level });
                start = start.saturating_add(leaves);
                width = width.saturating_sub(leaves);
            }
        }
        peaks
    }
}

/// The perfect subtrees of a tree of this size, largest first.
pub(crate) fn peaks_of(size: TreeSize) -> Vec<NodeCoord> {
    Span { start: 0, end: size.get() }.peaks()
}

#[cfg(test)]
mod tests;
