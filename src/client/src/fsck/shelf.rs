//! Tiles and bundles in the order that a job needs them: from a folder on the job's own thread, from a remote log some of
//! them ahead.
//!
//! Every answer of a remote log that is under way, or waits to be used, holds as much of [`REMOTE_BYTES_MAX`] as it may
//! have bytes. A job waits for its share only while it holds none, so that no two wait for each other.

use std::collections::VecDeque;
use std::sync::Arc;

use countermark_tlog::tile::{TileCoord, TilePath};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::FsckSource;
use crate::fetch::{
    Buffer, FetchError, FolderSource, PARALLEL_FETCHES_MAX, Patience, SourceFuture, TileSource, entry_bundle_bytes_max,
    resumed,
};

/// The most bytes of answers under way: 256 MiB, or 15 entry bundles of the longest entries.
pub const REMOTE_BYTES_MAX: usize = 256 << 20;

/// What [`REMOTE_BYTES_MAX`] is counted in.
const UNIT: usize = 1024;
/// Reads of one job that are under way: a bundle and a tile are asked for together.
const AHEAD_MAX: usize = 2 * PARALLEL_FETCHES_MAX;

/// Where jobs read from.
pub(super) enum Shelf {
    Folder(FolderSource),
    Remote(Remote),
}

pub(super) struct Remote {
    source: Arc<dyn TileSource>,
    patience: Patience,
    runtime: Handle,
    budget: Arc<Semaphore>,
}

/// What a job reads, in order.
pub(super) enum Row<'a> {
    Folder { folder: &'a FolderSource, wanted: VecDeque<TilePath> },
    Remote { remote: &'a Remote, wanted: VecDeque<TilePath>, under_way: VecDeque<UnderWay> },
}

type Answer = (TileCoord, Result<Vec<u8>, FetchError>);

pub(super) struct UnderWay {
    task: JoinHandle<Answer>,
    /// Given back when the answer was taken.
    _share: OwnedSemaphorePermit,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shelf {
    pub fn new(source: &FsckSource, patience: Patience, runtime: &Handle) -> Self {
        match source {
            FsckSource::Folder(folder) => Self::Folder(folder.clone()),
            FsckSource::Remote(source) => Self::Remote(Remote {
                source: Arc::clone(source),
                patience,
                runtime: runtime.clone(),
                budget: Arc::new(Semaphore::new(REMOTE_BYTES_MAX / UNIT)),
            }),
        }
    }

    pub fn row(&self, wanted: VecDeque<TilePath>) -> Row<'_> {
        match self {
            Self::Folder(folder) => Row::Folder { folder, wanted },
            Self::Remote(remote) => Row::Remote { remote, wanted, under_way: VecDeque::new() },
        }
    }
}

impl Row<'_> {
    /// Reads the next, and says which it is: a full tile or bundle where a partial one was wanted and is gone.
    ///
    /// Blocks the calling thread, which is no thread of the runtime.
    // SPEC: C2SP tlog-tiles, Partial Tiles: once the full tile exists, partial ones may be deleted.
    pub fn next(&mut self, into: &mut Buffer) -> Result<TileCoord, FetchError> {
        match self {
            Self::Folder { folder, wanted } => {
                let what = wanted.pop_front().ok_or(FetchError::Stopped)?;
                match folder.read_into(what, into) {
                    Err(FetchError::NotFound { .. }) if !coord(what).is_full() => {
                        folder.read_into(full(what), into).map(|()| coord(what).full())
                    }
                    read => read.map(|()| coord(what)),
                }
            }
            Self::Remote { remote, wanted, under_way } => {
                while under_way.len() < AHEAD_MAX
                    && let Some(what) = wanted.front().copied()
                    && let Some(asked) = remote.ask(what, under_way.is_empty())?
                {
                    wanted.pop_front();
                    under_way.push_back(asked);
                }
                let mut first = under_way.pop_front().ok_or(FetchError::Stopped)?;
                let (read, answer) = resumed(remote.runtime.block_on(&mut first.task))?;
                into.put(answer?);
                Ok(read)
            }
        }
    }
}

impl Remote {
    /// Asks for a tile or bundle; `None` if there is no room for its answer and the job can do without for now.
    fn ask(&self, what: TilePath, needed: bool) -> Result<Option<UnderWay>, FetchError> {
        let units = u32::try_from(bytes_max(what).div_ceil(UNIT)).unwrap_or(u32::MAX);
        let share = match Arc::clone(&self.budget).try_acquire_many_owned(units) {
            Ok(share) => share,
            Err(_) if !needed => return Ok(None),
            Err(_) => {
                let waits = Arc::clone(&self.budget).acquire_many_owned(units);
                self.runtime.block_on(waits).map_err(|_| FetchError::Stopped)?
            }
        };
        let (source, patience) = (Arc::clone(&self.source), self.patience);
        let task = self.runtime.spawn(async move {
            match patience.ask(|| read(&*source, what)).await {
                Err(FetchError::NotFound { .. }) if !coord(what).is_full() => {
                    let answer = patience.ask(|| read(&*source, full(what))).await;
                    (coord(what).full(), answer)
                }
                answer => (coord(what), answer),
            }
        });
        Ok(Some(UnderWay { task, _share: share }))
    }
}

fn read(source: &dyn TileSource, what: TilePath) -> SourceFuture<'_> {
    match what {
        TilePath::Hashes(tile) => source.tile(tile),
        TilePath::Entries(bundle) => source.entry_bundle(bundle),
    }
}

/// The most bytes of an answer; a partial one may be answered by the full one.
fn bytes_max(what: TilePath) -> usize {
    match what {
        TilePath::Hashes(tile) => tile.full().byte_count(),
        TilePath::Entries(bundle) => entry_bundle_bytes_max(bundle.full()),
    }
}

const fn coord(what: TilePath) -> TileCoord {
    let (TilePath::Hashes(coord) | TilePath::Entries(coord)) = what;
    coord
}

const fn full(what: TilePath) -> TilePath {
    match what {
        TilePath::Hashes(tile) => TilePath::Hashes(tile.full()),
        TilePath::Entries(bundle) => TilePath::Entries(bundle.full()),
    }
}
