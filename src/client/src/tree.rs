//! A log's tree, read from tiles that are authenticated before anything is read from them.
//!
//! The partial tiles of the right edge are all hashed into the root; every full tile is one hash of the tile above it.
//! So a tile is believed once the edge gave the head's root, or once its hash stands in a tile that is believed. Proofs
//! that are made here are true of the head that the tree was opened with; whether that head is to be believed is
//! [`crate::head`]'s question.
//!
//! Source: <https://c2sp.org/tlog-tiles>; the way to authenticate is that of Go's `sumdb/tlog`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use countermark_bundle::ExitClass;
use countermark_tlog::checkpoint::Checkpoint;
use countermark_tlog::hash::{Hash, LeafHash, RootHash, leaf_hash, node_hash};
use countermark_tlog::proof::{ConsistencyProof, InclusionProof};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::{TILE_HEIGHT, TILE_WIDTH, TileCoord, TileError, hash_in_tile, tile_of, tiles_of};
use countermark_tlog::tree::{ConsistencyPlan, InclusionPlan, NodeCoord, PlanError, RootPlan};

use crate::fetch::{FetchError, TileSource, fetch_bundle, fetch_tiles};

mod cache;

use cache::Cache;

type Tiles = BTreeMap<TileCoord, Arc<[u8]>>;

/// The tree of one head over a source of tiles.
pub struct VerifiedTree {
    source: Arc<dyn TileSource>,
    size: TreeSize,
    root: RootHash,
    /// The partial tiles: authenticated by the root, at most 8.
    edge: Tiles,
    /// Full tiles that were authenticated. Never locked across an await.
    cache: Mutex<Cache>,
}

/// Why something was not read from the tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A tile or an entry bundle was not fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The tiles of the right edge belong to another tree.
    #[error("the tiles lead to the root {found}, the head has {expected}")]
    Root {
        /// The head's root.
        expected: RootHash,
        /// The root of the tiles.
        found: RootHash,
    },
    /// A full tile that is not the one under the head.
    #[error("tile {} is not the one under the head", tile.path())]
    Tile {
        /// The tile.
        tile: TileCoord,
    },
    /// An entry that is not the one under the head.
    #[error("the entry at {index} is not the one under the head")]
    Entry {
        /// Where it should stand.
        index: LeafIndex,
    },
    /// The tree does not have what was asked for.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The tree does not have the node.
    #[error("node {} of level {} is not in a tree of size {size}", node.index, node.level)]
    NodeOutsideTree {
        /// The node.
        node: NodeCoord,
        /// The tree's size.
        size: TreeSize,
    },
    /// A tile's arithmetic does not fit; a defect.
    #[error(transparent)]
    TileArithmetic(#[from] TileError),
}

impl TreeError {
    /// The class that a process exits with.
    #[must_use]
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Self::Fetch(error) => error.exit_class(),
            Self::Root { .. } | Self::Tile { .. } | Self::Entry { .. } => ExitClass::Proof,
            Self::Plan(_) | Self::NodeOutsideTree { .. } => ExitClass::Usage,
            Self::TileArithmetic(_) => ExitClass::OurFault,
        }
    }
}

impl VerifiedTree {
    /// Fetches the right edge, at most 8 tiles, and checks that it gives the head's root.
    pub async fn open(source: Arc<dyn TileSource>, head: &Checkpoint) -> Result<Self, TreeError> {
        let partial = tiles_of(head.size).into_iter().filter(|tile| !tile.is_full()).collect();
        let fetched = fetch_tiles(&source, partial).await?;
        let edge: Tiles = fetched.into_iter().map(|(tile, bytes)| (tile, Arc::from(bytes))).collect();
        let plan = RootPlan::new(head.size)?;
        // Every hash of a partial tile is under one of the peaks, so the root vouches for all of them.
        let peaks = plan.nodes().iter().map(|peak| hash_of(*peak, head.size, &edge)).collect::<Result<_, _>>()?;
        let found = plan.assemble(peaks)?;
        if found != head.root {
            return Err(TreeError::Root { expected: head.root, found });
        }
        Ok(Self { source, size: head.size, root: head.root, edge, cache: Mutex::default() })
    }

    /// The head's size.
    #[must_use]
    pub const fn size(&self) -> TreeSize {
        self.size
    }

    /// The head's root.
    #[must_use]
    pub const fn root(&self) -> RootHash {
        self.root
    }

    /// The hashes of nodes, in the order asked, each from tiles that were authenticated.
    pub async fn read(&self, nodes: &[NodeCoord]) -> Result<Vec<Hash>, TreeError> {
        let mut needed = BTreeSet::new();
        for node in nodes {
            self.tiles_above(*node, &mut needed)?;
        }
        let (mut believed, missing) = self.known(&needed);
        let mut fetched = fetch_tiles(&self.source, missing).await?;
        // From the top: a tile is compared with its hash in the tile above, which is believed by then.
        fetched.sort_by_key(|(tile, _)| std::cmp::Reverse(*tile));
        for (tile, bytes) in fetched {
            let expected = hash_of(summit(tile), self.size, &believed)?;
            if hash_of_full_tile(tile, &bytes)? != expected {
                return Err(TreeError::Tile { tile });
            }
            let bytes: Arc<[u8]> = bytes.into();
            self.cache.lock().unwrap_or_else(PoisonError::into_inner).insert(tile, &bytes);
            believed.insert(tile, bytes);
        }
        nodes.iter().map(|node| hash_of(*node, self.size, &believed)).collect()
    }

    /// The root that the tree had at an earlier size.
    pub async fn root_at(&self, size: TreeSize) -> Result<RootHash, TreeError> {
        let plan = RootPlan::new(size)?;
        Ok(plan.assemble(self.read(plan.nodes()).await?)?)
    }

    /// The leaf hash at an index.
    pub async fn leaf_hash(&self, index: LeafIndex) -> Result<LeafHash, TreeError> {
        let hashes = self.read(&[NodeCoord { level: 0, index: index.get() }]).await?;
        hashes.first().copied().map(LeafHash).ok_or(TreeError::Plan(PlanError::HashCount { expected: 1, found: 0 }))
    }

    /// The exact bytes of an entry, from its bundle, compared with its leaf hash.
    pub async fn entry(&self, index: LeafIndex) -> Result<Vec<u8>, TreeError> {
        let expected = self.leaf_hash(index).await?;
        let leaf = NodeCoord { level: 0, index: index.get() };
        let coord = tile_of(leaf, self.size).ok_or(TreeError::NodeOutsideTree { node: leaf, size: self.size })?;
        let bundle = fetch_bundle(&*self.source, coord).await?;
        let place = usize::try_from(index.get() % u64::from(TILE_WIDTH)).unwrap_or(usize::MAX);
        let entry = bundle.entries().nth(place).map(<[u8]>::to_vec);
        entry.filter(|entry| leaf_hash(entry) == expected).ok_or(TreeError::Entry { index })
    }

    /// The proof that the tree at a size, the head's or an earlier one, has the leaf.
    pub async fn prove_inclusion(&self, index: LeafIndex, size: TreeSize) -> Result<InclusionProof, TreeError> {
        let plan = InclusionPlan::new(index, size)?;
        Ok(plan.assemble(self.read(plan.nodes()).await?)?)
    }

    /// The proof that the tree at one size is the beginning of the tree at another, both at most the head's.
    pub async fn prove_consistency(&self, from: TreeSize, to: TreeSize) -> Result<ConsistencyProof, TreeError> {
        let plan = ConsistencyPlan::new(from, to)?;
        Ok(plan.assemble(self.read(plan.nodes()).await?)?)
    }

    /// The full tiles on the way from a node up to the edge.
    fn tiles_above(&self, node: NodeCoord, needed: &mut BTreeSet<TileCoord>) -> Result<(), TreeError> {
        let mut node = node;
        loop {
            let outside = TreeError::NodeOutsideTree { node, size: self.size };
            let tile = tile_of(node, self.size).ok_or(outside)?;
            if !tile.is_full() || !needed.insert(tile) {
                return Ok(());
            }
            node = summit(tile);
        }
    }

    /// What is believed already, the edge and the cache, and what has to be fetched.
    fn known(&self, needed: &BTreeSet<TileCoord>) -> (Tiles, Vec<TileCoord>) {
        let mut believed = self.edge.clone();
        let mut missing = Vec::new();
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        for tile in needed {
            match cache.get(*tile) {
                Some(bytes) => {
                    believed.insert(*tile, bytes);
                }
                None => missing.push(*tile),
            }
        }
        (believed, missing)
    }
}

/// The node that a full tile is hashed to, in the tile above it.
const fn summit(tile: TileCoord) -> NodeCoord {
    // Levels end at 63 tiles of 8, far below what a u8 of a real tree can reach: `tile_of` refuses more.
    NodeCoord { level: tile.level().saturating_add(1).saturating_mul(TILE_HEIGHT), index: tile.index() }
}

fn hash_of(node: NodeCoord, size: TreeSize, tiles: &Tiles) -> Result<Hash, TreeError> {
    let outside = || TreeError::NodeOutsideTree { node, size };
    let tile = tile_of(node, size).ok_or_else(outside)?;
    let bytes = tiles.get(&tile).ok_or_else(outside)?;
    Ok(hash_in_tile(tile, bytes, node)?)
}

fn hash_of_full_tile(tile: TileCoord, bytes: &[u8]) -> Result<Hash, TreeError> {
    let NodeCoord { level, index } = summit(tile);
    let half = |index| hash_in_tile(tile, bytes, NodeCoord { level: level.saturating_sub(1), index });
    let left = index.saturating_mul(2);
    Ok(node_hash(&half(left)?, &half(left.saturating_add(1))?))
}

#[cfg(test)]
mod tests;
