//! A folder of exported tiles: `checkpoint` and `tile/…` as files.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use countermark_tlog::note::NOTE_BYTES_MAX;
use countermark_tlog::tile::{TileCoord, TilePath};

use super::tiles::{Buffer, entry_bundle_bytes_max};
use super::{FetchError, LocationError, Place, SourceFuture, TileSource, resumed};

/// Reads a log's tree from a folder that holds `checkpoint` and `tile/`.
#[derive(Clone, Debug)]
pub struct FolderSource {
    root: PathBuf,
}

impl FolderSource {
    /// Names the folder, which must be one.
    pub fn open(root: &Path) -> Result<Self, LocationError> {
        std::fs::read_dir(root).map_err(|source| LocationError::Folder { path: root.to_path_buf(), source })?;
        Ok(Self { root: root.to_path_buf() })
    }

    /// Reads a tile or an entry bundle on the calling thread, into what `into` has room for.
    pub(crate) fn read_into(&self, what: TilePath, into: &mut Buffer) -> Result<(), FetchError> {
        let (path, limit) = match what {
            TilePath::Hashes(tile) => (tile.path(), tile.byte_count()),
            TilePath::Entries(bundle) => (bundle.entries_path(), entry_bundle_bytes_max(bundle)),
        };
        let path = self.root.join(path);
        let within = into.fill(&mut open(&path)?, limit);
        let within = within.map_err(|source| FetchError::Unreadable { place: Place::new(path.display()), source })?;
        if within { Ok(()) } else { Err(FetchError::TooLarge { place: Place::new(path.display()), limit }) }
    }

    fn read(&self, path: &str, limit: usize) -> SourceFuture<'_> {
        let path = self.root.join(path);
        Box::pin(async move { resumed(tokio::task::spawn_blocking(move || read_bounded(&path, limit)).await)? })
    }
}

impl TileSource for FolderSource {
    fn checkpoint(&self) -> SourceFuture<'_> {
        self.read("checkpoint", NOTE_BYTES_MAX)
    }

    fn tile(&self, tile: TileCoord) -> SourceFuture<'_> {
        self.read(&tile.path(), tile.byte_count())
    }

    fn entry_bundle(&self, bundle: TileCoord) -> SourceFuture<'_> {
        self.read(&bundle.entries_path(), entry_bundle_bytes_max(bundle))
    }
}

fn open(path: &Path) -> Result<File, FetchError> {
    let place = || Place::new(path.display());
    File::open(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => FetchError::NotFound { place: place(), problem: None },
        _ => FetchError::Unreadable { place: place(), source },
    })
}

fn read_bounded(path: &Path, limit: usize) -> Result<Vec<u8>, FetchError> {
    let place = || Place::new(path.display());
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = open(path)?.take(bound).read_to_end(&mut bytes);
    read.map_err(|source| FetchError::Unreadable { place: place(), source })?;
    if bytes.len() > limit { Err(FetchError::TooLarge { place: place(), limit }) } else { Ok(bytes) }
}
