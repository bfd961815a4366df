//! Reads of the committed tree: tiles, entry bundles, entries, and proofs made from tiles.
//!
//! It verifies nothing: whoever receives a proof does. It never shows anything beyond the committed head, because an entry
//! carries a certificate's signature, which may leave the process only after the head register has its head.
//!
//! Full tiles and full bundles never change, so they are kept in memory, up to a bound; the right edge is in memory anyway.

mod cache;
mod inner;

use std::sync::Arc;

use countermark_bundle::identity::Digest;
use countermark_tlog::checkpoint::Origin;
use countermark_tlog::entry_bundle::{self, EntryBundleError};
use countermark_tlog::hash::{Hash, LeafHash, RootHash};
use countermark_tlog::proof::{ConsistencyProof, InclusionProof};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::{TILE_HEIGHT, TILE_WIDTH, TileCoord, TileError, hash_in_tile, tile_of, tiles_of_nodes};
use countermark_tlog::tree::{ConsistencyPlan, InclusionPlan, NodeCoord, PlanError, RootPlan};
use thiserror::Error;
use tokio::sync::watch;

use crate::ports::{PortFault, StoreReader};
use crate::published::Committed;
use crate::stage::Tree;

use cache::Cache;
use inner::{inner_hash, inner_hashes};

/// The bytes of full hash tiles kept in memory unless said otherwise: 64 MiB, 8,192 tiles, the lowest level of two million
/// entries.
pub(crate) const TILE_CACHE_BYTES: usize = 64 << 20;
/// The bytes kept in memory of what full tiles make between their levels: 2,000 tiles, all the upper ones of a
/// hundred million entries.
const INNER_CACHE_BYTES_MAX: usize = 16 << 20;
/// The bytes of full entry bundles kept in memory.
const BUNDLE_CACHE_BYTES_MAX: usize = 64 << 20;

/// Why something that the committed tree has could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] PortFault),
    /// The store lacks a full tile that the committed tree has.
    #[error("the store lacks the full tile {} of level {}", tile.index(), tile.level())]
    MissingTile {
        /// The tile.
        tile: TileCoord,
    },
    /// The store lacks entries that the committed tree has.
    #[error("the store has {found} of {expected} entries from {from} on")]
    MissingEntries {
        /// The first entry asked for.
        from: LeafIndex,
        /// How many were asked for.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A stored tile is malformed.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// Stored entries make no bundle.
    #[error(transparent)]
    Bundle(#[from] EntryBundleError),
    /// The plan of a proof did not fit; a defect.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// Reads one namespace's committed tree.
pub(crate) struct TileReader {
    origin: Origin,
    store: Arc<dyn StoreReader>,
    committed: watch::Receiver<Arc<Committed>>,
    tiles: Cache,
    inner: Cache,
    bundles: Cache,
}

impl TileReader {
    pub(crate) fn new(origin: Origin, store: Arc<dyn StoreReader>, committed: watch::Receiver<Arc<Committed>>) -> Self {
        Self {
            origin,
            store,
            committed,
            tiles: Cache::new(TILE_CACHE_BYTES),
            inner: Cache::new(INNER_CACHE_BYTES_MAX),
            bundles: Cache::undivided(BUNDLE_CACHE_BYTES_MAX),
        }
    }

    /// The same with room for so many bytes of full hash tiles.
    pub(crate) fn keeping(self, tile_cache_bytes: usize) -> Self {
        Self { tiles: Cache::new(tile_cache_bytes), ..self }
    }

    /// What it reads from.
    pub(crate) fn store(&self) -> Arc<dyn StoreReader> {
        Arc::clone(&self.store)
    }

    pub(crate) async fn tile(&self, tile: TileCoord) -> Result<Option<Arc<[u8]>>, ReadError> {
        let committed = self.committed();
        if !has_tile(&committed.tree, tile) {
            return Ok(None);
        }
        self.read_tile(&committed.tree, tile).await.map(Some)
    }

    pub(crate) async fn entry_bundle(&self, tile: TileCoord) -> Result<Option<Arc<[u8]>>, ReadError> {
        let committed = self.committed();
        let from = first_leaf(tile);
        let (0, Some(from), true) = (tile.level(), from, has_tile(&committed.tree, tile)) else {
            return Ok(None);
        };
        if tile.is_full()
            && let Some(bundle) = self.bundles.get(tile)
        {
            return Ok(Some(bundle));
        }
        let entries = self.read_entries(from, usize::from(tile.width())).await?;
        let bundle: Arc<[u8]> = entry_bundle::encode(entries.iter().map(Vec::as_slice))?.into();
        if tile.is_full() {
            self.bundles.insert(tile, &bundle);
        }
        Ok(Some(bundle))
    }

    pub(crate) async fn entry(&self, index: LeafIndex) -> Result<Option<Arc<[u8]>>, ReadError> {
        if !index.is_in(self.committed().tree.size()) {
            return Ok(None);
        }
        let entries = self.read_entries(index, 1).await?;
        Ok(entries.into_iter().next().map(Arc::from))
    }

    pub(crate) async fn inclusion(
        &self,
        index: LeafIndex,
        size: TreeSize,
    ) -> Result<Option<InclusionProof>, ReadError> {
        let committed = self.committed();
        if !index.is_in(size) || size > committed.tree.size() {
            return Ok(None);
        }
        let plan = InclusionPlan::new(index, size)?;
        let hashes = self.read_nodes(&committed.tree, plan.nodes()).await?;
        Ok(Some(plan.assemble(hashes)?))
    }

    /// The same with the leaf's hash. It stands in the tile that the proof begins in: the entry itself is not read.
    pub(crate) async fn inclusion_and_leaf(
        &self,
        index: LeafIndex,
        size: TreeSize,
    ) -> Result<Option<(LeafHash, InclusionProof)>, ReadError> {
        let committed = self.committed();
        if !index.is_in(size) || size > committed.tree.size() {
            return Ok(None);
        }
        let plan = InclusionPlan::new(index, size)?;
        let leaf = NodeCoord { level: 0, index: index.get() };
        let nodes: Vec<NodeCoord> = std::iter::once(leaf).chain(plan.nodes().iter().copied()).collect();
        let mut hashes = self.read_nodes(&committed.tree, &nodes).await?;
        let leaf = LeafHash(hashes.remove(0));
        Ok(Some((leaf, plan.assemble(hashes)?)))
    }

    pub(crate) async fn consistency(
        &self,
        from: TreeSize,
        to: TreeSize,
    ) -> Result<Option<ConsistencyProof>, ReadError> {
        let committed = self.committed();
        if from > to || to > committed.tree.size() {
            return Ok(None);
        }
        let plan = ConsistencyPlan::new(from, to)?;
        let hashes = self.read_nodes(&committed.tree, plan.nodes()).await?;
        Ok(Some(plan.assemble(hashes)?))
    }

    async fn root(&self, size: TreeSize) -> Result<Option<RootHash>, ReadError> {
        let committed = self.committed();
        if size > committed.tree.size() {
            return Ok(None);
        }
        let plan = RootPlan::new(size)?;
        let hashes = self.read_nodes(&committed.tree, plan.nodes()).await?;
        Ok(Some(plan.assemble(hashes)?))
    }

    pub(crate) async fn index_of_leaf_hash(&self, leaf_hash: LeafHash) -> Result<Option<LeafIndex>, ReadError> {
        let index = self.store.index_of_leaf_hash(&self.origin, leaf_hash).await?;
        Ok(self.within(index))
    }

    pub(crate) async fn index_of_identity(&self, identity: Digest) -> Result<Option<LeafIndex>, ReadError> {
        let indexes = self.store.indexes_of_identities(&self.origin, &[identity]).await?;
        Ok(self.within(indexes.into_iter().next().flatten()))
    }

    fn within(&self, index: Option<LeafIndex>) -> Option<LeafIndex> {
        let size = self.committed().tree.size();
        index.filter(|index| index.is_in(size))
    }

    fn committed(&self) -> Arc<Committed> {
        self.committed.borrow().clone()
    }

    async fn read_entries(&self, from: LeafIndex, expected: usize) -> Result<Vec<Vec<u8>>, ReadError> {
        let entries = self.store.entries(&self.origin, from, expected).await?;
        let found = entries.len();
        if found == expected { Ok(entries) } else { Err(ReadError::MissingEntries { from, expected, found }) }
    }

    /// A tile that the tree has, from the right edge in memory, the cache or the store.
    async fn read_tile(&self, tree: &Tree, tile: TileCoord) -> Result<Arc<[u8]>, ReadError> {
        if let Some(bytes) = tree.partial_tile(tile) {
            return Ok(bytes.into());
        }
        let full = tile.full();
        let bytes = if let Some(bytes) = self.tiles.get(full) {
            bytes
        } else {
            let read = self.store.full_tile(&self.origin, full).await?;
            let bytes: Arc<[u8]> = read.ok_or(ReadError::MissingTile { tile: full })?.into();
            self.tiles.insert(full, &bytes);
            bytes
        };
        let (expected, found) = (tile.byte_count(), bytes.len());
        match bytes.get(..expected) {
            Some(_) if tile.is_full() => Ok(bytes),
            Some(beginning) => Ok(beginning.into()),
            None => Err(TileError::ByteCount { expected, found }.into()),
        }
    }

    /// The hashes of nodes that the tree has, each tile read once.
    async fn read_nodes(&self, tree: &Tree, nodes: &[NodeCoord]) -> Result<Vec<Hash>, ReadError> {
        let size = tree.size();
        let outside = |node| ReadError::Tile(TileError::NodeOutsideTile { node });
        let first = nodes.first().copied().unwrap_or(NodeCoord { level: 0, index: 0 });
        let places = tiles_of_nodes(nodes, size).ok_or_else(|| outside(first))?;
        let mut tiles = Vec::with_capacity(places.len());
        for place in places {
            tiles.push((place, self.read_tile(tree, place).await?));
        }
        let mut hashes = Vec::with_capacity(nodes.len());
        for node in nodes {
            let place = tile_of(*node, size).ok_or_else(|| outside(*node))?;
            let (_, bytes) = tiles.iter().find(|(tile, _)| *tile == place).ok_or_else(|| outside(*node))?;
            hashes.push(self.hash_of(place, bytes, *node)?);
        }
        Ok(hashes)
    }

    /// The hash of a node in a tile. What full tiles make between their levels is made once.
    fn hash_of(&self, tile: TileCoord, bytes: &[u8], node: NodeCoord) -> Result<Hash, TileError> {
        if !tile.is_full() || node.level.is_multiple_of(TILE_HEIGHT) {
            return hash_in_tile(tile, bytes, node);
        }
        let inner = self.inner.get(tile).unwrap_or_else(|| {
            let inner = inner_hashes(bytes);
            self.inner.insert(tile, &inner);
            inner
        });
        inner_hash(tile, &inner, node).map_or_else(|| hash_in_tile(tile, bytes, node), Ok)
    }
}

/// The root that the stored tiles give a tree of this size; `None` beyond the committed tree.
pub(crate) async fn root_at(
    origin: &Origin,
    store: Arc<dyn StoreReader>,
    committed: &Arc<Committed>,
    size: TreeSize,
) -> Result<Option<RootHash>, ReadError> {
    let (_sender, receiver) = watch::channel(Arc::clone(committed));
    TileReader::new(origin.clone(), store, receiver).root(size).await
}

fn first_leaf(tile: TileCoord) -> Option<LeafIndex> {
    LeafIndex::new(tile.index().checked_mul(u64::from(TILE_WIDTH))?)
}

/// Whether the tree has every hash of the tile.
fn has_tile(tree: &Tree, tile: TileCoord) -> bool {
    let last = tile.nodes().last();
    last.and_then(NodeCoord::end).is_some_and(|end| end <= tree.size())
}

#[cfg(test)]
mod tests;
