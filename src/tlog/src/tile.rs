//! Tiles: up to 256 neighbouring hashes of every eighth level, as static files.
//!
//! The hashes of the seven levels between are made by hashing. A tile proves nothing by itself: what is read from
//! tiles is verified against a root, as a proof or as the root itself.
//!
//! Source: <https://c2sp.org/tlog-tiles>.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::hash::{HASH_BYTES, Hash, node_hash};
use crate::size::TreeSize;
use crate::tree::{HashReader, NodeCoord};

mod path;

pub use path::TilePath;

/// The tree levels from one tile level to the next: 8.
pub const TILE_HEIGHT: u8 = 8;
/// The hashes of a full tile and the entries of a full bundle: 256.
pub const TILE_WIDTH: u16 = 256;
/// The bytes of a full tile: 8192.
pub const TILE_BYTES_MAX: usize = 8192;
/// The highest tile level that a path can name.
pub const TILE_LEVEL_MAX: u8 = 63;
/// The greatest tile index: beyond it no tree below 2^63 leaves reaches.
pub const TILE_INDEX_MAX: u64 = (1 << 55) - 1;

/// Which tile, and how much of it: a full tile and a partial one of the same place are two resources. The same for
/// entry bundles, always at level 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileCoord {
    level: u8,
    index: u64,
    width: u16,
}

/// Why there is no such tile, or no hash from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// A level above 63.
    #[error("tile levels go up to 63, found {found}")]
    Level {
        /// The level found.
        found: u64,
    },
    /// An index above [`TILE_INDEX_MAX`].
    #[error("tile indexes go up to 2^55 - 1, found {found}")]
    Index {
        /// The index found.
        found: u64,
    },
    /// A width outside 1 to 256.
    #[error("a tile has 1 to 256 hashes, found {found}")]
    Width {
        /// The width found.
        found: u64,
    },
    /// Not the one path of a tile or entry bundle.
    #[error("not the path of a tile or entry bundle")]
    Path,
    /// Not 32 bytes for each hash of the tile.
    #[error("the tile has {expected} bytes, found {found}")]
    ByteCount {
        /// Bytes of a tile of this width.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The tile neither holds the node nor all that it is made from.
    #[error("node {} of level {} is not in the tile", node.index, node.level)]
    NodeOutsideTile {
        /// The node.
        node: NodeCoord,
    },
}

impl TileCoord {
    /// Takes a level of at most 63, an index of at most [`TILE_INDEX_MAX`] and a width of 1 to 256.
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        if level > TILE_LEVEL_MAX {
            return Err(TileError::Level { found: u64::from(level) });
        }
        if index > TILE_INDEX_MAX {
            return Err(TileError::Index { found: index });
        }
        if !(1..=TILE_WIDTH).contains(&width) {
            return Err(TileError::Width { found: u64::from(width) });
        }
        Ok(Self { level, index, width })
    }

    /// The tile level, 0 to 63; its hashes stand at tree level 8 * `level`.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.level
    }

    /// The position among the tiles of the level, from the left.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.index
    }

    /// The hashes of the tile or entries of the bundle, 1 to 256.
    #[must_use]
    pub const fn width(self) -> u16 {
        self.width
    }

    /// Whether the tile has all 256 hashes.
    #[must_use]
    pub const fn is_full(self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The full tile of the same place.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { width: TILE_WIDTH, ..self }
    }

    /// The bytes of the tile, 32 to 8192. A partial tile is the beginning of the full one.
    #[must_use]
    pub fn byte_count(self) -> usize {
        usize::from(self.width).saturating_mul(HASH_BYTES)
    }

    /// The nodes whose hashes the tile is made of, in order; none above level 7, which no tree reaches.
    pub fn nodes(self) -> impl Iterator<Item = NodeCoord> {
        let first = self.first();
        let level = self.level.checked_mul(TILE_HEIGHT).filter(|level| *level < 63);
        level.into_iter().flat_map(move |level| {
            (0..u64::from(self.width)).map(move |offset| NodeCoord { level, index: first | offset })
        })
    }

    /// The index, on its tree level, of the tile's first hash.
    const fn first(self) -> u64 {
        // `index` is below 2^55.
        self.index << TILE_HEIGHT
    }

    /// The rightmost tile of a level that has `hashes` hashes.
    fn last_of(level: u8, hashes: u64) -> Option<Self> {
        let last = hashes.checked_sub(1)?;
        let width = u16::try_from(last % u64::from(TILE_WIDTH)).ok()?.checked_add(1)?;
        Self::new(level, last >> TILE_HEIGHT, width).ok()
    }
}

/// The rightmost tile of every level of a tree of this size, lowest level first, full or partial; at most 8.
#[must_use]
pub fn tiles_of(size: TreeSize) -> Vec<TileCoord> {
    levels(size).filter_map(|(level, hashes)| TileCoord::last_of(level, hashes)).collect()
}

/// Every hash tile that exists at size `new` and not yet at size `old`, by level and index: the full ones completed
/// and the partial right edge. A partial tile of `old` that did not grow is not among them. Empty unless `new` is
/// larger.
///
/// About one tile for every 256 leaves between: for sizes of one's own log, not for sizes from outside.
#[must_use]
pub fn tiles_for_growth(old: TreeSize, new: TreeSize) -> Vec<TileCoord> {
    levels(new)
        .flat_map(|(level, hashes)| {
            // SPEC: C2SP tlog-tiles, Partial Tiles: floor(s / 256**l) hashes at level l.
            grown(level, hashes_at(level, old), hashes)
        })
        .collect()
}

/// Every entry bundle that exists at size `new` and not yet at size `old`, as level 0 coordinates; as
/// [`tiles_for_growth`].
#[must_use]
pub fn entry_bundles_for_growth(old: TreeSize, new: TreeSize) -> Vec<TileCoord> {
    grown(0, old.get(), new.get()).collect()
}

/// The tile, as wide as it is in a tree of this size, that holds the node or all that it is made from. `None` when the
/// tree does not have the node.
#[must_use]
pub fn tile_of(node: NodeCoord, size: TreeSize) -> Option<TileCoord> {
    if node.end()? > size {
        return None;
    }
    let level = node.level / TILE_HEIGHT;
    let index = node.index.checked_shl(u32::from(node.level % TILE_HEIGHT))? >> TILE_HEIGHT;
    let last = TileCoord::last_of(level, hashes_at(level, size))?;
    if last.index == index { Some(last) } else { TileCoord::new(level, index, TILE_WIDTH).ok() }
}

/// The tiles that together have all the nodes, each once; `None` when the tree does not have one of the nodes.
#[must_use]
pub fn tiles_of_nodes(nodes: &[NodeCoord], size: TreeSize) -> Option<Vec<TileCoord>> {
    let tiles: Option<BTreeSet<_>> = nodes.iter().map(|node| tile_of(*node, size)).collect();
    Some(tiles?.into_iter().collect())
}

/// The hash of a node, from the bytes of a tile that holds it or all that it is made from; up to 127 hashings.
///
/// Errors: [`TileError::ByteCount`], [`TileError::NodeOutsideTile`].
pub fn hash_in_tile(tile: TileCoord, bytes: &[u8], node: NodeCoord) -> Result<Hash, TileError> {
    let (expected, found) = (tile.byte_count(), bytes.len());
    if expected != found {
        return Err(TileError::ByteCount { expected, found });
    }
    let hashes = hashes_under(tile, bytes, node).ok_or(TileError::NodeOutsideTile { node })?;
    let mut row: Vec<Hash> = hashes.iter().copied().map(Hash).collect();
    // SPEC: C2SP tlog-tiles, Merkle Tree: the levels between are reconstructed by hashing.
    while row.len() > 1 {
        row = row.as_chunks().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    row.first().copied().ok_or(TileError::NodeOutsideTile { node })
}

/// Reads a tree of one size from tiles that a closure fetches, each tile once for every [`HashReader::read`].
///
/// Nothing is verified but the tiles' lengths: verify the proof or the root that is made of the hashes.
pub struct TileReader<F> {
    size: TreeSize,
    fetch: F,
}

/// Why hashes could not be read from tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TileReadError<E> {
    /// The tree is too small to have the node.
    #[error("node {} of level {} is not in a tree of size {size}", node.index, node.level)]
    NodeOutsideTree {
        /// The node.
        node: NodeCoord,
        /// The tree's size.
        size: TreeSize,
    },
    /// A fetched tile is malformed.
    #[error("{0}")]
    Tile(TileError),
    /// A tile was not fetched.
    #[error("a tile was not fetched: {0}")]
    Fetch(E),
}

impl<F, E> TileReader<F>
where
    F: Fn(TileCoord) -> Result<Vec<u8>, E>,
{
    /// Reads the tree of this size; `fetch` answers with exactly the bytes of the tile asked for.
    pub const fn new(size: TreeSize, fetch: F) -> Self {
        Self { size, fetch }
    }
}

impl<F, E> HashReader for TileReader<F>
where
    F: Fn(TileCoord) -> Result<Vec<u8>, E>,
{
    type Error = TileReadError<E>;

    fn read(&self, nodes: &[NodeCoord]) -> Result<Vec<Hash>, Self::Error> {
        let mut tiles: BTreeMap<TileCoord, Vec<u8>> = BTreeMap::new();
        let mut hashes = Vec::with_capacity(nodes.len());
        for &node in nodes {
            let tile = tile_of(node, self.size).ok_or(TileReadError::NodeOutsideTree { node, size: self.size })?;
            let hash = if let Some(bytes) = tiles.get(&tile) {
                hash_in_tile(tile, bytes, node)
            } else {
                let bytes = (self.fetch)(tile).map_err(TileReadError::Fetch)?;
                let hash = hash_in_tile(tile, &bytes, node);
                tiles.insert(tile, bytes);
                hash
            };
            hashes.push(hash.map_err(TileReadError::Tile)?);
        }
        Ok(hashes)
    }
}

/// The hashes of the tile's own level below a node, or the node's own; `None` when not all are in the tile.
fn hashes_under(tile: TileCoord, bytes: &[u8], node: NodeCoord) -> Option<&[[u8; HASH_BYTES]]> {
    if node.level / TILE_HEIGHT != tile.level {
        return None;
    }
    let count = 1_u64.checked_shl(u32::from(node.level % TILE_HEIGHT))?;
    let start = node.index.checked_mul(count)?.checked_sub(tile.first())?;
    let end = start.checked_add(count)?;
    bytes.as_chunks().0.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

/// The tile levels of a tree, each with the number of its hashes, lowest first.
fn levels(size: TreeSize) -> impl Iterator<Item = (u8, u64)> {
    (0..TILE_HEIGHT).map(move |level| (level, hashes_at(level, size))).take_while(|(_, hashes)| *hashes > 0)
}

/// The number of hashes at a tile level.
fn hashes_at(level: u8, size: TreeSize) -> u64 {
    let height = u32::from(level).saturating_mul(u32::from(TILE_HEIGHT));
    size.get().checked_shr(height).unwrap_or(0)
}

/// The tiles of a level that has `new` hashes and had `old`.
fn grown(level: u8, old: u64, new: u64) -> impl Iterator<Item = TileCoord> {
    let last = TileCoord::last_of(level, new).filter(|_| new > old);
    last.into_iter().flat_map(move |last| {
        let full = ((old >> TILE_HEIGHT)..last.index).map(move |index| TileCoord { index, ..last.full() });
        full.chain(core::iter::once(last))
    })
}

#[cfg(test)]
mod tests;
