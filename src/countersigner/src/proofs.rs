//! Proofs from the log's static tiles: nothing is asked of the log but files that anybody may mirror.
//!
//! What comes out is unverified: a wrong tile gives a wrong proof, and the verification of the proof says so.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use countermark_tlog::hash::{Hash, RootHash};
use countermark_tlog::proof::{ConsistencyProof, InclusionProof};
use countermark_tlog::size::{LeafIndex, TreeSize};
use countermark_tlog::tile::{TileError, hash_in_tile, tile_of};
use countermark_tlog::tree::{ConsistencyPlan, InclusionPlan, NodeCoord, PlanError, RootPlan};
use thiserror::Error;

use crate::ports::{LogReader, ReadError};

/// Why no proof was made.
#[derive(Debug, Error)]
pub enum ProofReadError {
    /// A tile was not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A tile of the wrong length.
    #[error("a tile of the log is malformed")]
    Tile(#[from] TileError),
    /// A proof of something that a tree of this size does not have.
    #[error("there is no such proof")]
    Plan(#[from] PlanError),
}

/// What the tiles of a tree say about a smaller tree. Unverified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntrustedPrefix {
    /// The root of the smaller tree, from the tiles of the larger.
    pub root: RootHash,
    /// The consistency proof between the two.
    pub proof: ConsistencyProof,
}

/// Reads the path from a leaf to the root of the tree of this size.
pub async fn inclusion(
    reader: &dyn LogReader,
    index: LeafIndex,
    size: TreeSize,
) -> Result<InclusionProof, ProofReadError> {
    let plan = InclusionPlan::new(index, size)?;
    Ok(plan.assemble(hashes(reader, plan.nodes(), size).await?)?)
}

/// Reads what the tree of size `to` has at size `from`.
pub async fn prefix(reader: &dyn LogReader, from: TreeSize, to: TreeSize) -> Result<UntrustedPrefix, ProofReadError> {
    let (peaks, path) = (RootPlan::new(from)?, ConsistencyPlan::new(from, to)?);
    let nodes: Vec<NodeCoord> = peaks.nodes().iter().chain(path.nodes()).copied().collect();
    let mut of_peaks = hashes(reader, &nodes, to).await?;
    let of_path = of_peaks.split_off(peaks.nodes().len());
    Ok(UntrustedPrefix { root: peaks.assemble(of_peaks)?, proof: path.assemble(of_path)? })
}

/// The place of an entry in its bundle of 256: the lowest byte of its index.
#[must_use]
pub(crate) const fn place_in_bundle(index: u64) -> u8 {
    index.to_le_bytes()[0]
}

/// The hashes of nodes, each tile read once.
async fn hashes(reader: &dyn LogReader, nodes: &[NodeCoord], size: TreeSize) -> Result<Vec<Hash>, ProofReadError> {
    let mut tiles = BTreeMap::new();
    let mut hashes = Vec::with_capacity(nodes.len());
    for &node in nodes {
        let tile = tile_of(node, size).expect("a plan names only nodes of its tree");
        let bytes = match tiles.entry(tile) {
            Entry::Occupied(read) => read.into_mut(),
            Entry::Vacant(unread) => unread.insert(reader.tile(tile).await?),
        };
        hashes.push(hash_in_tile(tile, bytes, node)?);
    }
    Ok(hashes)
}
