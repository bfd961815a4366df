//! The ranges of a tree in order: tiles of level 2 and above, the root, and roots of earlier sizes.

use alloc::vec::Vec;

use super::range::{Cut, RangeHashes, Tail, is_stranger, root_of};
use super::{Difference, Disagreement, LeafRange, RecomputeError, check_length, hashes, tile_root};
use crate::edge::RightEdge;
use crate::hash::{Hash, LeafHash, RootHash, empty_root};
use crate::size::TreeSize;
use crate::tile::{TILE_HEIGHT, TILE_WIDTH, TileCoord};

/// The tile level whose hashes stand for whole ranges.
const RANGE_LEVEL: u8 = 2;
/// The levels, in the tree, of the hashes over a full bundle and a full range.
const BUNDLE_HEIGHT: u8 = TILE_HEIGHT;
const RANGE_HEIGHT: u8 = 2 * TILE_HEIGHT;

/// A tree in the making: takes its ranges in order.
#[derive(Clone, Debug)]
pub struct Fold {
    size: TreeSize,
    next: u64,
    /// None from the first entry that is not there.
    edge: Option<RightEdge>,
    /// The growing tiles of level 2 and above.
    levels: Vec<Level>,
    tail: Option<Tail>,
    roots: Vec<(TreeSize, Option<RootHash>)>,
}

/// The hashes for a tile that is not full yet.
#[derive(Clone, Debug, Default)]
struct Level {
    index: u64,
    /// As far as is known what the entries make.
    below: Vec<Option<Hash>>,
    /// What the stored tiles of the level below make.
    stored: Vec<Option<Hash>>,
}

/// What a whole tree comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recomputed {
    /// The root that the entries make; `None` if one is not there.
    pub root: Option<RootHash>,
    /// The roots that the entries made at the sizes that were asked for, in the order of sizes.
    pub roots: Vec<(TreeSize, Option<RootHash>)>,
}

impl Fold {
    /// Begins a tree of this size.
    #[must_use]
    pub fn new(size: TreeSize) -> Self {
        let (levels, roots) = (Vec::new(), Vec::new());
        Self { size, next: 0, edge: Some(RightEdge::empty()), levels, tail: None, roots }
    }

    /// Takes the next range. Where that completes a tile of level 2 or above, `stored` is asked for it, as for every other
    /// that is looked at: `None` if it is not there or not one. Calls `found` with everything that disagrees.
    pub fn push(
        &mut self,
        range: RangeHashes,
        stored: &mut impl FnMut(TileCoord) -> Option<Vec<u8>>,
        found: &mut impl FnMut(Disagreement),
    ) -> Result<(), RecomputeError> {
        let (expected, index) = (self.next, range.range.index());
        if expected != index || LeafRange::new(index, self.size) != Some(range.range) {
            return Err(RecomputeError::OutOfOrder { expected, found: index });
        }
        self.next = self.next.saturating_add(1);
        if range.range.is_full() {
            self.complete(range.below, range.stored, stored, found)?;
        }
        self.grow(range)
    }

    /// Ends the tree: looks at the tiles of the right edge that `stored` has, and compares with the root that the tree
    /// should have, which alone can say what is right in the last bundle.
    pub fn finish(
        mut self,
        expected: RootHash,
        stored: &mut impl FnMut(TileCoord) -> Option<Vec<u8>>,
        found: &mut impl FnMut(Disagreement),
    ) -> Result<Recomputed, RecomputeError> {
        let (next, count) = (self.next, LeafRange::count(self.size));
        if next != count {
            return Err(RecomputeError::OutOfOrder { expected: next, found: count });
        }
        for (growing, level) in core::mem::take(&mut self.levels).into_iter().zip(RANGE_LEVEL..) {
            if !growing.below.is_empty() {
                growing.compare(level, stored, found)?;
            }
        }
        let Some(Tail { bundle, made, stored, difference }) = self.tail.take() else {
            return Ok(Recomputed { root: self.edge.as_ref().map(RightEdge::root), roots: self.roots });
        };
        let with = |leaves: &Option<Vec<u8>>| match (&self.edge, leaves) {
            (Some(edge), Some(leaves)) => with_leaves(edge, leaves).map(|edge| Some(edge.root())),
            (None, _) | (_, None) => Ok(None),
        };
        let root = with(&made)?;
        if let Some(at) = difference {
            found(if root == Some(expected) {
                Disagreement::Tile { tile: bundle, at }
            } else if with(&stored)? == Some(expected) {
                Disagreement::Bundle { bundle, at }
            } else {
                Disagreement::BundleOrTile { place: bundle, at }
            });
        }
        Ok(Recomputed { root, roots: self.roots })
    }

    /// Puts the hashes over a full range into the tile of level 2, and those over a full tile into the one above.
    fn complete(
        &mut self,
        mut below: Option<Hash>,
        mut tile: Option<Hash>,
        stored: &mut impl FnMut(TileCoord) -> Option<Vec<u8>>,
        found: &mut impl FnMut(Disagreement),
    ) -> Result<(), RecomputeError> {
        for level in RANGE_LEVEL..TILE_HEIGHT {
            let place = usize::from(level.saturating_sub(RANGE_LEVEL));
            if self.levels.len() <= place {
                self.levels.push(Level::default());
            }
            let Some(growing) = self.levels.get_mut(place) else { break };
            growing.below.push(below);
            growing.stored.push(tile);
            if growing.below.len() < usize::from(TILE_WIDTH) {
                break;
            }
            let next = Level { index: growing.index.saturating_add(1), ..Level::default() };
            let full = core::mem::replace(growing, next);
            let row = full.compare(level, stored, found)?;
            below = root_of(&full.below)?;
            tile = row.as_deref().map(tile_root).transpose()?;
        }
        Ok(())
    }

    /// Grows the right edge, and notes the roots on the way.
    fn grow(&mut self, range: RangeHashes) -> Result<(), RecomputeError> {
        let RangeHashes { range, made, bundles, tail, mut cuts, .. } = range;
        if bundles.is_empty() && range.is_full() {
            self.append(RANGE_HEIGHT, made)?;
        }
        let mut leaves = range.first_leaf();
        let width = u64::from(TILE_WIDTH);
        for bundle in bundles {
            let end = leaves.saturating_add(width);
            let within = cuts.iter().take_while(|cut| cut.size.get() < end).count();
            for cut in cuts.drain(..within) {
                self.note(&cut)?;
            }
            self.append(BUNDLE_HEIGHT, bundle)?;
            leaves = end;
        }
        for cut in cuts {
            self.note(&cut)?;
        }
        self.tail = tail;
        Ok(())
    }

    fn append(&mut self, height: u8, hash: Option<Hash>) -> Result<(), RecomputeError> {
        match (&mut self.edge, hash) {
            (Some(edge), Some(hash)) => edge.append_subtree(height, hash, &mut |_, _| ())?,
            (edge, _) => *edge = None,
        }
        Ok(())
    }

    /// Notes the root at a size within the next bundle, or at its beginning.
    fn note(&mut self, cut: &Cut) -> Result<(), RecomputeError> {
        let root = match (&self.edge, &cut.leaves) {
            (Some(edge), Some(leaves)) => Some(with_leaves(edge, leaves)?.root()),
            (None, _) | (_, None) => None,
        };
        self.roots.push((cut.size, root));
        Ok(())
    }
}

impl Recomputed {
    /// The root at a size that was asked for, or at 0; `None` if an entry before it is not there, or nobody asked.
    #[must_use]
    pub fn root_at(&self, size: TreeSize) -> Option<RootHash> {
        if size == TreeSize::ZERO {
            return Some(empty_root());
        }
        self.roots.iter().find(|(at, _)| *at == size).and_then(|(_, root)| *root)
    }
}

impl Level {
    /// Compares the stored tile with what is below it, and gives it back.
    fn compare(
        &self,
        level: u8,
        stored: &mut impl FnMut(TileCoord) -> Option<Vec<u8>>,
        found: &mut impl FnMut(Disagreement),
    ) -> Result<Option<Vec<u8>>, RecomputeError> {
        let width = u16::try_from(self.below.len()).unwrap_or(u16::MAX);
        let tile = TileCoord::new(level, self.index, width)?;
        let Some(row) = stored(tile) else { return Ok(None) };
        check_length(tile, &row)?;
        let below = self.below.iter().copied().zip(self.stored.iter().copied());
        let pairs = hashes(&row).iter().copied().map(Hash).zip(below).zip(0_u16..);
        let strangers = pairs.filter(|((parent, (below, stored)), _)| is_stranger(*parent, *below, *stored));
        if let Some(at) = Difference::of(strangers.map(|(_, position)| position)) {
            found(Disagreement::Tile { tile, at });
        }
        Ok(Some(row))
    }
}

fn with_leaves(edge: &RightEdge, leaves: &[u8]) -> Result<RightEdge, RecomputeError> {
    let mut edge = edge.clone();
    for leaf in hashes(leaves) {
        edge.append(LeafHash(Hash(*leaf)), &mut |_, _| ())?;
    }
    Ok(edge)
}
