//! Tiles and entry bundles of exactly the width asked for, several at a time.

use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::sync::Arc;

use countermark_tlog::entry_bundle::{self, ENTRY_BYTES_MAX};
use countermark_tlog::tile::TileCoord;
use tokio::task::{JoinError, JoinSet};

use super::{FetchError, MalformedAnswer, Place, TileSource};

/// The most requests under way at a time.
pub const PARALLEL_FETCHES_MAX: usize = 8;

/// The bytes of an entry bundle whose entries are all as long as they may be.
pub(crate) fn entry_bundle_bytes_max(bundle: TileCoord) -> usize {
    usize::from(bundle.width()).saturating_mul(ENTRY_BYTES_MAX.saturating_add(2))
}

/// An entry bundle that has the form of one. Its entries are not verified.
#[derive(Clone, Debug)]
pub struct EntryBundle {
    coord: TileCoord,
    bytes: Vec<u8>,
    /// Where each entry stands in the bytes.
    places: Vec<Range<usize>>,
}

impl EntryBundle {
    /// Which bundle.
    #[must_use]
    pub const fn coord(&self) -> TileCoord {
        self.coord
    }

    /// Its entries, as many as it is wide.
    pub fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().filter_map(|place| self.bytes.get(place.clone()))
    }
}

/// Bytes that were read, in memory that is used again and again.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    /// What was read last.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// Holds bytes that came from elsewhere.
    pub fn put(&mut self, bytes: Vec<u8>) {
        (self.filled, self.bytes) = (bytes.len(), bytes);
    }

    /// Reads everything, or says false after one byte more than the limit.
    pub fn fill(&mut self, from: &mut impl Read, limit: usize) -> std::io::Result<bool> {
        const ROOM: usize = 64 * 1024;
        self.filled = 0;
        loop {
            if self.filled == self.bytes.len() {
                // At least one byte more than the limit, or nobody would see that there is more.
                let room = self.bytes.len().saturating_mul(2).max(ROOM).min(limit.saturating_add(1).max(ROOM));
                self.bytes.resize(room, 0);
            }
            let room = self.bytes.get_mut(self.filled..).unwrap_or_default();
            match from.read(room) {
                Ok(0) => return Ok(true),
                Ok(count) => self.filled = self.filled.saturating_add(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.filled = 0;
                    return Err(error);
                }
            }
            if self.filled > limit {
                self.filled = 0;
                return Ok(false);
            }
        }
    }
}

/// Fetches a tile. Where the partial one is gone, the full one is asked for and cut.
// SPEC: C2SP tlog-tiles, Partial Tiles: once the full tile exists, partial ones may be deleted.
pub(crate) async fn fetch_tile(source: &dyn TileSource, tile: TileCoord) -> Result<Vec<u8>, FetchError> {
    let (asked, mut bytes) = match source.tile(tile).await {
        Err(FetchError::NotFound { .. }) if !tile.is_full() => (tile.full(), source.tile(tile.full()).await?),
        answer => (tile, answer?),
    };
    let (expected, found) = (asked.byte_count(), bytes.len());
    if expected != found {
        let source = MalformedAnswer::TileLength { expected, found };
        return Err(FetchError::Malformed { place: Place::new(asked.path()), source });
    }
    bytes.truncate(tile.byte_count());
    Ok(bytes)
}

/// Fetches an entry bundle. Where the partial one is gone, the full one is asked for and cut.
pub(crate) async fn fetch_bundle(source: &dyn TileSource, coord: TileCoord) -> Result<EntryBundle, FetchError> {
    let (asked, bytes) = match source.entry_bundle(coord).await {
        Err(FetchError::NotFound { .. }) if !coord.is_full() => {
            (coord.full(), source.entry_bundle(coord.full()).await?)
        }
        answer => (coord, answer?),
    };
    let malformed = |source| FetchError::Malformed { place: Place::new(asked.entries_path()), source };
    let entries = entry_bundle::decode(&bytes, asked.width()).map_err(|source| malformed(source.into()))?;
    let mut end = 0_usize;
    let place = |entry: &&[u8]| {
        // SPEC: C2SP tlog-tiles, Log entries: two bytes of length before each entry.
        let start = end.saturating_add(2);
        end = start.saturating_add(entry.len());
        start..end
    };
    let places = entries.iter().take(usize::from(coord.width())).map(place).collect();
    Ok(EntryBundle { coord, bytes, places })
}

/// Fetches tiles, at most [`PARALLEL_FETCHES_MAX`] at a time, in any order. The first failure stops the others.
pub(crate) async fn fetch_tiles(
    source: &Arc<dyn TileSource>,
    tiles: Vec<TileCoord>,
) -> Result<Vec<(TileCoord, Vec<u8>)>, FetchError> {
    let mut fetched = Vec::with_capacity(tiles.len());
    let mut waiting = tiles.into_iter();
    // Dropped with whatever is still under way when this function ends early.
    let mut under_way = JoinSet::new();
    loop {
        while under_way.len() < PARALLEL_FETCHES_MAX {
            let Some(tile) = waiting.next() else { break };
            let source = Arc::clone(source);
            under_way.spawn(async move { fetch_tile(&*source, tile).await.map(|bytes| (tile, bytes)) });
        }
        match under_way.join_next().await {
            None => return Ok(fetched),
            Some(done) => fetched.push(resumed(done)??),
        }
    }
}

/// The outcome of a task. A panic in it goes on in the caller; nothing else than a shutdown cancels our tasks.
pub(crate) fn resumed<T>(done: Result<T, JoinError>) -> Result<T, FetchError> {
    done.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => FetchError::Stopped,
    })
}
