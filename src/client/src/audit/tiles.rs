//! The hash tiles that the entries make, and their comparison with those that are served. Clients make proofs from the
//! served ones.

use std::sync::Arc;

use countermark_tlog::hash::{HASH_BYTES, Hash};
use countermark_tlog::tile::{TILE_BYTES_MAX, TILE_HEIGHT, TileCoord, TileError};
use countermark_tlog::tree::NodeCoord;
use tokio::task::JoinSet;

use crate::fetch::{FetchError, PARALLEL_FETCHES_MAX, TileSource, fetch_tile, resumed};

/// The most tiles that are named as different; the rest is counted.
const DIFFERENT_MAX: usize = 100;

/// A tile as the entries make it.
pub(super) struct ExpectedTile {
    pub tile: TileCoord,
    pub bytes: Vec<u8>,
}

/// The tiles that grow at the right edge, one for each level, and the full ones that nobody has taken yet.
#[derive(Default)]
pub(super) struct TileBuilder {
    levels: Vec<Level>,
    full: Vec<(u8, u64, Vec<u8>)>,
}

#[derive(Default)]
struct Level {
    index: u64,
    bytes: Vec<u8>,
}

impl TileBuilder {
    /// Takes a node that an entry completed; those between the tiles' levels are passed over.
    pub fn add(&mut self, node: NodeCoord, hash: Hash) {
        if !node.level.is_multiple_of(TILE_HEIGHT) {
            return;
        }
        let level = node.level / TILE_HEIGHT;
        let place = usize::from(level);
        if self.levels.len() <= place {
            self.levels.resize_with(place + 1, Level::default);
        }
        let Some(growing) = self.levels.get_mut(place) else { return };
        growing.bytes.extend_from_slice(hash.as_bytes());
        if growing.bytes.len() == TILE_BYTES_MAX {
            self.full.push((level, growing.index, std::mem::take(&mut growing.bytes)));
            growing.index += 1;
        }
    }

    /// The tiles that became full.
    pub fn take_full(&mut self) -> Result<Vec<ExpectedTile>, TileError> {
        let full = std::mem::take(&mut self.full);
        full.into_iter().map(|(level, index, bytes)| expected(level, index, bytes)).collect()
    }

    /// The tiles that are not full.
    pub fn take_partial(&mut self) -> Result<Vec<ExpectedTile>, TileError> {
        let levels = std::mem::take(&mut self.levels).into_iter().zip(0_u8..);
        let partial = levels.filter(|(growing, _)| !growing.bytes.is_empty());
        partial.map(|(growing, level)| expected(level, growing.index, growing.bytes)).collect()
    }
}

fn expected(level: u8, index: u64, bytes: Vec<u8>) -> Result<ExpectedTile, TileError> {
    let width = u16::try_from(bytes.len() / HASH_BYTES).unwrap_or(u16::MAX);
    TileCoord::new(level, index, width).map(|tile| ExpectedTile { tile, bytes })
}

/// What came of the comparison.
#[derive(Default)]
pub(super) struct Compared {
    pub same: u64,
    pub different: Vec<TileCoord>,
    pub different_omitted: u64,
    pub not_fetched: u64,
    /// Why the first of them was not fetched.
    pub first_failure: Option<FetchError>,
}

/// Compares tiles, at most [`PARALLEL_FETCHES_MAX`] at a time.
pub(super) struct Comparison {
    source: Arc<dyn TileSource>,
    under_way: JoinSet<(TileCoord, Result<bool, FetchError>)>,
    compared: Compared,
}

impl Comparison {
    pub fn new(source: Arc<dyn TileSource>) -> Self {
        Self { source, under_way: JoinSet::new(), compared: Compared::default() }
    }

    /// Begins the comparison of tiles; waits while too many are under way.
    pub async fn push(&mut self, tiles: Vec<ExpectedTile>) -> Result<(), FetchError> {
        for ExpectedTile { tile, bytes } in tiles {
            while self.under_way.len() >= PARALLEL_FETCHES_MAX {
                self.take_one().await?;
            }
            let source = Arc::clone(&self.source);
            self.under_way.spawn(async move {
                let served = fetch_tile(&*source, tile).await;
                (tile, served.map(|served| served == bytes))
            });
        }
        Ok(())
    }

    /// Waits for the last comparison.
    pub async fn finish(mut self) -> Result<Compared, FetchError> {
        while self.take_one().await? {}
        Ok(self.compared)
    }

    async fn take_one(&mut self) -> Result<bool, FetchError> {
        let Some(done) = self.under_way.join_next().await else { return Ok(false) };
        let (tile, outcome) = resumed(done)?;
        let compared = &mut self.compared;
        match outcome {
            Ok(true) => compared.same += 1,
            Ok(false) if compared.different.len() < DIFFERENT_MAX => compared.different.push(tile),
            Ok(false) => compared.different_omitted += 1,
            Err(error) => {
                compared.not_fetched += 1;
                compared.first_failure.get_or_insert(error);
            }
        }
        Ok(true)
    }
}
