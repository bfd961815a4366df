//! How two heads of one log stand to each other, by the tiles of the larger one.
//!
//! A log that shows two faces may serve the tiles of either, or neither. So the answer has four values, and the one that
//! accuses comes with its evidence.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{ForkError, ForkParseError, UntrustedForkEvidence, roots_of};
use crate::checkpoint::SignedCheckpoint;
use crate::hash::Hash;
use crate::size::TreeSize;
use crate::tile::{TileCoord, TileError, hash_in_tile, tile_of, tiles_of_nodes};
use crate::tree::{ConsistencyPlan, NodeCoord, PlanError, RootPlan};

/// How two heads of one log stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relation {
    /// One size, one root.
    Same,
    /// The larger tree begins with the smaller one.
    Grown,
    /// The log signed both, and one cannot have grown into the other.
    Fork(Box<UntrustedForkEvidence>),
    /// The tiles are not those of the larger head: it cannot be said. Never a fork by itself.
    Unresolved,
}

/// Why no relation was worked out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelateError {
    /// Checkpoints that cannot stand in one document.
    #[error(transparent)]
    Heads(#[from] ForkParseError),
    /// Sizes between which nothing is to be shown.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A tile of another length than its place says.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// A tile of the plan that was not handed over.
    #[error("the tile {} was not handed over", tile.path())]
    Missing {
        /// Which.
        tile: TileCoord,
    },
}

/// Which tiles of the larger tree are needed, and what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationPlan {
    from: TreeSize,
    to: TreeSize,
    proof: ConsistencyPlan,
    /// The first hash, where a proof leaves it out: `from` is a power of two, and its root one node.
    first: Option<NodeCoord>,
    tiles: Vec<TileCoord>,
}

impl RelationPlan {
    /// Plans to show how a tree of size `from` stands to a larger one of size `to`; at most 64 nodes and 64 tiles.
    pub fn new(from: TreeSize, to: TreeSize) -> Result<Self, PlanError> {
        let proof = ConsistencyPlan::new(from, to)?;
        let first = if from.get().is_power_of_two() { RootPlan::new(from)?.nodes().first().copied() } else { None };
        let nodes: Vec<NodeCoord> = first.iter().chain(proof.nodes()).copied().collect();
        let tiles = tiles_of_nodes(&nodes, to).unwrap_or_default();
        Ok(Self { from, to, proof, first, tiles })
    }

    /// The tiles to fetch, as wide as they are in the larger tree.
    #[must_use]
    pub fn tiles(&self) -> &[TileCoord] {
        &self.tiles
    }

    /// How the heads stand to each other if these are the tiles of the larger one's tree. Both must be authentic.
    pub fn relate(
        &self,
        smaller: &SignedCheckpoint,
        larger: &SignedCheckpoint,
        tiles: &BTreeMap<TileCoord, Vec<u8>>,
    ) -> Result<Relation, RelateError> {
        let (from, to) = (smaller.checkpoint(), larger.checkpoint());
        if self.from == TreeSize::ZERO {
            return Ok(Relation::Grown);
        }
        let read = |node: &NodeCoord| {
            let tile = tile_of(*node, self.to).ok_or(TileError::NodeOutsideTile { node: *node })?;
            let bytes = tiles.get(&tile).ok_or(RelateError::Missing { tile })?;
            Ok::<Hash, RelateError>(hash_in_tile(tile, bytes, *node)?)
        };
        let proof = self.proof.assemble(self.proof.nodes().iter().map(read).collect::<Result<_, _>>()?)?;
        let first = self.first.as_ref().map(read).transpose()?;
        let hashes: Vec<Hash> = first.into_iter().chain(proof.hashes().iter().copied()).collect();
        let evidence = UntrustedForkEvidence::new(smaller, larger, hashes)?;
        // Only the sizes that the plan was made for fit; what does not is said to be unrelated, never a fork.
        match roots_of(from.size, to.size, &evidence.hashes) {
            Ok((beginning, whole)) if whole == to.root => {
                Ok(if beginning == from.root { Relation::Grown } else { Relation::Fork(Box::new(evidence)) })
            }
            Ok(_)
            | Err(
                ForkError::FromEmpty
                | ForkError::Hashes(_)
                | ForkError::NotSigned { .. }
                | ForkError::NeedlessHashes { .. }
                | ForkError::OtherTree { .. }
                | ForkError::OnlyGrew,
            ) => Ok(Relation::Unresolved),
        }
    }
}

/// How two heads of one size stand to each other; [`Relation::Unresolved`] if the sizes differ. Both must be authentic.
pub fn relate_equal_sizes(one: &SignedCheckpoint, other: &SignedCheckpoint) -> Result<Relation, RelateError> {
    let (left, right) = (one.checkpoint(), other.checkpoint());
    if left.size != right.size {
        return Ok(Relation::Unresolved);
    }
    if left.root == right.root {
        return Ok(Relation::Same);
    }
    Ok(Relation::Fork(Box::new(UntrustedForkEvidence::new(one, other, Vec::new())?)))
}
