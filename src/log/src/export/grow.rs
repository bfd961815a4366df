//! Writing the part of a tree that an export lacks.
//!
//! Invariant: what is written follows from the entries. Every entry is hashed again, every tile must fold to what the
//! entries give, and all of it together to the published root; a store that lost a byte exports nothing.
//!
//! Memory: 8 uploads of at most 16 MiB, and 40 bytes for each 256 entries of a pass.

use std::collections::HashMap;

use countermark_tlog::edge::{RightEdge, peak_coords};
use countermark_tlog::entry_bundle;
use countermark_tlog::hash::{HASH_BYTES, Hash, LeafHash, leaf_hash};
use countermark_tlog::size::TreeSize;
use countermark_tlog::tile::{TILE_HEIGHT, TILE_WIDTH, TileCoord, tiles_for_growth, tiles_of};
use countermark_tlog::tree::NodeCoord;

use super::ExportError;
use super::destination::Uploads;
use super::source::Source;
use crate::proofs::ReadError;
use crate::recover::HeadName;

const WIDTH: u64 = TILE_WIDTH as u64;

/// Writes every tile and bundle that the tree of `head` has and that of size `old` has not, `pass_entries` at a time, a
/// multiple of 256.
pub(super) async fn write(
    source: &Source,
    uploads: Uploads,
    old: TreeSize,
    head: HeadName,
    pass_entries: u64,
    progress: &mut (dyn FnMut(TreeSize) + Send),
) -> Result<(), ExportError> {
    let edge = source.edge(old, head.size).await?;
    let mut growth = Growth { source, uploads, edge, nodes: HashMap::new() };
    let full_end = head.size.get() - head.size.get() % WIDTH;
    // Only full tiles and bundles, a pass at a time.
    while growth.edge.size().get() < full_end {
        let from = growth.edge.size();
        let pass_end = (from.get() / pass_entries).saturating_add(1).saturating_mul(pass_entries);
        growth.write_full(from, pass_end.min(full_end)).await?;
        progress(growth.edge.size());
    }
    growth.write_right_edge(head).await?;
    growth.uploads.finish().await?;
    progress(head.size);
    Ok(())
}

/// A tree on its way.
struct Growth<'a> {
    source: &'a Source,
    uploads: Uploads,
    edge: RightEdge,
    /// The nodes above full tiles that the entries of this pass gave.
    nodes: HashMap<NodeCoord, Hash>,
}

impl Growth<'_> {
    async fn write_full(&mut self, from: TreeSize, to: u64) -> Result<(), ExportError> {
        self.nodes.clear();
        for index in from.get() / WIDTH..to / WIDTH {
            let tile = TileCoord::new(0, index, TILE_WIDTH).map_err(ReadError::from)?;
            self.write_bundle(tile).await?;
        }
        let above = tiles_for_growth(from, self.edge.size()).into_iter().filter(|tile| tile.level() > 0);
        for tile in above.filter(|tile| tile.is_full()) {
            let bytes = self.source.tile(tile).await?;
            self.write_tile(tile, bytes).await?;
        }
        Ok(())
    }

    /// The partial bundle and the partial tiles of the whole tree.
    async fn write_right_edge(&mut self, head: HeadName) -> Result<(), ExportError> {
        let partial: Vec<TileCoord> = tiles_of(head.size).into_iter().filter(|tile| !tile.is_full()).collect();
        let bundle = partial.iter().find(|tile| tile.level() == 0);
        if let Some(bundle) = bundle {
            self.write_bundle(*bundle).await?;
        }
        let recomputed = self.edge.root();
        if recomputed != head.root {
            return Err(ExportError::RootMismatch { published: head, recomputed });
        }
        for tile in partial.iter().filter(|tile| tile.level() > 0) {
            let bytes = self.source.tile(*tile).await?;
            self.write_tile(*tile, bytes).await?;
        }
        Ok(())
    }

    /// A bundle and the tile of level 0 that its entries give.
    async fn write_bundle(&mut self, tile: TileCoord) -> Result<(), ExportError> {
        let entries = self.source.entries(tile).await?;
        let mut hashes = Vec::with_capacity(tile.byte_count());
        let mut index = tile.index().saturating_mul(WIDTH);
        for entry in &entries {
            let hash = leaf_hash(entry);
            hashes.extend_from_slice(hash.0.as_bytes());
            // What the exported tree has already is in the edge.
            if index >= self.edge.size().get() {
                let nodes = &mut self.nodes;
                self.edge.append(hash, &mut |node, hash| {
                    if node.level > 0 && node.level % TILE_HEIGHT == 0 {
                        nodes.insert(node, hash);
                    }
                })?;
            }
            index = index.saturating_add(1);
        }
        let bundle = entry_bundle::encode(entries.iter().map(Vec::as_slice)).map_err(ReadError::from)?;
        self.write_tile(tile, hashes).await?;
        self.uploads.put(&tile.entries_path(), bundle).await?;
        Ok(())
    }

    async fn write_tile(&mut self, tile: TileCoord, bytes: Vec<u8>) -> Result<(), ExportError> {
        if !self.follows(tile, &bytes) {
            return Err(ExportError::Tile { tile });
        }
        self.uploads.put(&tile.path(), bytes).await?;
        Ok(())
    }

    /// Whether a tile folds to what the entries give: a full one to the node above it, a partial one to peaks of the tree.
    fn follows(&self, tile: TileCoord, bytes: &[u8]) -> bool {
        let Some(found) = peaks_of_tile(bytes) else { return false };
        let bottom = tile.level().saturating_mul(TILE_HEIGHT);
        let top = bottom.saturating_add(TILE_HEIGHT);
        if tile.is_full() {
            let above = NodeCoord { level: top, index: tile.index() };
            return self.nodes.get(&above).is_some_and(|expected| found == [*expected]);
        }
        let coords = peak_coords(self.edge.size()).into_iter().zip(self.edge.peaks());
        let here = coords.filter(|(coord, _)| (bottom..top).contains(&coord.level)).map(|(_, hash)| *hash);
        found == here.collect::<Vec<_>>()
    }
}

/// The peaks of the little tree whose leaves are a tile's hashes.
fn peaks_of_tile(bytes: &[u8]) -> Option<Vec<Hash>> {
    let mut edge = RightEdge::empty();
    for hash in bytes.chunks(HASH_BYTES) {
        edge.append(LeafHash(Hash::from_slice(hash).ok()?), &mut |_, _| {}).ok()?;
    }
    Some(edge.peaks().to_vec())
}
