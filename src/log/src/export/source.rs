//! What an export reads: entries and tiles of a store, as of a published size, while the log may go on growing.

use std::fmt;
use std::sync::Arc;

use countermark_tlog::checkpoint::Origin;
use countermark_tlog::edge::{RightEdge, peak_coords};
use countermark_tlog::hash::{Hash, RootHash};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::{TileCoord, TileError, hash_in_tile, tile_of};

use super::ExportError;
use crate::ports::StoreReader;
use crate::proofs::ReadError;

/// One log of a store.
pub(super) struct Source {
    origin: Origin,
    store: Arc<dyn StoreReader>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Source {
    pub(super) fn new(origin: Origin, store: Arc<dyn StoreReader>) -> Self {
        Self { origin, store }
    }

    /// A tile that the published tree has, exactly as wide as asked for.
    pub(super) async fn tile(&self, tile: TileCoord) -> Result<Vec<u8>, ReadError> {
        if !tile.is_full() {
            // The right edge first: what is partial there now may be full a moment later, and never becomes partial again.
            let edge = self.store.partial_tiles(&self.origin).await?;
            let there = edge.into_iter().find(|(found, _)| found.full() == tile.full());
            if let Some((_, bytes)) = there {
                return cut(tile, bytes);
            }
        }
        let full = self.store.full_tile(&self.origin, tile.full()).await?;
        cut(tile, full.ok_or(ReadError::MissingTile { tile: tile.full() })?)
    }

    /// The entries of a bundle.
    pub(super) async fn entries(&self, bundle: TileCoord) -> Result<Vec<Vec<u8>>, ReadError> {
        let first = bundle.index().checked_mul(u64::from(countermark_tlog::tile::TILE_WIDTH));
        let from = first.and_then(LeafIndex::new).ok_or(ReadError::MissingTile { tile: bundle })?;
        let expected = usize::from(bundle.width());
        let mut entries = self.store.entries(&self.origin, from, expected).await?;
        entries.truncate(expected);
        let found = entries.len();
        if found == expected { Ok(entries) } else { Err(ReadError::MissingEntries { from, expected, found }) }
    }

    /// The right edge of the tree of `size`, from the tiles of a tree of size `of`.
    pub(super) async fn edge(&self, size: TreeSize, of: TreeSize) -> Result<RightEdge, ExportError> {
        let mut peaks: Vec<Hash> = Vec::new();
        for peak in peak_coords(size) {
            let tile = tile_of(peak, of).ok_or(ReadError::Tile(TileError::NodeOutsideTile { node: peak }))?;
            let bytes = self.tile(tile).await?;
            peaks.push(hash_in_tile(tile, &bytes, peak).map_err(ReadError::from)?);
        }
        Ok(RightEdge::from_peaks(size, peaks)?)
    }

    /// The root of the tree of `size`, from the tiles of a tree of size `of`.
    pub(super) async fn root(&self, size: TreeSize, of: TreeSize) -> Result<RootHash, ExportError> {
        Ok(self.edge(size, of).await?.root())
    }
}

/// The beginning of a tile, as wide as asked for.
fn cut(tile: TileCoord, mut bytes: Vec<u8>) -> Result<Vec<u8>, ReadError> {
    let (expected, found) = (tile.byte_count(), bytes.len());
    if found < expected {
        return Err(TileError::ByteCount { expected, found }.into());
    }
    bytes.truncate(expected);
    Ok(bytes)
}
