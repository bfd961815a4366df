//! Where an export is written: the objects of one namespace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use countermark_bundle::identity::Namespace;
use countermark_bundle::trust::TRUST_BYTES_MAX;
use countermark_tlog::note::NOTE_BYTES_MAX;
use countermark_tlog::size::TreeSize;
use countermark_tlog::tile::{TileCoord, tiles_of};
use countermark_tlog::tree::NodeCoord;
use tokio::task::{JoinError, JoinSet};

use super::document::{CHECKPOINT_FILE, EXPORT_BYTES_MAX, EXPORT_FILE, ExportDocument, record_file};
use super::{ExportError, ExportedLog, read_checkpoint};
use crate::objects::{Objects, ObjectsFault, ObjectsFaultCause, SwapError, Tag};
use crate::recover::HeadName;

/// The uploads under way at a time.
const UPLOADS_MAX: usize = 8;

/// The exported checkpoint as it was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) name: HeadName,
    pub(super) note: Vec<u8>,
    pub(super) tag: Tag,
}

/// The objects of one namespace.
#[derive(Debug)]
pub(super) struct Destination {
    namespace: String,
    objects: Arc<dyn Objects>,
    /// Whether it was said that old partial tiles stay.
    said_they_stay: AtomicBool,
    /// Whether what a crash may have left behind was removed.
    swept: AtomicBool,
}

impl Destination {
    pub(super) fn new(namespace: &Namespace, objects: Arc<dyn Objects>) -> Self {
        Self {
            namespace: namespace.to_string(),
            objects,
            said_they_stay: AtomicBool::new(false),
            swept: AtomicBool::new(false),
        }
    }

    fn key(&self, path: &str) -> String {
        format!("{}/{path}", self.namespace)
    }

    /// What is there must be an export of this log, or none.
    pub(super) async fn check_document(&self, log: &ExportedLog) -> Result<(), ExportError> {
        let Some(object) = self.objects.get(&self.key(EXPORT_FILE), EXPORT_BYTES_MAX).await? else { return Ok(()) };
        let found = ExportDocument::parse(&object.bytes).ok_or(ExportError::Document)?;
        let name = |kind, origin| format!("the {kind} log {origin}");
        if found.origin == log.origin && found.kind == log.kind {
            Ok(())
        } else {
            let (expected, found) = (name(log.kind, &log.origin), name(found.kind, &found.origin));
            Err(ExportError::OtherLog { expected, found })
        }
    }

    /// The exported checkpoint, which must carry the log's signature.
    pub(super) async fn checkpoint(&self, log: &ExportedLog) -> Result<Option<Found>, ExportError> {
        let Some(object) = self.objects.get(&self.key(CHECKPOINT_FILE), NOTE_BYTES_MAX).await? else {
            return Ok(None);
        };
        let name = read_checkpoint(&object.bytes, &log.log_keys).map_err(ExportError::Checkpoint)?;
        Ok(Some(Found { name, note: object.bytes, tag: object.tag }))
    }

    /// The records, where they are not what they should be.
    pub(super) async fn write_records(&self, log: &ExportedLog) -> Result<(), ExportError> {
        let document = ExportDocument {
            kind: log.kind,
            origin: log.origin.clone(),
            namespace: log.namespace.clone(),
            max_head_age_seconds: log.max_head_age_seconds,
        };
        for (file, bytes) in [(EXPORT_FILE, document.write()), (record_file(log.kind), log.record.clone())] {
            let key = self.key(file);
            let there = self.objects.get(&key, TRUST_BYTES_MAX).await?;
            if there.is_none_or(|there| there.bytes != bytes) {
                self.objects.put(&key, bytes).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn settle(&self) -> Result<(), ObjectsFault> {
        self.objects.settle().await
    }

    pub(super) async fn swap_checkpoint(&self, expected: Option<&Tag>, note: Vec<u8>) -> Result<(), SwapError> {
        self.objects.swap(&self.key(CHECKPOINT_FILE), expected, note).await
    }

    pub(super) fn uploads(&self) -> Uploads {
        let prefix = self.namespace.clone();
        Uploads { prefix, objects: Arc::clone(&self.objects), under_way: JoinSet::new() }
    }

    /// Removes partial tiles and bundles that a full one has replaced between two exported sizes; the first time, also
    /// those that the newest full ones have replaced. Whoever may not delete keeps them; nobody reads them.
    pub(super) async fn sweep(&self, old: TreeSize, new: TreeSize) {
        let mut outgrown = outgrown(old, new);
        if !self.swept.swap(true, Ordering::Relaxed) {
            outgrown.extend(newest_full(old));
        }
        for tile in outgrown {
            let mut folders = vec![format!("{}.p", tile.path())];
            if tile.level() == 0 {
                folders.push(format!("{}.p", tile.entries_path()));
            }
            for folder in folders {
                if let Err(failure) = self.objects.remove_folder(&self.key(&folder)).await {
                    if !self.said_they_stay.swap(true, Ordering::Relaxed) {
                        let failure = countermark_service::lifecycle::with_causes(&failure);
                        tracing::warn!(namespace = %self.namespace, failure, "old partial tiles stay in the export");
                    }
                    return;
                }
            }
        }
    }
}

/// The tiles that were partial in the tree of size `old` and are full in that of size `new`.
fn outgrown(old: TreeSize, new: TreeSize) -> Vec<TileCoord> {
    let full_now = |tile: &TileCoord| tile.nodes().last().and_then(NodeCoord::end).is_some_and(|end| end <= new);
    tiles_of(old).into_iter().filter(|tile| !tile.is_full()).map(TileCoord::full).filter(full_now).collect()
}

/// The newest full tile of each level.
fn newest_full(size: TreeSize) -> Vec<TileCoord> {
    let full = |tile: TileCoord| {
        let index = if tile.is_full() { Some(tile.index()) } else { tile.index().checked_sub(1) };
        TileCoord::new(tile.level(), index?, tile.full().width()).ok()
    };
    tiles_of(size).into_iter().filter_map(full).collect()
}

/// Objects on their way, a bounded number at a time. Dropped, they are abandoned.
pub(super) struct Uploads {
    prefix: String,
    objects: Arc<dyn Objects>,
    under_way: JoinSet<Result<(), ObjectsFault>>,
}

impl Uploads {
    /// Begins an upload, after waiting for its turn. An error may be an earlier one's.
    pub(super) async fn put(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), ObjectsFault> {
        if self.under_way.len() >= UPLOADS_MAX
            && let Some(done) = self.under_way.join_next().await
        {
            settled(done)?;
        }
        let (objects, key) = (Arc::clone(&self.objects), format!("{}/{path}", self.prefix));
        self.under_way.spawn(async move { objects.put(&key, bytes).await });
        Ok(())
    }

    /// Waits for every upload.
    pub(super) async fn finish(&mut self) -> Result<(), ObjectsFault> {
        while let Some(done) = self.under_way.join_next().await {
            settled(done)?;
        }
        Ok(())
    }
}

fn settled(done: Result<Result<(), ObjectsFault>, JoinError>) -> Result<(), ObjectsFault> {
    let gone = |_| ObjectsFault { action: "write", key: String::new(), source: ObjectsFaultCause::Cancelled };
    done.unwrap_or_else(|error| Err(gone(error)))
}
