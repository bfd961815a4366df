//! The recomputation of a whole tree from its entries, and its comparison with what a log stores: entry bundles against
//! tiles of level 0, tiles of every level against what lies below them, and the root.
//!
//! Two hashes are known of a full bundle or tile: what its *entries* make, and what the *stored* tile of its place makes.
//! The tile above must have the one. If it has the other, whatever differs lies below and was named there; if it has
//! neither, it is wrong itself. So a report names the place that is wrong and not all that stands over it. The root is
//! made of entries only: where one is missing there is no root.
//!
//! The unit of work is a [`LeafRange`], up to 65,536 leaves: ranges are independent of each other ([`RangeCheck`]) and
//! folded in order ([`Fold`]). Memory is that of a range, whatever the tree's size. This module reads nothing by itself;
//! who does is told which bundles and tiles, and hands over bytes or `None`.
//!
//! Sources: <https://c2sp.org/tlog-tiles>, RFC 6962 §2.1.

use alloc::vec::Vec;

use crate::edge::EdgeError;
use crate::entry_bundle::{self, EntryBundleError};
use crate::hash::{HASH_BYTES, Hash, leaf_hash, node_hash};
use crate::size::TreeSize;
use crate::tile::{TILE_BYTES_MAX, TILE_WIDTH, TileCoord, TileError};

mod fold;
mod range;

pub use fold::{Fold, Recomputed};
pub use range::{RangeCheck, RangeHashes};

/// The leaves of a full range: those below one hash of a tile of level 2.
pub const RANGE_LEAVES: u64 = 65_536;

/// Up to 65,536 neighbouring leaves of a tree of one size: 256 entry bundles, the tiles of level 0 over them, and the one
/// tile of level 1 over those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafRange {
    index: u64,
    size: TreeSize,
}

impl LeafRange {
    /// How many ranges a tree of this size has.
    #[must_use]
    pub const fn count(size: TreeSize) -> u64 {
        size.get().div_ceil(RANGE_LEAVES)
    }

    /// The range at an index, from the left; `None` beyond the tree.
    #[must_use]
    pub const fn new(index: u64, size: TreeSize) -> Option<Self> {
        if index < Self::count(size) { Some(Self { index, size }) } else { None }
    }

    /// Its position among the ranges.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.index
    }

    /// The index of its first leaf.
    #[must_use]
    pub const fn first_leaf(self) -> u64 {
        self.index.saturating_mul(RANGE_LEAVES)
    }

    /// The number of its leaves, 1 to 65,536.
    #[must_use]
    pub fn leaves(self) -> u64 {
        self.size.get().saturating_sub(self.first_leaf()).min(RANGE_LEAVES)
    }

    /// Its bundles, in order, as wide as in a tree of this size: the coordinates of the tiles of level 0 as well.
    pub fn bundles(self) -> impl Iterator<Item = TileCoord> + Clone {
        let (first, leaves, width) = (self.first_leaf() / u64::from(TILE_WIDTH), self.leaves(), u64::from(TILE_WIDTH));
        (0..leaves.div_ceil(width)).filter_map(move |place| {
            let left = leaves.checked_sub(place.checked_mul(width)?)?.min(width);
            TileCoord::new(0, first.checked_add(place)?, u16::try_from(left).ok()?).ok()
        })
    }

    /// The tile of level 1 over its full bundles; `None` if it has none.
    #[must_use]
    pub fn tile_above(self) -> Option<TileCoord> {
        let full = u16::try_from(self.leaves() / u64::from(TILE_WIDTH)).ok().filter(|full| *full > 0)?;
        TileCoord::new(1, self.index, full).ok()
    }

    fn is_full(self) -> bool {
        self.leaves() == RANGE_LEAVES
    }
}

/// Two rows of hashes that should be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The position of the first hash that differs, from 0.
    pub first: u16,
    /// How many differ.
    pub count: u16,
}

impl Difference {
    /// Compares two rows of as many hashes.
    fn between(made: &[u8], stored: &[u8]) -> Option<Self> {
        // Nearly always: the same.
        if made == stored {
            return None;
        }
        let pairs = hashes(made).iter().zip(hashes(stored)).zip(0_u16..);
        Self::of(pairs.filter(|((made, stored), _)| made != stored).map(|(_, position)| position))
    }

    /// The difference at these positions, in order.
    fn of(mut positions: impl Iterator<Item = u16>) -> Option<Self> {
        let first = positions.next()?;
        let more = u16::try_from(positions.count()).unwrap_or(u16::MAX);
        Some(Self { first, count: more.saturating_add(1) })
    }
}

/// What is stored and cannot all be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disagreement {
    /// Entries of the bundle are others than those of the tree: the tile of level 0 has other hashes, and what stands
    /// over it agrees with the tile.
    Bundle {
        /// The bundle.
        bundle: TileCoord,
        /// Which entries.
        at: Difference,
    },
    /// Hashes of the tile are neither made by the entries nor by the stored tiles below it.
    Tile {
        /// The tile.
        tile: TileCoord,
        /// Which hashes.
        at: Difference,
    },
    /// The bundle and the tile of level 0 of its place differ, and nothing that stands over them says which is right.
    BundleOrTile {
        /// Both.
        place: TileCoord,
        /// Which entries or hashes.
        at: Difference,
    },
}

/// Why nothing was recomputed; each is a defect of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecomputeError {
    /// Not as many bytes as the tile has.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// Hashes that the tree has no place for.
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// More bundles than the range has.
    #[error("the range has no more bundles")]
    NoMoreBundles,
    /// Fewer bundles than the range has.
    #[error("the range has {expected} bundles, found {found}")]
    BundleCount {
        /// Bundles of the range.
        expected: usize,
        /// Bundles that were handed over.
        found: usize,
    },
    /// Ranges out of order, or of another tree; also an end before the last.
    #[error("range {expected} is the next, found {found}")]
    OutOfOrder {
        /// The range that should have come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
}

/// Writes the bytes of the level 0 tile that a bundle of `width` entries makes, 32 for each entry, over what `tile` holds.
/// Allocates only if `tile` has no room. After an error `tile` is empty.
pub fn leaf_hashes(bundle: &[u8], width: u16, tile: &mut Vec<u8>) -> Result<(), EntryBundleError> {
    tile.clear();
    for entry in entry_bundle::entries(bundle, width)? {
        match entry {
            // SPEC: C2SP tlog-tiles, Log entries: each entry hashes to its place in the level 0 tile.
            Ok(entry) => tile.extend_from_slice(leaf_hash(entry).0.as_bytes()),
            Err(error) => {
                tile.clear();
                return Err(error);
            }
        }
    }
    Ok(())
}

/// The hash that a full tile stands for in the tile above it: 255 hashings.
///
/// Errors: [`TileError::ByteCount`] unless there are 8,192 bytes.
pub fn tile_root(tile: &[u8]) -> Result<Hash, TileError> {
    const PAIRS: usize = TILE_BYTES_MAX / HASH_BYTES / 2;
    if tile.len() != TILE_BYTES_MAX {
        return Err(TileError::ByteCount { expected: TILE_BYTES_MAX, found: tile.len() });
    }
    let mut row = [Hash([0; HASH_BYTES]); PAIRS];
    let (pairs, _) = hashes(tile).as_chunks::<2>();
    for (node, [left, right]) in row.iter_mut().zip(pairs) {
        *node = node_hash(&Hash(*left), &Hash(*right));
    }
    let mut width = PAIRS / 2;
    while width > 0 {
        // A node is written where its left child, or an earlier pair's, was read before.
        for place in 0..width {
            row[place] = node_hash(&row[2 * place], &row[2 * place + 1]);
        }
        width /= 2;
    }
    Ok(row[0])
}

/// Whole hashes of a row; a rest is not one.
fn hashes(row: &[u8]) -> &[[u8; HASH_BYTES]] {
    row.as_chunks().0
}

fn check_length(tile: TileCoord, row: &[u8]) -> Result<(), TileError> {
    let (expected, found) = (tile.byte_count(), row.len());
    if expected == found { Ok(()) } else { Err(TileError::ByteCount { expected, found }) }
}

#[cfg(test)]
mod tests;
