//! The right edge of a namespace's tree, with the partial tiles that stand on it.

use std::collections::BTreeMap;

use countermark_tlog::edge::{EdgeError, RightEdge, peak_coords};
use countermark_tlog::hash::{Hash, LeafHash, RootHash};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::{TILE_HEIGHT, TILE_WIDTH, TileCoord, TileError, hash_in_tile, tile_of, tiles_of};
use countermark_tlog::tree::NodeCoord;
use thiserror::Error;

use crate::ports::TileBytes;

/// Why stored partial tiles are not the right edge of a tree of the stored size.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TreeError {
    /// Other partial tiles than a tree of this size has.
    #[error("a tree of size {size} has the partial tiles {expected:?}, found {found:?}")]
    PartialTiles {
        /// The stored size.
        size: TreeSize,
        /// What such a tree has.
        expected: Vec<TileCoord>,
        /// What was stored.
        found: Vec<TileCoord>,
    },
    /// A tile of another length than its place has.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// The peaks do not make an edge.
    #[error(transparent)]
    Edge(#[from] EdgeError),
}

/// Everything that appending to a tree needs, and the hashes that no full tile holds yet.
///
/// Invariant: for each tile level, the partial tile holds exactly the nodes after the last full tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    edge: RightEdge,
    /// Bytes by tile level; a level whose last tile is full has none.
    partial: BTreeMap<u8, Vec<u8>>,
}

impl Tree {
    /// The tree without leaves.
    #[must_use]
    pub const fn empty() -> Self {
        Self { edge: RightEdge::empty(), partial: BTreeMap::new() }
    }

    /// Reads the right edge back from stored partial tiles, by rising level. The caller compares the root with one that
    /// was signed.
    pub fn from_partial_tiles(size: TreeSize, tiles: Vec<TileBytes>) -> Result<Self, TreeError> {
        let expected = partial_tiles_of(size);
        let found: Vec<TileCoord> = tiles.iter().map(|(tile, _)| *tile).collect();
        if found != expected {
            return Err(TreeError::PartialTiles { size, expected, found });
        }
        let partial: BTreeMap<u8, Vec<u8>> = tiles.into_iter().map(|(tile, bytes)| (tile.level(), bytes)).collect();
        let mut peaks = Vec::new();
        for coord in peak_coords(size) {
            // A peak never lies in a full tile: the peaks of a level are what its full tiles leave over.
            let outside = TileError::NodeOutsideTile { node: coord };
            let tile = tile_of(coord, size).ok_or(outside)?;
            let bytes = partial.get(&tile.level()).ok_or(outside)?;
            peaks.push(hash_in_tile(tile, bytes, coord)?);
        }
        Ok(Self { edge: RightEdge::from_peaks(size, peaks)?, partial })
    }

    /// The number of leaves.
    #[must_use]
    pub const fn size(&self) -> TreeSize {
        self.edge.size()
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> RootHash {
        self.edge.root()
    }

    /// The partial tiles on the right edge, by rising level.
    pub fn partial_tiles(&self) -> impl Iterator<Item = (TileCoord, &[u8])> {
        partial_tiles_of(self.size())
            .into_iter()
            .filter_map(|tile| Some((tile, self.partial.get(&tile.level())?.as_slice())))
    }

    /// The beginning of the partial tile at this place, as wide as asked for; `None` where the tree has no partial tile
    /// or a narrower one.
    #[must_use]
    pub fn partial_tile(&self, tile: TileCoord) -> Option<&[u8]> {
        let (_, bytes) = self.partial_tiles().find(|(edge, _)| edge.full() == tile.full())?;
        bytes.get(..tile.byte_count())
    }

    /// The nodes at the peaks, with their hashes.
    pub(crate) fn peaks(&self) -> impl Iterator<Item = (NodeCoord, Hash)> {
        peak_coords(self.size()).into_iter().zip(self.edge.peaks().iter().copied())
    }

    /// Appends a leaf. `node` is called with every node that it completes, `full_tile` with every tile.
    pub(crate) fn append(
        &mut self,
        leaf: LeafHash,
        mut node: impl FnMut(NodeCoord, Hash),
        mut full_tile: impl FnMut(TileCoord, Vec<u8>),
    ) -> Result<LeafIndex, EdgeError> {
        let partial = &mut self.partial;
        self.edge.append(leaf, &mut |coord: NodeCoord, hash: Hash| {
            node(coord, hash);
            if !coord.level.is_multiple_of(TILE_HEIGHT) {
                return;
            }
            let level = coord.level / TILE_HEIGHT;
            let bytes = partial.entry(level).or_default();
            bytes.extend_from_slice(hash.as_bytes());
            let index = coord.index / u64::from(TILE_WIDTH);
            let Ok(tile) = TileCoord::new(level, index, TILE_WIDTH) else {
                unreachable!("a node of a tree is in a tile")
            };
            if bytes.len() == tile.byte_count() {
                full_tile(tile, std::mem::take(bytes));
                partial.remove(&level);
            }
        })
    }
}

fn partial_tiles_of(size: TreeSize) -> Vec<TileCoord> {
    let mut tiles = tiles_of(size);
    tiles.retain(|tile| !tile.is_full());
    tiles
}

#[cfg(test)]
mod tests;
